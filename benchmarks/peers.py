"""The peers: FFmpeg's filters, in this process through PyAV's libavfilter, or by its program where there is one.

Every method takes and gives the same thing: a list of yuv420p frames, each one uint8 array (height * 3 / 2, width) as
in FFmpeg's rawvideo (Y, then U and V of half the size; even sizes), BT.709 limited range.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace

from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range

Yuv = npt.NDArray[np.uint8]
Rgb = npt.NDArray[np.uint8]
Method = Callable[[list[Yuv]], list[Yuv]]

LIMITED_BT709 = Colour(matrix=Matrix.BT709, range=Range.LIMITED)


def to_yuv(rgb: Rgb) -> Yuv:
    """RGB (height, width, 3) to yuv420p by swscale, as an encoder's front end does it."""
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    return frame.to_ndarray()


def to_rgb(yuv: Yuv) -> Rgb:
    """yuv420p to RGB by swscale: one converter for all methods and for the truth."""
    frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    return frame.reformat(
        format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG
    ).to_ndarray()


def planes(yuv: Yuv) -> tuple[npt.NDArray[np.uint8], ...]:
    """Y, U and V as views of a rawvideo array."""
    h, w = yuv.shape[0] * 2 // 3, yuv.shape[1]
    chroma = yuv[h:].reshape(2, h // 2, w // 2)
    return yuv[:h], chroma[0], chroma[1]


def as_frame(yuv: Yuv, t: int, rate: Fraction | int = 25) -> Frame:
    """A Frame over a rawvideo array, without a copy."""
    return Frame(planes(yuv), PixelFormat(), t, 1 / Fraction(rate), 1, LIMITED_BT709)


def as_yuv(frame: Frame) -> Yuv:
    """The samples of a yuv420p Frame as one rawvideo array."""
    y, u, v = frame.planes
    return np.concatenate([np.ravel(y), np.ravel(u), np.ravel(v)]).reshape(y.shape[0] * 3 // 2, y.shape[1])


def reelmend(*, rate: Fraction | int = 25, listener: Callable[[Any], None] | None = None, **options: Any) -> Method:
    """Our deflicker stage with these options, frames pushed one by one. A listener is told each frame's Findings."""

    def run(frames: list[Yuv]) -> list[Yuv]:
        from reelmend.stages.deflicker import Deflicker
        from reelmend.stream import Stream

        stream = Stream([Deflicker(**options)])
        if listener is not None:
            stream.listen(lambda _, findings: listener(findings))
        return [as_yuv(out) for out in stream.process(as_frame(yuv, t, rate) for t, yuv in enumerate(frames))]

    return run


def filtered(frames: Iterable[av.VideoFrame], name: str, args: str = "") -> Iterator[av.VideoFrame]:
    """Frames through one libavfilter filter in this process, default options unless args."""
    graph: Graph | None = None
    ends = (av.BlockingIOError, av.EOFError)
    for frame in frames:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            middle, sink = graph.add(name, args), graph.add("buffersink")
            source.link_to(middle)
            middle.link_to(sink)
            graph.configure()
        graph.push(frame)
        while True:
            try:
                yield graph.pull()
            except ends:
                break
    if graph is not None:
        graph.push(None)
        while True:
            try:
                yield graph.pull()
            except ends:
                break


def avfilter(name: str, args: str = "") -> Method:
    """A libavfilter filter as a method."""

    def run(frames: list[Yuv]) -> list[Yuv]:
        out = [frame.to_ndarray() for frame in filtered(pictures(frames), name, args)]
        if len(out) != len(frames):
            raise RuntimeError(f"{name} gave {len(out)} frames for {len(frames)}")
        return out

    return run


def pictures(frames: Iterable[Yuv], rate: int = 25) -> Iterator[av.VideoFrame]:
    """rawvideo arrays as PyAV frames with times."""
    for t, yuv in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts, frame.time_base = t, Fraction(1, rate)
        yield frame


def ffmpeg() -> str | None:
    """The ffmpeg program, if this machine has one."""
    return shutil.which("ffmpeg")


def ffmpeg_version() -> dict[str, str]:
    """{"ffmpeg": version} of the program, or {}."""
    program = ffmpeg()
    if program is None:
        return {}
    first = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    return {"ffmpeg": first.split()[2]}
