"""YUV4MPEG2, the plain format of pipes: to a file or to standard output."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from ..errors import SinkError
from ..frame import ChromaLocation, Frame, PixelFormat, Range, VideoInfo
from .base import Sink, Source
from .pixels import planar_name

__all__ = ["Y4mSink"]


def _space(fmt: PixelFormat, sited: ChromaLocation) -> str:
    if fmt.kind == "gray":
        return "Cmono" + ("" if fmt.depth == 8 else str(fmt.depth))
    sub = fmt.name.removeprefix("yuva").removeprefix("yuv")[:3]
    if fmt.depth == 8 and sub == "420":
        return {ChromaLocation.CENTER: "C420jpeg", ChromaLocation.TOPLEFT: "C420paldv"}.get(sited, "C420mpeg2")
    return f"C{sub}" if fmt.depth == 8 else f"C{sub}p{fmt.depth} XYSCSS={sub}P{fmt.depth}"


class Y4mSink(Sink):
    """A y4m stream at one constant rate. Opened by `open_sink`."""

    def __init__(self, path: str, info: VideoInfo, *, source: Source | None = None) -> None:
        super().__init__()
        self.path = "standard output" if path == "-" else path
        self.info = info
        fmt = info.format
        if fmt.kind == "rgb":
            raise SinkError(
                f"{self.path}: y4m holds YUV and grey only, this video is {fmt.name}; write an .mkv instead"
            )
        self._space = _space(fmt, info.colour.chroma_location)
        self._planes = 1 if fmt.kind == "gray" else 3
        if fmt.alpha:
            self._note("y4m holds no transparency: it is dropped")
        if source is not None and source.streams:
            self._note(f"y4m holds no sound or subtitles: {len(source.streams)} streams dropped")
        self.encoder = f"y4m, {planar_name(fmt)}"
        self._file: BinaryIO | None = None
        if path == "-":
            self._file = sys.stdout.buffer
        else:
            try:
                self._file = open(path, "wb")  # noqa: SIM115
            except OSError as error:
                raise SinkError(f"{path}: cannot be written ({error.strerror})") from error
        self._owned = path != "-"
        self._step: Fraction | None = 1 / info.rate if info.rate else None
        self._uneven = False

    def _head(self) -> bytes:
        info = self.info
        rate = info.rate or Fraction(25)
        ratio = info.sample_aspect_ratio
        span = {Range.FULL: " XCOLORRANGE=FULL", Range.LIMITED: " XCOLORRANGE=LIMITED"}.get(info.colour.range, "")
        return (
            f"YUV4MPEG2 W{info.width} H{info.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{ratio.numerator}:{ratio.denominator} {self._space}{span}\n"
        ).encode()

    def write(self, frame: Frame) -> None:
        if self._file is None:
            raise SinkError(f"{self.path}: already closed")
        if (frame.width, frame.height, frame.format) != (self.info.width, self.info.height, self.info.format):
            raise SinkError(f"{self.path}: frame {self.written} differs in size or format; y4m holds one")
        if (
            self.last is not None
            and self._step
            and abs(frame.time - self.last - self._step) > self._step / 4
            and not self._uneven
        ):
            self._uneven = True
            self._note("y4m has one constant rate: the uneven times of this video are lost")
        dtype = frame.format.dtype.newbyteorder("<")
        try:
            if not self.written:
                self._file.write(self._head())
            self._file.write(b"FRAME\n")
            for plane in frame.planes[: self._planes]:
                samples = plane.get() if hasattr(plane, "get") else plane
                self._file.write(np.ascontiguousarray(samples, dtype=dtype).data)
            self._file.flush()
        except OSError as error:
            self.abort()
            why = "the reader closed the pipe" if isinstance(error, BrokenPipeError) else error.strerror
            raise SinkError(f"{self.path}: writing failed ({why}); {self.kept}") from error
        self.written += 1
        self.last = frame.time

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._owned:
            file.close()

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if self._owned:
                file.close()
            else:
                # Nothing more can go out; spare the interpreter's own flush at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
        except OSError:
            pass
