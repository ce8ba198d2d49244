"""What light does to code values, against the transfer functions in float64."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.frame import Transfer
from reelmend.stages.deflicker.light import light_of

# --- the reference -----------------------------------------------------------------------------------------------


def pq_to_light(code):
    """SMPTE ST 2084 table 1, 1 = 10,000 cd/m2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    p = np.asarray(code, np.float64) ** (1 / m2)
    return (np.maximum(p - c1, 0) / (c2 - c3 * p)) ** (1 / m1)


def light_to_pq(light):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = np.asarray(light, np.float64) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def hlg_to_light(code):
    """ITU-R BT.2100 table 5, 1 = peak."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    code = np.asarray(code, np.float64)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def light_to_hlg(light):
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.asarray(light, np.float64)
    return np.where(light <= 1 / 12, np.sqrt(3 * light), a * np.log(np.maximum(12 * light - b, 1e-9)) + c)


CURVES = {
    Transfer.UNSPECIFIED: (lambda x: np.asarray(x, np.float64), lambda x: x),  # gains are of code values
    Transfer.PQ: (pq_to_light, light_to_pq),
    Transfer.HLG: (hlg_to_light, light_to_hlg),
}
ALL = list(CURVES)
HDR = [Transfer.PQ, Transfer.HLG]
SIZE = 4096
CODES = np.linspace(0, 1, SIZE)


def response_at(light, code):
    return np.interp(code, CODES, light.response(SIZE)[0].astype(np.float64))


def test_the_reference_is_the_standard():
    assert pq_to_light([0.508078, 0.751827, 1]) == pytest.approx([0.01, 0.1, 1], rel=1e-4)
    assert hlg_to_light([0.5, 0.75, 1]) == pytest.approx([1 / 12, 0.26496256, 1], rel=1e-5)
    for to_light, to_code in CURVES.values():
        assert to_code(to_light(CODES[1:])) == pytest.approx(CODES[1:], abs=1e-9)


# --- shape -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transfer", list(Transfer))
def test_every_transfer_has_a_light(transfer):
    light = light_of(transfer)
    x = np.linspace(0, 1, 777, dtype=np.float32)
    log, response = light.log(x), light.response(777)
    assert log.dtype == response.dtype == np.float32
    assert response.shape == (3, 777)
    assert np.isfinite(log).all()
    assert np.isfinite(response).all()
    assert (response >= 0).all()
    assert (np.diff(log) >= 0).all()
    assert log[-1] > log[0] + 1
    assert light_of(transfer) is light


@pytest.mark.parametrize("transfer", ALL)
def test_log_is_finite_outside_the_range(transfer):
    got = light_of(transfer).log(np.array([-1e3, -0.1, 0, 1, 1.2, 1e3], np.float32))
    assert np.isfinite(got).all()
    assert (np.diff(got) >= 0).all()


@pytest.mark.parametrize("transfer", ALL)
def test_codes_of_ten_bits_are_told_apart(transfer):
    """Strictly rising, from where the picture is (a hundredth of the range) on."""
    light = light_of(transfer)
    assert (np.diff(light.log(np.linspace(0.01, 1, 1000, dtype=np.float32))) > 0).all()


@pytest.mark.parametrize("transfer", ALL)
def test_pictures_keep_their_shape(transfer):
    x = np.random.default_rng(0).random((2, 3, 5, 7), np.float32)
    assert light_of(transfer).log(x).shape == x.shape


# --- light -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transfer", ALL)
@pytest.mark.parametrize("factor", [0.8, 0.95, 1.05, 1.25])
def test_a_difference_is_a_change_of_light(transfer, factor):
    """Where it is not dark, log(b) - log(a) is the log of the factor between their lights."""
    to_light, to_code = CURVES[transfer]
    a = np.linspace(0.35, 0.7, 100)
    b = to_code(to_light(a) * factor)
    light = light_of(transfer)
    got = light.log(b.astype(np.float32)) - light.log(a.astype(np.float32))
    assert got == pytest.approx(np.log(factor), rel=0.08, abs=0.003)


@pytest.mark.parametrize("transfer", HDR)
def test_the_response_is_the_derivative(transfer):
    """d code / d log light, of light without a floor, where it is not dark."""
    to_light, _ = CURVES[transfer]
    codes = np.linspace(0.3, 0.98, 300)
    step = 1e-5
    slope = (np.log(to_light(codes + step)) - np.log(to_light(codes - step))) / (2 * step)
    assert response_at(light_of(transfer), codes) == pytest.approx(1 / slope, rel=0.05)


def test_a_gamma_coded_response_is_the_code():
    assert light_of(Transfer.BT709).response(SIZE) == pytest.approx(np.tile(CODES, (3, 1)), abs=1e-6)


@pytest.mark.parametrize("transfer", ALL)
@pytest.mark.parametrize("factor", [0.9, 0.97, 1.03, 1.1])
def test_adding_gain_times_response_undoes_a_change(transfer, factor):
    """To first order: what is left is of the order of the square of the change."""
    to_light, to_code = CURVES[transfer]
    light = light_of(transfer)
    truth = np.linspace(0.3, 0.8, 200)
    changed = to_code(to_light(truth) * factor)
    gain = float(light.gain(np.float32(-np.log(factor))))
    undone = changed + gain * response_at(light, changed)
    assert np.abs(undone - truth).max() < 0.02 * np.abs(changed - truth).max() + 1.0 * np.log(factor) ** 2


@pytest.mark.parametrize("transfer", ALL)
@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_undoing_never_makes_it_worse_however_dark(transfer, factor):
    """A gain measured where it is bright is applied to what is dark as well."""
    to_light, to_code = CURVES[transfer]
    light = light_of(transfer)
    truth = np.linspace(0.002, 0.8, 800)
    changed = to_code(to_light(truth) * factor)
    gain = float(light.gain(np.float32(-np.log(factor))))
    undone = changed + gain * response_at(light, changed)
    assert (np.abs(undone - truth) <= np.abs(changed - truth) + 2e-3).all()


@pytest.mark.parametrize("transfer", ALL)
def test_black_stays_black(transfer):
    """More or less of no light is no light."""
    assert light_of(transfer).response(SIZE)[:, 0] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("transfer", ALL)
def test_the_gain_of_no_change_is_nothing(transfer):
    light = light_of(transfer)
    assert not light.gain(np.zeros((3, 1, 4, 5), np.float32)).any()
    change = np.linspace(-0.4, 0.4, 9, dtype=np.float32)
    assert (np.diff(light.gain(change)) > 0).all()
    assert np.sign(light.gain(change)) == pytest.approx(np.sign(change))
