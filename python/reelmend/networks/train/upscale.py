"""The task "upscale": pictures are reduced by the recipe's degradation, and the network makes them large again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...analyze.metrics import luma, psnr, ssim
from ...errors import OptionError
from ..upscale.lite import Lite
from .data import Rgb, crops, held_out, load_split, patches, picture, prepare
from .degrade import blur_matrix, compress, resize_matrix, separable
from .loss import distance
from .recipe import Recipe
from .task import Task

__all__ = ["Upscale", "enlarged", "reduced"]

_BLURS = 8  # widths of blur that are drawn from, evenly over the recipe's range
_SIZES = ("scale", "channels", "depth", "width")


def reduced(rgb: Rgb, scale: int, kernel: str = "bicubic") -> Rgb:
    """A picture (rows, columns, 3) reduced by a whole number that divides its edges."""
    return _resized(rgb, rgb.shape[0] // scale, rgb.shape[1] // scale, kernel)


def enlarged(rgb: Rgb, scale: int, kernel: str = "bicubic") -> Rgb:
    """A picture enlarged by a kernel: what a network is to be better than."""
    return _resized(rgb, rgb.shape[0] * scale, rgb.shape[1] * scale, kernel)


def _resized(rgb: Rgb, rows: int, columns: int, kernel: str) -> Rgb:
    down = resize_matrix(kernel, rgb.shape[0], rows).astype(np.float32)
    across = resize_matrix(kernel, rgb.shape[1], columns).astype(np.float32)
    planes = np.moveaxis(rgb, 2, 0).astype(np.float32)
    return np.asarray(np.clip(np.rint(np.moveaxis(down @ planes @ across.T, 0, 2)), 0, 255), np.uint8)


class Upscale(Task):
    """A network of the family "lite"; [network] holds family, scale, channels, depth, width."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        given = dict(recipe.network)
        family = given.pop("family", None)
        if family != "lite":
            raise OptionError(f"network.family is {family!r}; expected 'lite'")
        if set(given) != set(_SIZES) or not all(type(v) is int for v in given.values()):
            raise OptionError(f"network has {given}; expected whole numbers {', '.join(_SIZES)}")
        self.sizes: dict[str, int] = given
        self.scale = given["scale"]
        # pixels of the truth around a batch's patch, so that its input is that of the middle of a picture
        self.margin = 4 * self.scale
        patch, size = recipe.schedule.patch, recipe.data.size
        if patch % self.scale or patch + 2 * self.margin > size:
            raise OptionError(
                f"schedule.patch is {patch}; expected a multiple of {self.scale} and, with {self.margin} pixels "
                f"around, at most data.size, {size}"
            )
        self._load_degradation()

    def _load_degradation(self) -> None:
        d, full = self.recipe.degradation, self.recipe.schedule.patch + 2 * self.margin
        self.kernels = [name for name, share in d.kernels.items() if share > 0]
        shares = np.array([d.kernels[name] for name in self.kernels], np.float64)
        self.shares = shares / shares.sum()
        edge = self.margin // self.scale
        downs = [resize_matrix(name, full, full // self.scale)[edge:-edge] for name in self.kernels]
        blurs = [blur_matrix(sigma, full) for sigma in (0.0, *np.linspace(*d.blur_sigma, _BLURS))]
        stack = np.stack([down @ blur for down in downs for blur in blurs])
        self.matrices = torch.from_numpy(stack.astype(np.float32))

    def prepare(self, material: Path, folder: Path) -> None:
        prepare(self.recipe, material, folder)

    def open(self, folder: Path, device: str) -> None:
        self.patches = patches(folder / "patches.npy", device)
        self.matrices = self.matrices.to(device)

    def network(self) -> nn.Module:
        sizes: dict[str, Any] = dict(self.sizes)
        return Lite(**sizes)

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """(inputs, truths): float32 (batch, 3, patch / scale, patch / scale) and (batch, 3, patch, patch), 0..1."""
        d, s = self.recipe.degradation, self.recipe.schedule
        full = crops(self.patches, s.batch, s.patch + 2 * self.margin, rng)
        kernel = rng.choice(len(self.kernels), size=s.batch, p=self.shares)
        blur = np.where(rng.random(s.batch) < d.blur, rng.integers(1, _BLURS + 1, size=s.batch), 0)
        chosen = torch.from_numpy(kernel * (_BLURS + 1) + blur).to(full.device)
        small = separable(full, self.matrices[chosen])
        small = torch.clamp(torch.round(small * 255), 0, 255) / 255
        hit = np.flatnonzero(rng.random(s.batch) < d.compression)
        quality = rng.uniform(*d.compression_quality, size=s.batch)[hit]
        if len(hit):
            where = torch.from_numpy(hit).to(full.device)
            small[where] = compress(small[where], torch.from_numpy(quality).to(full))
        m = self.margin
        return small, full[..., m:-m, m:-m]

    def loss(self, network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        inputs, truths = self.batch(rng)
        bf16 = self.recipe.schedule.precision == "bf16"
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            made = network(inputs)
        return distance(made.float(), truths, self.recipe.loss)

    def checkpoint(self, state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return {"family": "lite", "params_ema": {k: v.detach().cpu() for k, v in state.items()}}

    def figures(self, network: nn.Module, material: Path) -> dict[str, float]:
        """Held-out stills reduced by the bicubic kernel; 8-bit results; luma of BT.709; nothing cropped."""
        rows = []
        for path in held_out(load_split(self.recipe.folder / self.recipe.data.split), material):
            if path.parent.parts[-2:-1] != ("images",):
                continue
            truth = picture(path)
            truth = truth[: truth.shape[0] // self.scale * self.scale, : truth.shape[1] // self.scale * self.scale]
            small = reduced(truth, self.scale)
            made, plain = self.upscaled(network, small), enlarged(small, self.scale)
            y = luma(truth)
            ours, theirs = (psnr(luma(p), y, 255) for p in (made, plain))
            rows.append((ours, ours - theirs, psnr(made, truth), ssim(luma(made), y, 255)))
        if not rows:
            raise OptionError(f"split {self.recipe.data.split}: no still is held out; expected some under images/")
        mean = np.mean(rows, 0)
        return {
            "psnr_y_db": float(mean[0]),
            "gain_y_db": float(mean[1]),
            "gain_y_min_db": float(min(r[1] for r in rows)),
            "psnr_db": float(mean[2]),
            "ssim_y": float(mean[3]),
        }

    def upscaled(self, network: nn.Module, rgb: Rgb) -> Rgb:
        """One 8-bit picture through the network."""
        device = next(network.parameters()).device
        x = torch.from_numpy(np.moveaxis(rgb, 2, 0).copy())[None].to(device).float() / 255
        with torch.no_grad():
            y = torch.clamp(torch.round(network(x)[0] * 255), 0, 255).byte()
        return np.ascontiguousarray(np.moveaxis(y.cpu().numpy(), 0, 2))
