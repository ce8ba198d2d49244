"""smooth_quantiles against float64 NumPy. Bound: 1e-6 of the largest value, times the sum of |weights|."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(tables, weights):
    """The weighted sum over the first axis."""
    total = np.zeros(tables.shape[1:], np.float64)
    for table, weight in zip(tables, weights, strict=True):
        total += float(weight) * table.astype(np.float64)
    return total


def random_tables(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def random_weights(count, seed=1):
    weights = np.random.default_rng(seed).random(count, np.float32)
    return weights / weights.sum()


@pytest.mark.parametrize("shape", [(1, 1), (1, 256), (2, 3), (7, 3, 256), (121, 3, 256), (5, 2, 3, 17), (33, 1027)])
def test_is_the_reference(device, shape):
    tables, weights = random_tables(*shape), random_weights(shape[0])
    got = device.get(ops.smooth_quantiles(device.put(tables), device.put(weights)))
    assert got.dtype == np.float32
    assert got.shape == shape[1:]
    assert np.abs(got - reference(tables, weights)).max() <= 1e-6


def test_weights_are_used_as_given(device):
    tables, weights = random_tables(3, 8), np.array([2, -1, 0.5], np.float32)
    got = device.get(ops.smooth_quantiles(device.put(tables), weights))
    assert np.abs(got - reference(tables, weights)).max() <= 4e-6


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 3, 6])
def test_one_hot_weights_give_that_row(device, at):
    tables, weights = random_tables(7, 3, 256), np.zeros(7, np.float32)
    weights[at] = 1
    got = ops.smooth_quantiles(device.put(tables), device.put(weights))
    assert np.array_equal(device.get(got), tables[at])


def test_equal_rows_stay(device):
    tables = np.tile(random_tables(1, 64), (4, 1))
    got = device.get(ops.smooth_quantiles(device.put(tables), np.full(4, 0.25, np.float32)))
    assert np.array_equal(got, tables[0])


def test_weights_may_be_a_list_or_doubles(device):
    tables = device.put(random_tables(3, 8))
    expected = device.get(ops.smooth_quantiles(tables, np.array([0.5, 0.25, 0.25], np.float32)))
    for weights in ([0.5, 0.25, 0.25], np.array([0.5, 0.25, 0.25])):
        assert np.array_equal(device.get(ops.smooth_quantiles(tables, weights)), expected)


def test_out(device):
    tables, weights = device.put(random_tables(5, 3, 64)), device.put(random_weights(5))
    out = device.put(np.zeros((3, 64), np.float32))
    assert ops.smooth_quantiles(tables, weights, out=out) is out
    assert np.array_equal(device.get(out), device.get(ops.smooth_quantiles(tables, weights)))


def test_a_cropped_out_is_written_or_refused():
    tables, weights = random_tables(5, 3, 64), random_weights(5)
    base = np.zeros((3, 100), np.float32)
    try:
        ops.smooth_quantiles(tables, weights, out=base[:, 7:71])
    except ArrayError:
        return
    assert np.array_equal(base[:, 7:71], ops.smooth_quantiles(tables, weights))


@pytest.mark.parametrize("every", [(2, 1), (1, 2), (3, 3)])
def test_strided_tables_are_read_or_refused(device, every):
    tables, weights = random_tables(6, 3, 64), random_weights(6)[:: every[0]]
    view = (slice(None, None, every[0]), slice(None), slice(None, None, every[1]))
    try:
        got = ops.smooth_quantiles(device.put(tables)[view], device.put(weights))
    except ArrayError:
        return
    assert np.array_equal(device.get(got), ops.smooth_quantiles(tables[view].copy(), weights))


def test_foreign_arrays(foreign):
    tables, weights = random_tables(5, 3, 64), random_weights(5)
    expected = ops.smooth_quantiles(tables, weights)
    assert np.array_equal(ops.smooth_quantiles(foreign(tables), weights), expected)


def test_read_only_tables():
    tables, weights = random_tables(5, 3, 64), random_weights(5)
    expected = ops.smooth_quantiles(tables, weights)
    tables.setflags(write=False)
    weights.setflags(write=False)
    assert np.array_equal(ops.smooth_quantiles(tables, weights), expected)


def test_same_bits_with_any_number_of_threads(for_threads):
    tables, weights = random_tables(121, 3, 256), random_weights(121)
    first, *rest = for_threads(lambda: ops.smooth_quantiles(tables, weights))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("shape", [(1, 1), (121, 3, 256), (33, 1027)])
def test_cuda_gives_the_bits_of_the_cpu(cuda, shape):
    tables, weights = random_tables(*shape), random_weights(shape[0])
    theirs = ops.smooth_quantiles(cuda.put(tables), cuda.put(weights))
    assert np.array_equal(ops.smooth_quantiles(tables, weights), cuda.get(theirs))


# --- errors ------------------------------------------------------------------------------------------------------

T = np.zeros((4, 3, 8), np.float32)
W = np.full(4, 0.25, np.float32)
FROZEN = np.zeros((3, 8), np.float32)
FROZEN.setflags(write=False)

BAD = {
    "doubles": (T.astype(np.float64), W, {}, "expected float32; got another dtype"),
    "integers": (T.astype(np.int32), W, {}, "expected float32; got int32"),
    "too few weights": (T, W[:3], {}, r"weights: expected shape \(4\); got \(3\)"),
    "weights of two dimensions": (T, W[:, None], {}, "weights: expected shape"),
    "out of another size": (T, W, {"out": np.zeros((3, 7), np.float32)}, r"expected shape \(3, 8\); got \(3, 7\)"),
    "out of doubles": (T, W, {"out": np.zeros((3, 8))}, "expected float32; got another dtype"),
    "read-only out": (T, W, {"out": FROZEN}, "read-only"),
}


@pytest.mark.parametrize(("tables", "weights", "options", "message"), BAD.values(), ids=BAD)
def test_smooth_quantiles_refuses(tables, weights, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.smooth_quantiles(tables, weights, **options)
