"""NVDEC through NVIDIA's PyNvVideoCodec, fed with PyAV's packets. Needs the extra `nvcodec` and a driver with NVDEC.

PyAV demuxes, so times, other streams and tags are a FileSource's; a time goes through the decoder with its packet and
comes back with its picture. API: https://docs.nvidia.com/video-technologies/pynvvideocodec.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from av.bitstream import BitStreamFilterContext

from ..errors import MissingExtraError, SourceError
from ..frame import Array, Frame
from .demuxed import Shown
from .hardware import PATIENCE, SURFACES, Lane, Surface, Unavailable, parted, why_no_gpu, why_not_decoded, within
from .pixels import side_data_of
from .source import FileSource

__all__ = ["NvcodecSource", "nvcodec"]

# FFmpeg's names, PyNvVideoCodec's, and the filter that puts packets as NVDEC's parser wants them.
_CODECS = {
    "h264": ("H264", "h264_mp4toannexb"),
    "hevc": ("HEVC", "hevc_mp4toannexb"),
    "av1": ("AV1", ""),
    "vp9": ("VP9", ""),
    "vp8": ("VP8", ""),
}


@lru_cache(maxsize=1)
def nvcodec() -> Any:
    """The module PyNvVideoCodec. Raises MissingExtraError where it is not installed, Unavailable where it is and its
    driver is not: it then fails on import, and not with an ImportError."""
    try:
        import PyNvVideoCodec
    except ModuleNotFoundError as error:
        raise MissingExtraError("PyNvVideoCodec", "nvcodec", "decoding and encoding by PyNvVideoCodec") from error
    except Exception as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unavailable(f"PyNvVideoCodec does not start: {said}") from error
    return PyNvVideoCodec


class NvcodecSource(FileSource):
    """A video file decoded by PyNvVideoCodec; frames stay on the GPU. Opened by `open_source`.

    Raises Unavailable where this machine, card or video does not allow it, with the reason; MissingExtraError without
    the package; SourceError for what is no video.
    """

    def __init__(self, path: str, *, index: int = 0, threads: int = 0) -> None:
        self._index = index
        self._module = nvcodec()
        self._decoder: Any = None
        self._before: list[Any] = []  # packets that came before NVDEC took over
        self._lengths: dict[int, int] = {}
        super().__init__(path, threads=threads)
        try:
            within(PATIENCE, self._take_over)
        except Exception as error:
            self.close()
            if isinstance(error, SourceError):
                raise
            raise Unavailable(f"NVDEC did not start ({error})") from error

    @property
    def decoder(self) -> str:
        return f"NVDEC of GPU {self._index}, by PyNvVideoCodec; frames stay there"

    def _take_over(self) -> None:
        """Have NVDEC decode what PyAV has decoded so far, up to its first picture."""
        stream = self.video
        name = stream.codec_context.name
        why = why_no_gpu(self._index) or why_not_decoded(self.info, name)
        if not why and name not in _CODECS:
            why = f"it does not decode {name}"
        if not why and any(p.pts is None for p in self._before):
            why = "packets of this file have no presentation times"
        if why:
            raise Unavailable(why)
        codec, convert = _CODECS[name]
        self._lane = Lane(self._index)
        self._convert = BitStreamFilterContext(convert, stream) if convert else None
        self._decoder = self._module.CreateDecoder(
            gpuid=self._index,
            codec=getattr(self._module.cudaVideoCodec, codec),
            cudacontext=0,
            cudastream=0,
            usedevicememory=True,
        )
        self._side_data = side_data_of(self._first.popleft())
        if self._captions:
            self._note("closed captions in the pictures (EIA-608, 708) are left out: PyNvVideoCodec skips them")
            self._captions = False
        first = next(self._frames, None)
        if first is None:
            raise Unavailable("NVDEC gave no picture")
        self._first.append(first)

    def _decoded(self, context: Any, packet: Any) -> Iterator[Any]:
        if self._decoder is None:
            self._before += [packet] if packet is not None else []
            for frame in super()._decoded(context, packet):
                yield frame
                if self._decoder is not None:
                    break
            if self._decoder is None:
                return
            packets, self._before = self._before, []
            for earlier in packets:
                yield from self._through(earlier)
            if packet is None:
                yield from self._through(None)
            return
        yield from self._through(packet)

    def _through(self, packet: Any) -> Iterator[Frame]:
        if packet is not None and packet.pts is not None and packet.duration:
            self._lengths[packet.pts] = packet.duration
        parts = [packet] if self._convert is None else self._convert.filter(packet)
        if packet is None:
            parts = [*(p for p in parts if p is not None), None]
        for part in parts:
            try:
                surfaces = self._decoder.Decode(self._data(part))
            except Exception as error:  # PyNvVideoCodec's own kinds derive from Exception alone
                self._bad += 1
                self._odd.append(str(error).splitlines()[0] if str(error) else type(error).__name__)
                continue
            # the next call may write over these, so they are copied out now
            for surface in surfaces:
                yield self._frame(surface)

    def _data(self, packet: Any) -> Any:
        """A packet as PyNvVideoCodec takes it; an empty one has it give all it holds."""
        data = self._module.PacketData()
        if packet is None:
            data.bsl = data.bsl_data = 0
            return data
        self._held = np.frombuffer(packet, np.uint8)  # NVDEC's parser reads it within the call
        data.bsl_data, data.bsl = self._held.ctypes.data, self._held.size
        data.pts = packet.pts
        data.key = int(packet.is_keyframe)
        return data

    def _frame(self, surface: Any) -> Frame:
        pts = int(surface.getPTS())
        duration = self._lengths.pop(pts, 0)
        info = self.info
        form = info.format
        with self._lane.work():
            both = _rows(surface, self._lane.library)
            if tuple(both.shape) != (info.height * 3 // 2, info.width):
                raise SourceError(
                    f"{self.name}: NVDEC gives surfaces of {tuple(both.shape)}; expected {SURFACES[form.name]} of "
                    f"{info.width}x{info.height}. Use decoder='pyav'"
                )
            chroma = both[info.height :].reshape(info.height // 2, info.width // 2, 2)
            planes = parted(both[: info.height], chroma, form.depth > 8, self._lane.library)
        return Frame(planes, form, pts, self._time_base, duration, info.colour, self._side_data)

    def _wrap(self, frame: Any) -> Frame:
        if not isinstance(frame, Frame):
            return super()._wrap(frame)
        frame.pts = self._time(Shown(frame.pts, frame.duration))
        frame.duration = frame.duration or max(round(self._step()), 0)
        return self._deliver(frame)


def _rows(surface: Any, library: Any) -> Array:
    """(rows * 3 / 2, columns): luma, and interleaved chroma under it."""
    return library.from_dlpack(Surface(surface))
