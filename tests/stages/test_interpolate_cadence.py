"""Pictures shown more than once: found, re-timed in one pass, and left alone where they are no cadence."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest

from reelmend import Stream
from reelmend.frame import Frame, PixelFormat
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.cadence import LONGEST, Cadence, is_repeat
from reelmend.stages.structure import structure_of

from .synthesised import LEARNED

RATE = Fraction(24)
WIDTH, HEIGHT = 160, 96


def _ground():
    y, x = np.mgrid[0 : HEIGHT + 64, 0 : WIDTH + 400].astype(np.float32)
    waves = np.sin(x / 7 + np.sin(y / 11)) + np.sin(y / 5 - x / 23) + 0.7 * np.sin(x / 3.1 + y / 4.3)
    return 128 + 30 * waves


GROUND = _ground()


def picture(place, noise=0.0, seed=0):
    """The ground as seen from `place` pixels to the right (linear between whole pixels), with noise."""
    whole = int(np.floor(place))
    part = np.float32(place - whole)
    view = GROUND[:HEIGHT, whole : whole + WIDTH] * (1 - part) + GROUND[:HEIGHT, whole + 1 : whole + 1 + WIDTH] * part
    view = view + noise * np.random.default_rng(seed).standard_normal(view.shape)
    return np.clip(view + 0.5, 0, 255).astype(np.uint8)


def shown(runs, step=4.0, noise=0.0):
    """One picture a run, each `step` pixels on, shown as often as the run says; every frame has noise of its own."""
    places = [k * step for k, n in enumerate(runs) for _ in range(n)]
    return [
        Frame((picture(p, noise, t),), PixelFormat.parse("gray"), t, 1 / RATE, 1) for t, p in enumerate(places)
    ], places


def grouped(frames, cadence=None):
    """Numbers of frames in each picture that the cadence gives."""
    cadence = cadence or Cadence()
    out = [s for f in frames for s in cadence.push(f, 1, structure_of(f))]
    out += cadence.flush()
    assert [f.pts for s in out for f in (s.frame, *s.repeats)] == [f.pts for f in frames]
    return [1 + len(s.repeats) for s in out]


# --- grouping by itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 1.5, 4.0])
@pytest.mark.parametrize("runs", [[2] * 30, [3] * 30, [2, 3] * 15, [3, 2, 2] * 10, [2, 1, 2, 2, 2] * 6], ids=str)
def test_a_cadence_is_found_and_kept(runs, noise):
    """Frame by frame until it is found, within twelve pictures; picture by picture from there on."""
    frames, _ = shown(runs, noise=noise)
    found = grouped(frames)
    alone = next(k for k, n in enumerate(found) if n > 1)
    assert alone <= sum(runs[:12])
    assert found[alone:] == runs[-len(found[alone:]) :]


@pytest.mark.parametrize("noise", [0.0, 1.5, 4.0])
@pytest.mark.parametrize("step", [0.5, 1.0, 4.0, 12.0])
def test_video_on_ones_is_never_grouped(step, noise):
    frames, _ = shown([1] * (60 if step < 12 else 30), step=step, noise=noise)
    assert set(grouped(frames)) == {1}


def test_uneven_video_is_never_grouped():
    """Handheld: the speed changes by up to ten times from frame to frame."""
    speed = np.random.default_rng(3).uniform(0.5, 6, 60)
    places = np.cumsum(speed)
    frames = [Frame((picture(p, 1.0, t),), PixelFormat.parse("gray"), t, 1 / RATE) for t, p in enumerate(places)]
    assert set(grouped(frames)) == {1}


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_still_scene_is_never_grouped(noise):
    frames, _ = shown([80], noise=noise)
    assert set(grouped(frames)) == {1}


@pytest.mark.parametrize("hold", [4, 5, 6, 9, 40])
def test_a_hold_stays_one_and_motion_starts_from_its_last_frame(hold):
    frames, _ = shown([2] * 12 + [hold] + [2] * 12)
    found = grouped(frames)
    assert found[-12:] == [2] * 12
    assert found[-12 - hold : -12] == [1] * hold


def test_a_cadence_ends_with_the_animation():
    frames, _ = shown([2] * 15 + [1] * 40)
    found = grouped(frames)
    assert found[-39:] == [1] * 39
    assert 2 in found


def test_always_needs_no_proof():
    frames, _ = shown([2, 1, 3, 1, 2])
    assert grouped(frames, Cadence("always")) == [2, 1, 3, 1, 2]
    frames, _ = shown([10])
    assert sum(grouped(frames, Cadence("always"))) == 10


def test_a_repeat_is_of_the_same_shot():
    frames, _ = shown([6])
    cadence = Cadence("always")
    out = [s for k, f in enumerate(frames) for s in cadence.push(f, 1 + k // 2, structure_of(f))]
    out += cadence.flush()
    assert [(s.shot, 1 + len(s.repeats)) for s in out] == [(1, 2), (2, 2), (3, 2)]


def test_what_is_a_repeat():
    assert is_repeat(0.5 / 255, 0.0)
    assert not is_repeat(1 / 255, 0.0)
    assert is_repeat(0.01, 0.1)
    assert not is_repeat(0.03, 0.1)


def test_reset_forgets():
    cadence = Cadence()
    frames, _ = shown([2] * 15)
    grouped(frames, cadence)
    assert not cadence.active
    for f in frames:
        cadence.push(f, 1, structure_of(f))
    assert cadence.active
    cadence.reset()
    assert not cadence.active
    assert cadence.flush() == []


# --- through the stage -------------------------------------------------------------------------------------------


def run(frames, **options):
    stream = Stream([Interpolate(**{"method": "flow", **options})])
    out = [f for frame in frames for f in stream.push(frame)]
    out += stream.flush()
    for a, b in pairwise(out):
        assert a.time + a.duration * a.time_base == b.time
    return out


def psnr_inside(frame, place):
    """Against the ground as seen from there, away from the edges."""
    view = picture(place).astype(float)[12:-12, 24:-24]
    error = np.mean((frame.planes[0].astype(float)[12:-12, 24:-24] - view) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.mark.parametrize("runs", [[2] * 24, [3] * 18], ids=["twos", "threes"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("options", [{"rate": 48}, {"factor": 2}], ids=str)
def test_animation_is_re_timed_to_even_motion(runs, noise, options):
    """Places of the output go on by the same step each frame; with repeats="keep" they do not."""
    step, shown_for = 6.0, runs[0]
    frames, _ = shown(runs, step=step, noise=noise)
    least = 32 if noise == 0 else 28
    out = run(frames, **options)
    assert [f.time for f in out] == [Fraction(k, 48) for k in range(len(frames) * 2)]
    first, last = 24 * shown_for, 2 * (len(frames) - shown_for)  # once found; the last picture stays
    places = {k: step * k / (2 * shown_for) for k in range(first, last)}
    assert min(psnr_inside(out[k], p) for k, p in places.items()) > least
    for k in range(first, last, 2 * shown_for):
        assert out[k].planes is frames[k // 2].planes
    kept = run(frames, **options, repeats="keep")
    assert min(psnr_inside(kept[k], p) for k, p in places.items()) < 27
    at_once = run(frames, **options, repeats="retime")
    # noise above the least of two encodings is not known to be noise before the first change has been seen
    early = {k: step * k / (2 * shown_for) for k in range(2 * shown_for if noise else 0, last)}
    assert min(psnr_inside(at_once[k], p) for k, p in early.items()) > least


def test_a_clip_of_24_frames_in_one_of_60_is_even_again():
    """Pulldown of 2 and 3: to 60 frames a second, each picture's motion takes all its time."""
    frames, _ = shown([2, 3] * 12, step=6.0)
    frames = [f.replace(time_base=Fraction(1, 60)) for f in frames]
    out = run(frames, rate=60)
    assert len(out) == 60
    begins = np.cumsum([0] + [2, 3] * 12)
    for k in range(int(begins[14]), int(begins[22])):
        n = int(np.searchsorted(begins, k, "right")) - 1
        place = 6.0 * (n + (k - begins[n]) / (begins[n + 1] - begins[n]))
        assert psnr_inside(out[k], place) > 32


@pytest.mark.extra("train")
@pytest.mark.parametrize("method", LEARNED)
def test_networks_re_time_animation_too(method):
    """When their pictures are due, and which of the source stay; of random weights, they show no motion."""
    frames, _ = shown([2] * 24, step=6.0)
    out = run(frames, rate=48, method=method, network=f"few-{method}")
    along = run(frames, rate=48)
    assert [(f.time, f.made) for f in out] == [(f.time, f.made) for f in along]
    for a, b in zip(out, along, strict=True):
        if not a.made:
            assert a.planes is b.planes


def test_a_hold_in_animation_is_shown_as_it_is():
    runs = [2] * 12 + [10] + [2] * 6
    frames, places = shown(runs, step=6.0)
    out = run(frames, factor=2)
    begin = 24
    for k in range(2 * begin, 2 * (begin + 9) + 1):
        np.testing.assert_array_equal(out[k].planes[0], frames[begin].planes[0])
    assert psnr_inside(out[2 * (begin + 9) + 1], places[begin] + 3.0) > 32


def test_keep_and_sample_leave_repeats_alone():
    frames, _ = shown([2] * 20)
    for options in (
        {"method": "blend", "repeats": "keep"},
        {"method": "sample"},
        {"method": "sample", "repeats": "retime"},
    ):
        out = run(frames, factor=2, **options)
        assert [f.planes for f in out[::2]] == [f.planes for f in frames]


def test_retime_groups_no_more_than_it_may():
    frames, _ = shown([20])
    out = run(frames, factor=2, repeats="retime", method="blend")
    assert len(out) == 40
    assert LONGEST == 3
    for f in out:
        np.testing.assert_array_equal(f.planes[0], frames[0].planes[0])


def test_a_static_scene_leaves_untouched():
    frames, _ = shown([40], noise=1.5)
    out = run(frames, factor=2)
    assert [f.planes for f in out[::2]] == [f.planes for f in frames]


# --- real clips --------------------------------------------------------------------------------------------------


REAL = [
    *("openh264_foreman_288p30_intra.mp4", "exo_roof_360p30_handheld.mp4", "rrtn_marketstreet1906_368p24_flicker.mp4"),
    *("mdn_friday_480p30_oldfilm.mp4", "intel_asl_walk_480p30.mkv", "sam2_bedroom_540p30.mp4"),
    *("moviepy_chaplin_360p25_oldfilm.mp4", "torchcodec_nasa_180p25_dissolve.mp4"),
]


@pytest.mark.parametrize("name", REAL)
def test_real_clips_are_not_taken_for_animation(material, name):
    from reelmend.media import open_source

    cadence = Cadence()
    with open_source(material / "video" / name) as source:
        for frame in islice(source, 100):
            cadence.push(frame, 1, structure_of(frame))
            assert not cadence.active
