"""What was done to a frame and what the networks add, in one pass; and how far the networks are followed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reelmend import Deflicker, Stream, to_rgb
from reelmend.analyze.degrade import make
from reelmend.analyze.metrics import psnr
from reelmend.analyze.scenes import Film
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range, Transfer
from reelmend.stages.deflicker import networks, trust
from reelmend.stages.deflicker.apply import Brush, points_of
from reelmend.stages.deflicker.item import Found
from reelmend.stages.deflicker.joined import Treated, joined
from reelmend.stages.deflicker.light import light_of
from reelmend.stages.deflicker.patches import SHARE_OFF, SHARE_ON, PatchEvidence

TICK = Fraction(1, 25)
HEIGHT, WIDTH = 160, 288
WHOLE = (0, 0, WIDTH, HEIGHT)
KNOTS = np.linspace(0, 1, 9)


def frame_of(name, transfer=Transfer.BT709, seed=0):
    """Smooth colours in the middle of the range."""
    fmt = PixelFormat.parse(name)
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    planes = [0.25 + 0.2 * (1 + np.sin(4 * u + k + rng.random()) * np.cos(5 * v + k)) for k in range(3)]
    planes = [(p * fmt.max_code + 0.5).astype(fmt.dtype) for p in planes]
    return Frame(tuple(planes), fmt, 0, TICK, 1, Colour(matrix=Matrix.RGB, range=Range.FULL, transfer=transfer))


def fields(rows=9, columns=16, bins=1, size=0.2, seed=1):
    """Gains on a grid, smooth as those of patches are."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[0:rows, 0:columns] / rows
    one = size * np.sin(2 * u + rng.random(3)[:, None, None] * 6) * np.cos(2 * v + 1)
    return np.repeat(one[:, None], bins, 1).astype(np.float32)


def curves_of(kind, points):
    x = np.linspace(0, 1, points)
    made = {"gain": 0.15 * x, "shift": np.full_like(x, -0.08), "gamma": x**1.2 - x}[kind]
    return np.tile(made, (3, 1)).astype(np.float32)


def one_by_one(frame, gains, change, curves, last, light):
    """The same in as many passes as there are."""
    brush = Brush(None, (), False)
    made = brush.retone(brush.retone(frame, WHOLE, gains=gains, light=light), WHOLE, change)
    x = np.linspace(0, 1, points_of(frame.format))
    more = np.stack([np.interp(x, KNOTS, c) for c in curves]).astype(np.float32)
    return brush.retone(made, WHOLE, more, last[:, None])


def at_once(frame, treated, curves, last, dither=False, brush=None):
    change, gains, response = joined(treated, curves, last)
    return (brush or Brush(None, (), dither)).retone(frame, WHOLE, change, gains, response=response)


@pytest.mark.parametrize("kind", ["gain", "shift", "gamma"])
@pytest.mark.parametrize("transfer", [Transfer.BT709, Transfer.PQ, Transfer.HLG])
@pytest.mark.parametrize("grid", [(9, 16, 4), (128, 1, 1)])
def test_one_pass_is_what_several_are_but_for_rounding(kind, transfer, grid):
    frame = frame_of("gbrp16le", transfer)
    rows, columns, bins = grid
    gains, light = fields(rows, columns, bins), light_of(transfer)
    change = curves_of(kind, points_of(frame.format))
    curves = np.tile(0.02 * np.sin(3 * KNOTS), (3, 1)).astype(np.float32)
    last = fields(18, 32, size=0.04, seed=2)[:, 0]
    expected = one_by_one(frame, gains, change, curves, last, light)
    made = at_once(frame, Treated(frame, gains, change), curves, last)
    off = [np.abs(a.astype(float) - b) / 65535 * 255 for a, b in zip(made.planes, expected.planes, strict=True)]
    moved = [np.abs(a.astype(float) - b) / 65535 * 255 for a, b in zip(frame.planes, expected.planes, strict=True)]
    assert np.mean(moved) > 5
    assert np.mean(off) < 0.25
    assert np.max(off) < (1.2 if transfer is Transfer.BT709 else 3)


def test_one_pass_is_rounded_once():
    """In eight bits with dither, the error is that of one rounding and not that of three."""
    fine, coarse = frame_of("gbrp16le"), frame_of("gbrp")
    deep = [p.astype(np.uint16) * 257 for p in coarse.planes]
    gains, light = fields(bins=4), light_of(Transfer.BT709)
    curves, last = np.zeros((3, 9), np.float32), fields(18, 32, size=0.02, seed=2)[:, 0]
    exact = one_by_one(
        fine.replace(planes=tuple(deep)), gains, curves_of("gain", points_of(fine.format)), curves, last, light
    )
    truth = [p / 257 for p in exact.planes]
    change = curves_of("gain", points_of(coarse.format))

    def error(made):
        return float(np.mean([np.square(a - b).mean() for a, b in zip(made.planes, truth, strict=True)]))

    brush = Brush(None, (), True)
    twice = brush.retone(brush.retone(coarse, WHOLE, gains=gains, light=light), WHOLE, change, last[:, None])
    once = at_once(coarse, Treated(coarse, gains, change), curves, last, dither=True)
    assert error(once) < 0.25
    assert error(once) < 0.7 * error(twice)


def test_without_first_gains_it_is_curves_and_gains_alone():
    frame = frame_of("gbrp16le")
    last = fields(18, 32)[:, 0]
    change, gains, response = joined(Treated(frame, None, None), np.zeros((3, 9), np.float32), last)
    assert not change.any()
    assert np.array_equal(gains[:, 0], last)
    assert response is None


def test_a_mask_and_what_is_protected_hold_in_one_pass():
    frame = frame_of("gbrp")
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, 200:] = 0
    treated = Treated(frame, fields(bins=4), curves_of("shift", points_of(frame.format)))
    brush = Brush(mask, ((10, 20, 60, 50),), True)
    made = at_once(frame, treated, np.zeros((3, 9), np.float32), fields(18, 32)[:, 0], brush=brush)
    for a, b in zip(made.planes, frame.planes, strict=True):
        assert np.array_equal(a[:, 200:], b[:, 200:])
        assert np.array_equal(a[20:50, 10:60], b[20:50, 10:60])
        assert np.mean(a[60:, :200] != b[60:, :200]) > 0.8


def test_a_small_answer_is_dropped_and_a_large_one_kept():
    assert trust.kept(np.zeros((3, 4, 5), np.float32)) == 0
    assert trust.kept(np.full((3, 4, 5), 1.5 / 255, np.float32)) == 0
    sizes = [trust.kept(np.full((3, 4, 5), n / 255, np.float32)) for n in (2.5, 4, 8, 20)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.5
    assert sizes[-1] > 0.95


def test_flicker_in_parts_is_told_by_the_share_of_blocks_that_jitter():
    said = [trust.local(Found(patches=PatchEvidence(share))) for share in (0, SHARE_OFF, SHARE_ON, 0.5)]
    assert said == pytest.approx([0, 0, 1, 1])
    assert trust.uneven(Found(bands_amount=0.6)) == 0.6


@pytest.fixture(scope="module")
def clean():
    film = Film(96, width=320, height=192)
    return [film[t] for t in range(film.cut)][:40]


def restored(clean, kind, **options):
    flicker = make(kind, seed=3)
    given = [Frame.from_array(flicker.apply(p, t), t, time_base=TICK) for t, p in enumerate(clean)]
    out = list(Stream([Deflicker(mode="film", **options)]).process(given))
    found = [min(60.0, psnr(to_rgb(f), p)) for f, p in zip(out, clean, strict=True)]
    return float(np.mean(found)), given, out


@pytest.mark.parametrize("kind", ["white_balance", "additive", "local"])
def test_only_its_size_speaks_for_an_answer_where_light_is_multiplied(clean, monkeypatch, kind):
    """Without that, equalisation stands alone there; light that is added, or flickers in parts, speaks for itself."""
    monkeypatch.setattr(networks, "kept", lambda apart: 0.0)
    alone, more = (restored(clean, kind, networks=n)[2] for n in (False, True))
    off = [float(np.abs(to_rgb(a).astype(float) - to_rgb(b)).mean()) for a, b in zip(alone, more, strict=True)]
    if kind == "white_balance":
        assert max(off) < 0.1
    else:
        assert np.median(off) > 0.25


def test_frames_come_from_what_they_were_before_anything_was_done(clean, monkeypatch):
    """Where patches were cured, the last pass begins with the frame as it came."""
    bases = []
    original = Brush.retone

    def retone(self, frame, *args, response=None, **given):
        if response is not None:
            bases.append(frame)
        return original(self, frame, *args, response=response, **given)

    monkeypatch.setattr(Brush, "retone", retone)
    _, given, _ = restored(clean, "local", networks=True)
    assert len(bases) > 20
    planes = {id(f.planes[0]) for f in given}
    assert all(id(f.planes[0]) in planes for f in bases)
