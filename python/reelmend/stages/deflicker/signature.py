"""What the deflicker stage remembers of a frame: its tones and a tiny picture, never its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...frame import Frame
from .rows import middle

__all__ = [
    "BINS",
    "FINE",
    "POINTS",
    "TILES",
    "Letterbox",
    "Region",
    "Structure",
    "Tones",
    "find_letterbox",
    "inside",
    "structure_of",
    "tones_of",
]

BINS = 1024  # of histograms: four or more a code at 8 bits
POINTS = 256  # of quantile functions
FINE = (36, 64)  # rows, columns of the tiny picture
TILES = (18, 32)  # the same at half the size
_LETTERBOX_EVERY = 24  # frames
_ENOUGH = 320_000  # pixels; of larger pictures every second, third ... row and column is counted

Region = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(slots=True)
class Structure:
    """How one frame is built.

    fine     float32 (3, rows, columns): means of R, G, B over small tiles, 0..1
    tiles    the same at half the size
    ranks    float32 (n,): zero-mean unit-norm ranks of the tiles' luma. Ranks do not change under any tone curve, so
             the product of two is how alike two pictures are built whatever their exposure
    texture  float32 (n,): zero-mean unit-norm log luma of the tiles against their surroundings, which light that falls
             unevenly, but smoothly, does not change
    """

    fine: NDArray[np.float32]
    tiles: NDArray[np.float32]
    ranks: NDArray[np.float32]
    texture: NDArray[np.float32]


def inside(shape: tuple[int, int], region: Region, width: int, height: int) -> tuple[slice, slice]:
    """The rows and columns of a grid of tiles that lie wholly inside a region of a frame of this size."""
    rows, columns = shape
    x0, y0, x1, y1 = region
    top, left = -(-y0 * rows // height), -(-x0 * columns // width)
    bottom, right = max(y1 * rows // height, top + 1), max(x1 * columns // width, left + 1)
    return slice(top, bottom), slice(left, right)


@dataclass(slots=True)
class Tones:
    """Tones of one frame.

    histogram  int32 (3, BINS), of R, G, B
    value      int32 (BINS,), of V = max(R, G, B)
    quantiles  float32 (3, POINTS), 0..1, of R, G, B
    """

    histogram: NDArray[np.int32]
    value: NDArray[np.int32]
    quantiles: NDArray[np.float32]


def tones_of(frame: Frame, region: Region) -> Tones:
    """The tones inside a region of a frame (any device); one small copy to the host for frames on a GPU."""
    planes, fmt = frame.planes, frame.format
    skip = 1
    while frame.width * frame.height > _ENOUGH * skip * skip:
        skip += 1
    if fmt.kind == "yuv":
        counts = ops.histogram(planes[:3], bins=BINS, region=region, skip=skip, **frame.coding)
    elif fmt.kind == "rgb":
        counts = ops.histogram(planes[:3], bins=BINS, color="rgb", depth=fmt.depth, region=region, skip=skip)
    else:
        counts = ops.histogram(planes[0], bins=BINS, color="gray", depth=fmt.depth, region=region, skip=skip)
    counts = ops.to_host(counts)
    return Tones(counts[:3], counts[3], ops.quantiles(counts[:3], POINTS))


def structure_of(frame: Frame) -> Structure:
    """The structure of a frame (any device)."""
    fmt = frame.format
    views = frame.planes[: 1 if fmt.kind == "gray" else 3]
    rows = min(FINE[0], min(int(v.shape[0]) for v in views))
    columns = min(FINE[1], min(int(v.shape[1]) for v in views))
    means = [ops.to_host(ops.area_mean(v, (rows, columns))) for v in views]
    if fmt.kind == "gray":
        means *= 3
    fine: NDArray[np.float32] = (np.stack(means) / fmt.max_code).astype(np.float32)
    if fmt.kind == "yuv":
        fine = _to_rgb(fine, frame.coding, fmt.max_code)
    tiles = _halved(_halved(fine, 1), 2)
    luma = tiles[0] * np.float32(0.299) + tiles[1] * np.float32(0.587) + tiles[2] * np.float32(0.114)
    return Structure(fine, tiles, _ranks(luma), _texture(luma))


def _halved(tiles: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Means of neighbouring pairs along an axis of the full number of tiles; tiny pictures have fewer and keep them."""
    if tiles.shape[axis] < FINE[axis - 1]:
        return tiles
    even, odd = (tuple(slice(k, None, 2) if a == axis else slice(None) for a in range(3)) for k in (0, 1))
    half: NDArray[np.float32] = (tiles[even] + tiles[odd]) * np.float32(0.5)
    return half


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


def _texture(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log luma minus its rows' medians and its mean over 7 x 7 tiles, as a unit vector; zeros for a flat picture."""
    light = np.log(np.maximum(luma, np.float32(0)) + np.float32(0.02), dtype=np.float32)
    light -= middle(light)[:, None]
    rows, columns = light.shape
    flat: NDArray[np.float32] = (light - _around(rows) @ light @ _around(columns).T).ravel()
    flat -= flat.sum() / np.float32(flat.size)
    norm = float(np.sqrt(flat @ flat))
    return flat / np.float32(norm) if norm > 0.02 * flat.size**0.5 else np.zeros_like(flat)


@cache
def _around(n: int) -> NDArray[np.float32]:
    """Means of 7 neighbours, fewer at the ends, as a matrix."""
    near = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 3
    result: NDArray[np.float32] = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def find_letterbox(frame: Frame) -> Region | None:
    """The picture inside black bars, or None if all is black. Even coordinates, so that chroma stays aligned.

    A bar is a run of rows (columns) at an edge in which no sample is more than 2 % of the range above black.
    """
    luma = frame.planes[0]
    black = 16 << (frame.format.depth - 8) if frame.format.kind == "yuv" and not frame.coding["full_range"] else 0
    limit = black + frame.format.max_code * 0.02
    if frame.format.kind == "rgb":
        rows, columns = (np.max([ops.largest(p, axis) for p in frame.planes[:3]], axis=0) for axis in (1, 0))
    else:
        rows, columns = ops.largest(luma, 1), ops.largest(luma, 0)
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


def _union(a: Region, b: Region) -> Region:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _common(a: Region, b: Region) -> Region:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


@dataclass(slots=True)
class Letterbox:
    """The smallest bars seen so far in a shot; looked at now and then, since it reads every sample.

    What grows into the bars must do so in two frames running: a flash may light them for one.
    """

    region: Region | None = None
    suspect: Region | None = None
    countdown: int = 0

    def look(self, frame: Frame) -> Region:
        if self.countdown == 0:
            seen = find_letterbox(frame)
            if seen is not None:
                known = self.region or seen
                self.region = _union(known, _common(seen, self.suspect)) if self.suspect else known
                grows = _union(self.region, seen) != self.region
                self.suspect = seen if grows else None
                self.countdown = 0 if grows else _LETTERBOX_EVERY
        else:
            self.countdown -= 1
        return self.region or (0, 0, frame.width, frame.height)
