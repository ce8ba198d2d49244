"""How a frame is built: a tiny picture of it, and what of that no change of light alters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..frame import Frame
from .letterbox import Region
from .planes import cropped
from .rows import middle

__all__ = ["FINE", "TILES", "Structure", "means_of", "structure_of"]

FINE = (36, 64)  # rows, columns of the tiny picture
TILES = (18, 32)  # the same at half the size


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


def structure_of(frame: Frame) -> Structure:
    """The structure of a frame (any device)."""
    views = frame.planes[: 1 if frame.format.kind == "gray" else 3]
    rows, columns = (min(n, *(int(v.shape[axis]) for v in views)) for axis, n in enumerate(FINE))
    fine = means_of(frame, (rows, columns))
    tiles = _halved(_halved(fine, 1), 2)
    luma = tiles[0] * np.float32(0.299) + tiles[1] * np.float32(0.587) + tiles[2] * np.float32(0.114)
    return Structure(fine, tiles, _ranks(luma), _texture(luma))


def means_of(frame: Frame, grid: tuple[int, int], region: Region | None = None) -> NDArray[np.float32]:
    """Means of R, G, B over the tiles of a grid laid over a frame (any device), or a region of it: (3, *grid), 0..1."""
    fmt = frame.format
    views = (frame if region is None else cropped(frame, region)).planes[: 1 if fmt.kind == "gray" else 3]
    means = [ops.to_host(_means(v, grid)) for v in views]
    if fmt.kind == "gray":
        means *= 3
    rgb: NDArray[np.float32] = (np.stack(means) / fmt.max_code).astype(np.float32)
    return _to_rgb(rgb, frame.coding, fmt.max_code) if fmt.kind == "yuv" else rgb


def _means(plane: Any, grid: tuple[int, int]) -> Any:
    if all(int(n) >= m for n, m in zip(plane.shape, grid, strict=True)):
        return ops.area_mean(plane, grid)
    # such as the chroma of a small picture: a tile is less than a sample
    return ops.resize(ops.cast(plane, np.float32), grid, filter="area")


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
