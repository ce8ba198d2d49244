"""Which of a source's other streams go into an output, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from av.stream import Discard

from .base import Source
from .carry import Carried, describe, holds
from .clock import UNCHANGED, Pace
from .stretch import Stretched, coding_for

__all__ = ["SOUND", "Sound", "notes_on", "plan_streams"]

Sound = Literal["stretch", "keep", "drop"]
SOUND: tuple[Sound, ...] = ("stretch", "keep", "drop")


def _elsewhere(container: str, stream: Any) -> str:
    for other, ending in (("matroska", ".mkv"), ("mov", ".mov"), ("mp4", ".mp4")):
        carried = Carried(stream)
        if other != container and not (carried.cover and other == "mov") and holds(other, carried):
            return f"; an output ending in {ending} can"
    return ", nor can any other"


def _made_anew(container: str, stream: Any, chapters: bool) -> bool:
    """True for a track that the output's muxer makes itself: chapter titles (a track the demuxer discards) and,
    in MP4, time code (from the tag on the video)."""
    if stream.type != "data":
        return False
    titles = chapters and stream.discard == Discard.all
    return bool(titles or (container in ("mp4", "mov") and stream.metadata.get("timecode")))


def _sound(container: str, stream: Any, pace: Pace, sound: Sound) -> Carried | str:
    """How a stream of sound goes along, or why it does not."""
    if pace.slower == 1:
        return Carried(stream)
    if sound == "keep":
        return Carried(stream)
    coding = coding_for(container, stream)
    if coding is None:
        return f"no encoder here gives {container} such sound; --audio keep copies it at its own speed"
    return Stretched(stream, pace, coding)


def notes_on(source: Source | None, retimed: bool) -> tuple[str, ...]:
    """What else cannot go along."""
    if source is not None and source.captions and retimed:
        return ("closed captions inside the pictures (EIA-608, 708) are left out: they fit the old frames only",)
    return ()


def plan_streams(
    container: str,
    streams: Sequence[Any],
    *,
    chapters: bool,
    early: Sequence[Any] = (),
    pace: Pace = UNCHANGED,
    sound: Sound = "stretch",
) -> tuple[list[Carried], list[str]]:
    """The streams that go into this container, and a sentence for each that it cannot hold.

    pace, sound  how times follow the source's, and what becomes of sound where they do not: "stretch" (at its pitch,
                 encoded anew), "keep" (copied, so that it ends early) or "drop" (left out, whatever the pace)
    """
    kept: list[Carried] = []
    dropped: list[str] = []
    for stream in streams:
        if _made_anew(container, stream, chapters) or (stream.type == "audio" and sound == "drop"):
            continue
        carried = _sound(container, stream, pace, sound) if stream.type == "audio" else Carried(stream, pace)
        if isinstance(carried, str):
            dropped.append(f"{describe(stream)} dropped: {carried}")
            continue
        if carried.cover and container == "matroska":
            carried.picture = next((bytes(p) for p in early if p.stream_index == stream.index), None)
        if (carried.cover and container == "mov") or not holds(container, carried):
            dropped.append(f"{describe(stream)} dropped: {container} cannot hold it{_elsewhere(container, stream)}")
        else:
            kept.append(carried)
    return kept, dropped
