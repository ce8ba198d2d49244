"""Where an array lives: picks the native module and allocates results beside it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArrayError, DeviceError

Array = Any

Coding = tuple[float, float, int, bool, float, float]

_SITINGS = {
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}


def is_cuda(x: Array) -> bool:
    """Whether an array is in GPU memory."""
    if isinstance(x, np.ndarray):
        return False
    if hasattr(x, "__cuda_array_interface__"):
        return True
    if hasattr(x, "__dlpack_device__"):
        return int(x.__dlpack_device__()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged
    return False


def module_for(x: Array) -> ModuleType:
    """The extension module that runs on x's memory. Raises DeviceError if this build has none for it."""
    if not is_cuda(x):
        return importlib.import_module("reelmend._native")
    try:
        return importlib.import_module("reelmend._cuda")
    except ImportError as error:
        raise DeviceError(
            f"got a GPU array ({type(x).__name__}), but this build has no CUDA module ({error}); "
            "build with REELMEND_CUDA=ON where nvcc is installed, or copy the array to the CPU"
        ) from error


def empty(shape: tuple[int, ...], dtype: np.dtype[Any] | type, like: Array) -> Array:
    """A new C-contiguous array beside `like`, made by the library that `like` belongs to."""
    if not is_cuda(like):
        return np.empty(shape, dtype)
    library = type(like).__module__.partition(".")[0]
    if library == "torch":
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, np.dtype(dtype).name), device=like.device)
    if library == "pycuda":
        return sys.modules["pycuda.gpuarray"].empty(shape, dtype)
    cupy = sys.modules.get("cupy")
    if cupy is None:
        raise ArrayError(f"cannot allocate an array like {type(like).__name__}; give out=")
    return cupy.empty(shape, dtype)


def beside(table: Array, like: Array, dtype: npt.DTypeLike = np.float32) -> Array:
    """A small C-contiguous table where `like` lives; copied there if it is on the CPU."""
    if is_cuda(like) and is_cuda(table):
        return table
    host = np.ascontiguousarray(table if isinstance(table, list | tuple) else as_input(table), dtype)
    if not is_cuda(like):
        return host
    library = type(like).__module__.partition(".")[0]
    if library == "torch":
        # torch warns of memory that is read-only, though it is only copied from
        return sys.modules["torch"].from_numpy(host if host.flags.writeable else host.copy()).to(like.device)
    if library == "pycuda":
        return sys.modules["pycuda.gpuarray"].to_gpu(host)
    cupy = sys.modules.get("cupy")
    if cupy is None:
        raise ArrayError(f"cannot copy a table beside {type(like).__name__}; give it as a GPU array")
    return cupy.asarray(host)


def finite(what: str, table: Array, like: Array) -> Array:
    """As beside; a table on the CPU may hold no NaN or infinity."""
    if not is_cuda(table):
        table = np.ascontiguousarray(table if isinstance(table, list | tuple) else as_input(table), np.float32)
        if not np.isfinite(table).all():
            raise ArrayError(f"{what}: expected finite numbers; got NaN or infinity")
    return beside(table, like)


def stream_of(x: Array, stream: Any) -> Any:
    """The argument the native call wants: None on the CPU, a stream handle on a GPU."""
    if not is_cuda(x):
        return None
    if stream is None:
        library = type(x).__module__.partition(".")[0]
        if library == "torch":
            return int(sys.modules["torch"].cuda.current_stream(x.device).cuda_stream)
        if library == "cupy":
            return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
        return 0
    return handle_of(stream)


def handle_of(stream: Any) -> int:
    """The handle of a CUDA stream: a handle, or an object of any library that has streams."""
    if isinstance(stream, int):
        return stream
    for name in ("ptr", "handle", "cuda_stream"):
        if hasattr(stream, name):
            return int(getattr(stream, name))
    if hasattr(stream, "__cuda_stream__"):
        return int(stream.__cuda_stream__()[1])
    raise ArrayError(f"stream: expected a CUDA stream handle or object; got {type(stream).__name__}")


def as_input(x: Any) -> Array:
    """An input as an array with shape and dtype, without a copy: plain buffers and DLPack objects become NumPy's."""
    if isinstance(x, np.ndarray) or is_cuda(x):
        return x
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array_interface__"):
            return np.from_dlpack(x)
        array = np.asarray(memoryview(x))
    except (TypeError, ValueError, BufferError) as error:
        raise ArrayError(
            f"expected an array (buffer protocol, DLPack or __cuda_array_interface__); got {type(x).__name__}: {error}"
        ) from None
    return array


def check_depth(depth: Any, kind: np.dtype[Any], what: str = "depth") -> int:
    """The depth, if it is a whole number of bits from 8 to 16 that samples of this kind hold."""
    if not isinstance(depth, int | np.integer) or not 8 <= depth <= 16:
        raise ArrayError(f"{what}: expected 8 to 16 bits; got {depth!r}")
    if kind == np.uint8 and depth != 8:
        raise ArrayError(f"{what}: {depth} bits do not fit {kind} samples; expected 8")
    return int(depth)


def dtype_of(x: Array) -> np.dtype[Any]:
    """NumPy's dtype of any array."""
    if isinstance(x, np.ndarray):
        kind: np.dtype[Any] = x.dtype
        return kind
    name = str(getattr(x, "dtype", "")).removeprefix("torch.")
    try:
        return np.dtype(name)
    except TypeError:
        raise ArrayError(f"expected an array; got {type(x).__name__}") from None


def coding(kr: float, kb: float, depth: int, full_range: bool, siting: str) -> Coding:
    """The tuple the native calls take for what YUV samples mean."""
    if siting not in _SITINGS:
        raise ArrayError(f"siting: expected one of {', '.join(_SITINGS)}; got {siting!r}")
    if not (0 < kr < 1 and 0 < kb < 1 and kr + kb < 1):
        raise ArrayError(f"kr, kb: expected weights in (0, 1) with kr + kb < 1; got {kr}, {kb}")
    return (kr, kb, int(depth), bool(full_range), *_SITINGS[siting])


def planes_of(x: Any) -> list[Array]:
    """Three planes, from three planes or from one array (height, width, 3) whose channels become views."""
    if isinstance(x, tuple | list):
        planes = [as_input(p) for p in x]
        if len(planes) != 3:
            raise ArrayError(f"expected 3 planes; got {len(planes)}")
        if any(len(p.shape) != 2 for p in planes):
            raise ArrayError(f"expected planes of shape (height, width); got {[tuple(p.shape) for p in planes]}")
        return planes
    x = as_input(x)
    if x.ndim == 3 and x.shape[2] == 3:
        return [x[:, :, 0], x[:, :, 1], x[:, :, 2]]
    raise ArrayError(
        f"expected three planes or one array (height, width, 3); got shape {tuple(getattr(x, 'shape', ()))}"
    )


def empty_like(x: Array) -> Array:
    """A new C-contiguous array of x's shape and dtype beside it."""
    return empty(tuple(x.shape), dtype_of(x), x)


def copy(x: Array) -> Array:
    """A new array with x's samples beside it."""
    return x.clone() if type(x).__module__.startswith("torch") else x.copy()


def to_host(x: Array) -> Any:
    """The array as NumPy's: itself on the CPU; copied, after waiting for its stream, from a GPU."""
    if not is_cuda(x):
        return np.asarray(x)
    if type(x).__module__.startswith("torch"):
        return x.cpu().numpy()
    return x.get()


def overlaps(a: Array, b: Array) -> bool:
    """Whether two arrays may share memory (on a GPU: begin at the same place)."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        enough: Any = 10_000  # NumPy counts this work; its stub knows only the two extremes
        try:
            return bool(np.shares_memory(a, b, max_work=enough))
        except np.exceptions.TooHardError:
            return True
    ends = [getattr(x, "__cuda_array_interface__", None) for x in (a, b)]
    return ends[0] is not None and ends[1] is not None and ends[0]["data"][0] == ends[1]["data"][0]
