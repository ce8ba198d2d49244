"""Flows compared, combined, cleaned and used. A flow is float32 (2, height, width) as `warp` takes it, any strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, beside, empty, module_for, overlaps, stream_of
from .geometry import as_factor, as_given, as_planes, largest_code, targets_for

__all__ = ["adaptive_warp", "bilateral_flow", "consistency", "correlate", "flows_at", "median_flow"]


def adaptive_warp(
    planes: Array | Sequence[Array],
    flow: Array,
    kernels: Array,
    *,
    scale: float = 1.0,
    max_code: int | None = None,
    out: Array | Sequence[Array] | None = None,
    stream: Any = None,
) -> Any:
    """A picture fetched along a flow through each pixel's own 4 x 4 taps: the adaptive warp of MEMC-Net and DAIN.

    planes, flow, scale, max_code, out  as in warp
    kernels  float32 (16, height, width), finite: the taps of a pixel in rows of four, from top left. They need not sum
             to 1; a bilinear warp has 1 at taps 5, 6, 9 and 10 and 0 elsewhere

    With (x, y) + scale F = (i + a, j + b), i and j whole, taps lie on columns i - 1 .. i + 2 and rows j - 1 .. j + 2,
    places outside taken at the edge. Each quadrant of 2 x 2 is a sum of tap times sample, and the four are mixed by
    (1 - a)(1 - b), a (1 - b), (1 - a) b and a b. Where the flow leads out of the picture, is half its width (across)
    or height (down) or more, or is not finite, the sample stays where it was. Errors: ArrayError.
    Sources: Bao et al., "MEMC-Net", TPAMI 2019; "Depth-aware video frame interpolation", CVPR 2019.
    """
    inputs = as_planes(planes)
    like = inputs[0]
    flow, kernels = as_input(flow), as_input(kernels)
    targets = targets_for(inputs, out, [*inputs, flow, kernels])
    factor, most = as_factor("scale", scale), largest_code(max_code, like)
    module_for(like).adaptive_warp(inputs, flow, kernels, factor, most, targets, stream_of(like, stream))
    return as_given(planes, targets, out)


_RANGE_ENTRIES = 1024
_RANGE_REACH = 4.0  # standard deviations; beyond, exp(-8) = 3e-4 and less, weights are 0


def bilateral_flow(
    flow: Array,
    guide: Array,
    radius: int,
    *,
    sigma_range: float,
    sigma_space: float | None = None,
    confidence: Array | None = None,
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """A flow smoothed within the surfaces of a guide picture (joint bilateral filter), and filled where it is unknown.

    flow        float32 (2, height, width) as in warp
    guide       uint8, uint16 or float32 (finite), (height, width): a luma plane of the frame the flow belongs to
    radius      0 to 32: the window is (2 radius + 1)^2 pixels, as much of it as lies in the picture
    sigma_range  standard deviation of the weight by difference of the guide, in the guide's units (codes)
    sigma_space  standard deviation of the weight by distance, in pixels. Default: half the radius, at least 1/2
    confidence  float32 (height, width), what each vector weighs, as consistency gives it; NaN and below 0 count as 0
    out         like the flow; may not overlap the inputs

    out(x) = sum w F(y) / sum w, w = exp(-|x - y|^2 / 2 sigma_space^2) exp(-(guide(x) - guide(y))^2 / 2 sigma_range^2)
    confidence(y). The range weight is read from 1024 steps up to 4 sigma_range, the nearest one; it is 0 beyond. A
    vector that is not finite weighs nothing. Where nothing weighs, the pixel's own vector stays (0 for what is not
    finite), so the result has no NaN. Work grows with (2 radius + 1)^2. Errors: ArrayError.
    Sources: Petschnigg et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH 2004; Eisemann and
    Durand, "Flash photography enhancement via intrinsic relighting", SIGGRAPH 2004.
    """
    flow, guide = as_input(flow), as_input(guide)
    trust = None if confidence is None else as_input(confidence)
    if not isinstance(radius, int | np.integer) or not 0 <= radius <= 32:
        raise ArrayError(f"radius: expected 0 to 32; got {radius!r}")
    if sigma_space is None:
        sigma_space = max(0.5, radius / 2)
    for name, sigma in (("sigma_range", sigma_range), ("sigma_space", sigma_space)):
        if not (_number(sigma) and sigma > 0):
            raise ArrayError(f"{name}: expected a positive number; got {sigma!r}")
    space = np.exp(-0.5 * (np.arange(radius + 1) / float(sigma_space)) ** 2).astype(np.float32)
    entry = np.linspace(0, _RANGE_REACH, _RANGE_ENTRIES)
    range_table = np.exp(-0.5 * entry**2).astype(np.float32)
    range_table[-1] = 0
    steps = (_RANGE_ENTRIES - 1) / (_RANGE_REACH * float(sigma_range))
    if out is None:
        out = empty(tuple(flow.shape), np.float32, flow)
    _apart(out, flow, guide, *([] if trust is None else [trust]))
    tables = beside(space, flow), beside(range_table, flow)
    module_for(flow).bilateral_flow(flow, guide, trust, *tables, steps, out, stream_of(flow, stream))
    return out


def consistency(
    forward: Array,
    backward: Array,
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
    outside: float | None = 0.0,
    out: Array | None = None,
    stream: Any = None,
) -> Array:
    """How far a flow can be trusted: the forward-backward check, as a confidence of 0..1 for each pixel of frame 0.

    forward   float32 (2, height, width): frame 0 to frame 1, as in warp
    backward  the same, frame 1 to frame 0, on the grid of frame 1
    relative, absolute  the limit, below, in parts of the squared lengths and in squared pixels
    outside   the answer where the flow leads out of the picture (nothing is known there); None: the outermost
              samples of `backward` are taken as warp's border "edge" does, and the check decides
    out       float32 (height, width); may not overlap the inputs

    With f a pixel's forward flow and b the backward flow fetched (bilinear) at x + f, d = |f + b|^2 and
    limit = relative (|f|^2 + |b|^2) + absolute: the confidence is min(1, max(0, 2 - d / limit)). So it is 1 exactly
    where the rule of the sources, d <= limit, finds no occlusion, and falls to 0 at twice that. NaN or infinity in
    f or in one of the four samples read gives 0. Errors: ArrayError.
    Sources: Sundaram et al., "Dense point trajectories by GPU-accelerated large displacement optical flow", ECCV 2010;
    Ruder et al., "Artistic style transfer for videos", GCPR 2016.
    """
    forward, backward = as_input(forward), as_input(backward)
    if not (_number(relative) and relative >= 0 and _number(absolute) and absolute > 0):
        raise ArrayError(f"expected relative >= 0 and absolute > 0; got {relative!r} and {absolute!r}")
    if outside is not None and not (_number(outside) and 0 <= outside <= 1):
        raise ArrayError(f"outside: expected 0 to 1, or None; got {outside!r}")
    rule = (float(relative), float(absolute), float(outside or 0.0), math.inf if outside is None else 0.0)
    if out is None:
        out = empty(tuple(forward.shape[1:]), np.float32, forward)
    _apart(out, forward, backward)
    module_for(forward).consistency(forward, backward, rule, out, stream_of(forward, stream))
    return out


def correlate(a: Array, b: Array, radius: int = 4, *, out: Array | None = None, stream: Any = None) -> Array:
    """How alike the features of two frames are at all shifts up to a radius: the cost volume of PWC-Net.

    a, b    float32 (channels, height, width), any strides; of the second frame usually warped to the first
    radius  0 to 16
    out     as the result; may not overlap the inputs

    Returns float32 (n, height, width), n = (2 radius + 1)^2: out[k](x) = mean over c of a[c](x) b[c](x + d), where
    d = (k % m - radius, k // m - radius), m = 2 radius + 1: shifts across first, then down; 0 where x + d is outside.
    Channels are summed in order, so CPU and GPU give the same bits. Errors: ArrayError.
    Source: Sun et al., "PWC-Net: CNNs for optical flow using pyramid, warping, and cost volume", CVPR 2018.
    """
    a, b = as_input(a), as_input(b)
    if not isinstance(radius, int | np.integer) or not 0 <= radius <= 16:
        raise ArrayError(f"radius: expected 0 to 16; got {radius!r}")
    if out is None:
        out = empty(((2 * int(radius) + 1) ** 2, *tuple(a.shape[1:])), np.float32, a)
    _apart(out, a, b)
    module_for(a).correlate(a, b, int(radius), out, stream_of(a, stream))
    return out


def flows_at(
    forward: Array, backward: Array, t: float, *, out: tuple[Array, Array] | None = None, stream: Any = None
) -> tuple[Array, Array]:
    """Flows from a frame at time t to frames 0 and 1, from the flows between these two: (F_t0, F_t1).

    forward, backward  float32 (2, height, width): F_01 and F_10, as in warp
    t         0..1: 0 is frame 0, 1 is frame 1
    out       two arrays like the flows, C-contiguous or not; may not overlap the inputs

    F_t0 = -(1 - t) t F_01 + t^2 F_10 and F_t1 = (1 - t)^2 F_01 - t (1 - t) F_10: motion is taken as straight and even
    and as smooth in space, for F_01 and F_10 are read at the pixel itself. The results are for warp:
    warp(frame 0, F_t0) and warp(frame 1, F_t1) are both the frame at t. NaN and infinity stay. Errors: ArrayError.
    Source: Jiang et al., "Super SloMo", CVPR 2018, equation 4.
    """
    forward, backward = as_input(forward), as_input(backward)
    if not (_number(t) and 0 <= t <= 1):
        raise ArrayError(f"t: expected 0 to 1; got {t!r}")
    t = float(t)
    if out is None:
        first, second = (empty(tuple(forward.shape), np.float32, forward) for _ in range(2))
    else:
        if not isinstance(out, tuple | list) or len(out) != 2:
            raise ArrayError("out: expected two arrays, for the flows to frames 0 and 1")
        first, second = out
        _apart(second, first)
    _apart(first, forward, backward)
    _apart(second, forward, backward)
    weights = (-(1 - t) * t, t * t, (1 - t) * (1 - t), -t * (1 - t))
    module_for(forward).flows_at(forward, backward, weights, (first, second), stream_of(forward, stream))
    return first, second


def median_flow(flow: Array, size: int = 3, *, out: Array | None = None, stream: Any = None) -> Array:
    """A flow whose components are each replaced by their median over size x size pixels, edges repeated.

    flow  float32 (2, height, width) as in warp. NaN and infinity count as 0
    size  3 or 5
    out   like the flow; may not overlap it

    Outliers go and edges of motion stay. A value that is alone gives way to its neighbours'; nothing else is made up:
    each component of the result is one of the input's. Errors: ArrayError.
    """
    flow = as_input(flow)
    if size not in (3, 5):
        raise ArrayError(f"size: expected 3 or 5; got {size!r}")
    if out is None:
        out = empty(tuple(flow.shape), np.float32, flow)
    _apart(out, flow)
    module_for(flow).median_flow(flow, int(size), out, stream_of(flow, stream))
    return out


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _apart(out: Array, *read: Array) -> None:
    if any(overlaps(r, out) for r in read):
        raise ArrayError("out: it shares memory with another array of the call; give other memory")
