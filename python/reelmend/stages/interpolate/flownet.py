"""Motion by a network: EBME's bi-directional flow, its graphs run by an engine and its geometry by our ops.

Source: Jin et al., "Enhanced Bi-directional Motion Estimation for Video Frame Interpolation", WACV 2023;
github.com/srcn-ivl/EBME.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...frame import Array, Frame
from ..letterbox import Region
from ..planes import resized
from .estimate import Estimator, Motion, picture_of
from .opened import Opened

if TYPE_CHECKING:
    from ...engines import Engine, EnginePlan

__all__ = ["FlowNet"]

_FAMILY = "ebme"
_PARTS = ("features", "estimator")
_CELL = 4  # pixels of a picture, along an edge, that a vector is for
_TRAINED = 448  # columns of the pictures it was trained on, with three levels
_STATE = 313 + 2 * 68  # float32 channels on the finest quarter grid: the estimator's inputs and outputs, twice enlarged
_HIDDEN = 3 * 24 / 4  # float32 channels in full size: what the first layers hold at a time


@dataclass(slots=True)
class _Pyramid:
    """A picture, padded, in the sizes of all levels, finest first; `size` is its own."""

    size: Size
    pictures: list[Array]


@dataclass(slots=True)
class _Level:
    """One size of pictures, and what runs in it."""

    size: Size
    features: Engine
    estimator: Engine


class FlowNet(Estimator):
    """Flows of both directions at once, by a network of the catalogue, of family "ebme".

    network  it, as load_network or the catalogue gives it
    device   "cpu", "cuda" or "cuda:N": where the pictures are

    From a coarse size of the pictures to their own, each level moves both pictures half way along the flow so far
    (forward, by averages), compares their features, and estimates the flow anew. The number of levels is EBME's own
    rule: three for 448 columns, one more for each doubling. Pictures are padded by their edges. Flows come out on a
    grid of a quarter of the picture's size. Raises NetworkError for a network of another family.
    """

    def __init__(self, network: Network, device: str) -> None:
        if network.family != _FAMILY:
            raise NetworkError(
                f"{network.name} is of family {network.family!r}; flow is found by networks of family {_FAMILY!r}: "
                "import one, such as bi-flownet.pkl of EBME"
            )
        self.name = f"the network {network.name}"
        self._bias = network.settings.get("bias", (0.0, 0.0))
        self._opened = Opened(network, device, _needs)

    def plans(self, size: Size) -> list[EnginePlan]:
        """How its engines for pictures of this size would run, finest first. Builds nothing."""
        return self._opened.plans(size)

    def levels(self, size: Size) -> list[_Level]:
        """The pyramid of pictures of this size, finest first, with its engines; kept for the next call."""
        opened = self._opened(size)
        return [_Level(at, opened["features", at], opened["estimator", at]) for at in _pyramid(size)]

    def prepare(self, frame: Frame, region: Region) -> _Pyramid:
        x0, y0, x1, y1 = region
        size = (y1 - y0, x1 - x0)
        largest, *others = _pyramid(size)
        picture = picture_of(frame, region, largest)
        return _Pyramid(size, [picture, *(resized(picture, other) for other in others)])

    def match(self, a: _Pyramid, b: _Pyramid) -> Array:
        return self._flows(a, b)[0]

    def both(self, a: _Pyramid, b: _Pyramid, region: Region) -> Motion:
        forward, backward = self._flows(a, b)
        agreed = ops.consistency(forward, backward, outside=None)
        return Motion(forward, backward, float(ops.to_host(agreed).mean()), region)

    def memory(self, width: int, height: int) -> int:
        rows, columns = _pyramid((height, width))[0]
        pixels = rows * columns
        pictures = 3 * 12 * 4 / 3 + 24  # three pyramids, and two pictures moved
        grids = 3 * 2 * 8 + 44  # flows of three pairs and what is made of them
        return math.ceil(pixels * (pictures + (4 * _STATE + grids) / _CELL**2 + 4 * _HIDDEN))

    def _flows(self, a: _Pyramid, b: _Pyramid) -> tuple[Array, Array]:
        flow: Array = None
        carry: Array = None
        for level, one, two in reversed(list(zip(self.levels(a.size), a.pictures, b.pictures, strict=True))):
            flow, carry = self._estimated(level, one, two, flow, carry)
        bias = ops.beside(np.array(self._bias, np.float32).reshape(2, 1, 1), flow)
        return _on_grid(flow[:2] - bias, a.size), _on_grid(flow[2:] - bias, a.size)

    def _estimated(self, level: _Level, a: Array, b: Array, flow: Any, carry: Any) -> tuple[Array, Array]:
        """The flows of one level, in its pixels, and what the next level is to know, from those of the level before."""
        grid = (level.size[0] // _CELL, level.size[1] // _CELL)
        if flow is None:
            last, carried = (
                ops.beside(np.zeros(level.estimator.inputs[name][1:], np.float32), a) for name in ("last", "carried")
            )
        else:
            last, carried = resized(flow, grid) * np.float32(2), resized(carry, grid)
            full = resized(last, level.size)
            a, b = _moved(a, full[:2]), _moved(b, full[2:])
        seen = [level.features.run({"picture": x[None]})["features"] for x in (a, b)]
        volume = ops.correlate(seen[0][0], seen[1][0], 4)
        out = level.estimator.run(
            {"volume": volume[None], "a": seen[0], "b": seen[1], "carried": carried[None], "last": last[None]}
        )
        return out["flow"][0], out["carry"][0]


def _needs(size: Size) -> dict[tuple[str, Size], tuple[str, Size]]:
    """Each part on each level, finest first."""
    every = [(part, at) for at in _pyramid(size) for part in _PARTS]
    return dict(zip(every, every, strict=True))


def _pyramid(size: Size) -> list[Size]:
    """Sizes of the levels, finest first: padded, so that the coarsest is whole on its quarter grid too."""
    count = max(1, math.ceil(math.log2(max(size) / _TRAINED) + 3))
    multiple = _CELL << (count - 1)
    rows, columns = (math.ceil(n / multiple) * multiple for n in size)
    return [(rows >> level, columns >> level) for level in range(count)]


def _moved(picture: Array, flow: Array) -> Array:
    """A picture pushed half way along a flow; holes are black."""
    out = ops.empty_like(picture)
    ops.splat(list(picture), flow, scale=0.5, out=(list(out), ops.empty_like(out[0])))
    return out


def _on_grid(flow: Array, size: Size) -> Array:
    """A flow of the padded picture, a vector every _CELL pixels and in pixels, as that of the picture itself, in pixels
    of a grid of a quarter of its size."""
    rows, columns = (math.ceil(n / _CELL) for n in size)
    cells = flow * np.float32(1 / _CELL)
    if size == (rows * _CELL, columns * _CELL):
        return ops.copy(cells[:, :rows, :columns])
    # the last cell is cut by the picture's edge, and a grid of its size has cells a little smaller: by way of pixels
    full = ops.resize_flow(cells, (flow.shape[1] * _CELL, flow.shape[2] * _CELL))
    return ops.resize_flow(full[:, : size[0], : size[1]], (rows, columns))
