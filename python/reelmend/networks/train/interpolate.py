"""The task "interpolate": networks that make a picture between two others, beginning with what the stage has searched.

[network] names the family and its sizes. Losses are of Laplacian pyramids, as Niklaus and Liu, "Context-aware Synthesis
for Video Frame Interpolation", CVPR 2018, and Huang et al., "RIFE", ECCV 2022, have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import OptionError
from ..fast import SHRINKS, Fast, Sizes
from .loss import laplacian
from .moments import GRID, Moments, prepare_moments
from .recipe import Recipe
from .task import Task

__all__ = ["Batch", "Interpolate", "fetched", "resized"]

_EARLY = 0.2  # weight of each picture that is made before the last block
_FIGURES = 16  # patches of a batch that figures are taken of
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
    """

    a: Tensor
    b: Tensor
    truth: Tensor
    t: Tensor
    ways: Tensor
    by_a: Tensor
    flows: Tensor
    at: Tensor

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


def searched(batch: Batch) -> Tensor:
    """What the search alone makes: four warps, mixed as method "flow" does it."""
    ways = resized(batch.ways, batch.size)
    by_a, t = resized(batch.by_a, batch.size), batch.t
    made = torch.zeros_like(batch.truth)
    for k, (share, part) in enumerate(((by_a, 1 - t), (by_a, t), (1 - by_a, 1 - t), (1 - by_a, t))):
        made = made + share * part * fetched((batch.a, batch.b)[k % 2], ways[:, 2 * k : 2 * k + 2], batch.at)
    return made


def corrected(net: Fast, batch: Batch) -> list[Tensor]:
    """What a network of the family "fast" makes: the picture, then what it was made of before each later block, of its
    size. See networks/fast.py for the chain."""
    size, t = batch.size, batch.t
    seen = [net.encode(p) for p in (batch.a, batch.b)]
    ways, by_a = batch.ways, batch.by_a
    flow = by_a * ways[:, :4] + (1 - by_a) * ways[:, 4:]
    mask = torch.log((1 - t) / t).expand_as(by_a)
    apart = (ways[:, 4:] - ways[:, :4]) / GRID
    found = [fetched(e, f / GRID, batch.at / GRID) for e, f in zip(seen, flow.chunk(2, 1), strict=True)]
    rest = torch.cat([by_a, apart, *found], 1)
    early = []
    for k, (block, shrink) in enumerate(zip(net.blocks(), SHRINKS, strict=True)):
        at = (size[0] // shrink, size[1] // shrink)
        both = zip((batch.a, batch.b), resized(flow, size).chunk(2, 1), strict=True)
        pictures = [resized(fetched(p, f, batch.at), at) for p, f in both]
        flow, mask, rest = (resized(v, at) for v in (flow, mask, rest))
        if k:
            share = torch.sigmoid(mask)
            early.append(share * pictures[0] + (1 - share) * pictures[1])
        x = torch.cat([*pictures, t.expand_as(mask), mask, flow / shrink, rest], 1)
        more, change, rest = block(x)
        flow, mask = flow + shrink * more, mask + change
    share = torch.sigmoid(mask)
    a, b = fetched(batch.a, flow[:, :2], batch.at), fetched(batch.b, flow[:, 2:], batch.at)
    return [share * a + (1 - share) * b + rest, *early]


class Interpolate(Task):
    """[network]: family = "fast", widths and layers of its three blocks, feature and seen (see networks/fast.py)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        given = dict(recipe.network)
        family = given.pop("family", None)
        if family != "fast" or set(given) != {"widths", "layers", "feature", "seen"}:
            raise OptionError(f"network is {dict(recipe.network)}; expected family = 'fast', widths, layers, ...")
        self.sizes = Sizes(given["widths"], given["layers"], given["feature"], given["seen"])
        if not len(self.sizes.widths) == len(self.sizes.layers) == len(SHRINKS):
            raise OptionError(f"network has {given}; expected widths and layers of {len(SHRINKS)} blocks")
        if recipe.schedule.patch % (4 * SHRINKS[0]) or recipe.data.size % GRID:
            raise OptionError(f"schedule.patch is {recipe.schedule.patch}; expected a multiple of {4 * SHRINKS[0]}")
        self.device = "cpu"

    def prepare(self, material: Path, folder: Path) -> None:
        prepare_moments(self.recipe, material, folder)

    def open(self, folder: Path, device: str) -> None:
        self.device = device
        self.moments = _loaded(folder, "moments")

    def network(self) -> nn.Module:
        return Fast(self.sizes)

    def loss(self, network: nn.Module, rng: np.random.Generator) -> Tensor:
        assert isinstance(network, Fast)
        batch = drawn(self.moments, self.recipe.schedule.batch, self.recipe.schedule.patch, rng, self.device)
        made, *early = corrected(network, batch)
        total = laplacian(made, batch.truth)
        for picture in early:
            total = total + _EARLY * laplacian(picture, resized(batch.truth, (picture.shape[2], picture.shape[3])))
        return total

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"family": "fast", "params_ema": {k: v.detach().cpu() for k, v in state.items()}}

    def figures(self, network: nn.Module, material: Path) -> dict[str, float]:
        """Patches of what is held out, as `prepare` left them beside those trained on: mean PSNR of each."""
        raise OptionError("figures of pictures between others are taken by benchmarks/interpolate_quality.py")


def _loaded(folder: Path, word: str) -> Moments:
    paths = sorted(folder.glob(f"{word}-*[0-9].npz"))
    if not paths:
        raise OptionError(f"{folder}: nothing to train on; prepare it first")
    return Moments.load(paths)


def drawn(moments: Moments, count: int, patch: int, rng: np.random.Generator, device: str = "cpu") -> Batch:
    """Patches drawn at random: a part of each, mirrored, turned and reversed in time at random, its colours swapped."""
    size = moments.pictures.shape[2]
    cells = patch // GRID
    rows = []
    for k in rng.integers(len(moments.times), size=count):
        x, y = (GRID * int(v) for v in rng.integers((size - patch) // GRID + 1, size=2))
        rows.append(_one(moments, int(k), x, y, patch, cells, rng))
    parts = [torch.from_numpy(np.stack(v)).to(device) for v in zip(*rows, strict=True)]
    a, b, truth, search, t, at = parts
    return Batch(a, b, truth, t[:, None, None, None], search[:, :8], search[:, 8:9], search[:, 9:], at)


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
        search[8] = 1 - search[8]
    part = (slice(y, y + patch), slice(x, x + patch))
    inner = (slice(None), *(slice(s.start // GRID, s.start // GRID + cells) for s in part))
    a, b, truth = (np.ascontiguousarray(p, np.float32) / np.float32(255) for p in pictures)
    return [a, b, truth[(slice(None), *part)], np.ascontiguousarray(search[inner]), np.float32(t),
            np.array([x, y], np.float32)]  # fmt: skip


_HORIZONTAL, _VERTICAL = [0, 2, 4, 6, 9, 11], [1, 3, 5, 7, 10, 12]
_SWAPPED = [1, 0, 3, 2, 5, 4, 7, 6, 8, 10, 9, 12, 11]
_BACKWARDS = [6, 7, 4, 5, 2, 3, 0, 1, 8, 11, 12, 9, 10]
