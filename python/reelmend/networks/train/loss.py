"""How far a result is from the truth: Charbonnier, L1 or L2, of RGB and, if wanted, of luma beside it."""

from __future__ import annotations

import torch

from .recipe import Loss

__all__ = ["distance"]

_LUMA = (0.2126, 0.7152, 0.0722)  # BT.709


def distance(made: torch.Tensor, truth: torch.Tensor, loss: Loss) -> torch.Tensor:
    """The mean loss of pictures (batch, 3, rows, columns), a scalar.

    charbonnier  sqrt(d^2 + epsilon^2), L1 with a rounded foot (Charbonnier et al., ICIP 1994; Lai et al., CVPR 2017)
    luma         adds its weight times the same of .2126 R + .7152 G + .0722 B
    """
    difference = made - truth
    total = _mean(difference, loss)
    if loss.luma > 0:
        weights = torch.tensor(_LUMA, dtype=made.dtype, device=made.device)
        total = total + loss.luma * _mean(torch.einsum("bchw,c->bhw", difference, weights), loss)
    return total


def _mean(difference: torch.Tensor, loss: Loss) -> torch.Tensor:
    if loss.kind == "l1":
        return difference.abs().mean()
    squares = difference * difference
    return squares.mean() if loss.kind == "l2" else torch.sqrt(squares + loss.epsilon**2).mean()
