"""Upscale: formats, tiles without seams, plans, refusals. The network of these tests is a stand-in made of one op."""

import sys
from fractions import Fraction

import numpy as np
import pytest

from reelmend import Stream, Upscale, to_rgb
from reelmend.engines import load_network
from reelmend.errors import DeviceError, FormatError, NetworkError, OptionError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range, Transfer, VideoInfo

pytestmark = pytest.mark.extra("train")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """x2: each pixel four times, plus a little of a 7x7 neighbourhood, so that it sees 3 pixels to each side."""
    import hashlib

    from onnx import TensorProto, helper, numpy_helper

    from reelmend.engines.network import Network, Part, Port

    weights = 0.004 * np.random.default_rng(0).standard_normal((12, 3, 7, 7))
    for k in range(12):
        weights[k, k // 4, 3, 3] += 1
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[3] * 4),
            helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=2, mode="CRD"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w_"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, "h2", "w2"])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    folder = tmp_path_factory.mktemp("catalogue") / "double"
    folder.mkdir()
    (folder / "main.fp32.onnx").write_bytes(data)
    part = Part(
        "main",
        (Port("x", (1, 3, "h", "w")),),
        (Port("y", (1, 3, "2*h", "2*w")),),
        multiple=2,
        radius=3,
        files={"fp32": "main.fp32.onnx"},
        sha256={"fp32": hashlib.sha256(data).hexdigest()},
    )
    Network("double", "upscale", "toy", {"main": part}, scale=2, folder=folder).save()
    return load_network(folder)


def yuv(width, height, depth=8, subsampling=(1, 1), seed=0, **more):
    fmt = PixelFormat("yuv", depth, subsampling)
    rng = np.random.default_rng(seed)
    shapes = fmt.plane_shapes(width, height)
    # smooth, within what the format calls picture
    scale = 1 << (depth - 8)
    planes = []
    for rows, columns in shapes:
        y, x = np.mgrid[0:rows, 0:columns]
        wave = 120 + 60 * np.sin(x / 5 + rng.random()) * np.cos(y / 7 + rng.random())
        planes.append((wave * scale).astype(fmt.dtype))
    colour = Colour(matrix=Matrix.BT709, range=Range.LIMITED)
    return Frame(tuple(planes), fmt, 7, Fraction(1, 50), 2, colour, **more)


def through(stage, frame):
    stream = Stream([stage])
    (out,) = stream.push(frame) + stream.flush()
    return out


@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("subsampling", [(1, 1), (1, 0), (0, 0)])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (63, 47), (1, 1), (2, 130)])
def test_a_frame_keeps_its_format_and_time_and_is_twice_as_large(network, depth, subsampling, width, height):
    frame = yuv(width, height, depth, subsampling, cut=True)
    out = through(Upscale(network=network), frame)
    assert (out.width, out.height) == (2 * width, 2 * height)
    assert out.format == frame.format
    assert (out.pts, out.time_base, out.duration, out.colour, out.cut) == (7, Fraction(1, 50), 2, frame.colour, True)
    assert [p.shape for p in out.planes] == list(frame.format.plane_shapes(2 * width, 2 * height))
    small, large = to_rgb(frame, np.float32), to_rgb(out, np.float32)
    near = np.abs(large - small.repeat(2, 0).repeat(2, 1))
    assert np.median(near) < 0.05


@pytest.mark.parametrize("kind", ["rgb", "rgb16", "gray", "planar"])
def test_rgb_and_gray(network, kind):
    rng = np.random.default_rng(3)
    if kind == "gray":
        frame = Frame.from_array(rng.integers(60, 200, (40, 50)).astype(np.uint8))
    elif kind == "planar":
        planes = tuple(rng.integers(200, 800, (40, 50)).astype(np.uint16) for _ in range(3))
        frame = Frame(planes, PixelFormat("rgb", 10, (0, 0)), 0, Fraction(1, 25), 1, Colour(range=Range.FULL))
    else:
        top, dtype = (256, np.uint8) if kind == "rgb" else (65536, np.uint16)
        frame = Frame.from_array(rng.integers(top // 4, 3 * top // 4, (40, 50, 3)).astype(dtype))
    out = through(Upscale(network=network), frame)
    assert out.format == frame.format
    assert out.planes[0].shape == (80, 100)
    small, large = to_rgb(frame, np.float32), to_rgb(out, np.float32)
    assert np.abs(large - small.repeat(2, 0).repeat(2, 1)).mean() < 0.05


def test_opacity_goes_along(network):
    frame = yuv(32, 24)
    alpha = np.full((24, 32), 77, np.uint8)
    frame = frame.replace(planes=(*frame.planes, alpha), format=PixelFormat("yuv", 8, (1, 1), alpha=True))
    out = through(Upscale(network=network), frame)
    assert out.planes[3].shape == (48, 64)
    assert (out.planes[3] == 77).all()


@pytest.mark.parametrize(("width", "height"), [(300, 200), (301, 203), (65, 400)])
def test_tiles_have_no_seams(network, width, height):
    frame = yuv(width, height, depth=16)
    whole = through(Upscale(network=network, tile=0), frame)
    parts = through(Upscale(network=network, tile=64), frame)
    for a, b in zip(whole.planes, parts.planes, strict=True):
        # the same sums in another order, perhaps: at most a code of 16 bits
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_the_plan_tells_network_backend_tiles_and_memory(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    info = VideoInfo(1920, 1080)
    plan = Stream.planned([Upscale(network=network, tile=256)], info, "cpu")
    declared = plan.stages[0][1]
    assert declared.engines == ("double",)
    assert (declared.output.width, declared.output.height) == (3840, 2160)
    assert "onnxruntime on cpu: ready" in str(plan)
    assert "in parts of 256x256" in str(plan)
    assert declared.memory > 3 * 4 * 5 * 1920 * 1080


def test_a_network_that_sees_everything_is_never_given_parts(network):
    from dataclasses import replace

    part = replace(network.part(), radius=None)
    blind = replace(network, parts={"main": part})
    declared = Upscale(network=blind, tile=64).declare(VideoInfo(640, 360), "cpu")
    assert not any("parts" in note for note in declared.notes)


def test_hdr_is_told(network):
    info = VideoInfo(64, 64, colour=Colour(transfer=Transfer.PQ))
    assert any("HDR" in n for n in Upscale(network=network).declare(info, "cpu").notes)


def test_refusals(network, tmp_path):
    with pytest.raises(OptionError, match="tile is 10 pixels"):
        Upscale(network=network, tile=10)
    with pytest.raises(NetworkError, match="no network 'nothing-of-the-kind'"):
        Upscale(network="nothing-of-the-kind").declare(VideoInfo(64, 64), "cpu")
    runtime = Upscale(network=network).open(VideoInfo(64, 48), "cpu")
    with pytest.raises(FormatError, match="opened for 64x48; got a frame of 32x32"):
        runtime.push(yuv(32, 32))


def test_each_frame_is_on_its_own(network):
    stream = Stream([Upscale(network=network)])
    frames = [yuv(40, 30, seed=s).replace(pts=s) for s in range(3)]
    together = [out for f in frames for out in stream.push(f)]
    for frame, out in zip(frames, together, strict=True):
        alone = through(Upscale(network=network), frame)
        assert all((a == b).all() for a, b in zip(out.planes, alone.planes, strict=True))


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize("kind", ["yuv420p", "yuv420p10", "opacity", "rgb"])
def test_on_a_gpu_it_is_what_it_is_on_the_cpu(cuda, network, kind, tile, graphs):
    """Frames in the same memory again and again, each time another picture, and all that came out kept to the end."""
    width, height = 131, 94
    if kind == "rgb":
        rng = np.random.default_rng(5)
        frames = [Frame.from_array(rng.integers(60, 200, (height, width, 3)).astype(np.uint8)) for _ in range(6)]
    else:
        frames = [yuv(width, height, 10 if kind == "yuv420p10" else 8, seed=s) for s in range(6)]
    if kind == "opacity":
        fmt = PixelFormat("yuv", 8, (1, 1), alpha=True)
        opacities = [np.full((height, width), 40 + 30 * k, np.uint8) for k in range(6)]
        frames = [f.replace(planes=(*f.planes, o), format=fmt) for f, o in zip(frames, opacities, strict=True)]
    options = {"network": network, "precision": "fp32", "tile": tile}
    here = Stream([Upscale(**options)])
    there = Stream([Upscale(**options, graphs=graphs)], device="cuda")
    try:
        Stream.planned([Upscale(**options)], VideoInfo(width, height), "cuda")
    except DeviceError as error:
        pytest.skip(str(error))  # neither TensorRT nor ONNX Runtime for CUDA is installed
    held = [frame.replace(planes=tuple(map(cuda.put, frame.planes))) for frame in frames[:2]]
    made = []
    for k in range(12):
        of = held[k % 2]
        for plane, new in zip(of.planes, frames[k % 6].planes, strict=True):
            if hasattr(plane, "copy_"):
                plane.copy_(cuda.put(new))
            else:
                plane[...] = cuda.put(new)
        made += there.push(of)
    for k, out in enumerate(made):
        (expected,) = here.push(frames[k % 6])
        for a, b in zip(expected.planes, out.planes, strict=True):
            assert np.abs(a.astype(int) - cuda.get(b).astype(int)).max() <= 1
    recordable = "onnxruntime" not in str(there.plan)
    refused = [f for f in there.fallbacks if "graph" in f.wanted]
    assert bool(refused) is (graphs and not recordable)
