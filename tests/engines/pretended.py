"""A GPU and a TensorRT made of NumPy: streams run what is queued at once, and recordings keep what they were given.

Addresses are real ones of the host, and a recorded run has those that were set when it was recorded, as on a card: a
stale address gives a wrong picture here too.
"""

from __future__ import annotations

import ctypes
import weakref
from types import SimpleNamespace

import numpy as np

from reelmend import _native
from reelmend.errors import DeviceError


class Held:
    """An array that says it is on a GPU."""

    __module__ = "pycuda.gpuarray"

    def __init__(self, array, stream=None, device=0):
        self.array, self.stream, self.device = np.ascontiguousarray(array, np.float32), stream, device

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)

    @property
    def __cuda_array_interface__(self):
        return {**self.array.__array_interface__, "strides": None, "stream": self.stream}


def at(address, shape):
    """The float32 array at an address."""
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)


class Driver:
    """What reelmend._cuda is to the engines. `log` has what was done, `recording` what is queued on a stream."""

    def __init__(self):
        self.log, self.recording, self.device, self.made = [], {}, 0, 15
        self.refuses = ""  # why a recording fails
        driver = self

        class Stream:
            def __init__(self, device=0):
                driver.made += 1
                self.device, self.handle = device, driver.made

        class Event:
            def __init__(self, timing=False):
                pass

            def record(self, stream):
                driver.log.append(("record", stream))

            def wait(self, stream):
                driver.log.append(("wait", stream))

        class Memory:
            def __init__(self, bytes, device=0):
                self.bytes, self.device, self.array = bytes, device, np.zeros(bytes, np.uint8)
                self.address = self.array.ctypes.data

            def __del__(self):
                self.array[:] = 255  # whoever still reads here gets nonsense

        self.Stream, self.Event, self.Memory = Stream, Event, Memory

    def queue(self, stream, call):
        if stream in self.recording:
            self.recording[stream].append(call)
        else:
            call()

    def capture_begin(self, stream):
        assert stream > 2
        assert not self.recording
        self.recording[stream] = []

    def capture_end(self, stream):
        calls = self.recording.pop(stream)
        if self.refuses or not calls:
            raise DeviceError(self.refuses or "recording a graph: nothing was queued on the stream")
        self.log.append(("recorded", stream))
        return SimpleNamespace(nodes=len(calls), launch=lambda s: self._launch(calls, s))

    def _launch(self, calls, stream):
        self.log.append(("launch", stream))
        for call in calls:
            self.queue(stream, call)

    def capture_drop(self, stream):
        self.recording.pop(stream, None)

    def is_capturing(self, stream):
        return stream in self.recording

    def order(self, earlier, later):
        self.log.append(("order", earlier, later))

    def synchronise(self, stream):
        self.log.append(("synchronise", stream))

    def locate(self, x, shape, what, writable):
        assert tuple(shape) == tuple(x.shape)
        return x.array.ctypes.data, x.stream or 0, x.device

    def current_device(self):
        return self.device

    def set_device(self, device):
        self.device = device

    def device_count(self):
        return 2

    def device_info(self, index):
        return {"name": "A card", "compute_capability": "8.6"}

    def why_not(self):
        return ""


class Context:
    """Gives y of twice the size of x, each sample four times, once more what `gain` says. Works in its activations."""

    def __init__(self, driver, engine):
        self.driver, self.engine = driver, engine
        self.shape, self.addresses, self.memory = None, {}, (0, 0)

    def set_input_shape(self, name, shape):
        self.shape = tuple(shape)
        return self.engine.fault != "shape" or self.engine.says("no such shape")

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return self.engine.fault != "address" or self.engine.says("misaligned")

    def set_device_memory(self, address, size):
        assert size >= self.engine.device_memory_size_v2
        self.memory = (address, size)

    def execute_async_v3(self, stream):
        if self.engine.fault == "run":
            return self.engine.says("out of luck")
        x, y, shape, memory = self.addresses["x"], self.addresses["y"], self.shape, self.memory[0]

        def run():
            picture = at(x, shape)
            rows = at(memory, shape)
            np.multiply(picture, self.engine.gain, out=rows)
            at(y, (1, 3, 2 * shape[2], 2 * shape[3]))[...] = rows.repeat(2, 2).repeat(2, 3)

        self.driver.queue(stream, run)
        return True


class Package:
    """What tensorrt and tensorrt_rtx are to the adapter, as far as running goes."""

    __version__ = "99.1"
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="given")
    DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    def __init__(self, driver, size=1 << 16, fault="", gain=2.0):
        self.driver, self.fault, self.gain, self.device_memory_size_v2 = driver, fault, gain, size
        self.caches = []  # what runtime caches were given, then kept

    def says(self, words):
        self.logger.log(1, words)
        return False

    def Runtime(self, logger):
        self.logger = logger
        if self.fault == "runtime":
            self.says("no driver")
            raise TypeError("factory function returned nullptr")
        return self

    def deserialize_cuda_engine(self, plan):
        if self.fault == "plan":
            self.says("version tag does not match")
            return None
        return self

    def create_runtime_config(self):
        cache = SimpleNamespace(deserialize=self.caches.append, serialize=lambda: b"kernels for 99.1")
        return SimpleNamespace(
            set_execution_context_allocation_strategy=lambda how: None,
            create_runtime_cache=lambda: cache,
            set_runtime_cache=lambda cache: True,
        )

    def create_execution_context(self, how):
        return None if self.fault == "context" else Context(self.driver, self)


class Card:
    """An array of any kind that says it is on a GPU. Arithmetic takes memory, so none may be done in a recording."""

    __module__ = "pycuda.gpuarray"

    def __init__(self, array, driver, owner=None):
        self.array, self.driver, self.owner = array, driver, owner
        self.stream, self.device = None, 0

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)

    @property
    def __cuda_array_interface__(self):
        return {**self.array.__array_interface__, "stream": self.stream}

    def __getitem__(self, where):
        return Card(self.array[where], self.driver, self)

    def __setitem__(self, where, x):
        assert not self.driver.recording
        self.array[where] = x.array

    def _made(self, array):
        assert not self.driver.recording
        return Card(np.ascontiguousarray(array), self.driver)

    def astype(self, dtype):
        return self._made(self.array.astype(dtype))

    def clip(self, low, high):
        return self._made(self.array.clip(low, high))

    def __add__(self, x):
        return self._made(self.array + getattr(x, "array", x))

    def __mul__(self, x):
        return self._made(self.array * getattr(x, "array", x))

    def __truediv__(self, x):
        return self._made(self.array / getattr(x, "array", x))


def _unwrapped(x):
    if isinstance(x, list | tuple):
        return type(x)(map(_unwrapped, x))
    return x.array if isinstance(x, Card) else x


class Cuda(Driver):
    """All of reelmend._cuda: ops are done by the CPU's, when their stream comes to them. `log` has them too.

    What is taken is what was given back last, as from the pools of libraries that hold arrays on a GPU.
    """

    def __init__(self):
        super().__init__()
        self.free = {}

    def __getattr__(self, name):
        op = getattr(_native, name)

        def queued(*arguments):
            *given, stream = map(_unwrapped, arguments)

            def run():
                self.log.append((name, stream))
                op(*given, None)

            self.queue(stream, run)

        return queued

    def put(self, array):
        return Card(np.array(array, order="C"), self)

    def empty(self, shape, dtype):
        assert not self.recording
        free = self.free.setdefault((tuple(shape), np.dtype(dtype)), [])
        array = free.pop() if free else np.empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[:] = 255  # whoever still reads here gets nonsense
        card = Card(array, self)
        weakref.finalize(card, free.append, array)
        return card
