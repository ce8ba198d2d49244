"""Tone curves applied to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import (
    Array,
    as_input,
    beside,
    check_depth,
    coding,
    dtype_of,
    empty,
    finite,
    module_for,
    overlaps,
    planes_of,
    stream_of,
)

__all__ = ["apply_lut", "map_tones"]


def apply_lut(
    plane: Array,
    lut: Array,
    *,
    max_code: int = 255,
    dither: bool = True,
    dtype: Any = None,
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """out = lut[plane], to integers: a table with fractional values applied to one plane.

    plane   uint8 or uint16 (height, width); codes past the table's end take its last entry
    lut     float32 (n,), values in codes of the result, 0..max_code (clamped)
    dither  True: a value v becomes floor(v) or ceil(v) by an 8x8 ordered pattern, so that a fractional curve does not
            posterise; whole values stay as they are. False: rounded
    `out` may be `plane` itself.
    """
    plane = as_input(plane)
    if out is None:
        out = empty(tuple(plane.shape), dtype_of(plane) if dtype is None else dtype, plane)
    kind = dtype_of(as_input(out))
    most = np.iinfo(np.uint8 if kind == np.uint8 else np.uint16).max
    if not 0 < max_code <= most:
        raise ArrayError(f"max_code: expected 1 to {most} for {kind} samples; got {max_code}")
    module_for(plane).apply_lut(plane, beside(lut, plane), max_code, dither, out, stream_of(plane, stream))
    return out


def map_tones(
    planes: Array | Sequence[Array],
    change: Array,
    *,
    gains: Array | None = None,
    response: Array | None = None,
    mask: Array | None = None,
    color: str = "yuv",
    kr: float = 0.2126,
    kb: float = 0.0722,
    depth: int = 8,
    full_range: bool = False,
    siting: str = "left",
    dither: bool = True,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """A tone curve per RGB channel, and gains that vary over the picture, applied in one pass to a picture.

    At each pixel D(x) = f(x) - x + a s(x) is added to R, G and B: the change of a curve f and the gain a at that place.

    planes    color="yuv": Y, Cb, Cr as in yuv_to_rgb; color="rgb": R, G, B of one size (full range) or one array
              (height, width, 3); color="gray": one plane, or a sequence of one. uint8 or uint16, `depth` bits
    change    float32 (3, n): what the curves of R, G, B add, f(x) - x, at n points over x = 0..1 of full-range RGB.
              The nearest point is taken: give four points a code or more. Gray takes the first row
    gains     float32 (3, bins, rows, columns): relative changes a of light in R, G, B (0: none, 0.1: a tenth more) on a
              grid laid over the picture given. Column i of n covers samples [i W / n, (i + 1) W / n) of a row, so its
              centre lies at (i + 1/2) W / n - 1/2 with pixel 0 at 0; rows alike. Linear between centres, constant
              beyond the outer ones; and so along bins by the pixel's own luma in 0..1 (yuv: (Y - black) / span; rgb:
              kr R + kg G + kb B; gray: itself), bin k centred at (k + 1/2) / bins. bins=1: whatever the luma;
              columns=1: a gain per row. bins * columns is at most 2048
    response  float32 (3, n): s(x), how far a value x moves for a unit of relative change of light. Default: f(x),
              so that a gain multiplies what the curve gives, as fits gamma-coded video; PQ and HLG have others
    mask      uint8 (height, width): D is multiplied by mask / 255; 0 protects a pixel
    dither    as in apply_lut

    Luma takes the luma of D at each pixel; chroma takes the mean chroma of D over its pixels. So where D is zero the
    output is the input bit for bit, and chroma is not resampled. A sequence of planes gives a tuple of planes; one
    array gives one array (yuv: always a tuple). `out` is like the result; for yuv it may not share chroma with
    `planes`, else it may be `planes`. Errors: ArrayError. Source of the grid: Chen, Paris, Durand, "Real-time
    edge-aware image processing with the bilateral grid", SIGGRAPH 2007.
    """
    if color not in ("yuv", "rgb", "gray"):
        raise ArrayError(f"color: expected 'yuv', 'rgb' or 'gray'; got {color!r}")
    inputs = _planes(planes, color)
    like = inputs[0]
    check_depth(depth, dtype_of(like))
    result: Any = out
    if out is None:
        if color == "rgb" and not isinstance(planes, list | tuple):
            result = empty((*like.shape, 3), dtype_of(like), like)
        else:
            result = tuple(empty(tuple(p.shape), dtype_of(p), like) for p in inputs)
    targets = _planes(result, color)
    if color == "yuv" and any(overlaps(a, b) for a in inputs[1:] for b in targets[1:]):
        raise ArrayError("map_tones cannot work in place: chroma is read around each sample; give other planes as out")
    tones = _tones(like, change, gains, response, mask)
    native = module_for(like)
    code, on = coding(kr, kb, depth, full_range, siting), stream_of(like, stream)
    if color == "yuv":
        native.map_tones(inputs, code, tones, dither, targets, on)
        return tuple(out) if isinstance(out, list | tuple) else tuple(targets)
    if color == "rgb":
        native.map_tones_rgb(inputs, code, tones, dither, targets, on)
    else:
        native.map_tones_gray(inputs[0], code, tones, dither, targets[0], on)
        if out is None and not isinstance(planes, list | tuple):
            return targets[0]
    return tuple(result) if isinstance(result, list) else result


def _planes(x: Any, color: str) -> list[Array]:
    """One plane for gray, else three."""
    if color != "gray":
        return planes_of(x)
    planes = list(x) if isinstance(x, list | tuple) else [x]
    if len(planes) != 1:
        raise ArrayError(f"expected 1 gray plane; got {len(planes)}")
    return [as_input(planes[0])]


def _tones(like: Array, change: Array, gains: Array | None, response: Array | None, mask: Array | None) -> Any:
    """The tables of map_tones beside `like`, those on the CPU checked for NaN and infinity."""
    if gains is None:
        if response is not None:
            raise ArrayError("response says how gains act; give gains too")
    else:
        gains = finite("gains", gains, like)
        response = finite("response", _corrected(change) if response is None else response, like)
    return finite("change", change, like), gains, response, None if mask is None else as_input(mask)


def _corrected(change: Array) -> Array:
    """x + change where `change` lives: the response of gamma-coded video, in which a gain of light is one of codes."""
    change = np.asarray(change, np.float32) if isinstance(change, list | tuple) else as_input(change)
    shape = tuple(change.shape)
    if len(shape) != 2:
        raise ArrayError(f"change: expected shape (3, n); got {shape}")
    ramp = beside(np.tile(np.linspace(0, 1, shape[1], dtype=np.float32), (shape[0], 1)), change)
    try:
        return change + ramp
    except TypeError:
        raise ArrayError(f"response: {type(change).__name__} cannot be added to; give response=") from None
