"""bilateral_flow against float64 NumPy, with the exponentials themselves.

The bound allows for the table of range weights: 1024 steps up to 4 sigma, so a weight is off by at most 1.2e-3.
"""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(flow, guide, radius, sigma_range, sigma_space=None, confidence=None):
    height, width = guide.shape
    sigma_space = sigma_space or max(0.5, radius / 2)
    known = np.isfinite(flow).all(0)
    f = np.where(known, flow, 0).astype(np.float64)
    trust = known * (1.0 if confidence is None else np.maximum(np.nan_to_num(confidence.astype(np.float64)), 0))
    g = guide.astype(np.float64)
    y, x = np.mgrid[0:height, 0:width]
    total, weight = np.zeros((2, height, width)), np.zeros((height, width))
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
            j, i = np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)
            difference = np.abs(g - g[j, i])
            w = np.exp(-(dx * dx + dy * dy) / (2 * sigma_space**2)) * np.exp(-(difference**2) / (2 * sigma_range**2))
            w *= inside * trust[j, i] * (difference < 4 * sigma_range)
            total += w * f[:, j, i]
            weight += w
    own = np.where(np.isfinite(flow), flow, 0)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), own)


def picture(size, dtype, seed=0):
    """Steps with noise, so that all parts of the range table are used."""
    rng = np.random.default_rng(seed)
    p = 100 * (np.arange(size[1]) // 7 % 2) + rng.normal(60, 12, size)
    return p.astype(np.float32) if dtype == np.float32 else np.clip(p, 0, 255).astype(dtype)


def noise(size, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (2, *size)).astype(np.float32)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (5, 300), (33, 257)]
DTYPES = [np.uint8, np.uint16, np.float32]


@pytest.mark.parametrize("radius", [0, 1, 3, 8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_is_the_reference(device, size, dtype, radius):
    flow, guide = noise(size), picture(size, dtype)
    confidence = np.random.default_rng(3).random(size, np.float32)
    for trust in (None, confidence):
        given = None if trust is None else device.put(trust)
        got = device.get(
            ops.bilateral_flow(device.put(flow), device.put(guide), radius, sigma_range=20.0, confidence=given)
        )
        assert (got.dtype, got.shape) == (np.float32, (2, *size))
        assert np.abs(got - reference(flow, guide, radius, 20.0, None, trust)).max() < 3e-3


def test_sigmas_and_the_largest_radius(device):
    flow, guide = noise((20, 70)), picture((20, 70), np.uint8)
    got = device.get(ops.bilateral_flow(device.put(flow), device.put(guide), 32, sigma_range=9, sigma_space=5))
    assert np.abs(got - reference(flow, guide, 32, 9, 5)).max() < 3e-3


# --- properties --------------------------------------------------------------------------------------------------


def test_motion_does_not_cross_an_edge_of_the_guide(device):
    guide = np.zeros((16, 24), np.uint8)
    guide[:, 12:] = 200
    flow = np.zeros((2, 16, 24), np.float32)
    flow[0, :, 12:] = 5
    got = device.get(ops.bilateral_flow(device.put(flow), device.put(guide), 5, sigma_range=10))
    assert (got[:, :, :12] == 0).all()
    assert np.abs(got - flow).max() < 1e-5


def test_a_constant_stays(device):
    flow = np.full((2, 17, 33), 3, np.float32)
    got = device.get(ops.bilateral_flow(device.put(flow), device.put(picture((17, 33), np.uint8)), 4, sigma_range=25))
    assert np.abs(got - 3).max() < 1e-5


def test_what_is_unknown_is_filled_and_the_result_has_no_nan(device):
    flow = np.full((2, 17, 33), 2, np.float32)
    flow[0, 5, 5], flow[1, 9, 9], flow[:, 12:14, 20:22] = np.nan, np.inf, -np.inf
    guide = np.full((17, 33), 9, np.uint8)
    got = device.get(ops.bilateral_flow(device.put(flow), device.put(guide), 3, sigma_range=5))
    assert np.abs(got - 2).max() < 1e-6
    nothing = np.full((2, 5, 6), np.nan, np.float32)
    nothing[1] = 4
    got = device.get(ops.bilateral_flow(device.put(nothing), device.put(guide[:5, :6]), 2, sigma_range=5))
    assert (got[0] == 0).all()
    assert (got[1] == 4).all()


def test_only_what_is_trusted_counts(device):
    flow, guide = noise((9, 12)), np.full((9, 12), 9, np.uint8)
    confidence = np.full((9, 12), np.nan, np.float32)
    confidence[:, ::2] = -1
    confidence[4, 6] = 0.5
    got = device.get(
        ops.bilateral_flow(device.put(flow), device.put(guide), 2, sigma_range=5, confidence=device.put(confidence))
    )
    expected = flow.copy()
    expected[:, 2:7, 4:9] = flow[:, 4:5, 6:7]
    assert np.abs(got - expected).max() < 1e-6


def test_a_guide_of_nan_gives_numbers(device):
    guide = picture((9, 12), np.float32)
    guide[3, 3], guide[4, 4] = np.nan, np.inf
    flow = noise((9, 12))
    assert np.isfinite(device.get(ops.bilateral_flow(device.put(flow), device.put(guide), 3, sigma_range=5))).all()


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout(device, layout):
    flow, guide = noise((17, 33)), picture((17, 33), np.uint8)
    trust = np.random.default_rng(3).random((17, 33), np.float32)
    expected = device.get(
        ops.bilateral_flow(device.put(flow), device.put(guide), 3, sigma_range=20, confidence=device.put(trust))
    )
    turned = device.put(np.moveaxis(flow, 0, 2)).swapaxes(0, 2).swapaxes(1, 2)
    out = device.put(np.zeros((17, 33, 2), np.float32)).swapaxes(0, 2).swapaxes(1, 2)
    laid = [layout(device.put, a) for a in (guide, trust)]
    assert ops.bilateral_flow(turned, laid[0], 3, sigma_range=20, confidence=laid[1], out=out) is out
    assert np.array_equal(device.get(out), expected)


def test_foreign_arrays(foreign):
    flow, guide = noise((17, 33)), picture((17, 33), np.uint8)
    got = ops.bilateral_flow(foreign(flow), foreign(guide), 2, sigma_range=20)
    assert np.array_equal(got, ops.bilateral_flow(flow, guide, 2, sigma_range=20))


def test_same_bits_with_any_number_of_threads(for_threads):
    flow, guide = noise((61, 527)), picture((61, 527), np.uint8)
    first, *rest = for_threads(lambda: ops.bilateral_flow(flow, guide, 3, sigma_range=20))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, dtype):
    flow, guide, trust = noise(size), picture(size, dtype), np.random.default_rng(3).random(size, np.float32)
    flow[0, 0, 0] = np.nan
    theirs = ops.bilateral_flow(cuda.put(flow), cuda.put(guide), 3, sigma_range=20, confidence=cuda.put(trust))
    assert np.array_equal(ops.bilateral_flow(flow, guide, 3, sigma_range=20, confidence=trust), cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

F = np.zeros((2, 4, 6), np.float32)
G = np.zeros((4, 6), np.uint8)
S = {"sigma_range": 5.0}

BAD = {
    "one component": ((F[0], G, 2), S, r"flow: expected shape \(2, height, width\)"),
    "guide's size": ((F, G[:3], 2), S, r"guide: expected the flow's \(height, width\), \(4, 6\); got \(3, 6\)"),
    "guide's dtype": ((F, G.astype(np.int32), 2), S, "guide: expected uint8 or uint16; got int32"),
    "radius": ((F, G, 33), S, "radius: expected 0 to 32; got 33"),
    "half a radius": ((F, G, 1.5), S, "radius: expected 0 to 32; got 1.5"),
    "sigma": ((F, G, 2), {"sigma_range": 0}, "sigma_range: expected a positive number; got 0"),
    "sigma of space": ((F, G, 2), {**S, "sigma_space": np.nan}, "sigma_space: expected a positive number"),
    "confidence's size": ((F, G, 2), {**S, "confidence": np.zeros((4, 5), np.float32)}, "confidence: expected"),
    "confidence's dtype": ((F, G, 2), {**S, "confidence": G}, "confidence: expected float32; got uint8"),
    "in place": ((F, G, 2), {**S, "out": F}, "shares memory"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.bilateral_flow(*given, **options)
