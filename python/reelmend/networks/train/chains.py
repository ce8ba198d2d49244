"""What networks make of a pair of pictures, a family each: in PyTorch what the stage runs by engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import OptionError
from ...stages.interpolate.ways import MIDDLE
from ..dain.slim import Slim, renamed
from ..fast import MULTIPLE, REDUCED, Fast
from ..superslomo import GAINS as SLOMO_GAINS
from ..superslomo import MULTIPLE as SLOMO_MULTIPLE
from ..superslomo import REDUCED as SLOMO_REDUCED
from ..superslomo import Synthesis, UNet
from .between import Batch, composed, fetched, resized, sharpened
from .projecting import adaptive, projected

__all__ = ["CHAINS", "Chain", "refined"]


class Chain(ABC):
    """A family that is trained: `given` is [network] without the family's name. Raises OptionError for what it does not
    take."""

    multiple: ClassVar[int]  # of a batch's patch

    @abstractmethod
    def __init__(self, given: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def network(self) -> nn.Module:
        """As it is trained, freshly drawn."""

    @abstractmethod
    def made(self, net: nn.Module, batch: Batch) -> list[Tensor]:
        """The picture (n, 3, patch, patch), then others, of any size, that are to be like the truth too."""

    @abstractmethod
    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """A file that `reelmend engines import` recognises."""


def refined(net: Fast, batch: Batch) -> list[Tensor]:
    """What a network of the family "fast" makes: the picture. See networks/fast.py for the chain."""
    size, t = batch.size, batch.t
    half, quarter = ((size[0] // n, size[1] // n) for n in (REDUCED, 2 * REDUCED))
    seen = [functional.avg_pool2d(p, REDUCED) for p in (batch.a, batch.b)]
    middle, believed = resized(batch.middle, half), resized(batch.middle_by_a, half)
    place, unmoved = batch.at / REDUCED, torch.zeros_like(middle[:, :2])
    flows = [*middle.split(2, 1), unmoved, unmoved]
    given = [fetched(seen[k % 2], f / REDUCED, place) for k, f in enumerate(flows)]
    judged = net.judge(torch.cat(given, 1), believed, middle)
    ways, by_a = resized(batch.ways, quarter), resized(batch.by_a, quarter)
    mean = by_a * ways[:, :4] + (1 - by_a) * ways[:, 4:]
    onward = (MIDDLE - t) / (2 * REDUCED) * (mean[:, 2:] - mean[:, :2])
    judged = fetched(judged, onward, torch.zeros_like(batch.at))
    still, gains = net.refine(judged, torch.cat([by_a, t.expand_as(by_a), ways], 1))
    return [sharpened(composed(batch, ways, by_a, 1 - t, still), resized(gains, size))]


class _Fast(Chain):
    """width and layers of networks/fast.py."""

    multiple = MULTIPLE

    def __init__(self, given: Mapping[str, Any]) -> None:
        if set(given) != {"width", "layers"} or not all(isinstance(v, int) and v > 0 for v in given.values()):
            raise OptionError(f"network has {dict(given)}; expected width and layers, whole numbers")
        self.width, self.layers = given["width"], given["layers"]

    def network(self) -> nn.Module:
        return Fast(self.width, self.layers)

    def made(self, net: nn.Module, batch: Batch) -> list[Tensor]:
        assert isinstance(net, Fast)
        return refined(net, batch)

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"family": "fast", "params_ema": dict(state)}


class _SuperSloMo(Chain):
    """widths of the U-Net for flows and visibility at a time between; our own search finds the flows of a pair, and
    those that are corrected. See networks/superslomo.py."""

    multiple = SLOMO_REDUCED * SLOMO_MULTIPLE

    def __init__(self, given: Mapping[str, Any]) -> None:
        widths = given.get("widths")
        if set(given) != {"widths"} or not isinstance(widths, list) or len(widths) != 6:
            raise OptionError(f"network has {dict(given)}; expected widths, six whole numbers")
        self.widths = tuple(widths)

    def network(self) -> nn.Module:
        net = UNet(20, 5 + SLOMO_GAINS, self.widths)
        last: Any = net.conv3  # silent at first: training begins with the search, and both pictures alike
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return Synthesis(net)

    def made(self, net: nn.Module, batch: Batch) -> list[Tensor]:
        size, t = batch.size, batch.t
        half = (size[0] // SLOMO_REDUCED, size[1] // SLOMO_REDUCED)
        ways, by_a, flows = (resized(x, half) for x in (batch.ways, batch.by_a, batch.flows))
        both = [functional.avg_pool2d(p, SLOMO_REDUCED) for p in (batch.a, batch.b)]
        place, still = batch.at / SLOMO_REDUCED, torch.zeros_like(ways[:, :2])
        seen = [fetched(both[k % 2], f / SLOMO_REDUCED, place) for k, f in enumerate(ways.split(2, 1))]
        a, b = (fetched(p, still, place) for p in both)

        def mixed(one: Tensor, two: Tensor) -> Tensor:
            return by_a * one + (1 - by_a) * two

        to_a, to_b = mixed(ways[:, :4], ways[:, 4:]).chunk(2, 1)
        forward, backward = flows.chunk(2, 1)
        from_a, from_b = mixed(seen[0], seen[2]), mixed(seen[1], seen[3])
        more_a, more_b, visible, gains = net(a, b, forward, backward, to_b, to_a, from_b, from_a)
        first, second = (1 - t) * visible, t * (1 - visible)
        ways = ways + torch.cat([more_a, more_b, more_a, more_b], 1)
        made = composed(batch, ways, by_a, first / (first + second))
        return [sharpened(made, resized(gains, size))]

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        inner = {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
        return {"family": "superslomo", "state_dictAT": inner}


class _Dain(Chain):
    """Widths of networks/dain/slim.py: context, synthesis and depth, whole numbers, kernels, six of them; residual and
    size. Our own search finds the flows of a pair; depth is learnt by what hides what."""

    multiple = 32

    def __init__(self, given: Mapping[str, Any]) -> None:
        known = {"context", "kernels", "synthesis", "depth", "residual", "size"}
        if not set(given) <= known:
            raise OptionError(f"network has {dict(given)}; expected some of {', '.join(sorted(known))}")
        self.given = dict(given)

    def network(self) -> nn.Module:
        return Slim(**self.given)

    def made(self, net: nn.Module, batch: Batch) -> list[Tensor]:
        assert isinstance(net, Slim)
        t, still = batch.t, torch.zeros_like(batch.truth[:, :2])
        inner = [fetched(p, still, batch.at) for p in (batch.a, batch.b)]
        taps = net.kernels(*inner)
        whole = resized(batch.onward, (batch.a.shape[2], batch.a.shape[3])).chunk(2, 1)
        pictures, contexts, ways = [], [], []
        for picture, flow, time, tap in zip((batch.a, batch.b), whole, (t, 1 - t), taps, strict=True):
            log_depth, weight = net.depth(picture)
            way = fetched(projected(flow, time, weight), still, batch.at)
            seen = adaptive(torch.cat([picture, net.context(picture, log_depth)], 1), way, tap, batch.at)
            pictures.append(seen[:, :3])
            contexts.append(seen[:, 3:])
            ways.append(way)
        blend = (1 - t) * pictures[0] + t * pictures[1]
        return [net.synthesis(blend, *pictures, *ways, *taps, *contexts), blend]

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"family": "dain", "params_ema": {renamed(name): tensor for name, tensor in state.items()}}


CHAINS: Mapping[str, type[Chain]] = {"fast": _Fast, "superslomo": _SuperSloMo, "dain": _Dain}
