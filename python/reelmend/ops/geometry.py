"""Pictures sampled along a flow: backward warps, two of them blended; and planes and flows resized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, dtype_of, empty, module_for, overlaps, stream_of

__all__ = ["resize", "resize_flow", "warp", "warp_blend", "warp_shrunk"]

_TOGETHER = 4  # planes that a launcher takes

_FILTERS = {"bilinear": 0, "bicubic": 1}
_BORDERS = {"edge": 0, "zeros": 1, "reflect": 2}


def warp(
    planes: Array | Sequence[Array],
    flow: Array,
    *,
    filter: str = "bilinear",
    border: str = "edge",
    scale: float = 1.0,
    max_code: int | None = None,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """A picture fetched along a flow (backward warp): out(x, y) = in(x + scale u, y + scale v).

    planes    uint8, uint16, float16 or float32 (finite): one plane (height, width), or one to four planes of one size
    flow      float32 (2, height, width): u to the right, then v down, in pixels; pixel centres lie at integers. Any
              strides: np.moveaxis(f, 2, 0) of a field (height, width, 2). NaN and infinity count as 0, and
              displacements are clamped to 2^20 pixels
    filter    "bilinear", or "bicubic": Catmull-Rom, that is Keys' cubic convolution with a = -1/2, which may overshoot
    border    what lies outside: "edge" repeats the outermost samples, "zeros" is 0, "reflect" mirrors the picture
              without repeating its edge; as np.pad "edge", "constant" and "reflect"
    scale     what the flow is multiplied by: 0.5 goes half the way
    max_code  the largest code of an integer result (rounded to nearest, clamped to 0..max_code). Default: what the
              dtype holds; give 1023 for 10-bit pictures. Floats are not clamped
    out       as the result: a plane for a plane, else planes (the result is a tuple); may not overlap the inputs

    Coordinates and sums are float32 whatever the samples are; float16 results are rounded once, ties to even, and not
    clamped. Whole displacements give the samples themselves, bit for bit. Sides are at most 65536. Errors: ArrayError.
    Source of the filter: Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 1981.
    """
    inputs = as_planes(planes)
    like = inputs[0]
    flow = as_input(flow)
    targets = targets_for(inputs, out, [*inputs, flow])
    how = as_sampler(filter, border)
    factor = as_factor("scale", scale)
    most = largest_code(max_code, like)
    module_for(like).warp(inputs, flow, factor, how, most, targets, stream_of(like, stream))
    return as_given(planes, targets, out)


def warp_blend(
    a: Array | Sequence[Array],
    b: Array | Sequence[Array],
    flow_a: Array,
    flow_b: Array,
    weight: float | Array,
    *,
    filter: str = "bilinear",
    border: str = "edge",
    scale: float | tuple[float, float] = 1.0,
    max_code: int | None = None,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """Two warped pictures blended in one pass: out = w warp(a, flow_a) + (1 - w) warp(b, flow_b).

    a, b      planes as in warp, alike in number, size and dtype
    flow_a, flow_b  as in warp: where a pixel of the result lies in a, and in b
    weight    w: a number, or float32 (height, width) for each pixel (finite): 1 takes a, 0 takes b. Not clamped
    scale     what the flows are multiplied by: a number, or one for each
    Others as in warp.

    Equal to the bit to warping float32 copies of the planes, blending these and rounding once. Errors: ArrayError.
    """
    first, second = as_planes(a), as_planes(b)
    like = first[0]
    flows = as_input(flow_a), as_input(flow_b)
    weights = None if isinstance(weight, int | float | np.number) else as_input(weight)
    number = as_factor("weight", weight) if weights is None else 0.0
    read = [*first, *second, *flows, *([] if weights is None else [weights])]
    targets = targets_for(first, out, read)
    how = as_sampler(filter, border)
    if not isinstance(scale, tuple):
        scale = (scale, scale)
    if len(scale) != 2:
        raise ArrayError(f"scale: expected a number or two; got {len(scale)}")
    factors = as_factor("scale", scale[0]), as_factor("scale", scale[1])
    most = largest_code(max_code, like)
    module_for(like).warp_blend(
        first, second, flows, factors, number, weights, how, most, targets, stream_of(like, stream)
    )
    return as_given(a, targets, out)


def warp_shrunk(
    planes: Array | Sequence[Array],
    flow: Array,
    shrink: int,
    *,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """A warped picture in a smaller size, along a flow of any size: what the blocks of a flow network are given.

    planes  uint8, uint16, float16 or float32 (finite): one plane (height, width), or any number of one size
    flow    float32 (2, rows, columns) over the same picture, of any size, its vectors in pixels of the picture, not of
            its own grid; else as in warp. A flow in full size is taken as it is; any other is enlarged as resize does
            it, and vectors that are not finite spoil those made of them
    shrink  1, or an even number that divides height and width: the result is (height / shrink, width / shrink)
    out     as the result: a plane for a plane, else planes (the result is a tuple); may not overlap the inputs

    Equal to the bit to three steps, resize(u and v, (height, width)), warp(planes, that, border="edge") and
    resize(that, (height / shrink, width / shrink)), none of which is made: a pixel lies in the middle of its cell of
    the picture, so flow and picture are looked up at the four pixels around it alone. Sides are at most 46340.
    Errors: ArrayError.
    Source: Huang et al., "Real-time intermediate flow estimation for video frame interpolation" (RIFE), ECCV 2022.
    """
    inputs = [as_input(p) for p in planes] if isinstance(planes, list | tuple) else [as_input(planes)]
    if not inputs:
        raise ArrayError("planes: expected 1 or more; got 0")
    like = inputs[0]
    flow = as_input(flow)
    if not isinstance(shrink, int | np.integer) or not (shrink == 1 or (shrink > 1 and shrink % 2 == 0)):
        raise ArrayError(f"shrink: expected 1 or an even whole number; got {shrink!r}")
    shrink = int(shrink)
    shape = tuple(int(n) for n in like.shape)
    if any(n % shrink for n in shape):
        raise ArrayError(f"planes: expected sides that are multiples of {shrink}; got {shape}")
    targets = targets_for(inputs, out, [*inputs, flow], tuple(n // shrink for n in shape))
    if len(targets) != len(inputs):
        raise ArrayError(f"out: expected as many planes as given, {len(inputs)}; got {len(targets)}")
    most = largest_code(None, like)
    module, stream = module_for(like), stream_of(like, stream)
    for k in range(0, len(inputs), _TOGETHER):
        some, into = inputs[k : k + _TOGETHER], targets[k : k + _TOGETHER]
        module.warp_shrunk(some, flow, shrink, most, into, stream)
    return as_given(planes, targets, out)


def resize(
    plane: Array,
    size: tuple[int, int] | None = None,
    *,
    filter: str = "bilinear",
    max_code: int | None = None,
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """A plane in another size, its corners where they were: output x is centred at (x + 1/2) in / out - 1/2.

    plane     uint8, uint16, float16 or float32 (finite), (height, width)
    size      (height, width) of the result; or give out
    filter    "bilinear": between the two nearest centres each way, constant beyond the outer ones; it skips samples
              where it shrinks to less than half. "area": the mean over what an output pixel covers
    max_code  as in warp
    out       written in place of allocating; may not overlap the input

    The same size gives a copy. Sides are at most 46340. Errors: ArrayError.
    """
    plane = as_input(plane)
    if filter not in ("bilinear", "area"):
        raise ArrayError(f"filter: expected 'bilinear' or 'area'; got {filter!r}")
    most = largest_code(max_code, plane)
    out = _resized(plane, (), size, out)
    module_for(plane).resize(plane, filter == "area", most, out, stream_of(plane, stream))
    return out


def resize_flow(
    flow: Array, size: tuple[int, int] | None = None, *, out: Array | None = None, stream: Any = None
) -> Array:
    """A flow for the same picture in another size: resized as `resize` does (bilinear), and its vectors scaled.

    flow  float32 (2, height, width) as in warp, finite; the result is like it, in pixels of the new size
    size  (height, width) of the result; or give out

    u is multiplied by the ratio of widths, v by that of heights. The same size gives a copy. Errors: ArrayError.
    """
    flow = as_input(flow)
    out = _resized(flow, (2,), size, out)
    module_for(flow).resize_flow(flow, out, stream_of(flow, stream))
    return out


def _resized(x: Array, before: tuple[int, ...], size: tuple[int, int] | None, out: Array | None) -> Array:
    """Where a result of (*before, *size) goes."""
    if out is not None:
        if overlaps(x, out):
            raise ArrayError("out: it shares memory with the input; give other memory")
        if size is not None and tuple(out.shape) != (*before, *size):
            raise ArrayError(f"out: expected shape {(*before, *size)}; got {tuple(out.shape)}")
        return out
    if size is None:
        raise ArrayError("resizing needs size=(height, width) or out=")
    if len(size) != 2 or not all(isinstance(v, int | np.integer) and 1 <= v <= 46340 for v in size):
        raise ArrayError(f"size: expected (height, width), whole numbers of 1 to 46340; got {size!r}")
    return empty((*before, *size), dtype_of(x), x)


def as_planes(x: Any) -> list[Array]:
    """One to four planes as a list."""
    planes = [as_input(p) for p in x] if isinstance(x, list | tuple) else [as_input(x)]
    if not 1 <= len(planes) <= 4:
        raise ArrayError(f"expected 1 to 4 planes; got {len(planes)}")
    return planes


def targets_for(inputs: list[Array], out: Any, read: list[Array], shape: tuple[int, ...] | None = None) -> list[Array]:
    """Where the result goes: new arrays like the inputs, or of another shape; or `out` if none of it is read."""
    if out is None:
        return [empty(tuple(p.shape) if shape is None else shape, dtype_of(p), p) for p in inputs]
    targets = list(out) if isinstance(out, list | tuple) else [out]
    if any(overlaps(r, t) for r in read for t in targets):
        raise ArrayError("out: it shares memory with an input, which is read around each sample; give other memory")
    return targets


def as_given(planes: Any, targets: list[Array], out: Any) -> Any:
    """The result as the planes were given: one, or a tuple."""
    if out is not None:
        return tuple(out) if isinstance(out, list | tuple) else out
    return tuple(targets) if isinstance(planes, list | tuple) else targets[0]


def as_sampler(filter: str, border: str) -> tuple[int, int]:
    if filter not in _FILTERS:
        raise ArrayError(f"filter: expected 'bilinear' or 'bicubic'; got {filter!r}")
    if border not in _BORDERS:
        raise ArrayError(f"border: expected 'edge', 'zeros' or 'reflect'; got {border!r}")
    return _FILTERS[filter], _BORDERS[border]


def as_factor(what: str, value: Any) -> float:
    """A finite number."""
    if not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ArrayError(f"{what}: expected a finite number; got {value!r}")
    return float(value)


def largest_code(max_code: int | None, like: Array) -> float:
    """The largest code of a result like `like`; 0 for floats, which are not clamped."""
    kind = dtype_of(like)
    if kind.kind != "u":
        if max_code is not None:
            raise ArrayError(f"max_code: {kind} samples are not clamped; leave it out")
        return 0.0
    most = int(np.iinfo(kind).max)
    if max_code is None:
        return float(most)
    if not isinstance(max_code, int | np.integer) or not 0 < max_code <= most:
        raise ArrayError(f"max_code: expected 1 to {most} for {kind} samples; got {max_code!r}")
    return float(max_code)
