"""Histograms, quantile functions, their mean over time, and tile means."""

from __future__ import annotations

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
    is_cuda,
    module_for,
    planes_of,
    stream_of,
)

__all__ = ["area_mean", "histogram", "quantiles", "smooth_quantiles"]


def histogram(
    planes: Any,
    *,
    bins: int = 256,
    color: str = "yuv",
    kr: float = 0.2126,
    kb: float = 0.0722,
    depth: int = 8,
    full_range: bool = False,
    siting: str = "left",
    region: tuple[int, int, int, int] | None = None,
    skip: int = 1,
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """Histograms of R, G, B and V = max(R, G, B) of one picture: int32 (4, bins).

    planes  color="yuv": Y, Cb, Cr (chroma is taken from the nearest sample above and left);
            color="rgb": R, G, B or one array (height, width, 3), full range; "gray": one plane, counted as R = G = B
    bins    2 to 1024; bin l holds the values nearest to l / (bins - 1) of white, values outside go to the ends
    region  (x0, y0, x1, y1): only this rectangle is counted, to leave out letterbox bars
    skip    only every skip-th row and column of the region is counted
    Others as in yuv_to_rgb. Errors: ArrayError.
    """
    if color not in ("yuv", "rgb", "gray"):
        raise ArrayError(f"color: expected 'yuv', 'rgb' or 'gray'; got {color!r}")
    inputs = planes_of([planes] * 3 if color == "gray" else planes)
    like = inputs[0]
    check_depth(depth, dtype_of(like))
    if not isinstance(bins, int) or not 2 <= bins <= 1024:
        raise ArrayError(f"bins: expected 2 to 1024; got {bins!r}")
    if region is not None and (len(region) != 4 or not all(isinstance(v, int) for v in region)):
        raise ArrayError(f"region: expected four whole numbers (x0, y0, x1, y1); got {region!r}")
    if out is None:
        out = empty((4, bins), np.int32, like)
    if is_cuda(like):
        _zero(out, stream_of(like, stream))
    else:
        out[...] = 0
    at = region or (0, 0, int(like.shape[1]), int(like.shape[0]))
    native = module_for(like)
    if color == "yuv":
        native.histogram_yuv(inputs, coding(kr, kb, depth, full_range, siting), at, skip, out, stream_of(like, stream))
    else:
        native.histogram_rgb(inputs, float((1 << depth) - 1), at, skip, out, stream_of(like, stream))
    return out


def _zero(x: Array, stream: Any) -> None:
    module_for(x).zero(x, stream)


def quantiles(histograms: Array, points: int = 256, *, out: Array | None = None, stream: Any = None) -> Array:
    """Quantile functions (inverse cumulative histograms) by mid-ranks: float32 (rows, points) in 0..1.

    histograms  int32 (rows, bins). Entry k of a row is the level below which (k + 1/2) / points of the samples lie,
    running linearly between the mid-ranks of occupied levels. An empty histogram gives zeros.
    """
    histograms = as_input(histograms)
    if out is None:
        out = empty((int(histograms.shape[0]), points), np.float32, histograms)
    module_for(histograms).quantiles(histograms, out, stream_of(histograms, stream))
    return out


def smooth_quantiles(tables: Array, weights: Array, *, out: Array | None = None, stream: Any = None) -> Array:
    """Weighted mean over time of quantile functions: (count, ...) and (count,) to (...), float32.

    Averaging quantile functions gives the barycentre of the distributions in the 1-D Wasserstein-2 sense, which has no
    ghost modes; averaging histograms does. Weights are used as given: let them sum to 1.
    """
    tables = as_input(tables)
    if out is None:
        out = empty(tuple(tables.shape[1:]), np.float32, tables)
    elif tuple(out.shape) != tuple(tables.shape[1:]):
        raise ArrayError(f"out: expected shape {tuple(tables.shape[1:])}; got {tuple(out.shape)}")
    count = int(tables.shape[0])
    flat = (np.ascontiguousarray(tables) if isinstance(tables, np.ndarray) else tables).reshape(count, -1)
    line = out.reshape(-1)
    module_for(tables).smooth(flat, beside(weights, tables), line, stream_of(tables, stream))
    if isinstance(out, np.ndarray) and not np.shares_memory(line, out):
        out[...] = line.reshape(out.shape)  # a cropped out cannot be seen as one line
    return out


def area_mean(
    plane: Array, shape: tuple[int, int] | None = None, *, out: Array | None = None, stream: Any = None
) -> Array:
    """Means of a uint8 or uint16 plane over a grid of tiles: float32 `shape` = (rows, columns), in codes.

    Tile i of n covers samples i * size // n up to (i + 1) * size // n; a tile holds at least one sample.
    """
    plane = as_input(plane)
    if out is None:
        if shape is None:
            raise ArrayError("area_mean needs shape=(rows, columns) or out=")
        out = empty(shape, np.float32, plane)
    module_for(plane).area_mean(plane, out, stream_of(plane, stream))
    return out
