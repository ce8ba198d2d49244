"""What TensorRT and TensorRT-RTX share on the way to an engine: their package, what they log, parsing, building.

Only calls that TensorRT 10.13, 11 and TensorRT-RTX 1.7 all have. Precision is what the ONNX graph says (strongly typed
networks): there are no flags for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import EngineBuildError, MissingExtraError
from .engine import Built, Request, Told
from .tensorrt_kernels import Remembered

__all__ = ["Facts", "Log", "build", "package"]

_REASONS = 20  # of what was logged, the last ones are told


class Facts:
    """In what the two differ.

    name, package, extra   the module, what pip calls it, and the extra of this package that installs it
    title                  as its makers write it
    absent                 whether it builds for cards that are not here, and compiles the last part where it loads
    flags                  of BuilderFlag, that are set
    """

    def __init__(
        self, name: str, package: str, extra: str, title: str, *, absent: bool, flags: Sequence[str] = ()
    ) -> None:
        self.name, self.package, self.extra, self.title, self.absent = name, package, extra, title, absent
        self.flags = tuple(flags)


class Log:
    """Collects what a package logs. Each package registers one logger for the process, so there is one of these."""

    def __init__(self, trt: Any) -> None:
        self._lock = threading.Lock()
        self.errors: list[str] = []
        self.warnings: list[str] = []
        kept = {trt.ILogger.INTERNAL_ERROR: self.errors, trt.ILogger.ERROR: self.errors}
        kept[trt.ILogger.WARNING] = self.warnings

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                lines = kept.get(severity)
                if lines is not None:
                    lines.append(" ".join(message.split()))
                    del lines[:-_REASONS]

        self.logger = Logger()

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """What is logged from now on is of this call alone: building and loading take turns."""
        with self._lock:
            self.clear()
            yield

    def clear(self) -> None:
        self.errors.clear()
        self.warnings.clear()

    def reasons(self, fallback: str = "it logged no reason") -> list[str]:
        """The errors logged, each once."""
        return list(dict.fromkeys(self.errors)) or [fallback]


@cache
def _package(name: str) -> tuple[Any, Log]:
    trt = import_module(name)
    return trt, Log(trt)


def package(facts: Facts, purpose: str) -> tuple[Any, Log]:
    """The module and its log. Raises MissingExtraError where it is not installed."""
    try:
        return _package(facts.name)
    except ImportError as error:
        raise MissingExtraError(facts.package, facts.extra, purpose) from error


def build(
    facts: Facts,
    request: Request,
    onnx: bytes,
    targets: Sequence[int],
    told: Told,
    timings: Remembered | None = None,
) -> Built:
    """The plan for a request.

    targets  compute capabilities such as 86; empty: those of the builder's default
    timings  what was measured in earlier builds, read and added to

    Raises EngineBuildError with everything that was refused, each with its node.
    """
    trt, log = package(facts, f"building {request.words}")
    title = f"{request.words}: {facts.title} {trt.__version__}"
    with log.fresh():
        try:
            builder = trt.Builder(log.logger)
        except TypeError as error:  # what the binding makes of a null pointer
            raise EngineBuildError(f"{title} cannot build here", log.reasons(str(error))) from error
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, log.logger)
        if not parser.parse(onnx):
            found = [parser.get_error(i) for i in range(parser.num_errors)]
            raise EngineBuildError(f"{title} cannot parse it", [_words(e) for e in found] or log.reasons())
        wrong = list(_misfits(trt, network, request))
        if wrong:
            raise EngineBuildError(f"{title}: the ONNX file is not what the network's description says", wrong)
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: ten bits of mantissa where the graph says fp32
        _add_profile(builder, config, network, request, title)
        for flag in facts.flags:
            config.set_flag(getattr(trt.BuilderFlag, flag))
        _aim(trt, config, targets, title)
        known = None if timings is None else _with_timings(config, timings)
        monitor = _monitor(trt, told)
        config.progress_monitor = monitor
        log.clear()
        with _interruptible(monitor):
            plan = builder.build_serialized_network(network, config)
        if known is not None and timings is not None:
            timings.write(bytes(known.serialize()))
        if monitor.interrupted is not None:
            raise monitor.interrupted
        if plan is None:
            raise EngineBuildError(f"{title} cannot build it", log.reasons())
        facts_told = {
            "layers": network.num_layers,
            "profile": {p.name: [list(p.at(s)) for s in request.sizes] for p in request.part.inputs},
            "warnings": list(dict.fromkeys(log.warnings)),
        }
        return Built(bytes(plan), facts_told)


def _words(error: Any) -> str:
    """One parser error: node "a" (Det): UNSUPPORTED_NODE ..."""
    index, name, operator = error.node(), error.node_name(), error.node_operator()
    node = "the file" if index < 0 else f"node {name!r}" if name else f"node number {index}"
    words = f"{node}{f' ({operator})' if operator else ''}: {error.code().name}"
    # The checks of whole operators say only which condition did not hold: "false" for those it does not have at all.
    said = " ".join(error.desc().split())
    if said not in ("", "false"):
        words += f": {said}"
    stack = list(error.local_function_stack())
    return words + (f", in the function {' > '.join(stack)}" if stack else "")


def _misfits(trt: Any, network: Any, request: Request) -> Iterator[str]:
    ways = (
        ("inputs", request.part.inputs, [network.get_input(i) for i in range(network.num_inputs)]),
        ("outputs", request.part.outputs, [network.get_output(i) for i in range(network.num_outputs)]),
    )
    for way, ports, tensors in ways:
        got, expected = {t.name: t for t in tensors}, {p.name: p for p in ports}
        if got.keys() != expected.keys():
            yield f"{way} are {', '.join(got) or 'none'}; expected {', '.join(expected)}"
            continue
        for name, tensor in got.items():
            if tensor.dtype != trt.float32:
                yield f"{name} is {tensor.dtype.name}; expected FLOAT"
            for size in dict.fromkeys(request.sizes):
                shape, wanted = tuple(tensor.shape), expected[name].at(size)
                if len(shape) != len(wanted) or any(a not in (-1, b) for a, b in zip(shape, wanted, strict=True)):
                    yield f"{name} has the shape {shape}; expected {wanted} for {size[1]}x{size[0]}"


def _add_profile(builder: Any, config: Any, network: Any, request: Request, title: str) -> None:
    ports = {p.name: p for p in request.part.inputs}
    tensors = [network.get_input(i) for i in range(network.num_inputs)]
    free = [t.name for t in tensors if -1 in tuple(t.shape)]
    if not free:
        return
    profile = builder.create_optimization_profile()
    for name in free:
        profile.set_shape(name, *(ports[name].at(size) for size in request.sizes))
    if config.add_optimization_profile(profile) < 0:
        raise EngineBuildError(f"{title} does not take the sizes {request.sizes} (rows, columns)")


def _aim(trt: Any, config: Any, targets: Sequence[int], title: str) -> None:
    if not targets:
        return
    known = trt.ComputeCapability.__members__
    absent = [str(t) for t in targets if f"SM{t}" not in known]
    if absent:
        has = ", ".join(n.removeprefix("SM") for n in known if n.startswith("SM"))
        raise EngineBuildError(f"{title} does not build for compute capability {', '.join(absent)}; it has {has}")
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        config.set_compute_capability(known[f"SM{target}"], i)


def _with_timings(config: Any, timings: Remembered) -> Any:
    """The timing cache that the build uses and adds to: what was remembered if it fits, else a new one."""
    for data in (timings.read(), b""):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


@contextmanager
def _interruptible(monitor: Any) -> Iterator[None]:
    """Have Ctrl-C end a build at its next step.

    The builder calls us back from C++, which prints what we raise there and drops it. So the handler raises nothing:
    what the one before it would have raised is left with the monitor, and raised when the builder has returned.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # signals come to the main thread alone
        return

    def handle(number: int, frame: Any) -> None:
        try:
            before(number, frame)
        except BaseException as error:
            monitor.interrupted = error

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _monitor(trt: Any, told: Told) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Tells of the outermost phases. What `told` raises, and Ctrl-C, ends the build at its next step."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted: BaseException | None = None

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                try:
                    told(f"{phase}, {steps} steps")
                except BaseException as error:
                    # It may not pass through the builder, which is C++ and not ours.
                    self.interrupted = error

        def phase_finish(self, phase: str) -> None:
            pass

        def step_complete(self, phase: str, step: int) -> bool:
            return self.interrupted is None

    return Monitor()
