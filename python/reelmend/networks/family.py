"""What an architecture is here: how its checkpoints are told, and which graphs they become."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..engines.network import Part, Size

__all__ = ["Family", "Graph", "Recognised", "State"]

State = Mapping[str, Any]  # names to torch.Tensor


@dataclass(frozen=True, slots=True)
class Graph:
    """One part of a network, before its export.

    module   a torch.nn.Module in eval mode; forward takes the part's inputs in their order, as tensors, and gives its
             outputs in their order, a tensor or a tuple
    part     its description, without files
    example  rows and columns to trace it with, a multiple of part.multiple
    """

    module: Any
    part: Part
    example: Size = (64, 64)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a checkpoint turned out to be: all of Network but its name, files and origin."""

    family: str
    task: str
    graphs: tuple[Graph, ...]
    scale: int = 1
    window: tuple[int, int] = (0, 0)
    licence: str = "unknown"
    settings: Mapping[str, Any] = field(default_factory=dict)


class Family(ABC):
    """An architecture. One object each, listed in reelmend.networks.families."""

    name: ClassVar[str]

    @abstractmethod
    def matches(self, data: Any, state: State) -> bool:
        """Whether a checkpoint is of this family, told by its keys and shapes.

        data   all that the file holds, as plain containers, numbers, strings and tensors
        state  its main state dict: params_ema, params, state_dict or the file itself, without "module." before names
        """

    @abstractmethod
    def recognise(self, data: Any, state: State) -> Recognised:
        """The network with these weights loaded, every key accounted for.

        Raises CheckpointError naming the keys that are missing, left over, or of a wrong shape.
        """
