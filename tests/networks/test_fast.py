"""The family "fast": sizes told by the weights, its parts written out, exported and built; damaged files refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

WIDTHS, LAYERS, FEATURE, SEEN = (12, 10, 8, 8), (2, 1, 1, 3), 4, 3


@pytest.fixture(scope="module")
def state(small_weights: Any) -> dict[str, Any]:
    from reelmend.networks.fast import Fast, Sizes

    return dict(small_weights(Fast(Sizes(WIDTHS, LAYERS, FEATURE, SEEN)).state_dict(), 8))


@pytest.fixture(scope="module")
def recognised(state: dict[str, Any]) -> Any:
    from reelmend.networks.fast import FAST

    assert FAST.matches(state, state)
    return FAST.recognise(state, state)


def test_its_sizes_are_told_by_the_weights(recognised: Any) -> None:
    assert (recognised.family, recognised.task, recognised.window) == ("fast", "interpolate", (0, 1))
    assert recognised.settings == {"shrinks": [8, 4, 2], "joined": 2, "multiple": 32}
    parts = {graph.part.name: graph.part for graph in recognised.graphs}
    assert [*parts] == ["encode", "block0", "block1", "block2", "join"]
    taken = {name: part.inputs[0].shape[1] for name, part in parts.items()}
    assert taken == {"encode": 3, "block0": 12 + 5 + 2 * SEEN, "block1": 12 + FEATURE, "block2": 12 + FEATURE,
                     "join": 18 + 7 + FEATURE}  # fmt: skip
    depth = [len(graph.module.convblock) for graph in recognised.graphs[1:]]
    assert tuple(depth) == LAYERS


def test_the_join_weighs_six_pictures(recognised: Any) -> None:
    """From half the search's weights, and half those of the corrected pair, on."""
    import torch

    join = recognised.graphs[-1].module
    x = torch.rand(1, 18 + 7 + FEATURE, 16, 24, generator=torch.Generator().manual_seed(1))
    by_a, t, share = x[:, 18:19], x[:, 19:20], torch.sigmoid(x[:, 20:21])
    searched = [by_a * (1 - t), by_a * t, (1 - by_a) * (1 - t), (1 - by_a) * t]
    begun = torch.cat([0.5 * w for w in (*searched, share, 1 - share)], 1)
    with torch.no_grad():
        told = join.told(x)
        weights, residual = join(x)
        torch.testing.assert_close(weights, torch.softmax(torch.log(begun + 1e-3) + told[:, :6], 1))
        torch.testing.assert_close(residual, told[:, 6:])
        assert residual.shape == (1, 3, 16, 24)
        for name in ("weight", "bias"):
            getattr(join.lastconv[0], name).mul_(1e4)
        far = join(x)[0]
        for name in ("weight", "bias"):
            getattr(join.lastconv[0], name).div_(1e4)
    assert torch.isfinite(far).all()
    torch.testing.assert_close(far.sum(1), torch.ones(1, 16, 24))


def test_silent_before_training() -> None:
    import torch

    from reelmend.networks.fast import Fast, Sizes

    net = Fast(Sizes(WIDTHS, LAYERS, FEATURE, SEEN))
    with torch.no_grad():
        for block in net.blocks():
            out = block(torch.rand(1, block.conv0[0].in_channels, 16, 16))
            assert [float(y.abs().max()) for y in out] == [0.0, 0.0, 0.0]
            assert [y.shape[1] for y in out] == [4, 1, FEATURE]


def test_onnx_runtime_gives_the_same(recognised: Any, agrees: Callable[..., None]) -> None:
    for graph in recognised.graphs:
        agrees(graph, (32, 48))


@pytest.mark.extra("rtx")
def test_tensorrt_rtx_builds_it(recognised: Any, tmp_path: Path) -> None:
    from reelmend.engines.tensorrt import check_builds
    from reelmend.networks.export import export

    network = export(recognised, "fast", tmp_path)
    assert all({"fp32", "fp16"} <= set(part.files) for part in network.parts.values())
    assert check_builds(network, (75, 80, 86, 89, 120)) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("join.conv0.0.bias"), "missing: join.conv0.0.bias"),
        (lambda s: s.pop("block1.conv0.2.weight"), r"block1\.conv0\.2\.weight is missing"),
        (lambda s: s.update({"block3.conv0.0.bias": s["join.conv0.0.bias"]}), "left over: block3.conv0.0.bias"),
        (lambda s: s.update({"block2.lastconv.0.bias": s["join.conv0.0.bias"]}), "another shape: block2.lastconv"),
        (lambda s: s.pop("encode.layers.4.weight"), "encode"),
    ],
)
def test_every_tensor_is_accounted_for(state: dict[str, Any], spoil: Any, said: str) -> None:
    from reelmend.networks.fast import FAST

    spoilt = dict(state)
    spoil(spoilt)
    with pytest.raises(CheckpointError, match=f"fast.*{said}"):
        FAST.recognise(spoilt, spoilt)


def test_a_file_of_weights_becomes_a_network(state: dict[str, Any], tmp_path: Path) -> None:
    import torch

    from reelmend.networks.importing import import_checkpoint

    torch.save({"family": "fast", "params_ema": state}, tmp_path / "weights.pth")
    network = import_checkpoint(tmp_path / "weights.pth", name="mine", catalogue=tmp_path / "engines", precisions=())
    assert (network.family, network.task) == ("fast", "interpolate")
    assert network.parameters == sum(int(np.prod(tensor.shape)) for tensor in state.values())
