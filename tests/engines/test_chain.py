"""What Upscale does for a frame as one chain, on a pretended card: queued, recorded, replayed, and what is told."""

from __future__ import annotations

import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from reelmend import Stream, Upscale
from reelmend.engines.chain import Chain
from reelmend.engines.engine import Engine, Request
from reelmend.engines.tensorrt import TensorRT
from reelmend.engines.tensorrt_build import Log
from reelmend.errors import ArrayError, EngineError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range, VideoInfo

from .conftest import write_network
from .pretended import Cuda, Package

OWN = 16  # the stream that a chain makes
SIZE = (30, 44)


class Doubling(Engine):
    """Each sample four times: what the pretended card's engine gives."""

    backend = "onnxruntime"

    def run(self, inputs, outputs=None, stream=None):
        self.streams = [*getattr(self, "streams", []), stream]
        x, y = inputs["x"], outputs["y"]
        getattr(y, "array", y)[...] = getattr(x, "array", x).repeat(2, 2).repeat(2, 3)
        return outputs


@pytest.fixture
def cuda(monkeypatch):
    made = Cuda()
    monkeypatch.setitem(sys.modules, "reelmend._cuda", made)
    library = SimpleNamespace(empty=made.empty, to_gpu=made.put)
    monkeypatch.setitem(sys.modules, "pycuda.gpuarray", library)
    monkeypatch.setattr("reelmend.convert.holder", lambda: library)
    return made


@pytest.fixture
def network(tmp_path):
    return write_network(tmp_path / "catalogue", {"fp32": b""}, multiple=4)


@pytest.fixture
def opened(cuda, network, monkeypatch):
    """Engines that Upscale opened: on a GPU pretended ones of TensorRT, on the CPU Doubling. `fault` as of Package."""
    made = SimpleNamespace(engines=[], fault="", backend="tensorrt")

    def load(network, *, size, device, precision):
        part = network.part()
        request = Request(network, part, part.padded(size), "fp32", device)
        if device == "cpu" or made.backend != "tensorrt":
            engine = Doubling(request)
        else:
            package = Package(cuda, fault=made.fault, gain=1.0)
            monkeypatch.setattr("reelmend.engines.tensorrt.package", lambda facts, purpose: (package, Log(package)))
            engine = TensorRT("tensorrt").load(request, b"", b"a plan")
        made.engines.append(engine)
        return engine

    monkeypatch.setattr("reelmend.stages.upscale.stage.open_engine", load)
    return made


@pytest.fixture
def stage(opened, network):
    """stage(device, size, **options): an Upscale that is opened."""

    def made(device="cuda", size=SIZE, **options):
        return Upscale(network=network, **options).open(VideoInfo(size[1], size[0]), device)

    return made


def picture(seed=0, size=SIZE, name="yuv420p"):
    fmt = PixelFormat.parse(name)
    rng = np.random.default_rng(seed)
    planes = tuple(rng.integers(0, fmt.max_code + 1, s).astype(fmt.dtype) for s in fmt.plane_shapes(size[1], size[0]))
    return Frame(planes, fmt, seed, Fraction(1, 25), 1, Colour(matrix=Matrix.BT709, range=Range.LIMITED))


def held(cuda, frame):
    return frame.replace(planes=tuple(map(cuda.put, frame.planes)))


def overwrite(frame, other):
    """As a decoder does with its own pictures: the same memory, another picture."""
    for plane, new in zip(frame.planes, other.planes, strict=True):
        plane.array[...] = new


def same(frame, other):
    assert (frame.format, frame.pts, frame.colour) == (other.format, other.pts, other.colour)
    assert len(frame.planes) == len(other.planes)
    for c in range(len(other.planes)):  # and no plane is kept longer than others
        np.testing.assert_array_equal(frame.planes[c].array, other.planes[c])


def done(cuda):
    """What came to pass since it was last asked, and on which stream."""
    log, cuda.log = cuda.log, []
    return [(name, *where) for name, *where in log if name not in ("wait", "record")]


ORDERS = [("order", 0, OWN)], [("order", OWN, 0)]
STEPS = [("yuv_to_rgb", OWN), ("resize", OWN), ("resize", OWN), ("resize", OWN), ("rgb_to_yuv", OWN)]


def test_the_second_frame_is_recorded_and_the_third_replayed(cuda, stage):
    """SIZE is padded by two rows, so that three resizes repeat the last one in each channel."""
    here, there = stage("cpu"), stage()
    frame = held(cuda, picture())
    ways = [[], [("recorded", OWN), ("launch", OWN)], [("launch", OWN)], [("launch", OWN)]]
    for turn, way in enumerate(ways):
        overwrite(frame, picture(turn))
        done(cuda)
        (out,) = there.push(frame.replace(pts=turn))
        assert done(cuda) == [*ORDERS[0], *way, *STEPS, *ORDERS[1]]
        same(out, here.push(picture(turn))[0])
        del out  # its memory is taken for the next
    assert there.fallbacks == ()


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "yuv444p16", "yuva420p"])
@pytest.mark.parametrize(("size", "tile"), [(SIZE, None), ((32, 44), 0), ((131, 90), 64)])
def test_every_format_whole_and_in_parts_is_what_the_cpu_gives(cuda, stage, name, size, tile, graphs):
    here, there = stage("cpu", size, tile=tile), stage("cuda", size, tile=tile, graphs=graphs)
    frame = held(cuda, picture(0, size, name))
    for turn in range(4):
        overwrite(frame, picture(turn, size, name))
        same(there.push(frame.replace(pts=turn))[0], here.push(picture(turn, size, name))[0])
    assert ("launch" in {step for step, *_ in cuda.log}) is graphs or not graphs


def test_frames_that_were_given_out_stay_as_they_are(cuda, stage):
    here, there = stage("cpu"), stage()
    frames = [held(cuda, picture(k)) for k in range(3)]
    kept = []
    for turn in range(12):
        kept += there.push(frames[turn % 3])
        kept = kept[-5:]  # as an encoder that looks ahead
        for k, out in zip(range(turn, -1, -1), kept[::-1], strict=False):
            same(out, here.push(picture(k % 3))[0])


def test_frames_at_new_places_go_through_launch_by_launch_but_for_what_is_in_place(cuda, stage):
    here, there = stage("cpu"), stage()
    kept = []
    for turn in range(4):
        frame = held(cuda, picture(turn))
        done(cuda)
        kept += [frame, *there.push(frame)]
        how = [name for name, *_ in done(cuda) if name in ("recorded", "launch")]
        assert how == [[], ["recorded", "launch"], ["launch"], ["launch"]][turn]
        same(kept[-1], here.push(picture(turn))[0])
    places = {tuple(p.array.ctypes.data for p in frame.planes) for frame in kept}
    assert len(places) == 8


@pytest.mark.parametrize("other", ["yuv420p10", "yuv444p", "the colour"])
def test_another_format_is_recorded_anew(cuda, stage, other):
    here, there = stage("cpu"), stage()
    changed = picture() if other == "the colour" else picture(name=other)
    if other == "the colour":
        changed = changed.replace(colour=Colour(matrix=Matrix.SMPTE170M, range=Range.FULL))
    recorded = []
    first = held(cuda, picture())
    second = first.replace(colour=changed.colour) if other == "the colour" else held(cuda, changed)
    for frame, on_card in ((picture(), first), (changed, second)):
        for _ in range(3):
            done(cuda)
            same(there.push(on_card)[0], here.push(frame)[0])
            recorded.append([name for name, *_ in done(cuda)].count("recorded"))
    assert recorded == [0, 1, 0, 1, 1, 0]  # the fourth: what is in place for all formats, as a graph of its own


def test_another_size_is_another_chain(cuda, stage, network, monkeypatch):
    """A stream opens its stages anew for it."""
    monkeypatch.setattr(TensorRT, "why_not", lambda self, device: "")
    monkeypatch.setattr(TensorRT, "identity", lambda self, request: {})
    stream, here = Stream([Upscale(network=network)], device="cuda"), Stream([Upscale(network=network)])
    for size in (SIZE, (24, 24)):
        frame = held(cuda, picture(0, size))
        for way in ([], ["recorded", "launch"], ["launch"]):
            done(cuda)
            same(stream.push(frame)[0], here.push(picture(0, size))[0])
            assert [name for name, *_ in done(cuda) if name in ("recorded", "launch")] == way
    assert stream.fallbacks == ()
    assert "fallback" not in str(stream.plan)


def test_a_recording_that_is_refused_is_told_and_frames_go_through_plainly(cuda, stage):
    cuda.refuses = "operation not permitted when stream is capturing"
    here, there = stage("cpu"), stage()
    frame = held(cuda, picture())
    for turn in range(4):
        overwrite(frame, picture(turn))
        done(cuda)
        same(there.push(frame.replace(pts=turn))[0], here.push(picture(turn))[0])
        assert [step for step in done(cuda) if step[0] != "launch"] == [*ORDERS[0], *STEPS, *ORDERS[1]]
        assert bool(there.fallbacks) is (turn > 0)
    (told,) = there.fallbacks
    assert str(told) == f"a launch for each step instead of one CUDA graph for a frame: {cuda.refuses}"


def test_a_stream_tells_what_its_run_showed(cuda, opened, network, monkeypatch):
    monkeypatch.setattr(TensorRT, "why_not", lambda self, device: "")
    monkeypatch.setattr(TensorRT, "identity", lambda self, request: {})
    stream = Stream([Upscale(network=network)], device="cuda")
    cuda.refuses = "no"
    frame = held(cuda, picture())
    told = []
    for size in (SIZE, SIZE, (24, 24)):
        stream.push(frame if size == SIZE else held(cuda, picture(0, size)))
        told.append([fallback.why for fallback in stream.fallbacks])
    assert told == [[], ["no"], ["no"]]  # though its stages were opened anew


def test_an_engine_that_cannot_be_recorded_runs_on_the_caller_s_stream(cuda, opened, network, stage, monkeypatch):
    opened.backend = "onnxruntime"
    monkeypatch.setattr(TensorRT, "why_not", lambda self, device: "not here")
    monkeypatch.setattr("reelmend.engines.onnxruntime.OnnxRuntime.why_not", lambda self, device: "")
    monkeypatch.setattr("reelmend.engines.onnxruntime.OnnxRuntime.identity", lambda self, request: {})
    here, there = stage("cpu"), stage()
    frame = held(cuda, picture())
    for _ in range(3):
        same(there.push(frame)[0], here.push(picture())[0])
    assert {where for _, *where in cuda.log for where in where} == {0}
    assert opened.engines[-1].streams == [None] * 3
    (told,) = there.fallbacks
    assert "onnxruntime takes memory" in told.why
    declared = Upscale(network=network).declare(VideoInfo(44, 30), "cuda")
    assert told in declared.fallbacks
    off = Upscale(network=network, graphs=False)
    assert told not in off.declare(VideoInfo(44, 30), "cuda").fallbacks
    assert off.open(VideoInfo(44, 30), "cuda").fallbacks == ()
    assert told not in Upscale(network=network).declare(VideoInfo(44, 30), "cpu").fallbacks


@pytest.mark.parametrize("name", ["rgb24", "gray", "gray10"])
def test_pictures_that_their_library_converts_have_the_rest_recorded(cuda, stage, name):
    here, there = stage("cpu"), stage()
    for turn in range(4):
        frame = picture(turn, name=name)
        done(cuda)
        same(there.push(held(cuda, frame))[0], here.push(frame)[0])
        how = [name for name, *_ in done(cuda) if name in ("recorded", "launch")]
        assert how == [[], ["recorded", "launch"], ["launch"], ["launch"]][turn]


def test_what_fails_is_raised_and_the_caller_s_stream_still_waits(cuda, opened, stage):
    opened.fault = "run"
    there, frame = stage(), held(cuda, picture())
    for _ in range(2):
        done(cuda)
        with pytest.raises(EngineError, match="out of luck"):
            there.push(frame)
        assert done(cuda)[-1] == ORDERS[1][0]
    assert not cuda.recording
    with pytest.raises(ArrayError, match="expected arrays with __cuda_array_interface__; got ndarray"):
        there.push(picture())


def test_a_frame_is_not_held_once_it_is_done(cuda, stage):
    there = stage()
    for _ in range(3):
        there.push(held(cuda, picture()))
    free = {shape: len(arrays) for (shape, dtype), arrays in cuda.free.items() if dtype == np.uint8}
    assert free == {(60, 88): 1, (30, 44): 2}


def test_on_a_cpu_the_work_is_called():
    chain, seen = Chain("cpu"), []
    assert chain(seen.append, np.zeros(3)) == "plain"
    chain.part(seen.append, None)
    assert seen == [None, None]
    assert chain.fallbacks == ()
