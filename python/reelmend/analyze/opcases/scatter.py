"""Cases of ops/scatter.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import Array, OpCase, Picture
from .geometry import smooth_flow

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """A luma plane pushed along a smooth flow of a few pixels, and this flow projected half way."""
    y = picture.yuv[0]
    height, width = y.shape
    flow = smooth_flow(height, width)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    metric = (-2 + 2 * np.sin(row / 9) * np.cos(column / 7)).astype(np.float32)
    share = np.exp(metric)

    def corners(scale: float) -> list[tuple[Array, Array, Array]]:
        """For each corner: which pixels land inside, the index of their place, and the bilinear weight."""
        x, down = column + np.float32(scale) * flow[0], row + np.float32(scale) * flow[1]
        x0, y0 = np.floor(x).astype(np.int32), np.floor(down).astype(np.int32)
        fx, fy = x - x0, down - y0
        found = []
        for j, wy in ((0, 1 - fy), (1, fy)):
            for i, wx in ((0, 1 - fx), (1, fx)):
                inside = (x0 + i >= 0) & (x0 + i < width) & (y0 + j >= 0) & (y0 + j < height)
                found.append((inside, ((y0 + j) * width + x0 + i)[inside], (wx * wy)[inside]))
        return found

    def totals(parts: list[tuple[Array, Array]]) -> Array:
        total = np.zeros(height * width)
        for place, amount in parts:
            total += np.bincount(place, amount, height * width)
        return total

    def numpy_splat(weights: Array | None = None) -> Array:
        parts = [(at, place, w if weights is None else w * weights[at]) for at, place, w in corners(1)]
        total = totals([(place, w) for _, place, w in parts])
        mean = totals([(place, w * y[at]) for at, place, w in parts]) / np.where(total > 0, total, 1)
        return np.asarray(mean + 0.5, np.uint8).reshape(y.shape)

    def numpy_project() -> Array:
        x, down = column + np.float32(0.5) * flow[0], row + np.float32(0.5) * flow[1]
        at = (x >= 0) & (x <= width - 1) & (down >= 0) & (down <= height - 1)
        x0, y0 = x[at].astype(np.int32), down[at].astype(np.int32)
        rows, columns = (y0, np.minimum(y0 + 1, height - 1)), (x0, np.minimum(x0 + 1, width - 1))
        places = [r * width + c for r in rows for c in columns]
        count = totals([(place, np.ones(place.size)) for place in places])
        back = [totals([(place, -0.5 * f[at]) for place in places]) / np.maximum(count, 1) for f in flow]
        return _filled(np.stack(back).reshape(flow.shape), count.reshape(y.shape) == 0)

    average = OpCase(
        "splat, luma plane", {"plane": y, "flow": flow}, lambda x, out: ops.splat(x["plane"], x["flow"], out=out)
    )
    average.peers["numpy"] = numpy_splat
    softmax = OpCase(
        "splat, luma plane, softmax",
        {"plane": y, "flow": flow, "metric": metric},
        lambda x, out: ops.splat(x["plane"], x["flow"], mode="softmax", metric=x["metric"], out=out),
    )
    softmax.peers["numpy"] = lambda: numpy_splat(share)
    project = OpCase(
        "project_flow, holes filled", {"flow": flow}, lambda x, out: ops.project_flow(x["flow"], t=0.5, out=out)
    )
    project.peers["numpy"] = numpy_project
    deep = OpCase(
        "project_flow, by depth, holes filled",
        {"flow": flow, "weight": share},
        lambda x, out: ops.project_flow(x["flow"], t=0.5, depth_weight=x["weight"], out=out),
    )
    return [average, softmax, project, deep]


def _filled(flow: Array, holes: Array) -> Array:
    """Holes of a flow (2, height, width) as the mean of the nearest places to their four sides that are none."""
    total, found = np.zeros_like(flow), np.zeros(holes.shape)
    for axis in (0, 1):
        own = np.indices(holes.shape)[axis]
        size = holes.shape[axis]
        before = np.maximum.accumulate(np.where(holes, -1, own), axis)
        after = np.flip(np.minimum.accumulate(np.flip(np.where(holes, size, own), axis), axis), axis)
        for place, there in ((before, before >= 0), (after, after < size)):
            index = np.where(there, place, 0)[None]
            total += np.where(there, np.take_along_axis(flow, index, axis + 1), 0)
            found += there
    return np.where(holes, total / np.maximum(found, 1), flow)
