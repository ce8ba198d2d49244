"""Networks out of PyTorch: into a folder of ONNX files, each proved against what it came from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from ..engines.acceptance import Figure, compare
from ..engines.engine import Told
from ..engines.network import FILE, NAME, PRECISIONS, Network, Part, Precision, Size, load_network
from ..engines.onnxruntime import runtime
from ..engines.samples import samples
from ..errors import NetworkError, OptionError
from .family import Graph, Recognised
from .precision import halved, rounding
from .quantizing import quantized
from .tracing import finished, traced

__all__ = ["export"]

TOLERANCE = 1e-4  # of an fp32 graph from torch, in units of the largest value where that is above 1
_SIZES: tuple[Size, ...] = ((40, 56), (72, 48))  # rows, columns; neither the example's

_Arrays = Mapping[str, NDArray[np.float32]]


def export(
    recognised: Recognised,
    name: str,
    folder: str | os.PathLike[str],
    *,
    precisions: Sequence[Precision] = ("fp32", "fp16"),
    licence: str | None = None,
    origin: str = "",
    calibration: Sequence[NDArray[np.float32]] | None = None,
    overwrite: bool = False,
    told: Told | None = None,
) -> Network:
    """Write a network into <folder>/<name>: an ONNX file for each part and precision, and network.json.

    precisions   what to make beside fp32, which is always made: "fp16", "mixed", "int8"
    licence      SPDX identifier of the weights; None: what the family knows, else "unknown"
    origin       where the weights come from, as one line
    calibration  for int8: pictures, float32 (1, 3, h, w), RGB, 0..1, like those that it will see
    overwrite    replace a network of this name; files there that an export does not write are kept
    told         is told a line for each file, and for each precision that is left out

    Every fp32 graph is compared with its module at two sizes, on the stored pictures by which engines are accepted:
    no sample may differ by more than 1e-4. A graph of another precision has to reach the part's bar with every value
    rounded to what it can hold; one that does not is left out and said in `settings["left_out"]`. The files appear at
    once or not at all, and the same weights give the same bytes (with the same versions of torch and onnx).

    Raises OptionError for a bad precision, NetworkError for a bad name, a network that is there already, a module
    that cannot be traced with free rows and columns, or an fp32 graph that differs from its module.
    """
    say = told or (lambda line: None)
    unknown = set(precisions) - set(PRECISIONS)
    if unknown:
        raise OptionError(f"precision {', '.join(sorted(unknown))}: expected {', '.join(PRECISIONS)}")
    if "int8" in precisions and not calibration:
        raise OptionError("int8 needs calibration pictures, and got none; give some, or leave int8 out")
    if not NAME.match(name):
        raise NetworkError(f"name {name!r}: expected lower-case letters, digits, dots, dashes, at most 64")
    target = Path(folder) / name
    if target.exists() and not overwrite:
        raise NetworkError(f"{target} is there already; choose another name, or overwrite it")
    draft = target.with_name(f".{name}.{uuid4().hex[:8]}")
    left_out: dict[str, str] = {}
    try:
        draft.mkdir(parents=True)
        parts = {
            graph.part.name: _part(graph, name, draft, precisions, calibration, left_out, say)
            for graph in recognised.graphs
        }
        settings = {**recognised.settings, **({"left_out": left_out} if left_out else {})}
        network = Network(
            name=name,
            task=recognised.task,
            family=recognised.family,
            parts=parts,
            scale=recognised.scale,
            window=recognised.window,
            licence=licence or recognised.licence,
            origin=origin,
            parameters=sum(p.numel() for graph in recognised.graphs for p in graph.module.parameters()),
            settings=settings,
            folder=draft,
        )
        network.save()
        load_network(draft)
        _put(draft, target)
    except OSError as error:
        raise NetworkError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load_network(target)


def _put(draft: Path, target: Path) -> None:
    """Rename a finished folder to where it belongs. What is there makes way; other files of it come along."""
    if not target.exists():
        draft.rename(target)
        return
    for path in target.iterdir():
        if path.name != FILE and path.suffix != ".onnx":
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, draft / path.name)
    old = draft.with_name(f"{draft.name}.old")
    target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _part(
    graph: Graph,
    network: str,
    folder: Path,
    precisions: Sequence[Precision],
    calibration: Sequence[NDArray[np.float32]] | None,
    left_out: dict[str, str],
    say: Told,
) -> Part:
    """A part with its files written."""
    part, where = graph.part, f"{network}/{graph.part.name}"
    model = traced(graph)
    files: dict[Precision, bytes] = {"fp32": finished(model, network, part.name, "fp32")}
    pairs = [(sample, inputs) for size in _SIZES for sample, inputs in samples(part, part.padded(size))]
    expected = _proved(graph, where, files["fp32"], pairs)
    say(f"{where}: fp32, {len(model.graph.node)} nodes, {len(files['fp32']) / 1e6:.2f} MB")
    for precision in dict.fromkeys(precisions):
        if precision == "fp32":
            continue
        try:
            made, judged = _made(model, part, precision, calibration)
            data = finished(made, network, part.name, precision)
            worst = _judged(part, precision, judged.SerializeToString(), pairs, expected)
        except NetworkError as error:
            left_out[f"{part.name}.{precision}"] = str(error)
            say(f"{where}: {precision} is left out: {error}")
            continue
        files[precision] = data
        say(f"{where}: {precision}, {worst.psnr:.1f} dB from fp32 at worst, {len(data) / 1e6:.2f} MB")
    names = {precision: f"{part.name}.{precision}.onnx" for precision in files}
    for precision, data in files.items():
        (folder / names[precision]).write_bytes(data)
    return replace(part, files=names, sha256={p: sha256(data).hexdigest() for p, data in files.items()})


def _made(
    model: onnx.ModelProto, part: Part, precision: Precision, calibration: Sequence[NDArray[np.float32]] | None
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A graph of another precision, and the one to judge it by."""
    if precision == "int8":
        made = quantized(model, part, calibration or ())
        return made, made
    exact = [port.name for port in part.outputs if port.kind in ("flow", "time")]
    made = halved(model, mixed=precision == "mixed", exact=exact)
    return made, rounding(made)


def _proved(graph: Graph, where: str, data: bytes, pairs: Sequence[tuple[str, _Arrays]]) -> list[_Arrays]:
    """What the fp32 graph gives for samples. Raises NetworkError where that is not what the module gives."""
    run = _runner(data, where)
    results: list[_Arrays] = []
    for sample, inputs in pairs:
        given = run(inputs)
        with torch.no_grad():
            truth: Any = graph.module(*(torch.from_numpy(inputs[port.name]) for port in graph.part.inputs))
        outputs = truth if isinstance(truth, tuple | list) else (truth,)
        for port, expected in zip(graph.part.outputs, outputs, strict=True):
            got, want = given[port.name], expected.numpy()
            shape = tuple(inputs[graph.part.inputs[0].name].shape)
            if got.shape != want.shape:
                raise NetworkError(f"{where}: {port.name} is {got.shape} for {shape}; torch gives {want.shape}")
            largest = float(np.abs(got - want).max())
            if not largest <= TOLERANCE * max(1.0, float(np.abs(want).max())):
                raise NetworkError(
                    f"{where}: {port.name} of the exported graph differs from torch by {largest:.3g} on the sample "
                    f"{sample!r} of {shape}; expected {TOLERANCE:g} at most"
                )
        results.append(given)
    return results


def _judged(
    part: Part, precision: Precision, data: bytes, pairs: Sequence[tuple[str, _Arrays]], expected: Sequence[_Arrays]
) -> Figure:
    """The worst figure of a graph. Raises NetworkError that names the output and the figure below the part's bar."""
    bar = part.bar(precision)
    run = _runner(data, part.name)
    figures: list[Figure] = []
    for (sample, inputs), truth in zip(pairs, expected, strict=True):
        given = run(inputs)
        for port in part.outputs:
            figure = compare(port, sample, truth[port.name], given[port.name])
            figures.append(figure)
            if figure.psnr < bar.psnr or figure.largest > bar.largest:
                raise NetworkError(
                    f"output {port.name!r} differs from fp32 on the sample {sample!r}: {figure.psnr:.1f} dB and "
                    f"{figure.largest:.3g} at most; expected {bar.psnr:.1f} dB or better and {bar.largest:g} or less"
                )
    return min(figures, key=lambda figure: figure.psnr)


def _runner(data: bytes, where: str) -> Callable[[_Arrays], dict[str, NDArray[np.float32]]]:
    """A graph in ONNX Runtime on the CPU."""
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would print, its errors say

    def run(inputs: _Arrays) -> dict[str, NDArray[np.float32]]:
        try:
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # ONNX Runtime's errors share no class but this one
            raise NetworkError(f"{where}: ONNX Runtime does not run the graph: {error}") from error

    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise NetworkError(f"{where}: ONNX Runtime does not take the graph: {error}") from error
    names = [output.name for output in session.get_outputs()]
    return run
