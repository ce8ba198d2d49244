"""Is there global flicker? Told from how the picture's parts brighten and darken together.

Motion changes the light of some parts of a picture; flicker that of all, in the same frame. The picture is cut into a
grid of groups, and each group's level (the running sum of the median change of its tiles) is freed of slow change by
an 11-frame running median. Over a window, the covariance between groups against the variance within them is the
coherence: near 1 for flicker, low for motion however violent. Fades and exposure ramps leave no residue of the running
median; a single flash leaves one that is rare, so the typical deviation and the share of active frames stay low.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Evidence", "Gate", "group_changes", "weigh"]

_GRID = (3, 4)
_MEDIAN = 11
_WINDOW = 32  # frames of evidence behind the frame in question, and as many ahead if they are there
_LEVELS = 255.0

_COHERENCE_ON, _COHERENCE_OFF = 0.60, 0.40
_LEVEL_ON, _LEVEL_OFF = 0.30, 0.12  # typical deviation, 8-bit levels
_ACTIVE_ON = 0.25  # share of frames that deviate
_SHORTEST = 12  # frames; less says nothing, unless the evidence is _PLAIN
_PLAIN_SHORTEST, _PLAIN_COHERENCE, _PLAIN_LEVEL = 5, 0.80, 2.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """coherence 0..1, level = typical deviation in 8-bit levels, active = share of frames that deviate,
    frames = how many were seen."""

    coherence: float
    level: float
    active: float
    frames: int

    @property
    def flickers(self) -> bool:
        if self.frames >= _SHORTEST:
            return self.coherence >= _COHERENCE_ON and self.level >= _LEVEL_ON and self.active >= _ACTIVE_ON
        return (
            self.frames >= _PLAIN_SHORTEST
            and self.coherence >= _PLAIN_COHERENCE
            and self.level >= _PLAIN_LEVEL
            and self.active >= _ACTIVE_ON
        )

    @property
    def is_calm(self) -> bool:
        return self.frames >= _SHORTEST and (self.coherence < _COHERENCE_OFF or self.level < _LEVEL_OFF)


def group_changes(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median change of the tiles of each group between two frames: (3, rows, columns) twice to (3, groups), levels."""
    change = (after - before) * np.float32(_LEVELS)
    channels, rows, columns = change.shape
    grid_rows, grid_columns = min(_GRID[0], rows), min(_GRID[1], columns)
    if rows % grid_rows or columns % grid_columns:
        change = change[:, : rows - rows % grid_rows, : columns - columns % grid_columns]
    blocks = change.reshape(channels, grid_rows, change.shape[1] // grid_rows, grid_columns, -1)
    groups = blocks.transpose(0, 1, 3, 2, 4).reshape(channels, grid_rows * grid_columns, -1)
    return np.median(groups, axis=2).astype(np.float32)


def weigh(changes: NDArray[np.float32]) -> Evidence:
    """Evidence in a run of frames of one shot: changes (frames - 1, channels, groups)."""
    frames = len(changes) + 1
    if frames < _PLAIN_SHORTEST or changes.shape[2] < 2:
        return Evidence(0.0, 0.0, 0.0, frames)
    level = np.concatenate([np.zeros((1, *changes.shape[1:]), np.float32), np.cumsum(changes, axis=0)])
    half = _MEDIAN // 2
    padded = np.pad(level, ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
    runs = np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN, axis=0)
    deviation = level - np.nanmedian(runs, axis=-1)
    best = Evidence(0.0, 0.0, 0.0, frames)
    for channel in range(deviation.shape[1]):
        h = deviation[:, channel, :]
        groups = h.shape[1]
        total = float((h.sum(axis=1) ** 2).mean())
        own = float((h**2).sum(axis=1).mean())
        coherence = (total - own) / (groups - 1) / own if own > 1e-6 else 0.0
        common = np.median(h, axis=1)
        spread = np.median(np.abs(h - common[:, None]), axis=1)
        strength = np.abs(common)
        typical = 1.4826 * float(np.median(strength))
        active = float(np.mean((strength > 0.35) & (strength > spread)))
        if coherence * min(typical, 1.0) > best.coherence * min(best.level, 1.0):
            best = Evidence(coherence, typical, active, frames)
    return best


class Gate:
    """Opens when there is flicker and closes when there is none, with hysteresis; ramps, so that no step is seen."""

    RAMP = 8  # frames from shut to open

    def __init__(self) -> None:
        self._open = False
        self._amount = 0.0
        self._shot: int | None = None

    @property
    def amount(self) -> float:
        """How much of the correction to apply, 0..1."""
        return self._amount

    def advance(self, shot: int, behind: deque[NDArray[np.float32]], ahead: list[NDArray[np.float32]]) -> Evidence:
        """One frame on. behind, ahead: group changes within its shot up to and after the frame."""
        window = list(behind)[-_WINDOW:] + ahead[:_WINDOW]
        evidence = weigh(np.stack(window)) if window else Evidence(0.0, 0.0, 0.0, 1)
        was_open = self._open
        if evidence.flickers:
            self._open = True
        elif evidence.is_calm:
            self._open = False
        fresh = shot != self._shot
        self._shot = shot
        if fresh or (self._open and not was_open and not behind):
            self._amount = 1.0 if self._open else 0.0
        else:
            step = 1.0 / self.RAMP
            self._amount = min(1.0, self._amount + step) if self._open else max(0.0, self._amount - step)
        return evidence
