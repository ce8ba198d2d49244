"""What is known of a network before it runs: its graphs, their shapes and ranges, its licence, its bars.

A network is a folder: `network.json` (this module reads and writes it), its ONNX files, and for those that ship with
the library `card.md` (data, training, figures) and `recipe.toml` (how to make it again).

A network has one or more parts, each one graph: what lies between parts (warps, splats, correlation, colour) is done
by our ops. Pictures are float32, RGB, channels first, batch of one, 0..1; flows are (1, 2, h, w) in pixels, x first.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import NetworkError

__all__ = ["BARS", "NAME", "PRECISIONS", "Bar", "Kind", "Network", "Part", "Port", "Precision", "Size", "load_network"]

SCHEMA = 1
FILE = "network.json"

Size = tuple[int, int]  # rows, columns
Kind = Literal["picture", "features", "flow", "time", "mask", "depth", "kernel"]
Precision = Literal["fp32", "mixed", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
_DIMENSION = re.compile(r"^(?:(\d+)\*)?([hw])(?:/(\d+))?$")


@dataclass(frozen=True, slots=True)
class Bar:
    """How far an engine may be from the fp32 reference, at each output.

    psnr     dB at least, the peak being the span of the output's range
    largest  of any sample, at most, in units of that span
    """

    psnr: float
    largest: float


# What engines of each precision have to reach unless their network says otherwise.
BARS: Mapping[Precision, Bar] = {
    "fp32": Bar(80.0, 1e-3),
    "mixed": Bar(54.0, 0.03),
    "fp16": Bar(48.0, 0.06),
    "int8": Bar(36.0, 0.2),
}


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a part.

    shape  whole numbers, or rows and columns of the frame as "h", "w", "2*h", "h/4", "3*w/2"
    kind   what its samples are: decides what it is tested with
    range  smallest and largest value that it usually has; (0, 1) for pictures. Flows: pixels
    """

    name: str
    shape: tuple[int | str, ...]
    kind: Kind = "picture"
    range: tuple[float, float] = (0.0, 1.0)
    dtype: str = "float32"

    def at(self, size: Size) -> tuple[int, ...]:
        """The shape for frames of this size. Raises NetworkError where it is not whole."""
        return tuple(d if isinstance(d, int) else self._dimension(d, size) for d in self.shape)

    def _dimension(self, text: str, size: Size) -> int:
        times, axis, over = _parsed(text)
        n = Fraction(times * size[axis], over)
        if n.denominator != 1 or n < 1:
            raise NetworkError(
                f"{self.name}: {text} is not a whole number for {size[1]}x{size[0]}; pad to the part's multiple first"
            )
        return int(n)


def _parsed(text: str) -> tuple[int, int, int]:
    m = _DIMENSION.match(text)
    if not m:
        raise NetworkError(f"dimension {text!r}: expected a whole number, or h or w such as '2*h' or 'w/4'")
    return int(m[1] or 1), "hw".index(m[2]), int(m[3] or 1)


@dataclass(frozen=True, slots=True)
class Part:
    """One graph of a network.

    multiple   rows and columns are padded to whole multiples of this; `minimum` at least
    radius     how far in input pixels an output pixel looks, None: the whole picture (it cannot be cut into tiles)
    files      ONNX files by precision, relative to the network's folder, and the SHA-256 of each
    bars       where they differ from BARS
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    multiple: int = 1
    minimum: int = 1
    radius: int | None = None
    files: Mapping[Precision, str] = field(default_factory=dict)
    sha256: Mapping[Precision, str] = field(default_factory=dict)
    bars: Mapping[Precision, Bar] = field(default_factory=dict)

    def padded(self, size: Size) -> Size:
        """The smallest size that this part takes and that holds a picture of this size."""
        m = self.multiple
        rows, columns = (max(self.minimum, n) for n in size)
        return math.ceil(rows / m) * m, math.ceil(columns / m) * m

    def bar(self, precision: Precision) -> Bar:
        return self.bars.get(precision, BARS[precision])


@dataclass(frozen=True, slots=True)
class Network:
    """A network of a catalogue.

    task      what it is for: "upscale", "flow", "interpolate", "deflicker" ...
    family    its architecture: "span", "rrdbnet", "ifnet", "superslomo" ...
    scale     output pixels per input pixel along an edge
    window    (past, future) frames that it sees beside the one at hand
    licence   SPDX identifier of its weights, "unknown" for a file that does not say
    origin    where the weights come from, as one line
    settings  what its family needs to know besides
    """

    name: str
    task: str
    family: str
    parts: Mapping[str, Part]
    scale: int = 1
    window: tuple[int, int] = (0, 0)
    licence: str = "unknown"
    origin: str = ""
    parameters: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    def part(self, name: str = "main") -> Part:
        """A part by name. Raises NetworkError for one it does not have."""
        try:
            return self.parts[name]
        except KeyError:
            raise NetworkError(f"{self.name}: no part {name!r}; it has {', '.join(self.parts)}") from None

    def file(self, part: str = "main", precision: Precision = "fp32") -> Path:
        """The ONNX file of a part. Raises NetworkError if the network has none of this precision."""
        files = self.part(part).files
        if precision not in files:
            raise NetworkError(f"{self.name}/{part}: no {precision} file; it has {', '.join(files) or 'none'}")
        return self.folder / files[precision]

    def onnx(self, part: str = "main", precision: Precision = "fp32") -> bytes:
        """The bytes of an ONNX file, checked against their SHA-256. Raises NetworkError if missing or changed."""
        path = self.file(part, precision)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NetworkError(
                f"{self.name}: {path} cannot be read ({error.strerror}); import or install it again"
            ) from error
        expected = self.part(part).sha256.get(precision)
        if expected is not None and hashlib.sha256(data).hexdigest() != expected:
            raise NetworkError(f"{self.name}: {path} is not the file its description names; import or install it again")
        return data

    def save(self) -> None:
        """Write network.json into the folder, at once or not at all."""
        path = self.folder / FILE
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(_plain(self), indent=1, sort_keys=True) + "\n", "utf-8")
        os.replace(draft, path)


def _plain(network: Network) -> dict[str, Any]:
    plain = {"schema": SCHEMA, **asdict(network)}
    del plain["folder"]
    plain["parts"] = {name: {k: v for k, v in part.items() if k != "name"} for name, part in plain["parts"].items()}
    return plain


def load_network(folder: str | os.PathLike[str]) -> Network:
    """The network of a folder. Raises NetworkError, naming the file and what is wrong in it."""
    path = Path(folder) / FILE
    try:
        plain = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise NetworkError(f"{path}: {error.strerror}; a network is a folder with {FILE}") from error
    except ValueError as error:
        raise NetworkError(f"{path}: not JSON ({error})") from error
    try:
        schema = plain.pop("schema")
        if schema != SCHEMA:
            raise NetworkError(f"schema is {schema}; expected {SCHEMA}: update reelmend, or import the network again")
        parts = {name: _part(name, part) for name, part in plain.pop("parts").items()}
        network = Network(**{**plain, "parts": parts, "window": tuple(plain["window"]), "folder": Path(folder)})
        _check(network)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NetworkError(f"{path}: does not describe a network ({type(error).__name__}: {error})") from error
    return network


def _part(name: str, plain: dict[str, Any]) -> Part:
    inputs, outputs = (tuple(_port(p) for p in plain.pop(way)) for way in ("inputs", "outputs"))
    bars = {precision: Bar(**bar) for precision, bar in plain.pop("bars").items()}
    return Part(name=name, inputs=inputs, outputs=outputs, bars=bars, **plain)


def _port(plain: dict[str, Any]) -> Port:
    return Port(**{**plain, "shape": tuple(plain["shape"]), "range": tuple(plain["range"])})


def _check(network: Network) -> None:
    if not NAME.match(network.name):
        raise NetworkError(f"name {network.name!r}: expected lower-case letters, digits, dots, dashes, at most 64")
    if not network.parts:
        raise NetworkError("a network has at least one part")
    for part in network.parts.values():
        ports = (*part.inputs, *part.outputs)
        if not part.inputs or not part.outputs:
            raise NetworkError(f"part {part.name!r} has no inputs or no outputs")
        for port in ports:
            if port.kind not in get_args(Kind):
                raise NetworkError(f"{port.name}: kind is {port.kind!r}; expected {', '.join(get_args(Kind))}")
            for d in port.shape:
                if isinstance(d, str):
                    _parsed(d)
        unknown = {*part.files, *part.bars, *part.sha256} - set(PRECISIONS)
        if unknown:
            raise NetworkError(
                f"part {part.name!r}: unknown precision {_words(unknown)}; expected {_words(PRECISIONS)}"
            )
        for name in part.files.values():
            if Path(name).name != name:
                raise NetworkError(f"part {part.name!r}: file {name!r} is not in the network's folder")


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
