"""Is there global flicker? Told from how the picture's parts brighten and darken together.

Motion changes the light of some parts of a picture; flicker that of all, in the same frame. The picture is cut into a
grid of groups, and each group's level (the running sum of the median change of its tiles) is freed of slow change by
an 11-frame running median. Over a window, the covariance between groups against the variance within them is the
coherence: near 1 for flicker, low for motion however violent. Fades and exposure ramps leave no residue of the running
median; a single flash leaves one that is rare, so the typical deviation and the share of active frames stay low.

What is rare is not told here, then: a period of three frames, two of them alike, has a typical deviation of nothing
(kinds.py tells it).

A running median says nothing of the first frames of a shot. There only plain flicker counts: strong, coherent, and
going to and fro, which no fade does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..rows import middle

__all__ = ["MEDIAN", "WINDOW", "Evidence", "Gate", "Switch", "deviation", "group_changes", "weigh"]

Groups = NDArray[np.float32]  # (3, groups): R, G, B of each group, 8-bit levels

MEDIAN = 11  # frames of the running median
WINDOW = 32  # frames of evidence behind the frame in question, and as many ahead if they are there
_GRID = (3, 4)
_LEVELS = 255.0

_COHERENCE_ON, _COHERENCE_OFF = 0.60, 0.40
_LEVEL_ON, _LEVEL_OFF = 0.30, 0.12  # typical deviation, 8-bit levels
_FEW, _LEVEL_FEW = 24, 0.60  # while there are fewer deviations than that, levels it takes
_SOME, _LEVEL_SOME = 48, 0.40
_ACTIVE_ON = 0.25  # share of frames that deviate
_ACTIVE = 0.35  # what deviates: levels, and more than the groups differ among themselves
_USUAL, _USUAL_LEAST = 4.0, 0.5  # times the typical deviation, and levels, up to which one frame counts
_SHORTEST = 12  # deviations; fewer say nothing but plain flicker
_PLAIN_SHORTEST, _PLAIN_COHERENCE, _PLAIN_LEVEL, _PLAIN_TURNS = 4, 0.80, 2.0, 2
_PLAIN_STEP = 1.0  # levels by which it changes from frame to frame, typically


@dataclass(frozen=True, slots=True)
class Evidence:
    """coherence 0..1, level = typical deviation in 8-bit levels, active = share of frames that deviate,
    frames = how many were weighed."""

    coherence: float = 0.0
    level: float = 0.0
    active: float = 0.0
    frames: int = 0

    @property
    def flickers(self) -> bool:
        return (
            self.frames >= _SHORTEST
            and self.coherence >= _COHERENCE_ON
            and self.level >= self._least
            and self.active >= _ACTIVE_ON
        )

    @property
    def _least(self) -> float:
        return _LEVEL_FEW if self.frames < _FEW else _LEVEL_SOME if self.frames < _SOME else _LEVEL_ON

    @property
    def is_calm(self) -> bool:
        return self.frames >= _SHORTEST and (self.coherence < _COHERENCE_OFF or self.level < _LEVEL_OFF)


def group_changes(before: NDArray[np.float32], after: NDArray[np.float32]) -> Groups:
    """Median change of the tiles of each group between two frames: (3, rows, columns) twice to (3, 12), levels."""
    change = (after - before) * np.float32(_LEVELS)
    for axis, parts in enumerate(_GRID, start=1):
        tiles = change.shape[axis]
        if tiles < parts:  # too few for a group each: some stand for two
            change = np.take(change, np.arange(parts) * tiles // parts, axis=axis)
        else:
            change = np.take(change, np.arange(tiles - tiles % parts), axis=axis)
    channels, rows, columns = change.shape
    blocks = change.reshape(channels, _GRID[0], rows // _GRID[0], _GRID[1], columns // _GRID[1])
    groups = blocks.transpose(0, 1, 3, 2, 4).reshape(channels, _GRID[0] * _GRID[1], -1)
    return middle(groups)


def deviation(levels: Sequence[Groups] | NDArray[np.float32]) -> Groups:
    """The middle of 11 consecutive levels (running sums of changes) against their median."""
    run = np.asarray(levels)
    result: Groups = run[MEDIAN // 2] - np.partition(run, MEDIAN // 2, axis=0)[MEDIAN // 2]
    return result


def weigh(deviations: NDArray[np.float32]) -> Evidence:
    """Evidence in the deviations of a run of frames: (frames, channels, groups). The plainest channel counts."""
    frames, channels, groups = deviations.shape
    best = Evidence(frames=frames)
    if groups < 2:
        return best
    common = middle(deviations)
    spread = middle(np.abs(deviations - common[:, :, None]))
    strength = np.abs(common)
    typicals = 1.4826 * middle(strength.T)
    # one flash must not speak for the frames around it
    most = np.maximum(_USUAL * typicals, _USUAL_LEAST)
    held = deviations * (most / np.maximum(strength, most))[:, :, None]
    total = (held.sum(axis=2, dtype=np.float64) ** 2).mean(axis=0)
    own = (held.astype(np.float64) ** 2).sum(axis=2).mean(axis=0)
    coherences = np.where(own > 1e-6, (total - own) / (groups - 1) / np.maximum(own, 1e-6), 0.0)
    actives = ((strength > _ACTIVE) & (strength > spread)).mean(axis=0)
    for channel in range(channels):
        coherence, typical = float(coherences[channel]), float(typicals[channel])
        if coherence * min(typical, 1.0) > best.coherence * min(best.level, 1.0):
            best = Evidence(coherence, typical, float(actives[channel]), frames)
    return best


def is_plain(changes: Sequence[Groups] | NDArray[np.float32]) -> bool:
    """Whether the first few frames of a shot flicker beyond doubt, from their changes one after the other."""
    if len(changes) < _PLAIN_SHORTEST:
        return False
    steps = np.asarray(changes)
    levels = np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
    ramp = np.linspace(-1.0, 1.0, len(levels), dtype=np.float32)[:, None, None]
    levels = levels - levels.mean(axis=0)
    evidence = weigh(levels - ramp * (levels * ramp).sum(axis=0) / (ramp * ramp).sum())
    common = middle(steps)
    turns = ((common[1:] * common[:-1] < 0) & (np.minimum(np.abs(common[1:]), np.abs(common[:-1])) > 0.7)).sum(axis=0)
    return (
        evidence.coherence >= _PLAIN_COHERENCE
        and evidence.level >= _PLAIN_LEVEL
        and int(turns.max()) >= _PLAIN_TURNS
        and float(np.median(np.abs(common), axis=0).max()) >= _PLAIN_STEP
    )


class Switch:
    """Open or shut, with hysteresis; ramps, so that no step is seen."""

    RAMP = 4  # frames from shut to open

    def __init__(self) -> None:
        self._open = False
        self._amount = 0.0
        self._shot: int | None = None

    def advance(self, shot: int, opens: bool, shuts: bool) -> float:
        """One frame on, in this shot: how much of the correction to apply, 0..1."""
        self._open = opens or (self._open and not shuts)
        if shot != self._shot:
            self._shot = shot
            self._amount = 1.0 if self._open else 0.0
        else:
            step = 1.0 / self.RAMP if self._open else -1.0 / self.RAMP
            self._amount = min(1.0, max(0.0, self._amount + step))
        return self._amount

    @property
    def amount(self) -> float:
        return self._amount


class Gate:
    """Opens when there is flicker of the whole picture and closes when there is none."""

    def __init__(self) -> None:
        self._switch = Switch()

    @property
    def amount(self) -> float:
        """How much of the correction to apply, 0..1."""
        return self._switch.amount

    def advance(
        self,
        shot: int,
        deviations: Sequence[Groups] | NDArray[np.float32],
        changes: Sequence[Groups] | NDArray[np.float32],
        regular: bool = False,
    ) -> Evidence:
        """One frame on.

        deviations  of the frames of its shot around it, those that have one
        changes     of the frames of its shot around it, for the time there are too few deviations
        regular     whether there is flicker that deviations do not tell: that of a fixed period
        """
        evidence = weigh(np.asarray(deviations)) if len(deviations) else Evidence()
        if evidence.frames < _SHORTEST:
            opens, shuts = is_plain(changes), False
        else:
            opens, shuts = evidence.flickers, evidence.is_calm
        self._switch.advance(shot, opens or regular, shuts and not regular)
        return evidence
