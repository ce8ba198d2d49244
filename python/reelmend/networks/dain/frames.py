"""DAIN's own networks: kernels for the adaptive warp, context that is warped beside the picture, and the synthesis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu

__all__ = ["CONTEXT", "TAPS", "Context", "Kernels", "Synthesis"]

TAPS = 16  # 4 x 4
CONTEXT = 3 + 3 * 64 + 1  # channels of context, with the logarithm of depth
_INPUTS = 3 * 3 + 2 * 2 + 2 * TAPS + 2 * CONTEXT
# Convolutions by their place in the public list, which counts ReLU, pooling and enlargement too: (inputs, outputs).
_DOWN = {2: (16, 32), 5: (32, 64), 8: (64, 128), 11: (128, 256), 14: (256, 512)}  # a pooling follows
_UP = {20: (512, 256), 23: (256, 128), 26: (128, 64), 29: (64, 32), 32: (32, 16)}  # an enlargement goes before


class Kernels(nn.Module):
    """Part "kernels": two pictures (n, 3, h, w), RGB 0..1, multiples of 32, to the taps of every pixel for each of
    them, (n, 16, h, w), as ops.adaptive_warp takes them."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {0: (6, 16), **_DOWN, 17: (512, 512), **_UP}
        self.initScaleNets_filter = nn.ModuleDict(
            {str(k): nn.Conv2d(a, b, 3, padding=1) for k, (a, b) in sizes.items()}
        )
        self.initScaleNets_filter1 = _head()
        self.initScaleNets_filter2 = _head()

    def forward(self, a: Tensor, b: Tensor) -> tuple[Any, Any]:
        layers = self.initScaleNets_filter
        x = relu(layers["0"](torch.cat([a, b], 1)))
        skipped = []
        for k in _DOWN:
            x = relu(layers[str(k)](x))
            skipped.append(x)
            x = max_pool2d(x, 2)
        x = relu(layers["17"](x))
        for k in _UP:
            x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False) + skipped.pop()
            x = relu(layers[str(k)](x))
        return self.initScaleNets_filter1(x), self.initScaleNets_filter2(x)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, TAPS, 3, padding=1))


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.conv2(relu(self.conv1(x))) + x)


class Context(nn.Module):
    """Part "context": a picture (n, 3, h, w), RGB 0..1, and the logarithm of its depth (n, 1, h, w), to the picture,
    what three layers see in it, and the latter: (n, 196, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(3, 64, 7, padding=3, bias=False), nn.ReLU())
        self.block2 = _Residual(64, 4)
        self.block3 = _Residual(64, 8)

    def forward(self, picture: Tensor, depth: Tensor) -> Any:
        one = self.block1(picture)
        two = self.block2(one)
        return torch.cat([picture, one, two, self.block3(two), depth], 1)


class Synthesis(nn.Module):
    """Part "synthesis": the mixture of both warped pictures, these, the flows from t to both in pixels, both pictures'
    taps, and both warped contexts, to the frame at t (n, 3, h, w): the mixture and what is to be added to it."""

    def __init__(self) -> None:
        super().__init__()
        width = 128
        self.block1 = nn.Sequential(nn.Conv2d(_INPUTS, width, 7, padding=3), nn.ReLU())
        for k in (2, 3, 4):
            self.add_module(f"block{k}", _Residual(width))
        self.block5 = nn.Sequential(nn.Conv2d(width, 3, 3, padding=1))

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
        for k in range(1, 6):
            x = self.get_submodule(f"block{k}")(x)
        return x + blend
