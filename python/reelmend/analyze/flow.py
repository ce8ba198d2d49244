"""Optical flow and occlusion for E_warp: OpenCV's DIS, which is installed with the extra `bench`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import ops
from ..errors import MissingExtraError

__all__ = ["dis_flow", "visible"]

Flow = npt.NDArray[np.float32]


def dis_flow(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Flow:
    """Dense flow a -> b by DIS (Kroeger et al. 2016, medium preset): (height, width, 2) float32, x then y, pixels.

    a and b are 8-bit RGB. Give it the clean or the input video, never the output that is being judged.
    """
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("opencv-python-headless", "bench", "optical flow") from None
    gray = [cv2.cvtColor(np.ascontiguousarray(x), cv2.COLOR_RGB2GRAY) for x in (a, b)]
    api: Any = cv2  # the stubs of some releases leave DIS out
    engine = api.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(engine.calc(gray[0], gray[1], None), dtype=np.float32)


def visible(forward: Flow, backward: Flow) -> npt.NDArray[np.uint8]:
    """1 where a pixel can be trusted, 0 where occluded or at a motion boundary: (height, width) uint8.

    Ruder et al. 2016, as in the code of Lai et al. 2018. With f the flow of this frame and b the other frame's flow
    brought here: occluded if |f + b|^2 > .01 (|f|^2 + |b|^2) + .5; boundary if |grad f|^2 > .01 |f|^2 + .002.
    """
    f, b = (np.moveaxis(flow, 2, 0) for flow in (forward, backward))
    agrees = ops.consistency(f, b, outside=None) == 1
    size = np.sum(forward**2, -1)
    gradient = np.zeros_like(size)
    gradient[:, :-1] += np.sum(np.diff(forward, axis=1) ** 2, -1)
    gradient[:-1] += np.sum(np.diff(forward, axis=0) ** 2, -1)
    boundary = gradient > 0.01 * size + 0.002
    return np.asarray(agrees & ~boundary, np.uint8)
