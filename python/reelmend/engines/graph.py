"""Work on a GPU that is recorded once and replayed: streams of our own, CUDA graphs, memory for activations.

Nothing here needs a Python library for CUDA: the calls are those of reelmend._cuda.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Literal

from ..errors import ArrayError, DeviceError, EngineError, OptionError
from ..frame import Array
from ..ops._dispatch import handle_of
from ..ops._memory import gpu_of

__all__ = ["Graphs", "Recorded", "SharedMemory", "Way", "cuda_module", "device_index", "on_device", "places"]

Way = Literal["plain", "recorded", "replayed"]
Work = Callable[[int], object]  # queues everything on the stream of this handle

_DEFAULT = 2  # handles up to this one are the default streams, which cannot be recorded


def cuda_module() -> Any:
    """reelmend._cuda. Raises DeviceError for a build without it."""
    try:
        return import_module("reelmend._cuda")
    except ImportError as error:
        raise DeviceError(
            f"this build has no CUDA module ({error}); build with REELMEND_CUDA=ON where nvcc is installed"
        ) from error


def device_index(device: str) -> int:
    """The number of a GPU. Raises OptionError for anything but "cuda" and "cuda:N"."""
    index = None
    with suppress(OptionError):
        index = gpu_of(device)
    if index is None:
        raise OptionError(f"device is {device!r}; expected 'cuda' or 'cuda:N'")
    return index


@contextmanager
def on_device(index: int) -> Iterator[None]:
    """Make this the GPU of the calling thread for a while: engines and streams belong to the one that is current."""
    cuda = cuda_module()
    before = cuda.current_device()
    cuda.set_device(index)
    try:
        yield
    finally:
        cuda.set_device(before)


def places(*arrays: Array) -> tuple[Hashable, ...]:
    """Where arrays on a GPU lie and how: what a recorded graph has fixed, as a key for Recorded."""
    found: list[Hashable] = []
    for x in arrays:
        known = getattr(x, "__cuda_array_interface__", None)
        if known is None:
            raise ArrayError(f"expected arrays with __cuda_array_interface__; got {type(x).__name__}")
        found.append((known["data"][0], tuple(known["shape"]), known.get("strides"), known["typestr"]))
    return tuple(found)


class Graphs:
    """A ring of graphs, one for each key: addresses and shapes are fixed in a graph, so another key is another graph.

    The first run with a key is a plain one, in which a library may still set up what it needs; the second is recorded
    and launched; later ones are launches. At most `keep` graphs are kept, those used last, and only a key among the
    last `keep` that ran plainly is recorded: where more keys than that take turns, recording each would cost more than
    it saves, and their runs stay plain.

    why_not  what CUDA or an engine said when a recording failed; from then on every run is plain. "" if none failed
    """

    def __init__(self, keep: int = 8) -> None:
        self.why_not = ""
        self._keep = keep
        self._graphs: OrderedDict[Hashable, Any] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, work: Work, stream: int, key: Hashable = ()) -> Way:
        """Do the work on the stream with this handle, by the graph of this key if there is one. Gives how it was done.

        On a default stream, which cannot be recorded, on one that is being recorded already, and with the key None,
        the work runs plainly.
        What the work raises is raised; only what its recording alone raises is kept in `why_not`.
        """
        graph = self._graphs.get(key)
        cuda = cuda_module()
        if key is None or cuda.is_capturing(stream):
            work(stream)
            return "plain"
        if graph is not None:
            self._graphs.move_to_end(key)
            graph.launch(stream)
            return "replayed"
        if self.why_not or stream <= _DEFAULT or key not in self._seen:
            work(stream)
            self._note(key)
            return "plain"
        graph = self._record(work, stream)
        if graph is None:
            work(stream)
            return "plain"
        self._graphs[key] = graph
        if len(self._graphs) > self._keep:
            self._graphs.popitem(last=False)
        graph.launch(stream)
        return "recorded"

    def clear(self) -> None:
        """Forget all graphs and keys: the next run with any key is a plain one."""
        self._graphs.clear()
        self._seen.clear()

    def _note(self, key: Hashable) -> None:
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._keep:
            self._seen.popitem(last=False)

    def _record(self, work: Work, stream: int) -> Any:
        cuda = cuda_module()
        cuda.capture_begin(stream)
        try:
            work(stream)
            return cuda.capture_end(stream)
        except (DeviceError, EngineError) as error:
            cuda.capture_drop(stream)
            self.why_not = str(error)
            return None
        except BaseException:
            cuda.capture_drop(stream)
            raise


class Recorded:
    """A chain of our ops and engines that is queued by one launch once it was recorded.

    work    called with the handle of a stream: queues all it does on it (our ops and engines take stream=), waits for
            nothing, copies nothing to or from the host, and writes to arrays that were there before: memory that it
            allocates would be handed out again while the graph still writes to it
    stream  a stream of its own (handle or object), default: a new one on `device`. Not a default stream
    keep    how many graphs are kept

    Not thread-safe. A graph has fixed where its arrays lie and every number that was passed by value; what they hold
    may change. Give `fixed` that says so:

        chain = Recorded(lambda stream: warp(a, flow, out=b, stream=stream))
        chain(places(a, flow, b))
    """

    def __init__(self, work: Work, stream: Any = None, *, device: str = "cuda", keep: int = 8) -> None:
        self._device = device_index(device)
        self.stream = cuda_module().Stream(self._device) if stream is None else stream
        self._handle = handle_of(self.stream)
        if self._handle <= _DEFAULT:
            raise DeviceError("a default stream cannot be recorded; give a stream of its own, or none to have one made")
        self._work = work
        self._graphs = Graphs(keep)

    @property
    def why_not(self) -> str:
        """Why it runs plainly: what was said when its recording failed. "" as long as none did."""
        return self._graphs.why_not

    def __call__(self, fixed: Hashable = ()) -> Way:
        """Queue the work once. Does not wait for it. Gives how it was done.

        fixed  what a graph of it has fixed: see `places`. With one not met before the work runs plainly and is then
               recorded again. None: nothing is fixed, and it runs plainly
        """
        with on_device(self._device):
            return self._graphs.run(self._work, self._handle, fixed)

    def after(self, stream: Any) -> None:
        """The next runs begin once all is done that was queued on another stream."""
        cuda_module().order(handle_of(stream), self._handle)

    def before(self, stream: Any) -> None:
        """What is queued on another stream from now on begins once all runs so far are done."""
        cuda_module().order(self._handle, handle_of(stream))

    def wait(self) -> None:
        """Wait until all that was queued is done."""
        cuda_module().synchronise(self._handle)


class SharedMemory:
    """GPU memory for activations that engines take turns with: as large as the largest of them needs.

    Runs that use it follow one another, also when they are queued on different streams.

    generation  counts how often it moved: graphs that were recorded before hold addresses that are no longer valid
    """

    def __init__(self, device: str = "cuda") -> None:
        self.device = device_index(device)
        self.generation = 0
        self._memory: Any = None
        self._held: list[Any] = []
        self._holding = False
        self._event: Any = None

    @property
    def bytes(self) -> int:
        return 0 if self._memory is None else int(self._memory.bytes)

    @property
    def address(self) -> int:
        return 0 if self._memory is None else int(self._memory.address)

    def reserve(self, count: int) -> None:
        """Have room for so many bytes. Raises DeviceError where the GPU does not."""
        if count <= self.bytes:
            return
        if self._holding:
            self._held.append(self._memory)
        self._holding = False
        self._memory = None  # before it is taken anew: both at once may not fit. CUDA waits for what still uses it
        self.generation += 1
        self._memory = cuda_module().Memory(count, self.device)

    def hold(self) -> None:
        """Keep what is there now as long as this lives, also when it moves: a caller's graph has its address."""
        self._holding = True

    def begin(self, stream: int) -> None:
        """What is queued on this stream from now on may use it."""
        if self._event is not None:
            self._event.wait(stream)

    def end(self, stream: int) -> None:
        """What was queued on this stream was the last to use it so far."""
        if self._event is None:
            with on_device(self.device):
                self._event = cuda_module().Event()
        self._event.record(stream)
