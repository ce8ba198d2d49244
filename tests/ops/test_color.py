"""yuv_to_rgb and rgb_to_yuv against float64 NumPy.

Bound: an integer result equals the rounded float64 value, but for 1 code where that value lies within `tolerance` of a
rounding boundary (fp32 arithmetic: 1e-3 of a code up to 12 bits, 1/64 of a code at 16). Floats: 2e-6 of white.
"""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError, ReelmendError

# --- the reference -----------------------------------------------------------------------------------------------

# Where chroma sample 0 sits, in luma samples (x, y), when it is decimated.
OFFSETS = {
    "left": (0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0, 0),
    "top": (0.5, 0),
    "bottomleft": (0, 1),
    "bottom": (0.5, 1),
}


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


def shrink(plane, offset, axis):
    """One sample of two: [1 2 1] / 4 around the sample it sits on, or the mean of the two it sits between."""
    size = plane.shape[axis]
    at = 2 * np.arange(-(-size // 2))

    def tap(k):
        return np.take(plane, np.clip(at + k, 0, size - 1), axis)

    if offset == 0.5:
        return (tap(0) + tap(1)) / 2
    return (tap(offset - 1) + 2 * tap(offset) + tap(offset + 1)) / 4


def reference_rgb(planes, *, kr, kb, depth, full_range, siting):
    """RGB (height, width, 3), 0..1 for black to white, not clamped."""
    y, cb, cr = (np.asarray(p, np.float64) for p in planes)
    for axis, offset in ((1, OFFSETS[siting][0]), (0, OFFSETS[siting][1])):
        if cb.shape[axis] != y.shape[axis]:
            cb, cr = (grow(c, y.shape[axis], offset, axis) for c in (cb, cr))
    black, neutral, luma_span, chroma_span = spans(depth, full_range)
    y, cb, cr = (y - black) / luma_span, (cb - neutral) / chroma_span, (cr - neutral) / chroma_span
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.stack([r, g, b], -1)


def reference_yuv(rgb, subsampling, *, kr, kb, depth, full_range, siting):
    """Y, Cb, Cr in codes, not rounded, of RGB in 0..1."""

    def luma(p):
        return kr * p[..., 0] + (1 - kr - kb) * p[..., 1] + kb * p[..., 2]

    black, neutral, luma_span, chroma_span = spans(depth, full_range)
    small = np.asarray(rgb, np.float64)
    for axis, halve, offset in ((1, subsampling[0], OFFSETS[siting][0]), (0, subsampling[1], OFFSETS[siting][1])):
        if halve:
            small = shrink(small, offset, axis)
    cb = (small[..., 2] - luma(small)) / (2 * (1 - kb))
    cr = (small[..., 0] - luma(small)) / (2 * (1 - kr))
    return black + luma(rgb) * luma_span, neutral + cb * chroma_span, neutral + cr * chroma_span


def bayer(height, width):
    """Thresholds in (0, 1): the recursive 8x8 Bayer matrix, repeated."""
    m = np.zeros((1, 1))
    while len(m) < 8:
        m = np.block([[4 * m, 4 * m + 2], [4 * m + 3, 4 * m + 1]])
    return np.tile((m + 0.5) / 64, (height // 8 + 1, width // 8 + 1))[:height, :width]


# --- comparing ---------------------------------------------------------------------------------------------------


def check_codes(got, exact, peak, thresholds=0.5):
    """Integers against exact values: equal, or off by one only within the tolerance of a boundary."""
    tolerance = 1e-3 if peak < 2**12 else 1 / 64
    assert got.shape == exact.shape
    low = np.clip(np.floor(exact + thresholds - tolerance), 0, peak)
    high = np.clip(np.floor(exact + thresholds + tolerance), 0, peak)
    off = (got < low) | (got > high)
    at = tuple(np.argwhere(off)[0]) if off.any() else None
    assert at is None, f"at {at}: got {got[at]}, exact {exact[at]}; {off.sum()} of {off.size} are off"


RESULTS = [(np.uint8, 8), (np.uint16, 10), (np.uint16, 16), (np.float32, None)]


@pytest.mark.parametrize(("dtype", "bits"), RESULTS, ids=["uint8", "uint16-10", "uint16-16", "float32"])
def test_yuv_to_rgb_is_the_reference(device, case, dtype, bits):
    planes = case.planes()
    got = ops.yuv_to_rgb([device.put(p) for p in planes], **case.coding, dtype=dtype, out_depth=bits)
    exact = reference_rgb(planes, **case.coding)
    got = device.get(got)
    assert got.dtype == dtype
    if bits is None:
        assert np.abs(got - exact).max() < 2e-6
    else:
        check_codes(got.astype(int), exact * (2**bits - 1), 2**bits - 1)


@pytest.mark.parametrize("dither", [False, True])
def test_rgb_to_yuv_is_the_reference(device, case, dither):
    rgb = case.rgb()
    got = ops.rgb_to_yuv(device.put(rgb), subsampling=case.subsampling, dither=dither, **case.coding)
    exact = reference_yuv(rgb / case.max_code, case.subsampling, **case.coding)
    for plane, value in zip(got, exact, strict=True):
        plane = device.get(plane)
        assert plane.dtype == case.dtype
        check_codes(plane.astype(int), value, case.max_code, bayer(*value.shape) if dither else 0.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("depth", [8, 10, 16])
def test_rgb_of_any_dtype_gives_yuv_of_any_depth(device, make_case, dtype, depth):
    case = make_case(height=17, width=33, depth=depth)
    rng = np.random.default_rng(3)
    rgb = rng.random((17, 33, 3), np.float32) if dtype == np.float32 else rng.integers(0, 256, (17, 33, 3), dtype)
    peak = 1.0 if dtype == np.float32 else 255.0
    got = ops.rgb_to_yuv(device.put(rgb), rgb_depth=8, **case.coding)
    for plane, value in zip(got, reference_yuv(rgb / peak, (1, 1), **case.coding), strict=True):
        check_codes(device.get(plane).astype(int), value, case.max_code)


def test_default_depths_are_those_of_the_input(device, make_case):
    case = make_case(height=3, width=5, depth=12)
    planes = [device.put(p) for p in case.planes()]
    twelve = device.get(ops.yuv_to_rgb(planes, **case.coding))
    assert np.array_equal(twelve, device.get(ops.yuv_to_rgb(planes, **case.coding, out_depth=12)))
    back = device.get(ops.rgb_to_yuv(device.put(twelve), **case.coding)[0])
    assert np.array_equal(back, device.get(ops.rgb_to_yuv(device.put(twelve), **case.coding, rgb_depth=12)[0]))


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_round_trip_at_444_is_within_one_code(device, make_case, depth, full):
    """RGB of the same depth holds every YUV code of a legal colour to within its rounding."""
    case = make_case(height=37, width=45, sub="444", depth=depth, full=full)
    rgb = device.put(case.rgb())
    yuv = ops.rgb_to_yuv(rgb, subsampling=(0, 0), **case.coding)
    again = ops.rgb_to_yuv(ops.yuv_to_rgb(yuv, **case.coding), subsampling=(0, 0), **case.coding)
    for a, b in zip(yuv, again, strict=True):
        # the colours of clamped RGB are legal, so only rounding is left
        assert np.abs(device.get(a).astype(int) - device.get(b)).max() <= 1


@pytest.mark.parametrize("sub", ["420", "422", "440", "444"])
@pytest.mark.parametrize("siting", ["left", "center", "topleft", "top", "bottomleft", "bottom"])
def test_gray_stays_gray(device, make_case, sub, siting):
    case = make_case(height=5, width=7, sub=sub, siting=siting)
    planes = [np.full(p.shape, v, np.uint8) for p, v in zip(case.planes(), (126, 128, 128), strict=True)]
    rgb = device.get(ops.yuv_to_rgb([device.put(p) for p in planes], **case.coding))
    assert (rgb == 128).all()  # (126 - 16) / 219 * 255 = 128.08


def test_black_and_white_are_exact(device, make_case):
    for depth in (8, 10, 12, 16):
        for full in (False, True):
            case = make_case(height=2, width=2, depth=depth, full=full)
            black, neutral, span, _ = spans(depth, full)
            for code, value in ((black, 0), (black + span, case.max_code)):
                planes = [np.full((2, 2), code, case.dtype), *[np.full((1, 1), neutral, case.dtype)] * 2]
                rgb = ops.yuv_to_rgb([device.put(p) for p in planes], **case.coding)
                assert (device.get(rgb) == value).all()
                for plane, was in zip(ops.rgb_to_yuv(rgb, **case.coding), planes, strict=True):
                    assert np.array_equal(device.get(plane), was)


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout_of_input_and_output(device, make_case, layout):
    case = make_case(height=17, width=33, depth=10, siting="topleft")
    planes = case.planes()
    rgb = ops.yuv_to_rgb([device.put(p) for p in planes], **case.coding)
    out = [layout(device.put, np.zeros((17, 33), np.uint16)) for _ in range(3)]
    given = ops.yuv_to_rgb([layout(device.put, p) for p in planes], **case.coding, out=out)
    assert given is out
    for c in range(3):
        assert np.array_equal(device.get(out[c]), device.get(rgb)[:, :, c])
    yuv = ops.rgb_to_yuv(rgb, **case.coding)
    out = [layout(device.put, np.zeros(p.shape, np.uint16)) for p in planes]
    channels = [layout(device.put, device.get(rgb)[:, :, c]) for c in range(3)]
    given = ops.rgb_to_yuv(channels, **case.coding, out=out)
    for mine, a, b in zip(out, yuv, given, strict=True):
        assert b is mine
        assert np.array_equal(device.get(a), device.get(b))


def test_an_output_view_leaves_what_surrounds_it(device, make_case):
    case = make_case(height=4, width=6)
    base = device.put(np.full((8, 12, 3), 77, np.uint8))
    ops.yuv_to_rgb([device.put(p) for p in case.planes()], **case.coding, out=base[2:6, 3:9])
    after = device.get(base).copy()
    assert (after[2:6, 3:9] != 77).any()
    after[2:6, 3:9] = 77
    assert (after == 77).all()


def test_foreign_arrays(foreign, make_case):
    case = make_case(height=17, width=33)
    planes = case.planes()
    expected = ops.yuv_to_rgb(planes, **case.coding)
    out = np.zeros_like(expected)
    ops.yuv_to_rgb([foreign(p) for p in planes], **case.coding, out=out)
    assert np.array_equal(out, expected)
    assert np.array_equal(ops.yuv_to_rgb([foreign(p) for p in planes], **case.coding), expected)


def test_foreign_arrays_of_rgb(foreign, make_case):
    case = make_case(height=17, width=33)
    rgb = case.rgb()
    yuv = [np.zeros_like(p) for p in case.planes()]
    ops.rgb_to_yuv([foreign(np.ascontiguousarray(rgb[:, :, c])) for c in range(3)], **case.coding, out=yuv)
    for a, b in zip(yuv, ops.rgb_to_yuv(rgb, **case.coding), strict=True):
        assert np.array_equal(a, b)


def test_same_bits_with_any_number_of_threads(for_threads, make_case):
    case = make_case(height=131, width=1027)
    planes = case.planes()
    first, *rest = for_threads(lambda: ops.yuv_to_rgb(planes, **case.coding))
    assert all(np.array_equal(first, r) for r in rest)
    one, *others = for_threads(lambda: ops.rgb_to_yuv(first, dither=True, **case.coding))
    assert all(np.array_equal(a, b) for other in others for a, b in zip(one, other, strict=True))


def test_cuda_gives_the_bits_of_the_cpu(cuda, case):
    planes = case.planes()
    for dtype in (np.uint8, np.uint16, np.float32):
        mine = ops.yuv_to_rgb(planes, **case.coding, dtype=dtype)
        theirs = ops.yuv_to_rgb([cuda.put(p) for p in planes], **case.coding, dtype=dtype)
        assert np.array_equal(mine, cuda.get(theirs))
    for dither in (False, True):
        mine = ops.rgb_to_yuv(case.rgb(), subsampling=case.subsampling, dither=dither, **case.coding)
        theirs = ops.rgb_to_yuv(cuda.put(case.rgb()), subsampling=case.subsampling, dither=dither, **case.coding)
        assert all(np.array_equal(a, cuda.get(b)) for a, b in zip(mine, theirs, strict=True))


# --- errors ------------------------------------------------------------------------------------------------------

Y, C = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
FROZEN = np.zeros((4, 6, 3), np.uint8)
FROZEN.setflags(write=False)

BAD_YUV = {
    "two planes": ([Y, C], {}, "expected 3 planes; got 2"),
    "four planes": ([Y, C, C, Y], {}, "expected 3 planes; got 4"),
    "float planes": ([Y.astype(np.float32), C, C], {}, "expected uint8 or uint16; got float32"),
    "signed planes": ([Y.astype(np.int8), C, C], {"dtype": np.uint8}, "expected uint8 or uint16"),
    "mixed dtypes": ([Y, C.astype(np.uint16), C], {}, "expected uint8; got uint16"),
    "big-endian": ([Y.astype(">u2"), C.astype(">u2"), C.astype(">u2")], {"dtype": np.uint8}, "uint8 or uint16"),
    "chroma too small": ([Y, C[:1], C[:1]], {}, "half as large"),
    "chroma too large": ([Y, np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint8)], {}, "half as large"),
    "unlike chroma": ([Y, C, Y], {}, "of one shape"),
    "no rows": ([Y[:0], C[:0], C[:0]], {}, "empty plane"),
    "no columns": ([Y[:, :0], C[:, :0], C[:, :0]], {}, "empty plane"),
    "one dimension": ([Y[0], C[0], C[0]], {"out": np.zeros((4, 6, 3), np.uint8)}, "expected"),
    "not an array": ([Y, "abc", C], {}, "expected an array"),
    "read-only out": ([Y, C, C], {"out": FROZEN}, "read-only"),
    "out of another size": ([Y, C, C], {"out": np.zeros((4, 5, 3), np.uint8)}, "expected the input's shape"),
    "out of unlike planes": ([Y, C, C], {"out": [Y.copy(), C.copy(), Y.copy()]}, "of one shape"),
    "two planes out": ([Y, C, C], {"out": [Y.copy(), Y.copy()]}, "expected 3 planes; got 2"),
    "out of doubles": ([Y, C, C], {"dtype": np.float64}, "expected uint8 or uint16"),
    "four channels out": ([Y, C, C], {"out": np.zeros((4, 6, 4), np.uint8)}, r"expected three planes .* \(4, 6, 4\)"),
    "siting": ([Y, C, C], {"siting": "middle"}, "expected one of left, .*; got 'middle'"),
    "kr": ([Y, C, C], {"kr": 0.0}, r"expected weights in \(0, 1\).*got 0.0"),
    "kr, kb": ([Y, C, C], {"kr": 0.6, "kb": 0.5}, "kr [+] kb < 1; got 0.6, 0.5"),
    "kr not a number": ([Y, C, C], {"kr": float("nan")}, "got nan"),
    "depth 7": ([Y, C, C], {"depth": 7, "dtype": np.float32}, "expected 8 to 16 bits; got 7"),
    "depth 17": ([Y, C, C], {"depth": 17, "dtype": np.float32}, "expected 8 to 16 bits; got 17"),
    "off the grid": ([np.zeros(200, np.uint8)[1:].view(), C, C], {"out": np.zeros((4, 6, 3), np.uint8)}, "expected"),
}


@pytest.mark.parametrize(("planes", "options", "message"), BAD_YUV.values(), ids=BAD_YUV)
def test_yuv_to_rgb_refuses(planes, options, message):
    with pytest.raises(ArrayError, match=message) as caught:
        ops.yuv_to_rgb(planes, **options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ReelmendError)


RGB = np.zeros((4, 6, 3), np.uint8)
BAD_RGB = {
    "gray": (RGB[:, :, 0], {}, "expected three planes or one array"),
    "four channels": (np.zeros((4, 6, 4), np.uint8), {}, r"got shape \(4, 6, 4\)"),
    "two planes": ([Y, Y], {}, "expected 3 planes; got 2"),
    "unlike planes": ([Y, C, Y], {}, "of one shape"),
    "doubles": (RGB.astype(np.float64), {"rgb_depth": 8}, "expected uint8 or uint16; got another dtype"),
    "empty": (RGB[:0], {}, "empty plane"),
    "subsampling": (RGB, {"subsampling": (2, 1)}, "expected 0 or 1"),
    "float out": (RGB, {"out": [Y.astype(np.float32), C, C]}, "expected uint8 or uint16; got float32"),
    "two planes out": (RGB, {"out": [Y.copy(), C.copy()]}, "expected 3 planes; got 2"),
    "unlike out": (RGB, {"out": [Y.copy(), C[:1].copy(), C[:1].copy()]}, "half as large"),
    "read-only out": (RGB, {"out": [FROZEN[:, :, 0], C.copy(), C.copy()]}, "read-only"),
    "depth 17": (RGB, {"depth": 17}, "expected 8 to 16 bits; got 17"),
    "siting": (RGB, {"siting": "LEFT"}, "got 'LEFT'"),
}


@pytest.mark.parametrize(("rgb", "options", "message"), BAD_RGB.values(), ids=BAD_RGB)
def test_rgb_to_yuv_refuses(rgb, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.rgb_to_yuv(rgb, **options)


UNCLEAN = {
    "out_depth over the dtype": lambda: ops.yuv_to_rgb([Y, C, C], out_depth=10),
    "out_depth over 16": lambda: ops.yuv_to_rgb([Y, C, C], dtype=np.uint16, out_depth=17),
    "depth over the dtype": lambda: ops.rgb_to_yuv(RGB, depth=10, out=[Y.copy(), C.copy(), C.copy()]),
    "rgb_depth below 0": lambda: ops.rgb_to_yuv(RGB, rgb_depth=-1),
    "no planes": lambda: ops.yuv_to_rgb([]),
    "depth not a number": lambda: ops.yuv_to_rgb([Y, C, C], depth="x"),
}


@pytest.mark.parametrize("call", UNCLEAN.values(), ids=UNCLEAN)
def test_conversions_refuse_clearly(call):
    with pytest.raises(ArrayError):
        call()
