"""Opening: backends in order, precisions in turn, the cache, and what is told of what was not taken."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from reelmend.engines import open_engine, opening, plan_engine
from reelmend.engines.cache import EngineCache
from reelmend.engines.engine import Backend, Built, Engine
from reelmend.engines.graph import SharedMemory
from reelmend.engines.onnxruntime import OnnxRuntime
from reelmend.engines.opening import build_ahead
from reelmend.engines.tensorrt_build import Log
from reelmend.errors import DeviceError, EngineBuildError, EngineError, EngineRejected, NetworkError, OptionError

from .conftest import conv_weights, upscaler, write_network
from .pretended import Driver, Package

pytestmark = pytest.mark.extra("train")


class Pretended(Backend):
    """Builds: its plan is the ONNX file, and what is told to be wrong with a precision is done to the results."""

    name = "pretended"
    builds = True
    precisions = ("fp16", "mixed", "fp32")

    def __init__(self):
        self.wrong = {}  # precision: what is added to results, or an exception
        self.version = "1.0"
        self.built = []
        self.broken_plans = 0

    def why_not(self, device):
        return "" if device == "cpu" else "it is only pretended"

    def identity(self, request):
        return {"builder": f"pretended {self.version}"}

    def build(self, request, onnx, told):
        self.built.append(request.precision)
        fault = self.wrong.get(request.precision)
        if isinstance(fault, Exception):
            raise fault
        return Built(b"plan:" + onnx, {"layers": 4})

    def load(self, request, onnx, plan):
        if self.broken_plans:
            self.broken_plans -= 1
            raise EngineError("deserialisation gave nothing")
        assert plan.startswith(b"plan:")
        engine = OnnxRuntime().load(request, plan.removeprefix(b"plan:"), None)
        fault = self.wrong.get(request.precision, 0)
        run = engine.run
        engine.run = lambda *a, **k: {n: y + np.float32(fault) for n, y in run(*a, **k).items()}
        engine.backend = self.name
        return engine


@pytest.fixture
def pretended(monkeypatch):
    backend = Pretended()
    monkeypatch.setitem(opening.BACKENDS, "pretended", backend)
    return backend


@pytest.fixture
def ladder(tmp_path):
    """A network with all three precisions."""
    weights = conv_weights()
    half = upscaler(weights, half=True)
    return write_network(tmp_path / "catalogue", {"fp32": upscaler(weights), "mixed": half, "fp16": half})


def entries(tmp_path):
    return sorted((tmp_path / "cache").glob("engines/*/manifest.json"))


def test_of_the_reference_nothing_is_built_or_kept(tiny, tmp_path):
    with open_engine("tiny", size=(30, 40), backend="onnxruntime") as engine:
        assert (engine.backend, engine.precision, engine.device) == ("onnxruntime", "fp32", "cpu")
        assert engine.fallbacks == ()
    assert plan_engine("tiny", size=(30, 40), backend="onnxruntime").state == "ready"
    assert entries(tmp_path) == []


def test_the_size_is_padded_to_the_multiple(tmp_path):
    write_network(tmp_path / "catalogue", {"fp32": upscaler(conv_weights())}, multiple=16)
    with open_engine("tiny", size=(30, 40)) as engine:
        assert engine.size == (32, 48)
        assert engine.outputs == {"y": (1, 3, 64, 96)}


def test_a_precision_other_than_fp32_is_accepted_once_and_remembered(tiny, tmp_path, monkeypatch):
    open_engine("tiny", size=(32, 32), precision="fp16", backend="onnxruntime").close()
    (manifest,) = entries(tmp_path)
    assert json.loads(manifest.read_text())["acceptance"]["worst"][0]["psnr"] > 50
    monkeypatch.setattr(opening, "accept", lambda *a: pytest.fail("compared again"))
    open_engine("tiny", size=(32, 32), precision="fp16", backend="onnxruntime").close()


def test_an_engine_is_built_once_then_comes_from_the_cache(ladder, pretended):
    plan = plan_engine(ladder, size=(32, 32), backend="pretended")
    assert (plan.state, plan.request.precision) == ("to build", "fp16")
    for _ in range(2):
        with open_engine(ladder, size=(32, 32), backend="pretended") as engine:
            assert engine.precision == "fp16"
    assert pretended.built == ["fp16"]
    assert plan_engine(ladder, size=(32, 32), backend="pretended").state == "cached"
    open_engine(ladder, size=(32, 48), backend="pretended").close()
    assert pretended.built == ["fp16", "fp16"]  # another size, another engine


def test_another_version_builds_again_and_says_why(ladder, pretended):
    open_engine(ladder, size=(32, 32), backend="pretended").close()
    pretended.version = "2.0"
    plan = plan_engine(ladder, size=(32, 32), backend="pretended")
    assert plan.state == "to build"
    assert "pretended 1.0" in plan.why
    assert "pretended 2.0" in plan.why
    said = []
    open_engine(ladder, size=(32, 32), backend="pretended", told=said.append).close()
    assert any("pretended 2.0" in line for line in said)
    assert len(pretended.built) == 2


def test_below_the_bar_the_next_precision_is_tried_and_the_fallback_told(ladder, pretended):
    pretended.wrong = {"fp16": 0.2, "mixed": 0.05}
    said = []
    with open_engine(ladder, size=(32, 32), backend="pretended", told=said.append) as engine:
        assert engine.precision == "fp32"
        assert [f.wanted for f in engine.fallbacks] == ["pretended fp16", "pretended mixed"]
        assert all("output 'y' differs" in f.why for f in engine.fallbacks)
    assert len(said) >= 2
    assert pretended.built == ["fp16", "mixed", "fp32"]


def test_a_rejection_is_remembered_and_not_built_again(ladder, pretended):
    pretended.wrong = {"fp16": 0.2}
    open_engine(ladder, size=(32, 32), backend="pretended").close()
    plan = plan_engine(ladder, size=(32, 32), backend="pretended")
    assert (plan.state, plan.request.precision) == ("cached", "mixed")
    assert [f.wanted for f in plan.fallbacks] == ["pretended fp16"]
    open_engine(ladder, size=(32, 32), backend="pretended").close()
    assert pretended.built == ["fp16", "mixed"]
    with pytest.raises(EngineRejected) as caught:
        open_engine(ladder, size=(32, 32), backend="pretended", precision="fp16")
    assert (caught.value.output, caught.value.network) == ("y", "tiny")
    assert caught.value.psnr < caught.value.bar_psnr
    assert pretended.built == ["fp16", "mixed"]


def test_not_a_number_is_rejected_and_remembered(ladder, pretended):
    pretended.wrong = {"fp16": np.nan}
    for _ in range(2):
        with pytest.raises(EngineRejected, match="output 'y'"):
            open_engine(ladder, size=(32, 32), backend="pretended", precision="fp16")
    assert pretended.built == ["fp16"]


def test_when_all_are_rejected_the_last_error_comes_with_the_others_as_notes(ladder, pretended):
    pretended.wrong = {"fp16": 0.2, "mixed": 0.2, "fp32": 0.2}
    with pytest.raises(EngineRejected, match="fp32") as caught:
        open_engine(ladder, size=(32, 32), backend="pretended")
    assert len(caught.value.__notes__) == 2


def test_what_a_builder_refuses_is_told_and_the_next_tried(ladder, pretended):
    pretended.wrong = {"fp16": EngineBuildError("no", ["node a: unsupported", "node b: unsupported"])}
    with open_engine(ladder, size=(32, 32), backend="pretended") as engine:
        assert engine.precision == "mixed"
        assert "node a" in engine.fallbacks[0].why
        assert "node b" in engine.fallbacks[0].why


def test_a_plan_that_does_not_load_is_built_again_once(ladder, pretended):
    open_engine(ladder, size=(32, 32), backend="pretended").close()
    pretended.broken_plans = 1
    said = []
    open_engine(ladder, size=(32, 32), backend="pretended", told=said.append).close()
    assert any("does not load" in line for line in said)
    assert pretended.built == ["fp16", "fp16"]
    pretended.broken_plans = 9
    with pytest.raises(EngineError, match="deserialisation gave nothing"):
        open_engine(ladder, size=(32, 32), backend="pretended", precision="fp16")


class Ahead(Pretended):
    """Builds for cards that are not here, as TensorRT-RTX does; the card that is here is of 8.6."""

    name = "tensorrt_rtx"

    def why_not(self, device):
        return "" if device == "cuda" else "it is for cards"

    def identity(self, request):
        here = {"gpu": "A card", "capability": "8.6"}
        return {**super().identity(request), **({"capability": "86"} if request.targets == (86,) else here)}

    def load(self, request, onnx, plan):
        return super().load(replace(request, device="cpu"), onnx, plan)


@pytest.fixture
def ahead(ladder, monkeypatch):
    """A backend with an fp16 plan in the cache that it built ahead for the card that is here."""
    backend = Ahead()
    monkeypatch.setitem(opening.BACKENDS, "tensorrt_rtx", backend)
    entry = build_ahead(ladder, size=(32, 32), target=86)
    assert (entry.built, entry.kept, backend.built) == (True, True, ["fp16"])
    return backend


RTX = {"size": (32, 32), "device": "cuda", "backend": "tensorrt_rtx"}


def test_a_plan_that_was_built_ahead_is_taken_and_compared(ladder, ahead, tmp_path):
    said = []
    open_engine(ladder, **RTX, told=said.append).close()
    assert any("takes the engine that was built ahead" in line for line in said)
    assert ahead.built == ["fp16"]
    facts = [json.loads(path.read_text()) for path in entries(tmp_path)]
    assert sorted("acceptance" in f for f in facts) == [False, True]
    assert plan_engine(ladder, **RTX).state == "cached"


def test_a_plan_that_was_built_ahead_and_does_not_load_is_built_here(ladder, ahead):
    ahead.broken_plans = 1
    said = []
    with open_engine(ladder, **RTX, told=said.append) as engine:
        assert (engine.precision, engine.fallbacks) == ("fp16", ())
    assert any("does not load here: deserialisation gave nothing; it is built again" in line for line in said)
    assert ahead.built == ["fp16", "fp16"]
    open_engine(ladder, **RTX).close()  # what was built here is kept beside it
    assert ahead.built == ["fp16", "fp16"]
    assert plan_engine(ladder, **RTX).state == "cached"


def test_when_what_is_built_here_does_not_load_either_it_is_told(ladder, ahead):
    ahead.broken_plans = 2
    with pytest.raises(EngineError, match="deserialisation gave nothing"):
        open_engine(ladder, **RTX)
    assert ahead.built == ["fp16", "fp16"]


def test_a_plan_that_was_built_ahead_and_is_below_the_bar_is_refused(ladder, ahead):
    ahead.wrong = {"fp16": 0.2}
    with open_engine(ladder, **RTX) as engine:
        assert engine.precision == "mixed"
        assert "output 'y' differs" in engine.fallbacks[0].why
    assert ahead.built == ["fp16", "mixed"]


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_what_builders_remember_lies_in_the_cache_that_is_used(tiny, tmp_path, monkeypatch, name):
    driver = Driver()
    package = Package(driver)
    log = Log(package)
    for room in ("graph", "tensorrt"):
        monkeypatch.setattr(f"reelmend.engines.{room}.cuda_module", lambda: driver)
    monkeypatch.setattr("reelmend.engines.tensorrt.package", lambda facts, purpose: (package, log))
    monkeypatch.setattr("reelmend.engines.tensorrt._DRIVER", tmp_path / "catalogue" / "tiny" / "network.json")
    monkeypatch.setattr(opening, "accept", lambda engine: SimpleNamespace(as_dict=dict))
    measured = []

    def build(facts, request, onnx, targets, told, timings=None):
        if timings is not None:
            measured.append(timings.path.parent)
        return Built(b"a plan")

    monkeypatch.setattr("reelmend.engines.tensorrt.build", build)
    cache = EngineCache(tmp_path / "another")
    for turn in range(2):
        engine = open_engine(tiny, size=(32, 32), device="cuda", backend=name, cache=cache)
        assert len(cache.list()) == 1
        engine.close()
        kept = list(cache.kernels.glob("compiled-*"))
        assert len(kept) == (name == "tensorrt_rtx")
        assert package.caches == [b"kernels for 99.1"] * (turn * len(kept))
    assert measured == [cache.kernels] * (name == "tensorrt")
    assert not (tmp_path / "cache").exists()


def test_where_nothing_runs_it_says_why_of_each(tiny):
    with pytest.raises(DeviceError, match="onnxruntime: this ONNX Runtime has no CUDA provider") as caught:
        open_engine("tiny", size=(32, 32), device="cuda")
    assert "tensorrt: " in str(caught.value)
    assert "tensorrt_rtx: " in str(caught.value)
    with pytest.raises(DeviceError):
        plan_engine("tiny", size=(32, 32), device="cuda")


def test_bad_words_are_told(tiny):
    with pytest.raises(OptionError, match="precision is 'fp8'"):
        open_engine("tiny", size=(32, 32), precision="fp8")
    with pytest.raises(OptionError, match="backend is 'ncnn'"):
        open_engine("tiny", size=(32, 32), backend="ncnn")
    for opened in (open_engine, plan_engine):
        with pytest.raises(OptionError, match="device is 'gpu'; expected 'cpu', 'cuda' or 'cuda:N'"):
            opened("tiny", size=(32, 32), device="gpu")
    with pytest.raises(NetworkError, match="no int8 file; it has fp16, fp32"):
        open_engine("tiny", size=(32, 32), precision="int8")
    with pytest.raises(NetworkError, match="no network 'huge'"):
        open_engine("huge", size=(32, 32))


def test_a_plan_reads_as_a_line(tiny):
    plan = plan_engine("tiny", size=(30, 40), backend="onnxruntime")
    assert str(plan) == "tiny/main fp32, 40x30, onnxruntime on cpu: ready"


def test_engines_are_context_managers(tiny):
    with open_engine("tiny", size=(16, 16)) as engine:
        assert isinstance(engine, Engine)


def test_memory_to_share_reaches_the_backend_and_others_leave_it_alone(ladder, pretended, monkeypatch):
    memory, given = SharedMemory(), []
    load = pretended.load
    monkeypatch.setattr(pretended, "load", lambda request, *more: given.append(request.memory) or load(request, *more))
    for size in ((32, 32), (32, 48)):
        open_engine(ladder, size=size, backend="pretended", memory=memory).close()
    open_engine(ladder, size=(32, 32), backend="pretended").close()
    assert given == [memory, memory, None]
    open_engine(ladder, size=(32, 32), backend="onnxruntime", memory=memory).close()
    assert memory.bytes == 0


def test_whether_a_caller_can_record_it_is_known_before_and_after(tiny, pretended, monkeypatch):
    plan = plan_engine(tiny, size=(32, 32), backend="onnxruntime")
    assert "onnxruntime takes memory" in plan.why_not_recorded
    with open_engine(tiny, size=(32, 32), backend="onnxruntime") as engine:
        assert engine.why_not_recorded == plan.why_not_recorded
    monkeypatch.setattr(pretended, "records", True)
    assert plan_engine(tiny, size=(32, 32), backend="pretended").why_not_recorded == ""
