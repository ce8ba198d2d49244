"""The precision of a graph: fp16 and mixed made from fp32, and what fp16 does to the numbers.

Builders of today are strongly typed: what runs in which precision is said by the graph. Inputs and outputs stay fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import NetworkError

__all__ = ["halved", "rounding"]

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16

# Do the arithmetic: where most of the time goes, and where fp16 pays.
_HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum"})

# Kept in fp32: coordinates of samples, sums over many values, and functions that leave fp16's range (6e-8 to 65504).
_WIDE = frozenset(
    {
        *(
            "BatchNormalization",
            "GroupNormalization",
            "InstanceNormalization",
            "LayerNormalization",
            "RMSNormalization",
        ),
        *("CumSum", "GlobalAveragePool", "LogSoftmax", "LpNormalization", "Softmax"),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum"),
        *("ReduceSumSquare", "Cos", "Exp", "GridSample", "Log", "Pow", "Reciprocal", "Sin", "Softplus", "Sqrt", "Tan"),
    }
)

# Give fp32 from no fp32 input.
_SOURCES = frozenset({"Constant", "ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform", "Range"})

# Only move samples: they run in whichever precision these come in.
_MOVING = frozenset(
    {
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad"),
        *("Reshape", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile"),
        *("Transpose", "Unsqueeze", "Where"),
    }
)

# Stay in fp32 where all that comes in is: no sample is made smaller for a sum or product on the way.
_ARITHMETIC = frozenset({"Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Sub"})

# Take any type and give what is no float, or what they are told.
_INDIFFERENT = frozenset({"Cast", "IsInf", "IsNaN", "Shape", "Size"})

# Inputs that are fp32 by definition.
_ALWAYS_FLOAT = {"Resize": (1, 2)}


def halved(model: onnx.ModelProto, *, mixed: bool = False, exact: Iterable[str] = ()) -> onnx.ModelProto:
    """A graph in fp16 that does what an fp32 graph does, with inputs and outputs in fp32.

    Weights and samples are fp16, but for: operators of `_WIDE` and the arithmetic between them (so a normalisation is
    fp32 from end to end); the coordinates of GridSample and the outputs named in `exact`, back to the convolution that
    made them, this one included. A value is cast at most once each way, so no value goes to fp16 and back.

    mixed  keeps the first and the last convolutions in fp32 too: those with no other before, or none after
    exact  names of outputs that are flows or other coordinates

    A weight beyond fp16's range becomes infinite. Raises NetworkError for a graph with branches or loops.
    """
    return _Halving(model, mixed, frozenset(exact)).run()


class _Halving:
    """One pass over a graph, in its order."""

    def __init__(self, model: onnx.ModelProto, mixed: bool, exact: frozenset[str]) -> None:
        self.model = model
        self.graph = model.graph
        for node in self.graph.node:
            if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
                raise NetworkError(f"the node {node.name} ({node.op_type}) is a branch or loop, which fp16 cannot pass")
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.floats = {v.name for v in values if v.type.tensor_type.elem_type == _FLOAT}
        self.floats |= {name for name, tensor in self.weights.items() if tensor.data_type == _FLOAT}
        self.outputs = {value.name for value in self.graph.output}
        self.wide = _wide_nodes(self.graph, mixed, exact)
        # the precision in which a value is made, and the names of it in either
        self.made: dict[str, int] = {value.name: _FLOAT for value in self.graph.input}
        self.names: dict[tuple[str, int], str] = {(value.name, _FLOAT): value.name for value in self.graph.input}
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, TensorProto] = {}

    def run(self) -> onnx.ModelProto:
        for index, node in enumerate(self.graph.node):
            self._pass(index, node)
        graph = helper.make_graph(
            self.nodes, self.graph.name, self.graph.input, self.graph.output, list(self.tensors.values())
        )
        out = onnx.ModelProto()
        out.CopyFrom(self.model)
        out.graph.CopyFrom(graph)
        return out

    def _pass(self, index: int, node: onnx.NodeProto) -> None:
        given = [name for name in node.input if name in self.floats]
        want = self._precision(index, node, given)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        fixed = _ALWAYS_FLOAT.get(node.op_type, ())
        for i, name in enumerate(node.input):
            if name in self.floats:
                any_type = node.op_type in _INDIFFERENT
                kind = self._kind(name, want) if any_type else _FLOAT if i in fixed else want
                copy.input[i] = self._named(name, kind)
            elif name in self.weights:
                self.tensors[name] = self.weights[name]
        self.nodes.append(copy)
        for i, name in enumerate(node.output):
            if name in self.floats:
                self._give(copy, i, name, want)

    def _precision(self, index: int, node: onnx.NodeProto, given: list[str]) -> int:
        """In which precision a node runs."""
        if node.op_type in _SOURCES or node.op_type == "Cast" or index in self.wide:
            return _FLOAT
        samples = [name for name in given if name not in self.weights]
        if node.op_type in _MOVING:
            kinds = [self.made[name] for name in samples]
            return _FLOAT if kinds and all(kind == _FLOAT for kind in kinds) else _HALF
        if node.op_type == "Div" and self.made.get(node.input[1]) == _FLOAT:
            return _FLOAT  # a norm kept from 0 by a number that is 0 in fp16
        if node.op_type in _ARITHMETIC and samples and all(self.made[name] == _FLOAT for name in samples):
            return _FLOAT
        return _HALF

    def _kind(self, name: str, otherwise: int) -> int:
        return self.made.get(name, _FLOAT if name in self.weights else otherwise)

    def _give(self, node: onnx.NodeProto, i: int, name: str, kind: int) -> None:
        """Take note of what a node makes; an output of the graph is made fp32 at once."""
        self.made[name] = kind
        inner = name
        if name in self.outputs and kind == _HALF:
            inner = f"{name}_fp16"
            node.output[i] = inner
        self.names[name, kind] = inner
        if inner != name:
            self._cast(name, _FLOAT, name)

    def _named(self, name: str, kind: int) -> str:
        """The name of a value in a precision; it is cast there if it was not before."""
        if name in self.weights:
            return self._weight(name, kind)
        return self.names.get((name, kind)) or self._cast(name, kind, f"{name}_{'fp16' if kind == _HALF else 'fp32'}")

    def _cast(self, name: str, kind: int, to: str) -> str:
        source = self.names[name, self.made[name]]
        self.nodes.append(helper.make_node("Cast", [source], [to], name=f"cast_{to}", to=kind))
        self.names[name, kind] = to
        return to

    def _weight(self, name: str, kind: int) -> str:
        if kind == _FLOAT:
            self.tensors[name] = self.weights[name]
            return name
        half = f"{name}_fp16"
        if half not in self.tensors:
            with np.errstate(over="ignore"):
                values = numpy_helper.to_array(self.weights[name]).astype(np.float16)
            self.tensors[half] = numpy_helper.from_array(values, half)
        return half


def _wide_nodes(graph: onnx.GraphProto, mixed: bool, exact: frozenset[str]) -> set[int]:
    """Indices of the nodes that stay in fp32."""
    nodes = list(graph.node)
    maker = {name: i for i, node in enumerate(nodes) for name in node.output}
    before = [{maker[name] for name in node.input if name in maker} for node in nodes]
    after: list[set[int]] = [set() for _ in nodes]
    for i, makers in enumerate(before):
        for m in makers:
            after[m].add(i)

    def reach(start: Iterable[int], step: list[set[int]], stops: Callable[[int], bool]) -> set[int]:
        """All that is reached from nodes, without these; not beyond those where it stops, but these included."""
        found: set[int] = set()
        edge = {n for s in start for n in step[s]}
        while edge:
            found |= edge
            edge = {n for e in edge if not stops(e) for n in step[e]} - found
        return found

    def heavy(i: int) -> bool:
        return nodes[i].op_type in _HEAVY

    wide = {i for i, node in enumerate(nodes) if node.op_type in _WIDE}
    coordinates = {node.input[1] for node in nodes if node.op_type == "GridSample"} | exact
    ends = {maker[name] for name in coordinates if name in maker}
    wide |= ends | reach((e for e in ends if not heavy(e)), before, heavy)
    light = {i for i in range(len(nodes)) if not heavy(i)}
    wide |= reach(wide, after, heavy) & reach(wide, before, heavy) & light
    if mixed:
        heavies = {i for i in range(len(nodes)) if heavy(i)}
        wide |= {i for i in heavies if not reach([i], before, lambda _: False) & heavies}
        wide |= {i for i in heavies if not reach([i], after, lambda _: False) & heavies}
    return wide


def rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """An fp16 graph as one that computes in fp32 and rounds every value to fp16, overflow included.

    That is what a GPU does which sums in fp32. It is for judging: ONNX Runtime has few fp16 kernels on a CPU, computes
    the rest in fp32, and leaves out the roundings in between, so running the graph itself would hide what fp16 loses.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    halves = {v.name for v in inferred.value_info if v.type.tensor_type.elem_type == _HALF}
    halves |= {t.name for t in model.graph.initializer if t.data_type == _HALF}
    nodes: list[Any] = []
    wide: dict[str, str] = {}
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        nodes.append(copy)
        if node.op_type == "Cast":
            continue
        for i, name in enumerate(node.input):
            if name in halves:
                if name not in wide:
                    wide[name] = f"{name}_wide"
                    nodes.insert(-1, helper.make_node("Cast", [name], [wide[name]], to=_FLOAT))
                copy.input[i] = wide[name]
        for i, name in enumerate(node.output):
            if name in halves:
                copy.output[i] = f"{name}_raw"
                nodes.append(helper.make_node("Cast", [copy.output[i]], [name], to=_HALF))
    graph = helper.make_graph(
        nodes, model.graph.name, model.graph.input, model.graph.output, list(model.graph.initializer)
    )
    out = onnx.ModelProto()
    out.CopyFrom(model)
    out.graph.CopyFrom(graph)
    return out
