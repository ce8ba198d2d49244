"""Super SloMo: its two networks run by engines, what lies between them by our ops. See networks/superslomo.py for the
formulas and their source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...frame import Array, Frame
from ..letterbox import Region
from ..planes import resized
from .estimate import picture_of
from .synthesis import Between, RgbSynthesiser, View
from .ways import Ways, spread

__all__ = ["SuperSloMo"]

_PUBLISHED = 39.6e6  # weights, of layers that hold
_HIDDEN = 200  # float32 channels in full size that an engine holds: two of 32, what is skipped, what is joined, spare
_FLOATS = 3 * 6 + 4 + 3 * 2 + 17  # a pixel: three views, the flows of a pair, those at t, and what is made of them


@dataclass(slots=True)
class _Pair:
    a: View
    b: View
    forward: Array
    backward: Array
    ways: Ways | None = None  # of a network whose first flows are those of the search


class SuperSloMo(RgbSynthesiser):
    """The flows between two pictures once a pair; flows and visibility at any time between, once for each time. A
    network without a part for the former is given those of our own search.

    resizes  pictures are reduced to what the network takes, and what is made is enlarged again, as the public program
             does it (there by Lanczos' filter, here linearly); else they are padded
    """

    family: ClassVar[str] = "superslomo"
    file: ClassVar[str] = "SuperSloMo.ckpt of github.com/avinashpaliwal/Super-SloMo"

    def __init__(self, network: str | Network, device: str, scale: float = 1.0, resizes: bool = False) -> None:
        super().__init__(network, device, scale)
        self._resizes = resizes
        self._mean = np.array(self.network.settings["mean"], np.float32).reshape(3, 1, 1)
        self._searched = "flow" not in self.network.parts
        self._places: tuple[Size, Any] = ((0, 0), None)

    @property
    def multiple(self) -> int:
        return math.lcm(*(part.multiple for part in self.network.parts.values()))

    def sizes(self, size: Size) -> Mapping[str, Size]:
        return dict.fromkeys(self.network.parts, size)

    def padded(self, size: Size) -> Size:
        if not self._resizes:
            return super().padded(size)
        rows, columns = (max(1, n // self.multiple) * self.multiple for n in size)
        return rows, columns

    def view(self, frame: Frame, region: Region) -> View:
        if not self._resizes:
            return super().view(frame, region)
        x0, y0, x1, y1 = region
        size = (y1 - y0, x1 - x0)
        return View(size, resized(picture_of(frame, region, size), self.padded(size)))

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        weights = self.network.parameters
        hidden = _HIDDEN * math.sqrt(weights / _PUBLISHED)
        # weights are held as they were read and as they are run; either engine keeps its memory while the other runs
        return 8 * weights + math.ceil(4 * rows * columns * (_FLOATS + 2 * hidden))

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        for view in (a, b):
            if view.seen is None:
                view.seen = view.picture - ops.beside(self._mean, view.picture)
        if self._searched:
            at = self.padded(a.size)
            seen = at if self._resizes else a.size
            forward, backward = (spread(f, seen, at) for f in (ways.motion.forward, ways.motion.backward))
            return _Pair(a, b, forward, backward, ways)
        out = self.engines(a.size)["flow"].run({"a": a.picture[None], "b": b.picture[None]})
        return _Pair(a, b, out["forward"][0], out["backward"][0])

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        mean = ops.beside(self._mean, a.picture)
        to_a, to_b = self._begun(pair, t)
        from_a, from_b = self._warped(a, to_a) + mean, self._warped(b, to_b) + mean
        out = self.engines(a.size)["synthesis"].run(
            {
                "a": a.picture[None],
                "b": b.picture[None],
                "forward": pair.forward[None],
                "backward": pair.backward[None],
                "to_b": to_b[None],
                "to_a": to_a[None],
                "from_b": from_b[None],
                "from_a": from_a[None],
            }
        )
        to_a, to_b = self._sampled(to_a + out["more_to_a"][0]), self._sampled(to_b + out["more_to_b"][0])
        visible = out["visible"][0, 0]
        first, second = visible * np.float32(1 - t), (1 - visible) * np.float32(t)
        by_a = first / (first + second)
        made = ops.empty_like(a.picture)
        ops.warp_blend(list(a.seen), list(b.seen), to_a, to_b, by_a, border=self._border, out=list(made))
        made += mean
        if self._resizes:
            return Between(resized(made, a.size), to_a, to_b, by_a)
        rows, columns = a.size
        return Between(
            made[:, :rows, :columns], to_a[:, :rows, :columns], to_b[:, :rows, :columns], by_a[:rows, :columns]
        )

    def _begun(self, pair: _Pair, t: float) -> tuple[Array, Array]:
        """The flows at t that the second network corrects: what the search tells, or as published."""
        if pair.ways is None:
            return ops.flows_at(pair.forward, pair.backward, t)
        way, at = pair.ways.at(t), self.padded(pair.a.size)
        seen, by_b = at if self._resizes else pair.a.size, 1 - way.by_a
        to_a, to_b = way.by_a * way.a_to_a + by_b * way.b_to_a, way.by_a * way.a_to_b + by_b * way.b_to_b
        return spread(to_a, seen, at), spread(to_b, seen, at)

    def _warped(self, view: View, flow: Array) -> Array:
        """g less the mean: as published, 0 outside the picture."""
        warped = ops.empty_like(view.seen)
        ops.warp(list(view.seen), self._sampled(flow), border=self._border, out=list(warped))
        return warped

    @property
    def _border(self) -> str:
        return "edge" if self._searched else "zeros"

    def _sampled(self, flow: Array) -> Array:
        """The flow that leads where g samples: as published, column (x + u) (w - 1) / w, and so for rows."""
        if self._searched:
            return flow
        rows, columns = (int(n) for n in flow.shape[1:])
        if self._places[0] != (rows, columns):
            y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
            place = np.stack([x / np.float32(columns), y / np.float32(rows)])
            part = np.array([(columns - 1) / columns, (rows - 1) / rows], np.float32).reshape(2, 1, 1)
            self._places = ((rows, columns), (ops.beside(part, flow), ops.beside(place, flow)))
        part, place = self._places[1]
        return flow * part - place
