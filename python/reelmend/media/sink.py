"""Writing video: frames are encoded and joined with the source's other streams in one thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av

from ..errors import ReelmendError, SinkError
from ..frame import Frame, Range, VideoInfo
from . import carry
from .base import TICKS, Sink, rounding
from .boxes import hide_empty_video_tracks
from .encoders import Choice, frame_duration_flag, output_colour, settings
from .hdr import hdr_of
from .pixels import to_av
from .prefetch import frame_bytes
from .safefile import SafeFile
from .source import FileSource, Source

__all__ = ["FileSink"]

_FRAMES_HELD = 8
_FRAME_BYTES = 96 << 20
_PACKET_BYTES = 32 << 20  # packets of other streams that may wait for the video beside them


_MUXER_OPTIONS = {
    # Fragments of one second while it runs, an ordinary file once closed.
    "mp4": {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000", "use_editlist": "1"},
    "matroska": {"cluster_time_limit": "1000"},
    "mpegts": {},
}
_MUXER_OPTIONS["mov"] = _MUXER_OPTIONS["ipod"] = _MUXER_OPTIONS["mp4"]
# Sound that begins before zero (an encoder's delay) keeps its time; the video is moved where it does (see _open).
_MUXER_OPTIONS["matroska"]["avoid_negative_ts"] = "disabled"
_MUXER_OPTIONS["webm"] = _MUXER_OPTIONS["matroska"]


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
    ) -> None:
        super().__init__()
        self.path = path
        self.info = info
        self.choice = choice
        self.encoder = choice.why
        self._format = container
        self._crf, self._preset = crf, preset
        self._source = source
        self._time_base = info.time_base
        settings(choice, info, crf, preset, None)  # bad options are refused before anything is written
        for note in choice.notes:
            self._note(note)
        if container == "avi":
            self._note(*rounding(container, info))
        self.carried: list[carry.Carried] = []
        self._routes: dict[int, carry.Carried] = {}
        if source is not None:
            self.carried, dropped = self.plan_streams(container, source)
            for note in dropped:
                self._note(note)
            kept = [c for c in self.carried if c.picture is None and c.source.type != "attachment"]
            self._routes = {c.source.index: c for c in kept}
        try:
            self._file = SafeFile(path)
        except OSError as error:
            raise SinkError(
                f"{path}: cannot be written ({error.strerror}); check the folder and its permissions"
            ) from error
        self._container: Any = None
        self._stream: Any = None
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
        self._previous: int | None = None
        self._shift = Fraction(0)
        self._rounded = 0
        self._ticks = TICKS.get(container)
        self._coarse = 0
        self._ends = Fraction(0)
        self._muxed = 0
        self._newest = Fraction(0)
        if self._routes and source is not None:
            source.attach(self.packet)

    @staticmethod
    def plan_streams(container: str, source: Source) -> tuple[list[carry.Carried], list[str]]:
        """The other streams that the container holds, and sentences on those it does not."""
        early = source.early_packets if isinstance(source, FileSource) else ()
        return carry.plan_streams(container, source.streams, chapters=bool(source.chapters), early=early)

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
            self._frames.append(frame)
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

    def stop(self, within: float | None = 1.5) -> None:
        with self._changed:
            self._early = self._early or not self._ending
        self._end(within)

    def _end(self, within: float | None = None) -> None:
        with self._changed:
            self._ending = True
            thread = self._thread
            self._cancel = self._cancel or within == 0
            self._changed.notify_all()
        if thread is not None:
            thread.join(within)
            if thread.is_alive():
                with self._changed:
                    self._cancel = True
                    self._changed.notify_all()
                thread.join()
        elif not self._done:
            self._done = True
            self._file.close()
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
                self._encode(frame)
            if not self._cancel and self._container is not None:
                self._mux_video(self._stream.encode_lazy(None))
        except BaseException as error:
            failure = error
        finally:
            try:
                self._finish()
            except BaseException as error:
                failure = failure or error
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
            if self._container is None:
                self._open(None)
            self._mux_others(None, down_to=_PACKET_BYTES // 2)

    def _open(self, first: Frame | None) -> None:
        info = output_colour(self.choice, self.info)
        data = first.side_data if first is not None else {}
        hdr = hdr_of(data)
        options, notes = settings(self.choice, info, self._crf, self._preset, hdr)
        for note in notes:
            self._note(note)
        if "DYNAMIC_HDR_PLUS" in data or "DOVI_METADATA" in data or "DOVI_RPU_BUFFER" in data:
            self._note("dynamic HDR metadata (HDR10+, Dolby Vision) belongs to the old pictures and is not kept")
        muxer = dict(_MUXER_OPTIONS.get(self._format, {}))
        tags = carry.container_tags(self._source.metadata) if self._source is not None else {}
        if self._format == "mov" or (self._format == "mp4" and any(k.startswith("com.") for k in tags)):
            muxer["movflags"] += "+use_metadata_tags"
        muxer |= {"flush_packets": "1", "max_interleave_delta": "1000000"}
        out: Any = av.open(self._file, "w", format=self._format, container_options=muxer, buffer_size=1 << 18)
        self._container = out
        rate = info.rate or Fraction(25)
        stream = self._stream = out.add_stream(self.choice.codec, rate=rate.limit_denominator(1 << 30), options=options)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, self.choice.pix_fmt
        context.time_base = self._time_base
        context.sample_aspect_ratio = info.sample_aspect_ratio
        if self.choice.name != "ffv1":
            context.gop_size = max(1, min(300, round(rate * 5)))
        colour = info.colour
        context.color_primaries, context.color_trc = int(colour.primaries), int(colour.transfer)
        context.colorspace, context.color_range = int(colour.matrix), int(colour.range)
        if self.choice.pix_fmt.startswith(("gbr", "rgb", "bgr")):
            context.color_range = int(Range.FULL)
        if hasattr(context, "chroma_location"):
            context.chroma_location = int(colour.chroma_location)
        context.thread_type = "AUTO"
        if self.choice.codec in ("libx265", "hevc_nvenc") and self._format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the name Apple players ask for
        frame_duration_flag(context)
        matrix = data.get("DISPLAYMATRIX")
        if isinstance(matrix, bytes) and len(matrix) == 36:
            stream.set_display_matrix(
                [int.from_bytes(matrix[i : i + 4], "little", signed=True) for i in range(0, 36, 4)]
            )
        if first is not None and first.time < 0:
            self._shift = -first.time
            self._note(f"{self._format} holds no times before zero: all streams start {float(self._shift):.6g} s later")
        self._carry(out, stream, tags)
        out.start_encoding()

    def _carry(self, out: Any, stream: Any, tags: dict[str, str]) -> None:
        source = self._source
        if source is None:
            return
        out.metadata.update(tags)
        if isinstance(source, FileSource):
            stream.metadata.update(carry.stream_tags(source.video.metadata, video=True))
            stream.disposition = source.video.disposition
        for carried in self.carried:
            carried.add_to(out)
        chapters = source.chapters
        if chapters:
            for chapter in chapters:
                move = round(self._shift / chapter["time_base"])
                chapter["start"] += move
                chapter["end"] += move
            out.set_chapters(chapters)

    def _encode(self, frame: Frame) -> None:
        if self._container is None:
            self._open(frame)
        exact = (frame.time + self._shift) / self._time_base
        pts = round(exact)
        self._rounded += exact.denominator != 1
        self._coarse += self._ticks is not None and ((frame.time + self._shift) * self._ticks).denominator != 1
        if self._previous is not None and pts <= self._previous:
            raise SinkError(
                f"{self.path}: frame {self.written} at {float(frame.time):.6f} s is not after the one before it; "
                "frames are written in order of time"
            )
        self._previous = pts
        colour = output_colour(self.choice, replace(self.info, colour=frame.colour)).colour
        picture = to_av(frame, self.choice.pix_fmt, colour, self.choice.convert)  # type: ignore[arg-type]
        picture.pict_type = 0  # the encoder decides; the source's choice of key frames is not ours
        picture.pts = pts
        picture.time_base = self._time_base
        picture.duration = round(frame.duration * frame.time_base / self._time_base)
        self._mux_video(self._stream.encode_lazy(picture))
        self.written += 1
        self.last = frame.time
        self._ends = (pts * self._time_base) + frame.duration * frame.time_base

    def _mux_video(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            if self._cancel:
                return
            self._mux_others(carry.when(packet))
            at = packet.pts * packet.time_base
            self._container.mux_one(packet)
            self._muxed += 1
            self._newest = max(self._newest, at)

    def _mux_others(self, until: Fraction | None, down_to: int = -1) -> None:
        """Mux waiting packets of other streams: up to a time, or until no more than `down_to` bytes wait."""
        while True:
            with self._changed:
                if not self._packets or self._packet_bytes <= down_to:
                    return
                packet = self._packets[0]
                at = carry.when(packet)
                ahead = until is not None and at is not None and at + self._shift > until
                if ahead and self._packet_bytes <= _PACKET_BYTES:
                    return
                self._packets.popleft()
                self._packet_bytes -= packet.size
                self._changed.notify_all()
            if at is None:
                if self._routes[packet.stream_index].source.type != "video":
                    continue  # a muxer cannot place a packet without a time
                packet.pts = packet.dts = 0  # a cover picture has none
            if self._shift:
                carry.shifted(packet, self._shift)
            packet.stream = self._routes[packet.stream_index].target
            self._container.mux_one(packet)

    def _finish(self) -> None:
        if self._container is None:
            self._file.close()
            return
        if self._coarse:
            self._note(
                f"{self._format} counts time in 1/{self._ticks} s: {self._coarse} frame times were rounded to that"
            )
        if self._rounded:
            self._note(f"{self._rounded} frame times did not fit the time base {self._time_base} and were rounded")
        try:
            if self._file.error is None:
                try:
                    self._mux_others(self._ends if self._early else None)
                finally:
                    self._file.begin_finish()
                    self._container.close()
                    self._file.commit()
        except BaseException:
            self._file.roll_back()
            raise
        finally:
            if self._file.error is not None:
                self._file.roll_back()
            self._file.close()
            self._container.close()  # with its file closed it writes nothing more
            if self._format == "mp4" and self._file.error is None and any(c.cover for c in self.carried):
                hide_empty_video_tracks(self.path)
            self._count()

    def _count(self) -> None:
        """Say what is in the file, now that no more comes: what was muxed, or after a failure what can be read."""
        if self._file.error is None:
            self.written, self.last = self._muxed, self._newest - self._shift
            return
        self.written, self.last, until = 0, None, time.monotonic() + 1.0
        try:
            with av.open(self.path) as file:
                for packet in file.demux(video=0):
                    if packet.pts is not None and packet.size and not packet.is_corrupt:
                        self.written += 1
                        self.last = max(self.last or Fraction(0), packet.pts * packet.time_base - self._shift)
                    if time.monotonic() > until:
                        break
        except (av.FFmpegError, ValueError, IndexError):
            pass
