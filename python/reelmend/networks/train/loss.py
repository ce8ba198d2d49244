"""How far a result is from the truth: Charbonnier, L1 or L2, of RGB and, if wanted, of luma beside it; or Laplacian."""

from __future__ import annotations

import torch
from torch.nn import functional

from .recipe import Loss

__all__ = ["distance", "laplacian"]

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


def laplacian(made: torch.Tensor, truth: torch.Tensor, levels: int = 4) -> torch.Tensor:
    """The mean absolute difference of the levels of Laplacian pyramids, the k-th weighted 2^k, and of what is left.

    Bojanowski et al., "Optimizing the Latent Space of Generative Networks", ICML 2018.
    """
    rest = made - truth
    total = rest.new_zeros(())
    for k in range(levels):
        if min(rest.shape[2:]) < 8:
            break
        coarse = functional.avg_pool2d(rest, 2)
        fine = rest - functional.interpolate(coarse, size=rest.shape[2:], mode="bilinear", align_corners=False)
        total = total + 2**k * fine.abs().mean()
        rest = coarse
    return total + 2**levels * rest.abs().mean() / 4


def _mean(difference: torch.Tensor, loss: Loss) -> torch.Tensor:
    if loss.kind == "l1":
        return difference.abs().mean()
    squares = difference * difference
    return squares.mean() if loss.kind == "l2" else torch.sqrt(squares + loss.epsilon**2).mean()
