"""correlate against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(a, b, radius):
    channels, height, width = a.shape
    padded = np.pad(b.astype(np.float64), ((0, 0), (radius, radius), (radius, radius)))
    across = 2 * radius + 1
    shifts = [(k // across, k % across) for k in range(across**2)]
    return np.stack([(a * padded[:, y : y + height, x : x + width]).sum(0) / channels for y, x in shifts])


def features(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


SHAPES = [(1, 1, 1), (3, 1, 2), (2, 2, 1), (5, 3, 5), (32, 17, 33), (4, 9, 8), (7, 6, 24), (16, 5, 131)]


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 5, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_reference(device, shape, radius):
    a, b = features(shape), features(shape, 1)
    got = device.get(ops.correlate(device.put(a), device.put(b), radius))
    assert (got.dtype, got.shape) == (np.float32, ((2 * radius + 1) ** 2, *shape[1:]))
    assert np.abs(got - reference(a, b, radius)).max() < 4e-6


# --- properties --------------------------------------------------------------------------------------------------


def test_a_shift_is_found_where_it_is(device):
    a = features((8, 20, 30))
    a /= np.linalg.norm(a, axis=0)
    b = np.roll(a, (2, -3), (1, 2))
    best = device.get(ops.correlate(device.put(a), device.put(b), 4)).argmax(0)
    assert (best[4:-4, 4:-4] == (2 + 4) * 9 + (-3 + 4)).all()


def test_outside_is_zero_even_beside_nan(device):
    a = np.full((2, 5, 6), np.nan, np.float32)
    got = device.get(ops.correlate(device.put(a), device.put(a), 1))
    assert (got[0, 0] == 0).all()
    assert (got[0, :, 0] == 0).all()
    assert np.isnan(got[0, 1:, 1:]).all()
    assert (got[8, -1] == 0).all()


def test_sums_run_over_channels_in_order(device):
    a, b = features((40, 9, 20)), features((40, 9, 20), 1)
    total = np.zeros((9, 20), np.float32)
    for one, two in zip(a, b, strict=True):
        total += one * two
    got = device.get(ops.correlate(device.put(a), device.put(b), 1))
    assert np.array_equal(got[4], total * (np.float32(1) / np.float32(40)))


# --- memory ------------------------------------------------------------------------------------------------------


def last(put, a):
    return put(np.moveaxis(a, 0, 2)).swapaxes(0, 2).swapaxes(1, 2)


def cropped(put, a):
    return put(np.pad(a, ((1, 1), (2, 3), (4, 5))))[1:-1, 2:-3, 4:-5]


@pytest.mark.parametrize("lay", [last, cropped])
def test_any_layout(device, lay):
    a, b = features((6, 7, 21)), features((6, 7, 21), 1)
    expected = device.get(ops.correlate(device.put(a), device.put(b), 2))
    out = lay(device.put, np.zeros((25, 7, 21), np.float32))
    assert ops.correlate(lay(device.put, a), lay(device.put, b), 2, out=out) is out
    assert np.array_equal(device.get(out), expected)


def test_foreign_arrays(foreign):
    a, b = features((6, 7, 21)), features((6, 7, 21), 1)
    assert np.array_equal(ops.correlate(foreign(a), foreign(b)), ops.correlate(a, b))


def test_same_bits_with_any_number_of_threads(for_threads):
    a, b = features((6, 31, 45)), features((6, 31, 45), 1)
    first, *rest = for_threads(lambda: ops.correlate(a, b))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("radius", [0, 2, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, shape, radius):
    a, b = features(shape), features(shape, 1)
    assert np.array_equal(ops.correlate(a, b, radius), cuda.get(ops.correlate(cuda.put(a), cuda.put(b), radius)))


# --- errors ------------------------------------------------------------------------------------------------------

A = np.zeros((3, 4, 6), np.float32)

BAD = {
    "a plane": ((A[0], A[0]), {}, r"a: expected shape \(planes, height, width\)"),
    "unlike": ((A, A[:2]), {}, r"b: expected shape \(3, 4, 6\); got \(2, 4, 6\)"),
    "doubles": ((A, A.astype(np.float64)), {}, "b: expected float32"),
    "no channels": ((A[:0], A[:0]), {}, r"a: expected shape \(planes, height, width\)"),
    "empty": ((A[:, :0], A[:, :0]), {}, "empty plane"),
    "radius": ((A, A, 17), {}, "radius: expected 0 to 16; got 17"),
    "out's shape": ((A, A, 1), {"out": np.zeros((8, 4, 6), np.float32)}, r"out: expected shape \(9, 4, 6\)"),
    "in place": ((A, A, 0), {"out": A[:1]}, "shares memory"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.correlate(*given, **options)
