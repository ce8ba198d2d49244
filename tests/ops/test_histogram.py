"""histogram against float64 NumPy.

Bound: totals are exact, and the count below each edge between two bins is right but for the values that lie within 1e-3
of a bin of that edge (fp32 arithmetic).
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference_rgb(planes, *, kr, kb, depth, full_range, siting):
    """R, G, B (height, width), 0..1 for black to white; chroma from the nearest sample above and left."""
    del siting
    unit = 2 ** (depth - 8)
    black, luma_span, chroma_span = 16 * unit, 219 * unit, 224 * unit
    if full_range:
        black, luma_span, chroma_span = 0, 2**depth - 1, 2**depth - 1
    luma, cb, cr = (np.asarray(p, np.float64) for p in planes)
    rows = np.arange(luma.shape[0]) // (1 if cb.shape[0] == luma.shape[0] else 2)
    columns = np.arange(luma.shape[1]) // (1 if cb.shape[1] == luma.shape[1] else 2)
    y = (luma - black) / luma_span
    cb, cr = ((c[rows][:, columns] - 128 * unit) / chroma_span for c in (cb, cr))
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    return r, (y - kr * r - kb * b) / (1 - kr - kb), b


def with_value(r, g, b):
    return r, g, b, np.maximum(np.maximum(r, g), b)


def check_counts(got, channels, bins):
    """Counts of R, G, B and V against their exact values in 0..1."""
    assert got.shape == (4, bins)
    assert got.dtype == np.int32
    assert (got >= 0).all()
    edges = np.arange(1, bins) - 0.5
    for counts, values in zip(got, with_value(*channels), strict=True):
        at = np.sort(values.ravel() * (bins - 1))
        assert counts.sum() == at.size
        below = np.cumsum(counts)[:-1]
        assert (below >= np.searchsorted(at, edges - 1e-3)).all()
        assert (below <= np.searchsorted(at, edges + 1e-3)).all()


def crop(planes, case, x0, y0, x1, y1, skip):
    """R, G, B of the counted pixels."""
    return [c[y0:y1:skip, x0:x1:skip] for c in reference_rgb(planes, **case.coding)]


@pytest.mark.parametrize("bins", [256, 1024])
def test_yuv_is_the_reference(device, case, bins):
    planes = case.planes()
    got = device.get(ops.histogram([device.put(p) for p in planes], bins=bins, **case.coding))
    check_counts(got, reference_rgb(planes, **case.coding), bins)


@pytest.mark.parametrize("bins", [2, 3, 7, 255, 1023])
def test_any_number_of_bins(device, make_case, bins):
    case = make_case(height=33, width=65)
    planes = case.planes()
    check_counts(
        device.get(ops.histogram([device.put(p) for p in planes], bins=bins, **case.coding)),
        reference_rgb(planes, **case.coding),
        bins,
    )


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (65, 1027)])
def test_rgb_and_gray_are_the_reference(device, make_case, depth, size):
    case = make_case(height=size[0], width=size[1], depth=depth)
    rgb = case.rgb()
    channels = np.moveaxis(rgb / case.max_code, 2, 0)
    packed = device.get(ops.histogram(device.put(rgb), bins=512, color="rgb", depth=depth))
    check_counts(packed, channels, 512)
    planar = ops.histogram([device.put(rgb[:, :, c]) for c in range(3)], bins=512, color="rgb", depth=depth)
    assert np.array_equal(packed, device.get(planar))
    gray = device.get(ops.histogram(device.put(rgb[:, :, 1]), bins=512, color="gray", depth=depth))
    check_counts(gray, [channels[1]] * 3, 512)


REGIONS = [(0, 0, 33, 17), (4, 2, 33, 17), (1, 3, 2, 4), (5, 0, 30, 1), (0, 7, 1, 16), (7, 5, 32, 16)]


@pytest.mark.parametrize("sub", ["420", "444"])
@pytest.mark.parametrize("skip", [1, 2, 3, 40])
@pytest.mark.parametrize("region", REGIONS)
def test_region_and_skip(device, make_case, sub, skip, region):
    case = make_case(height=17, width=33, sub=sub)
    planes = case.planes()
    on_device = [device.put(p) for p in planes]
    got = device.get(ops.histogram(on_device, bins=64, region=region, skip=skip, **case.coding))
    channels = crop(planes, case, *region, skip)
    check_counts(got, channels, 64)
    rgb = case.rgb()
    x0, y0, x1, y1 = region
    got = device.get(ops.histogram(device.put(rgb), bins=64, color="rgb", region=region, skip=skip))
    check_counts(got, np.moveaxis(rgb[y0:y1:skip, x0:x1:skip] / 255, 2, 0), 64)


@pytest.mark.parametrize("skip", [2, 3])
def test_skip_over_long_rows(device, make_case, skip):
    case = make_case(height=65, width=3001, siting="center")
    planes = case.planes()
    got = device.get(ops.histogram([device.put(p) for p in planes], bins=64, skip=skip, **case.coding))
    check_counts(got, crop(planes, case, 0, 0, 3001, 65, skip), 64)


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "code"), [(8, 77), (10, 777), (12, 3000), (16, 54321)])
def test_a_constant_picture_has_one_bin(device, depth, code):
    plane = np.full((65, 1027), code, np.uint8 if depth == 8 else np.uint16)
    counts = device.get(ops.histogram(device.put(plane), color="gray", depth=depth))
    at = round(code / (2**depth - 1) * 255)
    assert (counts[:, at] == plane.size).all()
    assert counts.sum() == 4 * plane.size


def test_with_as_many_bins_as_codes_each_code_has_its_own(device):
    for depth in (8, 10):
        codes = np.arange(2**depth, dtype=np.uint8 if depth == 8 else np.uint16)
        plane = np.tile(codes, (3, 1))
        counts = device.get(ops.histogram(device.put(plane), color="gray", depth=depth, bins=2**depth))
        assert (counts == 3).all()


def test_values_outside_go_to_the_ends(device):
    y = np.array([[0, 5, 240, 255]], np.uint8)
    neutral = np.full((1, 4), 128, np.uint8)
    counts = device.get(ops.histogram([device.put(p) for p in (y, neutral, neutral)]))
    assert (counts[:, 0] == 2).all()
    assert (counts[:, 255] == 2).all()


def test_out_is_counted_anew(device, make_case):
    case = make_case(height=17, width=33)
    planes = [device.put(p) for p in case.planes()]
    out = device.put(np.full((4, 256), 12345, np.int32))
    assert ops.histogram(planes, out=out, **case.coding) is out
    assert np.array_equal(device.get(out), device.get(ops.histogram(planes, **case.coding)))


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout(device, make_case, layout):
    case = make_case(height=17, width=33, depth=10)
    planes = case.planes()
    expected = device.get(ops.histogram([device.put(p) for p in planes], **case.coding))
    got = ops.histogram([layout(device.put, p) for p in planes], **case.coding)
    assert np.array_equal(device.get(got), expected)
    expected = device.get(ops.histogram(device.put(planes[0]), color="gray", depth=10))
    got = ops.histogram(layout(device.put, planes[0]), color="gray", depth=10)
    assert np.array_equal(device.get(got), expected)


def test_foreign_arrays(foreign, make_case):
    case = make_case(height=17, width=33)
    planes = case.planes()
    out = np.zeros((4, 256), np.int32)
    ops.histogram([foreign(p) for p in planes], **case.coding, region=(0, 0, 33, 17), out=out)
    assert np.array_equal(out, ops.histogram(planes, **case.coding))
    assert np.array_equal(out, ops.histogram([foreign(p) for p in planes], **case.coding))


def test_same_counts_with_any_number_of_threads(for_threads, make_case):
    case = make_case(height=257, width=1027)
    planes, rgb = case.planes(), case.rgb()
    first, *rest = for_threads(lambda: ops.histogram(planes, bins=1024, **case.coding))
    assert all(np.array_equal(first, r) for r in rest)
    first, *rest = for_threads(lambda: ops.histogram(rgb, color="rgb"))
    assert all(np.array_equal(first, r) for r in rest)


def test_cuda_gives_the_counts_of_the_cpu(cuda, case):
    planes, rgb = case.planes(), case.rgb()
    for bins, skip in ((256, 1), (1024, 2)):
        mine = ops.histogram(planes, bins=bins, skip=skip, **case.coding)
        theirs = ops.histogram([cuda.put(p) for p in planes], bins=bins, skip=skip, **case.coding)
        assert np.array_equal(mine, cuda.get(theirs))
        mine = ops.histogram(rgb, bins=bins, color="rgb", depth=case.depth, skip=skip)
        theirs = ops.histogram(cuda.put(rgb), bins=bins, color="rgb", depth=case.depth, skip=skip)
        assert np.array_equal(mine, cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

Y, C = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
RGB = np.zeros((4, 6, 3), np.uint8)
FROZEN = np.zeros((4, 256), np.int32)
FROZEN.setflags(write=False)

BAD = {
    "one bin": ([Y, C, C], {"bins": 1}, "expected 2 to 1024; got 1"),
    "no bin": ([Y, C, C], {"bins": 0}, "expected 2 to 1024; got 0"),
    "too many bins": ([Y, C, C], {"bins": 1025}, "expected 2 to 1024; got 1025"),
    "skip": ([Y, C, C], {"skip": 0}, "expected 1 or more; got 0"),
    "skip below 0": ([Y, C, C], {"skip": -2}, "expected 1 or more; got -2"),
    "region past the edge": ([Y, C, C], {"region": (0, 0, 7, 4)}, "expected 0 <= x0 < x1 <= width"),
    "region before the edge": ([Y, C, C], {"region": (-1, 0, 6, 4)}, "expected 0 <= x0"),
    "empty region": ([Y, C, C], {"region": (2, 2, 2, 4)}, "expected 0 <= x0 < x1"),
    "region of a gray picture": (Y, {"region": (0, 0, 6, 5), "color": "gray"}, "y1 <= height"),
    "color": ([Y, C, C], {"color": "hsv"}, "expected 'yuv', 'rgb' or 'gray'; got 'hsv'"),
    "two planes": ([Y, C], {}, "expected 3 planes; got 2"),
    "unlike planes": ([Y, C, C], {"color": "rgb"}, "of one shape"),
    "mismatched chroma": ([Y, C[:1], C[:1]], {}, "half as large"),
    "float planes": ([Y.astype(np.float32), C, C], {}, "expected uint8 or uint16; got float32"),
    "float rgb": (RGB.astype(np.float32), {"color": "rgb"}, "expected uint8 or uint16; got float32"),
    "gray of three dimensions": (RGB, {"color": "gray"}, r"shape \(height, width\); got .*\(4, 6, 3\)"),
    "empty": (Y[:0], {"color": "gray"}, "expected"),
    "out of another shape": ([Y, C, C], {"out": np.zeros((3, 256), np.int32)}, r"expected shape \(4, 256\); got \(3"),
    "out of floats": ([Y, C, C], {"out": np.zeros((4, 256), np.float32)}, "expected int32; got float32"),
    "out not contiguous": ([Y, C, C], {"out": np.zeros((4, 512), np.int32)[:, ::2]}, "C-contiguous"),
    "siting": ([Y, C, C], {"siting": ""}, "got ''"),
    "kb": ([Y, C, C], {"kb": 1.5}, "got 0.2126, 1.5"),
    "depth": ([Y, C, C], {"depth": 20}, "expected 8 to 16 bits; got 20"),
}


@pytest.mark.parametrize(("planes", "options", "message"), BAD.values(), ids=BAD)
def test_histogram_refuses(planes, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.histogram(planes, **options)


def test_read_only_out_is_refused():
    with pytest.raises(ValueError, match="read-only"):
        ops.histogram([Y, C, C], out=FROZEN)


UNCLEAN = {
    "depth of rgb": (RGB, {"color": "rgb", "depth": 40}, "depth"),
    "depth below 0": (RGB, {"color": "rgb", "depth": -1}, "depth"),
    "bins below 0": ([Y, C, C], {"bins": -3}, "bins"),
    "no planes": ([], {}, "planes"),
    "bytes": (bytearray(24), {"color": "gray"}, "plane"),
    "region of floats": ([Y, C, C], {"region": (0.5, 0, 3, 3)}, "region"),
    "region of two": ([Y, C, C], {"region": (0, 3)}, "region"),
}


@pytest.mark.parametrize(("planes", "options", "message"), UNCLEAN.values(), ids=UNCLEAN)
def test_histogram_refuses_clearly(planes, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.histogram(planes, **options)


def test_a_depth_of_zero_does_not_crash():
    code = """
import numpy
from reelmend import ops
try:
    ops.histogram(numpy.zeros((4, 6, 3), numpy.uint8), color="rgb", depth=0)
except ValueError:
    pass
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
