"""Acceptance: engines that differ are caught, and told by output, sample and figure."""

import numpy as np
import pytest

from reelmend.engines.acceptance import accept, compare, reference
from reelmend.engines.engine import Engine, Request
from reelmend.engines.network import Bar, Part, Port
from reelmend.engines.onnxruntime import OnnxRuntime
from reelmend.engines.samples import SAMPLES, samples
from reelmend.errors import EngineRejected

from .conftest import conv_weights, upscaler, write_network


def opened(network, precision, size=(48, 64)):
    request = Request(network, network.part(), size, precision)
    return OnnxRuntime().load(request, network.onnx(precision=precision), None)


@pytest.mark.extra("train")
def test_the_same_network_in_fp16_passes_and_its_figures_are_kept(tiny):
    with opened(tiny, "fp16") as engine:
        found = accept(engine)
    assert {f.sample for f in found.figures} == set(SAMPLES)
    assert 50 < found.worst.psnr < 120
    assert found.as_dict()["worst"][0]["output"] == "y"


@pytest.mark.extra("train")
def test_fp32_equals_itself(tiny):
    with opened(tiny, "fp32") as engine:
        assert accept(engine).worst.psnr == 999.0


def faults():
    weights = conv_weights()
    sign, channel = weights.copy(), weights.copy()
    sign[5] *= -1
    channel[[0, 4]] = channel[[4, 0]]
    return {
        "weights scaled by 2 %": (weights * np.float32(1.02), 1.0),
        "one wrong sign": (sign, 1.0),
        "two channels exchanged": (channel, 1.0),
        "overflow in fp16": (weights, 60000.0),  # the pictures times this are beyond 65504
    }


class Literal16(Engine):
    """Computes in fp16 what the graph says is fp16, as a GPU does; ONNX Runtime's CPU kernels widen it to fp32."""

    backend = "onnx.reference"

    def __init__(self, request, onnx):
        from onnx.reference import ReferenceEvaluator

        self._evaluator = ReferenceEvaluator(onnx)
        super().__init__(request)

    def run(self, inputs, outputs=None, stream=None):
        with np.errstate(over="ignore", invalid="ignore"):
            results = self._evaluator.run(None, dict(inputs))
        return dict(zip(self.outputs, results, strict=True))


@pytest.mark.extra("train")
@pytest.mark.parametrize("fault", faults())
def test_a_planted_fault_is_caught(tmp_path, fault):
    weights, gain = faults()[fault]
    files = {"fp32": upscaler(conv_weights()), "fp16": upscaler(weights, half=True, gain=gain)}
    network = write_network(tmp_path / "catalogue", files)
    request = Request(network, network.part(), (24, 32), "fp16")
    sound = Literal16(request, upscaler(conv_weights(), half=True))
    assert accept(sound).worst.psnr > 50  # without the fault it passes
    with (
        Literal16(request, network.onnx(precision="fp16")) as engine,
        pytest.raises(EngineRejected, match="output 'y' differs") as caught,
    ):
        accept(engine)
    error = caught.value
    assert error.sample in SAMPLES
    assert error.psnr < error.bar_psnr or error.largest > error.bar_largest
    assert str(error.sample) in str(error)
    if fault == "overflow in fp16":
        assert error.largest == np.inf


@pytest.mark.extra("train")
def test_all_sizes_of_a_dynamic_engine_are_compared(tiny):
    request = Request(tiny, tiny.part(), (32, 32), "fp16", smallest=(16, 16), largest=(48, 64))
    engine = OnnxRuntime().load(request, tiny.onnx(precision="fp16"), None)
    found = accept(engine, reference(request))
    assert len(found.figures) == 3 * len(SAMPLES)
    assert engine.size == (32, 32)


def test_what_is_not_finite_is_infinitely_wrong():
    truth = np.ones((1, 3, 4, 4), np.float32)
    given = truth.copy()
    given[0, 0, 0, 0] = np.nan
    figure = compare(Port("y", (1, 3, "h", "w")), "dark", truth, given)
    assert figure.psnr == -np.inf
    assert figure.largest == np.inf


def test_a_truth_that_is_not_finite_proves_nothing():
    given = np.ones((1, 3, 4, 4), np.float32)
    truth = given.copy()
    truth[0, 0, 0, 0] = np.nan
    assert compare(Port("y", (1, 3, "h", "w")), "dark", truth, given).psnr == -np.inf


def test_features_are_judged_by_their_own_span():
    rng = np.random.default_rng(0)
    truth = 100 * rng.random((1, 8, 6, 6), np.float32)
    figure = compare(Port("f", (1, 8, "h", "w"), "features"), "dark", truth, truth + np.float32(0.1))
    assert figure.psnr == pytest.approx(60, abs=0.5)
    assert figure.largest == pytest.approx(1e-3, rel=0.1)


def test_samples_are_the_same_at_every_call_and_within_their_ranges():
    ports = (
        Port("a", (1, 3, "h", "w")),
        Port("b", (1, 3, "h", "w")),
        Port("flow", (1, 2, "h/4", "w/4"), "flow", (-20.0, 20.0)),
        Port("t", (1, 1, "h", "w"), "time"),
        Port("k", (1, 16, "h", "w"), "kernel"),
        Port("f", (1, 5, "h/2", "w/2"), "features", (-3.0, 3.0)),
    )
    part = Part("main", ports, (Port("y", (1, 3, "h", "w")),), multiple=4)
    first, second = list(samples(part, (36, 52))), list(samples(part, (36, 52)))
    assert [name for name, _ in first] == list(SAMPLES)
    for (_, a), (_, b) in zip(first, second, strict=True):
        for port in ports:
            x = a[port.name]
            assert x.dtype == np.float32
            assert x.shape == port.at((36, 52))
            assert x.flags.c_contiguous
            assert (x == b[port.name]).all()
            assert x.min() >= port.range[0] - 1e-5
            assert x.max() <= port.range[1] + 1e-5
    pictures = {name: given["a"] for name, given in first}
    assert pictures["dark"].max() < 0.1
    assert pictures["saturated"].min() < 0.02
    assert pictures["saturated"].max() > 0.98
    moved = dict(first)["fast motion"]
    np.testing.assert_allclose(moved["b"][..., 12:], moved["a"][..., :-12], atol=0.3)
    assert not (moved["a"] == moved["b"]).all()


def test_a_bar_can_be_a_networks_own():
    part = Part("main", (Port("x", (1,)),), (Port("y", (1,)),), bars={"fp16": Bar(33.0, 0.5)})
    assert part.bar("fp16") == Bar(33.0, 0.5)
    assert part.bar("fp32").psnr == 80.0
