"""The table of cases of the YUV ops, ways to lay out a plane in memory, and threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (64, 513), (65, 1027)]  # (height, width); CPU chunks are 512 wide
SUBSAMPLINGS = {"420": (1, 1), "422": (1, 0), "440": (0, 1), "444": (0, 0)}
DEPTHS = [8, 10, 12, 16]
SITINGS = ["left", "center", "topleft", "top", "bottomleft", "bottom"]
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


@dataclass(frozen=True)
class Case:
    """One kind of YUV picture."""

    height: int
    width: int
    sub: str
    depth: int
    full: bool
    siting: str
    matrix: str

    def __str__(self) -> str:
        kind = "full" if self.full else "limited"
        return f"{self.height}x{self.width}-{self.sub}-{self.depth}-{kind}-{self.siting}-{self.matrix}"

    @property
    def subsampling(self) -> tuple[int, int]:
        return SUBSAMPLINGS[self.sub]

    @property
    def max_code(self) -> int:
        return 2**self.depth - 1

    @property
    def dtype(self) -> type:
        return np.uint8 if self.depth == 8 else np.uint16

    @property
    def coding(self) -> dict[str, Any]:
        kr, kb = MATRICES[self.matrix]
        return {"kr": kr, "kb": kb, "depth": self.depth, "full_range": self.full, "siting": self.siting}

    @property
    def chroma_shape(self) -> tuple[int, int]:
        sx, sy = self.subsampling
        return -(-self.height // 2**sy), -(-self.width // 2**sx)

    def planes(self, seed: int = 0) -> list[np.ndarray]:
        """Y, Cb, Cr of noise over all codes, legal or not."""
        rng = np.random.default_rng(seed)
        shapes = [(self.height, self.width), self.chroma_shape, self.chroma_shape]
        return [rng.integers(0, self.max_code + 1, s).astype(self.dtype) for s in shapes]

    def rgb(self, seed: int = 0) -> np.ndarray:
        """Noise over all codes, (height, width, 3), of the same depth."""
        rng = np.random.default_rng(seed)
        return rng.integers(0, self.max_code + 1, (self.height, self.width, 3)).astype(self.dtype)


def _cases() -> list[Case]:
    """Every size with every subsampling, the rest in turn; then one odd size with all of the rest."""
    found: dict[Case, None] = {}
    names = list(MATRICES)
    for n, ((height, width), sub) in enumerate(product(SIZES, SUBSAMPLINGS)):
        found[Case(height, width, sub, DEPTHS[n % 4], n % 3 == 0, SITINGS[n % 6], names[n % 3])] = None
    for sub, siting, full in product(SUBSAMPLINGS, SITINGS, (False, True)):
        found[Case(17, 33, sub, 8, full, siting, "bt709")] = None
    for depth, full, matrix in product(DEPTHS, (False, True), names):
        found[Case(17, 33, "420", depth, full, "left", matrix)] = None
    return list(found)


def _contiguous(put: Callable[[Any], Any], a: np.ndarray) -> Any:
    return put(a)


def _cropped(put: Callable[[Any], Any], a: np.ndarray) -> Any:
    big = np.full((a.shape[0] + 5, a.shape[1] + 7), 77, a.dtype)
    big[2:-3, 3:-4] = a
    return put(big)[2:-3, 3:-4]


def _strided(put: Callable[[Any], Any], a: np.ndarray) -> Any:
    big = np.full((a.shape[0] * 2, a.shape[1] * 3), 77, a.dtype)
    big[::2, ::3] = a
    return put(big)[::2, ::3]


def _packed(put: Callable[[Any], Any], a: np.ndarray) -> Any:
    big = np.full((*a.shape, 3), 77, a.dtype)
    big[:, :, 1] = a
    return put(big)[:, :, 1]


def _fortran(put: Callable[[Any], Any], a: np.ndarray) -> Any:
    return put(a.T).T


def _backwards(put: Callable[[Any], Any], a: np.ndarray) -> Any:
    held = put(a[::-1, ::-1])
    if type(held).__module__ == "torch":
        pytest.skip("PyTorch has no negative strides")
    return held[::-1, ::-1]


# Each gives an array with the same samples, laid out in another way; what lies between the samples is 77.
LAYOUTS = {
    "contiguous": _contiguous,
    "cropped": _cropped,
    "strided": _strided,
    "packed": _packed,
    "fortran": _fortran,
    "backwards": _backwards,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", _cases(), ids=str)
    if "layout" in metafunc.fixturenames:
        metafunc.parametrize("layout", list(LAYOUTS.values()), ids=list(LAYOUTS))


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """Case(...) with defaults: 65 x 1027, 4:2:0, 8 bits, limited, left, BT.709."""

    def make(**changes: Any) -> Case:
        plain = {"height": 65, "width": 1027, "sub": "420", "depth": 8, "full": False, "siting": "left"}
        return Case(**{**plain, "matrix": "bt709", **changes})

    return make


class DlpackOnly:
    """An array that can do nothing but hand itself over by DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


def _torch(array: np.ndarray) -> Any:
    return pytest.importorskip("torch").from_numpy(array)


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.setflags(write=False)
    return array


@pytest.fixture(params=["memoryview", "dlpack", "torch", "read-only"])
def foreign(request: pytest.FixtureRequest) -> Callable[[np.ndarray], Any]:
    """Makes a CPU array of another kind over a NumPy array."""
    return {"memoryview": memoryview, "dlpack": DlpackOnly, "torch": _torch, "read-only": _read_only}[request.param]
