"""NVIDIA DALI as a feeder: its own decoders, or PyAV's frames carried through its pipeline. Needs the extra `dali`.

DALI converts what it decodes, on the CPU to RGB, always by BT.601 whatever the file is tagged with, and to 8 bits
(https://github.com/NVIDIA/DALI, dali/operators/video/frames_decoder_cpu.cc and color_space.cu). What was clipped there
cannot be undone, so its own decoders are used only where that conversion is the right one; for everything else PyAV
decodes, the pipeline carries the samples untouched, and our own op converts by the file's tags. On a GPU it can give
the file's own YCbCr codes, with chroma at full resolution, and no matrix is applied.

DALI's own RGB differs from that of `convert.to_rgb` by how chroma is made larger: by 1.5 levels in the mean on test
patterns of coarse chroma, by 0.3 on natural video (4:2:0, 8 bits); at hard edges by up to 100. 4:4:4 is equal to 1.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtraError, OptionError, SourceError
from ..fallback import Fallback
from ..frame import Array, Colour, Frame, Matrix, PixelFormat, Range
from ..ops._memory import holder
from .demuxed import DemuxedSource, Picture
from .pixels import ORIGIN

__all__ = ["DaliSource", "Decode"]

Decode = Literal["auto", "own", "carried"]

# FFmpeg's names of what DALI 2.1.1 and newer decode themselves; the rest needs a GPU (NVIDIA/DALI#6352).
_ON_CPU = {"vp8": "VP8", "vp9": "VP9", "mjpeg": "MJPEG"}
_ON_GPU = {**_ON_CPU, "h264": "H.264", "hevc": "HEVC", "av1": "AV1", "mpeg4": "MPEG-4"}
_REFUSED = ("number of input samples: 0", "Failed to create video decoder", "is not supported by the")

_RGB = PixelFormat("rgb", 8, (0, 0), packed=True)
_YUV444 = PixelFormat("yuv", 8, (0, 0))
_BT601 = (0.299, 0.114)


def _dali() -> Any:
    try:
        import nvidia.dali
        import nvidia.dali.fn
        import nvidia.dali.types
    except (ImportError, OSError) as error:
        raise MissingExtraError("nvidia-dali-cuda130", "dali", "feeding frames by DALI") from error
    return nvidia.dali


class DaliSource(DemuxedSource):
    """A video file fed by DALI: its frames at their exact times, its other streams as any FileSource has them.

    path      a file (nothing else: DALI reads it itself)
    decode    "own": DALI's decoders (RGB on the CPU: packed planes, uint8; on a GPU yuv444p); "carried": PyAV decodes,
              any codec and format, to the bit; "auto": its own where they give the right colours, else carried, and
              `fallbacks` says why
    depth     frames (sequences) DALI prepares ahead, at least 1; what is fed live waits that long
    sequence  frames that its own decoders give at once, and that stay in memory together
    index     the number of a GPU that frames go to; None keeps them on the CPU
    threads   PyAV's decoder threads, 0 for one a core

    On the CPU planes are read-only views of DALI's buffers, which DALI does not use again while they are held. On a GPU
    they are arrays over its memory, ordered with the default stream, and are to be used on that one.

    Raises SourceError for a file or codec that cannot be read so, MissingExtraError without DALI.
    """

    def __init__(
        self,
        path: str,
        *,
        decode: Decode = "auto",
        depth: int = 2,
        sequence: int = 1,
        index: int | None = None,
        threads: int = 0,
    ) -> None:
        if decode not in ("auto", "own", "carried"):
            raise OptionError(f"unknown decode {decode!r}; choose auto, own or carried")
        if depth < 1 or sequence < 1:
            raise OptionError(f"depth and sequence are at least 1; got {depth} and {sequence}")
        self._module = _dali()
        self._depth, self._sequence, self._index = depth, sequence, index
        self._pipe: Any = None
        self._waiting: deque[tuple[Frame, int, int]] = deque()
        self._given: deque[Picture] = deque()
        self._rounds = 0
        super().__init__(path, threads=threads)
        try:
            self._begin_feeding(decode)
        except BaseException:
            self.close()
            raise

    @property
    def decoder_name(self) -> str:
        return f"DALI {self._module.__version__}"

    @property
    def decoder(self) -> str:
        place = "the CPU" if self._index is None else f"GPU {self._index}"
        how = f"its own decoder on {place}" if self._elsewhere else f"PyAV decodes on the CPU, frames go to {place}"
        return f"{self.decoder_name}: {how}, {self._depth} {'frame' if self._depth == 1 else 'frames'} ahead"

    @property
    def memory(self) -> int:
        return (self._depth + 1) * (self._sequence if self._elsewhere else 1) * self.info.frame_bytes

    # -- which way ---------------------------------------------------------------------------------------

    def _begin_feeding(self, decode: Decode) -> None:
        why = self._why_not_own() if decode != "carried" else ""
        if decode == "own" and why:
            raise SourceError(f"{self.name}: DALI's own decoder cannot be used: {why}. {self._instead()}")
        if decode == "carried" or why:
            if why:
                self.fallbacks = (Fallback("DALI's own decoder", "PyAV's, its frames carried by DALI", why),)
            self._keep()
            self._pipe = self._carrying()
            return
        self._pipe = self._reading()
        colour = self.info.colour
        if self._index is None:
            self._note("DALI's decoder gives RGB by BT.601: samples are not the file's own to the bit")
            self._hand_over(_RGB, Colour(colour.primaries, colour.transfer, Matrix.RGB, Range.FULL))
        else:
            self._note("DALI's decoder gives chroma at full resolution: frames are yuv444p")
            self._hand_over(_YUV444, colour)

    def _instead(self) -> str:
        return "Use decode='carried' (PyAV decodes, DALI carries its frames), or decoder='pyav'"

    def _why_not_own(self) -> str:
        """Why DALI's own decoder is not to be used; "" if it may be."""
        why = self._cannot()
        if why:
            return why
        info, place = self.info, "the CPU" if self._index is None else "a GPU"
        codecs = _ON_CPU if self._index is None else _ON_GPU
        codec = self.video.codec_context.name
        if codec not in codecs:
            return f"on {place} it decodes {', '.join(codecs.values())}, and this is {codec}"
        if info.format.depth > 8:
            return f"it gives 8 bits, and this video has {info.format.depth}"
        if info.format.kind != "yuv" or info.format.alpha:
            return f"it gives {'RGB' if self._index is None else 'YCbCr'}, and this video is {info.format.name}"
        if self._index is not None:
            even = info.width % 2 == 0 and info.height % 2 == 0
            return "" if info.format.subsampling == (1, 1) and even else "on a GPU it takes 4:2:0 of even size"
        try:
            weights = info.colour.luma_weights(info.height)
        except ValueError as error:
            return str(error)
        if weights != _BT601:
            matrix = info.colour.matrix
            tagged = f"tagged {matrix.name}" if matrix is not Matrix.UNSPECIFIED else "not tagged and so large, BT.709"
            return f"it converts colours by BT.601, and this video is {tagged}"
        return ""

    # -- pipelines ---------------------------------------------------------------------------------------

    def _pipeline(self) -> Any:
        return self._module.Pipeline(
            batch_size=1, num_threads=1, device_id=self._index, prefetch_queue_depth=self._depth, exec_dynamic=True
        )

    def _reading(self) -> Any:
        """A pipeline that reads the file itself. Raises SourceError."""
        types = self._module.types
        pipe = self._pipeline()
        with pipe:
            outputs = self._module.fn.experimental.readers.video(
                name="reader",
                device="cpu" if self._index is None else "gpu",
                filenames=[self.name],
                sequence_length=self._sequence,
                pad_mode="constant",  # else the last frames, fewer than a sequence, are dropped
                enable_frame_num="sequence",
                enable_timestamps=True,
                image_type=types.RGB if self._index is None else types.YCbCr,
            )
            pipe.set_outputs(*outputs)
        try:
            pipe.build()
            self._rounds = int(pipe.reader_meta("reader")["epoch_size"])
        except RuntimeError as error:
            raise self._refused(error) from error
        return pipe

    def _refused(self, error: RuntimeError) -> SourceError:
        text = str(error)
        if any(words in text for words in _REFUSED):
            codecs = ", ".join((_ON_CPU if self._index is None else _ON_GPU).values())
            place = "the CPU" if self._index is None else "a GPU"
            return SourceError(
                f"{self.name}: {self.decoder_name} does not decode this {self.video.codec_context.name} on {place}; "
                f"there it decodes {codecs}. {self._instead()}"
            )
        return SourceError(f"{self.name}: {self.decoder_name} cannot read it ({_said(error)}). {self._instead()}")

    def _carrying(self) -> Any:
        """A pipeline that takes PyAV's frames: all planes of one in one row of bytes, so that one copy moves it."""
        types = self._module.types
        pipe = self._pipeline()
        with pipe:
            flat = self._module.fn.external_source(source=self._feed(), batch=True, ndim=1, dtype=types.UINT8)
            pipe.set_outputs(flat if self._index is None else flat.gpu())
        pipe.build()
        return pipe

    def _feed(self) -> Iterator[list[Any]]:
        while True:
            try:
                frame = super().__next__()
            except StopIteration:
                return
            data = {k: v for k, v in frame.side_data.items() if k != ORIGIN}
            self._waiting.append((frame.replace(planes=(), side_data=data), frame.width, frame.height))
            yield [_flat(frame)]

    def _run(self) -> tuple[Any, ...]:
        """The next outputs. On a GPU they come on the default stream, and their memory is given back in its order."""
        return self._pipe.run() if self._index is None else self._pipe.run(0)  # type: ignore[no-any-return]

    # -- frames ------------------------------------------------------------------------------------------

    def __next__(self) -> Frame:
        if self._pipe is None:
            raise StopIteration
        if self._elsewhere:
            return super().__next__()
        try:
            (out,) = self._run()
        except RuntimeError as error:
            raise self._refused(error) from error
        frame, width, height = self._waiting.popleft()
        return frame.replace(planes=_planes(_array(out[0]), frame.format, width, height))

    def _picture(self) -> Picture | None:
        if not self._given and self._rounds:
            self._rounds -= 1
            try:
                pictures, numbers, seconds = (out[0] for out in self._run())
            except RuntimeError as error:
                self._rounds = 0
                self.problem = f"{self.decoder_name} broke off ({_said(error)})"
                return None
            for picture, number, at in zip(_array(pictures), _host(numbers), _host(seconds), strict=True):
                if number >= 0:  # else it is padding
                    self._given.append(Picture(tuple(picture[:, :, c] for c in range(3)), float(at)))
        return self._given.popleft() if self._given else None

    def close(self) -> None:
        self._pipe = None
        self._waiting.clear()
        self._given.clear()
        super().close()


def _said(error: RuntimeError) -> str:
    """The line of DALI's many that says what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    at = next((i + 1 for i, line in enumerate(lines) if line == "encountered:"), 0)
    return lines[at][:300] if at < len(lines) else type(error).__name__


def _host(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor.as_cpu())


def _array(tensor: Any) -> Array:
    """An array over a tensor of DALI, without a copy: NumPy's, or of the library that holds frames on a GPU."""
    if not hasattr(tensor, "__cuda_array_interface__"):
        array = np.asarray(tensor)
        array.flags.writeable = False
        return array
    library = holder()
    return library.from_dlpack(tensor) if library.__name__ == "torch" else library.asarray(tensor)


def _flat(frame: Frame) -> NDArray[np.uint8]:
    """All planes of a frame, one after another, as bytes."""
    flat = np.empty(frame.format.frame_bytes(frame.width, frame.height), np.uint8)
    for target, plane in zip(_planes(flat, frame.format, frame.width, frame.height), frame.planes, strict=True):
        target[...] = plane
    return flat


def _planes(flat: Array, form: PixelFormat, width: int, height: int) -> tuple[Array, ...]:
    """Views of such bytes as planes."""
    at, planes = 0, []
    kind: Any = getattr(sys.modules["torch"], form.dtype.name) if type(flat).__module__ == "torch" else form.dtype
    for rows, columns in form.plane_shapes(width, height):
        end = at + rows * columns * form.dtype.itemsize
        planes.append(flat[at:end].view(kind).reshape(rows, columns))
        at = end
    return tuple(planes)
