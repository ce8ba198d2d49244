"""The family "fast": sizes told by the weights, its parts written out, exported and built; damaged files refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

WIDTH, LAYERS = 10, 3


@pytest.fixture(scope="module")
def state(small_weights: Any) -> dict[str, Any]:
    from reelmend.networks.fast import Refine

    return dict(small_weights(Refine(WIDTH, LAYERS).state_dict(), 8))


@pytest.fixture(scope="module")
def recognised(state: dict[str, Any]) -> Any:
    from reelmend.networks.fast import FAST

    assert FAST.matches(state, state)
    return FAST.recognise(state, state)


def test_its_sizes_are_told_by_the_weights(recognised: Any) -> None:
    assert (recognised.family, recognised.task, recognised.window) == ("fast", "interpolate", (0, 1))
    assert recognised.settings == {"reduced": 2, "multiple": 4}
    (graph,) = recognised.graphs
    assert (graph.part.name, graph.part.inputs[0].shape) == ("refine", (1, 28, "h", "w"))
    assert graph.module.head[0].out_channels == WIDTH
    assert len(graph.module.head) == 2 + LAYERS


def test_silent_before_training() -> None:
    """Nothing is sharpened, and all but everything is believed to move."""
    import torch

    from reelmend.networks.fast import Refine

    with torch.no_grad():
        still, gains = Refine(WIDTH, LAYERS)(torch.rand(2, 28, 16, 24))
    assert still.shape == (2, 1, 16, 24)
    assert gains.shape == (2, 3, 16, 24)
    assert 0 < float(still.max()) < 0.01
    assert float(gains.abs().max()) == 0


def test_it_blurs_less_than_it_learnt_to(state: dict[str, Any]) -> None:
    import torch

    from reelmend.networks.fast import Refine

    net = Refine(WIDTH, LAYERS)
    net.load_state_dict(state)
    with torch.no_grad():
        x = torch.rand(1, 28, 16, 24, generator=torch.Generator().manual_seed(2))
        learning, given = net.train()(x), net.eval()(x)
    assert torch.equal(learning[0], given[0])
    below = learning[1] < 0
    assert 0.05 < float(below.float().mean()) < 0.95
    torch.testing.assert_close(given[1][below], (0.3 * learning[1][below]).clamp(-0.5))
    assert torch.equal(given[1][~below], learning[1][~below].clamp(max=0.5))
    assert float(given[1].abs().max()) <= 0.5 < float(learning[1].abs().max())


def test_what_it_finds_first(recognised: Any) -> None:
    """Equal pictures differ by nothing; ways of whole pixels have no parts; all of it is small and finite."""
    import torch

    from reelmend.networks.fast import _known

    x = torch.zeros(1, 28, 8, 8)
    x[:, :18] = torch.rand(1, 3, 1, 1).repeat(1, 6, 1, 1)
    x[:, 18:20] = 0.5
    x[:, 20:28] = torch.tensor([2.0, -1, 3, 0, 2, -1, 3, 0])[None, :, None, None]
    known = _known(x)
    same = float(np.log(4e-3) + 4)
    torch.testing.assert_close(known[:, :7], torch.full((1, 7, 8, 8), same))
    torch.testing.assert_close(known[:, 7:15], torch.full((1, 8, 8, 8), -1.0))
    torch.testing.assert_close(known[:, 18:21, 0, 0], torch.tensor([[np.log(3.0), 0.0, 0.0]], dtype=torch.float32))
    x[:, 20:28] += 0.5
    torch.testing.assert_close(_known(x)[:, 7:15], torch.ones(1, 8, 8, 8))
    x[:, :18] = torch.rand(1, 18, 8, 8, generator=torch.Generator().manual_seed(1))
    x[:, 20:28] = 4000.0
    assert float(_known(x).abs().max()) < 10


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
        (lambda s: s.pop("head.0.bias"), "missing: head.0.bias"),
        (lambda s: s.pop("head.0.weight"), r"head\.0\.weight is missing"),
        (lambda s: s.update({"tail.0.bias": s["head.0.bias"]}), "left over: tail.0.bias"),
        (lambda s: s.update({"last.0.bias": s["head.0.bias"]}), "another shape: last.0.bias"),
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
