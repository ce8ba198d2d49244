"""What is remembered of the frames of one shot while they are in the window."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...frame import Frame
from .gate import MEDIAN, WINDOW, deviation, group_changes
from .signature import Letterbox, Region, Structure, Tones

__all__ = ["Entry", "Track"]


class _Rows:
    """A queue of rows of one shape that is always one array: appended at the end, dropped at the front."""

    def __init__(self) -> None:
        self._data: NDArray[Any] | None = None
        self._first = self._end = 0

    def append(self, row: NDArray[Any] | np.generic) -> None:
        if self._data is None:
            self._data = np.empty((64, *row.shape), row.dtype)
        if self._end == len(self._data):
            held = self._end - self._first
            room = self._data if self._first > len(self._data) // 2 else np.empty_like(self._data, shape=self._twice())
            room[:held] = self._data[self._first : self._end]
            self._data, self._first, self._end = room, 0, held
        self._data[self._end] = row
        self._end += 1

    def _twice(self) -> tuple[int, ...]:
        assert self._data is not None
        return (2 * len(self._data), *self._data.shape[1:])

    def drop(self) -> None:
        self._first += 1

    def __len__(self) -> int:
        return self._end - self._first

    def all(self) -> NDArray[Any]:
        """A view of all rows, oldest first."""
        assert self._data is not None
        return self._data[self._first : self._end]


@dataclass(slots=True)
class Entry:
    """One frame of the window. The frame itself is let go once it is given out, its histogram with it."""

    index: int
    frame: Frame | None
    structure: Structure
    tones: Tones | None
    region: Region
    inside: tuple[slice, slice]  # the tiles in the region
    cut: bool


class Track:
    """The frames of one shot that are in the window, oldest first, as one array of each thing known of them."""

    def __init__(self, shot: int) -> None:
        self.shot = shot
        self.letterbox = Letterbox()
        self.entries: deque[Entry] = deque()
        self._index, self._quantiles, self._ranks = _Rows(), _Rows(), _Rows()
        self._changes, self._levels = _Rows(), _Rows()  # against the frame before, and their running sum
        self._deviations, self._deviation_index = _Rows(), _Rows()  # of the frames that have enough others around

    def add(self, entry: Entry) -> None:
        assert entry.tones is not None
        last = self.entries[-1] if self.entries else entry
        inside = (slice(None), *last.inside)
        changes = group_changes(last.structure.tiles[inside], entry.structure.tiles[inside])
        level = self._levels.all()[-1] + changes if self.entries else changes
        self.entries.append(entry)
        self._index.append(np.int64(entry.index))
        self._quantiles.append(entry.tones.quantiles)
        self._ranks.append(entry.structure.ranks)
        self._changes.append(changes)
        self._levels.append(level)
        if len(self.entries) >= MEDIAN:
            self._deviations.append(deviation(self._levels.all()[-MEDIAN:]))
            self._deviation_index.append(self._index.all()[-1 - MEDIAN // 2])

    def drop_first(self) -> None:
        first = self.entries.popleft()
        for rows in (self._index, self._quantiles, self._ranks, self._changes, self._levels):
            rows.drop()
        if len(self._deviations) and self._deviation_index.all()[0] <= first.index:
            self._deviations.drop()
            self._deviation_index.drop()

    def evidence(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Deviations and changes of the frames within the gate's window of one."""
        changes = self._changes.all()[1:][self._near(self._index.all()[1:], index)]
        if not len(self._deviations):
            return changes[:0], changes
        return self._deviations.all()[self._near(self._deviation_index.all(), index)], changes

    @staticmethod
    def _near(indices: NDArray[np.int64], index: int) -> slice:
        return slice(*np.searchsorted(indices, (index - WINDOW, index + WINDOW + 1)))

    def window(self, entry: Entry) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Quantiles of all frames, how alike each is to one of them, and how many frames away."""
        return self._quantiles.all(), self._ranks.all() @ entry.structure.ranks, self._index.all() - entry.index
