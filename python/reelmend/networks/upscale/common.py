"""What the definitions of this room share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...engines.network import Part, Port
from ...errors import CheckpointError
from ..family import Graph, Recognised, State

__all__ = ["Fused", "convolution", "described", "enlarging", "filters", "folded", "upscaling"]


def convolution(inputs: int, outputs: int, bias: bool = True, groups: int = 1) -> nn.Conv2d:
    """3 x 3, as large out as in, zeros around."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias, groups=groups)


class Fused(nn.Module):
    """A convolution under the name that a folded Conv3XC has in checkpoints."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.eval_conv = convolution(inputs, outputs)

    def forward(self, x: Tensor) -> Any:
        return self.eval_conv(x)


def folded(state: State, steps: tuple[str, str, str], skip: bool, what: str) -> tuple[Tensor, Tensor]:
    """Weight (o, i, 3, 3) and bias (o,), float64, of one convolution that does what three do: 1 x 1, 3 x 3, 1 x 1.

    Exact at the borders too, where what the 3 x 3 sees around the picture is what the first gives of zeros, that is,
    its bias.

    steps  their names
    skip   whether what comes into the 3 x 3 is added to what it gives

    Raises CheckpointError naming a tensor that is missing, or the steps if their shapes do not fit each other.
    """
    try:
        (w0, b0), (w1, b1), (w2, b2) = (
            (state[f"{step}.weight"].double(), state[f"{step}.bias"].double()) for step in steps
        )
    except KeyError as error:
        raise CheckpointError(f"{what}: the weights do not fit its definition; missing: {error.args[0]}") from None
    got = [tuple(w.shape) for w in (w0, w1, w2)]
    (inner, inputs), (outer, outputs) = w0.shape[:2], (w1.shape[0], w2.shape[0])
    expected = [(inner, inputs, 1, 1), (outer, inner, 3, 3), (outputs, outer, 1, 1)]
    if got != expected or [len(b) for b in (b0, b1, b2)] != [inner, outer, outputs] or (skip and inner != outer):
        raise CheckpointError(f"{what}: {', '.join(steps)} are {got}; expected 1 x 1, 3 x 3, 1 x 1 that fit each other")
    if skip:
        w1 = w1.clone()
        w1[:, :, 1, 1] += torch.eye(w1.shape[0], dtype=w1.dtype)
    weight = torch.einsum("om,mnyx,ni->oiyx", w2[:, :, 0, 0], w1, w0[:, :, 0, 0])
    return weight, w2[:, :, 0, 0] @ (w1.sum((2, 3)) @ b0 + b1) + b2


def filters(state: State, name: str, what: str) -> tuple[int, int]:
    """Outputs and inputs of a convolution's weights. Raises CheckpointError where they are not there."""
    if name not in state or state[name].ndim != 4:
        got = tuple(state[name].shape) if name in state else "nothing"
        raise CheckpointError(f"{what}: {name} is {got}; expected the weights of a convolution, of 4 dimensions")
    outputs, inputs = state[name].shape[:2]
    return int(outputs), int(inputs)


def upscaling(state: State, name: str, what: str, shuffle: int = 1) -> int:
    """The scale of a network whose last convolution gives 3 colours of each of (shuffle x scale) squared pixels.

    Raises CheckpointError where that is no whole number.
    """
    outputs, _ = filters(state, name, what)
    scale = math.isqrt(outputs // 3) // shuffle
    if scale < 1 or 3 * (shuffle * scale) ** 2 != outputs:
        expected = ", ".join(str(3 * (shuffle * s) ** 2) for s in (1, 2, 3, 4))
        raise CheckpointError(f"{what}: {name} gives {outputs} channels; expected {expected} (RGB at x1 to x4)")
    return scale


def enlarging(scale: int, *, radius: int | None = None, multiple: int = 1, minimum: int = 1) -> Part:
    """The one part of a network from a picture "x" (1, 3, h, w) to "y" (1, 3, scale h, scale w), both RGB, 0..1."""
    size = [f"{scale}*{axis}" if scale > 1 else axis for axis in "hw"]
    return Part(
        name="main",
        inputs=(Port("x", (1, 3, "h", "w")),),
        outputs=(Port("y", (1, 3, *size)),),
        multiple=multiple,
        minimum=minimum,
        radius=radius,
    )


def described(
    family: str,
    module: nn.Module,
    scale: int,
    radius: int,
    multiple: int = 1,
    settings: Mapping[str, Any] | None = None,
) -> Recognised:
    """A network of that one part, that sees `radius` pixels to each side."""
    part = enlarging(scale, radius=radius, multiple=multiple, minimum=multiple)
    return Recognised(family, "upscale", (Graph(module, part),), scale, settings=dict(settings or {}))
