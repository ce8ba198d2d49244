"""What the deflicker stage remembers of a frame beside its structure: its tones, never its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...frame import Frame
from ..letterbox import Region

__all__ = ["BINS", "POINTS", "Tones", "tones_of"]

BINS = 1024  # of histograms: four or more a code at 8 bits
POINTS = 256  # of quantile functions
_ENOUGH = 320_000  # pixels; of larger pictures every second, third ... row and column is counted


@dataclass(slots=True)
class Tones:
    """Tones of one frame.

    histogram  int32 (3, BINS), of R, G, B
    value      int32 (BINS,), of V = max(R, G, B)
    quantiles  float32 (3, POINTS), 0..1, of R, G, B
    """

    histogram: NDArray[np.int32]
    value: NDArray[np.int32]
    quantiles: NDArray[np.float32]


def tones_of(frame: Frame, region: Region) -> Tones:
    """The tones inside a region of a frame (any device); one small copy to the host for frames on a GPU."""
    planes, fmt = frame.planes, frame.format
    skip = 1
    while frame.width * frame.height > _ENOUGH * skip * skip:
        skip += 1
    if fmt.kind == "yuv":
        counts = ops.histogram(planes[:3], bins=BINS, region=region, skip=skip, **frame.coding)
    elif fmt.kind == "rgb":
        counts = ops.histogram(planes[:3], bins=BINS, color="rgb", depth=fmt.depth, region=region, skip=skip)
    else:
        counts = ops.histogram(planes[0], bins=BINS, color="gray", depth=fmt.depth, region=region, skip=skip)
    counts = ops.to_host(counts)
    return Tones(counts[:3], counts[3], ops.quantiles(counts[:3], POINTS))
