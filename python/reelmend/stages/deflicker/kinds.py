"""What the light of the whole picture does over time: alternates, steps, flashes, fades, or changes colour.

All is told from the changes of 3 x 4 groups of tiles from frame to frame (gate.py), so that motion, which the groups
do not share, does not count. Alternation and steps are flicker that a running median does not show: frames of which
most are alike, and levels that stay for longer than the median looks. Flashes and fades are no flicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..rows import middle

__all__ = ["Regular", "alternation", "color_share", "fade_of", "flash_of", "steps"]

_PERIODS = 3  # that must have been seen
_FEW = 12  # changes; fewer must leave no doubt
_FEW_EXPLAINED, _FEW_LEVEL = 0.90, 1.0
_EXPLAINED = 0.70  # share of the variance that the period explains
_AGREE = 0.50  # of the groups
_LEVEL = 0.30  # 8-bit levels
_BACK = 0.30  # of the changes over a period, that may be left at its end
_STEP = 0.6  # 8-bit levels, at least
_STEP_NOISE = 4.0  # times the usual change
_STEP_RARE = 0.2  # of the frames, at most
_STEP_APART = 8  # frames, at least
_STEP_ON = 0.75  # of the steps must keep the beat
_STEP_LEAST = 4  # steps on it
_STEP_SPREAD = 0.35  # of a step, by which the groups may differ
_FLASH = 4.0  # levels
FADE = 9  # frames that must go one way
_FADE = 9.0  # levels over them, at least


@dataclass(frozen=True, slots=True)
class Regular:
    """Flicker of a fixed period, in frames: strength in 8-bit levels, confidence 0..1."""

    period: int
    strength: float
    confidence: float


def alternation(changes: NDArray[np.float32], first: int) -> Regular | None:
    """Light that repeats every two or three frames. changes (n, 3, groups); first: number of the first one's frame."""
    n = len(changes)
    if n < 2 * _PERIODS:
        return None
    level = np.cumsum(changes, axis=0)
    steps_ = middle(changes)  # (n, 3)
    frames = first + np.arange(n)
    best: Regular | None = None
    least, faintest = (_EXPLAINED, _LEVEL) if n >= _FEW else (_FEW_EXPLAINED, _FEW_LEVEL)
    for period in (2, 3):
        if n < period * _PERIODS:
            continue
        inner = level[1:-1]
        rest = inner - (level[:-2] + inner * (4 - period) + level[2:]) / np.float32(6 - period)
        common = middle(rest)  # (n - 2, 3)
        channel = int(np.argmax((common * common).sum(axis=0)))
        common, rest, went = common[:, channel], rest[:, channel], steps_[:, channel]
        phase = frames[1:-1] % period
        whole = np.array([np.median(common[phase == k]) for k in range(period)])
        energy = float((common * common).sum())
        left = float(((common - whole[phase]) ** 2).sum())
        strength = float(np.sqrt((whole * whole).mean()))
        if 1.0 - left / max(energy, 1e-9) < least or strength < faintest:
            continue
        fold = np.stack([middle(rest[phase == k].T) for k in range(period)])  # (period, groups)
        apart = float(np.abs(fold - whole[:, None]).mean()) / max(float(np.abs(whole).mean()), 1e-9)
        around = np.array([np.median(went[frames % period == k]) for k in range(period)])
        back = abs(float(around.sum())) <= _BACK * float(np.abs(around).sum())
        if 1 - apart >= _AGREE and back:
            confidence = 0.5 + 0.5 * (1.0 - left / energy - _EXPLAINED) / (1 - _EXPLAINED)
            if best is None or confidence > best.confidence:
                best = Regular(period, strength, confidence)
    return best


def steps(changes: NDArray[np.float32], index: NDArray[np.int64]) -> Regular | None:
    """Steps of light that come on a beat, as models leave that work in batches of frames.

    changes (n, 3, groups) into the frames `index`. There must be four at least, rare, with calm between them.
    """
    if len(changes) < 2 * _STEP_APART:
        return None
    common = middle(changes)  # (n, 3)
    size = np.abs(common).max(axis=1)
    channel = np.abs(common).argmax(axis=1)
    rows = np.arange(len(changes))
    spread = middle(np.abs(changes[rows, channel] - common[rows, channel][:, None]))
    usual = float(np.median(size))
    large = (size > max(_STEP, _STEP_NOISE * usual)) & (spread < _STEP_SPREAD * size)
    at = index[large]
    if not _STEP_LEAST <= len(at) <= _STEP_RARE * len(changes):
        return None
    between = np.diff(at)
    best = (0, 0)  # steps that keep the beat, the beat
    for beat in sorted({int(b) for b in between if b >= _STEP_APART} | {int(np.gcd.reduce(between))}):
        if beat < _STEP_APART:
            continue
        kept = int(np.bincount(at % beat).max())
        best = max(best, (kept, beat))
    kept, beat = best
    if kept < _STEP_LEAST or kept < _STEP_ON * len(at) or kept * beat * 2 < int(at[-1] - at[0]):
        return None
    signed = common[rows, channel][large]
    if len(set(np.sign(signed))) == 1 and kept < 6:
        return None  # an exposure that settles in steps goes one way
    strength = float(np.median(size[large]))
    return Regular(beat, strength, min(1.0, 0.5 + 0.1 * (kept - _STEP_LEAST) + 0.2 * (kept / len(at) - _STEP_ON)))


def color_share(deviations: NDArray[np.float32], means: NDArray[np.float32]) -> float:
    """How much of the flicker is of colour, 0..1, from deviations (n, 3, groups) and mean levels (3,) of R, G, B."""
    relative = middle(deviations) / np.maximum(means, 8.0)
    gray = relative.mean(axis=1, keepdims=True)
    return float(((relative - gray) ** 2).sum() / max(float((relative**2).sum()), 1e-12))


def flash_of(levels: NDArray[np.float32], own: int) -> float:
    """How far one of a run of levels, (frames, 3, groups), stands out of those around it as a flash; 0 if it is none.

    A flash is over in 3 frames, and all groups share it.
    """
    if len(levels) < 6:
        return 0.0
    off = levels - np.median(levels, axis=0)
    common = middle(off)  # (frames, 3)
    channel = int(np.abs(common[own]).argmax())
    size = np.abs(common[:, channel])
    usual = float(np.median(size))
    limit = max(_FLASH, 5 * usual)
    spread = float(middle(np.abs(off[own, channel] - common[own, channel])))
    if size[own] < limit or spread > 0.6 * size[own]:
        return 0.0
    out = size > limit / 2
    before = own - int(np.argmin(out[: own + 1][::-1])) if not out[: own + 1].all() else -1
    after = own + int(np.argmin(out[own:])) if not out[own:].all() else len(out)
    return float(common[own, channel]) if before >= 0 and after - before - 1 <= 3 else 0.0


def fade_of(changes: NDArray[np.float32], means: NDArray[np.float32]) -> float:
    """Levels by which the light fades over a run of changes (FADE or more, 3, groups); 0 if it does not.

    All groups go one way all the time, by like shares of their brightness: means (3, groups).
    """
    if len(changes) < FADE:
        return 0.0
    luma = changes.mean(axis=1)
    common = middle(luma)
    total = float(common.sum())
    if abs(total) < _FADE or abs(total) < 0.9 * float(np.abs(common).sum()):
        return 0.0
    if float(np.abs(common).min()) < 0.15 * abs(total) / len(common):
        return 0.0
    share = luma.sum(axis=0) / np.maximum(means.mean(axis=0), 8.0)
    usual = float(np.median(share))
    spread = float(np.median(np.abs(share - usual)))
    return total if spread < 0.4 * abs(usual) else 0.0
