"""A video as pictures in a folder."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from pathlib import Path

import av

from ..errors import SinkError
from ..frame import Colour, Frame, Matrix, Range, VideoInfo
from .base import Sink, Source
from .pixels import to_av

__all__ = ["PICTURE_CODECS", "FolderSink"]

PICTURE_CODECS = {".png": "png", ".tif": "tiff", ".tiff": "tiff"}


class FolderSink(Sink):
    """Numbered PNG or TIFF pictures, 8 bits for 8-bit video and 16 above. Opened by `open_sink`."""

    def __init__(self, path: str, info: VideoInfo, *, source: Source | None = None, overwrite: bool = False) -> None:
        super().__init__()
        self.path = path
        self.info = info
        pattern = os.path.join(path, "%06d.png") if path.endswith(("/", os.sep)) or os.path.isdir(path) else path
        if not re.search(r"%0?\d*d", os.path.basename(pattern)):
            raise SinkError(
                f"{path}: a name for pictures needs a number, such as {Path(path).with_suffix('')}_%06d.png"
            )
        folder = os.path.dirname(pattern) or "."
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{path}: cannot make the folder {folder} ({error.strerror}); check its parent") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(f"{path}: the folder {folder} may not be written to; check its permissions")
        first = pattern % 1
        files = getattr(source, "files", ())
        if files and os.path.samefile(os.path.dirname(files[0]) or ".", folder):
            raise SinkError(f"{path}: output and input are the same folder; write to another one")
        if os.path.exists(first) and not overwrite:
            raise SinkError(f"{first}: already exists; choose another folder, or allow overwriting (--overwrite)")
        self._pattern = pattern
        fmt = info.format
        codec = PICTURE_CODECS[Path(pattern).suffix.lower()]
        deep = fmt.depth > 8
        order = "be" if codec == "png" else "le"
        if fmt.kind == "gray":
            self._pix_fmt = f"gray16{order}" if deep else "gray"
        else:
            base = "rgba" if fmt.alpha else "rgb"
            self._pix_fmt = (
                f"{base}{'64' if fmt.alpha else '48'}{order}" if deep else ("rgba" if fmt.alpha else "rgb24")
            )
        self._codec = codec
        self.encoder = f"{codec}, {self._pix_fmt}"
        if fmt.kind == "yuv":
            self._note(f"{fmt.name} is written as RGB pictures")
        if source is not None and source.streams:
            self._note(f"pictures hold no sound or subtitles: {len(source.streams)} streams dropped")
        if info.rate is None or (source is not None and info.rate):
            self._note(f"pictures hold no times: play them at {float(info.rate or Fraction(25)):.6g} frames a second")
        self._closed = False

    def write(self, frame: Frame) -> None:
        if self._closed:
            raise SinkError(f"{self.path}: already closed")
        colour = Colour(frame.colour.primaries, frame.colour.transfer, Matrix.RGB, Range.FULL)
        kind = "yuv_to_rgb" if frame.format.kind == "yuv" else "same"
        path = self._pattern % (self.written + 1)
        try:
            picture = to_av(frame, self._pix_fmt, colour, kind)  # type: ignore[arg-type]
            context = av.CodecContext.create(self._codec, "w")
            context.width, context.height, context.pix_fmt = frame.width, frame.height, self._pix_fmt  # type: ignore[attr-defined]
            context.time_base = Fraction(1, 25)
            context.thread_count = 1
            picture.pts, picture.time_base, picture.pict_type = 0, Fraction(1, 25), 0
            packets = context.encode(picture) + context.encode(None)  # type: ignore[attr-defined]
            temporary = path + ".part"
            with open(temporary, "wb") as file:
                for packet in packets:
                    file.write(bytes(packet))
            os.replace(temporary, path)
        except OSError as error:
            raise SinkError(f"{path}: writing failed ({error.strerror or error}); {self.kept}") from error
        self.written += 1
        self.last = frame.time

    def close(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self._closed = True
