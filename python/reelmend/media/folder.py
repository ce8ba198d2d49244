"""Pictures in a folder as a video."""

from __future__ import annotations

import glob
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..errors import SourceError
from ..frame import Frame, VideoInfo
from .base import Source
from .pixels import colour_of, from_av, layout_of, side_data_of

__all__ = ["PICTURES", "FolderSource", "looks_like_pattern", "natural"]

PICTURES = (
    ".png",
    ".tif",
    ".tiff",
    ".jpg",
    ".jpeg",
    ".dpx",
    ".exr",
    ".bmp",
    ".webp",
    ".ppm",
    ".pgm",
    ".jp2",
    ".j2k",
    ".tga",
)
_PRINTF = re.compile(r"%0?(\d*)d")


def looks_like_pattern(name: str) -> bool:
    """True for "shot/%06d.png" and "shot/*.png", unless a file has that very name."""
    return (
        bool(_PRINTF.search(name) or any(c in name for c in "*?[")) and not os.path.exists(name) and "://" not in name
    )


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key in which frame2 comes before frame10."""
    return [(1, int(t), "") if t.isdigit() else (0, 0, t.lower()) for t in re.findall(r"\d+|\D+", name)]


def _listed(name: str) -> list[str]:
    if os.path.isdir(name):
        found = [
            os.path.join(name, f) for f in os.listdir(name) if f.lower().endswith(PICTURES) and not f.startswith(".")
        ]
        if not found:
            raise SourceError(f"{name}: a folder without pictures; expected {', '.join(PICTURES[:7])} files")
        kinds = {Path(f).suffix.lower() for f in found}
        if len(kinds) > 1:
            raise SourceError(
                f"{name}: pictures of several kinds ({', '.join(sorted(kinds))}); name one kind, "
                f"such as {os.path.join(name, '*' + min(kinds))}"
            )
    elif _PRINTF.search(name):
        folder, leaf = os.path.split(name)
        parts = _PRINTF.split(leaf)
        expression = re.compile(re.escape(parts[0]) + r"\d+" + re.escape(parts[-1]) + "$")
        try:
            leaves = os.listdir(folder or ".")
        except OSError as error:
            raise SourceError(f"{name}: cannot list the folder ({error.strerror}); check the name") from error
        found = [os.path.join(folder, f) for f in leaves if expression.match(f)]
    else:
        found = glob.glob(name)
    if not found:
        raise SourceError(f"{name}: no file matches this pattern; check the name")
    return sorted(found, key=lambda f: natural(os.path.basename(f)))


class FolderSource(Source):
    """A folder or pattern of pictures, in natural order, `rate` a second. Opened by `open_source`."""

    def __init__(self, name: str, *, rate: Fraction) -> None:
        super().__init__()
        if rate <= 0:
            raise SourceError(f"{name}: a rate is frames a second, above 0; got {rate}")
        self.name = name
        self._files = _listed(name)
        self._rate = rate
        self._next = 0
        self._first: Frame | None = self._read(0)
        first = self._first
        self.info = VideoInfo(first.width, first.height, first.format, first.colour, rate, 1 / rate, len(self._files))

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self._files)

    @property
    def seconds(self) -> Fraction | None:
        return len(self._files) / self._rate

    def _read(self, index: int) -> Frame:
        path = self._files[index]
        if os.path.getsize(path) == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes); copy it again")
        try:
            with av.open(path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "SLICE"
                picture: Any = next(container.decode(stream))
                context = stream.codec_context
                layout = layout_of(picture.format.name)
                colour = colour_of(picture, context, layout)
        except (av.FFmpegError, IndexError, StopIteration, ValueError) as error:
            raise SourceError(f"{path}: not a picture that can be read ({error}); remove or replace it") from error
        if layout.note:
            self._note(layout.note)
        if picture.is_corrupt:
            self._note(f"{path}: marked damaged by the decoder; kept as it is")
        return from_av(picture, layout, colour, index, 1 / self._rate, 1, side_data_of(picture))

    def __next__(self) -> Frame:
        if self.problem is not None or self._next >= len(self._files):
            raise StopIteration
        if self._first is not None:
            frame, self._first = self._first, None
        else:
            try:
                frame = self._read(self._next)
            except (SourceError, OSError) as error:
                self.problem = f"{error}; stopped {self._where()}"
                raise StopIteration from None
        self._next += 1
        self.delivered += 1
        self._last = frame.time
        return frame

    def close(self) -> None:
        self._first = None
        self._next = len(self._files)
