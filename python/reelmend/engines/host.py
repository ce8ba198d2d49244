"""Engines on the CPU: arrays are bound where they lie, nothing is copied; bound anew only when they lie elsewhere."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArrayError, EngineError
from ..frame import Array
from .engine import Engine, Request
from .network import Size

__all__ = ["HostEngine", "cores"]


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


class HostEngine(Engine):
    """Runs on NumPy arrays, through a binding of their addresses."""

    def __init__(self, request: Request) -> None:
        self._bound: tuple[int, ...] = ()
        super().__init__(request)

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None, stream: Any = None
    ) -> dict[str, Array]:
        results = {
            name: np.empty(shape, np.float32) for name, shape in self.outputs.items() if name not in (outputs or {})
        }
        results.update(outputs or {})
        self.checked(inputs, self.inputs, "inputs")
        self.checked(results, self.outputs, "outputs")
        arrays = {**inputs, **results}
        where = tuple(self._address(name, arrays[name]) for name in (*self.inputs, *self.outputs))
        try:
            if where != self._bound:
                self._bound = ()
                self._bind(inputs, results)
                self._bound = where
            self._infer()
        except Exception as error:  # the runtimes' own exceptions share no base class
            self._bound = ()
            raise EngineError(f"{self.request.words}: the run failed: {' '.join(str(error).split())}") from error
        return results

    def resize(self, size: Size) -> None:
        super().resize(size)
        self._bound = ()

    @abstractmethod
    def _bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """Have the next runs read and write these arrays. They are held by the caller, and by nothing here."""

    @abstractmethod
    def _infer(self) -> None:
        """Run once on what is bound."""

    def _address(self, name: str, x: Array) -> int:
        if not isinstance(x, np.ndarray):
            raise ArrayError(f"{self.request.words}: {name} is a {type(x).__name__}; this engine runs on NumPy arrays")
        if not x.flags.c_contiguous:
            raise ArrayError(f"{self.request.words}: {name} is strided; expected a C-contiguous array")
        return int(x.ctypes.data)
