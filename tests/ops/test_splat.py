"""splat against float64 NumPy.

The reference adds bilinear weights with np.add.at. Ours rounds each weight to 2^-16 of a pixel; where little lands,
that is a larger part of it, which `check` takes into account.
"""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def corners(flow, scale=1.0):
    """For each of the four corners: (row, column, bilinear weight) of every pixel, inside or not."""
    u, v = (np.where(np.isfinite(f), f, np.float32(0)) * np.float32(scale) for f in flow)
    y, x = np.mgrid[0 : u.shape[0], 0 : u.shape[1]]
    left, top = np.floor(u).astype(np.float64), np.floor(v).astype(np.float64)
    right, below = u - left, v - top
    for j, wy in ((0, 1 - below), (1, below)):
        for i, wx in ((0, 1 - right), (1, right)):
            yield (y + top + j).astype(int), (x + left + i).astype(int), wx * wy


def reference(planes, flow, share=None, scale=1.0):
    """(means, weight, coverage, contribution): float64; weights are bilinear times share, if there is one."""
    height, width = flow.shape[1:]
    sums = np.zeros((len(planes), height, width))
    weight, coverage, contribution = np.zeros((3, height, width))
    share = np.ones((height, width)) if share is None else share
    for row, column, w in corners(flow, scale):
        at = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (w > 0) & (share > 0)
        place = row[at], column[at]
        np.add.at(weight, place, (w * share)[at])
        np.add.at(coverage, place, w[at])
        np.add.at(contribution, place, share[at])
        for total, plane in zip(sums, planes, strict=True):
            np.add.at(total, place, (w * share * plane)[at])
    return sums / np.where(weight > 0, weight, 1), weight, coverage, contribution


def check(got, covered, exact, spread, most, slip=2**-16):
    """Values where more than 2^-10 of a pixel landed; coverage everywhere."""
    means, weight, coverage, contribution = exact
    assert np.abs(covered - coverage).max() <= 2**-14 * max(1, coverage.max())
    assert all((plane[covered == 0] == 0).all() for plane in got)
    reached = coverage > 2**-10
    for plane, mean in zip(got, means, strict=True):
        error = spread * slip * (4 * contribution / np.where(weight > 0, weight, 1) + 1)
        if plane.dtype == np.float32:
            assert (np.abs(plane - mean) <= error + 2**-16)[reached].all()
            continue
        low, high = (np.clip(np.floor(mean + 0.5 + e), 0, most) for e in (-error, error))
        assert ((plane >= low) & (plane <= high))[reached].all()


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return (np.round(rng.uniform(-1, 1, shape) * 65536) / 65536).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def most_of(dtype):
    return 1 if dtype == np.float32 else np.iinfo(dtype).max


def wild(shape, reach, seed=1):
    return np.random.default_rng(seed).uniform(-reach, reach, (2, *shape)).astype(np.float32)


def constant(shape, u, v):
    return np.stack([np.full(shape, u, np.float32), np.full(shape, v, np.float32)])


def inward(shape, reach, seed=1):
    """Flow of noise, cut so that all pixels land inside."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    u, v = wild(shape, reach, seed)
    return np.stack([np.clip(x + u, 0, shape[1] - 1) - x, np.clip(y + v, 0, shape[0] - 1) - y]).astype(np.float32)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (64, 513), (65, 1027)]
DTYPES = [np.uint8, np.uint16, np.float32]
MODES = ["average", "linear", "softmax"]


def metric_for(mode, shape, seed=3):
    """As options of splat; and the exact share of a pixel."""
    if mode == "average":
        return None, None
    m = np.random.default_rng(seed).uniform(-3, 3, shape).astype(np.float32)
    return (np.abs(m), np.abs(m).astype(np.float64)) if mode == "linear" else (m, np.exp(m.astype(np.float64)))


def run(device, planes, flow, mode="average", metric=None, **options):
    metric = None if metric is None else device.put(metric)
    got, covered = ops.splat([device.put(p) for p in planes], device.put(flow), mode=mode, metric=metric, **options)
    return [device.get(p) for p in got], device.get(covered)


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reach", [0.6, 3, 40])
def test_splat_against_float64(device, size, dtype, mode, reach):
    plane, flow = noise(size, dtype), wild(size, reach)
    metric, share = metric_for(mode, size)
    got, covered = run(device, [plane], flow, mode, metric)
    spread = 2 * most_of(dtype) if dtype == np.float32 else most_of(dtype)
    check(got, covered, reference([plane], flow, share), spread, most_of(dtype))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_several_planes_are_each_alone(device, count, dtype, mode):
    size = (17, 133)
    planes, flow = [noise(size, dtype, seed) for seed in range(count)], wild(size, 3)
    metric, _ = metric_for(mode, size)
    got, covered = run(device, planes, flow, mode, metric)
    for plane, alone in zip(planes, got, strict=True):
        single, same = run(device, [plane], flow, mode, metric)
        assert np.array_equal(single[0], alone)
        assert np.array_equal(same, covered)


def test_a_plane_gives_a_plane(device):
    got, covered = ops.splat(device.put(noise((4, 6), np.uint8)), device.put(wild((4, 6), 1)))
    assert device.get(got).shape == device.get(covered).shape == (4, 6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_no_flow_is_a_copy(device, size, dtype, mode):
    plane = noise(size, dtype)
    metric, _ = metric_for(mode, size)
    got, covered = run(device, [plane], np.zeros((2, *size), np.float32), mode, metric)
    assert np.array_equal(got[0], plane)
    assert (covered == 1).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("u", "v"), [(1, 0), (0, -1), (-7, 3), (40, -25)])
def test_whole_shifts_are_exact_and_leave_holes(device, u, v, dtype, mode):
    size = (17, 33)
    plane = noise(size, dtype)
    metric, _ = metric_for(mode, size)
    got, covered = run(device, [plane], constant(size, u, v), mode, metric)
    padded = np.pad(plane, 64)
    assert np.array_equal(got[0], padded[64 - v : 64 - v + 17, 64 - u : 64 - u + 33])
    inside = np.pad(np.ones(size, np.float32), 64)
    assert np.array_equal(covered, inside[64 - v : 64 - v + 17, 64 - u : 64 - u + 33])


@pytest.mark.parametrize("mode", ["average", "softmax"])
@pytest.mark.parametrize("reach", [0.5, 3, 20])
def test_weight_is_conserved_inside_the_picture(device, reach, mode):
    size = (65, 300)
    metric, _ = metric_for(mode, size)
    _, covered = run(device, [noise(size, np.uint8)], inward(size, reach), mode, metric)
    assert covered.astype(np.float64).sum() == size[0] * size[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, -123.4375)])
def test_one_colour_stays_that_colour(device, dtype, value, mode):
    size = (65, 300)
    metric, _ = metric_for(mode, size)
    got, covered = run(device, [np.full(size, value, dtype)], wild(size, 5), mode, metric)
    assert (got[0] == np.where(covered > 0, value, 0)).all()
    assert (covered == 0).any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_pixels_in_one_place(device, dtype, mode):
    size = (700, 900)
    y, x = np.mgrid[0:700, 0:900].astype(np.float32)
    value = np.float32(32767.5) if dtype == np.float32 else np.iinfo(dtype).max
    metric, _ = metric_for(mode, size)
    got, covered = run(device, [np.full(size, value, dtype)], np.stack([450 - x, 350 - y]), mode, metric)
    assert got[0][350, 450] == value
    assert covered[350, 450] == 630000
    assert np.count_nonzero(covered) == np.count_nonzero(got[0]) == 1


@pytest.mark.parametrize("d", [0, -0.01, -1, -5, -10, -15, -25])
def test_softmax_is_a_softmax(device, d):
    """Two pixels on one place, of values 0 and 1: the second has 1 / (1 + exp(d)) of it, at any level of the metric."""
    plane, flow = np.array([[0, 1]], np.float32), np.array([[[1, 0]], [[0, 0]]], np.float32)
    for level in (-50, 0, 7, 1000):
        metric = np.array([[level + d, level]], np.float32)
        exact = 1 / (1 + np.exp(float(metric[0, 0]) - float(metric[0, 1])))
        got, covered = run(device, [plane], flow, "softmax", metric)
        assert abs(got[0][0, 1] - exact) < 2e-6
        assert covered.tolist() == [[0, 2]]


@pytest.mark.parametrize("mode", ["linear", "softmax"])
def test_the_larger_metric_wins(device, mode):
    """A square moves over still ground: where they meet, only the square is seen."""
    size = (20, 30)
    ground, square = noise(size, np.uint16), np.zeros(size, bool)
    square[5:12, 4:11] = True
    flow = constant(size, 6, 3) * square
    metric = np.where(square, 1, 1e-9 if mode == "linear" else -60).astype(np.float32)
    got, covered = run(device, [ground], flow.astype(np.float32), mode, metric)
    expected = np.where(square, 0, ground)
    expected[8:15, 10:17] = ground[5:12, 4:11]
    assert np.array_equal(got[0], expected)
    overlap = np.zeros(size, bool)
    overlap[8:15, 10:17] = True
    assert (covered[overlap & ~square] == 2).all()


def test_a_metric_of_any_range_loses_nothing(device):
    """Wherever average reaches, so do the others; nothing becomes NaN."""
    size = (33, 140)
    plane, flow = noise(size, np.float32), wild(size, 3)
    _, reached = run(device, [plane], flow)
    rng = np.random.default_rng(5)
    steep = (rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-38, 38, size)).astype(np.float32)
    steep[3, 4:9], steep[5, :], steep[8, 2:] = np.nan, np.inf, -np.inf
    got, covered = run(device, [plane], flow, "softmax", steep)
    assert np.array_equal(covered, reached)
    assert (np.abs(got[0]) <= 1).all()
    got, covered = run(device, [plane], flow, "linear", np.abs(np.nan_to_num(steep, nan=1e-30, posinf=1e30)))
    assert np.array_equal(covered, reached)
    assert (np.abs(got[0]) <= 1).all()


def test_linear_weights_of_zero_nan_and_less_give_nothing(device):
    size = (9, 140)
    plane, flow = noise(size, np.uint8), wild(size, 1)
    metric = np.ones(size, np.float32)
    metric[2], metric[4], metric[6] = 0, np.nan, -3
    got, covered = run(device, [plane], flow, "linear", metric)
    share = np.where(metric > 0, 1.0, 0.0)
    check(got, covered, reference([plane], flow, share), 255, 255)
    _, none = run(device, [plane], flow, "linear", np.zeros(size, np.float32))
    assert (none == 0).all()


def test_scale_goes_a_part_of_the_way(device):
    plane, flow = noise((17, 33), np.uint8), wild((17, 33), 9)
    half, covered = run(device, [plane], flow, scale=0.5)
    expected, same = run(device, [plane], flow * np.float32(0.5))
    assert np.array_equal(half[0], expected[0])
    assert np.array_equal(covered, same)


def test_nan_and_infinite_flow_moves_nothing(device):
    plane, flow = noise((17, 33), np.uint8), wild((17, 33), 3)
    flow[0, 3, 4:9], flow[1, 5, :], flow[:, 8, 2] = np.nan, np.inf, -np.inf
    clean = np.where(np.isfinite(flow), flow, np.float32(0))
    one, two = run(device, [plane], flow), run(device, [plane], clean)
    assert np.array_equal(one[0][0], two[0][0])
    assert np.array_equal(one[1], two[1])


@pytest.mark.parametrize("value", [1e7, -1e7, 3e38, -3e38])
def test_what_lands_far_outside_is_dropped(device, value):
    got, covered = run(device, [noise((5, 7), np.uint8)], constant((5, 7), value, value))
    assert not got[0].any()
    assert not covered.any()


def test_floats_are_clamped_and_rounded(device):
    plane = np.array([[1e9, -1e9, np.nan, np.inf, -np.inf, 0.3, 2.0**-18, 100.25]], np.float32)
    got, _ = run(device, [plane], np.zeros((2, 1, 8), np.float32))
    most = 2**15 - 2**-9
    expected = [most, -(2.0**15), 0, most, -(2.0**15), round(0.3 * 65536) / 65536, 0, 100.25]
    assert got[0][0].tolist() == expected


def test_ten_bits(device):
    plane = noise((17, 33), np.uint16) % 1024
    got, covered = run(device, [plane], wild((17, 33), 2), max_code=1023)
    check(got, covered, reference([plane], wild((17, 33), 2)), 1023, 1023)
    assert run(device, [plane], wild((17, 33), 2), max_code=700)[0][0].max() == 700


def test_fractions_are_as_fine_far_to_the_right(device):
    size = (2, 20000)
    x = np.broadcast_to(np.arange(20000, dtype=np.float32), size)
    got, covered = run(device, [np.ascontiguousarray(x)], constant(size, 0.25, 0))
    assert np.array_equal(got[0][:, 1:], x[:, 1:] - 0.25)
    assert (covered[:, 1:] == 1).all()


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout(device, layout, dtype):
    size = (17, 33)
    plane, flow, metric = noise(size, dtype), wild(size, 3), metric_for("softmax", size)[0]
    expected, covered = run(device, [plane], flow, "softmax", metric)
    out = layout(device.put, np.zeros(size, dtype)), layout(device.put, np.zeros(size, np.float32))
    moved = device.put(np.moveaxis(flow, 0, 2)).transpose(2, 0, 1)
    given = ops.splat(
        layout(device.put, plane), moved, mode="softmax", metric=layout(device.put, metric), out=(out[0], out[1])
    )
    assert given[0] is out[0]
    assert given[1] is out[1]
    assert np.array_equal(device.get(out[0]), expected[0])
    assert np.array_equal(device.get(out[1]), covered)


def test_packed_channels(device):
    rgb, flow = device.put(noise((17, 33, 3), np.uint8)), device.put(wild((17, 33), 3))
    out = device.put(np.zeros((17, 33, 3), np.uint8))
    covered = device.put(np.zeros((17, 33), np.float32))
    ops.splat([rgb[:, :, c] for c in range(3)], flow, out=([out[:, :, c] for c in range(3)], covered))
    for c in range(3):
        assert np.array_equal(device.get(out)[:, :, c], device.get(ops.splat(rgb[:, :, c], flow)[0]))


def test_an_output_view_leaves_what_surrounds_it(device):
    base = device.put(np.full((9, 13), 77, np.uint8))
    covered = device.put(np.zeros((4, 6), np.float32))
    ops.splat(device.put(noise((4, 6), np.uint8)), device.put(wild((4, 6), 2)), out=(base[2:6, 3:9], covered))
    after = device.get(base).copy()
    after[2:6, 3:9] = 77
    assert (after == 77).all()


def test_foreign_arrays(foreign):
    plane, flow, metric = noise((17, 33), np.uint8), wild((17, 33), 3), metric_for("linear", (17, 33))[0]
    got = ops.splat(foreign(plane), foreign(flow), mode="linear", metric=foreign(metric))
    expected = ops.splat(plane, flow, mode="linear", metric=metric)
    assert np.array_equal(np.asarray(got[0]), expected[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reach", [3, 90])
def test_same_bits_with_any_number_of_threads(for_threads, reach, dtype, mode):
    """Of several bands, too: 4000 columns hold 65 rows or fewer of them."""
    size = (150, 4000)
    plane, flow = noise(size, dtype), wild(size, reach)
    metric, _ = metric_for(mode, size)
    first, *rest = for_threads(lambda: ops.splat(plane, flow, mode=mode, metric=metric))
    assert all(np.array_equal(first[0], r[0]) and np.array_equal(first[1], r[1]) for r in rest)


def test_bands_meet_without_a_seam(device):
    """A picture of many bands against its own middle, cut out with all that reaches it."""
    plane, flow = noise((900, 1500), np.uint16), wild((900, 1500), 4)
    whole, covered = run(device, [plane], flow)
    for top in (0, 37, 400, 700):
        part, some = run(device, [plane[top : top + 60]], np.ascontiguousarray(flow[:, top : top + 60]))
        assert np.array_equal(part[0][6:-6], whole[0][top + 6 : top + 54])
        assert np.array_equal(some[6:-6], covered[top + 6 : top + 54])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, count, dtype, mode):
    planes = [noise(size, dtype, seed) for seed in range(count)]
    metric, _ = metric_for(mode, size)
    for reach in (0.6, 3, 1e5):
        flow = wild(size, reach)
        flow[0, 0, 0] = np.nan
        ours, covered = ops.splat(planes, flow, mode=mode, metric=metric)
        theirs, same = run(cuda, planes, flow, mode, metric)
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert np.array_equal(covered, same)


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 6), np.uint8)
F = np.zeros((2, 4, 6), np.float32)
M = np.zeros((4, 6), np.float32)
FROZEN = np.zeros((4, 6), np.uint8)
FROZEN.setflags(write=False)
SOFT = {"mode": "softmax"}

BAD = {
    "no planes": ([], F, {}, "expected 1 to 4 planes; got 0"),
    "five planes": ([P] * 5, F, {}, "expected 1 to 4 planes; got 5"),
    "three dimensions": (P[:, :, None], F, {}, r"shape \(height, width\)"),
    "empty": (P[:0], F[:, :0], {}, "empty plane"),
    "integers of 32 bits": (P.astype(np.int32), F, {}, "expected uint8 or uint16; got int32"),
    "mixed dtypes": ([P, P.astype(np.uint16)], F, {}, "expected uint8; got uint16"),
    "mixed sizes": ([P, P[:, :3]], F, {}, "of one shape"),
    "flow of doubles": (P, F.astype(np.float64), {}, "flow: expected float32; got another dtype"),
    "flow of another size": (P, F[:, :3], {}, "of the planes' height and width"),
    "mode": (P, F, {"mode": "max"}, "mode: expected 'average', 'linear' or 'softmax'; got 'max'"),
    "no metric": (P, F, SOFT, "metric: expected one with mode 'softmax'; got none"),
    "metric of an average": (P, F, {"metric": M}, "metric: expected none with mode 'average'; got one"),
    "metric of another size": (P, F, {**SOFT, "metric": M[:3]}, r"metric: expected the picture's shape \(4, 6\)"),
    "metric of doubles": (P, F, {**SOFT, "metric": M.astype(np.float64)}, "metric: expected float32"),
    "scale": (P, F, {"scale": np.inf}, "scale: expected a finite number; got inf"),
    "max_code": (P, F, {"max_code": 256}, "expected 1 to 255 for uint8 samples; got 256"),
    "out alone": (P, F, {"out": P.copy()}, r"out: expected \(planes, coverage\); got ndarray"),
    "out of another dtype": (P, F, {"out": (P.astype(np.uint16), M)}, "expected uint8; got uint16"),
    "coverage of another size": (P, F, {"out": (P.copy(), M[:3])}, "coverage: expected the input's shape"),
    "coverage of another dtype": (P, F, {"out": (P.copy(), P.copy())}, "coverage: expected float32; got uint8"),
    "read-only out": (P, F, {"out": (FROZEN, M)}, "read-only"),
    "in place": (P, F, {"out": (P, M)}, "shares memory"),
    "coverage over the metric": (P, F, {**SOFT, "metric": M, "out": (P.copy(), M)}, "shares memory"),
    "coverage over the result": (M.copy(), F, {"out": (M, M)}, "shares memory"),
}


@pytest.mark.parametrize(("planes", "flow", "options", "message"), BAD.values(), ids=BAD)
def test_splat_refuses(planes, flow, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.splat(planes, flow, **options)
