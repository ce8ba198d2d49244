"""What a stage is: frozen options that declare, and a passive runtime that is pushed frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, Protocol

from .errors import OptionError
from .fallback import Fallback
from .frame import Frame, VideoInfo

__all__ = ["Declaration", "Finding", "FindingSummary", "Stage", "StageRuntime"]

State = Literal["none", "window", "recurrent"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a stage will need and give for one input, known before the first frame.

    window     (past, future) frames of its input that a result may depend on
    latency    frames pushed before the first one comes out
    output     what its output looks like (size, format, rate)
    retimed    whether frames come out at other times than they went in, or others than went in
    slower     how many times as slow the output plays; time is stretched from the first frame's on
    memory     bytes held at most, frames and tables together
    engines    names of networks it runs
    """

    window: tuple[int, int]
    latency: int
    output: VideoInfo
    memory: int
    device: str = "cpu"
    state: State = "none"
    engines: tuple[str, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    notes: tuple[str, ...] = ()
    retimed: bool = False
    slower: Fraction = Fraction(1)


class Finding(Protocol):
    """What a stage has to tell of one frame it gave out. The stage's own class says the rest."""

    @property
    def index(self) -> int:
        """Number of the frame, from 0 at the opening of the stage."""

    def as_dict(self) -> dict[str, Any]:
        """One flat row of plain values, with the same keys for every frame."""

    def summary(self) -> FindingSummary:
        """A new, empty summary that findings of this stage can be added to."""


class FindingSummary(Protocol):
    """What findings come to over a whole clip. Its text is meant to be read."""

    def add(self, findings: Any, /) -> None:
        """Count one frame."""

    @property
    def verdict(self) -> str:
        """One word."""

    @property
    def words(self) -> str:
        """The verdict in words, for a title."""


class StageRuntime(ABC):
    """A stage opened for one video on one device. Passive and synchronous: no threads, no queues.

    Frames come out in order of time, each exactly once. Not thread-safe; kernels release the GIL.
    """

    @abstractmethod
    def push(self, frame: Frame) -> list[Frame]:
        """Take one frame; give the frames that are now ready (none, one or several)."""

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """What was wanted and not taken, as far as it is known by now: what only opening or running shows too."""
        return ()

    @abstractmethod
    def flush(self) -> list[Frame]:
        """End of input: give everything still held. The runtime can be pushed to again afterwards."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything held, without giving it out (after a seek)."""

    def update(self, **options: Any) -> None:
        """Change options from the next pushed frame on. Raises OptionError for one that cannot change."""
        raise OptionError(f"{type(self).__name__} has no option that can change in a run: got {', '.join(options)}")

    def listen(self, listener: Callable[[Finding], None] | None) -> None:
        """Have `listener` called with what was found and done, once for each frame given out, in their order.

        It is called inside push and flush, before they return, and should be quick; what it raises, they raise.
        None ends it. A stage that has nothing to tell never calls, and need not do anything here. What is given
        out does not depend on there being a listener.
        """
        return


class Stage(ABC):
    """Options of a stage: a frozen dataclass that can say what it needs, and open itself."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def window(self) -> tuple[int, int]:
        """(past, future) frames a result may depend on."""

    @property
    def latency(self) -> int:
        """Frames pushed before the first one comes out: the future part of the window unless overridden."""
        return self.window[1]

    @property
    @abstractmethod
    def state(self) -> State:
        """What a result depends on besides its own frame: nothing, a window, or all that came before."""

    @abstractmethod
    def declare(self, info: VideoInfo, device: str) -> Declaration:
        """What this stage will need and give for this input. Raises FormatError if it cannot take it."""

    @abstractmethod
    def open(self, info: VideoInfo, device: str) -> StageRuntime:
        """A runtime for this input on this device ("cpu", "cuda" or "cuda:N")."""
