"""RIFE 4.0 to 4.26: which version a file is told to be, every tensor accounted for, and the graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

# What makes a group: kind of block, outputs, encoder (kind, hidden, outputs), widths as published, and what a chain
# has to know of it. From the public definitions of each version.
GROUPS: dict[str, dict[str, Any]] = {
    "4.0-4.1": {"kind": "prelu", "outputs": 5, "encoder": None, "widths": (192, 128, 96, 64)},
    "4.2-4.4": {"kind": "leaky", "outputs": 5, "encoder": None, "widths": (192, 128, 96, 64)},
    "4.5": {"kind": "residual", "outputs": 5, "encoder": None, "widths": (192, 128, 96, 64)},
    "4.6": {"kind": "residual", "outputs": 6, "encoder": None, "widths": (192, 128, 96, 64)},
    "4.7-4.9": {"kind": "residual", "outputs": 6, "encoder": ("short", 16, 4), "widths": (192, 128, 96, 64)},
    "4.10-4.12": {"kind": "residual", "outputs": 6, "encoder": ("long", 32, 8), "widths": (192, 128, 96, 64)},
    "4.13-4.20, 4.24": {"kind": "residual", "outputs": 6, "encoder": ("head", 32, 8), "widths": (192, 128, 96, 64)},
    "4.21-4.23": {"kind": "residual", "outputs": 13, "encoder": ("head", 32, 8), "widths": (256, 192, 96, 48)},
    "4.25-4.26": {"kind": "residual", "outputs": 13, "encoder": ("head", 16, 4), "widths": (192, 128, 96, 64, 32)},
    "4.25.lite": {"kind": "residual", "outputs": 13, "encoder": ("head", 16, 4), "widths": (192, 128, 96, 64, 24)},
}
# Weights of the flow net with its encoder, in millions, as counted from the public definitions.
MILLIONS = {
    "4.6": 5.31,
    "4.7-4.9": 5.33,
    "4.10-4.12": 5.36,
    "4.13-4.20, 4.24": 5.36,
    "4.21-4.23": 9.32,
    "4.25-4.26": 5.66,
    "4.25.lite": 5.62,
}
SCALES = {
    "4.25-4.26": [16, 8, 4, 2, 1],
    "4.25.lite": [32, 16, 8, 4, 1],
}


def table(group: str, shrink: int = 1) -> dict[str, tuple[int, ...]]:
    """The tensors of a file of this group, its widths divided."""
    g = GROUPS[group]
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, inputs: int, outputs: int, size: int = 3) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs, size, size), (outputs,)

    def transposed(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (inputs, outputs, 4, 4), (outputs,)

    extra = 0
    if g["encoder"]:
        form, hidden, outputs = g["encoder"]
        extra = 2 * outputs
        names = {"short": (0, 1), "long": (0, 2, 4, 6), "head": ("cnn0", "cnn1", "cnn2", "cnn3")}[form]
        convolution(f"encode.{names[0]}", 3, hidden)
        for name in names[1:-1]:
            convolution(f"encode.{name}", hidden, hidden)
        transposed(f"encode.{names[-1]}", hidden, outputs)
    feature = 8 if g["outputs"] == 13 else 0
    for k, published in enumerate(g["widths"]):
        width = published // shrink
        block = f"block{k}"
        convolution(f"{block}.conv0.0.0", 7 + extra if k == 0 else 12 + extra + feature, width // 2)
        convolution(f"{block}.conv0.1.0", width // 2, width)
        for i in range(8):
            if g["kind"] == "residual":
                convolution(f"{block}.convblock.{i}.conv", width, width)
                shapes[f"{block}.convblock.{i}.beta"] = (1, width, 1, 1)
            else:
                convolution(f"{block}.convblock.{i}.0", width, width)
        if g["kind"] == "prelu":
            slopes = {"conv0.0.1": width // 2, "conv0.1.1": width} | {f"convblock.{i}.1": width for i in range(8)}
            shapes |= {f"{block}.{name}.weight": (size,) for name, size in slopes.items()}
        last, times = ("lastconv.0", 4) if g["kind"] == "residual" else ("lastconv", 1)
        transposed(f"{block}.{last}", width, times * g["outputs"])
    return shapes


@pytest.fixture(scope="module")
def states(small_weights: Any) -> dict[str, dict[str, Any]]:
    """A state dict of each group, of few channels."""
    import torch

    return {
        group: small_weights({name: torch.empty(shape) for name, shape in table(group, 8).items()}, 5)
        for group in GROUPS
    }


def recognised(state: dict[str, Any]) -> Any:
    from reelmend.networks.ifnet import IFNET

    assert IFNET.matches(state, state)
    return IFNET.recognise(state, state)


@pytest.mark.parametrize("group", GROUPS)
def test_a_version_is_told_by_its_tensors(states: dict[str, dict[str, Any]], group: str) -> None:
    g = GROUPS[group]
    found = recognised(states[group])
    encode = ["encode"] if g["encoder"] else []
    assert [graph.part.name for graph in found.graphs] == encode + [f"block{k}" for k in range(len(g["widths"]))]
    scales = SCALES.get(group, [8, 4, 2, 1])
    assert found.settings == {
        "version": group,
        "scales": scales,
        "multiple": 4 * scales[0],
        "adds_masks": not g["encoder"],
        "feature": 8 if g["outputs"] == 13 else 0,
        "halved": g["kind"] != "residual",
        "unused": [],
    }
    assert (found.family, found.task, found.window) == ("ifnet", "interpolate", (0, 1))


@pytest.mark.parametrize("group", MILLIONS)
def test_the_published_widths_have_the_published_number_of_weights(group: str) -> None:
    import torch

    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in table(group).items()}
    count = sum(t.numel() for t in state.values())
    assert round(count / 1e6, 2) == MILLIONS[group]


def test_a_file_as_published_is_recognised(states: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Names begin with "module."; what only training needs is left out and named."""
    import torch

    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.families import families

    state = states["4.25-4.26"] | {"teacher.conv.weight": torch.zeros(3), "caltime.0.bias": torch.zeros(1)}
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "flownet.pkl")
    read = read_checkpoint(tmp_path / "flownet.pkl")
    (family,) = [f for f in families() if f.matches(read.data, read.state)]
    found = family.recognise(read.data, read.state)
    assert found.settings["version"] == "4.25-4.26"
    assert found.settings["unused"] == ["caltime", "teacher"]


# One of each kind of graph; others differ in widths alone.
KINDS = [
    ("4.0-4.1", ["block1"]),
    ("4.2-4.4", ["block0"]),
    ("4.6", ["block1"]),
    ("4.7-4.9", ["encode"]),
    ("4.10-4.12", ["encode"]),
    ("4.25.lite", ["encode", "block4"]),
]


@pytest.mark.parametrize(("group", "parts"), KINDS, ids=str)
def test_graphs_give_in_onnx_what_torch_gives(
    states: dict[str, dict[str, Any]], agrees: Any, group: str, parts: list[str]
) -> None:
    graphs = {graph.part.name: graph for graph in recognised(states[group]).graphs}
    for part in parts:
        agrees(graphs[part], (40, 24))


def block_by_hand(state: dict[str, Any], kind: str, x: Any) -> Any:
    """A block of the public definitions, written out: all outputs at the size they have before the enlargement."""
    from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, pixel_shuffle, prelu

    def active(name: str, x: Any) -> Any:
        slope = state.get(f"{name}.1.weight")
        return leaky_relu(x, 0.2) if slope is None else prelu(x, slope)

    for i in (0, 1):
        name = f"conv0.{i}"
        x = active(name, conv2d(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], 2, 1))
    seen = x
    for i in range(8):
        name = f"convblock.{i}"
        if kind == "residual":
            y = conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], 1, 1)
            x = leaky_relu(y * state[f"{name}.beta"] + x, 0.2)
        else:
            x = active(name, conv2d(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], 1, 1))
    if kind == "prelu":
        x = x + seen
    last = "lastconv.0" if kind == "residual" else "lastconv"
    y = conv_transpose2d(x, state[f"{last}.weight"], state[f"{last}.bias"], 2, 1)
    return pixel_shuffle(y, 2) if kind == "residual" else y


@pytest.mark.parametrize(("group", "k"), [("4.0-4.1", 2), ("4.2-4.4", 0), ("4.6", 1), ("4.21-4.23", 3)])
def test_blocks_are_the_public_ones(states: dict[str, dict[str, Any]], group: str, k: int) -> None:
    import torch

    kind = GROUPS[group]["kind"]
    (graph,) = [g for g in recognised(states[group]).graphs if g.part.name == f"block{k}"]
    own = {n.removeprefix(f"block{k}."): t for n, t in states[group].items() if n.startswith(f"block{k}.")}
    x = torch.randn(graph.part.inputs[0].at((24, 40)), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        out = graph.module(x)
        expected = block_by_hand(own, kind, x)
    torch.testing.assert_close(torch.cat(out, 1), expected[:, : 13 if len(out) == 3 else 5])
    assert [tuple(o.shape) for o in out] == [port.at((24, 40)) for port in graph.part.outputs]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("block2.convblock.3.beta"), "block2.*missing: convblock.3.beta"),
        (lambda s: s.pop("block1.conv0.1.0.weight"), "missing block1.conv0.1.0.weight"),
        (lambda s: s.update({"block2.extra": s["encode.cnn0.bias"]}), "block2.*left over: extra"),
        (lambda s: s.update({"encode.cnn4.bias": s["encode.cnn0.bias"]}), "encode.*left over: cnn4.bias"),
        (lambda s: s.update({"block3.convblock.0.conv.bias": s["encode.cnn0.bias"]}), "block3.*of another shape"),
        (lambda s: [s.pop(n) for n in list(s) if n.startswith("block3.")], "3 blocks .*expected RIFE 4.0 to 4.26"),
        (lambda s: [s.pop(n) for n in list(s) if n.startswith("encode.")], "no encoder"),
    ],
)
def test_every_tensor_is_accounted_for(states: dict[str, dict[str, Any]], spoil: Any, said: str) -> None:
    state = dict(states["4.21-4.23"])
    spoil(state)
    with pytest.raises(CheckpointError, match=said):
        recognised(state)
