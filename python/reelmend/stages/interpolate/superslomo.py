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
from ...errors import OptionError
from ...frame import Array, Frame
from ...ops._dispatch import empty
from ..letterbox import Region
from ..planes import resized
from .along import AlongSearch, Told
from .estimate import picture_of
from .synthesis import Between, RgbSynthesiser, Synthesiser, View
from .ways import Ways

__all__ = ["SuperSloMo", "SuperSloMoAlong"]

_FILE = "SuperSloMo.ckpt of github.com/avinashpaliwal/Super-SloMo"
_BORDER = "zeros"  # of pictures less their mean
_PUBLISHED = 39.6e6  # weights, of layers that hold
_HIDDEN = 200  # float32 channels in full size that an engine holds: two of 32, what is skipped, what is joined, spare
_FLOATS = 3 * 6 + 4 + 3 * 2 + 17  # a pixel: three views, the flows of a pair, those at t, and what is made of them
_COMPOSED = 3 * 4  # floats a pixel, along the search: two pictures, one that is composed, and that sharpened
_SEEN = 3 * 3 + 4 + 9 + 12 + 20 + 8  # a pixel of what it sees: views, flows, ways, what is fetched, given and told


def _held(network: Network) -> tuple[int, float]:
    """(bytes of weights, held as they were read and as they are run; floats a pixel in an engine)."""
    return 8 * network.parameters, _HIDDEN * math.sqrt(network.parameters / _PUBLISHED)


@dataclass(slots=True)
class _Pair:
    a: View
    b: View
    forward: Array
    backward: Array


class SuperSloMo(RgbSynthesiser):
    """The flows between two pictures once a pair; flows and visibility at any time between, once for each time.

    resizes  pictures are reduced to what the network takes, and what is made is enlarged again, as the public program
             does it (there by Lanczos' filter, here linearly); else they are padded
    """

    family: ClassVar[str] = "superslomo"
    file: ClassVar[str] = _FILE
    shipped: ClassVar[str | None] = "superslomo"

    @classmethod
    def of(cls, network: str | Network, device: str, scale: float, resizes: bool) -> Synthesiser:
        given = cls.found(network)
        if not given.settings.get("searched"):
            return cls(given, device, scale, resizes)
        if resizes:
            raise OptionError(
                f"Interpolate: compat='resize' is for networks of {cls.file}; {given.name} goes along our own search"
            )
        return SuperSloMoAlong(given, device)

    def __init__(self, network: str | Network, device: str, scale: float = 1.0, resizes: bool = False) -> None:
        super().__init__(network, device, scale)
        self._resizes = resizes
        self._mean = np.array(self.network.settings["mean"], np.float32).reshape(3, 1, 1)
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
        weights, hidden = _held(self.network)
        # either engine keeps its memory while the other runs
        return weights + math.ceil(4 * rows * columns * (_FLOATS + 2 * hidden))

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        for view in (a, b):
            if view.seen is None:
                view.seen = view.picture - ops.beside(self._mean, view.picture)
        out = self.engines(a.size)["flow"].run({"a": a.picture[None], "b": b.picture[None]})
        return _Pair(a, b, out["forward"][0], out["backward"][0])

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        mean = ops.beside(self._mean, a.picture)
        to_a, to_b = ops.flows_at(pair.forward, pair.backward, t)
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
        ops.warp_blend(list(a.seen), list(b.seen), to_a, to_b, by_a, border=_BORDER, out=list(made))
        made += mean
        if self._resizes:
            return Between(resized(made, a.size), to_a, to_b, by_a)
        rows, columns = a.size
        return Between(
            made[:, :rows, :columns], to_a[:, :rows, :columns], to_b[:, :rows, :columns], by_a[:rows, :columns]
        )

    def _warped(self, view: View, flow: Array) -> Array:
        """g less the mean."""
        warped = ops.empty_like(view.seen)
        ops.warp(list(view.seen), self._sampled(flow), border=_BORDER, out=list(warped))
        return warped

    def _sampled(self, flow: Array) -> Array:
        """The flow that leads where g samples: column (x + u) (w - 1) / w, and so for rows."""
        rows, columns = (int(n) for n in flow.shape[1:])
        if self._places[0] != (rows, columns):
            y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
            place = np.stack([x / np.float32(columns), y / np.float32(rows)])
            part = np.array([(columns - 1) / columns, (rows - 1) / rows], np.float32).reshape(2, 1, 1)
            self._places = ((rows, columns), (ops.beside(part, flow), ops.beside(place, flow)))
        part, place = self._places[1]
        return flow * part - place


@dataclass(slots=True)
class _SearchedPair:
    """flows  of the pair, (4, rows, columns)"""

    a: View
    b: View
    ways: Ways
    flows: Array


class SuperSloMoAlong(AlongSearch):
    """The second network alone: it corrects what our own search tells of any time between, says how far to believe the
    first picture, and how to sharpen what is fetched."""

    family: ClassVar[str] = SuperSloMo.family
    file: ClassVar[str] = _FILE

    def sizes(self, size: Size) -> Mapping[str, Size]:
        return {"synthesis": (size[0] // self._reduced, size[1] // self._reduced)}

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        weights, hidden = _held(self.network)
        return weights + math.ceil(4 * rows * columns * (_COMPOSED + (_SEEN + 2 * hidden) / self._reduced**2))

    def pair(self, a: View, b: View, ways: Ways) -> _SearchedPair:
        return _SearchedPair(a, b, ways, self.flows(ways, a.size, self._reduced))

    def told(self, pair: _SearchedPair, t: float) -> Told:
        a, b = pair.a, pair.b
        now = self.searched(pair.ways.at(t), a.size, self._reduced)
        ways, by_a = now[:8], now[8]
        fetched = empty((12, *(int(n) for n in ways.shape[1:])), np.float32, ways)
        self.fetched(a, b, ways, fetched)
        by_b = 1 - by_a
        to, seen = by_a * ways[:4] + by_b * ways[4:], by_a * fetched[:6] + by_b * fetched[6:]
        out = self.engines(a.size)["synthesis"].run(
            {
                "a": a.picture[None],
                "b": b.picture[None],
                "forward": pair.flows[None, :2],
                "backward": pair.flows[None, 2:],
                "to_b": to[None, 2:],
                "to_a": to[None, :2],
                "from_b": seen[None, 3:],
                "from_a": seen[None, :3],
            }
        )
        more = out["more_to_a"][0], out["more_to_b"][0]
        visible = out["visible"][0, 0]
        first, second = visible * np.float32(1 - t), (1 - visible) * np.float32(t)
        first = first / (first + second)
        weights = [by * part for by in (by_a, by_b) for part in (first, 1 - first)]
        return Told([ways[2 * k : 2 * k + 2] + more[k % 2] for k in range(4)], weights, out["gains"][0])
