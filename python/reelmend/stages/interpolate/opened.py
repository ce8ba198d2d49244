"""The engines of a network that motion or pictures are made by, held by the size of the pictures."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ... import engines
from ...engines.graph import SharedMemory
from ...engines.network import Network, Size
from ...fallback import Fallback

if TYPE_CHECKING:
    from ...engines import Engine, EnginePlan

__all__ = ["Opened"]

_SIZES = 2  # sizes of pictures that engines are kept for: whole frames, and the picture inside black bars


class Opened:
    """Engines by size: those for the sizes asked for last stay open. No two of them run at once.

    needs  gives, for pictures of a size, the parts to be run and the size of what each is given, in order
    """

    def __init__(self, network: Network, device: str, needs: Callable[[Size], Iterable[tuple[str, Size]]]) -> None:
        self._network = network
        self._device = device
        self._needs = needs
        self._engines: OrderedDict[Size, list[Engine]] = OrderedDict()
        self._memory = None if device == "cpu" else SharedMemory(device)

    def __call__(self, size: Size) -> list[Engine]:
        """The engines for pictures of this size, in order; kept for the next call."""
        if size not in self._engines:
            self._engines[size] = [
                engines.open_engine(self._network, part, size=at, device=self._device, memory=self._memory)
                for part, at in self._needs(size)
            ]
        self._engines.move_to_end(size)
        while len(self._engines) > _SIZES:
            for engine in self._engines.popitem(last=False)[1]:
                engine.close()
        return self._engines[size]

    def plans(self, size: Size) -> list[EnginePlan]:
        """How they would run. Builds nothing."""
        return [
            engines.plan_engine(self._network, part, size=at, device=self._device) for part, at in self._needs(size)
        ]

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """What was wanted for them and not taken, as far as they are open."""
        return tuple(dict.fromkeys(f for opened in self._engines.values() for e in opened for f in e.fallbacks))
