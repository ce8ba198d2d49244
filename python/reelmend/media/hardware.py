"""Frames that never leave a GPU: NVDEC and NVENC through PyAV, and the way between their planes and ours.

NVDEC and NVENC interleave chroma (NV12), and put 10 bits at the top of 16 (P010). Frames here have three planes and low
bits, so one pass over each picture parts or joins them. That pass also copies the picture out of the decoder, which has
only a few surfaces and stops when they are all held.

Everything of NVIDIA's is looked for when it is first needed, tried, and not believed before it gave a picture.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar

import av
import numpy as np

from ..errors import MissingExtraError, SourceError
from ..frame import Array, Colour, Frame, PixelFormat, VideoInfo
from ..ops._memory import holder
from .pixels import Layout
from .source import FileSource

__all__ = [
    "CudaSource",
    "Lane",
    "Surface",
    "Unavailable",
    "joined",
    "nvenc_why_not",
    "parted",
    "to_cuda_av",
    "why_no_gpu",
    "within",
]

T = TypeVar("T")

# FFmpeg's names of what NVDEC decodes at all; which of them a card does, only trying tells.
CODECS = ("h264", "hevc", "av1", "vp9", "vp8", "mpeg2video", "mpeg4", "vc1")
# NVDEC's format for each of ours.
SURFACES = {"yuv420p": "nv12", "yuv420p10": "p010le"}
_OURS = {theirs: ours for ours, theirs in SURFACES.items()}

# A P010 sample is the 10 bits times 2**6.
_SHIFT = 6

# Seconds a decoder may take to its first picture; some drivers hang on streams they should refuse.
PATIENCE = 20.0


class Unavailable(SourceError):
    """Hardware that was wanted cannot be used here, or not for this video; the text says why."""


def why_no_gpu(index: int) -> str:
    """Why frames cannot be on this GPU; "" if they can."""
    try:
        module = import_module("reelmend._cuda")
    except ImportError as error:
        return f"this build has no CUDA module ({error})"
    count = int(module.device_count())
    if index >= count:
        return str(module.why_not() or f"there is no GPU {index}, only {count}")
    try:
        holder()
    except MissingExtraError as error:
        return str(error)
    return ""


def why_not_decoded(info: VideoInfo, codec: str) -> str:
    """Why NVDEC would not do for such a video, as far as can be told before trying; "" if it may."""
    if codec not in CODECS:
        return f"it does not decode {codec}"
    if info.format.name not in SURFACES:
        return f"frames stay on the GPU as {' or '.join(SURFACES)}, and this video is {info.format.name}"
    if info.width % 2 or info.height % 2:
        return f"its planes lose the last column or row of {info.width}x{info.height}"
    return ""


def within(seconds: float, call: Callable[[], T]) -> T:
    """The call's result. Raises Unavailable if it does not come in time; the call is then left to itself."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="reelmend-try", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Unavailable(f"it gave no picture within {seconds:g} s")
    if errors:
        raise errors[0]
    return results[0]


class Lane:
    """A CUDA stream of its own for one thread that reads or writes, beside the default one, which stages use.

        with lane.work():
            ...      # queued on the lane

    What is queued waits, by an event, for all that the default stream was given before: for frames that a stage made,
    and for memory that a stage may still read though Python has let it go. The block ends when its work is done, so
    the frames are complete for any stream, and a decoder's surface may be given back.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        self.library = holder()
        self._torch = self.library.__name__ == "torch"
        if self._torch:
            self._stream = self.library.cuda.Stream(index)
        else:
            with self.library.cuda.Device(index):
                self._stream = self.library.cuda.Stream(non_blocking=True)

    @contextmanager
    def work(self) -> Iterator[None]:
        if self._torch:
            cuda = self.library.cuda
            with cuda.device(self._index):
                self._stream.wait_stream(cuda.default_stream(self._index))
                with cuda.stream(self._stream):
                    yield
                self._stream.synchronize()
            return
        cuda = self.library.cuda
        with cuda.Device(self._index):
            self._stream.wait_event(cuda.Stream.null.record())
            with self._stream:
                yield
            self._stream.synchronize()


class Surface:
    """A decoder's own array for DLPack. PyAV and PyNvVideoCodec take no other stream there than the default one, on
    which they work and for which the lane has waited; so the taker's is not told."""

    def __init__(self, plane: Any) -> None:
        self._plane = plane

    def __dlpack_device__(self) -> Any:
        return self._plane.__dlpack_device__()

    def __dlpack__(self, **_: Any) -> Any:
        return self._plane.__dlpack__()


def _shifted(library: Any, x: Array, left: bool) -> Array:
    """10-bit samples moved to the top of 16 bits, or back."""
    if library.__name__ != "torch":
        return x << _SHIFT if left else x >> _SHIFT
    # torch stores uint16, but has no arithmetic for it; the mask drops the copies of the sign
    signed = x.view(library.int16)
    moved = signed << _SHIFT if left else (signed >> _SHIFT) & ((1 << (16 - _SHIFT)) - 1)
    return moved.view(library.uint16)


def parted(luma: Array, chroma: Array, deep: bool, library: Any) -> tuple[Array, Array, Array]:
    """NV12 or P010 (`deep`) as three planes of their own: (rows, columns) and (rows / 2, columns / 2, 2) in."""
    parts = (luma, chroma[:, :, 0], chroma[:, :, 1])
    if deep:
        y, cb, cr = (_shifted(library, _own(p, library), left=False) for p in parts)
    else:
        y, cb, cr = (_own(p, library) for p in parts)
    return y, cb, cr


def _own(x: Array, library: Any) -> Array:
    return x.contiguous().clone() if library.__name__ == "torch" else library.array(x, order="C")


def joined(planes: tuple[Array, ...], deep: bool, library: Any) -> Array:
    """Three planes as NV12 or P010 in one array (rows * 3 / 2, columns): NVENC wants chroma right behind luma."""
    y, cb, cr = planes
    rows, columns = y.shape
    out = library.empty((rows * 3 // 2, columns), dtype=y.dtype, **_place(y, library))
    chroma = out[rows:].reshape(rows // 2, columns // 2, 2)
    for target, plane in ((out[:rows], y), (chroma[:, :, 0], cb), (chroma[:, :, 1], cr)):
        target[...] = _shifted(library, plane, left=True) if deep else plane
    return out


def _place(x: Array, library: Any) -> dict[str, Any]:
    return {"device": x.device} if library.__name__ == "torch" else {}


class CudaSource(FileSource):
    """A video file decoded by NVDEC through PyAV; frames stay on the GPU. Opened by `open_source`.

    Raises Unavailable where this machine or card cannot, with the reason; SourceError for what is no video.
    """

    def __init__(self, path: str, *, index: int = 0) -> None:
        self._index = index
        self._lane = Lane(index)
        accel = av.codec.hwaccel.HWAccel("cuda", device=index, allow_software_fallback=False, is_hw_owned=True)
        try:
            # NVDEC works by itself; threads of FFmpeg's would only hold more of its surfaces
            super().__init__(path, threads=1, hwaccel=accel)
        except (av.FFmpegError, RuntimeError, OSError) as error:
            if isinstance(error, SourceError):
                raise
            raise Unavailable(f"NVDEC did not start ({getattr(error, 'strerror', None) or error})") from error

    @property
    def decoder(self) -> str:
        return f"NVDEC of GPU {self._index}, by PyAV; frames stay there"

    def _form(self, frame: Any) -> str:
        if frame.sw_format is None:
            raise Unavailable(f"NVDEC refused it: PyAV decoded to {frame.format.name} on the CPU")
        return str(frame.sw_format.name)

    def _lay(self, name: str) -> Layout:
        if name not in _OURS:
            raise Unavailable(f"NVDEC gives {name}, and only {' and '.join(_OURS)} are known here")
        return Layout(name, PixelFormat.parse(_OURS[name]))

    def _planes(self, frame: Any, layout: Layout, colour: Colour, pts: int, duration: int) -> Frame:
        library = self._lane.library
        with self._lane.work():
            luma, chroma = (library.from_dlpack(Surface(plane)) for plane in frame.planes)
            planes = parted(luma, chroma, layout.format.depth > 8, library)
        return Frame(planes, layout.format, pts, self._time_base, duration, colour, self._side_data)


def open_cuda(path: str, plain: FileSource, index: int) -> CudaSource:
    """As CudaSource, after asking of `plain`, the file opened on the CPU, what can be known before trying; it has given
    its first frame when this returns. Raises Unavailable."""
    why = why_no_gpu(index) or why_not_decoded(plain.info, plain.video.codec_context.name)
    if why:
        raise Unavailable(why)
    try:
        return within(PATIENCE, lambda: CudaSource(path, index=index))
    except SourceError as error:
        raise Unavailable(f"NVDEC could not decode it ({error})") from error


# -- NVENC ------------------------------------------------------------------------------------------------


def to_cuda_av(frame: Frame, lane: Lane, context: Any) -> av.VideoFrame:
    """A PyAV frame for NVENC over a GPU frame's samples, as NV12 or P010.

    context  the av.video.frame.CudaContext of the GPU
    """
    deep = frame.format.depth > 8
    with lane.work():
        both = joined(frame.planes[:3], deep, lane.library)
    planes = tuple(_Whole(part) for part in (both[: frame.height], both[frame.height :]))
    return av.VideoFrame.from_dlpack(planes, format="p010le" if deep else "nv12", cuda_context=context)


class _Whole:
    """Samples whose work is done, for DLPack: the taker need not wait for any stream."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **_: Any) -> Any:
        return self._array.__dlpack__(stream=-1)


def cuda_accel(index: int) -> Any:
    """What an NVENC stream needs to take frames of this GPU, in the context that CuPy and PyTorch use."""
    return av.codec.hwaccel.HWAccel("cuda", device=index, options={"primary_ctx": "1"})


@lru_cache(maxsize=64)
def nvenc_why_not(codec: str, surface: str, index: int, width: int = 256, height: int = 144) -> str:
    """Encode one frame that is on the GPU; "" if that worked, else why not. Many datacentre cards have no NVENC."""
    why = why_no_gpu(index)
    if why:
        return why
    try:
        return within(PATIENCE, lambda: _encode_one(codec, surface, index, width, height))
    except Exception as error:
        return f"no NVENC for frames on GPU {index} ({getattr(error, 'strerror', None) or error})"


def _encode_one(codec: str, surface: str, index: int, width: int, height: int) -> str:
    context: Any = av.CodecContext.create(codec, "w", hwaccel=cuda_accel(index))
    context.width, context.height, context.sw_format = width, height, surface
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    lane = Lane(index)
    form = PixelFormat.parse(_OURS[surface])
    with lane.work():
        planes = tuple(
            lane.library.asarray(np.zeros(shape, form.dtype))
            if lane.library.__name__ != "torch"
            else lane.library.zeros(shape, dtype=getattr(lane.library, form.dtype.name), device=f"cuda:{index}")
            for shape in form.plane_shapes(width, height)
        )
    frame = Frame(planes, form, 0, Fraction(1, 25))
    picture = to_cuda_av(frame, lane, av.video.frame.CudaContext(index))
    picture.pts = 0
    packets = context.encode(picture) + context.encode(None)
    return "" if sum(p.size for p in packets) else "it gave no data"
