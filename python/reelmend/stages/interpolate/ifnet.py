"""RIFE 4.0 to 4.26: the blocks of IFNet run by engines, what lies between them by our ops. See networks/ifnet.py for
the formulas and their source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...frame import Array
from ...ops._dispatch import empty
from ..planes import resize_into, resized
from .synthesis import Between, RgbSynthesiser, View, sigmoid
from .ways import Ways

__all__ = ["IFNet"]

_FLOATS = 3 * 3 + 4 * 4 + 3 * 1 + 3 * 1  # a pixel: three views, flows, the picture made, masks and weights
_HIDDEN = 4  # times what a block is given: what its engine holds


@dataclass(slots=True)
class _Pair:
    a: View
    b: View


class IFNet(RgbSynthesiser):
    """Flows from a time to both pictures, block after block, from coarse to fine; and how much of each is to be seen.

    scale  1, 1/2 or 1/4: the size, in parts of its own, in which motion is looked for. For large pictures and motion

    Versions with an encoder see each picture with it once. Versions 4.0 and 4.1 began anew, with every scale doubled,
    where a flow exceeded 32 pixels; here scale says so, for all pictures.
    """

    family: ClassVar[str] = "ifnet"
    file: ClassVar[str] = "flownet.pkl of RIFE 4.0 to 4.26 (github.com/hzwer/Practical-RIFE)"
    scales: ClassVar[bool] = True

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        super().__init__(network, device, scale)
        try:
            settings = self.network.settings
            times = round(1 / scale)
            self._shrinks = [int(s) * times for s in settings["scales"]]
            self._multiple = int(settings["multiple"]) * times
            self._adds_masks, self._halved = bool(settings["adds_masks"]), bool(settings["halved"])
            self._feature = int(settings["feature"])
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(f"{self.network.name}: its settings are no IFNet's ({error}); import it again") from None
        self._blocks = [f"block{k}" for k in range(len(self._shrinks))]
        self._encodes = "encode" in self.network.parts

    @property
    def multiple(self) -> int:
        return self._multiple

    def sizes(self, size: Size) -> Mapping[str, Size]:
        encode = {"encode": size} if self._encodes else {}
        return encode | {
            name: (size[0] // shrink, size[1] // shrink)
            for name, shrink in zip(self._blocks, self._shrinks, strict=True)
        }

    def memory(self, width: int, height: int) -> int:
        rows, columns = self.padded((height, width))
        given = [
            int(self.network.part(name).inputs[0].shape[1]) / shrink**2
            for name, shrink in zip(self._blocks, self._shrinks, strict=True)
        ]
        floats = _FLOATS + 3 * self._seen + 2 * self._feature + max(given) + _HIDDEN * sum(given)
        return 8 * self.network.parameters + math.ceil(4 * rows * columns * floats)

    @property
    def _seen(self) -> int:
        """Channels of what is kept of a picture besides itself."""
        return int(self.network.part("encode").outputs[0].shape[1]) if self._encodes else 0

    def pair(self, a: View, b: View, ways: Ways) -> _Pair:
        if self._encodes:
            for view in (a, b):
                if view.seen is None:
                    given = {"picture": view.picture[None]}
                    (view.seen,) = self.engines(view.size)["encode"].run(given)["features"]
        return _Pair(a, b)

    def at(self, pair: _Pair, t: float) -> Between:
        a, b = pair.a, pair.b
        engines = self.engines(a.size)
        flow: Any = None
        mask: Any = None
        feature: Any = None
        for name, shrink in zip(self._blocks, self._shrinks, strict=True):
            x = self._given(engines[name].inputs["x"], pair, t, flow, mask, feature, shrink)
            out = engines[name].run({"x": x})
            size = tuple(int(n) for n in a.picture.shape[1:])
            larger = resized(out["flow"][0], size) * np.float32(shrink * (2 if self._halved else 1))
            more = resized(out["mask"][0], size)
            flow = larger if flow is None else flow + larger
            mask = more if mask is None or not self._adds_masks else mask + more
            if self._feature and name != self._blocks[-1]:
                feature = resized(out["feature"][0], size)
        by_a = sigmoid(mask[0])
        made = ops.empty_like(a.picture)
        ops.warp_blend(list(a.picture), list(b.picture), flow[:2], flow[2:], by_a, out=list(made))
        rows, columns = a.size
        return Between(
            made[:, :rows, :columns], flow[:2, :rows, :columns], flow[2:, :rows, :columns], by_a[:rows, :columns]
        )

    def _given(
        self, shape: Sequence[int], pair: _Pair, t: float, flow: Any, mask: Any, feature: Any, shrink: int
    ) -> Array:
        """What a block is given: (1, channels, rows, columns) in its size."""
        a, b = pair.a, pair.b
        x = empty(tuple(shape), np.float32, a.picture)
        into = iter(x[0])
        for planes, way in ((a.picture, 0), (b.picture, 2), (a.seen, 0), (b.seen, 2)):
            if planes is None:
                continue
            if flow is None:
                resize_into(planes, into)
            else:
                targets = list(islice(into, int(planes.shape[0])))
                ops.warp_shrunk(list(planes), flow[way : way + 2], shrink, out=targets)
        next(into)[...] = t
        if flow is not None:
            resize_into(mask, into)
            if feature is not None:
                resize_into(feature, into)
            start = int(x.shape[1]) - 4
            resize_into(flow, into)
            x[0, start:] *= np.float32(1 / shrink)
        return x
