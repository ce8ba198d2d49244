"""TensorRT-RTX without a GPU: parsing, profiles, building for cards that are not here, and every refusal."""

from dataclasses import replace
from pathlib import Path

import pytest

from reelmend.engines.engine import Request
from reelmend.engines.network import Port, load_network
from reelmend.engines.tensorrt import TensorRT, check_builds
from reelmend.errors import EngineBuildError, EngineError, MissingExtraError, OptionError

from .conftest import conv_weights, upscaler, write_network

SHIPPED = Path(__file__).parents[2] / "engines"

TARGETS = (75, 80, 86, 89, 120)

needs = pytest.mark.extra("rtx", "train")


@pytest.fixture
def rtx():
    return TensorRT("tensorrt_rtx")


def request_for(network, size=(32, 48), **more):
    return Request(network, network.part(), size, **{"device": "cuda", "targets": (86,), **more})


def silent(line):
    pass


def built(backend, request):
    return backend.build(request, request.network.onnx(precision=request.precision), silent)


def graph(nodes, shape=(1, 3, "h", "w"), kind=1, more=(), scales=()):
    """ONNX bytes of nodes between x and y; `scales` is their constant s, `more` their domains."""
    import numpy as np
    from onnx import helper, numpy_helper

    ends = [[helper.make_tensor_value_info(name, kind, s)] for name, s in (("x", shape), ("y", None))]
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in more)]
    constants = [numpy_helper.from_array(np.array(scales, np.float32), "s")] if scales else []
    model = helper.make_model(helper.make_graph(nodes, "g", *ends, constants), opset_imports=opsets, ir_version=9)
    return model.SerializeToString()


def node(*args, **more):
    from onnx import helper

    return helper.make_node(*args, **more)


def no_gpu():
    from reelmend import _cuda

    return bool(_cuda.why_not())


@needs
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("ends", [{}, {"smallest": (16, 16), "largest": (64, 64)}], ids=["static", "dynamic"])
def test_it_builds_for_every_card_that_it_serves(rtx, tiny, precision, ends):
    plans = {}
    for target in TARGETS:
        result = built(rtx, request_for(tiny, precision=precision, targets=(target,), **ends))
        assert result.facts["layers"] >= 4
        plans[target] = result.plan
    assert all(len(plan) > 10_000 for plan in plans.values())
    assert plans[75] != plans[120]


@needs
def test_one_plan_for_several_cards(rtx, tiny):
    one, two = (built(rtx, request_for(tiny, targets=t)).plan for t in ((75,), (75, 120)))
    assert len(two) > len(one)


@needs
def test_the_profile_has_the_shapes_of_the_ports(rtx, tiny):
    facts = built(rtx, request_for(tiny, smallest=(16, 24), largest=(64, 80))).facts
    assert facts["profile"] == {"x": [[1, 3, 16, 24], [1, 3, 32, 48], [1, 3, 64, 80]]}


@needs
def test_sizes_that_the_file_does_not_take(rtx, tiny):
    fixed = graph([node("Resize", ["x", "", "s"], ["y"], mode="nearest")], (1, 3, 32, 48), scales=(1, 1, 2, 2))
    assert rtx.build(request_for(tiny), fixed, silent).plan
    with pytest.raises(EngineBuildError) as caught:
        rtx.build(request_for(tiny, smallest=(16, 24)), fixed, silent)
    assert caught.value.reasons[0] == "x has the shape (1, 3, 32, 48); expected (1, 3, 16, 24) for 24x16"


@needs
def test_it_tells_of_its_progress(rtx, tiny):
    lines = []
    rtx.build(request_for(tiny), tiny.onnx(), lines.append)
    assert lines


@needs
def test_what_told_raises_ends_the_build(rtx, tiny):
    def told(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rtx.build(request_for(tiny), tiny.onnx(), told)
    assert built(rtx, request_for(tiny)).plan  # the next build is not disturbed


@needs
def test_all_unsupported_nodes_are_told_at_once(rtx, tiny):
    nodes = [
        node("Relu", ["x"], ["r"], "positive"),
        node("Det", ["r"], ["d"], "determinant"),
        node("Odd", ["r"], ["o"], "peculiar", domain="my.own"),
        node("Add", ["d", "o"], ["y"], "sum"),
    ]
    with pytest.raises(EngineBuildError) as caught:
        rtx.build(request_for(tiny), graph(nodes, (1, 3, 4, 4), more=["my.own"]), silent)
    first, second = caught.value.reasons
    assert first.startswith("node 'determinant' (Det): UNSUPPORTED_NODE")
    assert second.startswith("node 'peculiar' (Odd): INVALID_NODE: ")
    assert "Plugin not found" in second
    assert str(caught.value).startswith("tiny/main fp32: TensorRT-RTX ")


@needs
@pytest.mark.parametrize("data", [b"", b"garbage", b"\x08\x09" * 500])
def test_a_file_that_is_no_onnx(rtx, tiny, data):
    with pytest.raises(EngineBuildError, match=r"cannot parse it|not what the network's description says") as caught:
        rtx.build(request_for(tiny), data, silent)
    assert caught.value.reasons


@needs
def test_a_file_that_is_not_what_the_network_says(rtx, tiny):
    relu = [node("Relu", ["x"], ["y"])]
    with pytest.raises(EngineBuildError, match=r"y has the shape .*; expected \(1, 3, 64, 96\) for 48x32"):
        rtx.build(request_for(tiny), graph(relu, (1, 3, 32, 48)), silent)
    with pytest.raises(EngineBuildError, match="x is HALF; expected FLOAT"):
        rtx.build(request_for(tiny), graph(relu, kind=10), silent)
    other = replace(tiny.part(), inputs=(Port("picture", (1, 3, "h", "w")),))
    with pytest.raises(EngineBuildError, match="inputs are x; expected picture"):
        rtx.build(replace(request_for(tiny), part=other), tiny.onnx(), silent)


@needs
def test_a_card_that_is_not_served(rtx, tiny):
    with pytest.raises(EngineBuildError, match=r"compute capability 90; it has 75, 80, 86, 89, 120"):
        built(rtx, request_for(tiny, targets=(86, 90)))


def test_tensorrt_builds_for_no_absent_card(tiny_facts):
    with pytest.raises(EngineBuildError, match="builds for the card that is here, not for compute capability 86"):
        TensorRT("tensorrt").build(tiny_facts, b"", silent)


@pytest.fixture
def tiny_facts(tmp_path):
    """A request of a network whose files nobody reads."""
    return request_for(write_network(tmp_path, {"fp32": b""}))


@needs
def test_a_plan_does_not_load_without_a_gpu(rtx, tiny):
    if not no_gpu():
        pytest.skip("there is a GPU")
    request = request_for(tiny)
    with pytest.raises(EngineError, match=r"does not load this engine here: .*CUDA driver version is insufficient"):
        rtx.load(request, tiny.onnx(), built(rtx, request).plan)


@needs
def test_a_plan_that_is_none(rtx, tiny):
    with pytest.raises(EngineError, match=r"does not load this engine here: .*magicTag"):
        rtx.load(request_for(tiny), tiny.onnx(), b"garbage" * 100)
    with pytest.raises(EngineError, match="build it first"):
        rtx.load(request_for(tiny), tiny.onnx(), None)


@needs
def test_an_error_does_not_show_up_in_the_next(rtx, tiny):
    with pytest.raises(EngineError, match="magicTag"):
        rtx.load(request_for(tiny), tiny.onnx(), b"garbage" * 100)
    with pytest.raises(EngineBuildError) as caught:
        rtx.build(request_for(tiny), b"garbage", silent)
    assert "magicTag" not in str(caught.value)


@needs
def test_what_an_engine_is_made_by(rtx, tiny):
    import tensorrt_rtx

    flags = {"flags": "-TF32 +REQUIRE_USER_ALLOCATION"}
    expected = {"builder": f"tensorrt_rtx {tensorrt_rtx.__version__}", "capability": "75, 86", **flags}
    assert rtx.identity(request_for(tiny, targets=(75, 86))) == expected


class Card:
    """What reelmend._cuda says of one GPU."""

    def __init__(self, capability):
        self.capability = capability

    def why_not(self):
        return ""

    def device_count(self):
        return 1

    def device_info(self, index):
        return {"name": "A card", "compute_capability": self.capability}

    def cuda_version(self):
        return 13020


@pytest.fixture
def card(monkeypatch):
    def put(capability):
        monkeypatch.setattr("reelmend.engines.tensorrt.cuda_module", lambda: Card(capability))

    return put


@pytest.mark.extra("rtx")
@pytest.mark.parametrize("capability", ["7.5", "8.0", "8.6", "8.9", "12.0", "12.1"])
def test_cards_that_rtx_serves(rtx, card, capability):
    card(capability)
    assert rtx.why_not("cuda") == ""


@pytest.mark.extra("rtx")
@pytest.mark.parametrize("capability", ["7.0", "9.0", "10.0"])
def test_cards_that_rtx_does_not_serve(rtx, card, capability):
    card(capability)
    assert rtx.why_not("cuda") == f"TensorRT-RTX does not serve A card (compute capability {capability})"


@pytest.mark.extra("rtx")
def test_why_it_does_not_run(rtx, card):
    assert rtx.why_not("cpu") == "TensorRT-RTX runs on NVIDIA GPUs, not on a CPU"
    assert "expected 'cuda' or 'cuda:N'" in rtx.why_not("gpu")
    if no_gpu():
        assert rtx.why_not("cuda").startswith("no GPU: ")
    card("8.6")
    assert rtx.why_not("cuda:1") == "no GPU 1: there are 1"


def test_a_package_that_is_not_there(monkeypatch, tiny_facts):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("reelmend.engines.tensorrt_build._package", absent)
    for name, words in (("tensorrt", r"'reelmend[tensorrt]'"), ("tensorrt_rtx", r"'reelmend[rtx]'")):
        backend = TensorRT(name)
        assert words in backend.why_not("cuda")
        with pytest.raises(MissingExtraError, match="not installed"):
            backend.load(tiny_facts, b"", b"plan")
    with pytest.raises(MissingExtraError, match="building tiny needs the package 'tensorrt-rtx'"):
        check_builds(tiny_facts.network)


@pytest.mark.extra("rtx")
def test_the_card_is_part_of_what_an_engine_is(rtx, card, tiny_facts, monkeypatch, tmp_path):
    card("8.6")
    version = tmp_path / "version"
    monkeypatch.setattr("reelmend.engines.tensorrt._DRIVER", version)
    here = replace(tiny_facts, targets=())
    assert rtx.identity(here) | {"builder": ""} == {
        "builder": "",
        "flags": "-TF32 +REQUIRE_USER_ALLOCATION",
        "gpu": "A card",
        "capability": "8.6",
        "driver": "of CUDA 13.2",
    }
    version.write_text("580.65.06\n")
    assert rtx.identity(here)["driver"] == "580.65.06"


def test_there_are_two():
    with pytest.raises(OptionError, match="expected tensorrt or tensorrt_rtx"):
        TensorRT("rtx")


@needs
def test_a_network_that_builds(tiny):
    assert check_builds(tiny) == []


@needs
@pytest.mark.parametrize("folder", sorted(p.parent for p in SHIPPED.glob("*/network.json")), ids=lambda p: p.name)
def test_every_shipped_network_builds_for_every_card(folder):
    assert check_builds(load_network(folder)) == []


@needs
def test_a_network_that_does_not_build(tiny, tmp_path):
    weights = conv_weights()
    bad = graph([node("Det", ["x"], ["d"], "determinant"), node("Relu", ["d"], ["y"])])
    write_network(tmp_path / "bad", {"fp32": upscaler(weights), "fp16": bad}, "bad")
    (problem,) = check_builds(load_network(tmp_path / "bad" / "bad"), (75, 86))
    assert problem.startswith("bad/main fp16: TensorRT-RTX ")
    assert "node 'determinant' (Det)" in problem
    assert problem.endswith("[one size on 75, one size on 86, a range of sizes on 75, a range of sizes on 86]")
