"""median_flow against np.median of all windows: the same numbers, not nearly the same. And its network is proved."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def reference(flow, size):
    reach = size // 2
    clean = np.where(np.isfinite(flow), flow, 0)
    padded = np.pad(clean, ((0, 0), (reach, reach), (reach, reach)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    return np.median(windows, (-1, -2))


def noise(size, seed=0):
    return np.random.default_rng(seed).normal(0, 5, (2, *size)).astype(np.float32)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (9, 255), (7, 257), (65, 1027)]


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("shape", SIZES)
def test_is_the_reference(device, shape, size):
    flow = noise(shape)
    got = device.get(ops.median_flow(device.put(flow), size))
    assert (got.dtype, got.shape) == (np.float32, (2, *shape))
    assert np.array_equal(got, reference(flow, size))


@pytest.mark.parametrize("size", [3, 5])
def test_ties_nan_and_infinity(device, size):
    flow = np.round(noise((33, 47)) / 5)
    flow[0, 3, 4:9], flow[1, 5, :], flow[:, 8, 2] = np.nan, np.inf, -np.inf
    assert np.array_equal(device.get(ops.median_flow(device.put(flow), size)), reference(flow, size))


@pytest.mark.parametrize("size", [3, 5])
def test_the_network_finds_the_median_of_zeros_and_ones(size):
    """The 0-1 principle: a network that is right for all zeros and ones is right for all numbers."""
    text = (Path(__file__).parents[2] / "csrc/ops/median.h").read_text()
    body = text[text.index(f"struct MedianNetwork<{size}>") :]
    parts = [body[(at := body.index(name)) : body.index("}};", at) + 1] for name in ("kColumn", "kSelect")]
    column, select = ([(int(a), int(b)) for a, b in re.findall(r"\{(\d+), +(\d+)\}", part)] for part in parts)
    middle = int(re.search(r"kMiddle = (\d+)", body)[1])
    alone = np.array(list(product((False, True), repeat=size))).T
    for low, high in column:
        alone[low], alone[high] = alone[low] & alone[high], alone[low] | alone[high]
    assert (np.diff(alone.astype(int), axis=0) >= 0).all()
    ones = np.array(list(product(range(size + 1), repeat=size)))  # in each sorted column
    rows = np.arange(size)[:, None, None] >= size - ones.T[None]
    state = rows.reshape(size * size, -1)
    count = state.sum(0)
    for low, high in select:
        state[low], state[high] = state[low] & state[high], state[low] | state[high]
    assert np.array_equal(state[middle], count > size * size // 2)


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 5])
def test_an_outlier_goes_and_an_edge_stays(device, size):
    flow = np.zeros((2, 20, 30), np.float32)
    flow[0, :, 15:] = 7
    clean = flow.copy()
    flow[0, 10, 6], flow[1, 4, 20] = 100, -100
    assert np.array_equal(device.get(ops.median_flow(device.put(flow), size)), clean)


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (9, 600)])
def test_any_layout(device, shape, size):
    flow = noise(shape)
    expected = device.get(ops.median_flow(device.put(flow), size))
    turned = device.put(np.moveaxis(flow, 0, 2)).swapaxes(0, 2).swapaxes(1, 2)
    cropped = device.put(np.pad(flow, ((0, 0), (2, 3), (4, 5))))[:, 2:-3, 4:-5]
    out = device.put(np.zeros((*shape, 2), np.float32)).swapaxes(0, 2).swapaxes(1, 2)
    assert ops.median_flow(turned, size, out=out) is out
    assert np.array_equal(device.get(out), expected)
    assert np.array_equal(device.get(ops.median_flow(cropped, size)), expected)


def test_foreign_arrays(foreign):
    flow = noise((17, 33))
    assert np.array_equal(ops.median_flow(foreign(flow)), ops.median_flow(flow))


def test_same_bits_with_any_number_of_threads(for_threads):
    flow = noise((131, 1027))
    first, *rest = for_threads(lambda: ops.median_flow(flow, 5))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("shape", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, shape, size):
    flow = noise(shape)
    flow[0, 0, 0] = np.nan
    assert np.array_equal(ops.median_flow(flow, size), cuda.get(ops.median_flow(cuda.put(flow), size)))


# --- errors ------------------------------------------------------------------------------------------------------

F = np.zeros((2, 4, 6), np.float32)

BAD = {
    "one component": ((F[0],), {}, r"flow: expected shape \(2, height, width\)"),
    "doubles": ((F.astype(np.float64),), {}, "flow: expected float32"),
    "size": ((F, 4), {}, "size: expected 3 or 5; got 4"),
    "empty": ((F[:, :0],), {}, "empty plane"),
    "out's size": ((F,), {"out": F[:, :3].copy()}, r"out: expected shape \(2, 4, 6\)"),
    "in place": ((F,), {"out": F}, "shares memory"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.median_flow(*given, **options)
