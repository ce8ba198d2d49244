"""NVENC through NVIDIA's PyNvVideoCodec: 8-bit H.264 without B-frames, as packets that PyAV muxes.

PyNvVideoCodec gives the bare stream, so its header (with the colours and the shape of a pixel written into it) is taken
from one picture that is encoded first, which is also the proof that there is an encoder: many datacentre cards have
none. API: https://docs.nvidia.com/video-technologies/pynvvideocodec.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from ..errors import MissingExtraError
from ..frame import Array, Colour, Frame, PixelFormat, Range, VideoInfo
from .hardware import PATIENCE, Lane, Unavailable, joined, within
from .nvcodec import nvcodec
from .pixels import to_av

__all__ = ["NvcodecEncoder", "nvcodec_why_not"]

_IDR = 3  # NV_ENC_PIC_TYPE_IDR
# Tried with options such as a film is encoded with, so that their names are proved as well.
_TRIED = {"rc": "constqp", "constqp": "19", "bf": "0", "preset": "P4", "tuning_info": "high_quality", "gop": "25"}


@dataclass(frozen=True, slots=True)
class _Plane:
    """A plane in GPU memory as PyNvVideoCodec reads it: every stride told."""

    __cuda_array_interface__: dict[str, Any]

    @classmethod
    def of(cls, array: Array, shape: tuple[int, int, int]) -> _Plane:
        _, columns, channels = shape
        data = array.__cuda_array_interface__["data"]
        strides = (columns * channels, channels, 1)
        return cls({"shape": shape, "strides": strides, "typestr": "|u1", "data": data, "version": 3})


class _Nv12:
    """An NV12 picture in GPU memory."""

    def __init__(self, both: Array, height: int, width: int) -> None:
        self._held = both
        self._planes = [
            _Plane.of(both[:height], (height, width, 1)),
            _Plane.of(both[height:], (height // 2, width // 2, 2)),
        ]

    def cuda(self) -> list[_Plane]:
        return self._planes


class NvcodecEncoder:
    """One stream. Opened with its first frame; gives packets in order of time.

    info       what frames look like; the colours are written into the stream
    options    of CreateEncoder, without size and format
    index      the number of the GPU; `on_gpu` whether frames are there already, as yuv420p planes
    convert    how colours of frames on the CPU change on the way, as in Choice

    Raises Unavailable where there is no encoder, MissingExtraError without the package.
    """

    def __init__(
        self,
        info: VideoInfo,
        options: Mapping[str, str],
        first: Frame,
        *,
        index: int = 0,
        on_gpu: bool = False,
        convert: Any = "same",
    ) -> None:
        self._info, self._options, self._index, self._convert = info, dict(options), index, convert
        self._lane = Lane(index) if on_gpu else None
        self._module = nvcodec()
        header = b"".join(bytes(p["data"]) for p in self._one(first))
        if not header:
            raise Unavailable("NVENC gave no data")
        # the packets themselves and what the container is told of them are changed alike
        change = _described(info)
        with _opened(header) as bare:
            filtered = BitStreamFilterContext(change, bare.streams.video[0])
            parts = [bytes(p) for packet in bare.demux(video=0) if packet.size for p in filtered.filter(packet)]
        self._template = _opened(b"".join(parts))
        self._filter = BitStreamFilterContext(change, self.template)
        self._session = self._open()
        self._times: list[tuple[int, int]] = []

    @property
    def template(self) -> Any:
        """A stream that an output's is made after."""
        return self._template.streams.video[0]

    def _open(self) -> Any:
        info = self._info
        return self._module.CreateEncoder(
            info.width, info.height, "NV12", self._lane is None, gpu_id=self._index, codec="h264", **self._options
        )

    def _one(self, first: Frame) -> list[Mapping[str, Any]]:
        session = self._open()
        return [*session.Encode(self._picture(first, first.colour), self._numbered(0)), *session.EndEncode()]

    def _numbered(self, number: int) -> Any:
        told = self._module.NV_ENC_PIC_PARAMS()
        told.inputTimeStamp = number
        return told

    def _picture(self, frame: Frame, colour: Colour) -> Any:
        if self._lane is None:
            # copied: PyNvVideoCodec reads it as it lies
            return np.ascontiguousarray(to_av(frame, "nv12", colour, self._convert).to_ndarray())
        with self._lane.work():
            both = joined(frame.planes[:3], False, self._lane.library)
        return _Nv12(both, frame.height, frame.width)

    def encode(self, frame: Frame, pts: int, duration: int, time_base: Fraction, colour: Colour) -> Iterable[Any]:
        """Packets that are ready once this frame was taken; times in ticks of `time_base`."""
        number = len(self._times)
        self._times.append((pts, duration))
        coded = self._session.Encode(self._picture(frame, colour), self._numbered(number))
        return self._packets(coded, time_base)

    def flush(self, time_base: Fraction) -> Iterable[Any]:
        """The packets still held."""
        return self._packets(self._session.EndEncode(), time_base)

    def _packets(self, coded: Iterable[Mapping[str, Any]], time_base: Fraction) -> list[Any]:
        packets = []
        for part in coded:
            packet = av.Packet(bytes(part["data"]))
            packet.pts, packet.duration = self._times[int(part["timestamp"])]
            packet.dts = packet.pts  # no B-frames: what is coded next is shown next
            packet.time_base = time_base
            packet.is_keyframe = int(part["picture_type"]) == _IDR
            packets += self._filter.filter(packet)
        return packets


def _opened(stream: bytes) -> Any:
    return av.open(io.BytesIO(stream), format="h264")


def _described(info: VideoInfo) -> str:
    """FFmpeg's filter that writes what samples mean into an H.264 stream."""
    colour, ratio = info.colour, info.sample_aspect_ratio
    words = {
        "colour_primaries": int(colour.primaries),
        "transfer_characteristics": int(colour.transfer),
        "matrix_coefficients": int(colour.matrix),
        "video_full_range_flag": int(colour.range is Range.FULL),
        "sample_aspect_ratio": f"{ratio.numerator}/{ratio.denominator}",
    }
    return "h264_metadata=" + ":".join(f"{name}={value}" for name, value in words.items())


def nvcodec_why_not(width: int, height: int, index: int = 0) -> str:
    """Encode one frame; "" if that worked, else why not."""
    form = PixelFormat()
    planes = tuple(np.zeros(shape, np.uint8) for shape in form.plane_shapes(width, height))
    frame = Frame(planes, form, 0, Fraction(1, 25))
    try:
        within(PATIENCE, lambda: NvcodecEncoder(VideoInfo(width, height), _TRIED, frame, index=index))
    except (MissingExtraError, Unavailable) as error:
        return str(error)
    except Exception as error:  # PyNvVideoCodec's own kinds derive from Exception alone
        return f"no NVENC by PyNvVideoCodec ({(str(error).splitlines() or [type(error).__name__])[0]})"
    return ""
