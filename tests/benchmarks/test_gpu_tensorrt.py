"""What benchmarks/gpu_tensorrt.py builds, and how it fails where it cannot."""

import importlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reelmend.engines.engine import Built, Request
from reelmend.engines.network import Network, Part, Port
from reelmend.engines.onnxruntime import OnnxRuntime
from reelmend.engines.tensorrt import TensorRT
from reelmend.errors import EngineRejected


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("gpu_tensorrt")


def test_every_part_in_every_precision_it_has(bench):
    port = Port("x", (1, 3, "h", "w"))
    parts = {
        "main": Part("main", (port,), (port,), 32, files={"fp32": "a", "fp16": "b", "int8": "c"}),
        "rest": Part("rest", (port,), (port,), files={"mixed": "d"}),
    }
    made = list(bench.requests(Network("two", "flow", "any", parts), TensorRT("tensorrt_rtx"), (720, 1280)))
    assert [(r.part.name, r.precision, r.size) for r in made] == [
        ("main", "fp16", (736, 1280)),
        ("main", "fp32", (736, 1280)),
        ("rest", "mixed", (720, 1280)),
    ]


def test_it_says_why_neither_runs_here(bench, monkeypatch):
    monkeypatch.setattr(TensorRT, "why_not", lambda self, device: f"no {self.extra}")
    with pytest.raises(SystemExit, match="make gpu-tensorrt: tensorrt: no tensorrt; tensorrt_rtx: no rtx"):
        bench.usable()
    monkeypatch.setattr(TensorRT, "why_not", lambda self, device: "" if self.extra == "rtx" else "absent")
    assert [b.name for b in bench.usable()] == ["tensorrt_rtx"]


class Host:
    """A GPU made of NumPy arrays."""

    def put(self, array):
        return np.array(array, order="C")

    get = staticmethod(np.asarray)

    def copy(self, to, source):
        to[...] = source

    def wait(self):
        pass


class Pretended:
    """A backend that runs ONNX Runtime.

    stale  runs on arrays it knows give what the first run on them gave, as a graph does that reads other memory
    gain   what its results are multiplied by
    """

    name = "pretended"

    def __init__(self, stale=False, gain=1.0):
        self.stale, self.gain = stale, gain

    def build(self, request, onnx, told):
        return Built(b"a plan")

    def load(self, request, onnx, plan):
        engine = OnnxRuntime().load(replace(request, device="cpu"), onnx, None)
        run, known = engine.run, []

        def turned(inputs, outputs=None, stream=None):
            results = run(inputs, outputs)
            before = [old for x, old in known if x is inputs["x"]]
            for name, y in results.items():
                y *= self.gain
                if self.stale and before:
                    y[...] = before[0][name]
            known.append((inputs["x"], {name: y.copy() for name, y in results.items()}))
            return results

        engine.run = turned
        return engine


@pytest.fixture
def tiny(tmp_path):
    """The small network of the tests of engines."""
    spec = importlib.util.spec_from_file_location("engines_conftest", Path(__file__).parents[1] / "engines/conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_network(tmp_path, {"fp32": module.upscaler(module.conv_weights())})


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr("reelmend.engines.engine.Engine.why_not_recorded", "")  # as TensorRT's
    timing = SimpleNamespace(seconds=1e-3, q1=1e-3, q3=2e-3, queueing=1e-5, starved=0)

    def timed(calls):
        for call in calls:
            call()
        return timing

    return SimpleNamespace(gpus=[Host()], faults=[], clock=SimpleNamespace(time=timed))


@pytest.mark.extra("train")
def test_what_is_told_of_an_engine(bench, machine, tiny):
    row = bench.measured(machine, Pretended(), Request(tiny, tiny.part(), (32, 48), "fp32", "cuda"))
    assert (row.case, row.method) == ("tiny/main fp32, 48x32", "pretended")
    assert machine.faults == []
    assert row.values["replay_differs"] == 0
    assert row.values["psnr_db"] >= 100
    assert row.values["engine_us"] == 1000


@pytest.mark.extra("train")
def test_stale_replays_are_a_fault(bench, machine, tiny):
    request = Request(tiny, tiny.part(), (32, 48), "fp32", "cuda")
    bench.measured(machine, Pretended(stale=True), request)
    (fault,) = machine.faults
    assert fault.startswith("tiny/main fp32: ")
    assert fault.endswith(" samples change when it is replayed")


@pytest.mark.extra("train")
def test_an_engine_that_is_not_accepted_is_not_timed(bench, machine, tiny):
    with pytest.raises(EngineRejected, match="differs from the fp32 reference"):
        bench.measured(machine, Pretended(gain=1.1), Request(tiny, tiny.part(), (32, 48), "fp32", "cuda"))
