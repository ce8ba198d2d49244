"""Method "fast": along our own search, judged and sharpened by a small network. See networks/fast.py for the chain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...engines.network import Size
from ...frame import Array
from ...ops._dispatch import empty
from ..planes import moved, resize_into
from .along import AlongSearch, Told
from .synthesis import View
from .ways import MIDDLE, Ways

__all__ = ["Fast"]

_COARSER = 2  # times the cells of what the network sees: those of the search, and of what it thinks
_FLOATS = 3 * 4  # a pixel: two pictures, one that is composed, and that sharpened; or one that is being viewed
_HIDDEN = 4  # times what the network is given: what its engines hold


@dataclass(slots=True)
class _Pair:
    """middle  what the search tells of half way, (9, rows, columns)
    judged  what the network thinks of that, (channels, rows, columns)
    """

    size: Size
    ways: Ways
    middle: Array
    judged: Array


class Fast(AlongSearch):
    """Pictures fetched along the ways of the search; how far to believe that they moved, and how much detail to give
    back, by a network that judges a pair once, and then tells of any time between.

    scale  1, 1/2 or 1/4: the size, in parts of its own, in which a picture is looked at. For large pictures
    """

    family: ClassVar[str] = "fast"
    file: ClassVar[str] = "weights.pth, which engines/fast/recipe.toml trains,"
    scales: ClassVar[bool] = True
    shipped: ClassVar[str | None] = "fast"

    def sizes(self, size: Size) -> Mapping[str, Size]:
        seen, told = self._reduced, _COARSER * self._reduced
        return {"judge": (size[0] // seen, size[1] // seen), "refine": (size[0] // told, size[1] // told)}

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        given = sum(int(port.shape[1]) for port in self.network.part("judge").inputs) / self._reduced**2
        return 8 * self.network.parameters + math.ceil(4 * rows * columns * (_FLOATS + (1 + _HIDDEN) * given))

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        middle = self.searched(ways.at(MIDDLE), a.size, _COARSER * self._reduced)
        engine = self.engines(a.size)["judge"]
        given = {name: empty(tuple(shape), np.float32, a.picture) for name, shape in engine.inputs.items()}
        pictures, finer = given["pictures"][0], given["ways"][0]
        resize_into(middle[8:], given["by_a"][0])
        resize_into(middle[:8], finer)
        self.fetched(a, b, finer, pictures[:12])
        pictures[12:15], pictures[15:] = a.picture, b.picture
        return _Pair(a.size, ways, middle, engine.run(given)["judged"][0])

    def told(self, pair: _Pair, t: float) -> Told:
        cell = _COARSER * self._reduced
        now, judged = pair.middle, pair.judged
        if t != MIDDLE:
            now = self.searched(pair.ways.at(t), pair.size, cell)
            onward = now[8] * (now[2:4] - now[0:2]) + (1 - now[8]) * (now[6:8] - now[4:6])
            judged = moved(judged, onward * np.float32((MIDDLE - t) / cell))
        engine = self.engines(pair.size)["refine"]
        told = empty(tuple(engine.inputs["told"]), np.float32, now)
        told[0, 0], told[0, 1], told[0, 2:] = now[8], t, now[:8]
        out = engine.run({"judged": judged[None], "told": told})
        moves = 1 - out["still"][0, 0]
        by_a, by_b = now[8] * moves, (1 - now[8]) * moves
        first, second = np.float32(1 - t), np.float32(t)
        weights = [by_a * first, by_a * second, by_b * first, by_b * second]
        return Told([now[k : k + 2] for k in range(0, 8, 2)], weights, out["gains"][0])
