from itertools import pairwise

import numpy as np
import pytest

from reelmend.analyze.degrade import KINDS, Chain, make
from reelmend.errors import ArrayError, OptionError


def picture(dtype=np.uint8, height=48, width=64):
    rng = np.random.default_rng(5)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, 3)).astype(dtype)


@pytest.mark.parametrize("kind", [*KINDS, "pumping+gain_gamma"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_same_arguments_give_the_same_frames_in_any_order(kind, dtype):
    rgb = picture(dtype)
    kept = rgb.copy()
    one, other = make(kind, seed=3), make(kind, seed=3)
    forward = [one.apply(rgb, t) for t in range(40)]
    backward = [other.apply(rgb, t) for t in reversed(range(40))][::-1]
    assert all(a.dtype == dtype and np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert np.array_equal(rgb, kept)
    assert any(not np.array_equal(a, rgb) for a in forward) or kind == "fade"


@pytest.mark.parametrize("kind", KINDS)
def test_no_strength_changes_nothing(kind):
    rgb = picture()
    flicker = make(kind, strength=0.0)
    assert all(np.array_equal(flicker.apply(rgb, t), rgb) for t in (0, 7, 80))


@pytest.mark.parametrize("kind", ["gain_gamma", "pumping", "additive", "white_balance", "local", "batches"])
def test_seeds_differ(kind):
    rgb = picture()
    assert not np.array_equal(make(kind, seed=0).apply(rgb, 5), make(kind, seed=1).apply(rgb, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_bits_agree_with_eight(kind):
    rgb = picture()
    low = make(kind, seed=2).apply(rgb, 60).astype(float)
    high = make(kind, seed=2).apply(rgb.astype(np.uint16) * 257, 60) / 257
    assert np.abs(high - low).max() <= 0.51


def test_ten_bits_stay_below_their_peak():
    rgb = picture(np.uint16) >> 6
    assert make("gain_gamma", strength=4).apply(rgb, 3, peak=1023).max() <= 1023


def test_gain_gamma_is_the_documented_map():
    flicker = make("gain_gamma", seed=9)
    p = flicker.parameters(4)
    rgb = picture()
    expected = np.clip(p["gain"] * (rgb / 255.0) ** p["gamma"], 0, 1) * 255
    assert np.abs(flicker.apply(rgb, 4) - expected).max() <= 0.5 + 1e-9


def test_gain_gamma_statistics():
    drawn = [make("gain_gamma", seed=1).parameters(t) for t in range(4000)]
    gain, gamma = (np.log([p[key] for p in drawn]) for key in ("gain", "gamma"))
    assert gain.std() == pytest.approx(0.15, rel=0.05)
    assert gamma.std() == pytest.approx(0.12, rel=0.05)
    assert abs(gain.mean()) < 0.01
    assert abs(np.corrcoef(gain[1:], gain[:-1])[0, 1]) < 0.05
    assert abs(np.corrcoef(gain, gamma)[0, 1]) < 0.05


def test_pumping_is_first_order_autoregressive():
    flicker = make("pumping", seed=4)
    log_gain = np.log([flicker.parameters(t)["gain"] for t in range(8000)])
    assert log_gain.std() == pytest.approx(0.15, rel=0.12)
    assert np.corrcoef(log_gain[1:], log_gain[:-1])[0, 1] == pytest.approx(0.9, abs=0.03)


def test_additive_windows():
    flicker = make("additive", seed=0)
    drawn = [flicker.parameters(t) for t in range(7000)]
    lengths = {p["window"]: p["length"] for p in drawn[:-12]}
    assert set(lengths.values()) == set(range(2, 13))
    for window in (0, 3, 10):
        assert sum(p["window"] == window for p in drawn) == lengths[window]
    shift = np.array([p["shift"] for p in drawn])
    means = np.array([shift[[p["window"] == w for p in drawn]].mean(0) for w in range(200)])
    assert means.std() == pytest.approx(0.4 / np.sqrt(12), rel=0.15)
    inside = np.diff(shift, axis=0)[[a["window"] == b["window"] for a, b in pairwise(drawn)]]
    assert inside.std() == pytest.approx(0.04 * np.sqrt(2), rel=0.05)


def test_white_balance_keeps_the_luma_of_gray():
    gray = np.full((8, 8, 3), 30000, np.uint16)
    flicker = make("white_balance", seed=2)
    for t in range(5):
        out = flicker.apply(gray, t).astype(float)
        assert out[0, 0] @ (0.2126, 0.7152, 0.0722) == pytest.approx(30000, abs=1)
        assert np.ptp(out[0, 0]) > 100


def test_bands_are_the_documented_cosine():
    flat = np.full((90, 4, 3), 20000, np.uint16)
    bands = make("bands", fps=30)
    out = bands.apply(flat, 7)
    drawn = bands.parameters(0)
    y = np.arange(90)
    expected = 20000 * (1 + 0.25 * np.cos(2 * np.pi * (100 / 30 * 7 + drawn["phase"] + drawn["periods"] * y / 90)))
    assert 1.5 <= drawn["periods"] < 3.5
    assert drawn != make("bands", seed=1, fps=30).parameters(0)
    assert np.abs(out[:, 0, 0] - expected).max() < 1
    assert np.array_equal(make("bands", fps=25).apply(flat, 0), make("bands", fps=25).apply(flat, 1))
    assert not np.array_equal(make("bands120", fps=25).apply(flat, 0), make("bands120", fps=25).apply(flat, 1))


@pytest.mark.parametrize("period", [2, 3])
def test_alternation_repeats(period):
    rgb = picture()
    flicker = make(f"alternation{period}")
    frames = [flicker.apply(rgb, t) for t in range(period + 1)]
    assert np.array_equal(frames[0], frames[period])
    assert not np.array_equal(frames[0], frames[1])


def test_flashes_are_single_frames():
    flicker = make("flash", seed=6)
    at = [t for t in range(500) if flicker.parameters(t)["flash"]]
    assert len(at) == 20
    assert min(np.diff(at)) > 4


def test_fade_reaches_black_and_comes_back():
    gains = [make("fade").parameters(t)["gain"] for t in range(96)]
    assert gains[:48] == [1.0] * 48
    assert min(gains) < 0.03
    assert gains[-1] > 0.95


def test_batches_step_only_at_their_border():
    flicker = make("batches", seed=1)
    gains = [flicker.parameters(t)["gain"] for t in range(48)]
    assert [t for t in range(1, 48) if gains[t] != gains[t - 1]] == [16, 32]


def test_local_leaves_the_corners_alone():
    flat = np.full((90, 160, 3), 20000, np.uint16)
    difference = np.abs(make("local", seed=1).apply(flat, 3).astype(int) - 20000).max(-1)
    assert difference.max() > 500
    assert (difference < 20).mean() > 0.15


def test_chain_applies_its_parts_in_order():
    rgb = picture()
    a, b = make("gain_gamma", seed=1), make("bands")
    assert np.array_equal(Chain(a, b).apply(rgb, 2), b.apply(a.apply(rgb, 2), 2))


def test_errors_name_what_was_wrong():
    with pytest.raises(OptionError, match="'rain'"):
        make("rain")
    with pytest.raises(OptionError, match="strength=-1"):
        make("bands", strength=-1)
    with pytest.raises(ArrayError, match="float64"):
        make("bands").apply(np.zeros((4, 4, 3)), 0)
