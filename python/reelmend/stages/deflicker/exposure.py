"""BlazeBVD's priors (ECCV 2024, arXiv 2403.06243, section 3.1): filtered illumination, singular frames, exposure.

The illumination of a frame is V = max(R, G, B). Scale-time equalisation of V over a few frames gives V~; frames whose
histogram is far from that of V~ are singular, pixels of V~ near black or white are where texture may be lost. The
paper's networks are run on the one, guided by the other. Its constants were never published; those here are those of
the open reimplementation, and may be given.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from ... import ops

__all__ = [
    "HIGH",
    "LOW",
    "RADIUS",
    "SCALE",
    "exposed_share",
    "filtered_illumination",
    "illumination_map",
    "singular_frames",
]

RADIUS = 5  # l: frames on both sides that are averaged
SCALE = 3.0  # s of the heat kernel exp(-x^2 / 4 s); its deviation is sqrt(2 s)
NEIGHBOURS = 3  # n: frames on both sides whose divergence is compared
CERTAIN = 0.05  # nats: a divergence that is singular whatever that of its neighbours
LOW, HIGH = 0.05, 0.80  # eps1, eps2
_POINTS = 256


def filtered_illumination(
    histograms: npt.ArrayLike, *, radius: int = RADIUS, scale: float = SCALE
) -> NDArray[np.float32]:
    """Tables V -> V~ of consecutive frames of one shot: (n, bins) of values 0..1, for ops.exposure_map.

    histograms  counts of V, (n, bins)

    The quantile functions of the frames around each are averaged with a heat kernel (Delon 2006); the table takes a
    level to the average at its mid-rank. At the ends of the run the window is cut off, not wrapped.
    """
    counts = np.ascontiguousarray(histograms, np.int32)
    n, bins = counts.shape
    quantiles = ops.quantiles(counts, _POINTS)
    p = (np.arange(_POINTS) + 0.5) / _POINTS
    tables = np.empty((n, bins), np.float32)
    for t in range(n):
        first, last = max(0, t - radius), min(n, t + radius + 1)
        weights = np.exp(-((np.arange(first, last) - t) ** 2) / (4.0 * scale))
        target = np.tensordot(weights / weights.sum(), quantiles[first:last], 1)
        total = max(int(counts[t].sum()), 1)
        rank = (np.cumsum(counts[t]) - counts[t] / 2) / total
        tables[t] = np.interp(rank, p, target)
    return tables


def illumination_map(rgb: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[np.float32]:
    """V~ of a picture (3, rows, columns) of 0..1, by its frame's table: (rows, columns); the nearest level counts."""
    last = len(table) - 1
    found: NDArray[np.float32] = table[np.clip(rgb.max(axis=0) * last + 0.5, 0, last).astype(np.int32)]
    return found


def divergences(histograms: npt.ArrayLike, tables: NDArray[np.float32], *, bins: int = 256) -> NDArray[np.float64]:
    """KL(H~ || H) of each frame in nats, on `bins` levels; H~ is the histogram of V~, and no level counts nothing."""
    counts = np.asarray(histograms, np.float64)
    levels = counts.shape[1]
    own = np.minimum(np.arange(levels) * bins // levels, bins - 1)
    out = np.empty(len(counts))
    for t, (row, table) in enumerate(zip(counts, tables, strict=True)):
        moved = np.clip((table * (bins - 1) + 0.5).astype(np.int64), 0, bins - 1)
        h = np.bincount(own, row, bins) + 1e-3 * row.sum() / bins
        filtered = np.bincount(moved, row, bins) + 1e-3 * row.sum() / bins
        # a curve leaves gaps in a histogram that say nothing of light
        h, filtered = (np.convolve(np.pad(x, 3, mode="reflect"), np.ones(7) / 7, "valid") for x in (h, filtered))
        h, filtered = h / max(h.sum(), 1e-12), filtered / max(filtered.sum(), 1e-12)
        out[t] = float((filtered * np.log(np.maximum(filtered, 1e-12) / np.maximum(h, 1e-12))).sum())
    return out


def singular_frames(
    histograms: npt.ArrayLike, tables: NDArray[np.float32], *, neighbours: int = NEIGHBOURS, certain: float = CERTAIN
) -> NDArray[np.bool_]:
    """BlazeBVD's singular set over consecutive frames of one shot, and what its rule misses: bool (n,).

    t is in it if KL(H~ || H) is greater than its mean over the frames t - n .. t + n, as in the paper; or greater than
    `certain` nats: where every frame flickers, half of them are below the mean of their neighbours.
    """
    kl = divergences(histograms, tables)
    n = len(kl)
    total = np.concatenate([[0.0], np.cumsum(kl)])
    at = np.arange(n)
    last, first = np.minimum(at + neighbours + 1, n), np.maximum(at - neighbours, 0)
    mean = (total[last] - total[first]) / (last - first)
    result: NDArray[np.bool_] = ((kl > mean * (1 + 1e-9)) & (kl > 1e-4)) | (kl > certain)
    return result


def exposed_share(
    histogram: npt.ArrayLike, table: NDArray[np.float32], *, low: float = LOW, high: float = HIGH
) -> float:
    """Share of the pixels that an exposure map marks: those with V~ < low or V~ > high."""
    counts = np.asarray(histogram, np.float64)
    return float(counts[(table < low) | (table > high)].sum() / max(counts.sum(), 1.0))
