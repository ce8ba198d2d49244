"""A queue of rows and interpolation as a matrix, against lists and float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend.stages.rows import Rows, linear

# --- Rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_a_list(seed):
    """Long enough to grow and to move down, several times, whichever comes first."""
    rng = np.random.default_rng(seed)
    rows, reference = Rows(), []
    for k in range(900):
        row = np.full((2, 3), k, np.float32)
        rows.append(row)
        reference.append(row)
        while reference and rng.random() < (0.30, 0.45, 0.49, 0.52)[seed]:
            rows.drop()
            del reference[0]
        assert len(rows) == len(reference)
        assert rows.all().shape == (len(reference), 2, 3)
        if reference:
            assert np.array_equal(rows.all(), np.stack(reference))


@pytest.mark.parametrize("held", [1, 31, 32, 33, 63, 64, 65])
def test_a_window_that_slides(held):
    rows = Rows()
    for k in range(400):
        rows.append(np.int64(k))
        if len(rows) > held:
            rows.drop()
        assert np.array_equal(rows.all(), np.arange(max(0, k - held + 1), k + 1))


def test_rows_are_copied():
    rows, row = Rows(), np.zeros(4, np.float32)
    rows.append(row)
    row += 1
    assert not rows.all().any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_rows_keep_their_dtype(dtype):
    rows = Rows()
    for k in range(130):
        rows.append(dtype(k))
    assert rows.all().dtype == dtype


# --- linear ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 16, 64])
def test_linear_is_interp(n):
    rng = np.random.default_rng(n)
    at = np.concatenate([rng.uniform(-2, n + 1, 50), np.arange(n), [-1e9, 1e9, 0, n - 1]])
    values = rng.standard_normal((n, 3))
    matrix = linear(at, n)
    assert matrix.shape == (len(at), n)
    for c in range(3):
        assert matrix @ values[:, c] == pytest.approx(np.interp(at, np.arange(n), values[:, c]), abs=1e-12)


def test_linear_weights_sum_to_one():
    matrix = linear(np.linspace(-3, 20, 200), 9)
    assert matrix.sum(axis=1) == pytest.approx(1)
    assert (matrix >= 0).all()


def test_linear_of_no_places():
    assert linear(np.empty(0), 5).shape == (0, 5)
