"""What networks make of a pair of pictures, a family each: in PyTorch what the stage runs by engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import OptionError
from ..dain.slim import Slim, renamed
from ..fast import JOINED, SHRINKS, Fast, Sizes
from ..superslomo import MULTIPLE, Synthesis, UNet
from .between import Batch, fetched, resized
from .moments import GRID
from .projecting import adaptive, projected

__all__ = ["CHAINS", "Chain", "corrected"]


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


def corrected(net: Fast, batch: Batch) -> list[Tensor]:
    """What a network of the family "fast" makes: the picture, then what it was made of before each later block, of its
    size. See networks/fast.py for the chain."""
    size, t = batch.size, batch.t
    seen = [net.encode(p) for p in (batch.a, batch.b)]
    ways, by_a = batch.ways, batch.by_a
    flow = by_a * ways[:, :4] + (1 - by_a) * ways[:, 4:]
    mask = torch.log((1 - t) / t).expand_as(by_a)
    apart = (ways[:, 4:] - ways[:, :4]) / GRID
    found = [fetched(e, f / GRID, batch.at / GRID) for e, f in zip(seen, flow.chunk(2, 1), strict=True)]
    rest = torch.cat([by_a, apart, *found], 1)
    early = []
    pictures: Any = ()
    for k, (block, shrink) in enumerate(zip(net.blocks(), SHRINKS, strict=True)):
        at = (size[0] // shrink, size[1] // shrink)
        both = zip((batch.a, batch.b), resized(flow, size).chunk(2, 1), strict=True)
        pictures = [resized(fetched(p, f, batch.at), at) for p, f in both]
        mask, rest = (resized(v, at) for v in (mask, rest))
        if k:
            early.append(_mixed(mask, pictures))
        x = torch.cat([*pictures, t.expand_as(mask), mask, resized(flow, at) / shrink, rest], 1)
        more, change, rest = block(x)
        finer = max(at, (flow.shape[2], flow.shape[3]))
        flow, mask = resized(flow, finer) + shrink * resized(more, finer), mask + change
    at = (size[0] // JOINED, size[1] // JOINED)
    ways, by_a, mask, flow, rest = (resized(v, at) for v in (ways, by_a, mask, flow, rest))
    whole = [resized(v, size) for v in (ways, flow)]
    along = [*whole[0].split(2, 1), *whole[1].split(2, 1)]
    pictures = [fetched((batch.a, batch.b)[k % 2], f, batch.at) for k, f in enumerate(along)]
    early.append(_mixed(resized(mask, size), pictures[4:]))
    small = [resized(p, at) for p in pictures]
    weights, residual = net.join(torch.cat([*small, by_a, t.expand_as(mask), mask, flow / JOINED, rest], 1))
    weights = resized(weights, size)
    made = resized(residual, size)
    for k, picture in enumerate(pictures):
        made = made + weights[:, k : k + 1] * picture
    return [made, *early]


def _mixed(mask: Tensor, pictures: Sequence[Tensor]) -> Tensor:
    share = torch.sigmoid(mask)
    return share * pictures[0] + (1 - share) * pictures[1]


class _Fast(Chain):
    """widths and layers of the blocks and the join, feature and seen: see networks/fast.py."""

    multiple = 4 * SHRINKS[0]

    def __init__(self, given: Mapping[str, Any]) -> None:
        lists = [given.get(name) for name in ("widths", "layers")]
        whole = set(given) == {"widths", "layers", "feature", "seen"}
        if not whole or not all(isinstance(v, list) and len(v) == len(SHRINKS) + 1 for v in lists):
            raise OptionError(
                f"network has {dict(given)}; expected widths and layers of {len(SHRINKS) + 1}, feature, seen"
            )
        self.sizes = Sizes(given["widths"], given["layers"], given["feature"], given["seen"])

    def network(self) -> nn.Module:
        return Fast(self.sizes)

    def made(self, net: nn.Module, batch: Batch) -> list[Tensor]:
        assert isinstance(net, Fast)
        return corrected(net, batch)

    def checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"family": "fast", "params_ema": dict(state)}


class _SuperSloMo(Chain):
    """widths of the U-Net for flows and visibility at a time between; our own search finds the flows of a pair. See
    networks/superslomo.py."""

    multiple = MULTIPLE

    def __init__(self, given: Mapping[str, Any]) -> None:
        widths = given.get("widths")
        if set(given) != {"widths"} or not isinstance(widths, list) or len(widths) != 6:
            raise OptionError(f"network has {dict(given)}; expected widths, six whole numbers")
        self.widths = tuple(widths)

    def network(self) -> nn.Module:
        net = UNet(20, 5, self.widths)
        last: Any = net.conv3  # silent at first: training begins with the search, and both pictures alike
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return Synthesis(net)

    def made(self, net: nn.Module, batch: Batch) -> list[Tensor]:
        t = batch.t
        forward, backward = resized(batch.flows, batch.size).chunk(2, 1)
        to_a = -(1 - t) * t * forward + t * t * backward
        to_b = (1 - t) * (1 - t) * forward - t * (1 - t) * backward
        from_a, from_b = fetched(batch.a, to_a, batch.at), fetched(batch.b, to_b, batch.at)
        still = torch.zeros_like(forward)
        a, b = (fetched(p, still, batch.at) for p in (batch.a, batch.b))
        more_a, more_b, visible = net(a, b, forward, backward, to_b, to_a, from_b, from_a)
        first, second = (1 - t) * visible, t * (1 - visible)
        share = first / (first + second)
        from_a, from_b = fetched(batch.a, to_a + more_a, batch.at), fetched(batch.b, to_b + more_b, batch.at)
        return [share * from_a + (1 - share) * from_b]

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
        whole = resized(batch.all_flows, (batch.a.shape[2], batch.a.shape[3])).chunk(2, 1)
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
