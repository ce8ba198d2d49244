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
    planes: Sequence[Array],
    change: Array,
    *,
    kr: float = 0.2126,
    kb: float = 0.0722,
    depth: int = 8,
    full_range: bool = False,
    siting: str = "left",
    dither: bool = True,
    out: Sequence[Array] | None = None,
    stream: Any = None,
) -> tuple[Array, Array, Array]:
    """A tone curve per RGB channel applied to Y, Cb, Cr planes in one pass, without an RGB picture in between.

    planes  Y, Cb, Cr as in yuv_to_rgb
    change  float32 (3, n): what the curves of R, G, B add, f(x) - x, at n points over x = 0..1 of full-range RGB.
            The nearest point is taken: give four points a code or more
    dither  as in apply_lut

    Luma takes the luma of the change at each pixel; chroma takes the mean chroma change over its pixels. A change of
    zero gives the input bit for bit, and chroma is not resampled. `out` may not share chroma with `planes`.
    """
    inputs = planes_of(planes)
    like = inputs[0]
    check_depth(depth, dtype_of(like))
    if out is None:
        out = [empty(tuple(p.shape), dtype_of(p), like) for p in inputs]
    elif any(overlaps(a, b) for a in inputs[1:] for b in out[1:]):
        raise ArrayError("map_tones cannot work in place: chroma is read around each sample; give other planes as out")
    native = module_for(like)
    native.map_tones(
        inputs,
        coding(kr, kb, depth, full_range, siting),
        beside(change, like),
        dither,
        list(out),
        stream_of(like, stream),
    )
    y, u, v = out
    return y, u, v
