"""warp and warp_blend against float64 NumPy.

The reference pads the picture with np.pad and samples it with weights from the definition of each filter. Integer
results may be either neighbour where the exact value lies within `SLIP` codes of the boundary between two (fp32).
"""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------

PADS = {"edge": "edge", "zeros": "constant", "reflect": "reflect"}
SLIP = 2e-6  # of the largest value


def kernel(filter, t):
    """The weight of a sample at distance t."""
    t = np.abs(t)
    if filter == "bilinear":
        return np.maximum(1 - t, 0)
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def reference(plane, flow, filter="bilinear", border="edge", scale=1.0):
    """The exact values, not rounded, not clamped."""
    height, width = plane.shape
    u, v = (np.where(np.isfinite(f), f, 0).astype(np.float64) * scale for f in flow)
    room = int(max(np.abs(u).max(), np.abs(v).max())) + 4
    padded = np.pad(plane.astype(np.float64), room, PADS[border])
    y, x = np.mgrid[0:height, 0:width]
    iu, iv = np.floor(u).astype(int), np.floor(v).astype(int)
    total = np.zeros((height, width))
    for j in range(-1, 3):
        for i in range(-1, 3):
            weight = kernel(filter, u - iu - i) * kernel(filter, v - iv - j)
            total += weight * padded[y + iv + j + room, x + iu + i + room]
    return total


def check(got, exact, most):
    """Rounded and clamped for integers; as they are for floats."""
    if got.dtype == np.float32:
        assert np.abs(got - exact).max() <= 4 * SLIP * max(most, 1)
        return
    slip = 4 * SLIP * most
    low = np.clip(np.floor(exact + 0.5 - slip), 0, most)
    high = np.clip(np.floor(exact + 0.5 + slip), 0, most)
    assert ((got >= low) & (got <= high)).all()


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def most_of(dtype):
    return 1 if dtype == np.float32 else np.iinfo(dtype).max


def wild(shape, reach, seed=1):
    """Flow (2, height, width) of noise up to `reach` pixels."""
    return np.random.default_rng(seed).uniform(-reach, reach, (2, *shape)).astype(np.float32)


def constant(shape, u, v):
    return np.stack([np.full(shape, u, np.float32), np.full(shape, v, np.float32)])


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 3), (17, 33), (65, 1027)]
DTYPES = [np.uint8, np.uint16, np.float32]
FILTERS = ["bilinear", "bicubic"]


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", PADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_is_the_reference(device, size, dtype, border, filter):
    plane = noise(size, dtype)
    for reach in (0.6, 3, 50):
        flow = wild(size, reach)
        got = device.get(ops.warp(device.put(plane), device.put(flow), filter=filter, border=border))
        assert (got.dtype, got.shape) == (dtype, size)
        check(got, reference(plane, flow, filter, border), most_of(dtype))


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_warp_blend_is_the_reference(device, size, dtype, filter):
    a, b, fa, fb = noise(size, dtype), noise(size, dtype, 7), wild(size, 3), wild(size, 3, 8)
    weights = np.random.default_rng(3).random(size, np.float32)
    one, two = reference(a, fa, filter, "edge", 0.25), reference(b, fb, filter, "edge", -1.5)
    for weight in (0.3, weights):
        got = ops.warp_blend(
            *map(device.put, (a, b, fa, fb)),
            weight if isinstance(weight, float) else device.put(weight),
            filter=filter,
            scale=(0.25, -1.5),
        )
        w = np.asarray(np.float32(weight), np.float64)
        check(device.get(got), w * one + (1 - w) * two, most_of(dtype))


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", PADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_no_flow_is_a_copy(device, size, dtype, border, filter):
    plane = noise(size, dtype)
    flow = device.put(np.zeros((2, *size), np.float32))
    assert np.array_equal(device.get(ops.warp(device.put(plane), flow, filter=filter, border=border)), plane)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", PADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (-7, 3), (40, -25)])
def test_whole_shifts_are_exact_and_np_pad_is_the_border(device, shift, dtype, border, filter):
    plane = noise((17, 33), dtype)
    u, v = shift
    padded = np.pad(plane, 64, PADS[border])
    expected = padded[64 + v : 64 + v + 17, 64 + u : 64 + u + 33]
    flow = device.put(constant((17, 33), u, v))
    assert np.array_equal(device.get(ops.warp(device.put(plane), flow, filter=filter, border=border)), expected)


def test_half_a_pixel_is_the_mean_of_two(device):
    plane = noise((17, 33), np.uint16)
    got = device.get(ops.warp(device.put(plane), device.put(constant((17, 33), 0.5, 0))))
    mean = (plane[:, :-1].astype(np.float64) + plane[:, 1:]) / 2
    assert np.array_equal(got[:, :-1], np.floor(mean + 0.5))
    assert np.array_equal(got[:, -1], plane[:, -1])


def test_u_points_right_and_v_down(device):
    y, x = np.mgrid[0:9, 0:11].astype(np.float32)
    moved = ops.warp([device.put(x), device.put(y)], device.put(constant((9, 11), 2, 1)))
    assert np.array_equal(device.get(moved[0])[:8, :9], x[:8, :9] + 2)
    assert np.array_equal(device.get(moved[1])[:8, :9], y[:8, :9] + 1)


@pytest.mark.parametrize("filter", FILTERS)
def test_a_ramp_stays_a_ramp_anywhere(device, filter):
    """The fraction keeps its bits however far to the right a pixel lies."""
    x = np.broadcast_to(np.arange(20000, dtype=np.uint16), (2, 20000))
    flow = device.put(constant((2, 20000), 0.501, 0))
    got = device.get(ops.warp(device.put(x), flow, filter=filter))
    assert np.array_equal(got[:, 1:-2], x[:, 1:-2] + 1)


@pytest.mark.parametrize("border", PADS)
@pytest.mark.parametrize("filter", FILTERS)
def test_nan_and_infinity_move_nothing(device, filter, border):
    plane, flow = noise((17, 33), np.uint8), wild((17, 33), 3)
    flow[0, 3, 4:9], flow[1, 5, :], flow[:, 8, 2] = np.nan, np.inf, -np.inf
    clean = np.where(np.isfinite(flow), flow, np.float32(0))
    got = [ops.warp(device.put(plane), device.put(f), filter=filter, border=border) for f in (flow, clean)]
    assert np.array_equal(device.get(got[0]), device.get(got[1]))


@pytest.mark.parametrize("border", PADS)
@pytest.mark.parametrize("filter", FILTERS)
def test_a_very_far_place_is_outside(device, filter, border):
    plane = noise((5, 7), np.uint8) | 1
    for value in (1e7, -1e7, 3e38, -3e38):
        got = device.get(
            ops.warp(device.put(plane), device.put(constant((5, 7), value, value)), filter=filter, border=border)
        )
        if border == "edge":
            assert (got == (plane[-1, -1] if value > 0 else plane[0, 0])).all()
        if border == "zeros":
            assert (got == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filter", FILTERS)
def test_weights_of_one_and_zero_give_the_single_warps(device, filter, dtype):
    size = (17, 33)
    a, b, fa, fb = map(device.put, (noise(size, dtype), noise(size, dtype, 7), wild(size, 3), wild(size, 3, 8)))
    for weight, plane, flow in ((1, a, fa), (0, b, fb)):
        alone = device.get(ops.warp(plane, flow, filter=filter))
        assert np.array_equal(device.get(ops.warp_blend(a, b, fa, fb, weight, filter=filter)), alone)
        everywhere = device.put(np.full(size, weight, np.float32))
        assert np.array_equal(device.get(ops.warp_blend(a, b, fa, fb, everywhere, filter=filter)), alone)


@pytest.mark.parametrize("filter", FILTERS)
def test_warp_blend_is_float_warps_blended_and_rounded_once(device, filter):
    size = (65, 1027)
    a, b, fa, fb = noise(size, np.uint16), noise(size, np.uint16, 7), wild(size, 9), wild(size, 9, 8)
    weights = np.random.default_rng(3).random(size, np.float32)
    one, two = (ops.warp(p.astype(np.float32), f, filter=filter) for p, f in ((a, fa), (b, fb)))
    expected = np.clip(weights * one + (np.float32(1) - weights) * two + np.float32(0.5), 0, 65535).astype(np.uint16)
    got = ops.warp_blend(*map(device.put, (a, b, fa, fb, weights)), filter=filter)
    assert np.array_equal(device.get(got), expected)


def test_scale_is_a_scaled_flow(device):
    plane, flow = device.put(noise((17, 33), np.uint8)), wild((17, 33), 9)
    got = ops.warp(plane, device.put(flow), scale=0.5)
    assert np.array_equal(device.get(got), device.get(ops.warp(plane, device.put(flow * np.float32(0.5)))))


def test_codes_are_clamped_to_max_code(device):
    plane = np.where(np.arange(33) % 4 < 2, 0, 1023).astype(np.uint16)[None].repeat(17, 0)
    flow = device.put(wild((17, 33), 1))
    got = device.get(ops.warp(device.put(plane), flow, filter="bicubic", max_code=1023))
    assert got.max() == 1023
    assert device.get(ops.warp(device.put(plane), flow, filter="bicubic")).max() > 1023


def test_several_planes_are_each_alone(device):
    planes = [device.put(noise((17, 33), np.uint8, seed)) for seed in range(4)]
    flow = device.put(wild((17, 33), 3))
    for count in (1, 3, 4):
        got = ops.warp(planes[:count], flow)
        assert isinstance(got, tuple)
        for a, b in zip(got, planes, strict=False):
            assert np.array_equal(device.get(a), device.get(ops.warp(b, flow)))
    both = ops.warp_blend(planes[:2], planes[2:], flow, flow, 0.25)
    alone = ops.warp_blend(planes[1], planes[3], flow, flow, 0.25)
    assert np.array_equal(device.get(both[1]), device.get(alone))


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filter", FILTERS)
def test_any_layout(device, layout, filter, dtype):
    plane, flow = noise((17, 33), dtype), wild((17, 33), 3)
    expected = device.get(ops.warp(device.put(plane), device.put(flow), filter=filter))
    out = layout(device.put, np.zeros((17, 33), dtype))
    given = ops.warp(layout(device.put, plane), device.put(flow), filter=filter, out=out)
    assert given is out
    assert np.array_equal(device.get(out), expected)


def test_any_layout_of_flow_and_weights(device, layout):
    plane, flow = device.put(noise((17, 33), np.uint8)), wild((17, 33), 3)
    weights = np.random.default_rng(3).random((17, 33), np.float32)
    expected = device.get(ops.warp_blend(plane, plane, device.put(flow), device.put(-flow), device.put(weights)))
    last = device.put(np.moveaxis(flow, 0, 2))
    turned = last.swapaxes(0, 2).swapaxes(1, 2)
    cropped = device.put(np.pad(-flow, ((0, 0), (2, 3), (4, 5))))[:, 2:-3, 4:-5]
    got = ops.warp_blend(plane, plane, turned, cropped, layout(device.put, weights))
    assert np.array_equal(device.get(got), expected)


def test_planes_of_unlike_layouts_and_steps_of_zero(device):
    planes, flow = [noise((17, 33), np.uint8, seed) for seed in range(4)], wild((17, 33), 3)
    planes[1] = np.broadcast_to(planes[1][:, :1], (17, 33))
    planes[2] = np.broadcast_to(np.uint8(9), (17, 33))
    laid = [planes[0], planes[1], planes[2], np.repeat(planes[3], 3, 1)[:, ::3]]
    put = device.put if device.name == "cuda" else (lambda a: a)
    for order in ([1, 2, 0, 3], [2, 0, 1], [3, 1]):
        got = ops.warp([put(laid[k]) for k in order], device.put(flow))
        for k, one in zip(order, got, strict=True):
            assert np.array_equal(device.get(one), ops.warp(planes[k].copy(), flow))


def test_packed_channels(device):
    rgb, flow = device.put(noise((17, 33, 3), np.uint8)), device.put(wild((17, 33), 3))
    out = device.put(np.zeros((17, 33, 3), np.uint8))
    ops.warp([rgb[:, :, c] for c in range(3)], flow, out=[out[:, :, c] for c in range(3)])
    for c in range(3):
        assert np.array_equal(device.get(out)[:, :, c], device.get(ops.warp(rgb[:, :, c], flow)))


def test_an_output_view_leaves_what_surrounds_it(device):
    base = device.put(np.full((9, 13), 77, np.uint8))
    ops.warp(device.put(noise((4, 6), np.uint8)), device.put(wild((4, 6), 2)), out=base[2:6, 3:9])
    after = device.get(base).copy()
    after[2:6, 3:9] = 77
    assert (after == 77).all()


def test_foreign_arrays(foreign):
    plane, flow = noise((17, 33), np.uint8), wild((17, 33), 3)
    out = np.zeros((17, 33), np.uint8)
    ops.warp(foreign(plane), foreign(flow), out=out)
    assert np.array_equal(out, ops.warp(plane, flow))


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", PADS)
def test_same_bits_with_any_number_of_threads(for_threads, filter, border):
    a, b, flow = noise((131, 1027), np.float32), noise((131, 1027), np.float32, 7), wild((131, 1027), 9)
    first, *rest = for_threads(lambda: ops.warp(a, flow, filter=filter, border=border))
    assert all(np.array_equal(first, r) for r in rest)
    first, *rest = for_threads(lambda: ops.warp_blend(a, b, flow, -flow, 0.3, filter=filter, border=border))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", PADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, dtype, border, filter):
    how = {"filter": filter, "border": border}
    a, b = noise(size, dtype), noise(size, dtype, 7)
    weights = np.random.default_rng(3).random(size, np.float32)
    for reach in (0.6, 3, 1e5):
        fa, fb = wild(size, reach), wild(size, reach, 8)
        fa[0, 0, 0] = np.nan
        assert np.array_equal(ops.warp(a, fa, **how), cuda.get(ops.warp(cuda.put(a), cuda.put(fa), **how)))
        theirs = ops.warp_blend(*map(cuda.put, (a, b, fa, fb, weights)), **how)
        assert np.array_equal(ops.warp_blend(a, b, fa, fb, weights, **how), cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 6), np.uint8)
F = np.zeros((2, 4, 6), np.float32)
FROZEN = np.zeros((4, 6), np.uint8)
FROZEN.setflags(write=False)

BAD = {
    "no planes": ([], F, {}, "expected 1 to 4 planes; got 0"),
    "five planes": ([P] * 5, F, {}, "expected 1 to 4 planes; got 5"),
    "three dimensions": (P[:, :, None], F, {}, r"shape \(height, width\)"),
    "empty": (P[:0], F[:, :0], {}, "empty plane"),
    "integers of 32 bits": (P.astype(np.int32), F, {}, "expected uint8 or uint16; got int32"),
    "doubles": (P.astype(np.float64), F, {}, "expected uint8 or uint16; got another dtype"),
    "mixed dtypes": ([P, P.astype(np.uint16)], F, {}, "expected uint8; got uint16"),
    "mixed sizes": ([P, P[:, :3]], F, {}, "of one shape"),
    "flow of doubles": (P, F.astype(np.float64), {}, "flow: expected float32; got another dtype"),
    "flow of another size": (P, F[:, :3], {}, "of the planes' height and width"),
    "flow with u and v last": (P, np.zeros((4, 6, 2), np.float32), {}, r"expected shape \(2, height, width\)"),
    "flow of one component": (P, F[0], {}, r"expected shape \(2, height, width\)"),
    "filter": (P, F, {"filter": "lanczos"}, "got 'lanczos'"),
    "border": (P, F, {"border": "wrap"}, "got 'wrap'"),
    "scale": (P, F, {"scale": np.nan}, "scale: expected a finite number; got nan"),
    "max_code": (P, F, {"max_code": 256}, "expected 1 to 255 for uint8 samples; got 256"),
    "max_code of floats": (P.astype(np.float32), F, {"max_code": 255}, "float32 samples are not clamped"),
    "out of another size": (P, F, {"out": np.zeros((4, 5), np.uint8)}, "of one shape"),
    "out of another dtype": (P, F, {"out": np.zeros((4, 6), np.uint16)}, "expected uint8; got uint16"),
    "too few out": ([P, P], F, {"out": [P.copy()]}, "as many planes"),
    "read-only out": (P, F, {"out": FROZEN}, "read-only"),
    "in place": (P, F, {"out": P}, "shares memory"),
    "not an array": ("plane", F, {}, "expected an array"),
}


@pytest.mark.parametrize(("planes", "flow", "options", "message"), BAD.values(), ids=BAD)
def test_warp_refuses(planes, flow, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.warp(planes, flow, **options)


W = np.zeros((4, 6), np.float32)

BAD_BLENDS = {
    "unlike numbers": ((P, [P, P], F, F, 0.5), {}, "as many planes"),
    "unlike sizes": ((P, P[:, :3], F, F, 0.5), {}, "of one shape"),
    "unlike dtypes": ((P, P.astype(np.uint16), F, F, 0.5), {}, "expected uint8; got uint16"),
    "second flow": ((P, P, F, F[:, :3], 0.5), {}, "flow_b: expected"),
    "weight of NaN": ((P, P, F, F, np.nan), {}, "weight: expected a finite number"),
    "weights of another size": ((P, P, F, F, W[:3]), {}, "weight: expected the input's shape"),
    "weights of doubles": ((P, P, F, F, W.astype(np.float64)), {}, "weight: expected float32"),
    "three scales": ((P, P, F, F, 0.5), {"scale": (1, 2, 3)}, "scale: expected a number or two; got 3"),
    "in place of b": ((P.copy(), P, F, F, 0.5), {"out": P}, "shares memory"),
    "in place of weights": ((W.copy(), W.copy(), F, F, W), {"out": W}, "shares memory"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD_BLENDS.values(), ids=BAD_BLENDS)
def test_warp_blend_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.warp_blend(*given, **options)
