"""Where a picture is under- or over-exposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, check_depth, coding, dtype_of, empty, finite, module_for, planes_of, stream_of

__all__ = ["exposure_map"]


def exposure_map(
    planes: Array | Sequence[Array],
    *,
    low: float = 0.05,
    high: float = 0.80,
    table: Array | None = None,
    color: str = "yuv",
    kr: float = 0.2126,
    kb: float = 0.0722,
    depth: int = 8,
    full_range: bool = False,
    siting: str = "left",
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """Which pixels are too dark or too bright to hold detail: uint8 (height, width), 1 there and 0 elsewhere.

    With V = max(R, G, B) clamped to 0..1, and W = table[V] (or V), it is W < low or W > high.

    planes    color="yuv": Y, Cb, Cr as in yuv_to_rgb, chroma interpolated as there; color="rgb": R, G, B of one size or
              one array (height, width, 3), full range; "gray": one plane, taken as R = G = B
    low, high  in 0..1 of full-range RGB, low <= high; low=0 (high=1) leaves dark (bright) pixels alone
    table     float32 (n,), 2 <= n <= 65536: W at n points over V = 0..1, the nearest is taken: the illumination of this
              frame after filtering over time
    Others as in yuv_to_rgb. Errors: ArrayError. Source: the exposure map of Qiu et al., "BlazeBVD: Make Scale-Time
    Equalization Great Again for Blind Video Deflickering", ECCV 2024 (arXiv 2403.06243), whose thresholds were not
    published; the defaults are not theirs.
    """
    if color not in ("yuv", "rgb", "gray"):
        raise ArrayError(f"color: expected 'yuv', 'rgb' or 'gray'; got {color!r}")
    if not 0 <= low <= high <= 1:
        raise ArrayError(f"low, high: expected 0 <= low <= high <= 1; got {low}, {high}")
    inputs = planes_of([planes] * 3 if color == "gray" else planes)
    like = inputs[0]
    check_depth(depth, dtype_of(like))
    if out is None:
        out = empty(tuple(like.shape), np.uint8, like)
    rule = (float(low), float(high), None if table is None else finite("table", table, like))
    native = module_for(like)
    if color == "yuv":
        native.exposure_yuv(inputs, coding(kr, kb, depth, full_range, siting), rule, out, stream_of(like, stream))
    else:
        native.exposure_rgb(inputs, float((1 << depth) - 1), rule, out, stream_of(like, stream))
    return out
