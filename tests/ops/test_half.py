"""float16 samples in warp, warp_blend and resize: float32 throughout, rounded once, ties to even, as NumPy rounds."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (64, 1027)]


def halves(size, seed=0):
    """Finite values of all magnitudes, subnormal ones and the largest among them."""
    bits = np.random.default_rng(seed).integers(0, 0x7C00, size, np.uint16)
    sign = np.random.default_rng(seed + 1).integers(0, 2, size, np.uint16) << 15
    return (bits | sign).view(np.float16)


def wild(size, reach, seed=1):
    return np.random.default_rng(seed).uniform(-reach, reach, (2, *size)).astype(np.float32)


def rounded(exact):
    with np.errstate(over="ignore"):
        return exact.astype(np.float16)


def same(got, exact):
    """To the bit, but for the sign of zeros: mix2 of zeros may have either in float32."""
    assert got.dtype == np.float16
    assert np.array_equal(got, rounded(exact))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("border", ["edge", "zeros", "reflect"])
@pytest.mark.parametrize("size", SIZES)
def test_warp_is_that_of_float32_rounded(device, size, border, filter):
    plane, flow = halves(size), wild(size, 3)
    got = device.get(ops.warp(device.put(plane), device.put(flow), filter=filter, border=border))
    same(got, ops.warp(plane.astype(np.float32), flow, filter=filter, border=border))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_warp_blend_is_that_of_float32_rounded(device, size, filter):
    a, b, fa, fb = halves(size), halves(size, 7), wild(size, 3), wild(size, 3, 8)
    weights = np.random.default_rng(3).random(size, np.float32)
    for w in (0.3, weights):
        given = w if isinstance(w, float) else device.put(w)
        got = device.get(ops.warp_blend(*map(device.put, (a, b, fa, fb)), given, filter=filter))
        same(got, ops.warp_blend(a.astype(np.float32), b.astype(np.float32), fa, fb, w, filter=filter))


@pytest.mark.parametrize("filter", ["bilinear", "area"])
@pytest.mark.parametrize("after", [(1, 1), (5, 7), (17, 33), (30, 1100)])
@pytest.mark.parametrize("size", SIZES)
def test_resize_is_that_of_float32_rounded(device, size, after, filter):
    plane = halves(size)
    got = device.get(ops.resize(device.put(plane), after, filter=filter))
    same(got, ops.resize(plane.astype(np.float32), after, filter=filter))


def test_every_half_survives(device):
    """No flow is a copy: all 65536 numbers but NaN and infinity (times a weight of 0 they are no numbers)."""
    plane = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(256, 256)
    plane = np.where(np.isfinite(plane), plane, np.float16(0))
    still = device.put(np.zeros((2, 256, 256), np.float32))
    for filter in ("bilinear", "bicubic"):
        assert np.array_equal(device.get(ops.warp(device.put(plane), still, filter=filter)), plane)
    for filter in ("bilinear", "area"):
        assert np.array_equal(device.get(ops.resize(device.put(plane), (256, 256), filter=filter)), plane)


def test_ties_go_to_even_and_what_is_too_large_to_infinity(device):
    """Half way between neighbours: the mean of two halves side by side is always a tie, or is one itself."""
    bits = np.arange(0x7BFF, dtype=np.uint16)
    a, b = bits.view(np.float16)[None], (bits + np.uint16(1)).view(np.float16)[None]
    still = device.put(np.zeros((2, *a.shape), np.float32))
    got = device.get(ops.warp_blend(device.put(a), device.put(b), still, still, 0.5))
    even = np.where(bits % 2 == 0, bits, bits + np.uint16(1)).view(np.float16)[None]
    assert np.array_equal(got, even)
    large = device.put(np.full((1, 4), 65504, np.float16))
    grown = device.get(ops.warp_blend(large, large, still[:, :, :4], still[:, :, :4], np.float32(0)))
    assert np.array_equal(grown, np.full((1, 4), 65504, np.float16))
    weight = device.put(np.array([[1, 1.0002, 2, -3]], np.float32))
    zero = device.put(np.zeros((1, 4), np.float16))
    got = device.get(ops.warp_blend(large, zero, still[:, :, :4], still[:, :, :4], weight))
    assert np.array_equal(got, np.array([[65504, 65504, np.inf, -np.inf]], np.float16))


def test_any_layout(device, layout):
    plane, flow = halves((17, 33)), wild((17, 33), 3)
    for filter in ("bilinear", "bicubic"):
        expected = device.get(ops.warp(device.put(plane), device.put(flow), filter=filter))
        out = layout(device.put, np.zeros((17, 33), np.float16))
        assert ops.warp(layout(device.put, plane), device.put(flow), filter=filter, out=out) is out
        assert np.array_equal(device.get(out), expected)


def test_foreign_arrays(foreign):
    plane, flow = halves((17, 33)), wild((17, 33), 3)
    out = np.zeros((17, 33), np.float16)
    ops.warp(foreign(plane), foreign(flow), out=out)
    assert np.array_equal(out, ops.warp(plane, flow))


@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size):
    a, b, fa, fb = halves(size), halves(size, 7), wild(size, 3), wild(size, 3, 8)
    for filter in ("bilinear", "bicubic"):
        theirs = cuda.get(ops.warp_blend(*map(cuda.put, (a, b, fa, fb)), 0.3, filter=filter))
        ours = ops.warp_blend(a, b, fa, fb, 0.3, filter=filter)
        assert np.array_equal(ours.view(np.uint16), theirs.view(np.uint16))


def test_others_refuse_it():
    plane = np.zeros((4, 6), np.float16)
    flow = np.zeros((2, 4, 6), np.float32)
    with pytest.raises(ArrayError, match="max_code: float16 samples are not clamped"):
        ops.warp(plane, flow, max_code=255)
    with pytest.raises(ArrayError, match="flow: expected float32; got float16"):
        ops.warp(plane, flow.astype(np.float16))
    with pytest.raises(ArrayError, match="expected uint8 or uint16; got float16"):
        ops.area_mean(plane, (1, 1))
