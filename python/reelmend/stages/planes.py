"""Planes of frames: their parts inside a region, those of one size, any number moved at once, frames composed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .. import ops
from ..frame import Array, Frame
from ..ops._dispatch import empty
from .letterbox import Region

__all__ = ["composed", "crop", "cropped", "extend", "groups", "moved", "resize_into", "resized"]

_TOGETHER = 4  # planes that are warped in one pass


def cropped(frame: Frame, region: Region) -> Frame:
    """The part of a frame inside a region: views of its planes."""
    return frame.replace(planes=tuple(crop(plane, frame, region) for plane in frame.planes))


def crop(plane: Array, frame: Frame, region: Region) -> Array:
    """A plane's part inside a region of its frame."""
    height, width = plane.shape
    x0, y0, x1, y1 = region
    sx, sy = (1 if width < frame.width else 0), (1 if height < frame.height else 0)
    return plane[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)]


def groups(planes: Sequence[Array]) -> list[list[int]]:
    """Numbers of planes of one size, which are worked on together."""
    found: dict[tuple[int, ...], list[int]] = {}
    for i, plane in enumerate(planes):
        found.setdefault(tuple(plane.shape), []).append(i)
    return list(found.values())


def moved(planes: Array, flow: Array, *, taps: Array | None = None, border: str = "edge") -> Array:
    """Each of any number of float32 planes (n, rows, columns) fetched along a flow, as ops.warp does, or by taps (16,
    rows, columns), as ops.adaptive_warp does."""
    out = ops.empty_like(planes)
    for k in range(0, int(planes.shape[0]), _TOGETHER):
        some, target = list(planes[k : k + _TOGETHER]), list(out[k : k + _TOGETHER])
        if taps is None:
            ops.warp(some, flow, border=border, out=target)
        else:
            ops.adaptive_warp(some, flow, taps, out=target)
    return out


def resized(planes: Array, size: tuple[int, ...]) -> Array:
    """Each of float32 planes (n, rows, columns) in another size, bilinear; they themselves if they have it."""
    if tuple(planes.shape[1:]) == tuple(size):
        return planes
    out = empty((int(planes.shape[0]), *size), np.float32, planes)
    resize_into(planes, out)
    return out


def resize_into(planes: Iterable[Array], targets: Iterable[Array]) -> None:
    """Each plane in the size of the next of these, bilinear; an iterator of more goes on after them."""
    for plane, target in zip(planes, targets, strict=False):
        ops.resize(plane, out=target)


def extend(planes: Array, size: tuple[int, ...]) -> None:
    """Fill what lies beyond this size, at the right and below, with its last column and row."""
    rows, columns = size
    planes[:, rows:, :columns] = planes[:, rows - 1 : rows, :columns]
    planes[:, :, columns:] = planes[:, :, columns - 1 : columns]


def composed(
    near: Frame, region: Region, terms: Sequence[tuple[Frame, Array, float | Array, float]], count: int | None = None
) -> Frame:
    """Frames moved along flows and mixed, (frame, flow, weight, scale of the flow), inside a region; around it `near`.

    count  of the planes, from the first; those after stay the ones of `near`. None: all
    """
    whole = region == (0, 0, near.width, near.height)
    planes: list[Array] = [ops.empty_like(p) if whole else ops.copy(p) for p in near.planes[:count]]
    for group in groups(planes):
        given = [
            ops.Term([crop(frame.planes[i], near, region) for i in group], flow, weight, scale)
            for frame, flow, weight, scale in terms
        ]
        ops.compose(given, max_code=near.format.max_code, out=[crop(planes[i], near, region) for i in group])
    return near.replace(planes=(*planes, *near.planes[len(planes) :]))
