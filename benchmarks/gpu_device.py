"""A GPU as gpu.py sees it, through CuPy or PyTorch, and a clock that times calls on it.

Work on a GPU is queued: a call returns before its kernels run. So the clock queues a write that is longer than the
calls take to queue, then an event, the calls, and another event; the GPU runs from one event to the other without
waiting for Python. That write is of a buffer several times as large as the second-level cache, which therefore holds
nothing of what the calls read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from reelmend import ops
from reelmend.analyze.opcases import OpCase

__all__ = ["Clock", "CupyGpu", "Gpu", "Timing", "TorchGpu", "found"]

Call = Callable[[], object]


class Gpu(Protocol):
    """What is asked of a library that holds arrays on the first GPU. Everything but `wait` and `get` only queues."""

    library: str

    def put(self, array: Any) -> Any: ...
    def get(self, array: Any) -> Any: ...
    def bytes(self, count: int) -> Any: ...
    def zero(self, array: Any) -> None: ...
    def copy(self, to: Any, source: Any) -> None: ...
    def event(self) -> Any: ...
    def passed(self, event: Any) -> bool: ...
    def seconds(self, first: Any, last: Any) -> float: ...
    def wait(self) -> None: ...


class CupyGpu:
    library = "cupy"

    def __init__(self) -> None:
        self._cupy = import_module("cupy")

    def put(self, array: Any) -> Any:
        return ops.to_device(array, 0, self._cupy)

    def get(self, array: Any) -> Any:
        return ops.to_host(array)

    def bytes(self, count: int) -> Any:
        return self._cupy.zeros(count, np.uint8)

    def zero(self, array: Any) -> None:
        array.data.memset_async(0, array.nbytes)

    def copy(self, to: Any, source: Any) -> None:
        to.data.copy_from_device_async(source.data, source.nbytes)

    def event(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def passed(self, event: Any) -> bool:
        return bool(event.done)

    def seconds(self, first: Any, last: Any) -> float:
        return 1e-3 * float(self._cupy.cuda.get_elapsed_time(first, last))

    def wait(self) -> None:
        self._cupy.cuda.Device().synchronize()


class TorchGpu:
    library = "torch"

    def __init__(self) -> None:
        self._torch = import_module("torch")

    def put(self, array: Any) -> Any:
        return ops.to_device(array, 0, self._torch)

    def get(self, array: Any) -> Any:
        return ops.to_host(array)

    def bytes(self, count: int) -> Any:
        return self._torch.zeros(count, dtype=self._torch.uint8, device="cuda:0")

    def zero(self, array: Any) -> None:
        array.zero_()

    def copy(self, to: Any, source: Any) -> None:
        to.copy_(source)

    def event(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def passed(self, event: Any) -> bool:
        return bool(event.query())

    def seconds(self, first: Any, last: Any) -> float:
        return 1e-3 * float(first.elapsed_time(last))

    def wait(self) -> None:
        self._torch.cuda.synchronize()


def found() -> list[Gpu]:
    """The GPU through each library that is installed and works here; the one that frames take by default first."""
    gpus: list[Gpu] = []
    if find_spec("cupy"):
        gpus.append(CupyGpu())
    if find_spec("torch") and import_module("torch").cuda.is_available():
        gpus.append(TorchGpu())
    return gpus


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: median and quartiles over `rounds`, and of queueing it.

    starved  rounds in which the GPU began before all was queued, so that it may have waited and the time is but an
             upper bound. They are left out where others remain
    """

    seconds: float
    q1: float
    q3: float
    queueing: float
    rounds: int
    starved: int


class Clock:
    """Times calls on a GPU with a second-level cache of this many bytes."""

    def __init__(self, gpu: Gpu, cache: int) -> None:
        self._gpu = gpu
        self._cache = cache
        self._buffer = gpu.bytes(max(4 * cache, 1 << 28))
        self._fill = 0.0
        self._fill = min(self._between([lambda: gpu.zero(self._buffer)] * 8, 1)[0] for _ in range(5))
        self._copies: dict[int, Timing] = {}

    def _between(self, calls: Sequence[Call], fills: int) -> tuple[float, bool]:
        """Seconds of one of the calls, all queued after so many writes; and whether the GPU had to wait for them."""
        gpu = self._gpu
        for _ in range(fills):
            gpu.zero(self._buffer)
        first = gpu.event()
        for call in calls:
            call()
        last = gpu.event()
        early = gpu.passed(first)
        gpu.wait()
        return gpu.seconds(first, last) / len(calls), early

    def time(self, calls: Sequence[Call], rounds: int = 21) -> Timing:
        """Time calls that do the same, one after the other; more than one should each have arrays of its own."""
        queueing = math.inf
        for _ in range(3):  # the first of these is the warm-up
            start = time.perf_counter()
            for call in calls:
                call()
            queueing = min(queueing, time.perf_counter() - start)
            self._gpu.wait()
        fills = 2 + math.ceil(2 * queueing / self._fill)
        taken = [self._between(calls, fills) for _ in range(rounds)]
        fed = [seconds for seconds, early in taken if not early]
        q1, middle, q3 = np.percentile(fed or [seconds for seconds, _ in taken], (25, 50, 75))
        each = queueing / len(calls)
        return Timing(float(middle), float(q1), float(q3), each, rounds, rounds - len(fed))

    def sets(self, size: int) -> int:
        """How many sets of arrays of so many bytes are four times what the cache holds: 4 to 32."""
        return min(32, max(4, math.ceil(4 * self._cache / max(size, 1))))

    def copy(self, size: int) -> Timing:
        """Copies within the device that move as many bytes, half of them read and half written, one after the other."""
        if size not in self._copies:
            gpu, half = self._gpu, max(1, size // 2)
            pairs = [(gpu.bytes(half), gpu.bytes(half)) for _ in range(self.sets(size))]
            self._copies[size] = self.time([lambda a=a, b=b: gpu.copy(a, b) for a, b in pairs])
        return self._copies[size]

    def case(self, case: OpCase) -> tuple[Timing, Timing]:
        """A case alone after the cache was emptied, and in a run, each of its calls on arrays of its own."""
        calls = []
        for _ in range(self.sets(case.bytes)):
            given = placed(self._gpu, case)
            out = case.run(given, None)
            calls.append(lambda given=given, out=out: case.run(given, out))
        return self.time(calls[:1]), self.time(calls)


def placed(gpu: Gpu, case: OpCase) -> dict[str, Any]:
    """A case's inputs in memory of the GPU."""
    return {
        name: tuple(gpu.put(a) for a in arrays) if isinstance(arrays, list | tuple) else gpu.put(arrays)
        for name, arrays in case.inputs.items()
    }
