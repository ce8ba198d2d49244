"""quantiles against exact ranks. Bound: 1e-6 (the results are float32 in 0..1)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(histogram, points):
    """Level at rank (k + 1/2) / points, by straight lines between the mid-ranks of the levels that hold something."""
    total = int(histogram.sum())
    levels = [level for level, count in enumerate(histogram) if count]
    if not levels:
        return np.zeros(points)
    rank = [(Fraction(int(histogram[:lv].sum())) + Fraction(int(histogram[lv]), 2)) / total for lv in levels]
    out = []
    for k in range(points):
        p = Fraction(2 * k + 1, 2 * points)
        if p <= rank[0]:
            value = Fraction(levels[0])
        elif p >= rank[-1]:
            value = Fraction(levels[-1])
        else:
            i = next(i for i, r in enumerate(rank) if r >= p)
            part = (p - rank[i - 1]) / (rank[i] - rank[i - 1])
            value = levels[i - 1] + part * (levels[i] - levels[i - 1])
        out.append(float(value / (len(histogram) - 1)))
    return np.array(out)


def random_histograms(rows, bins, seed=0):
    """Full, sparse and lopsided ones."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 1000, (rows, bins))
    counts[1::3] *= rng.random((len(counts[1::3]), bins)) < 0.05
    counts[2::3] = counts[2::3] ** 3 // 1000
    return counts.astype(np.int32)


@pytest.mark.parametrize("bins", [2, 3, 17, 256, 1024])
@pytest.mark.parametrize("points", [1, 2, 7, 64, 256])
def test_is_the_reference(device, bins, points):
    histograms = random_histograms(6, bins)
    got = device.get(ops.quantiles(device.put(histograms), points))
    assert got.dtype == np.float32
    assert got.shape == (6, points)
    expected = np.stack([reference(h, points) for h in histograms])
    assert np.abs(got - expected).max() <= 1e-6


def test_counts_of_large_pictures_do_not_overflow(device):
    histograms = np.zeros((2, 1024), np.int32)
    histograms[0, [0, 511, 1023]] = 2**31 - 1
    histograms[1, 3:900] = 2**21
    got = device.get(ops.quantiles(device.put(histograms), 256))
    assert np.abs(got - [reference(h, 256) for h in histograms]).max() <= 1e-6


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_of_a_constant_picture_is_constant(device, level):
    histogram = np.zeros((1, 256), np.int32)
    histogram[0, level] = 1000
    got = device.get(ops.quantiles(device.put(histogram), 64))
    assert (got == np.float32(level / 255)).all()


def test_of_an_inverted_picture_is_inverted(device):
    histograms = random_histograms(6, 256)
    straight = device.get(ops.quantiles(device.put(histograms), 128))
    inverted = device.get(ops.quantiles(device.put(histograms[:, ::-1]), 128))
    assert np.abs(inverted - (1 - straight[:, ::-1])).max() <= 1e-6


def test_rises_and_stays_among_the_occupied_levels(device):
    histograms = random_histograms(9, 1024, seed=4)
    got = device.get(ops.quantiles(device.put(histograms), 256))
    assert (np.diff(got, axis=1) >= 0).all()
    for row, histogram in zip(got, histograms, strict=True):
        held = np.flatnonzero(histogram) / 1023
        assert row[0] >= np.float32(held[0])
        assert row[-1] <= np.float32(held[-1])


def test_scaling_a_histogram_changes_nothing(device):
    histograms = random_histograms(6, 256)
    once = device.get(ops.quantiles(device.put(histograms)))
    assert np.array_equal(once, device.get(ops.quantiles(device.put(histograms * 8))))


def test_of_nothing_is_zero(device):
    assert (device.get(ops.quantiles(device.put(np.zeros((3, 256), np.int32)), 5)) == 0).all()


def test_out(device):
    histograms = device.put(random_histograms(4, 256))
    out = device.put(np.full((4, 33), 9, np.float32))
    assert ops.quantiles(histograms, out=out) is out
    assert np.array_equal(device.get(out), device.get(ops.quantiles(histograms, 33)))


def test_foreign_arrays(foreign):
    histograms = random_histograms(4, 256)
    out = np.zeros((4, 64), np.float32)
    ops.quantiles(foreign(histograms), out=out)
    assert np.array_equal(out, ops.quantiles(histograms, 64))
    assert np.array_equal(out, ops.quantiles(foreign(histograms), 64))


def test_same_bits_with_any_number_of_threads(for_threads):
    histograms = random_histograms(4, 1024)
    first, *rest = for_threads(lambda: ops.quantiles(histograms))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("bins", [2, 256, 1024])
def test_cuda_gives_the_bits_of_the_cpu(cuda, bins):
    histograms = random_histograms(9, bins)
    assert np.array_equal(ops.quantiles(histograms, 200), cuda.get(ops.quantiles(cuda.put(histograms), 200)))


# --- errors ------------------------------------------------------------------------------------------------------

H = np.ones((4, 256), np.int32)
FROZEN = np.zeros((4, 256), np.float32)
FROZEN.setflags(write=False)

BAD = {
    "dtype": (H.astype(np.int64), {}, "expected int32; got another dtype"),
    "floats": (H.astype(np.float32), {}, "expected int32; got float32"),
    "one bin": (H[:, :1].copy(), {}, "expected 2 to 1024; got 1"),
    "too many bins": (np.ones((4, 2000), np.int32), {}, "expected 2 to 1024; got 2000"),
    "not contiguous": (np.ones((4, 512), np.int32)[:, ::2], {}, "C-contiguous"),
    "one dimension": (H[0], {"out": np.zeros((1, 4), np.float32)}, r"expected \(rows, bins\)"),
    "out of doubles": (H, {"out": np.zeros((4, 256))}, "expected float32; got another dtype"),
    "out of other rows": (H, {"out": np.zeros((3, 256), np.float32)}, r"expected shape \(4, 256\); got \(3, 256\)"),
    "out of one dimension": (H, {"out": np.zeros(256, np.float32)}, r"\(rows, points\)"),
    "read-only out": (H, {"out": FROZEN}, "read-only"),
}


@pytest.mark.parametrize(("histograms", "options", "message"), BAD.values(), ids=BAD)
def test_quantiles_refuses(histograms, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.quantiles(histograms, **options)
