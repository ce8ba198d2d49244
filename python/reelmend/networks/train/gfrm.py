"""The task "gfrm": BlazeBVD's own U-Net, from a frame that flickers and its filtered illumination to the clean frame.

Trained on the runs of the task "deflicker", single frames in the size of MID. Source: Qiu et al., ECCV 2024 (arXiv
2403.06243), section 3.2: squared error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...analyze.metrics import psnr
from ...errors import OptionError
from ...stages.deflicker.exposure import illumination_map
from ..deflicker.gfrm import UNetGfrm
from .flicker import Run, held_out_runs, prepare_runs
from .loss import distance
from .recipe import Recipe
from .task import Task

__all__ = ["Gfrm"]


def _inputs(raw: NDArray[np.uint8], table: NDArray[np.float16]) -> Tensor:
    """(6, rows, columns): RGB of 0..1, and V~ three times."""
    rgb = raw.astype(np.float32) / np.float32(255)
    v = illumination_map(rgb, table.astype(np.float32))
    return torch.from_numpy(np.concatenate([rgb, np.broadcast_to(v, rgb.shape)]))


class Gfrm(Task):
    """[network] holds family = "gfrm" and channels, of the levels from the finest."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        given = dict(recipe.network)
        channels = given.pop("channels", None)
        if given.pop("family", None) != "gfrm" or given:
            raise OptionError(f"network is {dict(recipe.network)}; expected family = 'gfrm' and channels")
        if not isinstance(channels, list) or len(channels) < 2 or not all(type(c) is int and c > 0 for c in channels):
            raise OptionError(f"network.channels is {channels!r}; expected two whole numbers or more")
        self.channels = tuple(channels)
        step = 1 << (len(channels) - 1)
        if recipe.schedule.patch % step:
            raise OptionError(f"schedule.patch is {recipe.schedule.patch}; expected a multiple of {step}")
        self.device = "cpu"

    def prepare(self, material: Path, folder: Path) -> None:
        prepare_runs(self.recipe, material, folder)

    def open(self, folder: Path, device: str) -> None:
        self.device = device
        self.runs = [run for run in map(Run.load, sorted(folder.glob("run-*[0-9].npz"))) if "mid_raw" in run.arrays]
        if not self.runs:
            raise OptionError(f"{folder}: no runs to train on; prepare them first")

    def network(self) -> nn.Module:
        return UNetGfrm(self.channels)

    def loss(self, network: nn.Module, rng: np.random.Generator) -> Tensor:
        s = self.recipe.schedule
        drawn = []
        for _ in range(s.batch):
            a = self.runs[rng.integers(len(self.runs))].arrays
            t = int(rng.integers(len(a["mid"])))
            rows, columns = (min(s.patch, n) for n in a["mid"].shape[2:])
            top, left = (int(rng.integers(n - m + 1)) for n, m in zip(a["mid"].shape[2:], (rows, columns), strict=True))
            part = (slice(None), slice(top, top + rows), slice(left, left + columns))
            truth = torch.from_numpy(a["mid"][t][part].astype(np.float32) / np.float32(255))
            drawn.append((_inputs(a["mid_raw"][t][part], a["tables"][t]), truth))
        x, truth = (torch.stack(v).to(self.device) for v in zip(*drawn, strict=True))
        return distance(network(x), truth, self.recipe.loss)

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"family": "gfrm", "params_ema": {k: v.detach().cpu() for k, v in state.items()}}

    def figures(self, network: nn.Module, material: Path) -> dict[str, float]:
        """Runs of files held out: PSNR of every fifth frame, as it came and after the network."""
        rows = []
        for run, _ in held_out_runs(self.recipe, material):
            a = run.arrays
            for t in range(0, len(a["mid"]), 5):
                with torch.no_grad():
                    made = network(_inputs(a["mid_raw"][t], a["tables"][t])[None])[0].clamp(0, 1).numpy()
                truth = a["mid"][t].astype(np.float32) / 255
                pictures = (a["mid_raw"][t].astype(np.float32) / 255, made)
                rows.append([psnr(np.moveaxis(p, 0, 2), np.moveaxis(truth, 0, 2), 1.0) for p in pictures])
        if not rows:
            raise OptionError(f"split {self.recipe.data.split}: nothing is held out")
        before, after = np.mean(rows, 0)
        return {"input_db": float(before), "gfrm_db": float(after)}
