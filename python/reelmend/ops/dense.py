"""Optical flow by dense inverse search."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, dtype_of, empty, module_for, overlaps, stream_of
from .geometry import resize

__all__ = ["dense_flow"]

_PATCH = 8
_PAD = 17  # csrc/ops/dense.h: kPadBefore + kPadAfter
_LEAST = 16  # pixels of the short side of the coarsest level


def dense_flow(
    a: Array,
    b: Array,
    *,
    finest: int = 0,
    coarsest: int | None = None,
    stride: int = 4,
    iterations: int = 12,
    initial: Array | None = None,
    out: Array | None = None,
    stream: Any = None,
    _c: int = 1,
    _r: float = 8.0,
) -> Array:
    a, b = as_input(a), as_input(b)
    sizes = [tuple(a.shape)]
    while len(sizes) <= finest or (min(sizes[-1]) + 1) // 2 >= _LEAST:
        sizes.append(tuple((s + 1) // 2 for s in sizes[-1]))
    if coarsest is None:
        coarsest = len(sizes) - 1
    levels = [(a, b)]
    for size in sizes[1 : coarsest + 1]:
        levels.append(tuple(resize(p, size, filter="area", stream=stream) for p in levels[-1]))
    flow = initial
    for level in range(coarsest, finest - 1, -1):
        height, width = sizes[level]
        padded = empty((2, height + _PAD, -(-(width + _PAD) // 16) * 16), np.float32, a)
        grid = (max(0, -(-(s - _PATCH) // stride)) + 1 for s in (height, width))
        patches = empty((3, *grid), np.float32, a)
        target = out if level == finest and out is not None else empty((2, height, width), np.float32, a)
        module_for(a).dense_level(
            *levels[level], flow, (stride, iterations, _c, _r), (padded, patches), target, stream_of(a, stream)
        )
        flow = target
    return flow
