"""What Interpolate declares to hold, against what NumPy allocates while it runs."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from reelmend.frame import Frame, PixelFormat, VideoInfo
from reelmend.stages.interpolate import Interpolate

FORMAT = PixelFormat.parse("yuv420p")
WIDTH, HEIGHT = 1280, 720


def ground():
    """Planes wider than the picture, of blocks of noise, so that there is motion to be found."""
    rng = np.random.default_rng(0)
    shapes = FORMAT.plane_shapes(WIDTH + 80, HEIGHT + 80)
    small = [rng.integers(16, 235, (h // 4, w // 4)).astype(np.uint8) for h, w in shapes]
    return [p.repeat(4, 0).repeat(4, 1) for p in small]


def frame_at(planes, k, shown):
    place = 4 * (k // shown)
    views = [p[:h, place : place + w] for p, (h, w) in zip(planes, FORMAT.plane_shapes(WIDTH, HEIGHT), strict=True)]
    return Frame(tuple(v.copy() for v in views), FORMAT, k, Fraction(1, 25), 1)


CASES = [
    ({"method": "sample"}, 1, 6),
    ({"method": "blend", "repeats": "keep"}, 1, 6),
    ({"method": "blend", "repeats": "retime", "factor": 4}, 3, 16),
    ({"method": "memc", "repeats": "keep"}, 1, 6),
    ({"method": "memc", "repeats": "retime"}, 3, 16),
    ({"method": "flow", "repeats": "keep"}, 1, 6),
]


@pytest.mark.parametrize(("options", "shown", "frames"), CASES, ids=str)
def test_the_most_it_holds_is_what_it_declares(options, shown, frames):
    """Source frames, made ones, flows and tables, frames given out being let go: within a tenth."""
    stage = Interpolate(**{"factor": 2, "method": "flow", **options})
    info = VideoInfo(WIDTH, HEIGHT, FORMAT, rate=Fraction(25), time_base=Fraction(1, 25))
    planes = ground()
    warm = stage.open(info, "cpu")  # what is imported and built on the way is not the stage's
    for k in range(4):
        warm.push(frame_at(planes, k, 1))
    del warm
    tracemalloc.start()
    try:
        runtime = stage.open(info, "cpu")
        for k in range(frames):
            runtime.push(frame_at(planes, k, shown))
        runtime.flush()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.9 < peak / stage.declare(info, "cpu").memory < 1.1
