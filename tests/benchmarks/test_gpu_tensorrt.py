"""What benchmarks/gpu_tensorrt.py builds, and how it fails where it cannot."""

import importlib
from pathlib import Path

import pytest

from reelmend.engines.network import Network, Part, Port
from reelmend.engines.tensorrt import TensorRT


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
