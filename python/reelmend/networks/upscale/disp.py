"""DISP: blocks of convolutions and SiLU, nothing else.

Source: entry to the NTIRE 2026 challenge on efficient super-resolution, Amazingren/NTIRE2026_ESR (MIT), team 18.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ...errors import CheckpointError
from ..family import Family, Recognised, State
from ..fitting import fitted
from .common import Fused, convolution, described, filters, upscaling

__all__ = ["DISP", "Disp"]


class _Block(nn.Module):
    """`extra` more convolutions than three; they stand between the second and the last."""

    def __init__(self, width: int, extra: int) -> None:
        super().__init__()
        self._extern_conv_block = nn.ModuleList(Fused(width, width) for _ in range(extra))
        self.c1_r, self.c2_r, self.c3_r = (Fused(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        y = x
        for step in (self.c1_r, self.c2_r, *self._extern_conv_block, self.c3_r):
            y = functional.silu(step(y))
        return y + x


class Disp(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, to (n, 3, scale h, scale w)."""

    def __init__(self, width: int, blocks: int, extra: int, scale: int) -> None:
        super().__init__()
        self.conv_1 = Fused(3, width)
        self.blocks = nn.Sequential(*(_Block(width, extra) for _ in range(blocks)))
        self.conv_2 = nn.Conv2d(width, width, 1)
        self.upsampler = nn.Sequential(convolution(width, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Any:
        entry = self.conv_1(x)
        return self.upsampler(self.conv_2(self.blocks(entry)) + entry)


class _Disp(Family):
    """Keys conv_1.eval_conv.*, blocks.N._extern_conv_block.K.eval_conv.*, blocks.N.c1_r.eval_conv.*, conv_2.*."""

    name = "disp"

    def matches(self, data: Any, state: State) -> bool:
        return {"conv_1.eval_conv.weight", "blocks.0.c1_r.eval_conv.weight", "conv_2.weight"} <= state.keys()

    def recognise(self, data: Any, state: State) -> Recognised:
        width, colours = filters(state, "conv_1.eval_conv.weight", "DISP")
        if colours != 3:
            raise CheckpointError(f"DISP: takes {colours} channels; expected 3 (RGB)")
        scale = upscaling(state, "upsampler.0.weight", "DISP")
        blocks = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        extra = sum(1 for name in state if name.startswith("blocks.0._extern") and name.endswith(".weight"))
        module = fitted(Disp(width, blocks, extra, scale), state, "DISP")
        return described(self.name, module, scale, radius=1 + blocks * (3 + extra) + 1)


DISP = _Disp()
