"""Small clips made with PyAV itself, and exact ways to look into a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest


def picture(index: int, width: int, height: int, fmt: str) -> av.VideoFrame:
    """A gradient that moves and flickers: no two frames are alike."""
    frame = av.VideoFrame(width, height, fmt)
    depth = max(c.bits for c in frame.format.components)
    for number, plane in enumerate(frame.planes):
        item = 1 if depth == 8 else 2
        step = plane.line_size // item
        y, x = np.mgrid[: plane.height, :step]
        value = (x * 2 + y * 3 + index * 7 + number * 40) % 180 + 40 + 8 * (index % 2)
        plane.update((value << (depth - 8)).astype(np.uint8 if item == 1 else "<u2").tobytes())
    return frame


def make(
    path: Path,
    *,
    size: tuple[int, int] = (96, 64),
    frames: int = 30,
    fmt: str = "yuv420p",
    codec: str = "libx264",
    rate: Fraction = Fraction(25),
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    audio: int = 0,
    audio_codec: str = "aac",
    subtitle: str | None = None,
    chapters: bool = False,
    rotation: int | None = None,
    tags: dict[str, str] | None = None,
    colour: tuple[int, int, int, int] | None = None,
    aspect: Fraction | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Write a clip; pts are in units of time_base (1 / rate)."""
    width, height = size
    base = time_base or 1 / rate
    with av.open(str(path), "w", container_options=container or {}) as out:
        video: Any = out.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height, video.pix_fmt = width, height, fmt
        video.codec_context.time_base = base
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if colour:
            context = video.codec_context
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = colour
        if rotation is not None:
            video.set_display_rotation(rotation)
        sounds: list[Any] = []
        for number in range(audio):
            sound: Any = out.add_stream(audio_codec, rate=48000)
            sound.metadata["language"] = ("eng", "deu")[number]
            sound.metadata["title"] = f"track {number}"
            sounds.append(sound)
        words: Any = out.add_stream(subtitle) if subtitle else None
        if words is not None:
            words.codec_context.time_base = Fraction(1, 1000)
            words.metadata["language"] = "fra"
        out.metadata.update(tags or {})
        if chapters:
            out.set_chapters(
                [
                    {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
                    {"id": 2, "start": 500, "end": 1200, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
                ]
            )
        for index in range(frames):
            frame = picture(index, width, height, fmt)
            frame.pts = pts[index] if pts is not None else round(index / rate / base)
            frame.time_base = base
            if colour:
                frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = colour
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        length = frames / rate
        for number, sound in enumerate(sounds):
            done = 0
            while done < length * 48000:
                wave = np.sin(np.arange(done, done + 1024) * (0.05 + 0.02 * number)).astype(np.float32) / 4
                chunk = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
                if audio_codec.startswith("pcm"):
                    pcm = np.stack([wave, wave], axis=1).reshape(1, -1) * 32767
                    chunk = av.AudioFrame.from_ndarray(pcm.astype(np.int16), "s16", "stereo")
                chunk.sample_rate, chunk.pts, chunk.time_base = 48000, done, Fraction(1, 48000)
                out.mux(sound.encode(chunk))
                done += 1024
            out.mux(sound.encode(None))
    return path


def times(path: Path | str) -> list[Fraction]:
    """The exact time of every frame, as PyAV reads it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        assert base is not None
        return [Fraction(f.pts * base) for f in container.decode(stream) if f.pts is not None]


def packets(path: Path | str, kind: str, number: int = 0) -> list[tuple[Fraction, str]]:
    """(time, hash of the bytes) of every packet of a stream."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][number]
        return [
            (Fraction(p.pts * p.time_base), hashlib.sha256(bytes(p)).hexdigest()[:12])
            for p in container.demux(stream)
            if p.pts is not None and p.size
        ]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """make(path, ...), times(path), packets(path, kind), and `plain`: an mp4 of 30 frames with sound."""
    folder = tmp_path_factory.mktemp("clips")
    plain = make(folder / "plain.mp4", audio=1, options={"bf": "2", "g": "15"}, container={"movflags": "faststart"})
    return SimpleNamespace(make=make, times=times, packets=packets, picture=picture, plain=plain)
