"""Pictures filtered: detail raised or lowered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._dispatch import Array, as_input, module_for, stream_of
from .geometry import as_given, as_planes, largest_code, targets_for

__all__ = ["sharpen"]


def sharpen(
    planes: Array | Sequence[Array],
    gains: Array,
    *,
    max_code: int | None = None,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """Detail raised or lowered in one pass, each place by its own gains (unsharp masking with three blurs).

        out = x + g0 (x - (left + right) / 2) + g1 (x - (above + below) / 2) + g2 (x - mean of the 5x5 square around x)

    planes    uint8, uint16, float16 or float32 (finite): one plane (height, width), or one to four planes of one size
    gains     float32 (3, rows, columns), finite, of any size, over the same picture: g0 across, g1 down, g2 around.
              Enlarged to the planes' size as resize does it (bilinear), the same for all planes. 0 leaves samples as
              they are, above 0 sharpens, below 0 blurs; not clamped
    max_code  as in warp
    out       as the result: a plane for a plane, else planes (the result is a tuple); may not overlap the inputs

    Beyond the border the edge samples are repeated. All is float32, rounded once; float results are not clamped and may
    overshoot. Where samples are alike nothing changes, whatever the gains, and a mirrored picture gives the mirrored
    bits. Sides are at most 46340. Errors: ArrayError.
    Why across and down apart: bilinear interpolation blurs each axis by its own part of a pixel, most at a half and not
    at all at 0, so what a warp took has to be given back to each axis by itself; the square takes what is wider.
    Source of unsharp masking: Gonzalez and Woods, "Digital Image Processing".
    """
    inputs = as_planes(planes)
    like = inputs[0]
    gains = as_input(gains)
    targets = targets_for(inputs, out, [*inputs, gains])
    most = largest_code(max_code, like)
    module_for(like).sharpen(inputs, gains, most, targets, stream_of(like, stream))
    return as_given(planes, targets, out)
