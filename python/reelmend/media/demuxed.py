"""A file whose pictures another decoder gives: its times, other streams and tags still come from PyAV's demuxer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

from av.stream import Disposition

from ..errors import SourceError
from ..frame import Array, Colour, Frame, PixelFormat
from .pixels import side_data_of
from .source import FileSource

__all__ = ["DemuxedSource", "Order", "Picture", "Shown"]

_AGREE = 1e-6  # seconds by which a decoder's own clock, a double, may differ from a packet's time


@dataclass(frozen=True, slots=True)
class Shown:
    """When one picture is shown: pts and duration in ticks, of a packet."""

    pts: int
    duration: int | None
    dts: None = None


class Order:
    """Times of packets, from the order of decoding to that of showing.

    A packet is shown no earlier than it is decoded, so what is shown up to the newest decoding time is known.
    untimed   True once a packet came that has no presentation time: then nothing tells its place
    """

    def __init__(self) -> None:
        self.untimed = False
        self._heap: list[tuple[int, int]] = []
        self._decoded: int | None = None
        self._ended = False

    def add(self, packet: Any) -> None:
        """Take the next packet; None ends."""
        if packet is None:
            self._ended = True
        elif packet.pts is None:
            self.untimed = True
        elif not packet.is_discard:  # the decoder needs it, and shows nothing of it
            heappush(self._heap, (packet.pts, packet.duration or 0))
            self._decoded = packet.dts

    def first(self) -> int | None:
        """The earliest time held."""
        return self._heap[0][0] if self._heap else None

    def ready(self) -> Iterator[Shown]:
        """What is known to be shown next."""
        while self._heap and (self._ended or (self._decoded is not None and self._heap[0][0] <= self._decoded)):
            pts, duration = heappop(self._heap)
            yield Shown(pts, duration or None)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a decoder gives: planes as PixelFormat orders them, and its own clock in seconds where it has one."""

    planes: tuple[Array, ...]
    seconds: float | None = None


class DemuxedSource(FileSource):
    """Opens as a FileSource, which decodes the first picture; `_hand_over` has another decoder give all of them.

    Pictures and times are joined by their number. Where the decoder has a clock of its own, both must agree: a picture
    lost or shown twice raises SourceError rather than shifting all that follow.
    """

    def __init__(self, path: str, *, threads: int = 0) -> None:
        self._elsewhere = False
        self._order: Order | None = Order()
        self._zero: tuple[int, float] | None = None
        super().__init__(path, threads=threads)

    @property
    @abstractmethod
    def decoder_name(self) -> str:
        """Who decodes, in messages."""

    @property
    def elsewhere(self) -> bool:
        """Whether the other decoder gives the pictures."""
        return self._elsewhere

    def _cannot(self) -> str:
        """Why no other decoder can take this file over, whatever it decodes; "" if one can."""
        first, order = self.first_frame, self._order
        films = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not self._local:
            return "it reads files, and this is a stream"
        if len(films) > 1:
            return f"the file has {len(films)} video streams, and it cannot be told which one to take"
        if order is None or order.untimed or order.first() is None:
            return "packets of this file have no presentation times"
        if first.pts != order.first():
            return "the file begins with pictures that cannot be shown, which decoders count differently"
        return ""

    def _hand_over(self, form: PixelFormat, colour: Colour) -> None:
        """From here on pictures come from `_picture`, in this format."""
        self._elsewhere = True
        self._side_data = side_data_of(self._first.popleft())
        self.info = replace(self.info, format=form, colour=colour)
        if self._captions:
            self._note(
                "closed captions inside the pictures (EIA-608, 708) are left out: this decoder does not read them"
            )
            self._captions = False

    def _keep(self) -> None:
        """PyAV goes on decoding; times need not be counted."""
        self._order = None

    @abstractmethod
    def _picture(self) -> Picture | None:
        """The next picture, None after the last. Raises SourceError."""

    def _decoded(self, context: Any, packet: Any) -> Iterator[Any]:
        if self._order is None:
            yield from super()._decoded(context, packet)
            return
        self._order.add(packet)
        if not self._elsewhere:
            for frame in super()._decoded(context, packet):
                yield frame
                if self._elsewhere:  # it was handed over meanwhile: what else PyAV decoded comes from there too
                    break
        if self._elsewhere:
            yield from self._order.ready()

    def __next__(self) -> Frame:
        if not self._elsewhere:
            return super().__next__()
        shown = self._take()
        picture = None if self.problem is not None and shown is None else self._picture()
        if shown is None or picture is None:
            self._end(shown, picture)
            raise StopIteration
        self._agree(shown, picture)
        pts = self._time(shown)
        duration = shown.duration or max(round(self._step()), 0)
        info = self.info
        return self._deliver(
            Frame(picture.planes, info.format, pts, self._time_base, duration, info.colour, self._side_data)
        )

    def _end(self, shown: Shown | None, picture: Picture | None) -> None:
        lost = shown is not None or picture is not None
        if lost and self.problem is None:
            few, many = (self.decoder_name, "the file") if picture is None else ("the file", self.decoder_name)
            self.problem = f"{few} has fewer pictures than {many}"
        self._finish()

    def _agree(self, shown: Shown, picture: Picture) -> None:
        if picture.seconds is None or self._clock.parts > 1:
            return
        if self._zero is None:
            self._zero = (shown.pts, picture.seconds)
        expected = float((shown.pts - self._zero[0]) * self._time_base)
        got = picture.seconds - self._zero[1]
        if abs(got - expected) > _AGREE:
            raise SourceError(
                f"{self.name}: {self.decoder_name} gives frame {self.delivered} at {got:.6f} s after the first, the "
                f"file's packets say {expected:.6f} s; a picture was lost or shown twice. Use decoder='pyav'"
            )
