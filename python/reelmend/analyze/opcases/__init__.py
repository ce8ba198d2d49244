"""One case an op and a way to use it: ours and its peers on the same picture, on a CPU or on a GPU.

Used by `reelmend bench`, by benchmarks/ops.py and by benchmarks/gpu.py. Cases lie by the rooms of reelmend.ops; a new
op adds its case to its room's file, or a file of its own to `_ROOMS`. A peer (NumPy always; OpenCV, FFmpeg's swscale
where installed) does the same job the way its users would write it; where it does less or rounds otherwise, `note` says
so.
"""

from __future__ import annotations

import numpy as np

from ..benchmark import Comparison, Row, alternate, compare
from . import blocks, color, compose, dense, exposure, filters, geometry, motion, scatter, statistics, tone
from .case import OpCase, Picture, each

__all__ = ["OpCase", "each", "measure_ops", "op_cases"]

_ROOMS = (
    *(statistics.histograms, tone.cases, exposure.cases, color.cases, statistics.cases, geometry.cases),
    *(filters.cases, motion.cases, blocks.cases, dense.cases, compose.cases, scatter.cases),
)


def op_cases(width: int = 1920, height: int = 1080, seed: int = 0) -> list[OpCase]:
    """All ops on one 8-bit picture of even size, with the peers that are installed."""
    picture = Picture.random(width, height, seed)
    return [case for room in _ROOMS for case in room(picture)]


def measure_ops(
    width: int = 1920, height: int = 1080, *, rounds: int = 7, seed: int = 0
) -> tuple[list[Row], list[Comparison]]:
    """Time all cases, ours and peers in turn: rows of (ms, and for ours gb_per_s), and our ratios to each peer."""
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    for case in op_cases(width, height, seed):
        taken = alternate({"reelmend": case.ours, **case.peers}, rounds)
        for method, seconds in taken.items():
            middle = float(np.median(seconds))
            values: dict[str, float | None] = {"ms": 1e3 * middle}
            if method == "reelmend":
                values["gb_per_s"] = case.bytes / middle / 1e9
            rows.append(Row(case.name, method, values))
        comparisons += [compare(case.name, "reelmend", peer, taken) for peer in case.peers]
    return rows, comparisons
