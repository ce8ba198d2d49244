"""DAIN's own networks: kernels for the adaptive warp, context that is warped beside the picture, and the synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu

__all__ = ["DOWN", "TAPS", "Context", "Kernels", "Synthesis", "context_channels"]

TAPS = 16  # 4 x 4
# Convolutions by their place in the public list, which counts ReLU, pooling and enlargement too.
DOWN = (2, 5, 8, 11, 14)  # a pooling follows
_UP = (20, 23, 26, 29, 32)  # an enlargement goes before


def context_channels(width: int) -> int:
    """Of the picture, three layers of a width, and the logarithm of depth."""
    return 3 + 3 * width + 1


class Kernels(nn.Module):
    """Part "kernels": two pictures (n, 3, h, w), RGB 0..1, multiples of 32, to the taps of every pixel for each of
    them, (n, 16, h, w), as ops.adaptive_warp takes them.

    widths  channels of the first two layers, which are of full size, and after the first four halvings
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128, 256, 512)) -> None:
        super().__init__()
        steps = list(pairwise(widths))
        sizes = {0: (6, widths[0]), **dict(zip(DOWN, steps, strict=True)), 17: (widths[-1], widths[-1])}
        sizes |= {k: (b, a) for k, (a, b) in zip(_UP, reversed(steps), strict=True)}
        self.initScaleNets_filter = nn.ModuleDict(
            {str(k): nn.Conv2d(a, b, 3, padding=1) for k, (a, b) in sizes.items()}
        )
        self.initScaleNets_filter1 = _head(widths[0])
        self.initScaleNets_filter2 = _head(widths[0])

    def forward(self, a: Tensor, b: Tensor) -> tuple[Any, Any]:
        layers = self.initScaleNets_filter
        x = relu(layers["0"](torch.cat([a, b], 1)))
        skipped = []
        for k in DOWN:
            x = relu(layers[str(k)](x))
            skipped.append(x)
            x = max_pool2d(x, 2)
        x = relu(layers["17"](x))
        for k in _UP:
            x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False) + skipped.pop()
            x = relu(layers[str(k)](x))
        return self.initScaleNets_filter1(x), self.initScaleNets_filter2(x)


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, TAPS, 3, padding=1))


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.conv2(relu(self.conv1(x))) + x)


class Context(nn.Module):
    """Part "context": a picture (n, 3, h, w), RGB 0..1, and the logarithm of its depth (n, 1, h, w), to the picture,
    what three layers of a width see in it, and the latter: (n, context_channels(width), h, w)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(3, width, 7, padding=3, bias=False), nn.ReLU())
        self.block2 = _Residual(width, 4)
        self.block3 = _Residual(width, 8)

    def forward(self, picture: Tensor, depth: Tensor) -> Any:
        one = self.block1(picture)
        two = self.block2(one)
        return torch.cat([picture, one, two, self.block3(two), depth], 1)


class Synthesis(nn.Module):
    """Part "synthesis": the mixture of both warped pictures, these, the flows from t to both in pixels, both pictures'
    taps, and both warped contexts, to the frame at t (n, 3, h, w): the mixture and what is to be added to it.

    context   channels of a context
    residual  blocks of that kind
    size      of the first convolution's kernel
    """

    def __init__(self, context: int, width: int = 128, residual: int = 3, size: int = 7) -> None:
        super().__init__()
        inputs = 3 * 3 + 2 * 2 + 2 * TAPS + 2 * context
        self.block1 = nn.Sequential(nn.Conv2d(inputs, width, size, padding=size // 2), nn.ReLU())
        self.last = residual + 2
        for k in range(2, self.last):
            self.add_module(f"block{k}", _Residual(width))
        self.add_module(f"block{self.last}", nn.Sequential(nn.Conv2d(width, 3, 3, padding=1)))

    def forward(
        self,
        blend: Tensor,
        from_a: Tensor,
        from_b: Tensor,
        to_a: Tensor,
        to_b: Tensor,
        taps_a: Tensor,
        taps_b: Tensor,
        context_a: Tensor,
        context_b: Tensor,
    ) -> Any:
        x = torch.cat([blend, from_a, from_b, to_a, to_b, taps_a, taps_b, context_a, context_b], 1)
        for k in range(1, self.last + 1):
            x = self.get_submodule(f"block{k}")(x)
        return x + blend
