"""What a stage is: frozen options that declare, and a passive runtime that is pushed frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from .errors import OptionError
from .frame import Frame, VideoInfo

__all__ = ["Declaration", "Fallback", "Stage", "StageRuntime"]

State = Literal["none", "window", "recurrent"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A path that was wanted and not taken, and why. Shown in the plan; never silent."""

    wanted: str
    used: str
    why: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a stage will need and give for one input, known before the first frame.

    window     (past, future) frames of its input that a result may depend on
    latency    frames pushed before the first one comes out
    output     what its output looks like (size, format, rate)
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


class StageRuntime(ABC):
    """A stage opened for one video on one device. Passive and synchronous: no threads, no queues.

    Frames come out in order of time, each exactly once. Not thread-safe; kernels release the GIL.
    """

    @abstractmethod
    def push(self, frame: Frame) -> list[Frame]:
        """Take one frame; give the frames that are now ready (none, one or several)."""

    @abstractmethod
    def flush(self) -> list[Frame]:
        """End of input: give everything still held. The runtime can be pushed to again afterwards."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything held, without giving it out (after a seek)."""

    def update(self, **options: Any) -> None:
        """Change options from the next pushed frame on. Raises OptionError for one that cannot change."""
        raise OptionError(f"{type(self).__name__} has no option that can change in a run: got {', '.join(options)}")


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
    def rate(self) -> Fraction | None:
        """Output frames a second, exact; None where every input frame gives one output frame."""
        return None

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
