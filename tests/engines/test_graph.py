"""Recording and replaying: when it is plain, recorded, replayed, and what a failure leaves; then the real thing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from reelmend import ops
from reelmend.engines.graph import Graphs, Recorded, SharedMemory, device_index, on_device, places
from reelmend.errors import ArrayError, DeviceError, EngineError, OptionError

from .pretended import Driver, Held, at


@pytest.fixture
def driver(monkeypatch):
    made = Driver()
    monkeypatch.setattr("reelmend.engines.graph.cuda_module", lambda: made)
    return made


def adder(driver, x):
    """Work that adds one to an array."""

    def work(stream):
        driver.queue(stream, lambda: np.add(x, 1, out=x))

    return work


def test_a_plain_run_then_a_recording_then_replays(driver):
    x, graphs = np.zeros(3), Graphs()
    assert [graphs.run(adder(driver, x), 16) for _ in range(4)] == ["plain", "recorded", "replayed", "replayed"]
    assert x.tolist() == [4, 4, 4]  # a recording runs nothing: it is launched once
    assert [name for name, *_ in driver.log] == ["recorded", "launch", "launch", "launch"]


def test_another_key_is_another_graph_and_the_ring_is_bounded(driver):
    arrays, graphs = [np.zeros(1) for _ in range(4)], Graphs(keep=3)
    for turn in range(3):
        ways = [graphs.run(adder(driver, x), 16, key) for key, x in enumerate(arrays[:3])]
        assert ways == [("plain", "recorded", "replayed")[turn]] * 3
    assert [graphs.run(adder(driver, arrays[3]), 16, 3) for _ in range(2)] == ["plain", "recorded"]
    assert len(graphs) == 3
    # the one used longest ago had gone, and begins anew
    assert [graphs.run(adder(driver, arrays[0]), 16, 0) for _ in range(2)] == ["plain", "recorded"]
    assert [int(x[0]) for x in arrays] == [5, 3, 3, 2]


def test_more_keys_than_are_kept_in_turn_are_not_recorded_again_and_again(driver):
    x, graphs = np.zeros(1), Graphs(keep=3)
    ways = [graphs.run(adder(driver, x), 16, turn % 4) for turn in range(40)]
    assert ways == ["plain"] * 40
    assert x[0] == 40


def test_without_a_key_nothing_is_fixed(driver):
    x, graphs = np.zeros(1), Graphs()
    assert [graphs.run(adder(driver, x), 16, None) for _ in range(3)] == ["plain"] * 3
    assert x[0] == 3


def test_after_clear_the_next_run_is_plain(driver):
    x, graphs = np.zeros(1), Graphs()
    for _ in range(3):
        graphs.run(adder(driver, x), 16)
    graphs.clear()
    assert [graphs.run(adder(driver, x), 16) for _ in range(2)] == ["plain", "recorded"]


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_default_stream_is_not_recorded(driver, stream):
    x, graphs = np.zeros(1), Graphs()
    assert [graphs.run(adder(driver, x), stream) for _ in range(3)] == ["plain"] * 3
    assert x[0] == 3


def test_a_recording_that_fails_is_told_and_the_work_is_done_plainly(driver):
    driver.refuses = "operation not permitted when stream is capturing"
    x, graphs = np.zeros(1), Graphs()
    assert [graphs.run(adder(driver, x), 16) for _ in range(4)] == ["plain"] * 4
    assert x[0] == 4
    assert graphs.why_not == driver.refuses
    assert not driver.recording


def test_work_that_queues_nothing_on_the_stream_is_told(driver):
    graphs = Graphs()
    for _ in range(2):
        graphs.run(lambda stream: None, 16)
    assert "nothing was queued" in graphs.why_not


def test_what_the_work_raises_is_raised(driver):
    def breaks(stream):
        raise error

    graphs = Graphs()
    for error in (EngineError("torn"), ValueError("odd")):
        with pytest.raises(type(error), match=str(error)):
            graphs.run(breaks, 16)
    graphs.run(lambda stream: None, 16, "later")
    with pytest.raises(ValueError, match="odd"):
        graphs.run(breaks, 16, "later")  # while it is recorded
    assert not driver.recording
    assert graphs.why_not == ""


def test_recorded_within_a_recording_is_part_of_it(driver):
    x = np.zeros(1)
    inner, outer = Graphs(), Graphs()
    chain = [outer.run(lambda s: inner.run(adder(driver, x), s), 16) for _ in range(4)]
    assert chain == ["plain", "recorded", "replayed", "replayed"]
    assert x[0] == 4
    assert len(inner) == 0


def test_recorded_has_a_stream_and_an_order_with_others(driver):
    x = np.zeros(1)
    recorded = Recorded(adder(driver, x))
    handle = recorded.stream.handle
    assert [recorded("a"), recorded("a"), recorded("b"), recorded("a")] == ["plain", "recorded", "plain", "replayed"]
    recorded.after(7)
    recorded.before(recorded.stream)
    recorded.wait()
    assert driver.log[-3:] == [("order", 7, handle), ("order", handle, handle), ("synchronise", handle)]
    assert recorded.why_not == ""
    for default in (0, 1, 2):
        with pytest.raises(DeviceError, match="give a stream of its own"):
            Recorded(adder(driver, x), default)
    with pytest.raises(ArrayError, match="expected a CUDA stream"):
        Recorded(adder(driver, x), "a stream")


def test_the_device_is_set_for_a_while(driver):
    def fails():
        with on_device(1):
            seen.append(driver.device)
            raise ValueError("within")

    seen = []
    with pytest.raises(ValueError, match="within"):
        fails()
    assert seen == [1]
    assert driver.device == 0


def test_places_tell_address_shape_and_layout():
    x = np.zeros((4, 6), np.float32)
    keys = {places(Held(a)) for a in (x, x.copy(), x[:2], x[:3])}
    assert len(keys) == 4
    assert places(Held(x)) == places(Held(x))
    with pytest.raises(ArrayError, match="__cuda_array_interface__; got ndarray"):
        places(x)


def test_shared_memory_grows_and_counts_its_moves(driver):
    memory = SharedMemory("cuda:1")
    assert (memory.bytes, memory.address, memory.generation) == (0, 0, 0)
    memory.reserve(1024)
    first = memory.address
    memory.reserve(512)
    assert (memory.bytes, memory.address, memory.generation) == (1024, first, 1)
    memory.reserve(4096)
    assert (memory.bytes, memory.generation) == (4096, 2)
    memory.hold()
    held = memory.address
    memory.reserve(8192)
    assert memory.address != held
    assert at(held, (4,)).tolist() == [0, 0, 0, 0]  # still there for a graph that has its address
    memory.begin(16)  # nobody used it before: nothing to wait for
    memory.end(16)
    memory.begin(17)
    assert driver.log == [("record", 16), ("wait", 17)]


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:12", 12)])
def test_device_index(device, index):
    assert device_index(device) == index


@pytest.mark.parametrize("device", ["cpu", "cuda:", "cuda:-1", "gpu", ""])
def test_device_index_of_no_gpu(device):
    with pytest.raises(OptionError, match="expected 'cuda' or 'cuda:N'"):
        device_index(device)


def cuda_calls():
    cuda = pytest.importorskip("reelmend._cuda", exc_type=ImportError)
    calls = [cuda.Stream, cuda.Event, lambda: cuda.Memory(1), cuda.current_device, lambda: cuda.synchronise(0)]
    calls += [lambda: cuda.order(1, 16), lambda: cuda.set_device(0), lambda: cuda.capture_begin(16)]
    return cuda, [*calls, lambda: cuda.capture_end(16)]


def test_without_a_gpu_every_call_says_what_cuda_says():
    cuda, calls = cuda_calls()
    if cuda.device_count():
        pytest.skip("there is a GPU")
    for call in calls:
        with pytest.raises(DeviceError, match="CUDA says: "):
            call()
    assert cuda.is_capturing(16) is False
    cuda.capture_drop(16)
    with pytest.raises(DeviceError, match="CUDA says: "):
        Recorded(lambda stream: None)


def test_a_default_stream_is_refused_before_cuda_is_asked():
    cuda, _ = cuda_calls()
    with pytest.raises(DeviceError, match="the default stream cannot be recorded"):
        cuda.capture_begin(0)


# On a GPU.


@pytest.fixture
def picture():
    return np.random.default_rng(1).uniform(0, 1, (64, 96)).astype(np.float32)


def chain_of(cuda, picture):
    """Warp, then an exact resize: (inputs, output, work)."""
    flow = np.random.default_rng(2).uniform(-3, 3, (2, *picture.shape)).astype(np.float32)
    x, flow, between, out = (cuda.put(a) for a in (picture, flow, np.zeros_like(picture), np.zeros((32, 48), "f4")))

    def work(stream):
        ops.warp([x], flow, out=[between], stream=stream)
        ops.resize(between, out=out, stream=stream)

    return x, flow, between, out, work


def overwrite(x, source):
    """Copy within the GPU, in CuPy or PyTorch."""
    if hasattr(x, "copy_"):
        x.copy_(source)
    else:
        x[...] = source


def test_the_chain_that_is_recorded_on_a_gpu(picture):
    x, _, between, out, work = chain_of(SimpleNamespace(put=np.array), picture)
    work(None)
    assert np.ptp(out) > 0.1
    assert not np.array_equal(between, x)


@pytest.mark.gpu
def test_replayed_ops_give_what_plain_ones_give(cuda, picture):
    x, flow, between, out, work = chain_of(cuda, picture)
    recorded, plain = Recorded(work), Recorded(work)
    for turn in range(6):
        overwrite(x, cuda.put(np.roll(picture, turn, 0)))
        recorded.after(0)
        way = recorded(places(x, flow, between, out))
        recorded.wait()
        assert way == ("plain", "recorded", "replayed")[min(turn, 2)]
        got = cuda.get(out).copy()
        plain(turn)  # a key of its own each time
        plain.wait()
        np.testing.assert_array_equal(got, cuda.get(out))
    assert recorded.why_not == ""


@pytest.mark.gpu
def test_a_moved_array_is_seen(cuda, picture):
    out = cuda.put(np.zeros_like(picture))
    given = {}
    recorded = Recorded(lambda stream: ops.resize(given["x"], out=out, stream=stream))
    for x in [cuda.put(picture)] * 3 + [cuda.put(picture[::-1])] * 3:
        given["x"] = x
        recorded.after(0)
        recorded(places(x, out))
        recorded.wait()
        np.testing.assert_array_equal(cuda.get(out), cuda.get(x))


@pytest.mark.gpu
def test_work_outside_of_the_stream_is_no_recording(cuda, picture):
    recorded = Recorded(lambda stream: None)
    recorded()
    assert recorded() == "plain"
    assert "nothing was queued" in recorded.why_not


@pytest.mark.gpu
def test_streams_events_and_memory(cuda):
    from reelmend import _cuda

    stream, first, last = _cuda.Stream(), _cuda.Event(True), _cuda.Event(True)
    first.record(stream.handle)
    last.record(stream.handle)
    stream.synchronise()
    assert last.passed()
    assert last.seconds_since(first) >= 0
    memory = _cuda.Memory(1 << 20)
    assert memory.address % 256 == 0
    assert _cuda.is_capturing(stream.handle) is False
    with pytest.raises(DeviceError, match="bytes of GPU memory"):
        _cuda.Memory(1 << 50)
    assert _cuda.Memory(256).bytes == 256  # the failure before is not blamed on this one
