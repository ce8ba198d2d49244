"""What is in the frames that Interpolate makes: motion, cuts, fades, overlays, bars; in every format and size."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from reelmend import Stream, ops
from reelmend.analyze.scenes import Film
from reelmend.frame import ChromaLocation, Colour, Frame, Matrix, PixelFormat, Range
from reelmend.stages.interpolate import METHODS, Interpolate

from .synthesised import LEARNED

TICK = Fraction(1, 25)
HEIGHT, WIDTH = 160, 272
MOVING = ["flow", "memc"]
# By networks of random weights, whose pictures are little more than mixtures: what is the stage's holds for them too.
BY_NETWORKS = [pytest.param(name, marks=pytest.mark.extra("train")) for name in LEARNED]
SHIPPED = ["our fast", "our superslomo", "our dain"]  # by the networks that ship
OURS = ["sample", "blend", *MOVING]
ALL = [*OURS, *BY_NETWORKS]


def test_all_methods_are_tested():
    assert sorted(["auto", *OURS, *LEARNED]) == sorted(METHODS)


@cache
def texture(seed, height=HEIGHT + 64, width=WIDTH + 256):
    """Smooth noise of several scales, 0..255, mean 128: something to see everywhere, and nothing twice."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    for cell, weight in ((3, 1.0), (8, 1.5), (24, 2.0), (80, 3.0)):
        grid = rng.standard_normal((height // cell + 2, width // cell + 2)).astype(np.float32)
        total += weight * ops.resize(grid, (height, width))
    return np.clip(128 + 45 * total / total.std(), 0, 255)


def view(x, y=0.0, seed=1):
    """The texture from a place, linear between whole pixels: float, HEIGHT x WIDTH."""
    i, j = int(np.floor(x)), int(np.floor(y))
    p, q = np.float32(x - i), np.float32(y - j)
    part = texture(seed)[j : j + HEIGHT + 1, i : i + WIDTH + 1]
    rows = part[:-1] * (1 - q) + part[1:] * q
    return rows[:, :-1] * (1 - p) + rows[:, 1:] * p


def gray(picture, t, **changes):
    codes = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return Frame((codes,), PixelFormat.parse("gray"), t, TICK, 1, Colour(range=Range.FULL)).replace(**changes)


def run(frames, device="cpu", **options):
    frames = [f if isinstance(f, Frame) else gray(f, t) for t, f in enumerate(frames)]
    method = options.get("method", "flow")
    if method in SHIPPED:
        options["method"] = method.removeprefix("our ")
    elif method not in OURS:
        options["network"] = f"few-{method}"
    stream = Stream([Interpolate(**{"factor": 2, "method": "flow", "repeats": "keep", **options})], device=device)
    return [f for frame in frames for f in stream.push(frame)] + stream.flush()


def luma(out):
    return [ops.to_host(f.planes[0]).astype(np.float64) for f in out]


def psnr(a, b, where=np.s_[:, :]):
    error = np.mean((np.asarray(a, np.float64)[where] - np.asarray(b, np.float64)[where]) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


INSIDE = np.s_[24:-24, 32:-32]


# --- motion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", MOVING)
@pytest.mark.parametrize("step", [(2, 0), (6, 0), (-4, 2), (3, 5)], ids=str)
def test_an_even_shift_is_made_between(method, step):
    def at(t):
        return view(40 + step[0] * t, 4 + step[1] * t)

    out = luma(run([at(t) for t in range(7)], method=method))
    for k in range(1, 12, 2):
        assert psnr(out[k], at(k / 2), INSIDE) > 45


@pytest.mark.parametrize("method", [*MOVING, *SHIPPED])
def test_at_any_time_between(method):
    """What is between pixels is blurred here, so what sharpens is further from it."""
    out = luma(run([view(20 + 6 * t) for t in range(5)], method=method, factor=5))
    for k in range(20):
        assert psnr(out[k], view(20 + 6 * k / 5), INSIDE) > (40 if method in MOVING else 34)


def test_accelerated_motion_is_followed():
    def at(t):
        return view(20 + 2 * t + 0.75 * t * t)

    quality = {}
    for curved in (True, False):
        out = luma(run([at(t) for t in range(8)], acceleration=curved))
        quality[curved] = min(psnr(out[k], at(k / 2), INSIDE) for k in range(3, 11, 2))
    assert quality[True] > 42
    assert quality[True] > quality[False] + 4


@pytest.mark.parametrize("method", ALL)
def test_identical_frames_give_that_frame(method):
    picture = gray(view(20), 0).planes[0]
    for f in run([gray(picture, t) for t in range(6)], method=method, factor=3):
        np.testing.assert_array_equal(f.planes[0], picture)


@pytest.mark.parametrize("method", [*MOVING, *SHIPPED, *BY_NETWORKS])
def test_what_stops_stands_still(method):
    """The frames of a hold are alike, though the picture moved before it and moves after it."""
    places = [0, 6, 12, 18, 18, 18, 18, 24, 30, 36]
    out = luma(run([view(20 + p) for p in places], method=method))
    for k in range(6, 13):
        np.testing.assert_array_equal(out[k], out[6])


@pytest.mark.parametrize("method", ["blend", *MOVING])
def test_near_a_source_frame_it_is_nearly_that(method):
    """At a thirtieth of the interval, beyond what counts as the source frame itself."""
    frames = [view(20 + 4 * t) for t in range(4)]
    out = run(frames, method=method, factor=30)
    assert out[31].made
    assert out[59].made
    assert psnr(luma(out)[31], frames[1], INSIDE) > 34
    assert psnr(luma(out)[59], frames[2], INSIDE) > 34


def scene_with_a_square(t):
    picture = view(40 + 2 * t).copy()
    x = round(40 + 8 * t)
    picture[48:112, x : x + 72] = texture(2)[:64, :72]
    return picture


@pytest.mark.parametrize("method", MOVING)
def test_what_is_covered_and_uncovered_is_better_than_mixed(method):
    quality = {}
    for name in ("blend", method):
        out = luma(run([scene_with_a_square(t) for t in range(8)], method=name))
        quality[name] = np.mean([psnr(out[k], scene_with_a_square(k / 2), INSIDE) for k in range(1, 14, 2)])
    assert quality[method] > quality["blend"] + 3


@pytest.mark.parametrize("method", MOVING)
def test_a_fast_pan_over_fine_texture_is_no_cut(method):
    """Tiny pictures of such a pan are unlike each other; its motion tells that it is one shot, and is found exactly."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (400, 900)).astype(np.float64)
    fine = sum(np.roll(noise, (i, j), (0, 1)) for i in range(3) for j in range(3)) / 9

    def at(t):
        return np.clip(np.rint((fine[20 + 6 * t :][:288, 40 + 8 * t :][:, :512] - 128) * 2 + 128), 0, 255)

    frames = [at(t) for t in range(6)]
    out = run(frames, method=method)
    assert not any(frame.cut for frame in out)
    middle = np.clip(np.rint((fine[35:][:288, 60:][:, :512] - 128) * 2 + 128), 0, 255)
    inside = np.s_[48:-48, 48:-48]
    assert np.array_equal(luma(out)[5][inside], middle[inside])


@pytest.mark.parametrize("method", MOVING)
def test_noise_alone_is_mixed(method):
    """No motion to be found: the frame between is no worse than the mean."""
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.float64) for _ in range(5)]
    out = run(frames, method=method, cuts="blend")
    mixed = run(frames, method="blend", cuts="blend")
    for a, b in zip(luma(out), luma(mixed), strict=True):
        assert psnr(a, b) > 20


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_flat_frames_stay(method, level):
    for f in run([np.full((HEIGHT, WIDTH), level)] * 4, method=method):
        assert (f.planes[0] == level).all()


# --- light -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["blend", *MOVING, *BY_NETWORKS])
def test_a_dissolve_is_mixed(method):
    a, b = view(20), view(20, seed=5)
    at = [0, 0, *np.linspace(0, 1, 11), 1, 1]
    out = luma(run([a + (b - a) * s for s in at], method=method))
    for k in range(len(at) - 1):
        true = a + (b - a) * (at[k] + at[k + 1]) / 2
        # Super SloMo samples up to a pixel aside at the right and below, which weights of training make up for
        assert psnr(out[2 * k + 1], true) > (30 if method == "superslomo" else 42)


@pytest.mark.parametrize("way", ["out", "in"])
@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
def test_a_fade_goes_evenly(way, step, method):
    """No beat: the light of a made frame is half way between its neighbours', to black and from it. Blocks that look
    for their own light in a darker picture find some elsewhere, so theirs is a little off."""
    gains = np.array([0, 0, 0, *np.linspace(0, 1, 11), 1, 1])
    gains = gains[::-1] if way == "out" else gains
    light = [p.mean() for p in luma(run([view(20 + step * t) * g for t, g in enumerate(gains)], method=method))]
    for k in range(1, len(light) - 2, 2):
        assert abs(light[k] - (light[k - 1] + light[k + 1]) / 2) < (0.5 if method == "flow" else 1)


@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
@pytest.mark.parametrize("acceleration", [True, False])
def test_a_flash_is_not_smeared(method, acceleration):
    """It lasts as long as it did, and nothing before or after is lit by it; nor is it told as a cut."""
    frames = [view(20 + 2 * t) for t in range(9)]
    white = np.full_like(frames[0], 255)
    frames[4] = white
    out = run(frames, method=method, acceleration=acceleration)
    light = [p.mean() for p in luma(out)]
    assert light[8] == light[9] == 255
    assert max(light[:8] + light[10:]) < 160
    assert not any(f.cut for f in out)


# --- cuts --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def film():
    """Eight frames of 320 x 180 in two shots of four, in motion."""
    whole = Film(48, width=320, height=180, grain=0.0, fps=6)
    return [whole[t] for t in range(whole.cut - 4, whole.cut + 4)]


def colour_frames(pictures):
    return [Frame.from_array(p, t, time_base=TICK) for t, p in enumerate(pictures)]


def rgb(frame):
    return np.stack([np.asarray(p) for p in frame.planes], -1).astype(float)


@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
@pytest.mark.parametrize("repeats", ["keep", "auto"])
def test_a_cut_is_held(film, method, repeats):
    """The old picture stays until the new shot begins, and every frame is of one shot."""
    out = run(colour_frames(film), method=method, factor=4, repeats=repeats)
    for k in range(12, 16):
        assert out[k].planes[0] is out[12].planes[0]
    np.testing.assert_array_equal(rgb(out[15]), film[3])
    np.testing.assert_array_equal(rgb(out[16]), film[4])
    assert [f.cut for f in out] == [k == 16 for k in range(32)]
    alone = run(colour_frames(film[4:]), method=method, factor=4, repeats=repeats)
    for a, b in zip(out[16:], alone, strict=True):
        assert psnr(rgb(a), rgb(b)) > 34


@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
def test_a_cut_is_told_once_though_no_output_falls_on_it(film, method):
    out = run(colour_frames(film), method=method, factor=None, rate=60, repeats="keep")
    assert [f.cut for f in out].count(True) == 1
    first = next(f for f in out if f.cut)
    assert first.time == min(f.time for f in out if f.time >= 4 * TICK)


@pytest.mark.parametrize("method", ["blend", "flow", *BY_NETWORKS])
def test_a_cut_is_blended_if_asked(film, method):
    out = run(colour_frames(film), method=method, cuts="blend")
    mean = (film[3].astype(float) + film[4]) / 2
    assert np.abs(rgb(out[7]) - mean).max() <= 0.5
    assert [f.cut for f in out].count(True) == 1


@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
def test_both_sides_of_a_cut_are_extrapolated_if_asked(method):
    one, two = [view(20 + 4 * t) for t in range(5)], [view(100 + 4 * t, seed=7) for t in range(5)]
    out = run([*one, *two], method=method, cuts="extrapolate", factor=4)
    for k, true in ((17, view(20 + 17)), (18, view(100 - 2, seed=7)), (19, view(100 - 1, seed=7))):
        assert psnr(luma(out)[k], true, INSIDE) > 40
    assert [k for k, f in enumerate(out) if f.cut] == [18]


def test_flags_that_came_in_are_not_multiplied():
    frames = [gray(view(20 + 4 * t), t, cut=t == 2, side_data={"n": t}) for t in range(5)]
    for options in ({"factor": 4}, {"factor": None, "rate": 110}, {"method": "sample", "factor": 3}):
        out = run(frames, **options)
        assert [f.cut for f in out].count(True) == 1
        assert next(f.time for f in out if f.cut) >= (2 * TICK if "sample" not in options.values() else TICK)


# --- bars and titles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["blend", *MOVING, *BY_NETWORKS])
@pytest.mark.parametrize("black", [0, 3])
def test_black_bars_stay_to_the_bit(method, black):
    """And the picture inside is made as if they were not there."""

    def boxed(t):
        picture = view(20 + 4 * t)
        picture[:24] = picture[-24:] = black
        return picture

    out = luma(run([boxed(t) for t in range(8)], method=method))
    for p in out:
        assert (p[:24] == black).all()
        assert (p[-24:] == black).all()
    if method in MOVING:
        for k in range(1, 14, 2):
            assert psnr(out[k], boxed(k / 2), np.s_[26:-26, 32:-32]) > 40


def titled(picture):
    picture = picture.copy()
    for x in range(60, 210, 30):
        picture[120:146, x : x + 5] = picture[120:125, x : x + 18] = 240
        picture[132:136, x : x + 14] = 20
    return picture


TITLE = (titled(view(20)) != view(20)) & (titled(view(60)) != view(60))


@pytest.mark.parametrize("method", [*MOVING, *SHIPPED, *BY_NETWORKS])
def test_a_title_over_motion_stays(method):
    quality = {}
    for kept in (True, False):
        out = luma(run([titled(view(20 + 5 * t)) for t in range(14)], method=method, overlays=kept))
        quality[kept] = min(psnr(out[k], titled(view(20 + 5 * k / 2)), TITLE) for k in range(19, 26, 2))
    assert quality[True] > 34
    if method in (*MOVING, *SHIPPED):  # what is little more than mixed does not move it
        assert quality[True] > quality[False] + (6 if method in MOVING else 3)


@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
def test_no_overlay_is_seen_where_there_is_none(method):
    frames = [view(20 + 5 * t) for t in range(12)]
    with_them, without = (luma(run(frames, method=method, overlays=o)) for o in (True, False))
    for k in range(1, 22, 2):
        assert psnr(with_them[k], view(20 + 5 * k / 2), INSIDE) > psnr(without[k], view(20 + 5 * k / 2), INSIDE) - 3


# --- formats -----------------------------------------------------------------------------------------------------

FORMATS = [
    "yuv420p",
    "yuv422p10",
    "yuv444p",
    "gray",
    "gray16",
    "rgb24",
    "gbrp12",
    "yuva420p",
    "gbrap",
    "rgba",
    "yuv440p",
]


def as_format(picture, name, t, full=True):
    """A float picture as a frame: chroma (or colour) and alpha move with it, and use all codes."""
    fmt = PixelFormat.parse(name)
    top = fmt.max_code
    shapes = fmt.plane_shapes(picture.shape[1], picture.shape[0])
    planes = []
    for c, shape in enumerate(shapes):
        plane = picture[:: round(picture.shape[0] / shape[0]), :: round(picture.shape[1] / shape[1])][
            : shape[0], : shape[1]
        ]
        share = plane / 255 if c % 2 == 0 else 1 - plane / 255
        planes.append(np.clip(share * 1.2 * top - 0.1 * top, 0, top).astype(fmt.dtype))
    if fmt.packed:
        whole = np.stack(planes, -1)
        planes = [whole[..., c] for c in range(len(planes))]
    for plane in planes:
        plane.setflags(write=False)
    matrix = Matrix.BT709 if fmt.kind == "yuv" else Matrix.RGB
    wide = Range.FULL if full else Range.LIMITED
    return Frame(tuple(planes), fmt, t, TICK, 1, Colour(matrix=matrix, range=wide, chroma_location=ChromaLocation.LEFT))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("method", ["blend", *MOVING, *BY_NETWORKS])
def test_every_plane_of_every_format_moves(name, method):
    out = run([as_format(view(20 + 4 * t), name, t) for t in range(4)], method=method)
    assert [f.made for f in out] == [False, True] * 3 + [False, False]
    for k, f in enumerate(out[:6]):
        true = as_format(view(20 + 2 * k), name, 0)
        assert f.format == true.format
        assert f.colour == true.colour
        for a, b in zip(f.planes, true.planes, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.max() <= f.format.max_code
            if method in MOVING:
                scale = 255 / f.format.max_code
                assert psnr(a * scale, b * scale, np.s_[24:-24, 24:-24]) > 36


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("method", ["blend", *MOVING, *BY_NETWORKS])
def test_no_code_above_the_depth(full, method):
    """Steps from 0 to 1023 and back, in motion: nothing is made that a 10-bit code cannot hold."""
    steps = [np.where(view(20 + 5 * t) > 128, 255.0, 0.0) for t in range(5)]
    for f in run([as_format(p, "yuv422p10", t, full) for t, p in enumerate(steps)], method=method):
        assert max(int(p.max()) for p in f.planes) == 1023


SIZES = [(1, 1), (1, 2), (2, 1), (7, 1), (1, 7), (7, 7), (2, 64), (64, 2), (15, 33), (17, 201)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["yuv420p", "gbrp10"])
@pytest.mark.parametrize("method", ALL)
def test_tiny_and_odd_sizes(size, name, method):
    pictures = [view(20 + t)[: size[0], : size[1]] for t in range(5)]
    out = run([as_format(p, name, t) for t, p in enumerate(pictures)], method=method)
    assert len(out) == 10
    for f in out:
        assert [tuple(p.shape) for p in f.planes] == list(f.format.plane_shapes(size[1], size[0]))


def test_sources_are_never_written_to():
    frames = [as_format(titled(view(20 + 5 * t)), "yuv420p", t) for t in range(9)]
    before = [[p.copy() for p in f.planes] for f in frames]
    out = run(frames)
    assert [f.planes for f in out[::2]] == [f.planes for f in frames]
    for f, planes in zip(frames, before, strict=True):
        for a, b in zip(f.planes, planes, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", [*MOVING, *BY_NETWORKS])
def test_threads_do_not_matter(for_threads, method):
    frames = [as_format(titled(view(20 + 5 * t)), "yuv420p", t) for t in range(8)]
    first, *others = for_threads(lambda: [p.tobytes() for f in run(frames, method=method) for p in f.planes])
    assert all(first == other for other in others)


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("name", ["yuv420p", "rgb24", "gray16"])
def test_on_a_gpu_the_same_bytes(cuda, method, name):
    frames = [as_format(titled(view(20 + 5 * t)), name, t) for t in range(9)]
    here, there = (run(frames, device=device, method=method) for device in ("cpu", "cuda"))
    for a, b in zip(here, there, strict=True):
        assert b.on_gpu
        assert (a.time, a.duration, a.cut, a.made) == (b.time, b.duration, b.cut, b.made)
        for p, q in zip(a.planes, b.planes, strict=True):
            np.testing.assert_array_equal(p, cuda.get(q))
