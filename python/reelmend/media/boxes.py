"""The outer structure of MP4, Matroska and RIFF files: is a file whole, and small repairs to an index."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

__all__ = ["hide_empty_video_tracks", "missing_bytes"]

_TOP = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")


def missing_bytes(path: str) -> int:
    """Bytes that the outermost structure of a file promises and the file lacks; 0 where it cannot be told."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(4096)
            if head[4:8] in _TOP:
                at = 0
                while at + 8 <= size:
                    file.seek(at)
                    length, _, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
                    length = long if length == 1 else length
                    if length < 8:  # 0: up to the end of the file
                        return 0
                    at += length
                return max(0, at - size)
            if head[:4] == b"\x1a\x45\xdf\xa3":
                return _missing_in_matroska(head, size)
            if head[:4] == b"RIFF":
                return max(0, int.from_bytes(head[4:8], "little") + 8 - size)
    except (OSError, struct.error, IndexError):
        pass
    return 0


def _missing_in_matroska(head: bytes, size: int) -> int:
    at = head.find(b"\x18\x53\x80\x67")  # the Segment, and its length as an EBML number
    if at < 0:
        return 0
    first = head[at + 4]
    width = 9 - first.bit_length()
    length = int.from_bytes(bytes([first & (0xFF >> width)]) + head[at + 5 : at + 4 + width])
    unknown = length == (1 << (7 * width)) - 1
    return 0 if unknown else max(0, at + 4 + width + length - size)


def _boxes(data: bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the boxes in a part of an index."""
    while start + 8 <= end:
        length = int.from_bytes(data[start : start + 4])
        if length < 8 or start + length > end:
            return
        yield bytes(data[start + 4 : start + 8]), start, start + length
        start += length


def _inside(data: bytearray, start: int, end: int, *path: bytes) -> tuple[int, int] | None:
    for kind in path:
        found = next(((s, e) for k, s, e in _boxes(data, start + 8, end) if k == kind), None)
        if found is None:
            return None
        start, end = found
    return start, end


def hide_empty_video_tracks(path: str) -> None:
    """Turn video tracks without samples into free space.

    A fragmented MP4 has to list a track for a cover picture, which is no track; nobody needs it afterwards.
    """
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            length, kind, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            length = long if length == 1 else length or size - at
            if kind == b"moov":
                file.seek(at)
                data = bytearray(file.read(length))
                for name, start, end in _boxes(data, 8, len(data)):
                    if name != b"trak":
                        continue
                    handler = _inside(data, start, end, b"mdia", b"hdlr")
                    sizes = _inside(data, start, end, b"mdia", b"minf", b"stbl", b"stsz")
                    video = handler is not None and data[handler[0] + 16 : handler[0] + 20] == b"vide"
                    if video and sizes is not None and not any(data[sizes[0] + 16 : sizes[0] + 20]):
                        file.seek(at + start + 4)
                        file.write(b"free")
                return
            if length < 8:
                return
            at += length
