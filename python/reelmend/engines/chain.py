"""What a stage does for a frame, ops and engines, queued on one stream of a GPU and recorded as one graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from ..fallback import Fallback
from ..frame import Array
from ..ops._dispatch import stream_of
from ..ops._memory import gpu_of
from .graph import Graphs, Recorded, Way, on_device, places

if TYPE_CHECKING:
    from .engine import Engine
    from .opening import EnginePlan

__all__ = ["Chain", "not_recorded"]

Work = Callable[[Any], object]  # queues everything on the stream it is given; None: on a CPU, or where its arrays are


def not_recorded(device: str, parts: Sequence[Engine | EnginePlan]) -> tuple[Fallback, ...]:
    """What is to be told, if anything, of a chain with these engines, opened or planned, on this device."""
    if gpu_of(device) is None:
        return ()
    return tuple(_fallback(part.why_not_recorded) for part in parts if part.why_not_recorded)[:1]


def _fallback(why: str) -> Fallback:
    return Fallback("one CUDA graph for a frame", "a launch for each step", why)


class Chain:
    """Work that is done for each frame, where its device is.

    device   "cpu", "cuda" or "cuda:N"
    engines  those that run in it
    graphs   False: nothing is recorded

    On a CPU the work is called. On a GPU it is queued on a stream of its own, behind all that the caller's stream holds
    (the current one of the library that holds the frames) and before all that is queued there later: arrays are handed
    on as on one stream. There it is one graph for each set of places where the arrays of a frame lie: libraries that
    hold frames give the same few again and again, once those of frames before are free. Frames at other places than
    any before go through the same steps launch by launch, but `part` of them. So nothing is copied for a graph's sake,
    and what was given out is never written to again.

    Without graphs, and with an engine whose runs cannot be recorded, all is queued on the caller's own stream.
    Not thread-safe.
    """

    def __init__(self, device: str, *engines: Engine, graphs: bool = True) -> None:
        self._index = gpu_of(device)
        self._told = not_recorded(device, engines) if graphs else ()
        self._recorded: Recorded | None = None
        self._inside = Graphs()
        self._work: Work | None = None
        if graphs and self._index is not None and not self._told:
            self._recorded = Recorded(self._do, device=device)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """That it is not recorded, and why, once that is known."""
        why = self._recorded.why_not if self._recorded is not None else ""
        return (_fallback(why),) if why else self._told

    def __call__(self, work: Work, like: Array, moving: Sequence[Array] = (), numbers: Hashable = ()) -> Way:
        """Do the work for a frame, or queue it: nothing here waits for the GPU. Gives how it was done.

        work     called with a stream for all it queues, or None. On a GPU it takes no memory and uses no library but
                 ours: ops with out= and stream=, engines with outputs and stream=
        like     an array of the frame: the current stream of its library is the caller's
        moving   the arrays it reads or writes that are not the same for each frame
        numbers  what else decides what is queued: format, colour
        """
        if self._recorded is None or self._index is None:
            work(None)
            return "plain"
        fixed = (numbers, places(*moving))
        self._work = work
        with on_device(self._index):
            caller = stream_of(like, None)
            self._recorded.after(caller)
            try:
                return self._recorded(fixed)
            finally:
                self._work = None  # it holds the frame, whose memory is to be free for the next
                self._recorded.before(caller)

    def part(self, work: Work, stream: Any) -> None:
        """Within the work: steps whose arrays always lie at the same places. They are a graph of their own where the
        whole is none."""
        if self._recorded is None:
            work(stream)
        else:
            self._inside.run(work, stream)

    def _do(self, stream: int) -> None:
        assert self._work is not None
        self._work(stream)
