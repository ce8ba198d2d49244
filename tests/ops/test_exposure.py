"""exposure_map against float64 NumPy.

Where V lies within `SLIP` of a threshold, or of the boundary between two entries of the table, either answer may be
given (fp32 arithmetic). Everything else must be equal.
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
SLIP = 2e-6  # of white


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


def reference_value(planes, case, color):
    """V = max(R, G, B), 0..1."""
    planes = [np.asarray(p, np.float64) for p in planes]
    if color != "yuv":
        return np.clip(np.max(planes, 0) / case.max_code, 0, 1)
    y, cb, cr = planes
    for axis, offset in ((1, OFFSETS[case.siting][0]), (0, OFFSETS[case.siting][1])):
        if cb.shape[axis] != y.shape[axis]:
            cb, cr = (grow(c, y.shape[axis], offset, axis) for c in (cb, cr))
    unit = 2 ** (case.depth - 8)
    black, luma_span, chroma_span = (
        (0, case.max_code, case.max_code) if case.full else (16 * unit, 219 * unit, 224 * unit)
    )
    kr, kb = case.coding["kr"], case.coding["kb"]
    y, cb, cr = (y - black) / luma_span, (cb - 128 * unit) / chroma_span, (cr - 128 * unit) / chroma_span
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.max([r, g, b], 0), 0, 1)


def check(got, planes, case, color, low=0.05, high=0.80, table=None):
    value = reference_value(planes, case, color)
    answers = []
    for slip in (-SLIP, SLIP):
        seen = value + slip
        if table is not None:
            last = len(table) - 1
            seen = table[np.clip(np.floor(seen * last + 0.5), 0, last).astype(int)].astype(np.float64)
        answers.append((seen < np.float32(low)) | (seen > np.float32(high)))
    assert got.dtype == np.uint8
    assert got.shape == value.shape
    off = (got != answers[0]) & (got != answers[1])
    assert not off.any(), f"{off.sum()} of {off.size}, first at {np.argwhere(off)[0]}"
    assert value.size < 1000 or (answers[0] != answers[1]).mean() < 0.01


COLORS = ["yuv", "rgb", "gray"]


def picture(case, color, seed=0):
    """Noise over all codes, as exposure_map takes it."""
    if color == "yuv":
        return case.planes(seed)
    rgb = case.rgb(seed)
    return rgb if color == "rgb" else np.ascontiguousarray(rgb[:, :, 0])


def planes_of(given, color):
    return {"yuv": lambda: given, "rgb": lambda: list(np.moveaxis(given, 2, 0)), "gray": lambda: [given] * 3}[color]()


def put(device, given):
    return [device.put(p) for p in given] if isinstance(given, list) else device.put(given)


def tone_table(size=1024):
    x = np.linspace(0, 1, size)
    return np.clip(x**0.7 + 0.1 * np.sin(9 * x), 0, 1).astype(np.float32)


@pytest.mark.parametrize("color", COLORS)
def test_is_the_reference(device, case, color):
    given = picture(case, color)
    coding = case.coding
    for options in ({}, {"low": 0.313, "high": 0.6}, {"table": tone_table()}):
        got = device.get(ops.exposure_map(put(device, given), color=color, **options, **coding))
        check(got, planes_of(given, color), case, color, **options)


@pytest.mark.parametrize("size", [2, 3, 256, 4099])
def test_any_number_of_points(device, make_case, size):
    case = make_case(height=17)
    given, table = case.planes(), tone_table(size)
    got = device.get(ops.exposure_map(put(device, given), table=table, **case.coding))
    check(got, given, case, "yuv", table=table)


# --- properties --------------------------------------------------------------------------------------------------


def test_dark_and_bright_pixels_are_marked(device, make_case):
    case = make_case(full=True)
    plane = np.arange(256, dtype=np.uint8)[None]
    got = device.get(ops.exposure_map(device.put(plane), color="gray", **case.coding))[0]
    marked = (np.arange(256) < 0.05 * 255) | (np.arange(256) > 0.8 * 255)
    marked[204] = got[204]  # 0.8 of white to the bit
    assert np.array_equal(got, marked)


def test_wide_thresholds_mark_nothing(device, case):
    given = put(device, case.planes())
    assert not device.get(ops.exposure_map(given, low=0, high=1, **case.coding)).any()


def test_a_table_of_one_level_marks_all_or_nothing(device, make_case):
    case = make_case()
    given = put(device, case.planes())
    for level, expected in ((0.0, 1), (0.5, 0), (1.0, 1)):
        got = device.get(ops.exposure_map(given, table=np.full(256, level, np.float32), **case.coding))
        assert (got == expected).all()


def test_the_brightest_channel_decides(device):
    rgb = np.array([[[0, 0, 0], [0, 100, 0], [0, 0, 230], [230, 0, 100], [5, 5, 5]]], np.uint8)
    got = device.get(ops.exposure_map(device.put(rgb), color="rgb"))
    assert got.tolist() == [[1, 0, 1, 1, 1]]


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", COLORS)
def test_any_layout(device, make_case, layout, color):
    case = make_case(height=17, width=33, depth=10)
    planes = planes_of(picture(case, color), color)
    expected = device.get(ops.exposure_map(put(device, picture(case, color)), color=color, **case.coding))
    out = layout(device.put, np.full((17, 33), 9, np.uint8))
    given = [layout(device.put, np.ascontiguousarray(p)) for p in planes]
    got = ops.exposure_map(given[0] if color == "gray" else given, color=color, out=out, **case.coding)
    assert got is out
    assert np.array_equal(device.get(out), expected)


def test_foreign_arrays(foreign, make_case):
    case = make_case(height=17, width=33)
    planes, table = case.planes(), tone_table()
    got = ops.exposure_map([foreign(p) for p in planes], table=foreign(table), **case.coding)
    assert np.array_equal(got, ops.exposure_map(planes, table=table, **case.coding))


@pytest.mark.parametrize("color", COLORS)
def test_same_bits_with_any_number_of_threads(for_threads, make_case, color):
    case = make_case(height=131)
    given = picture(case, color)
    first, *rest = for_threads(lambda: ops.exposure_map(given, table=tone_table(), color=color, **case.coding))
    assert all(np.array_equal(first, other) for other in rest)


@pytest.mark.parametrize("color", COLORS)
def test_cuda_gives_the_bits_of_the_cpu(cuda, case, color):
    given = picture(case, color)
    for options in ({}, {"table": tone_table()}):
        mine = ops.exposure_map(given, color=color, **options, **case.coding)
        theirs = ops.exposure_map(put(cuda, given), color=color, **options, **case.coding)
        assert np.array_equal(mine, cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

Y, C = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
T = np.zeros(16, np.float32)
FROZEN = np.zeros((4, 6), np.uint8)
FROZEN.setflags(write=False)

BAD = {
    "color": ([Y, C, C], {"color": "hsv"}, "expected 'yuv', 'rgb' or 'gray'; got 'hsv'"),
    "two planes": ([Y, C], {}, "expected 3 planes; got 2"),
    "float planes": ([Y.astype(np.float32)] * 3, {}, "expected uint8 or uint16; got float32"),
    "mismatched chroma": ([Y, C[:1], C[:1]], {}, "half as large"),
    "unlike rgb planes": ([Y, C, C], {"color": "rgb"}, "of one shape"),
    "empty": ([Y[:0], C[:0], C[:0]], {}, "empty plane"),
    "thresholds that cross": ([Y, C, C], {"low": 0.6, "high": 0.5}, "got 0.6, 0.5"),
    "a negative threshold": ([Y, C, C], {"low": -0.1}, "got -0.1, 0.8"),
    "a NaN threshold": ([Y, C, C], {"high": float("nan")}, "got 0.05, nan"),
    "thresholds in codes": ([Y, C, C], {"low": 16, "high": 235}, "got 16, 235"),
    "NaN table": ([Y, C, C], {"table": T + np.nan}, "table: expected finite numbers; got NaN"),
    "table of rows": ([Y, C, C], {"table": T.reshape(2, 8)}, r"expected shape \(n,\)"),
    "table of one": ([Y, C, C], {"table": T[:1]}, "expected 2 to 65536 entries"),
    "out of another size": ([Y, C, C], {"out": C.copy()}, "expected the input's shape"),
    "out of another dtype": ([Y, C, C], {"out": Y.astype(np.float32)}, "uint8; got float32"),
    "read-only out": ([Y, C, C], {"out": FROZEN}, "read-only"),
    "siting": ([Y, C, C], {"siting": "right"}, "got 'right'"),
    "depth": ([Y, C, C], {"depth": 10}, "10 bits do not fit uint8"),
}


@pytest.mark.parametrize(("planes", "options", "message"), BAD.values(), ids=BAD)
def test_exposure_map_refuses(planes, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.exposure_map(planes, **options)
