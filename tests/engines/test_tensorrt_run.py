"""Running engines of TensorRT against a pretended card: addresses, streams, graphs, shared memory, every refusal."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from reelmend.engines import tensorrt_build
from reelmend.engines.acceptance import accept, reference
from reelmend.engines.engine import Request
from reelmend.engines.graph import Recorded, SharedMemory
from reelmend.engines.tensorrt import TensorRT
from reelmend.engines.tensorrt_build import Log
from reelmend.engines.tensorrt_kernels import Remembered, remembered
from reelmend.errors import ArrayError, EngineError

from .conftest import write_network
from .pretended import Driver, Held, Package

SIZE = (8, 12)
STREAM = 5


@pytest.fixture
def driver(monkeypatch):
    made = Driver()
    for room in ("graph", "tensorrt"):
        monkeypatch.setattr(f"reelmend.engines.{room}.cuda_module", lambda: made)
    place = SimpleNamespace(empty=lambda shape, dtype: Held(np.full(shape, np.nan, dtype)))
    monkeypatch.setitem(__import__("sys").modules, "pycuda.gpuarray", place)
    return made


@pytest.fixture
def load(driver, monkeypatch, tmp_path):
    """An engine on the pretended card: load(backend, fault=..., size=..., gain=..., memory=..., **of the request)."""
    network = write_network(tmp_path, {"fp32": b""})

    def loaded(name="tensorrt", *, memory=None, package=None, device="cuda", smallest=None, largest=None, **more):
        package = package or Package(driver, **more)
        log = Log(package)
        monkeypatch.setattr("reelmend.engines.tensorrt.package", lambda facts, purpose: (package, log))
        request = Request(network, network.part(), SIZE, "fp32", device, smallest, largest)
        request = replace(request, memory=memory, kernels=tmp_path / "kernels")
        return TensorRT(name).load(request, b"", b"a plan")

    return loaded


def picture(seed=0, size=SIZE, **more):
    return Held(np.random.default_rng(seed).uniform(0, 1, (1, 3, *size)), **more)


def expected(x, gain=2.0):
    return (np.float32(gain) * x.array).repeat(2, 2).repeat(2, 3)


def output(size=SIZE):
    return Held(np.zeros((1, 3, 2 * size[0], 2 * size[1])))


def done(driver):
    """How runs were queued: "recorded" and "launch", in their order."""
    return [name for name, *_ in driver.log if name in ("recorded", "launch")]


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_replays_see_what_inputs_hold_now(load, driver, name):
    engine, x, y = load(name), picture(), output()
    for turn in range(5):
        x.array[:] = picture(turn).array
        results = engine.run({"x": x}, {"y": y}, STREAM)
        assert results == {"y": y}
        np.testing.assert_array_equal(y.array, expected(x))
    assert done(driver) == ["recorded", "launch", "launch", "launch", "launch"]
    assert engine.why_not_recorded == ""
    assert engine.backend == name


def test_other_addresses_are_seen_and_have_graphs_of_their_own(load, driver):
    engine = load()
    ring = [(picture(k), output()) for k in range(3)]
    for _ in range(3):
        for x, y in ring:
            y.array[:] = 0
            engine.run({"x": x}, {"y": y}, STREAM)
            np.testing.assert_array_equal(y.array, expected(x))
    assert done(driver) == ["recorded", "launch"] * 3 + ["launch"] * 3


def test_outputs_that_are_not_given_are_made_beside_the_inputs(load):
    x = picture()
    result = load().run({"x": x})["y"]
    assert isinstance(result, Held)
    np.testing.assert_array_equal(result.array, expected(x))


@pytest.mark.parametrize("stream", [None, 0, 1, 2])
def test_a_default_stream_is_followed_and_held_up_by_one_of_its_own(load, driver, stream):
    engine, x, y = load(), picture(), output()
    for _ in range(3):
        driver.log.clear()
        engine.run({"x": x}, {"y": y}, stream)
        own = driver.made
        assert driver.log[0] == ("order", stream or 0, own)
        assert driver.log[-1] == ("order", own, stream or 0)
    np.testing.assert_array_equal(y.array, expected(x))
    assert done(driver) == ["launch"]


def test_streams_that_produce_the_arrays_are_waited_for(load, driver):
    load().run({"x": picture(stream=9)}, {"y": output()}, STREAM)
    assert ("order", 9, STREAM) in driver.log
    driver.log.clear()
    load().run({"x": picture(stream=STREAM)}, {"y": output()}, STREAM)
    assert not [entry for entry in driver.log if entry[0] == "order"]


def test_another_size_makes_no_use_of_old_graphs(load, driver):
    engine = load(smallest=(4, 6), largest=(16, 24))
    for size in (SIZE, (16, 24), SIZE):
        engine.resize(size)
        x, y = picture(size=size), output(size)
        driver.log.clear()
        for _ in range(3):
            y.array[:] = 0
            engine.run({"x": x}, {"y": y}, STREAM)
            np.testing.assert_array_equal(y.array, expected(x))
        assert done(driver) == ["recorded", "launch", "launch"]
    with pytest.raises(EngineError, match="24x32 is not a size this engine was opened for"):
        engine.resize((32, 24))


def test_engines_share_memory_that_grows(load, driver):
    memory = SharedMemory()
    one = load(memory=memory, size=1 << 14)
    x, y = picture(), output()
    for _ in range(3):
        one.run({"x": x}, {"y": y}, STREAM)
    other = load(memory=memory, size=1 << 16, gain=3.0)
    assert memory.bytes == 1 << 16
    for _ in range(3):
        for engine, gain in ((one, 2.0), (other, 3.0)):
            engine.run({"x": x}, {"y": y}, STREAM)
            np.testing.assert_array_equal(y.array, expected(x, gain))
    other.close()
    one.run({"x": x}, {"y": y}, STREAM)  # the memory is not that engine's own
    np.testing.assert_array_equal(y.array, expected(x))
    assert one.memory >= 1 << 14


def test_runs_on_two_streams_take_turns_with_the_memory(load, driver):
    engine, x, y, z = load(), picture(), output(), output()
    engine.run({"x": x}, {"y": y}, 5)
    driver.log.clear()
    engine.run({"x": x}, {"y": z}, 6)
    assert driver.log == [("wait", 6), ("record", 6)]


def test_a_chain_of_engines_is_one_graph(load, driver):
    first, second = load(), load(gain=5.0, smallest=SIZE, largest=(16, 24))
    second.resize((16, 24))
    x, y, z = picture(), output(), output((16, 24))

    def work(stream):
        first.run({"x": x}, {"y": y}, stream)
        second.run({"x": y}, {"y": z}, stream)

    chain = Recorded(work)
    for turn in range(4):
        x.array[:] = picture(turn).array
        assert chain() == ("plain", "recorded", "replayed", "replayed")[turn]
        np.testing.assert_array_equal(z.array, expected(Held(expected(x)), 5.0))
    assert done(driver) == ["recorded", "launch", "launch", "launch"]


def test_a_caller_s_graph_keeps_the_memory_it_was_recorded_with(load):
    memory = SharedMemory()
    engine, x, y = load(memory=memory, size=1 << 14), picture(), output()
    chain = Recorded(lambda stream: engine.run({"x": x}, {"y": y}, stream))
    chain()
    chain()
    load(memory=memory, size=1 << 16)
    y.array[:] = 0
    assert chain() == "replayed"
    np.testing.assert_array_equal(y.array, expected(x))


def test_a_recording_that_fails_is_told(load, driver):
    driver.refuses = "operation not permitted when stream is capturing"
    engine, x, y = load(), picture(), output()
    for _ in range(3):
        engine.run({"x": x}, {"y": y}, STREAM)
        np.testing.assert_array_equal(y.array, expected(x))
    assert engine.why_not_recorded == driver.refuses


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("runtime", "tensorrt does not load this engine here: no driver"),
        ("plan", "tensorrt does not load this engine here: version tag does not match"),
        ("context", "tensorrt does not load this engine here: it logged no reason"),
    ],
)
def test_what_does_not_load(load, fault, said):
    with pytest.raises(EngineError, match=said):
        load(fault=fault)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", r"x of \(1, 3, 8, 12\) was refused: no such shape"),
        ("address", "the address of x was refused: misaligned"),
        ("run", "the run failed: out of luck"),
    ],
)
def test_what_does_not_run(load, fault, said):
    with pytest.raises(EngineError, match=f"tiny/main fp32: {said}"):
        load(fault=fault).run({"x": picture()}, {"y": output()}, STREAM)


def test_arrays_that_do_not_fit(load):
    engine, x = load(), picture()
    with pytest.raises(ArrayError, match="inputs are in host memory; this engine runs on cuda"):
        engine.run({"x": x.array})
    with pytest.raises(ArrayError, match="x is on cuda:1; expected cuda"):
        engine.run({"x": picture(device=1)}, {"y": output()})
    with pytest.raises(ArrayError, match="inputs are z; expected x"):
        engine.run({"z": x})
    with pytest.raises(ArrayError, match="outputs are y, z; expected y"):
        engine.run({"x": x}, {"z": output()})
    with pytest.raises(ArrayError, match=r"x is float32 \(1, 3, 4, 4\); expected float32 \(1, 3, 8, 12\)"):
        engine.run({"x": picture(size=(4, 4))})


def test_the_second_card(load, driver):
    engine = load(device="cuda:1")
    x, y = picture(device=1), Held(output().array, device=1)
    engine.run({"x": x}, {"y": y}, STREAM)
    np.testing.assert_array_equal(y.array, expected(x))
    assert driver.device == 0  # of the caller, as before


def test_a_closed_engine_says_so(load):
    with load() as engine:
        pass
    engine.close()
    with pytest.raises(EngineError, match="this engine was closed"):
        engine.run({"x": picture()})


def test_rtx_keeps_the_kernels_it_compiles_for_the_next_load(load, driver, tmp_path):
    package = Package(driver)
    for given in ([], [b"kernels for 99.1"]):
        with load("tensorrt_rtx", package=package) as engine:
            engine.run({"x": picture()}, {"y": output()}, STREAM)
            (kept,) = (tmp_path / "kernels").iterdir()
            assert kept.read_bytes() == b"kernels for 99.1"
            assert "A_card" in kept.name
        assert package.caches == given
    load("tensorrt", package=package).run({"x": picture()}, {"y": output()}, STREAM)
    assert len(list((tmp_path / "kernels").iterdir())) == 1


def test_what_is_remembered_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = remembered("a", "NVIDIA H200/x", folder=tmp_path / "deep")
    assert file.path == tmp_path / "deep" / "a-NVIDIA_H200_x"
    assert file.read() == b""
    file.write(b"one")
    assert remembered("a", "NVIDIA H200/x", folder=tmp_path / "deep").read() == b"one"

    def full(path, data):
        path.write_bytes(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reelmend.engines.tensorrt_kernels.flushed", full)
    file.write(b"two")
    assert [p.read_bytes() for p in (tmp_path / "deep").iterdir()] == [b"one"]
    nowhere = Remembered(None)
    nowhere.write(b"lost")
    assert nowhere.read() == b""


def test_it_is_beside_the_engines_by_default(tmp_path):
    assert remembered("a").path == tmp_path / "cache" / "kernels" / "a"


class Timings:
    """A builder's configuration, as far as timing caches go: it takes those that begin with its version."""

    def create_timing_cache(self, data):
        return SimpleNamespace(data=data)

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        return cache.data in (b"", b"99.1 measured")


@pytest.mark.parametrize(("kept", "used"), [(b"", b""), (b"99.1 measured", b"99.1 measured"), (b"98.0 measured", b"")])
def test_timings_of_another_version_are_not_used(tmp_path, kept, used):
    (tmp_path / "t").write_bytes(kept)
    assert tensorrt_build._with_timings(Timings(), Remembered(tmp_path / "t")).data == used


@pytest.mark.extra("rtx", "train")
def test_ctrl_c_ends_a_build(tiny):
    backend = TensorRT("tensorrt_rtx")
    request = Request(tiny, tiny.part(), SIZE, "fp32", "cuda", targets=(86,))
    before = signal.getsignal(signal.SIGINT)
    lines = []

    def told(line):
        lines.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        backend.build(request, tiny.onnx(), told)
    assert len(lines) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert backend.build(request, tiny.onnx(), lines.append).plan


@pytest.mark.extra("rtx", "train")
def test_a_build_off_the_main_thread_leaves_signals_alone(tiny):
    request = Request(tiny, tiny.part(), SIZE, "fp32", "cuda", targets=(86,))
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        plan = TensorRT("tensorrt_rtx").build(request, tiny.onnx(), lambda line: None).plan
        seen.extend((len(plan) > 10_000, signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True, True]


@pytest.mark.gpu
@pytest.mark.extra("train")
@pytest.mark.parametrize("ends", [{}, {"smallest": (16, 16), "largest": (64, 64)}], ids=["static", "dynamic"])
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_on_a_gpu(cuda, tiny, name, ends):
    backend = TensorRT(name)
    why = backend.why_not("cuda")
    if why:
        pytest.skip(why)
    request = Request(tiny, tiny.part(), (32, 48), "fp32", "cuda", **ends)
    expected = reference(request)
    with backend.load(request, tiny.onnx(), backend.build(request, tiny.onnx(), lambda line: None).plan) as engine:
        accept(engine)
        y = cuda.put(np.zeros(engine.outputs["y"], np.float32))
        for turn in range(5):
            x = np.random.default_rng(turn).uniform(0, 1, engine.inputs["x"]).astype(np.float32)
            if turn == 0:
                held = cuda.put(x)
            elif hasattr(held, "copy_"):
                held.copy_(cuda.put(x))
            else:
                held[...] = cuda.put(x)
            engine.run({"x": held}, {"y": y})
            np.testing.assert_allclose(cuda.get(y), expected.run({"x": x})["y"], atol=1e-4)
        assert engine.why_not_recorded == ""
