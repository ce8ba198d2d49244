"""Case of ops/exposure.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import OpCase, Picture, cv2_or_none, numpy_to_rgb

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """The exposure map of a yuv420p picture."""
    cv2 = cv2_or_none()
    case = OpCase("exposure_map, yuv420p", {"yuv": picture.yuv}, lambda x, out: ops.exposure_map(x["yuv"], out=out))

    def numpy_exposure() -> object:
        value = numpy_to_rgb(*picture.yuv).max(-1)
        return ((value < 0.05 * 255) | (value > 0.80 * 255)).astype(np.uint8)

    case.peers["numpy"] = numpy_exposure
    if cv2 is not None:

        def cv2_exposure() -> object:
            parts = cv2.split(cv2.cvtColor(picture.packed, cv2.COLOR_YUV2RGB_I420))
            value = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
            return cv2.bitwise_not(cv2.inRange(value, 13, 204))

        case.peers["opencv"] = cv2_exposure
    return [case]
