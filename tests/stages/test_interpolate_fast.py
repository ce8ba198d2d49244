"""Method "fast": the stage makes what training makes; it begins at the search. So does a slim Super SloMo."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from reelmend.errors import NetworkError, OptionError
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.fast import Fast
from reelmend.stages.interpolate.superslomo import SuperSloMo

from .synthesised import SIZES, TIMES, TOLERANCE, batch_of, deep, moving, pictures

pytestmark = pytest.mark.extra("train")


@pytest.fixture(scope="module")
def fast(small_weights: Any) -> Any:
    """The family of few channels, that sharpens here, softens there, and believes some of it to stand still."""
    from reelmend.networks.fast import FAST, Refine

    state = small_weights(Refine(8, 2).state_dict(), 6)
    state["last.0.bias"][:4] += 4
    return FAST.recognise(state, state)


@pytest.mark.parametrize("size", [(64, 96), (52, 76), (96, 132)])
def test_the_stage_makes_what_training_makes(fast: Any, pretend: Any, size: tuple[int, int]) -> None:
    import torch

    from reelmend.networks.train.chains import refined

    net, runs = pretend(fast)
    by = Fast(net, "cpu")
    a, b = pictures(size)
    ways = moving(size)
    pair = by.pair(*(by.view(deep(p), (0, 0, size[1], size[0])) for p in (a, b)), ways)
    for t in TIMES:
        found = by.at(pair, t)
        with torch.no_grad():
            expected = refined(fast.graphs[0].module, batch_of(a, b, ways, t, size, by.multiple))[0][0].numpy()
        assert np.abs(found.picture - expected[:, : size[0], : size[1]]).max() < TOLERANCE
        assert np.abs(found.by_a - (1 - t)).max() < 1e-6
    assert runs == {"refine": 3}


def test_an_untrained_network_is_the_search(pretend: Any) -> None:
    """Pictures fetched along it, mixed as it says and by time."""
    from reelmend import ops
    from reelmend.networks.fast import FAST, Refine

    state = Refine(8, 1).state_dict()
    net, _ = pretend(FAST.recognise(state, state))
    by = Fast(net, "cpu")
    a, b = pictures((64, 96))
    ways = moving((64, 96))
    found = by.at(by.pair(*(by.view(deep(p), (0, 0, 96, 64)) for p in (a, b)), ways), 0.25)
    way = ways.at(0.25)

    def whole(plane: np.ndarray) -> np.ndarray:
        return np.asarray(ops.resize(np.ascontiguousarray(plane), (64, 96)))

    believed = whole(way.by_a)
    shares = [believed * 0.75, believed * 0.25, (1 - believed) * 0.75, (1 - believed) * 0.25]
    expected = np.zeros((3, 64, 96), np.float32)
    for k, (flow, share) in enumerate(zip(way[:4], shares, strict=True)):
        along = np.stack([whole(4 * f) for f in flow])
        expected += share * np.stack(ops.warp(list((a, b)[k % 2]), along))
    # less than one part in a hundred is believed to stand still
    assert np.abs(found.picture - expected).max() < 8e-3
    assert np.abs(found.picture - expected).mean() < 2e-3


@pytest.mark.parametrize("scale", [1, 0.5, 0.25])
def test_smaller_pictures_are_looked_at(fast: Any, pretend: Any, scale: float) -> None:
    net, _ = pretend(fast)
    by = Fast(net, "cpu", scale)
    a, b = pictures((128, 192))
    pair = by.pair(*(by.view(deep(p), (0, 0, 192, 128)) for p in (a, b)), moving((128, 192)))
    assert by.multiple == 4 / scale
    assert by.sizes((128, 192)) == {"refine": (64 * scale, 96 * scale)}
    made = by.at(pair, 0.5)
    assert made.picture.shape == (3, 128, 192)
    assert np.isfinite(made.picture).all()


def test_a_slim_super_slomo_takes_the_search(small_weights: Any, pretend: Any) -> None:
    """Its stage makes what its training makes."""
    import torch

    from reelmend.networks.superslomo import SUPERSLOMO, Synthesis, UNet
    from reelmend.networks.train.chains import CHAINS

    widths = (4, 6, 8, 10, 12, 12)
    state = small_weights(UNet(20, 5, widths).state_dict(), 3)
    data = {"family": "superslomo", "state_dictAT": state}
    assert SUPERSLOMO.matches(data, {})
    assert not SUPERSLOMO.matches({"state_dictAT": state}, {})
    net, runs = pretend(SUPERSLOMO.recognise(data, {}))
    by = SuperSloMo(net, "cpu")
    chain = CHAINS["superslomo"]({"widths": list(widths)})
    module = chain.network()
    assert isinstance(module, Synthesis)
    module.net.load_state_dict(state)
    assert set(chain.checkpoint(module.state_dict())["state_dictAT"]) == set(state)
    for size in SIZES[:1]:
        a, b = pictures(size)
        ways = moving(size)
        pair = by.pair(*(by.view(deep(p), (0, 0, size[1], size[0])) for p in (a, b)), ways)
        for t in TIMES:
            with torch.no_grad():
                expected = chain.made(module.eval(), batch_of(a, b, ways, t, size, by.multiple))[0][0].numpy()
            found = by.at(pair, t).picture
            assert np.abs(found - expected[:, : size[0], : size[1]]).max() < TOLERANCE
    assert runs == {"synthesis": 3}


def test_what_does_not_fit_is_refused(rife: Any, pretend: Any) -> None:
    net, _ = pretend(rife("4.25-4.26"))
    with pytest.raises(NetworkError, match="method 'fast' runs networks of family 'fast'"):
        Fast(net, "cpu")
    with pytest.raises(OptionError, match="goes with method 'fast' or 'ifnet'"):
        Interpolate(factor=2, method="flow", scale=Fraction(1, 2))
