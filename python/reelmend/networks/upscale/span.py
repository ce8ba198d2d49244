"""SPAN: swift parameter-free attention.

Source: Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPR 2024 workshops;
github.com/hongyuanyu/SPAN (Apache-2.0). Checkpoints come as trained (every convolution as three and a skip) and
folded, as in the NTIRE challenges (Amazingren/NTIRE2026_ESR): both are taken, and both run folded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import CheckpointError
from ..family import Family, Recognised, State
from ..fitting import fitted
from .common import Fused, convolution, described, filters, folded, upscaling

__all__ = ["SPAN", "Span"]

_BLOCKS = 6
RANGE = 255.0  # pictures were trained at 0..255, less their mean
MEAN = (0.4488, 0.4371, 0.4040)


class _Block(nn.Module):
    """Three convolutions whose result, squashed, is their own attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (Fused(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Any, Any]:
        """The block's output, and its first features, activated."""
        first = functional.silu(self.c1_r(x))
        third = self.c3_r(functional.silu(self.c2_r(first)))
        return (third + x) * (torch.sigmoid(third) - 0.5), first


class Span(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, to (n, 3, scale h, scale w).

    centred  the mean is taken off first. It cannot go into the first convolution: that pads with zeros, which are the
             mean then. The factor 255 is in its weights.
    """

    mean: Tensor

    def __init__(self, width: int, scale: int, centred: bool = True) -> None:
        super().__init__()
        self.conv_1 = Fused(3, width)
        for i in range(1, _BLOCKS + 1):
            self.add_module(f"block_{i}", _Block(width))
        self.conv_2 = Fused(width, width)
        self.conv_cat = nn.Conv2d(4 * width, width, 1)
        self.upsampler = nn.Sequential(convolution(width, 3 * scale**2), nn.PixelShuffle(scale))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) if centred else None, persistent=False)

    def forward(self, x: Tensor) -> Any:
        entry = x = self.conv_1(x if self.mean is None else x - self.mean)
        outputs: list[Any] = []
        for i in range(1, _BLOCKS + 1):
            x, first = self.get_submodule(f"block_{i}")(x)
            outputs.append(x)
        # What joins the last block is the *activated* first features: the original activates them in place.
        return self.upsampler(self.conv_cat(torch.cat([entry, self.conv_2(x), outputs[0], first], 1)))


def _folded(state: State) -> dict[str, Any]:
    """A state in which every Conv3XC (three convolutions beside a skip of 1 x 1) is the one that it amounts to."""
    out = {name: tensor for name, tensor in state.items() if ".conv." not in name and ".sk." not in name}
    for name in [n.removesuffix(".conv.0.weight") for n in state if n.endswith(".conv.0.weight")]:
        weight, bias = folded(state, (f"{name}.conv.0", f"{name}.conv.1", f"{name}.conv.2"), skip=False, what="SPAN")
        if f"{name}.sk.weight" not in state or f"{name}.sk.bias" not in state:
            raise CheckpointError(f"SPAN: the weights do not fit its definition; missing: {name}.sk")
        weight[:, :, 1, 1] += state[f"{name}.sk.weight"][:, :, 0, 0]
        out[f"{name}.eval_conv.weight"] = weight.float()
        out[f"{name}.eval_conv.bias"] = (bias + state[f"{name}.sk.bias"]).float()
    return out


class _Span(Family):
    """Keys conv_1.eval_conv.*, block_1.c1_r.eval_conv.* ... conv_cat.*; a key "no_norm" says that no mean is taken."""

    name = "span"

    def matches(self, data: Any, state: State) -> bool:
        return {"conv_1.eval_conv.weight", "block_1.c1_r.eval_conv.weight", "conv_cat.weight"} <= state.keys()

    def recognise(self, data: Any, state: State) -> Recognised:
        width, colours = filters(state, "conv_1.eval_conv.weight", "SPAN")
        if colours != 3:
            raise CheckpointError(f"SPAN: takes {colours} channels; expected 3 (RGB)")
        scale = upscaling(state, "upsampler.0.weight", "SPAN")
        centred = "no_norm" not in state
        given = {name: tensor for name, tensor in _folded(state).items() if name != "no_norm"}
        module = fitted(Span(width, scale, centred), given, "SPAN")
        if centred:
            module.conv_1.eval_conv.weight.data *= RANGE
        radius = 1 + 3 * _BLOCKS + 1 + 1
        return described(self.name, module, scale, radius)


SPAN = _Span()
