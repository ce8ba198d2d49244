"""adaptive_warp against float64 NumPy, written from the loops of DAIN's layer (FilterInterpolation, filter size 4)."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(plane, flow, kernels, scale=1.0):
    """The exact values, not rounded, not clamped."""
    height, width = plane.shape
    p, k = plane.astype(np.float64), kernels.astype(np.float64).reshape(4, 4, height, width)
    y, x = np.mgrid[0:height, 0:width]
    with np.errstate(invalid="ignore"):
        u, v = (f.astype(np.float64) * np.float64(np.float32(scale)) for f in flow)
        inside = (x + u >= 0) & (y + v >= 0) & (x + u <= width - 1) & (y + v <= height - 1)
        inside &= (np.abs(u) < width / 2) & (np.abs(v) < height / 2)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    i, j = np.floor(x + u).astype(int), np.floor(y + v).astype(int)
    a, b = x + u - i, y + v - j
    total = np.zeros((height, width))
    for row in range(4):
        for column in range(4):
            weight = (a if column > 1 else 1 - a) * (b if row > 1 else 1 - b)
            sample = p[np.clip(j - 1 + row, 0, height - 1), np.clip(i - 1 + column, 0, width - 1)]
            total += weight * k[row, column] * sample
    return np.where(inside, total, p)


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def taps(size, seed=4):
    """Kernels of noise whose quadrants sum to about 1."""
    return np.random.default_rng(seed).uniform(-0.1, 0.6, (16, *size)).astype(np.float32)


def wild(size, reach, seed=1):
    return np.random.default_rng(seed).uniform(-reach, reach, (2, *size)).astype(np.float32)


def check(got, exact, most):
    slip = 4e-6 * most
    if got.dtype == np.float32:
        assert np.abs(got - exact).max() <= slip
        return
    low, high = (np.clip(np.floor(exact + 0.5 + s), 0, most) for s in (-slip, slip))
    assert ((got >= low) & (got <= high)).all()


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 3), (4, 4), (17, 33), (9, 255), (33, 515)]
DTYPES = [np.uint8, np.uint16, np.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_is_the_reference(device, size, dtype):
    plane, kernels = noise(size, dtype), taps(size)
    most = 1 if dtype == np.float32 else np.iinfo(dtype).max
    for reach, scale in ((0.6, 1), (3, 0.5), (50, -1)):
        flow = wild(size, reach)
        got = device.get(ops.adaptive_warp(*map(device.put, (plane, flow, kernels)), scale=scale))
        assert (got.dtype, got.shape) == (dtype, size)
        check(got, reference(plane, flow, kernels, scale), most)


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_bilinear_taps_are_a_warp_inside(device, dtype):
    size = (20, 300)
    plane, flow, kernels = noise(size, dtype), wild(size, 3), np.zeros((16, *size), np.float32)
    kernels[[5, 6, 9, 10]] = 1
    got = device.get(ops.adaptive_warp(*map(device.put, (plane, flow, kernels))))
    plain = device.get(ops.warp(device.put(plane), device.put(flow)))
    inside = np.s_[3:-4, 3:-4]
    assert np.abs(got[inside].astype(np.float64) - plain[inside]).max() <= (1e-6 if dtype == np.float32 else 1)


def test_what_leads_out_or_too_far_stays(device):
    plane, kernels = noise((8, 12), np.uint8), np.zeros((16, 8, 12), np.float32)
    flow = np.zeros((2, 8, 12), np.float32)
    flow[0, :, :4], flow[0, :, 4:8], flow[1, :2, 8:] = -4.5, 6, np.nan
    flow[0, 2:4, 8:], flow[1, 4:6, 8:] = np.inf, -np.inf
    flow[0, 6, 11], flow[1, 7, 8] = 1e-6, 1e-6
    got = device.get(ops.adaptive_warp(*map(device.put, (plane, flow, kernels))))
    expected = plane.copy()
    expected[6:8, 8:] = 0
    expected[6, 11], expected[7, 8] = plane[6, 11], plane[7, 8]
    assert np.array_equal(got, expected)


def test_several_planes_are_each_alone(device):
    planes = [device.put(noise((17, 33), np.uint8, seed)) for seed in range(4)]
    flow, kernels = device.put(wild((17, 33), 3)), device.put(taps((17, 33)))
    got = ops.adaptive_warp(planes, flow, kernels)
    assert isinstance(got, tuple)
    for a, b in zip(got, planes, strict=True):
        assert np.array_equal(device.get(a), device.get(ops.adaptive_warp(b, flow, kernels)))


def test_codes_are_clamped_to_max_code(device):
    plane = np.full((9, 12), 1000, np.uint16)
    args = [device.put(a) for a in (plane, wild((9, 12), 1), np.full((16, 9, 12), 0.5, np.float32))]
    assert device.get(ops.adaptive_warp(*args, max_code=1023)).max() == 1023
    assert device.get(ops.adaptive_warp(*args)).max() == 2000


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout(device, layout, dtype):
    plane, flow, kernels = noise((17, 33), dtype), wild((17, 33), 3), taps((17, 33))
    expected = device.get(ops.adaptive_warp(*map(device.put, (plane, flow, kernels))))
    out = layout(device.put, np.zeros((17, 33), dtype))
    turned = [device.put(np.moveaxis(a, 0, 2)).swapaxes(0, 2).swapaxes(1, 2) for a in (flow, kernels)]
    assert ops.adaptive_warp(layout(device.put, plane), *turned, out=out) is out
    assert np.array_equal(device.get(out), expected)


def test_foreign_arrays(foreign):
    given = noise((17, 33), np.uint8), wild((17, 33), 3), taps((17, 33))
    out = np.zeros((17, 33), np.uint8)
    ops.adaptive_warp(*map(foreign, given), out=out)
    assert np.array_equal(out, ops.adaptive_warp(*given))


def test_same_bits_with_any_number_of_threads(for_threads):
    size = (61, 527)
    plane, flow, kernels = noise(size, np.float32), wild(size, 9), taps(size)
    first, *rest = for_threads(lambda: ops.adaptive_warp(plane, flow, kernels))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, dtype):
    for reach in (0.6, 9, 1e5):
        given = noise(size, dtype), wild(size, reach), taps(size)
        theirs = ops.adaptive_warp(*map(cuda.put, given))
        assert np.array_equal(ops.adaptive_warp(*given), cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 6), np.uint8)
F = np.zeros((2, 4, 6), np.float32)
K = np.zeros((16, 4, 6), np.float32)

BAD = {
    "nine taps": ((P, F, K[:9]), {}, r"kernels: expected shape \(16, height, width\)"),
    "kernels' size": ((P, F, K[:, :3]), {}, r"got \(16, 3, 6\)"),
    "kernels' dtype": ((P, F, K.astype(np.float64)), {}, "kernels: expected float32"),
    "kernels of a plane": ((P, F, K[0]), {}, r"kernels: expected shape \(planes, height, width\)"),
    "flow's size": ((P, F[:, :3], K), {}, "flow: expected"),
    "five planes": (([P] * 5, F, K), {}, "expected 1 to 4 planes; got 5"),
    "integers of 32 bits": ((P.astype(np.int32), F, K), {}, "expected uint8 or uint16; got int32"),
    "scale": ((P, F, K), {"scale": np.inf}, "scale: expected a finite number"),
    "max_code": ((P, F, K), {"max_code": 256}, "expected 1 to 255"),
    "in place": ((P, F, K), {"out": P}, "shares memory"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.adaptive_warp(*given, **options)
