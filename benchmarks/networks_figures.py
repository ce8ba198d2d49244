"""The figures of deflicker_networks.py: what runs come to, and what is measured of single frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from peers import Rgb
from reelmend.analyze.benchmark import Row
from reelmend.analyze.metrics import luma, psnr

ALONE = "equalisation"  # the method that the others are compared with
CAP = 60.0  # dB that a frame counts at most
EVERY = 6  # frames from one that is exposed wrongly to the next
GAIN, SHIFT = 1.8, -0.3  # what is done to it, by turns
BLACK, WHITE = 0.02, 0.98  # of max(R, G, B), as the stage's exposure map has them

Figures = dict[str, float | None]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """What one method made of one flickering clip."""

    kind: str
    clip: str
    seed: int
    method: str
    values: Figures


def summary(case: str, runs: Sequence[Run]) -> list[Row]:
    """A row a method: means over runs, and what is gained over equalisation alone, by run: mean, quartiles, least."""
    by = {name: {(r.kind, r.clip, r.seed): r.values for r in runs if r.method == name} for name in order(runs)}
    rows = []
    for name, own in by.items():
        values: Figures = {}
        for key in next(iter(own.values())):
            known = [v for found in own.values() if (v := found[key]) is not None]
            values[key] = float(np.mean(known)) if known else None
        if name not in ("truth", ALONE):
            values |= gains(own, by[ALONE])
        rows.append(Row(case, name, {**values, "runs": float(len(own))}))
    return rows


def order(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(r.method for r in runs))


def gains(own: Mapping[Any, Figures], alone: Mapping[Any, Figures]) -> Figures:
    """dB over equalisation alone of the same runs."""

    def over(key: str) -> npt.NDArray[np.float64]:
        return np.array([float(own[k][key] or 0) - float(alone[k][key] or 0) for k in own])

    mean = over("psnr_db")
    q1, middle, q3 = np.percentile(mean, (25, 50, 75))
    return {
        "gain_db": float(mean.mean()),
        "gain_q1_db": float(q1),
        "gain_median_db": float(middle),
        "gain_q3_db": float(q3),
        "gain_least_db": float(mean.min()),
        "gain_min_db": float(over("psnr_min_db").mean()),
        "better_share": float((mean > 0).mean()),
    }


def exposure(t: int) -> str | None:
    """What is done to frame t: "white", "black" or nothing."""
    if t % EVERY != EVERY - 2:
        return None
    return "white" if t // EVERY % 2 == 0 else "black"


def exposed(rgb: Rgb, how: str | None) -> Rgb:
    """A picture with too much light, or too little."""
    if how is None:
        return rgb
    values = rgb * np.float32(GAIN) if how == "white" else rgb + np.float32(255 * SHIFT)
    picture: Rgb = np.clip(np.floor(values + np.float32(0.5)), 0, 255).astype(np.uint8)
    return picture


def clipped_mask(bad: Rgb, truth: Rgb) -> Mask:
    """Where a frame lost to black or to white what the truth has: (height, width)."""

    def lost(rgb: Rgb) -> Mask:
        v = rgb.max(axis=2)
        return np.asarray((v < BLACK * 255) | (v > WHITE * 255))

    return np.asarray(lost(bad) & ~lost(truth))


def psnr_within(a: Rgb, b: Rgb, mask: Mask) -> float | None:
    """PSNR over the pixels of a mask, up to CAP; None where it has none."""
    return min(CAP, psnr(a[mask][None], b[mask][None])) if mask.any() else None


@dataclass(frozen=True, slots=True)
class Loss:
    """What one method made of one frame that was clipped."""

    clip: str
    t: int
    how: str
    method: str
    share: float
    inside: float
    outside: float | None
    same: bool


def losses(case: str, found: Sequence[Loss]) -> list[Row]:
    """A row a method: within the mask and without, what is gained over equalisation alone, frames left as they came."""
    alone = {(f.clip, f.t): f.inside for f in found if f.method == ALONE}
    rows = []
    for name in dict.fromkeys(f.method for f in found):
        own = [f for f in found if f.method == name]
        around = [f.outside for f in own if f.outside is not None]
        values: Figures = {
            "inside_db": float(np.mean([f.inside for f in own])),
            "inside_min_db": min(f.inside for f in own),
            "outside_db": float(np.mean(around)) if around else None,
            "masked_share": float(np.mean([f.share for f in own])),
            "exact_share": float(np.mean([f.same for f in own])),
            "frames": float(len(own)),
        }
        if name != ALONE:
            over = np.array([f.inside - alone[f.clip, f.t] for f in own])
            q1, q3 = np.percentile(over, (25, 75))
            values |= {"gain_db": float(over.mean()), "gain_q1_db": float(q1), "gain_q3_db": float(q3)}
            values["gain_least_db"] = float(over.min())
        rows.append(Row(case, name, values))
    return rows


def gradient_energy(rgb: Rgb) -> float:
    """Mean square of the differences of luma to the right and below, 8-bit levels: blur lowers it."""
    y = luma(rgb)
    return float(np.mean(np.diff(y, axis=1) ** 2) + np.mean(np.diff(y, axis=0) ** 2))


def means(case: str, rows: Sequence[Row]) -> list[Row]:
    """The means of rows by method; figures named *_min_db are those of the worst."""
    made = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row.values for row in rows if row.method == method]
        values: Figures = {}
        for key in own[0]:
            known = [float(v[key] or 0) for v in own]
            values[key] = min(known) if key.endswith("_min_db") else float(np.mean(known))
        made.append(Row(case, method, values))
    return made
