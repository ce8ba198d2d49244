"""Black bars: where the picture lies inside its frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import ops
from ..frame import Frame

__all__ = ["Letterbox", "Region", "find_letterbox", "inside"]

_LETTERBOX_EVERY = 24  # frames

Region = tuple[int, int, int, int]  # x0, y0, x1, y1


def inside(shape: tuple[int, int], region: Region, width: int, height: int) -> tuple[slice, slice]:
    """The rows and columns of a grid of tiles that lie wholly inside a region of a frame of this size."""
    rows, columns = shape
    x0, y0, x1, y1 = region
    top, left = -(-y0 * rows // height), -(-x0 * columns // width)
    bottom, right = max(y1 * rows // height, top + 1), max(x1 * columns // width, left + 1)
    return slice(top, bottom), slice(left, right)


def find_letterbox(frame: Frame) -> Region | None:
    """The picture inside black bars, or None if all is black. Even coordinates, so that chroma stays aligned.

    A bar is a run of rows (columns) at an edge in which no sample is more than 2 % of the range above black.
    """
    luma = frame.planes[0]
    black = 16 << (frame.format.depth - 8) if frame.format.kind == "yuv" and not frame.coding["full_range"] else 0
    limit = black + frame.format.max_code * 0.02
    if frame.format.kind == "rgb":
        rows, columns = (np.max([ops.largest(p, axis) for p in frame.planes[:3]], axis=0) for axis in (1, 0))
    else:
        rows, columns = ops.largest(luma, 1), ops.largest(luma, 0)
    lit_rows, lit_columns = np.flatnonzero(rows > limit), np.flatnonzero(columns > limit)
    if not lit_rows.size or not lit_columns.size:
        return None
    x0, x1 = (int(lit_columns[0]) + 1) & ~1, int(lit_columns[-1]) + 1
    y0, y1 = (int(lit_rows[0]) + 1) & ~1, int(lit_rows[-1]) + 1
    if x1 != frame.width:
        x1 &= ~1
    if y1 != frame.height:
        y1 &= ~1
    if x1 - x0 < 16 or y1 - y0 < 16:
        return (0, 0, frame.width, frame.height)
    return (x0, y0, x1, y1)


def _union(a: Region, b: Region) -> Region:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _common(a: Region, b: Region) -> Region:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


@dataclass(slots=True)
class Letterbox:
    """The smallest bars seen so far in a shot; looked at now and then, since it reads every sample.

    What grows into the bars must do so in two frames running: a flash may light them for one.
    """

    region: Region | None = None
    suspect: Region | None = None
    countdown: int = 0

    def look(self, frame: Frame) -> Region:
        if self.countdown == 0:
            seen = find_letterbox(frame)
            if seen is not None:
                known = self.region or seen
                self.region = _union(known, _common(seen, self.suspect)) if self.suspect else known
                grows = _union(self.region, seen) != self.region
                self.suspect = seen if grows else None
                self.countdown = 0 if grows else _LETTERBOX_EVERY
        else:
            self.countdown -= 1
        return self.region or (0, 0, frame.width, frame.height)
