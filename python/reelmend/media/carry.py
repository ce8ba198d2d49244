"""What is copied beside the video: other streams, tags and chapters."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av
from av.stream import Disposition

from .clock import UNCHANGED, Pace

__all__ = ["Carried", "container_tags", "describe", "holds", "shifted", "stream_tags", "when"]

# Tags that describe the old file, not the film; each muxer writes its own.
_STALE = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "_statistics_writing_app",
    "_statistics_writing_date_utc",
    "_statistics_tags",
}


# QuickTime lists languages by their older codes.
_MOV_LANGUAGES = {"deu": "ger", "nld": "dut", "swe": "sve", "isl": "ice", "ell": "gre", "ron": "rum", "ces": "cze"}


def _stale(key: str) -> bool:
    return key.lower().split("-")[0] in _STALE


def container_tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """Tags of the whole file that stay true."""
    return {k: v for k, v in metadata.items() if not _stale(k)}


def stream_tags(metadata: Mapping[str, str], *, video: bool = False) -> dict[str, str]:
    """Tags of one stream that stay true; a re-encoded video loses those that describe its old coding."""
    return {k: v for k, v in metadata.items() if not _stale(k) and not (video and k == "vendor_id")}


class Carried:
    """One stream to copy: where it comes from, and where it goes once the output is open.

    pace   how its times follow the source's
    until  a time of the output at which it ends, once that is known
    """

    def __init__(self, stream: Any, pace: Pace = UNCHANGED) -> None:
        self.source = stream
        self.pace = pace
        self.until: Fraction | None = None
        self.picture: bytes | None = None  # a cover that becomes an attachment
        self.target: Any = None

    def __str__(self) -> str:
        return describe(self.source)

    @property
    def cover(self) -> bool:
        """True for a cover picture, which players show beside the film."""
        return self.source.type == "video" and bool(self.source.disposition & Disposition.attached_pic)

    def add_to(self, container: Any) -> None:
        """Make the stream in the output."""
        source = self.source
        if self.picture is not None:
            kind = "image/png" if self.picture[:4] == b"\x89PNG" else "image/jpeg"
            name = source.metadata.get("filename") or f"cover.{kind.rpartition('/')[2]}"
            container.add_attachment(name, source.metadata.get("mimetype", kind), self.picture)
            return
        # "opaque" copies a stream as it is, whether or not this FFmpeg could encode it.
        self.target = container.add_stream_from_template(source, opaque=True)
        self.target.metadata.clear()
        self.target.metadata.update(stream_tags(source.metadata))
        self.tag(container)

    def tag(self, container: Any) -> None:
        """Say of the output's stream what the source says of its own."""
        if container.format.name == "mov" and self.source.language in _MOV_LANGUAGES:
            self.target.metadata["language"] = _MOV_LANGUAGES[self.source.language]
        self.target.disposition = self.source.disposition

    def due(self, packet: Any) -> Fraction | None:
        """When a packet is to be handed on, in seconds of the output."""
        at = when(packet)
        return None if at is None else self.pace.at(at)

    def packets(self, packet: Any) -> Iterator[Any]:
        """What a packet of the source becomes, in times of the output."""
        self.pace.move(packet)
        yield packet

    def rest(self) -> Iterator[Any]:
        """What is still held at the end, up to `until`."""
        yield from ()


def describe(stream: Any) -> str:
    """ "audio #1 (aac, eng)": a stream for people."""
    name = getattr(stream.codec_context, "name", None) if stream.codec_context is not None else None
    name = name or getattr(stream, "name", None) or stream.metadata.get("handler_name", "").strip() or "unknown"
    words = [str(name)] + ([stream.language] if stream.language and stream.language != "und" else [])
    kind = "cover picture" if Carried(stream).cover else stream.type
    return f"{kind} #{stream.index} ({', '.join(words)})"


def holds(container: str, carried: Carried) -> bool:
    """True if this muxer writes a header with the stream in it."""
    try:
        out = av.open(io.BytesIO(), "w", format=container)
        try:
            carried.add_to(out)
            out.start_encoding()
        finally:
            out.close()
    except (av.FFmpegError, ValueError, OSError):
        return False
    finally:
        carried.target = None
    return True


def shifted(packet: Any, by: Fraction) -> None:
    """Move a packet's times by `by` seconds, to the nearest tick of its own time base."""
    ticks = round(by / packet.time_base)
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks


def when(packet: Any) -> Fraction | None:
    """A packet's decoding time in seconds."""
    at = packet.dts if packet.dts is not None else packet.pts
    return None if at is None else at * packet.time_base
