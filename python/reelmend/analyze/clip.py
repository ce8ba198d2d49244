"""The demo film as a file: flickering, with sound. PyAV directly, as measuring must not depend on what it measures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import SinkError, SourceError
from .degrade import Chain, Flicker, make
from .scenes import Film, soundtrack

__all__ = ["demo_flicker", "read_clip", "write_clip"]

Picture = npt.NDArray[np.uint8]
Path_ = str | os.PathLike[str]


def demo_flicker(fps: float = 24.0, seed: int = 0) -> Flicker:
    """The flicker of the demo: an old film's shutter and print (gain_gamma) with a slow hunt below it (pumping)."""
    return Chain(
        make("gain_gamma", seed=seed, strength=0.5, fps=fps), make("pumping", seed=seed, strength=0.4, fps=fps)
    )


def write_clip(
    path: Path_,
    seconds: float = 6.0,
    *,
    width: int = 640,
    height: int = 360,
    rate: Fraction | int = 24,
    flicker: Flicker | Literal["demo"] | None = "demo",
    sound: Literal["aac", "flac"] | None = "aac",
    crf: int = 16,
    preset: str = "veryfast",
    seed: int = 0,
) -> Film:
    """Render the demo film to `path` (.mp4 or .mkv): H.264, 4:2:0, 8 bits, BT.709 limited range, with sound.

    width and height are even. flicker=None leaves it clean. Returns the film, whose frames are the clean truth.
    """
    import av
    import av.video.reformatter as reformatter

    rate = Fraction(rate)
    film = Film(max(1, round(seconds * rate)), width=width, height=height, fps=float(rate), seed=seed)
    damage = demo_flicker(film.fps, seed) if flicker == "demo" else flicker
    bt709, limited = reformatter.Colorspace.ITU709, reformatter.ColorRange.MPEG
    try:
        with av.open(os.fspath(path), "w") as container:
            video: Any = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": preset})
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            context = video.codec_context
            context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709, ITU-T H.273
            context.color_range = 1  # limited
            audio: Any = container.add_stream(sound, rate=48000, layout="stereo") if sound else None
            for t, picture in enumerate(film):
                shown = damage.apply(picture, t) if damage is not None else picture
                frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
                # one thread: swscale's slice threads now and then lose rows
                frame = frame.reformat(format="yuv420p", dst_colorspace=bt709, dst_color_range=limited, threads=1)
                frame.pts, frame.time_base = t, 1 / rate
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            if audio is not None:
                _write_sound(container, audio, film.frames / float(rate))
    except (OSError, ValueError) as error:
        raise SinkError(f"cannot write the clip {os.fspath(path)!r}: {error}") from error
    return film


def _write_sound(container: Any, stream: Any, seconds: float) -> None:
    import av

    samples: npt.NDArray[Any] = soundtrack(seconds, 48000)
    form = "s16" if stream.codec_context.name == "flac" else "fltp"
    if form == "s16":
        samples = np.round(samples * 32767).astype(np.int16).T.reshape(1, -1)
    length = 1024
    channels = 2 if form == "s16" else 1
    for start in range(0, samples.shape[1] // channels, length):
        part = np.ascontiguousarray(samples[:, start * channels : (start + length) * channels])
        frame = av.AudioFrame.from_ndarray(part, format=form, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def read_clip(path: Path_, first: int = 0, count: int | None = None) -> Iterator[Picture]:
    """Frames of the first video stream of a file as RGB uint8 (height, width, 3), from frame `first` on."""
    import av

    if not Path(path).exists():
        raise SourceError(f"no file {os.fspath(path)!r}")
    with av.open(os.fspath(path)) as container:
        for t, frame in enumerate(container.decode(video=0)):
            if count is not None and t >= first + count:
                return
            if t >= first:
                yield np.asarray(frame.reformat(format="rgb24", threads=1).to_ndarray(), np.uint8)
