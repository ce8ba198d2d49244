"""Cases of ops/statistics.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .case import OpCase, Picture, cv2_or_none

__all__ = ["cases", "histograms"]


def histograms(picture: Picture) -> list[OpCase]:
    """Histograms of the picture as RGB and as YUV."""
    cv2 = cv2_or_none()
    rgb, packed = picture.rgb, picture.packed
    of_rgb = OpCase(
        "histogram, RGB and V, RGB picture", {"rgb": rgb}, lambda x, out: ops.histogram(x["rgb"], color="rgb", out=out)
    )
    of_yuv = OpCase(
        "histogram, RGB and V, yuv420p", {"yuv": picture.yuv}, lambda x, out: ops.histogram(x["yuv"], out=out)
    )

    def numpy_histogram() -> object:
        value = rgb.max(-1)
        return [np.bincount(p.ravel(), minlength=256) for p in (*np.moveaxis(rgb, 2, 0), value)]

    of_rgb.peers["numpy"] = numpy_histogram
    if cv2 is not None:

        def counted(parts: Any) -> object:
            value = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
            return [cv2.calcHist([p], [0], None, [256], [0, 256]) for p in (*parts, value)]

        of_rgb.peers["opencv"] = lambda: counted(cv2.split(rgb))
        of_yuv.peers["opencv"] = lambda: counted(cv2.split(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)))
    return [of_rgb, of_yuv]


def cases(picture: Picture) -> list[OpCase]:
    """Means of tiles, quantile functions, and their mean over time."""
    cv2 = cv2_or_none()
    y = picture.yuv[0]
    height, width = y.shape
    means = OpCase("area_mean, luma to 8x12", {"y": y}, lambda x, out: ops.area_mean(x["y"], (8, 12), out=out))
    rows, columns = np.arange(8) * height // 8, np.arange(12) * width // 12
    means.peers["numpy"] = lambda: np.add.reduceat(np.add.reduceat(y, rows, 0, np.float32), columns, 1)
    if cv2 is not None:
        means.peers["opencv"] = lambda: cv2.resize(y, (12, 8), interpolation=cv2.INTER_AREA)

    hist = ops.histogram(picture.rgb, color="rgb", bins=1024)
    quantiles = OpCase(
        "quantiles, 4 x 1024 bins", {"histograms": hist}, lambda x, out: ops.quantiles(x["histograms"], out=out)
    )

    def numpy_quantiles() -> object:
        ranks = (np.arange(256) + 0.5) / 256
        out = []
        for row in hist:
            used = np.flatnonzero(row)
            middle = (np.cumsum(row) - row / 2)[used] / row.sum()
            out.append(np.interp(ranks, middle, used / 1023))
        return out

    quantiles.peers["numpy"] = numpy_quantiles

    window = np.ascontiguousarray(np.broadcast_to(ops.quantiles(hist), (61, 4, 256)))
    weights = np.full(61, 1 / 61, np.float32)
    smooth = OpCase(
        "smooth_quantiles, 61 frames",
        {"tables": window, "weights": weights},
        lambda x, out: ops.smooth_quantiles(x["tables"], x["weights"], out=out),
    )
    smooth.peers["numpy"] = lambda: np.tensordot(weights, window, 1)
    return [means, quantiles, smooth]
