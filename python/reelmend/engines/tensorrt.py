"""TensorRT and TensorRT-RTX: networks compiled for a GPU, run on its streams, recorded as CUDA graphs and replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArrayError, EngineBuildError, EngineError, OptionError, ReelmendError
from ..frame import Array
from ..ops._dispatch import empty, is_cuda, stream_of
from .engine import Backend, Built, Engine, Request, Told
from .graph import Graphs, SharedMemory, cuda_module, device_index, on_device
from .network import Network, Precision, Size
from .tensorrt_build import Facts, Log, build, package
from .tensorrt_kernels import Remembered, remembered

__all__ = ["TensorRT", "check_builds"]

Addresses = tuple[tuple[str, int], ...]  # of inputs and outputs, by name

TARGETS = (75, 80, 86, 89, 120)  # from Turing to Blackwell, as far as TensorRT-RTX builds for cards that are not here

_BOTH = {
    "tensorrt": Facts("tensorrt", "tensorrt", "tensorrt", "TensorRT", absent=False),
    # Without that flag an engine may ask for memory while it runs, and could then not be recorded.
    "tensorrt_rtx": Facts(
        "tensorrt_rtx", "tensorrt-rtx", "rtx", "TensorRT-RTX", absent=True, flags=["REQUIRE_USER_ALLOCATION"]
    ),
}
_DRIVER = Path("/sys/module/nvidia/version")


def _served(name: str, capability: str) -> bool:
    """Whether a card is served, by its compute capability "8.6"."""
    major, minor = (int(n) for n in capability.split("."))
    if name == "tensorrt":
        return (major, minor) >= (7, 5)
    return (major, minor) == (7, 5) or major == 8 or major == 12  # cards for display and not for data centres alone


class TensorRT(Backend):
    """Builds engines with TensorRT ("tensorrt") or TensorRT-RTX ("tensorrt_rtx") and runs them.

    TensorRT measures on the card at hand and builds for it alone. TensorRT-RTX builds without a card, in seconds, for
    any it serves, and compiles the last part when the engine is loaded there.
    """

    builds = True
    records = True
    precisions: tuple[Precision, ...] = ("fp16", "mixed", "fp32")

    def __init__(self, name: str) -> None:
        if name not in _BOTH:
            raise OptionError(f"got {name!r}; expected {' or '.join(_BOTH)}")
        self.name = name
        self._facts = _BOTH[name]
        self.extra = self._facts.extra

    def why_not(self, device: str) -> str:
        if device == "cpu":
            return f"{self._facts.title} runs on NVIDIA GPUs, not on a CPU"
        try:
            package(self._facts, self._facts.title)
            index = device_index(device)
            cuda = cuda_module()
        except ReelmendError as error:
            return str(error)
        reason = str(cuda.why_not())
        if reason:
            return f"no GPU: {reason}"
        if index >= cuda.device_count():
            return f"no GPU {index}: there are {cuda.device_count()}"
        card = cuda.device_info(index)
        if not _served(self.name, card["compute_capability"]):
            return (
                f"{self._facts.title} does not serve {card['name']} (compute capability {card['compute_capability']})"
            )
        return ""

    def identity(self, request: Request) -> dict[str, str]:
        """Builder, version and flags, and the card: the one that is here, or those it is to be built for."""
        trt, _ = package(self._facts, f"building {request.words}")
        flags = " ".join(("-TF32", *(f"+{flag}" for flag in self._facts.flags)))
        builder = {"builder": f"{self.name} {trt.__version__}", "flags": flags}
        if request.targets:
            return {**builder, "capability": ", ".join(str(t) for t in request.targets)}
        card = cuda_module().device_info(device_index(request.device))
        return {**builder, "gpu": card["name"], "capability": card["compute_capability"], "driver": _driver()}

    def build(self, request: Request, onnx: bytes, told: Told) -> Built:
        if request.targets:
            if not self._facts.absent:
                raise EngineBuildError(
                    f"{request.words}: {self._facts.title} builds for the card that is here, not for compute "
                    f"capability {', '.join(str(t) for t in request.targets)}; leave targets empty, or use tensorrt_rtx"
                )
            return build(self._facts, request, onnx, request.targets, told)
        index = device_index(request.device)
        with on_device(index):
            capability = cuda_module().device_info(index)["compute_capability"]
            if self._facts.absent:
                return build(self._facts, request, onnx, (int(capability.replace(".", "")),), told)
            known = remembered("timings", *self.identity(request).values(), folder=request.kernels)
            return build(self._facts, request, onnx, (), told, known)

    def load(self, request: Request, onnx: bytes, plan: bytes | None) -> Engine:
        trt, log = package(self._facts, f"loading {request.words}")
        if not plan:
            raise EngineError(f"{request.words}: {self._facts.title} has nothing to load; build it first")
        compiled = None
        if self._facts.absent:
            compiled = remembered(
                "compiled", hashlib.sha256(plan).hexdigest()[:16], _card(request), folder=request.kernels
            )
        return _TensorRTEngine(self.name, trt, log, request, plan, compiled)


def _card(request: Request) -> str:
    cuda, index = cuda_module(), device_index(request.device)
    return str(cuda.device_info(index)["name"]) if index < cuda.device_count() else "none"


def _driver() -> str:
    """The driver's version, else the version of CUDA it is made for."""
    try:
        return _DRIVER.read_text("ascii").strip()
    except OSError:
        version = int(cuda_module().cuda_version())
        return f"of CUDA {version // 1000}.{version % 1000 // 10}"


class _TensorRTEngine(Engine):
    """A context, its activations and its graphs. Graphs hold addresses; a change of size makes them all invalid."""

    def __init__(
        self,
        backend: str,
        trt: Any,
        log: Log,
        request: Request,
        plan: bytes,
        compiled: Remembered | None,
    ) -> None:
        self.backend = backend
        self._log = log
        self._compiled = compiled
        self._kernels: Any = None
        self._index = device_index(request.device)
        self._graphs = Graphs()
        self._context: Any = None
        self._stream: Any = None
        self._shaped: Size | None = None
        with log.fresh():
            # The binding makes TypeError of a null pointer, as without a GPU or with a driver that is too old.
            try:
                self._runtime = trt.Runtime(log.logger)
                self._engine = self._runtime.deserialize_cuda_engine(plan)
            except TypeError as error:
                raise EngineError(_refusal(request, backend, log.reasons(str(error)))) from error
            if self._engine is None:
                raise EngineError(_refusal(request, backend, log.reasons()))
            with on_device(self._index):
                self._context, self._kernels = _context(trt, self._engine, compiled)
            if self._context is None:
                raise EngineError(_refusal(request, backend, log.reasons()))
        self._bytes = max(256, int(self._engine.device_memory_size_v2))
        self._activations = request.memory or SharedMemory(request.device)
        with on_device(self._index):
            self._activations.reserve(self._bytes)
        super().__init__(request)
        self.memory = self._bytes + len(plan)

    @property
    def why_not_recorded(self) -> str:
        """What was said when a recording failed, since when runs are queued one by one; "" if none did."""
        return self._graphs.why_not

    def resize(self, size: Size) -> None:
        super().resize(size)
        self._shaped = None

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None, stream: Any = None
    ) -> dict[str, Array]:
        if self._context is None:
            raise EngineError(f"{self.request.words}: this engine was closed")
        self.checked(inputs, self.inputs, "inputs")
        like = next(iter(inputs.values()))
        if not is_cuda(like):
            raise ArrayError(f"{self.request.words}: inputs are in host memory; this engine runs on {self.device}")
        with on_device(self._index):
            given = dict(outputs or {})
            results = {
                name: given.pop(name) if name in given else empty(shape, np.float32, like)
                for name, shape in self.outputs.items()
            }
            self.checked({**results, **given}, self.outputs, "outputs")
            addresses, producers = self._places(inputs, results)
            self._queue(addresses, producers, int(stream_of(like, stream) or 0))
        return results

    def _places(self, inputs: Mapping[str, Array], results: Mapping[str, Array]) -> tuple[Addresses, set[int]]:
        """Where the arrays lie, and the streams that their owners say they become valid on."""
        cuda = cuda_module()
        found, producers = [], set()
        for arrays, shapes, writable in ((inputs, self.inputs, False), (results, self.outputs, True)):
            for name, x in arrays.items():
                what = f"{self.request.words}: {name}"
                address, producer, device = cuda.locate(x, list(shapes[name]), what, writable)
                if device not in (-1, self._index):
                    raise ArrayError(f"{what} is on cuda:{device}; expected {self.device}")
                found.append((name, int(address)))
                producers.add(int(producer))
        return tuple(found), producers - {0}

    def _queue(self, addresses: Addresses, producers: set[int], stream: int) -> None:
        """On the stream; a default stream, which cannot be recorded, is followed and held up by one of our own."""
        cuda = cuda_module()
        own = stream
        if stream <= 2:
            self._stream = self._stream or cuda.Stream(self._index)
            own = self._stream.handle
            cuda.order(stream, own)
        for producer in producers - {stream}:
            cuda.order(producer, own)
        recorded_by_caller = cuda.is_capturing(own)
        if recorded_by_caller:
            self._activations.hold()
        else:
            self._activations.begin(own)
        first = self._shaped != self.size
        if first:
            self._shape()
        self._graphs.run(lambda s: self._execute(addresses, s), own, (addresses, self._activations.generation))
        if not recorded_by_caller:
            self._activations.end(own)
            if first:
                self._keep_compiled()
        if own != stream:
            cuda.order(own, stream)

    def _shape(self) -> None:
        """A context that is changed makes the graphs that were recorded with it invalid."""
        self._graphs.clear()
        self._log.clear()
        for name, shape in self.inputs.items():
            if not self._context.set_input_shape(name, shape):
                raise EngineError(_failure(self.request, f"{name} of {shape} was refused", self._log))
        self._shaped = self.size

    def _execute(self, addresses: tuple[tuple[str, int], ...], stream: int) -> None:
        self._log.clear()
        self._context.set_device_memory(self._activations.address, self._activations.bytes)
        for name, address in addresses:
            if not self._context.set_tensor_address(name, address):
                raise EngineError(_failure(self.request, f"the address of {name} was refused", self._log))
        if not self._context.execute_async_v3(stream):
            raise EngineError(_failure(self.request, "the run failed", self._log))

    def _keep_compiled(self) -> None:
        if self._kernels is not None and self._compiled is not None:
            self._compiled.write(bytes(self._kernels.serialize()))

    def close(self) -> None:
        if self._context is not None:
            self._keep_compiled()
            self._graphs.clear()
            # What is queued still uses the activations; freeing them waits for it.
            self._context = self._kernels = self._engine = self._runtime = self._stream = None
            self._activations = SharedMemory(self.device)


def _context(trt: Any, engine: Any, compiled: Remembered | None) -> tuple[Any, Any]:
    """A context to which we give memory for its activations, and where it keeps kernels that it compiles."""
    given = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if compiled is None:
        return engine.create_execution_context(given), None
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(given)
    # RTX compiles kernels for the shapes it meets: at once, since a graph would keep the slow ones that stand in.
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    kernels = config.create_runtime_cache()
    data = compiled.read()
    if data:
        kernels.deserialize(data)  # false where it does not fit: then it is empty
    config.set_runtime_cache(kernels)
    return engine.create_execution_context(config), kernels


def _refusal(request: Request, backend: str, reasons: Sequence[str]) -> str:
    return f"{request.words}: {backend} does not load this engine here: {'; '.join(reasons)}"


def _failure(request: Request, what: str, log: Log) -> str:
    return f"{request.words}: {what}: {'; '.join(log.reasons())}"


def check_builds(network: Network, targets: Sequence[int] = TARGETS) -> list[str]:
    """Whether TensorRT-RTX parses and builds all of a network: one line for each problem. Needs no GPU.

    Every part, in every precision of fp32, mixed and fp16 that it has, for one size and for a range of sizes, for each
    of the compute capabilities. Raises MissingExtraError where TensorRT-RTX is not installed.
    """
    backend = TensorRT("tensorrt_rtx")
    package(_BOTH["tensorrt_rtx"], f"building {network.name}")
    problems: dict[str, list[str]] = {}
    precisions: tuple[Precision, ...] = ("fp32", "mixed", "fp16")
    for part in network.parts.values():
        small, large = part.padded((64, 96)), part.padded((128, 192))
        ranges: tuple[tuple[Size, Size] | tuple[None, None], ...] = ((None, None), (small, large))
        for precision in precisions:
            if precision not in part.files:
                continue
            for low, high in ranges:
                for target in targets:
                    request = Request(network, part, small, precision, "cuda", low, high, targets=(target,))
                    try:
                        backend.build(request, network.onnx(part.name, precision), lambda line: None)
                    except ReelmendError as error:
                        way = "a range of sizes" if request.dynamic else "one size"
                        problems.setdefault(str(error), []).append(f"{way} on {target}")
    return [f"{said} [{', '.join(where)}]" for said, where in problems.items()]
