"""The deflicker stage over small clips that flicker in a known way, and over real ones."""

from __future__ import annotations

import weakref
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from reelmend import Deflicker, Stream, ops, to_rgb
from reelmend.analyze.degrade import make
from reelmend.analyze.metrics import psnr
from reelmend.analyze.scenes import Film
from reelmend.analyze.series import FlickerMeter
from reelmend.errors import DeviceError, FormatError, OptionError, PlanError
from reelmend.frame import ChromaLocation, Colour, Frame, Matrix, PixelFormat, Range, VideoInfo

TICK = Fraction(1001, 24000)
MODES = ["live", "low", "film"]
LATENCY = {"live": 0, "low": 4, "film": 60}


def flicker_of(pictures):
    meter = FlickerMeter()
    for picture in pictures:
        meter.push(picture)
    return meter.figures().luma


def quality(pictures, truth):
    return float(np.mean([psnr(a, b) for a, b in zip(pictures, truth, strict=True)]))


def run(frames, *options, stage=None, **more):
    return list(Stream([stage or Deflicker(*options, **more)]).process(frames))


def frames_of(pictures, **changes):
    return [Frame.from_array(p, t, time_base=TICK).replace(**changes) for t, p in enumerate(pictures)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


@pytest.fixture(scope="module")
def clean():
    """One shot: a windmill before hills, 60 pictures of 160 x 96."""
    film = Film(120, width=160, height=96)
    return [film[t] for t in range(film.cut)]


@pytest.fixture(scope="module")
def other():
    """Another shot: a boat, 60 pictures."""
    film = Film(120, width=160, height=96)
    return [film[t] for t in range(film.cut, 120)]


def flickering(pictures, kind="gain_gamma", **options):
    flicker = make(kind, **{"seed": 1, **options})
    return [flicker.apply(p, t) for t, p in enumerate(pictures)]


@pytest.fixture(scope="module")
def bad(clean):
    return flickering(clean)


def to_format(rgb: np.ndarray, name: str, pts: int) -> Frame:
    """An 8-bit RGB picture as a frame of any format, read-only. Alpha is a ramp."""
    fmt = PixelFormat.parse(name)
    deep = (rgb.astype(np.float64) / 255 * fmt.max_code + 0.5).astype(fmt.dtype)
    colour = Colour(matrix=Matrix.RGB, range=Range.FULL)
    if fmt.kind == "yuv":
        colour = Colour(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.CENTER)
        share = rgb.astype(np.float32) / 255
        planes = list(
            ops.rgb_to_yuv(share, subsampling=fmt.subsampling, kr=0.2126, kb=0.0722, depth=fmt.depth, siting="center")
        )
    elif fmt.kind == "gray":
        planes = [deep[:, :, 1].copy()]
    elif fmt.packed:
        planes = [deep[:, :, c] for c in range(3)]
    else:
        planes = [deep[:, :, c].copy() for c in range(3)]
    if fmt.alpha:
        planes.append((np.indices(rgb.shape[:2]).sum(0) % fmt.max_code).astype(fmt.dtype))
    for plane in planes:
        plane.setflags(write=False)
    return Frame(tuple(planes), fmt, pts, TICK, 1, colour, {"captions": pts})


FORMATS = [
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv440p",
    "yuv420p10",
    "yuv422p12",
    "yuv444p16",
    "gray",
    "gray10",
    "gray16",
    "rgb24",
    "rgb48",
    "gbrp",
    "gbrp10",
    "gbrp16",
]


# --- doing no harm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "rgb24", "gray16"])
def test_a_clean_clip_leaves_as_it_came(clean, mode, name):
    frames = [to_format(p, name, t) for t, p in enumerate(clean)]
    out = run(frames, mode)
    assert all(a is b for a, b in zip(out, frames, strict=True))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["fade", "flash"])
def test_wanted_changes_of_light_are_kept(clean, mode, kind):
    frames = frames_of(flickering(clean * 2, kind))
    out = run(frames, mode)
    assert all(same(a, b) for a, b in zip(out, frames, strict=True))
    assert not any(f.cut for f in out)


@pytest.mark.parametrize("gate", ["auto", "always"])
@pytest.mark.parametrize("code", [0, 16, 128, 235, 255])
@pytest.mark.parametrize("name", ["yuv420p", "rgb24", "gray"])
def test_a_constant_clip_stays(name, code, gate):
    fmt = PixelFormat.parse(name)
    for size in ((64, 48), (33, 17)):
        planes = tuple(np.full(s, code, np.uint8) for s in fmt.plane_shapes(*size))
        frames = [Frame(planes, fmt, t, TICK) for t in range(30)]
        out = run(frames, "low", gate=gate)
        assert len(out) == 30
        assert all(same(a, b) for a, b in zip(out, frames, strict=True))
        assert not any(f.cut for f in out)


@pytest.mark.parametrize("gate", ["auto", "always"])
def test_a_still_clip_stays(clean, gate):
    out = run(frames_of([clean[0]] * 20), "film", gate=gate)
    assert all(np.array_equal(to_rgb(f), clean[0]) for f in out)


@pytest.mark.parametrize("gate", ["auto", "always"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_very_short_clips(bad, mode, gate, count):
    frames = frames_of(bad[:count])
    out = run(frames, mode, gate=gate)
    assert [f.pts for f in out] == list(range(count))
    if count == 1 or gate == "auto":
        assert all(same(a, b) for a, b in zip(out, frames, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (17, 15), (16, 200)])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "gray", "rgb24"])
def test_very_small_pictures(name, size):
    rng = np.random.default_rng(0)
    pictures = [np.clip(rng.integers(40, 200, (*size, 3)) + 20 * (t % 2), 0, 255).astype(np.uint8) for t in range(20)]
    frames = [to_format(p, name, t) for t, p in enumerate(pictures)]
    for gate in ("auto", "always"):
        out = run(frames, "low", gate=gate)
        assert [f.pts for f in out] == list(range(20))
        assert all([p.shape for p in a.planes] == [p.shape for p in b.planes] for a, b in zip(out, frames, strict=True))


# --- removing flicker --------------------------------------------------------------------------------------------


def test_film_mode_removes_flicker(clean, bad):
    out = [to_rgb(f) for f in run(frames_of(bad), "film")]
    before, after = flicker_of(bad), flicker_of(out)
    assert before > 5
    assert after < before / 5
    assert quality(out, clean) > quality(bad, clean) + 6


@pytest.mark.parametrize(("mode", "factor"), [("low", 5), ("live", 2)])
def test_modes_for_streams_remove_flicker_too(clean, bad, mode, factor):
    out = [to_rgb(f) for f in run(frames_of(bad), mode)]
    assert flicker_of(out) < flicker_of(bad) / factor
    assert quality(out, clean) > quality(bad, clean) + 6


@pytest.mark.parametrize("kind", ["additive", "alternation2", "alternation3", "white_balance"])
def test_other_kinds_of_flicker(clean, kind):
    wrong = flickering(clean, kind)
    out = [to_rgb(f) for f in run(frames_of(wrong), "film")]
    before, after = FlickerMeter(), FlickerMeter()
    for a, b in zip(wrong, out, strict=True):
        before.push(a)
        after.push(b)
    assert max(after.figures().channels) < max(before.figures().channels) / 3
    assert quality(out, clean) > quality(wrong, clean)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(bad, name):
    frames = [to_format(p, name, t) for t, p in enumerate(bad)]
    before = [p.copy() for f in frames for p in f.planes]
    out = run(frames, "film")
    assert flicker_of([to_rgb(f, np.uint8) for f in out]) < flicker_of([to_rgb(f, np.uint8) for f in frames]) / 5
    assert [f.format for f in out] == [f.format for f in frames]
    for a, b in zip(out, frames, strict=True):
        assert [(p.shape, p.dtype) for p in a.planes] == [(p.shape, p.dtype) for p in b.planes]
        assert max(int(p.max()) for p in a.planes) <= a.format.max_code
    assert all(np.array_equal(a, p) for a, p in zip(before, (p for f in frames for p in f.planes), strict=True))


@pytest.mark.parametrize("name", ["yuva420p", "yuva444p10", "gbrap", "rgba"])
def test_alpha_passes_untouched(bad, name):
    frames = [to_format(p, name, t) for t, p in enumerate(bad)]
    out = run(frames, "low", gate="always")
    assert all(a.planes[-1] is b.planes[-1] for a, b in zip(out, frames, strict=True))
    assert any(not np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(out, frames, strict=True))


def test_depth_is_used(bad):
    """A correction of a fraction of an 8-bit code is not lost at 16 bits."""
    frames = [to_format(p, "gray16", t) for t, p in enumerate(bad)]
    made = np.unique(run(frames, "film")[20].planes[0])
    assert (made % 257 != 0).any()


@pytest.mark.parametrize("mode", MODES)
def test_frames_keep_their_count_time_and_tags(bad, mode):
    frames = [
        to_format(p, "yuv420p", 3 * t * t).replace(duration=6 * t + 3, side_data={"number": t})
        for t, p in enumerate(bad)
    ]
    out = run(frames, mode, gate="always")
    for a, b in zip(out, frames, strict=True):
        assert (a.pts, a.time_base, a.duration, a.colour, a.format) == (b.pts, TICK, b.duration, b.colour, b.format)
        assert a.side_data is b.side_data
        assert not a.made


def test_dither_off_is_smooth(bad):
    """Without dither a result depends on its own code only, in every channel."""
    source = frames_of(bad)
    for a, b in zip(run(source, "film", dither=False), source, strict=True):
        for x, y in zip(a.planes, b.planes, strict=True):
            pairs = np.unique(np.stack([y.ravel(), x.ravel()]), axis=1)
            assert len(np.unique(pairs[0])) == pairs.shape[1]


# --- cuts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_bad", [False, True])
def test_a_cut_is_flagged(clean, other, mode, is_bad):
    film = clean[:40] + other[:40]
    out = run(frames_of(flickering(film) if is_bad else film), mode)
    assert [t for t, f in enumerate(out) if f.cut] == [40]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("before", [40, 7, 1])
def test_nothing_leaks_across_a_cut(clean, other, mode, before):
    shot = flickering(other[:40])
    alone = run(frames_of(shot), mode, gate="always")
    both = run(frames_of(flickering(clean[:before], seed=5) + shot), mode, gate="always")
    assert all(same(a, b) for a, b in zip(both[before:], alone, strict=True))
    after = run(frames_of(shot + flickering(clean[:before], seed=5)), mode, gate="always")
    assert all(same(a, b) for a, b in zip(after[:40], alone, strict=True))


def letterboxed(picture, top=12, bottom=12, left=0, right=0):
    made = picture.copy()
    made[:top], made[len(made) - bottom :] = 0, 0
    made[:, :left], made[:, made.shape[1] - right :] = 0, 0
    return made


def test_bars_of_another_shot_do_not_count(clean, other):
    shot = [letterboxed(p) for p in flickering(other[:40])]
    alone = run(frames_of(shot), "film", gate="always")
    both = run(frames_of(clean[:10] + shot), "film", gate="always")
    assert all(same(a, b) for a, b in zip(both[10:], alone, strict=True))


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_a_flash_to_white_is_kept_and_the_shot_goes_on(clean, mode, length):
    film = list(clean)
    for t in range(30, 30 + length):
        film[t] = np.full_like(film[t], 255)
    frames = frames_of(film)
    out = run(frames, mode)
    assert all(same(a, b) for a, b in zip(out, frames, strict=True))
    assert not any(f.cut for f in out[:30] + out[30 + length :])


@pytest.mark.parametrize("mode", ["low", "film"])
def test_a_flash_to_white_is_no_cut(clean, mode):
    film = list(clean)
    film[30] = np.full_like(film[30], 255)
    assert not any(f.cut for f in run(frames_of(film), mode))


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_a_flash_within_flicker_is_not_mixed_in(bad, mode, length):
    """The frames around a flash come out as if it had not been there; so does the flash."""
    film = list(bad)
    white = np.full_like(film[0], 255)
    film[30 : 30 + length] = [white] * length
    out = run(frames_of(film), mode)
    assert not any(f.cut for f in out[:30] + out[30 + length :])
    assert all(np.array_equal(to_rgb(f), white) for f in out[30 : 30 + length])
    kept = [to_rgb(f) for f in out[:30] + out[30 + length :]]
    assert flicker_of(kept[10:]) < flicker_of(bad[10:30] + bad[30 + length :]) / 2


def test_a_short_past_does_not_make_a_flash_a_cut(clean):
    film = list(clean)
    film[30:33] = [np.full_like(film[0], 255)] * 3
    out = run(frames_of(film), "live", past=2)
    assert not any(f.cut for f in out[33:])


# --- bars --------------------------------------------------------------------------------------------------------

BARS = {
    "letterbox": {},
    "pillarbox": {"top": 0, "bottom": 0, "left": 20, "right": 18},
    "odd": {"top": 11, "bottom": 13},
    "all around": {"top": 8, "bottom": 10, "left": 6, "right": 4},
}


@pytest.mark.parametrize("bars", BARS.values(), ids=BARS)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "rgb24", "gray"])
def test_bars_stay_bit_exact(bad, bars, name):
    shown = letterboxed(np.ones((96, 160), bool), **bars)
    shown[:, :] &= shown  # a plain array of True inside the bars
    frames = [to_format(letterboxed(p, **bars), name, t) for t, p in enumerate(bad)]
    out = run(frames, "film")
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    for a, b in zip(out, frames, strict=True):
        for x, y in zip(a.planes, b.planes, strict=True):
            fy, fx = 96 // x.shape[0], 160 // x.shape[1]
            changed = np.argwhere(x != y)
            if len(changed):
                assert (changed[:, 0] * fy + fy > y0).all()
                assert (changed[:, 0] * fy < y1).all()
                assert (changed[:, 1] * fx + fx > x0).all()
                assert (changed[:, 1] * fx < x1).all()
    inside = (slice((y0 + 1) & ~1, y1 & ~1), slice((x0 + 1) & ~1, x1 & ~1))
    after = flicker_of([to_rgb(f, np.uint8)[inside] for f in out])
    assert after < flicker_of([to_rgb(f, np.uint8)[inside] for f in frames]) / 5


def test_noise_in_the_bars_stays(bad):
    rng = np.random.default_rng(0)
    frames = []
    for t, p in enumerate(bad):
        p = np.maximum(p, 8)
        p[:12], p[-12:] = rng.integers(0, 5, (2, 12, 160, 3))
        frames.append(Frame.from_array(p, t, time_base=TICK))
    out = run(frames, "film")
    for a, b in zip(out, frames, strict=True):
        assert all(np.array_equal(x[:12], y[:12]) for x, y in zip(a.planes, b.planes, strict=True))
        assert all(np.array_equal(x[-12:], y[-12:]) for x, y in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize("name", ["rgb24", "yuv420p"])
@pytest.mark.parametrize("mode", ["low", "film"])
def test_bars_stay_bit_exact_after_a_flash_that_lights_them(bad, mode, name):
    frames = [to_format(letterboxed(p), name, t) for t, p in enumerate(bad)]
    frames[24] = to_format(np.full_like(bad[0], 255), name, 24)
    out = run(frames, mode)
    for a, b in zip(out, frames, strict=True):
        for x, y in zip(a.planes, b.planes, strict=True):
            edge = 12 * x.shape[0] // 96
            assert np.array_equal(x[:edge], y[:edge])
            assert np.array_equal(x[-edge:], y[-edge:])


def test_a_dark_beginning_does_not_set_bars_for_good(bad):
    """A fade in from black, row by row: once the whole picture is lit, all of it is corrected."""
    film = [letterboxed(p, top=40, bottom=40) if t < 10 else p for t, p in enumerate(bad)]
    out = [to_rgb(f) for f in run(frames_of(film), "film")]
    edge = slice(0, 20)
    assert flicker_of([p[edge] for p in out[40:]]) < flicker_of([p[edge] for p in film[40:]]) / 3


@pytest.mark.parametrize("gate", ["auto", "always"])
def test_a_fade_in_that_shows_a_bright_band_first(gate):
    y, x = np.mgrid[0:96, 0:160]
    still = 20 + 10 * np.sin(x / 9) + 8 * np.cos(y / 7)
    still[38:58] += 180
    film = [np.stack([still * min(1.0, 0.1 + 0.03 * t)] * 3, -1).astype(np.uint8) for t in range(60)]
    out = run(frames_of(film), "film", gate=gate)
    assert len(out) == 60
    assert not any(f.cut for f in out)


# --- as a runtime ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "lookahead"), [("live", None), ("low", None), ("low", 9), ("film", 3), ("live", 1)])
def test_latency_is_as_declared(clean, mode, lookahead):
    stage = Deflicker(mode, lookahead)
    expected = LATENCY[mode] if lookahead is None else lookahead
    stream = Stream([stage])
    given = 0
    for t, frame in enumerate(frames_of(clean[:30])):
        given += len(stream.push(frame))
        assert given == max(0, t + 1 - expected)
    assert stage.latency == stream.plan.latency == expected
    assert len(stream.flush()) == 30 - given


@pytest.mark.parametrize("gate", ["auto", "always"])
@pytest.mark.parametrize(("mode", "lookahead"), [("live", None), ("low", None), ("film", 12)])
def test_memory_is_bounded(bad, mode, lookahead, gate):
    """Input pictures alive at any time: those of the look-ahead, and no more than two besides."""
    stream = Stream([Deflicker(mode, lookahead, past=40, gate=gate)])
    alive: list[Any] = []
    most = 0
    for t in range(120):
        picture = bad[t % len(bad)].copy()
        alive.append(weakref.ref(picture))
        stream.push(Frame.from_array(picture, t))
        del picture
        alive = [r for r in alive if r() is not None]
        most = max(most, len(alive))
    held = LATENCY[mode] if lookahead is None else lookahead
    assert most <= held + 2
    assert stream.plan.memory >= most * 96 * 160 * 3
    stream.flush()
    assert all(r() is None for r in alive)


def test_reset_forgets_everything(clean, bad):
    stage = Deflicker("low", gate="always")
    fresh = run(frames_of(bad[:20]), stage=stage)
    stream = Stream([stage])
    for frame in frames_of(flickering(clean, seed=7)[:15]):
        stream.push(frame)
    stream.reset()
    again = list(stream.process(frames_of(bad[:20])))
    assert len(again) == 20
    assert all(same(a, b) for a, b in zip(again, fresh, strict=True))


def test_flush_begins_anew(bad):
    stream = Stream([Deflicker("low", gate="always")])
    one = list(stream.process(frames_of(bad[:20])))
    two = list(stream.process(frames_of(bad[:20])))
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


def test_a_discontinuity_is_as_two_clips(bad):
    frames = frames_of(bad[:40])
    frames[20] = frames[20].replace(discontinuity=True)
    out = run(frames, "low", gate="always")
    first, second = run(frames[:20], "low", gate="always"), run(frames[20:], "low", gate="always")
    assert all(same(a, b) for a, b in zip(out, first + second, strict=True))


def test_the_same_input_gives_the_same_bits(bad, for_threads):
    frames = [to_format(p, "yuv420p", t) for t, p in enumerate(bad[:20])]
    first, *rest = for_threads(lambda: run(frames, "low", gate="always"))
    assert all(same(a, b) for other in rest for a, b in zip(first, other, strict=True))


def test_update_changes_the_next_frames(bad):
    frames = frames_of(bad)
    kept = run(frames, "live", gate="always", sigma=60)
    stream = Stream([Deflicker("live", gate="always", sigma=60)])
    out = [f for frame in frames[:30] for f in stream.push(frame)]
    stream.update("deflicker", sigma=2)
    out += [f for frame in frames[30:] for f in stream.push(frame)]
    assert all(same(a, b) for a, b in zip(out[:30], kept[:30], strict=True))
    assert not all(same(a, b) for a, b in zip(out[30:], kept[30:], strict=True))
    stream.update("deflicker", slope=(1, 1))  # no curve but an offset
    moved = stream.push(frames[20])[0]
    assert len(np.unique(moved.planes[0].astype(int) - frames[20].planes[0])) <= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "film"}, "mode cannot change in a run"),
        ({"lookahead": 3, "mode": "low"}, "lookahead, mode cannot change"),
        ({"sigma": 1}, "sigma is 1; expected 2 to 120"),
        ({"past": 0}, "past is 0"),
        ({"sharpness": 3}, "sharpness"),
    ],
)
def test_update_refuses(bad, options, message):
    stream = Stream([Deflicker("low", gate="always")])
    frames = frames_of(bad[:20])
    out = [f for frame in frames[:10] for f in stream.push(frame)]
    with pytest.raises(OptionError, match=message):
        stream.update("deflicker", **options)
    out += list(stream.process(frames[10:]))
    assert all(same(a, b) for a, b in zip(out, run(frames, "low", gate="always"), strict=True))


def test_updating_a_plan_s_past_within_a_run(bad):
    stream = Stream([Deflicker("live", past=100, gate="always")])
    for frame in frames_of(bad[:40]):
        stream.push(frame)
    stream.update("deflicker", past=3)
    assert [f.pts for frame in frames_of(bad[40:]) for f in stream.push(frame)] == list(range(20))


# --- options and the plan ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "mode is 'fast'; expected 'live', 'low' or 'film'"),
        ({"lookahead": -1}, "lookahead is -1; expected 0 to 60"),
        ({"lookahead": 61}, "lookahead is 61"),
        ({"past": 0}, "past is 0; expected 1 to"),
        ({"past": 100000}, "past is 100000"),
        ({"sigma": 1.9}, "sigma is 1.9; expected 2 to 120"),
        ({"sigma": 121}, "sigma is 121"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"slope": (0, 2)}, r"slope is \(0, 2\); expected"),
        ({"slope": (1.1, 2)}, "slope is"),
        ({"slope": (0.5, 0.9)}, "slope is"),
        ({"slope": (0.5, 9)}, "slope is"),
        ({"gate": "never"}, "gate is 'never'; expected 'auto' or 'always'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError, match=f"Deflicker: {message}") as caught:
        Deflicker(**options)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("options", [{"lookahead": 2.5}, {"slope": 2}, {"slope": (0.5, 1, 2)}, {"past": "many"}])
def test_types_of_options_are_checked(options):
    with pytest.raises(OptionError):
        Deflicker(**options)


def test_options_are_frozen_and_compare():
    assert Deflicker() == Deflicker("low")
    assert hash(Deflicker("film")) == hash(Deflicker("film"))
    with pytest.raises(AttributeError):
        Deflicker().mode = "film"


def test_the_plan():
    info = VideoInfo(1920, 1080, PixelFormat(), rate=Fraction(24))
    plan = Stream.planned([Deflicker("film")], info)
    assert (plan.latency, plan.latency_seconds) == (60, Fraction(60, 24))
    assert plan.output == info
    assert 60 * info.frame_bytes < plan.memory < 70 * info.frame_bytes
    assert "stage    deflicker on cpu" in str(plan)
    assert "mode film" in str(plan)


def test_a_matrix_that_is_no_luma_equation_is_refused_at_once():
    info = VideoInfo(64, 48, PixelFormat(), Colour(matrix=Matrix.YCGCO))
    with pytest.raises(FormatError, match="YCGCO is not supported"):
        Stream([Deflicker()], info)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_an_impossible_device_is_refused(device):
    with pytest.raises((PlanError, OptionError, DeviceError)):
        Stream([Deflicker()], VideoInfo(64, 48), device=device)


# --- real film ---------------------------------------------------------------------------------------------------


def decode(path, count=None):
    av = pytest.importorskip("av")
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for picture in container.decode(stream):
            fmt = PixelFormat.parse(picture.format.name)
            planes = []
            for plane, (rows, columns) in zip(
                picture.planes, fmt.plane_shapes(picture.width, picture.height), strict=True
            ):
                whole = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                planes.append(whole[:rows, :columns].copy())
            frames.append(Frame(tuple(planes), fmt, picture.pts, stream.time_base))
            if len(frames) == count:
                break
    return frames


@pytest.mark.parametrize("name", ["rrtn_marketstreet1906_368p24_flicker", "rrtn_trainrobbery1903_368p24_flicker"])
def test_old_films_become_steady(material, name):
    frames = decode(material / f"video/{name}.mp4")
    out = run(frames, "film")
    before = flicker_of([to_rgb(f) for f in frames])
    assert before > 2
    assert flicker_of([to_rgb(f) for f in out]) < before / 10


def test_a_calm_clip_leaves_as_it_came(material):
    frames = decode(material / "video/sam2_blocks_720p30.mp4", 90)
    out = run(frames, "film")
    assert all(same(a, b) for a, b in zip(out, frames, strict=True))
