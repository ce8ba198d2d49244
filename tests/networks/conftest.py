"""What tests of networks share: graphs run in ONNX Runtime beside torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def agrees() -> Callable[..., None]:
    """Asserts that a graph exported with free rows and columns gives in ONNX Runtime what torch gives, to 1e-4."""

    def check(graph: Any, size: tuple[int, int]) -> None:
        import onnxruntime
        import torch

        from reelmend.networks.tracing import finished, traced

        part = graph.part
        assert size != graph.example
        assert size == part.padded(size)
        model = traced(graph)
        assert "GridSample" not in {node.op_type for node in model.graph.node}
        session = onnxruntime.InferenceSession(
            finished(model, "test", part.name, "fp32"), providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(1)
        given = {
            p.name: rng.uniform(max(p.range[0], -4), min(p.range[1], 4), p.at(size)).astype(np.float32)
            for p in part.inputs
        }
        with torch.no_grad():
            expected = graph.module(*(torch.from_numpy(given[p.name]) for p in part.inputs))
        expected = expected if isinstance(expected, tuple) else (expected,)
        got = session.run([p.name for p in part.outputs], given)
        assert len(expected) == len(part.outputs)
        for port, a, b in zip(part.outputs, expected, got, strict=True):
            assert b.shape == port.at(size)
            assert float(a.abs().max()) > 1e-3, f"{port.name} says nothing"
            np.testing.assert_allclose(b, a.numpy(), atol=1e-4 * max(1.0, float(a.abs().max())), rtol=0)

    return check
