"""Memory of a GPU, held by another library: CuPy, or PyTorch where CuPy is not installed."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtraError, OptionError
from ._dispatch import Array, as_input, is_cuda, to_host

__all__ = ["cast", "gpu_of", "holder", "largest", "to_device"]

_DEVICE = re.compile(r"^(?:cpu|cuda(?::(\d+))?)$")


def gpu_of(device: str) -> int | None:
    """The number of the GPU that a device names, None for "cpu". Raises OptionError for another word."""
    match = _DEVICE.match(device)
    if not match:
        raise OptionError(f"device is {device!r}; expected 'cpu', 'cuda' or 'cuda:N'")
    return None if device == "cpu" else int(match[1] or 0)


def holder() -> ModuleType:
    """The library that new arrays on a GPU belong to: CuPy, else PyTorch if it was built for CUDA and finds a device.

    Raises MissingExtraError where there is neither.
    """
    try:
        return import_module("cupy")
    except ImportError:
        pass
    try:
        torch = import_module("torch")
    except ImportError:
        torch = None
    if torch is not None and torch.cuda.is_available():
        return torch
    raise MissingExtraError("cupy-cuda13x", "cupy", "holding frames on a GPU")


def to_device(x: Array, index: int = 0, library: ModuleType | None = None) -> Array:
    """A C-contiguous copy of an array of the host on the GPU of this number.

    library  what holds it: the module cupy or torch; default: CuPy, else PyTorch. Raises MissingExtraError for neither.
    """
    library = library or holder()
    host = np.ascontiguousarray(as_input(x))
    if library.__name__ == "torch":
        # torch warns of memory that is read-only, though it is only copied from
        return library.from_numpy(host if host.flags.writeable else host.copy()).to(f"cuda:{index}")
    with library.cuda.Device(index):
        return library.asarray(host)


def _torch_of(x: Array) -> Any:
    """PyTorch if x belongs to it, else None."""
    return sys.modules["torch"] if type(x).__module__.partition(".")[0] == "torch" else None


def cast(x: Array, dtype: npt.DTypeLike) -> Array:
    """A copy of x with samples of another dtype, beside it. Fractions are cut off."""
    torch = _torch_of(x)
    return x.astype(dtype) if torch is None else x.to(getattr(torch, np.dtype(dtype).name))


def largest(x: Array, axis: int) -> npt.NDArray[Any]:
    """The largest samples of an integer array along an axis, as NumPy's, wherever the array lives."""
    torch = _torch_of(x)
    if torch is not None:
        x = x.to(torch.int32).amax(axis)  # torch stores uint16, but has no arithmetic for it
    elif is_cuda(x) or isinstance(x, np.ndarray):
        x = x.max(axis=axis)
    else:
        x = as_input(x).max(axis=axis)
    found: npt.NDArray[Any] = to_host(x)
    return found
