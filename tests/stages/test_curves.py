"""Weights of frames and tone curves."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.stages.deflicker.curves import period_weights, scene_weights, tone_change

POINTS, BINS = 256, 1024


def tables(frames, gain=None):
    """Quantile functions of one content, each at its gain."""
    q = np.sort(np.random.default_rng(0).beta(2, 3, (3, POINTS)), axis=1)
    gain = np.ones(frames) if gain is None else np.asarray(gain)
    return (q[None] * gain[:, None, None]).astype(np.float32)


def weights(quantiles, alike=None, sigma=10.0, current=None):
    frames = len(quantiles)
    current = frames // 2 if current is None else current
    alike = np.ones(frames, np.float32) if alike is None else np.asarray(alike, np.float32)
    return scene_weights(quantiles, alike, np.arange(frames) - current, sigma)


# --- weights -----------------------------------------------------------------------------------------------------


def test_of_one_content_are_a_gaussian():
    got = weights(tables(21))
    expected = np.exp(-0.5 * (np.arange(-10, 11) / 10) ** 2)
    assert got.dtype == np.float32
    assert got == pytest.approx(expected / expected.sum(), rel=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 7, 121])
@pytest.mark.parametrize("sigma", [2.0, 40.0, 120.0])
def test_sum_to_one(frames, sigma):
    rng = np.random.default_rng(frames)
    got = weights(np.sort(rng.random((frames, 3, POINTS), np.float32)), rng.uniform(-1, 1, frames), sigma)
    assert got.sum() == pytest.approx(1, abs=1e-5)
    assert (got >= 0).all()


def test_gain_and_offset_do_not_matter():
    gain = np.exp(0.2 * np.random.default_rng(1).standard_normal(21))
    assert weights(tables(21, gain)) == pytest.approx(weights(tables(21)), rel=1e-3)
    shifted = tables(21) + np.linspace(-0.2, 0.2, 21, dtype=np.float32)[:, None, None]
    assert weights(shifted) == pytest.approx(weights(tables(21)), rel=1e-3)


def test_other_tones_count_less():
    quantiles = tables(21)
    quantiles[5] = np.linspace(0, 1, POINTS) ** 6
    got = weights(quantiles)
    assert got[5] < 0.8 * got[15]


def test_another_structure_counts_less():
    alike = np.ones(21)
    alike[5] = 0.5
    got = weights(tables(21), alike)
    assert got[5] < 0.2 * got[15]
    assert got[15] == got.max() or got[10] == got.max()


def test_flat_pictures_give_no_error():
    got = weights(np.full((9, 3, POINTS), 0.5, np.float32), np.zeros(9))
    assert got.sum() == pytest.approx(1, abs=1e-5)
    assert np.isfinite(got).all()


# --- windows as wide as the content lets them --------------------------------------------------------------------

STILL = tables(1)[0].astype(np.float64)


def flickering(frames, strength=0.05, drift=None, seed=0):
    """One content under white flicker; where `drift` (frames,) is given, its middle tones move by so much."""
    flicker = strength * np.random.default_rng(seed).standard_normal(frames)
    drift = np.zeros(frames) if drift is None else np.asarray(drift)
    middle = STILL * (1 - STILL)
    return ((STILL + drift[:, None, None] * middle) * np.exp(flicker)[:, None, None]).astype(np.float32)


def width(w):
    """Standard deviation of weights in frames."""
    at = np.arange(len(w))
    return float(np.sqrt((w * (at - (w * at).sum()) ** 2).sum()))


def moved(quantiles, moves=None, sigma=40.0, current=None):
    frames = len(quantiles)
    current = frames // 2 if current is None else current
    moves = None if moves is None else np.asarray(moves, np.float32)
    return scene_weights(quantiles, np.ones(frames, np.float32), np.arange(frames) - current, sigma, moves)


def test_still_content_under_white_flicker_has_the_whole_window():
    """But for a clip in ten or so, whose flicker looks like a change of content by chance."""
    wide = np.exp(-0.5 * (np.arange(-60, 61) / 40) ** 2)
    widths = [width(moved(flickering(121, seed=seed))) for seed in range(60)]
    assert np.mean(np.array(widths) > 0.9 * width(wide / wide.sum())) > 0.8
    assert min(widths) > 6


def test_content_that_drifts_has_a_narrower_one():
    """Brighter and brighter in the middle tones: at an end, a wide window's mean is behind."""
    drift = 0.8 * (np.arange(121) / 120) ** 2
    still = [width(moved(flickering(121, 0.02, seed=seed), current=120)) for seed in range(30)]
    drifting = [width(moved(flickering(121, 0.02, drift, seed=seed), current=120)) for seed in range(30)]
    assert np.median(drifting) < 0.6 * np.median(still)
    assert np.percentile(drifting, 90) < np.percentile(still, 50)
    assert min(drifting) > 2


def test_the_narrower_window_follows_the_content():
    drift = 0.8 * (np.arange(121) / 120) ** 2
    quantiles = flickering(121, 0.02, drift)
    truth = STILL + drift[120] * STILL * (1 - STILL)
    chosen = np.tensordot(moved(quantiles, current=120), quantiles, 1)
    wide = np.exp(-0.5 * (np.arange(-120, 1) / 40) ** 2)
    whole = np.tensordot(wide / wide.sum(), quantiles, 1)
    assert np.abs(chosen - truth).mean() < 0.6 * np.abs(whole - truth).mean()


def test_drift_alone_is_no_white_flicker():
    """Slow change has no frames that are new by themselves; the window is that of the content."""
    drift = 0.8 * np.arange(121) / 120
    assert moved(flickering(121, 0.0, drift)) == pytest.approx(weights(flickering(121, 0.0, drift), sigma=40.0))


@pytest.mark.parametrize("at", [40, 75])
def test_what_moves_at_once_parts_the_window(at):
    moves = np.zeros(121)
    moves[at] = 0.6
    whole, parted = moved(flickering(121)), moved(flickering(121), moves)
    beyond = np.arange(121) < at if at <= 60 else np.arange(121) >= at
    assert whole[beyond].sum() > 0.1
    assert parted[beyond].sum() < 0.02
    near = parted[~beyond] / whole[~beyond]
    assert near == pytest.approx(near[0], rel=1e-3)


def test_small_moves_do_not_part_it():
    assert moved(flickering(121), np.full(121, 0.07)) == pytest.approx(moved(flickering(121)), rel=1e-5)


def test_without_flicker_moves_do_not_count():
    moves = np.zeros(121)
    moves[40] = 0.6
    assert moved(tables(121), moves) == pytest.approx(moved(tables(121)))


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 40])
def test_windows_of_few_frames(frames):
    rng = np.random.default_rng(0)
    for current in {0, frames // 2, frames - 1}:
        got = moved(flickering(frames), rng.random(frames), current=current)
        assert got.sum() == pytest.approx(1, abs=1e-5)
        assert (got >= 0).all()
        assert got[current] > 0


# --- periods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.parametrize(
    ("before", "after"), [(20, 20), (2, 2), (0, 20), (1, 20), (20, 0), (20, 1), (0, 5), (5, 0), (1, 4)]
)
def test_a_period_is_cancelled_exactly(period, before, after):
    """Whatever repeats has the same mean at every phase."""
    pattern = np.random.default_rng(0).standard_normal(period)
    distance = np.arange(-before, after + 1)
    got = period_weights(distance, period)
    assert got.dtype == np.float32
    assert got.sum() == pytest.approx(1, abs=1e-6)
    assert (got >= 0).all()
    for phase in range(period):
        assert got @ pattern[(distance + phase) % period] == pytest.approx(pattern.mean(), abs=1e-6)


@pytest.mark.parametrize("period", [2, 3])
def test_no_more_frames_than_two_periods_are_mixed(period):
    for before, after in ((30, 30), (0, 30), (30, 0), (1, 30)):
        got = period_weights(np.arange(-before, after + 1), period)
        held = np.flatnonzero(got) - before
        assert len(held) <= 2 * period
        assert np.abs(held).max() < 2 * period
        assert got[before] == got.max()


@pytest.mark.parametrize("period", [2, 3])
def test_inside_the_weights_do_not_lean(period):
    got = period_weights(np.arange(-9, 10), period)
    assert np.array_equal(got, got[::-1])


def test_fewer_frames_than_a_period_are_left_alone():
    assert np.array_equal(period_weights(np.array([0]), 2), [1])
    assert np.array_equal(period_weights(np.array([0]), 3), [1])
    assert np.array_equal(period_weights(np.array([-1, 0]), 3), [0, 1])


# --- curves ------------------------------------------------------------------------------------------------------


def picture(seed=0, low=0.1, high=0.8):
    """Counts and quantiles of a picture whose three channels differ."""
    rng = np.random.default_rng(seed)
    levels = np.clip(rng.beta(2, 3, (3, 40000)) * (high - low) + low, 0, 1)
    counts = np.stack([np.bincount(np.rint(c * (BINS - 1)).astype(int), minlength=BINS) for c in levels])
    counts = counts.astype(np.int32)
    return counts, ops.quantiles(counts, POINTS)


def applied(change, values):
    x = np.linspace(0, 1, change.shape[1])
    return np.stack([v + np.interp(v, x, c) for v, c in zip(values, change, strict=True)])


@pytest.mark.parametrize("size", [256, 1024, 4096])
def test_the_own_tones_change_nothing(size):
    counts, quantiles = picture()
    got = tone_change(counts, quantiles, quantiles, size=size, slope=(0.4, 2.5))
    assert got.shape == (3, size)
    assert got.dtype == np.float32
    assert not got.any()


@pytest.mark.parametrize(
    "curve", [lambda q: 0.8 * q, lambda q: q + 0.05, lambda q: q**1.2, lambda q: 1.1 * q - 0.02, lambda q: q**0.9]
)
def test_brings_a_picture_to_its_target(curve):
    counts, quantiles = picture()
    target = curve(quantiles.astype(np.float64)).astype(np.float32)
    change = tone_change(counts, quantiles, target, size=1024, slope=(0.4, 2.5))
    error = applied(change, quantiles) - target
    assert np.abs(error).mean() < 0.5 / 255
    assert np.abs(error).max() < 4 / 255


def test_channels_are_told_apart():
    counts, quantiles = picture()
    target = quantiles + np.array([[0.05], [0.0], [-0.05]], np.float32)
    change = tone_change(counts, quantiles, target, size=1024, slope=(0.4, 2.5))
    assert change.mean(axis=1) == pytest.approx([0.05, 0, -0.05], abs=1e-3)


@pytest.mark.parametrize("slope", [(0.4, 2.5), (0.8, 1.2), (1.0, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_slopes_stay_within_their_limits(slope, seed):
    counts, quantiles = picture(seed)
    target = picture(seed + 10, low=0.4, high=0.5 if seed % 2 else 1.0)[1]
    change = tone_change(counts, quantiles, target, size=1024, slope=slope)
    assert np.isfinite(change).all()
    steep = 1 + np.diff(change.astype(np.float64), axis=1) * 1023
    assert steep.min() >= slope[0] - 1e-3
    assert steep.max() <= slope[1] + 1e-3


def test_an_empty_picture_changes_nothing():
    nothing = np.zeros((3, BINS), np.int32)
    target = picture()[1]
    assert not tone_change(nothing, ops.quantiles(nothing, POINTS), target, size=256, slope=(0.4, 2.5)).any()


def test_a_constant_picture_moves_as_a_whole():
    counts = np.zeros((3, BINS), np.int32)
    counts[:, 300] = 5000
    quantiles = ops.quantiles(counts, POINTS)
    change = tone_change(counts, quantiles, quantiles + np.float32(0.1), size=1024, slope=(0.4, 2.5))
    assert change[:, 300] == pytest.approx(0.1, abs=1e-4)


def test_levels_that_hold_nothing_do_not_make_steps():
    counts = np.zeros((3, BINS), np.int32)
    counts[:, [200, 800]] = 5000
    quantiles = ops.quantiles(counts, POINTS)
    target = quantiles.copy()
    target[:, POINTS // 2 :] += np.float32(0.1)
    change = tone_change(counts, quantiles, target, size=1024, slope=(0.4, 2.5))
    steep = 1 + np.diff(change.astype(np.float64), axis=1) * 1023
    assert steep.min() > 0.39
    assert steep.max() < 2.51
