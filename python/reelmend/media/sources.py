"""`open_source`: what kind of input a path is, and what decodes it."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, SourceError
from ..fallback import Fallback
from ..ops._memory import gpu_of
from .folder import FolderSource, looks_like_pattern
from .source import FileSource, Source

__all__ = ["DECODERS", "Decoder", "Source", "open_source", "read_mask"]

Decoder = Literal["auto", "pyav", "dali", "nvcodec"]
DECODERS: tuple[Decoder, ...] = ("auto", "pyav", "dali", "nvcodec")

_NAMES = {"dali": "DALI", "nvcodec": "PyNvVideoCodec"}


def open_source(
    path: str | os.PathLike[str],
    *,
    threads: int = 0,
    rate: Fraction | int | str = 24,
    device: str = "cpu",
    decoder: Decoder = "auto",
    prefetch: int = 2,
) -> Source:
    """Open a video to read.

    path      a file that FFmpeg reads; a folder of pictures; a pattern ("shot/%06d.png", "shot/*.tif"); a URL;
              "-" for a y4m (or other streamable) video on standard input
    threads   decoder threads, 0 for one a core
    rate      frames a second of pictures, which have no time of their own; others keep theirs
    device    where frames are wanted: "cpu", "cuda" or "cuda:N". What cannot decode there gives frames on the CPU
    decoder   "auto": NVDEC by PyAV where the device is a GPU that has it, else PyAV on the CPU; "pyav": that always;
              "dali" and "nvcodec": NVIDIA DALI and PyNvVideoCodec, with the extras of these names
    prefetch  frames that DALI prepares ahead, at least 1: 1 for what is live

    What was wanted and not taken stands in the source's `fallbacks`. Raises SourceError, in one line, for anything that
    cannot give at least one frame; OptionError for an unknown decoder or device, MissingExtraError for one asked for by
    name that is not installed.
    """
    name = os.fspath(path)
    index = gpu_of(device)
    if decoder not in DECODERS:
        raise OptionError(f"unknown decoder {decoder!r}; choose {', '.join(DECODERS)}")
    plain = _plain(name, threads, rate)
    if plain is not None:
        if decoder in _NAMES:
            _fell_back(plain, _NAMES[decoder], "it reads files only")
        elif decoder == "auto" and index is not None:
            _fell_back(plain, "NVDEC by PyAV", "it is tried on files only")
        return plain
    if decoder == "dali":
        from .dali import DaliSource

        return DaliSource(name, depth=prefetch, index=index, threads=threads)
    if decoder == "nvcodec":
        return _nvcodec(name, index, threads)
    source = FileSource(name, threads=threads)
    return source if decoder == "pyav" or index is None else _on_gpu(name, source, index)


def _plain(name: str, threads: int, rate: Fraction | int | str) -> Source | None:
    """The source of what is no file: nothing but PyAV on the CPU reads it."""
    if name == "-":
        return _open_stdin(threads)
    if os.path.isdir(name) or looks_like_pattern(name):
        return FolderSource(name, rate=Fraction(rate))
    return None if os.path.isfile(name) or "://" not in name else FileSource(name, threads=threads)


def _fell_back(source: Source, wanted: str, why: str) -> Source:
    source.fallbacks = (*source.fallbacks, Fallback(wanted, source.decoder, why))
    return source


def _on_gpu(name: str, plain: FileSource, index: int) -> Source:
    """The file decoded on the GPU; as it was opened on the CPU, with the reason, where that is not possible."""
    from .hardware import Unavailable, open_cuda

    try:
        source = open_cuda(name, plain, index)
    except Unavailable as error:
        return _fell_back(plain, "NVDEC by PyAV", str(error))
    plain.close()
    return source


def _nvcodec(name: str, index: int | None, threads: int) -> Source:
    from .hardware import Unavailable
    from .nvcodec import NvcodecSource

    if index is None:
        why = "it gives frames on a GPU, and the device is cpu"
        return _fell_back(FileSource(name, threads=threads), _NAMES["nvcodec"], why)
    try:
        return NvcodecSource(name, index=index, threads=threads)
    except Unavailable as error:
        return _fell_back(FileSource(name, threads=threads), _NAMES["nvcodec"], str(error))


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
