"""Networks that make pictures, of few channels and random weights, and a catalogue that has them."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reelmend.engines import Network

from .synthesised import LEARNED, Pretended


@pytest.fixture(scope="session")
def held_share() -> Callable[..., float]:
    """The most that NumPy holds while an open stage takes frames, against what it declares; after four to warm it."""

    def measure(stage: Any, info: Any, frames: Sequence[Any]) -> float:
        runtime = stage.open(info, "cpu")
        for frame in frames[:4]:
            runtime.push(frame)
        runtime.reset()
        tracemalloc.start()
        try:
            for frame in frames:
                runtime.push(frame)
            runtime.flush()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return float(peak / stage.declare(info, "cpu").memory)

    return measure


# The versions of RIFE: kind of block, outputs, encoder (its module's name for each layer, channels inside and out).
_SHORT, _LONG, _HEAD = (("0", "1"), 4, 4), (("0", "2", "4", "6"), 6, 8), (("cnn0", "cnn1", "cnn2", "cnn3"), 6, 4)
_VERSIONS: dict[str, tuple[str, int, Any, tuple[int, ...]]] = {
    "4.0-4.1": ("prelu", 5, None, (12, 10, 8, 8)),
    "4.2-4.4": ("leaky", 5, None, (12, 10, 8, 8)),
    "4.5": ("residual", 5, None, (12, 10, 8, 8)),
    "4.6": ("residual", 6, None, (12, 10, 8, 8)),
    "4.7-4.9": ("residual", 6, _SHORT, (12, 10, 8, 8)),
    "4.10-4.12": ("residual", 6, _LONG, (12, 10, 8, 8)),
    "4.13-4.20, 4.24": ("residual", 6, _HEAD, (12, 10, 8, 8)),
    "4.21-4.23": ("residual", 13, _HEAD, (12, 10, 8, 8)),
    "4.25-4.26": ("residual", 13, _HEAD, (12, 10, 8, 8, 8)),
    "4.25.lite": ("residual", 13, _HEAD, (32, 10, 8, 8, 4)),
}


def _ifnet(group: str) -> dict[str, Any]:
    """A state dict of a version, by its definitions."""
    from torch import nn

    from reelmend.networks.ifnet import Block, Encoder

    kind, outputs, encoder, widths = _VERSIONS[group]
    state: dict[str, Any] = {}
    extra = 0
    if encoder is not None:
        names, hidden, seen = encoder
        extra = 2 * seen
        layers = [nn.Conv2d(3, hidden, 3), *(nn.Conv2d(hidden, hidden, 3) for _ in names[2:])]
        layers.append(nn.ConvTranspose2d(hidden, seen, 4))
        found = (
            Encoder(hidden, seen).state_dict()
            if names[0] == "cnn0"
            else {f"{n}.{k}": v for n, layer in zip(names, layers, strict=True) for k, v in layer.state_dict().items()}
        )
        state |= {f"encode.{k}": v for k, v in found.items()}
    feature = 8 if outputs == 13 else 0
    for k, width in enumerate(widths):
        inputs = 7 + extra + (5 + feature if k else 0)
        block = Block(inputs, width, outputs, kind, feature > 0)
        state |= {f"block{k}.{name}": tensor for name, tensor in block.state_dict().items()}
    return state


@pytest.fixture(scope="session")
def rife(small_weights: Any) -> Callable[..., Any]:
    """An IFNet of a version, as it is recognised: flows of each block are up to about `flow` pixels."""
    known: dict[tuple[str, float], Any] = {}

    def make(group: str, flow: float = 2.0) -> Any:
        from reelmend.networks.ifnet import IFNET

        if (group, flow) not in known:
            state = small_weights(_ifnet(group), 5)
            scales = IFNET.recognise(state, state).settings["scales"]
            for name in state:
                if ".lastconv" in name:
                    state[name] = state[name] * (flow / scales[int(name[5])])
            known[group, flow] = IFNET.recognise(state, state)
            assert known[group, flow].settings["version"] == group
        return known[group, flow]

    return make


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], tuple[Network, Counter[str]]]:
    """A recognised checkpoint as a network whose engines are its modules; and how often each part has run."""

    def put(recognised: Any) -> tuple[Network, Counter[str]]:
        runs: Counter[str] = Counter()
        graphs = {graph.part.name: graph for graph in recognised.graphs}
        parts = {name: replace(graph.part, files={"fp32": "none.onnx"}) for name, graph in graphs.items()}
        monkeypatch.setattr(
            "reelmend.engines.open_engine", lambda net, part, *, size, **_: Pretended(graphs[part], size, runs)
        )
        net = Network("few", "interpolate", recognised.family, parts, parameters=1, settings=recognised.settings)
        return net, runs

    return put


@pytest.fixture(scope="session")
def catalogue(small_weights: Any, rife: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with "few-fast", "few-superslomo", "few-ifnet" and "few-dain": the first hardly changes what it sees;
    flows of the next two are parts of a pixel, their masks hardly masks; the last is slim, and its taps are those of a
    bilinear warp."""
    import torch

    from reelmend.networks.dain import DAIN
    from reelmend.networks.dain.slim import Slim
    from reelmend.networks.export import export
    from reelmend.networks.fast import FAST, Fast
    from reelmend.networks.superslomo import SUPERSLOMO, UNet

    small = (4, 6, 8, 10, 12, 12)
    states = [small_weights(UNet(a, b, small).state_dict(), seed) for seed, (a, b) in enumerate(((6, 4), (20, 5)))]
    for state in states:
        for name in ("conv3.weight", "conv3.bias"):
            state[name] = state[name] * 0.3
    folder = tmp_path_factory.mktemp("catalogue")
    slow = SUPERSLOMO.recognise({"state_dictFC": states[0], "state_dictAT": states[1]}, {})
    torch.manual_seed(0)
    slim = Slim(context=2, kernels=(4, 4, 6, 6, 8, 8), synthesis=6, depth=4, residual=1).state()
    few = small_weights(Fast(8, 1).state_dict(), 7)
    few = {name: tensor * (0.001 if name.startswith("refine.tell.4") else 1) for name, tensor in few.items()}
    for name, network in (
        ("few-fast", FAST.recognise(few, few)),
        ("few-superslomo", slow),
        ("few-ifnet", rife("4.25-4.26", 0.1)),
        ("few-dain", DAIN.recognise(slim, slim)),
    ):
        export(network, name, folder, precisions=())
    return folder


@pytest.fixture(autouse=True)
def _few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of a method that needs a network find one in the catalogue."""
    call = getattr(request.node, "callspec", None)
    if call is not None and call.params.get("method") in LEARNED:
        monkeypatch.setenv("REELMEND_ENGINES", str(request.getfixturevalue("catalogue")))
