"""compose against float64 NumPy, and to the bit against the passes it replaces (resize_flow, warp, a sum)."""

from __future__ import annotations

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import ArrayError
from reelmend.ops import Term

SIZES = [(1, 1), (1, 9), (3, 5), (17, 33), (65, 1027)]
DTYPES = [np.uint8, np.uint16, np.float32]
SLIP = 3e-6  # of the largest value

# --- the references ----------------------------------------------------------------------------------------------


def enlarged(field, size):
    """A float64 field in another size: bilinear, pixel centres aligned at halves, constant beyond the outer ones."""
    for axis, out in zip((-2, -1), size, strict=True):
        n = field.shape[axis]
        at = np.clip((np.arange(out) + 0.5) * n / out - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        part = (at - low).reshape((-1, 1) if axis == -2 else (1, -1))
        field = np.take(field, low, axis) * (1 - part) + np.take(field, np.minimum(low + 1, n - 1), axis) * part
    return field


def fetched(plane, u, v):
    """Bilinear samples of a float64 plane at (x + u, y + v), edges repeated."""
    height, width = plane.shape
    y, x = np.mgrid[0:height, 0:width]
    fx, fy = np.clip(x + u, 0, width - 1), np.clip(y + v, 0, height - 1)
    x0, y0 = np.floor(fx).astype(int), np.floor(fy).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    px, py = fx - x0, fy - y0
    top, bottom = (plane[r, x0] * (1 - px) + plane[r, x1] * px for r in (y0, y1))
    return top * (1 - py) + bottom * py


def reference(terms, plane=0):
    """The exact sum, not rounded, not clamped."""
    total = 0.0
    for planes, flow, weight, scale in terms:
        p = planes[plane].astype(np.float64)
        height, width = p.shape
        u, v = enlarged(flow.astype(np.float64), p.shape)
        u, v = (scale * g * size / n for g, size, n in zip((u, v), (width, height), flow.shape[:0:-1], strict=True))
        w = weight if isinstance(weight, float) else enlarged(weight.astype(np.float64), p.shape)
        total = total + w * fetched(p, u, v)
    return total


def in_passes(device, terms, most, **how):
    """The same by the ops that are known: every flow enlarged, float32 copies warped, one rounding at the end."""
    results = []
    for c in range(len(terms[0][0])):
        total = None
        for planes, flow, weight, scale in terms:
            size = planes[c].shape
            warped = device.get(
                ops.warp(
                    device.put(planes[c].astype(np.float32)),
                    ops.resize_flow(device.put(flow), size),
                    scale=scale,
                    **how,
                )
            )
            w = np.float32(weight) if isinstance(weight, float) else device.get(ops.resize(device.put(weight), size))
            total = (np.float32(0) if total is None else total) + w * warped
        kind = terms[0][0][c].dtype
        results.append(total if kind == np.float32 else np.clip(np.floor(total + np.float32(0.5)), 0, most))
    return results


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def most_of(dtype):
    return 1 if dtype == np.float32 else int(np.iinfo(dtype).max)


def make_terms(size, grid, dtype, count, planes=1, seed=0, maps=False):
    """Terms of noise whose weights sum to 1: numbers, or maps for every other one."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.2, 1, (count, *grid)).astype(np.float32)
    shares /= shares.sum(0)
    terms = []
    for k in range(count):
        pictures = [noise(size, dtype, 100 * seed + 7 * k + c) for c in range(planes)]
        flow = rng.uniform(-3, 3, (2, *grid)).astype(np.float32)
        terms.append((pictures, flow, shares[k] if maps else float(shares[k, 0, 0]), float(rng.uniform(-1.5, 1.5))))
    return terms


def put(device, terms):
    return [
        Term([device.put(p) for p in ps], device.put(f), w if isinstance(w, float) else device.put(w), s)
        for ps, f, w, s in terms
    ]


def run(device, terms, **options):
    return [device.get(p) for p in ops.compose(put(device, terms), **options)]


def check_exact(got, exact, most, reach=0.0):
    """Either neighbour where the exact value lies on the boundary between two codes; places are of fp32 too, so that
    displacements up to `reach` pixels slip by more."""
    slip = 4 * (SLIP + reach * 2**-23) * most
    if got.dtype == np.float32:
        assert np.abs(got - exact).max() <= slip
        return
    low = np.clip(np.floor(exact + 0.5 - slip), 0, most)
    high = np.clip(np.floor(exact + 0.5 + slip), 0, most)
    assert ((got >= low) & (got <= high)).all()


# --- what it is --------------------------------------------------------------------------------------------------


def grids(size):
    """Sizes of flow from one vector up to more than one a pixel."""
    height, width = size
    quarter = (-(-height // 4), -(-width // 4))
    return list(dict.fromkeys([(1, 1), (2, 3), quarter, size, (height + 3, 2 * width)]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_against_numpy_for_flows_of_any_size(device, size, dtype):
    for n, grid in enumerate(grids(size)):
        terms = make_terms(size, grid, dtype, 1 + n % 4, seed=n, maps=n % 2 == 1)
        (got,) = run(device, terms)
        assert got.dtype == dtype
        assert got.shape == size
        reach = 4.5 * max(n / g for n, g in zip(size, grid, strict=True))
        check_exact(got, reference(terms), most_of(dtype), reach)


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("border", ["edge", "zeros", "reflect"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_to_the_bit_to_the_passes_it_replaces(device, dtype, border, filter):
    how = {"filter": filter, "border": border}
    for n, (size, grid) in enumerate(
        [((1, 1), (1, 1)), ((1, 9), (1, 2)), ((17, 33), (17, 33)), ((17, 33), (5, 9)), ((9, 600), (4, 700))]
    ):
        terms = make_terms(size, grid, dtype, 1 + n, planes=1 + n % 4, seed=n, maps=n % 2 == 0)
        got = run(device, terms, **how)
        for a, b in zip(got, in_passes(device, terms, most_of(dtype), **how), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_any_number_of_terms_in_their_order(device, count):
    terms = make_terms((33, 70), (9, 18), np.uint16, count, planes=3, seed=count)
    mixed = [(p, f, w if k % 2 else np.full((9, 18), w, np.float32), s) for k, (p, f, w, s) in enumerate(terms)]
    for given in (terms, mixed):
        got = run(device, given)
        for a, b in zip(got, in_passes(device, given, 65535), strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_term_of_weight_one_is_a_warp(device):
    picture, flow = noise((40, 300), np.uint8), np.random.default_rng(3).uniform(-9, 9, (2, 40, 300)).astype(np.float32)
    got = run(device, [([picture], flow, 1.0, 0.75)])[0]
    np.testing.assert_array_equal(got, device.get(ops.warp(device.put(picture), device.put(flow), scale=0.75)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_two_terms_are_a_blended_warp(device, size):
    (a, f, w, _), (b, g, _, _) = make_terms(size, size, np.uint8, 2, seed=4)
    one = ops.compose([Term(device.put(a[0]), device.put(f), w), Term(device.put(b[0]), device.put(g), 1 - w)])
    other = ops.warp_blend(*(device.put(x) for x in (a[0], b[0], f, g)), w)
    np.testing.assert_array_equal(device.get(one), device.get(other))


def test_no_motion_gives_the_picture(device):
    for dtype in DTYPES:
        picture = noise((21, 43), dtype)
        terms = [([picture], np.zeros((2, 1, 1), np.float32), w, s) for w, s in ((0.25, 1.0), (0.75, -2.0))]
        np.testing.assert_array_equal(run(device, terms)[0], picture)


def test_flow_is_in_pixels_of_its_own_grid(device):
    """One vector of (1, 0.5) of a grid of 1 x 2 is half the picture's width, and half its height."""
    picture = noise((8, 12), np.uint8)
    flow = np.array([1.0, 0.5], np.float32)[:, None, None] * np.ones((2, 1, 2), np.float32)
    got = run(device, [([picture], flow, 1.0, 1.0)])[0]
    np.testing.assert_array_equal(got[:4, :6], picture[4:, 6:])


def test_codes_are_clamped_once_at_the_end(device):
    """Terms may be negative and may overshoot on the way; the sum is what counts."""
    high, low = np.full((5, 7), 1000, np.uint16), np.full((5, 7), 10, np.uint16)
    still = np.zeros((2, 1, 1), np.float32)
    back = run(device, [([high], still, 3.0, 1.0), ([high], still, -2.5, 1.0)], max_code=1023)[0]
    assert (back == 500).all()
    over = run(device, [([high], still, 1.5, 1.0), ([low], still, -0.5, 1.0)], max_code=1023)[0]
    assert (over == 1023).all()
    under = run(device, [([high], still, -0.5, 1.0), ([low], still, 1.5, 1.0)], max_code=1023)[0]
    assert (under == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_flow_that_is_not_finite_counts_as_zero(device, value):
    """In a grid of the planes' own size, and, where it is enlarged, all around."""
    terms = make_terms((12, 30), (12, 30), np.uint8, 2, seed=5)
    for _, flow, _, _ in terms:
        flow[:, 4, 7] = value
    got = run(device, terms)[0]
    zeroed = [(p, np.where(np.isfinite(f), f, 0).astype(np.float32), w, s) for p, f, w, s in terms]
    check_exact(got[4, 7], reference(zeroed)[4, 7], 255)
    far = np.ones((12, 30), bool)
    far[3:6, 6:9] = False
    check_exact(got[far], reference(zeroed)[far], 255)
    np.testing.assert_array_equal(got, in_passes(device, terms, 255)[0])

    picture = noise((16, 24), np.uint8)
    everywhere = np.full((2, 2, 3), value, np.float32)
    np.testing.assert_array_equal(run(device, [([picture], everywhere, 1.0, 1.0)])[0], picture)


def test_layouts(device, layout):
    terms = make_terms((17, 33), (5, 9), np.uint8, 3, planes=2, seed=6)
    plain = run(device, terms)
    laid = [
        Term([layout(device.put, p) for p in ps], device.put(np.ascontiguousarray(f)), w, s) for ps, f, w, s in terms
    ]
    out = [layout(device.put, np.zeros((17, 33), np.uint8)) for _ in range(2)]
    got = ops.compose(laid, out=out)
    assert got[0] is out[0]
    assert got[1] is out[1]
    for a, b in zip(got, plain, strict=True):
        np.testing.assert_array_equal(device.get(a), b)


def test_flows_and_weights_in_any_strides(device):
    terms = make_terms((17, 33), (5, 9), np.uint8, 2, seed=7, maps=True)
    plain = run(device, terms)[0]
    strided = []
    for ps, f, w, s in terms:
        room = np.full((5, 18, 2), 77, np.float32)
        room[:, ::2] = np.moveaxis(f, 0, 2)
        wide = np.full((10, 27), 77, np.float32)
        wide[::2, ::3] = w
        strided.append(
            Term(device.put(ps[0]), device.put(room)[:, ::2].transpose(2, 0, 1), device.put(wide)[::2, ::3], s)
        )
    np.testing.assert_array_equal(device.get(ops.compose(strided)), plain)


def test_foreign_arrays(foreign):
    terms = make_terms((17, 33), (5, 9), np.uint8, 2, seed=8, maps=True)
    plain = ops.compose([Term(ps[0], f, w, s) for ps, f, w, s in terms])
    got = ops.compose([Term(foreign(ps[0]), foreign(f), foreign(w), s) for ps, f, w, s in terms])
    np.testing.assert_array_equal(np.asarray(got), plain)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_matter(for_threads, dtype):
    terms = [Term(ps, f, w, s) for ps, f, w, s in make_terms((65, 1027), (17, 257), dtype, 4, planes=2, seed=9)]
    first, *others = for_threads(lambda: [p.tobytes() for p in ops.compose(terms)])
    assert all(first == other for other in others)


def test_a_plane_gives_a_plane_and_planes_a_tuple():
    p, f = np.zeros((4, 6), np.uint8), np.zeros((2, 2, 3), np.float32)
    assert isinstance(ops.compose([Term(p, f, 1.0)]), np.ndarray)
    assert isinstance(ops.compose([Term([p], f, 1.0)]), tuple)
    out = np.ones_like(p)
    assert ops.compose([Term(p, f, 1.0)], out=out) is out
    assert not out.any()


P, F, W = np.zeros((4, 6), np.uint8), np.zeros((2, 2, 3), np.float32), np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("terms", "options", "words"),
    [
        ([], {}, "terms: expected 1 to 6; got 0"),
        ([Term(P, F, 0.1)] * 7, {}, "terms: expected 1 to 6; got 7"),
        ([Term([P] * 5, F, 1.0)], {}, "1 to 4 planes; got 5"),
        ([Term([], F, 1.0)], {}, "1 to 4 planes; got 0"),
        ([Term([P, P[:2]], F, 1.0)], {}, "one shape"),
        ([Term(P, F, 0.5), Term(P[:, :5], F, 0.5)], {}, r"terms\[1\]: expected planes of one shape"),
        ([Term(P, F, 0.5), Term([P, P], F, 0.5)], {}, r"terms\[1\]: expected as many planes"),
        ([Term(P, F, 0.5), Term(P.astype(np.uint16), F, 0.5)], {}, r"terms\[1\]\[0\]: expected uint8"),
        ([Term(P, F, 0.5), Term(P, F[:, :1], 0.5)], {}, r"terms\[1\].flow: expected shape \(2, 2, 3\)"),
        ([Term(P, F[0], 1.0)], {}, r"terms\[0\].flow: expected shape \(2, height, width\)"),
        ([Term(P, F.astype(np.float64), 1.0)], {}, r"terms\[0\].flow"),
        ([Term(P, np.zeros((2, 0, 3), np.float32), 1.0)], {}, r"terms\[0\].flow"),
        ([Term(P, F, W[:1])], {}, r"terms\[0\].weight: expected the flow's \(height, width\)"),
        ([Term(P, F, W.astype(np.float64))], {}, r"terms\[0\].weight"),
        ([Term(P, F, float("nan"))], {}, r"terms\[0\].weight: expected a finite number"),
        ([Term(P, F, 0.5), Term(P, F, 0.5, float("inf"))], {}, r"terms\[1\].scale: expected a finite number"),
        ([Term(P, F, 1.0)], {"filter": "lanczos"}, "filter: expected"),
        ([Term(P, F, 1.0)], {"border": "wrap"}, "border: expected"),
        ([Term(P, F, 1.0)], {"max_code": 256}, "max_code: expected 1 to 255"),
        ([Term(P.astype(np.int32), F, 1.0)], {}, r"terms\[0\]: expected uint8 or uint16; got int32"),
        ([Term(P, F, 1.0)], {"out": P}, "shares memory"),
        ([Term(P, F, 1.0)], {"out": np.zeros((4, 5), np.uint8)}, "out: expected planes of one shape"),
        ([Term(P, F, 1.0)], {"out": np.zeros((4, 6), np.uint16)}, r"out\[0\]: expected uint8"),
        ([Term(P, F, 1.0)], {"out": [np.zeros((4, 6), np.uint8)] * 2}, "as many planes"),
        ([Term("no picture", F, 1.0)], {}, "expected an array"),
    ],
)
def test_errors(terms, options, words):
    with pytest.raises(ArrayError, match=words):
        ops.compose(terms, **options)


def test_out_may_share_memory_with_no_term():
    p = np.zeros((4, 12), np.uint8)
    with pytest.raises(ArrayError, match="shares memory"):
        ops.compose([Term(P, F, 0.5), Term(p[:, 1:7], F, 0.5)], out=p[:, :6])
    locked = np.zeros((4, 6), np.uint8)
    locked.setflags(write=False)
    with pytest.raises(ArrayError, match="read-only"):
        ops.compose([Term(P, F, 1.0)], out=locked)
