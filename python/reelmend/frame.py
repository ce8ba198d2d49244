"""Frames, what their samples mean, and their exact time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from .errors import FormatError

__all__ = [
    "Array",
    "ChromaLocation",
    "Colour",
    "Frame",
    "Matrix",
    "PixelFormat",
    "Primaries",
    "Range",
    "Transfer",
    "VideoInfo",
]

# A plane: NumPy on the CPU, anything with __cuda_array_interface__ or __dlpack__ on a GPU.
Array = Any


class _Code(IntEnum):
    """A code point of ITU-T H.273; codes not listed here read as UNSPECIFIED."""

    @classmethod
    def _missing_(cls, value: object) -> _Code:
        return cls(2)


class Primaries(_Code):
    """Colour primaries, ITU-T H.273 table 2."""

    BT709 = 1
    UNSPECIFIED = 2
    BT470M = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    FILM = 8
    BT2020 = 9
    SMPTE428 = 10
    SMPTE431 = 11
    SMPTE432 = 12
    EBU3213 = 22


class Transfer(_Code):
    """Transfer characteristics, ITU-T H.273 table 3."""

    BT709 = 1
    UNSPECIFIED = 2
    GAMMA22 = 4
    GAMMA28 = 5
    SMPTE170M = 6
    SMPTE240M = 7
    LINEAR = 8
    LOG = 9
    LOG_SQRT = 10
    IEC61966_2_4 = 11
    BT1361_ECG = 12
    SRGB = 13
    BT2020_10 = 14
    BT2020_12 = 15
    PQ = 16
    SMPTE428 = 17
    HLG = 18


class Matrix(_Code):
    """Matrix coefficients, ITU-T H.273 table 4."""

    RGB = 0
    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    YCGCO = 8
    BT2020_NCL = 9
    BT2020_CL = 10
    SMPTE2085 = 11
    CHROMA_DERIVED_NCL = 12
    CHROMA_DERIVED_CL = 13
    ICTCP = 14


class Range(IntEnum):
    """Sample range: LIMITED is 16..235 (8-bit luma), FULL is 0..255."""

    UNSPECIFIED = 0
    LIMITED = 1
    FULL = 2


class ChromaLocation(IntEnum):
    """Where a chroma sample of 4:2:0 / 4:2:2 sits relative to its luma samples (FFmpeg's numbering)."""

    UNSPECIFIED = 0
    LEFT = 1
    CENTER = 2
    TOPLEFT = 3
    TOP = 4
    BOTTOMLEFT = 5
    BOTTOM = 6


# (Kr, Kb) of each luma equation Y = Kr R + (1 - Kr - Kb) G + Kb B (ITU-T H.273 table 4).
_LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Colour:
    """What the sample values of a frame mean. All default to UNSPECIFIED, as files often leave them."""

    primaries: Primaries = Primaries.UNSPECIFIED
    transfer: Transfer = Transfer.UNSPECIFIED
    matrix: Matrix = Matrix.UNSPECIFIED
    range: Range = Range.UNSPECIFIED
    chroma_location: ChromaLocation = ChromaLocation.UNSPECIFIED

    def luma_weights(self, height: int) -> tuple[float, float]:
        """(Kr, Kb) of the luma equation.

        An unspecified matrix is read as players do: BT.709 from 720 lines up, BT.601 below.
        Raises FormatError for matrices that are not a linear luma equation (YCgCo, ICtCp, constant luminance).
        """
        matrix = self.matrix
        if matrix in (Matrix.UNSPECIFIED, Matrix.RGB):
            matrix = Matrix.BT709 if height >= 720 else Matrix.SMPTE170M
        try:
            return _LUMA_WEIGHTS[matrix]
        except KeyError:
            known = ", ".join(m.name for m in _LUMA_WEIGHTS)
            raise FormatError(
                f"colour matrix {matrix.name} is not supported (supported: {known}); "
                "convert the clip to one of these first"
            ) from None


_FORMAT_NAME = re.compile(
    r"^(?:(?P<yuv>yuva?)(?P<sub>444|440|422|420)p(?P<yd>\d+)?"
    r"|(?P<rgb>gbra?p)(?P<rd>\d+)?"
    r"|(?P<packed>rgb24|rgb48|rgba|rgba64)"
    r"|gray(?P<gd>\d+)?)(?:le)?$"
)
_SUBSAMPLING = {"444": (0, 0), "440": (0, 1), "422": (1, 0), "420": (1, 1)}


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the planes of a frame are laid out.

    kind         "yuv" (Y, Cb, Cr), "rgb" (R, G, B, in this order whatever the file's) or "gray" (one plane)
    depth        bits per sample, 8 to 16; above 8 the samples are uint16, least significant bits used
    subsampling  log2 of the chroma decimation in (x, y): 4:2:0 is (1, 1), 4:2:2 (1, 0), 4:4:4 (0, 0)
    packed       "rgb" only: the planes are views of one (height, width, channels) array
    alpha        a fourth plane (or second, for gray) holds opacity; stages pass it on untouched
    """

    kind: Literal["yuv", "rgb", "gray"] = "yuv"
    depth: int = 8
    subsampling: tuple[int, int] = (1, 1)
    packed: bool = False
    alpha: bool = False

    @classmethod
    def parse(cls, name: str) -> PixelFormat:
        """From an FFmpeg pixel format name: "yuv420p", "yuv422p10", "gbrp12", "rgb24", "gray16" ..."""
        m = _FORMAT_NAME.match(name)
        if not m:
            raise FormatError(
                f"pixel format {name!r} has no planar layout here; expected gray, gbrp, rgb24 or yuv420p / 422p / "
                "440p / 444p with 8 to 16 bits"
            )
        depth = int(m["yd"] or m["rd"] or m["gd"] or 8)
        if not 8 <= depth <= 16:
            raise FormatError(f"pixel format {name!r} has {depth} bits a sample; expected 8 to 16")
        if m["yuv"]:
            return cls("yuv", depth, _SUBSAMPLING[m["sub"]], alpha=m["yuv"] == "yuva")
        if m["rgb"]:
            return cls("rgb", depth, (0, 0), alpha=m["rgb"] == "gbrap")
        if m["packed"]:
            depth = 16 if m["packed"] in ("rgb48", "rgba64") else 8
            return cls("rgb", depth, (0, 0), packed=True, alpha=m["packed"].startswith("rgba"))
        return cls("gray", depth, (0, 0))

    @property
    def name(self) -> str:
        """FFmpeg's name, without the byte order."""
        bits = "" if self.depth == 8 else str(self.depth)
        if self.kind == "gray":
            return "gray" + bits
        if self.packed:
            base = "rgba" if self.alpha else "rgb"
            return {("rgb", 8): "rgb24", ("rgb", 16): "rgb48", ("rgba", 8): "rgba", ("rgba", 16): "rgba64"}[
                (base, self.depth)
            ]
        if self.kind == "rgb":
            return ("gbrap" if self.alpha else "gbrp") + bits
        sub = {v: k for k, v in _SUBSAMPLING.items()}[self.subsampling]
        return f"yuv{'a' if self.alpha else ''}{sub}p{bits}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 for 8 bits, uint16 above."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def max_code(self) -> int:
        """The largest sample value, 2**depth - 1."""
        return (1 << self.depth) - 1

    @property
    def plane_count(self) -> int:
        return (1 if self.kind == "gray" else 3) + self.alpha

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each plane of a frame of this size; odd sizes round the chroma up."""
        sx, sy = self.subsampling if self.kind == "yuv" else (0, 0)
        chroma = (-(-height >> sy), -(-width >> sx))
        luma = (height, width)
        shapes = [luma] if self.kind == "gray" else [luma, chroma, chroma]
        return tuple(shapes + [luma] * self.alpha)

    def frame_bytes(self, width: int, height: int) -> int:
        """Bytes of the samples of one frame of this size."""
        return sum(h * w for h, w in self.plane_shapes(width, height)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before its first frame.

    rate is the nominal frame rate, exact, for encoders and plans only; the truth is each frame's pts.
    frames is the number of frames where the container tells it (a hint for progress, not a promise).
    """

    width: int
    height: int
    format: PixelFormat = PixelFormat()
    colour: Colour = Colour()
    rate: Fraction | None = None
    time_base: Fraction = Fraction(1, 90000)
    frames: int | None = None
    sample_aspect_ratio: Fraction = Fraction(1)

    @property
    def frame_bytes(self) -> int:
        return self.format.frame_bytes(self.width, self.height)

    def __str__(self) -> str:
        rate = f"{float(self.rate):.6g} fps" if self.rate else "variable rate"
        return f"{self.width}x{self.height} {self.format.name}, {rate}"


@dataclass(slots=True, eq=False)
class Frame:
    """One picture at one exact time.

    planes     as decoded, each (rows, columns); see PixelFormat. Treat them as read-only: a frame that
               needs no change is handed on as it is, so its samples may be shared.
    pts        presentation time in units of time_base; duration likewise (0: unknown)
    side_data  what came with the frame (HDR metadata, captions ...), keyed by the reader; carried, not read
    made       True for a frame that no source had (interpolated, outpainted)
    cut        True for the first frame of a new shot, once a stage has found it
    discontinuity  True where time or content jumps (a seek, a lost connection): stages reset before it
    """

    planes: tuple[Array, ...]
    format: PixelFormat
    pts: int
    time_base: Fraction
    duration: int = 0
    colour: Colour = Colour()
    side_data: Mapping[str, Any] = field(default_factory=dict)
    made: bool = False
    cut: bool = False
    discontinuity: bool = False

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def on_gpu(self) -> bool:
        return hasattr(self.planes[0], "__cuda_array_interface__")

    def replace(self, **changes: Any) -> Frame:
        """A copy with some fields changed; planes are shared, not copied."""
        return replace(self, **changes)

    @property
    def coding(self) -> dict[str, Any]:
        """Keyword arguments that tell a YUV op what the samples mean: kr, kb, depth, full_range, siting."""
        kr, kb = self.colour.luma_weights(self.height)
        return {
            "kr": kr,
            "kb": kb,
            "depth": self.format.depth,
            "full_range": self.colour.range is Range.FULL,
            "siting": (self.colour.chroma_location or ChromaLocation.LEFT).name.lower(),
        }

    @classmethod
    def from_array(
        cls,
        array: Array,
        pts: int = 0,
        *,
        time_base: Fraction = Fraction(1, 25),
        duration: int = 1,
        depth: int | None = None,
        colour: Colour | None = None,
    ) -> Frame:
        """A frame over an RGB array (height, width, 3) or a gray one (height, width), without a copy.

        uint8 holds 8 bits; uint16 holds `depth` bits, 16 unless said.
        """
        kinds = {"uint8": 8, "uint16": 16}
        name = str(array.dtype).removeprefix("torch.") if hasattr(array, "dtype") else type(array).__name__
        if name not in kinds or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
            raise FormatError(
                f"a frame needs a uint8 or uint16 array of shape (height, width, 3) or (height, width); "
                f"got {name} {tuple(getattr(array, 'shape', ()))}"
            )
        bits = depth or kinds[name]
        if not 8 <= bits <= kinds[name] or (name == "uint16" and bits == 8):
            raise FormatError(f"depth {bits} does not fit {name} samples")
        if array.ndim == 2:
            planes: tuple[Array, ...] = (array,)
            fmt = PixelFormat("gray", bits, (0, 0))
        else:
            planes = (array[:, :, 0], array[:, :, 1], array[:, :, 2])
            fmt = PixelFormat("rgb", bits, (0, 0), packed=bits in (8, 16))
        meaning = colour or Colour(matrix=Matrix.RGB, range=Range.FULL)
        return cls(planes, fmt, pts, time_base, duration, meaning)
