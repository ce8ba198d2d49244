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
    """The family of few channels: corrections of parts of a pixel at each block."""
    from reelmend.networks.fast import FAST, Sizes
    from reelmend.networks.fast import Fast as Net

    state = small_weights(Net(Sizes((12, 10, 8, 8), (2, 1, 1, 1), 4, 3)).state_dict(), 6)
    return FAST.recognise(state, state)


@pytest.mark.parametrize("size", [(64, 96), (52, 80), (96, 132)])
def test_the_stage_makes_what_training_makes(fast: Any, pretend: Any, size: tuple[int, int]) -> None:
    import torch

    from reelmend.networks.train.chains import corrected

    net, runs = pretend(fast)
    by = Fast(net, "cpu")
    a, b = pictures(size)
    ways = moving(size)
    whole = (0, 0, size[1], size[0])
    pair = by.pair(*(by.view(deep(p), whole) for p in (a, b)), ways)
    modules = {graph.part.name: graph.module for graph in fast.graphs}

    class Together:
        encode, join = staticmethod(modules["encode"]), staticmethod(modules["join"])

        def blocks(self) -> list[Any]:
            return [modules[f"block{k}"] for k in range(3)]

    for t in TIMES:
        found = by.at(pair, t)
        with torch.no_grad():
            expected = corrected(Together(), batch_of(a, b, ways, t, size, by.multiple))[0][0].numpy()  # type: ignore[arg-type]
        assert np.abs(found.picture - expected[:, : size[0], : size[1]]).max() < TOLERANCE
        assert 0 <= found.by_a.min() < found.by_a.max() <= 1
    assert runs == {"encode": 2, "block0": 3, "block1": 3, "block2": 3, "join": 3}


def test_an_untrained_network_is_the_search(pretend: Any) -> None:
    """Pictures fetched along it, mixed as it says and by time."""
    from reelmend import ops
    from reelmend.networks.fast import FAST, Sizes
    from reelmend.networks.fast import Fast as Net

    state = Net(Sizes((8, 8, 8, 8), (1, 1, 1, 1), 2, 2)).state_dict()
    net, _ = pretend(FAST.recognise(state, state))
    by = Fast(net, "cpu")
    a, b = pictures((64, 96))
    ways = moving((64, 96))
    pair = by.pair(*(by.view(deep(p), (0, 0, 96, 64)) for p in (a, b)), ways)
    found = by.at(pair, 0.25)
    assert np.abs(found.by_a - 0.75).max() < 3e-3  # half by the search, half along what it begins with
    way = ways.at(0.25)

    def whole(plane: np.ndarray) -> np.ndarray:
        return np.asarray(ops.resize(np.ascontiguousarray(plane), (64, 96)))

    believed = whole(way.by_a)
    begun = [way.by_a * way.a_to_a + (1 - way.by_a) * way.b_to_a, way.by_a * way.a_to_b + (1 - way.by_a) * way.b_to_b]
    shares = [believed * 0.375, believed * 0.125, (1 - believed) * 0.375, (1 - believed) * 0.125, 0.375, 0.125]
    expected = np.zeros((3, 64, 96), np.float32)
    for k, (flow, share) in enumerate(zip((*way[:4], *begun), shares, strict=True)):
        along = np.stack([whole(4 * f) for f in flow])
        expected += share * np.stack(ops.warp(list((a, b)[k % 2]), along))
    assert np.abs(found.picture - expected).max() < 5e-3


@pytest.mark.parametrize("scale", [1, 0.5, 0.25])
def test_smaller_pictures_are_looked_at(fast: Any, pretend: Any, scale: float) -> None:
    net, _ = pretend(fast)
    by = Fast(net, "cpu", scale)
    a, b = pictures((128, 192))
    pair = by.pair(*(by.view(deep(p), (0, 0, 192, 128)) for p in (a, b)), moving((128, 192)))
    assert by.multiple == 32 / scale
    assert by.sizes((128, 192))["join"] == (64 * scale, 96 * scale)
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
