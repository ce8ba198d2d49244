"""fp16 made from fp32: what stays wide, where casts stand, what overflows."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.errors import NetworkError

pytestmark = pytest.mark.extra("train")


@pytest.fixture
def build():
    """build(nodes, weights, inputs, outputs): an fp32 model of (operator, inputs, output, attributes)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def make(nodes, weights=None, inputs=None, outputs=None):
        def value(name, shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        made = [helper.make_node(op, list(i), [o], name=f"{op}_{o}", **more) for op, i, o, more in nodes]
        graph = helper.make_graph(
            made,
            "g",
            [value(n, s) for n, s in (inputs or {"x": (1, 3, "h", "w")}).items()],
            [value(n, s) for n, s in (outputs or {"y": (1, 3, "h", "w")}).items()],
            [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

    return make


def types(model):
    """Element types of all values, by name, and the nodes by the name of their first output."""
    import onnx

    onnx.checker.check_model(model, full_check=True)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    kinds |= {t.name: t.data_type for t in graph.initializer}
    names = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16", onnx.TensorProto.INT64: "int64"}
    return {name: names[kind] for name, kind in kinds.items()}


def operators(model):
    return [node.op_type for node in model.graph.node]


def run(model, **inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def kernel(outputs, inputs, size=3, seed=0):
    return (np.random.default_rng(seed).normal(size=(outputs, inputs, size, size)) / size).astype(np.float32)


PADS = {"pads": [1, 1, 1, 1]}


@pytest.fixture
def three(build):
    """Three convolutions, each but the last with its SiLU."""
    weights = {"a": kernel(8, 3), "b": kernel(8, 8), "c": kernel(3, 8)}
    return build(
        [
            ("Conv", ("x", "a"), "p", PADS),
            ("Sigmoid", ("p",), "s", {}),
            ("Mul", ("p", "s"), "q", {}),
            ("Conv", ("q", "b"), "r", PADS),
            ("Relu", ("r",), "t", {}),
            ("Conv", ("t", "c"), "y", PADS),
        ],
        weights,
    )


def test_all_between_the_ends_is_fp16(three):
    from reelmend.networks.precision import halved

    half = halved(three)
    assert operators(half) == ["Cast", "Conv", "Sigmoid", "Mul", "Conv", "Relu", "Conv", "Cast"]
    found = types(half)
    assert (found["x"], found["y"]) == ("fp32", "fp32")
    assert {found[name] for name in ("p", "s", "q", "r", "t")} == {"fp16"}
    assert {found[t.name] for t in half.graph.initializer} == {"fp16"}
    x = np.random.default_rng(1).random((1, 3, 12, 20), np.float32)
    np.testing.assert_allclose(run(half, x=x)[0], run(three, x=x)[0], atol=2e-2)


def test_mixed_keeps_the_first_and_last_convolutions(three):
    from reelmend.networks.precision import halved

    half = halved(three, mixed=True)
    found = types(half)
    assert [found[name] for name in ("p", "s", "r", "t", "y")] == ["fp32", "fp16", "fp16", "fp16", "fp32"]
    assert [found[n.input[1]] for n in half.graph.node if n.op_type == "Conv"] == ["fp32", "fp16", "fp32"]


def test_a_normalisation_is_fp32_from_end_to_end(build):
    from reelmend.networks.precision import halved

    model = build(
        [
            ("Conv", ("x", "a"), "p", PADS),
            ("ReduceMean", ("p", "axis"), "m", {}),
            ("Sub", ("p", "m"), "d", {}),
            ("Mul", ("d", "d"), "s", {}),
            ("ReduceMean", ("s", "axis"), "v", {}),
            ("Add", ("v", "eps"), "e", {}),
            ("Sqrt", ("e",), "r", {}),
            ("Div", ("d", "r"), "n", {}),
            ("Mul", ("n", "gain"), "g", {}),
            ("Conv", ("g", "b"), "y", PADS),
        ],
        {
            "a": kernel(8, 3),
            "b": kernel(3, 8),
            "axis": np.array([1]),
            "eps": np.float32([1e-7]),  # nothing, in fp16
            "gain": np.ones((8, 1, 1), np.float32),
        },
    )
    half = halved(model)
    found = types(half)
    assert {found[name] for name in ("m", "d", "s", "v", "e", "r", "n", "g", "eps", "gain")} == {"fp32"}
    assert found["p"] == "fp16"
    assert operators(half).count("Cast") == 4  # in, to the normalisation, from it, out
    flat = np.full((1, 3, 9, 9), 0.25, np.float32)
    assert np.isfinite(run(half, x=flat)[0]).all()


def test_a_norm_that_is_kept_from_zero_stays_fp32(build):
    """As torch.nn.functional.normalize: 1e-12, the least it may be, is 0 in fp16, and 0 / 0 no number."""
    from reelmend.networks.precision import halved, rounding

    model = build(
        [
            ("Conv", ("x", "a"), "p", PADS),
            ("ReduceL2", ("p", "axis"), "n", {}),
            ("Clip", ("n", "least"), "c", {}),
            ("Div", ("p", "c"), "d", {}),
            ("Conv", ("d", "b"), "y", PADS),
        ],
        {"a": kernel(8, 3), "b": kernel(3, 8), "axis": np.array([1]), "least": np.float32(1e-12)},
    )
    half = halved(model)
    found = types(half)
    assert {found[name] for name in ("n", "c", "d", "least")} == {"fp32"}
    assert np.isfinite(run(rounding(half), x=np.zeros((1, 3, 6, 6), np.float32))[0]).all()


def test_coordinates_are_fp32_back_to_the_convolution_that_made_them(build):
    from reelmend.networks.precision import halved

    model = build(
        [
            ("Conv", ("x", "a"), "features", PADS),
            ("Relu", ("features",), "f", {}),
            ("Conv", ("f", "b"), "shift", PADS),
            ("Transpose", ("shift",), "moved", {"perm": [0, 2, 3, 1]}),
            ("Add", ("moved", "base"), "grid", {}),
            ("GridSample", ("f", "grid"), "warped", {}),
            ("Conv", ("warped", "c"), "y", PADS),
        ],
        {"a": kernel(8, 3), "b": kernel(2, 8), "c": kernel(3, 8), "base": np.zeros((1, 1, 1, 2), np.float32)},
    )
    found = types(halved(model))
    assert {found[name] for name in ("shift", "moved", "grid", "warped", "base")} == {"fp32"}
    assert {found[name] for name in ("features", "f")} == {"fp16"}


def test_outputs_that_are_flows_are_fp32_back_to_their_convolution(build):
    from reelmend.networks.precision import halved

    model = build(
        [
            ("Conv", ("x", "a"), "p", PADS),
            ("Conv", ("p", "b"), "q", PADS),
            ("Mul", ("q", "twenty"), "flow", {}),
            ("Relu", ("p",), "carry", {}),
        ],
        {"a": kernel(8, 3), "b": kernel(2, 8), "twenty": np.float32(20)},
        outputs={"flow": (1, 2, "h", "w"), "carry": (1, 8, "h", "w")},
    )
    half = halved(model, exact=["flow"])
    found = types(half)
    assert (found["p"], found["q"]) == ("fp16", "fp32")
    assert half.graph.node[-1].op_type == "Cast"  # carry is fp16, and given as fp32
    assert [o.name for o in half.graph.output] == ["flow", "carry"]


def test_sizes_of_a_resize_and_moves_of_the_picture(build):
    """What must be fp32 by definition stays so; samples that are only moved stay as they came."""
    from reelmend.networks.precision import halved

    model = build(
        [
            ("SpaceToDepth", ("x",), "d", {"blocksize": 2}),
            ("Conv", ("d", "a"), "p", PADS),
            ("Resize", ("p", "", "twice"), "r", {"mode": "linear"}),
            ("DepthToSpace", ("r",), "y", {"blocksize": 2}),
        ],
        {"a": kernel(12, 12), "twice": np.float32([1, 1, 2, 2])},
        outputs={"y": (1, 3, "2*h", "2*w")},
    )
    half = halved(model)
    assert operators(half) == ["SpaceToDepth", "Cast", "Conv", "Resize", "DepthToSpace", "Cast"]
    assert types(half)["twice"] == "fp32"
    x = np.random.default_rng(1).random((1, 3, 8, 12), np.float32)
    np.testing.assert_allclose(run(half, x=x)[0], run(model, x=x)[0], atol=2e-2)


def test_a_weight_in_both_precisions_is_there_twice(build):
    from reelmend.networks.precision import halved

    model = build(
        [
            ("Conv", ("x", "a"), "p", PADS),
            ("Mul", ("p", "k"), "q", {}),
            ("Exp", ("q",), "e", {}),
            ("Pow", ("e", "k"), "y", {}),
        ],
        {"a": kernel(3, 3), "k": np.float32([2])},
    )
    found = types(halved(model))
    assert (found["k"], found["k_fp16"]) == ("fp32", "fp16")


def test_loops_are_refused(build):
    from onnx import TensorProto, helper

    from reelmend.networks.precision import halved

    model = build([("Relu", ("x",), "y", {})])
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3, "h", "w"))
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "b", [], [value])
    model.graph.node.append(helper.make_node("If", ["c"], ["o"], name="fork", then_branch=branch, else_branch=branch))
    with pytest.raises(NetworkError, match=r"the node fork .If. is a branch or loop"):
        halved(model)


def test_what_fp16_loses_is_shown_by_rounding(build):
    """Two convolutions that go through 1e6 and back: fine in fp32, infinite in fp16, hidden by ONNX Runtime's CPU."""
    from reelmend.networks.precision import halved, rounding

    model = build(
        [("Conv", ("x", "a"), "p", {}), ("Relu", ("p",), "q", {}), ("Conv", ("q", "b"), "y", {})],
        {"a": np.full((4, 3, 1, 1), 5e4, np.float32), "b": np.full((3, 4, 1, 1), 1e-5, np.float32)},
    )
    x = np.ones((1, 3, 4, 4), np.float32)
    assert np.isfinite(run(model, x=x)[0]).all()
    shown = run(rounding(halved(model)), x=x)[0]
    assert not np.isfinite(shown).all()


def test_rounding_rounds_every_value_once(build):
    """Against the same sum in NumPy, rounded where the graph's values stand."""
    from reelmend.networks.precision import halved, rounding

    a, b = np.float32(1.0009765625 * 3), np.float32(1 / 3)
    model = build(
        [
            ("Conv", ("x", "k"), "p", {}),
            ("Mul", ("p", "a"), "q", {}),
            ("Sigmoid", ("q",), "r", {}),
            ("Add", ("r", "b"), "y", {}),
        ],
        {"k": np.eye(3, dtype=np.float32)[:, :, None, None], "a": np.array(a), "b": np.array(b)},
    )
    x = np.random.default_rng(2).random((1, 3, 16, 16), np.float32)

    def half(v):
        return np.asarray(v, np.float32).astype(np.float16).astype(np.float32)

    q = half(half(x) * half(a))
    r = half(1 / (1 + np.exp(-q)))
    expected = half(r + half(b))
    got = run(rounding(halved(model)), x=x)[0]
    assert np.mean(got != expected) < 0.01  # the last bit of the sigmoid may differ
    np.testing.assert_allclose(got, expected, atol=1e-3)
