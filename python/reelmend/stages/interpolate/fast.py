"""Method "fast": along our own search, judged and sharpened by a small network. See networks/fast.py for the chain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...frame import Array
from ...ops._dispatch import empty
from ..planes import extend, resize_into, resized
from .synthesis import Between, Synthesiser, View
from .ways import Ways

__all__ = ["Fast"]

_FLOATS = 3 * 3 + 3  # a pixel: two views, the picture that is composed, and that sharpened
_COARSER = 2  # times the cells of what the network sees: those of the search
_HIDDEN = 4  # times what the network is given: what its engine holds


@dataclass(slots=True)
class _Pair:
    a: View
    b: View
    ways: Ways


class Fast(Synthesiser):
    """Pictures fetched along the ways of the search; how far to believe that they moved, and how much detail to give
    back, by a network that sees them in half their size.

    scale  1, 1/2 or 1/4: the size, in parts of its own, in which a picture is looked at. For large pictures
    """

    family: ClassVar[str] = "fast"
    file: ClassVar[str] = "weights.pth, which engines/fast/recipe.toml trains,"
    scales: ClassVar[bool] = True
    shipped: ClassVar[str | None] = "fast"

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        super().__init__(network, device, scale)
        try:
            times = round(1 / scale)
            self._reduced = int(self.network.settings["reduced"]) * times
            self._multiple = int(self.network.settings["multiple"]) * times
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{self.network.name}: its settings are none of 'fast' ({error}); make it anew"
            ) from None

    @property
    def multiple(self) -> int:
        return self._multiple

    def sizes(self, size: Size) -> Mapping[str, Size]:
        return {"refine": (size[0] // self._reduced, size[1] // self._reduced)}

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        given = int(self.network.part("refine").inputs[0].shape[1]) / self._reduced**2
        return 8 * self.network.parameters + math.ceil(4 * rows * columns * (_FLOATS + (1 + _HIDDEN) * given))

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        for view in (a, b):
            if view.seen is None:
                view.seen = empty((3, *self.sizes(self.padded(view.size))["refine"]), np.float32, view.picture)
                for plane, small in zip(view.picture, view.seen, strict=True):
                    ops.resize(plane, filter="area", out=small)
        return _Pair(a, b, ways)

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        engine = self.engines(a.size)["refine"]
        x = empty(tuple(engine.inputs["x"]), np.float32, a.picture)
        into, both = x[0], (a, b)
        into[12:15], into[15:18] = a.seen, b.seen
        into[19] = t
        self._searched(pair, t, into[20:28], into[18:19])
        ways = [into[k : k + 2] for k in range(20, 28, 2)]
        for k, way in enumerate(ways):
            ops.warp(list(both[k % 2].seen), way, scale=1 / self._reduced, out=list(into[3 * k : 3 * k + 3]))
        out = engine.run({"x": x})
        still, by_a = out["still"][0][0], into[18]
        a_way, b_way = by_a * (1 - still), (1 - by_a) * (1 - still)
        first, second = np.float32(1 - t), np.float32(t)
        unmoved = ways[0] * np.float32(0)
        shares = (a_way * first, a_way * second, b_way * first, b_way * second, still * first, still * second)
        terms = [
            ops.Term(list(both[k % 2].picture), way, share, 1 / self._reduced)
            for k, (way, share) in enumerate(zip((*ways, unmoved, unmoved), shares, strict=True))
        ]
        mixed, made = ops.empty_like(a.picture), ops.empty_like(a.picture)
        ops.compose(terms, out=list(mixed))
        ops.sharpen(list(mixed), out["gains"][0], out=list(made))
        rows, columns = a.size
        cells = tuple(-(-n // self._reduced) for n in a.size)
        seen = (slice(0, cells[0]), slice(0, cells[1]))
        to_a = (by_a * ways[0] + (1 - by_a) * ways[2]) * np.float32(1 / self._reduced)
        to_b = (by_a * ways[1] + (1 - by_a) * ways[3]) * np.float32(1 / self._reduced)
        share = first + still * np.float32(0)
        return Between(made[:, :rows, :columns], to_a[:, *seen], to_b[:, *seen], share[seen])

    def _searched(self, pair: _Pair, t: float, ways: Array, by_a: Array) -> None:
        """Write the four ways that the search found, (8, rows, columns) in pixels of the picture, and how much to
        believe the first picture's, on the grid of what the network sees; beyond the picture, its edge's."""
        size, way = pair.a.size, pair.ways.at(t)
        cell = _COARSER * self._reduced
        rows, columns = (-(-n // cell) for n in size)
        unit = np.array([size[1] / int(way.by_a.shape[1]), size[0] / int(way.by_a.shape[0])], np.float32)
        unit = ops.beside(unit.reshape(2, 1, 1), way.by_a)
        every = empty((9, *(int(n) // cell for n in pair.a.picture.shape[1:])), np.float32, way.by_a)
        for k, found in enumerate(way[:4]):
            every[2 * k : 2 * k + 2, :rows, :columns] = resized(found * unit, (rows, columns))
        every[8, :rows, :columns] = resized(way.by_a[None], (rows, columns))[0]
        extend(every, (rows, columns))
        resize_into(every[:8], ways)
        resize_into(every[8:], by_a)
