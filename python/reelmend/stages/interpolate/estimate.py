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


class _Blocks(Estimator):
    """Block search in the picture, or in a smaller one."""

    def __init__(self, step: int, shrink: int = 1) -> None:
        self.name = f"block search, windows of {2 * step * shrink} pixels every {step * shrink}"
        self._step, self._shrink = step, shrink

    def prepare(self, luma: Array, depth: int) -> Any:
        return _to_8_bits(_smaller(luma, self._shrink), depth)

    def match(self, a: Any, b: Any) -> Array:
        flow, _ = ops.block_motion(a, b, step=self._step, window=2 * self._step)
        # of a picture with a pixel a block
        return ops.median_flow(flow * np.float32(1 / self._step))

    def memory(self, width: int, height: int) -> int:
        blocks = -(-width // self._step) * -(-height // self._step)
        return width * height * 4 + blocks * 8 * 12


class _Dense(Estimator):
    """Dense inverse search in a smaller picture, begun where a block search in it ends: blocks find what moves far."""

    def __init__(self, shrink: int, step: int = 8) -> None:
        self.name = f"dense inverse search at 1/{shrink} of the size, begun by a block search"
        self._shrink = shrink
        self._blocks = _Blocks(step)

    def prepare(self, luma: Array, depth: int) -> Any:
        return _to_8_bits(_smaller(luma, self._shrink), depth)

    def match(self, a: Any, b: Any) -> Array:
        return ops.dense_flow(a, b, coarsest=0, initial=self._blocks.match(a, b))

    def memory(self, width: int, height: int) -> int:
        pixels = -(-width // self._shrink) * -(-height // self._shrink)
        return pixels * (3 + 8 * 6 + 46)  # pictures, flows, what the search needs


def _smaller(luma: Array, shrink: int) -> Array:
    height, width = luma.shape
    return ops.resize(luma, (-(-height // shrink), -(-width // shrink)), filter="area")


def estimator_for(method: str, effort: str, device: str) -> Estimator:
    """The estimator of a method on a device."""
    fine = effort == "fine"
    if method == "memc":
        return _Blocks(4 if fine else 8)
    return _Dense(1 if fine else 2)
