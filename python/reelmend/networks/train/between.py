"""Batches of pictures between others, and the geometry that networks are trained through: our ops', in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .moments import GRID, PLANES, Moments

__all__ = ["Batch", "batch_of_search", "composed", "drawn", "fetched", "resized", "searched", "sharpened", "whole"]

_ONWARD = slice(13, 17)  # of what is kept of the search
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(slots=True)
class Batch:
    """Pairs, and pictures between them.

    a, b     float32 (n, 3, size, size), RGB 0..1: patches, of which `truth` covers a part
    truth    (n, 3, patch, patch)
    t        (n, 1, 1, 1)
    ways     (n, 8, patch / GRID, ...): a_to_a, a_to_b, b_to_a, b_to_b, in pixels; by_a (n, 1, ...)
    flows    (n, 4, ...): forward, backward
    at       (n, 2): column and row of the part in the patches
    onward   (n, 4, size / GRID, ...): of all of the patches, the even flows that lead to `truth`
    middle, middle_by_a  as ways and by_a, of the time half way
    """

    a: Tensor
    b: Tensor
    truth: Tensor
    t: Tensor
    ways: Tensor
    by_a: Tensor
    flows: Tensor
    at: Tensor
    onward: Tensor
    middle: Tensor
    middle_by_a: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return int(self.truth.shape[2]), int(self.truth.shape[3])


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, without aligned corners or smoothing, as ops.resize."""
    if tuple(x.shape[2:]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def fetched(x: Tensor, flow: Tensor, at: Tensor) -> Tensor:
    """Planes (n, c, h, w) fetched along flows (n, 2, rows, columns) of a part of them that begins at (column, row): as
    ops.warp, the border repeated."""
    h, w = x.shape[2:]
    v, u = torch.meshgrid(torch.arange(flow.shape[2]), torch.arange(flow.shape[3]), indexing="ij")
    place = torch.stack([u, v]).to(flow) + flow + at[:, :, None, None]
    unit = torch.stack([(2 * place[:, 0] + 1) / w - 1, (2 * place[:, 1] + 1) / h - 1], 3)
    return functional.grid_sample(x, unit, mode="bilinear", padding_mode="border", align_corners=False)


def sharpened(x: Tensor, gains: Tensor) -> Tensor:
    """As ops.sharpen: detail of x (n, c, h, w) across, down and around, each times its gain (n, 3, h, w)."""
    h, w = x.shape[2:]
    wide = functional.pad(x, [2] * 4, mode="replicate")

    def at(down: int, across: int) -> Tensor:
        return wide[:, :, 2 + down : 2 + down + h, 2 + across : 2 + across + w]

    means = ((at(0, -1) + at(0, 1)) / 2, (at(-1, 0) + at(1, 0)) / 2, functional.avg_pool2d(wide, 5, 1))
    out = x
    for k, mean in enumerate(means):
        out = out + gains[:, k : k + 1] * (x - mean)
    return out


def searched(batch: Batch) -> Tensor:
    """What the search alone makes: four warps, mixed as method "flow" does it."""
    return composed(batch, batch.ways, batch.by_a, 1 - batch.t)


def composed(batch: Batch, ways: Tensor, by_a: Tensor, first: Tensor, still: Tensor | None = None) -> Tensor:
    """Both pictures along four ways and, as far as it is still, not moved, (n, 3, patch, patch): as ops.compose.
    `first` is the first picture's part; ways (n, 8, ...), by_a and still (n, 1, ...) are of any one size."""
    size, second, flows = batch.size, 1 - first, [*resized(ways, batch.size).split(2, 1)]
    shares = [by * part for by in (by_a, 1 - by_a) for part in (first, second)]
    if still is not None:
        shares = [*((1 - still) * share for share in shares), still * first, still * second]
        flows += 2 * [torch.zeros_like(flows[0])]
    weights = resized(torch.cat(shares, 1), size)
    made = torch.zeros_like(batch.truth)
    for k, flow in enumerate(flows):
        made = made + weights[:, k : k + 1] * fetched((batch.a, batch.b)[k % 2], flow, batch.at)
    return made


def whole(moments: Moments, which: Sequence[int]) -> Batch:
    """Patches as they are, all of each."""
    first, last = which[0], which[-1] + 1
    pictures = torch.from_numpy(moments.pictures[first:last]).permute(1, 0, 4, 2, 3).float() / 255
    search = torch.from_numpy(moments.search[first:last].astype(np.float32))
    times = torch.from_numpy(moments.times[first:last])
    a, b, truth = pictures
    return batch_of_search(a, b, truth, times, search, torch.zeros(len(times), 2))


def batch_of_search(
    a: Tensor, b: Tensor, truth: Tensor, times: Tensor, search: Tensor, at: Tensor, onward: Tensor | None = None
) -> Batch:
    """As Batch, of what moments keep of the search (n, PLANES, ...); `onward` of all of the patches, None: as there."""
    t = times[:, None, None, None]
    onward = search[:, _ONWARD] if onward is None else onward
    return Batch(
        a, b, truth, t, search[:, :8], search[:, 8:9], search[:, 9:13], at, onward, search[:, 17:25], search[:, 25:]
    )


def drawn(
    moments: Moments,
    count: int,
    patch: int,
    rng: np.random.Generator,
    device: str = "cpu",
    shares: NDArray[np.float64] | None = None,
) -> Batch:
    """Patches drawn at random, each in proportion to its share: a part of each, mirrored, turned and reversed in time
    at random, its colours swapped."""
    size = moments.pictures.shape[2]
    cells = patch // GRID
    rows = []
    for k in rng.choice(len(moments.times), size=count, p=shares):
        x, y = (GRID * int(v) for v in rng.integers((size - patch) // GRID + 1, size=2))
        rows.append(_one(moments, int(k), x, y, patch, cells, rng))
    parts = [torch.from_numpy(np.stack(v)).to(device) for v in zip(*rows, strict=True)]
    a, b, truth, search, times, at, onward = parts
    return batch_of_search(a, b, truth, times, search, at, onward)


def _one(moments: Moments, k: int, x: int, y: int, patch: int, cells: int, rng: np.random.Generator) -> list[Any]:
    pictures = np.moveaxis(moments.pictures[k], 3, 1)[:, list(_ORDERS[rng.integers(6)])]
    search = moments.search[k].astype(np.float32)
    t = float(moments.times[k])
    if rng.integers(2):  # mirrored
        pictures, search = pictures[..., ::-1], search[..., ::-1].copy()
        search[_HORIZONTAL] *= -1
    if rng.integers(2):  # turned
        pictures, search = np.swapaxes(pictures, 2, 3), np.swapaxes(search, 1, 2)[_SWAPPED]
    if rng.integers(2):  # upside down
        pictures, search = pictures[..., ::-1, :], search[:, ::-1].copy()
        search[_VERTICAL] *= -1
    if rng.integers(2):  # backwards
        pictures, search, t = pictures[[1, 0, 2]], search[_BACKWARDS], 1 - t
        search[_SHARES] = 1 - search[_SHARES]
    part = (slice(y, y + patch), slice(x, x + patch))
    inner = (slice(None), *(slice(s.start // GRID, s.start // GRID + cells) for s in part))
    a, b, truth = (np.ascontiguousarray(p, np.float32) / np.float32(255) for p in pictures)
    return [a, b, truth[(slice(None), *part)], np.ascontiguousarray(search[inner]), np.float32(t),
            np.array([x, y], np.float32), np.ascontiguousarray(search[_ONWARD])]  # fmt: skip


_FLOWS = [*range(8), *range(9, 25)]  # which are pairs of across and down
_SHARES = [8, 25]
_HORIZONTAL, _VERTICAL = _FLOWS[::2], _FLOWS[1::2]
_SWAPPED = [k if k in _SHARES else k + 1 if k in _HORIZONTAL else k - 1 for k in range(PLANES)]
# each picture's ways are the other's, from the last to the first; of the two flows of a pair, one is the other
_BACKWARDS = [6, 7, 4, 5, 2, 3, 0, 1, 8, 11, 12, 9, 10, 15, 16, 13, 14, 23, 24, 21, 22, 19, 20, 17, 18, 25]
