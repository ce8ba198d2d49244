"""The cases of ops that move pictures and of ops on flows, as opcases.py has them."""

from __future__ import annotations

import numpy as np

from .. import ops
from .composecases import compose_cases
from .opcase import Array, OpCase, find_opencv

__all__ = ["motion_cases"]


def motion_cases(y: Array) -> list[OpCase]:
    """Warps of a luma plane along a smooth flow of a few pixels, edges repeated."""
    cv2 = find_opencv()
    height, width = y.shape
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    flow = np.stack([6 * np.sin(row / 70) + 2 * np.cos(column / 50), 4 * np.cos(column / 90)]).astype(np.float32)
    back = -flow
    out, one, two = (np.empty_like(y) for _ in range(3))
    maps = [(column + f[0], row + f[1]) for f in (flow, back)]
    moved = 2 * y.nbytes + flow.nbytes

    def numpy_warp() -> Array:
        x0, y0 = (np.floor(m).astype(np.int32) for m in maps[0])
        fx, fy = maps[0][0] - x0, maps[0][1] - y0
        xs = [np.clip(x0 + i, 0, width - 1) for i in (0, 1)]
        ys = [np.clip(y0 + i, 0, height - 1) for i in (0, 1)]
        top, bottom = (y[r, xs[0]] * (1 - fx) + y[r, xs[1]] * fx for r in ys)
        return np.asarray(top * (1 - fy) + bottom * fy + 0.5, np.uint8)

    def remap(which: int, how: int, to: Array) -> Array:
        return np.asarray(cv2.remap(y, *maps[which], how, to, cv2.BORDER_REPLICATE))

    linear = OpCase("warp, luma plane", moved, lambda: ops.warp(y, flow, out=out))
    linear.peers["numpy"] = numpy_warp
    cubic = OpCase(
        "warp, luma plane, bicubic",
        moved,
        lambda: ops.warp(y, flow, filter="bicubic", out=out),
        note="OpenCV's cubic has a = -3/4",
    )
    blend = OpCase(
        "warp_blend, luma planes",
        2 * moved - y.nbytes,
        lambda: ops.warp_blend(y, y, flow, back, 0.5, out=out),
        note="peers round each warp, then the blend",
    )
    if cv2 is not None:
        linear.peers["opencv"] = lambda: remap(0, cv2.INTER_LINEAR, one)
        cubic.peers["opencv"] = lambda: remap(0, cv2.INTER_CUBIC, one)
        blend.peers["opencv"] = lambda: cv2.addWeighted(
            remap(0, cv2.INTER_LINEAR, one), 0.5, remap(1, cv2.INTER_LINEAR, two), 0.5, 0
        )
    return [
        linear,
        cubic,
        blend,
        *_resize_cases(y, flow),
        *_flow_cases(flow),
        *_guided_cases(y, flow),
        *_network_cases(y, flow),
        *compose_cases(y, flow),
    ]


def _resize_cases(y: Array, flow: Array) -> list[OpCase]:
    """A luma plane to half its size and back, and a flow to twice its size."""
    cv2 = find_opencv()
    height, width = y.shape
    half = (height // 2, width // 2)
    small, large, doubled = np.empty(half, np.uint8), np.empty_like(y), np.empty_like(flow)
    shrunk = ops.resize(y, half, filter="area")
    coarse = ops.resize_flow(flow, half)
    planar = [np.empty_like(f) for f in flow]
    area = OpCase(
        "resize, luma plane, area to half", y.nbytes + small.nbytes, lambda: ops.resize(y, filter="area", out=small)
    )
    area.peers["numpy"] = lambda: np.asarray(
        y[: 2 * half[0], : 2 * half[1]].reshape(half[0], 2, half[1], 2).mean((1, 3), dtype=np.float32) + 0.5, np.uint8
    )
    linear = OpCase(
        "resize, luma plane, bilinear to double", y.nbytes + small.nbytes, lambda: ops.resize(shrunk, out=large)
    )
    flows = OpCase("resize_flow to double", flow.nbytes + coarse.nbytes, lambda: ops.resize_flow(coarse, out=doubled))
    if cv2 is not None:
        area.peers["opencv"] = lambda: cv2.resize(y, half[::-1], interpolation=cv2.INTER_AREA)
        linear.peers["opencv"] = lambda: cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
        flows.peers["opencv"] = lambda: [
            cv2.multiply(cv2.resize(f, (width, height), to, interpolation=cv2.INTER_LINEAR), 2, to)
            for f, to in zip(coarse, planar, strict=True)
        ]
    return [area, linear, flows]


def _flow_cases(flow: Array) -> list[OpCase]:
    """A flow and its opposite: compared, and combined for a time between."""
    cv2 = find_opencv()
    _, height, width = flow.shape
    back = -flow
    confidence = np.empty((height, width), np.float32)
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

    check = OpCase(
        "consistency", 2 * flow.nbytes + confidence.nbytes, lambda: ops.consistency(flow, back, out=confidence)
    )
    check.peers["numpy"] = lambda: soft_rule(*(numpy_fetch(p) for p in back))
    two = (np.empty_like(flow), np.empty_like(flow))
    at = OpCase("flows_at", 4 * flow.nbytes, lambda: ops.flows_at(flow, back, 0.3, out=two))
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
    cv2 = find_opencv()
    out = np.empty_like(flow)
    cases = []
    for size in (3, 5):

        def ours(size: int = size) -> object:
            return ops.median_flow(flow, size, out=out)

        cases.append(OpCase(f"median_flow, {size}x{size}", 2 * flow.nbytes, ours))
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
    out = np.empty_like(small)
    radius, sigma = 3, 12.0
    case = OpCase(
        "bilateral_flow, quarter size, radius 3",
        2 * small.nbytes + guide.nbytes,
        lambda: ops.bilateral_flow(small, guide, radius, sigma_range=sigma, out=out),
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
    out = np.empty_like(y)
    warp = OpCase(
        "adaptive_warp, luma plane",
        2 * y.nbytes + flow.nbytes + kernels.nbytes,
        lambda: ops.adaptive_warp(y, flow, kernels, out=out),
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
        a.nbytes + b.nbytes + volume.nbytes,
        lambda: ops.correlate(a, b, out=volume),
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
