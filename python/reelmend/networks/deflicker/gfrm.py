"""GFRM, the global flicker removal of BlazeBVD: one frame at a time, light that is wrong over the whole picture.

Two variants:
GridGfrm   ours: sees a small copy of the frame and its priors, answers with tone curves and a grid of gains that
           ops.map_tones applies at full size. Nothing is blurred, and the cost hardly depends on the picture's size.
UNetGfrm   the paper's: a U-Net from RGB and the filtered illumination map (repeated to three channels) to RGB.

Source: Qiu et al., "BlazeBVD: Make Scale-Time Equalization Great Again for Blind Video Deflickering", ECCV 2024
(arXiv 2403.06243), section 3.2; channels of the U-Net from its supplement.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...stages.deflicker.trust import BLACK, CERTAIN, EVEN, GRAY, NOISE, SETS

__all__ = ["KNOTS", "GridGfrm", "UNetGfrm", "toned"]

KNOTS = 9  # of a curve, even over 0..1
_CURVE, _GAIN = 0.35, 0.7  # the most that is added to a value, and that a gain changes it by
_NEAR = 10  # of the planes that stages.deflicker.priors makes
_STILL = 0.03  # deviation of luma from which a place counts half
_LITTLE = 3e-3  # share of the picture that tells little
SLOPE = 0.1


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def act(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


class GridGfrm(nn.Module):
    """(n, planes, rows, columns), rows and columns multiples of 4, and (n, tones) to curves and gains.

    curves  (n, 3, KNOTS): what the curves of R, G, B add at even points of 0..1
    gains   (n, 3, rows / 2, columns / 2): by what part of it the value that a curve gives is changed
    """

    def __init__(self, planes: int, tones: int, width: int = 32) -> None:
        super().__init__()
        w, deep, ranks = width, 2 * width, 6 * width
        # what is about the whole picture is a picture of one pixel: of matrix products not every builder knows fp32
        self.ranks1, self.ranks2 = nn.Conv2d(tones, ranks, 1), nn.Conv2d(ranks, ranks, 1)
        self.film = nn.Conv2d(ranks, 2 * deep, 1)
        self.enter = conv(planes, w, 2)
        self.same = conv(w, w)
        self.down = conv(w, deep, 2)
        self.deep1, self.deep2 = conv(deep, deep), conv(deep, deep)
        self.back = nn.Conv2d(deep, w, 1)
        self.up = conv(w, w)
        self.out = conv(w, 3)
        self.join = nn.Conv2d(ranks + 2 * deep + 6 * KNOTS, ranks, 1)
        self.curve = nn.Conv2d(ranks, 3 * KNOTS, 1)
        self.believe = nn.Conv2d(ranks, 3 * KNOTS, 1)
        for last in (self.out, self.curve):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, grid: Tensor, tones: Tensor) -> tuple[Tensor, Tensor]:
        t = act(self.ranks2(act(self.ranks1(tones[:, :, None, None]))))
        scale, shift = self.film(t).chunk(2, 1)
        a = act(self.same(act(self.enter(grid))))
        b = act(self.down(a))
        b = b * (1 + scale) + shift
        b = b + act(self.deep2(act(self.deep1(b))))
        pooled = torch.cat([b.mean((2, 3), keepdim=True), b.amax((2, 3), keepdim=True)], 1)
        c = act(self.up(a + functional.interpolate(self.back(b), scale_factor=2.0, mode="nearest")))
        gains = _GAIN * torch.tanh(self.out(c))
        still, sure = steady(grid)
        told = torch.cat([10 * still.flatten(1), sure.flatten(1)], 1)[:, :, None, None]
        joined = act(self.join(torch.cat([t, pooled, told], 1)))
        believed = torch.sigmoid(self.believe(joined)).view(-1, 3, KNOTS) * still
        curves = _CURVE * torch.tanh(self.curve(joined)).view(-1, 3, KNOTS)
        return believed + curves * drifts(tones), gains


def drifts(tones: Tensor) -> Tensor:
    """Whether light is added in the window and not multiplied: (n, 3, 1), 0..1. Then black moves nearly as far as gray.

    Where it is, what is black and white in a picture tells by how much; where it is not, those say nothing of light,
    and the look of a film is its own.

    tones  as GridGfrm takes them: of five sets of three channels, the fourth is the least in the window, the fifth the
           greatest
    """
    sets = tones.view(-1, SETS, 3, tones.shape[1] // (3 * SETS))
    moves = sets[:, 4] - sets[:, 3]
    ratio = moves[..., BLACK] / (moves[..., GRAY] + NOISE)
    return torch.sigmoid((ratio - EVEN) / CERTAIN)[:, :, None]


def steady(grid: Tensor) -> tuple[Tensor, Tensor]:
    """What a curve would add if light were that of the frames near, judged by places that stand still.

    grid  as GridGfrm takes it: RGB of the frame first, RGB of the frames near from plane _NEAR on, how much luma
          changes there in the last plane

    (n, 3, KNOTS) of changes, 0 where no place has such light, and how much of the picture tells them, 0..1.
    """
    now, near, changes = grid[:, :3], grid[:, _NEAR : _NEAR + 3], grid[:, -1:]
    knots = torch.arange(KNOTS, dtype=grid.dtype, device=grid.device).view(1, 1, KNOTS, 1, 1)
    share = torch.clamp(1 - torch.abs(now[:, :, None] * (KNOTS - 1) - knots), min=0)
    share = share / (1 + (changes / _STILL) ** 2)[:, :, None]
    told = share.mean((3, 4))
    apart = (share * (near - now)[:, :, None]).mean((3, 4))
    return apart / (told + _LITTLE), told / (told + _LITTLE)


def toned(x: Tensor, curves: Tensor, gains: Tensor) -> Tensor:
    """A picture (n, 3, h, w) after curves and gains, as ops.map_tones applies them; not clamped."""
    at = torch.clamp(x, 0, 1) * (KNOTS - 1)
    low = torch.clamp(at.detach().floor(), max=KNOTS - 2)
    index = low.long().flatten(2)
    a, b = curves.gather(2, index), curves.gather(2, index + 1)
    share = (at - low).flatten(2)
    moved = x + (a + (b - a) * share).view_as(x)
    field = functional.interpolate(gains, x.shape[2:], mode="bilinear", align_corners=False)
    return moved * (1 + field)


class UNetGfrm(nn.Module):
    """(n, 6, h, w), h and w multiples of 16, RGB 0..1 and V~ three times, to RGB (n, 3, h, w)."""

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.down = nn.ModuleList(self._pair(a, b) for a, b in zip((6, *channels), channels, strict=False))
        back = channels[::-1]
        self.shrink = nn.ModuleList(conv(a, b) for a, b in pairwise(back))
        self.up = nn.ModuleList(self._pair(2 * b, b) for b in back[1:])
        self.out = nn.Conv2d(channels[0], 3, 1)

    @staticmethod
    def _pair(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv(inputs, outputs), nn.LeakyReLU(SLOPE), conv(outputs, outputs), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Any:
        kept = []
        y = x
        for k, pair in enumerate(self.down):
            y = pair(functional.max_pool2d(y, 2) if k else y)
            kept.append(y)
        for shrink, pair, skip in zip(self.shrink, self.up, kept[-2::-1], strict=True):
            y = pair(torch.cat([shrink(functional.interpolate(y, scale_factor=2.0, mode="bilinear")), skip], 1))
        return self.out(y)
