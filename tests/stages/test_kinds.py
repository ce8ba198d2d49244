"""What the light of the whole picture does over time, on changes that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.analyze.degrade import make
from reelmend.stages.deflicker.kinds import FADE, alternation, color_share, fade_of, flash_of, steps

GROUPS = 12
FRAMES = 65


def levels_of(values, noise=0.0, seed=0, groups=None, channels=(1, 1, 1)):
    """(frames, 3, groups) levels: a value a frame, times a factor a channel and a group, and noise."""
    rng = np.random.default_rng(seed)
    groups = np.ones(GROUPS) if groups is None else np.asarray(groups, float)
    level = np.asarray(values, float)[:, None, None] * np.asarray(channels, float)[None, :, None] * groups
    return level + noise * rng.standard_normal((len(values), 3, GROUPS))


def changes_of(levels):
    return np.diff(levels, axis=0).astype(np.float32)


def swing(period, frames=FRAMES, strength=4.0, phase=0):
    return strength * np.cos(2 * np.pi * (np.arange(frames) + phase) / period)


def white(frames=FRAMES, strength=4.0, seed=1):
    return strength * np.random.default_rng(seed).standard_normal(frames)


def windows(frames=FRAMES, seed=0):
    """Red of mid gray under additive windows, in levels."""
    kind = make("additive", seed=seed)
    return np.array([255 * float(kind.parameters(t)["shift"][0]) for t in range(frames)])


def motion(frames=FRAMES, strength=6.0, seed=2):
    return levels_of(np.zeros(frames), strength, seed)


def pan(frames=FRAMES, seed=3):
    """Each group drifts by itself, as content passes under it."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None]
    parts = rng.uniform((4, 0.03, 0), (25, 0.15, 6.28), (3, GROUPS, 4, 3))
    return sum(parts[..., k, 0] * np.sin(parts[..., k, 1] * t + parts[..., k, 2]) for k in range(4))


NEITHER = {
    "stillness": levels_of(np.zeros(FRAMES)),
    "noise": levels_of(np.zeros(FRAMES), 0.2),
    "random motion": motion(),
    "a pan": pan(),
    "a ramp": levels_of(np.linspace(0, 120, FRAMES), 0.1),
    "a slow wave": levels_of(20 * np.sin(np.arange(FRAMES) / 9), 0.1),
    "a step": levels_of(np.where(np.arange(FRAMES) >= 30, 20.0, 0.0), 0.1),
    "two steps": levels_of(20.0 * (np.arange(FRAMES) // 25), 0.1),
    "a flash": levels_of(np.where(np.arange(FRAMES) == 30, 60.0, 0.0), 0.1),
    "three flashes": levels_of(np.where(np.isin(np.arange(FRAMES), [11, 30, 52]), 60.0, 0.0), 0.1),
    "white flicker": levels_of(white(), 0.1),
    "pumping": levels_of(np.cumsum(white(strength=2.0)), 0.1),
    "additive windows": levels_of(windows(), 0.1),
    "other additive windows": levels_of(windows(seed=4), 0.1),
}

# --- alternation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.parametrize("phase", [0, 1, 2])
@pytest.mark.parametrize("first", [1, 2, 3, 1000])
def test_alternation_is_found_at_any_phase(period, phase, first):
    found = alternation(changes_of(levels_of(swing(period, phase=phase), 0.1)), first)
    assert found is not None
    assert found.period == period
    assert found.confidence > 0.9
    assert found.strength == pytest.approx(np.sqrt((swing(period) ** 2).mean()), rel=0.15)


@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.parametrize("also", ["a ramp", "a slow wave", "a pan", "noise"])
def test_alternation_is_found_beside_what_is_no_flicker(period, also):
    found = alternation(changes_of(levels_of(swing(period, strength=6.0)) + 0.3 * NEITHER[also]), 1)
    assert found is not None
    assert found.period == period


@pytest.mark.parametrize("period", [2, 3])
def test_alternation_of_one_channel_is_enough(period):
    found = alternation(changes_of(levels_of(swing(period), 0.05, channels=(0, 0, 1))), 1)
    assert found is not None
    assert found.period == period


@pytest.mark.parametrize("kind", NEITHER)
def test_what_does_not_alternate(kind):
    assert alternation(changes_of(NEITHER[kind]), 1) is None


@pytest.mark.parametrize("period", [4, 5, 7, 16])
def test_longer_periods_are_not_alternation(period):
    found = alternation(changes_of(levels_of(swing(period), 0.1)), 1)
    assert found is None


def test_half_of_the_groups_are_not_the_picture():
    half = np.where(np.arange(GROUPS) < GROUPS // 2 - 1, 1.0, 0.0)
    assert alternation(changes_of(levels_of(swing(2), 0.05, groups=half)), 1) is None


@pytest.mark.parametrize("period", [2, 3])
def test_weak_or_short_alternation_says_nothing(period):
    """Three periods must have been seen; few changes must leave no doubt."""
    assert alternation(changes_of(levels_of(swing(period, strength=0.2), 0.01)), 1) is None
    for count in range(3 * period):
        assert alternation(changes_of(levels_of(swing(period, frames=count + 1))), 1) is None
    assert alternation(changes_of(levels_of(swing(period, frames=3 * period + 1))), 1) is not None
    assert alternation(changes_of(levels_of(swing(period, frames=3 * period + 1, strength=0.8))), 1) is None
    assert alternation(np.zeros((0, 3, GROUPS), np.float32), 1) is None


@pytest.mark.parametrize(("count", "share"), [(6, 0.10), (9, 0.10), (12, 0.10), (24, 0.01), (64, 0.0)])
def test_white_flicker_rarely_looks_like_alternation(count, share):
    found = [alternation(changes_of(levels_of(white(count + 1, seed=seed), 0.1)), 1) for seed in range(400)]
    assert np.mean([f is not None for f in found]) <= share


# --- steps -------------------------------------------------------------------------------------------------------


def stairs(frames=129, beat=16, strength=6.0, seed=0, at=3):
    levels = strength * np.random.default_rng(seed).choice((-1.0, 1.0), frames) * (1 + np.arange(frames) % 3 / 5)
    return levels[(np.arange(frames) + at) // beat]


def found_steps(levels, first=1):
    changes = changes_of(levels)
    return steps(changes, first + np.arange(len(changes)))


# a level that happens to stay over a beat gives no step there
@pytest.mark.parametrize("beat", [8, 13, 16, 24])
@pytest.mark.parametrize("seed", range(3))
def test_steps_on_a_beat_are_found(beat, seed):
    rng = np.random.default_rng(seed)
    values = np.cumsum(rng.choice((-1, 1), 16) * rng.uniform(3, 9, 16))[(np.arange(8 * beat) + 3) // beat]
    found = found_steps(levels_of(values, 0.1, seed))
    assert found is not None
    assert found.period == beat
    assert found.confidence >= 0.5
    assert 3 <= found.strength <= 9


def test_steps_do_not_depend_on_the_number_of_the_first_frame():
    a, b = (found_steps(levels_of(stairs(), 0.1), first) for first in (1, 1003))
    assert a is not None
    assert a == b


def test_a_beat_that_is_missed_once_is_still_one():
    """Two batches of one level leave a gap of two beats."""
    values = 6.0 * np.array([0, 1, 0, 1, 1, 0, 1, 0, 1])[np.arange(9 * 12) // 12]
    found = found_steps(levels_of(values, 0.1))
    assert found is not None
    assert found.period == 12


@pytest.mark.parametrize("kind", NEITHER)
def test_what_has_no_steps(kind):
    assert found_steps(NEITHER[kind]) is None


@pytest.mark.parametrize("seed", range(6))
def test_additive_windows_are_no_steps(seed):
    assert found_steps(levels_of(windows(200, seed), 0.1)) is None


def test_three_steps_are_too_few():
    assert found_steps(levels_of(6.0 * np.array([0, 1, 0, 1])[np.arange(64) // 16], 0.1)) is None


def test_an_exposure_that_settles_goes_one_way():
    assert found_steps(levels_of(5.0 * (np.arange(80) // 16), 0.1)) is None


def test_steps_at_random_are_not_on_a_beat():
    at = np.cumsum([17, 9, 25, 13, 31, 11, 21])
    values = 6.0 * (np.searchsorted(at, np.arange(140), side="right") % 2)
    assert found_steps(levels_of(values, 0.1)) is None


def test_steps_of_half_of_the_picture_do_not_count():
    half = np.where(np.arange(GROUPS) < GROUPS // 2 - 1, 1.0, 0.0)
    assert found_steps(levels_of(stairs(), 0.05, groups=half)) is None


def test_few_frames_have_no_steps():
    assert steps(np.zeros((0, 3, GROUPS), np.float32), np.zeros(0, np.int64)) is None
    assert found_steps(levels_of(stairs(10))) is None


# --- colour ------------------------------------------------------------------------------------------------------

MEANS = np.array([140.0, 100.0, 60.0], np.float32)


def test_gray_flicker_has_no_colour():
    deviations = levels_of(white(), channels=MEANS / 100).astype(np.float32)
    assert color_share(deviations, MEANS) < 0.01


def test_colour_against_colour_is_all_colour():
    deviations = levels_of(white(), channels=MEANS / 100 * (1, 0, -1)).astype(np.float32)
    assert color_share(deviations, MEANS) > 0.99


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_the_share_of_colour_is_that_of_its_energy(share):
    """Relative deviations: gray of variance 1 - share, and colour of zero mean and variance share, apart."""
    rng = np.random.default_rng(0)
    gray, colour = rng.standard_normal((2, 4000))
    gray, colour = gray / gray.std(), colour / colour.std()
    parts = np.sqrt(1 - share) * gray[:, None] + np.sqrt(share) * colour[:, None] * np.array([1, 0, -1]) * np.sqrt(1.5)
    deviations = np.repeat((0.05 * parts * MEANS)[:, :, None], GROUPS, axis=2).astype(np.float32)
    assert color_share(deviations, MEANS) == pytest.approx(share, abs=0.03)


def test_no_flicker_has_no_colour():
    assert color_share(np.zeros((30, 3, GROUPS), np.float32), MEANS) == 0
    assert np.isfinite(color_share(levels_of(white()).astype(np.float32), np.zeros(3, np.float32)))


# --- flashes -----------------------------------------------------------------------------------------------------


def flashing(at=10, length=1, size=40.0, frames=16, noise=0.2):
    values = np.zeros(frames)
    values[at : at + length] = size
    return levels_of(values, noise).astype(np.float32)


@pytest.mark.parametrize("size", [40.0, -40.0, 6.0])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_found_and_only_it(size, length):
    levels = flashing(length=length, size=size)
    found = [flash_of(levels, k) for k in range(len(levels))]
    assert found[10 : 10 + length] == pytest.approx([size] * length, abs=1.5)
    assert not any(found[:10] + found[10 + length :])


@pytest.mark.parametrize(
    "levels",
    [
        flashing(length=4),
        flashing(length=6, at=10),
        flashing(size=2.0),
        pan(16).astype(np.float32),
        levels_of(np.linspace(0, 80, 16)).astype(np.float32),
        levels_of(swing(2, 16)).astype(np.float32),
        np.zeros((16, 3, GROUPS), np.float32),
    ],
    ids=["four frames", "a step", "too weak", "pan", "ramp", "alternation", "stillness"],
)
def test_what_is_no_flash(levels):
    assert not any(flash_of(levels, k) for k in range(len(levels)))


@pytest.mark.parametrize("strength", [2, 6, 20])
def test_motion_is_hardly_ever_a_flash(strength):
    """Levels of groups that wander, each by itself, by this much a frame."""
    found = [
        bool(flash_of(np.cumsum(motion(16, strength, seed), axis=0).astype(np.float32), 10)) for seed in range(1000)
    ]
    assert np.mean(found) <= 0.005


def test_a_frame_of_flicker_is_rarely_a_flash():
    found = [bool(flash_of(levels_of(white(16, 10.0, seed), 0.1).astype(np.float32), 10)) for seed in range(1000)]
    assert np.mean(found) <= 0.02


def test_a_flash_in_a_part_of_the_picture_is_content():
    part = np.where(np.arange(GROUPS) < 5, 1.0, 0.0)
    values = np.where(np.arange(16) == 10, 40.0, 0.0)
    assert flash_of(levels_of(values, 0.1, groups=part).astype(np.float32), 10) == 0


def test_a_step_is_no_flash_once_it_stays():
    values = np.where(np.arange(16) >= 10, 40.0, 0.0)
    levels = levels_of(values, 0.2).astype(np.float32)
    assert not any(flash_of(levels, k) for k in range(10, 16))


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_few_frames_have_no_flash(frames):
    assert flash_of(flashing(at=0, frames=frames) if frames else np.zeros((0, 3, GROUPS), np.float32), 0) == 0


@pytest.mark.parametrize("own", [0, 15])
def test_a_flash_at_the_edge_of_what_is_known(own):
    """At the beginning nothing was before it: it is none. At the end it may be one."""
    found = flash_of(flashing(at=own), own)
    assert (found == 0) == (own == 0)


# --- fades -------------------------------------------------------------------------------------------------------

BRIGHT = np.broadcast_to(np.linspace(60, 180, GROUPS), (3, GROUPS)).astype(np.float32)


def fading(gains, noise=0.1):
    levels = np.asarray(gains)[:, None, None] * BRIGHT
    levels = levels + noise * np.random.default_rng(0).standard_normal(levels.shape)
    return changes_of(levels)


@pytest.mark.parametrize("end", [0.0, 0.6, 1.4])
@pytest.mark.parametrize("frames", [FADE + 1, 24])
def test_a_fade_is_found(end, frames):
    gains = np.linspace(1, end, frames)
    assert fade_of(fading(gains), BRIGHT * end) == pytest.approx((end - 1) * BRIGHT.mean(), rel=0.1)


def test_a_fade_may_speed_up():
    assert fade_of(fading(1 - np.linspace(0.2, 1, 12) ** 2 * 0.5), BRIGHT) < -20


@pytest.mark.parametrize(
    "changes",
    [
        fading(np.linspace(1, 0.5, FADE)),
        fading(np.ones(12)),
        fading(np.linspace(1, 0.97, 12)),
        fading(1 + 0.1 * np.random.default_rng(0).standard_normal(12)),
        fading(np.where(np.arange(12) < 6, 1.0, 0.6)),
        fading(np.concatenate([np.linspace(1, 0.6, 6), np.linspace(0.6, 1, 6)])),
        fading(1 + 0.1 * np.cos(np.pi * np.arange(12))),
        changes_of(motion(12)),
        changes_of(np.cumsum(np.ones(12))[:, None, None] * np.linspace(-6, 9, GROUPS) * np.ones((1, 3, 1))),
    ],
    ids=["too short", "stillness", "too little", "flicker", "step", "there and back", "alternation", "motion", "pan"],
)
def test_what_is_no_fade(changes):
    assert fade_of(changes, BRIGHT) == 0


def test_a_shadow_over_half_of_the_picture_is_no_fade():
    half = np.where(np.arange(GROUPS) < GROUPS // 2, 1.0, 0.0)
    levels = np.linspace(0, -60, 12)[:, None, None] * half * np.ones((1, 3, 1))
    assert fade_of(changes_of(levels), BRIGHT) == 0


@pytest.mark.parametrize("count", [0, 1])
def test_few_changes_are_no_fade(count):
    assert fade_of(np.full((count, 3, GROUPS), -5, np.float32), BRIGHT) == 0
