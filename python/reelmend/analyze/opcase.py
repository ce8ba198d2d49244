"""What a benchmark of an op is: a call of ours, and its peers' on the same picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

__all__ = ["Array", "Call", "OpCase", "find_opencv"]

Call = Callable[[], object]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class OpCase:
    """An op on one picture. `bytes` are those read and written once; `peers` by name."""

    name: str
    bytes: int
    ours: Call
    peers: dict[str, Call] = field(default_factory=dict)
    note: str = ""


def find_opencv() -> Any:
    """OpenCV, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2
