"""Flow by a network: EBME's, through engines and our ops, against its public chain written out in PyTorch, against
known motion, and as Interpolate uses it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend import Stream, ops
from reelmend.cli import main
from reelmend.engines import Network, load_network
from reelmend.errors import NetworkError, OptionError
from reelmend.frame import Frame, PixelFormat, VideoInfo
from reelmend.media import open_source
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.estimate import estimator_for
from reelmend.stages.interpolate.flownet import FlowNet

pytestmark = pytest.mark.extra("train")

TICK = Fraction(1, 25)


@pytest.fixture(scope="module")
def network(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The published weights, imported into a catalogue of these tests as "ebme"."""
    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.ebme import EBME
    from reelmend.networks.export import export

    folder = tmp_path_factory.mktemp("catalogue")
    read = read_checkpoint(material / "weights" / "ebme_bi-flownet.pkl")
    export(EBME.recognise(read.data, read.state), "ebme", folder, precisions=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REELMEND_ENGINES", str(folder))
        yield load_network(folder / "ebme")


@pytest.fixture(scope="module")
def photograph(material: Path) -> np.ndarray:
    """512 x 512, uint8."""
    cv2 = pytest.importorskip("cv2")
    path = sorted((material / "images" / "cid22_512").iterdir())[3]
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


def view(photograph: np.ndarray, x: int, y: int, size: tuple[int, int]) -> Frame:
    """What is seen from a place: the picture moves by (-1, -1) when the place moves by (1, 1)."""
    return Frame.from_array(np.ascontiguousarray(photograph[y : y + size[0], x : x + size[1]]))


def motion(net: FlowNet, a: Frame, b: Frame, region: tuple[int, int, int, int] | None = None) -> Any:
    region = region or (0, 0, a.width, a.height)
    return net.both(net.prepare(a, region), net.prepare(b, region), region)


# --- the chain ---------------------------------------------------------------------------------------------------


def splat_by_hand(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Forward warp by averages in float64: (3, h, w) along (2, h, w)."""
    height, width = flow.shape[1:]
    total, weight = np.zeros((3, height, width)), np.zeros((height, width))
    y, x = np.mgrid[0:height, 0:width]
    to_x, to_y = x + flow[0].astype(np.float64), y + flow[1].astype(np.float64)
    i, j = np.floor(to_x).astype(int), np.floor(to_y).astype(int)
    for di, dj in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = (1 - np.abs(to_x - (i + di))) * (1 - np.abs(to_y - (j + dj)))
        ok = (i + di >= 0) & (i + di < width) & (j + dj >= 0) & (j + dj < height)
        place = (j + dj)[ok], (i + di)[ok]
        np.add.at(weight, place, share[ok])
        for c in range(3):
            np.add.at(total[c], place, (share * picture[c])[ok])
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 0)


def chain_by_hand(modules: list[Any], a: np.ndarray, b: np.ndarray, levels: int) -> np.ndarray:
    """The public program's forward pass in PyTorch, its splat in NumPy: (4, h/4, w/4)."""
    import torch
    from torch.nn.functional import interpolate, pad

    def sized(x: Any, factor: float) -> Any:
        return interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

    features, estimator = modules
    flow = carry = None
    for level in reversed(range(levels)):
        one, two = (sized(torch.from_numpy(x)[None], 0.5**level) for x in (a, b))
        if flow is None:
            grid = [n // 4 for n in one.shape[2:]]
            last, carried = torch.zeros(1, 4, *grid), torch.zeros(1, 64, *grid)
        else:
            last, carried = 2 * sized(flow, 2.0), sized(carry, 2.0)
            up = sized(last, 4.0)[0].numpy() / 2
            one, two = (
                torch.from_numpy(splat_by_hand(x[0].numpy(), f).astype(np.float32))[None]
                for x, f in ((one, up[:2]), (two, up[2:]))
            )
        seen = features(one), features(two)
        rows, columns = seen[0].shape[2:]
        wide = pad(seen[1], (4, 4, 4, 4))
        volume = [
            (seen[0] * wide[:, :, dy : dy + rows, dx : dx + columns]).mean(1) for dy in range(9) for dx in range(9)
        ]
        flow, carry = estimator(torch.stack(volume, 1), *seen, carried, last)
    return flow[0].numpy()


def test_the_chain_is_the_public_one(network: Network, material: Path, photograph: np.ndarray) -> None:
    import torch

    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.ebme import EBME

    read = read_checkpoint(material / "weights" / "ebme_bi-flownet.pkl")
    graphs = EBME.recognise(read.data, read.state).graphs
    size = (256, 384)  # three levels, and no padding
    a, b = view(photograph, 40, 40, size), view(photograph, 47, 37, size)
    pictures = [np.stack([p.astype(np.float32) / np.float32(255) for p in f.planes]) for f in (a, b)]
    with torch.no_grad():
        expected = chain_by_hand([graph.module for graph in graphs], *pictures, levels=3)
    found = motion(FlowNet(network, "cpu"), a, b)
    bias = np.tile(network.settings["bias"], 2).reshape(4, 1, 1)
    got = np.concatenate([found.forward, found.backward]) * 4 + bias
    error = np.abs(got - expected)  # pixels. Splats are in steps of 2^-16, so what hardly reaches a place may not
    assert error.mean() < 0.001
    assert error.max() < 0.1


# --- known motion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (9, -4), (-20, 10)], ids=str)
def test_a_shift_is_found(network: Network, photograph: np.ndarray, shift: tuple[int, int]) -> None:
    size = (384, 384)
    a, b = view(photograph, 64, 64, size), view(photograph, 64 - shift[0], 64 - shift[1], size)
    found = motion(FlowNet(network, "cpu"), a, b)
    truth = np.array(shift, np.float32).reshape(2, 1, 1)
    assert found.forward.shape == found.backward.shape == (2, 96, 96)
    assert np.abs(4 * found.forward - truth)[:, 8:-8, 8:-8].mean() < 0.25
    assert np.abs(4 * found.backward + truth)[:, 8:-8, 8:-8].mean() < 0.25
    assert found.sure > 0.9


def test_sizes_that_divide_by_nothing_and_black_bars(network: Network, photograph: np.ndarray) -> None:
    """The last cells of the grid stand for less than four pixels; their vectors are where and what they should be."""
    size = (301, 459)
    net = FlowNet(network, "cpu")
    pair = [view(photograph, x, 20, size) for x in (12, 18)]
    whole = motion(net, *pair)
    assert whole.forward.shape == (2, 76, 115)
    full = ops.resize_flow(whole.forward, size)
    assert np.abs(full[0] + 6)[16:-16, 16:-16].mean() < 0.25
    assert np.abs(full[1])[16:-16, 16:-16].mean() < 0.25
    barred = [f.replace(planes=tuple(np.pad(p, ((22, 20), (0, 0))) for p in f.planes)) for f in pair]
    inside = motion(net, *barred, region=(0, 22, 459, 323))
    np.testing.assert_array_equal(inside.forward, whole.forward)
    assert inside.region == (0, 22, 459, 323)


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p10le", "gray", "gbrp", "rgb24"])
def test_every_format_is_taken(network: Network, photograph: np.ndarray, form: str) -> None:
    fmt = PixelFormat.parse(form)
    size = (192, 256)

    def frame(x: int) -> Frame:
        picture = view(photograph, x, 100, size)
        if fmt.kind == "yuv":
            planes = ops.rgb_to_yuv(picture.planes[:3], subsampling=fmt.subsampling, depth=fmt.depth, rgb_depth=8)
            return Frame(tuple(planes), fmt, 0, TICK, 1)
        if fmt.kind == "gray":
            return Frame((np.ascontiguousarray(picture.planes[1]),), fmt, 0, TICK, 1)
        return (
            picture
            if fmt.packed
            else picture.replace(planes=tuple(np.ascontiguousarray(p) for p in picture.planes), format=fmt)
        )

    found = motion(FlowNet(network, "cpu"), frame(100), frame(94))
    assert abs(float(np.median(4 * found.forward[0])) - 6) < 0.25
    assert abs(float(np.median(4 * found.forward[1]))) < 0.25


def warped_psnr(a: Frame, b: Frame, flow: np.ndarray | None) -> float:
    """How well the second picture's light, fetched along a flow, is the first's: dB."""
    one, two = (f.planes[0].astype(np.float32) for f in (a, b))
    if flow is not None:
        two = ops.warp(two, ops.resize_flow(flow, one.shape))
    return 10 * math.log10(255**2 / float(np.mean((one - two) ** 2)))


@pytest.mark.parametrize(
    ("clip", "first", "step"), [("exo_roof_360p30_handheld.mp4", 30, 1), ("sam2_bedroom_540p30.mp4", 50, 2)]
)
def test_on_film_it_explains_what_moves(network: Network, material: Path, clip: str, first: int, step: int) -> None:
    """The dense search makes just this error small, so it is ahead where light is all there is to go by."""
    with open_source(material / "video" / clip) as source:
        frames = [f for k, f in zip(range(first + step + 1), source, strict=False) if k in (first, first + step)]
    net, search = FlowNet(network, "cpu"), estimator_for("flow")
    region = (0, 0, frames[0].width, frames[0].height)
    dense = search.both(*(search.prepare(f, region) for f in frames), region)
    still = warped_psnr(*frames, None)
    found = warped_psnr(*frames, motion(net, *frames).forward)
    assert found > still + 3
    assert found > warped_psnr(*frames, dense.forward) - 2.5


# --- the stage ---------------------------------------------------------------------------------------------------


def test_frames_are_made_along_it(network: Network, photograph: np.ndarray) -> None:
    size = (256, 320)
    frames = [view(photograph, 160 - 8 * t, 128 - 4 * t, size).replace(pts=t, time_base=TICK) for t in range(4)]
    stream = Stream([Interpolate(factor=2, repeats="keep", flow="ebme")])
    out = [f for frame in frames for f in stream.push(frame)] + stream.flush()
    assert len(out) == 8
    for k in (1, 3, 5):
        truth = view(photograph, 160 - 4 * k, 128 - 2 * k, size)
        error = np.stack(out[k].planes).astype(np.float64) - np.stack(truth.planes)
        assert 10 * math.log10(255**2 / np.mean(error[:, 24:-24, 24:-24] ** 2)) > 38
    for k in (0, 2, 4, 6):
        assert all(np.array_equal(p, q) for p, q in zip(out[k].planes, frames[k // 2].planes, strict=True))


def info(width: int, height: int) -> VideoInfo:
    return VideoInfo(width, height, PixelFormat.parse("rgb24"), rate=Fraction(25), time_base=TICK)


def test_the_plan_names_the_network(network: Network) -> None:
    told = Interpolate(factor=2, flow="ebme").declare(info(1280, 720), "cpu")
    assert told.engines == ("ebme",)
    assert told.fallbacks == ()
    assert any(note == "motion by the network ebme" for note in told.notes)
    assert any(note.startswith("1280x768 to 80x48, 10 engines: 10 by onnxruntime fp32 on cpu") for note in told.notes)
    assert told.memory > Interpolate(factor=2, method="flow").declare(info(1280, 720), "cpu").memory
    assert Interpolate(factor=2, flow=network).declare(info(1280, 720), "cpu") == told


def test_what_numpy_holds_is_within_what_is_declared(
    network: Network, photograph: np.ndarray, held_share: Callable[..., float]
) -> None:
    """The rest is what the engine holds, which NumPy does not count."""
    size = (480, 480)
    stage = Interpolate(factor=2, repeats="keep", flow=network)
    frames = [view(photograph, t, t, size).replace(pts=t, time_base=TICK) for t in range(6)]
    assert 0.5 < held_share(stage, info(480, 480), frames) < 1.0


def test_its_engines_share_memory_on_a_gpu(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("reelmend.engines.open_engine", lambda *a, memory, **k: given.append(memory))
    FlowNet(network, "cpu").levels((256, 320))
    assert given == [None] * len(given)
    given.clear()
    net = FlowNet(network, "cuda:1")
    net.levels((256, 320))
    net.levels((512, 640))
    assert len(given) > 8
    assert {id(memory) for memory in given} == {id(given[0])}
    assert given[0].device == 1


def test_what_is_refused(network: Network) -> None:
    with pytest.raises(NetworkError, match=r"no network 'ebmee': did you mean 'ebme'\?"):
        Interpolate(factor=2, flow="ebmee").declare(info(64, 64), "cpu")
    other = Network("other", "flow", "raft", network.parts)
    with pytest.raises(NetworkError, match="other is of family 'raft'; flow is found by networks of family 'ebme'"):
        Interpolate(factor=2, flow=other).open(info(64, 64), "cpu")
    with pytest.raises(OptionError, match="goes with method 'flow' alone; got 'memc'"):
        Interpolate(factor=2, method="memc", flow="ebme")
    with pytest.raises(OptionError, match="flow is 3; expected a network's name, or None"):
        Interpolate(factor=2, flow=3)  # type: ignore[arg-type]


def test_the_command_line_takes_it(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reelmend.analyze.clip import write_clip

    clip = tmp_path / "in.mp4"
    write_clip(clip, 0.2, width=128, height=96, flicker=None, preset="ultrafast")
    made = ["restore", str(clip), str(tmp_path / "out.mp4"), "--preset", "ultrafast"]
    assert main([*made, "--factor", "2", "--flow", "ebme"]) == 0
    capsys.readouterr()
    with open_source(clip) as before, open_source(tmp_path / "out.mp4") as after:
        assert len(list(after)) == 2 * len(list(before))
    assert main([*made, "--factor", "2", "--flow", "none-such"]) != 0
    assert "no network 'none-such'" in capsys.readouterr().err
    assert main([*made, "--flow", "ebme"]) != 0
    assert "--flow says how new frames are made; say how many" in capsys.readouterr().err
