"""The family "fast": new frames by our own dense search, corrected from coarse to fine by three small blocks.

After IFNet (Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022), whose
blocks begin with no motion at all and must find it; these begin with what the stage has searched already.

What lies between the parts, for pictures I_0 and I_1 of a multiple of MULTIPLE and a time t (all geometry by our ops;
g is a backward warp, bilinear, its border repeated; cat joins channels; flows are in pixels of the picture):

    E_0, E_1 = encode(I_0), encode(I_1)                             once a frame, in a quarter of the size
    W = the ways of the pair at t, on that grid (stages/interpolate/ways.py): F_0, F_1 = by_a a_to + (1 - by_a) b_to
    D = (b_to_a - a_to_a, b_to_b - a_to_b), how far both searches differ;  M = log((1 - t) / t)
    for each block k with its shrink s (4, 2, 1):
        x = g(I_0, F_0), g(I_1, F_1) shrunk to 1/s, with t, M, (F_0, F_1) / s
        block 0 is given cat(x, by_a, D / s, g(E_0, F_0), g(E_1, F_1)), others cat(x, feature enlarged)
        flow, mask, and feature or, of the last, residual = block k(...)
        (F_0, F_1) = (F_0, F_1) + s flow;  M = M + mask                 on the grid of 1/s
    I_t = m g(I_0, F_0) + (1 - m) g(I_1, F_1) + residual, m = 1 / (1 + exp(-M))

What is carried is enlarged to the next grid bilinearly, without aligned corners; shrinking is bilinear too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..engines.network import Part, Port
from ..errors import CheckpointError
from .family import Family, Graph, Recognised, State
from .fitting import fitted, shape_of
from .ifnet import Residual

__all__ = ["FAST", "SHRINKS", "Block", "Encoder", "Fast", "Sizes"]

SHRINKS = (4, 2, 1)
MULTIPLE = 16  # the finest shrink that the first block's input is halved twice after
COMMON = 3 + 3 + 1 + 1 + 4  # both pictures, time, mask, flows
_FIRST = 1 + 4  # by_a and D
_TOLD = 5  # channels of a block's output that are flows and mask
_RESIDUAL = 3


class Sizes:
    """Channels of the blocks, their layers, features handed on, features of the encoder."""

    def __init__(self, widths: Sequence[int], layers: Sequence[int], feature: int, seen: int) -> None:
        self.widths, self.layers = tuple(widths), tuple(layers)
        self.feature, self.seen = feature, seen

    def inputs(self, block: int) -> int:
        return COMMON + (self.feature if block else _FIRST + 2 * self.seen)

    def outputs(self, block: int) -> int:
        return _TOLD + (_RESIDUAL if block == len(SHRINKS) - 1 else self.feature)


class Block(nn.Module):
    """x (n, inputs, h, w), h and w multiples of 4, to flow (n, 4, h, w) in pixels of x, mask (n, 1, h, w), and what is
    left of its outputs."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(
            nn.Conv2d(inputs, width // 2, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 3, 2, 1),
            nn.LeakyReLU(0.2),
        )
        self.convblock = nn.Sequential(*(Residual(width) for _ in range(layers)))
        self.lastconv = nn.Sequential(nn.Conv2d(width, 16 * outputs, 1), nn.PixelShuffle(4))

    def forward(self, x: Tensor) -> tuple[Any, Any, Any]:
        out = self.lastconv(self.convblock(self.conv0(x)))
        return out[:, :4], out[:, 4:_TOLD], out[:, _TOLD:]


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
    """All parts, as they are trained together. Its blocks say nothing at first: training begins at the search."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encode = Encoder(sizes.seen)
        for k in range(len(SHRINKS)):
            block = Block(sizes.inputs(k), sizes.widths[k], sizes.layers[k], sizes.outputs(k))
            last: Any = block.lastconv[0]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.add_module(f"block{k}", block)

    def blocks(self) -> list[Block]:
        return [self.get_submodule(f"block{k}") for k in range(len(SHRINKS))]


class _Fast(Family):
    """weights.pth of the task "interpolate": {"family": "fast", "params_ema": state dict of Fast}."""

    name = "fast"

    def matches(self, data: Any, state: State) -> bool:
        return "encode.layers.0.weight" in state and "block0.lastconv.0.weight" in state

    def recognise(self, data: Any, state: State) -> Recognised:
        net = fitted(Fast(_sizes(state)), state, "fast")
        graphs = [Graph(net.encode.eval(), _encode(shape_of(state, "encode.layers.4.weight")[0]))]
        for k, block in enumerate(net.blocks()):
            inputs, outputs = (
                shape_of(state, f"block{k}.{n}.weight")[axis] for n, axis in (("conv0.0", 1), ("lastconv.0", 0))
            )
            graphs.append(Graph(block.eval(), _part(k, inputs, outputs // 16 - _TOLD)))
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=tuple(graphs),
            window=(0, 1),
            settings={"shrinks": list(SHRINKS), "multiple": MULTIPLE},
        )


def _sizes(state: State) -> Sizes:
    widths, layers = [], []
    for k in range(len(SHRINKS)):
        width = shape_of(state, f"block{k}.conv0.2.weight")
        if not width:
            raise CheckpointError(f"fast: block{k}.conv0.2.weight is missing; expected {len(SHRINKS)} blocks")
        widths.append(width[0])
        layers.append(sum(1 for name in state if name.startswith(f"block{k}.convblock.") and name.endswith(".beta")))
    feature = shape_of(state, "block0.lastconv.0.weight")[0] // 16 - _TOLD
    return Sizes(widths, layers, feature, (shape_of(state, "encode.layers.4.weight") or (8,))[0])


def _encode(seen: int) -> Part:
    features = Port("features", (1, seen, "h/4", "w/4"), "features", (-1.0, 1.0))
    return Part("encode", (Port("picture", (1, 3, "h", "w")),), (features,), multiple=4)


def _part(k: int, inputs: int, rest: int) -> Part:
    x = Port("x", (1, inputs, "h", "w"), "features", (-1.0, 1.0))
    last = "residual" if k == len(SHRINKS) - 1 else "feature"
    outputs = (
        Port("flow", (1, 4, "h", "w"), "flow", (-8.0, 8.0)),
        Port("mask", (1, 1, "h", "w"), "features", (-8.0, 8.0)),
        Port(last, (1, rest, "h", "w"), "features", (-1.0, 1.0)),
    )
    return Part(f"block{k}", (x,), outputs, multiple=4)


FAST = _Fast()
