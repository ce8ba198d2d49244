"""Writing video: frames are encoded and joined with the source's other streams in one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from ..errors import ReelmendError, SinkError
from ..frame import Frame, VideoInfo
from .base import Sink, Source, rounding
from .carry import Carried
from .clock import UNCHANGED, Pace
from .encoders import Choice, settings
from .muxer import Muxer
from .pixels import released
from .prefetch import frame_bytes
from .source import FileSource
from .streams import Sound, notes_on, plan_streams
from .stretch import Stretched

__all__ = ["FileSink"]

_FRAMES_HELD = 8
_FRAME_BYTES = 96 << 20
_PACKET_BYTES = 32 << 20  # packets of other streams that may wait for the video beside them


class FileSink(Sink):
    """A video file. Opened by `open_sink`."""

    def __init__(
        self,
        path: str,
        container: str,
        info: VideoInfo,
        choice: Choice,
        *,
        source: Source | None = None,
        crf: int | None = None,
        preset: str | None = None,
        pace: Pace = UNCHANGED,
        sound: Sound = "stretch",
        retimed: bool = False,
    ) -> None:
        super().__init__()
        self.path = path
        self.info = info
        self.choice = choice
        self.encoder = choice.why
        self.index = choice.index
        self._source = source
        settings(choice, info, crf, preset, None)  # bad options are refused before anything is written
        for note in choice.notes:
            self._note(note)
        if container in ("avi", "mpegts"):
            self._note(*rounding(container, info))
        self.carried: list[Carried] = []
        self._routes: dict[int, Carried] = {}
        if source is not None:
            self.carried, dropped = self.plan_streams(container, source, pace, sound)
            stretched = (str(c) for c in self.carried if isinstance(c, Stretched))
            for note in (*dropped, *stretched, *notes_on(source, retimed)):
                self._note(note)
            kept = [c for c in self.carried if c.picture is None and c.source.type != "attachment"]
            self._routes = {c.source.index: c for c in kept}
        self._frames: deque[Frame] = deque()
        self._frame_bytes = 0
        self._packets: deque[Any] = deque()
        self._packet_bytes = 0
        self._changed = threading.Condition()
        self._ending = False  # no more frames will come
        self._cancel = False  # no more encoding either
        self._early = False  # the video ends before its source does
        self._done = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._muxer = Muxer(
            path, container, info, choice, source, self.carried, (crf, preset), self._due, self._note, pace, retimed
        )
        if self._routes and source is not None:
            source.attach(self.packet)

    @staticmethod
    def plan_streams(container: str, source: Source, pace: Pace, sound: Sound) -> tuple[list[Carried], list[str]]:
        """The other streams that the container holds, and sentences on those it does not."""
        early = source.early_packets if isinstance(source, FileSource) else ()
        chapters = bool(source.chapters)
        return plan_streams(container, source.streams, chapters=chapters, early=early, pace=pace, sound=sound)

    # -- called from the caller's threads ---------------------------------------------------------------

    def write(self, frame: Frame) -> None:
        if (frame.width, frame.height) != (self.info.width, self.info.height):
            raise SinkError(
                f"{self.path}: frame {self.written} is {frame.width}x{frame.height}, the file is "
                f"{self.info.width}x{self.info.height}; a file holds one size"
            )
        if frame.format != self.info.format:
            raise SinkError(
                f"{self.path}: frame {self.written} is {frame.format.name}, the file began with {self.info.format.name}"
            )
        with self._changed:
            if self._ending:
                raise SinkError(f"{self.path}: already closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="reelmend-write", daemon=True)
                self._thread.start()
            while self._full() and self._error is None and not self._cancel:
                self._changed.wait()
            self._raise_failed()
            self._frames.append(released(frame))
            self._frame_bytes += frame_bytes(frame)
            self._changed.notify_all()

    def packet(self, packet: Any) -> None:
        """Take a packet of another stream; waits while too many are held (never for the video)."""
        if packet.stream_index not in self._routes:
            return
        with self._changed:
            if self._thread is None and not self._ending:
                self._thread = threading.Thread(target=self._run, name="reelmend-write", daemon=True)
                self._thread.start()
            while (
                self._packet_bytes > 2 * _PACKET_BYTES and self._error is None and not self._ending and not self._done
            ):
                self._changed.wait()
            if self._done or self._cancel or self._error is not None:
                return
            self._packets.append(packet)
            self._packet_bytes += packet.size
            if self._packet_bytes > _PACKET_BYTES:
                self._changed.notify_all()

    def close(self) -> None:
        self._end()
        self._raise_failed()

    def abort(self) -> None:
        self.stop(0)

    def stop(self, within: float | None = 1.0) -> None:
        with self._changed:
            self._early = self._early or not self._ending
        self._end(within)

    def _end(self, within: float | None = None) -> None:
        with self._changed:
            self._ending = True
            thread = self._thread
            self._cancel = self._muxer.cancel = self._cancel or within == 0
            self._changed.notify_all()
        if thread is not None:
            thread.join(within)
            if thread.is_alive():
                with self._changed:
                    self._cancel = self._muxer.cancel = True
                    self._changed.notify_all()
                thread.join()
        elif not self._done:
            self._done = True
            self._muxer.finish(None)
        if self._source is not None:
            self._source.detach()

    def _full(self) -> bool:
        held = len(self._frames)
        return held >= _FRAMES_HELD or (held >= 2 and self._frame_bytes >= _FRAME_BYTES)

    def _raise_failed(self) -> None:
        error = self._error
        if error is None:
            return
        if isinstance(error, ReelmendError):
            raise error
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        cure = "; free some space and run again" if "space" in cause.lower() or "large" in cause.lower() else ""
        raise SinkError(f"{self.path}: writing failed ({cause}); {self.kept}{cure}") from error

    # -- the writer's thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            while True:
                frame = self._next()
                if frame is None:
                    break
                self._muxer.encode(frame)
                self.written, self.last = self._muxer.written, self._muxer.last
        except BaseException as error:
            failure = error
        try:
            self._muxer.flush()
        except BaseException as error:
            failure = failure or error
        try:
            self._muxer.finish(self._muxer.ends if self._early or failure else None)
        except BaseException as error:
            failure = failure or error
        finally:
            self.written, self.last = self._muxer.written, self._muxer.last
            with self._changed:
                self._error = failure  # told only now, when it is known what is in the file
                self._done = True
                self._frames.clear()
                self._packets.clear()
                self._packet_bytes = 0
                self._changed.notify_all()

    def _next(self) -> Frame | None:
        while True:
            with self._changed:
                while not (self._frames or self._ending or self._cancel or self._packet_bytes > _PACKET_BYTES):
                    self._changed.wait()
                if self._cancel:
                    return None
                if self._frames:
                    frame = self._frames.popleft()
                    self._frame_bytes -= frame_bytes(frame)
                    self._changed.notify_all()
                    return frame
                if self._ending:
                    return None
            # Far more sound than picture: let it go ahead rather than hold it all.
            if not self._muxer.is_open:
                self._muxer.open(None)
            for packet in self._due(self._muxer.ends):
                self._muxer.mux_other(packet)

    def _due(self, until: Fraction | None) -> Iterator[Any]:
        """Waiting packets of other streams up to a time, on the clock of the file; all of them for None. Those
        that wait beyond the limit count as due."""
        while True:
            with self._changed:
                if not self._packets:
                    return
                packet = self._packets[0]
                at = self._routes[packet.stream_index].due(packet)
                ahead = until is not None and at is not None and at + self._muxer.shift > until
                if ahead and self._packet_bytes <= _PACKET_BYTES:
                    return
                self._packets.popleft()
                self._packet_bytes -= packet.size
                self._changed.notify_all()
            yield packet
