"""Cases of ops/geometry.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import Array, OpCase, Picture, cv2_or_none

__all__ = ["cases", "smooth_flow"]


def smooth_flow(height: int, width: int) -> Array:
    """A smooth flow of a few pixels: float32 (2, height, width)."""
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([6 * np.sin(row / 70) + 2 * np.cos(column / 50), 4 * np.cos(column / 90)]).astype(np.float32)


def cases(picture: Picture) -> list[OpCase]:
    """Warps of a luma plane along a smooth flow, edges repeated; a plane and a flow resized."""
    cv2 = cv2_or_none()
    y = picture.yuv[0]
    height, width = y.shape
    flow = smooth_flow(height, width)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    back, one, two = -flow, np.empty_like(y), np.empty_like(y)
    maps = [(column + f[0], row + f[1]) for f in (flow, back)]

    def numpy_warp() -> Array:
        x0, y0 = (np.floor(m).astype(np.int32) for m in maps[0])
        fx, fy = maps[0][0] - x0, maps[0][1] - y0
        xs = [np.clip(x0 + i, 0, width - 1) for i in (0, 1)]
        ys = [np.clip(y0 + i, 0, height - 1) for i in (0, 1)]
        top, bottom = (y[r, xs[0]] * (1 - fx) + y[r, xs[1]] * fx for r in ys)
        return np.asarray(top * (1 - fy) + bottom * fy + 0.5, np.uint8)

    def remap(which: int, how: int, to: Array) -> Array:
        return np.asarray(cv2.remap(y, *maps[which], how, to, cv2.BORDER_REPLICATE))

    given = {"y": y, "flow": flow}
    linear = OpCase("warp, luma plane", given, lambda x, out: ops.warp(x["y"], x["flow"], out=out))
    linear.peers["numpy"] = numpy_warp
    cubic = OpCase(
        "warp, luma plane, bicubic",
        given,
        lambda x, out: ops.warp(x["y"], x["flow"], filter="bicubic", out=out),
        note="OpenCV's cubic has a = -3/4",
    )
    blend = OpCase(
        "warp_blend, luma planes",
        {"a": y, "b": y, "flow_a": flow, "flow_b": back},
        lambda x, out: ops.warp_blend(x["a"], x["b"], x["flow_a"], x["flow_b"], 0.5, out=out),
        note="peers round each warp, then the blend",
    )
    if cv2 is not None:
        linear.peers["opencv"] = lambda: remap(0, cv2.INTER_LINEAR, one)
        cubic.peers["opencv"] = lambda: remap(0, cv2.INTER_CUBIC, one)
        blend.peers["opencv"] = lambda: cv2.addWeighted(
            remap(0, cv2.INTER_LINEAR, one), 0.5, remap(1, cv2.INTER_LINEAR, two), 0.5, 0
        )
    return [linear, cubic, blend, *_blends(y, flow), *_shrunk(y, flow), *_resizes(y, flow)]


def _blends(y: Array, flow: Array) -> list[OpCase]:
    """Two frames blended as interpolation does it: visible parts weighted, three planes, maps made from flows."""
    cv2 = cv2_or_none()
    height, width = y.shape
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    back = -flow
    weights = np.random.default_rng(4).random((height, width), np.float32)
    three = tuple(np.ascontiguousarray(np.roll(y, k, 1)) for k in (0, 1, 2))
    flows = {"flow_a": flow, "flow_b": back}
    weighted = OpCase(
        "warp_blend, luma planes, weights",
        {"a": y, "b": y, **flows, "weight": weights},
        lambda x, out: ops.warp_blend(x["a"], x["b"], x["flow_a"], x["flow_b"], x["weight"], out=out),
        note="OpenCV: remap twice, then blendLinear; its maps are made before",
    )
    planes = OpCase(
        "warp_blend, three planes",
        {"a": three, "b": three, **flows},
        lambda x, out: ops.warp_blend(x["a"], x["b"], x["flow_a"], x["flow_b"], 0.5, out=out),
        note="OpenCV plane by plane, and on one packed picture; its maps are made before",
    )
    fresh = OpCase(
        "warp_blend, luma planes, new flows",
        {"a": y, "b": y, **flows},
        lambda x, out: ops.warp_blend(x["a"], x["b"], x["flow_a"], x["flow_b"], 0.5, out=out),
        note="OpenCV adds each flow to the grid, as it must for flows that are new",
    )
    if cv2 is None:
        return [weighted, planes, fresh]
    maps = [(column + f[0], row + f[1]) for f in (flow, back)]
    sums = [(np.empty_like(row), np.empty_like(row)) for _ in range(2)]
    rest, out, one, two = 1 - weights, np.empty_like(y), np.empty_like(y), np.empty_like(y)
    packed, each_out = np.stack(three, -1), [np.empty_like(p) for p in three]
    packed_out, packed_one, packed_two = (np.empty_like(packed) for _ in range(3))

    def remap(picture: Array, place: tuple[Array, Array], to: Array) -> Array:
        return np.asarray(cv2.remap(picture, *place, cv2.INTER_LINEAR, to, cv2.BORDER_REPLICATE))

    def with_maps() -> object:
        for f, (x, v) in zip((flow, back), sums, strict=True):
            cv2.add(column, f[0], x)
            cv2.add(row, f[1], v)
        return cv2.addWeighted(remap(y, sums[0], one), 0.5, remap(y, sums[1], two), 0.5, 0, out)

    weighted.peers["opencv"] = lambda: cv2.blendLinear(
        remap(y, maps[0], one), remap(y, maps[1], two), weights, rest, out
    )
    planes.peers["opencv"] = lambda: [
        cv2.addWeighted(remap(p, maps[0], one), 0.5, remap(p, maps[1], two), 0.5, 0, to)
        for p, to in zip(three, each_out, strict=True)
    ]
    planes.peers["opencv, packed"] = lambda: cv2.addWeighted(
        remap(packed, maps[0], packed_one), 0.5, remap(packed, maps[1], packed_two), 0.5, 0, packed_out
    )
    fresh.peers["opencv"] = with_maps
    return [weighted, planes, fresh]


def _shrunk(y: Array, flow: Array) -> list[OpCase]:
    """Three float planes as blocks of a flow network see them, along a smaller flow: to a quarter, and whole."""
    cv2 = cv2_or_none()
    height, width = (n // 4 * 4 for n in y.shape)
    three = tuple(np.ascontiguousarray(np.roll(y, k, 1)[:height, :width], np.float32) for k in (0, 1, 2))
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    full, maps = np.empty((2, height, width), np.float32), np.empty((2, height, width), np.float32)
    warped = tuple(np.empty_like(p) for p in three)

    def case(name: str, shrink: int, part: int) -> OpCase:
        coarse = np.stack([ops.resize(f[:height, :width], (height // part, width // part)) for f in flow])
        small = [np.empty((height // shrink, width // shrink), np.float32) for _ in three]

        def in_steps() -> None:
            for f, to in zip(coarse, full, strict=True):
                ops.resize(f, out=to)
            ops.warp(three, full, out=warped)
            for p, to in zip(warped, small, strict=True):
                ops.resize(p, out=to)

        def with_maps() -> None:
            for f, grid, to in zip(coarse, (column, row), maps, strict=True):
                cv2.add(cv2.resize(f, (width, height), to, interpolation=cv2.INTER_LINEAR), grid, to)
            for p, moved, to in zip(three, warped, small, strict=True):
                cv2.remap(p, maps[0], maps[1], cv2.INTER_LINEAR, moved, cv2.BORDER_REPLICATE)
                cv2.resize(moved, to.shape[::-1], to, interpolation=cv2.INTER_LINEAR)

        made = OpCase(
            f"warp_shrunk, three float planes, {name}",
            {"planes": three, "flow": coarse},
            lambda x, out: ops.warp_shrunk(x["planes"], x["flow"], shrink, out=out),
            note="in steps, by our ops and by OpenCV: the flow enlarged, planes warped, these shrunk",
        )
        made.peers["in steps"] = in_steps
        if cv2 is not None:
            made.peers["opencv"] = with_maps
        return made

    return [case("to a quarter", 4, 4), case("flow of half size", 1, 2)]


def _resizes(y: Array, flow: Array) -> list[OpCase]:
    """A luma plane to half its size and back, and a flow to twice its size."""
    cv2 = cv2_or_none()
    height, width = y.shape
    half, whole = (height // 2, width // 2), (height, width)
    shrunk = ops.resize(y, half, filter="area")
    coarse = ops.resize_flow(flow, half)
    planar = [np.empty_like(f) for f in flow]
    area = OpCase(
        "resize, luma plane, area to half",
        {"y": y},
        lambda x, out: ops.resize(x["y"], half, filter="area", out=out),
    )
    area.peers["numpy"] = lambda: np.asarray(
        y[: 2 * half[0], : 2 * half[1]].reshape(half[0], 2, half[1], 2).mean((1, 3), dtype=np.float32) + 0.5, np.uint8
    )
    linear = OpCase(
        "resize, luma plane, bilinear to double", {"y": shrunk}, lambda x, out: ops.resize(x["y"], whole, out=out)
    )
    flows = OpCase("resize_flow to double", {"flow": coarse}, lambda x, out: ops.resize_flow(x["flow"], whole, out=out))
    if cv2 is not None:
        area.peers["opencv"] = lambda: cv2.resize(y, half[::-1], interpolation=cv2.INTER_AREA)
        linear.peers["opencv"] = lambda: cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
        flows.peers["opencv"] = lambda: [
            cv2.multiply(cv2.resize(f, (width, height), to, interpolation=cv2.INTER_LINEAR), 2, to)
            for f, to in zip(coarse, planar, strict=True)
        ]
    return [area, linear, flows]
