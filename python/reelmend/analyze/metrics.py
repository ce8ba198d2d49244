"""How good a restored picture is: PSNR, SSIM, illumination histograms, temporal warping error.

All pictures are RGB, uint8 or uint16 (or float in the same codes), shape (height, width, 3); `peak` is the largest
code (255 for 8 bits, 1023 for 10 ...), by default that of the dtype. Figures of a clip are per frame, then the mean
**and the minimum**: a mean hides the one frame that was ruined.

psnr            10 log10(peak^2 / MSE) over all samples, capped at 100 dB (identical pictures), so that means exist
ssim            Wang et al. 2004: Gaussian 11x11, sigma 1.5, K1 .01, K2 .03, valid windows only, mean over channels
luma            Y of BT.709 on code values, .2126 R + .7152 G + .0722 B, float
histogram_kl    KL(out || truth) of V = max(R, G, B) histograms, 256 bins, one count added to each bin
ewarp_squared   Lai et al., ECCV 2018: squared error, next frame warped to the current one
ewarp_l1        DVP / All-In-One-Deflicker / BlazeBVD: L1, against the previous and against the first frame, summed
The two E_warp figures differ by an order of magnitude: they are never put in one column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArrayError

__all__ = [
    "LUMA_BT709",
    "PSNR_CAP",
    "ewarp_l1",
    "ewarp_l1_pair",
    "ewarp_squared",
    "ewarp_squared_pair",
    "histogram_kl",
    "luma",
    "psnr",
    "ssim",
    "value_histogram",
    "warp",
]

Samples = npt.NDArray[Any]
Plane = npt.NDArray[np.float32]

LUMA_BT709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
PSNR_CAP = 100.0


def peak_of(picture: Samples, peak: float | None) -> float:
    """The largest code of a picture: `peak` if given, else that of its integer dtype. ArrayError for others."""
    if peak is not None:
        return float(peak)
    if picture.dtype.kind == "u":
        return float(np.iinfo(picture.dtype).max)
    raise ArrayError(f"a metric of {picture.dtype} samples needs peak=, the largest code; got None")


def _pair(a: Samples, b: Samples) -> None:
    if a.shape != b.shape or a.ndim not in (2, 3) or a.size == 0:
        raise ArrayError(f"a metric compares pictures of one shape, (height, width[, 3]); got {a.shape} and {b.shape}")


def luma(rgb: Samples) -> Plane:
    """Y of BT.709, (height, width) float32, in the codes of the input."""
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ArrayError(f"luma needs an RGB picture (height, width, 3); got {rgb.shape}")
    y: Plane = rgb.reshape(-1, 3).astype(np.float32) @ LUMA_BT709
    return y.reshape(rgb.shape[:2])


def psnr(a: Samples, b: Samples, peak: float | None = None) -> float:
    """Peak signal to noise ratio in dB, at most PSNR_CAP. Gray or RGB, integer or float samples."""
    _pair(a, b)
    top = peak_of(a, peak)
    error = np.subtract(a, b, dtype=np.float32).ravel()
    # float32 differences of codes are exact; the dot product of long rows is not, so it is summed in pieces
    pieces = [float(np.dot(part, part)) for part in np.array_split(error, max(1, error.size >> 16))]
    mse = sum(pieces) / error.size
    return PSNR_CAP if mse == 0 else min(PSNR_CAP, float(10 * np.log10(top * top / mse)))


@cache
def _window() -> npt.NDArray[np.float64]:
    x = np.arange(-5, 6)
    g = np.exp(-(x * x) / (2 * 1.5**2))
    return np.asarray(g / g.sum(), np.float64)


def _filter(plane: Plane) -> Plane:
    """The SSIM window over a plane, valid part: (h, w) -> (h - 10, w - 10)."""
    g = _window()
    for axis in (0, 1):
        n = plane.shape[axis] - 10
        parts = [plane[k : k + n] if axis == 0 else plane[:, k : k + n] for k in range(11)]
        total = parts[5] * np.float32(g[5])
        scratch = np.empty_like(total)
        for k in range(5):
            np.add(parts[k], parts[10 - k], out=scratch)
            scratch *= np.float32(g[k])
            total += scratch
        plane = total
    return plane


def _ssim_plane(a: Samples, b: Samples, top: float) -> float:
    # SSIM is not shift invariant in its means but is in its variances: centred values keep float32 exact enough.
    x = a.astype(np.float32) / np.float32(top) - np.float32(0.5)
    y = b.astype(np.float32) / np.float32(top) - np.float32(0.5)
    mx, my = _filter(x), _filter(y)
    squares = _filter(x * x + y * y) - mx * mx - my * my
    product = _filter(x * y) - mx * my
    ux, uy = mx + np.float32(0.5), my + np.float32(0.5)
    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    numerator = (2 * ux * uy + c1) * (2 * product + c2)
    denominator = (ux * ux + uy * uy + c1) * (squares + c2)
    return float(np.mean(numerator / denominator, dtype=np.float64))


def ssim(a: Samples, b: Samples, peak: float | None = None) -> float:
    """Structural similarity, mean over valid windows and channels. Both sides at least 11 pixels."""
    _pair(a, b)
    if min(a.shape[:2]) < 11:
        raise ArrayError(f"SSIM has an 11x11 window; got pictures of {a.shape[0]}x{a.shape[1]}")
    top = peak_of(a, peak)
    if a.ndim == 2:
        return _ssim_plane(a, b, top)
    return float(np.mean([_ssim_plane(a[..., c], b[..., c], top) for c in range(a.shape[2])]))


def value_histogram(rgb: Samples, peak: float | None = None) -> npt.NDArray[np.int64]:
    """256-bin histogram of V = max(R, G, B), int64; bin k holds codes with floor(256 V / (peak + 1)) = k."""
    top = int(peak_of(rgb, peak))
    v = np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2]).ravel()
    counts = np.bincount(v.astype(np.intp) * 256 // (top + 1) if top != 255 else v, minlength=256)
    return counts[:256].astype(np.int64)


def histogram_kl(out: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    """KL(out || truth) in nats of two histograms of equal length, one count added to each bin (no empty bins)."""
    p = (out + 1.0) / (out.sum() + out.size)
    q = (truth + 1.0) / (truth.sum() + truth.size)
    return float(np.sum(p * np.log(p / q)))


def warp(picture: Samples, flow: Plane) -> Plane:
    """Backward bilinear warp: out(y, x) = picture(y + flow_y, x + flow_x), edges repeated.

    picture (height, width[, c]); flow (height, width, 2) float32, x then y, in pixels. Returns float32.
    """
    h, w = picture.shape[:2]
    if flow.shape != (h, w, 2):
        raise ArrayError(f"flow for a picture of {h}x{w} has the shape ({h}, {w}, 2); got {flow.shape}")
    x = np.clip(np.arange(w, dtype=np.float32)[None, :] + flow[..., 0], 0, w - 1)
    y = np.clip(np.arange(h, dtype=np.float32)[:, None] + flow[..., 1], 0, h - 1)
    x0, y0 = np.minimum(x.astype(np.intp), max(w - 2, 0)), np.minimum(y.astype(np.intp), max(h - 2, 0))
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    fx, fy = x - x0, y - y0
    if picture.ndim == 3:
        fx, fy = fx[..., None], fy[..., None]
    p = picture.astype(np.float32, copy=False)
    upper = p[y0, x0] * (1 - fx) + p[y0, x1] * fx
    lower = p[y1, x0] * (1 - fx) + p[y1, x1] * fx
    result: Plane = (upper * (1 - fy) + lower * fy).astype(np.float32)
    return result


def _masked_error(a: Plane, b: Samples, mask: Samples, top: float, power: int) -> float:
    weight = mask.astype(np.float32)
    difference = np.abs(a - b.astype(np.float32)) / np.float32(top)
    if difference.ndim == 3:
        weight = np.broadcast_to(weight[..., None], difference.shape)
    covered = float(weight.sum(dtype=np.float64))
    return float((difference**power * weight).sum(dtype=np.float64) / covered) if covered else 0.0


def ewarp_squared_pair(
    current: Samples, following: Samples, flow: Plane, mask: Samples, peak: float | None = None
) -> float:
    """Mean squared difference, in 0..1 values, of the following frame warped by `flow` (current -> following) and the
    current one, over mask > 0 (height, width)."""
    return _masked_error(warp(following, flow), current, mask, peak_of(current, peak), 2)


def ewarp_l1_pair(current: Samples, other: Samples, flow: Plane, mask: Samples, peak: float | None = None) -> float:
    """Mean absolute difference, in 0..1 values, of `other` warped by `flow` (current -> other) and this frame."""
    return _masked_error(warp(other, flow), current, mask, peak_of(current, peak), 1)


def ewarp_squared(
    frames: Sequence[Samples], flows: Iterable[Plane], masks: Iterable[Samples], peak: float | None = None
) -> float:
    """E_warp of Lai et al. 2018: mean over pairs. n frames take n - 1 flows t -> t + 1 and masks of frame t."""
    pairs = zip(frames[:-1], frames[1:], flows, masks, strict=True)
    return float(np.mean([ewarp_squared_pair(a, b, f, m, peak) for a, b, f, m in pairs]))


def ewarp_l1(
    frames: Sequence[Samples],
    flows_previous: Iterable[Plane],
    masks_previous: Iterable[Samples],
    flows_first: Iterable[Plane],
    masks_first: Iterable[Samples],
    peak: float | None = None,
) -> float:
    """E_warp of DVP / All-In-One-Deflicker / BlazeBVD: mean over t >= 1 of E(O_t, O_{t-1}) + E(O_t, O_0).

    n frames take n - 1 flows t -> t - 1 and n - 1 flows t -> 0, with masks of frame t.
    """
    short = [
        ewarp_l1_pair(b, a, f, m, peak)
        for a, b, f, m in zip(frames[:-1], frames[1:], flows_previous, masks_previous, strict=True)
    ]
    long = [
        ewarp_l1_pair(b, frames[0], f, m, peak) for b, f, m in zip(frames[1:], flows_first, masks_first, strict=True)
    ]
    return float(np.mean(short) + np.mean(long))
