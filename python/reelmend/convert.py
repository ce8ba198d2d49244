"""Frames to RGB arrays, and frames between the host and a GPU: at the edges, once."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from . import ops
from .errors import DeviceError, FormatError
from .frame import Array, Frame
from .ops._dispatch import dtype_of, empty
from .ops._memory import gpu_of, holder

__all__ = ["check_device", "from_rgb", "rgb_into", "spread", "to_device", "to_host", "to_rgb"]


def check_device(device: str) -> int | None:
    """The index of a CUDA device, None for "cpu".

    Raises OptionError for another word, DeviceError where this machine or build has no such GPU (with the reason),
    MissingExtraError where neither CuPy nor PyTorch, which hold frames on a GPU, is installed for CUDA.
    """
    index = gpu_of(device)
    if index is None:
        return None
    try:
        module = import_module("reelmend._cuda")
    except ImportError as error:
        raise DeviceError(
            f"device {device!r}: this build has no CUDA module ({error}); build with REELMEND_CUDA=ON where nvcc is "
            "installed, or use device='cpu'"
        ) from error
    count = int(module.device_count())
    if index >= count:
        why = module.why_not() or f"there {'is' if count == 1 else 'are'} {count}"
        raise DeviceError(f"device {device!r} is not there: {why}; use device='cpu', and see 'reelmend doctor'")
    holder()
    return index


def _packed(planes: tuple[Array, ...]) -> Array | None:
    """The array (height, width, 3) that three planes are the channels of, if they are."""
    first = planes[0]
    if not isinstance(first, np.ndarray):
        return None
    for c, plane in enumerate(planes):
        start = first.__array_interface__["data"][0] + c * first.itemsize
        if plane.strides != first.strides or plane.__array_interface__["data"][0] != start:
            return None
    shape, strides = (*first.shape, 3), (*first.strides, first.itemsize)
    return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=first.flags.writeable)


def to_device(frame: Frame, device: str) -> Frame:
    """The frame with its planes on the device; itself where they are there already. See check_device for errors."""
    index = check_device(device)
    if index is None:
        return to_host(frame)
    if frame.on_gpu:
        return frame
    return frame.replace(planes=tuple(ops.to_device(p, index) for p in frame.planes))


def to_host(frame: Frame) -> Frame:
    """The frame with its planes in NumPy arrays; itself where they are already."""
    if not frame.on_gpu:
        return frame
    return frame.replace(planes=tuple(ops.to_host(p) for p in frame.planes))


def to_rgb(frame: Frame, dtype: Any = None) -> Array:
    """The frame as one RGB array (height, width, 3), full range, on the device where its planes are.

    dtype  uint8, uint16 (the frame's depth, 16 bits for a frame of 8) or float32 (0..1); default: as the planes. The
           planes of one packed RGB array of that dtype come back as that array, without a copy.
    """
    kind = np.dtype(dtype) if dtype is not None else frame.format.dtype
    if kind not in (np.uint8, np.uint16, np.float32):
        raise FormatError(f"an RGB picture is uint8, uint16 or float32; {kind} was asked for")
    same = kind == frame.format.dtype
    if frame.format.kind == "yuv":
        depth = frame.format.depth if same else 8 * kind.itemsize
        return ops.yuv_to_rgb(frame.planes[:3], **frame.coding, dtype=kind, out_depth=min(depth, 16))
    planes = frame.planes[:3] if frame.format.kind == "rgb" else (frame.planes[0],) * 3
    packed = _packed(planes) if same else None
    if packed is not None:
        return packed
    picture = _stacked(planes)
    if same:
        return picture
    light = ops.cast(picture, np.float32)
    if kind == np.float32:
        # by an array: by a number, torch would multiply with its reciprocal, which rounds otherwise
        return light / ops.beside(np.full(1, frame.format.max_code, np.float32), light)
    from_peak, to_peak = frame.format.max_code, 255 if kind == np.uint8 else 65535
    scaled = light * (to_peak / from_peak)
    return ops.cast(np.rint(scaled) if hasattr(scaled, "__array_ufunc__") else scaled.round(), kind)


def _stacked(planes: Sequence[Array]) -> Array:
    """Planes as the channels of a new array (height, width, channels) beside them."""
    if isinstance(planes[0], np.ndarray):
        return np.stack(planes, axis=-1)
    picture = empty((*planes[0].shape, len(planes)), dtype_of(planes[0]), planes[0])
    for c, plane in enumerate(planes):
        picture[:, :, c] = plane
    return picture


def spread(planes: Array, out: Array, stream: Any = None) -> None:
    """Write float32 planes (channels, rows, columns) to others of their size, or their one row or column to all.

    On a GPU it is queued on `stream` (default: the current one of their library), and takes no memory.
    """
    if isinstance(out, np.ndarray):
        out[...] = planes
        return
    for c in range(int(out.shape[0])):
        ops.resize(planes[c], out=out[c], stream=stream)  # the same size is a copy, and one sample is every sample


def rgb_into(frame: Frame, out: Array, stream: Any = None) -> None:
    """The frame as RGB into float32 planes (3, rows, columns) beside its own, as a network sees it.

    Full range is 0..1; what lies beyond it in the frame's code values stays beyond. Rows and columns of `out` below and
    the right of the picture repeat its last ones. Gray becomes three equal planes.

    stream  of a GPU, for a frame of YUV: all is queued on it, and no memory is taken. Frames of RGB and gray are
            converted by the library that holds them, on its current stream
    """
    height, width = frame.height, frame.width
    inside = [out[c, :height, :width] for c in range(3)]
    if frame.format.kind == "yuv":
        ops.yuv_to_rgb(frame.planes[:3], **frame.coding, out=inside, stream=stream)
    else:
        planes = frame.planes[:3] if frame.format.kind == "rgb" else (frame.planes[0],) * 3
        peak = ops.beside(np.full(1, frame.format.max_code, np.float32), frame.planes[0])
        for plane, to in zip(planes, inside, strict=True):
            to[...] = ops.cast(plane, np.float32) / peak
    if out.shape[1] > height:
        spread(out[:, height - 1 : height, :width], out[:, height:, :width], stream)
    if out.shape[2] > width:
        spread(out[:, :, width - 1 : width], out[:, :, width:], stream)


def from_rgb(rgb: Array, like: Frame, out: Sequence[Array] | None = None, stream: Any = None) -> Frame:
    """A frame from float32 RGB planes (3, rows, columns), 0..1, in the format, colour and time of another.

    Values are rounded to the nearest code and clamped to what the format holds. Opacity, if the format has it, is left
    for the caller to add.

    out     the three planes to write, where the format is YUV; otherwise new ones are made
    stream  as in rgb_into
    """
    fmt = like.format
    height, width = (int(n) for n in rgb.shape[1:])
    if fmt.kind == "yuv":
        coding = like.replace(planes=(rgb[0],)).coding  # by its own height, where the matrix is not tagged
        shapes = fmt.plane_shapes(width, height)[:3]
        planes = tuple(empty(shape, fmt.dtype, rgb) for shape in shapes) if out is None else tuple(out)
        channels = [rgb[c] for c in range(3)]
        ops.rgb_to_yuv(channels, subsampling=fmt.subsampling, **coding, out=planes, stream=stream)
        return like.replace(planes=planes)
    peak = fmt.max_code
    codes = [ops.cast((rgb[c] * peak + 0.5).clip(0, peak), fmt.dtype) for c in range(3)]
    if fmt.kind == "gray":
        codes = [ops.cast(((rgb[0] + rgb[1] + rgb[2]) * (peak / 3) + 0.5).clip(0, peak), fmt.dtype)]
    return like.replace(planes=tuple(codes))
