"""The outer structure of MP4, Matroska and RIFF files: is a file whole, and small repairs to an index."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction

__all__ = ["mend_index", "missing_bytes"]

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


def mend_index(path: str, ends: Mapping[int, Fraction]) -> None:
    """Put right what FFmpeg's muxer gets wrong when it turns a fragmented MP4 into an ordinary one.

    ends: for video tracks, by their place in the file from 0, when their last picture ends, in seconds

    Its edit list ends with the last fragment's own newest picture; where reordered pictures straddle the last
    fragments, the newest of all would be cut off. And a cover picture leaves a track without samples, which
    becomes free space.
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
                before = bytes(data)
                _mend_moov(data, ends)
                if data != before:
                    file.seek(at)
                    file.write(data)
                return
            if length < 8:
                return
            at += length


def _mend_moov(data: bytearray, ends: Mapping[int, Fraction]) -> None:
    head = _inside(data, 0, len(data), b"mvhd")
    if head is None:
        return
    scale_at = head[0] + (28 if data[head[0] + 8] else 20)
    scale = int.from_bytes(data[scale_at : scale_at + 4])
    for kind, start, end in list(_boxes(data, 8, len(data))):
        header = _inside(data, start, end, b"tkhd")
        handler = _inside(data, start, end, b"mdia", b"hdlr")
        if kind != b"trak" or header is None or handler is None:
            continue
        if data[handler[0] + 16 : handler[0] + 20] != b"vide":
            continue
        sizes = _inside(data, start, end, b"mdia", b"minf", b"stbl", b"stsz")
        if sizes is not None and not any(data[sizes[0] + 16 : sizes[0] + 20]):
            data[start + 4 : start + 8] = b"free"
            continue
        long = bool(data[header[0] + 8])
        number_at = header[0] + (28 if long else 20)
        track = int.from_bytes(data[number_at : number_at + 4]) - 1
        edits = _inside(data, start, end, b"edts", b"elst")
        if track in ends and edits is not None:
            needed = -(-ends[track] * scale // 1)
            if _lengthen(data, edits[0], int(needed)):
                width = 8 if long else 4
                _raise_to(data, number_at + 8, width, int(needed))
                _raise_to(data, scale_at + 4, 8 if data[head[0] + 8] else 4, int(needed))


def _lengthen(data: bytearray, edits: int, needed: int) -> bool:
    """Have the last edit end at `needed` at least, in ticks of the film. True if it was shorter."""
    width = 8 if data[edits + 8] else 4
    count = int.from_bytes(data[edits + 12 : edits + 16])
    step = 2 * width + 4
    durations = [int.from_bytes(data[i : i + width]) for i in range(edits + 16, edits + 16 + count * step, step)]
    if not durations or sum(durations) >= needed:
        return False
    return _raise_to(data, edits + 16 + (count - 1) * step, width, needed - sum(durations[:-1]))


def _raise_to(data: bytearray, at: int, width: int, value: int) -> bool:
    if int.from_bytes(data[at : at + width]) >= value or value >= 1 << (8 * width):
        return False
    data[at : at + width] = value.to_bytes(width)
    return True
