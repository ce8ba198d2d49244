"""From the name of a network to an engine that runs: on which backend, in which precision, built or kept, accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import DeviceError, EngineBuildError, EngineError, EngineRejected, OptionError
from ..fallback import Fallback
from ..ops._memory import gpu_of
from .acceptance import accept
from .cache import EngineCache, Entry
from .catalogue import find
from .engine import Backend, Built, Engine, Request, Told, unrecorded
from .graph import SharedMemory
from .network import PRECISIONS, Network, Precision, Size
from .onnxruntime import OnnxRuntime
from .openvino import OpenVino
from .tensorrt import TensorRT

__all__ = ["BACKENDS", "EnginePlan", "build_ahead", "open_engine", "plan_engine"]

BACKENDS: dict[str, Backend] = {
    b.name: b for b in (TensorRT("tensorrt"), TensorRT("tensorrt_rtx"), OpenVino(), OnnxRuntime())
}

Choice = Literal["auto", "fp32", "mixed", "fp16", "int8"]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How a part of a network would run, known before anything is built.

    request    network, part, size, precision, device
    backend    what runs it; `state`: "ready" (nothing to build), "cached" or "to build", `why` a build is needed
    fallbacks  what was wanted and is not used
    """

    request: Request
    backend: str
    state: Literal["ready", "cached", "to build"]
    why: str = ""
    fallbacks: tuple[Fallback, ...] = ()

    def __str__(self) -> str:
        rows, columns = self.request.size
        state = f"{self.state} ({self.why})" if self.why else self.state
        return f"{self.request.words}, {columns}x{rows}, {self.backend} on {self.request.device}: {state}"

    @property
    def why_not_recorded(self) -> str:
        """As that of the engine: why a caller's graph on a GPU cannot have its runs; "" if it can."""
        return "" if BACKENDS[self.backend].records else unrecorded(self.backend)


def _candidates(
    network: Network, part: str, device: str, precision: Choice, backend: str
) -> Iterator[tuple[Backend, Precision, str]]:
    """(backend, precision, why not), the best first: TensorRT, then its RTX form; on a CPU OpenVINO; ONNX Runtime."""
    if precision not in ("auto", *PRECISIONS):
        raise OptionError(f"precision is {precision!r}; expected auto, {', '.join(PRECISIONS)}")
    if backend != "auto" and backend not in BACKENDS:
        raise OptionError(f"backend is {backend!r}; expected auto, {', '.join(BACKENDS)}")
    gpu_of(device)  # refuses a word that is no device
    files = network.part(part).files
    for b in [BACKENDS[backend]] if backend != "auto" else BACKENDS.values():
        if backend == "auto" and not b.offered(network, device):
            continue
        why = b.why_not(device)
        wanted = b.precisions if precision == "auto" else (precision,)
        for p in wanted:
            if p in files:
                yield b, p, why
            elif precision != "auto":
                network.file(part, p)  # says which there are
            if why:
                break


def _request(
    network: Network,
    part: str,
    size: Size,
    precision: Precision,
    device: str,
    smallest: Size | None,
    largest: Size | None,
    threads: int,
) -> Request:
    p = network.part(part)
    ends = [None if s is None else p.padded(s) for s in (smallest, largest)]
    return Request(network, p, p.padded(size), precision, device, ends[0], ends[1], threads)


def plan_engine(
    network: str | Network,
    part: str = "main",
    *,
    size: Size,
    device: str = "cpu",
    precision: Choice = "auto",
    backend: str = "auto",
    smallest: Size | None = None,
    largest: Size | None = None,
    threads: int = 0,
    cache: EngineCache | None = None,
) -> EnginePlan:
    """What open_engine with the same arguments would do first. Builds and loads nothing.

    Raises NetworkError, OptionError, and DeviceError where nothing here can run it on the device.
    """
    net = find(network) if isinstance(network, str) else network
    store = cache or EngineCache()
    fallbacks: list[tuple[str, str]] = []
    for b, p, why in _candidates(net, part, device, precision, backend):
        request = _request(net, part, size, p, device, smallest, largest, threads)
        if why:
            fallbacks.append((b.name, why))
            continue
        used = f"{b.name} {p}"
        told = tuple(Fallback(wanted, used, because) for wanted, because in fallbacks)
        if not _kept(b, request):
            return EnginePlan(request, b.name, "ready", "", told)
        fields = _fields(b, request, net.onnx(part, p))
        known = store.get(fields)
        if known is not None and "rejected" in known.manifest:
            fallbacks.append((used, f"it was rejected: {known.manifest['rejected']['text']}"))
            continue
        if known is not None:
            return EnginePlan(request, b.name, "cached", "", told)
        return EnginePlan(request, b.name, "to build", store.explain(fields), told)
    raise _nothing(net, part, device, fallbacks)


def _nothing(network: Network, part: str, device: str, tried: list[tuple[str, str]]) -> DeviceError:
    said = "; ".join(f"{name}: {why}" for name, why in tried) or "it has no file that a backend takes"
    other = "backend='auto'" if device == "cpu" else "device='cpu'"
    return DeviceError(f"{network.name}/{part} cannot run on {device}: {said}; use {other}, or see 'reelmend doctor'")


def _kept(backend: Backend, request: Request) -> bool:
    """Whether the cache holds something of it: a plan, or the figures that show that it may be trusted."""
    reference = backend.name == OnnxRuntime.name and request.device == "cpu" and request.precision == "fp32"
    return not reference


def _fields(backend: Backend, request: Request, onnx: bytes) -> dict[str, Any]:
    """Everything that decides what a built engine is: the cache's key is made of it."""
    return {
        "network": request.network.name,
        "part": request.part.name,
        "backend": backend.name,
        "precision": request.precision,
        "device": request.device.partition(":")[0],
        "onnx": hashlib.sha256(onnx).hexdigest(),
        "shapes": {p.name: [list(p.at(s)) for s in request.sizes] for p in request.part.inputs},
        "targets": list(request.targets),
        **backend.identity(request),
    }


def open_engine(
    network: str | Network,
    part: str = "main",
    *,
    size: Size,
    device: str = "cpu",
    precision: Choice = "auto",
    backend: str = "auto",
    smallest: Size | None = None,
    largest: Size | None = None,
    threads: int = 0,
    cache: EngineCache | None = None,
    told: Told | None = None,
    memory: SharedMemory | None = None,
) -> Engine:
    """An engine for a part of a network: found in the cache or built, compared with the reference, loaded.

    network    a name of the catalogue, the path of a network's folder, or the Network
    size       (rows, columns) of its pictures; padded up to the part's multiple: `engine.size` tells
    device     "cpu", "cuda" or "cuda:N"
    precision  "auto" takes the fastest that passes: fp16, then mixed, then fp32 on a GPU; fp32 on a CPU
    backend    "auto", "tensorrt", "tensorrt_rtx", "openvino" or "onnxruntime". On a CPU "auto" is OpenVINO for networks
               that enlarge, where its extra is installed, else ONNX Runtime
    smallest, largest   sizes between which `engine.resize` may change it; unless given, the engine is for one size
    threads    on a CPU; 0: one a core
    told       is called with a line for each thing that takes long or was not taken
    memory     on a GPU, for activations: give the same to engines that never run at once, and they need as much as the
               largest of them, not as all. TensorRT and TensorRT-RTX take it; others have their own

    `engine.fallbacks` tells what was wanted and not used. Raises NetworkError for a network that is not there or is
    broken, EngineBuildError with everything the builder refused, EngineRejected if it differs from the reference by
    more than its bar (with precision="auto": when the last one does), DeviceError where nothing runs on the device,
    MissingExtraError for "openvino" where it is not installed.
    """
    net = find(network) if isinstance(network, str) else network
    say = told or (lambda line: None)
    store = cache or EngineCache()
    failed: list[tuple[str, str]] = []
    last: EngineError | None = None
    for b, p, why in _candidates(net, part, device, precision, backend):
        used = f"{b.name} {p}"
        if why:
            failed.append((b.name, why))
            continue
        plain = _request(net, part, size, p, device, smallest, largest, threads)
        request = replace(plain, memory=memory, kernels=store.kernels)
        try:
            engine = _opened(b, request, store, say)
        except (EngineBuildError, EngineRejected) as error:
            say(str(error))
            failed.append((used, str(error)))
            last = error
            continue
        engine.fallbacks = tuple(Fallback(wanted, used, because) for wanted, because in failed)
        return engine
    if last is not None:
        for wanted, because in failed[:-1]:
            last.add_note(f"{wanted}: {because}")
        raise last
    raise _nothing(net, part, device, failed)


def _opened(backend: Backend, request: Request, store: EngineCache, told: Told) -> Engine:
    onnx = request.network.onnx(request.part.name, request.precision)
    if not _kept(backend, request):
        return backend.load(request, onnx, None)
    loaded: list[Engine] = []

    def made() -> tuple[Built, Engine]:
        brought = _brought(backend, request, store, onnx)
        if brought is not None:
            told(f"{request.words}: takes the engine that was built ahead for this card")
            try:
                return Built(brought), backend.load(request, onnx, brought)
            except EngineError as error:
                told(f"{request.words}: that engine does not load here: {error}; it is built again")
        built = backend.build(request, onnx, told) if backend.builds else Built(b"")
        return built, backend.load(request, onnx, built.plan or None)

    def build() -> tuple[bytes, dict[str, Any]]:
        built, engine = made()
        try:
            accepted = accept(engine)
        except EngineRejected as error:
            engine.close()
            return b"", {**built.facts, "rejected": _rejection(error)}
        loaded.append(engine)
        return built.plan, {**built.facts, "acceptance": accepted.as_dict()}

    def load(entry: Entry) -> Engine | None:
        if "rejected" in entry.manifest:
            return None
        return loaded.pop() if loaded else backend.load(request, onnx, entry.plan or None)

    engine, entry = store.open(_fields(backend, request, onnx), build, load, told)
    if engine is None:
        raise _rejected(entry)
    return engine


def build_ahead(
    network: str | Network,
    part: str = "main",
    *,
    size: Size,
    target: int,
    precision: Choice = "auto",
    smallest: Size | None = None,
    largest: Size | None = None,
    cache: EngineCache | None = None,
    told: Told | None = None,
) -> Entry:
    """Build an engine with TensorRT-RTX for a card that is not here, on any machine, and keep it in the cache.

    target  its compute capability as a number: 86 for 8.6, 120 for 12.0
    Others as open_engine takes them; "auto" is the first precision that the network has of fp16, mixed, fp32.

    It cannot be compared without its card: open_engine does that when it first meets it, in a cache that was brought
    there. Raises NetworkError, EngineBuildError, MissingExtraError.
    """
    net = find(network) if isinstance(network, str) else network
    backend = BACKENDS["tensorrt_rtx"]
    known = net.part(part).files
    first: Precision = next((p for p in backend.precisions if p in known), "fp32")
    wanted: Precision = first if precision == "auto" else precision
    plain = _request(net, part, size, wanted, "cuda", smallest, largest, 0)
    request = replace(plain, targets=(target,))
    onnx = net.onnx(part, wanted)
    say = told or (lambda line: None)

    def build() -> tuple[bytes, dict[str, Any]]:
        built = backend.build(request, onnx, say)
        return built.plan, dict(built.facts)

    return (cache or EngineCache()).get_or_build(_fields(backend, request, onnx), build, say)


def _brought(backend: Backend, request: Request, store: EngineCache, onnx: bytes) -> bytes | None:
    """The plan of an engine that was built ahead for the card of this machine, if the cache has one."""
    if backend.name != "tensorrt_rtx":
        return None
    capability = backend.identity(request)["capability"]
    found = store.get(_fields(backend, replace(request, targets=(int(capability.replace(".", "")),)), onnx))
    return found.plan if found is not None else None


_FIGURES = ("psnr", "largest", "bar_psnr", "bar_largest")


def _rejection(error: EngineRejected) -> dict[str, Any]:
    words = {name: getattr(error, name) for name in ("network", "part", "engine", "output", "sample")}
    # JSON has no infinity
    figures = {name: max(-1e9, min(1e9, getattr(error, name))) for name in _FIGURES}
    return {"text": str(error), **words, **figures}


def _rejected(entry: Entry) -> EngineRejected:
    told = dict(entry.manifest["rejected"])
    told.pop("text")
    return EngineRejected(**told)
