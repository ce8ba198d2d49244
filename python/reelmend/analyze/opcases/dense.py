"""Cases of ops/dense.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import OpCase, Picture, cv2_or_none
from .geometry import smooth_flow

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """The flow, on the grid of half the size, of a picture that moves by a few pixels."""
    a = picture.yuv[0]
    b = ops.warp(a, smooth_flow(*a.shape))
    case = OpCase(
        "dense_flow, luma planes, to half size",
        {"a": a, "b": b},
        lambda x, out: ops.dense_flow(x["a"], x["b"], finest=1, out=out),
        note="OpenCV's DIS with the same patches, on planes halved beforehand; NumPy has no peer",
    )
    cv2 = cv2_or_none()
    if cv2 is not None:
        halves = [ops.resize(p, ((p.shape[0] + 1) // 2, (p.shape[1] + 1) // 2), filter="area") for p in (a, b)]
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        dis.setFinestScale(0)
        if min(halves[0].shape) >= 2 * dis.getPatchSize():
            case.peers["opencv"] = lambda: np.asarray(dis.calc(*halves, None))
    return [case]
