"""Tone curves and gains applied to a frame: inside its picture, outside what the user protects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...errors import OptionError
from ...frame import Frame, PixelFormat
from ..letterbox import Region
from ..planes import crop
from .light import Light

__all__ = ["Brush", "check_mask", "points_of"]


def points_of(fmt: PixelFormat) -> int:
    """Of a curve for frames of this format: four a code at 8 bits."""
    return 1024 if fmt.depth == 8 else 4096


def check_mask(mask: NDArray[np.uint8] | None, width: int, height: int) -> None:
    """OptionError for a mask that is not as large as the video."""
    if mask is not None and mask.shape != (height, width):
        h, w = mask.shape
        raise OptionError(f"Deflicker: mask is {w}x{h}, the video {width}x{height}; give one as large")


class Brush:
    """Applies changes to frames, with the user's mask and protected regions.

    mask     uint8 (height, width) or None: 255 where to act, 0 where not
    protect  regions (x0, y0, x1, y1) in pixels that stay as they are
    """

    def __init__(self, mask: NDArray[np.uint8] | None, protect: tuple[Region, ...], dither: bool) -> None:
        self._mask, self._protect, self._dither = mask, protect, dither
        self._made: NDArray[np.uint8] | None = None
        self._beside: Any = None
        self._open: dict[tuple[Region, tuple[int, int]], NDArray[np.float32]] = {}

    def open(self, frame: Frame, region: Region, grid: tuple[int, int]) -> NDArray[np.float32]:
        """Where all may change: 1 in cells of a grid over the region in and beside which no mask holds, else 0."""
        if self._mask is None and not self._protect:
            return np.ones(grid, np.float32)
        if (region, grid) not in self._open:
            self._mask_for(frame)
            assert self._made is not None
            x0, y0, x1, y1 = region
            whole = np.pad(ops.area_mean(self._made[y0:y1, x0:x1], grid) == 255, 1, mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(whole, (3, 3))
            self._open[region, grid] = np.asarray(windows.all(axis=(2, 3)), np.float32)
        return self._open[region, grid]

    def _mask_for(self, frame: Frame) -> Any:
        """The mask for frames of this size, beside their samples."""
        if self._mask is None and not self._protect:
            return None
        size = (frame.height, frame.width)
        if self._made is None or self._made.shape != size:
            check_mask(self._mask, frame.width, frame.height)
            self._made = np.full(size, 255, np.uint8) if self._mask is None else self._mask.copy()
            for x0, y0, x1, y1 in self._protect:
                self._made[y0:y1, x0:x1] = 0
            self._open.clear()
            self._beside = ops.beside(self._made, frame.planes[0], np.uint8)
        return self._beside

    def retone(
        self,
        frame: Frame,
        region: Region,
        change: NDArray[np.float32] | None = None,
        gains: NDArray[np.float32] | None = None,
        light: Light | None = None,
        response: NDArray[np.float32] | None = None,
    ) -> Frame:
        """The frame with curves (`change`) or gains as ops.map_tones takes them, inside the region.

        Gains act by a `response`, by that of `light`, or on what the curves give.
        """
        fmt = frame.format
        if change is None:
            change = np.zeros((3, points_of(fmt)), np.float32)
        if response is None and gains is not None and light is not None:
            response = light.response(change.shape[1])
        x0, y0, x1, y1 = region
        whole = (x0, y0, x1, y1) == (0, 0, frame.width, frame.height)
        colour = frame.planes[: 1 if fmt.kind == "gray" else 3]
        made = [ops.copy(p) if not whole else ops.empty_like(p) for p in colour]

        def inside(planes: Any) -> list[Any]:
            return [crop(p, frame, region) for p in planes]

        mask = self._mask_for(frame)
        coding = frame.coding if fmt.kind == "yuv" else {"depth": fmt.depth}
        ops.map_tones(
            inside(colour),
            change,
            gains=gains,
            response=response,
            mask=None if mask is None else mask[y0:y1, x0:x1],
            color=fmt.kind,
            dither=self._dither,
            out=inside(made),
            **coding,
        )
        return frame.replace(planes=(*made, *frame.planes[len(colour) :]))
