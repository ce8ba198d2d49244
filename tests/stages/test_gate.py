"""What counts as flicker, on levels that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.stages.deflicker.gate import MEDIAN, Evidence, Gate, Switch, deviation, group_changes, is_plain, weigh

GROUPS = 12


def common(values, noise=0.0, seed=0):
    """(frames, 3, groups): every group deviates by the frame's value, and by noise of its own."""
    rng = np.random.default_rng(seed)
    shape = (len(values), 3, GROUPS)
    return (np.asarray(values)[:, None, None] + noise * rng.standard_normal(shape)).astype(np.float32)


def noise(frames, strength, seed=0):
    return common(np.zeros(frames), strength, seed)


# --- changes and deviations --------------------------------------------------------------------------------------


def test_changes_are_in_eight_bit_levels():
    before = np.full((3, 18, 32), 0.25, np.float32)
    got = group_changes(before, before + np.float32(10 / 255))
    assert got.shape == (3, 12)
    assert got == pytest.approx(10, abs=1e-3)


def test_each_group_is_a_block_of_tiles():
    before, after = np.zeros((3, 18, 32), np.float32), np.zeros((3, 18, 32), np.float32)
    after[1, 6:12, 8:16] = 20 / 255  # row 1, column 1 of 3 x 4
    expected = np.zeros((3, 12))
    expected[1, 5] = 20
    assert group_changes(before, after) == pytest.approx(expected, abs=1e-3)


def test_motion_in_less_than_half_of_a_group_does_not_count():
    before, after = np.zeros((3, 18, 32), np.float32), np.zeros((3, 18, 32), np.float32)
    after[:, 0:6, 0:3] = 1
    assert not group_changes(before, after).any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 4), (5, 7), (17, 31)])
def test_any_number_of_tiles(shape):
    before = np.zeros((3, *shape), np.float32)
    got = group_changes(before, before + 1)
    assert got.shape == (3, 12)
    assert (got == 255).all()


def test_deviation_is_from_the_median_of_eleven():
    levels = [common([v])[0] for v in (0, 1, 2, 3, 4, 30, 6, 7, 8, 9, 10)]
    assert len(levels) == MEDIAN
    assert deviation(levels) == pytest.approx(30 - 6)


def test_a_ramp_does_not_deviate():
    assert not deviation([common([3.0 * v])[0] for v in range(11)]).any()


# --- evidence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.6, 2, 20])
def test_all_groups_together_are_flicker(strength):
    rng = np.random.default_rng(1)
    evidence = weigh(common(strength * rng.standard_normal(32), noise=0.1))
    assert evidence.flickers
    assert not evidence.is_calm
    assert evidence.coherence > 0.9
    assert evidence.level == pytest.approx(strength, rel=0.5)


@pytest.mark.parametrize("strength", [0.05, 1, 10, 50])
def test_each_group_by_itself_is_motion(strength):
    evidence = weigh(noise(32, strength))
    assert not evidence.flickers
    assert evidence.is_calm
    assert evidence.coherence < 0.3


def test_a_little_is_too_little():
    rng = np.random.default_rng(1)
    evidence = weigh(common(0.1 * rng.standard_normal(32)))
    assert not evidence.flickers
    assert evidence.is_calm


def test_a_few_flashes_are_not_flicker():
    values = np.zeros(32)
    values[[5, 20]] = 80
    assert not weigh(common(values, noise=0.05)).flickers


def test_one_channel_is_enough():
    rng = np.random.default_rng(1)
    deviations = noise(32, 0.1)
    deviations[:, 2] += 3 * rng.standard_normal(32)[:, None].astype(np.float32)
    assert weigh(deviations).flickers


def test_few_frames_say_nothing():
    rng = np.random.default_rng(1)
    evidence = weigh(common(5 * rng.standard_normal(11)))
    assert not evidence.flickers
    assert not evidence.is_calm
    assert evidence.frames == 11


def test_one_group_says_nothing():
    assert weigh(common(np.arange(30))[:, :, :1]) == Evidence(frames=30)


def test_stillness_is_calm_and_no_error():
    evidence = weigh(noise(30, 0.0))
    assert evidence.is_calm
    assert not evidence.flickers


# --- the first frames --------------------------------------------------------------------------------------------


def test_to_and_fro_is_plain():
    assert is_plain(list(common([10, -12, 9, -8, 11], noise=0.1)))


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [10, -10, 10],
        [5, 5, 5, 5, 5, 5],
        [-1, -2, -4, -8, -16],
        [0, 0, 40, 0, 0, 0],
        [0.5, -0.5, 0.5, -0.5, 0.5, -0.5],
        [0, 0, 80, -80, 0, 0],
    ],
    ids=["nothing", "too short", "fade", "faster fade", "step", "weak", "one flash"],
)
def test_what_is_not_plain(changes):
    assert not is_plain(list(common(changes, noise=0.02)) if changes else [])


def test_violent_motion_is_not_plain():
    assert not is_plain(list(noise(8, 20)))


# --- the gate ----------------------------------------------------------------------------------------------------

rng = np.random.default_rng(4)
FLICKER = list(common(5 * rng.standard_normal(32), noise=0.1))
CALM = list(noise(32, 0.3))


def test_shut_at_first():
    gate = Gate()
    assert gate.amount == 0
    gate.advance(1, [], [])
    assert gate.amount == 0


def test_opens_at_once_where_a_shot_begins():
    gate = Gate()
    gate.advance(1, FLICKER, [])
    assert gate.amount == 1


def test_opens_and_shuts_by_steps_within_a_shot():
    gate = Gate()
    gate.advance(1, CALM, [])
    seen = []
    for _ in range(Switch.RAMP + 2):
        gate.advance(1, FLICKER, [])
        seen.append(gate.amount)
    assert seen == pytest.approx([min(1, (k + 1) / Switch.RAMP) for k in range(Switch.RAMP + 2)])
    seen = []
    for _ in range(Switch.RAMP + 2):
        gate.advance(1, CALM, [])
        seen.append(gate.amount)
    assert seen == pytest.approx([max(0, 1 - (k + 1) / Switch.RAMP) for k in range(Switch.RAMP + 2)])


def test_stays_as_it_is_between_the_thresholds():
    between = list(common(0.25 * rng.standard_normal(32), noise=0.05))
    evidence = weigh(np.stack(between))
    assert not evidence.flickers
    assert not evidence.is_calm
    for first, amount in ((FLICKER, 1), (CALM, 0)):
        gate = Gate()
        gate.advance(1, first, [])
        gate.advance(1, between, [])
        assert gate.amount == amount


def test_too_few_frames_do_not_shut_it():
    gate = Gate()
    gate.advance(1, FLICKER, [])
    gate.advance(2, CALM[:5], list(noise(5, 0.3)))
    assert gate.amount == 1


def test_plain_flicker_opens_it_early():
    gate = Gate()
    gate.advance(1, [], list(common([10, -12, 9, -8, 11], noise=0.1)))
    assert gate.amount == 1


# --- the switch --------------------------------------------------------------------------------------------------


def test_a_switch_ramps_within_a_shot():
    switch, ramp = Switch(), Switch.RAMP
    assert switch.amount == 0
    switch.advance(1, False, False)
    up = [switch.advance(1, True, False) for _ in range(ramp + 1)]
    assert up == pytest.approx([min(1, (k + 1) / ramp) for k in range(ramp + 1)])
    down = [switch.advance(1, False, True) for _ in range(ramp + 1)]
    assert down == pytest.approx([max(0, 1 - (k + 1) / ramp) for k in range(ramp + 1)], abs=1e-9)
    assert switch.amount == down[-1]


def test_a_switch_keeps_still_between_opening_and_shutting():
    switch = Switch()
    switch.advance(1, True, False)
    assert [switch.advance(1, False, False) for _ in range(5)] == [1.0] * 5
    switch.advance(1, False, True)
    ramp = Switch.RAMP
    rest = [switch.advance(1, False, False) for _ in range(ramp)]
    assert rest == pytest.approx([max(0, 1 - (k + 2) / ramp) for k in range(ramp)], abs=1e-9)


def test_a_switch_does_not_ramp_across_a_cut():
    switch = Switch()
    switch.advance(1, False, False)
    assert switch.advance(2, True, False) == 1
    assert switch.advance(3, False, True) == 0
    assert switch.advance(4, True, False) == 1
    assert switch.advance(5, False, False) == 1  # flicker outlasts a cut unless it is said to be over


def test_opening_wins_over_shutting():
    switch = Switch()
    assert switch.advance(1, True, True) == 1


def test_a_switch_turned_midway_goes_back_from_where_it_is():
    switch = Switch()
    switch.advance(1, False, False)
    seen = [switch.advance(1, opens, not opens) for opens in (True, True, False, True, False, False, False)]
    assert seen == pytest.approx(np.array([1, 2, 1, 2, 1, 0, 0]) / Switch.RAMP, abs=1e-9)


@pytest.mark.parametrize("shuts", [False, True])
def test_flicker_of_a_period_opens_a_gate_and_keeps_it_open(shuts):
    calm = CALM if shuts else CALM[:5]
    gate = Gate()
    evidence = gate.advance(1, calm, [], regular=True)
    assert gate.amount == 1
    assert evidence.is_calm == shuts
    for _ in range(20):
        gate.advance(1, calm, [], regular=True)
    assert gate.amount == 1
    for _ in range(20):
        gate.advance(1, CALM, [])
    assert gate.amount == 0
