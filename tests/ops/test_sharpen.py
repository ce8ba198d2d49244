"""sharpen against float64 NumPy: the three blurs and the enlarged gains in full, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------


def resized(plane, size):
    """Bilinear, without aligned corners, the edge repeated."""
    for axis, n in enumerate(size):
        old = plane.shape[axis]
        place = np.clip((np.arange(n) + 0.5) * old / n - 0.5, 0, old - 1)
        near = np.floor(place).astype(int)
        weight = np.expand_dims(place - near, 1 - axis)
        far = np.minimum(near + 1, old - 1)
        plane = (1 - weight) * np.take(plane, near, axis) + weight * np.take(plane, far, axis)
    return plane


def reference(plane, gains):
    """The exact values, not rounded."""
    height, width = plane.shape
    x = plane.astype(np.float64)
    wide = np.pad(x, 2, "edge")

    def beside(down, right):
        return wide[2 + down : 2 + down + height, 2 + right : 2 + right + width]

    square = sum(beside(j, i) for j in range(-2, 3) for i in range(-2, 3)) / 25
    g0, g1, g2 = (resized(g.astype(np.float64), plane.shape) for g in gains)
    across, down = (beside(0, -1) + beside(0, 1)) / 2, (beside(-1, 0) + beside(1, 0)) / 2
    return x + g0 * (x - across) + g1 * (x - down) + g2 * (x - square)


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def wild(grid, most=2.0, seed=1):
    return np.random.default_rng(seed).uniform(-most, most, (3, *grid)).astype(np.float32)


# (height, width); CPU chunks are 256 samples wide, and 16 rows of them are worked on before the next chunk
SIZES = [(1, 1), (1, 2), (2, 1), (1, 300), (70, 1), (3, 2), (4, 5), (17, 33), (37, 258), (5, 771), (33, 512)]
GRIDS = {
    "its size": lambda h, w: (h, w),
    "a half": lambda h, w: (-(-h // 2), -(-w // 2)),
    "a quarter": lambda h, w: (-(-h // 4), -(-w // 4)),
    "a sixteenth": lambda h, w: (-(-h // 16), -(-w // 16)),
    "one of each": lambda h, w: (1, 1),
    "odd": lambda h, w: (3, 5),
    "larger": lambda h, w: (h + 2, 2 * w),
}
DTYPES = [np.uint8, np.uint16, np.float16, np.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("size", SIZES)
def test_is_the_reference(device, size, grid, dtype):
    plane, gains = noise(size, dtype), wild(grid(*size))
    got = device.get(ops.sharpen(device.put(plane), device.put(gains)))
    assert (got.dtype, got.shape) == (dtype, size)
    exact = reference(plane, gains)
    if got.dtype.kind == "u":
        most = np.iinfo(dtype).max
        assert np.abs(got - np.clip(exact, 0, most)).max() <= 0.5 + most * 4e-6
    else:
        slip = 2e-3 if dtype == np.float16 else 4e-6  # halves: of 2 to 4 a half unit in the last place, 1e-3, and more
        assert np.abs(got.astype(np.float64) - exact).max() <= max(slip, slip * np.abs(exact).max() / 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_max_code(device, dtype):
    most = 200 if dtype == np.uint8 else 1023
    plane, gains = np.minimum(noise((17, 33), dtype), most).astype(dtype), wild((4, 5))
    got = device.get(ops.sharpen(device.put(plane), device.put(gains), max_code=most))
    assert (got.min(), got.max()) == (0, most)
    assert np.abs(got - np.clip(reference(plane, gains), 0, most)).max() <= 0.5 + 1e-2


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_no_gains_leave_the_samples(device, size, dtype):
    plane = noise(size, dtype)
    got = device.get(ops.sharpen(device.put(plane), device.put(np.zeros((3, 2, 3), np.float32))))
    assert got.tobytes() == plane.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_alike_samples_stay(device, size, dtype):
    for value in (0.1, 0.7, 1 / 3) if np.dtype(dtype).kind == "f" else (0, 1, 7, 201, np.iinfo(dtype).max):
        plane = np.full(size, value, dtype)
        got = device.get(ops.sharpen(device.put(plane), device.put(wild((4, 5), 100))))
        assert np.array_equal(got, plane)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mirrored_pictures_give_the_mirrored_bits(device, dtype):
    plane, gains = noise((17, 300), dtype), wild((17, 300))
    got = device.get(ops.sharpen(device.put(plane), device.put(gains)))
    for flip in (np.s_[::-1], np.s_[:, ::-1]):
        turned = device.get(ops.sharpen(device.put(plane[flip]), device.put(np.stack([g[flip] for g in gains]))))
        assert np.array_equal(turned, got[flip])
    swapped = device.get(ops.sharpen(device.put(plane.T), device.put(gains[[1, 0, 2]].transpose(0, 2, 1))))
    exact = reference(plane, gains).T
    slip = {np.float16: 4e-3, np.float32: 4e-6}.get(dtype, 1)
    assert np.abs(swapped - np.clip(exact, 0, np.iinfo(dtype).max) if slip == 1 else swapped - exact).max() <= slip


def test_each_gain_has_its_own_direction(device):
    plane = np.zeros((9, 9), np.float32)
    plane[4, 4] = 50
    for k, expected in enumerate(([(0, -1), (0, 1)], [(-1, 0), (1, 0)])):
        gains = np.zeros((3, 1, 1), np.float32)
        gains[k] = 1
        changed = device.get(ops.sharpen(device.put(plane), device.put(gains))) - plane
        assert changed[4, 4] == 50
        assert sorted(map(tuple, np.argwhere(changed < 0) - 4)) == expected
        assert (changed[changed < 0] == -25).all()
    around = device.get(ops.sharpen(device.put(plane), device.put(np.float32([0, 0, 1]).reshape(3, 1, 1)))) - plane
    assert around[4, 4] == 48
    assert (np.argwhere(around == -2).min(0) == 2).all()
    assert np.count_nonzero(around == -2) == 24


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_plane_or_several_give_the_same_bits(device, dtype):
    planes = [device.put(noise((37, 300), dtype, seed)) for seed in range(4)]
    gains = device.put(wild((18, 150)))
    for count in (1, 2, 3, 4):
        got = ops.sharpen(planes[:count], gains)
        assert isinstance(got, tuple)
        assert len(got) == count
        for a, b in zip(got, planes, strict=False):
            assert np.array_equal(device.get(a), device.get(ops.sharpen(b, gains)))


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_gains_are_enlarged_as_resize_does_it(device, grid):
    plane, gains = noise((38, 300), np.float32), wild(grid(38, 300))
    full = np.stack([ops.resize(g, (38, 300)) for g in gains])
    got = [device.get(ops.sharpen(device.put(plane), device.put(g))) for g in (gains, full)]
    assert np.array_equal(*got)


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout(device, layout, dtype):
    plane, gains = noise((18, 301), dtype), wild((5, 9))
    out = layout(device.put, np.zeros((18, 301), dtype))
    given = ops.sharpen(layout(device.put, plane), device.put(gains), out=out)
    assert given is out
    assert np.array_equal(device.get(out), ops.sharpen(plane, gains))


@pytest.mark.parametrize("grid", [(18, 34), (9, 17), (4, 5)])
def test_any_layout_of_gains(device, grid):
    plane, gains = noise((18, 34), np.float32), wild(grid)
    expected = ops.sharpen(plane, gains)
    turned = device.put(np.moveaxis(gains, 0, 2)).swapaxes(0, 2).swapaxes(1, 2)
    cropped = device.put(np.pad(gains, ((0, 0), (2, 3), (4, 5))))[:, 2:-3, 4:-5]
    for laid in (turned, cropped):
        assert np.array_equal(device.get(ops.sharpen(device.put(plane), laid)), expected)


def test_what_lies_beside_out_stays(device):
    planes, gains = noise((3, 16, 33), np.float32), wild((8, 16))
    out = device.put(np.full((3, 20, 40), 77, np.float32))
    ops.sharpen([device.put(p) for p in planes], device.put(gains), out=[out[k, 2:18, 3:36] for k in range(3)])
    got = device.get(out).copy()
    for k in range(3):
        assert np.array_equal(got[k, 2:18, 3:36], ops.sharpen(planes[k], gains))
    got[:, 2:18, 3:36] = 77
    assert (got == 77).all()


def test_foreign_arrays(foreign):
    plane, gains, out = noise((16, 32), np.uint8), wild((4, 8)), np.zeros((16, 32), np.uint8)
    ops.sharpen(foreign(plane), foreign(gains), out=out)
    assert np.array_equal(out, ops.sharpen(plane, gains))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_with_any_number_of_threads(for_threads, dtype):
    planes, gains = [noise((133, 515), dtype, seed) for seed in range(3)], wild((67, 129))
    first, *rest = for_threads(lambda: np.stack(ops.sharpen(planes, gains)))
    assert all(np.array_equal(first, r) for r in rest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("size", SIZES)
def test_cuda_gives_the_bits_of_the_cpu(cuda, size, grid, dtype):
    planes, gains = [noise(size, dtype, seed) for seed in range(4)], wild(grid(*size))
    theirs = ops.sharpen([cuda.put(p) for p in planes], cuda.put(gains))
    for ours, other in zip(ops.sharpen(planes, gains), theirs, strict=True):
        assert np.array_equal(ours, cuda.get(other))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((4, 8), np.float32)
G = np.zeros((3, 2, 4), np.float32)
BYTES = np.zeros((4, 8), np.uint8)
FROZEN = P.copy()
FROZEN.setflags(write=False)
OVER = np.zeros((6, 8), np.float32)

BAD = {
    "no planes": ([], G, {}, "expected 1 to 4 planes; got 0"),
    "five planes": ([P] * 5, G, {}, "expected 1 to 4 planes; got 5"),
    "doubles": (P.astype(np.float64), G, {}, "expected uint8 or uint16; got another dtype"),
    "integers of 32 bits": (P.astype(np.int32), G, {}, "expected uint8 or uint16; got int32"),
    "mixed dtypes": ([P, P.astype(np.uint16)], G, {}, "expected float32; got uint16"),
    "mixed sizes": ([P, P[:, :4]], G, {}, "of one shape"),
    "three dimensions": (P[None], G, {}, r"shape \(height, width\)"),
    "empty": (P[:0], G, {}, "empty plane"),
    "gains of doubles": (P, G.astype(np.float64), {}, "gains: expected float32; got another dtype"),
    "two gains": (P, G[:2], {}, r"gains: expected shape \(3, rows, columns\); got \(2, 2, 4\)"),
    "gains of one plane": (P, G[0], {}, "gains: expected shape"),
    "empty gains": (P, G[:, :0], {}, "empty"),
    "max_code of floats": (P, G, {"max_code": 255}, "max_code: float32 samples are not clamped"),
    "max_code too large": (BYTES, G, {"max_code": 256}, "max_code: expected 1 to 255"),
    "max_code of nothing": (BYTES, G, {"max_code": 0}, "max_code: expected 1 to 255"),
    "out of another size": (P, G, {"out": P[:, :4].copy()}, "out: expected planes of one shape"),
    "out of another dtype": (P, G, {"out": P.astype(np.float16)}, "expected float32; got float16"),
    "too few out": ([P, P], G, {"out": [P.copy()]}, "as many planes as given"),
    "read-only out": (P, G, {"out": FROZEN}, "read-only"),
    "in place": (P, G, {"out": P}, "shares memory"),
    "rows below": (OVER[:4], G, {"out": OVER[2:]}, "shares memory"),
    "in place of the gains": (P[:2, :4], G, {"out": G[0]}, "shares memory"),
    "not an array": ("plane", G, {}, "expected an array"),
}


@pytest.mark.parametrize(("planes", "gains", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(planes, gains, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.sharpen(planes, gains, **options)
