"""Small networks for the tests of engines, made node by node."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from reelmend.engines.network import Network, Part, Port


def conv_weights(seed: int = 0, radius: int = 1) -> np.ndarray:
    """float32 (12, 3, 3, 3) that make each pixel four, much like its neighbourhood."""
    rng = np.random.default_rng(seed)
    weights = 0.05 * rng.standard_normal((12, 3, 2 * radius + 1, 2 * radius + 1))
    for k in range(12):
        weights[k, k // 4, radius, radius] += 1
    return weights.astype(np.float32)


def upscaler(weights: np.ndarray, half: bool = False, gain: float = 1.0) -> bytes:
    """ONNX bytes: x (1, 3, h, w) to y (1, 3, 2h, 2w), a convolution and depth to space; half: fp16 between casts."""
    from onnx import TensorProto, checker, helper, numpy_helper

    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    dtype = np.float16 if half else np.float32
    pad = weights.shape[-1] // 2
    inner = [
        helper.make_node("Conv", ["a", "weights"], ["b"], "conv", pads=[pad] * 4),
        helper.make_node("Mul", ["b", "gain"], ["g"], "amplify"),
        helper.make_node("Div", ["g", "gain"], ["n"], "attenuate"),
        helper.make_node("DepthToSpace", ["n"], ["c"], "shuffle", blocksize=2, mode="CRD"),
    ]
    ends = [
        helper.make_node("Cast", ["x"], ["a"], "enter", to=kind),
        helper.make_node("Cast", ["c"], ["y"], "leave", to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        [ends[0], *inner, ends[1]],
        "upscaler",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, "h2", "w2"])],
        [
            numpy_helper.from_array(weights.astype(dtype), "weights"),
            numpy_helper.from_array(np.array(gain, dtype), "gain"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def write_network(folder: Path, files: dict[str, bytes], name: str = "tiny", multiple: int = 1, **more) -> Network:
    """A network of one part in folder/name."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for precision, data in files.items():
        (place / f"main.{precision}.onnx").write_bytes(data)
    part = Part(
        name="main",
        inputs=(Port("x", (1, 3, "h", "w")),),
        outputs=(Port("y", (1, 3, "2*h", "2*w")),),
        multiple=multiple,
        radius=1,
        files={p: f"main.{p}.onnx" for p in files},
        sha256={p: hashlib.sha256(data).hexdigest() for p, data in files.items()},
    )
    facts = {"licence": "Apache-2.0", "origin": "made by a test", **more}
    network = Network(name=name, task="upscale", family="tiny", parts={"main": part}, scale=2, folder=place, **facts)
    network.save()
    return network


@pytest.fixture
def tiny(tmp_path: Path) -> Network:
    """A network of one convolution, in fp32 and fp16."""
    weights = conv_weights()
    return write_network(tmp_path / "catalogue", {"fp32": upscaler(weights), "fp16": upscaler(weights, half=True)})


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache and catalogue."""
    monkeypatch.setenv("REELMEND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REELMEND_ENGINES", str(tmp_path / "catalogue"))
