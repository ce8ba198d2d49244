"""Lite: an upscaler that is fast on a CPU. A few convolutions at the size of the input, one shuffle of pixels.

Trained as linear blocks that collapse (Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super
Resolution", MLSys 2022): each convolution is the sum of a plain kernel, of a wide 3x3 followed by 1x1 with nothing
between, and of the identity. Their sum is one 3x3 kernel. It is formed at every step of training, so that training
costs about as much as the small network, and once for all at export.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ...errors import OptionError
from ..family import Family, Recognised, State
from ..fitting import fitted
from .common import described, filters, upscaling

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


def _bicubic(scale: int) -> torch.Tensor:
    """(3 scale^2, 3, 5, 5): convolution by it, then a shuffle of pixels, is bicubic enlargement (Keys 1981, a = -0.5).

    Output i of a pixel lies (i + 0.5) / scale - 0.5 from its middle, less than half a pixel: the kernel of 4 samples
    never leaves the 5 around.
    """
    line = torch.zeros(scale, 5)
    for i in range(scale):
        for k in range(5):
            d = abs(k - 2 - ((i + 0.5) / scale - 0.5))
            if d < 1:
                line[i, k] = (1.5 * d - 2.5) * d * d + 1
            elif d < 2:
                line[i, k] = ((-0.5 * d + 2.5) * d - 4) * d + 2
    squares = torch.einsum("ik,jl->ijkl", line, line).reshape(scale * scale, 5, 5)
    return torch.einsum("oc,pkl->opckl", torch.eye(3), squares).reshape(3 * scale * scale, 3, 5, 5)


class Lite(nn.Module):
    """Pictures (batch, 3, h, w), RGB 0..1, to (batch, 3, scale*h, scale*w); not clamped.

    Enlargement by a 5x5 kernel for each of the new pixels, bicubic before training, edges repeated; to that the body
    adds what is missing.

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
        self.base = nn.Conv2d(3, 3 * scale * scale, 5, bias=False)
        if not folded:
            with torch.no_grad():
                self.base.weight.copy_(_bicubic(scale))
            nn.init.zeros_(self.tail.plain)
            nn.init.zeros_(self.tail.project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for conv in self.body:
            y = functional.leaky_relu(conv(y), SLOPE)
        plain = self.base(functional.pad(x, (2, 2, 2, 2), mode="replicate"))
        return functional.pixel_shuffle(self.tail(y) + plain, self.scale)

    def folded(self) -> Lite:
        """The same network with each sum of branches as one convolution, in eval mode."""
        plain = Lite(self.scale, self.channels, self.depth, self.width, folded=True)
        for mine, its in zip((*self.body, self.tail), (*plain.body, plain.tail), strict=True):
            its.load_state_dict((mine.folded() if isinstance(mine, Collapsible) else mine).state_dict())
        plain.base.load_state_dict(self.base.state_dict())
        return plain.eval()


class LiteFamily(Family):
    """Checkpoints of `Lite`, with branches as training leaves them."""

    name = "lite"

    def matches(self, data: Any, state: State) -> bool:
        return {"body.0.plain", "body.0.expand", "body.0.project", "tail.plain"} <= set(state)

    def recognise(self, data: Any, state: State) -> Recognised:
        channels, _ = filters(state, "body.0.plain", "Lite")
        width, _ = filters(state, "body.0.expand", "Lite")
        scale = upscaling(state, "tail.plain", "Lite")
        depth = len({name.split(".")[1] for name in state if name.startswith("body.")})
        network = fitted(Lite(scale, channels, depth, width), state, "Lite").folded()
        settings = {"channels": channels, "depth": depth}
        # one pixel each way for each convolution, two for that of the base
        return described(self.name, network, scale, max(2, depth + 1), settings=settings)


LITE = LiteFamily()
