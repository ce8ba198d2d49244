"""count_overlay and lay_over against loops in NumPy over every sample."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

SIZES = [(1, 1), (1, 9), (2, 3), (17, 33), (20, 300)]

# --- the references ----------------------------------------------------------------------------------------------


def enlarged(field, size):
    """A float64 field in another size: bilinear, pixel centres aligned at halves, constant beyond the outer ones."""
    for axis, out in zip((-2, -1), size, strict=True):
        n = field.shape[axis]
        at = np.clip((np.arange(out) + 0.5) * n / out - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        part = (at - low).reshape((-1, 1) if axis == -2 else (1, -1))
        field = np.take(field, low, axis) * (1 - part) + np.take(field, np.minimum(low + 1, n - 1), axis) * part
    return field


def counted(a, b, flow, count, still, contrast, moving):
    """count_overlay, sample by sample."""
    height, width = a.shape
    u, v = enlarged(flow.astype(np.float64), a.shape)
    length = np.hypot(u * width / flow.shape[2], v * height / flow.shape[1])
    out = count.copy()
    for y in range(height):
        for x in range(width):
            around = a[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].astype(int)
            if abs(int(a[y, x]) - int(b[y, x])) > still:
                out[y, x] = 0
            elif length[y, x] >= moving and around.max() - around.min() >= contrast:
                out[y, x] = min(255, int(count[y, x]) + 1)
    return out


def covered(count, size):
    """The most of the counts a sample covers and of their neighbours, row by row, then column by column."""
    for axis in (0, 1):
        n, out = count.shape[axis], size[axis]
        ends = [(max(0, i * n // out - 1), -(-(i + 1) * n // out) + 1) for i in range(out)]
        count = np.stack([np.take(count, range(a, min(b, n)), axis).max(axis) for a, b in ends], axis)
    return count


def sparse(shape, seed, share=0.02):
    """Counts that are mostly 0."""
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=shape) < share, rng.integers(1, 12, shape), 0).astype(np.uint8)


# --- counting ----------------------------------------------------------------------------------------------------


def pair(size, dtype, seed):
    """Two pictures alike in some samples, nearly alike in others, with flat parts and edges."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    a = (rng.integers(0, 4, size) * (top // 4)).astype(np.int64)
    a = np.repeat(np.repeat(a, 4, 0), 4, 1)[: size[0], : size[1]]
    b = a + rng.choice([0, 0, 2, 3, 4, -3, -4, top // 2], size)
    return a.astype(dtype), np.clip(b, 0, top).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_counts_by_brute_force(device, size, dtype):
    rng = np.random.default_rng(1)
    for n, grid in enumerate([(1, 1), (2, 3), (-(-size[0] // 4), -(-size[1] // 4)), size]):
        a, b = pair(size, dtype, n)
        flow = rng.uniform(-1.2, 1.2, (2, *grid)).astype(np.float32)
        before = rng.integers(0, 256, size).astype(np.uint8)
        rule = {"still": 3, "contrast": int(np.iinfo(dtype).max) // 4, "moving": 1.0}
        count = device.put(before)
        assert ops.count_overlay(*(device.put(x) for x in (a, b, flow)), count, **rule) is count
        np.testing.assert_array_equal(device.get(count), counted(a, b, flow, before, **rule))


def test_each_rule_by_itself(device):
    """Still and moving and standing out count; still alone leaves the count; a change clears it."""
    a = np.full((12, 12), 50, np.uint8)
    a[4:8, 4:8] = 200
    flow = np.zeros((2, 1, 1), np.float32)
    count = device.put(np.full((12, 12), 7, np.uint8))

    def see(b, u):
        flow[0] = u / 12  # one vector, in widths of the picture
        ops.count_overlay(device.put(a), device.put(b), device.put(flow), count, still=3, contrast=40, moving=1.0)
        return device.get(count).copy()

    seen = see(a, 0.0)
    assert (seen == 7).all()
    seen = see(a, 2.0)
    assert (seen[2:10, 2:10] == 8).all()
    assert seen[0, 0] == seen[1, 5] == seen[11, 11] == 7
    b = a.copy()
    b[5, 5], b[6, 6] = 196, 203
    seen = see(b, 2.0)
    assert seen[5, 5] == 0
    assert seen[6, 6] == seen[4, 4] == 9


def test_counts_stop_at_255(device):
    a = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    flow = np.ones((2, 8, 8), np.float32) * 3
    count = device.put(np.full((8, 8), 254, np.uint8))
    for _ in range(3):
        ops.count_overlay(device.put(a), device.put(a), device.put(flow), count, still=0, contrast=1)
    assert (device.get(count) == 255).all()


def test_a_flow_that_is_no_number_does_not_move(device):
    a = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    count = device.put(np.full((8, 8), 3, np.uint8))
    flow = np.full((2, 2, 2), np.nan, np.float32)
    ops.count_overlay(device.put(a), device.put(a), device.put(flow), count, still=0, contrast=1)
    assert (device.get(count) == 3).all()


def test_pictures_and_counts_in_any_layout(device, layout):
    a, b = pair((17, 33), np.uint8, 5)
    flow = np.random.default_rng(5).uniform(-1.5, 1.5, (2, 5, 9)).astype(np.float32)
    room = device.put(np.zeros((17, 50), np.uint8))
    count = room[:, 9:42]
    ops.count_overlay(
        layout(device.put, a), layout(device.put, b), device.put(flow), count, still=3, contrast=60, moving=1.0
    )
    expected = counted(a, b, flow, np.zeros((17, 33), np.uint8), 3, 60, 1.0)
    assert expected.any()
    np.testing.assert_array_equal(device.get(count), expected)
    assert not device.get(room)[:, :9].any()
    assert not device.get(room)[:, 42:].any()


# --- laying over -------------------------------------------------------------------------------------------------

# of the counts: small, odd, and across the spans of 1024 counts that rows are worked in
WIDE = [(1, 1), (1, 9), (5, 7), (9, 33), (3, 1023), (3, 1024), (3, 1025), (4, 1031), (5, 2100), (2, 4097)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("half", [(0, 0), (1, 1), (0, 1), (1, 0)], ids=["444", "420", "422", "440"])
@pytest.mark.parametrize("shape", WIDE, ids=str)
def test_laid_over_by_brute_force(device, shape, half, dtype):
    size = tuple(-(-n >> h) for n, h in zip(shape, half, strict=True))
    rng = np.random.default_rng(2)
    source, under = (rng.integers(0, np.iinfo(dtype).max + 1, size).astype(dtype) for _ in range(2))
    for seed, share in ((3, 0.02), (4, 0.6), (5, 0.0)):
        count = sparse(shape, seed, share)
        target = device.put(under)
        assert ops.lay_over(device.put(source), device.put(count), target, least=5) is target
        expected = np.where(covered(count, size) >= 5, source, under)
        np.testing.assert_array_equal(device.get(target), expected)


@pytest.mark.parametrize("half", [0, 1])
def test_no_column_is_left_out_between_spans(device, half):
    """One count at a time, all along a wide row."""
    width = 2100
    size = (1, -(-width >> half))
    source, count = np.full(size, 9, np.uint8), np.zeros((1, width), np.uint8)
    for x in [*range(4), *range(1010, 1030), *range(2026, 2042), *range(width - 4, width)]:
        count[:] = 0
        count[0, x] = 200
        target = device.put(np.zeros(size, np.uint8))
        ops.lay_over(device.put(source), device.put(count), target, least=200)
        np.testing.assert_array_equal(device.get(target) == 9, covered(count, size) >= 200)


def test_laid_in_any_layout(device, layout):
    rng = np.random.default_rng(6)
    source, under = (rng.integers(0, 256, (9, 17)).astype(np.uint8) for _ in range(2))
    count = sparse((17, 33), 6, 0.05)
    target = layout(device.put, under)
    ops.lay_over(layout(device.put, source), device.put(count), target, least=3)
    np.testing.assert_array_equal(device.get(target), np.where(covered(count, (9, 17)) >= 3, source, under))


def test_threads_do_not_matter(for_threads):
    a, b = pair((65, 1027), np.uint8, 8)
    flow = np.random.default_rng(8).uniform(-1.5, 1.5, (2, 17, 257)).astype(np.float32)
    counts = sparse((65, 1027), 8, 0.1)

    def work():
        count, target = counts.copy(), b.copy()
        ops.count_overlay(a, b, flow, count, still=3, contrast=60)
        ops.lay_over(a, count, target, least=4)
        return count.tobytes(), target.tobytes()

    first, *others = for_threads(work)
    assert all(first == other for other in others)


def test_foreign_arrays(foreign):
    a, b = pair((17, 33), np.uint8, 9)
    flow = np.full((2, 2, 2), 0.2, np.float32)
    count, target = np.zeros((17, 33), np.uint8), np.zeros((17, 33), np.uint8)
    ops.count_overlay(foreign(a), foreign(b), foreign(flow), count, still=3, contrast=60)
    np.testing.assert_array_equal(count, counted(a, b, flow, np.zeros_like(count), 3, 60, 1.0))
    ops.lay_over(foreign(a), foreign(count), target, least=1)
    np.testing.assert_array_equal(target, np.where(covered(count, (17, 33)) >= 1, a, 0))


A, F = np.zeros((4, 6), np.uint8), np.zeros((2, 2, 3), np.float32)
RULE = {"still": 3, "contrast": 40}


@pytest.mark.parametrize(
    ("given", "rule", "words"),
    [
        ((A, A[:3], F, A.copy()), RULE, "b: expected the input's shape"),
        ((A, A.astype(np.uint16), F, A.copy()), RULE, "b: expected uint8"),
        ((A.astype(np.float32), A.astype(np.float32), F, A.copy()), RULE, "a: expected uint8 or uint16; got float32"),
        ((A, A, F[0], A.copy()), RULE, r"flow: expected shape \(2, height, width\)"),
        ((A, A, F.astype(np.float64), A.copy()), RULE, "flow: expected float32"),
        ((A, A, F, A[:, :5].copy()), RULE, "count: expected the input's shape"),
        ((A, A, F, A.astype(np.uint16)), RULE, "count: expected uint8"),
        ((A, A, F, np.zeros((4, 12), np.uint8)[:, ::2]), RULE, "count: expected samples side by side"),
        ((A, A, F, A), RULE, "count: it shares memory with an input"),
        ((A, A, F, A.copy()), {"still": -1, "contrast": 40}, "still and contrast are whole numbers"),
        ((A, A, F, A.copy()), {"still": 1, "contrast": -1}, "still and contrast are whole numbers"),
        ((A, A, F, A.copy()), {"still": 1.5, "contrast": 1}, "still and contrast are whole numbers"),
        ((A, A, F, A.copy()), {"still": 1, "contrast": 1, "moving": float("nan")}, "moving: expected a finite number"),
        ((A, A, F, A.copy()), {"still": 1, "contrast": 1, "moving": -1.0}, "moving: expected 0 pixels or more"),
    ],
)
def test_errors_of_counting(given, rule, words):
    with pytest.raises(ArrayError, match=words):
        ops.count_overlay(*given, **rule)


@pytest.mark.parametrize(
    ("given", "least", "words"),
    [
        ((A, A, A[:3].copy()), 1, "target: expected the input's shape"),
        ((A, A, A.astype(np.uint16)), 1, "target: expected uint8"),
        ((A.astype(np.float32), A, A.astype(np.float32)), 1, "source: expected uint8 or uint16; got float32"),
        ((A, A.astype(np.uint16), A.copy()), 1, "count: expected uint8"),
        ((A, np.zeros((4, 12), np.uint8)[:, ::2], A.copy()), 1, "count: expected samples side by side"),
        ((A, A[:, :5].copy(), A.copy()), 1, "count: expected the size of the planes, or up to twice it"),
        ((A, np.zeros((4, 13), np.uint8), A.copy()), 1, "count: expected the size of the planes, or up to twice it"),
        ((A, A, A.copy()), 0, "least: expected 1 or more"),
        ((A, A, A.copy()), 1.5, "least: expected 1 or more"),
        ((A, A, A), 1, "target: it shares memory"),
    ],
)
def test_errors_of_laying_over(given, least, words):
    with pytest.raises(ArrayError, match=words):
        ops.lay_over(*given, least=least)


def test_limits_beyond_all_codes_will_do():
    a = np.arange(24, dtype=np.uint8).reshape(4, 6)
    count = np.zeros((4, 6), np.uint8)
    ops.count_overlay(a, a[::-1], np.full((2, 1, 1), 5, np.float32), count, still=1 << 40, contrast=1 << 40)
    assert not count.any()
    ops.lay_over(a, count, np.zeros_like(a), least=1 << 40)
