"""YCbCr <-> RGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, check_depth, coding, dtype_of, empty, module_for, planes_of, stream_of

__all__ = ["rgb_to_yuv", "yuv_to_rgb"]


def _peak(dtype: np.dtype[Any], depth: int) -> float:
    return 1.0 if dtype == np.float32 else float((1 << depth) - 1)


def yuv_to_rgb(
    planes: Sequence[Array],
    *,
    kr: float = 0.2126,
    kb: float = 0.0722,
    depth: int = 8,
    full_range: bool = False,
    siting: str = "left",
    dtype: Any = None,
    out_depth: int | None = None,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Array:
    """YCbCr planes to one RGB array (height, width, 3), full range.

    planes  Y, Cb, Cr: uint8 or uint16, `depth` bits in the low end; chroma as large as luma or halved (rounded up)
    kr, kb  the luma equation (ITU-T H.273); BT.709 unless said. `Frame.coding` gives all of these for a frame
    siting  where chroma samples sit: left, center, topleft, top, bottomleft, bottom; interpolated linearly
    dtype   uint8, uint16 or float32 (0..1, not clamped); default: as the input
    out_depth  bits of an integer result; default: `depth`, or 8 for uint8
    out     an array (height, width, 3) or three planes, written in place of allocating

    The result is within 1 code of the exact one (rounding of fp32). Errors: ArrayError.
    """
    inputs = planes_of(planes)
    like = inputs[0]
    check_depth(depth, dtype_of(like))
    if out is None:
        kind = np.dtype(dtype) if dtype is not None else dtype_of(like)
        out = empty((*like.shape, 3), kind, like)
    targets = planes_of(out)
    kind = dtype_of(targets[0])
    bits = 8 if kind == np.uint8 else depth
    if out_depth is not None:
        bits = check_depth(out_depth, kind, "out_depth")
    native = module_for(like)
    native.yuv_to_rgb(
        inputs, coding(kr, kb, depth, full_range, siting), targets, _peak(kind, bits), stream_of(like, stream)
    )
    return out


def rgb_to_yuv(
    rgb: Array | Sequence[Array],
    *,
    subsampling: tuple[int, int] = (1, 1),
    kr: float = 0.2126,
    kb: float = 0.0722,
    depth: int = 8,
    full_range: bool = False,
    siting: str = "left",
    rgb_depth: int | None = None,
    dither: bool = False,
    out: Sequence[Array] | None = None,
    stream: Any = None,
) -> tuple[Array, Array, Array]:
    """RGB (an array (height, width, 3) or three planes) to Y, Cb, Cr planes of `depth` bits.

    rgb          uint8, uint16 (`rgb_depth` bits, `depth` or 8 unless said) or float32 (0..1), full range
    subsampling  log2 of chroma decimation in (x, y): (1, 1) is 4:2:0. Chroma is filtered for its siting
    dither       ordered 8x8 dither instead of rounding
    Others as in yuv_to_rgb. Errors: ArrayError.
    """
    inputs = planes_of(rgb)
    like = inputs[0]
    kind = dtype_of(like)
    if out is None:
        height, width = like.shape
        sx, sy = subsampling
        if sx not in (0, 1) or sy not in (0, 1):
            raise ArrayError(f"subsampling: expected 0 or 1 in x and y; got {subsampling}")
        chroma = (-(-height >> sy), -(-width >> sx))
        sample = np.dtype(np.uint8 if depth == 8 else np.uint16)
        out = [empty(shape, sample, like) for shape in ((height, width), chroma, chroma)]
    check_depth(depth, dtype_of(out[0]))
    bits = 8 if kind == np.uint8 else depth
    if rgb_depth is not None:
        bits = check_depth(rgb_depth, kind, "rgb_depth")
    native = module_for(like)
    native.rgb_to_yuv(
        inputs, _peak(kind, bits), coding(kr, kb, depth, full_range, siting), dither, list(out), stream_of(like, stream)
    )
    y, u, v = out
    return y, u, v
