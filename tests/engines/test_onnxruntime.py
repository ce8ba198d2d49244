"""ONNX Runtime on the CPU: bound buffers, sizes, threads, refusals."""

import subprocess
import sys

import numpy as np
import pytest

from reelmend.engines.engine import Request
from reelmend.engines.onnxruntime import OnnxRuntime
from reelmend.errors import ArrayError, EngineBuildError, EngineError

from .conftest import conv_weights

pytestmark = pytest.mark.extra("train")


def expected(x):
    """The network of conv_weights() in float64."""
    weights = conv_weights().astype(np.float64)
    rows, columns = x.shape[2:]
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    y = np.zeros((12, rows, columns))
    for j in range(3):
        for i in range(3):
            y += np.einsum("kc,cyx->kyx", weights[:, :, j, i], padded[:, j : j + rows, i : i + columns])
    return y.reshape(3, 2, 2, rows, columns).transpose(0, 3, 1, 4, 2).reshape(1, 3, 2 * rows, 2 * columns)


def opened(network, size=(18, 22), **more):
    request = Request(network, network.part(), size, **more)
    return OnnxRuntime().load(request, network.onnx(precision=request.precision), None)


def picture(rows, columns, seed=0):
    return np.random.default_rng(seed).random((1, 3, rows, columns), np.float32)


def test_it_computes_the_network(tiny):
    x = picture(18, 22)
    with opened(tiny) as engine:
        y = engine.run({"x": x})["y"]
    np.testing.assert_allclose(y, expected(x), atol=2e-6)


def test_results_are_written_where_they_are_wanted(tiny):
    out = np.full((1, 3, 36, 44), np.nan, np.float32)
    with opened(tiny) as engine:
        for seed in range(3):  # the binding of the first run serves the others, which see what is new in the buffers
            x = picture(18, 22, seed)
            assert engine.run({"x": x}, {"y": out})["y"] is out
            np.testing.assert_allclose(out, expected(x), atol=2e-6)


def test_new_contents_of_the_same_buffers_are_seen(tiny):
    x, out = picture(18, 22), np.empty((1, 3, 36, 44), np.float32)
    with opened(tiny) as engine:
        engine.run({"x": x}, {"y": out})
        x[...] = picture(18, 22, 5)
        engine.run({"x": x}, {"y": out})
    np.testing.assert_allclose(out, expected(x), atol=2e-6)


def test_threads_do_not_change_the_bits(tiny):
    x = picture(64, 80)
    results = []
    for threads in (1, 2, 3):
        with opened(tiny, (64, 80), threads=threads) as engine:
            results.append(engine.run({"x": x})["y"])
    assert all((r == results[0]).all() for r in results)


def test_a_dynamic_engine_takes_all_sizes_between_its_ends(tiny):
    with opened(tiny, smallest=(8, 8), largest=(40, 40)) as engine:
        for size in ((8, 8), (31, 17), (40, 40)):
            engine.resize(size)
            x = picture(*size)
            np.testing.assert_allclose(engine.run({"x": x})["y"], expected(x), atol=2e-6)
        with pytest.raises(EngineError, match=r"41x40 is not a size .* 8x8 to 40x40"):
            engine.resize((40, 41))


def test_a_static_engine_takes_one_size(tiny):
    with opened(tiny) as engine, pytest.raises(EngineError, match="20x20 is not a size"):
        engine.resize((20, 20))


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "inputs are none; expected x"),
        ({"x": picture(18, 22), "z": picture(18, 22)}, "inputs are x, z; expected x"),
        ({"x": picture(18, 24)}, r"x is float32 \(1, 3, 18, 24\); expected float32 \(1, 3, 18, 22\)"),
        ({"x": picture(18, 22).astype(np.float64)}, "x is float64"),
        ({"x": picture(18, 44)[..., ::2]}, "x is strided; expected a C-contiguous array"),
        ({"x": picture(18, 22).tolist()}, None),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tiny, inputs, why):
    with opened(tiny) as engine, pytest.raises((ArrayError, AttributeError) if why is None else ArrayError, match=why):
        engine.run(inputs)


def test_what_is_no_network_is_refused_with_the_reason(tiny):
    request = Request(tiny, tiny.part(), (18, 22))
    with pytest.raises(EngineBuildError, match="ONNX Runtime refuses it") as caught:
        OnnxRuntime().load(request, b"this is not a protobuf", None)
    assert caught.value.reasons


def test_ports_must_be_those_of_the_description(tiny):
    from dataclasses import replace

    part = tiny.part()
    other = replace(part, outputs=(replace(part.outputs[0], name="result"),))
    with pytest.raises(EngineError, match=r"its outputs are \['y'\]; expected \['result'\]"):
        OnnxRuntime().load(Request(tiny, other, (18, 22)), tiny.onnx(), None)


def test_without_a_cuda_provider_it_says_so():
    assert OnnxRuntime().why_not("cpu") == ""
    assert "no CUDA provider" in OnnxRuntime().why_not("cuda")


def test_nothing_is_reported_to_anyone(tmp_path):
    """It would keep what it has to report in the home's cache."""
    script = (
        "import os, numpy as np\n"
        "from reelmend.engines import open_engine\n"
        "with open_engine('lite-x2', size=(16, 16), backend='onnxruntime') as engine:\n"
        "    engine.run({'x': np.zeros((1, 3, 16, 16), np.float32)})\n"
        "assert 'ORT_DISABLE_TELEMETRY' not in os.environ\n"
    )
    env = {"HOME": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-W", "error", "-c", script], env=env, check=True)
    assert list(tmp_path.iterdir()) == []
