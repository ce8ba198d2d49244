"""The steps of a training: Adam, a rate that rises and falls, averaged weights, checkpoints, a curve.

What a step does depends on the recipe and the step's number alone: batches are drawn by a generator seeded with both.
A run that was stopped goes on to the same bits as one that was not (on one machine, with as many threads).
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import CheckpointError, OptionError
from .recipe import Recipe, Schedule
from .task import Task

__all__ = ["CURVE", "LAST", "WEIGHTS", "Outcome", "rate_at", "train"]

LAST, CURVE, WEIGHTS = "last.pth", "curve.csv", "weights.pth"
SCHEMA = 1
_POINTS = 100  # steps that one point of the curve is the mean of


@dataclass(frozen=True, slots=True)
class Outcome:
    """step reached, whether that is the last one, seconds spent in all runs, the curve as (step, mean loss, rate)."""

    step: int
    finished: bool
    seconds: float
    curve: tuple[tuple[int, float, float], ...]


def rate_at(step: int, schedule: Schedule) -> float:
    """The rate of step 0, 1, ...: a straight rise over the warm-up, then half a cosine down to the floor."""
    rise = min(1.0, (step + 1) / (schedule.warmup + 1))
    through = max(0.0, (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup))
    fall = schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, through)))
    return schedule.rate * rise * fall


class _State:
    """All that a checkpoint holds."""

    def __init__(self, recipe: Recipe, task: Task, device: str) -> None:
        self.recipe = recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network: nn.Module = task.network().to(device).train()
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.adam = torch.optim.Adam(self.network.parameters(), lr=recipe.schedule.rate, betas=(0.9, 0.99))
        self.step, self.seconds = 0, 0.0
        self.curve: list[tuple[int, float, float]] = []
        self.open: list[float] = []  # losses since the curve's last point

    def advance(self, task: Task) -> float:
        """One step; gives its loss. Raises OptionError where it is no longer a number."""
        s = self.recipe.schedule
        rate = rate_at(self.step, s)
        for group in self.adam.param_groups:
            group["lr"] = rate
        loss = task.loss(self.network, np.random.default_rng([self.recipe.seed, 1, self.step]))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise OptionError(
                f"the loss of step {self.step} is {value}; lower schedule.rate ({s.rate:g}), or raise schedule.warmup"
            )
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        if s.clip > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), s.clip)
        self.adam.step()
        self.step += 1
        # young averages forget faster, or they would long remember the first weights
        keep = min(s.ema, self.step / (self.step + 9))
        with torch.no_grad():
            for name, now in self.network.state_dict().items():
                mean = self.average[name]
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - keep)
                else:
                    mean.copy_(now)
        self.open.append(value)
        if self.step % _POINTS == 0 or self.step == s.steps:
            self.curve.append((self.step, float(np.mean(self.open)), rate))
            self.open = []
        return value

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the curve, each at once or not at all."""
        held = {
            "schema": SCHEMA,
            "recipe": self.recipe.digest(),
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "open": self.open,
            "network": self.network.state_dict(),
            "average": self.average,
            "adam": self.adam.state_dict(),
        }
        replace(folder / LAST, held)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("step", "loss", "rate"))
        table.writerows(self.curve)
        replace(folder / CURVE, text.getvalue().encode())

    def load(self, path: Path, device: str) -> None:
        try:
            held = torch.load(path, map_location=device, weights_only=True)
            schema, recipe = held["schema"], held["recipe"]
        except Exception as error:  # torch raises what its unpickler, its zip reader or the system do
            raise CheckpointError(f"{path}: no checkpoint of a training ({error}); delete it to begin anew") from error
        if schema != SCHEMA or recipe != self.recipe.digest():
            raise CheckpointError(
                f"{path}: of another recipe than {self.recipe.name} as it stands now; undo the change, "
                "name another folder, or delete it to begin anew"
            )
        self.network.load_state_dict(held["network"])
        self.average = held["average"]
        self.adam.load_state_dict(held["adam"])
        self.step, self.seconds = held["step"], held["seconds"]
        self.curve, self.open = [tuple(p) for p in held["curve"]], list(held["open"])


def replace(path: Path, content: Any) -> None:
    """Write bytes, or anything else as torch does, in place of a file, so that a crash leaves the old or the new."""
    draft = path.with_name(path.name + ".draft")
    with open(draft, "wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


@contextmanager
def _settings(threads: int) -> Iterator[None]:
    """Threads as asked (0: as they are), and only algorithms that give the same bits again."""
    before, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic = deterministic


def train(
    recipe: Recipe,
    task: Task,
    folder: Path,
    *,
    device: str = "cpu",
    threads: int = 0,
    minutes: float = math.inf,
    told: Callable[[int, float], None] | None = None,
) -> Outcome:
    """Train until the recipe's last step or for some minutes, from the folder's checkpoint if there is one.

    folder   where checkpoint and curve lie, and what `task.prepare` made
    threads  of the CPU, 0: as torch has it
    told     is given the step reached and its loss, after each

    After the last step the averaged weights are there as weights.pth. Raises CheckpointError for a checkpoint that is
    damaged or of another recipe, OptionError where the loss is no longer a number.
    """
    with _settings(threads):
        task.open(folder, device)
        state = _State(recipe, task, device)
        if (folder / LAST).exists():
            state.load(folder / LAST, device)
        begun, before, saved = time.monotonic(), state.seconds, state.step
        while state.step < recipe.schedule.steps and time.monotonic() - begun < 60 * minutes:
            loss = state.advance(task)
            state.seconds = before + time.monotonic() - begun
            if state.step % recipe.schedule.checkpoint == 0:
                state.save(folder)
                saved = state.step
            if told is not None:
                told(state.step, loss)
        if saved != state.step or not (folder / LAST).exists():
            state.save(folder)
        finished = state.step >= recipe.schedule.steps
        if finished:
            replace(folder / WEIGHTS, task.checkpoint(state.average))
    return Outcome(state.step, finished, state.seconds, tuple(state.curve))
