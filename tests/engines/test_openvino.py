"""OpenVINO on the CPU: what ONNX Runtime gives, on bound buffers; compared first, and left out where it is absent."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from reelmend.engines import find, open_engine, opening, plan_engine
from reelmend.engines.acceptance import accept, reference
from reelmend.engines.engine import Request
from reelmend.engines.openvino import OpenVino, package
from reelmend.errors import ArrayError, EngineBuildError, EngineError, EngineRejected, MissingExtraError

from .conftest import conv_weights, upscaler, write_network

SIZE = (36, 52)


def opened(network, size=SIZE, **more):
    request = Request(network, network.part(), network.part().padded(size), **more)
    return OpenVino().load(request, network.onnx(precision=request.precision), None)


def picture(rows, columns, seed=0):
    return np.random.default_rng(seed).random((1, 3, rows, columns), np.float32)


def truth(network, x):
    with reference(Request(network, network.part(), x.shape[2:])) as engine:
        return engine.run({"x": x})["y"]


@pytest.fixture
def lite():
    return find("lite-x2")


@pytest.fixture
def absent(monkeypatch):
    """OpenVINO is not installed."""
    monkeypatch.setitem(sys.modules, "openvino", None)


# Networks sum some hundred products of values about one: fp32 in another order differs by some of its 6e-8.
CLOSE = {"atol": 2e-5, "rtol": 0}


@pytest.mark.extra("openvino")
@pytest.mark.parametrize("size", [(16, 16), SIZE, (130, 78)])
def test_it_gives_what_the_reference_gives(lite, size):
    rows, columns = lite.part().padded(size)
    x = picture(rows, columns)
    with opened(lite, size) as engine:
        assert (engine.backend, engine.precision, engine.device) == ("openvino", "fp32", "cpu")
        y = engine.run({"x": x})["y"]
        assert accept(engine).worst.psnr > 100
    assert y.shape == (1, 3, 2 * rows, 2 * columns)
    np.testing.assert_allclose(y, truth(lite, x), **CLOSE)


@pytest.mark.extra("openvino")
def test_a_dynamic_engine_takes_all_sizes_between_its_ends(lite):
    with opened(lite, smallest=(16, 20), largest=(80, 96)) as engine:
        for size in ((16, 20), SIZE, (80, 96), (16, 96), SIZE):
            engine.resize(size)
            x = picture(*size, seed=size[1])
            np.testing.assert_allclose(engine.run({"x": x})["y"], truth(lite, x), **CLOSE)
        with pytest.raises(EngineError, match=r"96x82 is not a size .* 20x16 to 96x80"):
            engine.resize((82, 96))


@pytest.mark.extra("openvino")
def test_a_static_engine_takes_one_size(lite):
    with opened(lite) as engine, pytest.raises(EngineError, match="20x20 is not a size"):
        engine.resize((20, 20))
    with pytest.raises(EngineError, match="52x36 is not a size this engine was opened for: 64x64 to 52x36"):
        opened(lite, smallest=(64, 64))


@pytest.mark.extra("openvino")
def test_results_are_written_where_they_are_wanted(lite):
    outs = [np.full((1, 3, 72, 104), np.nan, np.float32) for _ in range(2)]
    x = picture(*SIZE)
    with opened(lite) as engine:
        for k in range(6):  # two outputs in turn, thrice bound anew; the input's contents change in place
            x[...] = picture(*SIZE, seed=k)
            out = outs[k // 2 % 2]
            assert engine.run({"x": x}, {"y": out})["y"] is out
            np.testing.assert_allclose(out, truth(lite, x), **CLOSE)


@pytest.mark.extra("openvino")
def test_results_that_are_not_given_are_new_ones(lite):
    with opened(lite) as engine:
        x = picture(*SIZE)
        first = engine.run({"x": x})["y"]
        kept = first.copy()
        second = engine.run({"x": picture(*SIZE, seed=1)})["y"]
    assert (first == kept).all()
    assert (first != second).any()


@pytest.mark.extra("openvino")
def test_it_reads_arrays_that_may_not_be_written(lite):
    x = picture(*SIZE)
    expected = truth(lite, x)
    x.flags.writeable = False
    with opened(lite) as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], expected, **CLOSE)


@pytest.mark.extra("openvino")
def test_arrays_are_bound_anew_only_where_they_lie_elsewhere(lite, monkeypatch):
    x, out = picture(*SIZE), np.empty((1, 3, 72, 104), np.float32)
    with opened(lite) as engine:
        bound = []
        bind = engine._bind
        monkeypatch.setattr(engine, "_bind", lambda *arrays: bound.append(1) or bind(*arrays))
        for _ in range(3):
            engine.run({"x": x}, {"y": out})
        assert len(bound) == 1
        engine.run({"x": x.copy()}, {"y": out})
        assert len(bound) == 2


@pytest.mark.extra("openvino")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_it_takes_as_many_threads_as_it_is_told(lite, threads):
    x = picture(*SIZE)
    with opened(lite, threads=threads) as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], truth(lite, x), **CLOSE)


@pytest.mark.extra("openvino")
@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "inputs are none; expected x"),
        ({"x": picture(*SIZE), "z": picture(*SIZE)}, "inputs are x, z; expected x"),
        ({"x": picture(36, 54)}, r"x is float32 \(1, 3, 36, 54\); expected float32 \(1, 3, 36, 52\)"),
        ({"x": picture(*SIZE).astype(np.float64)}, "x is float64"),
        ({"x": picture(36, 104)[..., ::2]}, "x is strided; expected a C-contiguous array"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(lite, inputs, why):
    with opened(lite) as engine, pytest.raises(ArrayError, match=why):
        engine.run(inputs)


@pytest.mark.extra("openvino")
def test_outputs_that_do_not_fit_are_refused(lite):
    with opened(lite) as engine, pytest.raises(ArrayError, match=r"y is float32 \(1, 3, 36, 52\)"):
        engine.run({"x": picture(*SIZE)}, {"y": picture(*SIZE)})


@pytest.mark.extra("openvino")
def test_what_is_no_network_is_refused_with_the_reason(lite):
    with pytest.raises(EngineBuildError, match="OpenVINO refuses it") as caught:
        OpenVino().load(Request(lite, lite.part(), SIZE), b"this is not a protobuf", None)
    assert caught.value.reasons


@pytest.mark.extra("openvino")
def test_ports_must_be_those_of_the_description(lite):
    part = lite.part()
    other = replace(part, outputs=(replace(part.outputs[0], name="result"),))
    with pytest.raises(EngineError, match=r"its outputs are \['y'\]; expected \['result'\]"):
        OpenVino().load(Request(lite, other, SIZE), lite.onnx(), None)


@pytest.mark.extra("openvino")
def test_a_closed_engine_says_that_it_does_not_run(lite):
    engine = opened(lite)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="the run failed"):
        engine.run({"x": picture(*SIZE)})


@pytest.mark.extra("openvino")
def test_it_is_taken_for_enlarging_compared_once_and_remembered(lite, tmp_path, monkeypatch):
    assert plan_engine(lite, size=SIZE).state == "to build"
    with open_engine(lite, size=SIZE) as engine:
        assert engine.backend == "openvino"
        assert engine.fallbacks == ()
    (path,) = (tmp_path / "cache").glob("engines/*/manifest.json")
    manifest = json.loads(path.read_text())
    assert manifest["acceptance"]["worst"][0]["psnr"] > 100
    assert manifest["fields"]["builder"] == f"openvino {package().__version__}"
    assert manifest["fields"]["cpu"]
    plan = plan_engine(lite, size=SIZE)
    assert (plan.backend, plan.state, plan.fallbacks) == ("openvino", "cached", ())
    monkeypatch.setattr(opening, "accept", lambda *a: pytest.fail("compared again"))
    monkeypatch.setattr("reelmend.engines.openvino._compiled", lambda *a: pytest.fail("compiled again"))
    x = picture(*SIZE)
    with open_engine(lite, size=SIZE) as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], truth(lite, x), **CLOSE)


@pytest.mark.extra("openvino")
def test_what_is_kept_gives_the_same_bits_at_all_sizes_and_with_any_threads(lite):
    request = Request(lite, lite.part(), SIZE, smallest=(16, 20), largest=(80, 96), threads=2)
    plan = OpenVino().build(request, lite.onnx(), print).plan
    for threads in (1, 2, 3):
        again = OpenVino().load(replace(request, threads=threads), lite.onnx(), plan)
        with OpenVino().load(replace(request, threads=threads), lite.onnx(), None) as made, again as kept:
            for size in ((16, 20), SIZE, (80, 96)):
                made.resize(size)
                kept.resize(size)
                x = picture(*size)
                assert (made.run({"x": x})["y"] == kept.run({"x": x})["y"]).all()


@pytest.mark.extra("openvino")
def test_what_was_kept_and_does_not_load_is_made_again(lite, monkeypatch):
    open_engine(lite, size=SIZE).close()
    loads = iter([b"something else", None])
    load = OpenVino.load
    monkeypatch.setattr(
        OpenVino, "load", lambda self, request, onnx, plan: load(self, request, onnx, next(loads) or plan)
    )
    said = []
    with open_engine(lite, size=SIZE, told=said.append) as engine:
        assert engine.backend == "openvino"
    assert any("OpenVINO does not load what it made" in line and "it is built again" in line for line in said)


@pytest.mark.extra("openvino", "train")
def test_it_takes_other_precisions_where_they_are_asked_for(tiny):
    with open_engine(tiny, size=SIZE, precision="fp16", backend="openvino") as engine:
        assert (engine.backend, engine.precision) == ("openvino", "fp16")


@pytest.mark.extra("openvino", "train")
def test_it_is_not_taken_for_what_it_does_no_faster(tmp_path):
    network = replace(write_network(tmp_path / "catalogue", {"fp32": upscaler(conv_weights())}), task="flow")
    assert plan_engine(network, size=SIZE).backend == "onnxruntime"
    assert plan_engine(network, size=SIZE, backend="openvino").backend == "openvino"


@pytest.mark.extra("openvino", "train")
@pytest.mark.parametrize("fault", ["weights scaled by 2 %", "one wrong sign", "not a number"])
def test_a_planted_fault_is_rejected_and_the_reference_taken(tmp_path, monkeypatch, fault):
    weights = conv_weights()
    network = write_network(tmp_path / "catalogue", {"fp32": upscaler(weights)})
    weights[5] *= {"weights scaled by 2 %": 1.02, "one wrong sign": -1, "not a number": np.nan}[fault]
    wrong, build = upscaler(weights), OpenVino.build
    monkeypatch.setattr(OpenVino, "build", lambda self, request, onnx, told: build(self, request, wrong, told))
    said = []
    with open_engine(network, size=SIZE, told=said.append) as engine:
        assert engine.backend == "onnxruntime"
        (fallback,) = engine.fallbacks
    assert (fallback.wanted, fallback.used) == ("openvino fp32", "onnxruntime fp32")
    assert "output 'y' differs" in fallback.why
    assert any("output 'y' differs" in line for line in said)
    plan = plan_engine(network, size=SIZE)
    assert plan.backend == "onnxruntime"
    assert "it was rejected" in plan.fallbacks[0].why
    with pytest.raises(EngineRejected):
        open_engine(network, size=SIZE, backend="openvino")


@pytest.mark.extra("openvino")
def test_what_it_refuses_is_told_and_the_reference_taken(lite, monkeypatch):
    def build(self, request, onnx, told):
        raise EngineBuildError("OpenVINO refuses it", ["node a: unsupported"])

    monkeypatch.setattr(OpenVino, "build", build)
    with open_engine(lite, size=SIZE) as engine:
        assert engine.backend == "onnxruntime"
        assert "node a: unsupported" in engine.fallbacks[0].why


@pytest.mark.extra("openvino")
def test_an_installation_that_does_not_load_is_told(lite, monkeypatch):
    def broken():
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr("reelmend.engines.openvino._core", broken)
    plan = plan_engine(lite, size=SIZE)
    assert plan.backend == "onnxruntime"
    assert "libopenvino.so" in plan.fallbacks[0].why


def test_who_did_not_install_it_hears_nothing_of_it(lite, absent):
    plan = plan_engine(lite, size=SIZE)
    assert (plan.backend, plan.state, plan.fallbacks) == ("onnxruntime", "ready", ())
    with open_engine(lite, size=SIZE) as engine:
        assert (engine.backend, engine.fallbacks) == ("onnxruntime", ())


def test_who_asks_for_it_is_told_the_extra(lite, absent):
    for call in (plan_engine, open_engine):
        with pytest.raises(MissingExtraError, match=r"pip install 'reelmend\[openvino\]'") as caught:
            call(lite, size=SIZE, backend="openvino")
        assert caught.value.extra == "openvino"


def test_it_runs_on_the_cpu_alone(lite):
    assert "runs on the CPU here, not on cuda" in OpenVino().why_not("cuda")
    assert not OpenVino().offered(lite, "cuda")


@pytest.mark.extra("openvino")
def test_nothing_is_reported_to_anyone(tmp_path):
    """OpenVINO's import leaves a file in the home and posts to a server, unless it is kept from it."""
    script = (
        "import socket, sys\n"
        "def refused(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = socket.getaddrinfo = refused\n"
        "from reelmend.engines import open_engine\n"
        "with open_engine('lite-x2', size=(16, 16), backend='openvino') as engine: print(engine.backend)\n"
        "assert not [m for m in sys.modules if m.startswith('openvino_telemetry')]\n"
    )
    env = {"HOME": str(tmp_path), "REELMEND_CACHE": str(tmp_path / "cache"), "PATH": ""}
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], env=env, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("openvino\n", 0), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]


@pytest.mark.extra("openvino")
def test_a_program_that_wants_all_of_openvino_has_it(tmp_path):
    script = (
        "import sys\n"
        "from reelmend.engines.openvino import package\n"
        "package()\n"
        "sys.modules['openvino_telemetry'] = None\n"
        "from openvino import convert_model\n"
        "import openvino\n"
        "assert convert_model is openvino.convert_model is openvino.tools.ovc.convert_model\n"
        "assert not hasattr(openvino, 'something_else')\n"
    )
    subprocess.run([sys.executable, "-c", script], env={"HOME": str(tmp_path), "PATH": ""}, check=True)
