"""Pictures made by networks: Super SloMo's and RIFE's, through our ops, against the public programs written out in
PyTorch; what stands still; and as Interpolate plans, runs and refuses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend import ops
from reelmend.cli import main
from reelmend.engines import Network, load_network
from reelmend.errors import NetworkError, OptionError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range, Transfer, VideoInfo
from reelmend.media import open_source
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.estimate import Motion
from reelmend.stages.interpolate.ifnet import IFNet
from reelmend.stages.interpolate.standing import Standing
from reelmend.stages.interpolate.superslomo import SuperSloMo

from .synthesised import (
    HEIGHT,
    LEARNED,
    SIZES,
    TICK,
    TIMES,
    TOLERANCE,
    WIDTH,
    check_against,
    deep,
    made,
    padded,
    pictures,
    run,
    standing_still,
    view,
)

pytestmark = pytest.mark.extra("train")

# --- Super SloMo --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(small_weights: Any) -> Any:
    """Super SloMo of few channels: its state dicts, and what they are recognised as. Flows are of a few pixels."""
    from reelmend.networks.superslomo import SUPERSLOMO, UNet

    small = (4, 6, 8, 10, 12, 12)
    states = [small_weights(UNet(a, b, small).state_dict(), seed) for seed, (a, b) in enumerate(((6, 4), (20, 5)))]
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
OTHERS = ("4.0-4.1", "4.2-4.4", "4.5", "4.7-4.9", "4.10-4.12", "4.13-4.20, 4.24", "4.21-4.23", "4.25.lite")
CASES += [(g, SIZES[1], 1.0) for g in OTHERS]
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


def test_super_slomo_of_pictures_reduced_and_enlarged_again(slow: Any, pretend: Any) -> None:
    """As the public program treats sizes that are no multiples of 32."""
    import torch
    from torch.nn.functional import interpolate

    net, _ = pretend(slow)
    a, b = pictures((70, 97))
    found = made(SuperSloMo(net, "cpu", resizes=True), a, b, TIMES)
    small = [interpolate(torch.from_numpy(p)[None], (64, 96), mode="bilinear", align_corners=False) for p in (a, b)]
    reference = slomo_by_hand(slow, *small)
    for t, one in zip(TIMES, found, strict=True):
        with torch.no_grad():
            large = interpolate(reference(t), (70, 97), mode="bilinear", align_corners=False)[0].numpy()
        assert one.picture.shape == (3, 70, 97)
        assert np.abs(one.picture - large).max() < TOLERANCE
    frames = [deep(view(8 + 4 * t)[:, :70, :97], t) for t in range(3)]
    out = run(frames, method="superslomo", network=net, compat="resize", overlays=False)
    assert {f.planes[0].shape for f in out} == {(70, 97)}
    assert np.array_equal(out[4].planes[0], frames[1].planes[0])
    with pytest.raises(OptionError, match="compat='resize' goes with method 'superslomo'; got 'auto'"):
        Interpolate(factor=2, compat="resize")


# --- through the stage --------------------------------------------------------------------------------------------


def test_flow_is_found_once_a_pair_and_features_once_a_frame(slow: Any, rife: Any, pretend: Any) -> None:
    frames = [deep(view(8 + 4 * t), t) for t in range(5)]
    net, runs = pretend(slow)
    assert sum(f.made for f in run(frames, method="superslomo", network=net)) == 12
    assert runs == {"flow": 4, "synthesis": 12}
    net, runs = pretend(rife("4.25-4.26"))
    assert sum(f.made for f in run(frames, method="ifnet", network=net)) == 12
    assert runs == {"encode": 5} | {f"block{k}": 12 for k in range(5)}


def test_frames_alike_need_no_network(slow: Any, pretend: Any) -> None:
    net, runs = pretend(slow)
    frames = [deep(view(8), t) for t in range(4)]
    for f in run(frames, method="superslomo", network=net):
        assert all(np.array_equal(p, q) for p, q in zip(f.planes, frames[0].planes, strict=True))
    assert runs == {}


@pytest.mark.parametrize("which", ["superslomo", "ifnet"])
def test_the_stage_gives_what_the_chain_gives(slow: Any, rife: Any, pretend: Any, which: str) -> None:
    """RGB of 16 bits: to the code, for the search is sure."""
    net, _ = pretend(slow if which == "superslomo" else rife("4.25-4.26"))
    by = SuperSloMo(net, "cpu") if which == "superslomo" else IFNet(net, "cpu")
    pair = [view(8 + 4 * t) for t in range(2)]
    out = run([deep(p, t) for t, p in enumerate(pair)], method=which, network=net, overlays=False)
    for k, found in enumerate(made(by, *(np.rint(p * 65535) / np.float32(65535) for p in pair), [0.25, 0.5, 0.75]), 1):
        expected = np.rint(np.clip(found.picture, 0, 1) * 65535)
        assert np.abs(np.stack(out[k].planes) - expected).max() <= 1


@pytest.mark.parametrize("which", ["superslomo", "ifnet"])
@pytest.mark.parametrize("form", ["yuv420p10le", "yuv422p10le"])
def test_video_of_10_bits_comes_out_as_such(slow: Any, rife: Any, pretend: Any, which: str, form: str) -> None:
    """The chain sees it as RGB, and what it makes of it is in the frame's own codes, range and place of chroma."""
    net, _ = pretend(slow if which == "superslomo" else rife("4.25-4.26"))
    by = SuperSloMo(net, "cpu") if which == "superslomo" else IFNet(net, "cpu")
    fmt = PixelFormat.parse(form)
    colour = Colour(matrix=Matrix.BT709, range=Range.LIMITED)
    frames = []
    for t in range(2):
        planes = ops.rgb_to_yuv(list(view(8 + 4 * t)), subsampling=fmt.subsampling, depth=10)
        frames.append(Frame(planes, fmt, t, TICK, 1, colour))
    out = run(frames, method=which, network=net, overlays=False)
    assert [f.made for f in out[:5]] == [False, True, True, True, False]
    whole = (0, 0, WIDTH, HEIGHT)
    pair = by.pair(*(by.view(f, whole) for f in frames), standing_still(whole))
    for k in (1, 2, 3):
        assert (out[k].format, out[k].colour) == (fmt, colour)
        expected = ops.rgb_to_yuv(list(by.at(pair, k / 4).picture), subsampling=fmt.subsampling, depth=10)
        for p, q in zip(out[k].planes, expected, strict=True):
            assert p.dtype == np.uint16
            assert np.abs(p.astype(int) - q.astype(int)).max() <= 1
    for k in (0, 4):
        assert all(p is q for p, q in zip(out[k].planes, frames[k // 4].planes, strict=True))


def test_opacity_goes_along(rife: Any, pretend: Any) -> None:
    """As green does, being the same picture."""
    net, _ = pretend(rife("4.25-4.26"))
    frames = [deep(view(8 + 4 * t), t) for t in range(3)]
    frames = [f.replace(planes=(*f.planes, f.planes[1].copy()), format=PixelFormat.parse("gbrap16")) for f in frames]
    for f in run(frames, method="ifnet", network=net, overlays=False):
        assert np.abs(f.planes[3].astype(int) - f.planes[1].astype(int)).max() <= 1


@pytest.mark.parametrize("which", ["superslomo", "ifnet"])
def test_inside_black_bars_the_picture_is_made_alone(slow: Any, rife: Any, pretend: Any, which: str) -> None:
    net, _ = pretend(slow if which == "superslomo" else rife("4.25-4.26"))
    pair = [view(8 + 4 * t) for t in range(3)]
    bars = [np.pad(p, ((0, 0), (10, 14), (0, 0))) for p in pair]
    options = {"method": which, "network": net, "overlays": False}
    inside, outside = (run([deep(p, t) for t, p in enumerate(ps)], **options) for ps in (pair, bars))
    for a, b in zip(inside, outside, strict=True):
        for p, q in zip(a.planes, b.planes, strict=True):
            np.testing.assert_array_equal(q[10:-14], p)
            assert not q[:10].any()
            assert not q[-14:].any()


# --- what stands still --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["superslomo", "ifnet"])
@pytest.mark.parametrize("form", ["gbrp16", "yuv420p", "gray"])
def test_where_nothing_changes_the_source_stays(slow: Any, rife: Any, pretend: Any, which: str, form: str) -> None:
    """To the bit, in all planes, beside a picture that moves; and there it is the network's."""
    net, _ = pretend(slow if which == "superslomo" else rife("4.25-4.26"))
    fmt = PixelFormat.parse(form)

    def frame(t: int) -> Frame:
        picture = view(8, seed=3).copy()
        picture[:, :, :64] = view(8 + 4 * t)[:, :, :64]
        if fmt.kind == "rgb":
            return deep(picture, t)
        planes = ops.rgb_to_yuv(list(picture), subsampling=(1, 1), full_range=fmt.kind == "gray")
        colour = Colour(matrix=Matrix.BT709, range=Range.FULL if fmt.kind == "gray" else Range.LIMITED)
        return Frame(planes[:1] if fmt.kind == "gray" else planes, fmt, t, TICK, 1, colour)

    frames = [frame(t) for t in range(4)]
    for k, f in enumerate(run(frames, method=which, network=net, overlays=False)):
        for p, source in zip(f.planes, frames[0].planes, strict=True):
            start = 88 * p.shape[1] // WIDTH
            np.testing.assert_array_equal(p[:, start:], source[:, start:])
        if f.made:
            assert not np.array_equal(f.planes[0][:, :64], frames[k // 4].planes[0][:, :64])


def test_what_passes_over_a_still_picture_is_not_taken_away() -> None:
    """A square that jumps by more than its size: where it is at half time, both pictures show the ground."""
    ground = np.full((64, 128), 90, np.uint8)
    a, b = ground.copy(), ground.copy()
    a[24:40, 16:32] = b[24:40, 80:96] = 200
    forward, backward = np.zeros((2, 2, 16, 32), np.float32)
    forward[0, 6:10, 4:8] = 16
    backward[0, 6:10, 20:24] = -16
    gray = PixelFormat.parse("gray")
    frames = [Frame((p,), gray, t, TICK) for t, p in enumerate((a, b))]
    standing = Standing(*frames, Motion(forward, backward, 1.0, (0, 0, 128, 64)))
    assert standing.anywhere
    assert not standing.everywhere
    target = frames[0].replace(planes=(np.full_like(ground, 7),))
    standing.keep(frames[0], target, 0.5)
    kept = target.planes[0] != 7
    assert not kept[24:40, 48:64].any()
    assert kept[:12].all()
    assert kept[:, 104:].all()
    assert not kept[24:40, 16:32].any()
    assert (target.planes[0][kept] == 90).all()
    target = frames[0].replace(planes=(np.full_like(ground, 7),))
    standing.keep(frames[0], target, 0.25)
    assert (target.planes[0][28:36, 52:60] == 90).all()


def test_noise_stands_nowhere() -> None:
    rng = np.random.default_rng(0)
    gray = PixelFormat.parse("gray")
    frames = [Frame((rng.integers(0, 256, (61, 99)).astype(np.uint8),), gray, t, TICK) for t in range(2)]
    none = np.zeros((2, 16, 25), np.float32)
    standing = Standing(*frames, Motion(none, none, 1.0, (0, 0, 99, 61)))
    assert not standing.anywhere


# --- plans, refusals, the command line ----------------------------------------------------------------------------


def info(width: int, height: int) -> VideoInfo:
    return VideoInfo(width, height, PixelFormat.parse("yuv420p"), rate=Fraction(25), time_base=TICK)


def test_the_plan_tells_what_runs(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELMEND_ENGINES", str(catalogue))
    told = Interpolate(factor=4, method="superslomo", network="few-superslomo").declare(info(1280, 720), "cpu")
    assert told.engines == ("few-superslomo",)
    assert told.fallbacks == ()
    notes = "\n".join(told.notes)
    assert "pictures by the network few-superslomo" in notes
    assert "1280x736, 2 engines: 2 by onnxruntime fp32 on cpu: ready" in notes
    assert "shots, overlays and what stands still by dense inverse search" in notes
    one = Interpolate(factor=4, method="ifnet", network="few-ifnet")
    told = one.declare(info(1280, 720), "cpu")
    assert "1280x768 to 80x48, 6 engines: 6 by onnxruntime fp32 on cpu: ready" in "\n".join(told.notes)
    half = Interpolate(factor=4, method="ifnet", network="few-ifnet", scale=Fraction(1, 2)).declare(
        info(1280, 720), "cpu"
    )
    assert "pictures by the network few-ifnet at half the size" in half.notes
    assert "1280x768 to 40x24, 6 engines" in "\n".join(half.notes)
    assert half.memory < told.memory
    assert Interpolate(factor=4, method="ifnet", network=load_network(catalogue / "few-ifnet")).declare(
        info(1280, 720), "cpu"
    ) == told  # fmt: skip
    assert one.latency == Interpolate(factor=4).latency
    hdr = replace(info(1280, 720), colour=Colour(transfer=Transfer.PQ))
    assert any(note.startswith("HDR: the network sees the coded values") for note in one.declare(hdr, "cpu").notes)


@pytest.mark.parametrize("method", LEARNED)
def test_what_numpy_holds_is_within_what_is_declared(
    catalogue: Path, method: str, held_share: Callable[..., float]
) -> None:
    """The rest is what the engines hold, which NumPy does not count."""
    net = load_network(catalogue / f"few-{method}")
    stage = Interpolate(factor=2, repeats="keep", method=method, network=net)
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (3, 130, 140)).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    shape = info(480, 480)
    frames = []
    for t in range(8):
        rgb = ground[:, 4 * t : 4 * t + 480, 4 * t : 4 * t + 480]
        planes = ops.rgb_to_yuv(list(rgb), subsampling=(1, 1))
        frames.append(Frame(planes, shape.format, t, TICK, 1))
    assert 0.15 < held_share(stage, shape, frames) < 1.0


def test_its_engines_share_memory_on_a_gpu(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("reelmend.engines.open_engine", lambda *a, memory, **k: given.append(memory))
    net = load_network(catalogue / "few-ifnet")
    IFNet(net, "cpu").engines((64, 96))
    assert given == [None] * 6
    IFNet(net, "cuda:1").engines((64, 96))
    assert {id(memory) for memory in given[6:]} == {id(given[6])}
    assert given[6].device == 1


def test_engines_are_kept_for_two_sizes(rife: Any, pretend: Any) -> None:
    net, _ = pretend(rife("4.6"))
    by = IFNet(net, "cpu")
    first = by.engines((64, 64))
    assert by.engines((60, 50)) is first
    second = by.engines((128, 64))
    assert by.engines((64, 64)) is first
    by.engines((64, 128))
    assert by.engines((64, 64)) is first
    assert by.engines((128, 64)) is not second


def test_what_is_refused(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELMEND_ENGINES", str(catalogue))
    with pytest.raises(
        OptionError, match=r"'ifnet' needs network=: import flownet\.pkl of RIFE 4\.0 to 4\.26 .*engines import FILE"
    ):
        Interpolate(factor=2, method="ifnet")
    with pytest.raises(OptionError, match=r"network='x' goes with method .*'ifnet' or 'dain'; got 'auto'"):
        Interpolate(factor=2, network="x")
    with pytest.raises(OptionError, match="network is 3; expected a network's name, or None"):
        Interpolate(factor=2, method="ifnet", network=3)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"scale is 0\.3; expected 1, 1/2 or 1/4"):
        Interpolate(factor=2, method="ifnet", network="few-ifnet", scale=0.3)
    with pytest.raises(OptionError, match=r"scale=0\.5 goes with method .*'ifnet'; got 'superslomo'"):
        Interpolate(factor=2, method="superslomo", network="few-superslomo", scale=0.5)
    missing = Interpolate(factor=2, method="superslomo", network="few-superslow")
    for use in (missing.declare, missing.open):
        with pytest.raises(NetworkError, match=r"no network 'few-superslow': did you mean .*import SuperSloMo\.ckpt"):
            use(info(64, 64), "cpu")
    with pytest.raises(
        NetworkError, match="few-ifnet is of family 'ifnet'; method 'superslomo' runs networks of family"
    ):
        Interpolate(factor=2, method="superslomo", network="few-ifnet").declare(info(64, 64), "cpu")
    net = load_network(catalogue / "few-ifnet")
    bare = Network("bare", "interpolate", "ifnet", net.parts)
    with pytest.raises(NetworkError, match="bare: its settings are no IFNet's"):
        Interpolate(factor=2, method="ifnet", network=bare).declare(info(64, 64), "cpu")


@pytest.mark.parametrize("method", LEARNED)
def test_the_command_line_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, catalogue: Path
) -> None:
    from reelmend.analyze.clip import write_clip

    clip, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_clip(clip, 0.25, width=128, height=96, flicker=None, preset="ultrafast")
    words = ["restore", str(clip), str(out), "--preset", "ultrafast", "--factor", "2", "--method", method]
    more = {"ifnet": ["--motion-scale", "1/2"], "fast": ["--motion-scale", "1/4"], "superslomo": ["--compat", "resize"]}
    assert main([*words, "--network", f"few-{method}", *more.get(method, []), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["frames_out"] == 2 * result["frames_in"]
    assert result["frames_made"] > 0
    assert any(f"engine few-{method}" in line for line in result["plan"])
    with open_source(out) as found:
        assert len(list(found)) == result["frames_out"]
    for given, said in (
        *((([], "method 'ifnet' needs network="),) if method == "ifnet" else ()),
        (["--network", "none-such"], "no network 'none-such'"),
        (["--network", f"few-{'ifnet' if method == 'superslomo' else 'superslomo'}"], "is of family"),
    ):
        assert main([*words, *given]) != 0
        told = capsys.readouterr().err
        assert said in told
        assert "reelmend engines import" in told
    assert main(["restore", str(clip), str(out), "--network", f"few-{method}"]) != 0
    assert "--network says how new frames are made; say how many" in capsys.readouterr().err
    assert main(["restore", str(clip), str(out), "--motion-scale", "1/2"]) != 0
    assert "--motion-scale says how new frames are made" in capsys.readouterr().err
