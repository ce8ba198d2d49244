"""The task "deflicker": the three networks of BlazeBVD, trained at once on runs that flicker.

global    single frames of any runs; the error of the small picture after curves and gains
temporal  runs of frames in order, as the global network leaves them; the error, and its change along the motion
local     clean pictures that are clipped by a draw of light and brought back; the error where light was lost

Source: Qiu et al., "BlazeBVD", ECCV 2024 (arXiv 2403.06243), section 3, whose losses these follow: reconstruction, and
a warping loss that counts exposed places more. Errors count by their logarithm, as PSNR has them: a frame that is
nearly right asks for as much care as one that is far off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...errors import OptionError
from ...stages.deflicker.priors import BLACK, LOST, PLANES, POINTS, RGB_PLANES, TONES, WHITE
from ..deflicker.family import Blaze
from ..deflicker.gfrm import drifts, toned
from ..deflicker.tcm import STATE
from .flicker import Run, held_out_runs, prepare_runs
from .recipe import Recipe
from .task import Task

__all__ = ["Deflicker", "moved"]

_SIZES = ("width", "temporal", "local")
_FLOOR = 3e-5  # of mean squares: below 45 dB less care is asked for
_ANY = 0.1  # of the frames that the global network sees, those drawn from all, treated or not
_SHIFTED, _SHIFT = 0.6, 0.04  # share of their frames that are moved further, and by how much
_LOCAL = 1 / 3  # of the steps that train the local network too: it learns fast, and its steps are dear
_LENGTH = 8  # frames of a sequence, for the temporal network
_CLIPPED = 5  # of those for the local one
_PATCH = (64, 96)  # rows, columns of theirs
_RGB = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
_CHANGING, _STEADY = 0.6, 10.0  # weights of the temporal error, and of the local one in all of the picture


def moved(x: Tensor, flow: Tensor) -> Tensor:
    """(n, c, h, w) fetched along flows (n, 2, h, w), as ops.warp does it."""
    h, w = flow.shape[2:]
    v, u = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    at = torch.stack([u, v]).to(flow) + flow
    unit = torch.stack([(2 * at[:, 0] + 1) / w - 1, (2 * at[:, 1] + 1) / h - 1], 3)
    return functional.grid_sample(x, unit, padding_mode="border", align_corners=False)


def error(x: Tensor, truth: Tensor) -> Tensor:
    """Logarithm of the mean square of each picture."""
    return torch.log(((x.clamp(0, 1) - truth) ** 2).mean((-3, -2, -1)) + _FLOOR)


@dataclass(slots=True)
class _Held:
    """A run as tensors."""

    made: Tensor
    clean: Tensor
    grid: Tensor
    tones: Tensor
    acts: NDArray[np.intp]  # frames on which equalisation acted
    back: Tensor
    fore: Tensor
    ahead: float
    shifts: bool  # whether its flicker adds light
    large: tuple[Tensor, Tensor, Tensor] | None

    @classmethod
    def of(cls, run: Run) -> _Held:
        a = run.arrays
        t = {name: torch.from_numpy(x) for name, x in a.items() if x.dtype != np.uint16 and x.ndim}
        made, clean = (torch.from_numpy(a[k].astype(np.float32) / np.float32(65535)) for k in ("made", "clean"))
        large = (t["mid"], t["mid_back"], t["mid_fore"]) if "mid" in t else None
        acts = np.flatnonzero(a["acts"])
        shifts = float(drifts(t["tones"]).mean()) > 0.5
        return cls(made, clean, t["grid"], t["tones"], acts, t["back"], t["fore"], float(a["ahead"]), shifts, large)


class Deflicker(Task):
    """[network] holds family = "blaze" and widths: width (of the global network), temporal, local."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        given = dict(recipe.network)
        if given.pop("family", None) != "blaze":
            raise OptionError(f"network.family is {recipe.network.get('family')!r}; expected 'blaze'")
        if set(given) != set(_SIZES) or not all(type(v) is int and v > 0 for v in given.values()):
            raise OptionError(f"network has {given}; expected whole numbers {', '.join(_SIZES)}")
        self.sizes: dict[str, int] = given
        self.device = "cpu"

    def prepare(self, material: Path, folder: Path) -> None:
        prepare_runs(self.recipe, material, folder)

    def open(self, folder: Path, device: str) -> None:
        self.device = device
        self.runs = [_Held.of(Run.load(path)) for path in sorted(folder.glob("run-*[0-9].npz"))]
        self.treated = [run for run in self.runs if len(run.acts)]
        self.large = [run.large for run in self.runs if run.large is not None]
        if not self.treated or not self.large:
            raise OptionError(f"{folder}: no runs to train on; prepare them first")

    def network(self) -> nn.Module:
        return Blaze(PLANES, TONES, **self.sizes)

    def loss(self, network: nn.Module, rng: np.random.Generator) -> Tensor:
        nets: Any = network.nets
        total = self._global(nets["global"], rng) + self._temporal(nets, rng)
        return total + self._local(nets["local"], rng) if rng.random() < _LOCAL else total

    def _global(self, net: nn.Module, rng: np.random.Generator) -> Tensor:
        drawn = []
        for _ in range(self.recipe.schedule.batch):
            run = self.treated[rng.integers(len(self.treated))]
            t = int(run.acts[rng.integers(len(run.acts))])
            if rng.random() < _ANY:
                run = self.runs[rng.integers(len(self.runs))]
                t = int(rng.integers(len(run.made)))
            inputs = run.grid[t : t + 1].float(), run.tones[t : t + 1], run.made[t : t + 1]
            if run.shifts and rng.random() < _SHIFTED:
                inputs = shifted(*inputs, torch.from_numpy(rng.normal(0, _SHIFT, 3)).float())
            drawn.append(varied(inputs[0], inputs[1], [inputs[2], run.clean[t : t + 1]], rng))
        grid, tones, made, clean = (torch.cat(x).to(self.device) for x in zip(*drawn, strict=True))
        return error(toned(made, *net(grid, tones)), clean).mean()

    def _temporal(self, nets: Any, rng: np.random.Generator) -> Tensor:
        drawn, ahead = [], []
        for _ in range(max(1, self.recipe.schedule.batch // _LENGTH)):
            run = self.treated[rng.integers(len(self.treated))]
            first = int(rng.integers(len(run.made) - _LENGTH + 1))
            part = slice(first, first + _LENGTH)
            pictures = [run.made[part], run.clean[part]]
            drawn.append(varied(run.grid[part], run.tones[part], pictures, rng, [run.back[part], run.fore[part]]))
            ahead.append(run.ahead)
        held = [torch.stack(x, 1).to(self.device) for x in zip(*drawn, strict=True)]
        grid, tones, made, clean, back, fore = held
        with torch.no_grad():
            x = toned(made.flatten(0, 1), *nets["global"](grid.flatten(0, 1), tones.flatten(0, 1))).clamp(0, 1)
        result = followed(nets["temporal"], x.view_as(made), back, fore, torch.tensor(ahead, device=self.device))
        off = result - clean
        carried = moved(off[:-1].flatten(0, 1), back[1:].flatten(0, 1)).view_as(off[1:])
        changing = torch.log(((off[1:] - carried) ** 2).mean((2, 3, 4)) + _FLOOR).mean()
        return error(result, clean).mean() + _CHANGING * changing

    def _local(self, net: nn.Module, rng: np.random.Generator) -> Tensor:
        drawn = []
        for _ in range(max(1, self.recipe.schedule.batch // _LENGTH)):
            run = self.large[rng.integers(len(self.large))]
            drawn.append(clipped(*run, _CLIPPED, _PATCH, rng))
        clean, now, raw, back, fore = (torch.stack(x, 1).to(self.device) for x in zip(*drawn, strict=True))
        ahead = torch.from_numpy((rng.random(clean.shape[1]) < 0.75).astype(np.float32)).to(self.device)
        result, lost = recovered(net, now, raw, back, fore, ahead)
        here = lost.amax(2)
        count = here.sum((0, 2, 3))
        square = (((result - clean) ** 2).mean(2) * here).sum((0, 2, 3)) / (count + 1)
        return (torch.log(square + 1e-4) * (count > 200)).mean() + _STEADY * torch.abs(result - clean).mean()

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"family": "blaze", "params_ema": {k: v.detach().cpu() for k, v in state.items()}}

    def figures(self, network: nn.Module, material: Path) -> dict[str, float]:
        """Runs of files held out, drawn as the recipe draws: PSNR of small pictures, of lost light in large ones."""
        nets: Any = network.nets
        rows, lost_rows = [], []
        for made_of, rng in held_out_runs(self.recipe, material):
            run = _Held.of(made_of)
            with torch.no_grad():
                if len(run.acts):
                    rows.append(_judged(nets, run))
                assert run.large is not None
                lost_rows += _lost(nets["local"], run.large, rng)
        if not rows or not lost_rows:
            raise OptionError(f"split {self.recipe.data.split}: nothing is held out")
        made, one, both = np.mean(rows, 0)
        before, after = np.mean(lost_rows, 0)
        return {
            "equalised_db": float(made),
            "global_db": float(one),
            "temporal_db": float(both),
            "lost_before_db": float(before),
            "lost_after_db": float(after),
        }


def _db(x: Tensor, truth: Tensor) -> float:
    square = ((x.clamp(0, 1) - truth) ** 2).mean((-3, -2, -1))
    return float((-10 * torch.log10(square + 1e-10)).mean())


def _judged(nets: Any, run: _Held) -> tuple[float, float, float]:
    x = toned(run.made, *nets["global"](run.grid.float(), run.tones)).clamp(0, 1)
    y = followed(
        nets["temporal"], x[:, None], run.back[:, None].float(), run.fore[:, None].float(), torch.tensor([run.ahead])
    )
    return tuple(_db(p[run.acts], run.clean[run.acts]) for p in (run.made, x, y[:, 0]))  # type: ignore[return-value]


def _lost(net: nn.Module, run: tuple[Tensor, Tensor, Tensor], rng: np.random.Generator) -> list[tuple[float, float]]:
    clean, now, raw, back, fore = (x[:, None] for x in clipped(*run, 12, None, rng))
    result, lost = recovered(net, now, raw, back, fore, torch.ones(1))
    here = lost.amax(2)
    if here.sum() < 500:
        return []
    squares = [float((((x - clean) ** 2).mean(2) * here).sum() / here.sum()) for x in (now, result)]
    return [tuple(-10 * float(np.log10(s + 1e-10)) for s in squares)]  # type: ignore[list-item]


def shifted(grid: Tensor, tones: Tensor, made: Tensor, by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and pictures of frames (n, ...) as if light had been added by so much, per channel, in all of the window.

    What the mean of a shifting light is, is chance; more chances are to be had than runs.
    """
    grid, moved_by = grid.clone(), by.view(1, 3, 1, 1)
    for first in RGB_PLANES:
        part = slice(first, first + 3)
        grid[:, part] = (grid[:, part] + moved_by).clamp(0, 1)
    grid[:, 6] = (grid[:, 6] + by.max()).clamp(0, 1)
    parts = tones.view(-1, 5, 3, POINTS).clone()
    parts[..., :-2] = (parts[..., :-2] + by.view(1, 1, 3, 1)).clamp(0, 1)
    return grid, parts.reshape(-1, TONES), (made + moved_by).clamp(0, 1)


def varied(
    grid: Tensor, tones: Tensor, pictures: Sequence[Tensor], rng: np.random.Generator, flows: Sequence[Tensor] = ()
) -> list[Tensor]:
    """Inputs of frames in order (n, ...), pictures and flows of them: colours exchanged, and mirrored, at random."""
    order = list(_RGB[rng.integers(6)])
    planes = list(range(PLANES))
    for first in RGB_PLANES:
        planes[first : first + 3] = [first + c for c in order]
    grid = grid[:, planes].float()
    tones = tones.view(-1, 5, 3, POINTS)[:, :, order].reshape(-1, TONES)
    shown = [p[:, order] for p in pictures]
    moving = [f.float() for f in flows]
    if rng.random() < 0.5:
        grid, shown = grid.flip(-1), [p.flip(-1) for p in shown]
        moving = [f.flip(-1) * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1) for f in moving]
    return [grid, tones, *shown, *moving]


def followed(net: nn.Module, x: Tensor, back: Tensor, fore: Tensor, ahead: Tensor) -> Tensor:
    """Small pictures (frames, n, 3, h, w) after the temporal network, each from the one before."""
    frames, n, _, h, w = x.shape
    state = x.new_zeros(n, STATE, h // 2, w // 2)
    known, past = x.new_zeros(n, 1, h, w), x[0]
    results: list[Tensor] = []
    for k in range(frames):
        now = following = x[k]
        if k + 1 < frames:
            following = torch.where(ahead[:, None, None, None] > 0, moved(x[k + 1], fore[k]), now)
        if results:
            past, known = moved(results[-1], back[k]), torch.ones_like(known)
            state = moved(state, functional.avg_pool2d(back[k], 2) / 2)
        change, state = net(torch.cat([now, past if results else now, known, following], 1), state)
        wide = functional.interpolate(change, (h, w), mode="bilinear", align_corners=False)
        results.append(now * torch.exp(wide))
    return torch.stack(results)


def clipped(
    clean: Tensor, back: Tensor, fore: Tensor, frames: int, size: tuple[int, int] | None, rng: np.random.Generator
) -> list[Tensor]:
    """Clean pictures of a run, as equalised after light clipped them, as they came, and both flows: (frames, ...)."""
    first = int(rng.integers(len(clean) - frames + 1))
    h, w = size or clean.shape[2:]
    top, left = (4 * int(rng.integers((a - b) // 4 + 1)) for a, b in zip(clean.shape[2:], (h, w), strict=True))
    part = (slice(first, first + frames), slice(None), slice(top, top + h), slice(left, left + w))
    truth = clean[part].float() / 255
    often, long = rng.random() < 0.3, rng.random() < 0.5
    raw, now = [], []
    gain, shift = 1.0, torch.zeros(3, 1, 1)
    for t in range(frames):
        if t == 0 or not long or rng.random() < 0.35:
            hit = rng.random() < (0.8 if often else 0.45)
            gain = float(np.exp(rng.normal(0, 0.35))) if hit else 1.0
            moves = rng.uniform(-0.3, 0.3, 3) * (hit and rng.random() < 0.5)
            shift = torch.from_numpy(moves).float().view(3, 1, 1)
        came = torch.round((truth[t] * gain + shift).clamp(0, 1) * 255) / 255
        raw.append(came)
        # what equalisation makes of it, a little off
        off = float(1 + rng.normal(0, 0.01)), float(rng.normal(0, 0.004))
        now.append(((came - shift) / gain * off[0] + off[1]).clamp(0, 1))
    return [truth, torch.stack(now), torch.stack(raw), back[part].float(), fore[part].float()]


def recovered(
    net: nn.Module, now: Tensor, raw: Tensor, back: Tensor, fore: Tensor, ahead: Tensor
) -> tuple[Tensor, Tensor]:
    """Pictures (frames, n, 3, h, w) after the local network, each from the one before; and what was lost in them."""
    frames = len(now)
    v = raw.amax(2, keepdim=True)
    share = ((torch.abs(now - raw).amax(2, keepdim=True) - LOST[0]) / (LOST[1] - LOST[0])).clamp(0, 1)
    lost = torch.cat([(v < BLACK).float(), (v > WHITE).float()], 2) * share
    results: list[Tensor] = []
    left = torch.ones_like(lost[0][:, :1])
    for k in range(frames):
        following, following_lost = now[k], torch.ones_like(lost[k])
        if k + 1 < frames:
            both = moved(torch.cat([now[k + 1], lost[k + 1]], 1), fore[k])
            following, following_lost = both[:, :3], both[:, 3:]
        past, past_lost = now[k], torch.ones_like(left)
        if results:
            both = moved(torch.cat([results[-1], left], 1), back[k])
            past, past_lost = both[:, :3], both[:, 3:]
        there = torch.stack([ahead * 0 + float(bool(results)), ahead * float(k + 1 < frames)], 1)[:, :, None, None]
        views = torch.cat([now[k], past, following, lost[k], past_lost, following_lost], 1)
        a, b, c = net(views, there).split(1, 1)
        results.append(a * now[k] + b * past + c * following)
        here = lost[k].amax(1, keepdim=True)
        left = (a * here + b * past_lost + c * following_lost.amax(1, keepdim=True)).clamp(0, 1)
    return torch.stack(results), lost
