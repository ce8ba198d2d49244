"""The family "fast": new frames along our own dense search, judged and sharpened by one small network.

A picture fetched along a flow is blurred by the fetching itself: bilinear interpolation takes away detail, of each axis
by its own part of a pixel, and where ways disagree their mean takes more. And what a search takes for motion may stand
still. The network sees the pictures as they were fetched, and says for each place how much detail to give back, and how
far to believe that anything moved. (Bilinear kernels as low-pass filters: Thevenaz, Blu and Unser, "Interpolation
Revisited", IEEE TMI 2000; refining what warps give by a network after them: Niklaus and Liu, CVPR 2018.)

What lies around it, for pictures I_0 and I_1 of a multiple of MULTIPLE and a time t (all geometry by our ops; g is a
backward warp, bilinear, its border repeated; cat joins channels; flows are in pixels of the picture):

    H_0, H_1 = I_0, I_1 in half their size                         once a frame
    W = the ways of the pair at t (stages/interpolate/ways.py), on the grid of 1/2: four flows and by_a
    x = cat(H_0 and H_1 by turns along the four / 2, H_0, H_1, by_a, t, the four flows)
    still, gains = refine(x)
    w = (1 - still) cat(by_a (1 - t), by_a t, (1 - by_a) (1 - t), (1 - by_a) t), still (1 - t), still t
    P = the sum of w_k times I_0 or I_1 along way k; the last two not moved at all     in full size (ops.compose)
    I_t = sharpen(P, gains)                                                            in full size (ops.sharpen)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..engines.network import Part, Port
from ..errors import CheckpointError
from .family import Family, Graph, Recognised, State
from .fitting import fitted, shape_of
from .ifnet import Residual

__all__ = ["FAST", "GAINS", "INPUTS", "MULTIPLE", "REDUCED", "Refine"]

REDUCED = 2  # what it sees is in 1/2 of the size
MULTIPLE = 2 * REDUCED  # it halves what it is given once
INPUTS = 12 + 6 + 1 + 1 + 8
GAINS = 3  # of ops.sharpen: across, down, around
_KNOWN = 7 + 8 + 3 + 3 + 3  # differences, parts of a pixel, by_a, t and still light, motion, the picture
_LEAST = 4e-3  # of 1: differences below one level of 255 tell little
_SOFTER = 0.3  # of gains below 0 that is given
_MOST = 0.5  # gain that is given: more overshoots where ways do not agree
_DOUBT = 5.0  # logits by which what moves is believed at first


class Refine(nn.Module):
    """x (n, INPUTS, h, w), h and w even, to still (n, 1, h, w), 0..1, and gains (n, GAINS, h, w).

    Of what it is given it first finds how far pictures differ, in logarithms, and by what parts of a pixel they were
    moved; then come convolutions in half of the size. Squares of errors ask for blur wherever the network is not sure;
    an eye does not. So it learns with gains as they are, and when it no longer learns gives less of those below 0, and
    none beyond a limit.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(_KNOWN, width, 3, 2, 1),
            nn.LeakyReLU(0.2),
            *(Residual(width) for _ in range(layers)),
        )
        self.last = nn.Sequential(nn.Conv2d(width, 4 * (1 + GAINS), 1), nn.PixelShuffle(2))
        told: Any = self.last[0]  # silent at first: training begins at the search
        nn.init.zeros_(told.weight)
        nn.init.zeros_(told.bias)

    def forward(self, x: Tensor) -> tuple[Any, Any]:
        out = self.last(self.head(_known(x)))
        still, gains = torch.sigmoid(out[:, :1] - _DOUBT), out[:, 1:]
        if not self.training:
            gains = functional.leaky_relu(gains, _SOFTER).clamp(-_MOST, _MOST)
        return still, gains


def _known(x: Tensor) -> Tensor:
    a_to_a, a_to_b, b_to_a, b_to_b, first, second = (x[:, 3 * k : 3 * k + 3] for k in range(6))
    by_a, t, ways = x[:, 18:19], x[:, 19:20], x[:, 20:28]
    by_b = 1 - by_a
    one, two = (1 - t) * a_to_a + t * a_to_b, (1 - t) * b_to_a + t * b_to_b
    made, unmoved = by_a * one + by_b * two, (1 - t) * first + t * second
    around = functional.avg_pool2d(made, 3, 1, 1, count_include_pad=False)
    pairs = ((a_to_a, a_to_b), (b_to_a, b_to_b), (one, two), (a_to_a, b_to_a), (a_to_b, b_to_b), (made, unmoved))
    apart = [_apart(*pair) for pair in (*pairs, (made, around))]
    mean = by_a * ways[:, :4] + by_b * ways[:, 4:]
    parts = (ways - torch.round(ways)).abs() * 4 - 1
    told = [4 * by_a - 2, 4 * t - 2, _apart(first, second)]
    return torch.cat([*apart, parts, *told, *_motion(mean, ways), 2 * made - 1], 1)


def _motion(mean: Tensor, ways: Tensor) -> list[Tensor]:
    """How far from the first picture to the second, and how far both searches are apart at either."""
    whole, apart = mean[:, 2:] - mean[:, :2], ways[:, 4:] - ways[:, :4]
    return [torch.log1p(v.abs().sum(1, keepdim=True)) for v in (whole, apart[:, :2], apart[:, 2:])]


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """The logarithm of the mean difference of colours, about -1.5 to 4."""
    return torch.log((a - b).abs().mean(1, keepdim=True) + _LEAST) + 4


class _Fast(Family):
    """weights.pth of the task "interpolate": {"family": "fast", "params_ema": state dict of Refine}."""

    name = "fast"

    def matches(self, data: Any, state: State) -> bool:
        head = shape_of(state, "head.0.weight")
        return head is not None and len(head) == 4 and head[1] == _KNOWN and "last.0.weight" in state

    def recognise(self, data: Any, state: State) -> Recognised:
        width = shape_of(state, "head.0.weight")
        if not width:
            raise CheckpointError("fast: head.0.weight is missing")
        layers = sum(1 for key in state if key.startswith("head.") and key.endswith(".beta"))
        net = fitted(Refine(width[0], layers), state, "fast")
        x = Port("x", (1, INPUTS, "h", "w"), "features", (0.0, 1.0))
        still = Port("still", (1, 1, "h", "w"), "mask")
        gains = Port("gains", (1, GAINS, "h", "w"), "features", (-1.0, 1.0))
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=(Graph(net, Part("refine", (x,), (still, gains), multiple=2)),),
            window=(0, 1),
            settings={"reduced": REDUCED, "multiple": MULTIPLE},
        )


FAST = _Fast()
