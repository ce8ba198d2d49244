"""Motion between two pictures: flows of a part of their size, forward and backward, and how far they agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...convert import rgb_into
from ...engines.network import Size
from ...frame import Array, Frame
from ...ops._dispatch import empty
from ..letterbox import Region
from ..planes import cropped

__all__ = ["Estimator", "Motion", "estimator_for", "luma_of", "picture_of"]


@dataclass(slots=True)
class Motion:
    """The motion of one pair of pictures.

    forward, backward  float32 (2, rows, columns): first to second and back, in pixels of their own grid
    sure     0..1: the share of the picture in which the two agree
    region   the part of the frames that was matched
    """

    forward: Array
    backward: Array
    sure: float
    region: Region


def luma_of(frame: Frame, region: Region) -> Array:
    """The light of a picture inside its region: a plane of the frame, or made from R, G and B."""
    x0, y0, x1, y1 = region
    planes = [p[y0:y1, x0:x1] for p in frame.planes[:3]] if frame.format.kind == "rgb" else []
    if planes:
        depth = frame.format.depth
        return ops.rgb_to_yuv(planes, subsampling=(0, 0), depth=depth, rgb_depth=depth, full_range=True)[0]
    return frame.planes[0][y0:y1, x0:x1]


def picture_of(frame: Frame, region: Region, size: Size) -> Array:
    """The picture inside a region as float32 (3, rows, columns) of this size, RGB 0..1, padded by its edges."""
    out = empty((3, *size), np.float32, frame.planes[0])
    rgb_into(cropped(frame, region), out)
    return out


class Estimator(ABC):
    """Finds motion. Pictures are prepared once, then matched with the one before and the one after."""

    name: str

    @abstractmethod
    def prepare(self, frame: Frame, region: Region) -> Any:
        """What of a picture is kept for matching it: of its part inside the region."""

    @abstractmethod
    def match(self, a: Any, b: Any) -> Array:
        """The flow from one prepared picture to another."""

    @abstractmethod
    def memory(self, width: int, height: int) -> int:
        """Bytes held at most for pictures of this size: prepared pictures, flows, and what matching needs."""

    def both(self, a: Any, b: Any, region: Region) -> Motion:
        """The flows between two pictures, prepared in this region."""
        forward, backward = self.match(a, b), self.match(b, a)
        agreed = ops.consistency(forward, backward, outside=None)
        return Motion(forward, backward, float(ops.to_host(agreed).mean()), region)


def _to_8_bits(luma: Array, depth: int) -> Array:
    if depth == 8:
        return luma
    codes = 1 << depth
    table = ops.beside(np.arange(codes, dtype=np.float32) * np.float32(255 / (codes - 1)), luma)
    return ops.apply_lut(luma, table, dither=False, dtype=np.uint8)


class _Blocks(Estimator):
    """Block search."""

    name = "block search, windows of 16 pixels every 8"

    def prepare(self, frame: Frame, region: Region) -> Any:
        return ops.BlockPyramid(_to_8_bits(luma_of(frame, region), frame.format.depth), window=16)

    def match(self, a: Any, b: Any) -> Array:
        return _cleaned(ops.block_motion(a, b, step=8)[0], 8)

    def memory(self, width: int, height: int) -> int:
        # pyramids of three pictures; on a grid of blocks, flows of three pairs and at a time between, and spare ones
        return 3 * width * height * 3 // 2 + (2 * 3 + 4 + 2) * 8 * -(-width // 8) * -(-height // 8)


class _Dense(Estimator):
    """Dense inverse search in a picture of half the size, begun where a block search in it ends: blocks find what moves
    far, and each patch then its part of a pixel."""

    name = "dense inverse search at half the size, begun by a block search"

    def prepare(self, frame: Frame, region: Region) -> Any:
        luma = luma_of(frame, region)
        height, width = luma.shape
        half = ops.resize(luma, (-(-height // 2), -(-width // 2)), filter="area")
        picture = _to_8_bits(half, frame.format.depth)
        return picture, ops.BlockPyramid(picture, window=16)

    def match(self, a: Any, b: Any) -> Array:
        start = _cleaned(ops.block_motion(a[1], b[1], step=8, passes=1)[0], 8)
        flow = ops.dense_flow(a[0], b[0], coarsest=0, initial=start, stride=5, iterations=2)
        # patches of 8 pixels do not tell more than every second pixel holds
        return ops.resize_flow(flow, (-(-flow.shape[1] // 2), -(-flow.shape[2] // 2)))

    def memory(self, width: int, height: int) -> int:
        columns, rows = -(-width // 2), -(-height // 2)
        # pictures and pyramids, and the flow that is being found, whose room those at a time between have later; flows
        # of three pairs and what is made of them, on a quarter grid
        return columns * rows * (8 + 8) + (3 * 2 * 8 + 44) * -(-columns // 2) * -(-rows // 2)


def _cleaned(flow: Array, step: int) -> Array:
    """A field of blocks, without lone vectors, as the flow of a picture with a pixel a block."""
    return ops.median_flow(flow * np.float32(1 / step))


def estimator_for(method: str) -> Estimator:
    """The estimator of a method, on any device."""
    return _Blocks() if method == "memc" else _Dense()
