"""map_tones against float64 NumPy.

The reference works with intervals, so that its bound is exact: where the RGB value of a pixel lies within `SLIP` table
entries of the boundary between two, either entry may be taken; and the result may fall on either side of a code's
boundary if it lies within `slip` codes of one (fp32 arithmetic). Everything else must be equal.
"""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------

OFFSETS = {
    "left": (0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0, 0),
    "top": (0.5, 0),
    "bottomleft": (0, 1),
    "bottom": (0.5, 1),
}
SLIP = 4e-3  # table entries, of 4096


def spans(depth, full):
    """Codes of black, of neutral chroma; codes from black to white; codes of the chroma range."""
    if full:
        return 0, 2 ** (depth - 1), 2**depth - 1, 2**depth - 1
    unit = 2 ** (depth - 8)
    return 16 * unit, 128 * unit, 219 * unit, 224 * unit


def grow(chroma, size, offset, axis):
    """Linear interpolation of decimated samples at every luma position of an axis; edges are repeated."""
    position = (np.arange(size) - offset) / 2
    low = np.floor(position).astype(int)
    part = position - low
    last = chroma.shape[axis] - 1
    a = np.take(chroma, np.clip(low, 0, last), axis)
    b = np.take(chroma, np.clip(low + 1, 0, last), axis)
    part = part[:, None] if axis == 0 else part[None, :]
    return a * (1 - part) + b * part


def reference_rgb(planes, *, kr, kb, depth, full_range, siting):
    """R, G, B (height, width), 0..1 for black to white, not clamped."""
    y, cb, cr = (np.asarray(p, np.float64) for p in planes)
    for axis, offset in ((1, OFFSETS[siting][0]), (0, OFFSETS[siting][1])):
        if cb.shape[axis] != y.shape[axis]:
            cb, cr = (grow(c, y.shape[axis], offset, axis) for c in (cb, cr))
    black, neutral, luma_span, chroma_span = spans(depth, full_range)
    y, cb, cr = (y - black) / luma_span, (cb - neutral) / chroma_span, (cr - neutral) / chroma_span
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    return r, (y - kr * r - kb * b) / (1 - kr - kb), b


def bayer(height, width):
    """Thresholds in (0, 1): the recursive 8x8 Bayer matrix, repeated."""
    m = np.zeros((1, 1))
    while len(m) < 8:
        m = np.block([[4 * m, 4 * m + 2], [4 * m + 3, 4 * m + 1]])
    return np.tile((m + 0.5) / 64, (height // 8 + 1, width // 8 + 1))[:height, :width]


def pool(plane, shape):
    """The mean over each chroma sample's pixels: all it covers, fewer at an odd edge."""
    for axis in (0, 1):
        size = plane.shape[axis]
        if shape[axis] != size:
            at = np.arange(0, size, 2)
            plane = np.add.reduceat(plane, at, axis)
            count = np.minimum(size - at, 2)
            plane = plane / (count[:, None] if axis == 0 else count[None, :])
    return plane


def reference_range(planes, change, case):
    """(low, high) of the exact Y, Cb, Cr before rounding."""
    kr, kb = case.coding["kr"], case.coding["kb"]
    kg = 1 - kr - kb
    _, _, luma_span, chroma_span = spans(case.depth, case.full)
    last = change.shape[1] - 1
    low, high = [], []
    for table, value in zip(change.astype(np.float64), reference_rgb(planes, **case.coding), strict=True):
        at = np.clip(value, 0, 1) * last + 0.5
        taken = [table[np.clip(np.floor(at + s), 0, last).astype(int)] for s in (-SLIP, SLIP)]
        low.append(np.minimum(*taken))
        high.append(np.maximum(*taken))

    def luma(d):
        return kr * d[0] + kg * d[1] + kb * d[2]

    def blue(b, other):  # B - Y of the change
        return (1 - kb) * b[2] - kr * other[0] - kg * other[1]

    def red(r, other):  # R - Y
        return (1 - kr) * r[0] - kg * other[1] - kb * other[2]

    u_span, v_span = chroma_span / (2 * (1 - kb)), chroma_span / (2 * (1 - kr))
    shape = planes[1].shape
    y, u, v = (p.astype(np.float64) for p in planes)
    return (
        (y + luma(low) * luma_span, y + luma(high) * luma_span),
        (u + pool(blue(low, high), shape) * u_span, u + pool(blue(high, low), shape) * u_span),
        (v + pool(red(low, high), shape) * v_span, v + pool(red(high, low), shape) * v_span),
    )


def check(got, planes, change, case, dither):
    slip = 1e-3 if case.depth <= 12 else 8e-3
    for plane, (low, high) in zip(got, reference_range(planes, change, case), strict=True):
        threshold = bayer(*plane.shape) if dither else 0.5
        least = np.clip(np.floor(low + threshold - slip), 0, case.max_code)
        most = np.clip(np.floor(high + threshold + slip), 0, case.max_code)
        off = (plane < least) | (plane > most)
        assert not off.any(), f"{off.sum()} of {off.size}, first at {np.argwhere(off)[0]}"
        # and the interval says something: it is one code but for a few pixels
        assert plane.size < 1000 or (most != least).mean() < 0.05


def curves(size=4096, strength=0.1):
    """A smooth change for each channel."""
    x = np.linspace(0, 1, size)
    shape = np.stack([x * (1 - x) * 2, -np.sin(3 * x) * 0.8, 0.5 - x**2])
    return (strength * shape).astype(np.float32)


@pytest.mark.parametrize("dither", [False, True], ids=["round", "dither"])
def test_is_the_reference(device, case, dither):
    planes, change = case.planes(), curves()
    got = ops.map_tones([device.put(p) for p in planes], device.put(change), dither=dither, **case.coding)
    got = [device.get(p) for p in got]
    assert [p.dtype for p in got] == [case.dtype] * 3
    check(got, planes, change, case, dither)


@pytest.mark.parametrize("size", [2, 3, 256, 1024, 20000])
def test_any_number_of_points(device, make_case, size):
    case = make_case(height=17, width=33)
    planes, change = case.planes(), curves(size)
    got = ops.map_tones([device.put(p) for p in planes], change, **case.coding)
    check([device.get(p) for p in got], planes, change, case, True)


@pytest.mark.parametrize("sub", ["420", "422", "440", "444"])
def test_a_chain_through_rgb_gives_nearly_the_same(device, make_case, sub):
    """The fused op against yuv -> rgb -> curve -> yuv in floats: close on the mean, on smooth colours."""
    case = make_case(height=64, width=96, sub=sub, siting="center")
    y, x = np.mgrid[0:64, 0:96]
    rgb = np.stack([60 + x, 80 + y, 150 - x / 2 - y / 4], -1).astype(np.float32) / 255
    planes = ops.rgb_to_yuv(rgb, subsampling=case.subsampling, **case.coding)
    change = curves(strength=0.05)
    exact = ops.yuv_to_rgb(planes, **case.coding, dtype=np.float32)
    for c in range(3):
        exact[:, :, c] += np.interp(exact[:, :, c], np.linspace(0, 1, 4096), change[c])
    exact = ops.rgb_to_yuv(exact, subsampling=case.subsampling, **case.coding)
    got = ops.map_tones([device.put(p) for p in planes], change, dither=False, **case.coding)
    for a, b in zip(got, exact, strict=True):
        error = device.get(a).astype(int) - b
        assert np.abs(error).max() <= 1
        assert abs(error.mean()) < 0.1


# --- properties --------------------------------------------------------------------------------------------------


def test_no_change_is_the_input_bit_for_bit(device, case):
    planes = case.planes()
    for dither in (False, True):
        got = ops.map_tones(
            [device.put(p) for p in planes], np.zeros((3, 1024), np.float32), dither=dither, **case.coding
        )
        for a, b in zip(got, planes, strict=True):
            assert np.array_equal(device.get(a), b)


def test_a_change_of_dark_tones_leaves_light_ones(device, make_case):
    case = make_case(height=64, width=96, full=True)
    y = np.where(np.arange(96) < 48, 30, 200)[None, :].repeat(64, 0).astype(np.uint8)
    neutral = np.full((32, 48), 128, np.uint8)
    change = np.zeros((3, 1024), np.float32)
    change[:, :512] = 0.1
    got = [device.get(p) for p in ops.map_tones([device.put(p) for p in (y, neutral, neutral)], change, **case.coding)]
    assert (got[0][:, 48:] == 200).all()
    assert abs(got[0][:, :48].mean(dtype=np.float64) - 55.5) < 1 / 64
    assert np.array_equal(got[1], neutral)
    assert np.array_equal(got[2], neutral)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25, 0.5, 0.77])
def test_dither_keeps_the_mean(device, make_case, shift):
    case = make_case(height=64, width=64, full=True)
    planes = [np.full((64, 64), 100, np.uint8), *[np.full((32, 32), 128, np.uint8)] * 2]
    change = np.full((3, 256), shift / 255, np.float32)
    y, u, v = ops.map_tones([device.put(p) for p in planes], change, **case.coding)
    assert abs(device.get(y).mean(dtype=np.float64) - 100 - shift) <= 1 / 64
    assert (device.get(u) == 128).all()
    assert (device.get(v) == 128).all()


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sub", ["420", "444"])
def test_any_layout_of_input_and_output(device, make_case, layout, sub):
    case = make_case(height=17, width=33, depth=10, sub=sub, siting="topleft")
    planes, change = case.planes(), curves()
    expected = ops.map_tones([device.put(p) for p in planes], change, **case.coding)
    out = [layout(device.put, np.zeros(p.shape, np.uint16)) for p in planes]
    given = ops.map_tones([layout(device.put, p) for p in planes], change, **case.coding, out=out)
    for mine, a, b in zip(out, given, expected, strict=True):
        assert a is mine
        assert np.array_equal(device.get(a), device.get(b))


def test_an_output_view_leaves_what_surrounds_it(device, make_case):
    case = make_case(height=4, width=6)
    bases = [device.put(np.full((9, 13), 77, np.uint8)) for _ in range(3)]
    out = [bases[0][2:6, 3:9], bases[1][1:3, 2:5], bases[2][1:3, 2:5]]
    ops.map_tones([device.put(p) for p in case.planes()], curves(), **case.coding, out=out)
    for base, (ys, xs) in zip(bases, [((2, 6), (3, 9)), ((1, 3), (2, 5)), ((1, 3), (2, 5))], strict=True):
        after = device.get(base).copy()
        after[slice(*ys), slice(*xs)] = 77
        assert (after == 77).all()


def test_inputs_are_not_written(device, make_case):
    case = make_case(height=17, width=33)
    planes = [device.put(p) for p in case.planes()]
    ops.map_tones(planes, curves(), **case.coding)
    assert all(np.array_equal(device.get(a), b) for a, b in zip(planes, case.planes(), strict=True))


def test_foreign_arrays(foreign, make_case):
    case = make_case(height=17, width=33)
    planes = case.planes()
    out = [np.zeros_like(p) for p in planes]
    ops.map_tones([foreign(p) for p in planes], curves(), **case.coding, out=out)
    for a, b in zip(out, ops.map_tones(planes, curves(), **case.coding), strict=True):
        assert np.array_equal(a, b)


def test_same_bits_with_any_number_of_threads(for_threads, make_case):
    for sub in ("420", "444"):
        case = make_case(height=131, sub=sub)
        planes = case.planes()
        first, *rest = for_threads(lambda planes=planes, case=case: ops.map_tones(planes, curves(), **case.coding))
        assert all(np.array_equal(a, b) for other in rest for a, b in zip(first, other, strict=True))


def test_cuda_gives_the_bits_of_the_cpu(cuda, case):
    planes = case.planes()
    for dither in (False, True):
        mine = ops.map_tones(planes, curves(), dither=dither, **case.coding)
        theirs = ops.map_tones([cuda.put(p) for p in planes], curves(), dither=dither, **case.coding)
        assert all(np.array_equal(a, cuda.get(b)) for a, b in zip(mine, theirs, strict=True))


# --- errors ------------------------------------------------------------------------------------------------------

Y, C = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
D = np.zeros((3, 1024), np.float32)
FROZEN = np.zeros((4, 6), np.uint8)
FROZEN.setflags(write=False)

BAD = {
    "two planes": ([Y, C], D, {"out": [Y.copy(), C.copy(), C.copy()]}, "expected 3 planes; got 2"),
    "four planes": ([Y, C, C, Y], D, {}, "expected 3 planes; got 4"),
    "float planes": ([p.astype(np.float32) for p in (Y, C, C)], D, {}, "expected uint8 or uint16; got float32"),
    "mixed dtypes": ([Y, C.astype(np.uint16), C], D, {}, "expected uint8; got uint16"),
    "mismatched chroma": ([Y, C[:1], C[:1]], D, {}, "half as large"),
    "unlike chroma": ([Y, C, Y], D, {}, "of one shape"),
    "empty": ([Y[:0], C[:0], C[:0]], D, {}, "empty plane"),
    "two curves": ([Y, C, C], D[:2], {}, r"expected shape \(3, 1024\); got \(2, 1024\)"),
    "one curve": ([Y, C, C], D[0], {}, r"expected shape \(3, n\)"),
    "one point": ([Y, C, C], D[:, :1].copy(), {}, "expected 2 to 65536 entries"),
    "two planes out": ([Y, C, C], D, {"out": [Y.copy(), C.copy()]}, "expected 3 planes; got 2"),
    "out of another size": ([Y, C, C], D, {"out": [Y.copy(), C.copy(), C[:1].copy()]}, "expected the input's shape"),
    "out of another dtype": ([Y, C, C], D, {"out": [Y.astype(np.uint16), C.copy(), C.copy()]}, "uint8; got uint16"),
    "read-only out": ([Y, C, C], D, {"out": [FROZEN, C.copy(), C.copy()]}, "read-only"),
    "siting": ([Y, C, C], D, {"siting": "right"}, "got 'right'"),
    "kr": ([Y, C, C], D, {"kr": -0.1}, "got -0.1"),
    "depth": ([Y, C, C], D, {"depth": 4}, "expected 8 to 16 bits; got 4"),
}


@pytest.mark.parametrize(("planes", "change", "options", "message"), BAD.values(), ids=BAD)
def test_map_tones_refuses(planes, change, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.map_tones(planes, change, **options)


def test_in_place_is_right_or_refused(make_case):
    case = make_case(height=64, width=64)
    expected = ops.map_tones(case.planes(), curves(), **case.coding)
    planes = case.planes()
    try:
        ops.map_tones(planes, curves(), **case.coding, out=planes)
    except ArrayError:
        return
    assert all(np.array_equal(a, b) for a, b in zip(planes, expected, strict=True))


def test_a_depth_that_the_samples_cannot_hold_is_refused_or_clamped():
    bright = [Y + 250, C + 128, C + 128]
    try:
        got = ops.map_tones(bright, np.full((3, 64), 0.2, np.float32), depth=10, full_range=True)
    except ArrayError:
        return
    assert (got[0] >= 250).all()
