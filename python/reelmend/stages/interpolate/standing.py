"""Where two pictures are alike, sample for sample, and nothing passes between: there a made frame is the source."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...frame import Array, Frame
from ...ops._dispatch import empty
from ..planes import groups
from .estimate import Motion

__all__ = ["Standing"]

_MOVES = 0.25  # pixels of the picture a pair
_PASSES = 0.05  # pixels of a cell that what moves covers, and more


class Standing:
    """The cells of the motion's grid where two pictures of one shot are alike, with all cells around them.

    a, b    the pictures inside the region of their motion
    motion  between them: what it moves over a cell at a time between is not the source's, though the source be the
            same before and after, as behind a ball

    everywhere  the pictures are alike in all samples
    """

    def __init__(self, a: Frame, b: Frame, motion: Motion) -> None:
        self._motion = motion
        grid = tuple(int(n) for n in motion.forward.shape[1:])
        alike: Any = 1.0
        for group in groups(a.planes):
            alike = alike * _whole_cells([(a.planes[i], b.planes[i]) for i in group], grid)
        self.everywhere = bool((alike > 0).all())
        self.anywhere = bool((alike > 0).any())
        self._cells = _eroded(alike)

    def keep(self, source: Frame, target: Frame, t: float) -> None:
        """Put the source's samples into the target where nothing changes; both inside the region."""
        if not self.anywhere:
            return
        forward, backward = self._motion.forward, self._motion.backward
        kept = self._cells * _clear(forward, t, source.width) * _clear(backward, 1 - t, source.width)
        size = (source.height, source.width)
        mask = ops.resize(ops.cast(kept * np.float32(255), np.uint8), size)
        for given, made in zip(source.planes, target.planes, strict=True):
            ops.lay_over(given, mask, made, least=255)


def _whole_cells(pairs: list[tuple[Array, Array]], grid: tuple[int, ...]) -> Array:
    """float32: 1 for the cells in which all pairs of planes are alike, else 0."""
    like = pairs[0][0]
    still = ops.beside(np.zeros((2, 1, 1), np.float32), like)
    count = empty(tuple(like.shape), np.uint8, like)
    count[...] = 255 - len(pairs)
    for a, b in pairs:
        ops.count_overlay(a, b, still, count, still=0, contrast=0, moving=0.0)
    means = ops.resize(count, (grid[0], grid[1]), filter="area")  # 255 only where every sample is
    return ops.cast(means > 254, np.float32)


def _eroded(cells: Array) -> Array:
    """Without the cells beside others that are 0."""
    for axis in (0, 1):
        n = int(cells.shape[axis])
        if n < 2:
            continue
        out = ops.copy(cells)
        low, high = ((slice(None),) * axis + (s,) for s in (slice(0, n - 1), slice(1, n)))
        out[low] *= cells[high]
        out[high] *= cells[low]
        cells = out
    return cells


def _clear(flow: Array, part: float, width: int) -> Array:
    """float32: 1 for the cells over which nothing that moves lies once it has gone this part of its way, else 0."""
    least = np.float32((_MOVES * int(flow.shape[2]) / width) ** 2)
    moves = ops.cast(flow[0] * flow[0] + flow[1] * flow[1] >= least, np.float32)
    share, covered = ops.splat(moves, flow, scale=part)
    return ops.cast(share * covered <= _PASSES, np.float32)
