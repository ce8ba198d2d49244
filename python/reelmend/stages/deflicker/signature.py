"""What the deflicker stage remembers of a frame: its tones and a tiny picture, never its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...frame import Frame

__all__ = ["BINS", "POINTS", "Region", "Signature", "find_letterbox", "sign"]

BINS = 1024  # of histograms: four or more a code at 8 bits
POINTS = 256  # of quantile functions
_TILES = (18, 32)  # rows, columns of the tiny picture
_ENOUGH = 700_000  # pixels; larger pictures are sampled every second row and column or less

Region = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(slots=True)
class Signature:
    """Tones and structure of one frame.

    histogram  int32 (3, BINS) of R, G, B;   quantiles  float32 (3, POINTS), 0..1
    tiles      float32 (3, rows, columns): means of R, G, B, 0..1
    ranks      float32 (rows * columns,): zero-mean unit-norm ranks of the tiles' luma. Ranks do not change under any
               tone curve, so the product of two is how alike two pictures are built whatever their exposure
    """

    histogram: NDArray[np.int32]
    quantiles: NDArray[np.float32]
    tiles: NDArray[np.float32]
    ranks: NDArray[np.float32]


def sign(frame: Frame, region: Region | None) -> Signature:
    """The signature of a frame (any device); one small copy to the host for frames on a GPU."""
    planes = frame.planes
    fmt = frame.format
    width, height = frame.width, frame.height
    skip = 1
    while width * height > _ENOUGH * skip * skip:
        skip += 1
    if fmt.kind == "yuv":
        counts = ops.histogram(planes[:3], bins=BINS, region=region, skip=skip, **frame.coding)
    elif fmt.kind == "rgb":
        counts = ops.histogram(planes[:3], bins=BINS, color="rgb", depth=fmt.depth, region=region, skip=skip)
    else:
        counts = ops.histogram(planes[0], bins=BINS, color="gray", depth=fmt.depth, region=region, skip=skip)
    histogram = ops.to_host(counts)[:3]
    tiles = _tiles(frame, region)
    luma = tiles[0] * 0.299 + tiles[1] * 0.587 + tiles[2] * 0.114
    return Signature(histogram, ops.quantiles(histogram, POINTS), tiles, _ranks(luma))


def _tiles(frame: Frame, region: Region | None) -> NDArray[np.float32]:
    fmt = frame.format
    sx, sy = fmt.subsampling if fmt.kind == "yuv" else (0, 0)
    x0, y0, x1, y1 = region or (0, 0, frame.width, frame.height)
    views = [frame.planes[0][y0:y1, x0:x1]]
    if fmt.kind != "gray":
        views += [p[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)] for p in frame.planes[1:3]]
    rows = min(_TILES[0], *(int(v.shape[0]) for v in views))
    columns = min(_TILES[1], *(int(v.shape[1]) for v in views))
    means = [ops.to_host(ops.area_mean(v, (rows, columns))) for v in views]
    if fmt.kind == "gray":
        means *= 3
    tiles: NDArray[np.float32] = (np.stack(means) / fmt.max_code).astype(np.float32)
    if fmt.kind != "yuv":
        return tiles
    return _to_rgb(tiles, frame.coding, fmt.max_code)


def _to_rgb(tiles: NDArray[np.float32], coding: dict[str, Any], max_code: int) -> NDArray[np.float32]:
    unit = (1 << (coding["depth"] - 8)) / max_code
    luma_span, chroma_span, black = (1.0, 1.0, 0.0) if coding["full_range"] else (219 * unit, 224 * unit, 16 * unit)
    y = (tiles[0] - black) / luma_span
    cb = (tiles[1] - 128 * unit) / chroma_span
    cr = (tiles[2] - 128 * unit) / chroma_span
    kr, kb = coding["kr"], coding["kb"]
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.stack([r, g, b]).astype(np.float32)


def _ranks(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spearman ranks as a unit vector. A flat picture gives zeros: alike to nothing, unlike nothing."""
    flat = tiles.ravel()
    if float(flat.max() - flat.min()) < 2e-3:
        return np.zeros(flat.size, np.float32)
    order = np.argsort(flat, kind="stable")
    ranks = np.empty(flat.size, np.float32)
    ranks[order] = np.arange(flat.size, dtype=np.float32)
    ranks -= ranks.mean()
    return ranks / np.float32(np.linalg.norm(ranks))


def find_letterbox(frame: Frame) -> Region | None:
    """The picture inside black bars, or None if all is black. Even coordinates, so that chroma stays aligned.

    A bar is a run of rows (columns) at an edge in which no sample is more than 2 % of the range above black.
    """
    luma = frame.planes[0]
    black = 16 << (frame.format.depth - 8) if frame.format.kind == "yuv" and not frame.coding["full_range"] else 0
    limit = black + frame.format.max_code * 0.02
    if frame.format.kind == "rgb":
        rows = np.max([ops.to_host(p.max(axis=1)) for p in frame.planes[:3]], axis=0)
        columns = np.max([ops.to_host(p.max(axis=0)) for p in frame.planes[:3]], axis=0)
    else:
        rows, columns = ops.to_host(luma.max(axis=1)), ops.to_host(luma.max(axis=0))
    lit_rows, lit_columns = np.flatnonzero(rows > limit), np.flatnonzero(columns > limit)
    if not lit_rows.size or not lit_columns.size:
        return None
    x0, x1 = (int(lit_columns[0]) + 1) & ~1, int(lit_columns[-1]) + 1
    y0, y1 = (int(lit_rows[0]) + 1) & ~1, int(lit_rows[-1]) + 1
    if x1 != frame.width:
        x1 &= ~1
    if y1 != frame.height:
        y1 &= ~1
    if x1 - x0 < 16 or y1 - y0 < 16:
        return (0, 0, frame.width, frame.height)
    return (x0, y0, x1, y1)
