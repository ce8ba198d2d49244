"""The cases of the ops that make frames between frames, as opcases.py has them."""

from __future__ import annotations

import numpy as np

from .. import ops
from .opcase import Array, OpCase, find_opencv

__all__ = ["compose_cases"]


def compose_cases(y: Array, flow: Array) -> list[OpCase]:
    """What frames between frames are made by: four terms along flows of a quarter, motion at a time, overlays."""
    cv2 = find_opencv()
    height, width = y.shape
    small = (-(-height // 4), -(-width // 4))
    quarter = ops.resize_flow(flow, small)
    back = -quarter
    terms = [ops.Term(y, f, 0.25, s) for f, s in ((quarter, -0.5), (quarter, 0.5), (back, -0.5), (back, 0.5))]
    out = np.empty_like(y)
    compose = OpCase(
        "compose, luma plane, 4 terms of quarter flow",
        5 * y.nbytes + 4 * quarter.nbytes,
        lambda: ops.compose(terms, out=out),
        note="OpenCV makes maps in full size and rounds each warp; NumPy takes the nearest vectors and samples",
    )
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    rows, columns = (np.arange(n) * m // n for n, m in zip(y.shape, small, strict=True))

    def numpy_compose() -> Array:
        total = np.zeros(y.shape, np.float32)
        for _, f, weight, scale in terms:
            u, v = (f[c][rows][:, columns] * (4 * scale) for c in (0, 1))
            x = np.clip(np.rint(column + u).astype(np.int32), 0, width - 1)
            total += weight * y[np.clip(np.rint(row + v).astype(np.int32), 0, height - 1), x]
        return np.asarray(total + 0.5, np.uint8)

    compose.peers["numpy"] = numpy_compose
    two = (np.empty_like(quarter), np.empty_like(quarter))
    trace = OpCase("trace, quarter size", 6 * quarter.nbytes, lambda: ops.trace(quarter, 0.5, beyond=back, out=two))
    count = np.zeros(y.shape, np.uint8)
    overlay = OpCase(
        "count_overlay, luma plane",
        4 * y.nbytes + quarter.nbytes,
        lambda: ops.count_overlay(y, y, quarter, count, still=3, contrast=40),
    )
    laid = np.where(np.indices(y.shape).sum(0) % 97 < 8, np.uint8(9), np.uint8(0))
    lay = OpCase("lay_over, luma plane", y.nbytes + laid.nbytes, lambda: ops.lay_over(y, laid, out, least=5))
    lay.peers["numpy"] = lambda: np.copyto(out, y, where=_widened(laid) >= 5)
    if cv2 is not None:
        cross = np.ones((3, 3), np.uint8)
        around = np.ones((5, 5), np.uint8)
        place = np.empty_like(flow)

        def cv2_compose() -> object:
            total = np.zeros(y.shape, np.float32)
            for _, f, weight, scale in terms:
                for c, (grid, to) in enumerate(zip((column, row), place, strict=True)):
                    cv2.resize(f[c], (width, height), to, interpolation=cv2.INTER_LINEAR)
                    cv2.scaleAdd(to, 4 * scale, grid, to)
                warped = cv2.remap(y, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                cv2.scaleAdd(warped.astype(np.float32), weight, total, total)
            return cv2.convertScaleAbs(total)

        def cv2_count() -> object:
            spread = cv2.subtract(cv2.dilate(y, around), cv2.erode(y, around))
            length = cv2.resize(cv2.magnitude(*quarter), (width, height), interpolation=cv2.INTER_LINEAR)
            stands = cv2.bitwise_and(cv2.compare(spread, 40, cv2.CMP_GE), cv2.compare(length, 0.25, cv2.CMP_GE))
            still = cv2.compare(cv2.absdiff(y, y), 3, cv2.CMP_LE)
            return cv2.bitwise_and(cv2.add(count, cv2.bitwise_and(stands, 1)), still)

        compose.peers["opencv"] = cv2_compose
        overlay.peers["opencv"] = cv2_count
        lay.peers["opencv"] = lambda: cv2.copyTo(y, cv2.compare(cv2.dilate(laid, cross), 5, cv2.CMP_GE), out)
    return [compose, trace, overlay, lay]


def _widened(count: Array) -> Array:
    """The most of each 3 x 3 samples."""
    padded = np.pad(count, 1)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.asarray(np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
