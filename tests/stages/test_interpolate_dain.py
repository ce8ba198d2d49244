"""Pictures made by DAIN's networks through our ops: against the public program written out, its geometry in float64
NumPy; and slim networks, whose flow is that of our own search, through the stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from reelmend import ops
from reelmend.errors import NetworkError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range
from reelmend.stages.interpolate.dain import DAIN
from reelmend.stages.interpolate.estimate import Motion
from reelmend.stages.interpolate.ways import Ways

from .synthesised import SIZES, TICK, TIMES, TOLERANCE, WIDTH, batch_of, deep, made, moving, padded, pictures, run, view

pytestmark = pytest.mark.extra("train")

WIDTHS = {"context": 3, "kernels": (4, 5, 6, 7, 8, 9), "synthesis": 6, "depth": 4}


def weights_of(small_weights: Any, state: dict[str, Any], seed: int) -> dict[str, Any]:
    """Random ones; taps lie around those of a bilinear warp."""
    state = small_weights(state, seed)
    for k in (1, 2):
        state[f"initScaleNets_filter{k}.2.bias"][[5, 6, 9, 10]] += 1
    return state


@pytest.fixture(scope="module")
def slim(small_weights: Any) -> Any:
    """Of few channels, without parts of flow, as it is recognised."""
    from reelmend.networks.dain import DAIN as FAMILY
    from reelmend.networks.dain.slim import Slim

    state = weights_of(small_weights, Slim(**WIDTHS, residual=2).state(), 3)
    return FAMILY.recognise(state, state)


@pytest.fixture(scope="module")
def public(small_weights: Any) -> Any:
    """With the flow network of best.pth, and few channels elsewhere. Flows are of a few pixels."""
    from reelmend.networks.dain import DAIN as FAMILY
    from reelmend.networks.dain.flow import LEVELS, FirstLevel, LastLevel, Level, Pyramid
    from reelmend.networks.dain.slim import Slim

    state = Slim(**WIDTHS, size=7).state()
    for module in (Pyramid(), FirstLevel(), *(Level(k) for k in LEVELS[1:-1]), LastLevel()):
        state |= {f"flownets.{n}": t for n, t in module.state_dict().items()}
    state = weights_of(small_weights, state, 4)
    for name in state:
        if name.startswith(("flownets.predict_flow", "flownets.dc_conv7")):
            state[name] = state[name] * 0.1
    return FAMILY.recognise(state, state)


# --- geometry in float64 -----------------------------------------------------------------------------------------


def projected(flow: np.ndarray, t: float, weight: np.ndarray) -> np.ndarray:
    """DAIN's depth-aware projection, holes filled from the four sides."""
    height, width = flow.shape[1:]
    u, v = flow * np.float32(t)
    y, x = np.mgrid[0:height, 0:width]
    to_x, to_y, w = x + u.astype(np.float64), y + v.astype(np.float64), weight.astype(np.float64)
    at = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    left, top = np.floor(to_x[at]).astype(int), np.floor(to_y[at]).astype(int)
    sums = np.zeros((3, height, width))
    for j in (0, 1):
        for i in (0, 1):
            place = np.minimum(top + j, height - 1), np.minimum(left + i, width - 1)
            for total, given in zip(sums, (-w * u, -w * v, w), strict=True):
                np.add.at(total, place, given[at])
    holes = sums[2] == 0
    out = sums[:2] / np.where(holes, 1, sums[2])
    full = out.copy()
    for y, x in np.argwhere(holes):
        row, column = np.flatnonzero(~holes[y]), np.flatnonzero(~holes[:, x])
        sides = [out[:, y, i] for i in (*row[row < x][-1:], *row[row > x][:1])]
        sides += [out[:, j, x] for j in (*column[column < y][-1:], *column[column > y][:1])]
        full[:, y, x] = np.mean(sides, 0) if sides else 0
    return full


def fetched(planes: np.ndarray, flow: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """DAIN's adaptive warp of each plane."""
    height, width = flow.shape[1:]
    y, x = np.mgrid[0:height, 0:width]
    u, v = flow.astype(np.float64)
    inside = (x + u >= 0) & (y + v >= 0) & (x + u <= width - 1) & (y + v <= height - 1)
    inside &= (np.abs(u) < width / 2) & (np.abs(v) < height / 2)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    i, j = np.floor(x + u).astype(int), np.floor(y + v).astype(int)
    a, b = x + u - i, y + v - j
    total = np.zeros(planes.shape)
    for k, tap in enumerate(taps.astype(np.float64)):
        row, column = divmod(k, 4)
        sample = planes[:, np.clip(j - 1 + row, 0, height - 1), np.clip(i - 1 + column, 0, width - 1)]
        total += (a if column > 1 else 1 - a) * (b if row > 1 else 1 - b) * tap * sample
    return np.where(inside, total, planes)


# --- the public program ------------------------------------------------------------------------------------------


def flow_by_hand(modules: dict[str, Any], a: Any, b: Any) -> Any:
    """PWC-Net as the public program runs it."""
    import torch
    from torch.nn.functional import grid_sample, interpolate, pad

    def warped(x: Any, flow: Any) -> Any:
        rows, columns = x.shape[2:]
        y, x_ = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        grid = 2 * (x_ + flow[:, 0]) / max(columns - 1, 1) - 1, 2 * (y + flow[:, 1]) / max(rows - 1, 1) - 1
        grid = torch.stack(grid, 3)
        mask = grid_sample(torch.ones_like(x), grid, align_corners=True)
        return grid_sample(x, grid, align_corners=True) * (mask >= 0.9999)

    def correlated(x: Any, y: Any) -> Any:
        rows, columns = x.shape[2:]
        y = pad(y, (4, 4, 4, 4))
        shifts = [(x * y[:, :, j : j + rows, i : i + columns]).mean(1) for j in range(9) for i in range(9)]
        return torch.stack(shifts, 1)

    seen = [
        dict(zip((2, 3, 4, 5, 6), sorted(modules["pyramid"](x), key=lambda c: -c.shape[3]), strict=True))
        for x in (a, b)
    ]
    flow, carried = modules["flow6"](correlated(seen[0][6], seen[1][6]))
    for level in (5, 4, 3, 2):
        volume = correlated(seen[0][level], warped(seen[1][level], flow * (20 / 2**level)))
        out = modules[f"flow{level}"](volume, seen[0][level], flow, carried)
        if level > 2:
            flow, carried = out
    return interpolate(20 * out, scale_factor=4, mode="bilinear", align_corners=False)


def by_hand(recognised: Any, a: Any, b: Any) -> Callable[[float], Any]:
    """The whole: the frame at a time, (3, rows, columns), and the flows to both pictures."""
    import torch

    modules = {graph.part.name: graph.module for graph in recognised.graphs}
    flows = flow_by_hand(modules, a, b), flow_by_hand(modules, b, a)
    depth = [modules["depth"](x) for x in (a, b)]
    context = [modules["context"](x, log) for x, (log, _) in zip((a, b), depth, strict=True)]
    taps = modules["kernels"](a, b)

    def at(t: float) -> Any:
        to = [
            projected(f[0].numpy(), time, w[0, 0].numpy())
            for f, time, (_, w) in zip(flows, (t, 1 - t), depth, strict=True)
        ]
        warped = [
            fetched(x[0].numpy(), f, k[0].numpy())
            for xs in ((a, b), context)
            for x, f, k in zip(xs, to, taps, strict=True)
        ]
        from_a, from_b, context_a, context_b, to_a, to_b = (torch.from_numpy(x).float()[None] for x in (*warped, *to))
        blend = (1 - t) * from_a + t * from_b
        return modules["synthesis"](blend, from_a, from_b, to_a, to_b, *taps, context_a, context_b)[0].numpy(), to

    return at


def undecided(flows: Sequence[np.ndarray]) -> np.ndarray:
    """Where the warp leaps, as a flow leads so near to a whole place that rounding decides on which side of it; with as
    much around as is seen from there."""
    near = np.any([np.abs(flow - np.rint(flow)) < 3e-5 for flow in flows], axis=(0, 1))
    wide = sliding_window_view(np.pad(near, 10), (21, 21))
    return np.asarray(wide.any((2, 3)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_dain_is_the_public_program(public: Any, pretend: Any, size: tuple[int, int]) -> None:
    import torch

    net, runs = pretend(public)
    a, b = pictures(size)
    found = made(DAIN(net, "cpu"), a, b, TIMES)
    inside = np.s_[:, : size[0], : size[1]]
    with torch.no_grad():
        reference = by_hand(public, padded(a, 64), padded(b, 64))
        expected = [reference(t) for t in TIMES]
    for t, one, (picture, flows) in zip(TIMES, found, expected, strict=True):
        compared = ~undecided(flows)[inside[1:]]
        assert compared.mean() > 0.7
        assert np.abs(one.picture - picture[inside])[:, compared].max() < TOLERANCE
        for got, flow in zip((one.to_a, one.to_b), flows, strict=True):
            assert np.abs(got - flow[inside]).max() < TOLERANCE
        assert np.abs(one.to_a).max() > 0.2
        assert (one.by_a == np.float32(1 - t)).all()
    assert np.abs(expected[0][0] - expected[2][0]).max() > 0.05
    flow = {"pyramid": 2} | {f"flow{level}": 2 for level in (6, 5, 4, 3, 2)}
    assert runs == flow | {"depth": 2, "context": 2, "kernels": 1, "synthesis": 3}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_geometry_between_the_parts_is_that_of_float64(
    slim: Any, pretend: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """Every pixel of what the synthesis is given, from what the parts before it gave."""
    net, _ = pretend(slim)
    a, b = pictures(size)
    by = DAIN(net, "cpu")
    region = (0, 0, size[1], size[0])
    rng = np.random.default_rng(1)
    grid = -(-size[0] // 4), -(-size[1] // 4)
    forward, backward = (rng.uniform(-2, 2, (2, *grid)).astype(np.float32) for _ in range(2))
    pair = by.pair(*(by.view(deep(p), region) for p in (a, b)), Ways(Motion(forward, backward, 1.0, region)))
    more = [(0, 0), *((0, n - m) for m, n in zip(size, by.padded(size), strict=True))]
    flows = [np.pad(ops.resize_flow(flow, size), more, mode="edge") for flow in (forward, backward)]
    synthesis = by.engines(size)["synthesis"]
    given: list[dict[str, np.ndarray]] = []
    run_it = synthesis.run
    monkeypatch.setattr(synthesis, "run", lambda x: (given.append({k: v[0] for k, v in x.items()}), run_it(x))[1])
    for t in TIMES:
        by.at(pair, t)
        x = given.pop()
        for name, view_, flow, time in (("a", pair.a, flows[0], t), ("b", pair.b, flows[1], 1 - t)):
            taps, to = x[f"taps_{name}"], x[f"to_{name}"]
            assert np.abs(to - projected(flow, time, view_.seen.weight)).max() < 2e-5
            assert np.abs(x[f"from_{name}"] - fetched(view_.picture, to, taps)).max() < 2e-5
            assert np.abs(x[f"context_{name}"] - fetched(view_.seen.context, to, taps)).max() < 1e-4
        assert np.abs(x["blend"] - (1 - t) * x["from_a"] - t * x["from_b"]).max() < 1e-6


@pytest.mark.parametrize("t", TIMES)
def test_flows_that_are_projected_follow_accelerated_motion(t: float) -> None:
    """Times t, and times 1 - t from the second picture, they lead where things are at t."""
    region = (0, 0, 96, 64)

    def place(time: float) -> np.ndarray:
        return np.array([2 * time + 0.4 * time * time, 0.3 * time]).reshape(2, 1, 1)

    def motion(first: int) -> Motion:
        step = (place(first + 1) - place(first)) * np.ones((2, 16, 24))
        return Motion(step.astype(np.float32), -step.astype(np.float32), 1.0, region)

    even = Ways(motion(0)).onward(t)
    assert np.abs(even[0] - (place(1) - place(0))).max() < 1e-5
    curved = Ways(motion(0), motion(-1), motion(1)).onward(t)
    for flow, far, start in ((curved[0], t, place(0)), (curved[1], 1 - t, place(1))):
        assert np.abs(far * flow + start - place(t)).max() < 1e-5
    assert np.abs(curved[0] - even[0]).max() > 0.02


def test_a_slim_stage_makes_what_training_makes(pretend: Any, small_weights: Any) -> None:
    import torch

    from reelmend.networks.dain import DAIN as FAMILY
    from reelmend.networks.train.chains import CHAINS

    chain = CHAINS["dain"]({"context": 2, "kernels": [4, 4, 6, 6, 8, 8], "synthesis": 6, "depth": 4, "residual": 1})
    module = chain.network().eval()
    module.load_state_dict(small_weights(module.state_dict(), 5))
    state = chain.checkpoint(module.state_dict())["params_ema"]
    net, _ = pretend(FAMILY.recognise(state, state))
    by = DAIN(net, "cpu")
    a, b = pictures((64, 96))
    ways = moving((64, 96))
    pair = by.pair(*(by.view(deep(p), (0, 0, 96, 64)) for p in (a, b)), ways)
    for t in TIMES:
        with torch.no_grad():
            expected = chain.made(module, batch_of(a, b, ways, t, (64, 96), by.multiple))[0][0].numpy()
        # Edges go on in training, where a patch is a part of a picture. Where rounding decides which pixels a flow goes
        # between, taps differ; so there, and some pixels around.
        apart = np.abs(by.at(pair, t).picture - expected)[:, 16:-16, 16:-16].max(0)
        assert (apart < 1e-3).mean() > 0.95
        assert np.median(apart) < 1e-5


# --- through the stage --------------------------------------------------------------------------------------------


def test_depth_is_found_once_a_frame_and_taps_once_a_pair(slim: Any, public: Any, pretend: Any) -> None:
    frames = [deep(view(8 + 4 * t), t) for t in range(4)]
    for recognised, flow in ((slim, {}), (public, {"pyramid": 4} | {f"flow{k}": 6 for k in (6, 5, 4, 3, 2)})):
        net, runs = pretend(recognised)
        assert sum(f.made for f in run(frames, method="dain", network=net)) == 9
        assert runs == flow | {"depth": 4, "context": 4, "kernels": 3, "synthesis": 9}


def test_untrained_it_follows_our_own_search(pretend: Any) -> None:
    """A picture that moves evenly is where it belongs at any time, but for the edges."""
    import torch

    from reelmend.networks.dain import DAIN as FAMILY
    from reelmend.networks.dain.slim import Slim

    torch.manual_seed(0)
    state = Slim().state()
    net, _ = pretend(FAMILY.recognise(state, state))
    out = run([deep(view(8 + 4 * t), t) for t in range(4)], method="dain", network=net, overlays=False)
    for k in range(12):
        if out[k].made:
            error = np.stack(out[k].planes)[:, 8:-8, 16:-16] / 65535 - view(8 + k)[:, 8:-8, 16:-16]
            assert -10 * np.log10(np.square(error).mean()) > 42


def test_frames_alike_need_no_network(slim: Any, pretend: Any) -> None:
    net, runs = pretend(slim)
    frames = [deep(view(8), t) for t in range(4)]
    for f in run(frames, method="dain", network=net):
        assert all(np.array_equal(p, q) for p, q in zip(f.planes, frames[0].planes, strict=True))
    assert runs == {}


@pytest.mark.parametrize("form", ["gbrp16", "yuv420p"])
def test_where_nothing_changes_the_source_stays(slim: Any, pretend: Any, form: str) -> None:
    """To the bit, beside a picture that moves; and there it is the network's."""
    net, _ = pretend(slim)

    def frame(t: int) -> Frame:
        picture = view(8, seed=3).copy()
        picture[:, :, :64] = view(8 + 4 * t)[:, :, :64]
        if form == "gbrp16":
            return deep(picture, t)
        planes = ops.rgb_to_yuv(list(picture), subsampling=(1, 1))
        return Frame(planes, PixelFormat.parse(form), t, TICK, 1, Colour(matrix=Matrix.BT709, range=Range.LIMITED))

    frames = [frame(t) for t in range(3)]
    for k, f in enumerate(run(frames, method="dain", network=net, overlays=False)):
        for p, source in zip(f.planes, frames[0].planes, strict=True):
            start = 88 * p.shape[1] // WIDTH
            np.testing.assert_array_equal(p[:, start:], source[:, start:])
        if f.made:
            assert not np.array_equal(f.planes[0][:, :64], frames[k // 4].planes[0][:, :64])


def test_inside_black_bars_the_picture_is_made_alone(slim: Any, pretend: Any) -> None:
    net, _ = pretend(slim)
    pair = [view(8 + 4 * t) for t in range(3)]
    bars = [np.pad(p, ((0, 0), (10, 14), (0, 0))) for p in pair]
    options = {"method": "dain", "network": net, "overlays": False}
    inside, outside = (run([deep(p, t) for t, p in enumerate(ps)], **options) for ps in (pair, bars))
    for a, b in zip(inside, outside, strict=True):
        for p, q in zip(a.planes, b.planes, strict=True):
            np.testing.assert_array_equal(q[10:-14], p)
            assert not q[:10].any()
            assert not q[-14:].any()


def test_settings_of_another_program_are_refused(public: Any, pretend: Any) -> None:
    net, _ = pretend(public)
    for settings in ({}, {"radius": 4, "unit": 20.0}, {"radius": 4, "unit": 20.0, "scales": [1]}):
        with pytest.raises(NetworkError, match="few: its settings are no DAIN's"):
            DAIN(replace(net, settings=settings), "cpu")
