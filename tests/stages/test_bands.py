"""Bands: evidence in rows, and the wave that is told from their changes."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.stages.deflicker.bands import GROUPS, BandEvidence, Wave, find_wave, weigh_bands

ROWS = 36
Y = (np.arange(ROWS) + 0.5) / ROWS

# --- the reference -----------------------------------------------------------------------------------------------


def reference_weights(parts, brightness):
    """Coherence: mean product of two different parts over mean square of one. Level: root of that mean product."""
    own = np.asarray(parts, np.float64)
    own = own - own.mean(axis=2, keepdims=True)
    groups = own.shape[1]
    pairs = [(own[:, i] * own[:, j]).mean() for i in range(groups) for j in range(groups) if i != j]
    shared = max(float(np.mean(pairs)), 0.0)
    return shared / max(float((own**2).mean()), 1e-30), np.sqrt(shared) * brightness * 255


def light_of_rows(t, y, frequency, periods, amplitude, phase=0.0):
    """log light of a travelling wave, (frames, rows, channels): the definition in Wave's docstring."""
    turn = 2 * np.pi * (frequency * np.asarray(t)[:, None] + periods * np.asarray(y)[None, :] + phase)
    return np.cos(turn)[:, :, None] * np.atleast_1d(np.asarray(amplitude, np.float64))


def parts_of(wave, noise=0.0, seed=0):
    """Changes of rows (changes, GROUPS, rows) from light (frames, rows), each part with noise of its own."""
    changes = np.diff(wave, axis=0)[:, None, :]
    rng = np.random.default_rng(seed)
    return (changes + noise * rng.standard_normal((len(changes), GROUPS, wave.shape[1]))).astype(np.float32)


# --- evidence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("changes", [1, 5, 40])
def test_weights_are_those_of_the_reference(noise, changes):
    wave = light_of_rows(np.arange(changes + 1), Y, 0.21, 2.3, 0.1)[:, :, 0]
    parts = parts_of(wave, noise)
    coherence, level = weigh_bands(parts, 0.4)
    expected = reference_weights(parts, 0.4)
    assert coherence == pytest.approx(expected[0], abs=2e-3)
    assert level == pytest.approx(expected[1], rel=1e-2, abs=1e-3)


def test_light_in_rows_is_coherent_and_motion_is_not():
    wave = light_of_rows(np.arange(30), Y, 0.21, 2.3, 0.05)[:, :, 0]
    assert weigh_bands(parts_of(wave, 0.005), 0.5)[0] > 0.95
    assert weigh_bands(parts_of(0 * wave, 0.1), 0.5)[0] < 0.1


def test_light_of_the_whole_picture_is_no_band():
    rng = np.random.default_rng(0)
    wave = np.repeat(rng.standard_normal((30, 1)), ROWS, axis=1)
    coherence, level = weigh_bands(parts_of(wave, 0.01), 0.5)
    assert coherence < 0.2
    assert level < 1.0


def test_stillness_is_no_error():
    assert weigh_bands(np.zeros((9, GROUPS, ROWS), np.float32), 0.5) == (0.0, 0.0)
    assert weigh_bands(np.zeros((0, GROUPS, ROWS), np.float32), 0.5) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("evidence", "there", "gone"),
    [
        (BandEvidence(), False, False),
        (BandEvidence(0.9, 5.0, 0.9, 30), True, False),
        (BandEvidence(0.9, 5.0, 0.0, 30), True, False),
        (BandEvidence(0.6, 5.0, 0.9, 30), True, False),
        (BandEvidence(0.6, 5.0, 0.0, 30), False, False),
        (BandEvidence(0.5, 5.0, 0.9, 30), False, False),
        (BandEvidence(0.9, 0.3, 0.9, 30), False, False),
        (BandEvidence(0.9, 0.1, 0.9, 30), False, True),
        (BandEvidence(0.3, 5.0, 0.9, 30), False, True),
        (BandEvidence(0.9, 5.0, 0.9, 3), False, False),
        (BandEvidence(0.9, 5.0, 0.9, 4), True, False),
        (BandEvidence(0.7, 5.0, 0.9, 8), False, False),
    ],
)
def test_what_counts_as_there_and_as_gone(evidence, there, gone):
    assert evidence.is_there == there
    assert evidence.is_gone == gone


@pytest.mark.parametrize("lock", [0.0, 0.29, 0.31, 1.0])
@pytest.mark.parametrize("changes", [0, 3, 4, 11, 12, 40])
def test_confidence_agrees_with_the_verdict_and_rises(lock, changes):
    last = 0.0
    for coherence in np.linspace(0, 1, 101):
        evidence = BandEvidence(float(coherence), 5.0, lock, changes)
        assert 0 <= evidence.confidence <= 1
        assert (evidence.confidence >= 0.5) == evidence.is_there
        assert evidence.confidence >= last
        last = evidence.confidence


# --- the wave ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency", [-0.45, -0.333, -0.1, 0.04, 0.167, 0.333, 0.49])
@pytest.mark.parametrize("periods", [0.7, 1.5, 3.5, 8.0])
def test_a_wave_is_found(frequency, periods):
    t = np.arange(41)
    light = light_of_rows(t, Y, frequency, periods, [0.10, 0.08, 0.12], phase=0.3)
    wave = find_wave(np.diff(light, axis=0), t)
    assert wave.share > 0.98
    assert wave.frequency == pytest.approx(frequency, abs=1e-3)
    assert wave.periods == pytest.approx(periods, abs=0.05)
    assert wave.amplitude == pytest.approx(0.12, rel=0.05)
    for k in (0, 7, 40):
        assert wave.at(k, Y) == pytest.approx(light[k], abs=0.015)


@pytest.mark.parametrize("seed", range(3))
def test_a_wave_is_found_in_noise(seed):
    t = np.arange(33)
    light = light_of_rows(t, Y, 0.167, 2.2, [0.08] * 3)
    changes = np.diff(light, axis=0) + 0.04 * np.random.default_rng(seed).standard_normal((32, ROWS, 3))
    wave = find_wave(changes, t)
    assert wave.frequency == pytest.approx(0.167, abs=2e-3)
    assert wave.periods == pytest.approx(2.2, abs=0.1)
    assert wave.at(16, Y) == pytest.approx(light[16], abs=0.02)


def test_few_changes_are_enough_where_there_is_no_noise():
    t = np.arange(9)
    light = light_of_rows(t, Y, 0.333, 2.4, [0.1] * 3)
    wave = find_wave(np.diff(light, axis=0), t)
    assert wave.share > 0.95
    assert wave.at(4, Y) == pytest.approx(light[4], abs=0.02)


def test_frames_that_are_missing_are_reckoned_with():
    """A flash parts a shot: its numbers go on, and so does the wave."""
    t = np.concatenate([np.arange(20), np.arange(23, 41)])
    light = light_of_rows(t, Y, 0.21, 2.6, [0.1] * 3)
    wave = find_wave(np.diff(light, axis=0), t)
    assert wave.share > 0.95
    assert wave.at(40, Y) == pytest.approx(light[-1], abs=0.02)


def test_the_second_harmonic_is_found():
    """The log of 1 + a cos is no cosine."""
    t = np.arange(41)
    turn = light_of_rows(t, Y, 0.167, 2.2, [1.0])
    light = np.log(1 + 0.5 * turn)
    light -= light.mean()
    wave = find_wave(np.diff(light, axis=0), t)
    assert wave.share > 0.97
    assert wave.at(20, Y) == pytest.approx(light[20], abs=0.06)
    assert np.hypot(wave.coefficient[2, 0], wave.coefficient[3, 0]) > 0.05


def test_a_wave_of_before_is_followed():
    t = np.arange(41)
    before = find_wave(np.diff(light_of_rows(t, Y, 0.21, 2.30, [0.1] * 3), axis=0), t)
    light = light_of_rows(t + 4, Y, 0.2102, 2.31, [0.1] * 3)
    wave = find_wave(np.diff(light, axis=0), t + 4, before)
    assert wave.share > 0.98
    assert wave.frequency == pytest.approx(0.2102, abs=5e-4)
    assert wave.at(0, Y) == pytest.approx(light[0], abs=0.01)


def test_noise_has_no_wave():
    noise = np.random.default_rng(0).standard_normal((40, ROWS, 3))
    assert find_wave(noise, np.arange(41)).share < 0.15


def test_nothing_has_no_wave():
    wave = find_wave(np.zeros((20, ROWS, 3)), np.arange(21))
    assert wave.amplitude == pytest.approx(0, abs=1e-9)
    assert np.isfinite(wave.at(3, Y)).all()


def test_positive_frequency_moves_up():
    wave = Wave(0.1, 2.0, np.array([[1.0], [0.0]]), 1.0)
    heights = np.linspace(0.3, 0.7, 400)  # holds one crest, at 0.5 of frame 0
    tops = [float(heights[np.argmax(wave.at(t, heights)[:, 0])]) for t in range(4)]
    assert tops == pytest.approx([0.5, 0.45, 0.4, 0.35], abs=0.002)
