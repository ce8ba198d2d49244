"""Scale-time equalisation: which frames to average, and the tone curve that follows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["period_weights", "scene_weights", "tone_change"]

_FIT_POINTS = 32
# What counts as other content, not other light: the scale of each measure at which a frame counts e^-1 of its weight.
_TONES = 0.2  # residue of the quantiles, fraction of white
_STRUCTURE = 0.25  # fall of the rank correlation of the tiny pictures


_AT_ONCE = 0.05  # how unlike the frame before, beyond which the picture moves at once
_PARTS = 0.04  # the scale of what it falls by
# Of flicker that is new in every frame, some frames are mean enough; the rest of the window may hold other content.
_WHITE = -0.30  # correlation of one change with the next from which flicker counts as new in every frame
_WIDTHS = (8.0, 16.0, 28.0)  # frames: deviations of windows to try, below the one asked for
_TRUST = 2.0  # times the noise of a narrower window's mean that a wider one's may differ from it
_NEAR = 32  # frames on both sides that tell how much flicker there is


def scene_weights(
    quantiles: NDArray[np.float32],
    alike: NDArray[np.float32],
    distance: NDArray[np.int64],
    sigma: float,
    moves: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Weights of the frames of a window, summing to 1.

    quantiles  (frames, 3, points) of frames of one shot
    alike      (frames,): rank correlation of each frame's tiny picture with the current one's, at most 1
    distance   (frames,): frames between each and the current one, 0 for itself
    moves      (frames,): how unlike the frame before each is, shots.fall

    Gaussian in time, times what says that the content is still the same and only its light differs: the rank
    correlation, which no tone curve changes, and what is left of the difference of the quantile functions after the
    best gain and offset a channel.

    Flicker that is new in every frame has averaged out within few. Then what moves at once between two frames parts
    those before from those after, and the Gaussian is as wide as the picture's own change lets it: the widest whose
    mean is that of every narrower one but for its noise (Lepski 1990).
    """
    current = int(np.flatnonzero(distance == 0)[0])
    step = quantiles.shape[2] // _FIT_POINTS
    coarse = quantiles[:, :, step // 2 :: step].astype(np.float64)
    x = coarse - coarse.mean(axis=2, keepdims=True)
    y = x[current]
    power = (x * x).sum(axis=2)
    gain = np.where(power > 1e-9, (x * y).sum(axis=2) / np.maximum(power, 1e-9), 0.0)
    residue = np.abs(gain[:, :, None] * x - y).mean(axis=(1, 2))
    fall = np.maximum(1.0 - alike, 0.0)
    scene = np.exp(-residue / _TONES - fall / _STRUCTURE)
    if moves is None:
        moves = np.zeros(len(coarse), np.float32)
    near = slice(max(0, current - _NEAR), current + _NEAR + 1)
    noise = _noise(coarse[near], moves[near] < _AT_ONCE)
    chosen = _gaussian(scene, distance, sigma)
    if noise is not None:
        way = np.cumsum(np.maximum(moves - _AT_ONCE, 0.0))
        scene *= np.exp(-np.abs(way - way[current]) / _PARTS)
        chosen = _gaussian(scene, distance, sigma)
        flat = coarse.reshape(len(coarse), -1)
        tried = [w for w in _WIDTHS if w < sigma]
        candidates = [_gaussian(scene, distance, w) for w in tried] + [chosen]
        means = [w @ flat for w in candidates]
        doubts = [noise * float(np.sqrt((w * w).sum())) for w in candidates]
        for k in range(1, len(candidates)):
            apart = [float(np.sqrt(((means[k] - means[j]) ** 2).mean())) / doubts[j] for j in range(k)]
            if max(apart) > _TRUST:
                chosen = candidates[k - 1]
                break
    result: NDArray[np.float32] = chosen.astype(np.float32)
    return result


def _gaussian(scene: NDArray[np.float64], distance: NDArray[np.int64], sigma: float) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = scene * np.exp(-0.5 * (distance / sigma) ** 2)
    weights /= weights.sum()
    return weights


def _noise(near: NDArray[np.float64], still: NDArray[np.bool_]) -> float | None:
    """Deviation of flicker that is new in every frame, from quantiles of consecutive frames; None if it is not.

    still: whether the picture is that of the frame before. Changes where it is not are left out.
    """
    if int(still.sum()) < 6:
        return None
    change = np.diff(near.reshape(len(near), -1), axis=0) * still[1:, None]
    energy = float((change * change).sum())
    if energy <= 0 or float((change[1:] * change[:-1]).sum()) > _WHITE * energy:
        return None
    off = ((change[1:] - change[:-1]) / 2)[still[2:] & still[1:-1]]
    if not len(off):
        return None
    return float(np.sqrt(np.median((off * off).mean(axis=1)) / 1.5)) or None


def period_weights(distance: NDArray[np.int64], period: int) -> NDArray[np.float32]:
    """Weights, summing to 1, of the fewest frames around the current one whose mean has no trace of a period.

    Where there are frames on both sides, two periods in a triangle; at an end, one whole period alike.
    """
    inside = min(-int(distance[0]), int(distance[-1])) >= period - 1
    if inside:
        weights = np.maximum(period - np.abs(distance), 0).astype(np.float64)
    else:
        count = min(period, len(distance) - len(distance) % period)
        order = np.argsort(np.abs(distance), kind="stable")[:count]
        weights = np.zeros(len(distance))
        weights[order] = 1.0
    total = weights.sum()
    result: NDArray[np.float32] = ((weights / total) if total else (distance == 0)).astype(np.float32)
    return result


def tone_change(
    histogram: NDArray[np.int32],
    quantiles: NDArray[np.float32],
    target: NDArray[np.float32],
    *,
    size: int,
    slope: tuple[float, float],
) -> NDArray[np.float32]:
    """What each channel's curve adds: float32 (3, size) over 0..1, from a frame's tones to the target's.

    histogram (3, bins), quantiles (3, points) of the frame; target (3, points). The change at a level is the change of
    its mid-rank's quantile; between levels that hold few pixels it is smoothed by how many they hold, and the curve's
    slope stays within `slope`, so that noise is not blown up nor tones crushed.
    """
    bins = histogram.shape[1]
    points = quantiles.shape[1]
    p = (np.arange(points) + 0.5) / points
    levels = np.arange(bins) / (bins - 1)
    grid = np.arange(size) / (size - 1)
    kernel = _kernel(bins)
    out = np.empty((3, size), np.float32)
    for c in range(3):
        counts = histogram[c].astype(np.float64)
        total = counts.sum()
        if total == 0:
            out[c] = 0
            continue
        rank = (np.cumsum(counts) - counts / 2) / total
        change = np.interp(rank, p, target[c].astype(np.float64) - quantiles[c])
        held = counts / total + 1e-7
        mass = np.convolve(held, kernel, "same")
        change = np.convolve(change * held, kernel, "same") / mass
        out[c] = np.interp(grid, levels, _limit_slope(change, 1.0 / (bins - 1), slope))
    return out


def _kernel(bins: int) -> NDArray[np.float64]:
    sigma = bins * 0.006
    reach = int(3 * sigma)
    k = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    result: NDArray[np.float64] = k / k.sum()
    return result


def _limit_slope(change: NDArray[np.float64], step: float, slope: tuple[float, float]) -> NDArray[np.float64]:
    """Keeps 1 + d(change)/dx within the limits, moving the curve as little as possible on the whole."""
    steep = np.diff(change) / step
    limited = np.clip(steep, slope[0] - 1.0, slope[1] - 1.0)
    if np.array_equal(steep, limited):
        return change
    curve = np.concatenate([[0.0], np.cumsum(limited * step)])
    result: NDArray[np.float64] = curve + np.median(change - curve)
    return result
