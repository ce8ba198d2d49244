"""warp_shrunk against float64 NumPy, and against the three steps it stands for, to the bit.

The reference makes all three steps in full: the flow enlarged, every pixel warped, all of it resized.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def between(plane, y, x):
    """Samples at places (y, x) of any shape, bilinear, the edge repeated."""
    height, width = plane.shape
    y, x = np.clip(y, -1e6, 1e6), np.clip(x, -1e6, 1e6)
    j, i = np.floor(y).astype(int), np.floor(x).astype(int)
    total = np.zeros(np.broadcast(y, x).shape)
    for down, right in product((0, 1), (0, 1)):
        weight = (y - j if down else 1 - (y - j)) * (x - i if right else 1 - (x - i))
        total += weight * plane[np.clip(j + down, 0, height - 1), np.clip(i + right, 0, width - 1)]
    return total


def resized(plane, size):
    y, x = ((np.arange(n) + 0.5) * old / n - 0.5 for n, old in zip(size, plane.shape, strict=True))
    return between(plane, y[:, None], x[None])


def reference(plane, flow, shrink):
    """The exact values, not rounded."""
    size = plane.shape
    u, v = (resized(f.astype(np.float64), size) for f in flow)
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    warped = between(plane.astype(np.float64), y + v, x + u)
    return resized(warped, tuple(n // shrink for n in size))


def in_steps(planes, flow, shrink):
    """The same by the ops that it is made of."""
    size = planes[0].shape
    full = flow if flow.shape[1:] == size else np.stack([ops.resize(f, size) for f in flow])
    return [ops.resize(p, tuple(n // shrink for n in size)) for p in ops.warp(planes, full, border="edge")]


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def wild(grid, reach, seed=1):
    return np.random.default_rng(seed).uniform(-reach, reach, (2, *grid)).astype(np.float32)


# (height, width) of the picture, shrink; CPU chunks are 256 cells wide, and 8 of them are worked on before the next row
SIZES = [
    *(((1, 1), 1), ((1, 3), 1), ((17, 33), 1), ((9, 2100), 1)),
    *(((2, 2), 2), ((2, 6), 2), ((10, 34), 2), ((6, 4200), 2)),
    *(((4, 4), 4), ((20, 36), 4), ((8, 1032), 4), ((8, 8), 8), ((24, 56), 8), ((36, 60), 6), ((32, 16), 16)),
]
GRIDS = {
    "its size": lambda h, w: (h, w),
    "a half": lambda h, w: (-(-h // 2), -(-w // 2)),
    "a quarter": lambda h, w: (-(-h // 4), -(-w // 4)),
    "a sixteenth": lambda h, w: (-(-h // 16), -(-w // 16)),
    "one vector": lambda h, w: (1, 1),
    "odd": lambda h, w: (3, 5),
    "half the columns": lambda h, w: (h, -(-w // 2)),
}
DTYPES = [np.uint8, np.uint16, np.float16, np.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("size", "shrink"), SIZES)
def test_is_the_reference(device, size, shrink, grid, dtype):
    plane = noise(size, dtype)
    for reach in (0.6, 3, 50):
        flow = wild(grid(*size), reach)
        got = device.get(ops.warp_shrunk(device.put(plane), device.put(flow), shrink))
        exact = reference(plane, flow, shrink)
        assert (got.dtype, got.shape) == (dtype, exact.shape)
        most = np.iinfo(dtype).max if got.dtype.kind == "u" else 1
        # floats: places are float32; integers and halves: rounded twice
        slip = {np.float32: 2e-6 + 4e-7 * reach, np.float16: 1.5e-3}.get(dtype, 1 + most * 4e-7 * reach)
        assert np.abs(got.astype(np.float64) - exact).max() <= slip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("size", "shrink"), SIZES)
def test_is_three_steps_in_one(device, size, shrink, grid, dtype):
    planes = [noise(size, dtype, seed) for seed in range(2)]
    for reach in (0.6, 20, 1e8):
        flow = wild(grid(*size), reach)
        flow[0, 0, 0], flow[1, -1, -1] = np.nan, np.inf
        got = ops.warp_shrunk([device.put(p) for p in planes], device.put(flow), shrink)
        for one, expected in zip(got, in_steps(planes, flow, shrink), strict=True):
            assert np.array_equal(device.get(one), expected)


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "shrink"), SIZES)
def test_no_flow_shrinks(device, size, shrink, dtype):
    plane, flow = noise(size, dtype), np.zeros((2, 1, 1), np.float32)
    got = device.get(ops.warp_shrunk(device.put(plane), device.put(flow), shrink))
    assert np.array_equal(got, ops.resize(plane, tuple(n // shrink for n in size)))


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_vectors_are_in_pixels_of_the_picture(device, shrink):
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    flow = np.stack([np.full((4, 4), 8, np.float32), np.full((4, 4), -16, np.float32)])
    across, down = ops.warp_shrunk([device.put(x), device.put(y)], device.put(flow), shrink)
    inside = np.s_[16 // shrink :, : -8 // shrink]
    assert np.array_equal(device.get(across)[inside], ops.resize(x, (64 // shrink,) * 2)[inside] + 8)
    assert np.array_equal(device.get(down)[inside], ops.resize(y, (64 // shrink,) * 2)[inside] - 16)


@pytest.mark.parametrize("shrink", [1, 2, 4])
def test_nan_and_infinity_in_full_size_move_nothing(device, shrink):
    plane, flow = noise((16, 32), np.float32), wild((16, 32), 3)
    flow[0, 3, 4:9], flow[1, 5, :], flow[:, 8, 2] = np.nan, np.inf, -np.inf
    clean = np.where(np.isfinite(flow), flow, np.float32(0))
    got = [device.get(ops.warp_shrunk(device.put(plane), device.put(f), shrink)) for f in (flow, clean)]
    assert np.array_equal(*got)


def test_a_very_far_place_is_the_edge(device):
    plane = noise((8, 12), np.uint8)
    for value in (1e7, -1e7, 3e38, -3e38):
        flow = np.full((2, 2, 3), value, np.float32)
        got = device.get(ops.warp_shrunk(device.put(plane), device.put(flow), 2))
        assert (got == (plane[-1, -1] if value > 0 else plane[0, 0])).all()


def test_any_number_of_planes_are_each_alone(device):
    planes = [device.put(noise((16, 32), np.float32, seed)) for seed in range(9)]
    flow = device.put(wild((4, 8), 3))
    for count in (1, 3, 4, 5, 9):
        got = ops.warp_shrunk(planes[:count], flow, 4)
        assert isinstance(got, tuple)
        assert len(got) == count
        for a, b in zip(got, planes, strict=False):
            assert np.array_equal(device.get(a), device.get(ops.warp_shrunk(b, flow, 4)))


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout(device, layout, dtype, shrink):
    plane, flow = noise((18, 34), dtype), wild((5, 9), 3)
    expected = in_steps([plane], flow, shrink)[0]
    out = layout(device.put, np.zeros((18 // shrink, 34 // shrink), dtype))
    given = ops.warp_shrunk(layout(device.put, plane), device.put(flow), shrink, out=out)
    assert given is out
    assert np.array_equal(device.get(out), expected)


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("grid", [(18, 34), (9, 17), (4, 5)])
def test_any_layout_of_flow(device, grid, shrink):
    plane, flow = noise((18, 34), np.float32), wild(grid, 3)
    expected = in_steps([plane], flow, shrink)[0]
    last = device.put(np.moveaxis(flow, 0, 2))
    turned = last.swapaxes(0, 2).swapaxes(1, 2)
    cropped = device.put(np.pad(flow, ((0, 0), (2, 3), (4, 5))))[:, 2:-3, 4:-5]
    for laid in (turned, cropped):
        assert np.array_equal(device.get(ops.warp_shrunk(device.put(plane), laid, shrink)), expected)


def test_planes_of_unlike_layouts_in_one_stack(device):
    planes, flow = noise((6, 16, 32), np.float32), wild((8, 16), 3)
    wide = np.repeat(planes[3], 3, 1)
    stack, out = device.put(planes), device.put(np.zeros((8, 8, 16), np.float32))
    given = [stack[0], device.put(wide)[:, ::3], stack[2], stack[1], stack[5]]
    ops.warp_shrunk(given, device.put(flow), 2, out=[out[k] for k in range(1, 6)])
    for k, plane in enumerate((planes[0], planes[3], planes[2], planes[1], planes[5])):
        assert np.array_equal(device.get(out)[k + 1], in_steps([plane], flow, 2)[0])
    assert (device.get(out)[[0, 6, 7]] == 0).all()


def test_foreign_arrays(foreign):
    plane, flow, out = noise((16, 32), np.uint8), wild((4, 8), 3), np.zeros((4, 8), np.uint8)
    ops.warp_shrunk(foreign(plane), foreign(flow), 4, out=out)
    assert np.array_equal(out, ops.warp_shrunk(plane, flow, 4))


@pytest.mark.parametrize(("shrink", "grid"), [(1, (65, 500)), (4, (33, 257)), (4, (132, 1028))])
def test_same_bits_with_any_number_of_threads(for_threads, shrink, grid):
    plane, flow = noise((132, 1028), np.float32), wild(grid, 9)
    first, *rest = for_threads(lambda: ops.warp_shrunk(plane, flow, shrink))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("size", "shrink"), SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, shrink, grid, dtype):
    planes = [noise(size, dtype, seed) for seed in range(5)]
    for reach in (0.6, 3, 1e5):
        flow = wild(grid(*size), reach)
        flow[0, 0, 0] = np.nan
        theirs = ops.warp_shrunk([cuda.put(p) for p in planes], cuda.put(flow), shrink)
        for ours, other in zip(ops.warp_shrunk(planes, flow, shrink), theirs, strict=True):
            assert np.array_equal(ours, cuda.get(other))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 8), np.float32)
F = np.zeros((2, 2, 4), np.float32)
SMALL = np.zeros((2, 4), np.float32)
FROZEN = SMALL.copy()
FROZEN.setflags(write=False)

BAD = {
    "no planes": ([], F, 2, {}, "expected 1 or more; got 0"),
    "shrink of three": (P, F, 3, {}, "expected 1 or an even whole number; got 3"),
    "shrink of nothing": (P, F, 0, {}, "expected 1 or an even whole number; got 0"),
    "shrink below nothing": (P, F, -2, {}, "expected 1 or an even whole number; got -2"),
    "shrink of a half": (P, F, 0.5, {}, "expected 1 or an even whole number; got 0.5"),
    "sides that do not divide": (P, F, 8, {}, r"multiples of 8; got \(4, 8\)"),
    "doubles": (P.astype(np.float64), F, 2, {}, "expected uint8 or uint16; got another dtype"),
    "integers of 32 bits": (P.astype(np.int32), F, 2, {}, "expected uint8 or uint16; got int32"),
    "mixed dtypes": ([P, P.astype(np.uint16)], F, 2, {}, "expected float32; got uint16"),
    "mixed sizes": ([P, P[:, :4]], F, 2, {}, "of one shape"),
    "three dimensions": (P[None], F, 1, {}, r"shape \(height, width\)"),
    "empty": (P[:0], F, 2, {}, "empty plane"),
    "flow of doubles": (P, F.astype(np.float64), 2, {}, "flow: expected float32; got another dtype"),
    "flow of three": (P, np.zeros((3, 2, 4), np.float32), 2, {}, r"flow: expected shape \(2, height, width\)"),
    "flow of one component": (P, F[0], 2, {}, r"flow: expected shape \(2, height, width\)"),
    "empty flow": (P, F[:, :0], 2, {}, "empty"),
    "out of full size": (P, F, 2, {"out": P.copy()}, r"out: expected planes of shape \(2, 4\)"),
    "out of another dtype": (P, F, 2, {"out": SMALL.astype(np.float16)}, "expected float32; got float16"),
    "too few out": ([P, P], F, 2, {"out": [SMALL]}, "as many planes as given, 2; got 1"),
    "read-only out": (P, F, 2, {"out": FROZEN}, "read-only"),
    "in place": (P, F, 1, {"out": P}, "shares memory"),
    "in place of the flow": (P, F, 2, {"out": F[0]}, "shares memory"),
    "not an array": ("plane", F, 2, {}, "expected an array"),
}


@pytest.mark.parametrize(("planes", "flow", "shrink", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(planes, flow, shrink, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.warp_shrunk(planes, flow, shrink, **options)
