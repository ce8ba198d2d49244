"""Between PyAV's video frames and ours: which planes are which, and what their samples mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np

from ..errors import SinkError, SourceError
from ..frame import ChromaLocation, Colour, Frame, Matrix, PixelFormat, Primaries, Range, Transfer
from ..ops import to_host

__all__ = [
    "ORIGIN",
    "Layout",
    "colour_of",
    "from_av",
    "has_captions",
    "layout_of",
    "released",
    "side_data_of",
    "tagged",
    "to_av",
]

# Key in Frame.side_data of the decoder's own frame, so that an untouched frame is encoded as it came.
ORIGIN = "reelmend.media.origin"

_NATIVE = re.compile(
    r"^(?:(yuva?)(j?)(444|440|422|420)p(?:(9|10|12|14|16)le)?|gbra?p(?:(9|10|12|14|16)le)?|gray(?:(9|10|12|14|16)le)?)$"
)
_SUB = {(1, 1): "420", (1, 0): "422", (0, 0): "444", (0, 1): "440"}


@dataclass(frozen=True, slots=True)
class Origin:
    """The decoder's frame and the very planes that were handed out for it."""

    frame: av.VideoFrame
    planes: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a decoded format becomes planes.

    name      the planar FFmpeg format the planes are in
    format    the same as PixelFormat
    full      the format's name itself says full range (yuvj420p)
    note      what was converted, or "" where the decoder's planes are used as they are
    """

    name: str
    format: PixelFormat
    full: bool = False
    note: str = ""


def _depth(bits: int) -> int:
    return next(d for d in (8, 9, 10, 12, 14, 16) if d >= min(bits, 16))


def layout_of(name: str) -> Layout:
    """The layout for a decoder's pixel format. Raises SourceError where no integer planar format fits."""
    m = _NATIVE.match(name)
    if m:
        plain = name.replace("yuvj", "yuv")
        # yuvj420p is decoded into the same planes; only the range differs.
        return Layout(name, PixelFormat.parse(plain), full=bool(m[2]))
    if re.search(r"f(16|32)|bayer|xyz", name):
        raise SourceError(
            f"pixel format {name!r} is not supported (floating point, Bayer or XYZ samples); "
            "convert the pictures to 16-bit integers first, such as PNG or TIFF with rgb48"
        )
    try:
        fmt = av.VideoFormat(name, 64, 64)
        parts = fmt.components
    except Exception as error:
        raise SourceError(f"pixel format {name!r} is not known to this FFmpeg: {error}") from error
    bits = _depth(max((c.bits for c in parts), default=8))
    suffix = "" if bits == 8 else f"{bits}le"
    alpha = any(c.is_alpha for c in parts) or fmt.has_palette
    if fmt.is_rgb or fmt.has_palette or name.startswith("ya"):
        if alpha:
            suffix = {"9le": "10le", "14le": "16le"}.get(suffix, suffix)
        target = ("gbrap" if alpha else "gbrp") + suffix
    elif len(parts) == 1:
        target = "gray" + suffix
    elif len(parts) >= 3:
        shift = (
            (64 // max(fmt.chroma_width(64), 1)).bit_length() - 1,
            (64 // max(fmt.chroma_height(64), 1)).bit_length() - 1,
        )
        target = f"yuv{'a' if alpha else ''}{_SUB.get(shift, '444')}p{suffix}"
    else:
        raise SourceError(f"pixel format {name!r} is not supported; convert the clip to yuv420p or gbrp first")
    return Layout(target, PixelFormat.parse(target), note=f"samples converted from {name} to {target}")


def _code(kind: Any, *values: int | None) -> Any:
    for value in values:
        if value is not None:
            code = kind(value) if value >= 0 else kind(2)
            if code.name != "UNSPECIFIED":
                return code
    return kind.UNSPECIFIED


def colour_of(frame: Any, context: Any, layout: Layout) -> Colour:
    """Colour description from a frame's tags, then its codec context's; either may lack some."""

    def tag(name: str) -> tuple[int | None, int | None]:
        return getattr(frame, name, None), getattr(context, name, None)

    ranges = [int(v) for v in tag("color_range") if v in (1, 2)]
    rgb = layout.format.kind == "rgb"
    sited = [int(v) for v in tag("chroma_location") if v and 0 < int(v) <= 6]
    matrix = Matrix.RGB if rgb else _code(Matrix, *tag("colorspace"))
    if not rgb and matrix is Matrix.RGB:  # a YUV frame tagged RGB is a broken tag
        matrix = Matrix.UNSPECIFIED
    return Colour(
        primaries=_code(Primaries, *tag("color_primaries")),
        transfer=_code(Transfer, *tag("color_trc")),
        matrix=matrix,
        range=Range.FULL if layout.full or rgb else Range(ranges[0]) if ranges else Range.UNSPECIFIED,
        chroma_location=ChromaLocation(sited[0]) if sited else ChromaLocation.UNSPECIFIED,
    )


_OF_ONE_FRAME = {"A53_CC", "SEI_UNREGISTERED", "S12M_TIMECODE", "GOP_TIMECODE", "MOTION_VECTORS", "VIDEO_ENC_PARAMS"}


def side_data_of(frame: av.VideoFrame) -> dict[str, Any]:
    """Side data that holds for more than one frame, as bytes, keyed by FFmpeg's name for it
    ("MASTERING_DISPLAY_METADATA" ...)."""
    try:
        held: Any = frame.side_data
        entries = [e if hasattr(e, "type") else held[e] for e in held]  # PyAV 19 iterates over the keys
        return {entry.type.name: bytes(entry) for entry in entries if entry.type.name not in _OF_ONE_FRAME}
    except Exception:  # kinds newer than the binding cannot be listed
        return {}


def has_captions(frame: av.VideoFrame) -> bool:
    """Whether closed captions (EIA-608 or 708) lie in a frame."""
    try:
        held: Any = frame.side_data
        return any((e if hasattr(e, "type") else held[e]).type.name == "A53_CC" for e in held)
    except Exception:
        return False


def _view(plane: Any, dtype: np.dtype[Any], rows: int, columns: int) -> np.ndarray[Any, Any]:
    step = plane.line_size // dtype.itemsize
    flat = np.frombuffer(plane, dtype=dtype)
    return flat[: rows * step].reshape(rows, step)[:, :columns]


def from_av(
    frame: av.VideoFrame,
    layout: Layout,
    colour: Colour,
    pts: int,
    time_base: Fraction,
    duration: int,
    extra: Mapping[str, Any],
) -> Frame:
    """A Frame over the decoder's planes, without a copy where `layout` allows. The planes are read-only:
    the decoder may still predict from them."""
    if frame.format.name != layout.name or any(p.line_size < 0 for p in frame.planes):
        full = 2 if colour.range is Range.FULL and layout.format.kind == "yuv" else None
        # swscale's slice threads now and then lose rows of some formats (p010), so one thread.
        frame = frame.reformat(format=layout.name, src_color_range=full, dst_color_range=full, threads=1)
    fmt = layout.format
    views = [
        _view(plane, fmt.dtype, *shape)
        for plane, shape in zip(frame.planes, fmt.plane_shapes(frame.width, frame.height), strict=True)
    ]
    if fmt.kind == "rgb":  # FFmpeg's order is G, B, R
        views[:3] = [views[2], views[0], views[1]]
    for view in views:
        view.flags.writeable = False
    planes = tuple(views)
    data = {**extra, ORIGIN: Origin(frame, planes)}
    return Frame(planes, fmt, pts, time_base, duration, colour, data)


def released(frame: Frame) -> Frame:
    """The frame, without the decoder's own where its samples are no longer those: its memory can go."""
    origin = frame.side_data.get(ORIGIN)
    if origin is None or origin.planes is frame.planes:
        return frame
    return frame.replace(side_data={k: v for k, v in frame.side_data.items() if k != ORIGIN})


def tagged(frame: av.VideoFrame, colour: Colour) -> av.VideoFrame:
    """The frame, which then says what its samples mean."""
    frame.color_primaries = int(colour.primaries)
    frame.color_trc = int(colour.transfer)
    frame.colorspace = int(colour.matrix)
    frame.color_range = int(colour.range)
    return frame


def planar_name(fmt: PixelFormat) -> str:
    """FFmpeg's planar format for ours, with its byte order."""
    plain = PixelFormat(fmt.kind, fmt.depth, fmt.subsampling, alpha=fmt.alpha and fmt.kind != "gray")
    return plain.name + ("le" if fmt.depth > 8 else "")


def _build(frame: Frame, name: str, grey_as_yuv: bool) -> av.VideoFrame:
    out = av.VideoFrame(frame.width, frame.height, name)
    dtype = frame.format.dtype
    planes = [to_host(p) for p in frame.planes]
    if frame.format.kind == "rgb":
        planes[:3] = [planes[1], planes[2], planes[0]]
    if frame.format.kind == "gray":
        planes = planes[:1]
    for i, plane in enumerate(out.planes):
        rows, columns = (frame.height, frame.width) if i in (0, 3) else (plane.height, plane.width)
        target = _view(plane, dtype, rows, columns)
        if grey_as_yuv and i:
            target[...] = 1 << (frame.format.depth - 1)
        else:
            np.copyto(target, planes[i])
    return out


def to_av(
    frame: Frame, target: str, colour: Colour, kind: Literal["same", "rgb_to_yuv", "yuv_to_rgb"] = "same"
) -> av.VideoFrame:
    """A PyAV frame in the FFmpeg format `target` with these samples, tagged with `colour` (of the output)."""
    source = frame.colour
    origin: Any = frame.side_data.get(ORIGIN)
    fmt = frame.format
    grey = fmt.kind == "gray" and target.startswith("yuv")
    untouched = isinstance(origin, Origin) and origin.planes is frame.planes
    # A frame named yuvj... would be converted to limited range by the encoder's wrapper; its planes are copied.
    if untouched and not grey and not origin.frame.format.name.startswith("yuvj"):
        out = origin.frame
    elif grey:
        name = "yuv420p" if fmt.depth == 8 else f"yuv420p{fmt.depth}le"
        out = _build(frame, name, grey_as_yuv=True)
    else:
        out = _build(frame, planar_name(fmt), grey_as_yuv=False)
    if out.format.name != target:
        matrices = {
            Matrix.BT709: 1,
            Matrix.SMPTE170M: 5,
            Matrix.BT470BG: 5,
            Matrix.BT2020_NCL: 9,
            Matrix.SMPTE240M: 7,
            Matrix.FCC: 4,
        }
        full_in = 2 if source.range is Range.FULL or fmt.kind == "rgb" else 1
        full_out = 2 if colour.range is Range.FULL else 1
        try:
            if kind == "same":
                wide = full_in if fmt.kind == "yuv" else None
                out = out.reformat(
                    format=target, src_color_range=wide, dst_color_range=wide, interpolation="BICUBIC", threads=1
                )
            elif kind == "rgb_to_yuv":
                out = out.reformat(
                    format=target,
                    dst_colorspace=matrices.get(colour.matrix, 1),
                    src_color_range=2,
                    dst_color_range=full_out,
                    interpolation="BICUBIC",
                    threads=1,
                )
            else:
                matrix = source.matrix
                if matrix not in matrices:
                    matrix = Matrix.BT709 if frame.height >= 720 else Matrix.SMPTE170M
                out = out.reformat(
                    format=target,
                    src_colorspace=matrices[matrix],
                    src_color_range=full_in,
                    dst_color_range=2,
                    interpolation="BICUBIC",
                    threads=1,
                )
        except av.FFmpegError as error:
            raise SinkError(f"cannot convert {fmt.name} to {target} for the encoder: {error}") from error
    return tagged(out, colour)
