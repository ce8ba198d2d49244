"""What is trained: a class a task, which makes the network, its batches, its loss, and its figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import OptionError
from .recipe import Recipe

__all__ = ["TASKS", "Task", "task_of"]

# The module in this room, and the name of its class of Task.
TASKS: Mapping[str, tuple[str, str]] = {
    "upscale": ("upscale", "Upscale"),
    "deflicker": ("deflicker", "Deflicker"),
    "gfrm": ("gfrm", "Gfrm"),
    "interpolate": ("interpolate", "Interpolate"),
}


class Task(ABC):
    """One thing to learn, by one recipe.

    Raises OptionError where the recipe's [network] is not what it takes.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @abstractmethod
    def prepare(self, material: Path, folder: Path) -> None:
        """Decode and cut what is trained on, into a folder; nothing if it is there already."""

    @abstractmethod
    def open(self, folder: Path, device: str) -> None:
        """Read what `prepare` made."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The network as it is trained, freshly drawn from torch's generator."""

    @abstractmethod
    def loss(self, network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        """The loss of one batch, drawn by `rng` alone: the same generator, the same batch."""

    @abstractmethod
    def checkpoint(self, state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """What is kept of trained weights: a file that `reelmend engines import` recognises."""

    @abstractmethod
    def figures(self, network: nn.Module, material: Path) -> dict[str, float]:
        """How good the network is on what was held out, by name of the figure with its unit."""


def task_of(recipe: Recipe) -> Task:
    """The task a recipe names. Raises OptionError for one that is not known."""
    if recipe.task not in TASKS:
        raise OptionError(f"task is {recipe.task!r}; expected {', '.join(TASKS)}")
    module, name = TASKS[recipe.task]
    task: Task = getattr(import_module(f".{module}", __package__), name)(recipe)
    return task
