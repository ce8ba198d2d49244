"""block_motion against brute force, and against motion that is known."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops


def texture(height, width, seed=0, soft=1.5):
    """A picture of soft noise over all levels."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    plane = np.fft.irfft2(spectrum * np.exp(-2 * (np.pi * soft) ** 2 * (fx**2 + fy**2)), (height, width))
    return np.clip(128 + 45 * plane / plane.std(), 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-5, 3), (40, -25), (-48, 9)])
def test_a_shifted_picture_is_found_whole(device, shift):
    u, v = shift
    big = texture(420, 640)
    a, b = big[100:300, 100:500], big[100 - v : 300 - v, 100 - u : 500 - u]
    flow, cost = (device.get(x) for x in ops.block_motion(device.put(a), device.put(b)))
    inside = flow[:, 10:-10, 12:-12]
    assert (inside == np.array(shift)[:, None, None]).all()
    assert (cost[10:-10, 12:-12] == 0).all()
