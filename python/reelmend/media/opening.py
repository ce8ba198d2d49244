"""Opening a file with errors people can act on, and telling whether a file is whole."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import av

from ..errors import SourceError

__all__ = ["missing_bytes", "open_container"]


def missing_bytes(path: str) -> int:
    """Bytes that the outermost structure of an MP4, Matroska or RIFF file promises and the file lacks."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(4096)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
                at = 0
                while at + 8 <= size:
                    file.seek(at)
                    (length,) = struct.unpack(">I", file.read(4))
                    file.seek(at + 8)
                    if length == 1:
                        (length,) = struct.unpack(">Q", file.read(8))
                    elif length == 0:
                        return 0
                    if length < 8:
                        return 0
                    at += length
                return max(0, at - size)
            if head[:4] == b"\x1a\x45\xdf\xa3":
                at = head.find(b"\x18\x53\x80\x67")
                if at < 0:
                    return 0
                first = head[at + 4]
                width = 9 - first.bit_length()
                length = int.from_bytes(bytes([first & (0xFF >> width)]) + head[at + 5 : at + 4 + width])
                unknown = length == (1 << (7 * width)) - 1
                return 0 if unknown else max(0, at + 4 + width + length - size)
            if head[:4] == b"RIFF":
                return max(0, int.from_bytes(head[4:8], "little") + 8 - size)
    except (OSError, struct.error, IndexError):
        pass
    return 0


def open_container(path: str, file: BinaryIO | None, options: dict[str, str], format: str | None) -> Any:
    name = Path(path).name if file is None else "standard input"
    if file is None:
        if not os.path.exists(path):
            if "://" not in path:
                raise SourceError(f"{path}: no such file; check the name")
        elif os.path.isfile(path) and os.path.getsize(path) == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes); copy or record it again")
    try:
        return av.open(
            file if file is not None else path, "r", format=format, options=options, metadata_errors="replace"
        )
    except PermissionError as error:
        raise SourceError(f"{path}: may not be read; check its permissions") from error
    except (av.FFmpegError, ValueError) as error:
        try:
            with open(path, "rb") as probe:
                head = probe.read(12)
        except OSError:
            head = b""
        if head[4:8] in (b"ftyp", b"mdat", b"wide", b"moov"):
            raise SourceError(
                f"{path}: the MP4 index (moov) is missing or damaged, so the recording or copy was cut off; "
                "copy it again, or rebuild the index with a tool such as untrunc"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(
            f"{path}: not a video that FFmpeg can read ({reason}); is {name} really a video file?"
        ) from error
