"""Small tools on rows of numbers: a queue of them that is always one array, medians, interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "linear", "middle"]


class Rows:
    """Appended at the end, dropped at the front, read as a whole."""

    def __init__(self) -> None:
        self._data: NDArray[Any] | None = None
        self._first = self._end = 0

    def append(self, row: NDArray[Any] | np.generic) -> None:
        if self._data is None:
            self._data = np.empty((64, *row.shape), row.dtype)
        if self._end == len(self._data):
            held = self._end - self._first
            room = self._data if self._first > len(self._data) // 2 else np.empty_like(self._data, shape=self._twice())
            room[:held] = self._data[self._first : self._end]
            self._data, self._first, self._end = room, 0, held
        self._data[self._end] = row
        self._end += 1

    def _twice(self) -> tuple[int, ...]:
        assert self._data is not None
        return (2 * len(self._data), *self._data.shape[1:])

    def drop(self) -> None:
        self._first += 1

    def __len__(self) -> int:
        return self._end - self._first

    def all(self) -> NDArray[Any]:
        """A view of all rows, oldest first."""
        assert self._data is not None
        return self._data[self._first : self._end]


def linear(at: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Interpolation between n values at places counted from 0, constant beyond: a matrix (len(at), n)."""
    at = np.clip(at, 0.0, n - 1.0)
    low = np.minimum(at.astype(np.int64), max(n - 2, 0))
    matrix = np.zeros((len(at), n))
    rows = np.arange(len(at))
    matrix[rows, low] = 1.0 - (at - low)
    matrix[rows, np.minimum(low + 1, n - 1)] += at - low
    return matrix


def middle(x: NDArray[Any]) -> NDArray[Any]:
    """Median over the last axis; np.median's checks take longer than these few numbers do."""
    n = x.shape[-1]
    ordered = np.sort(x, axis=-1)
    result: NDArray[Any] = (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) * np.float32(0.5)
    return result
