"""Every kind of flicker through the whole stage: named, cured, and nothing else touched."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reelmend import Deflicker, Stream, ops, to_rgb
from reelmend.analyze.degrade import make
from reelmend.analyze.metrics import psnr
from reelmend.analyze.scenes import Film
from reelmend.errors import OptionError
from reelmend.frame import ChromaLocation, Colour, Frame, Matrix, PixelFormat, Primaries, Range, Transfer
from reelmend.stages.deflicker import Summary
from reelmend.stages.deflicker.findings import CONTENT

TICK = Fraction(1, 24)
WIDTH, HEIGHT = 160, 96
MODES = ["live", "low", "film"]
SHOTS = ["windmill", "boat"]
EVERYTHING = "gain_gamma+bands+local"


@pytest.fixture(scope="module")
def shots():
    """Two shots of 120 pictures, in motion, with grain."""
    film = Film(240, width=WIDTH, height=HEIGHT)
    return {"windmill": [film[t] for t in range(120)], "boat": [film[t] for t in range(120, 240)]}


@pytest.fixture(scope="module")
def clean(shots):
    return shots["windmill"][:60]


def wrong(pictures, kind, seed=1, fps=24.0, strength=1.0):
    flicker = make(kind, seed=seed, fps=fps, strength=strength)
    return [flicker.apply(p, t) for t, p in enumerate(pictures)]


def frames_of(pictures):
    return [Frame.from_array(p, t, time_base=TICK) for t, p in enumerate(pictures)]


def to_format(rgb, name, pts):
    """An 8-bit RGB picture as a frame of any format, read-only."""
    fmt = PixelFormat.parse(name)
    colour = Colour(matrix=Matrix.RGB, range=Range.FULL)
    deep = (rgb.astype(np.float64) / 255 * fmt.max_code + 0.5).astype(fmt.dtype)
    if fmt.kind == "yuv":
        colour = Colour(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)
        share = rgb.astype(np.float32) / 255
        planes = ops.rgb_to_yuv(
            share, subsampling=fmt.subsampling, kr=0.2126, kb=0.0722, depth=fmt.depth, siting="left"
        )
    elif fmt.kind == "gray":
        planes = (deep[:, :, 1].copy(),)
    else:
        planes = tuple(deep[:, :, c] if fmt.packed else deep[:, :, c].copy() for c in range(3))
    for plane in planes:
        plane.setflags(write=False)
    return Frame(tuple(planes), fmt, pts, TICK, 1, colour, {"captions": pts})


def told(frames, mode="film", **options):
    """Output frames, and findings in order."""
    stream = Stream([Deflicker(mode, **options)])
    findings = []
    stream.listen(lambda _, finding: findings.append(finding))
    return list(stream.process(frames)), findings


def summed(findings):
    summary = Summary()
    for finding in findings:
        summary.add(finding)
    return summary


def run(frames, mode="film", **options):
    return list(Stream([Deflicker(mode, **options)]).process(frames))


def quality(pictures, truth, first=0):
    return float(np.mean([psnr(a, b) for a, b in zip(pictures[first:], truth[first:], strict=True)]))


def won(frames, out, truth, first=0):
    """By how many dB the output is nearer to the truth than the input was."""
    before, after = ([to_rgb(f, np.uint8) for f in some] for some in (frames, out))
    return quality(after, truth, first) - quality(before, truth, first)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


# --- named -------------------------------------------------------------------------------------------------------

NAMES = {
    "gain_gamma": "global",
    "pumping": "global",
    "white_balance": "color",
    "bands": "bands",
    "local": "local",
    "alternation2": "alternation",
    "alternation3": "alternation",
    "batches": "steps",
    "flash": "flash",
    "fade": "fade",
}


@pytest.mark.parametrize("shot", SHOTS)
@pytest.mark.parametrize("kind", NAMES)
def test_each_kind_is_named(shots, kind, shot):
    rare = kind in ("batches", "flash", "fade")
    frames = frames_of(wrong(shots[shot][: 96 if rare else 40], kind))
    _, findings = told(frames)
    summary = summed(findings)
    assert summary.verdict == NAMES[kind]
    if NAMES[kind] not in CONTENT:
        found = summary.found[NAMES[kind]]
        # four steps must be known before they are on a beat
        assert found.frames >= (0.6 if kind == "batches" else 0.9) * len(frames)
        assert found.treated >= 0.9 * found.frames


@pytest.mark.parametrize(("shot", "mode"), [("windmill", "live"), ("windmill", "film"), ("boat", "low")])
def test_a_clean_clip_has_no_kind(shots, mode, shot):
    _, findings = told(frames_of(shots[shot][:60]), mode)
    summary = summed(findings)
    assert summary.verdict == "none"
    assert summary.words == "No flicker found"
    assert not summary.found


def test_the_mains_are_named(clean):
    for kind, fps, words in (("bands", 24, "100 Hz"), ("bands120", 25, "120 Hz")):
        pictures = wrong(clean, kind, fps=fps)
        frames = [Frame.from_array(p, t, time_base=Fraction(1, fps)) for t, p in enumerate(pictures)]
        _, findings = told(frames)
        assert summed(findings).verdict == "bands"
        assert words in findings[30].note


@pytest.mark.parametrize("shot", SHOTS)
@pytest.mark.parametrize("mode", ["live", "film"])
def test_all_that_is_there_is_named(shots, shot, mode):
    frames = frames_of(wrong(shots[shot][:50], EVERYTHING))
    out, findings = told(frames, mode)
    assert {"global", "bands", "local"} <= set(summed(findings).kinds)
    assert won(frames, out, shots[shot][:50]) > (9 if mode == "film" else 6)


@pytest.mark.parametrize("kind", ["gain_gamma", "white_balance", "bands", "local", "alternation2", "alternation3"])
def test_kinds_are_named_live(clean, kind):
    _, findings = told(frames_of(wrong(clean[:40], kind)), "live")
    assert summed(findings).verdict == NAMES[kind]


@pytest.mark.parametrize("kind", ["batches", "fade"])
def test_what_stays_is_told_as_no_flash_live(shots, kind):
    _, findings = told(frames_of(wrong(shots["windmill"], kind)), "live")
    assert "flash" not in summed(findings).found


# --- cured -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shot", "seed"), [("windmill", 1), ("boat", 2)])
@pytest.mark.parametrize(
    ("kind", "mode", "margin", "worst"),
    [
        ("bands", "film", 13, 12), ("bands", "low", 11, 0), ("bands", "live", 11, 0),
        ("local", "film", 6, 4), ("local", "live", 3, 0),
    ],
)  # fmt: skip
def test_light_that_lies_unevenly_is_cured(shots, kind, mode, margin, worst, shot, seed):
    truth = shots[shot][:60]
    frames = frames_of(wrong(truth, kind, seed))
    out = run(frames, mode)
    assert won(frames, out, truth) > margin
    before, after = (min(psnr(to_rgb(f), t) for f, t in zip(some, truth, strict=True)) for some in (frames, out))
    assert after >= before + worst


@pytest.mark.parametrize(("kind", "margin"), [("alternation2", 15), ("alternation3", 15), ("batches", 3)])
def test_flicker_that_repeats_is_cured(shots, kind, margin):
    truth = shots["boat"]
    frames = frames_of(wrong(truth, kind))
    assert won(frames, run(frames), truth) > margin


@pytest.mark.parametrize("fps", [23.976, 29.97, 60.0])
def test_bands_at_other_rates(clean, fps):
    frames = frames_of(wrong(clean[:40], "bands", fps=fps))
    assert won(frames, run(frames), clean[:40]) > 12


def test_bands_that_stand_still_are_the_picture_s_own(clean):
    """100 Hz at 25 frames a second: nothing changes from frame to frame, so nothing is flicker."""
    frames = frames_of(wrong(clean, "bands", fps=25.0))
    assert all(a is b for a, b in zip(run(frames), frames, strict=True))


def test_bands_that_follow_no_wave_are_cured(clean):
    """New stripes in every frame, as lamps that are dimmed by bursts leave."""
    rng = np.random.default_rng(3)
    y = np.arange(HEIGHT) / HEIGHT
    pictures = []
    for picture in clean:
        gain = 1 + sum(0.06 * rng.standard_normal() * np.cos(2 * np.pi * (k * y + rng.random())) for k in (1, 2, 3))
        pictures.append(np.clip(picture * gain[:, None, None] + 0.5, 0, 255).astype(np.uint8))
    frames = frames_of(pictures)
    out, findings = told(frames)
    assert "bands" in summed(findings).kinds
    assert won(frames, out, clean) > 4


@pytest.mark.parametrize("name", ["bands", "local"])
def test_what_is_weak_is_not_made_worse(clean, name):
    for strength in (0.02, 0.1, 0.3):
        frames = frames_of(wrong(clean[:40], name, strength=strength))
        assert won(frames, run(frames), clean[:40]) > -0.3


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("bands", "film"), ("bands", "live"),
        ("local", "film"), ("local", "live"), ("gain_gamma", "film"), ("gain_gamma", "live"),
    ],
)  # fmt: skip
def test_where_flicker_ends_within_a_shot_what_follows_is_kept(shots, kind, mode):
    """A lamp is switched off. 36 dB is a typical error of 4 levels."""
    truth = shots["windmill"][:90]
    frames = frames_of(wrong(truth[:45], kind) + truth[45:])
    out = run(frames, mode)
    assert min(psnr(to_rgb(a), t) for a, t in zip(out[45:], truth[45:], strict=True)) > 36
    assert all(same(a, b) for a, b in zip(out[85:], frames[85:], strict=True))


@pytest.mark.parametrize("kind", ["bands", "local", "gain_gamma"])
def test_where_flicker_begins_within_a_shot_what_was_before_is_kept(shots, kind):
    truth = shots["windmill"][:90]
    frames = frames_of(truth[:45] + wrong(truth, kind)[45:])
    out = run(frames)
    assert min(psnr(to_rgb(a), t) for a, t in zip(out[:45], truth[:45], strict=True)) > 36
    assert won(frames, out, truth, 45) > 5


@pytest.mark.parametrize("dropped", [4, 13])
def test_bands_with_frames_dropped(shots, dropped):
    """The phase of the wave jumps where a frame is missing and nothing tells."""
    kept = [t for t in range(60) if t % dropped != dropped - 1]
    truth = [shots["windmill"][t] for t in kept]
    pictures = wrong(shots["windmill"][:60], "bands")
    frames = frames_of([pictures[t] for t in kept])
    assert won(frames, run(frames), truth) > 6


# --- doing no harm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shot", "kind"), [("windmill", ""), ("windmill", "flash"), ("windmill", "fade"), ("boat", ""), ("boat", "fade")]
)
def test_what_is_no_flicker_leaves_as_it_came(shots, kind, mode, shot):
    pictures = shots[shot][: 96 if kind == "fade" else 60]
    frames = frames_of(wrong(pictures, kind) if kind else pictures)
    out, findings = told(frames, mode)
    assert all(a is b for a, b in zip(out, frames, strict=True))
    assert not any(f.touched for f in findings)


def test_a_film_with_a_cut_leaves_as_it_came(shots):
    frames = frames_of(shots["windmill"][:50] + shots["boat"][:50])
    for mode in MODES:
        out = run(frames, mode)
        assert all(same(a, b) for a, b in zip(out, frames, strict=True))
        assert [t for t, f in enumerate(out) if f.cut] == [50]


@pytest.mark.parametrize("mode", MODES)
def test_a_pan_over_a_wall_leaves_as_it_came(mode):
    """Texture that slides by, over edges of light and shade."""
    rng = np.random.default_rng(0)
    wall = np.kron(rng.uniform(40, 200, (12, 60)), np.ones((8, 8))) + rng.normal(0, 6, (96, 480))
    frames = frames_of(np.clip(wall[:, 3 * t : 3 * t + 160], 0, 255).astype(np.uint8) for t in range(100))
    assert all(a is b for a, b in zip(run(frames, mode), frames, strict=True))


@pytest.mark.parametrize("mode", ["live", "film"])
def test_something_that_passes_leaves_as_it_came(clean, mode):
    """A bright block that crosses the picture, and comes back."""
    film = Film(2, width=WIDTH, height=HEIGHT, grain=0)
    rng = np.random.default_rng(0)
    frames = []
    for t in range(80):
        picture = film[0] + rng.normal(0, 1.5, (HEIGHT, WIDTH, 1))
        x = 60 + int(90 * np.sin(t / 9))
        picture[20:80, max(x, 0) : max(x + 40, 0)] = 200
        frames.append(Frame.from_array(np.clip(picture, 0, 255).astype(np.uint8), t, time_base=TICK))
    assert all(a is b for a, b in zip(run(frames, mode), frames, strict=True))


# --- flashes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "size"), [("live", 1.0), ("low", 1.0), ("film", 1.0), ("film", 0.4)])
def test_a_flash_can_be_taken_away(shots, mode, size):
    truth = shots["windmill"]
    flash = make("flash", seed=1, strength=size)
    at = {t for t in range(120) if flash.parameters(t)["flash"]}
    frames = frames_of(wrong(truth, "flash", strength=size))
    out, findings = told(frames, mode, flashes="remove")
    assert len(at) == 5
    assert {f.index for f in findings if f.touched} == at
    for t in at:
        assert findings[t].kinds["flash"].amount == 1
        before, after = psnr(to_rgb(frames[t]), truth[t]), psnr(to_rgb(out[t]), truth[t])
        assert after > before + 10
    assert all(a is b for t, (a, b) in enumerate(zip(out, frames, strict=True)) if t not in at)


def test_a_flash_of_three_frames_can_be_taken_away(clean):
    pictures = list(clean)
    for t in (30, 31, 32):
        pictures[t] = np.clip(pictures[t] * 1.5, 0, 255).astype(np.uint8)
    frames = frames_of(pictures)
    out = run(frames, flashes="remove")
    assert all(same(a, b) for t, (a, b) in enumerate(zip(out, frames, strict=True)) if not 30 <= t <= 32)
    for t in (30, 31, 32):
        assert psnr(to_rgb(out[t]), clean[t]) > psnr(pictures[t], clean[t]) + 8


def test_taking_flashes_away_keeps_fades(shots):
    frames = frames_of(wrong(shots["boat"], "fade"))
    for mode in ("low", "film"):
        assert all(a is b for a, b in zip(run(frames, mode, flashes="remove"), frames, strict=True))


# --- what the user protects --------------------------------------------------------------------------------------

LOGO = (100, 10, 151, 33)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("rgb24", EVERYTHING), ("yuv420p", "bands"), ("yuv420p", EVERYTHING), ("yuv422p10", "bands"), ("gray16", "local")],
)
def test_what_is_protected_stays_bit_exact(clean, name, kind):
    clean = clean[:40]
    frames = [to_format(p, name, t) for t, p in enumerate(wrong(clean, kind))]
    out = run(frames, protect=(LOGO,))
    x0, y0, x1, y1 = LOGO
    for a, b in zip(out, frames, strict=True):
        assert np.array_equal(a.planes[0][y0:y1, x0:x1], b.planes[0][y0:y1, x0:x1])
        for x, y in zip(a.planes[1:], b.planes[1:], strict=True):
            sy, sx = HEIGHT // y.shape[0], WIDTH // y.shape[1]
            inside = np.s_[-(-y0 // sy) : y1 // sy, -(-x0 // sx) : x1 // sx]
            assert np.array_equal(x[inside], y[inside])
    rest = np.s_[40:, :]
    truth = [to_rgb(to_format(p, name, t), np.uint8)[rest] for t, p in enumerate(clean)]
    before, after = ([to_rgb(f, np.uint8)[rest] for f in some] for some in (frames, out))
    assert quality(after, truth) > quality(before, truth) + (3 if kind == "local" else 8)


@pytest.mark.parametrize("mode", ["live", "film"])
def test_the_mask_keeps_what_is_zero_and_halves_what_is_half(clean, mode):
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, :40], mask[:, 40:80] = 0, 128
    frames = frames_of(wrong(clean[:40], "bands"))
    out, whole = run(frames, mode, mask=mask, dither=False), run(frames, mode, dither=False)
    some = 0.0
    for a, b, w in zip(out, frames, whole, strict=True):
        got, given, full = (np.stack(f.planes, axis=-1).astype(float) for f in (a, b, w))
        assert np.array_equal(got[:, :40], given[:, :40])
        if np.abs(full - given).mean() > 3:
            half = (got - given)[:, 40:80].ravel() @ (full - given)[:, 40:80].ravel()
            some = half / ((full - given)[:, 40:80] ** 2).sum()
            assert some == pytest.approx(0.5, abs=0.06)
    assert some > 0


def test_a_mask_of_nothing_leaves_all(clean):
    frames = frames_of(wrong(clean[:30], EVERYTHING))
    out = run(frames, mask=np.zeros((HEIGHT, WIDTH), np.uint8))
    assert all(same(a, b) for a, b in zip(out, frames, strict=True))


def test_what_is_protected_may_change_in_a_run(clean):
    frames = frames_of(wrong(clean[:40], "bands"))
    stream = Stream([Deflicker("live")])
    out = [f for frame in frames[:25] for f in stream.push(frame)]
    stream.update("deflicker", protect=(LOGO,))
    out += [f for frame in frames[25:] for f in stream.push(frame)]
    x0, y0, x1, y1 = LOGO
    kept = [
        all(np.array_equal(x[y0:y1, x0:x1], y[y0:y1, x0:x1]) for x, y in zip(a.planes, b.planes, strict=True))
        for a, b in zip(out, frames, strict=True)
    ]
    assert all(kept[25:])
    assert not any(kept[10:25])
    assert not any(same(a, b) for a, b in zip(out[10:], frames[10:], strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flashes": "drop"}, "flashes is 'drop'; expected 'keep' or 'remove'"),
        ({"protect": (0, 0, 5, 5)}, "protect is"),
        ({"protect": [(0, 0, 5, 5)]}, "protect is"),
        ({"protect": ((5, 0, 5, 5),)}, "protect is"),
        ({"protect": ((0, -1, 5, 5),)}, "protect is"),
        ({"protect": ((0, 0, 5.5, 5),)}, "protect is"),
        ({"mask": np.zeros((4, 4), bool)}, r"mask is bool \(4, 4\); expected a uint8 array"),
        ({"mask": np.zeros((4, 4, 3), np.uint8)}, "mask is uint8"),
        ({"mask": [[0, 255]]}, "mask is list"),
    ],
)
def test_what_to_protect_is_checked(options, message):
    with pytest.raises(OptionError, match=f"Deflicker: {message}"):
        Deflicker(**options)


def test_a_mask_of_another_size_is_refused_at_once(clean):
    with pytest.raises(OptionError, match="mask is 10x9, the video 160x96"):
        Stream([Deflicker(mask=np.zeros((9, 10), np.uint8))]).push(clean[0])


# --- bars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bars", [(12, 12, 0, 0), (0, 0, 20, 18), (11, 13, 0, 0), (8, 10, 6, 4)])
@pytest.mark.parametrize("name", ["rgb24", "yuv420p"])
def test_bars_around_bands_stay_bit_exact(clean, bars, name):
    top, bottom, left, right = bars

    def shown(picture):
        made = np.zeros_like(picture)
        inner = np.s_[top : HEIGHT - bottom, left : WIDTH - right]
        made[inner] = np.maximum(picture[inner], 24)
        return made

    frames = [to_format(shown(p), name, t) for t, p in enumerate(wrong(clean, "bands"))]
    out = run(frames)
    for a, b in zip(out, frames, strict=True):
        for x, y in zip(a.planes, b.planes, strict=True):
            sy, sx = HEIGHT // y.shape[0], WIDTH // y.shape[1]
            kept = np.ones(y.shape, bool)
            kept[top // sy : -(-(HEIGHT - bottom) // sy), left // sx : -(-(WIDTH - right) // sx)] = False
            assert np.array_equal(x[kept], y[kept])
    assert won(frames, out, [to_rgb(to_format(shown(p), name, 0), np.uint8) for p in clean]) > 9


@pytest.mark.parametrize("size", [(180, 16), (16, 320), (16, 16), (24, 40)])
@pytest.mark.parametrize("gate", ["auto", "always"])
def test_a_picture_of_few_tiles_inside_its_bars(size, gate):
    rows, columns = size
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 160, (180, 320, 3)).astype(np.uint8)
    frames = []
    for t, p in enumerate(wrong([ground] * 24, "bands+local")):
        picture = np.zeros_like(p)
        picture[:rows, :columns] = p[:rows, :columns]
        frames.append(Frame.from_array(picture, t, time_base=TICK))
    out = run(frames, "low", gate=gate)
    for a, b in zip(out, frames, strict=True):
        for x, y in zip(a.planes, b.planes, strict=True):
            assert np.array_equal(x[rows:], y[rows:])
            assert np.array_equal(x[:, columns:], y[:, columns:])


# --- high dynamic range ------------------------------------------------------------------------------------------


def pq_to_light(code):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    p = code ** (1 / m2)
    return (np.maximum(p - c1, 0) / (c2 - c3 * p)) ** (1 / m1)


def light_to_pq(light):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = light**m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def hlg_to_light(code):
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def light_to_hlg(light):
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), a * np.log(np.maximum(12 * light - b, 1e-9)) + c)


HDR = {Transfer.PQ: (pq_to_light, light_to_pq), Transfer.HLG: (hlg_to_light, light_to_hlg)}


def hdr_frames(pictures, transfer, kind):
    """10-bit 4:2:0 of BT.2100, the flicker in linear light. The film is stretched down to black."""
    to_light, to_code = HDR[transfer]
    flicker = make(kind, seed=1, fps=24) if kind else None
    colour = Colour(Primaries.BT2020, transfer, Matrix.BT2020_NCL, Range.LIMITED, ChromaLocation.LEFT)
    frames = []
    for t, picture in enumerate(pictures):
        light = to_light(0.75 * np.clip(picture / 255 * 1.2 - 0.2, 0, 1))
        if flicker is not None:
            gain = flicker.parameters(t)["gain"] if kind == "gain_gamma" else flicker.field(HEIGHT, WIDTH, t)
            light = light * gain
        code = np.clip(to_code(light), 0, 1).astype(np.float32)
        planes = ops.rgb_to_yuv(code, subsampling=(1, 1), kr=0.2627, kb=0.0593, depth=10, siting="left")
        side = {"mastering display": (t, 1000)}
        frames.append(Frame(tuple(planes), PixelFormat.parse("yuv420p10"), 3 * t, TICK, 3, colour, side))
    return frames


def luma_quality(frames, truth):
    errors = [((a.planes[0].astype(float) - b.planes[0]) ** 2).mean() for a, b in zip(frames, truth, strict=True)]
    return float(np.mean(10 * np.log10(1023**2 / np.maximum(errors, 1e-4))))


def codes_of(frames):
    return np.unique(np.concatenate([f.planes[0].ravel() for f in frames]))


@pytest.mark.parametrize("transfer", HDR, ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("kind", "mode", "margin"),
    [("bands", "film", 12), ("bands", "live", 10), ("gain_gamma", "film", 12), ("gain_gamma", "live", 8),
     ("local", "film", 5)],
)  # fmt: skip
def test_light_of_high_dynamic_range_is_cured(clean, transfer, kind, mode, margin):
    truth, frames = hdr_frames(clean[:40], transfer, ""), hdr_frames(clean[:40], transfer, kind)
    out, findings = told(frames, mode)
    assert summed(findings).verdict == NAMES[kind]
    assert luma_quality(out, truth) > luma_quality(frames, truth) + margin
    # Flicker reaches beyond the picture's own codes, at both ends; of those within, hardly one is lost.
    low, high = int(codes_of(truth)[0]), int(codes_of(truth)[-1])
    before, after = (sum(low <= c <= high for c in codes_of(some)) for some in (frames, out))
    assert after >= 0.98 * before
    for a, b in zip(out, frames, strict=True):
        assert (a.colour, a.format, a.pts, a.duration) == (b.colour, b.format, b.pts, b.duration)
        assert a.side_data is b.side_data


@pytest.mark.parametrize("transfer", HDR, ids=lambda t: t.name)
def test_black_of_high_dynamic_range_stays_black(clean, transfer):
    """Gains are of light: where there is none, nothing is added."""
    dark = [
        np.where(np.indices((HEIGHT, WIDTH)).sum(0)[..., None] % 40 < 12, 0, p).astype(np.uint8) for p in clean[:30]
    ]
    frames = hdr_frames(dark, transfer, "bands")
    black = frames[0].planes[0] == 64
    for frame in frames:
        black &= frame.planes[0] == 64
    assert black.mean() > 0.2
    out = run(frames)
    assert max(int(f.planes[0][black].max()) for f in out) <= 66


@pytest.mark.parametrize("transfer", HDR, ids=lambda t: t.name)
@pytest.mark.parametrize("mode", ["live", "film"])
def test_clean_high_dynamic_range_leaves_as_it_came(clean, transfer, mode):
    frames = hdr_frames(clean[:40], transfer, "")
    assert all(a is b for a, b in zip(run(frames, mode), frames, strict=True))


# --- formats and sizes -------------------------------------------------------------------------------------------

YUV = [f"yuv{s}p{d}" for s in ("420", "422", "444") for d in ("", "10", "12", "16")]


@pytest.mark.parametrize("name", [*YUV, "rgb24", "rgb48", "gbrp", "gbrp10", "gbrp12", "gray", "gray10", "gray16"])
def test_bands_in_every_format(clean, name):
    truth = [to_rgb(to_format(p, name, 0), np.uint8) for p in clean[:28]]
    frames = [to_format(p, name, t) for t, p in enumerate(wrong(clean[:28], "bands"))]
    out = run(frames)
    assert won(frames, out, truth) > 11
    for a, b in zip(out, frames, strict=True):
        assert [(p.shape, p.dtype) for p in a.planes] == [(p.shape, p.dtype) for p in b.planes]
        assert max(int(p.max()) for p in a.planes) <= a.format.max_code
        assert (a.format, a.colour, a.pts, a.time_base) == (b.format, b.colour, b.pts, TICK)
        assert a.side_data is b.side_data


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8), (20, 20), (35, 64), (36, 63), (36, 64), (37, 65), (500, 16)])
@pytest.mark.parametrize("name", ["yuv420p", "gray10"])
def test_pictures_of_any_size(size, name):
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 180, (*size, 3)).astype(np.uint8)
    frames = [to_format(p, name, t) for t, p in enumerate(wrong([ground] * 20, EVERYTHING))]
    for mode, gate in (("live", "auto"), ("film", "always")):
        out, findings = told(frames, mode, gate=gate)
        assert [f.pts for f in out] == list(range(20))
        assert [f.index for f in findings] == list(range(20))
        assert all([p.shape for p in a.planes] == [p.shape for p in b.planes] for a, b in zip(out, frames, strict=True))


# --- cuts, seeks, ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [24.0, 30.0])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("turn", [1, -1])
def test_a_cut_in_the_midst_of_bands_is_found(shots, turn, seed, fps):
    one, other = (shots[name] for name in SHOTS[::turn])
    frames = frames_of(wrong(one[:20] + other[:6], "bands", seed, fps))
    assert [t for t, f in enumerate(run(frames, "live")) if f.cut] == [20]


@pytest.mark.parametrize(("mode", "after"), [("live", 30), ("low", 1), ("film", 30), ("film", 1)])
def test_nothing_of_bands_leaks_back_across_a_cut(shots, mode, after):
    """What comes after a cut does not change what was before it."""
    first = wrong(shots["boat"][:30], "bands+local")
    second = wrong(shots["windmill"][:after], "bands+local", seed=5)
    both, alone = run(frames_of(first + second), mode), run(frames_of(first), mode)
    assert all(same(a, b) for a, b in zip(both[:30], alone, strict=True))
    assert both[30].cut


@pytest.mark.parametrize("before", [40, 20])
def test_nothing_of_bands_leaks_on_across_a_cut(shots, before):
    first = wrong(shots["windmill"][:before], "bands", seed=5)
    second = wrong(shots["boat"][:40], "bands")
    both, alone = run(frames_of(first + second)), run(frames_of(second))
    assert all(same(a, b) for a, b in zip(both[before:], alone, strict=True))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("local", "live"), ("local", "film"), ("bands", "film"), ("bands+local", "film"),
        ("bands", "live"), ("bands+local", "low"),
    ],
)  # fmt: skip
def test_a_clean_shot_after_flicker_leaves_as_it_came(shots, kind, mode):
    frames = frames_of(wrong(shots["windmill"][:40], kind) + shots["boat"][:30])
    out = run(frames, mode)
    assert not same(out[30], frames[30])
    assert all(same(a, b) for a, b in zip(out[40:], frames[40:], strict=True))


def test_many_short_shots_under_bands(shots):
    """Of 1 to 12 frames: each begins with a cut that is told, and every frame comes out."""
    pictures, at = [], []
    for k in range(1, 13):
        shot, first = SHOTS[k % 2], 9 * k
        at.append(len(pictures))
        pictures += shots[shot][first : first + k]
    frames = frames_of(wrong(pictures, EVERYTHING, fps=30.0))
    for mode in ("live", "film"):
        out, findings = told(frames, mode)
        assert [f.pts for f in out] == list(range(len(frames)))
        assert [f.index for f in findings] == list(range(len(frames)))
        assert {f.index for f in findings if f.cut} <= set(at)


def test_bars_that_open_in_the_midst_of_bands(clean):
    pictures = wrong(clean, "bands")
    for picture in pictures[:20]:
        picture[:30], picture[-30:] = 0, 0
    frames = frames_of(pictures)
    out = run(frames)
    edge = np.s_[:28]
    for a, b in zip(out[:20], frames[:20], strict=True):
        assert all(np.array_equal(x[edge], y[edge]) for x, y in zip(a.planes, b.planes, strict=True))
    before, after = ([to_rgb(f)[edge] for f in some[30:]] for some in (frames, out))
    truth = [p[edge] for p in clean[30:]]
    assert quality(after, truth) > quality(before, truth) + 8


@pytest.mark.parametrize("mode", ["low", "film"])
def test_bands_go_on_after_a_flash(clean, mode):
    pictures = wrong(clean, "bands")
    white = np.full_like(pictures[0], 255)
    pictures[30:32] = [white] * 2
    frames = frames_of(pictures)
    out = run(frames, mode)
    assert all(np.array_equal(to_rgb(out[t]), white) for t in (30, 31))
    rest = [t for t in range(12, 60) if t not in (30, 31)]
    got = quality([to_rgb(out[t]) for t in rest], [clean[t] for t in rest])
    assert got > quality([pictures[t] for t in rest], [clean[t] for t in rest]) + 10


@pytest.mark.parametrize("mode", ["live", "film"])
def test_a_discontinuity_is_as_two_clips(clean, mode):
    frames = frames_of(wrong(clean[:48], EVERYTHING))
    frames[24] = frames[24].replace(discontinuity=True)
    out, findings = told(frames, mode)
    first, second = run(frames[:24], mode), run(frames[24:], mode)
    assert all(same(a, b) for a, b in zip(out, first + second, strict=True))
    assert [f.time for f in findings] == [f.time for f in frames]


def test_reset_and_flush_begin_anew(clean, shots):
    frames = frames_of(wrong(clean[:30], EVERYTHING))
    for mode in ("live", "film"):
        fresh = run(frames, mode)
        stream = Stream([Deflicker(mode)])
        for frame in frames_of(wrong(shots["boat"][:25], EVERYTHING, seed=3)):
            stream.push(frame)
        stream.reset()
        again = [f for _ in range(2) for f in stream.process(frames)]
        assert all(same(a, b) for a, b in zip(again, fresh * 2, strict=True))


def test_the_same_input_gives_the_same_bits(clean, for_threads):
    frames = frames_of(wrong(clean[:24], EVERYTHING))
    first, *rest = for_threads(lambda: run(frames))
    assert all(same(a, b) for other in rest for a, b in zip(first, other, strict=True))


# --- findings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("bands", "live"), ("local", "low"), ("flash", "live"), ("flash", "film"), (EVERYTHING, "live"),
     (EVERYTHING, "film")],
)  # fmt: skip
def test_findings_are_of_the_frames(clean, kind, mode):
    frames = [f.replace(pts=7 * f.pts + 100) for f in frames_of(wrong(clean, kind))]
    stream = Stream([Deflicker(mode)])
    findings, out = [], []
    stream.listen(lambda _, finding: findings.append(finding))
    for frame in frames:
        out += stream.push(frame)
        assert len(findings) == len(out)
    out += stream.flush()
    assert [f.index for f in findings] == list(range(60))
    assert [f.time for f in findings] == [f.time for f in out] == [f.time for f in frames]
    for finding, a, b in zip(findings, out, frames, strict=True):
        changed = not same(a, b)
        if not finding.touched:
            assert a.planes is b.planes
            assert finding.level_in == finding.level_out
            assert finding.largest == 0
            assert all(k.amount == 0 for k in finding.kinds.values())
        else:
            most = max(int(np.abs(x.astype(int) - y).max()) for x, y in zip(a.planes, b.planes, strict=True))
            assert most <= finding.largest + 1
            assert finding.level_out == pytest.approx(tuple(float(p.mean()) for p in a.planes), abs=1.0)
        assert finding.touched or not changed
        assert finding.as_dict()["frame"] == finding.index


@pytest.mark.parametrize("mode", ["live", "film"])
def test_a_listener_changes_nothing(clean, mode):
    frames = frames_of(wrong(clean[:30], EVERYTHING))
    heard, _ = told(frames, mode)
    assert all(same(a, b) for a, b in zip(heard, run(frames, mode), strict=True))


def test_the_amount_is_that_of_each_cure(clean):
    _, findings = told(frames_of(wrong(clean[:40], "bands")))
    assert all(f.kinds["bands"].amount == 1 for f in findings)
    assert all(f.kinds[k].amount == 0 for f in findings for k in f.kinds if k != "bands")
