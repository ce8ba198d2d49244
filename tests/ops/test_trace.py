"""trace against float64 NumPy, and on motion that is known: even, accelerated, and moving a pattern."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

SIZES = [(1, 1), (1, 9), (3, 5), (17, 33), (65, 1027)]

# --- the reference -----------------------------------------------------------------------------------------------


def fetched(plane, u, v):
    """Bilinear samples of a float64 plane at (x + u, y + v), edges repeated."""
    height, width = plane.shape
    y, x = np.mgrid[0:height, 0:width]
    fx, fy = np.clip(x + u, 0, width - 1), np.clip(y + v, 0, height - 1)
    x0, y0 = np.floor(fx).astype(int), np.floor(fy).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    px, py = fx - x0, fy - y0
    top, bottom = (plane[r, x0] * (1 - px) + plane[r, x1] * px for r in (y0, y1))
    return top * (1 - py) + bottom * py


def reference(flow, t, beyond=None, limit=16.0, steps=2):
    """X(t) = X + v t + a t^2 / 2 with F = v + a / 2 and B = -v + a / 2, solved for X by iteration."""
    flow = flow.astype(np.float64)
    behind = -flow if beyond is None else beyond.astype(np.float64)
    u = np.zeros_like(flow)
    for _ in range(steps + 1):
        f = np.stack([fetched(p, *u) for p in flow])
        b = np.stack([fetched(p, *u) for p in behind])
        a = f + b
        size, both = np.hypot(*a), np.hypot(*f) + np.hypot(*b)
        bent = np.clip((both - size) / np.maximum(both / 2 - limit / 16, 1e-6), 0, 1)
        a *= bent * np.clip(2 - size / limit, 0, 1)
        velocity = f - a / 2
        u = -(velocity * t + a * t * t / 2)
    return u, u + f


def smooth(size, reach, seed):
    """A flow whose neighbours differ little, so that a slip of fp32 does not grow over the iterations."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    a, b, c, d = rng.uniform(0.02, 0.15, 4)
    return (reach * np.stack([np.sin(a * x + b * y + seed), np.cos(c * x - d * y)])).astype(np.float32)


# --- what it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_against_numpy(device, size, steps):
    if size[1] > 1000 and steps != 2:
        size = (9, 300)
    flow, beyond = smooth(size, 5, 1), smooth(size, 4, 2)
    for t in (0.0, 0.2, 0.5, 1.0):
        for behind, limit in ((None, 16.0), (beyond, 16.0), (beyond, 5.0), (beyond, 0.5)):
            given = None if behind is None else device.put(behind)
            got = ops.trace(device.put(flow), t, beyond=given, limit=limit, steps=steps)
            for a, exact in zip(got, reference(flow, t, behind, limit, steps), strict=True):
                assert a.dtype == np.float32
                assert a.shape == flow.shape
                assert np.abs(device.get(a) - exact).max() < 2e-5


@pytest.mark.parametrize("t", [0.0, 0.1, 0.5, 1.0])
def test_an_even_flow_is_parted_evenly(device, t):
    """To the bit where the way there is whole pixels, else but for the rounding of the weights that sample it."""
    for u, v, slip in ((3.7, -1.3, 1e-6), (20.0, -40.0, 0.0)):
        flow = np.array([u, v], np.float32)[:, None, None] * np.ones((2, 9, 40), np.float32)
        one, two = (device.get(a) for a in ops.trace(device.put(flow), t))
        np.testing.assert_allclose(one, -np.float32(t) * flow, rtol=0, atol=slip)
        np.testing.assert_allclose(two, flow - np.float32(t) * flow, rtol=0, atol=slip)


def test_at_both_ends(device):
    """At 0 the pixel is where it is and goes all the way; at 1 it has come from where the flow led it."""
    flow = smooth((40, 60), 3, 3)
    one, two = (device.get(a) for a in ops.trace(device.put(flow), 0.0, beyond=device.put(smooth((40, 60), 3, 4))))
    assert not one.any()
    np.testing.assert_array_equal(two, flow)
    one, two = (device.get(a) for a in ops.trace(device.put(flow), 1.0, steps=16))
    assert np.abs(two).max() < 1e-3


def test_without_beyond_motion_is_even(device):
    """The same as a frame before that is as far away the other way."""
    flow = smooth((40, 60), 3, 5)
    even = ops.trace(device.put(flow), 0.3)
    opposite = ops.trace(device.put(flow), 0.3, beyond=device.put(-flow))
    for a, b in zip(even, opposite, strict=True):
        np.testing.assert_array_equal(device.get(a), device.get(b))


def texture(x, y):
    return 120 + 50 * np.sin(0.23 * x + 0.11 * y) + 40 * np.cos(0.31 * y - 0.07 * x)


@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_accelerated_motion_of_a_pattern_is_recovered(device, t):
    """Places 0, 4 and 12 at frames -1, 0 and 1: v = 6, a = 4. Seen from frame 0, and from frame 1 as well."""
    y, x = np.mgrid[0:48, 0:96].astype(np.float64)

    def at(t):
        return texture(x - (4 + 6 * t + 2 * t * t), y).astype(np.float32)

    def flow(u):
        return device.put(np.stack([np.full(x.shape, u, np.float32), np.zeros(x.shape, np.float32)]))

    inside = np.s_[4:-4, 16:-28]
    one, two = ops.trace(flow(8.0), t, beyond=flow(-4.0))
    assert np.abs(device.get(one)[0] + (6 * t + 2 * t * t)).max() < 1e-5
    other = ops.trace(flow(-8.0), 1 - t, beyond=flow(12.0))
    for picture, along in ((at(0), one), (at(1), two), (at(0), other[1]), (at(1), other[0])):
        warped = device.get(ops.warp(device.put(picture), along, filter="bicubic"))
        assert np.abs(warped - at(t))[inside].max() < 0.5
    even = ops.trace(flow(8.0), t)
    missed = device.get(ops.warp(device.put(at(0)), even[0], filter="bicubic"))
    assert np.abs(missed - at(t))[inside].max() > 3


def test_acceleration_is_believed_up_to_a_limit(device):
    """All of 4, half of 6 (at 1.5 times the limit), none of 8 and more."""
    for a, part in ((4.0, 1.0), (6.0, 0.5), (8.0, 0.0), (100.0, 0.0)):
        flow, beyond = np.zeros((2, 3, 5), np.float32), np.zeros((2, 3, 5), np.float32)
        flow[0], beyond[0] = 10.0, a - 10.0
        one, _ = ops.trace(device.put(flow), 0.5, beyond=device.put(beyond), limit=4.0)
        np.testing.assert_allclose(device.get(one)[0], -5 + part * a / 8, atol=1e-5)


def test_what_stops_starts_or_turns_is_not_bent(device):
    """It stands still in an interval of its own, whatever it did before; and goes evenly to where it goes."""
    still, moving = np.zeros((2, 4, 6), np.float32), np.full((2, 4, 6), 6, np.float32)
    for a in ops.trace(device.put(still), 0.5, beyond=device.put(moving)):
        assert not device.get(a).any()
    for beyond in (still, moving):
        one, two = ops.trace(device.put(moving), 0.5, beyond=device.put(beyond))
        assert (device.get(one) == -3).all()
        assert (device.get(two) == 3).all()


def test_what_is_not_finite_stays_where_it_is(device):
    flow = smooth((30, 40), 2, 6)
    clean = [device.get(a) for a in ops.trace(device.put(flow), 0.5)]
    flow[:, 10, 20] = np.nan
    far = np.ones((30, 40), bool)
    far[6:15, 16:25] = False
    for a, b in zip(ops.trace(device.put(flow), 0.5), clean, strict=True):
        np.testing.assert_array_equal(device.get(a)[:, far], b[:, far])


def test_any_strides_and_out(device):
    flow, beyond = smooth((17, 33), 3, 7), smooth((17, 33), 3, 8)
    plain = [device.get(a) for a in ops.trace(device.put(flow), 0.4, beyond=device.put(beyond))]
    packed = [device.put(np.ascontiguousarray(np.moveaxis(f, 0, 2))).transpose(2, 0, 1) for f in (flow, beyond)]
    wide = [device.put(np.zeros((2, 17, 66), np.float32))[:, :, ::2] for _ in range(2)]
    got = ops.trace(packed[0], 0.4, beyond=packed[1], out=tuple(wide))
    for a, b, c in zip(got, plain, wide, strict=True):
        assert a is c
        np.testing.assert_array_equal(device.get(a), b)


def test_threads_do_not_matter(for_threads):
    flow, beyond = smooth((65, 1027), 3, 9), smooth((65, 1027), 3, 10)
    first, *others = for_threads(lambda: [a.tobytes() for a in ops.trace(flow, 0.3, beyond=beyond)])
    assert all(first == other for other in others)


def test_foreign_arrays(foreign):
    flow = smooth((17, 33), 3, 11)
    for a, b in zip(
        ops.trace(foreign(flow), 0.4, beyond=foreign(flow)), ops.trace(flow, 0.4, beyond=flow), strict=True
    ):
        np.testing.assert_array_equal(a, b)


F = np.zeros((2, 4, 6), np.float32)
OUT = np.zeros((2, 4, 6), np.float32)


@pytest.mark.parametrize(
    ("flow", "t", "options", "words"),
    [
        (F, -0.1, {}, "t: expected 0 to 1"),
        (F, 1.1, {}, "t: expected 0 to 1"),
        (F, float("nan"), {}, "t: expected a finite number"),
        (F, "half", {}, "t: expected a finite number"),
        (F, 0.5, {"limit": 0}, "limit: expected pixels above 0"),
        (F, 0.5, {"limit": -1.0}, "limit: expected pixels above 0"),
        (F, 0.5, {"limit": float("inf")}, "limit: expected a finite number"),
        (F, 0.5, {"steps": -1}, "steps: expected 0 to 16"),
        (F, 0.5, {"steps": 17}, "steps: expected 0 to 16"),
        (F, 0.5, {"steps": 1.5}, "steps: expected 0 to 16"),
        (F[0], 0.5, {}, r"flow: expected shape \(2, height, width\)"),
        (F.astype(np.float64), 0.5, {}, "flow: expected float32"),
        (F, 0.5, {"beyond": F[:, :3]}, r"beyond: expected shape \(2, 4, 6\)"),
        (F, 0.5, {"out": (OUT, F)}, "shares memory with an input"),
        (F, 0.5, {"out": (OUT, OUT)}, "share memory with each other"),
        (F, 0.5, {"out": (OUT,)}, "out: expected two arrays; got 1"),
        (F, 0.5, {"out": (OUT, OUT[:, :3].copy())}, r"out\[1\]: expected shape"),
        (F, 0.5, {"beyond": OUT, "out": (OUT, OUT.copy())}, "shares memory with an input"),
    ],
)
def test_errors(flow, t, options, words):
    with pytest.raises(ArrayError, match=words):
        ops.trace(flow, t, **options)


def test_numbers_of_numpy_will_do():
    ops.trace(F, np.float32(0.5), limit=np.float32(3), steps=np.int64(2))
