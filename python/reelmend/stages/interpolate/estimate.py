"""Motion between two pictures: flows of a part of their size, forward and backward, and how far they agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...frame import Array, Frame
from ..letterbox import Region

__all__ = ["Estimator", "Motion", "estimator_for", "luma_of"]

_LEAST = 16  # rows and columns that the engine is given at least


@dataclass(slots=True)
class Motion:
    """The motion of one pair of pictures.

    forward, backward  float32 (2, rows, columns): first to second and back, in pixels of their own grid
    sure     0..1: the share of the picture in which the two agree
    """

    forward: Array
    backward: Array
    sure: float


def luma_of(frame: Frame, region: Region) -> Array:
    """The light of a picture inside its region: a plane of the frame, or made from R, G and B."""
    x0, y0, x1, y1 = region
    planes = [p[y0:y1, x0:x1] for p in frame.planes[:3]] if frame.format.kind == "rgb" else []
    if planes:
        depth = frame.format.depth
        return ops.rgb_to_yuv(planes, subsampling=(0, 0), depth=depth, rgb_depth=depth, full_range=True)[0]
    return frame.planes[0][y0:y1, x0:x1]


class Estimator(ABC):
    """Finds motion. Pictures are prepared once, then matched with the one before and the one after."""

    name: str

    @abstractmethod
    def prepare(self, luma: Array, depth: int) -> Any:
        """What of a picture is kept for matching."""

    @abstractmethod
    def match(self, a: Any, b: Any) -> Array:
        """The flow from one prepared picture to another."""

    @abstractmethod
    def memory(self, width: int, height: int) -> int:
        """Bytes held at most for pictures of this size: prepared pictures, flows, and what matching needs."""

    def both(self, a: Any, b: Any) -> Motion:
        """The flows between two prepared pictures."""
        forward, backward = self.match(a, b), self.match(b, a)
        agreed = ops.consistency(forward, backward, outside=None)
        return Motion(forward, backward, float(ops.to_host(agreed).mean()))


def _to_8_bits(luma: Array, depth: int) -> Array:
    if depth == 8:
        return luma
    codes = 1 << depth
    table = ops.beside(np.arange(codes, dtype=np.float32) * np.float32(255 / (codes - 1)), luma)
    return ops.apply_lut(luma, table, dither=False, dtype=np.uint8)


class _Dis(Estimator):
    """Dense inverse search by OpenCV."""

    def __init__(self, shrink: int) -> None:
        import cv2

        self.name = f"dense inverse search (OpenCV {cv2.__version__}) at 1/{shrink}"
        self._shrink = shrink
        api: Any = cv2  # the stubs of some releases leave DIS out
        self._engine: Any = api.DISOpticalFlow_create(api.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._engine.setFinestScale(0)

    def prepare(self, luma: Array, depth: int) -> Any:
        height, width = luma.shape
        shrink = max(1, min(self._shrink, min(height, width) // _LEAST))
        small = ops.resize(luma, (-(-height // shrink), -(-width // shrink)), filter="area")
        return np.ascontiguousarray(_to_8_bits(small, depth))

    def memory(self, width: int, height: int) -> int:
        pixels = width * height // self._shrink**2
        return pixels * (3 + 8 * 6 + 60)  # pictures, flows, the engine's pyramids

    def match(self, a: Any, b: Any) -> Array:
        if min(a.shape) < _LEAST:  # too small for the engine: as if nothing moved, which mixes the pictures
            return np.zeros((2, *a.shape), np.float32)
        return np.moveaxis(self._engine.calc(a, b, None), 2, 0)


def estimator_for(method: str, effort: str, device: str) -> Estimator:
    """The estimator of a method on a device."""
    return _Dis(4 if effort == "fast" else 2)
