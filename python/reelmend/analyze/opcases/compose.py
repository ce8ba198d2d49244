"""Cases of ops/compose.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import Array, OpCase, Picture, cv2_or_none
from .geometry import smooth_flow

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """A luma plane composed of two and of four along smaller flows; a flow traced; an overlay counted and laid."""
    y = picture.yuv[0]
    flow = smooth_flow(*y.shape)
    half = ops.resize_flow(flow, (y.shape[0] // 2, y.shape[1] // 2))
    two = OpCase(
        "compose, luma planes, flows of half size",
        {"a": y, "b": y, "flow_a": half, "flow_b": -half},
        lambda x, out: ops.compose([ops.Term(x["a"], x["flow_a"], 0.5), ops.Term(x["b"], x["flow_b"], 0.5)], out=out),
    )
    traced = OpCase("trace", {"flow": flow}, lambda x, out: ops.trace(x["flow"], 0.3, out=out))
    curved = OpCase(
        "trace, accelerated",
        {"flow": flow, "beyond": -0.8 * flow},
        lambda x, out: ops.trace(x["flow"], 0.3, beyond=x["beyond"], out=out),
    )
    return [two, _four(y, flow), traced, curved, *_overlays(y, half)]


def _four(y: Array, flow: Array) -> OpCase:
    """As a frame between frames is made: four warps along flows of a quarter of the size, mixed."""
    cv2 = cv2_or_none()
    height, width = y.shape
    small = (-(-height // 4), -(-width // 4))
    quarter = ops.resize_flow(flow, small)
    given = {"a": y, "b": y[::-1].copy(), "there": quarter, "back": -quarter}
    parts = [("a", "there", -0.5), ("b", "there", 0.5), ("b", "back", -0.5), ("a", "back", 0.5)]
    case = OpCase(
        "compose, luma planes, 4 terms, flows of quarter size",
        given,
        lambda x, out: ops.compose([ops.Term(x[p], x[f], 0.25, scale) for p, f, scale in parts], out=out),
        note="OpenCV makes maps of full size and rounds each warp; NumPy takes the nearest vectors and samples",
    )
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    rows, columns = (np.arange(n) * m // n for n, m in zip(y.shape, small, strict=True))

    def numpy() -> Array:
        total = np.zeros(y.shape, np.float32)
        for p, f, scale in parts:
            u, v = (given[f][c][rows][:, columns] * np.float32(4 * scale) for c in (0, 1))
            x = np.clip(np.rint(column + u).astype(np.int32), 0, width - 1)
            total += 0.25 * given[p][np.clip(np.rint(row + v).astype(np.int32), 0, height - 1), x]
        return np.asarray(total + 0.5, np.uint8)

    def opencv() -> object:
        total = np.zeros(y.shape, np.float32)
        for p, f, scale in parts:
            large = [cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in given[f]]
            place = [cv2.scaleAdd(c, 4 * scale, grid) for c, grid in zip(large, (column, row), strict=True)]
            warped = cv2.remap(given[p], *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            cv2.scaleAdd(warped.astype(np.float32), 0.25, total, total)
        return cv2.convertScaleAbs(total)

    case.peers["numpy"] = numpy
    if cv2 is not None:
        case.peers["opencv"] = opencv
    return case


def _overlays(y: Array, flow: Array) -> list[OpCase]:
    cv2 = cv2_or_none()
    # half of the samples change; the count is the result, written where it was read
    later = np.where(np.indices(y.shape).sum(0) % 2, y, 255 - y).astype(np.uint8)
    count = np.zeros_like(y)
    counted = OpCase(
        "count_overlay, luma planes",
        {"a": y, "b": later, "flow": flow, "count": count},
        lambda x, out: ops.count_overlay(
            x["a"], x["b"], x["flow"], ops.copy(x["count"]) if out is None else out, still=2, contrast=8
        ),
    )
    # all of the picture is covered by counts or their neighbours, so that the result is the same whatever was there
    stands = np.where(np.indices(y.shape).sum(0) % 3 == 0, np.uint8(9), np.uint8(0))
    laid = OpCase(
        "lay_over, luma plane",
        {"source": later, "count": stands, "target": y},
        lambda x, out: ops.lay_over(x["source"], x["count"], ops.copy(x["target"]) if out is None else out, least=5),
        bytes=2 * y.nbytes + stands.nbytes,
    )
    widened = np.empty_like(stands)

    def numpy() -> object:
        """The most of 3 x 3 counts, by rows, then by columns."""
        wide = np.pad(stands, 1)
        wide = np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:])
        np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:], out=widened)
        out = y.copy()
        np.copyto(out, later, where=widened >= 5)
        return out

    laid.peers["numpy"] = numpy
    if cv2 is not None:

        def opencv_count() -> object:
            around = np.ones((5, 5), np.uint8)
            spread = cv2.subtract(cv2.dilate(y, around), cv2.erode(y, around))
            length = cv2.resize(cv2.magnitude(*flow), y.shape[::-1], interpolation=cv2.INTER_LINEAR)
            up = cv2.bitwise_and(cv2.compare(spread, 8, cv2.CMP_GE), cv2.compare(length, 0.5, cv2.CMP_GE))
            still = cv2.compare(cv2.absdiff(y, later), 2, cv2.CMP_LE)
            return cv2.bitwise_and(cv2.add(count, cv2.bitwise_and(up, 1)), still)

        def opencv_lay() -> object:
            chosen = cv2.compare(cv2.dilate(stands, np.ones((3, 3), np.uint8)), 5, cv2.CMP_GE)
            return cv2.copyTo(later, chosen, y.copy())

        counted.peers["opencv"] = opencv_count
        laid.peers["opencv"] = opencv_lay
    return [counted, laid]
