"""Frames to RGB arrays and back, at the edges where people want pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import ops
from .frame import Array, Frame

__all__ = ["to_rgb"]


def to_rgb(frame: Frame, dtype: Any = None) -> Array:
    """The frame as one RGB array (height, width, 3), full range, on the device where its planes are.

    dtype  uint8, uint16 (the frame's depth) or float32 (0..1); default: as the planes. An RGB or gray frame of that
           dtype comes without conversion (gray as three equal channels).
    """
    kind = np.dtype(dtype) if dtype is not None else frame.format.dtype
    if frame.format.kind == "yuv":
        return ops.yuv_to_rgb(frame.planes[:3], **frame.coding, dtype=kind)
    if frame.format.packed and kind == frame.format.dtype and isinstance(frame.planes[0].base, np.ndarray):
        base = frame.planes[0].base
        if base.ndim == 3 and base.shape[2] == 3:
            return base
    xp = np if isinstance(frame.planes[0], np.ndarray) else __import__("cupy")
    planes = frame.planes[:3] if frame.format.kind == "rgb" else (frame.planes[0],) * 3
    picture = xp.stack(planes, axis=-1)
    if kind == frame.format.dtype:
        return picture
    if kind == np.float32:
        return picture.astype(np.float32) / frame.format.max_code
    from_peak, to_peak = frame.format.max_code, 255 if kind == np.uint8 else 65535
    return xp.rint(picture.astype(np.float32) * (to_peak / from_peak)).astype(kind)
