"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder of real clips (REELMEND_MATERIAL or ../shared/material); skips where it is absent."""
    folder = Path(os.environ.get("REELMEND_MATERIAL") or Path(__file__).parents[2] / "shared/material")
    if not (folder / "video").is_dir():
        pytest.skip(f"no test material in {folder}; set REELMEND_MATERIAL to its folder")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "material" in getattr(item, "fixturenames", ()):
            item.add_marker("material")
