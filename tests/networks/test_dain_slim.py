"""Slim variants of DAIN: widths are those of the tensors, names those of best.pth; untrained, bilinear warps."""

from __future__ import annotations

from typing import Any

import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

PARTS = ["depth", "context", "kernels", "synthesis"]
WIDTHS = {"context": 5, "kernels": (4, 6, 7, 8, 10, 9), "synthesis": 11, "depth": 6, "residual": 2, "size": 5}


@pytest.fixture(scope="module")
def state(small_weights: Any) -> dict[str, Any]:
    from reelmend.networks.dain.slim import Slim

    return small_weights(Slim(**WIDTHS).state(), 2)


def recognise(state: dict[str, Any]) -> Any:
    from reelmend.networks.families import families

    (family,) = [f for f in families() if f.matches(state, state)]
    return family.recognise(state, state)


def test_widths_are_those_of_the_tensors(state: dict[str, Any]) -> None:
    found = recognise(state)
    assert (found.family, found.task, found.window) == ("dain", "interpolate", (0, 1))
    assert [graph.part.name for graph in found.graphs] == PARTS
    assert found.settings == {"multiple": 32}
    ports = {port.name: port.shape[1] for graph in found.graphs for port in (*graph.part.inputs, *graph.part.outputs)}
    assert (ports["context"], ports["context_a"], ports["context_b"]) == (19, 19, 19)
    assert sum(p.numel() for g in found.graphs for p in g.module.parameters()) == sum(t.numel() for t in state.values())


def test_the_public_widths_have_the_public_names() -> None:
    """The small depth network alone is another, and flow is not there."""
    from reelmend.networks.dain.frames import Context, Kernels, Synthesis, context_channels
    from reelmend.networks.dain.slim import Slim

    slim = Slim(64, (16, 32, 64, 128, 256, 512), 128, 8, 3, 7).state()
    public = {f"ctxNet.{n}": t for n, t in Context().state_dict().items()} | Kernels().state_dict()
    public |= {f"rectifyNet.{n}": t for n, t in Synthesis(context_channels(64)).state_dict().items()}
    assert {n: t.shape for n, t in slim.items() if not n.startswith("slimDepth.")} == {
        n: t.shape for n, t in public.items()
    }


@pytest.mark.parametrize("part", PARTS)
def test_graphs_give_in_onnx_what_torch_gives(state: dict[str, Any], agrees: Any, part: str) -> None:
    (graph,) = [g for g in recognise(state).graphs if g.part.name == part]
    agrees(graph, (32, 96))


def test_depth_is_enlarged_from_a_quarter_of_the_size(state: dict[str, Any]) -> None:
    import torch
    from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

    def layer(k: int, x: Any, dilation: int) -> Any:
        return conv2d(x, state[f"slimDepth.conv{k}.weight"], state[f"slimDepth.conv{k}.bias"], 1, dilation, dilation)

    picture = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        x = avg_pool2d(picture, 4)
        for k, dilation in enumerate((1, 2, 4)):
            x = relu(layer(k, x, dilation))
        expected = interpolate(layer(3, x, 1), scale_factor=4, mode="bilinear")
        log, weight = recognise(state).graphs[0].module(picture)
    torch.testing.assert_close(log, expected)
    torch.testing.assert_close(weight, 1e-6 + 1 / torch.exp(log))


def test_untrained_it_mixes_bilinear_warps() -> None:
    """Taps are 1 next to where the flow leads and 0 elsewhere, all is as far away, and nothing is added."""
    import torch

    from reelmend.networks.dain.slim import Slim

    slim = Slim().eval()
    random = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 1, 3, 32, 64, generator=random)
    with torch.no_grad():
        for taps in slim.kernels(a, b):
            assert torch.equal(taps[0, :, 3, 5].nonzero()[:, 0], torch.tensor([5, 6, 9, 10]))
            assert torch.equal(taps.sum(1), torch.full((1, 32, 64), 4.0))
        log, weight = slim.depth(a)
        assert not log.any()
        assert torch.equal(weight, torch.full_like(log, 1 + 1e-6))
        context = slim.context(a, log)
        assert context.shape[1] == 3 + 3 * 8 + 1
        planes = [torch.rand(1, n, 32, 64, generator=random) for n in (3, 3, 3, 2, 2, 16, 16, 28, 28)]
        assert torch.equal(slim.synthesis(*planes), planes[0])


def test_every_layer_learns() -> None:
    """None of the zeros it begins with keeps another layer from moving for longer than a few steps."""
    import torch

    from reelmend.networks.dain.slim import Slim

    torch.manual_seed(1)
    slim = Slim(**WIDTHS)
    before = {name: tensor.clone() for name, tensor in slim.state().items()}
    random = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 1, 3, 32, 64, generator=random)
    flow = torch.rand(1, 2, 32, 64, generator=random)
    optimizer = torch.optim.Adam(slim.parameters(), 1e-3)
    for _ in range(4):
        taps = slim.kernels(a, b)
        (log, weight), (other, _) = slim.depth(a), slim.depth(b)
        seen = slim.context(a, log), slim.context(b, other)
        blend = a * weight * taps[0].mean(1, True) + b * taps[1].mean(1, True)
        out = slim.synthesis(blend, a, b, flow, flow, *taps, *seen)
        optimizer.zero_grad()
        (out - 0.9 * b).square().mean().backward()
        optimizer.step()
    assert [name for name, tensor in slim.state().items() if torch.equal(tensor, before[name])] == []


@pytest.mark.extra("rtx")
def test_tensorrt_rtx_builds_it(state: dict[str, Any], tmp_path: Any) -> None:
    from reelmend.engines.tensorrt import check_builds
    from reelmend.networks.export import export

    network = export(recognise(state), "slim", tmp_path)
    assert all("fp32" in part.files for part in network.parts.values())
    assert check_builds(network, (75, 120)) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("slimDepth.conv2.bias"), "slimDepth.*missing: conv2.bias"),
        (lambda s: s.update({"slimDepth.conv4.bias": s["slimDepth.conv1.bias"]}), "slimDepth.*left over: conv4.bias"),
        (lambda s: s.pop("ctxNet.block1.0.weight"), r"ctxNet.*missing: block1.0.weight.*another shape: block2"),
        (lambda s: s.pop("rectifyNet.block2.conv1.weight"), "rectifyNet.*missing: block2.conv1.weight$"),
        (lambda s: s.pop("rectifyNet.block4.0.bias"), "rectifyNet.*missing: block4.0.bias$"),
        (lambda s: s.update({"rectifyNet.block1.0.weight": s["slimDepth.conv1.bias"]}), "rectifyNet.*another shape"),
        (lambda s: s.update({"ctxNet.block1.0.weight": s["ctxNet.block1.0.weight"][:4]}), "ctxNet.*another shape"),
        (lambda s: s.pop("initScaleNets_filter.17.bias"), "missing: initScaleNets_filter.17.bias"),
        (lambda s: s.update({"depthNet.0.bias": s["slimDepth.conv1.bias"]}), "depthNet and slimDepth, 1 and 8 tensors"),
        (lambda s: [s.pop(n) for n in list(s) if n.startswith("slimDepth.")], "depthNet.*missing: 0.weight"),
        (lambda s: s.update({"flownets.conv1a.0.bias": s["slimDepth.conv1.bias"]}), "level 6.*missing: conv6_0"),
    ],
)  # fmt: skip
def test_every_tensor_is_accounted_for(state: dict[str, Any], spoil: Any, said: str) -> None:
    spoilt = dict(state)
    spoil(spoilt)
    with pytest.raises(CheckpointError, match=f"DAIN.*{said}"):
        recognise(spoilt)
