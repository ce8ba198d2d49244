"""What makes the input of a picture: reduction by a kernel of choice, blur before it, compression after it.

Pictures are float32 tensors (batch, 3, rows, columns), RGB, 0..1, on any device. What is random is drawn by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

__all__ = ["KERNELS", "blur_matrix", "compress", "resize_matrix", "separable"]

Matrix = npt.NDArray[np.float64]


def _cubic(x: Matrix) -> Matrix:
    """Keys 1981 with a = -0.5."""
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _lanczos(x: Matrix) -> Matrix:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


# A kernel and how far it reaches, in pixels of the coarser of the two grids.
KERNELS: dict[str, tuple[Callable[[Matrix], Matrix], float]] = {
    "area": (lambda x: (np.abs(x) <= 0.5).astype(np.float64), 0.5),
    "bilinear": (lambda x: np.maximum(1 - np.abs(x), 0.0), 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}


@cache
def _resize(kernel: str, old: int, new: int) -> Matrix:
    function, reach = KERNELS[kernel]
    scale = max(old / new, 1.0)
    centre = (np.arange(new) + 0.5) * old / new - 0.5
    distance = (np.arange(old)[None] - centre[:, None]) / scale
    weights = np.where(np.abs(distance) <= reach, function(distance), 0.0)
    matrix: Matrix = weights / weights.sum(1, keepdims=True)
    matrix.setflags(write=False)
    return matrix


def resize_matrix(kernel: str, old: int, new: int) -> Matrix:
    """The (new, old) float64 matrix that resizes a line of samples, centres aligned at both ends.

    A reduction widens the kernel by its ratio (no aliasing); at the edges the weights of what is there are brought
    back to a sum of 1. That is what Pillow does, and MATLAB's imresize but for its mirrored edges.
    """
    return _resize(kernel, old, new)


def blur_matrix(sigma: float, size: int) -> Matrix:
    """The (size, size) float64 matrix of a Gaussian of `sigma` pixels, weights brought to a sum of 1; 0: identity."""
    if sigma <= 0:
        return np.eye(size)
    x = np.arange(size)
    weights = np.exp(-((x[None] - x[:, None]) ** 2) / (2 * sigma * sigma))
    matrix: Matrix = weights / weights.sum(1, keepdims=True)
    return matrix


def separable(pictures: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Each picture with its own matrix (batch, new, old) along both edges, or one (new, old) for all."""
    m = matrices if matrices.dim() == 2 else matrices[:, None]
    return m @ pictures @ m.transpose(-1, -2)


# ITU-T T.81, Annex K.1: the example tables for luma and chroma.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# Y, Cb, Cr of R, G, B in full range (JFIF).
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def _dct() -> Matrix:
    """The orthonormal DCT-II of 8 samples."""
    k, n = np.arange(8)[:, None], np.arange(8)[None]
    matrix: Matrix = np.sqrt(np.where(k == 0, 1, 2) / 8) * np.cos(math.pi * (2 * n + 1) * k / 16)
    return matrix


def _quantised(plane: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """A plane (batch, rows, columns) in codes around 0 after quantisation of its 8x8 blocks by (batch, 8, 8) steps."""
    b, h, w = plane.shape
    dct = torch.as_tensor(_dct(), dtype=plane.dtype, device=plane.device)
    blocks = plane.reshape(b, h // 8, 8, w // 8, 8).transpose(2, 3)
    steps = table[:, None, None]
    blocks = torch.round((dct @ blocks @ dct.T) / steps) * steps
    return (dct.T @ blocks @ dct).transpose(2, 3).reshape(b, h, w)


def compress(pictures: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """What JPEG in 4:2:0 leaves of pictures; `quality` (batch,), 1..100 as the IJG's library scales its tables.

    Blocks of 8x8 (16x16 pixels for chroma) from the upper left corner; edges are repeated to fill the last ones.
    """
    h, w = pictures.shape[-2:]
    full = functional.pad(pictures, (0, -w % 16, 0, -h % 16), mode="replicate")
    to = torch.tensor(_YCC, dtype=full.dtype, device=full.device)
    ycc = torch.einsum("oc,bchw->bohw", to, full * 255)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).to(full)[:, None, None]
    luma, chroma = (
        torch.clamp(torch.floor((torch.tensor(t, dtype=full.dtype, device=full.device) * percent + 50) / 100), 1, 255)
        for t in (_LUMA, _CHROMA)
    )
    y = _quantised(ycc[:, 0] - 128, luma) + 128
    small = functional.avg_pool2d(ycc[:, 1:], 2)
    small = torch.stack([_quantised(small[:, k], chroma) for k in (0, 1)], 1)
    large = functional.interpolate(small, scale_factor=2, mode="bilinear")
    rgb = torch.einsum("oc,bchw->bohw", torch.linalg.inv(to), torch.cat([y[:, None], large], 1))
    return torch.clamp(torch.round(rgb), 0, 255)[..., :h, :w] / 255
