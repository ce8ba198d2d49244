"""A PyTorch module as an ONNX graph: free rows and columns, one file, the same bytes each time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import helper
from torch.export import Dim

from ..engines.network import Part, Port
from ..errors import MissingExtraError, NetworkError
from .family import Graph

__all__ = ["OPSET", "finished", "traced"]

OPSET = 18  # the newest that TensorRT, TensorRT-RTX and ONNX Runtime all take for every operator in use
_LARGEST = 1 << 14  # rows or columns


def traced(graph: Graph) -> onnx.ModelProto:
    """The fp32 graph of a module, folded and without what torch notes of where it came from.

    Raises NetworkError, with torch's reason, for a module whose graph depends on the size of the picture: one that
    turns rows or columns into Python numbers.
    """
    part = graph.part
    module = graph.module.eval().float()
    examples = tuple(torch.rand(port.at(graph.example)) for port in part.inputs)
    dims = {axis: Dim(f"{axis}_", min=-(-part.minimum // part.multiple), max=_LARGEST) for axis in "hw"}
    shapes = tuple(
        {i: _dim(part, port, d, dims) for i, d in enumerate(port.shape) if isinstance(d, str)} for port in part.inputs
    )
    try:
        with _quiet(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own deprecations inside its exporter
            program = torch.onnx.export(
                module,
                examples,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=[port.name for port in part.inputs],
                output_names=[port.name for port in part.outputs],
                external_data=False,
                verbose=False,
            )
    except ImportError as error:
        raise MissingExtraError(error.name or "onnxscript", "train", "export to ONNX") from None
    except Exception as error:  # the exporter raises errors of many kinds, some of them its own
        raise NetworkError(
            f"{part.name}: torch cannot export it with free rows and columns: {_reason(error)}"
        ) from error
    model = program.model_proto
    _tidy(model, part)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters recommend settings that are chosen here, and tell of each constant that they do not fold."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _dim(part: Part, port: Port, text: str, dims: dict[str, Any]) -> Any:
    """A dimension as torch.export wants it. Rows are `multiple` times a free number, so "h/4" is whole for it too."""
    axis = "h" if "h" in text else "w"
    rows = port.at((part.multiple, part.multiple))[port.shape.index(text)]
    return rows * dims[axis] if rows > 1 else dims[axis]


def _reason(error: BaseException) -> str:
    """The last cause, its first lines: torch wraps it in advice on how to report a bug."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400] or type(error).__name__


def _tidy(model: onnx.ModelProto, part: Part) -> None:
    """Take out what differs between machines (paths, stack traces) and name dimensions as the part does."""
    graph = model.graph
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string, model.domain = "reelmend", "", "", ""
    graph.name, graph.doc_string = part.name, ""
    del graph.value_info[:], graph.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for values, ports in ((graph.input, part.inputs), (graph.output, part.outputs)):
        got = [value.name for value in values]
        if got != [port.name for port in ports]:
            raise NetworkError(f"{part.name}: the graph has {got}; expected {[port.name for port in ports]}")
        for value, port in zip(values, ports, strict=True):
            # torch makes numbers of rows and columns, without a word, where the module does
            fixed = [d.dim_value for d in value.type.tensor_type.shape.dim]
            if any(isinstance(wanted, str) and n for wanted, n in zip(port.shape, fixed, strict=True)):
                raise NetworkError(
                    f"{part.name}: torch cannot export it with free rows and columns: {port.name} came out as {fixed}, "
                    f"expected {list(port.shape)}"
                )
        del values[:]
        values.extend(helper.make_tensor_value_info(p.name, onnx.TensorProto.FLOAT, p.shape) for p in ports)


def finished(model: onnx.ModelProto, network: str, part: str, precision: str) -> bytes:
    """The bytes of a checked graph, with what it is written into it. Raises NetworkError where the check fails."""
    helper.set_model_props(model, {"network": network, "part": part, "precision": precision})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise NetworkError(f"{network}/{part}: the {precision} graph fails ONNX's check: {error}") from error
    return model.SerializeToString(deterministic=True)
