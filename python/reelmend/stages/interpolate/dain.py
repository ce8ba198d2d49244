"""DAIN: its networks run by engines, what lies between them by our ops. See networks/dain for the formulas and their
source."""

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
from ..planes import moved
from .synthesis import Between, RgbSynthesiser, View
from .ways import Ways, spread

__all__ = ["DAIN"]

_PUBLISHED = 24.0e6  # weights, of layers that hold
_HIDDEN = 1800  # float32 channels in full size in all engines, beside what the synthesis joins, and
_LEAST_HIDDEN = 330  # what any network's hold
_FLOATS = 4 + 2 * 16 + 36  # a pixel: the flows and taps of a pair, and what is made of them but for context
_PYRAMID = 3.6  # a pixel: features of all levels
_INSIDE = 0.9999  # of a place's bilinear weights: with less in the picture, it is taken to lie outside


@dataclass(slots=True)
class _Seen:
    """What is kept of a picture: the weight of each pixel by its depth (rows, columns), context (channels, rows,
    columns), and its features (channels, rows, columns) by level, where there is a network of flow."""

    weight: Array
    context: Array
    levels: dict[int, Array]


@dataclass(slots=True)
class _Pair:
    """Both pictures, each one's taps, and the flows between them, to and fro; None where our own search tells them."""

    a: View
    b: View
    taps_a: Array
    taps_b: Array
    ways: Ways
    flows: tuple[Array, Array] | None


class DAIN(RgbSynthesiser):
    """Depth and context once a picture, flows and kernels once a pair; flows projected, and both pictures fetched along
    them and joined, once for each time. A network without parts of flow is given that of our own search."""

    family: ClassVar[str] = "dain"
    file: ClassVar[str] = "best.pth of DAIN (github.com/baowenbo/DAIN)"
    shipped: ClassVar[str | None] = "dain"

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        super().__init__(network, device, scale)
        self._levels: list[int] = []
        if "pyramid" not in self.network.parts:
            return
        try:
            settings = self.network.settings
            self._radius, self._unit = int(settings["radius"]), float(settings["unit"])
            self._scales = {int(level): float(scale) for level, scale in settings["scales"].items()}
            self._levels = [max(self._scales) + 1, *sorted(self._scales, reverse=True)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NetworkError(f"{self.network.name}: its settings are no DAIN's ({error}); import it again") from None

    @property
    def multiple(self) -> int:
        return math.lcm(*(part.multiple for part in self.network.parts.values()))

    def sizes(self, size: Size) -> Mapping[str, Size]:
        return dict.fromkeys(self.network.parts, size)

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        weights, parts = self.network.parameters, self.network.parts
        context = int(parts["context"].outputs[0].shape[1])
        joined = sum(int(port.shape[1]) for port in parts["synthesis"].inputs)
        levels = _PYRAMID if self._levels else 0
        hidden = joined + _LEAST_HIDDEN + _HIDDEN * math.sqrt(weights / _PUBLISHED)
        floats = _FLOATS + 3 * (3 + 1 + context + levels) + 2 * context + hidden
        # weights are held as they were read, and twice as they are run; each engine keeps its memory while others run
        return 12 * weights + math.ceil(4 * rows * columns * floats)

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        for view in (a, b):
            if view.seen is None:
                view.seen = self._seen(view)
        flows = (self._flow(a, b), self._flow(b, a)) if self._levels else None
        out = self.engines(a.size)["kernels"].run({"a": a.picture[None], "b": b.picture[None]})
        return _Pair(a, b, out["taps_a"][0], out["taps_b"][0], ways, flows)

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        forward, backward = pair.flows or (spread(f, a.size, self.padded(a.size)) for f in pair.ways.onward(t))
        to_a, _ = ops.project_flow(forward, t=t, depth_weight=a.seen.weight)
        to_b, _ = ops.project_flow(backward, t=1 - t, depth_weight=b.seen.weight)
        from_a = moved(a.picture, to_a, taps=pair.taps_a)
        from_b = moved(b.picture, to_b, taps=pair.taps_b)
        out = self.engines(a.size)["synthesis"].run(
            {
                "blend": (from_a * np.float32(1 - t) + from_b * np.float32(t))[None],
                "from_a": from_a[None],
                "from_b": from_b[None],
                "to_a": to_a[None],
                "to_b": to_b[None],
                "taps_a": pair.taps_a[None],
                "taps_b": pair.taps_b[None],
                "context_a": moved(a.seen.context, to_a, taps=pair.taps_a)[None],
                "context_b": moved(b.seen.context, to_b, taps=pair.taps_b)[None],
            }
        )
        rows, columns = a.size
        by_a = empty(a.size, np.float32, a.picture)
        by_a[...] = 1 - t
        return Between(out["picture"][0][:, :rows, :columns], to_a[:, :rows, :columns], to_b[:, :rows, :columns], by_a)

    def _seen(self, view: View) -> _Seen:
        engines, picture = self.engines(view.size), view.picture[None]
        depth = engines["depth"].run({"picture": picture})
        context = engines["context"].run({"picture": picture, "log_depth": depth["log_depth"]})["context"]
        found = engines["pyramid"].run({"picture": picture}) if self._levels else {}
        return _Seen(depth["weight"][0, 0], context[0], {k: found[f"level{k}"][0] for k in self._levels})

    def _flow(self, a: View, b: View) -> Array:
        """The flow from one picture to another, in pixels: from coarse to fine, then four times as large."""
        engines = self.engines(a.size)
        out: dict[str, Array] = {}
        for level in self._levels:
            one, two = a.seen.levels[level], b.seen.levels[level]
            given: dict[str, Array] = {}
            if out:
                given = {"seen": one[None], "flow": out["up_flow"], "carried": out["up_seen"]}
                two = _inside(two, out["up_flow"][0] * np.float32(self._scales[level]))
            volume = ops.correlate(one, two, self._radius)
            out = engines[f"flow{level}"].run({"volume": volume[None], **given})
        flow = empty((2, *a.picture.shape[1:]), np.float32, a.picture)
        for component, target in zip(out["refined"][0] * np.float32(self._unit), flow, strict=True):
            ops.resize(component, out=target)
        return flow


def _inside(features: Array, flow: Array) -> Array:
    """Features fetched along a flow; 0 where one of the four that make it lies outside."""
    ones = empty(tuple(flow.shape[1:]), np.float32, flow)
    ones[...] = 1
    whole = ops.warp(ones, flow, border="zeros") > _INSIDE
    return moved(features, flow, border="zeros") * whole
