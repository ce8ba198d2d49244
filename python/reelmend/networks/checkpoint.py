"""Files of weights, read without running anything that they say."""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch._utils import IMPORT_MAPPING
from torch._weights_only_unpickler import _get_allowed_globals

from ..errors import CheckpointError, MissingExtraError
from .family import State

__all__ = ["Checkpoint", "read_checkpoint"]

# Where training programs put the weights in their files, best first: averaged weights before plain ones.
WRAPPERS = (
    "params_ema",
    "params-ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "generator",
    "netG",
    "net",
    "network",
)
PREFIXES = ("module.", "_orig_mod.", "netG.")  # of DataParallel, torch.compile, GAN trainers

_SAVE = "save the weights alone:  torch.save(model.state_dict(), 'weights.pth')"
_ZIP = b"PK\x03\x04"
_PICKLES = 5  # torch's format before 1.6 is this many pickles, one after another, and then the storages


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file of weights.

    data     all it holds: containers, numbers, strings, times, NumPy arrays of numbers, tensors on the CPU
    state    its main state dict, names to dense tensors: that of `wrapper`, or the file itself where that is "";
             a prefix that all names share ("module.") is taken off. Of a file of several, all, each name after its
             dict's key and a dot
    sha256   of the file's bytes, in hexadecimal
    """

    path: Path
    data: Any
    state: State
    sha256: str
    wrapper: str = ""


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of weights: .pth, .pt, .pkl, .ckpt as torch.save writes them now and did before 1.6, .safetensors.

    Pickles are read by torch's restricted reader: tensors, containers, numbers, strings, bytes, dates, NumPy scalars
    and arrays of numbers, torch.Size, dtypes and devices. The kind of file is told by its bytes, not by its name.

    Raises CheckpointError for a file that is missing, empty, damaged, of another kind, whose pickle wants anything
    else (named in the message; nothing of it is run), or that holds no tensors by name.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not raw:
        raise CheckpointError(f"{path}: the file is empty; download or copy it again")
    data = _safetensors(path, raw) if _is_safetensors(raw) else _pickled(path, raw)
    wrapper, state = _main_state(data)
    if not state:
        raise CheckpointError(f"{path}: holds no tensors by name but {_described(data)}; {_SAVE}")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            kind = "without data" if tensor.is_meta else "sparse or quantized"
            raise CheckpointError(f"{path}: the tensor {name!r} is {kind}; expected dense numbers; {_SAVE}")
    return Checkpoint(path, data, state, hashlib.sha256(raw).hexdigest(), wrapper)


def _main_state(data: Any) -> tuple[str, dict[str, Any]]:
    """The key under which the weights were found, and the weights."""
    if not isinstance(data, Mapping):
        return "", {}
    for key in WRAPPERS:
        inner = _tensors(data.get(key))
        if inner:
            return key, _without_prefix(inner)
    own = _tensors(data)
    inside = {} if own else {key: found for key, value in data.items() if (found := _tensors(value))}
    if len(inside) == 1:
        ((key, only),) = inside.items()
        return str(key), _without_prefix(only)
    several = {f"{key}.{name}": tensor for key, found in inside.items() for name, tensor in found.items()}
    return "", several or _without_prefix(own)


def _tensors(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        return {}
    return {k: v.detach() for k, v in data.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}


def _without_prefix(state: dict[str, Any]) -> dict[str, Any]:
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _described(data: Any) -> str:
    if isinstance(data, Mapping):
        keys = ", ".join(repr(k) for k in list(data)[:6])
        return f"a dict of {len(data)} with the keys {keys or 'none'}"
    return f"a {type(data).__name__}"


# --- safetensors -----------------------------------------------------------------------------------------------------


def _is_safetensors(raw: bytes) -> bool:
    """It begins with the length of a JSON header, little-endian in 8 bytes, and the header with a brace."""
    return len(raw) > 9 and raw[8:9] == b"{" and 2 <= int.from_bytes(raw[:8], "little") <= 100_000_000


def _safetensors(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError:
        raise MissingExtraError("safetensors", "train", "reading .safetensors files") from None
    try:
        return dict(load(raw))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: a damaged .safetensors file ({error}); download or copy it again") from error


# --- pickles ---------------------------------------------------------------------------------------------------------


def _scalar(dtype: Any, data: bytes = b"") -> Any:
    """A NumPy scalar of plain numbers, as numpy's own function of this name makes it."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufc" or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a NumPy scalar that is not a number")
    return np.frombuffer(data, dtype, 1)[0]


def _array(kind: Any, shape: Any, code: Any) -> Any:
    """An empty NumPy array, which the pickle then fills."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError("a NumPy array of an unusual class")
    return np.zeros((0,), "u1")


def _dtype(code: Any, *flags: Any) -> Any:
    """A NumPy dtype of plain numbers."""
    code = code.decode("ascii") if isinstance(code, bytes) else code
    dtype = np.dtype(code) if isinstance(code, str) else None
    if dtype is None or dtype.kind not in "biufc":
        raise pickle.UnpicklingError(f"NumPy data of the kind {code!r}")
    return dtype


def _no_bytes() -> bytes:
    """b"", which pickles of this age spell as a call."""
    return b""


def _allowed() -> list[Any]:
    """What a pickle may name beyond what torch allows: dates, and numbers in NumPy's dress (old and new spellings)."""
    numpy: list[Any] = [np.ndarray, (_dtype, "numpy.dtype"), (_no_bytes, "builtins.bytes")]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        numpy += [(_scalar, f"{module}.scalar"), (_array, f"{module}._reconstruct")]
    numpy += sorted({type(np.dtype(code)) for code in "?bBhHiIlLqQefdFD"}, key=lambda kind: kind.__name__)
    return [datetime.datetime, datetime.date, datetime.timedelta, datetime.timezone, *numpy]


def _pickled(path: Path, raw: bytes) -> Any:
    marked = torch.serialization.get_safe_globals()
    ours = [entry for entry in _allowed() if entry not in marked]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(ours):
            warnings.simplefilter("ignore")  # old storage classes, other pickle protocols: said below if it fails
            data = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(f"{path}: {_why_not(raw, error)}") from None
    return data


def _why_not(raw: bytes, error: Exception) -> str:
    """What is wrong with a file that torch's restricted reader refused. Nothing of the file is run to find out."""
    if raw[:4] == _ZIP:
        if not zipfile.is_zipfile(io.BytesIO(raw)):
            return f"damaged: its list of contents is missing, so it was cut off at {len(raw)} bytes; download it again"
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            return f"a TorchScript archive, which holds code; expected weights: {_SAVE}"
        if not any(name.endswith("data.pkl") for name in names):
            return f"a zip archive without weights (it holds {', '.join(names[:3])}); expected what torch.save writes"
    elif not (raw[0] == 0x80 and raw[1] <= pickle.HIGHEST_PROTOCOL):
        return f"not a file of weights: begins with {raw[:8]!r}; expected .pth, .pt, .pkl, .ckpt or .safetensors"
    wanted = set(_wanted(raw)) - _known() or set(re.findall(r"GLOBAL (\S+) ", str(error)))
    if wanted:
        return (
            f"a hostile or unusual pickle: it wants {', '.join(sorted(wanted)[:6])}, which no file of weights needs; "
            f"nothing of it was run. If you trust where it comes from, load it there and {_SAVE}"
        )
    if "magic number" in str(error):
        return f"a pickle, but not one that torch.save wrote; {_SAVE}"
    said = str(error).split("WeightsUnpickler error: ")[-1].strip().splitlines() or [type(error).__name__]
    return f"damaged, or not as torch.save writes it ({said[0]}); download it again, or {_SAVE}"


def _known() -> set[str]:
    ours = {e[1] if isinstance(e, tuple) else f"{e.__module__}.{e.__qualname__}" for e in _allowed()}
    return ours | set(_get_allowed_globals())


def _wanted(raw: bytes) -> Iterator[str]:
    """Every module.name in a file's pickles, as far as they can be followed."""
    for stream in _streams(raw):
        strings: list[str] = []
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in ("GLOBAL", "INST"):
                    module, name = str(argument).split(" ", 1)
                    yield f"{IMPORT_MAPPING.get(module, module)}.{name}"
                elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
                    yield ".".join(strings[-2:])
                elif "UNICODE" in opcode.name or "STRING" in opcode.name:
                    strings.append(str(argument))
        except Exception:  # cut off or nonsense: what was seen so far is all there is to say
            continue


def _streams(raw: bytes) -> Iterator[io.BytesIO]:
    if raw[:4] != _ZIP:
        stream = io.BytesIO(raw)
        for _ in range(_PICKLES):
            yield stream
        return
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    yield io.BytesIO(archive.read(name))
    except Exception:  # a broken archive: the caller says so
        return
