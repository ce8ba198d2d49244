"""dense_flow: a float64 NumPy reference of one level, motions that are known, properties, memory and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

SIZES = [(1, 1), (1, 9), (7, 2), (8, 8), (17, 33), (40, 50)]


# --- the reference ---------------------------------------------------------------------------------------------------


def at(plane: np.ndarray, rows: Any, columns: Any) -> np.ndarray:
    """Samples, edges repeated."""
    return plane[np.clip(rows, 0, plane.shape[0] - 1), np.clip(columns, 0, plane.shape[1] - 1)]


def moved_patch(b: np.ndarray, x: int, y: int, u: float, v: float) -> np.ndarray:
    """8 x 8 samples whose corner is at (x + u, y + v), at most beside the picture; bilinear."""
    px, py = np.clip(x + u, -8, b.shape[1]), np.clip(y + v, -8, b.shape[0])
    wx, wy = int(np.floor(px)), int(np.floor(py))
    fx, fy = px - wx, py - wy
    nine = at(b, wy + np.arange(9)[:, None], wx + np.arange(9))
    across = (1 - fx) * nine[:, :-1] + fx * nine[:, 1:]
    return (1 - fy) * across[:-1] + fy * across[1:]


class PatchSearch:
    """One patch of a: its residual at a vector, and the descent."""

    def __init__(self, a: np.ndarray, b: np.ndarray, x: int, y: int) -> None:
        self.b, self.x, self.y = b, x, y
        rows, columns = y + np.arange(8)[:, None], x + np.arange(8)
        self.a = at(a, rows, columns)
        gx = (at(a, rows, columns + 1) - at(a, rows, columns - 1)) / 2
        gy = (at(a, rows + 1, columns) - at(a, rows - 1, columns)) / 2
        self.g = np.stack([(gx - gx.mean()).ravel(), (gy - gy.mean()).ravel()])
        self.hessian = self.g @ self.g.T + 16 * np.eye(2)

    def difference(self, vector: np.ndarray) -> np.ndarray:
        return moved_patch(self.b, self.x, self.y, *vector) - self.a

    def residual(self, vector: np.ndarray) -> float:
        d = self.difference(vector)
        return float(((d - d.mean()) ** 2).sum())

    def descend(self, start: np.ndarray, iterations: int) -> np.ndarray:
        best = start
        for _ in range(iterations):
            step = np.linalg.solve(self.hessian, self.g @ self.difference(best).ravel())
            then = best - step
            if np.hypot(*(then - start)) > 8:
                break
            if np.hypot(*step) < 0.04:
                return then
            if self.residual(then) >= self.residual(best):
                break
            best = then
        return best


def places(size: int, stride: int) -> list[int]:
    last = max(0, size - 8)
    return [*range(0, last, stride), last]


def reference(a: np.ndarray, b: np.ndarray, initial: np.ndarray, stride: int, iterations: int) -> np.ndarray:
    """The finest level alone: a search, a second one from the neighbours' vectors, the average."""
    a, b, initial = (p.astype(np.float64) for p in (a, b, initial))
    height, width = a.shape
    rows, columns = places(height, stride), places(width, stride)
    patches = {(j, i): PatchSearch(a, b, x, y) for j, y in enumerate(rows) for i, x in enumerate(columns)}

    def start(p: PatchSearch) -> np.ndarray:
        middle = np.array([min(p.x + 3.5, width - 1), min(p.y + 3.5, height - 1)])
        x, y = np.floor(middle).astype(int)
        fx, fy = middle - (x, y)
        corner = [[at(c, y + np.arange(2)[:, None], x + np.arange(2)) for c in initial]]
        return np.array([[1 - fy, fy] @ c @ [1 - fx, fx] for c in corner[0]])

    found = {k: p.descend(start(p), iterations) for k, p in patches.items()}
    better = {}
    for (j, i), p in patches.items():
        best = own = tried = found[j, i]
        for dj, di in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
            there = found.get((min(max(j + dj, 0), len(rows) - 1), min(max(i + di, 0), len(columns) - 1)))
            if np.hypot(*(there - best)) >= 1 and np.hypot(*(there - tried)) >= 1:
                tried = there
                best = there if p.residual(there) < p.residual(best) else best
        better[j, i] = own if best is own else p.descend(best, iterations)
    total, weight = np.zeros((2, height + 8, width + 8)), np.zeros((height + 8, width + 8))
    for k, p in patches.items():
        d = p.difference(better[k])
        w = 1 / np.maximum(1, np.abs(d - d.mean()))
        total[:, p.y : p.y + 8, p.x : p.x + 8] += w * better[k][:, None, None]
        weight[p.y : p.y + 8, p.x : p.x + 8] += w
    return total[:, :height, :width] / weight[:height, :width]


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def texture(rows: np.ndarray, columns: np.ndarray, seed: int = 0) -> np.ndarray:
    """A picture that has a value at any place: waves of 5 to 100 pixels."""
    rng = np.random.default_rng(seed)
    value = np.full(np.broadcast_shapes(rows.shape, columns.shape), 128.0)
    for _ in range(150):
        length, angle, phase = 5 * 20 ** rng.random(), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        value += 4 * np.sin(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / length + phase)
    return value


def picture(size: tuple[int, int], u: Any = 0.0, v: Any = 0.0, seed: int = 0) -> np.ndarray:
    """The texture moved by (u, v): numbers, or maps of where this picture's pixels come from, negated."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    return np.clip(np.rint(texture(rows - v, columns - u, seed)), 0, 255).astype(np.uint8)


def inside(flow: np.ndarray, margin: int = 16) -> np.ndarray:
    return flow[:, margin:-margin, margin:-margin]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("stride", "iterations"), [(4, 0), (4, 1), (4, 8), (3, 3), (8, 2), (5, 2), (1, 1)])
def test_one_level_is_the_reference(device, size, stride, iterations):
    if stride == 1 and size == (40, 50):
        pytest.skip("the reference takes seconds")
    rng = np.random.default_rng(7)
    a, b = picture(size), picture(size, 0.8, -0.6)
    initial = rng.normal(0, 1.5, (2, *size)).astype(np.float32)
    got = device.get(
        ops.dense_flow(
            device.put(a),
            device.put(b),
            coarsest=0,
            stride=stride,
            iterations=iterations,
            initial=device.put(initial),
        )
    )
    assert (got.dtype, got.shape) == (np.float32, (2, *size))
    off = np.abs(got - reference(a, b, initial, stride, iterations)).max(0)
    assert np.median(off) < 1e-4
    # where two vectors fit equally, to rounding, float32 may choose the other
    assert (off < 0.02).mean() >= 0.98


# --- motions that are known ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (5, 4), (0.5, 0.25), (-1.3, 2.7), (11.4, -6.2)], ids=str)
def test_a_shift(device, shift):
    u, v = shift
    size = (120, 160)
    flow = device.get(ops.dense_flow(device.put(picture(size)), device.put(picture(size, u, v))))
    off = np.hypot(*(inside(flow) - np.array([u, v])[:, None, None]))
    if u == int(u) and v == int(v):
        assert off.max() < 0.02
    assert off.mean() < 0.03
    assert np.quantile(off, 0.95) < 0.05


def test_a_shift_of_an_eighth_of_the_width(device):
    size, u = (180, 320), 40
    flow = device.get(ops.dense_flow(device.put(picture(size)), device.put(picture(size, u))))
    known = flow[:, 16:-16, 16 : -16 - u]
    assert np.hypot(known[0] - u, known[1]).mean() < 0.05


@pytest.mark.parametrize(("angle", "zoom"), [(2.0, 1.0), (0.0, 1.03), (-1.5, 0.98)])
def test_rotation_and_zoom(device, angle, zoom):
    size = (120, 160)
    turn = zoom * np.exp(1j * np.deg2rad(angle))
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    centred = (columns - size[1] / 2) + 1j * (rows - size[0] / 2)
    expected = centred * (turn - 1)  # a's pixel at c lies at c turn in b
    source = centred - centred / turn  # b's pixel at c shows what a has at c / turn
    b = picture(size, source.real, source.imag)
    flow = inside(device.get(ops.dense_flow(device.put(picture(size)), device.put(b))))
    off = np.abs((flow[0] + 1j * flow[1]) - expected[16:-16, 16:-16])
    assert off.mean() < 0.07


def test_the_flow_is_what_warp_takes(device):
    size = (96, 128)
    a, b = device.put(picture(size)), device.put(picture(size, 3.5, -2.25))
    back = device.get(ops.warp(b, ops.dense_flow(a, b))).astype(float)
    assert np.abs(back - device.get(a))[12:-12, 12:-12].mean() < 1.5
    assert np.abs(device.get(b).astype(float) - device.get(a))[12:-12, 12:-12].mean() > 15


@pytest.mark.parametrize("finest", [1, 2])
def test_the_flow_of_a_coarser_grid_is_in_its_pixels(device, finest):
    size = (121, 163)
    a, b = device.put(picture(size)), device.put(picture(size, 6, -4))
    flow = ops.dense_flow(a, b, finest=finest)
    assert tuple(flow.shape) == (2, -(-121 // 2**finest), -(-163 // 2**finest))
    assert np.abs(np.median(device.get(flow), (1, 2)) * 2**finest - (6, -4)).max() < 0.06 * 2**finest
    full = inside(device.get(ops.resize_flow(flow, size)), 24)
    assert np.abs(full - np.array([6, -4])[:, None, None]).mean() < 0.06 * 2**finest


def test_an_object_moves_over_a_still_ground(device):
    size = (120, 160)
    a, b = picture(size), picture(size)
    thing = picture((48, 48), seed=5)
    a[30:78, 40:88], b[34:82, 46:94] = thing, thing
    flow = device.get(ops.dense_flow(device.put(a), device.put(b)))
    assert np.abs(flow[:, 38:70, 48:80] - np.array([6, 4])[:, None, None]).mean() < 0.1
    assert np.abs(flow[:, 90:, :]).mean() < 0.05
    assert np.abs(flow[:, :, 110:]).mean() < 0.05


def test_an_initial_flow_is_where_the_search_begins(device):
    size = (120, 160)
    a, b = device.put(picture(size)), device.put(picture(size, 30, -20))
    initial = np.empty((2, 60, 80), np.float32)  # in pixels of its own grid
    initial[0], initial[1] = 15.4, -9.7
    from_it = device.get(ops.dense_flow(a, b, coarsest=0, initial=device.put(initial)))
    from_zero = device.get(ops.dense_flow(a, b, coarsest=0))
    known = np.s_[:, 40:-16, 16:-50]
    expected = np.array([30, -20])[:, None, None]
    assert np.abs(from_it[known] - expected).max() < 0.05
    assert np.abs(from_zero[known] - expected).mean() > 5


# --- properties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*SIZES, (131, 517)], ids=str)
@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"finest": 1}, {"coarsest": 3}], ids=str)
def test_equal_pictures_do_not_move(device, size, options):
    a = noise(size)
    for p in (a, a // 64 * 20, picture(size), np.full_like(a, 128)):
        assert (device.get(ops.dense_flow(device.put(p), device.put(p.copy()), **options)) == 0).all()


def test_flat_pictures_do_not_move(device):
    a, b = np.full((40, 60), 50, np.uint8), np.full((40, 60), 190, np.uint8)
    assert (device.get(ops.dense_flow(device.put(a), device.put(b))) == 0).all()
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8), (40, 60))
    assert (device.get(ops.dense_flow(device.put(a), device.put(np.ascontiguousarray(ramp)))) == 0).all()


def test_flat_patches_keep_where_they_start(device):
    a = np.full((40, 60), 50, np.uint8)
    initial = np.empty((2, 40, 60), np.float32)
    initial[0], initial[1] = 2.5, -1.25
    flow = ops.dense_flow(device.put(a), device.put(a), coarsest=0, initial=device.put(initial))
    assert np.abs(device.get(flow) - initial).max() < 1e-6


def test_a_change_of_brightness_changes_little(device):
    size = (96, 128)
    a, b = picture(size) // 2 + 40, picture(size, 2.5, 1.5) // 2 + 40
    plain = device.get(ops.dense_flow(device.put(a), device.put(b)))
    brighter = device.get(ops.dense_flow(device.put(a), device.put(b + np.uint8(45))))
    assert np.abs(inside(brighter - plain)).max() < 0.02
    dimmed = np.rint(b * 0.85).astype(np.uint8)
    faded = device.get(ops.dense_flow(device.put(a), device.put(dimmed)))
    assert np.abs(inside(faded - plain)).mean() < 0.05


@pytest.mark.parametrize("size", [*SIZES, (64, 530)], ids=str)
def test_never_nan(device, size):
    rng = np.random.default_rng(3)
    black_white = (rng.random(size) < 0.5).astype(np.uint8) * np.uint8(255)
    initial = rng.normal(0, 100, (2, 5, 7)).astype(np.float32)
    initial[:, 0, 0], initial[0, 1, 1], initial[1, 2, 2], initial[0, 3, 3] = np.nan, np.inf, -np.inf, 3e38
    for a, b in ((noise(size), noise(size, 1)), (black_white, noise(size)), (black_white, 255 - black_white)):
        for options in ({}, {"initial": device.put(initial)}, {"finest": 3, "initial": device.put(initial)}):
            assert np.isfinite(device.get(ops.dense_flow(device.put(a), device.put(b), **options))).all()


def test_nan_in_the_initial_flow_counts_as_0(device):
    a, b = device.put(picture((40, 60))), device.put(picture((40, 60), 1))
    initial = np.full((2, 40, 60), np.nan, np.float32)
    got = device.get(ops.dense_flow(a, b, coarsest=1, initial=device.put(initial)))
    assert np.array_equal(got, device.get(ops.dense_flow(a, b, coarsest=1)))


# --- memory ----------------------------------------------------------------------------------------------------------


def test_any_layout(device, layout):
    a, b = picture((37, 53)), picture((37, 53), 1.5, -1)
    initial = np.random.default_rng(0).normal(0, 1, (2, 9, 11)).astype(np.float32)
    expected = device.get(ops.dense_flow(device.put(a), device.put(b), initial=device.put(initial)))
    turned = device.put(np.ascontiguousarray(np.moveaxis(initial, 0, 2))).transpose(2, 0, 1)
    out = device.put(np.zeros((37, 53, 2), np.float32)).transpose(2, 0, 1)
    laid = [layout(device.put, p) for p in (a, b)]
    assert ops.dense_flow(*laid, initial=turned, out=out) is out
    assert np.array_equal(device.get(out), expected)


def test_foreign_arrays(foreign):
    a, b = picture((37, 53)), picture((37, 53), 1.5, -1)
    assert np.array_equal(ops.dense_flow(foreign(a), foreign(b)), ops.dense_flow(a, b))


@pytest.mark.parametrize("stride", [3, 4, 7])
def test_same_bits_with_any_number_of_threads(for_threads, stride):
    a, b = picture((131, 1061)), picture((131, 1061), 4, 2)
    b[40:80, 300:420] = noise((40, 120))
    first, *rest = for_threads(lambda: ops.dense_flow(a, b, stride=stride))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"stride": 8, "finest": 1}, {"iterations": 0}], ids=str)
@pytest.mark.parametrize("size", [*SIZES, (65, 1027)], ids=str)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, options):
    initial = np.random.default_rng(0).normal(0, 2, (2, 9, 11)).astype(np.float32)
    for a, b in ((picture(size), picture(size, 2.5, -1)), (noise(size), noise(size, 1))):
        ours = ops.dense_flow(a, b, initial=initial, **options)
        theirs = ops.dense_flow(cuda.put(a), cuda.put(b), initial=cuda.put(initial), **options)
        assert np.array_equal(ours, cuda.get(theirs))


# --- errors ----------------------------------------------------------------------------------------------------------

A = np.zeros((20, 30), np.uint8)
F = np.zeros((2, 20, 30), np.float32)

BAD = {
    "sizes": ((A, A[:-1]), {}, r"a, b: expected planes of one shape .* got \(20, 30\) and \(19, 30\)"),
    "three channels": ((A[None], A[None]), {}, "a, b: expected planes of one shape"),
    "dtype": ((A.astype(np.uint16), A.astype(np.uint16)), {}, "a: expected uint8; got uint16"),
    "one dtype": ((A, A.astype(np.float32)), {}, "b: expected uint8; got float32"),
    "finest": ((A, A), {"finest": -1}, "finest: expected 0 to 15; got -1"),
    "half a level": ((A, A), {"finest": 0.5}, "finest: expected 0 to 15; got 0.5"),
    "coarsest": ((A, A), {"finest": 2, "coarsest": 1}, "coarsest: expected 2 to 15; got 1"),
    "stride": ((A, A), {"stride": 9}, "stride: expected 1 to 8; got 9"),
    "iterations": ((A, A), {"iterations": -1}, "iterations: expected 0 to 1000; got -1"),
    "initial": ((A, A), {"initial": F[0]}, r"coarser: expected shape \(2, height, width\)"),
    "initial's dtype": ((A, A), {"initial": F.astype(np.float64)}, "coarser: expected float32; got another dtype"),
    "out's shape": ((A, A), {"finest": 1, "out": F}, r"out: expected shape \(2, 10, 15\); got \(2, 20, 30\)"),
    "out's dtype": ((A, A), {"out": F.astype(np.float64)}, "out: expected float32; got another dtype"),
    "initial as out": ((A, A), {"initial": F, "out": F}, "shares memory"),
}


@pytest.mark.parametrize(("given", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(given, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.dense_flow(*given, **options)
