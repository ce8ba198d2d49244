"""What every sink is, and what each container does to times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from types import TracebackType
from typing import Self

from ..frame import Frame, VideoInfo

__all__ = ["TICKS", "Sink", "rounding"]


class Sink(ABC):
    """Where frames go. A context manager: closed at the end of the block, aborted if it raises.

    encoder   the encoder chosen, as one line
    notes     what could not be kept, and what was used instead
    written   frames encoded so far, or in the file once it is closed; `last` is the time of the newest one
    """

    path: str
    encoder: str

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
