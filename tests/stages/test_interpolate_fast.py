"""Method "fast": the stage makes what training makes; it begins at the search. So does a slim Super SloMo."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from reelmend.errors import NetworkError, OptionError
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.estimate import Motion
from reelmend.stages.interpolate.fast import Fast
from reelmend.stages.interpolate.superslomo import SuperSloMo, SuperSloMoAlong
from reelmend.stages.interpolate.ways import Ways

from .synthesised import TIMES, TOLERANCE, batch_of, deep, moving, pictures

pytestmark = pytest.mark.extra("train")


@pytest.fixture(scope="module")
def fast(small_weights: Any) -> Any:
    """The family of few channels, that sharpens here, softens there, and believes some of it to stand still."""
    from reelmend.networks.fast import FAST, Fast

    state = small_weights(Fast(8, 2).state_dict(), 6)
    state["refine.tell.4.bias"][:1] += 4
    return FAST.recognise(state, state)


def written(by: Any, a: np.ndarray, b: np.ndarray, ways: Any, t: float, share: float = 1.0) -> np.ndarray:
    """What it writes into a frame of 16 bits, float32 (3, rows, columns), 0..1."""
    frames = deep(a), deep(b)
    views = [by.view(f, (0, 0, a.shape[2], a.shape[1])) for f in frames]
    target = deep(np.zeros_like(a))
    by.write(by.pair(*views, ways), (views[0], views[1]), frames, t, share, target)
    return np.stack(target.planes) / np.float32(65535)


@pytest.mark.parametrize("size", [(64, 96), (52, 76), (96, 132)])
def test_the_stage_makes_what_training_makes(fast: Any, pretend: Any, size: tuple[int, int]) -> None:
    import torch

    from reelmend.networks.train.chains import refined

    net, runs = pretend(fast)
    by = Fast(net, "cpu")
    a, b = pictures(size)
    ways = moving(size)
    for t in TIMES:
        with torch.no_grad():
            expected = refined(as_one(fast), batch_of(a, b, ways, t, size, by.multiple))[0][0].numpy()
        expected = expected[:, : size[0], : size[1]].clip(0, 1)
        assert np.abs(written(by, a, b, ways, t) - expected).max() < TOLERANCE
    assert runs == {"judge": 3, "refine": 3}


def as_one(fast: Any) -> Any:
    """Its parts as training has them."""
    from reelmend.networks.fast import Fast

    whole = Fast(8, 2).eval()
    whole.judge, whole.refine = (graph.module for graph in fast.graphs)
    return whole


def test_a_pair_is_judged_once(fast: Any, pretend: Any) -> None:
    """However many pictures are made of it, in any order."""
    net, runs = pretend(fast)
    by = Fast(net, "cpu")
    a, b = pictures((64, 96))
    frames = deep(a), deep(b)
    views = by.view(frames[0], (0, 0, 96, 64)), by.view(frames[1], (0, 0, 96, 64))
    pair = by.pair(*views, moving((64, 96)))
    for t in (0.5, 0.25, 0.75, 0.5):
        target = deep(np.zeros_like(a))
        by.write(pair, views, frames, t, 1.0, target)
        assert np.array_equal(np.stack(target.planes) / np.float32(65535), written(by, a, b, moving((64, 96)), t))
    assert runs == {"judge": 5, "refine": 8}


def plain(a: np.ndarray, b: np.ndarray, ways: Any, t: float) -> np.ndarray:
    """Pictures fetched along the search, mixed as it says and by time."""
    from reelmend import ops

    way = ways.at(t)
    rows, columns = a.shape[1:]
    unit = np.array([columns / way.by_a.shape[1], rows / way.by_a.shape[0]]).reshape(2, 1, 1)

    def whole(plane: np.ndarray) -> np.ndarray:
        return np.asarray(ops.resize(np.ascontiguousarray(plane, np.float32), (rows, columns)))

    believed = whole(way.by_a)
    shares = [believed * (1 - t), believed * t, (1 - believed) * (1 - t), (1 - believed) * t]
    made = np.zeros_like(a)
    for k, (flow, share) in enumerate(zip(way[:4], shares, strict=True)):
        along = np.stack([whole(f) for f in flow * unit])
        made += share * np.stack(ops.warp(list((a, b)[k % 2]), along))
    return made


@pytest.mark.parametrize("size", [(64, 96), (50, 79), (97, 130)])
def test_an_untrained_network_is_the_search(pretend: Any, size: tuple[int, int]) -> None:
    """In pictures of any size."""
    from reelmend.networks.fast import FAST
    from reelmend.networks.fast import Fast as Module

    state = Module(8, 1).state_dict()
    net, _ = pretend(FAST.recognise(state, state))
    a, b = pictures(size)
    ways = moving(size)
    apart = np.abs(written(Fast(net, "cpu"), a, b, ways, 0.25) - plain(a, b, ways, 0.25))
    # less than one part in a hundred is believed to stand still
    assert np.median(apart) < 2e-3
    assert np.quantile(apart, 0.99) < 2e-2


def test_what_is_not_sure_is_mixed(fast: Any, pretend: Any) -> None:
    net, _ = pretend(fast)
    by = Fast(net, "cpu")
    a, b = pictures((64, 96))
    ways = moving((64, 96))
    faded = 0.25 * a + 0.75 * b
    assert np.abs(written(by, a, b, ways, 0.75, 0.0) - faded).max() < 1e-4
    whole, half = (written(by, a, b, ways, 0.75, share) for share in (1.0, 0.5))
    assert 0 < np.abs(half - faded).mean() < np.abs(whole - faded).mean()


def test_chroma_of_half_the_size_goes_along(fast: Any, pretend: Any) -> None:
    """Gray chroma stays gray, and light is what it is in a picture of light alone."""
    from reelmend.frame import Frame, PixelFormat

    net, _ = pretend(fast)
    by = Fast(net, "cpu")
    light = [np.rint(255 * p[0]).astype(np.uint8) for p in pictures((64, 96))]
    gray = np.full((32, 48), 128, np.uint8)
    frames = [Frame((y, gray, gray), PixelFormat("yuv", 8, (1, 1)), t, Fraction(1, 25), 1) for t, y in enumerate(light)]
    views = [by.view(f, (0, 0, 96, 64)) for f in frames]
    target = frames[0].replace(planes=tuple(np.zeros_like(p) for p in frames[0].planes))
    by.write(by.pair(*views, moving((64, 96))), (views[0], views[1]), (frames[0], frames[1]), 0.5, 1.0, target)
    assert all((plane == 128).all() for plane in target.planes[1:])
    assert target.planes[0].std() > 10


@pytest.mark.parametrize("scale", [1, 0.5, 0.25])
def test_smaller_pictures_are_looked_at(fast: Any, pretend: Any, scale: float) -> None:
    net, _ = pretend(fast)
    by = Fast(net, "cpu", scale)
    a, b = pictures((128, 192))
    assert by.multiple == 4 / scale
    assert by.sizes((128, 192)) == {"judge": (64 * scale, 96 * scale), "refine": (32 * scale, 48 * scale)}
    ways = moving((128, 192))
    made = written(by, a, b, ways, 0.5)
    assert np.abs(made - plain(a, b, ways, 0.5)).mean() < 0.1


def test_the_network_that_ships_is_taken() -> None:
    """Where none is named; it sharpens what a search of half pixels blurred, and lets be what did not move."""
    from reelmend import ops

    by = Interpolate(factor=2, method="fast")._synthesiser("cpu")
    assert isinstance(by, Fast)
    assert by.network.name == "fast"
    rng = np.random.default_rng(2)
    grain = rng.random((3, 96, 136)).astype(np.float32)
    kernel = np.array([1, 4, 6, 4, 1], np.float32) / 16
    for axis in (1, 2):
        grain = np.apply_along_axis(np.convolve, axis, grain, kernel, "same").astype(np.float32)
    grain = (0.5 + 2 * (grain - grain.mean())).clip(0, 1)
    a, b = grain[:, :, 4:132], grain[:, :, 3:131]  # one pixel to the right
    step = np.zeros((2, 24, 32), np.float32)
    step[0] = 0.25
    half = np.zeros((2, 96, 136), np.float32)
    half[0] = -0.5
    truth = np.stack(ops.warp(list(grain), half, filter="bicubic"))[:, :, 4:132]
    region = (0, 0, 128, 96)
    inner = (slice(None), slice(8, -8), slice(8, -8))

    def error(made: np.ndarray, truth: np.ndarray) -> float:
        return float(np.abs(made - truth)[inner].mean())

    moved = Ways(Motion(step, -step, 1.0, region))
    assert error(written(by, a, b, moved, 0.5), truth) < 0.97 * error(plain(a, b, moved, 0.5), truth)
    still = Ways(Motion(0 * step, 0 * step, 1.0, region))
    assert error(written(by, a, a, still, 0.5), a) < 0.01


def test_a_slim_super_slomo_takes_the_search(small_weights: Any, pretend: Any) -> None:
    """Its stage makes what its training makes."""
    import torch

    from reelmend.networks.superslomo import SUPERSLOMO, Synthesis, UNet
    from reelmend.networks.train.chains import CHAINS

    widths = (4, 6, 8, 10, 12, 12)
    state = small_weights(UNet(20, 8, widths).state_dict(), 3)
    data = {"family": "superslomo", "state_dictAT": state}
    assert SUPERSLOMO.matches(data, {})
    assert not SUPERSLOMO.matches({"state_dictAT": state}, {})
    net, runs = pretend(SUPERSLOMO.recognise(data, {}))
    by = SuperSloMo.of(net, "cpu", 1.0, False)
    assert isinstance(by, SuperSloMoAlong)
    with pytest.raises(OptionError, match="compat='resize' is for networks of SuperSloMo"):
        SuperSloMo.of(net, "cpu", 1.0, True)
    chain = CHAINS["superslomo"]({"widths": list(widths)})
    module = chain.network()
    assert isinstance(module, Synthesis)
    module.net.load_state_dict(state)
    assert set(chain.checkpoint(module.state_dict())["state_dictAT"]) == set(state)
    for size in ((64, 128), (52, 76)):
        a, b = pictures(size)
        ways = moving(size)
        for t in TIMES:
            with torch.no_grad():
                expected = chain.made(module.eval(), batch_of(a, b, ways, t, size, by.multiple))[0][0].numpy()
            # half a cell at the end is like the cell, where training has what lies beyond; sharpening sees two pixels
            inner = (slice(None), slice(0, size[0] - 3), slice(0, size[1] - 3))
            assert np.abs(written(by, a, b, ways, t)[inner] - expected[inner].clip(0, 1)).max() < TOLERANCE
    assert runs == {"synthesis": 6}


def test_an_untrained_slim_super_slomo_is_the_search(pretend: Any) -> None:
    from reelmend.networks.superslomo import SUPERSLOMO
    from reelmend.networks.train.chains import CHAINS

    chain = CHAINS["superslomo"]({"widths": [4, 6, 8, 8, 8, 8]})
    net, _ = pretend(SUPERSLOMO.recognise(chain.checkpoint(chain.network().state_dict()), {}))
    a, b = pictures((64, 96))
    ways = moving((64, 96))
    made = written(SuperSloMo.of(net, "cpu", 1.0, False), a, b, ways, 0.25)
    assert np.abs(made - plain(a, b, ways, 0.25)).max() < 0.02


def test_what_does_not_fit_is_refused(rife: Any, pretend: Any) -> None:
    net, _ = pretend(rife("4.25-4.26"))
    with pytest.raises(NetworkError, match="method 'fast' runs networks of family 'fast'"):
        Fast(net, "cpu")
    with pytest.raises(OptionError, match="goes with method 'fast' or 'ifnet'"):
        Interpolate(factor=2, method="flow", scale=Fraction(1, 2))
