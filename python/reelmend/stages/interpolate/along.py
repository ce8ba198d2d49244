"""Pictures fetched along the ways of our own search, mixed and sharpened as networks say that see them in half their
size: what such methods share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...frame import Array, Frame
from ...ops._dispatch import empty
from ..letterbox import Region
from ..planes import extend, groups, resize_into
from .synthesis import Synthesiser, View
from .ways import Way, Ways

__all__ = ["AlongSearch", "Told"]


class Told(NamedTuple):
    """How a picture is made, on a grid of cells that begins where the picture does; what lies beyond is cut off.

    ways     four, (2, rows, columns), by turns to the first and to the second picture, in pixels of the picture
    weights  of each, (rows, columns); what they lack to 1 is taken where nothing moves, of both pictures by time
    gains    (3, rows, columns): of ops.sharpen
    """

    ways: Sequence[Array]
    weights: Sequence[Array]
    gains: Array


class AlongSearch(Synthesiser):
    """A method of this kind. Its network's settings say in what part of the size it sees pictures ("reduced"), and what
    their rows and columns are multiples of ("multiple")."""

    along: ClassVar[bool] = True

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        super().__init__(network, device, scale)
        try:
            times = round(1 / scale)
            self._reduced = int(self.network.settings["reduced"]) * times
            self._multiple = int(self.network.settings["multiple"]) * times
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{self.network.name}: its settings are none of {self.family!r} ({error}); make it anew"
            ) from None

    @abstractmethod
    def told(self, pair: Any, t: float) -> Told:
        """How the picture at t is made."""

    @property
    def multiple(self) -> int:
        return self._multiple

    def view(self, frame: Frame, region: Region) -> View:
        """In the size that the network sees."""
        whole = super().view(frame, region)
        rows, columns = self.padded(whole.size)
        small = empty((3, rows // self._reduced, columns // self._reduced), np.float32, whole.picture)
        for plane, reduced in zip(whole.picture, small, strict=True):
            ops.resize(plane, filter="area", out=reduced)
        return View(whole.size, small)

    def write(
        self,
        pair: Any,
        views: tuple[View, View],
        pictures: tuple[Frame, Frame],
        t: float,
        share: float,
        target: Frame,
    ) -> None:
        """Moved, mixed and sharpened in the target's own format, as all of that is the same for each plane. Planes of
        less than full size are not sharpened."""
        ways, weights, gains = self._inside(self.told(pair, t), views[0].size, np.float32(share))
        first, second = np.float32(1 - t), np.float32(t)
        rest = 1 - (weights[0] + weights[1] + weights[2] + weights[3])
        unmoved = ways[0] * np.float32(0)
        ways, weights = [*ways, unmoved, unmoved], [*weights, rest * first, rest * second]
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

    def _inside(self, told: Told, size: Size, share: np.float32) -> Told:
        """The part inside a picture of this size, in pixels of its own grid; weights and gains times the share."""
        grid = int(told.gains.shape[1]), int(told.gains.shape[2])
        cells = tuple(-(-n * g // p) for n, g, p in zip(size, grid, self.padded(size), strict=True))
        within = (slice(0, cells[0]), slice(0, cells[1]))
        # cells that reach beyond the picture are taken for such that do not
        unit = np.array([cells[1] / size[1], cells[0] / size[0]], np.float32).reshape(2, 1, 1)
        unit = ops.beside(unit, told.gains)
        return Told(
            [way[:, *within] * unit for way in told.ways],
            [weight[within] * share for weight in told.weights],
            told.gains[:, *within] * share,
        )

    def searched(self, way: Way, size: Size, cell: int) -> Array:
        """What the search tells of a time, (9, rows, columns): the four ways, in pixels of the picture, and how much to
        believe the first picture's. As `gridded`."""
        unit = _unit(size, way.by_a)
        return self.gridded([*(plane for flow in way[:4] for plane in flow * unit), way.by_a], size, cell)

    def flows(self, ways: Ways, size: Size, cell: int) -> Array:
        """The flows of a pair, to and fro, (4, rows, columns), in pixels of the picture. As `gridded`."""
        both = [ways.motion.forward, ways.motion.backward]
        unit = _unit(size, both[0])
        return self.gridded([plane for flow in both for plane in flow * unit], size, cell)

    def gridded(self, planes: Sequence[Array], size: Size, cell: int) -> Array:
        """Planes of a picture of this size on a grid of such cells of the padded one; beyond it, its edge's."""
        rows, columns = (-(-n // cell) for n in size)
        every = empty((len(planes), *(n // cell for n in self.padded(size))), np.float32, planes[0])
        resize_into(planes, every[:, :rows, :columns])
        extend(every, (rows, columns))
        return every

    def fetched(self, a: View, b: View, ways: Array, out: Array) -> None:
        """Write both views by turns, as they are found along four ways (8, rows, columns) in pixels of the picture,
        into (12, rows, columns), all of the views' size."""
        for k in range(4):
            view, way, to = (a, b)[k % 2], ways[2 * k : 2 * k + 2], list(out[3 * k : 3 * k + 3])
            ops.warp(list(view.picture), way, scale=1 / self._reduced, out=to)


def _unit(size: Size, plane: Array) -> Array:
    """What a flow on such a grid is multiplied by, to be in pixels of a picture of this size."""
    rows, columns = (int(n) for n in plane.shape[-2:])
    return ops.beside(np.array([size[1] / columns, size[0] / rows], np.float32).reshape(2, 1, 1), plane)
