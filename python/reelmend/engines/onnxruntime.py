"""ONNX Runtime: on the CPU everywhere, on CUDA where its GPU build is installed. The CPU in fp32 is the reference."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import ArrayError, EngineBuildError, EngineError
from ..frame import Array
from ..ops._dispatch import empty, is_cuda, stream_of
from ..ops._memory import gpu_of
from .engine import Backend, Engine, Request, check_ports
from .host import HostEngine, cores

__all__ = ["OnnxRuntime", "runtime"]


def runtime() -> Any:
    """The module onnxruntime, imported so that it reports nothing."""
    if "onnxruntime" not in sys.modules:
        with _untold():
            import_module("onnxruntime")
    ort = sys.modules["onnxruntime"]
    ort.set_default_logger_severity(3)  # what matters comes as an exception
    return ort


@contextmanager
def _untold() -> Iterator[None]:
    """ONNX Runtime from 1.32 on reports its use over the network, unless this is set when it is imported."""
    name = "ORT_DISABLE_TELEMETRY"
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


class OnnxRuntime(Backend):
    """Runs ONNX files as they are."""

    name = "onnxruntime"
    precisions = ("fp32",)

    def why_not(self, device: str) -> str:
        if device == "cpu" or "CUDAExecutionProvider" in runtime().get_available_providers():
            return ""
        return "this ONNX Runtime has no CUDA provider (pip install onnxruntime-gpu in place of onnxruntime)"

    def identity(self, request: Request) -> dict[str, str]:
        ort = runtime()
        return {"builder": f"onnxruntime {ort.__version__}", "provider": _provider(request.device)[0]}

    def load(self, request: Request, onnx: bytes, plan: bytes | None) -> Engine:
        return _CudaEngine(request, onnx) if request.device != "cpu" else _CpuEngine(request, onnx)


def _provider(device: str) -> tuple[str, dict[str, str]]:
    index = gpu_of(device)
    if index is None:
        return "CPUExecutionProvider", {}
    # The arena grows by what is asked, not by powers of two; algorithms are searched once, not guessed.
    options = {
        "device_id": str(index),
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
    }
    return "CUDAExecutionProvider", options


def _session(request: Request, onnx: bytes, more: Mapping[str, str] | None = None) -> Any:
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = request.threads or cores()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = not request.dynamic  # one plan of all buffers, right for one shape
    # Threads that spin between two frames take the cores from decoding, encoding and our own kernels.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    name, facts = _provider(request.device)
    try:
        session = ort.InferenceSession(onnx, options, providers=[(name, {**facts, **(more or {})})])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise EngineBuildError(f"{request.words}: ONNX Runtime refuses it", [" ".join(str(error).split())]) from error
    if session.get_providers()[0] != name:
        raise EngineError(f"{request.words}: ONNX Runtime did not take {name}; its own log says why")
    check_ports(request, [p.name for p in session.get_inputs()], [p.name for p in session.get_outputs()])
    return session


class _CpuEngine(HostEngine):
    backend = "onnxruntime"

    def __init__(self, request: Request, onnx: bytes) -> None:
        super().__init__(request)
        self._session = _session(request, onnx)
        self._binding = self._session.io_binding()

    def _bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        for bind, arrays in ((self._binding.bind_input, inputs), (self._binding.bind_output, outputs)):
            for name, x in arrays.items():
                bind(name, "cpu", 0, np.float32, x.shape, x.ctypes.data)

    def _infer(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def close(self) -> None:
        self._binding = self._session = None


class _CudaEngine(Engine):
    """On a GPU: device buffers are bound where they lie, and the work is queued on the stream that is given."""

    backend = "onnxruntime"

    def __init__(self, request: Request, onnx: bytes) -> None:
        self._onnx = onnx
        self._session: Any = None
        self._handle: int | None = None
        super().__init__(request)

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None, stream: Any = None
    ) -> dict[str, Array]:
        self.checked(inputs, self.inputs, "inputs")
        like = next(iter(inputs.values()))
        results = {n: empty(shape, np.float32, like) for n, shape in self.outputs.items() if n not in (outputs or {})}
        results.update(outputs or {})
        self.checked(results, self.outputs, "outputs")
        self._open(int(stream_of(like, stream) or 0))
        binding = self._session.io_binding()
        index = gpu_of(self.device)
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, results)):
            for name, x in arrays.items():
                bind(name, "cuda", index, np.float32, tuple(x.shape), _device_address(self, name, x))
        options = runtime().RunOptions()
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:
            raise EngineError(f"{self.request.words}: the run failed: {' '.join(str(error).split())}") from error
        return results

    def _open(self, handle: int) -> None:
        """A session queues on one stream for life, so another stream means another session."""
        if self._session is None or handle != self._handle:
            more = {"user_compute_stream": str(handle)} if handle else {}
            self._session, self._handle = _session(self.request, self._onnx, more), handle

    def close(self) -> None:
        self._session = None


def _device_address(engine: Engine, name: str, x: Array) -> int:
    if not is_cuda(x):
        raise ArrayError(f"{engine.request.words}: {name} is in host memory; this engine runs on {engine.device}")
    about = x.__cuda_array_interface__
    if about.get("strides") is not None:
        dense, step = [], 4
        for n in reversed(about["shape"]):
            dense.append(step)
            step *= n
        if tuple(about["strides"]) != tuple(reversed(dense)):
            raise ArrayError(f"{engine.request.words}: {name} is strided; expected a C-contiguous array")
    return int(about["data"][0])
