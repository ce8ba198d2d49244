"""Tone curves applied to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._dispatch import Array, beside, coding, dtype_of, empty, module_for, stream_of

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
    """
    if out is None:
        out = empty(tuple(plane.shape), dtype_of(plane) if dtype is None else dtype, plane)
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
    zero gives the input bit for bit, and chroma is not resampled.
    """
    inputs = list(planes)
    like = inputs[0]
    if out is None:
        out = [empty(tuple(p.shape), dtype_of(p), like) for p in inputs]
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
