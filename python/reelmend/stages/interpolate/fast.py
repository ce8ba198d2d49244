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
from ...frame import Array, Frame
from ...ops._dispatch import empty
from ..letterbox import Region
from ..planes import extend, groups, resize_into, resized
from .synthesis import Synthesiser, View
from .ways import Ways

__all__ = ["Fast"]

_FLOATS = 3 * 4  # a pixel: two pictures, one that is composed, and that sharpened; or one that is being viewed
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
    along: ClassVar[bool] = True

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

    def view(self, frame: Frame, region: Region) -> View:
        """In the size that the network sees."""
        whole = super().view(frame, region)
        small = empty((3, *self.sizes(self.padded(whole.size))["refine"]), np.float32, whole.picture)
        for plane, reduced in zip(whole.picture, small, strict=True):
            ops.resize(plane, filter="area", out=reduced)
        return View(whole.size, small)

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        return _Pair(a, b, ways)

    def write(
        self,
        pair: _Pair,
        views: tuple[View, View],
        pictures: tuple[Frame, Frame],
        t: float,
        share: float,
        target: Frame,
    ) -> None:
        """Moved, mixed and sharpened in the target's own format, as all of that is the same for each plane. Planes of
        less than full size are not sharpened."""
        ways, weights, gains = self._refined(pair, t, share)
        for view, frame in zip(views, pictures, strict=True):
            if view.seen is None:
                view.seen = [ops.cast(plane, np.float32) for plane in frame.planes]
        most = float(target.format.max_code)
        for group in groups(target.planes):
            terms = [
                ops.Term([views[k % 2].seen[i] for i in group], way, weight)
                for k, (way, weight) in enumerate(zip(ways, weights, strict=True))
            ]
            made = ops.compose(terms)
            if made[0].shape == target.planes[0].shape:
                made = ops.sharpen(made, gains)
            for i, plane in zip(group, made, strict=True):
                plane += np.float32(0.5)  # what follows cuts fractions off
                target.planes[i][...] = ops.cast(plane.clip(0, most), np.uint16 if most > 255 else np.uint8)

    def _refined(self, pair: _Pair, t: float, share: float) -> tuple[list[Array], list[Array], Array]:
        """On the grid of what the network sees: the four ways of the search and two that move nothing, to the first and
        to the second picture by turns, in pixels of that grid; what is taken along each; gains of sharpening."""
        a, b = pair.a, pair.b
        engine = self.engines(a.size)["refine"]
        x = empty(tuple(engine.inputs["x"]), np.float32, a.picture)
        into, both = x[0], (a, b)
        into[12:15], into[15:18] = a.picture, b.picture
        into[19] = t
        self._searched(pair, t, into[20:28], into[18:19])
        for k in range(4):
            way, to = into[20 + 2 * k : 22 + 2 * k], list(into[3 * k : 3 * k + 3])
            ops.warp(list(both[k % 2].picture), way, scale=1 / self._reduced, out=to)
        out = engine.run({"x": x})
        cells = tuple(-(-n // self._reduced) for n in a.size)
        within = (slice(0, cells[0]), slice(0, cells[1]))
        still, by_a = out["still"][0][0][within], into[18][within]
        moves = (1 - still) * np.float32(share)
        stays = 1 - moves
        a_way, b_way = by_a * moves, (1 - by_a) * moves
        first, second = np.float32(1 - t), np.float32(t)
        weights = [a_way * first, a_way * second, b_way * first, b_way * second, stays * first, stays * second]
        # a grid of cells that reach beyond the picture is taken for one that does not
        unit = np.array([cells[1] / a.size[1], cells[0] / a.size[0]], np.float32).reshape(2, 1, 1)
        found = [into[k : k + 2][:, *within] * ops.beside(unit, by_a) for k in range(20, 28, 2)]
        unmoved = found[0] * np.float32(0)
        return [*found, unmoved, unmoved], weights, out["gains"][0][:, *within] * np.float32(share)

    def _searched(self, pair: _Pair, t: float, ways: Array, by_a: Array) -> None:
        """Write the four ways that the search found, (8, rows, columns) in pixels of the picture, and how much to
        believe the first picture's, on the grid of what the network sees; beyond the picture, its edge's."""
        size, way = pair.a.size, pair.ways.at(t)
        cell = _COARSER * self._reduced
        rows, columns = (-(-n // cell) for n in size)
        unit = np.array([size[1] / int(way.by_a.shape[1]), size[0] / int(way.by_a.shape[0])], np.float32)
        unit = ops.beside(unit.reshape(2, 1, 1), way.by_a)
        every = empty((9, *(n // cell for n in self.padded(size))), np.float32, way.by_a)
        for k, found in enumerate(way[:4]):
            every[2 * k : 2 * k + 2, :rows, :columns] = resized(found * unit, (rows, columns))
        every[8, :rows, :columns] = resized(way.by_a[None], (rows, columns))[0]
        extend(every, (rows, columns))
        resize_into(every[:8], ways)
        resize_into(every[8:], by_a)
