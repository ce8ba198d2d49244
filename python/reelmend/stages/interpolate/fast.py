"""Method "fast": what our own search finds, corrected from coarse to fine by small networks. See networks/fast.py for
the chain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...frame import Array
from ...ops._dispatch import empty
from ..planes import extend, moved, resize_into, resized
from .synthesis import Between, Synthesiser, View
from .ways import Ways

__all__ = ["Fast"]

_FLOATS = 3 * 3 + 4 + 3 + 1 + 3  # a pixel: two views and the picture, flows, residual, mask, and what is in the making
_CELL = 4  # pixels along a cell of the search
_HIDDEN = 4  # times what a block is given: what its engine holds


@dataclass(slots=True)
class _Pair:
    a: View
    b: View
    ways: Ways


class Fast(Synthesiser):
    """Blocks that correct flows, and one that joins what lies along them and along those of the search.

    scale  1, 1/2 or 1/4: the size, in parts of its own, in which a picture is looked at. For large pictures
    """

    family: ClassVar[str] = "fast"
    file: ClassVar[str] = "weights.pth, which engines/fast/recipe.toml trains,"
    scales: ClassVar[bool] = True

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        super().__init__(network, device, scale)
        try:
            self._times = round(1 / scale)
            settings = self.network.settings
            self._blocks = {f"block{k}": int(s) * self._times for k, s in enumerate(settings["shrinks"])}
            self._join = int(settings["joined"]) * self._times
            self._multiple = int(settings["multiple"]) * self._times
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{self.network.name}: its settings are none of 'fast' ({error}); make it anew"
            ) from None
        self._parts = self._blocks | {"join": self._join}

    @property
    def multiple(self) -> int:
        return self._multiple

    def sizes(self, size: Size) -> Mapping[str, Size]:
        seen = {"encode": (size[0] // self._times, size[1] // self._times)}
        return seen | {name: (size[0] // s, size[1] // s) for name, s in self._parts.items()}

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        given = [int(self.network.part(name).inputs[0].shape[1]) / shrink**2 for name, shrink in self._parts.items()]
        floats = _FLOATS + max(given) + _HIDDEN * sum(given)
        return 8 * self.network.parameters + math.ceil(4 * rows * columns * floats)

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        for view in (a, b):
            if view.seen is None:
                at = self.sizes(self.padded(view.size))["encode"]
                small = view.picture if self._times == 1 else resized(view.picture, at)
                (view.seen,) = self.engines(view.size)["encode"].run({"picture": small[None]})["features"]
        return _Pair(a, b, ways)

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        both = (a.picture, b.picture)
        size = (int(a.picture.shape[1]), int(a.picture.shape[2]))
        engines = self.engines(a.size)
        ways, by_a, flow, rest = self._begun(pair, t)
        mask: Any = None
        for name, shrink in self._blocks.items():
            at = (size[0] // shrink, size[1] // shrink)
            x = empty(tuple(engines[name].inputs["x"]), np.float32, a.picture)
            into = x[0]
            for c, picture in enumerate(both):
                ops.warp_shrunk(list(picture), flow[2 * c : 2 * c + 2], shrink, out=list(into[3 * c : 3 * c + 3]))
            into[6] = t
            if mask is None:
                into[7] = math.log((1 - t) / t)
                mask = ops.copy(into[7:8])
            else:
                mask = resized(mask, at)
                into[7:8] = mask
            into[8:12] = resized(flow, at) * np.float32(1 / shrink)
            resize_into(rest, into[12:])
            out = engines[name].run({"x": x})
            finer = max(at, tuple(int(n) for n in flow.shape[1:]))
            flow = resized(flow, finer) + resized(out["flow"][0], finer) * np.float32(shrink)
            mask = mask + out["mask"][0]
            rest = out["feature"][0]
        return self._joined(pair, t, [*ways, flow[:2], flow[2:]], by_a, mask, rest)

    def _joined(self, pair: _Pair, t: float, ways: list[Array], by_a: Array, mask: Array, rest: Array) -> Between:
        """The picture of what lies along six ways, by turns to the first and to the second picture, in its pixels."""
        a, b = pair.a, pair.b
        engine = self.engines(a.size)["join"]
        x = empty(tuple(engine.inputs["x"]), np.float32, a.picture)
        into, at = x[0], tuple(int(n) for n in x.shape[2:])
        ways = [resized(way, at) for way in ways]
        for k, way in enumerate(ways):
            picture = list((b if k % 2 else a).picture)
            ops.warp_shrunk(picture, way, self._join, out=list(into[3 * k : 3 * k + 3]))
        small = [way * np.float32(1 / self._join) for way in ways]
        into[19] = t
        into[21:23], into[23:25] = small[4], small[5]
        for planes, first in ((by_a[None], 18), (mask, 20), (rest, 25)):
            resize_into(planes, into[first : first + len(planes)])
        out = engine.run({"x": x})
        weights = out["weights"][0]
        made = ops.empty_like(a.picture)
        terms = [
            ops.Term(list((b if k % 2 else a).picture), way, weight)
            for k, (way, weight) in enumerate(zip(small, weights, strict=True))
        ]
        ops.compose(terms, out=list(made))
        made += resized(out["residual"][0], tuple(int(n) for n in made.shape[1:]))
        rows, columns = a.size
        cells = tuple(-(-n // self._join) for n in a.size)
        seen = (slice(0, cells[0]), slice(0, cells[1]))
        share = weights[0] + weights[2] + weights[4]
        return Between(made[:, :rows, :columns], small[4][:, *seen], small[5][:, *seen], share[seen])

    def _begun(self, pair: _Pair, t: float) -> tuple[list[Array], Array, Array, Array]:
        """On a grid of a quarter of what is looked at: the four ways that the search found, in pixels of the picture;
        how much to believe the first picture's; the flows that the blocks begin with, (4, rows, columns); what else the
        first block is given."""
        a, b = pair.a, pair.b
        way = pair.ways.at(t)
        cell = _CELL * self._times
        grid = tuple(-(-n // cell) for n in a.size)
        rows, columns = (int(n) // cell for n in a.picture.shape[1:])
        unit = np.array([a.size[1] / int(way.by_a.shape[1]), a.size[0] / int(way.by_a.shape[0])], np.float32)
        unit = ops.beside(unit.reshape(2, 1, 1), way.by_a)
        every = empty((9, rows, columns), np.float32, way.by_a)
        for k, found in enumerate(way[:4]):
            every[2 * k : 2 * k + 2, : grid[0], : grid[1]] = resized(found * unit, grid)
        every[8, : grid[0], : grid[1]] = resized(way.by_a[None], grid)[0]
        extend(every, grid)
        by_a, by_b = every[8], 1 - every[8]
        flow = every[:4] * by_a + every[4:8] * by_b
        rest = empty((5 + 2 * int(a.seen.shape[0]), rows, columns), np.float32, way.by_a)
        rest[0] = by_a
        rest[1:5] = (every[4:8] - every[:4]) * np.float32(1 / cell)
        for k, view in enumerate((a, b)):
            seen = moved(view.seen, flow[2 * k : 2 * k + 2] * np.float32(1 / cell))
            rest[5 + k * len(seen) : 5 + (k + 1) * len(seen)] = seen
        return [every[k : k + 2] for k in range(0, 8, 2)], by_a, flow, rest
