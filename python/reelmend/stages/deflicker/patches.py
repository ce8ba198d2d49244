"""Patches: parts of the picture whose light flickers by itself, while the rest stays.

The picture is cut into blocks of 4 x 4 tiles. Where light changes, all tiles of a block change alike; where something
moves, they differ. And flicker goes to and fro, so that one change is undone by the next; motion, shadows and fades go
on. A block that changes as a whole, to and fro, in most frames of a window, jitters; enough of them are local flicker.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SHARE_OFF",
    "SHARE_ON",
    "SIDE",
    "PatchEvidence",
    "bins_of",
    "block_medians",
    "blocks_of",
    "medians_of",
    "shift_of",
    "shifted",
    "weigh_patches",
]

SIDE = 4  # tiles, of a block
_LEVELS = 255.0
_SMALLEST = 0.008  # log light: a change of a block that counts
_TYPICAL = 0.010  # log light: a typical change that is seen
_RETURN = -0.25  # correlation of a change with the next
_MOST = 0.5  # of the frames
SHARE_ON, SHARE_OFF = 0.13, 0.05
_SHARE_BANDED = 0.17  # where there are bands: what they leave in dark and clipped parts looks like jitter
_SHARE_FEW = 0.25  # while there are fewer than _FEW changes
SHORTEST, _FEW = 10, 24


@dataclass(frozen=True, slots=True)
class PatchEvidence:
    """share of the blocks that jitter, level = their typical deviation in 8-bit levels, jitters = which blocks do,
    changes = how many were weighed."""

    share: float = 0.0
    level: float = 0.0
    changes: int = 0
    jitters: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1), bool))

    def is_there(self, banded: bool) -> bool:
        return self.changes >= SHORTEST and self.share >= self._least(banded)

    def _least(self, banded: bool) -> float:
        least = _SHARE_BANDED if banded else SHARE_ON
        return max(least, _SHARE_FEW) if self.changes < _FEW else least

    @property
    def is_gone(self) -> bool:
        return self.changes >= SHORTEST and self.share < SHARE_OFF

    def confidence(self, banded: bool) -> float:
        """0.5 where it counts as there, 1 where it is beyond doubt."""
        if self.changes < SHORTEST:
            return 0.0
        value = 0.5 + (self.share - self._least(banded)) * 2.5
        return float(np.clip(value, 0.0, 1.0)) if self.share >= SHARE_OFF else 0.0

    @property
    def reach(self) -> NDArray[np.float32]:
        """Where to act, 0..1 a block: the blocks that jitter, and softly around them."""
        weight = np.pad(self.jitters.astype(np.float32), 1, mode="edge")
        wide = np.max([weight[i : i + self.jitters.shape[0], j : j + self.jitters.shape[1]]
                       for i in range(3) for j in range(3)], axis=0)  # fmt: skip
        return softened(wide[:, :, None])[:, :, 0]


def blocks_of(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., rows, columns) of tiles to (..., rows / 4, columns / 4, 16), without what is left over."""
    rows, columns = x.shape[-2] // SIDE, x.shape[-1] // SIDE
    lead = x.shape[:-2]
    cut = x[..., : rows * SIDE, : columns * SIDE].reshape(*lead, rows, SIDE, columns, SIDE)
    return np.moveaxis(cut, -2, -3).reshape(*lead, rows, columns, SIDE * SIDE)


def block_medians(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Medians of the blocks of (..., rows, columns) tiles, and medians of the deviations from them."""
    return medians_of(blocks_of(x))


def medians_of(blocks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same of blocks, (..., tiles)."""
    ordered = np.sort(blocks, axis=-1)
    half = SIDE * SIDE // 2
    medians = (ordered[..., half - 1] + ordered[..., half]) * np.float32(0.5)
    off = np.abs(ordered - medians[..., None])
    off.partition(half, axis=-1)
    return medians, off[..., half]


def bins_of(luma: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """How much of each value of 0..1 lies in each of the bins, whose centres are (k + 1/2) / bins: (bins, ...)."""
    at = np.clip(luma * np.float32(bins) - np.float32(0.5), 0, bins - 1)
    centres = np.arange(bins, dtype=np.float32).reshape(-1, *[1] * luma.ndim)
    result: NDArray[np.float32] = np.maximum(np.float32(1) - np.abs(at - centres), 0)
    return result


def weigh_patches(medians: NDArray[np.float32], spreads: NDArray[np.float32], brightness: float) -> PatchEvidence:
    """Evidence in changes of blocks, (changes, rows, columns) each, in log light; brightness 0..1."""
    n = len(medians)
    if n < 2:
        return PatchEvidence(changes=n)
    # 1.25 sigma / sqrt(16) is the deviation of a median of 16; 1.48 times the spread is sigma
    doubt = 2 * 1.25 * 1.48 / SIDE * spreads
    whole = (np.abs(medians) > np.maximum(doubt, _SMALLEST)).mean(axis=0) > _MOST
    energy = (medians.astype(np.float64) ** 2).sum(axis=0)
    back = (medians[1:].astype(np.float64) * medians[:-1]).sum(axis=0) / (energy + 1e-9)
    typical = 1.4826 * np.median(np.abs(medians), axis=0)
    jitters = whole & (back < _RETURN) & (typical > _TYPICAL)
    # a change is the difference of two deviations
    level = float(np.median(typical[jitters])) * 0.5**0.5 * brightness * _LEVELS if jitters.any() else 0.0
    return PatchEvidence(float(jitters.mean()), level, n, jitters)


def softened(field_: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binomial 3 x 3 mean of (rows, columns, channels), edges repeated."""
    x = np.pad(field_, ((1, 1), (1, 1), (0, 0)), mode="edge")
    x = 0.25 * (x[:-2] + x[2:]) + 0.5 * x[1:-1]
    result: NDArray[np.float32] = (0.25 * (x[:, :-2] + x[:, 2:]) + 0.5 * x[:, 1:-1]).astype(np.float32)
    return result


def _surroundings(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over 7 x 7, edges repeated."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (4, 3)
        total = np.cumsum(np.pad(x, pad, mode="edge"), axis=axis, dtype=np.float64)
        n = x.shape[axis]
        x = ((np.take(total, np.arange(7, 7 + n), axis) - np.take(total, np.arange(n), axis)) / 7).astype(np.float32)
    return x


def shift_of(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[float, float]:
    """How far the picture moved, (x, y) in tiles: robust least squares on log luma freed of light.

    before, after  log luma (rows, columns). Their surroundings are taken off first, so that a change of light, of the
    whole or of parts, does not look like motion.
    """
    a, b = before - _surroundings(before), after - _surroundings(after)
    x = y = 0.0
    for _ in range(4):
        moved = shifted(a[None], x, y)[0]
        gy, gx = np.gradient((moved + b) * np.float32(0.5))
        d = b - moved
        scale = 1.48 * float(np.median(np.abs(d))) + 1e-3
        w = 1.0 / (1.0 + (d / (2 * scale)) ** 2)
        wx = w * gx
        xx, xy, yy = float((wx * gx).sum()) + 1e-3, float((wx * gy).sum()), float((w * gy * gy).sum()) + 1e-3
        bx, by = -float((wx * d).sum()), -float((w * gy * d).sum())
        det = xx * yy - xy * xy
        dx, dy = (bx * yy - by * xy) / det, (by * xx - bx * xy) / det
        x, y = float(np.clip(x + dx, -8, 8)), float(np.clip(y + dy, -8, 8))
        if abs(dx) + abs(dy) < 0.01:
            break
    return x, y


def shifted(x: NDArray[np.float32], dx: float, dy: float) -> NDArray[np.float32]:
    """(..., rows, columns) moved by (dx, dy) tiles, bilinear; beyond the edges the edge."""
    for axis, by in ((-2, dy), (-1, dx)):
        if by == 0.0:
            continue
        n = x.shape[axis]
        at = np.clip(np.arange(n) - by, 0, n - 1)
        low = np.minimum(at.astype(np.int64), n - 2) if n > 1 else np.zeros(n, np.int64)
        part = (at - low).astype(np.float32)
        part = part[:, None] if axis == -2 else part
        x = np.take(x, low, axis) * (1 - part) + np.take(x, np.minimum(low + 1, n - 1), axis) * part
    return x
