"""Frames made between frames: motion at a time between two, pictures composed along it, and what stands in front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, empty, module_for, overlaps, stream_of
from .geometry import as_factor, as_given, as_planes, as_sampler, largest_code, targets_for

__all__ = ["Term", "compose", "count_overlay", "lay_over", "trace"]

_ALL = 1 << 17  # more than there are codes or counts


class Term(NamedTuple):
    """One addend of `compose`: weight * warp(planes, flow, scale=scale).

    planes  as in warp, alike in number, size and dtype in all terms
    flow    float32 (2, rows, columns), as in warp, of any size that all terms share: it is for the same picture in
            another size, and is brought to the planes' size as resize_flow does it
    weight  a number, or float32 (rows, columns) beside the flow (finite), resized like it
    scale   what the flow is multiplied by
    """

    planes: Array | Sequence[Array]
    flow: Array
    weight: float | Array
    scale: float = 1.0


def compose(
    terms: Sequence[Term],
    *,
    filter: str = "bilinear",
    border: str = "edge",
    max_code: int | None = None,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """A picture composed of one to six warped ones in one pass: out = sum of weight * warp(planes, flow).

    terms    see Term. Their weights should sum to 1 at every pixel; they are not normalised
    filter, border, max_code, out  as in warp; the result is like the planes of the first term

    No flow is ever made in full size: rows of it are interpolated as they are needed. Equal to the bit to warping
    float32 copies of the planes along resize_flow's results, adding weight times each in order, and rounding once.
    Errors: ArrayError.
    """
    if not 1 <= len(terms) <= 6:
        raise ArrayError(f"terms: expected 1 to 6; got {len(terms)}")
    given, read = [], []
    for k, term in enumerate(terms):
        planes, flow = as_planes(term.planes), as_input(term.flow)
        number = isinstance(term.weight, int | float | np.number)
        weight = as_factor(f"terms[{k}].weight", term.weight) if number else 0.0
        weights = None if number else as_input(term.weight)
        given.append((planes, flow, as_factor(f"terms[{k}].scale", term.scale), weight, weights))
        read += [*planes, flow, *([] if weights is None else [weights])]
    inputs = given[0][0]
    like = inputs[0]
    targets = targets_for(inputs, out, read)
    most = largest_code(max_code, like)
    module_for(like).compose(given, as_sampler(filter, border), most, targets, stream_of(like, stream))
    return as_given(terms[0].planes, targets, out)


def trace(
    flow: Array,
    t: float,
    *,
    beyond: Array | None = None,
    limit: float = 16.0,
    steps: int = 1,
    out: tuple[Array, Array] | None = None,
    stream: Any = None,
) -> tuple[Array, Array]:
    """Where the pixels of a frame at time t lie in frames 0 and 1: two flows for warp or compose.

    flow    float32 (2, height, width), finite: frame 0 to frame 1, as in warp
    t       0..1: 0 is frame 0, 1 is frame 1
    beyond  float32 like the flow: frame 0 to the frame before it, as far away in time. With it motion is taken to be
            evenly accelerated, else even
    limit   accelerations up to so many pixels (of the flow's grid) per interval squared are believed, none from twice
            of it. Half the two motions' lengths, added up, are a limit as well (and a sixteenth of `limit` more), none
            being believed from all of it, so that what stops, starts or turns is not bent
    steps   fixed-point iterations, 0 to 16, of the pixel of frame 0 that comes here; an odd number is better at edges
    out     two arrays like the flow; may not overlap the inputs

    For the flow from frame 1 to frame 0 give 1 - t, with `beyond` the flow from frame 1 to the frame after it; the
    results then lead to frame 1 and to frame 0. Errors: ArrayError.
    Source: Xu et al., "Quadratic video interpolation", NeurIPS 2019, for the acceleration.
    """
    flow = as_input(flow)
    after = None if beyond is None else as_input(beyond)
    t = as_factor("t", t)
    if not 0 <= t <= 1:
        raise ArrayError(f"t: expected 0 to 1; got {t!r}")
    if as_factor("limit", limit) <= 0:
        raise ArrayError(f"limit: expected pixels above 0; got {limit!r}")
    if not isinstance(steps, int | np.integer) or not 0 <= steps <= 16:
        raise ArrayError(f"steps: expected 0 to 16; got {steps!r}")
    targets = out or (empty(tuple(flow.shape), np.float32, flow), empty(tuple(flow.shape), np.float32, flow))
    if len(targets) != 2:
        raise ArrayError(f"out: expected two arrays; got {len(targets)}")
    if any(overlaps(r, o) for r in (flow, after) if r is not None for o in targets):
        raise ArrayError("out: it shares memory with an input, which is read around each sample; give other memory")
    if overlaps(*targets):
        raise ArrayError("out: the two arrays share memory with each other; give two")
    rule = (t, t * (1 - t) / 2, float(limit), int(steps))
    module_for(flow).trace(flow, after, rule, targets, stream_of(flow, stream))
    return targets


def count_overlay(
    a: Array,
    b: Array,
    flow: Array,
    count: Array,
    *,
    still: int,
    contrast: int,
    moving: float = 1.0,
    stream: Any = None,
) -> Array:
    """For how many frames a sample has stood still in front of a moving picture, as titles and logos do.

    a, b      uint8 or uint16 (height, width): the luma of a frame and of the next one
    flow      float32 (2, rows, columns) from a to b, of any size, in pixels of its own grid; NaN is no motion
    moving    0 or more pixels of the pictures
    count     uint8 (height, width), C-contiguous rows; changed in place and returned: 0 where the sample changed by
              more than `still` codes; one more where it did not though the flow is `moving` pixels or longer and the
              5 x 5 samples around it span at least `contrast` codes; else as it was

    Errors: ArrayError.
    """
    a, b, flow, count = (as_input(x) for x in (a, b, flow, count))
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in (still, contrast)):
        raise ArrayError(f"still and contrast are whole numbers of codes; got {still!r} and {contrast!r}")
    if as_factor("moving", moving) < 0:
        raise ArrayError(f"moving: expected 0 pixels or more; got {moving!r}")
    if any(overlaps(x, count) for x in (a, b, flow)):
        raise ArrayError("count: it shares memory with an input, which is read around each sample; give other memory")
    rule = (min(int(still), _ALL), min(int(contrast), _ALL), float(moving))
    module_for(a).overlay(a, b, flow, rule, count, stream_of(a, stream))
    return count


def lay_over(source: Array, count: Array, target: Array, *, least: int, stream: Any = None) -> Array:
    """Puts an overlay back: samples of `source` where it has stood still for long enough, in place.

    source, target  uint8 or uint16 (rows, columns), alike; target is changed and returned
    count   uint8 (height, width) as `count_overlay` counts it, for planes of that size or of half of it (chroma)
    least   what has come to so many counts belongs to the overlay, with the samples beside it

    Errors: ArrayError.
    """
    source, count = as_input(source), as_input(count)
    if not isinstance(least, int | np.integer) or least < 1:
        raise ArrayError(f"least: expected 1 or more; got {least!r}")
    if overlaps(source, target) or overlaps(count, target):
        raise ArrayError("target: it shares memory with what is read; give other memory")
    module_for(source).lay_over(source, count, min(int(least), _ALL), target, stream_of(source, stream))
    return target
