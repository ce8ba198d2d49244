"""What an engine is, and what a backend is that makes one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import ArrayError, EngineError
from ..fallback import Fallback
from ..frame import Array
from ..ops._dispatch import dtype_of
from .network import Network, Part, Precision, Size

if TYPE_CHECKING:
    from .graph import SharedMemory

__all__ = ["Backend", "Built", "Engine", "Request", "Told", "unrecorded"]

Told = Callable[[str], None]  # is told, a line at a time, what takes long


@dataclass(frozen=True, slots=True)
class Request:
    """How a part of a network is to run.

    size       rows and columns of its input pictures, a multiple of the part's (Part.padded)
    smallest, largest   other sizes it may be given later; None: only `size`, the fastest
    device     "cpu", "cuda" or "cuda:N"
    threads    of a CPU; 0: one a core
    targets    CUDA compute capabilities to build for, such as (75, 86), where a builder can build for absent cards;
               empty: this machine's, or what the builder's engines run on by default
    memory     for activations on a GPU, shared by engines that take turns; None: each has its own. Backends that hold
               activations in memory of their own leave it alone
    kernels    folder of what makes the next build or load faster; None: that of the user's cache of engines
    """

    network: Network
    part: Part
    size: Size
    precision: Precision = "fp32"
    device: str = "cpu"
    smallest: Size | None = None
    largest: Size | None = None
    threads: int = 0
    targets: tuple[int, ...] = ()
    memory: SharedMemory | None = field(default=None, compare=False, repr=False)
    kernels: Path | None = field(default=None, compare=False, repr=False)

    @property
    def dynamic(self) -> bool:
        return self.smallest is not None or self.largest is not None

    @property
    def sizes(self) -> tuple[Size, Size, Size]:
        """(smallest, usual, largest)."""
        return self.smallest or self.size, self.size, self.largest or self.size

    @property
    def words(self) -> str:
        return f"{self.network.name}/{self.part.name} {self.precision}"


def check_ports(request: Request, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise EngineError unless a graph's inputs and outputs are those that the part's description names."""
    for way, names, expected in (
        ("inputs", inputs, request.part.inputs),
        ("outputs", outputs, request.part.outputs),
    ):
        if sorted(names) != sorted(p.name for p in expected):
            raise EngineError(f"{request.words}: its {way} are {list(names)}; expected {[p.name for p in expected]}")


class Engine(ABC):
    """A part of a network that can run: named buffers in, named buffers out. Not thread-safe.

    inputs, outputs  shapes at the size it was opened for
    backend          "onnxruntime", "openvino", "tensorrt" ...; `precision`, `device` as they came to be
    memory           bytes of activations and weights it holds, as far as its backend tells
    fallbacks        what was wanted and is not used, and why
    """

    backend: str
    fallbacks: tuple[Fallback, ...] = ()

    def __init__(self, request: Request) -> None:
        self.request = request
        self.part = request.part
        self.precision = request.precision
        self.device = request.device
        self.memory = 0
        self.resize(request.size)

    @property
    def why_not_recorded(self) -> str:
        """Why runs on a GPU cannot be part of a graph that their caller records; "" if they can."""
        return unrecorded(self.backend)

    def resize(self, size: Size) -> None:
        """Run on frames of another size from now on. Raises EngineError for one it was not opened for."""
        low, _, high = self.request.sizes
        if not all(a <= n <= b for a, n, b in zip(low, size, high, strict=True)) or size != self.part.padded(size):
            raise EngineError(
                f"{self.request.words}: {size[1]}x{size[0]} is not a size this engine was opened for: "
                f"{low[1]}x{low[0]}" + (f" to {high[1]}x{high[0]}" if high != low else "")
            )
        self.size = size
        self.inputs = {p.name: p.at(size) for p in self.part.inputs}
        self.outputs = {p.name: p.at(size) for p in self.part.outputs}

    @abstractmethod
    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None, stream: Any = None
    ) -> dict[str, Array]:
        """Run once.

        inputs   float32 C-contiguous arrays by name, on the engine's device (NumPy on the CPU)
        outputs  arrays to write to; those not given are allocated beside the inputs
        stream   a CUDA stream (handle or object) on which the work is queued; the call does not wait for it

        Gives all outputs by name. Raises ArrayError for arrays that do not fit, EngineError if the run fails.
        """

    def close(self) -> None:  # noqa: B027
        """Give back what it holds."""

    def checked(self, given: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]], way: str) -> None:
        """Raise ArrayError unless arrays fit by name, shape, dtype and layout."""
        if given.keys() != expected.keys():
            raise ArrayError(
                f"{self.request.words}: {way} are {', '.join(given) or 'none'}; expected {', '.join(expected)}"
            )
        for name, shape in expected.items():
            x = given[name]
            got = tuple(x.shape)
            if got != shape or dtype_of(x).name != "float32":
                raise ArrayError(f"{self.request.words}: {name} is {dtype_of(x).name} {got}; expected float32 {shape}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Built:
    """What a backend's build gave: the bytes that are kept, and what is told of them in the manifest."""

    plan: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


def unrecorded(backend: str) -> str:
    """Why runs by a backend that does not record are not part of a graph."""
    return f"{backend} takes memory and copies from the host as it runs, which a graph would not do anew"


class Backend(ABC):
    """One way to run networks.

    name    as in plans and manifests
    extra   the extra of this package that installs it, None if it is always there
    builds  whether engines are built, and so kept in the cache
    records  whether runs of its engines on a GPU can be part of a graph that their caller records: they take no memory
             and copy nothing from the host
    """

    name: str
    extra: str | None = None
    builds: bool = False
    records: bool = False
    precisions: tuple[Precision, ...] = ("fp32",)  # tried in this order

    def offered(self, network: Network, device: str) -> bool:
        """Whether "auto" considers it there at all. Of what is not offered a plan says nothing."""
        return device != "cpu" or not self.builds

    @abstractmethod
    def why_not(self, device: str) -> str:
        """Why it cannot run on this device here; "" if it can. May raise MissingExtraError where it is not offered."""

    @abstractmethod
    def identity(self, request: Request) -> dict[str, str]:
        """What else decides whether a built engine still fits: builder and version, GPU, compute capability, driver."""

    def build(self, request: Request, onnx: bytes, told: Told) -> Built:
        """Build. Raises EngineBuildError that lists everything the builder refused."""
        raise NotImplementedError(f"{self.name} builds nothing")

    @abstractmethod
    def load(self, request: Request, onnx: bytes, plan: bytes | None) -> Engine:
        """An engine from what was built (None where nothing is). Raises EngineError if it does not load here."""
