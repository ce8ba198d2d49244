"""What is remembered of the frames of one shot while they are in the window."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ..letterbox import inside
from ..rows import Rows
from ..shots import fall
from ..structure import Structure
from .gate import MEDIAN, WINDOW, deviation, group_changes
from .item import Item
from .kinds import FADE

__all__ = ["Track"]


class Track:
    """The frames of one shot that are in the window, oldest first, as one array of each thing known of them."""

    def __init__(self, shot: int) -> None:
        self.shot = shot
        self.items: deque[Item] = deque()
        self._last: Structure | None = None  # of the newest frame
        self._index, self._quantiles, self._ranks = Rows(), Rows(), Rows()
        self._means = Rows()  # of R, G, B, 8-bit levels
        self._moves = Rows()
        self._changes, self._levels = Rows(), Rows()  # against the frame before, and their running sum
        self._deviations, self._deviation_index = Rows(), Rows()  # of the frames that have enough others around

    def add(self, item: Item) -> None:
        assert item.tones is not None
        assert item.frame is not None
        assert item.structure is not None
        last = self._last or item.structure
        self._last = item.structure
        tiles = item.structure.tiles
        window = (slice(None), *inside(tiles.shape[1:], item.region, item.frame.width, item.frame.height))
        changes = group_changes(last.tiles[window], tiles[window])
        level = self._levels.all()[-1] + changes if self.items else changes
        self.items.append(item)
        self._index.append(np.int64(item.index))
        self._quantiles.append(item.tones.quantiles)
        self._ranks.append(item.structure.ranks)
        self._means.append(tiles[window].mean(axis=(1, 2)) * np.float32(255))
        self._changes.append(changes)
        self._levels.append(level)
        self._moves.append(np.float32(fall(last, item.structure)))
        if len(self.items) >= MEDIAN:
            self._deviations.append(deviation(self._levels.all()[-MEDIAN:]))
            self._deviation_index.append(self._index.all()[-1 - MEDIAN // 2])

    def drop_first(self) -> None:
        first = self.items.popleft()
        for rows in (self._index, self._quantiles, self._ranks, self._means, self._moves, self._changes, self._levels):
            rows.drop()
        if len(self._deviations) and self._deviation_index.all()[0] <= first.index:
            self._deviations.drop()
            self._deviation_index.drop()

    def deviations(self, index: int, flashes: Collection[int]) -> NDArray[np.float32]:
        """Deviations of the frames within the gate's window of one, without flashes."""
        if not len(self._deviations):
            return self._changes.all()[:0]
        frames = self._deviation_index.all()
        near = _near(frames, index, WINDOW)
        result: NDArray[np.float32] = self._deviations.all()[near]
        return result[~np.isin(frames[near], list(flashes))] if flashes else result

    def changes(self, index: int, reach: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Changes of the frames within `reach` of one (of all), and the numbers of these frames."""
        indices = self._index.all()[1:]
        near = slice(None) if reach is None else _near(indices, index, reach)
        return self._changes.all()[1:][near], indices[near]

    def around(self, index: int, before: int, after: int) -> tuple[NDArray[np.float32], int]:
        """Levels of the frames from `before` ahead of one to `after` behind it, and its place among them."""
        indices = self._index.all()
        first, own, end = np.searchsorted(indices, (index - before, index, index + after + 1))
        return self._levels.all()[first:end], int(own - first)

    def means(self, index: int) -> NDArray[np.float32]:
        """Mean levels of R, G, B of one frame."""
        result: NDArray[np.float32] = self._means.all()[int(np.searchsorted(self._index.all(), index))]
        return result

    def fading(self, index: int) -> tuple[NDArray[np.float32], float]:
        """The run of FADE changes around one frame, shorter where the shot is, and how alike its two ends are."""
        indices = self._index.all()[1:]
        first, end = np.searchsorted(indices, (index - FADE // 2, index + FADE - FADE // 2))
        # at the end of what is known, the last ones
        first = max(0, min(int(first), int(end) - FADE))
        ranks = self._ranks.all()
        return self._changes.all()[1:][first:end], float(ranks[first] @ ranks[end])

    def moves(self) -> NDArray[np.float32]:
        """How unlike the frame before each frame is."""
        return self._moves.all()

    def moves_at(self, index: int) -> float:
        """The same of one frame."""
        return float(self._moves.all()[int(np.searchsorted(self._index.all(), index))])

    def window(self, item: Item) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Quantiles of all frames, how alike each is to one of them, and how many frames away."""
        assert item.structure is not None
        return self._quantiles.all(), self._ranks.all() @ item.structure.ranks, self._index.all() - item.index


def _near(indices: NDArray[np.int64], index: int, reach: int) -> slice:
    return slice(*np.searchsorted(indices, (index - reach, index + reach + 1)))
