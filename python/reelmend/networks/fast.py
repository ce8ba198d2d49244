"""The family "fast": new frames along our own dense search, judged and sharpened by one small network.

A picture fetched along a flow is blurred by the fetching itself: bilinear interpolation takes away detail, of each axis
by its own part of a pixel, and where ways disagree their mean takes more. And what a search takes for motion may stand
still. The network sees the pictures as they were fetched, and says for each place how much detail to give back, and how
far to believe that anything moved. (Bilinear kernels as low-pass filters: Thevenaz, Blu and Unser, "Interpolation
Revisited", IEEE TMI 2000; refining what warps give by a network after them: Niklaus and Liu, CVPR 2018.)

It judges a pair once, as seen half way between, and is told the ways of each time after that: what it found moves on
with the pictures.

What lies around its parts, for pictures I_0 and I_1 of a multiple of MULTIPLE and a time t (all geometry by our ops; g
is a backward warp, bilinear, its border repeated; cat joins channels; flows are in pixels of the picture):

    H_0, H_1 = I_0, I_1 in half their size                         once a frame
    M, W = the ways of the pair at 1/2 and at t (stages/interpolate/ways.py): four flows and by_a each
    H = cat(H_0 and H_1 by turns along the four of M / 2, H_0, H_1)
    S = judge(H, by_a of M, the four flows of M), in a quarter of the size      once a pair
    S_t = g(S, (1/2 - t) (a_to_b - a_to_a) / 4), flows mixed by by_a; S where t is 1/2
    still, gains = refine(S_t, cat(by_a of W, t, the four flows of W)), in a quarter of the size
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
from .fitting import fitted, shape_of, within
from .ifnet import Residual

__all__ = ["FAST", "GAINS", "MULTIPLE", "REDUCED", "TOLD", "Fast", "Judge", "Refine"]

REDUCED = 2  # what it sees is in 1/2 of the size
MULTIPLE = 2 * REDUCED  # it halves what it is given once
TOLD = 1 + 1 + 8
GAINS = 3  # of ops.sharpen: across, down, around
# What it takes of the six pictures, each times so many halves: six differences, the third of which is that of what both
# searches make; what the second makes; what does not move. Mixed by by_a there are two more differences.
_OF_PICTURES = (
    (2, -2, 0, 0, 0, 0),
    (0, 0, 2, -2, 0, 0),
    (1, 1, -1, -1, 0, 0),
    (2, 0, -2, 0, 0, 0),
    (0, 2, 0, -2, 0, 0),
    (0, 0, 0, 0, 2, -2),
    (0, 0, 1, 1, 0, 0),
    (0, 0, 0, 0, 1, 1),
)
_DIFFERENCES = 6
_APART = _DIFFERENCES + 2
_PARTS = 8  # of a pixel, by which pictures are moved: where those are halves, bilinear interpolation blurs most
_KNOWN = _APART + _PARTS + 1 + 3 + 3  # differences, parts, by_a, motion, the picture
_HIDDEN = 32
_LEAST = 4e-3  # of 1: differences below one level of 255 tell little
_SOFTER = 0.3  # of gains below 0 that is given
_MOST = 0.5  # gain that is given: more overshoots where ways do not agree
_DOUBT = 5.0  # logits by which what moves is believed at first


class Judge(nn.Module):
    """Part "judge": six pictures (n, 18, h, w), by_a (n, 1, h, w) and four ways (n, 8, h, w), h and w even, to what it
    thinks of them (n, width, h / 2, w / 2).

    Of what it is given it first finds how far pictures differ, in logarithms; then come convolutions in half of the
    size.
    """

    mixtures: Tensor
    means: Tensor

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(_KNOWN, width, 3, 2, 1),
            nn.LeakyReLU(0.2),
            *(Residual(width) for _ in range(layers)),
        )
        # one convolution takes all differences, another the means of their colours: less work than each by itself
        mixtures = torch.kron(torch.tensor(_OF_PICTURES) / 2, torch.eye(3))
        self.register_buffer("mixtures", mixtures[:, :, None, None], persistent=False)
        means = torch.kron(torch.eye(_APART), torch.full((1, 3), 1 / 3))
        self.register_buffer("means", means[:, :, None, None], persistent=False)

    def forward(self, pictures: Tensor, by_a: Tensor, ways: Tensor) -> Any:
        return self.head(self.known(pictures, by_a, ways))

    def known(self, pictures: Tensor, by_a: Tensor, ways: Tensor) -> Tensor:
        """(n, _KNOWN, h, w): logarithms of mean differences of colours, about -1.5 to 4; parts of a pixel; by_a; how
        far things move; the picture."""
        mixed = functional.conv2d(pictures, self.mixtures)
        apart, second, unmoved = mixed.split((3 * _DIFFERENCES, 3, 3), 1)
        made = second + by_a * apart[:, 6:9]
        around = functional.avg_pool2d(made, 3, 1, 1, count_include_pad=False)
        apart = functional.conv2d(torch.cat([apart, made - unmoved, made - around], 1).abs(), self.means)
        told = [4 * by_a - 2, _motion(by_a, ways), 2 * made - 1]
        return torch.cat([torch.log(apart + _LEAST) + 4, _parts(ways), *told], 1)


def _parts(ways: Tensor) -> Tensor:
    """How far from whole pixels ways lead, -1 for 0 to 1 for a half."""
    return (ways - torch.round(ways)).abs() * 4 - 1


def _motion(by_a: Tensor, ways: Tensor) -> Tensor:
    """How far from the first picture to the second, and how far both searches are apart at either, in logarithms."""
    apart = ways[:, :4] - ways[:, 4:]
    mean = ways[:, 4:] + by_a * apart
    vectors = torch.cat([mean[:, 2:] - mean[:, :2], apart], 1).abs()
    return torch.log1p(vectors[:, ::2] + vectors[:, 1::2])


class Refine(nn.Module):
    """Part "refine": what the other part thinks (n, width, h, w), and by_a, t and the four ways of a time (n, TOLD, h,
    w), to still (n, 1, h, w), 0..1, and gains (n, GAINS, h, w). Each place by itself: by what parts of a pixel pictures
    are moved there.

    Squares of errors ask for blur wherever the network is not sure; an eye does not. So it learns with gains as they
    are, and when it no longer learns gives less of those below 0, and none beyond a limit.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tell = nn.Sequential(
            nn.Conv2d(width + 2 + _PARTS, _HIDDEN, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(_HIDDEN, _HIDDEN, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(_HIDDEN, 1 + GAINS, 1),
        )
        last: Any = self.tell[-1]  # silent at first: training begins at the search
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, judged: Tensor, told: Tensor) -> tuple[Any, Any]:
        out = self.tell(torch.cat([judged, 4 * told[:, :2] - 2, _parts(told[:, 2:])], 1))
        still, gains = torch.sigmoid(out[:, :1] - _DOUBT), out[:, 1:]
        if not self.training:
            gains = functional.leaky_relu(gains, _SOFTER).clamp(-_MOST, _MOST)
        return still, gains


class Fast(nn.Module):
    """Both parts as one module, to be trained; what lies between them is the trainer's."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.judge = Judge(width, layers)
        self.refine = Refine(width)


class _Fast(Family):
    """weights.pth of the task "interpolate": {"family": "fast", "params_ema": state dict of Fast}."""

    name = "fast"

    def matches(self, data: Any, state: State) -> bool:
        return "refine.tell.0.weight" in state and any(name.startswith("judge.head.") for name in state)

    def recognise(self, data: Any, state: State) -> Recognised:
        strange = [name for name in state if not name.startswith(("judge.", "refine."))]
        if strange:
            raise CheckpointError(f"fast: left over: {', '.join(strange[:6])}")
        judge, refine = within(state, "judge."), within(state, "refine.")
        width = shape_of(judge, "head.0.weight")
        if not width:
            raise CheckpointError("fast: judge.head.0.weight is missing")
        layers = sum(1 for key in judge if key.endswith(".beta"))
        pictures = Port("pictures", (1, 18, "h", "w"))
        by_a = Port("by_a", (1, 1, "h", "w"), "mask")
        ways = Port("ways", (1, 8, "h", "w"), "flow", (-16.0, 16.0))
        taken = Port("judged", (1, width[0], "h", "w"), "features", (-1.0, 1.0))
        told = Port("told", (1, TOLD, "h", "w"), "features", (-4.0, 4.0))
        still = Port("still", (1, 1, "h", "w"), "mask")
        gains = Port("gains", (1, GAINS, "h", "w"), "features", (-1.0, 1.0))
        thought = Port("judged", (1, width[0], "h/2", "w/2"), "features", (-1.0, 1.0))
        first = fitted(Judge(width[0], layers), judge, "fast, judge")
        second = fitted(Refine(width[0]), refine, "fast, refine")
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=(
                Graph(first, Part("judge", (pictures, by_a, ways), (thought,), multiple=2)),
                Graph(second, Part("refine", (taken, told), (still, gains))),
            ),
            window=(0, 1),
            settings={"reduced": REDUCED, "multiple": MULTIPLE},
        )


FAST = _Fast()
