"""Cases of ops/color.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import OpCase, Picture, cv2_or_none, numpy_to_rgb, numpy_to_yuv

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """yuv420p to RGB and back."""
    cv2 = cv2_or_none()
    rgb, yuv, packed = picture.rgb, picture.yuv, picture.packed
    there = OpCase(
        "yuv_to_rgb, yuv420p",
        {"yuv": yuv},
        lambda x, out: ops.yuv_to_rgb(x["yuv"], out=out),
        note="ours interpolates chroma; NumPy and OpenCV (BT.601) repeat it",
    )
    back = OpCase(
        "rgb_to_yuv, yuv420p",
        {"rgb": rgb},
        lambda x, out: ops.rgb_to_yuv(x["rgb"], out=out),
        note="ours filters chroma for its siting; OpenCV (BT.601) takes one sample of four",
    )
    there.peers["numpy"] = lambda: np.clip(numpy_to_rgb(*yuv) + 0.5, 0, 255).astype(np.uint8)
    back.peers["numpy"] = lambda: numpy_to_yuv(rgb)
    if cv2 is not None:
        scratch = np.empty_like(rgb)
        there.peers["opencv"] = lambda: cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420, scratch)
        back.peers["opencv"] = lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    _swscale(there, back, picture)
    return [there, back]


def _swscale(to_rgb: OpCase, to_yuv: OpCase, picture: Picture) -> None:
    """Adds FFmpeg's converter as a peer (default bilinear chroma; the frame is already in its memory)."""
    try:
        import av
        from av.video.reformatter import VideoReformatter
    except ImportError:
        return
    source = av.VideoFrame.from_ndarray(picture.packed, format="yuv420p")
    back = av.VideoFrame.from_ndarray(picture.rgb, format="rgb24")
    one, other = VideoReformatter(), VideoReformatter()
    to_rgb.peers["swscale"] = lambda: one.reformat(source, format="rgb24")
    to_yuv.peers["swscale"] = lambda: other.reformat(back, format="yuv420p")
