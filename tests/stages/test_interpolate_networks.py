"""Pictures made by networks: Super SloMo's and RIFE's, through our ops, against the public programs written out in
PyTorch; what stands still; and as Interpolate plans, runs and refuses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from reelmend.engines import Network
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range
from reelmend.stages.interpolate.ifnet import IFNet
from reelmend.stages.interpolate.superslomo import SuperSloMo

pytestmark = pytest.mark.extra("train")

TICK = Fraction(1, 25)
SIZES = [(64, 96), (50, 71), (97, 130)]
TIMES = [0.25, 0.5, 0.8]
TOLERANCE = 1e-4


# --- networks of few channels, run by PyTorch in place of an engine -----------------------------------------------


class Pretended:
    """An engine that is a module: no file, no export."""

    fallbacks = ()

    def __init__(self, graph: Any, size: tuple[int, int], runs: Counter[str]) -> None:
        self.graph, self.part, self.runs = graph, graph.part, runs
        assert size == self.part.padded(size)
        self.inputs = {port.name: port.at(size) for port in self.part.inputs}

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        import torch

        assert {name: x.shape for name, x in inputs.items()} == self.inputs
        assert all(x.dtype == np.float32 and x.flags.c_contiguous for x in inputs.values())
        self.runs[self.part.name] += 1
        with torch.no_grad():
            out = self.graph.module(*(torch.from_numpy(inputs[port.name]) for port in self.part.inputs))
        out = out if isinstance(out, tuple) else (out,)
        return {port.name: x.contiguous().numpy() for port, x in zip(self.part.outputs, out, strict=True)}

    def close(self) -> None:
        return


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], tuple[Network, Counter[str]]]:
    """A recognised checkpoint as a network whose engines are its modules; and how often each part has run."""

    def put(recognised: Any) -> tuple[Network, Counter[str]]:
        runs: Counter[str] = Counter()
        graphs = {graph.part.name: graph for graph in recognised.graphs}
        parts = {name: graph.part for name, graph in graphs.items()}
        monkeypatch.setattr(
            "reelmend.engines.open_engine", lambda net, part, *, size, **_: Pretended(graphs[part], size, runs)
        )
        net = Network("few", "interpolate", recognised.family, parts, parameters=1, settings=recognised.settings)
        return net, runs

    return put


def pictures(size: tuple[int, int]) -> list[np.ndarray]:
    """Two of noise in two sizes of grain, the second moved: float32 (3, rows, columns), 0..1, as 16-bit codes have."""
    rng = np.random.default_rng(4)
    rows, columns = size
    fine, coarse = rng.random((3, rows + 8, columns + 8)), rng.random((3, rows // 8 + 2, columns // 8 + 2))
    whole = 0.4 * fine + 0.6 * coarse.repeat(8, 1).repeat(8, 2)[:, : rows + 8, : columns + 8]
    codes = [np.rint(whole[:, y : y + rows, x : x + columns] * 65535) for y, x in ((4, 4), (2, 1))]
    return [(c / 65535).astype(np.float32) for c in codes]


def deep(picture: np.ndarray, t: int = 0) -> Frame:
    """RGB of 16 bits."""
    codes = np.rint(picture * np.float32(65535)).astype(np.uint16)
    return Frame(tuple(codes), PixelFormat.parse("gbrp16"), t, TICK, 1, Colour(matrix=Matrix.RGB, range=Range.FULL))


def padded(picture: np.ndarray, multiple: int) -> Any:
    import torch

    rows, columns = (-n % multiple for n in picture.shape[1:])
    return torch.from_numpy(np.pad(picture, ((0, 0), (0, rows), (0, columns)), mode="edge"))[None]


def made(by: Any, a: np.ndarray, b: np.ndarray, times: list[float]) -> list[Any]:
    whole = (0, 0, a.shape[2], a.shape[1])
    pair = by.pair(*(by.view(deep(p), whole) for p in (a, b)))
    return [by.at(pair, t) for t in times]


def check_against(found: list[Any], reference: Callable[[float], Any]) -> None:
    """All pictures within the tolerance of the public program's, which differ from each other."""
    import torch

    with torch.no_grad():
        expected = [reference(t)[0].numpy()[:, : found[0].picture.shape[1], : found[0].picture.shape[2]] for t in TIMES]
    for one, truth in zip(found, expected, strict=True):
        assert np.abs(one.picture - truth).max() < TOLERANCE
        assert float(np.abs(one.to_a).max()) > 0.2
        assert 0 <= one.by_a.min() < one.by_a.max() <= 1
    assert np.abs(expected[0] - expected[2]).max() > 0.05


# --- Super SloMo --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(weights: Any) -> Any:
    """Super SloMo of few channels: its state dicts, and what they are recognised as. Flows are of a few pixels."""
    from reelmend.networks.superslomo import SUPERSLOMO, UNet

    small = (4, 6, 8, 10, 12, 12)
    states = [weights(UNet(a, b, small).state_dict(), seed) for seed, (a, b) in enumerate(((6, 4), (20, 5)))]
    for name in ("conv3.weight", "conv3.bias"):
        states[0][name] = states[0][name] * 12
        states[1][name] = states[1][name] * 4
    return SUPERSLOMO.recognise({"state_dictFC": states[0], "state_dictAT": states[1]}, {})


def slomo_by_hand(recognised: Any, a: Any, b: Any) -> Callable[[float], Any]:
    """The public program after its networks have been loaded: pictures less their mean go in, and come out."""
    import torch
    from torch.nn.functional import grid_sample

    mean = torch.tensor([0.429, 0.431, 0.397]).reshape(1, 3, 1, 1)
    one, two = a - mean, b - mean
    flow_net, at_net = (graph.module.net for graph in recognised.graphs)

    def fetched(picture: Any, flow: Any) -> Any:
        rows, columns = picture.shape[2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        x, y = x + flow[:, 0], y + flow[:, 1]
        x, y = 2 * (x / columns - 0.5), 2 * (y / rows - 0.5)
        return grid_sample(picture, torch.stack([x, y], 3), align_corners=True)

    both = flow_net(torch.cat([one, two], 1))
    f01, f10 = both[:, :2], both[:, 2:]

    def at(t: float) -> Any:
        f_t0 = -t * (1 - t) * f01 + t * t * f10
        f_t1 = (1 - t) * (1 - t) * f01 - t * (1 - t) * f10
        g0, g1 = fetched(one, f_t0), fetched(two, f_t1)
        out = at_net(torch.cat([one, two, f01, f10, f_t1, f_t0, g1, g0], 1))
        f_t0, f_t1 = out[:, :2] + f_t0, out[:, 2:4] + f_t1
        v_0 = torch.sigmoid(out[:, 4:5])
        v_1 = 1 - v_0
        g0, g1 = fetched(one, f_t0), fetched(two, f_t1)
        w = (1 - t) * v_0, t * v_1
        return (w[0] * g0 + w[1] * g1) / (w[0] + w[1]) + mean

    return at


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_super_slomo_is_the_public_program(slow: Any, pretend: Any, size: tuple[int, int]) -> None:
    import torch

    net, runs = pretend(slow)
    a, b = pictures(size)
    found = made(SuperSloMo(net, "cpu"), a, b, TIMES)
    with torch.no_grad():
        check_against(found, slomo_by_hand(slow, padded(a, 32), padded(b, 32)))
    assert runs == {"flow": 1, "synthesis": 3}


# --- RIFE ---------------------------------------------------------------------------------------------------------


def rife_by_hand(recognised: Any, a: Any, b: Any, scale: float) -> Callable[[float], Any]:
    """The public programs' forward pass: everything in full size, each block shrinking what it is given."""
    import torch
    from torch.nn.functional import grid_sample, interpolate

    settings = recognised.settings
    modules = {graph.part.name: graph.module for graph in recognised.graphs}

    def fetched(picture: Any, flow: Any) -> Any:
        rows, columns = picture.shape[2:]
        y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        x, y = x + flow[:, 0] / ((columns - 1) / 2), y + flow[:, 1] / ((rows - 1) / 2)
        return grid_sample(picture, torch.stack([x, y], 3), padding_mode="border", align_corners=True)

    def block(k: int, x: Any, flow: Any, shrink: float) -> tuple[Any, Any, Any]:
        x = interpolate(x, scale_factor=1 / shrink, mode="bilinear", align_corners=False)
        if flow is not None:
            flow = interpolate(flow, scale_factor=1 / shrink, mode="bilinear", align_corners=False) / shrink
            x = torch.cat([x, flow], 1)
        larger = shrink * 2 if settings["halved"] else shrink
        out = [
            interpolate(y, scale_factor=larger, mode="bilinear", align_corners=False) for y in modules[f"block{k}"](x)
        ]
        return out[0] * larger, out[1], out[2] if len(out) > 2 else None

    encode = modules.get("encode")
    seen = [] if encode is None else [encode(a), encode(b)]

    def at(t: float) -> Any:
        time = torch.full_like(a[:, :1], t)
        flow = mask = feature = None
        for k, s in enumerate(settings["scales"]):
            if flow is None:
                x = torch.cat([a, b, *seen, time], 1)
            else:
                moved = [fetched(x, f) for x, f in zip((a, b, *seen), (flow[:, :2], flow[:, 2:]) * 2, strict=False)]
                x = torch.cat([*moved, time, mask, *([] if feature is None else [feature])], 1)
            found, more, feature = block(k, x, flow, s / scale)
            flow = found if flow is None else flow + found
            mask = mask + more if mask is not None and settings["adds_masks"] else more
        share = torch.sigmoid(mask)
        return fetched(a, flow[:, :2]) * share + fetched(b, flow[:, 2:]) * (1 - share)

    return at


CASES = [(g, s, 1.0) for g in ("4.25-4.26", "4.6") for s in SIZES]
CASES += [(g, SIZES[1], 1.0) for g in ("4.0-4.1", "4.2-4.4", "4.7-4.9", "4.10-4.12", "4.21-4.23", "4.25.lite")]
CASES += [("4.25-4.26", SIZES[2], 0.5), ("4.6", SIZES[1], 0.25), ("4.0-4.1", SIZES[0], 0.5)]


@pytest.mark.parametrize(("group", "size", "scale"), CASES, ids=str)
def test_rife_is_the_public_program(rife: Any, pretend: Any, group: str, size: tuple[int, int], scale: float) -> None:
    import torch

    recognised = rife(group)
    net, runs = pretend(recognised)
    a, b = pictures(size)
    by = IFNet(net, "cpu", scale)
    found = made(by, a, b, TIMES)
    multiple = int(recognised.settings["multiple"] / scale)
    with torch.no_grad():
        check_against(found, rife_by_hand(recognised, padded(a, multiple), padded(b, multiple), scale))
    encoded = {"encode": 2} if "encode" in net.parts else {}
    assert runs == encoded | {f"block{k}": 3 for k in range(len(recognised.settings["scales"]))}
