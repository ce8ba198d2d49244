"""DAIN, slim: its own networks with few channels, and a small depth network; flow comes from elsewhere.

A checkpoint has the names of best.pth; "slimDepth." stands in the place of the hourglass, and "flownets." is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from .depth import Depth
from .frames import Context, Kernels, Synthesis, context_channels

__all__ = ["Slim", "SlimDepth", "renamed"]

_BILINEAR = (5, 6, 9, 10)  # the taps of a bilinear warp: of each quadrant, the one next to where the flow leads
_DILATIONS = (1, 2, 4, 1)
# Its submodules, by what a checkpoint calls them.
_NAMES = {"depth.net.": "slimDepth.", "context.": "ctxNet.", "kernels.": "", "synthesis.": "rectifyNet."}


class SlimDepth(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, multiples of 4, to the logarithm of depth (n, 1, h, w), up to a constant: by
    convolutions of a width in a quarter of the size, which see 64 pixels around."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (3, *[width] * (len(_DILATIONS) - 1), 1)
        for k, dilation in enumerate(_DILATIONS):
            self.add_module(f"conv{k}", nn.Conv2d(channels[k], channels[k + 1], 3, 1, dilation, dilation))

    def forward(self, picture: Tensor) -> Any:
        x = self.get_submodule("conv0")(avg_pool2d(picture, 4))
        for k in range(1, len(_DILATIONS)):
            x = self.get_submodule(f"conv{k}")(relu(x))
        return interpolate(x, scale_factor=4.0, mode="bilinear", align_corners=False)


class Slim(nn.Module):
    """The parts "depth", "context", "kernels" and "synthesis" as one module, to be trained; what lies between them is
    the trainer's. Untrained it mixes two bilinear warps: all is as far away, taps are those of such a warp, and nothing
    is added.

    context, synthesis, depth  channels of their layers
    kernels    channels of its layers: two of full size, and after each of the first four halvings
    residual   residual blocks of the synthesis
    size       of the kernel of its first convolution, odd. The public one's 7 would be most of all the work
    """

    def __init__(
        self,
        context: int = 8,
        kernels: Sequence[int] = (8, 16, 24, 32, 32, 32),
        synthesis: int = 24,
        depth: int = 8,
        residual: int = 3,
        size: int = 3,
    ) -> None:
        super().__init__()
        self.depth = Depth(SlimDepth(depth))
        self.context = Context(context)
        self.kernels = Kernels(kernels)
        self.synthesis = Synthesis(context_channels(context), synthesis, residual, size)
        heads = self.kernels.initScaleNets_filter1[2], self.kernels.initScaleNets_filter2[2]
        last = self.synthesis.get_submodule(f"block{self.synthesis.last}.0")
        with torch.no_grad():
            for layer in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # the default fades over so many layers
                if layer.bias is not None:
                    layer.bias.zero_()
            for layer in (self.depth.get_submodule(f"net.conv{len(_DILATIONS) - 1}"), *heads, last):
                layer.weight.zero_()
                layer.bias.zero_()
            for layer in heads:
                layer.bias[list(_BILINEAR)] = 1

    def state(self) -> dict[str, Tensor]:
        """Its weights by the names of best.pth, as a checkpoint has them."""
        return {renamed(name): tensor for name, tensor in self.state_dict().items()}


def renamed(name: str) -> str:
    """What a checkpoint calls a tensor of Slim."""
    own, public = next((own, public) for own, public in _NAMES.items() if name.startswith(own))
    return public + name.removeprefix(own)
