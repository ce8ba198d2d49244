"""project_flow against float64 NumPy: DAIN's rule with np.add.at, holes filled by scanning from each."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(flow, t, weight=None):
    """(flow, holes), float64 and bool, holes not filled."""
    height, width = flow.shape[1:]
    u, v = (np.where(np.isfinite(f), f, np.float32(0)) * np.float32(t) for f in flow)
    y, x = np.mgrid[0:height, 0:width]
    to_x, to_y = x + u.astype(np.float64), y + v.astype(np.float64)
    w = np.ones((height, width)) if weight is None else np.where(weight > 0, weight, 0).astype(np.float64)
    at = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1) & (w > 0)
    sums, total = np.zeros((2, height, width)), np.zeros((height, width))
    left, top = np.floor(to_x[at]).astype(int), np.floor(to_y[at]).astype(int)
    for j in (0, 1):
        for i in (0, 1):
            place = np.minimum(top + j, height - 1), np.minimum(left + i, width - 1)
            np.add.at(total, place, w[at])
            np.add.at(sums[0], place, (-w * u)[at])
            np.add.at(sums[1], place, (-w * v)[at])
    return sums / np.where(total > 0, total, 1), total == 0


def filled(flow, holes):
    """Each hole the mean of the nearest places to its four sides that are none."""
    out = flow.astype(np.float64).copy()
    for y, x in np.argwhere(holes):
        found = []
        for row, column in ((holes[y], None), (None, holes[:, x])):
            line, here = (row, x) if column is None else (column, y)
            before, after = np.flatnonzero(~line[:here]), np.flatnonzero(~line[here + 1 :])
            for place in (*before[-1:], *(after[:1] + here + 1)):
                found.append(flow[:, y, place] if column is None else flow[:, place, x])
        out[:, y, x] = np.mean(found, 0) if found else 0
    return out


def wild(shape, reach, seed=1):
    return np.random.default_rng(seed).uniform(-reach, reach, (2, *shape)).astype(np.float32)


def constant(shape, u, v):
    return np.stack([np.full(shape, u, np.float32), np.full(shape, v, np.float32)])


def depth(shape, seed=2):
    return np.random.default_rng(seed).uniform(0.01, 1, shape).astype(np.float32)


def run(device, flow, t, weight=None, **options):
    weight = None if weight is None else device.put(weight)
    got, holes = ops.project_flow(device.put(flow), t=t, depth_weight=weight, **options)
    return device.get(got), device.get(holes)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (64, 513), (65, 1027)]

# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reach", [0.6, 3, 40])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("t", [0.5, 0.125])
def test_project_flow_against_float64(device, size, reach, weighted, t):
    flow, weight = wild(size, reach), depth(size) if weighted else None
    exact, empty = reference(flow, t, weight)
    got, holes = run(device, flow, t, weight, fill=False)
    assert holes.dtype == np.uint8
    assert np.array_equal(holes, empty)
    assert np.abs(got - exact).max() <= 2**-16 + reach * 2**-20
    full, same = run(device, flow, t, weight)
    assert np.array_equal(same, holes)
    assert np.array_equal(full[:, holes == 0], got[:, holes == 0])
    assert np.abs(full - filled(got, empty)).max() <= 1e-5 * reach


def test_no_flow_stays(device):
    got, holes = run(device, np.zeros((2, 17, 33), np.float32), 0.5)
    assert not got.any()
    assert not holes.any()


@pytest.mark.parametrize(("u", "v"), [(4, 0), (-6, 0), (0, 8)])
def test_a_constant_flow_is_turned_round(device, u, v):
    got, holes = run(device, constant((17, 33), u, v), 0.5)
    assert np.array_equal(got, constant((17, 33), -u / 2, -v / 2))
    assert holes.sum() == 17 * 33 - (17 - abs(v) // 2 + (v < 0)) * (33 - abs(u) // 2 + (u < 0))


def test_what_lands_in_the_last_column_and_row_counts_twice_there(device):
    flow = np.zeros((2, 1, 4), np.float32)
    flow[0, 0] = [3, 1.5, 0, 0]
    got, _ = run(device, flow, 1)
    # place 3: 0 of pixel 3 and -3 of pixel 0 twice each, -1.5 and 0 once each (from 2.5 and from pixel 2)
    exact, _ = reference(flow, 1)
    assert got[0, 0, 3] == exact[0, 0, 3] == -7.5 / 6


def test_what_is_near_hides_what_is_far(device):
    flow = np.zeros((2, 1, 9), np.float32)
    flow[0, 0, 2] = 8
    near = np.full((1, 9), 1e-6, np.float32)
    near[0, 2] = 1
    got, _ = run(device, flow, 0.5, near)
    assert np.abs(got[0, 0, 6:8] + 4).max() < 1e-4
    got, _ = run(device, flow, 0.5)
    assert np.array_equal(got[0, 0, 6:8], np.float32([-4 / 3, -4 / 3]))


@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e30])
def test_weights_of_any_range(device, factor):
    flow, weight = wild((17, 33), 3), depth((17, 33))
    exact, empty = reference(flow, 0.5, weight)
    got, holes = run(device, flow, 0.5, weight * np.float32(factor), fill=False)
    assert np.array_equal(holes, empty)
    assert np.abs(got - exact).max() < 2e-5


def test_weights_of_zero_nan_and_less_give_nothing(device):
    flow, weight = wild((17, 33), 1), depth((17, 33))
    weight[3:6], weight[8:10], weight[12:14] = 0, np.nan, -1
    exact, empty = reference(flow, 0.5, weight)
    got, holes = run(device, flow, 0.5, weight, fill=False)
    assert empty.any()
    assert np.array_equal(holes, empty)
    assert np.abs(got - exact).max() < 2e-5
    nothing, holes = run(device, flow, 0.5, np.zeros((17, 33), np.float32))
    assert holes.all()
    assert not nothing.any()


def test_nan_and_infinite_flow_moves_nothing(device):
    flow = wild((17, 33), 3)
    flow[0, 3, 4:9], flow[1, 5, :], flow[:, 8, 2] = np.nan, np.inf, -np.inf
    clean = np.where(np.isfinite(flow), flow, np.float32(0))
    for one, two in zip(run(device, flow, 0.5), run(device, clean, 0.5), strict=True):
        assert np.array_equal(one, two)


def test_everything_gone_is_all_holes(device):
    got, holes = run(device, constant((5, 7), 1e6, 0), 0.5)
    assert holes.all()
    assert not got.any()


@pytest.mark.parametrize("size", [(40, 50), (70, 300)])
def test_large_holes_are_filled_from_their_sides(device, size):
    """Two halves that part: between them, both sides have a say; above and below there is nothing."""
    height, width = size
    flow = np.zeros((2, *size), np.float32)
    flow[0, :, : width // 2], flow[0, :, width // 2 :] = -16, 16
    flow[1] = np.linspace(-1, 1, width, dtype=np.float32) * 8
    got, holes = run(device, flow, 1)
    bare, same = run(device, flow, 1, fill=False)
    assert 28 * height < holes.sum()
    assert np.array_equal(holes, same)
    assert np.abs(got - filled(bare, holes > 0)).max() < 1e-4


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout(device, layout):
    size = (17, 33)
    flow, weight = wild(size, 9), depth(size)
    expected = run(device, flow, 0.5, weight)
    wide = device.put(np.full((17, 70, 2), 77, np.float32))
    target = wide[:, 2:68:2].transpose(2, 0, 1)
    holes = layout(device.put, np.zeros(size, np.uint8))
    moved = device.put(np.moveaxis(flow, 0, 2)).transpose(2, 0, 1)
    got = ops.project_flow(moved, t=0.5, depth_weight=layout(device.put, weight), out=(target, holes))
    assert got[0] is target
    assert got[1] is holes
    assert np.array_equal(device.get(target), expected[0])
    assert np.array_equal(device.get(holes), expected[1])
    assert (device.get(wide)[:, 1::2] == 77).all()


def test_foreign_arrays(foreign):
    flow, weight = wild((17, 33), 3), depth((17, 33))
    got = ops.project_flow(foreign(flow), t=0.5, depth_weight=foreign(weight))
    expected = ops.project_flow(flow, t=0.5, depth_weight=weight)
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reach", [3, 90])
def test_same_bits_with_any_number_of_threads(for_threads, reach, weighted):
    size = (150, 4000)
    flow, weight = wild(size, reach), depth(size) if weighted else None
    first, *rest = for_threads(lambda: ops.project_flow(flow, t=0.7, depth_weight=weight))
    assert all(np.array_equal(a, b) for r in rest for a, b in zip(first, r, strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, weighted):
    weight = depth(size) if weighted else None
    for reach in (0.6, 3, 40, 1e5):
        flow = wild(size, reach)
        flow[0, 0, 0] = np.nan
        for one, two in zip(
            ops.project_flow(flow, t=0.5, depth_weight=weight), run(cuda, flow, 0.5, weight), strict=True
        ):
            assert np.array_equal(one, two)


# --- errors ------------------------------------------------------------------------------------------------------

F = np.zeros((2, 4, 6), np.float32)
W = np.zeros((4, 6), np.float32)
H = np.zeros((4, 6), np.uint8)
FROZEN = np.zeros((2, 4, 6), np.float32)
FROZEN.setflags(write=False)

BAD = {
    "three components": (np.zeros((3, 4, 6), np.float32), {}, r"expected shape \(2, height, width\); got \(3, 4, 6\)"),
    "two dimensions": (F[0], {}, r"expected shape \(2, height, width\)"),
    "doubles": (F.astype(np.float64), {}, "flow: expected float32"),
    "empty": (F[:, :0], {}, "flow: an empty flow"),
    "time": (F, {"t": np.nan}, "t: expected a finite number; got nan"),
    "weights of another size": (F, {"depth_weight": W[:3]}, "depth_weight: expected the picture's shape"),
    "weights of doubles": (F, {"depth_weight": W.astype(np.float64)}, "depth_weight: expected float32"),
    "out alone": (F, {"out": F.copy()}, r"out: expected \(flow, holes\); got ndarray"),
    "out of another size": (F, {"out": (F[:, :3].copy(), H)}, "out: expected the input's shape"),
    "holes of another dtype": (F, {"out": (F.copy(), W.copy())}, "holes: expected uint8; got float32"),
    "holes of another size": (F, {"out": (F.copy(), H[:3])}, r"holes: expected shape \(4, 6\); got \(3, 6\)"),
    "read-only out": (F, {"out": (FROZEN, H)}, "read-only"),
    "in place": (F, {"out": (F, H)}, "shares memory"),
}


@pytest.mark.parametrize(("flow", "options", "message"), BAD.values(), ids=BAD)
def test_project_flow_refuses(flow, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.project_flow(flow, **{"t": 0.5, **options})
