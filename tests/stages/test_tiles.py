"""Tiles: right parts cover a length once, and hold all that they depend on."""

import itertools

import numpy as np
import pytest

from reelmend.stages.tiles import cut


@pytest.mark.parametrize(
    ("length", "tile", "radius", "multiple"),
    [
        (length, tile, radius, multiple)
        for length, tile, radius, multiple in itertools.product(
            (8, 64, 72, 120, 1080, 1920), (40, 64, 250), (0, 3, 16), (1, 4, 8)
        )
        if length % multiple == 0
    ],
)
def test_right_parts_cover_the_length_once_and_see_all_they_need(length, tile, radius, multiple):
    done = 0
    for t in cut(length, tile, radius, multiple):
        assert t.first == done < t.last
        assert t.begin % multiple == 0
        assert t.length % multiple == 0
        assert t.begin >= 0
        assert t.begin + t.length <= length
        assert t.begin <= max(0, t.first - radius)
        assert t.begin + t.length >= min(length, t.last + radius)
        done = t.last
    assert done == length


def test_all_tiles_are_of_one_length_so_that_one_engine_does():
    tiles = list(cut(1000, 128, 9, 2))
    assert {t.length for t in tiles} == {128}
    assert len(tiles) > 8


def test_a_short_length_is_one_tile():
    assert [(t.begin, t.length) for t in cut(100, 128, 9)] == [(0, 100)]
    assert [(t.begin, t.length) for t in cut(100, 20, 10)] == [(0, 100)]  # no room beside what it sees


def test_a_filter_in_tiles_is_the_filter_of_the_whole():
    rng = np.random.default_rng(0)
    x, taps, radius = rng.random(501), rng.random(13), 6
    whole = np.convolve(x, taps, "same")
    parts = []
    for t in cut(501, 64, radius):
        part = np.convolve(x[t.begin : t.begin + t.length], taps, "same")
        parts.append(part[t.first - t.begin : t.last - t.begin])
    np.testing.assert_array_equal(np.concatenate(parts), whole)
