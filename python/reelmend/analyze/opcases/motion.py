"""Cases of ops/motion.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .case import Array, Inputs, OpCase, Picture, cv2_or_none
from .geometry import smooth_flow

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """A smooth flow of a few pixels and its opposite compared, combined, cleaned and used."""
    y = picture.yuv[0]
    flow = smooth_flow(*y.shape)
    return [*_flow_cases(flow), *_guided_cases(y, flow), *_network_cases(y, flow)]


def _flow_cases(flow: Array) -> list[OpCase]:
    """A flow and its opposite: compared, and combined for a time between."""
    cv2 = cv2_or_none()
    _, height, width = flow.shape
    back = -flow
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    there = (column + flow[0], row + flow[1])
    x0, y0 = (
        np.clip(np.floor(m).astype(np.int32), 0, last) for m, last in zip(there, (width - 1, height - 1), strict=True)
    )
    fx, fy = np.clip(there[0] - x0, 0, 1), np.clip(there[1] - y0, 0, 1)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)

    def numpy_fetch(plane: Array) -> Array:
        top, bottom = (plane[r, x0] * (1 - fx) + plane[r, x1] * fx for r in (y0, y1))
        return np.asarray(top * (1 - fy) + bottom * fy)

    def soft_rule(bu: Array, bv: Array) -> Array:
        u, v = flow
        limit = 0.01 * (u * u + v * v + bu * bu + bv * bv) + 0.5
        value = np.clip(2 - ((u + bu) ** 2 + (v + bv) ** 2) / limit, 0, 1)
        x, y = there
        value[(x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)] = 0
        return np.asarray(value)

    given = {"forward": flow, "backward": back}
    check = OpCase("consistency", given, lambda x, out: ops.consistency(x["forward"], x["backward"], out=out))
    check.peers["numpy"] = lambda: soft_rule(*(numpy_fetch(p) for p in back))
    two = (np.empty_like(flow), np.empty_like(flow))
    at = OpCase("flows_at", given, lambda x, out: ops.flows_at(x["forward"], x["backward"], 0.3, out=out))
    a0, a1, b0, b1 = (np.float32(w) for w in (-0.21, 0.09, 0.49, -0.21))
    at.peers["numpy"] = lambda: (a0 * flow + a1 * back, b0 * flow + b1 * back)
    if cv2 is not None:
        check.peers["opencv"] = lambda: soft_rule(
            *(cv2.remap(p, *there, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE) for p in back)
        )
        at.peers["opencv"] = lambda: [
            cv2.addWeighted(f, wf, b, wb, 0, to)
            for pair, (wf, wb) in zip(two, ((a0, a1), (b0, b1)), strict=True)
            for f, b, to in zip(flow, back, pair, strict=True)
        ]
    return [check, at, *_median_cases(flow)]


def _median_cases(flow: Array) -> list[OpCase]:
    cv2 = cv2_or_none()
    out = np.empty_like(flow)
    cases = []
    for size in (3, 5):

        def ours(x: Inputs, out: Any, size: int = size) -> Any:
            return ops.median_flow(x["flow"], size, out=out)

        cases.append(OpCase(f"median_flow, {size}x{size}", {"flow": flow}, ours))
        if cv2 is not None:

            def opencv(size: int = size) -> object:
                return [cv2.medianBlur(f, size, to) for f, to in zip(flow, out, strict=True)]

            cases[-1].peers["opencv"] = opencv
    return cases


def _guided_cases(y: Array, flow: Array) -> list[OpCase]:
    """A flow of a quarter of the picture's size, smoothed along the picture."""
    quarter = (y.shape[0] // 4, y.shape[1] // 4)
    guide = ops.resize(y, quarter, filter="area")
    small = ops.resize_flow(flow, quarter)
    radius, sigma = 3, 12.0
    case = OpCase(
        "bilateral_flow, quarter size, radius 3",
        {"flow": small, "guide": guide},
        lambda x, out: ops.bilateral_flow(x["flow"], x["guide"], radius, sigma_range=sigma, out=out),
        note="work of 49 samples a pixel; OpenCV has it only in its contributed modules",
    )

    def numpy_bilateral() -> object:
        height, width = guide.shape
        total, weight = np.zeros_like(small), np.zeros((height, width), np.float32)
        g = guide.astype(np.float32)
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                here = np.s_[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
                there = np.s_[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
                w = np.exp(np.float32(-0.5 / sigma**2) * (g[here] - g[there]) ** 2)
                w *= np.float32(np.exp(-0.5 * (dx * dx + dy * dy) / (radius / 2) ** 2))
                total[(slice(None), *here)] += w * small[(slice(None), *there)]
                weight[here] += w
        return total / weight

    case.peers["numpy"] = numpy_bilateral
    return [case]


def _network_cases(y: Array, flow: Array) -> list[OpCase]:
    """What networks of flow and kernels are made of: the adaptive warp and the cost volume."""
    height, width = y.shape
    rng = np.random.default_rng(2)
    kernels = rng.uniform(0, 0.5, (16, height, width)).astype(np.float32)
    warp = OpCase(
        "adaptive_warp, luma plane",
        {"y": y, "flow": flow, "kernels": kernels},
        lambda x, out: ops.adaptive_warp(x["y"], x["flow"], x["kernels"], out=out),
    )
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    place = column + flow[0], row + flow[1]
    inside = (place[0] >= 0) & (place[0] <= width - 1) & (place[1] >= 0) & (place[1] <= height - 1)
    whole = [np.floor(p).astype(np.int32) for p in place]
    part = [p - w for p, w in zip(place, whole, strict=True)]

    def numpy_adaptive() -> object:
        columns = [np.clip(whole[0] + k, 0, width - 1) for k in range(-1, 3)]
        rows = [np.clip(whole[1] + k, 0, height - 1) for k in range(-1, 3)]
        total = np.zeros((height, width), np.float32)
        for j in range(4):
            for i in range(4):
                weight = (part[0] if i > 1 else 1 - part[0]) * (part[1] if j > 1 else 1 - part[1])
                total += weight * kernels[4 * j + i] * y[rows[j], columns[i]]
        return np.where(inside, np.clip(total + 0.5, 0, 255).astype(np.uint8), y)

    warp.peers["numpy"] = numpy_adaptive

    a, b = rng.standard_normal((2, 32, height // 8, width // 8), np.float32)
    volume = np.empty((81, *a.shape[1:]), np.float32)
    cost = OpCase(
        "correlate, 32 channels of an eighth, radius 4",
        {"a": a, "b": b},
        lambda x, out: ops.correlate(x["a"], x["b"], out=out),
        note="work of 81 products a sample",
    )

    def numpy_correlate() -> object:
        padded = np.pad(b, ((0, 0), (4, 4), (4, 4)))
        _, rows, columns = a.shape
        for k in range(81):
            window = padded[:, k // 9 : k // 9 + rows, k % 9 : k % 9 + columns]
            np.einsum("cyx,cyx->yx", a, window, out=volume[k])
        return np.multiply(volume, np.float32(1 / 32), out=volume)

    cost.peers["numpy"] = numpy_correlate
    return [warp, cost]
