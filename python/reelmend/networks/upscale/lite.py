"""Lite: an upscaler that is fast on a CPU. A few 3x3 convolutions at the size of the input, one shuffle of pixels.

Trained as linear blocks that collapse (Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super
Resolution", MLSys 2022): each convolution is the sum of a plain kernel, of a wide 3x3 followed by 1x1 with nothing
between, and of the identity. Their sum is one 3x3 kernel. It is formed at every step of training, so that training
costs about as much as the small network, and once for all at export.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ...engines.network import Part, Port
from ...errors import CheckpointError, OptionError
from ..family import Family, Graph, Recognised, State
from ..fitting import fitted, shape_of

__all__ = ["LITE", "Collapsible", "Lite", "LiteFamily"]

SLOPE = 0.1  # of the leaky ReLU: with few channels none may die


class Collapsible(nn.Module):
    """A 3x3 convolution, zeros beyond the edges, held as a sum of linear branches.

    kernel = plain + project . expand (+ identity where as many channels go in as out)
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.plain = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.expand = nn.Parameter(torch.empty(width, inputs, 3, 3))
        self.project = nn.Parameter(torch.empty(outputs, width))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.plain, a=SLOPE, nonlinearity="leaky_relu")
        nn.init.kaiming_normal_(self.expand, nonlinearity="linear")
        nn.init.normal_(self.project, std=0.3 / width**0.5)
        if inputs == outputs:
            # the identity already carries the signal
            nn.init.normal_(self.plain, std=0.3 / (9 * inputs) ** 0.5)

    def kernel(self) -> torch.Tensor:
        """(outputs, inputs, 3, 3): the sum of all branches."""
        total = self.plain + torch.einsum("op,pihw->oihw", self.project, self.expand)
        outputs, inputs = self.plain.shape[:2]
        if inputs == outputs:
            identity = torch.eye(outputs, dtype=total.dtype, device=total.device)[:, :, None, None]
            total = total + functional.pad(identity, (1, 1, 1, 1))
        return total

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.kernel(), self.bias, padding=1)

    def folded(self) -> nn.Conv2d:
        """The same as one plain convolution."""
        outputs, inputs = self.plain.shape[:2]
        conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        with torch.no_grad():
            conv.weight.copy_(self.kernel())
            conv.bias.copy_(self.bias)
        return conv


class Lite(nn.Module):
    """Pictures (batch, 3, h, w), RGB 0..1, to (batch, 3, scale*h, scale*w); not clamped.

    channels  of the features, `depth` convolutions that make them, `width` of the wide branches in training
    folded    plain convolutions instead of sums of branches, as for export
    """

    def __init__(
        self, scale: int = 2, channels: int = 16, depth: int = 5, width: int = 128, *, folded: bool = False
    ) -> None:
        super().__init__()
        if min(scale, channels, depth, width) < 1:
            raise OptionError(
                f"Lite: scale {scale}, channels {channels}, depth {depth}, width {width}; expected above 0"
            )
        self.scale, self.channels, self.depth, self.width = scale, channels, depth, width

        def conv(inputs: int, outputs: int) -> nn.Module:
            return nn.Conv2d(inputs, outputs, 3, padding=1) if folded else Collapsible(inputs, outputs, width)

        self.body = nn.ModuleList(conv(3 if k == 0 else channels, channels) for k in range(depth))
        self.tail = conv(channels, 3 * scale * scale)
        if not folded:
            # begins as the repeated input, so that what is learned is only what is missing
            nn.init.zeros_(self.tail.plain)
            nn.init.zeros_(self.tail.project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for conv in self.body:
            y = functional.leaky_relu(conv(y), SLOPE)
        y = self.tail(y) + x.repeat_interleave(self.scale * self.scale, 1)
        return functional.pixel_shuffle(y, self.scale)

    def folded(self) -> Lite:
        """The same network with each sum of branches as one convolution, in eval mode."""
        plain = Lite(self.scale, self.channels, self.depth, self.width, folded=True)
        for mine, its in zip((*self.body, self.tail), (*plain.body, plain.tail), strict=True):
            its.load_state_dict((mine.folded() if isinstance(mine, Collapsible) else mine).state_dict())
        return plain.eval()


class LiteFamily(Family):
    """Checkpoints of `Lite`, with branches as training leaves them."""

    name = "lite"

    def matches(self, data: Any, state: State) -> bool:
        return {"body.0.plain", "body.0.expand", "body.0.project", "tail.plain"} <= set(state)

    def recognise(self, data: Any, state: State) -> Recognised:
        depth = len({name.split(".")[1] for name in state if name.startswith("body.")})
        channels, outputs = shape_of(state, "body.0.plain")[0], shape_of(state, "tail.plain")[0]
        width, scale = shape_of(state, "body.0.expand")[0], math.isqrt(outputs // 3)
        if 3 * scale * scale != outputs or scale < 1:
            raise CheckpointError(f"Lite: tail.plain has {outputs} outputs; expected 3 times the square of a scale")
        network = fitted(Lite(scale, channels, depth, width), state, "Lite").folded()
        part = Part(
            name="main",
            inputs=(Port("x", (1, 3, "h", "w")),),
            outputs=(Port("y", (1, 3, f"{scale}*h", f"{scale}*w")),),
            radius=depth + 1,
        )
        return Recognised(
            family=self.name,
            task="upscale",
            graphs=(Graph(network, part),),
            scale=scale,
            settings={"channels": channels, "depth": depth},
        )


LITE = LiteFamily()
