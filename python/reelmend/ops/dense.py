"""Optical flow by dense inverse search."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, empty, is_cuda, module_for, overlaps, stream_of
from .geometry import resize

__all__ = ["dense_flow"]

_PATCH = 8
_PADS = 17  # csrc/ops/dense.h: kPadBefore + kPadAfter
_LEAST = 8  # pixels: what the short side of the coarsest level has at least
_MOST_LEVELS = 16
_ROUNDS, _ROUNDS_FINEST = 5, 2  # of searches: motions spread by a patch in each; coarse levels cost little
_KEPT = 1 << 23  # floats of scratch memory that a thread keeps: 32 MiB
_own = threading.local()


def dense_flow(
    a: Array,
    b: Array,
    *,
    finest: int = 0,
    coarsest: int | None = None,
    stride: int = 4,
    iterations: int = 8,
    initial: Array | None = None,
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """Optical flow from a to b, by dense inverse search: float32 (2, h, w), such that a(x) is b(x + flow(x)).

    a, b        uint8 (height, width): luma planes of two frames, of one size up to 65536 each way
    finest      0 to 15: the pyramid level whose grid the flow is for. Each level has half the sides of the one before
                (rounded up, means over 2 x 2), level 0 is the planes' own size. The flow is in pixels of that grid;
                resize_flow brings it to full size
    coarsest    the level where the search begins, finest to 15. Default: the last with 8 pixels or more on the short
                side, so that motions of a sixth of the picture and more are caught
    stride      1 to 8: from one patch (of 8 x 8 pixels) to the next. Work grows with 1 / stride^2
    iterations  steps of a patch at most, at each start; 0: vectors are only chosen, not made
    initial     float32 (2, any height, any width): a flow in pixels of its own grid, to begin with at the coarsest
                level in place of 0. NaN and infinity count as 0
    out         float32 (2, h, w); may not overlap the other arrays

    Axes, units and signs are those of warp: pixel centres at integers, u right, v down, warp(b, flow) looks like a. On
    each level each patch of a seeks its place in b by Gauss-Newton steps from what the coarser level says, and again
    from its neighbours' vectors where they suit it better (4 times, once on the finest level; not in the source);
    a pixel's vector is the mean of those of the patches over it, weighted by how well they fit there. Residuals are
    taken less their mean, so brightness may change from a to b. Patches without texture keep what the coarser level
    says. No smoothing follows. Equal pictures give 0 exactly; the result has no NaN. Errors: ArrayError.
    Source: Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.
    """
    a, b = as_input(a), as_input(b)
    if len(a.shape) != 2 or tuple(a.shape) != tuple(b.shape):
        raise ArrayError(
            f"a, b: expected planes of one shape (height, width); got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    finest = _whole("finest", finest, 0, _MOST_LEVELS - 1)
    stride = _whole("stride", stride, 1, _PATCH)
    iterations = _whole("iterations", iterations, 0, 1000)
    sizes = [(int(a.shape[0]), int(a.shape[1]))]
    while len(sizes) < _MOST_LEVELS:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    if coarsest is None:
        coarsest = max(finest, *(i for i, size in enumerate(sizes) if i == 0 or min(size) >= _LEAST), 0)
    coarsest = _whole("coarsest", coarsest, finest, _MOST_LEVELS - 1)
    flow = None if initial is None else as_input(initial)
    if out is None:
        out = empty((2, *sizes[finest]), np.float32, a)
    elif tuple(out.shape) != (2, *sizes[finest]):
        raise ArrayError(f"out: expected shape {(2, *sizes[finest])}; got {tuple(out.shape)}")
    if any(overlaps(p, out) for p in (a, b, *([] if flow is None else [flow]))):
        raise ArrayError("out: it shares memory with another array of the call; give other memory")

    levels = [(a, b)]
    for size in sizes[1 : coarsest + 1]:
        one, two = (resize(p, size, filter="area", stream=stream) for p in levels[-1])
        levels.append((one, two))
    native, on = module_for(a), stream_of(a, stream)
    shapes = [_shapes(size, stride) for size in sizes]
    flows = 2 * (sizes[finest + 1][0] * sizes[finest + 1][1] if coarsest > finest else 0)
    scratch = _scratch(sum(math.prod(s) for s in shapes[finest]) + 2 * flows, a)
    for level in range(coarsest, finest - 1, -1):
        padded, patches, place = shapes[level][0], shapes[level][1], 2 * flows
        pads = scratch[place : place + math.prod(padded)].reshape(padded)
        place += math.prod(padded)
        grids = scratch[place : place + math.prod(patches)].reshape(patches)
        target = out
        if level > finest:  # by turns in two places: the coarser flow is read while the finer one is written
            height, width = sizes[level]
            begin = level % 2 * flows
            target = scratch[begin : begin + 2 * height * width].reshape((2, height, width))
        rule = (stride, iterations, _ROUNDS_FINEST if level == finest else _ROUNDS)
        native.dense_level(*levels[level], flow, rule, (pads, grids), target, on)
        flow = target
    return out


def _shapes(size: tuple[int, int], stride: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of a level's scratch: both planes padded, and two grids of patches of three numbers each."""
    height, width = size
    padded = (2, height + _PADS, -(-(width + _PADS) // 16) * 16)
    rows, columns = (1 + max(0, -(-(side - _PATCH) // stride)) for side in size)
    return padded, (2, 3, rows, columns)


def _scratch(count: int, like: Array) -> Array:
    """`count` floats. On the CPU a thread keeps up to _KEPT of them: fresh memory costs as much as half the work."""
    if is_cuda(like) or count > _KEPT:
        return empty((count,), np.float32, like)
    kept: Any = getattr(_own, "scratch", None)
    if kept is None or kept.size < count:
        kept = _own.scratch = np.empty(count, np.float32)
    return kept


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ArrayError(f"{name}: expected {least} to {most}; got {value!r}")
    return int(value)
