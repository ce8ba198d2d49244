"""SPANv2: SPAN with a learned attention, without biases.

Source: the Xiaomi team's entry to the NTIRE 2026 challenge on efficient super-resolution, Amazingren/NTIRE2026_ESR
(MIT), team 22. Its fused CUDA operator "span_attention" is (x + f) (conv1x1(f)), written out here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import CheckpointError
from ..family import Family, Recognised, State
from ..fitting import fitted
from .common import convolution, described, filters, upscaling

__all__ = ["SPANV2", "SpanV2"]

_BLOCKS = 5


class _Named(nn.Module):
    """A convolution under the name `conv`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Any:
        return self.conv(x)


class _Block(nn.Module):
    """Three convolutions; where as many channels leave as came, times a map of guidance made from them."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = _Named(inputs, width), _Named(width, width), _Named(width, width)
        self.guidance_map_conv = nn.Conv2d(width, width, 1) if inputs == width else None

    def forward(self, x: Tensor) -> Any:
        f = self.c3(functional.relu(self.c2(functional.relu(self.c1(x)))))
        return functional.relu(f) if self.guidance_map_conv is None else (x + f) * self.guidance_map_conv(f)


class SpanV2(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, to (n, 3, scale h, scale w)."""

    def __init__(self, width: int, scale: int) -> None:
        super().__init__()
        pixels = 3 * scale**2
        self.block_1 = _Block(3, width)
        for i in range(2, _BLOCKS + 1):
            self.add_module(f"block_{i}", _Block(width, width))
        self.conv_near = convolution(3, pixels, bias=False, groups=3)
        self.depthwise_conv = convolution(pixels + width, pixels + width, bias=False, groups=pixels + width)
        self.pointwise_conv = nn.Conv2d(pixels + width, pixels, 1, bias=False)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Any:
        near = self.conv_near(x)
        for i in range(1, _BLOCKS + 1):
            x = self.get_submodule(f"block_{i}")(x)
        return self.shuffle(self.pointwise_conv(self.depthwise_conv(torch.cat([near, x], 1))))


class _SpanV2(Family):
    """Keys block_1.c1.conv.weight ..., block_2.guidance_map_conv.*, conv_near, depthwise_conv, pointwise_conv."""

    name = "spanv2"

    def matches(self, data: Any, state: State) -> bool:
        return {"block_1.c1.conv.weight", "conv_near.weight", "depthwise_conv.weight"} <= state.keys()

    def recognise(self, data: Any, state: State) -> Recognised:
        width, colours = filters(state, "block_1.c1.conv.weight", "SPANv2")
        if colours != 3:
            raise CheckpointError(f"SPANv2: takes {colours} channels; expected 3 (RGB)")
        scale = upscaling(state, "pointwise_conv.weight", "SPANv2")
        module = fitted(SpanV2(width, scale), state, "SPANv2")
        return described(self.name, module, scale, radius=3 * _BLOCKS + 1)


SPANV2 = _SpanV2()
