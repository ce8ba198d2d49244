"""OpenVINO: networks on the CPU, faster than the reference for small ones that enlarge pictures; an extra."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import EngineBuildError, EngineError, MissingExtraError
from ..frame import Array
from .engine import Backend, Built, Engine, Request, Told, check_ports
from .host import HostEngine, cores
from .network import Network

__all__ = ["OpenVino", "package"]


def package() -> Any:
    """OpenVINO, imported without its tools. Raises MissingExtraError where it is not installed.

    The tools are its converter: their import takes longer than all the rest, and reports itself over the network.
    A program that asks for them gets them, `openvino.convert_model` included.
    """
    try:
        if "openvino" in sys.modules:
            return import_module("openvino")
        sys.modules[_TOOLS] = None  # type: ignore[assignment]  # which OpenVINO takes as not installed
        try:
            module = import_module("openvino")
        finally:
            del sys.modules[_TOOLS]
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        raise MissingExtraError("openvino", "openvino", "running networks with OpenVINO") from error
    if not hasattr(module, "convert_model"):
        module.__getattr__ = _tool  # type: ignore[method-assign]
    return module


_TOOLS = "openvino.tools.ovc"


def _tool(name: str) -> Any:
    if name == "convert_model":
        return import_module(_TOOLS).convert_model
    raise AttributeError(f"module 'openvino' has no attribute {name!r}")


@cache
def _core() -> Any:
    return package().Core()


class OpenVino(Backend):
    """Compiles ONNX files, and keeps what it made of them: that loads in a quarter of the time compiling takes."""

    name = "openvino"
    extra = "openvino"
    builds = True
    precisions = ("fp32",)

    def offered(self, network: Network, device: str) -> bool:
        """For enlarging, where it is installed: it was no faster than the reference at finding flow."""
        return device == "cpu" and network.task == "upscale" and find_spec("openvino") is not None

    def why_not(self, device: str) -> str:
        """Raises MissingExtraError where OpenVINO is not installed."""
        if device != "cpu":
            return f"OpenVINO runs on the CPU here, not on {device}"
        try:
            package()
            _core()
        except MissingExtraError:
            raise
        except Exception as error:  # of a broken installation; its library's own
            return f"OpenVINO does not load: {_line(error)}"
        return ""

    def identity(self, request: Request) -> dict[str, str]:
        """Version and kind of CPU: it decides which kernels run."""
        return {
            "builder": f"openvino {package().__version__}",
            "cpu": str(_core().get_property("CPU", "FULL_DEVICE_NAME")).strip(),
        }

    def build(self, request: Request, onnx: bytes, told: Told) -> Built:
        return Built(_compiled(request, onnx).export_model().getvalue())

    def load(self, request: Request, onnx: bytes, plan: bytes | None) -> Engine:
        return _OpenVinoEngine(request, onnx, plan)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _settings(request: Request) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": request.threads or cores(),
        "INFERENCE_PRECISION_HINT": "f32",  # else bf16 on CPUs that have it
        # Pinned threads would keep to cores on which decoding, encoding and our own kernels run as well.
        "ENABLE_CPU_PINNING": False,
    }


def _compiled(request: Request, onnx: bytes) -> Any:
    ov = package()
    low, _, high = request.sizes
    shapes = {
        port.name: ov.PartialShape([ov.Dimension(*ends) for ends in zip(port.at(low), port.at(high), strict=True)])
        for port in request.part.inputs
    }
    try:
        model = _core().read_model(onnx, b"")
        check_ports(request, [p.any_name for p in model.inputs], [p.any_name for p in model.outputs])
        model.reshape(shapes)
        return _core().compile_model(model, "CPU", _settings(request))
    except RuntimeError as error:
        raise EngineBuildError(f"{request.words}: OpenVINO refuses it", [_line(error)]) from error


def _loaded(request: Request, plan: bytes) -> Any:
    try:
        return _core().import_model(plan, "CPU", _settings(request))
    except RuntimeError as error:
        raise EngineError(f"{request.words}: OpenVINO does not load what it made: {_line(error)}") from error


class _OpenVinoEngine(HostEngine):
    backend = "openvino"

    def __init__(self, request: Request, onnx: bytes, plan: bytes | None) -> None:
        super().__init__(request)
        compiled = _loaded(request, plan) if plan else _compiled(request, onnx)
        self._request = compiled.create_infer_request()

    def _bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        tensor = package().Tensor
        for arrays in (inputs, outputs):
            for name, x in arrays.items():
                # By address, since it does not take read-only arrays
                memory = (ctypes.c_float * x.size).from_address(x.ctypes.data)
                self._request.set_tensor(
                    name, tensor(np.ctypeslib.as_array(memory).reshape(x.shape), shared_memory=True)
                )

    def _infer(self) -> None:
        self._request.infer()

    def close(self) -> None:
        self._request = None
