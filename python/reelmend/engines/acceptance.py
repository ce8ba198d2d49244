"""An engine is trusted only after it was compared: stored pictures through it and through the fp32 reference.

The reference is the network's fp32 ONNX file in ONNX Runtime on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineRejected
from ..ops._dispatch import to_host
from ..ops._memory import gpu_of, to_device
from .engine import Engine, Request
from .network import Bar, Port
from .onnxruntime import OnnxRuntime
from .samples import samples

__all__ = ["Acceptance", "Figure", "accept", "compare", "reference"]

EQUAL = 999.0  # dB, of outputs that do not differ at all


@dataclass(frozen=True, slots=True)
class Figure:
    """How far one output was from the reference on one sample.

    psnr     dB; the peak is the span of the output's range, or of the reference's own values where that is no picture
    largest  absolute difference, as a share of that span
    """

    output: str
    sample: str
    psnr: float
    largest: float


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a comparison found, figure by figure, and what was asked."""

    bar: Bar
    figures: tuple[Figure, ...]

    @property
    def worst(self) -> Figure:
        return min(self.figures, key=lambda f: (f.psnr, -f.largest))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a manifest: the bar, and the worst figure of each output."""
        outputs = {f.output: f for f in sorted(self.figures, key=lambda f: -f.psnr)}
        return {"bar": asdict(self.bar), "worst": [asdict(f) for f in outputs.values()]}


def reference(request: Request) -> Engine:
    """The fp32 reference of a request, at the same sizes."""
    plain = replace(request, precision="fp32", device="cpu", targets=())
    return OnnxRuntime().load(plain, request.network.onnx(request.part.name, "fp32"), None)


def accept(engine: Engine, expected: Engine | None = None) -> Acceptance:
    """Compare an engine with the reference on every sample, at its usual size and, if it takes others, at the ends.

    Raises EngineRejected that names the output, the sample and the figures, as soon as one is below the bar.
    """
    request = engine.request
    own = expected is None
    expected = expected or reference(request)
    bar = request.part.bar(request.precision)
    figures: list[Figure] = []
    try:
        for size in dict.fromkeys((request.size, *request.sizes)):
            engine.resize(size)
            expected.resize(size)
            for name, inputs in samples(request.part, size):
                truth, given = expected.run(inputs), _run(engine, inputs)
                for port in request.part.outputs:
                    figure = compare(port, name, truth[port.name], given[port.name])
                    _judge(engine, bar, figure)
                    figures.append(figure)
    finally:
        engine.resize(request.size)
        if own:
            expected.close()
    return Acceptance(bar, tuple(figures))


def compare(port: Port, sample: str, truth: NDArray[np.float32], given: NDArray[np.float32]) -> Figure:
    """The figure of one output. What is not finite, there or in the truth, is infinitely wrong."""
    if not (np.isfinite(given).all() and np.isfinite(truth).all()):
        return Figure(port.name, sample, -math.inf, math.inf)
    low, high = port.range if port.kind == "picture" else (float(truth.min()), float(truth.max()))
    span = max(high - low, 1e-6)
    difference = given.astype(np.float64) - truth
    error = float(np.mean(difference**2))
    psnr = 10 * math.log10(span**2 / error) if error else EQUAL
    return Figure(port.name, sample, min(psnr, EQUAL), float(np.abs(difference).max()) / span)


def _judge(engine: Engine, bar: Bar, figure: Figure) -> None:
    if figure.psnr >= bar.psnr and figure.largest <= bar.largest:
        return
    raise EngineRejected(
        network=engine.request.network.name,
        part=engine.part.name,
        engine=f"{engine.backend} ({engine.device}, {engine.precision})",
        output=figure.output,
        sample=figure.sample,
        psnr=figure.psnr,
        largest=figure.largest,
        bar_psnr=bar.psnr,
        bar_largest=bar.largest,
    )


def _run(engine: Engine, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Run on arrays of the host, wherever the engine runs."""
    index = gpu_of(engine.device)
    if index is None:
        return engine.run(inputs)
    held = {name: to_device(x, index) for name, x in inputs.items()}
    return {name: to_host(x) for name, x in engine.run(held).items()}
