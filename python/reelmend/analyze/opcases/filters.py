"""Cases of ops/filters.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import Array, OpCase, Picture, cv2_or_none

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """Three float planes sharpened by gains of half their size, and a luma plane."""
    y = picture.yuv[0]
    three = tuple(np.ascontiguousarray(np.roll(y, k, 1), np.float32) for k in (0, 1, 2))
    return [_sharpen("three float planes", three), _sharpen("luma plane", (y,))]


def _sharpen(name: str, planes: tuple[Array, ...]) -> OpCase:
    cv2 = cv2_or_none()
    height, width = planes[0].shape
    row, column = np.mgrid[0 : height // 2, 0 : width // 2].astype(np.float32)
    gains = np.stack([np.sin(row / 70), np.cos(column / 50), np.sin(row / 40) * np.cos(column / 90)]).astype(np.float32)
    floats, to = np.empty((height, width), np.float32), [np.empty_like(p) for p in planes]
    full, blurred, detail = np.empty((3, height, width), np.float32), np.empty_like(floats), np.empty_like(floats)

    def in_numpy() -> None:
        for g, whole in zip(gains, full, strict=True):
            ops.resize(g, out=whole)
        for p, result in zip(planes, to, strict=True):
            x = np.pad(p.astype(np.float32), 2, "edge")
            rows = x[:-4] + x[1:-3] + x[2:-2] + x[3:-1] + x[4:]
            square = rows[:, :-4] + rows[:, 1:-3] + rows[:, 2:-2] + rows[:, 3:-1] + rows[:, 4:]
            here = x[2:-2, 2:-2]
            sharp = here + full[0] * (here - (x[2:-2, 1:-3] + x[2:-2, 3:-1]) * np.float32(0.5))
            sharp += full[1] * (here - (x[1:-3, 2:-2] + x[3:-1, 2:-2]) * np.float32(0.5))
            sharp += full[2] * (here - square * np.float32(0.04))
            result[:] = sharp if p.dtype == np.float32 else np.clip(sharp + 0.5, 0, 255)

    across = np.array([[-0.5, 1, -0.5]], np.float32)

    def in_opencv() -> None:
        for g, whole in zip(gains, full, strict=True):
            cv2.resize(g, (width, height), whole, interpolation=cv2.INTER_LINEAR)
        for p, result in zip(planes, to, strict=True):
            x = p if p.dtype == np.float32 else p.astype(np.float32)
            sharp = result if p.dtype == np.float32 else floats
            np.copyto(sharp, x)
            for kernel, gain in ((across, full[0]), (across.T, full[1])):
                cv2.filter2D(x, cv2.CV_32F, kernel, detail, borderType=cv2.BORDER_REPLICATE)
                cv2.accumulateProduct(detail, gain, sharp)
            cv2.subtract(x, cv2.blur(x, (5, 5), blurred, borderType=cv2.BORDER_REPLICATE), detail)
            cv2.accumulateProduct(detail, full[2], sharp)
            if sharp is floats:
                cv2.max(cv2.add(floats, 0.5, floats), 0, floats)
                np.copyto(result, cv2.min(floats, 255, floats), casting="unsafe")

    made = OpCase(
        f"sharpen, {name}",
        {"planes": planes, "gains": gains},
        lambda x, out: ops.sharpen(x["planes"], x["gains"], out=out),
        peers={"numpy": in_numpy},
        note="in steps, by NumPy and by OpenCV: gains enlarged, then each blur, its detail times the gains",
    )
    if cv2 is not None:
        made.peers["opencv"] = in_opencv
    return made
