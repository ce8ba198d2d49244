"""Super SloMo's checkpoint: its exact layout, what is wrong with others, and its graphs."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

SMALL = (4, 6, 8, 10, 12, 12)


def table(inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """The published tensors of one U-Net, written down from the public layout."""
    shapes = {"conv1.weight": (32, inputs, 7, 7), "conv2.weight": (32, 32, 7, 7), "conv3.weight": (outputs, 32, 3, 3)}
    down = ((32, 64, 5), (64, 128, 3), (128, 256, 3), (256, 512, 3), (512, 512, 3))
    for i, (a, b, size) in enumerate(down, 1):
        shapes[f"down{i}.conv1.weight"] = (b, a, size, size)
        shapes[f"down{i}.conv2.weight"] = (b, b, size, size)
    for i, (a, b) in enumerate(((512, 512), (512, 256), (256, 128), (128, 64), (64, 32)), 1):
        shapes[f"up{i}.conv1.weight"] = (b, a, 3, 3)
        shapes[f"up{i}.conv2.weight"] = (b, 2 * b, 3, 3)
    return shapes | {name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def states(small_weights: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both state dicts, of few channels."""
    from reelmend.networks.superslomo import UNet

    return tuple(  # type: ignore[return-value]
        small_weights(UNet(a, b, SMALL).state_dict(), seed) for seed, (a, b) in enumerate(((6, 4), (20, 5)))
    )


@pytest.fixture(scope="module")
def checkpoint(states: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SuperSloMo.ckpt as its training program writes it: the format before torch 1.6, with a time in it."""
    import torch

    path = tmp_path_factory.mktemp("checkpoints") / "SuperSloMo.ckpt"
    data = {
        "Detail": "End to end Super SloMo.",
        "epoch": 199,
        "timestamp": datetime.datetime(2018, 12, 5, 10, 30, 1),
        "trainBatchSz": 6,
        "validationBatchSz": 10,
        "learningRate": 1e-6,
        "loss": [[0.5, 0.25], [0.2]],
        "valLoss": [0.3],
        "valPSNR": [[29.5], [29.7]],
        "state_dictFC": states[0],
        "state_dictAT": states[1],
    }
    torch.save(data, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def recognised(checkpoint: Path) -> Any:
    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.families import families

    read = read_checkpoint(checkpoint)
    (family,) = [f for f in families() if f.matches(read.data, read.state)]
    return family.recognise(read.data, read.state)


def test_a_file_of_the_published_layout_is_recognised(recognised: Any) -> None:
    assert (recognised.family, recognised.task, recognised.window) == ("superslomo", "interpolate", (0, 1))
    assert [g.part.name for g in recognised.graphs] == ["flow", "synthesis"]
    assert all(g.part.multiple == 32 for g in recognised.graphs)


def test_the_published_tensors_are_these() -> None:
    """46 of each U-Net; 39,610,473 weights in all."""
    from reelmend.networks.superslomo import UNet

    weights = 0
    for inputs, outputs in ((6, 4), (20, 5)):
        state = UNet(inputs, outputs, (32, 64, 128, 256, 512, 512)).state_dict()
        assert {name: tuple(t.shape) for name, t in state.items()} == table(inputs, outputs)
        assert len(state) == 46
        weights += sum(t.numel() for t in state.values())
    assert weights == 39_610_473


def test_both_graphs_give_in_onnx_what_torch_gives(recognised: Any, agrees: Any) -> None:
    for graph in recognised.graphs:
        agrees(graph, (96, 64))


def test_ours_have_one_part_that_tells_of_sharpening_too(small_weights: Any, agrees: Any) -> None:
    """Gains are limited once it no longer learns."""
    import torch

    from reelmend.networks.superslomo import SUPERSLOMO, UNet

    state = small_weights(UNet(20, 8, (4, 6, 8, 10, 12, 12)).state_dict(), 5)
    state["conv3.bias"][5:] = torch.tensor([2.0, -40.0, 0.0])
    found = SUPERSLOMO.recognise({"family": "superslomo", "state_dictAT": state}, {})
    (graph,) = found.graphs
    assert [port.name for port in graph.part.outputs] == ["more_to_a", "more_to_b", "visible", "gains"]
    assert found.settings == {"searched": True, "reduced": 2, "multiple": 64}
    agrees(graph, (64, 96))
    given = [torch.rand(1, n, 32, 32) for n in (3, 3, 2, 2, 2, 2, 3, 3)]
    with torch.no_grad():
        told, learning = (graph.module.train(learns)(*given) for learns in (False, True))
    assert all(torch.equal(one, two) for one, two in zip(told[:3], learning[:3], strict=True))
    assert torch.equal(told[3], learning[3].clamp(-0.5, 0.5))
    assert float(told[3][:, 0].min()) == 0.5
    assert float(told[3][:, 1].max()) == -0.5
    with pytest.raises(CheckpointError, match=r"another shape: conv3\.weight"):
        SUPERSLOMO.recognise(
            {"family": "superslomo", "state_dictAT": UNet(20, 5, (4, 6, 8, 10, 12, 12)).state_dict()}, {}
        )


def reference(state: dict[str, Any], x: Any) -> Any:
    """The U-Net, written out."""
    from torch import cat
    from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu

    def layer(name: str, x: Any) -> Any:
        weight = state[f"{name}.weight"]
        return leaky_relu(conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2), 0.1)

    s = [layer("conv2", layer("conv1", x))]
    for i in range(1, 6):
        s.append(layer(f"down{i}.conv2", layer(f"down{i}.conv1", avg_pool2d(s[-1], 2))))
    x = s[5]
    for i in range(1, 6):
        up = layer(f"up{i}.conv1", interpolate(x, scale_factor=2, mode="bilinear"))
        x = layer(f"up{i}.conv2", cat([up, s[5 - i]], 1))
    return layer("conv3", x)


def test_the_parts_are_the_public_networks_of_pictures_less_their_mean(recognised: Any, states: Any) -> None:
    import torch

    generator = torch.Generator().manual_seed(3)
    mean = torch.tensor([0.429, 0.431, 0.397]).reshape(1, 3, 1, 1)
    a, b, from_b, from_a = torch.rand(4, 1, 3, 64, 32, generator=generator)
    flows = list(torch.randn(4, 1, 2, 64, 32, generator=generator))
    flow, synthesis = (graph.module for graph in recognised.graphs)
    with torch.no_grad():
        expected = reference(states[0], torch.cat([a - mean, b - mean], 1))
        torch.testing.assert_close(torch.cat(flow(a, b), 1), expected)
        everything = [a - mean, b - mean, *flows, from_b - mean, from_a - mean]
        expected = reference(states[1], torch.cat(everything, 1))
        expected = torch.cat([expected[:, :4], torch.sigmoid(expected[:, 4:])], 1)
        torch.testing.assert_close(torch.cat(synthesis(a, b, *flows, from_b, from_a), 1), expected)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("up3.conv1.bias"), "missing: up3.conv1.bias"),
        (lambda s: s.update({"up6.conv1.bias": s["conv1.bias"]}), "left over: up6.conv1.bias"),
        (lambda s: s.update({"up3.conv2.bias": s["conv1.bias"]}), r"up3.conv2.bias is \(4,\), expected \(8,\)"),
        (lambda s: s.update({"conv1.weight": s["conv1.weight"][:, :5]}), r"conv1.weight is \(4, 5, 7, 7\)"),
    ],
)
def test_every_tensor_is_accounted_for(states: Any, spoil: Any, said: str) -> None:
    from reelmend.networks.superslomo import SUPERSLOMO

    spoilt = dict(states[0])
    spoil(spoilt)
    data = {"state_dictFC": spoilt, "state_dictAT": states[1]}
    assert SUPERSLOMO.matches(data, {})
    with pytest.raises(CheckpointError, match=f"state_dictFC.*{said}"):
        SUPERSLOMO.recognise(data, {})


def test_flow_is_a_tenth_where_it_is_negative(states: Any) -> None:
    """LeakyReLU after the last convolution too."""
    import torch

    from reelmend.networks.superslomo import SUPERSLOMO

    flat = {name: torch.zeros_like(t) for name, t in states[0].items()}
    flat["conv3.bias"] = torch.tensor([3.0, -3.0, 1.0, -1.0])
    flow = SUPERSLOMO.recognise({"state_dictFC": flat, "state_dictAT": states[1]}, {}).graphs[0].module
    with torch.no_grad():
        out = torch.cat(flow(*torch.rand(2, 1, 3, 32, 32)), 1)
    assert np.allclose(out.mean((0, 2, 3)), [3.0, -0.3, 1.0, -0.1])
