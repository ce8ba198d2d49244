"""Weights of frames and tone curves."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.stages.deflicker.curves import scene_weights, tone_change

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
