"""MegaDepth's hourglass: how far away things are in one picture.

Source: Li and Snavely, "MegaDepth: Learning Single-View Depth Prediction from Internet Photos", CVPR 2018; the network
of Chen et al., "Single-Image Depth Perception in the Wild", NIPS 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Depth", "hourglass"]

_SMALL = (3, 5, 7)
_LARGE = (3, 7, 11)


def _normed(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    """A convolution, normalised by fixed statistics without a learned gain, and ReLU."""
    return [
        nn.Conv2d(inputs, outputs, size, padding=size // 2),
        nn.BatchNorm2d(outputs, affine=False),
        nn.ReLU(),
    ]


class _Joined(nn.Sequential):
    """All children see the same input; their results become the channels."""

    def forward(self, x: Tensor) -> Any:
        return torch.cat([child(x) for child in self], 1)


class _Added(nn.Sequential):
    """All children see the same input; their results are added."""

    def forward(self, x: Tensor) -> Any:
        return reduce(torch.add, [child(x) for child in self])


def _inception(inputs: int, each: int, hidden: int, sizes: Sequence[int]) -> _Joined:
    """Four ways through, of `each` channels: one of a single pixel, three of these sizes."""
    ways = [nn.Sequential(*_normed(inputs, hidden, 1), *_normed(hidden, each, size)) for size in sizes]
    return _Joined(nn.Sequential(*_normed(inputs, each, 1)), *ways)


def _both(*branches: Sequence[nn.Module]) -> nn.Sequential:
    """Branches added, in the nesting that gives the checkpoint's names."""
    return nn.Sequential(_Added(*(nn.Sequential(*branch) for branch in branches)))


def hourglass() -> nn.Sequential:
    """A picture (n, 3, h, w), RGB 0..1, multiples of 16, to the logarithm of depth (n, 1, h, w), up to a constant."""

    def wide(count: int) -> list[nn.Module]:
        return [_inception(256, 64, 32, _SMALL) for _ in range(count)]

    def up() -> nn.Module:
        return nn.UpsamplingNearest2d(scale_factor=2)

    level4 = _both(wide(2), [nn.AvgPool2d(2), *wide(3), up()])
    level3 = _both(
        [*wide(1), _inception(256, 64, 64, _LARGE)],
        [nn.AvgPool2d(2), *wide(2), level4, *wide(1), _inception(256, 64, 64, _LARGE), up()],
    )
    level2 = _both(
        [
            nn.MaxPool2d(2),
            _inception(128, 32, 32, _SMALL),
            _inception(128, 64, 32, _SMALL),
            level3,
            _inception(256, 64, 32, _SMALL),
            _inception(256, 32, 32, _SMALL),
            up(),
        ],
        [_inception(128, 32, 32, _SMALL), _inception(128, 32, 64, _LARGE)],
    )
    level1 = _both(
        [
            nn.MaxPool2d(2),
            _inception(128, 32, 32, _SMALL),
            _inception(128, 32, 32, _SMALL),
            level2,
            _inception(128, 32, 64, _SMALL),
            _inception(128, 16, 32, _LARGE),
            up(),
        ],
        [_inception(128, 16, 64, _LARGE)],
    )
    first = [nn.Conv2d(3, 128, 7, padding=3), nn.BatchNorm2d(128), nn.ReLU()]
    return nn.Sequential(*first, level1, nn.Conv2d(64, 1, 3, padding=1))


class Depth(nn.Module):
    """Part "depth": a picture to the logarithm of its depth, and to the weight that DAIN gives each pixel, 1e-6 + 1 /
    depth; both (n, 1, h, w)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> tuple[Any, Any]:
        depth = self.net(picture)
        return depth, 1e-6 + torch.exp(-depth)
