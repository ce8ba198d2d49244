"""map_tones with a field of gains, a mask, and pictures in RGB and gray, against float64 NumPy.

As in test_tone, the reference works with intervals: where a value lies within `SLIP` table entries of the boundary
between two, either entry may be taken, and the result may fall on either side of a code's boundary if it lies within
`slip` codes of one (fp32 arithmetic, of which the positions in the grid are the coarsest). Everything else is equal.
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


def between(values, positions, axis):
    """Linear interpolation at positions counted in entries of an axis; constant beyond the first and the last."""
    last = values.shape[axis] - 1
    at = np.clip(positions, 0, last)
    low = np.minimum(at.astype(int), max(last - 1, 0))
    part = at - low
    shape = [1] * values.ndim
    shape[axis] = -1
    a, b = (np.take(values, np.minimum(low + i, last), axis) for i in (0, 1))
    return a + part.reshape(shape) * (b - a)


def reference_gains(gains, luma):
    """a (3, height, width) of a grid (3, bins, rows, columns), sliced by luma (height, width) in 0..1."""
    height, width = luma.shape
    gains = np.asarray(gains, np.float64)
    _, bins, rows, columns = gains.shape
    spread = between(gains, (np.arange(height) + 0.5) * rows / height - 0.5, 2)
    spread = between(spread, (np.arange(width) + 0.5) * columns / width - 0.5, 3)
    at = np.clip(luma * bins - 0.5, 0, bins - 1)
    total = np.zeros((3, height, width))
    for k in range(bins):
        total += spread[:, k] * np.maximum(1 - np.abs(at - k), 0)
    return total


def spans(depth, full):
    """Codes of black, of neutral chroma; codes from black to white; codes of the chroma range."""
    if full:
        return 0, 2 ** (depth - 1), 2**depth - 1, 2**depth - 1
    unit = 2 ** (depth - 8)
    return 16 * unit, 128 * unit, 219 * unit, 224 * unit


def grow(chroma, size, offset, axis):
    return between(chroma, (np.arange(size) - offset) / 2, axis)


def reference_values(planes, case, color):
    """R, G, B and luma (height, width), 0..1 for black to white, not clamped."""
    kr, kb = case.coding["kr"], case.coding["kb"]
    if color != "yuv":
        r, g, b = (np.asarray(p, np.float64) / case.max_code for p in planes)
        return r, g, b, kr * r + (1 - kr - kb) * g + kb * b if color == "rgb" else r
    y, cb, cr = (np.asarray(p, np.float64) for p in planes)
    for axis, offset in ((1, OFFSETS[case.siting][0]), (0, OFFSETS[case.siting][1])):
        if cb.shape[axis] != y.shape[axis]:
            cb, cr = (grow(c, y.shape[axis], offset, axis) for c in (cb, cr))
    black, neutral, luma_span, chroma_span = spans(case.depth, case.full)
    y, cb, cr = (y - black) / luma_span, (cb - neutral) / chroma_span, (cr - neutral) / chroma_span
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return r, (y - kr * r - kb * b) / (1 - kr - kb), b, y


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
            count = np.minimum(size - at, 2)
            plane = np.add.reduceat(plane, at, axis) / (count[:, None] if axis == 0 else count[None, :])
    return plane


def reference_range(planes, change, case, color="yuv", gains=None, response=None, mask=None):
    """(low, high) of each plane's exact values before rounding."""
    *values, luma = reference_values(planes, case, color)
    last = change.shape[1] - 1
    change = change.astype(np.float64)
    if response is None:
        response = change + np.linspace(0, 1, last + 1)
    a = np.zeros((3, *luma.shape)) if gains is None else reference_gains(gains, luma)
    share = 1 if mask is None else mask / 255
    low, high = [], []
    for c, value in enumerate(values):
        at = np.clip(value, 0, 1) * last + 0.5
        taken = [np.clip(np.floor(at + s), 0, last).astype(int) for s in (-SLIP, SLIP)]
        d = [(change[c][i] + a[c] * response[c][i]) * share for i in taken]
        low.append(np.minimum(*d))
        high.append(np.maximum(*d))
    if color != "yuv":
        codes = [np.asarray(p, np.float64) for p in planes]
        ends = [[p + d * case.max_code for p, d in zip(codes, ds, strict=True)] for ds in (low, high)]
        return list(zip(*ends, strict=True))
    kr, kb = case.coding["kr"], case.coding["kb"]
    kg = 1 - kr - kb
    _, _, luma_span, chroma_span = spans(case.depth, case.full)
    weights = (  # of R, G, B in Y, in B - Y and in R - Y
        (np.array([kr, kg, kb]), luma_span),
        (np.array([-kr, -kg, 1 - kb]), chroma_span / (2 * (1 - kb))),
        (np.array([1 - kr, -kg, -kb]), chroma_span / (2 * (1 - kr))),
    )
    result = []
    for plane, (weight, span) in zip(planes, weights, strict=True):
        least = sum(w * (low[c] if w > 0 else high[c]) for c, w in enumerate(weight)) * span
        most = sum(w * (high[c] if w > 0 else low[c]) for c, w in enumerate(weight)) * span
        result.append((plane + pool(least, plane.shape), plane + pool(most, plane.shape)))
    return result


def check(got, planes, change, case, color="yuv", dither=True, **field):
    slip = 1e-3 + 2e-6 * case.max_code
    channels = 1 if color == "gray" else 3
    ranges = reference_range(planes * (3 // len(planes)), change, case, color, **field)[:channels]
    for plane, (low, high) in zip(got, ranges, strict=True):
        threshold = bayer(*plane.shape) if dither else 0.5
        least = np.clip(np.floor(low + threshold - slip), 0, case.max_code)
        most = np.clip(np.floor(high + threshold + slip), 0, case.max_code)
        off = (plane < least) | (plane > most)
        assert not off.any(), f"{off.sum()} of {off.size}, first at {np.argwhere(off)[0]}"
        # and the interval says something: it is one code but for a few pixels
        assert plane.size < 1000 or case.depth > 12 or (most != least).mean() < 0.05


# --- pictures, fields --------------------------------------------------------------------------------------------


def curves(size=4096, strength=0.1):
    """A smooth change for each channel."""
    x = np.linspace(0, 1, size)
    shape = np.stack([x * (1 - x) * 2, -np.sin(3 * x) * 0.8, 0.5 - x**2])
    return (strength * shape).astype(np.float32)


def field(bins, rows, columns, seed=1):
    return np.random.default_rng(seed).uniform(-0.15, 0.15, (3, bins, rows, columns)).astype(np.float32)


def noise_mask(case, seed=2):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (case.height, case.width)) * rng.integers(0, 2, (case.height, 1))).astype(np.uint8)


COLORS = ["yuv", "rgb", "gray"]
GRIDS = {  # bins, rows, columns
    "one gain": (1, 1, 1),
    "rows": (1, 6, 1),
    "columns": (1, 1, 7),
    "grid": (1, 4, 6),
    "bins": (5, 1, 1),
    "two bins": (2, 3, 4),
    "bins of rows": (8, 5, 1),
    "grid of bins": (8, 4, 6),
    "more cells than samples": (3, 80, 600),
}


def picture(case, color, seed=0):
    """Planes of noise over all codes."""
    if color == "yuv":
        return case.planes(seed)
    return [np.ascontiguousarray(c) for c in np.moveaxis(case.rgb(seed), 2, 0)][: 1 if color == "gray" else 3]


def mapped(device, planes, change, case, color, **options):
    for name in ("mask", "gains"):
        if options.get(name) is not None:
            options[name] = device.put(options[name])
    got = ops.map_tones([device.put(p) for p in planes], change, color=color, **case.coding, **options)
    return [device.get(p) for p in got]


@pytest.mark.parametrize("color", COLORS)
def test_is_the_reference(device, case, color):
    """Every kind of picture, with the kinds of field in turn."""
    planes, change = picture(case, color), curves()
    grids = list(GRIDS.values())[:-1]  # the last is too steep for positions in fp32 at 12 bits and more
    for n in range(2):
        gains = field(*grids[(len(str(case)) + case.width + 4 * n + COLORS.index(color)) % len(grids)])
        mask = noise_mask(case) if n else None
        got = mapped(device, planes, change, case, color, gains=gains, mask=mask, dither=n == 0)
        assert [p.dtype for p in got] == [case.dtype] * len(planes)
        check(got, planes, change, case, color, n == 0, gains=gains, mask=mask)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("color", COLORS)
def test_every_kind_of_field(device, make_case, color, grid, masked):
    case = make_case(height=33)
    planes, change, gains = picture(case, color), curves(), field(*grid)
    if grid[1] > 33:
        gains *= 0.1  # steep: cells of less than a sample
    mask = noise_mask(case) if masked else None
    check(
        mapped(device, planes, change, case, color, gains=gains, mask=mask),
        planes,
        change,
        case,
        color,
        gains=gains,
        mask=mask,
    )


@pytest.mark.parametrize("grid", [(1, 6, 1), (1, 4, 6), (8, 4, 6)], ids=str)
@pytest.mark.parametrize("size", [2, 3, 256, 2048, 2049, 4097, 20000])
def test_any_number_of_points(device, make_case, size, grid):
    case = make_case(height=17, width=600)
    planes, change, gains = case.planes(), curves(size), field(*grid)
    check(mapped(device, planes, change, case, "yuv", gains=gains), planes, change, case, gains=gains)


def test_a_response_of_its_own(device, make_case):
    case = make_case(depth=10)
    planes, change, gains = case.planes(), curves(), field(4, 3, 5)
    response = np.stack([np.full(4096, 0.2), np.linspace(1, 0, 4096) ** 2, np.linspace(0, 2, 4096)]).astype(np.float32)
    got = mapped(device, planes, change, case, "yuv", gains=gains, response=response)
    check(got, planes, change, case, gains=gains, response=response)


@pytest.mark.parametrize("color", ["rgb", "gray"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_curves_alone_on_rgb_and_gray(device, case, color, masked):
    planes, change = picture(case, color), curves()
    mask = noise_mask(case) if masked else None
    check(mapped(device, planes, change, case, color, mask=mask), planes, change, case, color, mask=mask)


# --- where the gains lie -----------------------------------------------------------------------------------------


def gray_case(make_case, **options):
    return make_case(full=True, **options)


def test_a_cell_has_its_gain_at_its_centre(device, make_case):
    """16 columns on 4 cells: centres between samples 1 and 2, 5 and 6, ...; linear between, constant outside."""
    case = gray_case(make_case, height=1, width=16)
    gains = np.zeros((3, 1, 1, 4), np.float32)
    gains[0, 0, 0] = [0, 0.8, 0, 0.4]
    plane = np.full((1, 16), 100, np.uint8)
    got = mapped(device, [plane], np.zeros((3, 1021), np.float32), case, "gray", gains=gains, dither=False)[0]
    steps = np.array([0, 0, 1, 3, 5, 7, 7, 5, 3, 1, 0.5, 1.5, 2.5, 3.5, 4, 4]) / 8 * 0.8
    assert np.array_equal(got[0], np.floor(100 * (1 + steps) + 0.5 + 1e-4))


def test_bins_lie_at_their_luma(device, make_case):
    """Two bins, centred at 1/4 and 3/4."""
    case = gray_case(make_case, height=1, width=256)
    gains = np.zeros((3, 2, 1, 1), np.float32)
    gains[0, 1] = 1
    plane = np.arange(256, dtype=np.uint8)[None]
    response = np.full((3, 1021), 0.2, np.float32)
    change = np.zeros((3, 1021), np.float32)
    got = mapped(device, [plane], change, case, "gray", gains=gains, response=response, dither=False)[0][0]
    added = got.astype(int) - plane[0]
    assert (added[:64] == 0).all()
    assert (added[192:205] == 51).all()
    assert abs(added[128] - 25.5) <= 1


def test_rows_shift_with_columns_the_same(device, make_case):
    """A grid whose columns are alike is a field of rows, bit for bit; so are bins that are alike."""
    case = make_case()
    planes, change, rows = case.planes(), curves(1024), np.round(field(1, 9, 1) * 64) / 64
    expected = mapped(device, planes, change, case, "yuv", gains=rows)
    for shape in ((1, 1, 5), (4, 1, 1)):
        got = mapped(device, planes, change, case, "yuv", gains=np.tile(rows, (1, *shape)))
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(got, expected, strict=True))
        assert all((a != b).mean() < 1e-3 for a, b in zip(got, expected, strict=True))


def test_a_constant_gain_is_a_curve(device, make_case):
    case = make_case()
    planes = case.planes()
    x = np.linspace(0, 1, 1024, dtype=np.float32)
    curve = np.tile(np.float32(0.125) * x, (3, 1))
    expected = mapped(device, planes, curve, case, "yuv")
    for grid in ((1, 1, 1), (1, 3, 4), (4, 3, 4)):
        gains = np.full((3, *grid), 0.125, np.float32)
        got = mapped(device, planes, np.zeros((3, 1024), np.float32), case, "yuv", gains=gains)
        assert all((a != b).mean() < 1e-3 for a, b in zip(got, expected, strict=True))


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", COLORS)
def test_zero_change_and_gains_are_the_input_bit_for_bit(device, case, color):
    planes, change = picture(case, color), np.zeros((3, 1024), np.float32)
    for gains in (None, np.zeros((3, 1, 4, 1)), np.zeros((3, 1, 3, 4)), np.zeros((3, 5, 3, 4))):
        for dither in (False, True):
            gains = None if gains is None else gains.astype(np.float32)
            got = mapped(device, planes, change, case, color, gains=gains, dither=dither)
            assert all(np.array_equal(a, b) for a, b in zip(got, planes, strict=True))


@pytest.mark.parametrize("grid", [None, (1, 4, 1), (1, 3, 4), (5, 3, 4)], ids=str)
@pytest.mark.parametrize("color", COLORS)
def test_a_full_mask_is_none_and_an_empty_one_protects(device, make_case, color, grid):
    for case in (make_case(height=17), make_case(height=17, width=33, depth=16, sub="422")):
        planes, change = picture(case, color), curves(1024)
        gains = None if grid is None else field(*grid)
        shape = (case.height, case.width)
        free = mapped(device, planes, change, case, color, gains=gains)
        full = mapped(device, planes, change, case, color, gains=gains, mask=np.full(shape, 255, np.uint8))
        none = mapped(device, planes, change, case, color, gains=gains, mask=np.zeros(shape, np.uint8))
        assert all(np.array_equal(a, b) for a, b in zip(full, free, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(none, planes, strict=True))


@pytest.mark.parametrize("sub", ["420", "422", "440", "444"])
def test_masked_pixels_and_their_chroma_stay(device, make_case, sub):
    case = make_case(height=33, width=65, sub=sub)
    planes, gains = case.planes(), field(4, 3, 4)
    mask = np.random.default_rng(5).integers(0, 2, (33, 65)).astype(np.uint8) * 255
    mask[8:20, 11:40] = 0
    free = mapped(device, planes, curves(), case, "yuv", gains=gains)
    got = mapped(device, planes, curves(), case, "yuv", gains=gains, mask=mask)
    assert np.array_equal(got[0], np.where(mask == 0, planes[0], free[0]))
    covered = pool(mask.astype(float), case.chroma_shape)
    for a, b, c in zip(got[1:], planes[1:], free[1:], strict=True):
        assert np.array_equal(a[covered == 0], b[covered == 0])
        assert np.array_equal(a[covered == 255], c[covered == 255])


def test_without_gains_and_mask_it_is_what_it_was(device, make_case):
    """The path of curves alone and the path of fields agree where the field does nothing."""
    case = make_case()
    for color in COLORS:
        planes = picture(case, color)
        plain = mapped(device, planes, curves(), case, color)
        for gains in (np.zeros((3, 1, 3, 1)), np.zeros((3, 1, 3, 4)), np.zeros((3, 2, 3, 4))):
            got = mapped(device, planes, curves(), case, color, gains=gains.astype(np.float32))
            assert all(np.array_equal(a, b) for a, b in zip(got, plain, strict=True))


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", COLORS)
def test_any_layout(device, make_case, layout, color):
    case = make_case(height=17, width=33, depth=10)
    planes, gains, mask = picture(case, color), field(3, 4, 5), noise_mask(case)
    expected = mapped(device, planes, curves(), case, color, gains=gains, mask=mask)
    out = [layout(device.put, np.zeros(p.shape, np.uint16)) for p in planes]
    given = ops.map_tones(
        [layout(device.put, p) for p in planes],
        curves(),
        color=color,
        gains=device.put(gains),
        mask=layout(device.put, mask),
        out=out,
        **case.coding,
    )
    for mine, a, b in zip(out, given, expected, strict=True):
        assert a is mine
        assert np.array_equal(device.get(a), b)


def test_one_array_gives_one_array(device, make_case):
    case = make_case(height=17, width=33)
    rgb, change, gains = case.rgb(), curves(), field(1, 3, 4)
    planes = [np.ascontiguousarray(c) for c in np.moveaxis(rgb, 2, 0)]
    options = {"gains": gains, **case.coding}
    expected = np.stack(mapped(device, planes, change, case, "rgb", gains=gains), -1)
    got = ops.map_tones(device.put(rgb), change, color="rgb", **options)
    assert np.array_equal(device.get(got), expected)
    out = device.put(np.zeros_like(rgb))
    assert ops.map_tones(device.put(rgb), change, color="rgb", out=out, **options) is out
    assert np.array_equal(device.get(out), expected)
    plane = ops.map_tones(device.put(planes[0]), change, color="gray", **options)
    assert np.array_equal(device.get(plane), mapped(device, planes[:1], change, case, "gray", gains=gains)[0])
    out = device.put(np.zeros_like(planes[0]))
    assert ops.map_tones(device.put(planes[0]), change, color="gray", out=out, **options) is out
    assert np.array_equal(device.get(out), device.get(plane))


@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_in_place(device, make_case, color):
    case = make_case()
    planes, gains = picture(case, color), field(2, 3, 4)
    expected = mapped(device, planes, curves(), case, color, gains=gains)
    mine = [device.put(p) for p in planes]
    ops.map_tones(mine, curves(), gains=gains, color=color, out=mine, **case.coding)
    assert all(np.array_equal(device.get(a), b) for a, b in zip(mine, expected, strict=True))


def test_foreign_arrays(foreign, make_case):
    case = make_case(height=17, width=33)
    planes, gains, mask = case.planes(), field(2, 3, 4), noise_mask(case)
    expected = ops.map_tones(planes, curves(), gains=gains, mask=mask, **case.coding)
    got = ops.map_tones(
        [foreign(p) for p in planes], foreign(curves()), gains=foreign(gains), mask=foreign(mask), **case.coding
    )
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("color", COLORS)
def test_same_bits_with_any_number_of_threads(for_threads, make_case, color):
    for sub in ("420", "444"):
        case = make_case(height=131, sub=sub)
        planes, mask = picture(case, color), noise_mask(case)
        for grid in GRIDS.values():
            options = {"gains": field(*grid), "mask": mask, "color": color, **case.coding}
            first, *rest = for_threads(lambda p=planes, o=options: ops.map_tones(p, curves(), **o))
            assert all(np.array_equal(a, b) for other in rest for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("color", COLORS)
def test_cuda_gives_the_bits_of_the_cpu(cuda, case, color):
    planes = picture(case, color)
    for n, grid in enumerate(GRIDS.values()):
        options = {"color": color, "dither": n % 2 == 0, **case.coding}
        gains, mask = field(*grid), noise_mask(case) if n % 3 else None
        mine = ops.map_tones(planes, curves(), gains=gains, mask=mask, **options)
        theirs = ops.map_tones(
            [cuda.put(p) for p in planes],
            curves(),
            gains=gains,
            mask=None if mask is None else cuda.put(mask),
            **options,
        )
        assert all(np.array_equal(a, cuda.get(b)) for a, b in zip(mine, theirs, strict=True))


# --- errors ------------------------------------------------------------------------------------------------------

Y, C = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
D = np.zeros((3, 1024), np.float32)
G = np.zeros((3, 2, 3, 4), np.float32)
NAN = np.full_like(G, np.nan)

BAD = {
    "color": ([Y, C, C], {"color": "cmyk"}, "expected 'yuv', 'rgb' or 'gray'; got 'cmyk'"),
    "two gray planes": ([Y, Y], {"color": "gray"}, "expected 1 gray plane; got 2"),
    "a gray array": (np.zeros((4, 6, 3), np.uint8), {"color": "gray"}, r"shape \(height, width\); got \(4, 6, 3\)"),
    "two rgb planes": ([Y, Y], {"color": "rgb"}, "expected 3 planes; got 2"),
    "unlike rgb planes": ([Y, C, C], {"color": "rgb"}, "of one shape"),
    "float rgb": ([Y.astype(np.float32)] * 3, {"color": "rgb"}, "expected uint8 or uint16; got float32"),
    "gray out of another size": (Y, {"color": "gray", "out": C.copy()}, "expected the input's shape"),
    "gray out of another dtype": (Y, {"color": "gray", "out": Y.astype(np.uint16)}, "uint8; got uint16"),
    "gains of two channels": ([Y, C, C], {"gains": G[:2]}, r"expected shape \(3, 2, 3, 4\); got \(2, 2, 3, 4\)"),
    "gains without bins": ([Y, C, C], {"gains": G[:, 0]}, r"expected shape \(3, bins, rows, columns\)"),
    "no bins": ([Y, C, C], {"gains": G[:, :0]}, "1 or more bins, rows and columns"),
    "no rows": ([Y, C, C], {"gains": G[:, :, :0]}, "1 or more bins, rows and columns"),
    "too many": ([Y, C, C], {"gains": np.zeros((3, 33, 1, 64), np.float32)}, "at most 2048"),
    "NaN gains": ([Y, C, C], {"gains": NAN}, "gains: expected finite numbers; got NaN"),
    "infinite gains": ([Y, C, C], {"gains": NAN * 0 + np.inf}, "gains: expected finite numbers"),
    "NaN response": ([Y, C, C], {"gains": G, "response": D + np.nan}, "response: expected finite numbers; got NaN"),
    "short response": ([Y, C, C], {"gains": G, "response": D[:, :8]}, r"expected shape \(3, 1024\); got \(3, 8\)"),
    "response alone": ([Y, C, C], {"response": D}, "give gains too"),
    "mask of another size": ([Y, C, C], {"mask": Y[:3]}, "expected the picture's shape"),
    "chroma mask": ([Y, C, C], {"mask": C}, "expected the picture's shape"),
    "mask of another dtype": ([Y, C, C], {"mask": Y.astype(np.uint16)}, "mask: expected uint8; got uint16"),
    "mask with channels": ([Y, C, C], {"mask": np.zeros((4, 6, 1), np.uint8)}, "mask"),
}


@pytest.mark.parametrize(("planes", "options", "message"), BAD.values(), ids=BAD)
def test_map_tones_refuses(planes, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.map_tones(planes, D, **options)


def test_a_nan_curve_is_refused():
    with pytest.raises(ArrayError, match="change: expected finite numbers; got NaN"):
        ops.map_tones([Y, C, C], D + np.nan)
