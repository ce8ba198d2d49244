"""Method "fast": what our own search finds, corrected from coarse to fine by small networks. See networks/fast.py for
the chain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...frame import Array
from ...ops._dispatch import empty
from ..planes import moved
from .synthesis import Between, Synthesiser, View, sigmoid
from .ways import Ways

__all__ = ["Fast"]

_FLOATS = 3 * 3 + 4 + 3 + 1 + 3  # a pixel: two views and the picture, flows, residual, mask, and what is in the making
_HIDDEN = 4  # times what a block is given: what its engine holds


@dataclass(slots=True)
class _Pair:
    a: View
    b: View
    ways: Ways


class Fast(Synthesiser):
    """Blocks that correct flows and say how much of each picture is to be seen, and what of neither.

    scale  1, 1/2 or 1/4: the size, in parts of its own, in which a picture is looked at. For large pictures
    """

    family: ClassVar[str] = "fast"
    file: ClassVar[str] = "weights.pth of engines/fast/recipe.toml"
    shipped: ClassVar[str | None] = "fast"
    scales: ClassVar[bool] = True

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        super().__init__(network, device, scale)
        try:
            self._times = round(1 / scale)
            self._shrinks = [int(s) * self._times for s in self.network.settings["shrinks"]]
            self._multiple = int(self.network.settings["multiple"]) * self._times
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{self.network.name}: its settings are none of 'fast' ({error}); make it anew"
            ) from None
        self._blocks = [f"block{k}" for k in range(len(self._shrinks))]

    @property
    def multiple(self) -> int:
        return self._multiple

    def sizes(self, size: Size) -> Mapping[str, Size]:
        seen = {"encode": (size[0] // self._times, size[1] // self._times)}
        return seen | {n: (size[0] // s, size[1] // s) for n, s in zip(self._blocks, self._shrinks, strict=True)}

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        given = [
            int(self.network.part(name).inputs[0].shape[1]) / shrink**2
            for name, shrink in zip(self._blocks, self._shrinks, strict=True)
        ]
        floats = _FLOATS + max(given) + _HIDDEN * sum(given)
        return 8 * self.network.parameters + math.ceil(4 * rows * columns * floats)

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        for view in (a, b):
            if view.seen is None:
                at = self.sizes(self.padded(view.size))["encode"]
                small = view.picture if self._times == 1 else _resized(view.picture, at)
                (view.seen,) = self.engines(view.size)["encode"].run({"picture": small[None]})["features"]
        return _Pair(a, b, ways)

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        size = (int(a.picture.shape[1]), int(a.picture.shape[2]))
        engines = self.engines(a.size)
        flow, rest = self._begun(pair, t)
        mask: Any = math.log((1 - t) / t)
        for k, (name, shrink) in enumerate(zip(self._blocks, self._shrinks, strict=True)):
            at = (size[0] // shrink, size[1] // shrink)
            x = empty(tuple(engines[name].inputs["x"]), np.float32, a.picture)
            into = x[0]
            ops.warp_shrunk(list(a.picture), flow[:2], shrink, out=list(into[:3]))
            ops.warp_shrunk(list(b.picture), flow[2:], shrink, out=list(into[3:6]))
            into[6] = t
            if k:
                mask, flow = _resized(mask, at), _resized(flow, at)
                _shrunk(rest, into[12:])
            else:
                into[12:] = rest
            into[7] = mask if k == 0 else mask[0]
            into[8:12] = flow * np.float32(1 / shrink)
            out = engines[name].run({"x": x})
            flow = flow + out["flow"][0] * np.float32(shrink)
            mask = out["mask"][0] + mask
            rest = out["feature" if "feature" in out else "residual"][0]
        flow, mask, rest = (_resized(v, size) for v in (flow, mask, rest))
        by_a = sigmoid(mask[0])
        made = ops.empty_like(a.picture)
        ops.warp_blend(list(a.picture), list(b.picture), flow[:2], flow[2:], by_a, out=list(made))
        made += rest
        rows, columns = a.size
        return Between(
            made[:, :rows, :columns], flow[:2, :rows, :columns], flow[2:, :rows, :columns], by_a[:rows, :columns]
        )

    def _begun(self, pair: _Pair, t: float) -> tuple[Array, Array]:
        """The flows that the search found, (4, rows, columns) on the first block's grid, in pixels of the picture; and
        what else the first block is given."""
        a, b = pair.a, pair.b
        way = pair.ways.at(t)
        grid = tuple(-(-n // self._shrinks[0]) for n in a.size)
        rows, columns = (int(n) // self._shrinks[0] for n in a.picture.shape[1:])
        unit = np.array([a.size[1] / int(way.by_a.shape[1]), a.size[0] / int(way.by_a.shape[0])], np.float32)
        unit = ops.beside(unit.reshape(2, 1, 1), way.by_a)
        every = empty((9, rows, columns), np.float32, way.by_a)
        for k, found in enumerate(way[:4]):
            every[2 * k : 2 * k + 2, : grid[0], : grid[1]] = _resized(found * unit, grid)
        every[8, : grid[0], : grid[1]] = _resized(way.by_a[None], grid)[0]
        _edged(every, grid)
        by_a, by_b = every[8], 1 - every[8]
        flow = every[:4] * by_a + every[4:8] * by_b
        rest = empty((5 + 2 * int(a.seen.shape[0]), rows, columns), np.float32, way.by_a)
        shrink = np.float32(1 / self._shrinks[0])
        rest[0] = by_a
        rest[1:5] = (every[4:8] - every[:4]) * shrink
        for k, view in enumerate((a, b)):
            seen = moved(view.seen, flow[2 * k : 2 * k + 2] * shrink)
            rest[5 + k * len(seen) : 5 + (k + 1) * len(seen)] = seen
        return flow, rest


def _edged(planes: Array, size: Sequence[int]) -> None:
    """Fill what lies beyond this size with its last row and column."""
    rows, columns = size
    if rows < planes.shape[1]:
        planes[:, rows:] = planes[:, rows - 1 : rows]
    if columns < planes.shape[2]:
        planes[:, :, columns:] = planes[:, :, columns - 1 : columns]


def _shrunk(planes: Array, into: Any) -> None:
    """Each plane in the size of the next of others, bilinear without aligned corners."""
    for plane, target in zip(planes, into, strict=True):
        ops.resize(plane, out=target)


def _resized(planes: Array, size: tuple[int, ...]) -> Array:
    if tuple(planes.shape[1:]) == tuple(size):
        return planes
    out = empty((int(planes.shape[0]), *size), np.float32, planes)
    _shrunk(planes, out)
    return out
