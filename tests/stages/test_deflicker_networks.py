"""The networks of Deflicker: what the plan says, what they touch and what they do not, and what they are worth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reelmend import Deflicker, Stream, ops, to_rgb
from reelmend.analyze.degrade import make
from reelmend.analyze.metrics import psnr
from reelmend.analyze.scenes import Film
from reelmend.engines import find
from reelmend.errors import NetworkError, OptionError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range, VideoInfo
from reelmend.stages.deflicker import networks, priors
from reelmend.stages.deflicker.priors import MID, PLANES, SMALL, TONES, Sight, View, global_inputs

TICK = Fraction(1, 24)
SIZE = (192, 320)  # rows, columns


def frames_of(pictures):
    return [Frame.from_array(p, t, time_base=TICK) for t, p in enumerate(pictures)]


def run(frames, **options):
    return list(Stream([Deflicker(**options)]).process(frames))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def worth(frames, truth):
    return float(np.mean([psnr(to_rgb(f), t) for f, t in zip(frames, truth, strict=True)]))


@pytest.fixture(scope="module")
def clean():
    film = Film(96, width=SIZE[1], height=SIZE[0])
    return [film[t] for t in range(film.cut)][:40]


@pytest.fixture(scope="module")
def other():
    film = Film(96, width=SIZE[1], height=SIZE[0])
    return [film[t] for t in range(film.cut, 96)][:24]


def flickering(pictures, kind="gain_gamma+local", seed=3):
    flicker = make(kind, seed=seed)
    return [flicker.apply(p, t) for t, p in enumerate(pictures)]


@pytest.fixture(scope="module")
def bad(clean):
    return flickering(clean)


@pytest.mark.parametrize("given", [(), ("globe",), "global", ("global", "lokal"), 1])
def test_refuses_networks_that_there_are_not(given):
    with pytest.raises(OptionError, match="networks is"):
        Deflicker(networks=given)


def test_refuses_a_network_of_another_family(bad):
    with pytest.raises(NetworkError, match="lite-x2"):
        run(frames_of(bad), networks=True, network=find("lite-x2"))


@pytest.mark.parametrize(("mode", "latency"), [("live", 0), ("low", 4 + 3), ("film", 60 + 13)])
def test_the_plan_tells_what_runs_and_how_long_it_waits(mode, latency):
    info = VideoInfo(1920, 1080, PixelFormat.parse("yuv420p"), time_base=TICK)
    plain, planned = (Deflicker(mode=mode, networks=n).declare(info, "cpu") for n in (False, True))
    assert (plain.engines, planned.engines) == ((), ("blaze",))
    assert planned.latency == latency == Deflicker(mode=mode, networks=True).window[1]
    for part in networks.PARTS:
        assert any(f"blaze/{part}" in note for note in planned.notes)
    assert planned.memory > plain.memory
    assert not planned.fallbacks


def test_small_pictures_are_left_to_equalisation_and_the_plan_says_so(bad):
    small = [np.ascontiguousarray(p[::2, ::2]) for p in bad]
    info = VideoInfo(SIZE[1] // 2, SIZE[0] // 2, PixelFormat("rgb", 8), time_base=TICK)
    (fallback,) = Deflicker(networks=True).declare(info, "cpu").fallbacks
    assert "256x144" in str(fallback)
    for a, b in zip(run(frames_of(small), networks=True), run(frames_of(small)), strict=True):
        assert same(a, b)


@pytest.mark.parametrize("mode", ["live", "low", "film"])
def test_every_frame_comes_out_once_in_order_with_its_time(bad, mode):
    out = run(frames_of(bad), mode=mode, networks=True)
    assert [f.pts for f in out] == list(range(len(bad)))


def test_what_does_not_flicker_leaves_bit_for_bit(clean):
    given = frames_of(clean)
    for a, b in zip(run(given, networks=True), given, strict=True):
        assert same(a, b)


def test_networks_forced_on_clean_frames_change_hardly_anything(clean):
    equalised = run(frames_of(clean), networks=False, gate="always")
    forced = run(frames_of(clean), networks=True, gate="always")
    floor = min(55.0, worth(equalised, clean))
    assert worth(forced, clean) >= floor - 1.0


def test_they_are_worth_it_on_parts_that_flicker(clean, bad):
    alone, better = (run(frames_of(bad), mode="film", networks=n) for n in (False, True))
    assert worth(better, clean) > worth(alone, clean) + 0.5


def test_light_lost_in_one_frame_comes_back_from_its_neighbours(clean):
    lit = [p.copy() for p in clean]
    at = 20
    raised = clean[at].astype(np.float32) * 1.8
    lit[at] = np.uint8(np.clip(raised, 0, 255))
    lost = (raised > 255).all(axis=2)
    assert lost.mean() > 0.005, "the test's picture has nothing that clips"
    options = {"mode": "film", "gate": "always", "flashes": "remove"}
    alone, better = (to_rgb(run(frames_of(lit), networks=n, **options)[at]) for n in (False, ("local",)))
    before, after = (float(((x[lost].astype(float) - clean[at][lost]) ** 2).mean()) for x in (alone, better))
    assert after < before / 2


def test_nothing_is_carried_over_a_cut(clean, other):
    joined = frames_of(flickering(clean + other, "local"))
    apart = frames_of(flickering(clean + other, "local")[len(clean) :])
    together = run(joined, mode="film", networks=True)[len(clean) :]
    # the second shot by itself: its numbers differ, and with them when evidence is weighed
    alone = run(apart, mode="film", networks=True)
    assert len(together) == len(alone)
    for a, b in zip(together, alone, strict=True):
        assert psnr(to_rgb(a), to_rgb(b)) > 38


def test_what_is_protected_and_what_is_masked_stays(bad):
    mask = np.full(SIZE, 255, np.uint8)
    mask[:, 200:] = 0
    frames = frames_of(bad)
    for given, out in zip(frames, run(frames, networks=True, mask=mask, mode="film"), strict=True):
        assert np.array_equal(to_rgb(given)[:, 200:], to_rgb(out)[:, 200:])


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "gbrp16le"])
def test_every_format_keeps_its_own(bad, name):
    fmt = PixelFormat.parse(name)
    frames = []
    for t, rgb in enumerate(bad):
        deep = (rgb.astype(np.float64) / 255 * fmt.max_code + 0.5).astype(fmt.dtype)
        colour = Colour(matrix=Matrix.RGB, range=Range.FULL)
        if fmt.kind == "yuv":
            colour = Colour(matrix=Matrix.BT709, range=Range.LIMITED)
            planes = ops.rgb_to_yuv(
                rgb, kr=0.2126, kb=0.0722, rgb_depth=8, depth=fmt.depth, full_range=False, subsampling=fmt.subsampling
            )
        elif fmt.kind == "gray":
            planes = (np.ascontiguousarray(deep[..., 1]),)
        else:
            planes = tuple(np.ascontiguousarray(deep[..., c]) for c in range(3))
        frames.append(Frame(tuple(planes), fmt, t, TICK, 1, colour))
    out = run(frames, mode="film", networks=True)
    assert [f.format for f in out] == [fmt] * len(frames)
    # what each adds to equalisation is alike whatever the format is
    changed = [not same(a, b) for a, b in zip(frames, out, strict=True)]
    assert np.mean(changed) > 0.8


def test_black_bars_are_left_out(bad):
    barred = []
    for p in bad:
        framed = np.zeros((SIZE[0] + 48, SIZE[1] + 32, 3), np.uint8)
        framed[24:-24, 16:-16] = p
        barred.append(framed)
    out = run(frames_of(barred), mode="film", networks=True)
    plain = run(frames_of(bad), mode="film", networks=True)
    for a, b in zip(out, plain, strict=True):
        assert not to_rgb(a)[:24].any()
        assert not to_rgb(a)[:, :16].any()
        assert psnr(to_rgb(a)[24:-24, 16:-16], to_rgb(b)) > 36


def test_a_stream_may_be_reset_and_used_again(bad):
    runtime = Deflicker(networks=True).open(VideoInfo(SIZE[1], SIZE[0], PixelFormat("rgb", 8), time_base=TICK), "cpu")

    def once():
        out = [f for frame in frames_of(bad[:20]) for f in runtime.push(frame)]
        return out + runtime.flush()

    first = once()
    runtime.reset()
    for a, b in zip(first, once(), strict=True):
        assert same(a, b)


def test_a_listener_is_told_of_the_frames_as_they_leave(bad):
    told = []
    stream = Stream([Deflicker(mode="film", networks=True)])
    stream.listen(lambda stage, finding: told.append(finding))
    out = list(stream.process(frames_of(bad)))
    assert [f.index for f in told] == list(range(len(out)))
    for finding, frame in zip(told, out, strict=True):
        assert finding.level_out == pytest.approx(tuple(to_rgb(frame).mean(axis=(0, 1))), abs=0.6)


def test_networks_cannot_change_in_a_run(bad):
    runtime = Deflicker().open(VideoInfo(SIZE[1], SIZE[0], PixelFormat("rgb", 8), time_base=TICK), "cpu")
    with pytest.raises(OptionError, match="networks"):
        runtime.update(networks=True)


def sight_of(rgb: np.ndarray) -> Sight:
    mid = np.stack([ops.resize(np.ascontiguousarray(c), MID, filter="area") for c in np.moveaxis(rgb, 2, 0)])
    view = View.made(mid.astype(np.float32) / 255)
    return Sight.of(view, view, np.linspace(0, 1, 256, dtype=np.float32))


def test_inputs_have_the_planes_they_are_said_to_have(clean):
    seen = [sight_of(p) for p in clean[:5]]
    grid, tones = global_inputs(seen, 2)
    assert grid.shape == (PLANES, *SMALL)
    assert tones.shape == (TONES,)
    small = np.stack([s.made.small for s in seen]).astype(np.float64)
    np.testing.assert_allclose(grid[0:3], small[2], atol=1e-6)
    np.testing.assert_allclose(grid[13:16], small.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(grid[19], small.mean(axis=1).std(axis=0), atol=1e-5)
    np.testing.assert_allclose(grid[6], small[2].max(axis=0), atol=3e-3)  # V~ of a table that changes nothing
    quarter = seen[2].made.mid.reshape(3, SMALL[0], 4, SMALL[1], 4).mean(axis=(2, 4))
    np.testing.assert_allclose(grid[0:3], quarter, atol=1e-6)


def test_tones_are_quantiles_and_what_is_clipped():
    rng = np.random.default_rng(0)
    mid = rng.random((3, *MID)).astype(np.float32)
    mid[0, :72] = 0
    mid[1, :36] = 1
    tones = View.made(mid).tones
    for c in range(3):
        expected = np.quantile(mid[c], priors.RANKS)
        np.testing.assert_allclose(tones[c, : len(priors.RANKS)], expected, atol=3e-3)
    np.testing.assert_allclose(tones[0, -2:], [0.5, 0.0], atol=5e-3)
    np.testing.assert_allclose(tones[1, -2:], [0.0, 0.25], atol=5e-3)


def test_small_flow_is_the_same_motion():
    flow = np.empty((2, *MID), np.float32)
    flow[0], flow[1] = 8.0, -4.0
    np.testing.assert_allclose(priors.small_flow(flow), np.stack([np.full(SMALL, 2.0), np.full(SMALL, -1.0)]))
    np.testing.assert_allclose(priors.half(flow)[:, 0, 0], [4.0, -2.0])
