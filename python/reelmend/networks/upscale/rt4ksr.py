"""RT4KSR: real-time super-resolution on a grid of half the size.

Source: Zamfir, Conde and Timofte, "Towards Real-Time 4K Image Super-Resolution", CVPR 2023 workshops;
github.com/eduardzamfir/RT4KSR (Apache-2.0), model "rtsrn_rep".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import CheckpointError
from ..family import Family, Recognised, State
from ..fitting import fitted
from .common import convolution, described, filters, folded, upscaling

__all__ = ["RT4KSR", "Rt4ksr"]

_SHUFFLE = 2


class _Norm(nn.Module):
    """Every pixel's channels brought to mean 0 and variance 1, then scaled and shifted: layer norm over channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Any:
        x = x - x.mean(1, keepdim=True)
        x = x / ((x * x).mean(1, keepdim=True) + 1e-6).sqrt()
        return x * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _Norm(width)
        self.conv1 = convolution(width, width)

    def forward(self, x: Tensor) -> Any:
        return functional.gelu(self.conv1(self.norm(x)))


class Rt4ksr(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, h and w even, to (n, 3, scale h, scale w)."""

    def __init__(self, width: int, blocks: int, scale: int) -> None:
        super().__init__()
        # 3 x 3 on the small grid, whose channels are a pixel's neighbours, is 6 x 6 in steps of 2 on the picture
        self.head = nn.Conv2d(3, width, 3 * _SHUFFLE, _SHUFFLE, _SHUFFLE)
        self.body = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.tail = nn.Sequential(_Norm(width), convolution(width, width))
        grid = _SHUFFLE * scale
        self.upsample = nn.Sequential(convolution(width, 3 * grid**2), nn.PixelShuffle(grid))

    def forward(self, x: Tensor) -> Any:
        return self.upsample(self.tail(self.body(self.head(x))))


def _folded(state: State) -> dict[str, Any]:
    """A state in which every residual block of convolutions is the one convolution that it amounts to.

    Trained: e = 1 x 1 of x; the 3 x 3 of e, plus e; 1 x 1 of that, plus x. Around the picture e is its own bias.
    """
    out = {n: t for n, t in state.items() if not any(step in n for step in (".expand_", ".fea_", ".reduce_"))}
    for name in [n.removesuffix(".expand_conv.weight") for n in state if n.endswith(".expand_conv.weight")]:
        steps = (f"{name}.expand_conv", f"{name}.fea_conv", f"{name}.reduce_conv")
        weight, bias = folded(state, steps, skip=True, what="RT4KSR")
        weight[:, :, 1, 1] += torch.eye(weight.shape[0], dtype=weight.dtype)
        out[f"{name}.weight"], out[f"{name}.bias"] = weight.float(), bias.float()
    head = out.pop("head.0.weight")  # inputs: colour, then row, then column in the square of pixels
    head = head.view(-1, 3, _SHUFFLE, _SHUFFLE, 3, 3).permute(0, 1, 4, 2, 5, 3)
    out["head.weight"] = head.reshape(-1, 3, 3 * _SHUFFLE, 3 * _SHUFFLE)
    return {n.replace(".rep_conv.", ".").replace("head.0.", "head."): t for n, t in out.items()}


class _Rt4ksr(Family):
    """Keys gamma, head.0.*, hfb.0.expand_conv.*, body.N.conv1.expand_conv.*, tail.0.*, upsample.0.*.

    `hfb` and `gamma` belong to a branch of high frequencies that the published networks ("forget=False") do not run;
    gamma stays 0 in training then. With another gamma the branch was trained, and the file is refused.
    """

    name = "rt4ksr"

    def matches(self, data: Any, state: State) -> bool:
        body = ("body.0.conv1.expand_conv.weight", "body.0.conv1.rep_conv.weight")
        return {"head.0.weight", "body.0.norm.weight", "upsample.0.weight"} <= state.keys() and any(
            name in state for name in body
        )

    def recognise(self, data: Any, state: State) -> Recognised:
        width, inputs = filters(state, "head.0.weight", "RT4KSR")
        if inputs != 3 * _SHUFFLE**2:
            raise CheckpointError(f"RT4KSR: its first convolution takes {inputs} channels; expected {3 * _SHUFFLE**2}")
        if "gamma" in state and bool((state["gamma"] != 0).any()):
            raise CheckpointError(
                f"RT4KSR: gamma is {state['gamma'].flatten()[0]:.3g}, so it was trained with its branch of high "
                "frequencies, which is not supported; expected 0"
            )
        scale = upscaling(state, "upsample.0.weight", "RT4KSR", _SHUFFLE)
        given = {n: t for n, t in state.items() if n != "gamma" and not n.startswith("hfb.")}
        blocks = len({name.split(".")[1] for name in given if name.startswith("body.")})
        module = fitted(Rt4ksr(width, blocks, scale), _folded(given), "RT4KSR")
        # head, blocks, tail and upsample see one pixel each way on the small grid, and a pixel is 2 wide there
        radius = _SHUFFLE * (blocks + 3) + _SHUFFLE - 1
        return described(self.name, module, scale, radius, multiple=_SHUFFLE)


RT4KSR = _Rt4ksr()
