"""IFNet of RIFE 4.0 to 4.26: blocks from coarse to fine, each of which adds to the flows from a time to both frames.

Source: Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022; the versions of
github.com/hzwer/Practical-RIFE (MIT), file flownet.pkl.

What lies between the parts, for pictures I_0 and I_1 of a multiple of settings["multiple"] and a time t (all geometry
by our ops; g is a backward warp, bilinear, its border repeated; cat joins channels):

    E_0, E_1 = encode(I_0), encode(I_1)                          where there is that part; once a frame
    for each block k with its scale s (settings["scales"]):
        x = cat(I_0, I_1, E_0, E_1, t)                           for block 0
        x = cat(g(I_0, F_0), g(I_1, F_1), g(E_0, F_0), g(E_1, F_1), t, M, feature)          for the others
        x = x shrunk to 1/s, bilinear without aligned corners;   for the others, cat(x, (F_0, F_1) shrunk / s)
        flow, mask, feature = block k(x)
        all three enlarged to the picture's size, bilinear; flow times its enlargement
        (F_0, F_1) = flow for block 0, else (F_0, F_1) + flow
        M = M + mask if settings["adds_masks"], else mask
    I_t = m g(I_0, F_0) + (1 - m) g(I_1, F_1), m = 1 / (1 + exp(-M))

t is a plane of that value, and feature is there only where settings["feature"] > 0. Block outputs are as large as x, or
half that where settings["halved"]: their enlargement is s, or 2 s. Versions 4.0 and 4.1 began again with doubled scales
where a flow exceeded 32 pixels; that is left to the chain.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..engines.network import Part, Port
from ..errors import CheckpointError
from .family import Family, Graph, Recognised, State
from .fitting import fitted, shape_of, within

__all__ = ["IFNET", "Block", "Encoder", "Residual"]

_LAYERS = 8
_MOST = 5  # blocks
_TOLD = 5  # channels of a block's output that are the flows and the mask
_IMAGES = 7  # two pictures and a time


def _layer(inputs: int, outputs: int, stride: int, learned: bool) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.PReLU(outputs) if learned else nn.LeakyReLU(0.2))


class Residual(nn.Module):
    """A convolution whose result, times a learned factor a channel, is added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))
        self.relu = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Any:
        return self.relu(self.conv(x) * self.beta + x)


class Block(nn.Module):
    """A block: x (n, inputs, h, w), h and w multiples of 4, to flow (n, 4, ...), mask (n, 1, ...) and, where carried,
    feature (n, outputs - 5, ...), all of x's size, or of half that size with kinds "prelu" and "leaky".

    kind  "prelu": 4.0 and 4.1; "leaky": 4.2 to 4.4; "residual": from 4.5 on
    """

    def __init__(self, inputs: int, width: int, outputs: int, kind: str, carried: bool) -> None:
        super().__init__()
        self.kind, self.carried = kind, carried
        learned = kind == "prelu"
        self.conv0 = nn.Sequential(_layer(inputs, width // 2, 2, learned), _layer(width // 2, width, 2, learned))
        self.convblock = nn.Sequential(
            *(Residual(width) if kind == "residual" else _layer(width, width, 1, learned) for _ in range(_LAYERS))
        )
        if kind == "residual":
            self.lastconv: nn.Module = nn.Sequential(
                nn.ConvTranspose2d(width, 4 * outputs, 4, 2, 1), nn.PixelShuffle(2)
            )
        else:
            self.lastconv = nn.ConvTranspose2d(width, outputs, 4, 2, 1)

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        seen = self.conv0(x)
        deep = self.convblock(seen)
        out = self.lastconv(deep + seen if self.kind == "prelu" else deep)
        told = (out[:, :4], out[:, 4:_TOLD])
        return (*told, out[:, _TOLD:]) if self.carried else told


class Encoder(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, h and w even, to features (n, outputs, h, w). From 4.13 on by this layout;
    4.7 to 4.12 have the same layers, or the first and last, in one sequence."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.cnn0 = nn.Conv2d(3, width, 3, 2, 1)
        self.cnn1 = nn.Conv2d(width, width, 3, 1, 1)
        self.cnn2 = nn.Conv2d(width, width, 3, 1, 1)
        self.cnn3 = nn.ConvTranspose2d(width, outputs, 4, 2, 1)
        self.relu = nn.LeakyReLU(0.2)

    def forward(self, picture: Tensor) -> Any:
        x = self.relu(self.cnn0(picture))
        x = self.relu(self.cnn1(x))
        return self.cnn3(self.relu(self.cnn2(x)))


def _encoder(state: State) -> tuple[nn.Module, int] | None:
    """The definition that fits, and its output channels; None for versions without one."""
    if "cnn0.weight" in state:
        outputs = (shape_of(state, "cnn3.weight") or (0, 8))[1]
        return Encoder(state["cnn0.weight"].shape[0], outputs), outputs
    if "0.weight" not in state:
        return None
    width = state["0.weight"].shape[0]
    steps: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1)]
    if "1.weight" not in state:
        for _ in range(2):
            steps += [nn.LeakyReLU(0.2), nn.Conv2d(width, width, 3, 1, 1)]
        steps.append(nn.LeakyReLU(0.2))
    outputs = (shape_of(state, f"{len(steps)}.weight") or (0, 8))[1]
    return nn.Sequential(*steps, nn.ConvTranspose2d(width, outputs, 4, 2, 1)), outputs


class _IFNet(Family):
    """flownet.pkl: a plain state dict, "module." before every name."""

    name = "ifnet"

    def matches(self, data: Any, state: State) -> bool:
        return all(f"block{k}.conv0.0.0.weight" in state for k in range(3)) and "block0.conv0.1.0.weight" in state

    def recognise(self, data: Any, state: State) -> Recognised:
        blocks = [within(state, f"block{k}.") for k in range(_MOST)]
        blocks = blocks[: next((k for k, block in enumerate(blocks) if not block), _MOST)]
        kind = _kind(blocks[0])
        last = "lastconv.0.weight" if kind == "residual" else "lastconv.weight"
        needed = [f"block{k}.{n}" for k in range(len(blocks)) for n in ("conv0.0.0.weight", "conv0.1.0.weight", last)]
        missing = [name for name in needed if name not in state]
        if missing:
            raise CheckpointError(f"IFNet: missing {', '.join(missing[:3])}; expected a file of RIFE 4.0 to 4.26")
        encode = within(state, "encode.")
        encoder = _encoder(encode)
        extra = 2 * (encoder[1] if encoder else 0)
        outputs = shape_of(blocks[0], last)[1] // (4 if kind == "residual" else 1)
        feature = blocks[1]["conv0.0.0.weight"].shape[1] - (_IMAGES + _TOLD) - extra
        group = _group(kind, len(blocks), outputs, encode, feature)
        widths = [block["conv0.1.0.weight"].shape[0] for block in blocks]
        scales = [16, 8, 4, 2, 1] if len(blocks) == _MOST else [8, 4, 2, 1]
        if len(blocks) == _MOST and widths[0] >= 8 * widths[-1]:  # 192 to 24; others end with 32
            group, scales = "4.25.lite", [32, 16, 8, 4, 1]
        graphs = []
        if encoder is not None:
            module = fitted(encoder[0], encode, f"RIFE {group}, encode")
            features = Port("features", (1, encoder[1], "h", "w"), "features", (-1.0, 1.0))
            graphs.append(Graph(module, Part("encode", (Port("picture", (1, 3, "h", "w")),), (features,), 2)))
        for k, (block, width) in enumerate(zip(blocks, widths, strict=True)):
            inputs = _IMAGES + extra + (feature + _TOLD if k else 0)
            net = fitted(Block(inputs, width, outputs, kind, feature > 0), block, f"RIFE {group}, block{k}")
            graphs.append(Graph(net, _part(k, inputs, outputs - _TOLD if feature else 0, kind)))
        known = ("encode", *(f"block{k}" for k in range(len(blocks))))
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=tuple(graphs),
            window=(0, 1),
            settings={
                "version": group,
                "scales": scales,
                "multiple": 4 * scales[0],
                "adds_masks": encoder is None,
                "feature": feature,
                "halved": kind != "residual",
                "unused": sorted({name.partition(".")[0] for name in state} - set(known)),
            },
        )


def _kind(block: State) -> str:
    if "convblock.0.beta" in block:
        return "residual"
    return "prelu" if "convblock.0.1.weight" in block else "leaky"


def _group(kind: str, blocks: int, outputs: int, encode: State, feature: int) -> str:
    """The versions that have this structure; they differ in widths and weights alone."""
    plain = not encode and feature == 0
    if blocks == 4 and plain and outputs == _TOLD:
        return {"prelu": "4.0-4.1", "leaky": "4.2-4.4", "residual": "4.5"}[kind]
    if blocks == 4 and plain and kind == "residual" and outputs == 6:
        return "4.6"
    if blocks == 4 and encode and feature == 0 and kind == "residual" and outputs == 6:
        return "4.13-4.20, 4.24" if "cnn0.weight" in encode else "4.7-4.9" if "1.weight" in encode else "4.10-4.12"
    if encode and feature == outputs - _TOLD > 1 and kind == "residual" and blocks in (4, 5):
        return "4.21-4.23" if blocks == 4 else "4.25-4.26"
    raise CheckpointError(
        f"an IFNet of {blocks} blocks ({kind}) with {outputs} outputs, {feature} channels handed on and "
        f"{'an' if encode else 'no'} encoder is of no version that is known; expected RIFE 4.0 to 4.26"
    )


def _part(k: int, inputs: int, feature: int, kind: str) -> Part:
    rows, columns = ("h", "w") if kind == "residual" else ("h/2", "w/2")
    outputs = [
        Port("flow", (1, 4, rows, columns), "flow", (-8.0, 8.0)),
        Port("mask", (1, 1, rows, columns), "features", (-8.0, 8.0)),
    ]
    if feature:
        outputs.append(Port("feature", (1, feature, rows, columns), "features", (-1.0, 1.0)))
    x = Port("x", (1, inputs, "h", "w"), "features", (-1.0, 1.0))
    return Part(f"block{k}", (x,), tuple(outputs), multiple=4)


IFNET = _IFNet()
