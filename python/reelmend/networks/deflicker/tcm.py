"""TCM, the temporal consistency of BlazeBVD: what is left to change from frame to frame is taken away.

A light recurrent network on the small picture: forward only, so a stream needs no future. Of the past it takes gains
only, never pixels: where it trusts the past frame, moved along the motion, light is brought to that of the past.

Source: Qiu et al., ECCV 2024 (arXiv 2403.06243), section 3.3, which builds on Wan et al., "Bringing Old Films Back to
Life", CVPR 2022; this one predicts gains and a trust map in place of pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .gfrm import act, conv

__all__ = ["FLOOR", "SEEN", "STATE", "Tcm"]

STATE = 16  # channels carried from frame to frame
SEEN = 3 + 3 + 1 + 3  # RGB now, of the past moved here, whether there is one, RGB of the next moved here
FLOOR = 0.04  # of light in logarithms
_LEFT = 0.3  # the most that is added to the logarithm of light beyond the past's


class Tcm(nn.Module):
    """One frame: seen (n, SEEN, h, w), h and w even, and state (n, STATE, h/2, w/2), the past's moved here.

    change  (n, 3, h/2, w/2): what is added to the logarithm of light
    state   (n, STATE, h/2, w/2): for the next frame
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.enter = conv(SEEN + 6 + STATE, width)
        self.deep1, self.deep2 = conv(width, width), conv(width, width)
        self.out = conv(width, 5)
        self.gate = nn.Conv2d(width, 2 * STATE, 1)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([0.0] * 3 + [-1.0, -2.0]))

    def forward(self, seen: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        seen = functional.avg_pool2d(seen, 2)
        now, past, known, following = seen[:, :3], seen[:, 3:6], seen[:, 6:7], seen[:, 7:]
        light = torch.log(now.clamp(min=0) + FLOOR)
        apart = (torch.log(past.clamp(min=0) + FLOOR) - light) * known
        ahead = torch.log(following.clamp(min=0) + FLOOR) - light
        a = act(self.enter(torch.cat([seen, apart, ahead, state], 1)))
        a = a + act(self.deep2(act(self.deep1(a))))
        out = self.out(a)
        trust = torch.sigmoid(out[:, 3:])
        change = trust[:, :1] * around(apart) + trust[:, 1:] * around(ahead) + _LEFT * torch.tanh(out[:, :3])
        gate, new = self.gate(a).chunk(2, 1)
        gate = torch.sigmoid(gate)
        return change, gate * state + (1 - gate) * torch.tanh(new)


def around(x: Tensor) -> Tensor:
    """Means over 3 x 3, fewer at the edges."""
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
