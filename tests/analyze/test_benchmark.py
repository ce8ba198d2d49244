import inspect
import json

import numpy as np
import pytest

from reelmend.analyze.benchmark import SCHEMA, Row, alternate, compare, document, machine, table, write
from reelmend.analyze.opcases import each, measure_ops, op_cases


def test_alternate_goes_back_and_forth():
    order = []
    taken = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, floor=0)
    assert order == list("ab" + "ab" + "ba" + "ab")
    assert {name: len(seconds) for name, seconds in taken.items()} == {"a": 3, "b": 3}


def test_ratio_is_taken_round_by_round():
    c = compare("case", "ours", "peer", {"ours": [1.0, 2.0, 4.0], "peer": [2.0, 2.0, 2.0]})
    assert (c.ratio, c.runs) == (1.0, 3)
    assert (c.q1, c.q3) == (0.75, 1.5)


def test_document_is_plain_and_says_where_it_was_made(tmp_path):
    path = tmp_path / "new" / "r.json"
    write(path, document("ops", [Row("x", "y", {"ms": 1 / 3, "none": None})], settings={"a": (1, 2)}))
    read = json.loads(path.read_text())
    assert read["schema"] == SCHEMA
    assert read["rows"] == [{"case": "x", "method": "y", "values": {"ms": 0.333333, "none": None}}]
    assert read["machine"] == machine()
    assert machine()["cores"] >= 1
    assert {"python", "numpy", "libavfilter"} <= set(read["versions"])
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ValueError, match="JSON"):
        write(path, document("ops", [Row("x", "y", {"ms": float("nan")})]))


def test_table_is_aligned():
    assert table(("op", "ms"), [("a", "1.0"), ("long name", "10.0")]).split("\n") == [
        "op           ms",
        "---------  ----",
        "a           1.0",
        "long name  10.0",
    ]


@pytest.fixture(scope="module")
def cases():
    return {case.name: case for case in op_cases(192, 108)}


def test_every_op_has_a_case(cases):
    from reelmend import ops

    moves = {"beside", "cast", "copy", "empty_like", "largest", "to_device", "to_host"}  # of memory, not of pixels
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    have = {case.op for case in cases.values()}
    assert have == functions - moves, "an op has no case in reelmend.analyze.opcases, or a case no op"


def test_a_case_runs_again_on_other_arrays(cases):
    for case in cases.values():
        before = [np.array(a) for a in each(case.out)]
        copied = {
            name: tuple(map(np.array, a)) if isinstance(a, tuple) else a.copy() for name, a in case.inputs.items()
        }
        again = case.run(copied, None)
        assert all(np.array_equal(a, b) for a, b in zip(before, each(again), strict=True)), case.name
        for a in each(again):
            a[...] = 0
        assert case.run(copied, again) is again or isinstance(again, tuple)
        assert all(np.array_equal(a, b) for a, b in zip(before, each(again), strict=True)), case.name
        assert not any(np.shares_memory(a, b) for a in each(copied) for b in each(again))


def test_bytes_are_those_of_the_arrays(cases):
    plane = 192 * 108
    assert cases["apply_lut, luma plane"].bytes == 2 * plane + 4 * 256
    assert cases["warp_blend, luma planes"].bytes == 3 * plane + 2 * 8 * plane
    assert cases["yuv_to_rgb, yuv420p"].bytes == plane * 3 // 2 + 3 * plane


def test_peers_do_the_same_job(cases):
    case = cases["histogram, RGB and V, RGB picture"]
    ours = case.ours()
    for peer in case.peers.values():
        assert np.array_equal(ours, np.stack([np.asarray(row).ravel() for row in peer()]))
    case = cases["apply_lut, luma plane"]
    assert np.array_equal(case.ours(), case.peers["numpy"]())
    case = cases["yuv_to_rgb, yuv420p"]
    assert np.abs(case.ours().astype(int) - case.peers["numpy"]()).mean() < 3
    case = cases["rgb_to_yuv, yuv420p"]
    for ours, peer in zip(case.ours(), case.peers["numpy"](), strict=True):
        assert np.abs(ours.astype(int) - peer).mean() < 2
    case = cases["map_tones, yuv420p"]
    for ours, peer in zip(case.ours(), case.peers["numpy"](), strict=True):
        assert np.abs(ours.astype(int) - peer).mean() < 3
    case = cases["exposure_map, yuv420p"]
    for peer in case.peers.values():
        assert (case.ours() == (np.asarray(peer()) > 0)).mean() > 0.99
    for name in ("64 rows", "16x32"):
        case = cases[f"map_tones, yuv420p, gains {name}"]
        ours = np.concatenate([p.ravel() for p in case.ours()])
        for peer in case.peers.values():
            assert np.abs(ours.astype(int) - np.asarray(peer()).ravel()).mean() < 3
    for name in ("area_mean, luma to 8x12",):
        tiles = 108 * 192 / 96
        assert np.abs(cases[name].ours() - np.asarray(cases[name].peers["numpy"]()) / tiles).max() < 20
    for name in ("warp, luma plane", "warp, luma plane, bicubic", "warp_blend, luma planes"):
        ours = np.asarray(cases[name].ours()).astype(int)
        for peer in cases[name].peers.values():
            assert np.abs(ours - np.asarray(peer())).mean() < 0.5
    for name in ("resize, luma plane, area to half", "resize, luma plane, bilinear to double", "resize_flow to double"):
        ours = np.asarray(cases[name].ours(), np.float64)
        for peer in cases[name].peers.values():
            assert np.abs(ours - np.asarray(peer())).max() <= 1
    case = cases["compose, luma planes, 4 terms, flows of quarter size"]
    for peer, slip in (("numpy", 3), ("opencv", 0.5)):
        assert np.abs(case.ours().astype(int) - np.asarray(case.peers[peer]()).astype(int)).mean() < slip
    case = cases["lay_over, luma plane"]
    for peer in case.peers.values():
        np.testing.assert_array_equal(case.ours(), peer())
    for name in ("quantiles, 4 x 1024 bins", "smooth_quantiles, 61 frames"):
        assert np.abs(np.asarray(cases[name].ours()) - np.asarray(cases[name].peers["numpy"]())).max() < 2e-3


def test_measuring_runs():
    rows, comparisons = measure_ops(64, 64, rounds=1)
    assert all(row.values["ms"] > 0 for row in rows)
    assert {c.ours for c in comparisons} == {"reelmend"}
