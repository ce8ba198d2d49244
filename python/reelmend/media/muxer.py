"""Encoding and muxing, without threads: frames and packets in, a file out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av

from ..errors import SinkError
from ..frame import Colour, Frame, Range, VideoInfo
from . import carry
from .base import TICKS, Source
from .boxes import mend_index
from .clock import UNCHANGED, Pace
from .encoders import Choice, frame_duration_flag, output_colour, settings
from .hardware import SURFACES, Lane, cuda_accel, to_cuda_av
from .hdr import hdr_of
from .nvcodec_encoder import NvcodecEncoder
from .pixels import tagged, to_av
from .safefile import SafeFile
from .source import FileSource

__all__ = ["Muxer"]

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

# Encoders that write a frame's closed captions unless told otherwise.
_CAPTIONING = ("libx264", "libx265", "h264_nvenc", "hevc_nvenc")


class Muxer:
    """One output file, used by one thread at a time.

    due      called with a time in seconds: packets of other streams up to it, which go before the video there
    note     told what could not be kept
    pace     how times of other streams follow the source's
    retimed  whether frames are at other times than the source's
    cancel   set from any thread: nothing more is encoded
    written  frames encoded, or in the file once finished; last: time of the newest
    """

    def __init__(
        self,
        path: str,
        container: str,
        info: VideoInfo,
        choice: Choice,
        source: Source | None,
        carried: list[carry.Carried],
        quality: tuple[int | None, str | None],
        due: Callable[[Fraction | None], Iterator[Any]],
        note: Callable[[str], None],
        pace: Pace = UNCHANGED,
        retimed: bool = False,
    ) -> None:
        self.path = path
        self.info = info
        self.choice = choice
        self.cancel = False
        self.written = 0
        self.last: Fraction | None = None
        self.ends = Fraction(0)  # of the newest frame, on the clock of the file
        self.shift = Fraction(0)
        self._format = container
        self._source = source
        self._carried = carried
        self._routes = {c.source.index: c for c in carried}
        self._crf, self._preset = quality
        self._due = due
        self._note = note
        self._pace = pace
        self._retimed = retimed
        # a time base is two 32-bit numbers to FFmpeg
        self._time_base = info.time_base if info.time_base.denominator < 1 << 31 else Fraction(1, 1_000_000)
        self._container: Any = None
        self._stream: Any = None
        self._coder: NvcodecEncoder | None = None  # in place of the stream's own encoder
        self._lane: Lane | None = None
        self._context: Any = None
        self._previous: int | None = None
        self._rounded = 0
        self._ticks = TICKS.get(container)
        self._coarse = 0
        self._muxed = 0
        self._newest = Fraction(0)
        self._decoded: dict[int, int] = {}  # decoding time of the last packet of each copied stream, by source index
        self._ends: dict[int, Fraction] = {}  # when the pictures of each video stream end, by its index
        try:
            self._file = SafeFile(path)
        except OSError as error:
            raise SinkError(
                f"{path}: cannot be written ({error.strerror}); check the folder and its permissions"
            ) from error

    @property
    def is_open(self) -> bool:
        """True once the header is written."""
        return self._container is not None

    def open(self, first: Frame | None) -> None:
        """Write the header, with what the first frame tells (HDR, rotation) where there is one."""
        info = output_colour(self.choice, self.info)
        data = first.side_data if first is not None else {}
        hdr = hdr_of(data)
        options, notes = settings(self.choice, info, self._crf, self._preset, hdr)
        if self._retimed and self.choice.codec in _CAPTIONING:
            options["a53cc"] = "0"
        for note in notes:
            self._note(note)
        if "DYNAMIC_HDR_PLUS" in data or "DOVI_METADATA" in data or "DOVI_RPU_BUFFER" in data:
            self._note("dynamic HDR metadata (HDR10+, Dolby Vision) belongs to the old pictures and is not kept")
        muxer = dict(_MUXER_OPTIONS.get(self._format, {}))
        tags = carry.container_tags(self._source.metadata) if self._source is not None else {}
        if self._format == "mov" or (self._format == "mp4" and any(k.startswith("com.") for k in tags)):
            muxer["movflags"] += "+use_metadata_tags"
        muxer |= {"flush_packets": "1", "max_interleave_delta": "1000000"}
        self._file.start()
        out: Any = av.open(self._file, "w", format=self._format, container_options=muxer, buffer_size=1 << 18)
        self._container = out
        rate = info.rate or Fraction(25)
        gop = max(1, min(300, round(rate * 5)))
        if self.choice.name == "nvcodec":
            stream = self._stream = self._nvcodec(out, info, {**options, "gop": str(gop)}, first)
        else:
            stream = self._stream = self._encoder(out, info, options, rate, gop)
        matrix = data.get("DISPLAYMATRIX")
        if isinstance(matrix, bytes) and len(matrix) == 36:
            stream.set_display_matrix(
                [int.from_bytes(matrix[i : i + 4], "little", signed=True) for i in range(0, 36, 4)]
            )
        if first is not None and first.time < 0:
            self.shift = -first.time
            self._note(f"{self._format} holds no times before zero: all streams start {float(self.shift):.6g} s later")
        self._carry(out, stream, tags)
        out.start_encoding()

    def _encoder(self, out: Any, info: VideoInfo, options: dict[str, str], rate: Fraction, gop: int) -> Any:
        """The video stream, with its encoder set up."""
        choice = self.choice
        hwaccel = None if choice.index is None else cuda_accel(choice.index)
        stream = out.add_stream(
            choice.codec,
            rate=rate.limit_denominator(1 << 30),
            options=options,
            **({"hwaccel": hwaccel} if hwaccel else {}),
        )
        context = stream.codec_context
        if choice.index is not None:
            context.sw_format = SURFACES[info.format.name]
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, choice.pix_fmt
        context.time_base = self._time_base
        context.sample_aspect_ratio = info.sample_aspect_ratio
        if choice.name != "ffv1":
            context.gop_size = gop
        colour = info.colour
        context.color_primaries, context.color_trc = int(colour.primaries), int(colour.transfer)
        context.colorspace, context.color_range = int(colour.matrix), int(colour.range)
        if choice.pix_fmt.startswith(("gbr", "rgb", "bgr")):
            context.color_range = int(Range.FULL)
        if hasattr(context, "chroma_location"):
            context.chroma_location = int(colour.chroma_location)
        context.thread_type = "AUTO"
        if choice.codec in ("libx265", "hevc_nvenc") and self._format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the name Apple players ask for
        frame_duration_flag(context)
        return stream

    def _nvcodec(self, out: Any, info: VideoInfo, options: dict[str, str], first: Frame | None) -> Any:
        """The video stream for packets of PyNvVideoCodec."""
        choice = self.choice
        if first is None:
            raise SinkError(f"{self.path}: {choice.name} needs a frame before anything else; use encoder='nvenc'")
        on_gpu = choice.index is not None
        self._coder = NvcodecEncoder(
            info, options, first, index=choice.index or 0, on_gpu=on_gpu, convert=choice.convert
        )
        stream = out.add_stream_from_template(self._coder.template, opaque=True)
        stream.time_base = self._time_base
        return stream

    def _carry(self, out: Any, stream: Any, tags: dict[str, str]) -> None:
        source = self._source
        if source is None:
            return
        out.metadata.update(tags)
        if isinstance(source, FileSource):
            stream.metadata.update(carry.stream_tags(source.video.metadata, video=True))
            stream.disposition = source.video.disposition
        for carried in self._carried:
            carried.add_to(out)
        chapters = source.chapters
        if chapters:
            for chapter in chapters:
                tick = chapter["time_base"]
                for edge in ("start", "end"):
                    chapter[edge] = round((self._pace.at(chapter[edge] * tick) + self.shift) / tick)
            out.set_chapters(chapters)

    def encode(self, frame: Frame) -> None:
        """Encode one frame; what the encoder gives is muxed. Raises SinkError for a frame out of order."""
        if self._container is None:
            self.open(frame)
        exact = (frame.time + self.shift) / self._time_base
        pts = round(exact)
        self._rounded += exact.denominator != 1
        self._coarse += self._ticks is not None and ((frame.time + self.shift) * self._ticks).denominator != 1
        if self._previous is not None and pts <= self._previous:
            raise SinkError(
                f"{self.path}: frame {self.written} at {float(frame.time):.6f} s is not after the one before it; "
                "frames are written in order of time"
            )
        self._previous = pts
        colour = output_colour(self.choice, replace(self.info, colour=frame.colour)).colour
        self._mux_video(self._coded(frame, pts, colour))
        self.written += 1
        self.last = frame.time
        self.ends = (pts * self._time_base) + frame.duration * frame.time_base

    def _coded(self, frame: Frame, pts: int, colour: Colour) -> Iterable[Any]:
        choice, duration = self.choice, round(frame.duration * frame.time_base / self._time_base)
        if self._coder is not None:
            return self._coder.encode(frame, pts, duration, self._time_base, colour)
        if choice.index is not None and frame.on_gpu:
            if self._lane is None:
                self._lane, self._context = Lane(choice.index), av.video.frame.CudaContext(choice.index)
            picture: Any = tagged(to_cuda_av(frame, self._lane, self._context), colour)
        else:
            picture = to_av(frame, choice.pix_fmt, colour, choice.convert)  # type: ignore[arg-type]
        picture.pict_type = 0  # the encoder decides; the source's choice of key frames is not ours
        picture.pts = pts
        picture.time_base = self._time_base
        picture.duration = duration
        return self._stream.encode_lazy(picture)  # type: ignore[no-any-return]

    def flush(self) -> None:
        """Have the encoder give what it holds."""
        if self._container is not None and self._file.error is None:
            held = self._stream.encode_lazy(None) if self._coder is None else self._coder.flush(self._time_base)
            self._mux_video(held)

    def _mux_video(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            if self.cancel:
                return
            for other in self._due(carry.when(packet)):
                self.mux_other(other)
            at = packet.pts * packet.time_base
            self._end(packet)
            self._container.mux_one(packet)
            self._muxed += 1
            self._newest = max(self._newest, at)

    def mux_other(self, packet: Any) -> None:
        """Mux a packet of another stream."""
        carried = self._routes[packet.stream_index]
        if carry.when(packet) is None:
            if not carried.cover:
                return  # a muxer cannot place a packet without a time
            packet.pts = packet.dts = 0
        for moved in carried.packets(packet):
            self._mux_carried(carried, moved)

    def _mux_carried(self, carried: carry.Carried, packet: Any) -> None:
        if self.shift:
            carry.shifted(packet, self.shift)
        index = carried.source.index
        if packet.dts is not None:
            last = self._decoded.get(index)
            strict = carried.source.type in ("audio", "video")
            if last is not None and packet.dts < last + strict:  # a muxer refuses it, and with it the whole file
                self._note(f"{carried} has packets that go back in time: moved to the time of the one before")
                packet.pts = None if packet.pts is None else max(packet.pts, last + 1)
                packet.dts = last + 1
            self._decoded[index] = packet.dts
        packet.stream = carried.target
        if carried.source.type == "video" and not carried.cover:
            self._end(packet)
        self._container.mux_one(packet)

    def _end(self, packet: Any) -> None:
        if packet.pts is not None:
            at = (packet.pts + (packet.duration or 1)) * packet.time_base
            self._ends[packet.stream_index] = max(at, self._ends.get(packet.stream_index, at))

    def finish(self, until: Fraction | None) -> None:
        """Make the file whole: other streams up to a time (None: all that is left), index, and honest counts."""
        if self._container is None:
            self._file.give_up()
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
                    for carried in self._carried:
                        carried.until = None if until is None else until - self.shift
                    for packet in self._due(until):
                        self.mux_other(packet)
                    for carried in self._carried:
                        for packet in carried.rest():
                            self._mux_carried(carried, packet)
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
            if self._format in ("mp4", "mov") and self._file.error is None:
                mend_index(self.path, self._ends)
            self._count()

    def _count(self) -> None:
        """Say what is in the file, now that no more comes: what was muxed, or after a failure what can be read."""
        if self._file.error is None:
            self.written, self.last = self._muxed, self._newest - self.shift
            return
        self.written, self.last, until = 0, None, time.monotonic() + 1.0
        try:
            with av.open(self.path) as file:
                for packet in file.demux(video=0):
                    if packet.pts is not None and packet.size and not packet.is_corrupt:
                        self.written += 1
                        self.last = max(self.last or Fraction(0), packet.pts * packet.time_base - self.shift)
                    if time.monotonic() > until:
                        break
        except (av.FFmpegError, ValueError, IndexError):
            pass
