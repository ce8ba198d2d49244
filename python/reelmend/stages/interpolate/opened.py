"""The engines of a network that motion or pictures are made by, held by the size of the pictures."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from ... import engines
from ...engines.graph import SharedMemory
from ...engines.network import Network, Size
from ...fallback import Fallback

if TYPE_CHECKING:
    from ...engines import Engine, EnginePlan

__all__ = ["Opened"]

Key = TypeVar("Key")

_SIZES = 2  # sizes of pictures that engines are kept for: whole frames, and the picture inside black bars


class Opened(Generic[Key]):
    """Engines by size: those for the sizes asked for last stay open. No two of them run at once.

    needs  gives what is run for pictures of a size: a part, and the size of what it is given, under a key
    """

    def __init__(self, network: Network, device: str, needs: Callable[[Size], Mapping[Key, tuple[str, Size]]]) -> None:
        self._network = network
        self._device = device
        self._needs = needs
        self._engines: OrderedDict[Size, dict[Key, Engine]] = OrderedDict()
        self._memory = None if device == "cpu" else SharedMemory(device)

    def __call__(self, size: Size) -> dict[Key, Engine]:
        """The engines for pictures of this size, by their keys; kept for the next call."""
        if size not in self._engines:
            self._engines[size] = {
                key: engines.open_engine(self._network, part, size=at, device=self._device, memory=self._memory)
                for key, (part, at) in self._needs(size).items()
            }
        self._engines.move_to_end(size)
        while len(self._engines) > _SIZES:
            for engine in self._engines.popitem(last=False)[1].values():
                engine.close()
        return self._engines[size]

    def plans(self, size: Size) -> list[EnginePlan]:
        """How they would run. Builds nothing."""
        return [
            engines.plan_engine(self._network, part, size=at, device=self._device)
            for part, at in self._needs(size).values()
        ]

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """What was wanted for them and not taken, as far as they are open."""
        return tuple(
            dict.fromkeys(f for opened in self._engines.values() for e in opened.values() for f in e.fallbacks)
        )
