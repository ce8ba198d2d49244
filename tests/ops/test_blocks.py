"""block_motion against brute force in whole numbers, and against motion that is known.

The reference is the search as its documentation tells it, block by block: pictures padded by np.pad far beyond any
vector, halves of a pixel in a picture of twice the size, fields as lists of vectors.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError

# --- the reference -----------------------------------------------------------------------------------------------

FAR = 200
AROUND = [(0, 0), *(p for p in product((-1, 0, 1), repeat=2) if p != (0, 0))]  # (y, x)


def halved(plane):
    even = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), "edge").astype(int)
    return (even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2] + 2) // 4


def doubled(plane):
    """A padded picture at halves of a pixel: up between two, down between two of those between columns."""
    out = np.zeros((2 * plane.shape[0] - 1, 2 * plane.shape[1] - 1), int)
    out[::2, ::2] = plane
    out[::2, 1::2] = (plane[:, :-1] + plane[:, 1:] + 1) // 2
    out[1::2, ::2] = (plane[:-1] + plane[1:] + 1) // 2
    out[1::2, 1::2] = (out[:-2:2, 1::2] + out[2::2, 1::2]) // 2
    return out


class Level:
    """A pair of pictures of one size, and the window around each block."""

    def __init__(self, a, b, step, window):
        self.height, self.width = a.shape
        self.step, self.window = step, window
        self.rows, self.columns = -(-a.shape[0] // step), -(-a.shape[1] // step)
        self.a, self.b = (np.pad(p.astype(int), FAR, "edge") for p in (a, b))
        self.b2 = doubled(self.b)

    def corner(self, j, i):
        return j * self.step - (self.window - self.step) // 2, i * self.step - (self.window - self.step) // 2

    def kept(self, j, i, m):
        y, x = self.corner(j, i)
        return (
            min(max(m[0], -self.window - x), self.width - x),
            min(max(m[1], -self.window - y), self.height - y),
        )

    def holds(self, j, i, m):
        return self.kept(j, i, m) == tuple(m)

    def cut(self, picture, y, x, scale=1):
        n = scale * self.window
        y, x = y + scale * FAR, x + scale * FAR
        return picture[y : y + n : scale, x : x + n : scale]

    def sad(self, j, i, m):
        y, x = self.corner(j, i)
        return int(np.abs(self.cut(self.a, y, x) - self.cut(self.b, y + m[1], x + m[0])).sum())

    def sad_of_quarters(self, j, i, m):
        y, x = self.corner(j, i)
        qy, qx = 4 * y + m[1], 4 * x + m[0]
        corners = {(h, k) for h in (qy // 2, (qy + 1) // 2) for k in (qx // 2, (qx + 1) // 2)}
        if len(corners) == 4:
            corners = {c for c in corners if sum(c) % 2}
        cuts = [self.cut(self.b2, *c, scale=2) for c in corners]
        mean = cuts[0] if len(cuts) == 1 else (cuts[0] + cuts[1] + 1) // 2
        return int(np.abs(self.cut(self.a, y, x) - mean).sum())


def distance(m, around):
    return sum(abs(m[0] - n[0]) + abs(m[1] - n[1]) for n in around)


def around_of(field, j, i, factor=1):
    rows, columns = len(field), len(field[0])
    at = [field[min(max(j + y, 0), rows - 1)][min(max(i + x, 0), columns - 1)] for y, x in AROUND]
    return [(factor * u, factor * v) for u, v in at]


def best_of(candidates, cost):
    """The first of the cheapest."""
    costs = [cost(m) for m in candidates]
    return candidates[costs.index(min(costs))]


def reference(a, b, step, window, levels, radius, smooth, passes, hint=None):
    weight = round(smooth * window * window * 16 / 9)
    pyramid = [(a, b)]
    for _ in range(levels - 1):
        pyramid.append(tuple(halved(p) for p in pyramid[-1]))
    field = None
    for number in reversed(range(levels)):
        level = Level(*pyramid[number], step, window)
        found = [[None] * level.columns for _ in range(level.rows)]
        for j, i in product(range(level.rows), range(level.columns)):
            nothing = [(0, 0)] * 9
            around = nothing if field is None else around_of(field, j // 2, i // 2, 2)

            def cost(m, j=j, i=i, around=around, level=level):
                return 16 * level.sad(j, i, m) + weight * distance(m, around)

            if field is None:
                reach = range(-radius, radius + 1)
                candidates = [(0, 0), *((u, v) for v in reach for u in reach if level.holds(j, i, (u, v)))]
            else:
                candidates = [level.kept(j, i, m) for m in around] + [(0, 0)]
            if hint is not None:
                h, w = hint.shape[1:]
                y = min((j << number) + (1 << number) // 2, h - 1)
                x = min((i << number) + (1 << number) // 2, w - 1)
                candidates.append(level.kept(j, i, tuple(int(np.floor(n / 2**number + 0.5)) for n in hint[:, y, x])))
            best = best_of(candidates, cost)
            for _ in range(16):
                u, v = best
                ways = [m for m in ((u - 1, v), (u + 1, v), (u, v - 1), (u, v + 1)) if level.holds(j, i, m)]
                best = best_of([best, *ways], cost)
                if best == (u, v):
                    break
            found[j][i] = best
        for _ in range(passes):
            before, found = found, [[None] * level.columns for _ in range(level.rows)]
            for j, i in product(range(level.rows), range(level.columns)):
                around = around_of(before, j, i)
                candidates = [around[0], *(level.kept(j, i, m) for m in around[1:])]
                found[j][i] = best_of(
                    candidates,
                    lambda m, j=j, i=i, around=around, level=level: (
                        16 * level.sad(j, i, m) + weight * distance(m, around)
                    ),
                )
        field = found
    flow, costs = np.zeros((2, level.rows, level.columns)), np.zeros((level.rows, level.columns))
    for j, i in product(range(level.rows), range(level.columns)):
        around = around_of(field, j, i, 4)

        def cost(m, j=j, i=i, around=around):
            return 16 * level.sad_of_quarters(j, i, m) + weight * distance(m, around) // 4

        best = around[0]
        for reach in (2, 1):
            near = [(best[0] + reach * x, best[1] + reach * y) for y, x in AROUND[1:]]
            near = [m for m in near if level.kept(j, i, (m[0] // 4, m[1] // 4)) == (m[0] // 4, m[1] // 4)]
            near = [
                m for m in near if level.kept(j, i, (-(-m[0] // 4), -(-m[1] // 4))) == (-(-m[0] // 4), -(-m[1] // 4))
            ]
            best = best_of([best, *near], cost)
        flow[:, j, i] = best[0] / 4, best[1] / 4
        costs[j, i] = level.sad_of_quarters(j, i, best) / window**2
    return flow, costs


def texture(height, width, seed=0, soft=1.5):
    """A picture of soft noise over all levels."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    plane = np.fft.irfft2(spectrum * np.exp(-2 * (np.pi * soft) ** 2 * (fx**2 + fy**2)), (height, width))
    return np.clip(128 + 45 * plane / plane.std(), 0, 255).round().astype(np.uint8)


def moving(height, width, seed=0):
    """Two pictures: a texture, a patch of which goes another way, with noise."""
    rng = np.random.default_rng(seed)
    big = texture(height + 20, width + 20, seed).astype(int)
    a, b = big[10:-10, 10:-10].copy(), big[9:-11, 12:-8].copy()
    high, wide = height // 2, width // 2
    patch = texture(max(high, 2), max(wide, 2), seed + 1)[:high, :wide]
    a[high // 2 : high // 2 + high, wide // 2 : wide // 2 + wide] = patch
    b[high // 2 : high // 2 + high, wide // 3 : wide // 3 + wide] = patch
    return [np.clip(p + rng.integers(-4, 5, p.shape), 0, 255).astype(np.uint8) for p in (a, b)]


def both(device, a, b, **options):
    flow, cost = ops.block_motion(device.put(a), device.put(b), **options)
    return device.get(flow), device.get(cost)


SIZES = [(1, 1), (2, 7), (7, 2), (17, 33), (40, 51)]
RULES = {
    "whole field, least difference": {"step": 8, "window": 8, "levels": 1, "radius": 6, "smooth": 0, "passes": 0},
    "one level": {"step": 8, "window": 16, "levels": 1, "radius": 5, "smooth": 0.25, "passes": 2},
    "two levels": {"step": 4, "window": 8, "levels": 2, "radius": 4, "smooth": 0.1, "passes": 1},
    "three levels": {"step": 6, "window": 8, "levels": 3, "radius": 2, "smooth": 0.5, "passes": 2},
    "large windows": {"step": 16, "window": 32, "levels": 2, "radius": 3, "smooth": 1, "passes": 1},
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("size", SIZES)
def test_is_the_reference(device, size, rule):
    a, b = moving(*size)
    flow, cost = both(device, a, b, **rule)
    expected, least = reference(a, b, **rule)
    assert (flow.dtype, cost.dtype) == (np.float32, np.float32)
    assert np.array_equal(flow, expected)
    assert np.array_equal(cost, least)


def test_hints_are_tried(device):
    a, b = moving(40, 51)
    rule = {"step": 8, "window": 8, "levels": 2, "radius": 0, "smooth": 0.1, "passes": 1}
    hint = np.random.default_rng(5).integers(-6, 7, (2, 5, 7)).astype(np.float32) * 3
    flow, cost = both(device, a, b, hint=device.put(hint), **rule)
    expected, least = reference(a, b, **rule, hint=hint)
    assert np.array_equal(flow, expected)
    assert np.array_equal(cost, least)


def test_hints_help_where_the_search_does_not_reach(device):
    """Noise, moved further than the radius: only a hint tells. NaN and infinity count as nothing."""
    big = np.random.default_rng(2).integers(0, 256, (120, 160)).astype(np.uint8)
    a, b = big[20:100, 20:132], big[31:111, 3:115]
    rule = {"levels": 1, "radius": 2}
    assert both(device, a, b, **rule)[1].mean() > 30
    hint = np.stack([np.full((10, 14), 17.1), np.full((10, 14), -11.2)]).astype(np.float32)
    hint[0, 3:6], hint[1, 7] = np.nan, np.inf
    flow, cost = both(device, a, b, hint=device.put(hint), **rule)
    assert (flow[:, 2:-2, 3:-3] == np.array([17, -11])[:, None, None]).all()
    assert not cost[2:-2, 3:-3].any()
    hint[:, 3:8] = np.where(np.isfinite(hint[:, 3:8]), hint[:, 3:8], 0)
    assert np.array_equal(both(device, a, b, hint=device.put(hint), **rule)[0], flow)


# --- motion that is known ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [8, 16, 32])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-5, 3), (40, -25), (-48, 9)])
def test_a_shifted_picture_is_found_whole(device, shift, window):
    """Up to an eighth of the width."""
    u, v = shift
    big = texture(420, 640, soft=3)
    a, b = big[100:300, 100:500], big[100 - v : 300 - v, 100 - u : 500 - u]
    flow, cost = both(device, a, b, window=window)
    assert (flow[:, 7:-7, 10:-10] == np.array(shift)[:, None, None]).all()
    assert (cost[7:-7, 10:-10] == 0).all()


@pytest.mark.parametrize("quarters", [(1, 0), (2, 0), (0, 3), (2, 2), (-1, 1), (5, -7), (-22, 10), (3, 3)])
def test_fractions_of_a_shift_are_found(device, quarters):
    """Pictures sampled from one four times as fine."""
    u, v = quarters
    fine = texture(800, 1000, soft=8)
    a, b = fine[100:700:4, 100:900:4], fine[100 - v : 700 - v : 4, 100 - u : 900 - u : 4]
    flow, cost = both(device, a, b)
    assert (4 * flow[:, 2:-2, 2:-2] == np.array(quarters)[:, None, None]).all()
    assert cost[2:-2, 2:-2].max() < 2.5


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (7, 2), (17, 33), (131, 250)])
def test_equal_pictures_do_not_move(device, size):
    stripes = np.broadcast_to((np.arange(size[1]) % 4 * 60).astype(np.uint8), size)
    for plane in (texture(*(max(n, 2) for n in size))[: size[0], : size[1]], stripes):
        flow, cost = both(device, plane, plane)
        assert not flow.any()
        assert not cost.any()


def test_flat_pictures_do_not_move(device):
    a, b = np.full((100, 130), 90, np.uint8), np.full((100, 130), 97, np.uint8)
    flow, cost = both(device, a, b)
    assert not flow.any()
    assert (cost == 7).all()


def test_flat_blocks_follow_their_neighbours(device):
    """A flat hole in a moving texture, smaller than a window, moves along."""
    big = texture(160, 200).astype(int)
    big[80:96, 90:106] = 128
    a, b = (p.astype(np.uint8) for p in (big[16:-16, 16:-16], big[16:-16, 10:-22]))
    flow, _ = both(device, a, b, window=8)
    assert (flow[:, 2:-2, 2:-2] == np.array([6, 0])[:, None, None]).all()


def test_u_points_right_and_warp_takes_it_back(device):
    big = texture(200, 260)
    a, b = big[20:180, 20:240], big[17:177, 25:245]
    flow, _ = both(device, a, b)
    full = ops.resize_flow(np.ascontiguousarray(flow), (20 * 8, 28 * 8))[:, :160, :220] / 8
    back = ops.warp(np.ascontiguousarray(b), np.ascontiguousarray(full))
    assert np.array_equal(back[16:-16, 16:-16], a[16:-16, 16:-16])


# --- memory ------------------------------------------------------------------------------------------------------


def test_any_layout(device, layout):
    a, b = moving(40, 51)
    flow, _ = both(device, a, b)
    hint = np.ascontiguousarray(flow[:, ::-1])
    expected = both(device, a, b, hint=device.put(hint))
    out = device.put(np.zeros((2, 5, 7), np.float32)), layout(device.put, np.zeros((5, 7), np.float32))
    turned = device.put(np.moveaxis(hint, 0, 2).copy()).transpose(2, 0, 1)
    given = ops.block_motion(layout(device.put, a), layout(device.put, b), hint=turned, out=out)
    assert given[0] is out[0]
    assert given[1] is out[1]
    assert all(np.array_equal(device.get(x), y) for x, y in zip(out, expected, strict=True))


@pytest.mark.parametrize("window", [8, 16, 32])
def test_pyramids_are_their_pictures(device, window):
    a, b = (device.put(p) for p in moving(131, 250))
    one, two = (ops.BlockPyramid(p, window=window) for p in (a, b))
    assert one.shape == (131, 250)
    expected = [device.get(x) for x in ops.block_motion(a, b, window=window)]
    for pair in ((one, two), (a, two), (one, b)):
        got = ops.block_motion(*pair)
        assert all(np.array_equal(device.get(x), y) for x, y in zip(got, expected, strict=True))
    back = [device.get(x) for x in ops.block_motion(b, a, window=window)]
    assert all(np.array_equal(device.get(x), y) for x, y in zip(ops.block_motion(two, one), back, strict=True))


def test_foreign_arrays(foreign):
    a, b = moving(40, 51)
    expected = ops.block_motion(a, b)
    assert all(np.array_equal(x, y) for x, y in zip(ops.block_motion(foreign(a), foreign(b)), expected, strict=True))


@pytest.mark.parametrize("window", [8, 16, 32])
def test_same_bytes_with_any_number_of_threads(for_threads, window):
    a, b = moving(270, 333)
    first, *rest = for_threads(lambda: ops.block_motion(a, b, window=window))
    assert all(np.array_equal(x, y) for r in rest for x, y in zip(r, first, strict=True))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("size", [*SIZES, (270, 333)])
def test_cuda_gives_the_bytes_of_the_cpu(cuda, size, rule):
    a, b = moving(*size)
    for options in (rule, {}):
        ours = ops.block_motion(a, b, **options)
        hint = np.ascontiguousarray(ours[0][:, ::-1])
        theirs = ops.block_motion(cuda.put(a), cuda.put(b), **options)
        assert all(np.array_equal(x, cuda.get(y)) for x, y in zip(ours, theirs, strict=True))
        ours = ops.block_motion(a, b, hint=hint, **options)
        theirs = ops.block_motion(cuda.put(a), cuda.put(b), hint=cuda.put(hint), **options)
        assert all(np.array_equal(x, cuda.get(y)) for x, y in zip(ours, theirs, strict=True))


# --- errors ------------------------------------------------------------------------------------------------------

P = np.zeros((20, 30), np.uint8)
F, C = np.zeros((2, 3, 4), np.float32), np.zeros((3, 4), np.float32)
FROZEN = np.zeros((2, 3, 4), np.float32)
FROZEN.setflags(write=False)

PYRAMID = ops.BlockPyramid(P, window=8, levels=2)

BAD = {
    "pyramid of another window": (PYRAMID, P, {"window": 16}, "a: expected a pyramid of window 16 and 2 levels; got 8"),
    "pyramid of other levels": (
        P,
        PYRAMID,
        {"levels": 3},
        "b: expected a pyramid of window 8 and 3 levels; got 8 and 2",
    ),
    "unlike pyramids": (PYRAMID, ops.BlockPyramid(P), {}, "b: expected a pyramid of window 8 and 2 levels; got 16"),
    "16 bits": (P.astype(np.uint16), P, {}, "a: expected a picture of uint8 .*; got uint16"),
    "three dimensions": (P, P[:, :, None], {}, r"b: expected a picture of uint8 and shape \(height, width\)"),
    "empty": (P[:0], P[:0], {}, "a picture with sides of 1 to 16384"),
    "too wide": (np.zeros((1, 16385), np.uint8), P, {}, "a picture with sides of 1 to 16384"),
    "mixed sizes": (P, P[:, :-1], {}, r"b: expected the shape of a, \(20, 30\); got \(20, 29\)"),
    "not an array": ("picture", P, {}, "expected an array"),
    "window": (P, P, {"window": 12}, "window: expected 8, 16 or 32; got 12"),
    "window of text": (P, P, {"window": "16"}, "window: expected a whole number"),
    "odd step": (P, P, {"step": 5}, "step: expected an even number; got 5"),
    "step beyond the window": (P, P, {"step": 18}, "step: expected a whole number from 2 to 16; got 18"),
    "levels": (P, P, {"levels": 0}, "levels: expected a whole number from 1 to 12; got 0"),
    "radius": (P, P, {"radius": 65}, "radius: expected a whole number from 0 to 64; got 65"),
    "passes": (P, P, {"passes": True}, "passes: expected a whole number"),
    "smooth": (P, P, {"smooth": 2.5}, "smooth: expected 0 to 2; got 2.5"),
    "smooth of NaN": (P, P, {"smooth": np.nan}, "smooth: expected 0 to 2; got nan"),
    "hint of another size": (P, P, {"hint": F[:, :2]}, r"hint: expected float32 of shape \(2, 3, 4\); got"),
    "hint of doubles": (P, P, {"hint": F.astype(np.float64)}, "hint: expected float32 .*; got float64"),
    "one out": (P, P, {"out": F}, r"out: expected \(flow, cost\)"),
    "out of another size": (P, P, {"out": (F, C[:2].copy())}, r"out: expected \(2, 3, 4\) and \(3, 4\); got"),
    "out of another dtype": (P, P, {"out": (F, C.astype(np.float64))}, "out: expected float32"),
    "out of two dimensions": (P, P, {"out": (C, C.copy())}, r"out: expected shape \(2, height, width\)"),
    "read-only out": (P, P, {"out": (FROZEN, C)}, "read-only"),
    "out twice": (P, P, {"out": (F, F[0])}, "shares memory"),
    "out over the hint": (P, P, {"hint": F, "out": (F, C)}, "shares memory"),
}


@pytest.mark.parametrize(("a", "b", "options", "message"), BAD.values(), ids=BAD)
def test_refuses(a, b, options, message):
    with pytest.raises(ArrayError, match=message):
        ops.block_motion(a, b, **options)
