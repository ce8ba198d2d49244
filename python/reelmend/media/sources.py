"""`open_source`: what kind of input a path is."""

from __future__ import annotations

import os
from fractions import Fraction

from .folder import FolderSource, looks_like_pattern
from .source import FileSource, Source, open_stdin

__all__ = ["Source", "open_source"]


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
        return open_stdin(threads)
    if os.path.isdir(name) or looks_like_pattern(name):
        return FolderSource(name, rate=Fraction(rate))
    return FileSource(name, threads=threads)
