"""The task "interpolate": networks that make a picture between two others, beginning with what the stage has searched.

[network] names the family, one of `chains.CHAINS`, and its sizes. The loss is the root mean square error of each patch,
between the error's square, which is what is far off alone, and its logarithm, in which what is nearly right counts as
much; and the error of Laplacian pyramids, as Niklaus and Liu, "Context-aware Synthesis for Video Frame Interpolation",
CVPR 2018, have it. Half of the patches are drawn by how far off the search is that all begins with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import OptionError
from .between import drawn, resized, searched, whole
from .chains import CHAINS
from .loss import laplacian
from .moments import GRID, Moments, prepare_moments
from .recipe import Recipe
from .task import Task

__all__ = ["Interpolate"]

_EARLY = 0.3  # weight of each picture that is made before the last
_ROOT = 4.0  # weight of the root mean square error
_FLOOR = 1e-5  # of mean squares: below 50 dB less care is asked for
_FIGURES, _BATCHES = 16, 20  # patches of a batch that figures are taken of, and how many of these


class Interpolate(Task):
    """A network of a family that makes pictures between two others."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        given = dict(recipe.network)
        family = given.pop("family", None)
        if family not in CHAINS:
            raise OptionError(f"network.family is {family!r}; expected {', '.join(CHAINS)}")
        self.chain = CHAINS[family](given)
        if recipe.schedule.patch % self.chain.multiple or recipe.data.size % GRID:
            raise OptionError(
                f"schedule.patch is {recipe.schedule.patch}, data.size {recipe.data.size}; expected multiples of "
                f"{self.chain.multiple} and {GRID}"
            )
        self.device = "cpu"
        self.folder: Path | None = None

    def prepare(self, material: Path, folder: Path) -> None:
        prepare_moments(self.recipe, material, folder)
        self.folder = folder

    def open(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.moments = _loaded(folder, "moments")
        self.shares = _shares(self.moments)

    def network(self) -> nn.Module:
        return self.chain.network()

    def loss(self, network: nn.Module, rng: np.random.Generator) -> Tensor:
        s = self.recipe.schedule
        batch = drawn(self.moments, s.batch, s.patch, rng, self.device, self.shares)
        made, *others = self.chain.made(network, batch)
        error = (made - batch.truth).square().mean((1, 2, 3))
        total = _ROOT * torch.sqrt(error + _FLOOR).mean() + laplacian(made, batch.truth)
        for picture in others:
            total = total + _EARLY * laplacian(picture, resized(batch.truth, (picture.shape[2], picture.shape[3])))
        return total

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return self.chain.checkpoint({k: v.detach().cpu() for k, v in state.items()})

    def figures(self, network: nn.Module, material: Path) -> dict[str, float]:
        """Patches of what is held out, that lie beside those trained on: PSNR of what is made, and of what the search
        alone makes. Whole clips are measured by benchmarks/interpolate_quality.py."""
        if self.folder is None:
            raise OptionError("figures are taken of patches; prepare them first, in the same run")
        moments = _loaded(self.folder, "held")
        rng = np.random.default_rng([self.recipe.seed, 2])
        rows = []
        for _ in range(_BATCHES):
            batch = drawn(moments, _FIGURES, self.recipe.schedule.patch, rng)
            with torch.no_grad():
                pictures = (self.chain.made(network, batch)[0], searched(batch))
            rows.append(torch.stack([_psnr(p, batch.truth) for p in pictures]))
        made, alone = torch.cat(rows, 1)
        gain = made - alone
        return {
            "psnr_db": float(made.mean()),
            "search_psnr_db": float(alone.mean()),
            "gain_db": float(gain.mean()),
            "better_share": float((gain > 0).float().mean()),
        }


def _shares(moments: Moments) -> NDArray[np.float64]:
    """How often each patch is drawn: half evenly, half by the fourth root of the search's mean square error in it."""
    count = len(moments.times)
    errors = []
    for first in range(0, count, _FIGURES):
        batch = whole(moments, range(first, min(first + _FIGURES, count)))
        errors.append((searched(batch) - batch.truth).square().mean((1, 2, 3)))
    hard = torch.cat(errors).double().numpy() ** 0.25
    return np.asarray(0.5 / count + 0.5 * hard / max(hard.sum(), 1e-12), np.float64)


def _psnr(made: Tensor, truth: Tensor) -> Tensor:
    """Of each picture, up to 60 dB."""
    return -10 * torch.log10((made.clamp(0, 1) - truth).square().mean((1, 2, 3)).clamp(min=1e-6))


def _loaded(folder: Path, word: str) -> Moments:
    paths = sorted(folder.glob(f"{word}-*[0-9].npz"))
    if not paths:
        raise OptionError(f"{folder}: nothing to train on; prepare it first")
    return Moments.load(paths)
