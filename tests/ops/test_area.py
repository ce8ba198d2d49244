"""area_mean against float64 NumPy. Bound: 1e-6 of the largest code."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(plane, shape):
    """Means of tiles i * size // n up to (i + 1) * size // n."""
    height, width = plane.shape
    rows, columns = shape
    out = np.zeros(shape)
    for i in range(rows):
        for j in range(columns):
            ys = slice(i * height // rows, (i + 1) * height // rows)
            xs = slice(j * width // columns, (j + 1) * width // columns)
            out[i, j] = plane[ys, xs].astype(np.float64).mean()
    return out


def noise(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


TABLE = [
    ((1, 1), (1, 1)),
    ((1, 2), (1, 2)),
    ((2, 1), (1, 1)),
    ((3, 5), (2, 3)),
    ((17, 33), (17, 33)),
    ((17, 33), (16, 5)),
    ((64, 513), (18, 32)),
    ((65, 1027), (18, 32)),
    ((65, 1027), (65, 1)),
    ((65, 1027), (1, 1027)),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("size", "shape"), TABLE)
def test_is_the_reference(device, size, shape, dtype):
    plane = noise(size, dtype)
    got = device.get(ops.area_mean(device.put(plane), shape))
    assert got.dtype == np.float32
    assert got.shape == shape
    assert np.abs(got - reference(plane, shape)).max() <= 1e-6 * np.iinfo(dtype).max


# --- properties --------------------------------------------------------------------------------------------------


def test_one_tile_is_the_mean(device):
    plane = noise((65, 1027), np.uint8)
    got = device.get(ops.area_mean(device.put(plane), (1, 1)))
    assert got[0, 0] == np.float32(plane.mean(dtype=np.float64))


def test_one_tile_a_sample_is_the_plane(device):
    plane = noise((17, 33), np.uint16)
    assert np.array_equal(device.get(ops.area_mean(device.put(plane), (17, 33))), plane)


def test_a_white_plane_of_the_greatest_width_does_not_overflow(device):
    plane = np.full((40, 46340), 65535, np.uint16)
    assert (device.get(ops.area_mean(device.put(plane), (1, 1))) == 65535).all()


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout(device, layout):
    plane = noise((17, 33), np.uint16)
    got = ops.area_mean(layout(device.put, plane), (5, 7))
    assert np.array_equal(device.get(got), device.get(ops.area_mean(device.put(plane), (5, 7))))


def test_out(device):
    plane = device.put(noise((17, 33), np.uint8))
    out = device.put(np.full((5, 7), -1, np.float32))
    assert ops.area_mean(plane, out=out) is out
    assert np.array_equal(device.get(out), device.get(ops.area_mean(plane, (5, 7))))


def test_foreign_arrays(foreign):
    plane = noise((17, 33), np.uint8)
    out = np.zeros((5, 7), np.float32)
    ops.area_mean(foreign(plane), out=out)
    assert np.array_equal(out, ops.area_mean(plane, (5, 7)))
    assert np.array_equal(out, ops.area_mean(foreign(plane), (5, 7)))


def test_same_bits_with_any_number_of_threads(for_threads):
    plane = noise((257, 1027), np.uint8)
    first, *rest = for_threads(lambda: ops.area_mean(plane, (18, 32)))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("size", "shape"), TABLE)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, shape, dtype):
    plane = noise(size, dtype)
    assert np.array_equal(ops.area_mean(plane, shape), cuda.get(ops.area_mean(cuda.put(plane), shape)))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 6), np.uint8)
FROZEN = np.zeros((2, 2), np.float32)
FROZEN.setflags(write=False)

BAD = {
    "no shape": (P, {}, "needs shape="),
    "more rows than samples": (P, {"shape": (5, 1)}, "at least one sample a tile"),
    "more columns than samples": (P, {"shape": (1, 7)}, "at least one sample a tile"),
    "no tiles": (P, {"shape": (0, 3)}, "at least one sample a tile"),
    "one dimension": (P[0], {"shape": (1, 1)}, r"\(height, width\); got \(6\)"),
    "three dimensions": (P[:, :, None], {"shape": (1, 1)}, r"got \(4, 6, 1\)"),
    "empty": (P[:, :0], {"shape": (1, 1)}, "at least one sample"),
    "floats": (P.astype(np.float32), {"shape": (1, 1)}, "expected uint8 or uint16; got float32"),
    "integers": (P.astype(np.int32), {"shape": (1, 1)}, "expected uint8 or uint16; got int32"),
    "out of doubles": (P, {"out": np.zeros((2, 2))}, "expected float32; got another dtype"),
    "out of one dimension": (P, {"out": np.zeros(4, np.float32)}, r"expected shape \(rows, columns\)"),
    "out not contiguous": (P, {"out": np.zeros((2, 4), np.float32)[:, ::2]}, "C-contiguous"),
    "read-only out": (P, {"out": FROZEN}, "read-only"),
}


@pytest.mark.parametrize(("plane", "options", "message"), BAD.values(), ids=BAD)
def test_area_mean_refuses(plane, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.area_mean(plane, **options)
