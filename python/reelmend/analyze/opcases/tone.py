"""Cases of ops/tone.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import Array, OpCase, Picture, cv2_or_none, numpy_to_rgb, numpy_to_yuv

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """A table applied to luma, and a tone curve to a yuv420p picture: alone, with fields of gains, with a mask."""
    cv2 = cv2_or_none()
    yuv, packed, levels = picture.yuv, picture.packed, picture.levels
    y = yuv[0]
    given = {"y": y, "table": picture.table}
    plain = OpCase(
        "apply_lut, luma plane", given, lambda x, out: ops.apply_lut(x["y"], x["table"], dither=False, out=out)
    )
    target = np.empty_like(y)
    plain.peers["numpy"] = lambda: np.take(levels, y, out=target, mode="clip")
    dithered = OpCase(
        "apply_lut, luma plane, dithered", given, lambda x, out: ops.apply_lut(x["y"], x["table"], out=out)
    )
    curve = OpCase(
        "map_tones, yuv420p",
        {"yuv": yuv, "change": picture.change},
        lambda x, out: ops.map_tones(x["yuv"], x["change"], out=out),
        note="peers convert to RGB, look up, convert back: chroma resampled, no dither",
    )

    def numpy_tones() -> object:
        return numpy_to_yuv(levels[np.clip(numpy_to_rgb(*yuv) + 0.5, 0, 255).astype(np.uint8)])

    curve.peers["numpy"] = numpy_tones
    if cv2 is not None:
        plain.peers["opencv"] = lambda: cv2.LUT(y, levels, target)
        three = np.stack([levels] * 3, -1)[None]
        curve.peers["opencv"] = lambda: cv2.cvtColor(
            cv2.LUT(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), three), cv2.COLOR_RGB2YUV_I420
        )
    return [plain, dithered, curve, *_fields(picture)]


def _fields(picture: Picture) -> list[OpCase]:
    cv2 = cv2_or_none()
    yuv, packed, change = picture.yuv, picture.packed, picture.change
    y = yuv[0]
    rng = np.random.default_rng(1)
    mask = rng.integers(0, 256, y.shape).astype(np.uint8)
    three = np.stack([picture.levels] * 3, -1)[None]
    response = change + np.linspace(0, 1, change.shape[1], dtype=np.float32)  # f(x), the default
    found: list[OpCase] = []
    for name, shape in (("64 rows", (1, 64, 1)), ("16x32", (1, 16, 32)), ("16x32 in 8 bins", (8, 16, 32))):
        gains = rng.uniform(-0.1, 0.1, (3, *shape)).astype(np.float32)
        case = OpCase(
            f"map_tones, yuv420p, gains {name}",
            {"yuv": yuv, "change": change, "gains": gains, "response": response},
            lambda x, out: ops.map_tones(x["yuv"], x["change"], gains=x["gains"], response=x["response"], out=out),
        )
        found.append(case)
        if cv2 is None or shape[0] > 1:
            continue
        factors = np.ascontiguousarray(np.moveaxis(1 + gains[:, 0], 0, 2))

        def opencv(factors: Array = factors) -> object:
            toned = cv2.LUT(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), three)
            field = cv2.resize(factors, (y.shape[1], y.shape[0]), interpolation=cv2.INTER_LINEAR)
            return cv2.cvtColor(cv2.multiply(toned, field, dtype=cv2.CV_8U), cv2.COLOR_RGB2YUV_I420)

        case.peers["opencv"] = opencv
    masked = OpCase(
        "map_tones, yuv420p, mask",
        {"yuv": yuv, "change": change, "mask": mask},
        lambda x, out: ops.map_tones(x["yuv"], x["change"], mask=x["mask"], out=out),
    )
    return [*found, masked]
