"""Cases of ops/blocks.py."""

from __future__ import annotations

from ... import ops
from .case import OpCase, Picture, cv2_or_none
from .geometry import smooth_flow

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """The picture and the same along a smooth flow of a few pixels."""
    a = picture.yuv[0]
    b = ops.warp(a, smooth_flow(*a.shape))
    case = OpCase(
        "block_motion, 8x8 blocks, windows 16x16",
        {"a": a, "b": b},
        lambda x, out: ops.block_motion(x["a"], x["b"], out=out),
        note="OpenCV's is dense inverse search, ultrafast: another method, whose flow has a vector for each pixel",
    )
    cv2 = cv2_or_none()
    if cv2 is not None:
        engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        case.peers["opencv"] = lambda: engine.calc(a, b, None)  # an array given would be the flow to start from
    return [case]
