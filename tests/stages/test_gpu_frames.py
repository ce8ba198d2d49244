"""Frames in memory of a GPU: what comes out is what comes out on the CPU, whichever library holds them."""

from __future__ import annotations

import sys
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from reelmend import Deflicker, Stream, _native, ops, to_rgb
from reelmend.analyze.degrade import make
from reelmend.analyze.scenes import Film
from reelmend.errors import MissingExtraError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range
from reelmend.ops._memory import holder

LIBRARIES = [name for name in ("cupy", "torch") if find_spec(name)] or ["cupy"]
BT709 = Colour(matrix=Matrix.BT709, range=Range.LIMITED)


class Pretended(ModuleType):
    """The calls of the CUDA module, done by the CPU's."""

    def __getattr__(self, name):
        native = getattr(_native, name)
        return lambda *arguments: native(*arguments[:-1], None)

    def zero(self, x, stream):
        x.zero_()

    def device_count(self):
        return 1


@pytest.fixture
def pretended(monkeypatch):
    """PyTorch's tensors of the host taken for a GPU's: all but the kernels and the copies is as it is there."""
    torch = pytest.importorskip("torch")
    module = Pretended("reelmend._cuda")

    def is_cuda(x):
        return isinstance(x, torch.Tensor)

    def module_for(x):
        return module if is_cuda(x) else _native

    for name, room in list(sys.modules.items()):
        if name.startswith("reelmend.ops"):
            for changed in (is_cuda, module_for):
                if hasattr(room, changed.__name__):
                    monkeypatch.setattr(room, changed.__name__, changed)
            if hasattr(room, "stream_of"):
                monkeypatch.setattr(room, "stream_of", lambda x, stream: None)
    monkeypatch.setitem(sys.modules, "reelmend._cuda", module)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(Frame, "on_gpu", property(lambda frame: is_cuda(frame.planes[0])))
    return lambda array: torch.from_numpy(np.array(array))


@pytest.fixture(params=["pretended", *(pytest.param(name, marks=pytest.mark.gpu) for name in LIBRARIES)])
def put(request):
    """Puts an array of the host on the GPU."""
    if request.param == "pretended":
        return request.getfixturevalue("pretended")
    request.getfixturevalue("cuda")
    library = import_module(request.param)
    return lambda array: ops.to_device(array, 0, library)


def moved(frame, put):
    return frame.replace(planes=tuple(map(put, frame.planes)))


def same(frame, other):
    """Whether two frames have the same bits, the second wherever it is."""
    planes = [ops.to_host(p) for p in other.planes]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(frame.planes, planes, strict=True))


def clip(depth, count=40):
    film, flicker = Film(80, width=96, height=64, seed=1), make("gain_gamma", seed=0)
    for t in range(count):
        planes = ops.rgb_to_yuv(flicker.apply(film[t], t), depth=depth, rgb_depth=8)
        yield Frame(planes, PixelFormat("yuv", depth), t, Fraction(1, 25), 1, BT709)


@pytest.mark.parametrize("mode", ["film", "live"])
@pytest.mark.parametrize("depth", [8, 10])
def test_deflicker_gives_the_bits_of_the_cpu(put, mode, depth):
    here, there = Stream([Deflicker(mode=mode)]), Stream([Deflicker(mode=mode)], device="cuda")
    frames = list(clip(depth))
    expected = [out for frame in frames for out in here.push(frame)] + here.flush()
    got = [out for frame in frames for out in there.push(moved(frame, put))] + there.flush()
    assert len(got) == len(expected) == len(frames)
    assert type(got[-1].planes[0]) is type(put(np.zeros(1, np.uint8)))
    assert all(map(same, expected, got))
    assert not all(map(same, frames, got))


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 10), (np.uint16, 16)])
@pytest.mark.parametrize("kind", ["rgb", "gray"])
def test_pictures_give_the_bits_of_the_cpu(put, dtype, depth, kind):
    picture = np.random.default_rng(0).integers(0, 1 << depth, (38, 50, 3)).astype(dtype)
    frame = Frame.from_array(picture if kind == "rgb" else picture[:, :, 0], depth=depth)
    there = moved(frame, put)
    for wanted in (None, np.uint8, np.uint16, np.float32):
        assert np.array_equal(to_rgb(frame, wanted), ops.to_host(to_rgb(there, wanted)))
    streams = [Stream([Deflicker(mode="live", gate="always")], device=device) for device in ("cpu", "cuda")]
    for k in range(4):
        darker = frame.replace(pts=k, planes=tuple(p // (1 + k % 2) for p in frame.planes))
        ours, theirs = (s.push(f)[0] for s, f in zip(streams, (darker, moved(darker, put)), strict=True))
        assert same(ours, theirs)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_memory(put, dtype):
    array = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (5, 7)).astype(dtype)
    there = put(array)
    assert np.array_equal(ops.to_host(ops.copy(there)), array)
    assert np.array_equal(ops.to_host(ops.cast(there, np.float32)), array.astype(np.float32))
    assert tuple(ops.empty_like(there).shape) == (5, 7)
    for axis in (0, 1):
        assert np.array_equal(ops.largest(there, axis), array.max(axis))
    table = np.broadcast_to(np.float32(2), 3)  # read-only
    assert np.array_equal(ops.to_host(ops.beside(table, there)), table)


def test_arrays_go_to_the_device_that_is_named():
    array = np.arange(6, dtype=np.uint16).reshape(2, 3)[:, ::-1]
    array.setflags(write=False)
    tensor = SimpleNamespace(to=lambda where: (where, taken[0]))
    taken = []
    library = SimpleNamespace(__name__="torch", from_numpy=lambda host: taken.append(host) or tensor)
    where, host = ops.to_device(array, 2, library)
    assert where == "cuda:2"
    assert np.array_equal(host, array)
    assert host.flags.c_contiguous
    assert host.flags.writeable


def test_cupy_holds_frames_else_torch_else_the_extra_is_named(monkeypatch):
    cupy, torch = ModuleType("cupy"), ModuleType("torch")
    torch.cuda = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert holder() is cupy
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert holder() is torch
    torch.cuda.is_available = lambda: False
    with pytest.raises(MissingExtraError, match=r"reelmend\[cupy\]"):
        holder()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="holding frames on a GPU"):
        holder()
