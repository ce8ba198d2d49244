"""Filtered illumination, singular frames and exposure, against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.analyze.scenes import Film
from reelmend.frame import Frame
from reelmend.stages.deflicker.exposure import (
    CERTAIN,
    HIGH,
    LOW,
    NEIGHBOURS,
    RADIUS,
    SCALE,
    divergences,
    exposed_share,
    filtered_illumination,
    singular_frames,
)
from reelmend.stages.deflicker.signature import BINS, tones_of

# --- the reference -----------------------------------------------------------------------------------------------

POINTS = 256


def reference_quantiles(counts):
    """Level at rank (k + 1/2) / POINTS, by straight lines between the mid-ranks of the levels that hold something."""
    counts = np.asarray(counts, np.float64)
    held = np.flatnonzero(counts)
    rank = (np.cumsum(counts) - counts / 2)[held] / counts.sum()
    return np.interp((np.arange(POINTS) + 0.5) / POINTS, rank, held / (len(counts) - 1))


def reference_illumination(histograms, radius, scale):
    """Frame by frame, neighbour by neighbour."""
    n, bins = histograms.shape
    quantiles = [reference_quantiles(h) for h in histograms]
    tables = np.empty((n, bins))
    for t in range(n):
        total, weight = np.zeros(POINTS), 0.0
        for s in range(n):
            if abs(s - t) <= radius:
                w = np.exp(-((s - t) ** 2) / (4 * scale))
                total += w * quantiles[s]
                weight += w
        counts = histograms[t].astype(np.float64)
        rank = (np.cumsum(counts) - counts / 2) / counts.sum()
        tables[t] = np.interp(rank, (np.arange(POINTS) + 0.5) / POINTS, total / weight)
    return tables


def paper_rule(kl, neighbours):
    """KL greater than its mean over t - n .. t + n, cut off at the ends."""
    return np.array([kl[t] > np.mean(kl[max(0, t - neighbours) : t + neighbours + 1]) for t in range(len(kl))])


def histograms_of(gains, bins=BINS, seed=0):
    """V of one picture at each gain."""
    values = np.random.default_rng(seed).beta(2, 3, 20000) * 0.8
    at = np.rint(np.clip(np.outer(gains, values), 0, 1) * (bins - 1)).astype(int)
    return np.stack([np.bincount(a, minlength=bins) for a in at]).astype(np.int32)


@pytest.fixture(scope="module")
def picture():
    return Film(4, width=160, height=96)[0]


# --- filtered illumination ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "scale"), [(RADIUS, SCALE), (0, 1.0), (2, 0.5), (40, 20.0)])
@pytest.mark.parametrize("frames", [1, 2, 7, 20])
def test_illumination_is_the_reference(radius, scale, frames):
    gains = np.exp(0.1 * np.random.default_rng(frames).standard_normal(frames))
    histograms = histograms_of(gains)
    tables = filtered_illumination(histograms, radius=radius, scale=scale)
    assert tables.shape == histograms.shape
    assert tables.dtype == np.float32
    assert tables == pytest.approx(reference_illumination(histograms, radius, scale), abs=2e-5)


def test_tables_rise_and_stay_in_range():
    tables = filtered_illumination(histograms_of(np.linspace(0.5, 1.4, 12)))
    assert (np.diff(tables, axis=1) >= 0).all()
    assert tables.min() >= 0
    assert tables.max() <= 1


def test_of_equal_frames_are_the_identity_where_there_are_pixels():
    histograms = histograms_of(np.ones(9))
    held = histograms[0] > 0
    inner = held & (np.cumsum(histograms[0]) > 200) & (np.cumsum(histograms[0]) < 19800)
    levels = np.arange(BINS) / (BINS - 1)
    assert filtered_illumination(histograms)[:, inner] == pytest.approx(
        np.broadcast_to(levels[inner], (9, inner.sum())), abs=1.5 / 255
    )


def test_an_empty_histogram_is_no_error():
    histograms = histograms_of(np.ones(3))
    histograms[1] = 0
    tables = filtered_illumination(histograms)
    assert np.isfinite(tables).all()
    assert np.isfinite(divergences(histograms, tables)).all()
    assert singular_frames(histograms, tables).shape == (3,)
    assert exposed_share(histograms[1], tables[1]) == 0


# --- singular frames ---------------------------------------------------------------------------------------------


def test_divergences_are_not_negative_and_zero_without_change():
    calm = histograms_of(np.ones(9))
    assert np.abs(divergences(calm, filtered_illumination(calm))).max() < 2e-3
    wild = histograms_of(np.exp(0.2 * np.random.default_rng(0).standard_normal(20)))
    kl = divergences(wild, filtered_illumination(wild))
    assert (kl >= 0).all()
    assert kl.max() > 0.05


def test_divergence_rises_with_the_change():
    kl = []
    for gain in (1.0, 1.05, 1.1, 1.2, 1.4):
        histograms = histograms_of([1, 1, 1, 1, gain, 1, 1, 1, 1])
        kl.append(divergences(histograms, filtered_illumination(histograms))[4])
    assert (np.diff(kl) > 0).all()


@pytest.mark.parametrize("neighbours", [1, NEIGHBOURS, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_rule_is_that_of_the_paper(seed, neighbours):
    """With nothing certain by itself."""
    gains = np.exp(0.04 * np.random.default_rng(seed).standard_normal(30))
    histograms = histograms_of(gains)
    tables = filtered_illumination(histograms)
    kl = divergences(histograms, tables)
    assert kl.min() > 0
    expected = paper_rule(kl, neighbours) & (kl > 1e-4)
    assert np.array_equal(singular_frames(histograms, tables, neighbours=neighbours, certain=np.inf), expected)
    assert expected.any()
    assert not expected.all()


@pytest.mark.parametrize("at", [0, 3, 10, 20])
def test_a_frame_that_stands_out_is_singular(at):
    gains = np.ones(21)
    gains[at] = 1.3
    histograms = histograms_of(gains)
    found = singular_frames(histograms, filtered_illumination(histograms))
    assert found[at]
    far = np.abs(np.arange(21) - at) > RADIUS + NEIGHBOURS
    assert not found[far].any()


def test_equal_frames_are_not_singular():
    histograms = histograms_of(np.ones(20))
    assert not singular_frames(histograms, filtered_illumination(histograms)).any()
    assert not singular_frames(histograms[:1], filtered_illumination(histograms[:1])).any()


def test_where_all_frames_flicker_most_are_singular():
    """The paper's rule alone leaves out about half of them: those below the mean of their neighbours."""
    gains = np.exp(0.25 * np.random.default_rng(1).choice((-1, 1), 40) * np.linspace(0.8, 1.2, 40))
    histograms = histograms_of(gains)
    tables = filtered_illumination(histograms)
    alone = singular_frames(histograms, tables, certain=np.inf).mean()
    both = singular_frames(histograms, tables, certain=CERTAIN).mean()
    assert alone < 0.7
    assert both > 0.8
    assert both > alone + 0.2


# --- exposure ----------------------------------------------------------------------------------------------------


def map_of(picture, table, **limits):
    return ops.exposure_map(picture, table=table, color="rgb", **limits)


@pytest.mark.parametrize("gain", [0.15, 0.6, 1.0, 1.8])
@pytest.mark.parametrize(("low", "high"), [(LOW, HIGH), (0.2, 0.6), (0.0, 1.0)])
def test_the_share_is_that_of_the_map(picture, gain, low, high):
    """Of a real picture among others of other exposures, 8 bits."""
    shown = [np.clip(picture * g, 0, 255).astype(np.uint8) for g in (1.0, gain, 0.9)]
    histograms = [tones_of(Frame.from_array(p), (0, 0, 160, 96)).value for p in shown]
    tables = filtered_illumination(histograms)
    for own in range(3):
        marked = map_of(shown[own], tables[own], low=low, high=high).mean()
        assert exposed_share(histograms[own], tables[own], low=low, high=high) == pytest.approx(marked, abs=1e-6)
    if (low, high) == (0.2, 0.6):
        assert 0 < marked < 1


def test_the_share_of_black_and_of_white_is_all():
    identity = np.linspace(0, 1, BINS, dtype=np.float32)
    for level, share in ((0, 1.0), (BINS // 2, 0.0), (BINS - 1, 1.0)):
        counts = np.zeros(BINS, np.int32)
        counts[level] = 77
        assert exposed_share(counts, identity) == share


def test_thresholds_are_exclusive():
    table = np.array([0.0, LOW, 0.5, HIGH, 1.0], np.float32)
    low, high = float(table[1]), float(table[3])
    assert exposed_share(np.array([1, 2, 4, 8, 16]), table, low=low, high=high) == pytest.approx(17 / 31)
