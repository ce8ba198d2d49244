"""What is copied beside the video: other streams, tags and chapters."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
from av.stream import Discard, Disposition

__all__ = ["Carried", "container_tags", "plan_streams", "stream_tags"]

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
    """One stream to copy: where it comes from, and where it goes once the output is open."""

    def __init__(self, stream: Any) -> None:
        self.source = stream
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
        if container.format.name == "mov" and source.language in _MOV_LANGUAGES:
            self.target.metadata["language"] = _MOV_LANGUAGES[source.language]
        self.target.disposition = source.disposition


def describe(stream: Any) -> str:
    """ "audio #1 (aac, eng)": a stream for people."""
    name = getattr(stream.codec_context, "name", None) if stream.codec_context is not None else None
    name = name or getattr(stream, "name", None) or stream.metadata.get("handler_name", "").strip() or "unknown"
    words = [str(name)] + ([stream.language] if stream.language and stream.language != "und" else [])
    kind = "cover picture" if Carried(stream).cover else stream.type
    return f"{kind} #{stream.index} ({', '.join(words)})"


def _holds(container: str, carried: Carried) -> bool:
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


def _elsewhere(container: str, stream: Any) -> str:
    for other, ending in (("matroska", ".mkv"), ("mov", ".mov"), ("mp4", ".mp4")):
        carried = Carried(stream)
        if other != container and not (carried.cover and other == "mov") and _holds(other, carried):
            return f"; an output ending in {ending} can"
    return ", nor can any other"


def _made_anew(container: str, stream: Any, chapters: bool) -> bool:
    """True for a track that the output's muxer makes itself: chapter titles (a track the demuxer discards) and,
    in MP4, time code (from the tag on the video)."""
    if stream.type != "data":
        return False
    titles = chapters and stream.discard == Discard.all
    return bool(titles or (container in ("mp4", "mov") and stream.metadata.get("timecode")))


def plan_streams(
    container: str, streams: Sequence[Any], *, chapters: bool, early: Sequence[Any] = ()
) -> tuple[list[Carried], list[str]]:
    """The streams this container can hold, and a sentence for each that it cannot."""
    kept: list[Carried] = []
    dropped: list[str] = []
    for stream in streams:
        if _made_anew(container, stream, chapters):
            continue
        carried = Carried(stream)
        if carried.cover and container == "matroska":
            carried.picture = next((bytes(p) for p in early if p.stream_index == stream.index), None)
        if (carried.cover and container == "mov") or not _holds(container, carried):
            dropped.append(f"{describe(stream)} dropped: {container} cannot hold it{_elsewhere(container, stream)}")
        else:
            kept.append(carried)
    return kept, dropped


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
