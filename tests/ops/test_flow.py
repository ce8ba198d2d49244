"""consistency and flows_at against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def fetched(plane, flow):
    """Bilinear samples at x + flow, edges repeated, float64."""
    height, width = plane.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = np.clip(x + flow[0], 0, width - 1), np.clip(y + flow[1], 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    top = plane[y0, x0] * (1 - fx) + plane[y0, x1] * fx
    return top * (1 - fy) + (plane[y1, x0] * (1 - fx) + plane[y1, x1] * fx) * fy


def reference(forward, backward, relative=0.01, absolute=0.5, outside=0.0):
    height, width = forward.shape[1:]
    f = forward.astype(np.float64)
    b = np.stack([fetched(p.astype(np.float64), f) for p in backward])
    limit = relative * ((f**2).sum(0) + (b**2).sum(0)) + absolute
    value = np.clip(2 - ((f + b) ** 2).sum(0) / limit, 0, 1)
    if outside is None:
        return value
    y, x = np.mgrid[0:height, 0:width]
    inside = (x + f[0] >= 0) & (x + f[0] <= width - 1) & (y + f[1] >= 0) & (y + f[1] <= height - 1)
    return np.where(inside, value, outside)


def pair(size, reach=3.0, error=0.8, seed=0):
    """Two flows of noise that more or less undo each other."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-reach, reach, 2)
    forward = np.stack([np.full(size, u), np.full(size, v)]) + rng.normal(0, error, (2, *size))
    return forward.astype(np.float32), (rng.normal(0, error, (2, *size)) - forward).astype(np.float32)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (65, 1027)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("outside", [0.0, 0.25, None])
def test_is_the_reference(device, size, outside):
    for seed, options in enumerate([{}, {"relative": 0.0, "absolute": 2.0}, {"relative": 0.1, "absolute": 0.01}]):
        forward, backward = pair(size, seed=seed)
        got = device.get(ops.consistency(device.put(forward), device.put(backward), outside=outside, **options))
        assert (got.dtype, got.shape) == (np.float32, size)
        assert np.abs(got - reference(forward, backward, outside=outside, **options)).max() < 2e-4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_flows_at_is_the_reference(device, size, t):
    forward, backward = pair(size)
    f, b = forward.astype(np.float64), backward.astype(np.float64)
    got = [device.get(g) for g in ops.flows_at(device.put(forward), device.put(backward), t)]
    for g, exact in zip(got, [-(1 - t) * t * f + t * t * b, (1 - t) ** 2 * f - t * (1 - t) * b], strict=True):
        assert (g.dtype, g.shape) == (np.float32, (2, *size))
        assert np.abs(g - exact).max() < 2e-6


# --- properties --------------------------------------------------------------------------------------------------


def constant(size, u, v):
    return np.stack([np.full(size, u, np.float32), np.full(size, v, np.float32)])


def test_a_pan_agrees_wherever_it_stays_inside(device):
    forward, backward = constant((9, 12), 2.5, -1), constant((9, 12), -2.5, 1)
    got = device.get(ops.consistency(device.put(forward), device.put(backward)))
    assert (got[1:, :9] == 1).all()
    assert (got[0] == 0).all()
    assert (got[:, 9:] == 0).all()
    assert (device.get(ops.consistency(device.put(forward), device.put(backward), outside=None)) == 1).all()


def test_one_is_the_hard_rule(device):
    forward, backward = pair((64, 513), error=0.5)
    got = device.get(ops.consistency(device.put(forward), device.put(backward)))
    b = np.stack([ops.warp(p, forward) for p in backward])
    difference, size = ((forward + b) ** 2).sum(0), (forward**2).sum(0) + (b**2).sum(0)
    limit = np.float32(0.01) * size + np.float32(0.5)
    clear = np.abs(difference / limit - 1) > 1e-5
    assert np.array_equal((got == 1)[clear & (got > 0)], (difference <= limit)[clear & (got > 0)])
    assert 0.2 < (got == 1).mean() < 0.9
    assert ((got > 0) & (got < 1)).mean() > 0.02


def test_the_last_pixel_is_inside_and_the_next_place_is_not(device):
    """Compared exactly: at x = 20000, x + u would lose the last bits of u."""
    width = 20002
    forward = np.zeros((2, 1, width), np.float32)
    forward[0, 0, 20000] = 1
    forward[0, 0, 20001] = 1e-6
    got = device.get(ops.consistency(device.put(forward), device.put(-forward)))
    assert got[0, 20001] == 0
    assert (got[0, :20000] == 1).all()
    assert got[0, 20000] > 0


def test_nan_and_infinity_are_not_trusted(device):
    forward, backward = constant((7, 9), 1, 0), constant((7, 9), -1, 0)
    forward[0, 2, 2], forward[1, 3, 3], forward[:, 4, 4], forward[0, 6, 1] = np.nan, np.inf, -np.inf, 3e38
    expected = np.ones((7, 9), np.float32)
    for y, x in ((2, 2), (3, 3), (4, 4), (6, 1)):
        expected[y, x] = 0
    assert np.array_equal(
        device.get(ops.consistency(device.put(forward), device.put(backward), outside=None)), expected
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_that_are_fetched_are_not_trusted(device, value):
    forward, backward = constant((7, 9), 0.5, 0.25), constant((7, 9), -0.5, -0.25)
    backward[0, 3, 5] = value
    expected = np.ones((7, 9), np.float32)
    expected[2:4, 4:6] = 0
    assert np.array_equal(
        device.get(ops.consistency(device.put(forward), device.put(backward), outside=None)), expected
    )


def test_the_ends_of_flows_at_are_the_flows(device):
    forward, backward = pair((17, 33))
    to_0, to_1 = (device.get(f) for f in ops.flows_at(device.put(forward), device.put(backward), 0))
    assert (to_0 == 0).all()
    assert np.array_equal(to_1, forward)
    to_0, to_1 = (device.get(f) for f in ops.flows_at(device.put(forward), device.put(backward), 1.0))
    assert np.array_equal(to_0, backward)
    assert (to_1 == 0).all()


def test_a_pan_is_halved(device):
    to_0, to_1 = ops.flows_at(device.put(constant((4, 6), 4, -2)), device.put(constant((4, 6), -4, 2)), 0.25)
    assert np.array_equal(device.get(to_0), constant((4, 6), -1, 0.5))
    assert np.array_equal(device.get(to_1), constant((4, 6), 3, -1.5))


# --- memory ------------------------------------------------------------------------------------------------------


def interleaved(put, flow):
    return put(np.moveaxis(flow, 0, 2)).swapaxes(0, 2).swapaxes(1, 2)


def cropped(put, flow):
    return put(np.pad(flow, ((0, 0), (2, 3), (4, 5))))[:, 2:-3, 4:-5]


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (17, 33), (9, 600)])
@pytest.mark.parametrize("lay", [interleaved, cropped])
def test_any_layout_of_flows(device, size, lay):
    forward, backward = pair(size)
    f, b = lay(device.put, forward), lay(device.put, backward)
    expected = device.get(ops.consistency(device.put(forward), device.put(backward), outside=None))
    assert np.array_equal(device.get(ops.consistency(f, b, outside=None)), expected)
    expected = ops.flows_at(device.put(forward), device.put(backward), 0.3)
    out = tuple(lay(device.put, np.zeros((2, *size), np.float32)) for _ in range(2))
    assert ops.flows_at(f, b, 0.3, out=out) == out
    for e, o in zip(expected, out, strict=True):
        assert np.array_equal(device.get(e), device.get(o))


def test_any_layout_of_the_confidence(device, layout):
    forward, backward = map(device.put, pair((17, 33)))
    out = layout(device.put, np.zeros((17, 33), np.float32))
    assert ops.consistency(forward, backward, out=out) is out
    assert np.array_equal(device.get(out), device.get(ops.consistency(forward, backward)))


def test_foreign_arrays(foreign):
    forward, backward = pair((17, 33))
    assert np.array_equal(ops.consistency(foreign(forward), foreign(backward)), ops.consistency(forward, backward))
    for a, b in zip(
        ops.flows_at(foreign(forward), foreign(backward), 0.5), ops.flows_at(forward, backward, 0.5), strict=True
    ):
        assert np.array_equal(a, b)


def test_same_bits_with_any_number_of_threads(for_threads):
    forward, backward = pair((131, 1027))
    first, *rest = for_threads(lambda: [ops.consistency(forward, backward), *ops.flows_at(forward, backward, 0.7)])
    assert all(np.array_equal(a, b) for r in rest for a, b in zip(first, r, strict=True))


@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size):
    for reach, outside in ((0.5, 0.0), (3, None), (1e5, 0.5)):
        forward, backward = pair(size, reach)
        forward[0, 0, 0] = np.nan
        theirs = ops.consistency(cuda.put(forward), cuda.put(backward), outside=outside)
        assert np.array_equal(ops.consistency(forward, backward, outside=outside), cuda.get(theirs))
        theirs = ops.flows_at(cuda.put(forward), cuda.put(backward), 0.3)
        for a, b in zip(ops.flows_at(forward, backward, 0.3), theirs, strict=True):
            assert np.array_equal(a, cuda.get(b), equal_nan=True)


# --- errors ------------------------------------------------------------------------------------------------------

F = np.zeros((2, 4, 6), np.float32)

BAD = {
    "one component": ((F[0], F[0]), {}, r"forward: expected shape \(2, height, width\)"),
    "doubles": ((F.astype(np.float64), F), {}, "forward: expected float32"),
    "sizes": ((F, F[:, :3]), {}, r"backward: expected shape \(2, 4, 6\); got \(2, 3, 6\)"),
    "empty": ((F[:, :0], F[:, :0]), {}, "empty plane"),
    "relative": ((F, F), {"relative": -1}, "relative >= 0"),
    "absolute": ((F, F), {"absolute": 0}, "absolute > 0"),
    "outside": ((F, F), {"outside": 1.5}, "outside: expected 0 to 1, or None; got 1.5"),
    "out's size": ((F, F), {"out": np.zeros((4, 5), np.float32)}, r"\(4, 6\); got \(4, 5\)"),
    "out's dtype": ((F, F), {"out": np.zeros((4, 6), np.uint8)}, "out: expected float32; got uint8"),
    "in place": ((F, F), {"out": F[0]}, "shares memory"),
    "not an array": (("flow", F), {}, "expected an array"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD.values(), ids=BAD)
def test_consistency_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.consistency(*given, **options)


BAD_TIMES = {
    "sizes": ((F, F[:, :3], 0.5), {}, r"backward: expected shape \(2, 4, 6\)"),
    "before": ((F, F, -0.1), {}, "t: expected 0 to 1; got -0.1"),
    "NaN": ((F, F, np.nan), {}, "t: expected 0 to 1; got nan"),
    "one out": ((F, F, 0.5), {"out": (F.copy(),)}, "expected two arrays"),
    "the same out": ((F, F.copy(), 0.5), {"out": (F, F)}, "shares memory"),
    "in place": ((F, F.copy(), 0.5), {"out": (F, F.copy())}, "shares memory"),
    "out's size": ((F, F, 0.5), {"out": (F.copy(), F[:, :3].copy())}, r"out\[1\]: expected shape \(2, 4, 6\)"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD_TIMES.values(), ids=BAD_TIMES)
def test_flows_at_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.flows_at(*given, **options)
