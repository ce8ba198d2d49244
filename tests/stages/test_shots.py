"""Cuts, told from ranks; and the ranks themselves."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from reelmend import ops
from reelmend.analyze.degrade import KINDS, make
from reelmend.analyze.scenes import Film
from reelmend.frame import Frame, PixelFormat
from reelmend.stages.deflicker.signature import BINS, POINTS, tones_of
from reelmend.stages.letterbox import find_letterbox, inside
from reelmend.stages.shots import Shots
from reelmend.stages.structure import TILES, structure_of


@pytest.fixture(scope="module")
def film():
    return Film(80, width=160, height=96)


def ranks(picture):
    return structure_of(Frame.from_array(picture)).ranks


def numbers(pictures):
    shots = Shots()
    return [shots.number(structure_of(Frame.from_array(p))) for p in pictures]


# --- shots -------------------------------------------------------------------------------------------------------


def test_one_shot_has_one_number(film):
    assert len(set(numbers(film[t] for t in range(film.cut)))) == 1


def test_a_cut_gives_another(film):
    found = numbers(film[t] for t in range(film.frames))
    assert len(set(found)) == 2
    assert [a != b for a, b in pairwise(found)].index(True) == film.cut - 1


@pytest.mark.parametrize("kind", KINDS)
def test_flicker_is_no_cut(film, kind):
    flicker = make(kind, seed=2)
    assert len(set(numbers(flicker.apply(film[t], t) for t in range(film.cut)))) == 1


def test_a_fade_through_black_to_the_same_shot_is_no_cut_while_there_is_a_picture(film):
    pictures = [(film[t] * g).astype(np.uint8) for t, g in enumerate(np.linspace(1, 0.1, 20))]
    assert len(set(numbers(pictures))) == 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_shot_goes_on_after_a_flash_of_up_to_three_frames(film, length):
    white = np.full_like(film[0], 255)
    for flash in (white, film[60]):
        found = numbers([*(film[t] for t in range(10)), *[flash] * length, *(film[t] for t in range(10, 20))])
        assert len(set(found[:10] + found[10 + length :])) == 1
        assert len(set(found)) == 2
        assert len(set(found[10 : 10 + length])) == 1


def test_four_frames_are_a_shot(film):
    found = numbers([film[0], film[1], *[film[60]] * 4, film[2]])
    assert len(set(found)) == 3


def test_numbers_never_return_for_another_shot(film):
    black = np.zeros_like(film[0])
    found = numbers([film[0]] * 5 + [black] * 5 + [film[60]] * 5 + [black] * 5 + [film[0]] * 5)
    assert [found[i] for i in (0, 5, 10, 15, 20)] == sorted({found[i] for i in (0, 5, 10, 15, 20)})


def test_flat_pictures_are_alike():
    assert len(set(numbers(np.full((40, 60, 3), v, np.uint8) for v in (0, 255, 128, 7)))) == 1


def test_noise_is_told_from_noise():
    rng = np.random.default_rng(0)
    coarse = [np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(2)]
    assert len(set(numbers([coarse[0]] * 6 + [coarse[1]] * 6))) == 2


def test_another_size_is_another_shot(film):
    shots = Shots()
    first = shots.number(structure_of(Frame.from_array(film[0])))
    assert shots.number(structure_of(Frame.from_array(film[0][:8, :12]))) != first


# --- signatures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", [lambda x: x**0.5, lambda x: 0.3 * x, lambda x: 0.5 + 0.4 * x, lambda x: x**2])
def test_ranks_do_not_change_under_a_tone_curve(film, curve):
    x = film[3].astype(np.float64) / 255
    deep = [np.round(65535 * v).astype(np.uint16) for v in (x, curve(x))]
    a, b = (ranks(p) for p in deep)
    assert float(a @ b) > 0.995


def test_ranks_are_a_unit_vector_of_zero_mean(film):
    got = ranks(film[0])
    assert abs(float(got.sum())) < 1e-4
    assert abs(float(got @ got) - 1) < 1e-5


def test_ranks_of_a_flat_picture_are_zero():
    assert not ranks(np.full((40, 60, 3), 99, np.uint8)).any()


def everything(frame):
    return 0, 0, frame.width, frame.height


def test_signatures_are_the_same_in_every_format(film):
    share = film[0].astype(np.float32) / 255
    rgb = Frame.from_array(film[0])
    tones, structure = tones_of(rgb, everything(rgb)), structure_of(rgb)
    assert tones.histogram.shape == (3, BINS)
    assert tones.quantiles.shape == (3, POINTS)
    for name in ("yuv420p", "yuv444p10", "yuv422p16"):
        fmt = PixelFormat.parse(name)
        planes = ops.rgb_to_yuv(share, subsampling=fmt.subsampling, kr=0.299, kb=0.114, depth=fmt.depth)
        yuv = Frame(planes, fmt, 0, Fraction(1, 25))
        assert float(structure_of(yuv).ranks @ structure.ranks) > 0.999
        # tiles of decimated chroma do not begin where those of luma do
        assert np.abs(structure_of(yuv).tiles - structure.tiles).mean() < 0.004
        assert np.abs(tones_of(yuv, everything(yuv)).quantiles - tones.quantiles).mean() < 0.01


def test_tiles_are_means(film):
    picture = film[0]
    got = structure_of(Frame.from_array(picture)).tiles
    assert got.shape == (3, *TILES)
    assert np.abs(got.mean(axis=(1, 2)) * 255 - picture.mean(axis=(0, 1))).max() < 0.75


def test_large_pictures_are_sampled():
    frame = Frame.from_array(np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8))
    assert tones_of(frame, everything(frame)).histogram[0].sum() == 360 * 640


def test_only_the_region_counts(film):
    picture = film[0].copy()
    picture[:20], picture[80:] = 0, 0
    inside = tones_of(Frame.from_array(picture), (0, 20, 160, 80))
    alone = tones_of(Frame.from_array(picture[20:80].copy()), (0, 0, 160, 60))
    assert np.array_equal(inside.histogram, alone.histogram)
    assert np.array_equal(inside.quantiles, alone.quantiles)


@pytest.mark.parametrize(
    "region", [(0, 0, 160, 96), (0, 12, 160, 84), (20, 0, 142, 96), (64, 40, 96, 56), (0, 0, 16, 16)]
)
def test_tiles_of_a_region_lie_inside_it(film, region):
    structure = structure_of(Frame.from_array(film[0]))
    rows, columns = inside(TILES, region, 160, 96)
    x0, y0, x1, y1 = region
    assert rows.start * 96 / 18 >= y0
    assert rows.stop * 96 / 18 <= y1
    assert columns.start * 160 / 32 >= x0
    assert columns.stop * 160 / 32 <= x1
    assert structure.tiles[:, rows, columns].size


# --- bars --------------------------------------------------------------------------------------------------------


def lit(height, width, top, bottom, left, right, value=120):
    picture = np.zeros((height, width), np.uint8)
    picture[top : height - bottom, left : width - right] = value
    return picture


@pytest.mark.parametrize(
    ("bars", "region"),
    [
        ((0, 0, 0, 0), (0, 0, 60, 40)),
        ((6, 8, 0, 0), (0, 6, 60, 32)),
        ((7, 7, 0, 0), (0, 8, 60, 32)),
        ((0, 0, 5, 3), (6, 0, 56, 40)),
        ((4, 4, 10, 10), (10, 4, 50, 36)),
    ],
)
def test_letterbox_in_even_coordinates_inside_the_picture(bars, region):
    gray = lit(40, 60, *bars)
    assert find_letterbox(Frame.from_array(gray)) == region
    assert find_letterbox(Frame.from_array(np.stack([gray * 0, gray, gray * 0], -1))) == region
    luma = (16 + gray).astype(np.uint8)
    chroma = np.full((20, 30), 128, np.uint8)
    frame = Frame((luma, chroma, chroma), PixelFormat(), 0, Fraction(1, 25))
    assert find_letterbox(frame) == region


def test_letterbox_of_black_is_unknown():
    assert find_letterbox(Frame.from_array(np.zeros((40, 60), np.uint8))) is None
    assert find_letterbox(Frame.from_array(np.full((40, 60, 3), 4, np.uint8))) is None


def test_odd_sizes_keep_their_last_row_and_column():
    assert find_letterbox(Frame.from_array(np.full((41, 61), 99, np.uint8))) == (0, 0, 61, 41)


def test_a_small_light_is_no_picture():
    assert find_letterbox(Frame.from_array(lit(60, 80, 30, 20, 30, 40))) == (0, 0, 80, 60)
