"""resize and resize_flow against float64 NumPy. Bound: fp32 rounding, then a code where an exact value is a half."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------

SLIP = 4e-6  # of the largest value


def matrix(filter, before, after):
    """(after, before): each output sample's weights of the input's, along one axis."""
    out = np.zeros((after, before))
    for x in range(after):
        if filter == "bilinear":
            at = np.clip((x + 0.5) * before / after - 0.5, 0, before - 1)
            low = min(int(at), before - 1)
            out[x, low] += 1 - (at - low)
            out[x, min(low + 1, before - 1)] += at - low
        else:
            for i in range(before):
                overlap = min((i + 1) * after, (x + 1) * before) - max(i * after, x * before)
                out[x, i] = max(overlap, 0) / before
    return out


def reference(plane, size, filter="bilinear"):
    rows, columns = (matrix(filter, *pair) for pair in zip(plane.shape, size, strict=True))
    return rows @ plane.astype(np.float64) @ columns.T


def check(got, exact, most):
    if got.dtype == np.float32:
        assert np.abs(got - exact).max() <= SLIP * most
        return
    slip = SLIP * most
    assert (got >= np.clip(np.floor(exact + 0.5 - slip), 0, most)).all()
    assert (got <= np.clip(np.floor(exact + 0.5 + slip), 0, most)).all()


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def most_of(dtype):
    return 1 if dtype == np.float32 else np.iinfo(dtype).max


FILTERS = ["bilinear", "area"]
DTYPES = [np.uint8, np.uint16, np.float32]
TABLE = [
    ((1, 1), (1, 1)),
    ((1, 1), (3, 5)),
    ((3, 5), (1, 1)),
    ((1, 7), (2, 3)),
    ((17, 33), (34, 66)),
    ((17, 33), (8, 16)),
    ((34, 66), (17, 33)),
    ((9, 99), (3, 33)),
    ((17, 33), (19, 1100)),
    ((5, 4500), (3, 7)),
    ((5, 4500), (2, 1)),
    ((65, 1027), (33, 514)),
]


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), TABLE)
def test_is_the_reference(device, before, after, dtype, filter):
    plane = noise(before, dtype)
    got = device.get(ops.resize(device.put(plane), after, filter=filter))
    assert (got.dtype, got.shape) == (dtype, after)
    check(got, reference(plane, after, filter), most_of(dtype))


@pytest.mark.parametrize(("before", "after"), TABLE)
def test_flow_is_the_reference(device, before, after):
    flow = noise((2, *before), np.float32)
    got = device.get(ops.resize_flow(device.put(flow), after))
    assert (got.dtype, got.shape) == (np.float32, (2, *after))
    for axis, part, exact in ((1, got[0], flow[0]), (0, got[1], flow[1])):
        ratio = after[axis] / before[axis]
        check(part, reference(exact, after) * ratio, max(1, ratio))


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_size_is_a_copy(device, dtype, filter):
    plane, flow = noise((17, 1033), dtype), noise((2, 17, 1033), np.float32)
    assert np.array_equal(device.get(ops.resize(device.put(plane), (17, 1033), filter=filter)), plane)
    assert np.array_equal(device.get(ops.resize_flow(device.put(flow), (17, 1033))), flow)


def test_area_keeps_the_mean(device):
    plane = noise((60, 84), np.float32)
    for size in ((30, 42), (7, 11), (1, 1), (60, 100)):
        got = device.get(ops.resize(device.put(plane), size, filter="area"))
        assert abs(got.mean(dtype=np.float64) - plane.mean(dtype=np.float64)) < 1e-6


def test_a_ramp_stays_where_it_was(device):
    """Half-pixel centres: a ramp by position keeps its values at every size, away from the edges."""
    x = np.broadcast_to(np.arange(40, dtype=np.float32) + 0.5, (6, 40))
    got = device.get(ops.resize(device.put(x), (6, 100)))
    assert np.abs(got[:, 2:-2] - ((np.arange(100) + 0.5) * 0.4)[2:-2]).max() < 1e-5


def test_a_resized_flow_warps_the_resized_picture(device):
    flow = np.stack([np.full((16, 24), 2, np.float32), np.full((16, 24), -1, np.float32)])
    got = device.get(ops.resize_flow(device.put(flow), (32, 72)))
    assert (got[0] == 6).all()
    assert (got[1] == -2).all()


def test_codes_are_clamped_to_max_code(device):
    plane = device.put(np.full((4, 6), 2000, np.uint16))
    assert (device.get(ops.resize(plane, (8, 9), max_code=1023)) == 1023).all()


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", FILTERS)
def test_any_layout(device, layout, filter):
    plane = noise((17, 33), np.uint16)
    expected = device.get(ops.resize(device.put(plane), (11, 40), filter=filter))
    out = layout(device.put, np.zeros((11, 40), np.uint16))
    assert ops.resize(layout(device.put, plane), filter=filter, out=out) is out
    assert np.array_equal(device.get(out), expected)


def test_any_layout_of_flow(device):
    flow = noise((2, 17, 33), np.float32)
    expected = device.get(ops.resize_flow(device.put(flow), (11, 40)))
    out = device.put(np.zeros((11, 40, 2), np.float32))
    turned = device.put(np.moveaxis(flow, 0, 2)).swapaxes(0, 2).swapaxes(1, 2)
    ops.resize_flow(turned, out=out.swapaxes(0, 2).swapaxes(1, 2))
    assert np.array_equal(np.moveaxis(device.get(out), 2, 0), expected)


def test_foreign_arrays(foreign):
    plane = noise((17, 33), np.uint8)
    out = np.zeros((5, 7), np.uint8)
    ops.resize(foreign(plane), out=out)
    assert np.array_equal(out, ops.resize(plane, (5, 7)))


@pytest.mark.parametrize("filter", FILTERS)
def test_same_bits_with_any_number_of_threads(for_threads, filter):
    plane, flow = noise((131, 1027), np.float32), noise((2, 131, 1027), np.float32)
    first, *rest = for_threads(lambda: ops.resize(plane, (97, 600), filter=filter))
    assert all(np.array_equal(first, r) for r in rest)
    first, *rest = for_threads(lambda: ops.resize_flow(flow, (200, 1500)))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), TABLE)
def test_cuda_gives_the_bits_of_the_cpu(cuda, before, after, dtype, filter):
    plane = noise(before, dtype)
    theirs = ops.resize(cuda.put(plane), after, filter=filter)
    assert np.array_equal(ops.resize(plane, after, filter=filter), cuda.get(theirs))
    flow = noise((2, *before), np.float32)
    assert np.array_equal(ops.resize_flow(flow, after), cuda.get(ops.resize_flow(cuda.put(flow), after)))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 6), np.uint8)
F = np.zeros((2, 4, 6), np.float32)

BAD = {
    "no size": (P, {}, "needs size="),
    "three dimensions": (P[:, :, None], {"size": (2, 3)}, r"\(height, width\); got \(4, 6, 1\)"),
    "empty": (P[:0], {"size": (2, 3)}, "empty plane"),
    "doubles": (P.astype(np.float64), {"size": (2, 3)}, "expected uint8 or uint16; got another dtype"),
    "no height": (P, {"size": (0, 3)}, "whole numbers of 1 to 46340"),
    "a size of floats": (P, {"size": (2.0, 3.0)}, "whole numbers of 1 to 46340"),
    "three sizes": (P, {"size": (2, 3, 4)}, r"expected \(height, width\)"),
    "too wide": (np.broadcast_to(P[:1, :1], (1, 46341)), {"size": (2, 3)}, "sides of at most 46340"),
    "filter": (P, {"size": (2, 3), "filter": "cubic"}, "got 'cubic'"),
    "max_code": (P, {"size": (2, 3), "max_code": 0}, "expected 1 to 255"),
    "out of another size": (P, {"size": (2, 3), "out": np.zeros((3, 3), np.uint8)}, r"expected shape \(2, 3\)"),
    "out of another dtype": (P, {"out": np.zeros((3, 3), np.uint16)}, "expected uint8; got uint16"),
    "in place": (P, {"out": P}, "shares memory"),
}


@pytest.mark.parametrize(("plane", "options", "message"), BAD.values(), ids=BAD)
def test_resize_refuses(plane, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.resize(plane, **options)


BAD_FLOWS = {
    "no size": (F, {}, "needs size="),
    "a plane": (F[0], {"size": (2, 3)}, r"expected shape \(2, height, width\)"),
    "u and v last": (np.zeros((4, 6, 2), np.float32), {"size": (2, 3)}, r"expected shape \(2, height, width\)"),
    "doubles": (F.astype(np.float64), {"size": (2, 3)}, "expected float32; got another dtype"),
    "out of a plane": (F, {"out": np.zeros((2, 3), np.float32)}, r"out: expected shape \(2, height, width\)"),
    "in place": (F, {"out": F}, "shares memory"),
}


@pytest.mark.parametrize(("flow", "options", "message"), BAD_FLOWS.values(), ids=BAD_FLOWS)
def test_resize_flow_refuses(flow, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.resize_flow(flow, **options)
