"""`open_source`: what kind of input a path is."""

from __future__ import annotations

import os
import sys
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from .folder import FolderSource, looks_like_pattern
from .source import FileSource, Source

__all__ = ["Source", "open_source", "read_mask"]


def open_source(path: str | os.PathLike[str], *, threads: int = 0, rate: Fraction | int | str = 24) -> Source:
    """Open a video to read.

    path     a file that FFmpeg reads; a folder of pictures; a pattern ("shot/%06d.png", "shot/*.tif"); a URL;
             "-" for a y4m (or other streamable) video on standard input
    threads  decoder threads, 0 for one a core
    rate     frames a second of pictures, which have no time of their own; others keep theirs

    Raises SourceError, in one line, for anything that cannot give at least one frame.
    """
    name = os.fspath(path)
    if name == "-":
        return _open_stdin(threads)
    if os.path.isdir(name) or looks_like_pattern(name):
        return FolderSource(name, rate=Fraction(rate))
    return FileSource(name, threads=threads)


def _open_stdin(threads: int) -> FileSource:
    """A y4m (or any streamable) video on standard input."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise SourceError(
            "standard input is a terminal; pipe a video into it, such as  ffmpeg -i IN -f yuv4mpegpipe - | ..."
        )
    # Unbuffered: a read that never ends must not hold a lock that the interpreter wants when it exits.
    return FileSource("-", threads=threads, file=open(sys.stdin.fileno(), "rb", buffering=0, closefd=False))


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture as a mask: uint8 (height, width), its gray or brightest channel reduced to 8 bits.

    Raises SourceError for what is no picture.
    """
    with FileSource(os.fspath(path), threads=1) as source:
        frame = next(iter(source), None)
        if frame is None:
            raise SourceError(f"{os.fspath(path)}: no picture in it to use as a mask")
        planes = frame.planes[:3] if frame.format.kind == "rgb" else frame.planes[:1]
        mask: NDArray[np.uint8] = (np.maximum.reduce(planes) >> (frame.format.depth - 8)).astype(np.uint8)
        return mask
