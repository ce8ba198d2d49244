"""Super SloMo: one U-Net for the flows between two frames, another for flows and visibility at any time between.

Source: Jiang et al., "Super SloMo: High Quality Estimation of Multiple Intermediate Frames for Video Interpolation",
CVPR 2018; weights and layout of github.com/avinashpaliwal/Super-SloMo (MIT), file SuperSloMo.ckpt.

What lies between the parts, for pictures I_0 and I_1 and a time t (all geometry by our ops):

    F_01, F_10 = flow(I_0, I_1)                                  once a pair
    F_t0, F_t1 = ops.flows_at(F_01, F_10, t)
    dF_t0, dF_t1, V = synthesis(I_0, I_1, F_01, F_10, F_t1, F_t0, g(I_1, F_t1), g(I_0, F_t0))
    I_t = ((1 - t) V g(I_0, F_t0 + dF_t0) + t (1 - V) g(I_1, F_t1 + dF_t1)) / ((1 - t) V + t (1 - V))

g is a backward warp, bilinear, that gives the mean (settings["mean"]) outside the picture. It samples column
(x + u) (w - 1) / w and row (y + v) (h - 1) / h of a picture of w x h: the program it was trained with divided by the
size where the edge-to-edge grid of its PyTorch (0.4.1) asks for the size less one.

A checkpoint of ours has no part "flow" (settings["searched"]): motion is what our own search finds, and the other part
sees it in half the size, H_0 and H_1, as ways (stages/interpolate/ways.py) tell it of t: W_0, each picture's flow to
the first one, W_1 to the second, and by_a, how far to believe the first picture's. It says gains of sharpening too:

    F_t0, F_t1, g_0, g_1 = W_0, W_1, g(H_0, W_0), g(H_1, W_1), what both pictures tell mixed by by_a
    dF_t0, dF_t1, V, G = synthesis(H_0, H_1, F_01, F_10, F_t1, F_t0, g_1, g_0)
    P = the sum, by by_a, of what both tell: ((1 - t) V g(I_0, W_0 + dF_t0) + t (1 - V) g(I_1, W_1 + dF_t1)) / (same)
    I_t = sharpen(P, G)

g there samples where it is told to, the border repeated. Flows are in pixels of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from ..engines.network import Part, Port
from .family import Family, Graph, Recognised, State
from .fitting import fitted, shape_of

__all__ = ["GAINS", "MULTIPLE", "REDUCED", "SUPERSLOMO", "FlowBetween", "Synthesis", "UNet"]

MEAN = (0.429, 0.431, 0.397)  # of R, G and B in the training frames, taken off before both networks
MULTIPLE = 32
REDUCED = 2  # where motion is searched: what the network sees is in 1/2 of the size
GAINS = 3  # of ops.sharpen
_SLOPE = 0.1  # gains below 0 blur, which squares of errors ask for and an eye does not: a tenth of them too
_MOST = 0.5  # gain that is given
_STATES = ("state_dictFC", "state_dictAT")
_SIZES = ((6, 4), (20, 5))  # channels in and out
_DEPTH = 5


def _pair(first: int, hidden: int, outputs: int, size: int) -> nn.Module:
    """Two convolutions, by the names the checkpoint gives them."""
    pair = nn.Module()
    pair.conv1 = nn.Conv2d(first, outputs, size, padding=size // 2)
    pair.conv2 = nn.Conv2d(hidden, outputs, size, padding=size // 2)
    return pair


class UNet(nn.Module):
    """The U-Net of both parts: inputs (n, channels, h, w), h and w multiples of 32, to (n, outputs, h, w).

    widths  channels at full size and after each of the five halvings: 32, 64, 128, 256, 512, 512

    LeakyReLU follows every convolution, the last one too: negative flow is a tenth of what the last convolution says.
    """

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, widths[0], 7, padding=3)
        self.conv2 = nn.Conv2d(widths[0], widths[0], 7, padding=3)
        for i, (a, b) in enumerate(pairwise(widths), 1):
            self.add_module(f"down{i}", _pair(a, b, b, 5 if i == 1 else 3))
        upward = (widths[-1], *reversed(widths[:-1]))
        for i, (a, b) in enumerate(pairwise(upward), 1):
            self.add_module(f"up{i}", _pair(a, 2 * b, b, 3))
        self.conv3 = nn.Conv2d(widths[0], outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        x = _active(self.conv2, _active(self.conv1, x))
        skipped = []
        for i in range(1, _DEPTH + 1):
            skipped.append(x)
            down = self.get_submodule(f"down{i}")
            x = _active(down.conv2, _active(down.conv1, avg_pool2d(x, 2)))
        for i in range(1, _DEPTH + 1):
            up = self.get_submodule(f"up{i}")
            x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = _active(up.conv2, torch.cat([_active(up.conv1, x), skipped.pop()], 1))
        return _active(self.conv3, x)


def _active(layer: Any, x: Tensor) -> Tensor:
    return leaky_relu(layer(x), _SLOPE)


class _Part(nn.Module):
    """A U-Net that is given pictures as they are: zero padding is in units less the mean, so that is taken off here,
    not by the first convolution's bias."""

    mean: Tensor

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))


class FlowBetween(_Part):
    """Part "flow": two pictures (n, 3, h, w), RGB 0..1, to F_01 and F_10 (n, 2, h, w) in pixels, x first."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        flows = self.net(torch.cat([a - self.mean, b - self.mean], 1))
        return flows[:, :2], flows[:, 2:]


class Synthesis(_Part):
    """Part "synthesis": both pictures, F_01, F_10, F_t1, F_t0, I_1 and I_0 warped by the latter two, to what is to be
    added to F_t0 and to F_t1 (n, 2, h, w each), and V (n, 1, h, w), 0..1: how far I_0 is to be believed. A U-Net with
    GAINS more outputs gives those too (n, GAINS, h, w)."""

    def forward(
        self,
        a: Tensor,
        b: Tensor,
        forward: Tensor,
        backward: Tensor,
        to_b: Tensor,
        to_a: Tensor,
        from_b: Tensor,
        from_a: Tensor,
    ) -> tuple[Tensor, ...]:
        mean = self.mean
        flows = (forward, backward, to_b, to_a)
        out = self.net(torch.cat([a - mean, b - mean, *flows, from_b - mean, from_a - mean], 1))
        told = (out[:, :2], out[:, 2:4], torch.sigmoid(out[:, 4:5]))
        if self.net.conv3.out_channels == _SIZES[1][1]:
            return told
        gains = out[:, _SIZES[1][1] :]
        return *told, gains if self.training else gains.clamp(-_MOST, _MOST)


class _SuperSloMo(Family):
    """SuperSloMo.ckpt: a dict with two state dicts of 46 tensors, beside figures of its training. Ours, which say their
    family, have the second alone."""

    name = "superslomo"

    def matches(self, data: Any, state: State) -> bool:
        needed = _STATES[1:] if isinstance(data, Mapping) and data.get("family") == self.name else _STATES
        return isinstance(data, Mapping) and all(isinstance(data.get(name), Mapping) for name in needed)

    def recognise(self, data: Any, state: State) -> Recognised:
        searched = not isinstance(data.get(_STATES[0]), Mapping)
        a, b, from_b, from_a = (Port(name, (1, 3, "h", "w")) for name in ("a", "b", "from_b", "from_a"))
        forward, backward, to_b, to_a, more_a, more_b = (
            Port(name, (1, 2, "h", "w"), "flow", (-32.0, 32.0))
            for name in ("forward", "backward", "to_b", "to_a", "more_to_a", "more_to_b")
        )
        visible = Port("visible", (1, 1, "h", "w"), "mask")
        gains = Port("gains", (1, GAINS, "h", "w"), "features", (-1.0, 1.0))
        inputs, outputs = _SIZES[1]
        told = (more_a, more_b, visible, gains) if searched else (more_a, more_b, visible)
        net = _unet(data[_STATES[1]], inputs, outputs + (GAINS if searched else 0), f"Super SloMo, {_STATES[1]}")
        part = Part("synthesis", (a, b, forward, backward, to_b, to_a, from_b, from_a), told, MULTIPLE)
        graphs = [Graph(Synthesis(net).eval(), part)]
        if not searched:
            first = FlowBetween(_unet(data[_STATES[0]], *_SIZES[0], f"Super SloMo, {_STATES[0]}"))
            graphs.insert(0, Graph(first.eval(), Part("flow", (a, b), (forward, backward), MULTIPLE)))
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=tuple(graphs),
            window=(0, 1),
            settings={"searched": True, "reduced": REDUCED, "multiple": REDUCED * MULTIPLE}
            if searched
            else {"mean": list(MEAN), "searched": False},
        )


def _unet(state: State, inputs: int, outputs: int, what: str) -> UNet:
    names = ["conv1.weight", *(f"down{i}.conv1.weight" for i in range(1, _DEPTH + 1))]
    published = (32, 64, 128, 256, 512, 512)
    widths = tuple((shape_of(state, name) or (w,))[0] for name, w in zip(names, published, strict=True))
    return fitted(UNet(inputs, outputs, widths), state, what)


SUPERSLOMO = _SuperSloMo()
