"""LFRM, the local flicker removal of BlazeBVD: what light has clipped is taken from frames that saw it.

The paper fuses the frame with its two neighbours, moved along optical flow and masked by the exposure map, in a network
that makes the pixels. Ours makes weights of the three, zero for the neighbours outside the exposure map; ops.compose
moves and mixes the pixels at full size. What is taken of the past is what was given out, so that what was hidden for
many frames is still remembered.

Source: Qiu et al., ECCV 2024 (arXiv 2403.06243), section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .gfrm import act, conv

__all__ = ["VIEWS", "Lfrm"]

VIEWS = 9 + 2 + 1 + 2  # RGB now, of the past and of the next moved here; lost now (dark, bright), past, next
_REACH = 5  # pixels: what lies beside lost light is touched too
_FAR = -1e4


class Lfrm(nn.Module):
    """(n, VIEWS, h, w), h and w multiples of 4, and (n, 2, 1, 1): whether there are a past and a next, to weights.

    weights  (n, 3, h, w) of now, past and next, summing to 1; 0 for what lost no less than now
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.enter = conv(VIEWS + 4, width)
        self.down = conv(width, 2 * width, 2)
        self.deep1, self.deep2 = conv(2 * width, 2 * width), conv(2 * width, 2 * width)
        self.up = nn.Conv2d(3 * width, width, 1)
        self.out = conv(width, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, views: Tensor, there: Tensor) -> Tensor:
        now, past, following = views[:, :3], views[:, 3:6], views[:, 6:9]
        lost = views[:, 9:11].amax(1, keepdim=True)
        apart = [torch.abs(now - past).mean(1, keepdim=True), torch.abs(now - following).mean(1, keepdim=True)]
        ones = torch.ones_like(lost)
        a = act(self.enter(torch.cat([views, *apart, ones * there[:, :1], ones * there[:, 1:]], 1)))
        b = act(self.down(a))
        b = b + act(self.deep2(act(self.deep1(b))))
        c = act(self.up(torch.cat([functional.interpolate(b, scale_factor=2.0, mode="nearest"), a], 1)))
        score = self.out(c)
        absent = (1 - there) * _FAR
        share = torch.softmax(torch.cat([score[:, :1], score[:, 1:] + absent], 1), 1)
        # a neighbour serves where it lost less: what is white in all of them stays as it is
        other = torch.cat([views[:, 11:12], views[:, 12:14].amax(1, keepdim=True)], 1)
        mask = functional.max_pool2d(torch.clamp(lost - other, 0, 1), _REACH, 1, _REACH // 2)
        mask = functional.avg_pool2d(mask, 3, 1, 1, count_include_pad=False)
        others = share[:, 1:] * mask
        return torch.cat([1 - others.sum(1, keepdim=True), others], 1)
