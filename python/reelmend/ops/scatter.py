"""Pictures and flows pushed along a flow: forward warps (splats), and flows projected to a time between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, empty, module_for, overlaps, stream_of
from .geometry import as_factor, as_given, as_planes, largest_code, targets_for

__all__ = ["project_flow", "splat"]

_MODES = {"average": 0, "linear": 1, "softmax": 2}


def splat(
    planes: Array | Sequence[Array],
    flow: Array,
    *,
    metric: Array | None = None,
    mode: str = "average",
    scale: float = 1.0,
    max_code: int | None = None,
    out: tuple[Any, Array] | None = None,
    stream: Any = None,
) -> tuple[Any, Array]:
    """A picture pushed along a flow (forward warp): pixel (x, y) lands at (x + scale u, y + scale v).

    Each pixel is given to the four whole places around where it lands, with bilinear weights; a place takes the mean
    of what it was given. What lands outside is dropped. Places that were given nothing (holes) are 0.

    planes    uint8, uint16 or float32: one plane (height, width), or one to four planes of one size. Floats are
              clamped to 2^15 either way and rounded to 2^-16 (65536ths); NaN counts as 0
    flow      float32 (2, height, width) as in warp: pixels, u to the right, v down, any strides; NaN and infinity
              count as 0. Rounded to 2^-16 pixel
    mode      "average": by the bilinear weights alone. "linear": times the metric. "softmax": times exp(metric)
    metric    float32 (height, width), how much a pixel has to say against others that land beside it; for "linear" and
              "softmax" only. Any range: it is compared with the largest metric that reaches the same place. For
              "linear" 0, negative and NaN give nothing; for "softmax" NaN counts as the least. Clamped to 2^100
    scale     what the flow is multiplied by: 0.5 lands half the way
    max_code  as in warp
    out       as the result: (a plane for a plane, else planes; the coverage); may not overlap the inputs

    Returns (planes, coverage). Coverage is float32 (height, width): the bilinear weights a place was given, in
    pixels, whatever the mode: 1 everywhere if nothing moves, 0 in holes.

    Sums are of integers, so the result does not depend on threads or on the GPU's scheduling. Whole displacements
    give the samples themselves, bit for bit (floats: those that are multiples of 2^-16 within the range). Memory
    taken for the time of the call: on the CPU about 2 MiB a thread; on a GPU, a pixel, 16, 32, 32 and 48 bytes for one
    to four planes of integers in mode "average", else 32, 48, 64 and 80 (and 4 with a metric). Sides are at most 65536.
    Errors: ArrayError. Source: Niklaus and Liu, "Softmax Splatting for Video Frame Interpolation", CVPR 2020.
    """
    inputs = as_planes(planes)
    like = inputs[0]
    flow = as_input(flow)
    if mode not in _MODES:
        raise ArrayError(f"mode: expected 'average', 'linear' or 'softmax'; got {mode!r}")
    if (metric is None) != (mode == "average"):
        expected = "none with mode 'average'" if mode == "average" else f"one with mode {mode!r}"
        raise ArrayError(f"metric: expected {expected}; got {'none' if metric is None else 'one'}")
    metric = None if metric is None else as_input(metric)
    factor = as_factor("scale", scale)
    most = largest_code(max_code, like)
    module = module_for(like)
    words = module.splat_words(inputs, _MODES[mode])
    given, coverage = _pair(out, "(planes, coverage)")
    read = [*inputs, flow, *([] if metric is None else [metric])]
    targets = targets_for(inputs, given, read)
    coverage = _beside(coverage, tuple(like.shape), np.float32, like, [*read, *targets])
    scratch = empty((words,), np.int32, like)
    module.splat(inputs, flow, factor, _MODES[mode], metric, most, targets, coverage, scratch, stream_of(like, stream))
    return as_given(planes, targets, given), coverage


def project_flow(
    flow: Array,
    *,
    t: float,
    depth_weight: Array | None = None,
    fill: bool = True,
    out: tuple[Array, Array] | None = None,
    stream: Any = None,
) -> tuple[Array, Array]:
    """The flow from a time between two frames back to the first one, by DAIN's depth-aware flow projection.

    Pixel y of the first frame moves by flow(y) to the second, and passes x = y + t flow(y). If x lies inside the
    picture (0 <= x <= width - 1, and so for the height), the four whole places around x are each given the way back,
    -t flow(y), with the weight of y: alike, without bilinear factors. In the last column (row), which has no
    neighbour further on, that one's share goes to the column (row) itself. Places take the mean by weight. So DAIN's
    own kernels do, in sums of floats whose order varies; here sums are of integers (values in 2^-16 pixel, clamped to
    2^15), and the result is the same everywhere.

    flow          float32 (2, height, width) as in warp, from the first frame to the second; NaN and infinity count as 0
    t             the time between: 0 the first frame, 1 the second; any finite number
    depth_weight  float32 (height, width) >= 0: how near each pixel is (DAIN: 1 / depth); what is near hides what is far
                  behind. Taken in units of 2^-30 of the largest, at least one; 0, negative and NaN give nothing.
                  None: all alike
    fill          give holes the mean of the nearest places to the left, right, above and below that are none, as far
                  as there are such; else they are 0
    out           as the result: (flow, holes); may not overlap the inputs

    Returns (flow, holes): float32 (2, height, width), and uint8 (height, width) that is 1 where a place was given
    nothing, filled or not. Memory taken for the time of the call: on the CPU about 2 MiB a thread, on a GPU 32 bytes a
    pixel, 48 with depth weights. Sides are at most 65536, and fewer than 2^29 pixels. Errors: ArrayError. Source: Bao
    et al., "Depth-Aware Video Frame Interpolation", CVPR 2019.
    """
    flow = as_input(flow)
    time = as_factor("t", t)
    weight = None if depth_weight is None else as_input(depth_weight)
    module = module_for(flow)
    words = module.project_words(flow, weight is not None)
    target, holes = _pair(out, "(flow, holes)")
    read = [flow, *([] if weight is None else [weight])]
    target = _beside(target, tuple(flow.shape), np.float32, flow, read)
    holes = _beside(holes, tuple(flow.shape[1:]), np.uint8, flow, [*read, target])
    scratch = empty((words,), np.int32, flow)
    module.project_flow(flow, time, weight, bool(fill), target, holes, scratch, stream_of(flow, stream))
    return target, holes


def _pair(out: Any, expected: str) -> tuple[Any, Any]:
    if out is None:
        return None, None
    if not isinstance(out, tuple | list) or len(out) != 2:
        raise ArrayError(f"out: expected {expected}; got {type(out).__name__}")
    return out[0], out[1]


def _beside(given: Any, shape: tuple[int, ...], dtype: type, like: Array, others: list[Array]) -> Array:
    """A second result: new, or the one that was given if it shares memory with nothing else."""
    if given is None:
        return empty(shape, dtype, like)
    if any(overlaps(given, x) for x in others):
        raise ArrayError("out: it shares memory with an input or with the other result; give other memory")
    return given
