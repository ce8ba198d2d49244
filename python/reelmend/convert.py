"""Frames to RGB arrays, and frames between the host and a GPU: at the edges, once."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import numpy as np

from . import ops
from .errors import DeviceError, FormatError, MissingExtraError, OptionError
from .frame import Array, Frame

__all__ = ["check_device", "to_device", "to_host", "to_rgb"]

_DEVICE = re.compile(r"^cuda(?::(\d+))?$")


def check_device(device: str) -> int | None:
    """The index of a CUDA device, None for "cpu".

    Raises OptionError for another word, DeviceError where this machine or build has no such GPU (with the reason),
    MissingExtraError where CuPy, which holds frames on a GPU, is not installed.
    """
    if device == "cpu":
        return None
    match = _DEVICE.match(device)
    if not match:
        raise OptionError(f"device is {device!r}; expected 'cpu', 'cuda' or 'cuda:N'")
    try:
        module = import_module("reelmend._cuda")
    except ImportError as error:
        raise DeviceError(
            f"device {device!r}: this build has no CUDA module ({error}); build with REELMEND_CUDA=ON where nvcc is "
            "installed, or use device='cpu'"
        ) from error
    index, count = int(match[1] or 0), int(module.device_count())
    if index >= count:
        why = module.why_not() or f"there {'is' if count == 1 else 'are'} {count}"
        raise DeviceError(f"device {device!r} is not there: {why}; use device='cpu', and see 'reelmend doctor'")
    _cupy()
    return index


def _cupy() -> Any:
    try:
        return import_module("cupy")
    except ImportError:
        raise MissingExtraError("cupy-cuda13x", "cupy", "holding frames on a GPU") from None


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
    cupy = _cupy()
    with cupy.cuda.Device(index):
        return frame.replace(planes=tuple(cupy.asarray(np.ascontiguousarray(p)) for p in frame.planes))


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
    xp = np if isinstance(frame.planes[0], np.ndarray) else _cupy()
    picture = xp.stack(planes, axis=-1)
    if same:
        return picture
    if kind == np.float32:
        return picture.astype(np.float32) / frame.format.max_code
    from_peak, to_peak = frame.format.max_code, 255 if kind == np.uint8 else 65535
    return xp.rint(picture.astype(np.float32) * (to_peak / from_peak)).astype(kind)
