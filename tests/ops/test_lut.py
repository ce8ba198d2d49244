"""apply_lut against float64 NumPy.

Bound: the result equals the reference, but for 1 code where value + threshold lies within 1e-3 of a whole number (8e-3
above 12 bits, where fp32 has no more).
"""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def bayer(height, width):
    """Thresholds in (0, 1): the recursive 8x8 Bayer matrix, repeated."""
    m = np.zeros((1, 1))
    while len(m) < 8:
        m = np.block([[4 * m, 4 * m + 2], [4 * m + 3, 4 * m + 1]])
    return np.tile((m + 0.5) / 64, (height // 8 + 1, width // 8 + 1))[:height, :width]


def reference(plane, lut, max_code, dither, slip=0.0):
    """floor(lut[code] + threshold), clamped; codes past the end take the last entry."""
    value = np.asarray(lut, np.float64)[np.minimum(plane.astype(int), len(lut) - 1)]
    threshold = bayer(*plane.shape) if dither else 0.5
    return np.clip(np.floor(value + threshold + slip), 0, max_code)


def check(got, plane, lut, max_code, dither):
    slip = 1e-3 if max_code < 2**12 else 8e-3
    assert got.shape == plane.shape
    assert (got >= reference(plane, lut, max_code, dither, -slip)).all()
    assert (got <= reference(plane, lut, max_code, dither, slip)).all()


def noise(shape, depth, seed=0):
    codes = np.random.default_rng(seed).integers(0, 2**depth, shape)
    return codes.astype(np.uint8 if depth == 8 else np.uint16)


def curve(size, top, seed=1):
    """A table that also leaves 0..top."""
    return (np.random.default_rng(seed).random(size) * 1.2 * top - 0.1 * top).astype(np.float32)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (64, 513), (65, 1027)]


@pytest.mark.parametrize("dither", [False, True], ids=["round", "dither"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("depth", "out_depth"), [(8, 8), (8, 10), (10, 8), (10, 10), (12, 12), (16, 16), (16, 8)])
def test_is_the_reference(device, size, depth, out_depth, dither):
    plane, top = noise(size, depth), 2**out_depth - 1
    lut = curve(2**depth, top)
    dtype = np.uint8 if out_depth == 8 else np.uint16
    got = ops.apply_lut(device.put(plane), device.put(lut), max_code=top, dither=dither, dtype=dtype)
    got = device.get(got)
    assert got.dtype == dtype
    check(got, plane, lut, top, dither)


@pytest.mark.parametrize("entries", [1, 2, 100, 256, 5000])
def test_codes_past_the_end_take_the_last_entry(device, entries):
    plane, lut = noise((17, 33), 8), curve(entries, 255)
    check(device.get(ops.apply_lut(device.put(plane), device.put(lut))), plane, lut, 255, True)


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dither", [False, True], ids=["round", "dither"])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_identity_and_every_table_of_whole_values_is_exact(device, depth, dither):
    top = 2**depth - 1
    plane = noise((65, 1027), depth)
    for lut in (np.arange(top + 1), top - np.arange(top + 1)):
        got = ops.apply_lut(device.put(plane), lut.astype(np.float32), max_code=top, dither=dither)
        assert np.array_equal(device.get(got), lut[plane])


@pytest.mark.parametrize("value", [0.0, 0.01, 0.25, 100.5, 100.51, 199.99, 254.7, 255.0])
def test_dither_keeps_the_mean(device, value):
    lut = np.full(256, value, np.float32)
    got = device.get(ops.apply_lut(device.put(np.zeros((64, 64), np.uint8)), lut))
    assert abs(got.mean(dtype=np.float64) - value) <= 1 / 64
    assert set(np.unique(got)) <= {int(np.floor(value)), int(np.ceil(value))}


def test_each_fraction_lights_its_share_of_every_8x8_block(device):
    for n in range(65):
        lut = np.full(1, 10 + n / 64, np.float32)
        got = device.get(ops.apply_lut(device.put(np.zeros((16, 24), np.uint8)), lut))
        blocks = (got.reshape(2, 8, 3, 8) == 11).sum(axis=(1, 3))
        assert (blocks == n).all()


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout_of_input_and_output(device, layout):
    plane, lut = noise((17, 33), 10), curve(1024, 1023)
    expected = device.get(ops.apply_lut(device.put(plane), lut, max_code=1023))
    out = layout(device.put, np.zeros((17, 33), np.uint16))
    assert ops.apply_lut(layout(device.put, plane), lut, max_code=1023, out=out) is out
    assert np.array_equal(device.get(out), expected)


def test_in_place(device):
    plane, lut = noise((65, 1027), 8), curve(256, 255)
    expected = device.get(ops.apply_lut(device.put(plane), lut))
    picture = device.put(plane)
    ops.apply_lut(picture, lut, out=picture)
    assert np.array_equal(device.get(picture), expected)


def test_an_output_view_leaves_what_surrounds_it(device):
    base = device.put(np.full((9, 12), 77, np.uint8))
    ops.apply_lut(device.put(noise((4, 5), 8)), np.zeros(256, np.float32), out=base[2:6, 3:8])
    after = device.get(base).copy()
    assert (after[2:6, 3:8] == 0).all()
    after[2:6, 3:8] = 77
    assert (after == 77).all()


def test_foreign_arrays(foreign):
    plane, lut = noise((17, 33), 8), curve(256, 255)
    out = np.zeros_like(plane)
    ops.apply_lut(foreign(plane), lut, out=out)
    assert np.array_equal(out, ops.apply_lut(plane, lut))
    assert np.array_equal(out, ops.apply_lut(foreign(plane), lut))


def test_a_table_may_be_a_list_or_doubles():
    plane = noise((3, 5), 8)
    expected = ops.apply_lut(plane, np.full(256, 3, np.float32))
    assert np.array_equal(ops.apply_lut(plane, [3.0] * 256), expected)
    assert np.array_equal(ops.apply_lut(plane, np.full(256, 3.0)), expected)


def test_output_may_be_a_bytearray_seen_as_a_plane():
    plane, lut = noise((3, 5), 8), curve(256, 255)
    store = bytearray(15)
    ops.apply_lut(plane, lut, out=memoryview(store).cast("B", (3, 5)))
    assert bytes(store) == ops.apply_lut(plane, lut).tobytes()


def test_same_bits_with_any_number_of_threads(for_threads):
    plane, lut = noise((257, 1027), 8), curve(256, 255)
    first, *rest = for_threads(lambda: ops.apply_lut(plane, lut))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", [8, 10, 16])
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, depth):
    plane, top = noise(size, depth), 2**depth - 1
    lut = curve(top + 1, top)
    for dither in (False, True):
        theirs = ops.apply_lut(cuda.put(plane), lut, max_code=top, dither=dither)
        assert np.array_equal(ops.apply_lut(plane, lut, max_code=top, dither=dither), cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 6), np.uint8)
L = np.zeros(256, np.float32)
FROZEN = np.zeros((4, 6), np.uint8)
FROZEN.setflags(write=False)

BAD = {
    "float plane": (P.astype(np.float32), L, {}, "expected uint8 or uint16; got float32"),
    "signed plane": (P.astype(np.int16), L, {}, "expected uint8 or uint16; got another dtype"),
    "three dimensions": (np.zeros((4, 6, 3), np.uint8), L, {}, r"\(height, width\); got \(4, 6, 3\)"),
    "bytes": (bytearray(24), L, {"out": P.copy()}, "expected"),
    "empty plane": (P[:0], L, {}, r"empty plane, shape \(0, 6\)"),
    "empty table": (P, L[:0], {}, r"expected shape \(n,\)"),
    "table of two dimensions": (P, L.reshape(2, 128), {}, r"expected shape \(n,\)"),
    "out of another size": (P, L, {"out": np.zeros((4, 5), np.uint8)}, "expected the input's shape"),
    "out of floats": (P, L, {"dtype": np.float32}, "expected uint8 or uint16; got float32"),
    "read-only out": (P, L, {"out": FROZEN}, "read-only"),
    "read-only bytes": (P, L, {"out": memoryview(bytes(24)).cast("B", (4, 6))}, "read-only"),
}


@pytest.mark.parametrize(("plane", "lut", "options", "message"), BAD.values(), ids=BAD)
def test_apply_lut_refuses(plane, lut, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.apply_lut(plane, lut, **options)


def test_more_codes_than_the_result_holds_are_refused_or_clamped():
    try:
        got = ops.apply_lut(P, np.full(256, 300, np.float32), max_code=1023)
    except ArrayError:
        return
    assert (got == 255).all()
