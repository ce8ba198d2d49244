"""Fixtures for all tests: where the material lies, and the devices an op runs on."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend import _native, ops
from reelmend.errors import MissingExtraError
from reelmend.ops._memory import holder

Array = Any


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache of engines; what one test had accepted serves the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REELMEND_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder of test material: REELMEND_MATERIAL, or ../shared/material beside the repository."""
    named = os.environ.get("REELMEND_MATERIAL")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "material"
    if not (folder / "video").is_dir():
        pytest.skip(f"no test material: {folder} has no folder 'video'; set REELMEND_MATERIAL to where it lies")
    return folder


@pytest.fixture(scope="session")
def small_weights() -> Callable[[dict[str, Any], int], dict[str, Any]]:
    """Fills a state dict with random weights that keep signals about as large as they were, the same for a seed."""

    def fill(state: dict[str, Any], seed: int = 0) -> dict[str, Any]:
        import torch

        generator = torch.Generator().manual_seed(seed)
        filled = {}
        for name, tensor in state.items():
            if not tensor.is_floating_point():
                filled[name] = tensor
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            fan = max(1, tensor[0].numel()) if tensor.dim() > 1 else 100
            filled[name] = noise.abs() + 0.5 if name.endswith("running_var") else noise * (1.5 / fan) ** 0.5
        return filled

    return fill


# What an extra brings that a test would import.
EXTRAS = {
    "dali": "nvidia.dali",
    "nvcodec": "PyNvVideoCodec",
    "openvino": "openvino",
    "rtx": "tensorrt_rtx",
    "tensorrt": "tensorrt",
    "train": "torch",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked extra("rtx") where it is absent; fail them where REELMEND_REQUIRE=train,rtx,... names it."""
    required = os.environ.get("REELMEND_REQUIRE", "").split(",")
    for mark in item.iter_markers("extra"):
        for name in mark.args:
            try:
                importlib.import_module(EXTRAS[name])
            except Exception as error:  # one of these raises RuntimeError on a machine without its driver
                absent = f"the extra {name!r} is not installed: {error}"
                (pytest.fail if name in required else pytest.skip)(absent)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "material" in names:
            item.add_marker("material")
        if "cuda" in names:
            item.add_marker("gpu")


class Cpu:
    """NumPy arrays."""

    name = "cpu"

    def put(self, array: Array) -> Array:
        """A C-contiguous copy of a NumPy array on this device."""
        return np.array(array, order="C")

    def get(self, array: Array) -> np.ndarray:
        """The array as NumPy's."""
        return np.asarray(array)


class Cuda:
    """Arrays of CuPy, or of PyTorch where CuPy is not installed."""

    name = "cuda"

    def put(self, array: Array) -> Array:
        return ops.to_device(array)

    def get(self, array: Array) -> np.ndarray:
        return ops.to_host(array)


def _why_no_cuda() -> str | None:
    """What is missing for tests on a GPU, if anything."""
    try:
        module = importlib.import_module("reelmend._cuda")
    except ImportError as error:
        return f"no CUDA module in this build ({error})"
    if module.device_count() < 1:
        return f"no CUDA device ({module.why_not()})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what another library's import warns of is not ours to mend
            holder()
    except MissingExtraError as error:
        return f"no CuPy and no PyTorch with CUDA ({error})"
    return None


@pytest.fixture(scope="session")
def cuda() -> Cuda:
    """The GPU. Skips where there is none, or fails when REELMEND_REQUIRE_GPU=1."""
    why = _why_no_cuda()
    if why is not None:
        (pytest.fail if os.environ.get("REELMEND_REQUIRE_GPU") == "1" else pytest.skip)(why)
    return Cuda()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Cpu | Cuda:
    """Each device in turn: `device.put(array)`, `device.get(array)`, `device.name`."""
    return Cpu() if request.param == "cpu" else request.getfixturevalue("cuda")


@pytest.fixture
def to_device(device: Cpu | Cuda) -> Callable[[Array], Array]:
    return device.put


@pytest.fixture
def to_numpy(device: Cpu | Cuda) -> Callable[[Array], np.ndarray]:
    return device.get


@pytest.fixture
def for_threads() -> Iterator[Callable[[Callable[[], Any]], list[Any]]]:
    """Runs a function with 1, 2, 3 and 7 threads and gives the four results."""

    def run(work: Callable[[], Any]) -> list[Any]:
        results = []
        for count in (1, 2, 3, 7):
            _native.set_threads(count)
            results.append(work())
        return results

    yield run
    _native.set_threads(0)
