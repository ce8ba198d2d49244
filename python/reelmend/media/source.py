"""Reading video: files, folders of pictures and pipes become frames with exact times."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.stream import Disposition

from ..errors import SourceError
from ..frame import Colour, Frame, VideoInfo
from .base import Source
from .boxes import missing_bytes
from .clock import Clock
from .opening import open_container
from .pixels import Layout, colour_of, from_av, has_captions, layout_of, side_data_of

__all__ = ["FileSource", "Source"]

_LOOK_EVERY = 240  # frames, at least, from one look at side data to the next


class FileSource(Source):
    """Anything FFmpeg reads. Opened by `open_source`."""

    def __init__(
        self,
        path: str,
        *,
        threads: int = 0,
        file: BinaryIO | None = None,
        options: dict[str, str] | None = None,
        format: str | None = None,
        hwaccel: Any = None,
    ) -> None:
        super().__init__()
        self.name = path
        self._local = file is None and os.path.isfile(path)
        self._consumer: Callable[[Any], None] | None = None
        self._early: list[Any] = []
        self._first: deque[Any] = deque()
        self._bad = 0
        self._odd: list[str] = []
        self._nudged = 0
        self._no_pts = 0
        self._corrupt = 0
        self._started = False
        self._previous: int | None = None
        self._origin = Fraction(0)
        self._count = 0
        self._clock = Clock()
        self._again: list[int] = []  # where time started again, on our clock
        self._looked: int | None = None
        self._side_data: dict[str, Any] = {}
        self._container = open_container(path, file, options or {}, format, hwaccel)
        try:
            self._prepare(threads)
        except BaseException:
            self._container.close()
            raise

    def _prepare(self, threads: int) -> None:
        self._stream = self._choose()
        context = self._stream.codec_context
        if context is None:
            raise SourceError(f"{self.name}: the video's codec is unknown to this FFmpeg; convert the file first")
        context.thread_type = "AUTO"
        if threads:
            context.thread_count = threads
        self._time_base = self._stream.time_base or Fraction(1, 90000)
        rate = self._stream.average_rate or self._stream.guessed_rate or self._stream.base_rate
        self._rate = Fraction(rate) if rate else None
        self._frames: Generator[Any, None, None] = self._decode()
        first = next(self._frames, None)
        if first is None:
            if self._bad:
                raise SourceError(f"{self.name}: no frame could be decoded ({self._odd[0]}); the file is damaged")
            why = self.problem or "the video stream holds no frames"
            raise SourceError(f"{self.name}: {why}; nothing to restore")
        self._first.append(first)
        begin = first.pts if first.pts is not None else first.dts
        self._begin = Fraction((begin or 0) * self._time_base)
        self._captions = has_captions(first)
        self._layout = self._lay(self._form(first))
        colour = colour_of(first, context, self._layout)
        ratio = self._stream.sample_aspect_ratio
        self.info = VideoInfo(
            first.width,
            first.height,
            self._layout.format,
            colour,
            self._rate,
            self._time_base,
            self._stream.frames or None,
            Fraction(ratio) if ratio and ratio > 0 else Fraction(1),
        )
        if self._layout.note:
            self._note(self._layout.note)
        if first.interlaced_frame:
            self._note("interlaced video: both fields are handled as one picture; deinterlace first for best results")

    def _choose(self) -> Any:
        pictures = {s.index for s in self._container.streams.video if s.disposition & Disposition.attached_pic}
        videos = [s for s in self._container.streams.video if s.index not in pictures]
        if not videos:
            kinds = sorted({s.type for s in self._container.streams}) or ["no streams"]
            cover = " (only a cover picture)" if pictures else ""
            raise SourceError(f"{self.name}: no video stream{cover}; it holds: {', '.join(kinds)}")
        best = self._container.streams.best("video")
        if best is None or best.index in pictures:
            best = max(videos, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))
        return best

    @property
    def begin(self) -> Fraction:
        return self._begin

    @property
    def captions(self) -> bool:
        return self._captions

    @property
    def streams(self) -> tuple[Any, ...]:
        return tuple(s for s in self._container.streams if s.index != self._stream.index)

    @property
    def video(self) -> Any:
        """The video stream itself (av.VideoStream)."""
        return self._stream

    @property
    def first_frame(self) -> Any:
        """The first decoded frame (av.VideoFrame), while it was not given out yet."""
        return self._first[0] if self._first else None

    @property
    def early_packets(self) -> tuple[Any, ...]:
        """Packets of other streams read while the first frame was looked for."""
        return tuple(self._early)

    @property
    def metadata(self) -> Mapping[str, str]:
        return dict(self._container.metadata)

    @property
    def chapters(self) -> list[Any]:
        return list(self._container.chapters())

    @property
    def container_format(self) -> str:
        return str(self._container.format.name)

    @property
    def seconds(self) -> Fraction | None:
        if self._stream.duration:
            return Fraction(self._stream.duration * self._time_base)
        length = self._container.duration
        return Fraction(length, av.time_base) if length else None

    def attach(self, consumer: Callable[[Any], None]) -> None:
        if self._started:
            raise SourceError(
                f"{self.name}: its other streams can be copied only from the start; open the sink before reading"
            )
        self._consumer = consumer

    def detach(self) -> None:
        self._consumer = None
        self._early.clear()

    def close(self) -> None:
        self._first.clear()
        self._early.clear()
        try:
            self._frames.close()
        except ValueError:  # another thread still waits for data in there (a stalled pipe); it keeps the container
            return
        self._container.close()

    def __next__(self) -> Frame:
        frame = self._take()
        if frame is None:
            self._finish()
            raise StopIteration
        return self._wrap(frame)

    def _take(self) -> Any:
        """What the decoder gives next, None at the end; packets of other streams are handed out on the way."""
        if not self._started:
            self._started = True
            for packet in self._early:
                self._hand(packet)
            self._early.clear()
        return self._first.popleft() if self._first else next(self._frames, None)

    def _hand(self, packet: Any) -> None:
        if self._consumer is not None:
            self._consumer(packet)

    def _decode(self) -> Generator[Any, None, None]:
        context = self._stream.codec_context
        packets = self._container.demux()
        held: Any = None  # a damaged packet waits: at the very end of the file it is a cut one
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError, ValueError) as error:
                self.problem = getattr(error, "strerror", None) or str(error)
                break
            if packet is None:
                break
            if packet.size == 0 and packet.dts is None and packet.pts is None:
                continue
            again = self._clock.set(packet)
            if packet.stream_index != self._stream.index:
                if packet.is_corrupt and self._local and self._at_end(packet):
                    continue
                if self._started:
                    self._hand(packet)
                else:
                    self._early.append(packet)
                continue
            if held is not None:
                yield from self._decoded(context, held)
                held = None
            if again:
                self._again.append(packet.pts if packet.pts is not None else packet.dts)
            if packet.is_corrupt:
                held = packet
                continue
            yield from self._decoded(context, packet)
        if held is not None and self.problem is None:
            self.problem = "the last picture is cut off"
        yield from self._decoded(context, None)

    def _at_end(self, packet: Any) -> bool:
        return packet.pos is not None and packet.pos + packet.size >= os.path.getsize(self.name)

    def _decoded(self, context: Any, packet: Any) -> Iterator[Any]:
        try:
            frames = context.decode(packet)
        except av.FFmpegError as error:
            if packet is not None:
                self._bad += 1
                at = f" at {float(packet.pts * self._time_base):.3f} s" if packet.pts is not None else ""
                self._odd.append(f"{error.strerror or error}{at}")
            return
        yield from frames

    def _finish(self) -> None:
        if self._clock.parts > 1:
            self._note(f"time starts again {self._clock.parts - 1} times in this file: it is counted on without a jump")
        if self._no_pts:
            self._note(f"{self._no_pts} frames had no time stamp: counted on at {self._rate or 25} frames a second")
        if self._nudged:
            self._note(f"{self._nudged} frames had a time stamp not after the one before: moved to the next tick")
        if self._corrupt:
            self._note(f"{self._corrupt} frames are marked damaged by the decoder; kept as they are")
        missing = missing_bytes(self.name) if self._local else 0
        if missing:
            self.problem = f"the file ends early, {missing} bytes are missing"
        if self.problem:
            self.problem = f"{self.name}: {self.problem}; stopped {self._where()}"
        elif self._bad:
            self.problem = f"{self.name}: {self._bad} pictures could not be decoded, first: {self._odd[0]}"

    def _step(self) -> Fraction:
        return 1 / (self._rate or Fraction(25)) / self._time_base

    def _time(self, frame: Any) -> int:
        pts = frame.pts if frame.pts is not None else frame.dts
        last = self._previous
        if pts is None:
            if self._no_pts == 0:
                self._origin = Fraction(0) if last is None else last + self._step()
                self._count = 0
            pts = round(self._origin + self._count * self._step())
            self._count += 1
            self._no_pts += 1
        if last is not None and pts <= last:
            pts = last + 1
            self._nudged += 1
        self._previous = pts
        return int(pts)

    def _wrap(self, frame: Any) -> Frame:
        name = self._form(frame)
        layout = self._layout
        if name != getattr(self, "_seen", name):
            layout = self._layout = self._lay(name)
            if layout.note:
                self._note(layout.note)
        self._seen = name
        pts = self._time(frame)
        duration = frame.duration or max(round(self._step()), 0)
        colour = colour_of(frame, self._stream.codec_context, layout)
        self._corrupt += frame.is_corrupt
        # Looking at side data ties a frame into a reference cycle, which keeps its memory until Python collects it.
        # It changes with key frames at most, so few are looked at, and the one looked at before is let go first.
        if self._looked is None or (frame.key_frame and self.delivered - self._looked >= _LOOK_EVERY):
            if self._looked is not None:
                gc.collect()
            self._looked = self.delivered
            self._side_data = side_data_of(frame)
        return self._deliver(self._planes(frame, layout, colour, pts, duration))

    def _form(self, frame: Any) -> str:
        """The pixel format that a frame was decoded to."""
        return str(frame.format.name)

    def _lay(self, name: str) -> Layout:
        """How such a format becomes planes."""
        return layout_of(name)

    def _planes(self, frame: Any, layout: Layout, colour: Colour, pts: int, duration: int) -> Frame:
        return from_av(frame, layout, colour, pts, self._time_base, duration, self._side_data)

    def _deliver(self, frame: Frame) -> Frame:
        """Count a frame that is given out, and mark it where time starts again with it."""
        if self._again and frame.pts >= self._again[0]:
            self._again.pop(0)
            frame.discontinuity = True
        self.delivered += 1
        self._last = frame.time
        return frame
