"""DAIN's checkpoint: its 954 tensors, what is wrong with others, and its graphs."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

FEATURES = {1: 16, 2: 32, 3: 64, 4: 96, 5: 128, 6: 196}
DENSE = (128, 128, 96, 64, 32)
PARTS = {
    "flow": ["pyramid", "flow6", "flow5", "flow4", "flow3", "flow2"],
    "frames": ["depth", "context", "kernels", "synthesis"],
}


def flow_table() -> dict[str, tuple[int, ...]]:
    """The published tensors of PWC-DC-Net."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs, 3, 3), (outputs,)

    before = 3
    for k, width in FEATURES.items():
        first, second = ("aa", "a") if k == 6 else ("a", "aa")
        layer(f"conv{k}{first}.0", before, width)
        layer(f"conv{k}{second}.0", width, width)
        layer(f"conv{k}b.0", width, width)
        before = width
    for k in (6, 5, 4, 3, 2):
        base = 81 if k == 6 else 81 + FEATURES[k] + 4
        inputs = [base + n for n in accumulate(DENSE, initial=0)]
        for i, outputs in enumerate(DENSE):
            layer(f"conv{k}_{i}.0", inputs[i], outputs)
        layer(f"predict_flow{k}", inputs[5], 2)
        for name, channels in (("deconv", 2), ("upfeat", inputs[5])):
            if (name, k) != ("upfeat", 2):
                shapes[f"{name}{k}.weight"], shapes[f"{name}{k}.bias"] = (channels, 2, 4, 4), (2,)
    widths = (565, 128, 128, 128, 96, 64, 32)
    for i in range(1, 7):
        layer(f"dc_conv{i}.0", widths[i - 1], widths[i])
    layer("dc_conv7", 32, 2)
    return shapes


def frames_table() -> dict[str, tuple[int, ...]]:
    """The published tensors of kernels, context and synthesis."""
    shapes: dict[str, tuple[int, ...]] = {}
    chain = {0: (6, 16), 2: (16, 32), 5: (32, 64), 8: (64, 128), 11: (128, 256), 14: (256, 512), 17: (512, 512)}
    chain |= {20: (512, 256), 23: (256, 128), 26: (128, 64), 29: (64, 32), 32: (32, 16)}
    for k, (a, b) in chain.items():
        shapes[f"initScaleNets_filter.{k}.weight"], shapes[f"initScaleNets_filter.{k}.bias"] = (b, a, 3, 3), (b,)
    for head in (1, 2):
        for k in (0, 2):
            shapes[f"initScaleNets_filter{head}.{k}.weight"] = (16, 16, 3, 3)
            shapes[f"initScaleNets_filter{head}.{k}.bias"] = (16,)
    shapes["ctxNet.block1.0.weight"] = (64, 3, 7, 7)
    shapes |= {f"ctxNet.block{k}.conv{i}.weight": (64, 64, 3, 3) for k in (2, 3) for i in (1, 2)}
    shapes["rectifyNet.block1.0.weight"], shapes["rectifyNet.block1.0.bias"] = (128, 437, 7, 7), (128,)
    shapes |= {f"rectifyNet.block{k}.conv{i}.weight": (128, 128, 3, 3) for k in (2, 3, 4) for i in (1, 2)}
    shapes["rectifyNet.block5.0.weight"], shapes["rectifyNet.block5.0.bias"] = (3, 128, 3, 3), (3,)
    return shapes


# Names and shapes of the depth network where its nesting turns, from the public definition.
DEPTH = {
    "0.weight": (128, 3, 7, 7),
    "1.weight": (128,),
    "1.running_mean": (128,),
    "3.0.0.1.0.0.weight": (32, 128, 1, 1),
    "3.0.0.1.3.3.weight": (32, 32, 7, 7),
    "3.0.0.3.0.0.2.1.4.running_var": (64,),
    "3.0.0.3.0.0.3.0.0.1.2.3.weight": (64, 64, 7, 7),
    "3.0.0.3.0.0.3.0.1.3.0.0.0.0.0.weight": (64, 256, 1, 1),
    "3.0.0.3.0.0.3.0.1.3.0.1.3.3.3.weight": (64, 32, 7, 7),
    "3.0.0.3.0.0.3.0.1.5.3.3.weight": (64, 64, 11, 11),
    "3.0.0.3.0.0.5.3.3.weight": (32, 32, 7, 7),
    "3.0.0.3.0.1.1.3.3.weight": (32, 64, 11, 11),
    "3.0.0.4.3.3.weight": (32, 64, 7, 7),
    "3.0.0.5.3.3.weight": (16, 32, 11, 11),
    "3.0.1.0.3.3.weight": (16, 64, 11, 11),
    "4.weight": (1, 64, 3, 3),
}


@pytest.fixture(scope="module")
def state(small_weights: Any) -> dict[str, Any]:
    """A whole state dict as published, of random weights."""
    import torch

    from reelmend.networks.dain.depth import hourglass

    shapes = {f"flownets.{name}": shape for name, shape in flow_table().items()} | frames_table()
    empty = {name: torch.empty(shape) for name, shape in shapes.items()}
    empty |= {f"depthNet.{name}": tensor for name, tensor in hourglass().state_dict().items()}
    return small_weights(empty, 4)


@pytest.fixture(scope="module")
def recognised(state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Through a file."""
    import torch

    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.families import families

    path = tmp_path_factory.mktemp("checkpoints") / "best.pth"
    torch.save(state, path)
    read = read_checkpoint(path)
    path.unlink()
    (family,) = [f for f in families() if f.matches(read.data, read.state)]
    return family.recognise(read.data, read.state)


def test_the_published_tensors_make_these_parts(state: dict[str, Any], recognised: Any) -> None:
    assert len(state) == 954
    assert (recognised.family, recognised.task, recognised.window) == ("dain", "interpolate", (0, 1))
    assert [graph.part.name for graph in recognised.graphs] == PARTS["flow"] + PARTS["frames"]
    # the whole and its parts, as counted for the paper's model: 24.0 million
    counts = {g.part.name: sum(p.numel() for p in g.module.parameters()) for g in recognised.graphs}
    assert sum(counts[name] for name in PARTS["flow"]) == 9_374_340
    assert [counts[name] for name in PARTS["frames"]] == [5_357_153, 156_864, 5_514_112, 3_629_187]
    assert sum(counts.values()) == 24_031_656
    assert recognised.settings["scales"] == {"5": 0.625, "4": 1.25, "3": 2.5, "2": 5.0}


def test_the_depth_network_has_the_published_names(state: dict[str, Any]) -> None:
    own = {n.removeprefix("depthNet."): tuple(t.shape) for n, t in state.items() if n.startswith("depthNet.")}
    assert len(own) == 779
    assert {name: own.get(name) for name in DEPTH} == DEPTH
    # only the first normalisation has a learned gain
    gains = [n for n in own if n.endswith(".weight") and f"{n.removesuffix('weight')}running_mean" in own]
    assert gains == ["1.weight"]


SIZES = {"pyramid": (64, 128), "flow6": (192, 128), "flow5": (64, 128), "flow2": (64, 128)}


@pytest.mark.parametrize("part", [*SIZES, "depth", "context", "kernels", "synthesis"])
def test_graphs_give_in_onnx_what_torch_gives(recognised: Any, agrees: Any, part: str) -> None:
    """Levels 4 and 3 differ from level 5 in widths alone."""
    (graph,) = [g for g in recognised.graphs if g.part.name == part]
    agrees(graph, SIZES.get(part, (32, 64)))


@pytest.mark.extra("rtx")
def test_tensorrt_rtx_builds_every_part(recognised: Any, tmp_path: Path) -> None:
    from reelmend.engines.network import Network
    from reelmend.engines.tensorrt import check_builds
    from reelmend.networks.tracing import finished, traced

    parts = {}
    for graph in recognised.graphs:
        name = f"{graph.part.name}.onnx"
        (tmp_path / name).write_bytes(finished(traced(graph), "dain", graph.part.name, "fp32"))
        parts[graph.part.name] = replace(graph.part, files={"fp32": name})
    assert check_builds(Network("dain", "interpolate", "dain", parts, folder=tmp_path), (75, 120)) == []


def test_the_flow_is_the_public_one(state: dict[str, Any], recognised: Any) -> None:
    """Levels 6 and 5 and the refinement, written out; the warps between are not theirs."""
    import torch
    from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

    def layer(name: str, x: Any, dilation: int = 1, stride: int = 1) -> Any:
        weight, bias = state[f"flownets.{name}.0.weight"], state[f"flownets.{name}.0.bias"]
        return leaky_relu(conv2d(x, weight, bias, stride, dilation, dilation), 0.1)

    def last(name: str, x: Any) -> Any:
        return conv2d(x, state[f"flownets.{name}.weight"], state[f"flownets.{name}.bias"], 1, 1)

    def enlarged(name: str, x: Any) -> Any:
        return conv_transpose2d(x, state[f"flownets.{name}.weight"], state[f"flownets.{name}.bias"], 2, 1)

    def dense(level: int, x: Any) -> Any:
        for i in range(5):
            x = torch.cat([layer(f"conv{level}_{i}", x), x], 1)
        return x

    graphs = {g.part.name: g for g in recognised.graphs}
    generator = torch.Generator().manual_seed(1)

    def given(part: str) -> list[Any]:
        return [torch.randn(p.at((64, 128)), generator=generator) for p in graphs[part].part.inputs]

    with torch.no_grad():
        (volume,) = given("flow6")
        x = dense(6, leaky_relu(volume, 0.1))
        expected = enlarged("deconv6", last("predict_flow6", x)), enlarged("upfeat6", x)
        torch.testing.assert_close(graphs["flow6"].module(volume), expected)
        inputs = given("flow5")
        x = dense(5, torch.cat([leaky_relu(inputs[0], 0.1), *inputs[1:]], 1))
        expected = enlarged("deconv5", last("predict_flow5", x)), enlarged("upfeat5", x)
        torch.testing.assert_close(graphs["flow5"].module(*inputs), expected)
        inputs = given("flow2")
        x = dense(2, torch.cat([leaky_relu(inputs[0], 0.1), *inputs[1:]], 1))
        flow = last("predict_flow2", x)
        for i, dilation in enumerate((1, 2, 4, 8, 16, 1), 1):
            x = layer(f"dc_conv{i}", x, dilation)
        torch.testing.assert_close(graphs["flow2"].module(*inputs), flow + last("dc_conv7", x))
        (picture,) = given("pyramid")
        x, levels = picture, []
        for k in range(1, 7):
            for i, name in enumerate(("aa", "a", "b") if k == 6 else ("a", "aa", "b")):
                x = layer(f"conv{k}{name}", x, stride=1 if i else 2)
            levels.append(x)
        torch.testing.assert_close(graphs["pyramid"].module(picture), tuple(levels[1:]))


def test_kernels_context_and_synthesis_are_the_public_ones(state: dict[str, Any], recognised: Any) -> None:
    import torch
    from torch.nn.functional import conv2d, interpolate, max_pool2d, relu

    graphs = {g.part.name: g for g in recognised.graphs}
    generator = torch.Generator().manual_seed(1)

    def given(part: str) -> list[Any]:
        return [torch.randn(p.at((32, 64)), generator=generator) for p in graphs[part].part.inputs]

    def layer(name: str, x: Any, dilation: int = 1) -> Any:
        weight = state[f"{name}.weight"]
        return conv2d(x, weight, state.get(f"{name}.bias"), 1, dilation * (weight.shape[-1] // 2), dilation)

    def residual(name: str, x: Any, dilation: int = 1) -> Any:
        return relu(layer(f"{name}.conv2", relu(layer(f"{name}.conv1", x, dilation))) + x)

    with torch.no_grad():
        a, b = given("kernels")
        x, skipped = relu(layer("initScaleNets_filter.0", torch.cat([a, b], 1))), []
        for k in (2, 5, 8, 11, 14):
            skipped.append(relu(layer(f"initScaleNets_filter.{k}", x)))
            x = max_pool2d(skipped[-1], 2)
        x = relu(layer("initScaleNets_filter.17", x))
        for k in (20, 23, 26, 29, 32):
            x = interpolate(x, scale_factor=2, mode="bilinear") + skipped.pop()
            x = relu(layer(f"initScaleNets_filter.{k}", x))
        heads = tuple(layer(f"initScaleNets_filter{i}.2", relu(layer(f"initScaleNets_filter{i}.0", x))) for i in (1, 2))
        torch.testing.assert_close(graphs["kernels"].module(a, b), heads)
        picture, depth = given("context")
        one = relu(layer("ctxNet.block1.0", picture))
        two = residual("ctxNet.block2", one, 4)
        expected = torch.cat([picture, one, two, residual("ctxNet.block3", two, 8), depth], 1)
        torch.testing.assert_close(graphs["context"].module(picture, depth), expected)
        inputs = given("synthesis")
        x = relu(layer("rectifyNet.block1.0", torch.cat(inputs, 1)))
        for k in (2, 3, 4):
            x = residual(f"rectifyNet.block{k}", x)
        torch.testing.assert_close(graphs["synthesis"].module(*inputs), layer("rectifyNet.block5.0", x) + inputs[0])
        picture = torch.rand(1, 3, 32, 64, generator=generator)
        log, weight = graphs["depth"].module(picture)
        torch.testing.assert_close(weight, 1e-6 + 1 / torch.exp(log))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("flownets.conv4_2.0.bias"), "level 4.*missing: conv4_2.0.bias"),
        (lambda s: s.update({"flownets.conv7a.0.bias": s["flownets.conv1a.0.bias"]}), "pyramid.*left over: conv7a"),
        (lambda s: s.pop("depthNet.3.0.0.4.3.3.weight"), "depthNet.*missing: 3.0.0.4.3.3.weight"),
        (lambda s: s.update({"ctxNet.block2.conv1.weight": s["ctxNet.block1.0.weight"]}), "ctxNet.*another shape"),
        (lambda s: s.update({"refineNet.weight": s["flownets.conv1a.0.bias"]}), r"1 tensors belong.*refineNet.weight"),
    ],
)
def test_every_tensor_is_accounted_for(state: dict[str, Any], spoil: Any, said: str) -> None:
    from reelmend.networks.dain import DAIN

    spoilt = dict(state)
    spoil(spoilt)
    with pytest.raises(CheckpointError, match=f"DAIN.*{said}"):
        DAIN.recognise(spoilt, spoilt)


def test_counters_that_old_files_lack_are_not_missed(state: dict[str, Any]) -> None:
    from reelmend.networks.dain import DAIN

    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    assert len(DAIN.recognise(old, old).graphs) == 10
