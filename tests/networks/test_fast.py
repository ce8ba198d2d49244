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
    from reelmend.networks.fast import Fast

    return dict(small_weights(Fast(WIDTH, LAYERS).state_dict(), 8))


@pytest.fixture(scope="module")
def recognised(state: dict[str, Any]) -> Any:
    from reelmend.networks.fast import FAST

    assert FAST.matches(state, state)
    return FAST.recognise(state, state)


def test_its_sizes_are_told_by_the_weights(recognised: Any) -> None:
    assert (recognised.family, recognised.task, recognised.window) == ("fast", "interpolate", (0, 1))
    assert recognised.settings == {"reduced": 2, "multiple": 4}
    judge, refine = recognised.graphs
    assert [port.shape[1] for port in judge.part.inputs] == [18, 1, 8]
    assert judge.part.outputs[0].shape == (1, WIDTH, "h/2", "w/2")
    assert [port.shape[1] for port in (*refine.part.inputs, *refine.part.outputs)] == [WIDTH, 10, 1, 3]
    assert judge.module.head[0].out_channels == WIDTH
    assert len(judge.module.head) == 2 + LAYERS


def test_silent_before_training() -> None:
    """Nothing is sharpened, and all but everything is believed to move."""
    import torch

    from reelmend.networks.fast import Fast

    net = Fast(WIDTH, LAYERS)
    with torch.no_grad():
        judged = net.judge(*(torch.rand(2, n, 16, 24) for n in (18, 1, 8)))
        still, gains = net.refine(judged, torch.rand(2, 10, 8, 12))
    assert judged.shape == (2, WIDTH, 8, 12)
    assert still.shape == (2, 1, 8, 12)
    assert gains.shape == (2, 3, 8, 12)
    assert 0 < float(still.max()) < 0.01
    assert float(gains.abs().max()) == 0


def test_it_blurs_less_than_it_learnt_to(state: dict[str, Any]) -> None:
    import torch

    from reelmend.networks.fast import Refine

    net = Refine(WIDTH)
    net.load_state_dict({k.removeprefix("refine."): v for k, v in state.items() if k.startswith("refine.")})
    with torch.no_grad():
        judged, told = (torch.rand(1, n, 16, 24, generator=torch.Generator().manual_seed(2)) for n in (WIDTH, 10))
        learning, given = net.train()(4 * judged, told), net.eval()(4 * judged, told)
    assert torch.equal(learning[0], given[0])
    below = learning[1] < 0
    assert 0.05 < float(below.float().mean()) < 0.95
    torch.testing.assert_close(given[1][below], (0.3 * learning[1][below]).clamp(-0.5))
    assert torch.equal(given[1][~below], learning[1][~below].clamp(max=0.5))
    assert float(given[1].abs().max()) <= 0.5 < float(learning[1].abs().max())


def test_what_it_finds_first() -> None:
    """Differences are of the pictures that are told of; equal ones differ by nothing; all of it is small and finite."""
    import torch

    from reelmend.networks.fast import Judge

    judge = Judge(WIDTH, LAYERS)
    same = float(np.log(4e-3) + 4)
    pictures = torch.rand(1, 3, 1, 1).repeat(1, 6, 8, 8)
    by_a = torch.full((1, 1, 8, 8), 0.25)
    ways = torch.tensor([2.0, -1, 3, 0, 2, -1, 3, 4])[None, :, None, None].repeat(1, 1, 8, 8)
    known = judge.known(pictures, by_a, ways)
    assert known.shape[1] == 23
    torch.testing.assert_close(known[:, :8], torch.full((1, 8, 8, 8), same))
    torch.testing.assert_close(known[:, 8:16], torch.full((1, 8, 8, 8), -1.0))
    assert float(known[0, 16, 3, 3]) == -1.0
    # the mean way leads 1 to the right and 1 + 3/4 of 4 down; the searches are 4 apart at the second picture
    torch.testing.assert_close(known[0, 17:20, 0, 0], torch.tensor([np.log1p(5.0), 0.0, np.log1p(4.0)]).float())
    torch.testing.assert_close(known[0, 20:, 0, 0], 2 * pictures[0, :3, 0, 0] - 1)
    torch.testing.assert_close(judge.known(pictures, by_a, ways + 0.5)[:, 8:16], torch.ones(1, 8, 8, 8))
    given = torch.rand(1, 18, 8, 8, generator=torch.Generator().manual_seed(1))
    pictures = given.reshape(6, 3, 8, 8)
    one, two = pictures[:2].mean(0), pictures[2:4].mean(0)
    made = 0.25 * one + 0.75 * two
    inner = made.unfold(1, 3, 1).unfold(2, 3, 1).mean((3, 4))
    pairs = [(pictures[0], pictures[1]), (pictures[2], pictures[3]), (one, two), (pictures[0], pictures[2]),
             (pictures[1], pictures[3]), (pictures[4], pictures[5]), (made, pictures[4:].mean(0))]  # fmt: skip
    apart = [torch.log((p - q).abs().mean(0) + 4e-3) + 4 for p, q in pairs]
    found = judge.known(given, by_a, ways)[0]
    torch.testing.assert_close(found[:7], torch.stack(apart))
    detail = torch.log((made[:, 1:-1, 1:-1] - inner).abs().mean(0) + 4e-3) + 4
    torch.testing.assert_close(found[7, 1:-1, 1:-1], detail)
    assert float(judge.known(given, by_a, ways + 4000).abs().max()) < 10


def test_what_parts_of_a_pixel_are_told(state: dict[str, Any]) -> None:
    """Ways of whole pixels more or less are told alike."""
    import torch

    from reelmend.networks.fast import Refine

    net = Refine(WIDTH).eval()
    net.load_state_dict({k.removeprefix("refine."): v for k, v in state.items() if k.startswith("refine.")})
    judged, told = torch.rand(1, WIDTH, 4, 4), torch.rand(1, 10, 4, 4)
    told[:, 2:] = 0.25
    further = told.clone()
    further[:, 2:] += torch.tensor([3.0, -7, 1, 0, 2, 5, -1, 4])[None, :, None, None]
    other = told.clone()
    other[:, 2:] = 0.5
    with torch.no_grad():
        one, two, three = (net(judged, x)[1] for x in (told, further, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_onnx_runtime_gives_the_same(recognised: Any, agrees: Callable[..., None]) -> None:
    for graph in recognised.graphs:
        agrees(graph, (32, 48) if graph.part.name == "judge" else (16, 24))


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
        (lambda s: s.pop("judge.head.0.bias"), "judge.*missing: head.0.bias"),
        (lambda s: s.pop("judge.head.0.weight"), r"judge\.head\.0\.weight is missing"),
        (lambda s: s.update({"tail.0.bias": s["judge.head.0.bias"]}), "left over: tail.0.bias"),
        (lambda s: s.update({"judge.tail.bias": s["judge.head.0.bias"]}), "judge.*left over: tail.bias"),
        (lambda s: s.update({"refine.tell.0.bias": s["judge.head.0.bias"]}), "refine.*another shape: tell.0.bias"),
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
