"""`open_sink`: what kind of output a path is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import OptionError, SinkError
from ..frame import VideoInfo
from ..ops._memory import gpu_of
from .base import Sink, Source, rounding
from .clock import UNCHANGED, Pace
from .encoders import choose, settings
from .folder_sink import PICTURE_CODECS, FolderSink
from .sink import FileSink
from .streams import SOUND, Sound, notes_on
from .stretch import Stretched
from .y4m import Y4mSink

__all__ = ["Sink", "SinkPlan", "container_of", "open_sink", "plan_sink"]

_MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
    ".avi": "avi",
    ".nut": "nut",
}


def container_of(path: str) -> str:
    """What a path asks for: FFmpeg's muxer name, "pictures" or "y4m". Raises SinkError if it is not known."""
    if path == "-" or path.lower().endswith(".y4m"):
        return "y4m"
    suffix = Path(path).suffix.lower()
    if path.endswith(("/", os.sep)) or os.path.isdir(path) or suffix in PICTURE_CODECS:
        return "pictures"
    if suffix in _MUXERS:
        return _MUXERS[suffix]
    known = ", ".join(_MUXERS)
    got = f"unknown ending {suffix!r}" if suffix else "no ending"
    raise SinkError(f"{path}: {got}; end the name in one of {known}, .y4m, or give a folder (out/) or out/%06d.png")


def _check(path: str, source: Source | None, overwrite: bool) -> None:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist; make it first"
        raise SinkError(f"{path}: the folder {folder} {what}")
    if os.path.exists(path):
        if source is not None and os.path.exists(source.name) and os.path.samefile(path, source.name):
            raise SinkError(f"{path}: output and input are the same file; write to another name")
        if os.path.isfile(path) and not overwrite:
            raise SinkError(f"{path}: already exists; choose another name, or allow overwriting (--overwrite)")
        if not os.access(path, os.W_OK):
            raise SinkError(f"{path}: may not be written; check its permissions")
    elif not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{path}: the folder {folder} may not be written to; check its permissions")


def open_sink(
    path: str | os.PathLike[str],
    info: VideoInfo,
    *,
    source: Source | None = None,
    encoder: str = "auto",
    crf: int | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    retimed: bool = False,
    slower: Fraction = Fraction(1),
    audio: Sound = "stretch",
    device: str = "cpu",
) -> Sink:
    """Open an output for frames that look like `info`.

    path      a file (.mp4 .mov .mkv .webm .ts .avi .nut), a folder ("out/") or pattern ("out/%06d.png") for
              pictures, a .y4m file, or "-" for y4m on standard output
    source    its sound, subtitles, attachments, data, chapters and tags are copied; open the sink before reading it
    encoder   auto, x264, x265, svtav1, vp9, ffv1 (lossless), prores, nvenc, or nvcodec (NVENC too, by PyNvVideoCodec)
    crf       quality, lower is better: x264 18, x265 20, svtav1 28 unless said
    preset    ultrafast to placebo; medium unless said
    retimed   whether frames are at other times than the source's, or others than those
    slower    how many times as slow the frames play as the source's did, from its first frame's time on; times of
              subtitles, data and chapters are stretched by it
    audio     sound at another speed: "stretch" it at its pitch (it is encoded anew), "keep" it as it is (it ends
              early), "drop" it. Where slower is 1, sound is copied packet for packet, unless dropped
    device    where frames are: on "cuda" or "cuda:N", NVENC takes them there if it can (see the sink's `index`)

    Raises SinkError or OptionError, in one line, before anything is written.
    """
    name = os.fspath(path)
    container = container_of(name)
    pace = _pace(source, slower, audio)
    if container == "pictures":
        return FolderSink(name, info, source=source, overwrite=overwrite)
    if name != "-":
        _check(name, source, overwrite)
    if container == "y4m":
        return Y4mSink(name, info, source=source)
    choice = choose(container, info, encoder, gpu_of(device))
    return FileSink(
        name,
        container,
        info,
        choice,
        source=source,
        crf=crf,
        preset=preset,
        pace=pace,
        sound=audio,
        retimed=retimed,
    )


def _pace(source: Source | None, slower: Fraction, audio: Sound) -> Pace:
    if audio not in SOUND:
        raise OptionError(f"unknown audio {audio!r}; choose {', '.join(SOUND)}")
    return UNCHANGED if source is None or slower == 1 else Pace(source.begin, slower)


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """What `open_sink` would do: the encoder and why, the streams copied, the sound that is stretched (or "left out"),
    and what is lost or done otherwise."""

    container: str
    encoder: str
    copied: tuple[str, ...] = ()
    sound: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_sink(
    path: str | os.PathLike[str],
    info: VideoInfo,
    *,
    source: Source | None = None,
    encoder: str = "auto",
    crf: int | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    retimed: bool = False,
    slower: Fraction = Fraction(1),
    audio: Sound = "stretch",
    device: str = "cpu",
) -> SinkPlan:
    """As `open_sink`, with the same errors, but nothing is made."""
    name = os.fspath(path)
    container = container_of(name)
    pace = _pace(source, slower, audio)
    if container == "pictures":
        return SinkPlan(container, "pictures", notes=("pictures hold no sound, subtitles or times",))
    if name != "-":
        _check(name, source, overwrite)
    if container == "y4m":
        return SinkPlan(container, "y4m, not compressed", notes=("y4m holds no sound or subtitles",))
    choice = choose(container, info, encoder, gpu_of(device))
    _, notes = settings(choice, info, crf, preset, None)
    carried, dropped = FileSink.plan_streams(container, source, pace, audio) if source is not None else ([], [])
    stretched = [c for c in carried if isinstance(c, Stretched)]
    chapters = len(source.chapters) if source is not None else 0
    sounds = sum(s.type == "audio" for s in source.streams) if source is not None else 0
    return SinkPlan(
        container,
        choice.why,
        (*(str(c) for c in carried if c not in stretched), *([f"{chapters} chapters"] if chapters else [])),
        (*(str(c) for c in stretched), *(["left out"] if sounds and audio == "drop" else [])),
        (*choice.notes, *notes, *rounding(container, info), *dropped, *notes_on(source, retimed)),
    )
