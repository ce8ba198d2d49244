"""Patches: medians of blocks, what jitters, and how far a picture moved."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.stages.deflicker.patches import (
    SIDE,
    PatchEvidence,
    block_medians,
    shift_of,
    shifted,
    softened,
    weigh_patches,
)

# --- the reference -----------------------------------------------------------------------------------------------


def reference_medians(x):
    """Block by block, in float64; the deviation is the ninth smallest of sixteen."""
    rows, columns = x.shape[0] // SIDE, x.shape[1] // SIDE
    middle, off = np.empty((rows, columns)), np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            block = x[i * SIDE : (i + 1) * SIDE, j * SIDE : (j + 1) * SIDE].astype(np.float64)
            middle[i, j] = np.median(block)
            off[i, j] = np.sort(np.abs(block - middle[i, j]).ravel())[SIDE * SIDE // 2]
    return middle, off


def reference_shifted(x, dx, dy):
    rows, columns = np.arange(x.shape[0], dtype=float), np.arange(x.shape[1], dtype=float)
    down = np.stack([np.interp(rows - dy, rows, x[:, j]) for j in range(x.shape[1])], axis=1)
    return np.stack([np.interp(columns - dx, columns, down[i]) for i in range(x.shape[0])])


def reference_softened(x):
    padded = np.pad(x.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    h, w = x.shape[:2]
    return sum(kernel[i, j] * padded[i : i + h, j : j + w] for i in range(3) for j in range(3))


def texture(rows=36, columns=64, dx=0.0, dy=0.0, seed=0):
    """Log luma of something smooth, moved by (dx, dy) tiles; the same function of the place whatever the shift."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    x, y = x - dx, y - dy
    total = np.zeros((rows, columns))
    for fx, fy, phase in rng.uniform((-0.9, -0.9, 0), (0.9, 0.9, 2 * np.pi), (12, 3)):
        total += 0.06 * np.cos(fx * x + fy * y + phase)
    return (total - 1).astype(np.float32)


# --- blocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(36, 64), (33, 59), (4, 4), (7, 4), (9, 31)])
def test_medians_of_blocks(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    middle, off = block_medians(x)
    expected = reference_medians(x)
    assert middle == pytest.approx(expected[0], abs=1e-6)
    assert off == pytest.approx(expected[1], abs=1e-6)


def test_medians_of_blocks_of_many_pictures():
    x = np.random.default_rng(0).standard_normal((5, 3, 12, 16)).astype(np.float32)
    middle, off = block_medians(x)
    assert middle.shape == off.shape == (5, 3, 3, 4)
    assert middle[4, 2] == pytest.approx(reference_medians(x[4, 2])[0], abs=1e-6)
    assert off[1, 0] == pytest.approx(reference_medians(x[1, 0])[1], abs=1e-6)


@pytest.mark.parametrize("shape", [(3, 64), (36, 2), (1, 1)])
def test_pictures_smaller_than_a_block_have_none(shape):
    middle, off = block_medians(np.zeros(shape, np.float32))
    assert middle.size == off.size == 0


# --- what jitters ------------------------------------------------------------------------------------------------

HERE = np.zeros((9, 16), bool)
HERE[2:6, 3:9] = True


def weighed(levels, noise=0.0, spread=0.01, brightness=0.4, where=HERE, seed=0):
    """Evidence in blocks whose levels over time (log light) are `levels` where it is True, and noise everywhere."""
    rng = np.random.default_rng(seed)
    levels = np.asarray(levels)[:, None, None] * where
    levels = levels + noise * rng.standard_normal(levels.shape)
    changes = np.diff(levels, axis=0).astype(np.float32)
    return weigh_patches(changes, np.full_like(changes, spread), brightness)


def white(frames=33, strength=0.1, seed=1):
    return strength * np.random.default_rng(seed).standard_normal(frames)


def test_blocks_that_go_to_and_fro_jitter():
    evidence = weighed(white(), noise=1e-3)
    assert np.array_equal(evidence.jitters, HERE)
    assert evidence.share == pytest.approx(HERE.mean())
    assert evidence.changes == 32
    assert evidence.is_there(banded=False)
    assert not evidence.is_gone
    assert evidence.level == pytest.approx(0.1 * 0.4 * 255, rel=0.5)


@pytest.mark.parametrize(
    "levels",
    [
        np.zeros(33),
        np.linspace(0, 3, 33),
        0.5 * np.sin(np.arange(33) / 5),
        np.where(np.arange(33) == 12, 1.0, 0.0),
        np.where(np.arange(33) >= 12, 1.0, 0.0),
        white(strength=0.002),
        np.cumsum(white(strength=0.1)),
    ],
    ids=["still", "ramp", "shadows", "one flash", "step", "too weak", "random walk"],
)
def test_what_does_not_jitter(levels):
    evidence = weighed(levels, noise=1e-4)
    assert not evidence.jitters.any()
    assert evidence.is_gone
    assert evidence.level == 0
    assert evidence.confidence(False) == 0


def test_blocks_whose_tiles_differ_do_not_count():
    """Motion: the median of a block moves, but no more than its tiles let it."""
    assert not weighed(white(), spread=0.5).jitters.any()


@pytest.mark.parametrize("frames", [1, 2, 3, 10, 11])
def test_few_changes_say_nothing(frames):
    evidence = weighed(white(frames), where=np.ones((9, 16), bool))
    assert evidence.changes == frames - 1
    assert evidence.is_there(False) == (frames > 10)
    assert (evidence.confidence(False) > 0) == (frames > 10)
    assert evidence.reach.shape == evidence.jitters.shape


def test_no_changes_are_no_error():
    assert not weigh_patches(np.zeros((0, 9, 16), np.float32), np.zeros((0, 9, 16), np.float32), 0.5).is_there(False)


@pytest.mark.parametrize("banded", [False, True])
@pytest.mark.parametrize("changes", [9, 10, 23, 24, 47])
def test_confidence_agrees_with_the_verdict_and_rises(changes, banded):
    last = 0.0
    for share in np.linspace(0, 1, 101):
        evidence = PatchEvidence(float(share), 5.0, changes)
        confidence = evidence.confidence(banded)
        assert 0 <= confidence <= 1
        assert (confidence >= 0.5) == evidence.is_there(banded)
        assert confidence >= last
        last = confidence


def test_bands_and_a_short_time_ask_for_more():
    assert PatchEvidence(0.15, 5.0, 32).is_there(False)
    assert not PatchEvidence(0.15, 5.0, 32).is_there(True)
    assert not PatchEvidence(0.15, 5.0, 12).is_there(False)


# --- where to act ------------------------------------------------------------------------------------------------


def test_reach_is_whole_where_it_jitters_and_falls_off():
    reach = PatchEvidence(0.2, 5.0, 32, HERE).reach
    assert reach.shape == HERE.shape
    assert reach.dtype == np.float32
    assert (reach[HERE] == 1).all()
    assert reach.min() == 0
    assert reach.max() == 1
    assert reach[4, 11] == 0  # three blocks away
    row = reach[4, 8:12]
    assert (np.diff(row) <= 0).all()
    assert 0 < row[2] < 1


def test_reach_of_everything_is_everything():
    assert (PatchEvidence(1.0, 5.0, 32, np.ones((9, 16), bool)).reach == 1).all()
    assert not PatchEvidence().reach.any()


@pytest.mark.parametrize("shape", [(9, 16, 3), (1, 1, 1), (1, 5, 2), (4, 1, 3)])
def test_softened(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    got = softened(x)
    assert got.dtype == np.float32
    assert got == pytest.approx(reference_softened(x), abs=1e-6)
    assert softened(np.full(shape, 0.7, np.float32)) == pytest.approx(0.7)


# --- motion ------------------------------------------------------------------------------------------------------

SHIFTS = [(0.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.3, 0.4), (-1.6, 0.7), (2.2, -1.1)]


@pytest.mark.parametrize(("dx", "dy"), [*SHIFTS, (-70.0, 3.0), (0.5, 50.0)])
@pytest.mark.parametrize("shape", [(36, 64), (5, 3), (1, 9), (7, 1), (1, 1)])
def test_shifted_is_bilinear(dx, dy, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert shifted(x, dx, dy) == pytest.approx(reference_shifted(x, dx, dy), abs=1e-5)


def test_shifted_by_nothing_is_the_same():
    x = texture()
    assert np.array_equal(shifted(x, 0.0, 0.0), x)


def test_shifted_takes_any_number_of_pictures():
    x = np.random.default_rng(0).standard_normal((3, 9, 8)).astype(np.float32)
    assert np.array_equal(shifted(x, 0.4, -1.2)[2], shifted(x[2], 0.4, -1.2))


@pytest.mark.parametrize(("dx", "dy"), SHIFTS)
def test_the_motion_of_a_picture_is_found(dx, dy):
    assert shift_of(texture(), texture(dx=dx, dy=dy)) == pytest.approx((dx, dy), abs=0.1)


@pytest.mark.parametrize(("dx", "dy"), SHIFTS)
def test_light_is_no_motion(dx, dy):
    """Brighter as a whole, in patches and in bands at once."""
    y, x = np.mgrid[0:36, 0:64]
    light = 0.2 + 0.3 * np.exp(-(((y - 15) / 9) ** 2 + ((x - 40) / 12) ** 2)) + 0.1 * np.cos(2 * np.pi * 1.5 * y / 36)
    assert shift_of(texture(), (texture(dx=dx, dy=dy) + light).astype(np.float32)) == pytest.approx((dx, dy), abs=0.2)


def test_something_small_that_moves_is_not_the_picture():
    before, after = texture(), texture()
    other = texture(seed=5)
    before[10:18, 20:30] += 3 * other[10:18, 20:30]
    after[10:18, 24:34] += 3 * other[10:18, 20:30]
    assert shift_of(before, after) == pytest.approx((0, 0), abs=0.1)


@pytest.mark.parametrize("shape", [(36, 64), (2, 2), (4, 9)])
def test_a_flat_picture_does_not_move(shape):
    flat = np.full(shape, -0.7, np.float32)
    assert shift_of(flat, flat) == pytest.approx((0, 0), abs=1e-6)
    assert shift_of(flat, flat + np.float32(0.3)) == pytest.approx((0, 0), abs=1e-3)


def test_another_picture_gives_something_finite():
    x, y = shift_of(texture(seed=1), texture(seed=2))
    assert abs(x) <= 8
    assert abs(y) <= 8
