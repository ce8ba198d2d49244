"""What every source and every sink is, and what each container does to times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

from ..fallback import Fallback
from ..frame import Frame, VideoInfo

__all__ = ["TICKS", "Sink", "Source", "rounding"]


class Source(ABC):
    """Frames of one video, in order of time. Iterate it once; a context manager.

    info       size, format, colour, nominal rate
    notes      what was done to the input on the way in (conversions, repairs), as sentences
    fallbacks  ways of reading it that were wanted and not taken, and why
    problem    where and how the input broke off, or None; complete once the iteration has ended
    name       what was opened, for messages
    delivered  frames given out so far
    """

    info: VideoInfo
    name: str

    def __init__(self) -> None:
        self.problem: str | None = None
        self.delivered = 0
        self.fallbacks: tuple[Fallback, ...] = ()
        self._notes: dict[str, None] = {}
        self._last: Fraction | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    @property
    def decoder(self) -> str:
        """What decodes, and where, as one line."""
        return "PyAV on the CPU"

    @property
    def memory(self) -> int:
        """Bytes of frames held at most while they are decoded ahead, beside those that were given out."""
        return 0

    @property
    def seconds(self) -> Fraction | None:
        """Length in seconds where the container tells it."""
        return None

    @property
    def begin(self) -> Fraction:
        """Time of the first frame."""
        return Fraction(0)

    @property
    def captions(self) -> bool:
        """Whether closed captions lie in the pictures, as far as the first one tells."""
        return False

    @property
    def streams(self) -> tuple[Any, ...]:
        """The other streams (av.stream.Stream) that a sink may copy."""
        return ()

    @property
    def metadata(self) -> Mapping[str, str]:
        return {}

    @property
    def chapters(self) -> list[Any]:
        return []

    def attach(self, consumer: Callable[[Any], None]) -> None:  # noqa: B027
        """Call `consumer(packet)` for every packet of the other streams, from the thread that iterates."""

    def detach(self) -> None:  # noqa: B027
        """Stop handing out packets."""

    @abstractmethod
    def __next__(self) -> Frame: ...

    @abstractmethod
    def close(self) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note(self, text: str) -> None:
        self._notes.setdefault(text)

    def _where(self) -> str:
        at = f" ({float(self._last):.3f} s)" if self._last is not None else ""
        return f"after frame {self.delivered}{at}"


class Sink(ABC):
    """Where frames go. A context manager: closed at the end of the block, aborted if it raises.

    encoder   the encoder chosen, as one line
    notes     what could not be kept, and what was used instead
    written   frames encoded so far, or in the file once it is closed; `last` is the time of the newest one
    index     the GPU whose frames it takes as they are; None: frames are to be on the CPU
    """

    path: str
    encoder: str
    index: int | None = None

    def __init__(self) -> None:
        self.written = 0
        self.last: Fraction | None = None
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def _note(self, text: str) -> None:
        self._notes.setdefault(text)

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Take one frame; waits while too many are still to be encoded. Raises SinkError once writing failed."""

    @abstractmethod
    def close(self) -> None:
        """Encode what is held and finish the file. Raises SinkError if that fails; may be called again."""

    @abstractmethod
    def abort(self) -> None:
        """Stop now; frames not yet encoded are given up, the file so far is finished and stays playable."""

    def stop(self, within: float | None = 1.0) -> None:
        """Finish early: what was taken is encoded, but given up after `within` seconds; other streams end with
        the video. Raises nothing."""
        self.abort()

    @property
    def kept(self) -> str:
        """What is in the file so far, as a clause: "12 frames (up to 0.440 s) are kept in out.mp4"."""
        if not self.written:
            return f"nothing was written to {self.path}"
        at = f" (up to {float(self.last):.3f} s)" if self.last is not None else ""
        return f"{self.written} frames{at} are kept in {self.path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


# Ticks a second of containers that do not take the video's own time base.
TICKS = {"matroska": 1000, "webm": 1000, "mpegts": 90000}


def rounding(container: str, info: VideoInfo) -> tuple[str, ...]:
    """What a container will do to exact times, if that can be told before the first frame."""
    if container == "avi":
        return ("avi has one constant rate: uneven times are rounded to it",)
    if container == "mpegts":
        return ("mpegts holds no times before zero: all streams may start a few frames later, together",)
    ticks = TICKS.get(container)
    even = ticks is None or ticks % info.time_base.denominator == 0
    if even or (info.rate and (TICKS[container] / info.rate).denominator == 1):
        return ()
    return (f"{container} counts time in 1/{ticks} s: times are rounded to that, never adding up",)
