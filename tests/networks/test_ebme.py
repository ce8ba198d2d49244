"""EBME's flow network: its published file, every tensor accounted for, its graphs, and what it says of a still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

DOWN = {"conv_stage1": (3, 24, 3), "conv_stage2": (24, 48, 6)}  # inputs, outputs, convolutions
LAYERS = {1: (245, 160, 1), 2: (160, 128, 3), 3: (128, 112, 3), 4: (112, 96, 3), 5: (96, 64, 3), 6: (64, 4, 3)}


def table() -> dict[str, tuple[int, ...]]:
    """The published tensors."""
    shapes: dict[str, tuple[int, ...]] = {}
    for stage, (inputs, outputs, count) in DOWN.items():
        for i in range(count):
            shapes[f"feat_pyramid.{stage}.{2 * i}.weight"] = (outputs, outputs if i else inputs, 3, 3)
    for i, (inputs, outputs, size) in LAYERS.items():
        shapes[f"flow_estimator.conv_layer{i}.0.weight"] = (outputs, inputs, size, size)
    return shapes | {name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def state(small_weights: Any) -> dict[str, Any]:
    import torch

    return small_weights({name: torch.empty(shape) for name, shape in table().items()}, 1)


def recognised(state: dict[str, Any]) -> Any:
    from reelmend.networks.ebme import EBME

    assert EBME.matches(state, state)
    return EBME.recognise(state, state)


def test_graphs_give_in_onnx_what_torch_gives(state: dict[str, Any], agrees: Any) -> None:
    found = recognised(state)
    assert (found.family, found.task, found.window) == ("ebme", "flow", (0, 1))
    assert [graph.part.name for graph in found.graphs] == ["features", "estimator"]
    for graph in found.graphs:
        agrees(graph, (40, 56))


def test_the_parts_are_the_public_networks(state: dict[str, Any]) -> None:
    import torch
    from torch.nn.functional import conv2d, leaky_relu

    def layer(name: str, x: Any, stride: int = 1) -> Any:
        weight = state[f"{name}.weight"]
        return leaky_relu(conv2d(x, weight, state[f"{name}.bias"], stride, weight.shape[-1] // 2), 0.1)

    features, estimator = (graph.module for graph in recognised(state).graphs)
    generator = torch.Generator().manual_seed(2)
    x = picture = torch.rand(1, 3, 32, 48, generator=generator)
    for stage, (_, _, count) in DOWN.items():
        for i in range(count):
            x = layer(f"feat_pyramid.{stage}.{2 * i}", x, 1 if i else 2)
    given = [torch.randn(1, n, 8, 12, generator=generator) for n in (81, 48, 48, 64, 4)]
    y = torch.cat([leaky_relu(given[0], 0.1), *given[1:]], 1)
    for i in range(1, 6):
        y = layer(f"flow_estimator.conv_layer{i}.0", y)
    last = "flow_estimator.conv_layer6.0"
    flow = conv2d(y, state[f"{last}.weight"], state[f"{last}.bias"], 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(features(picture), x)
        torch.testing.assert_close(estimator(*given), (flow, y))


def test_the_published_file(material: Path) -> None:
    """Its bias was found on photographs at three levels: 0.385 and -0.463 pixels, within 0.01."""
    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.families import families

    read = read_checkpoint(material / "weights" / "ebme_bi-flownet.pkl")
    assert {name: tuple(tensor.shape) for name, tensor in read.state.items()} == table()
    (family,) = [f for f in families() if f.matches(read.data, read.state)]
    found = family.recognise(read.data, read.state)
    assert sum(p.numel() for graph in found.graphs for p in graph.module.parameters()) == 632_900
    assert np.abs(np.array(found.settings["bias"]) - (0.385, -0.463)).max() < 0.01


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("flow_estimator.conv_layer4.0.bias"), "missing: flow_estimator.conv_layer4.0.bias"),
        (lambda s: s.update({"fusion.weight": s["flow_estimator.conv_layer1.0.bias"]}), "left over: fusion.weight"),
        (
            lambda s: s.update({"flow_estimator.conv_layer6.0.bias": s["flow_estimator.conv_layer1.0.bias"]}),
            r"flow_estimator.conv_layer6.0.bias is \(160,\), expected \(4,\)",
        ),
    ],
)
def test_every_tensor_is_accounted_for(state: dict[str, Any], spoil: Any, said: str) -> None:
    spoilt = dict(state)
    spoil(spoilt)
    with pytest.raises(CheckpointError, match=f"EBME.*{said}"):
        recognised(spoilt)
