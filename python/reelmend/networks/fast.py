"""The family "fast": new frames by our own dense search, corrected by small blocks and joined by another.

After IFNet (Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022), whose
blocks begin with no motion at all and must find it; these begin with what the stage has searched already.

What lies between the parts, for pictures I_0 and I_1 of a multiple of MULTIPLE and a time t (all geometry by our ops;
g is a backward warp, bilinear, its border repeated; cat joins channels; flows are in pixels of the picture):

    E_0, E_1 = encode(I_0), encode(I_1)                             once a frame, in a quarter of the size
    W = the ways of the pair at t, on that grid (stages/interpolate/ways.py): F_0, F_1 = by_a a_to + (1 - by_a) b_to
    D = (b_to_a - a_to_a, b_to_b - a_to_b), how far both searches differ;  M = log((1 - t) / t)
    for each correcting block k with its shrink s (8, 4, 2):
        x = g(I_0, F_0), g(I_1, F_1) shrunk to 1/s, with t, M, (F_0, F_1) / s
        block 0 is given cat(x, by_a, D / 4, g(E_0, F_0), g(E_1, F_1)), others cat(x, feature)
        flow, mask, feature = block k(...)
        (F_0, F_1) = (F_0, F_1) + s flow;  M = M + mask      on the grid of 1/s, flows on that or 1/4, which is finer
    six ways, on the grid of 1/2: a_to_a, a_to_b, b_to_a, b_to_b, F_0, F_1; to I_0 and to I_1 by turns
    w, residual = join(cat(the six pictures along them shrunk to 1/2, by_a, t, M, (F_0, F_1) / 2, feature))
    I_t = the sum of w_k times what lies along way k, + residual          in full size, in one pass (ops.compose)

The last weighs the six anew for each place, beginning with the weights that the search gives them (and M, to the two
that are corrected). What is carried is brought to the next grid bilinearly, without aligned corners or smoothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..engines.network import Part, Port
from ..errors import CheckpointError
from .family import Family, Graph, Recognised, State
from .fitting import fitted, shape_of
from .ifnet import Residual

__all__ = ["FAST", "JOINED", "SHRINKS", "Block", "Encoder", "Fast", "Join", "Sizes"]

SHRINKS = (8, 4, 2)  # of the blocks that correct
MULTIPLE = 32  # the coarsest shrink, whose block halves its input twice
_WITHIN, _JOIN_WITHIN = 4, 2  # how much blocks, and the join, shrink what they are given once more
_COMMON = 3 + 3 + 1 + 1 + 4  # both pictures, time, mask, flows
_FIRST = 1 + 4  # by_a and D
_TOLD = 5  # channels of a block's output that are flows and mask
JOINED = 2  # the shrink of the join
_WEIGHTS, _RESIDUAL = 6, 3
_SEEN = _WEIGHTS * 3  # of the pictures that are joined
_JOINS = _SEEN + 1 + 1 + 1 + 4  # and by_a, time, mask, flows
_HALF = 0.5  # of all weight that the corrected pictures begin with
_LEAST = 1e-3  # of weight that any begins with
_MOST = 20.0  # of the logarithm of what a weight is multiplied by


class Sizes:
    """Channels of the blocks and the join, their layers, features handed on, features of the encoder."""

    def __init__(self, widths: Sequence[int], layers: Sequence[int], feature: int, seen: int) -> None:
        self.widths, self.layers = tuple(widths), tuple(layers)
        self.feature, self.seen = feature, seen

    def inputs(self, block: int) -> int:
        if block == len(SHRINKS):
            return _JOINS + self.feature
        return _COMMON + (self.feature if block else _FIRST + 2 * self.seen)

    def outputs(self, block: int) -> int:
        return _WEIGHTS + _RESIDUAL if block == len(SHRINKS) else _TOLD + self.feature


class _Body(nn.Module):
    """x (n, inputs, h, w) to (n, outputs, h, w), by way of 1/within of the size, of which h and w are multiples."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int, within: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(
            nn.Conv2d(inputs, width // 2, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 3, within // 2, 1),
            nn.LeakyReLU(0.2),
        )
        self.convblock = nn.Sequential(*(Residual(width) for _ in range(layers)))
        self.lastconv = nn.Sequential(nn.Conv2d(width, within**2 * outputs, 1), nn.PixelShuffle(within))
        last: Any = self.lastconv[0]  # silent at first: training begins at the search
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def told(self, x: Tensor) -> Any:
        return self.lastconv(self.convblock(self.conv0(x)))


class Block(_Body):
    """To flow (n, 4, h, w) in pixels of x, mask (n, 1, h, w) and feature."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int) -> None:
        super().__init__(inputs, width, layers, outputs, _WITHIN)

    def forward(self, x: Tensor) -> tuple[Any, Any, Any]:
        out = self.told(x)
        return out[:, :4], out[:, 4:_TOLD], out[:, _TOLD:]


class Join(_Body):
    """To weights (n, 6, h, w), which add up to 1, and residual (n, 3, h, w)."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int) -> None:
        super().__init__(inputs, width, layers, outputs, _JOIN_WITHIN)

    def forward(self, x: Tensor) -> tuple[Any, Any]:
        out = self.told(x)
        by_a, t, mask = (x[:, k : k + 1] for k in range(_SEEN, _SEEN + 3))
        share = torch.sigmoid(mask)
        searched = [by_a * (1 - t), by_a * t, (1 - by_a) * (1 - t), (1 - by_a) * t]
        begun = torch.cat([(1 - _HALF) * w for w in searched] + [_HALF * share, _HALF * (1 - share)], 1)
        weights = (begun + _LEAST) * torch.exp(out[:, :_WEIGHTS].clamp(-_MOST, _MOST))
        return weights / weights.sum(1, keepdim=True), out[:, _WEIGHTS:]


class Encoder(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, h and w multiples of 4, to features (n, seen, h / 4, w / 4)."""

    def __init__(self, seen: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 2 * seen, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * seen, 2 * seen, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * seen, seen, 3, 1, 1),
        )

    def forward(self, picture: Tensor) -> Any:
        return self.layers(picture)


class Fast(nn.Module):
    """All parts, as they are trained together."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encode = Encoder(sizes.seen)
        for k in range(len(SHRINKS) + 1):
            kind = Block if k < len(SHRINKS) else Join
            made = kind(sizes.inputs(k), sizes.widths[k], sizes.layers[k], sizes.outputs(k))
            self.add_module(f"block{k}" if kind is Block else "join", made)

    def blocks(self) -> list[Any]:
        return [self.get_submodule(f"block{k}") for k in range(len(SHRINKS))]


class _Fast(Family):
    """weights.pth of the task "interpolate": {"family": "fast", "params_ema": state dict of Fast}."""

    name = "fast"

    def matches(self, data: Any, state: State) -> bool:
        return "encode.layers.0.weight" in state and "join.lastconv.0.weight" in state

    def recognise(self, data: Any, state: State) -> Recognised:
        sizes = _sizes(state)
        net = fitted(Fast(sizes), state, "fast")
        graphs = [Graph(net.encode, _encode(sizes.seen))]
        graphs += [Graph(block, _block(k, sizes)) for k, block in enumerate(net.blocks())]
        graphs.append(Graph(net.join, _join(sizes)))
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=tuple(graphs),
            window=(0, 1),
            settings={"shrinks": list(SHRINKS), "joined": JOINED, "multiple": MULTIPLE},
        )


def _sizes(state: State) -> Sizes:
    widths, layers = [], []
    for name in (*(f"block{k}" for k in range(len(SHRINKS))), "join"):
        width = shape_of(state, f"{name}.conv0.2.weight")
        if not width:
            raise CheckpointError(f"fast: {name}.conv0.2.weight is missing; expected blocks 0, 1, 2 and join")
        widths.append(width[0])
        layers.append(sum(1 for key in state if key.startswith(f"{name}.convblock.") and key.endswith(".beta")))
    feature = (shape_of(state, "block0.lastconv.0.weight") or (_WITHIN**2 * (_TOLD + 8),))[0] // _WITHIN**2 - _TOLD
    return Sizes(widths, layers, feature, (shape_of(state, "encode.layers.4.weight") or (8,))[0])


def _encode(seen: int) -> Part:
    features = Port("features", (1, seen, "h/4", "w/4"), "features", (-1.0, 1.0))
    return Part("encode", (Port("picture", (1, 3, "h", "w")),), (features,), multiple=4)


def _block(k: int, sizes: Sizes) -> Part:
    x = Port("x", (1, sizes.inputs(k), "h", "w"), "features", (-1.0, 1.0))
    outputs = (
        Port("flow", (1, 4, "h", "w"), "flow", (-8.0, 8.0)),
        Port("mask", (1, 1, "h", "w"), "features", (-8.0, 8.0)),
        Port("feature", (1, sizes.feature, "h", "w"), "features", (-1.0, 1.0)),
    )
    return Part(f"block{k}", (x,), outputs, multiple=_WITHIN)


def _join(sizes: Sizes) -> Part:
    x = Port("x", (1, sizes.inputs(len(SHRINKS)), "h", "w"), "features", (0.0, 1.0))
    weights = Port("weights", (1, _WEIGHTS, "h", "w"), "mask")
    residual = Port("residual", (1, _RESIDUAL, "h", "w"), "features", (-0.5, 0.5))
    return Part("join", (x,), (weights, residual), multiple=_JOIN_WITHIN)


FAST = _Fast()
