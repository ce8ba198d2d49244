"""What the benchmark of the networks counts: masks, sharpness, summaries, sections put together, its table."""

import json
from pathlib import Path

import numpy as np
import pytest

from reelmend.analyze.benchmark import Row
from reelmend.analyze.metrics import psnr

FOLDER = Path(__file__).parents[2] / "benchmarks"
MEASURED = ("psnr_db", "psnr_min_db", "psnr_y_db", "ssim", "ewarp_squared", "ewarp_l1", "flicker_tiles")


@pytest.fixture(scope="module")
def figures(load):
    return load("networks_figures")


@pytest.fixture(scope="module")
def bench(load):
    return load("deflicker_networks")


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(60, 120, (24, 32, 3), np.uint8)


def run(figures, method, value, *, kind="local", clip="a", seed=0, warp=0.1):
    values = dict.fromkeys(MEASURED, value) | {"psnr_min_db": value - 2, "ewarp_l1": warp}
    return figures.Run(kind, clip, seed, method, values)


def test_clips_are_held_back_from_training(load):
    runs = load("networks_runs")
    assert runs.held_back() == runs.CLIPS
    assert len(runs.CLIPS) == 5


def test_a_clip_that_is_trained_on_ends_the_program(load, monkeypatch):
    runs = load("networks_runs")
    monkeypatch.setitem(runs.CLIPS, "dog", "sam2_dog_720p30.mp4")
    with pytest.raises(SystemExit, match="sam2_dog"):
        runs.held_back()


def test_every_sixth_frame_alone_is_exposed_by_turns(figures, picture):
    told = [figures.exposure(t) for t in range(24)]
    assert [t for t, how in enumerate(told) if how] == [4, 10, 16, 22]
    assert [how for how in told if how] == ["white", "black"] * 2
    np.testing.assert_array_equal(figures.exposed(picture, "white"), np.floor(picture * 1.8 + 0.5))
    np.testing.assert_array_equal(figures.exposed(picture, "black"), np.maximum(picture.astype(int) - 76, 0))
    assert figures.exposed(picture, None) is picture


def test_the_mask_holds_what_was_lost_and_no_more(figures):
    truth = np.full((4, 5, 3), 100, np.uint8)
    truth[0] = 255  # white before: nothing was lost there
    bad = truth.copy()
    bad[1, :, 0] = 252  # one channel is enough for white
    bad[2] = 4
    bad[3] = (4, 4, 90)  # some light is left
    expected = np.zeros((4, 5), bool)
    expected[1:3] = True
    np.testing.assert_array_equal(figures.clipped_mask(bad, truth), expected)


def test_psnr_within_a_mask_is_that_of_its_pixels(figures, picture):
    other = picture.copy()
    other[:12] += 10
    mask = np.zeros((24, 32), bool)
    mask[:12] = True
    assert figures.psnr_within(picture, other, mask) == pytest.approx(psnr(picture[:12], other[:12]))
    assert figures.psnr_within(picture, other, ~mask) == figures.CAP
    assert figures.psnr_within(picture, other, np.zeros_like(mask)) is None


def test_gradients_fall_where_a_picture_is_blurred(figures, picture):
    ramp = np.repeat(np.arange(0, 64, 2, dtype=np.uint8)[None, :, None], 24, 0).repeat(3, 2)
    assert figures.gradient_energy(ramp) == pytest.approx(4, rel=1e-5)
    assert figures.gradient_energy(np.full_like(picture, 9)) == 0
    blurred = ((picture.astype(int) + np.roll(picture, 1, 1)) // 2).astype(np.uint8)
    assert figures.gradient_energy(blurred) < 0.8 * figures.gradient_energy(picture)


def test_a_summary_compares_runs_with_their_own_equalisation(figures):
    runs = []
    for seed, (alone, after) in enumerate(((20.0, 21.0), (30.0, 30.5), (25.0, 24.0))):
        warp = 0.1 if seed == 0 else None
        runs += [run(figures, figures.ALONE, alone, seed=seed, warp=warp)]
        runs += [run(figures, "+ global", after, seed=seed, warp=warp)]
    alone, after = figures.summary("quality: mean", runs)
    assert "gain_db" not in alone.values
    v = after.values
    assert (v["runs"], v["psnr_db"], v["ewarp_l1"]) == (3, pytest.approx(75.5 / 3), 0.1)
    assert (v["gain_db"], v["gain_median_db"], v["gain_least_db"]) == (pytest.approx(0.5 / 3), 0.5, -1)
    assert (v["gain_q1_db"], v["gain_q3_db"]) == (-0.25, 0.75)
    assert v["better_share"] == pytest.approx(2 / 3)
    assert v["gain_min_db"] == pytest.approx(0.5 / 3)


def test_losses_are_summed_by_method(figures):
    def loss(method, t, inside, same=False):
        return figures.Loss("a", t, "white", method, 0.25, inside, None if t else 40.0, same)

    found = [loss(figures.ALONE, 0, 15.0, True), loss(figures.ALONE, 12, 17.0)]
    found += [loss("+ local", 0, 25.0), loss("+ local", 12, 16.0)]
    alone, after = figures.losses("clipped: white", found)
    assert alone.values["exact_share"] == 0.5
    assert alone.values["outside_db"] == 40
    v = after.values
    assert (v["inside_db"], v["inside_min_db"], v["gain_db"], v["gain_least_db"]) == (20.5, 16.0, 4.5, -1.0)


def test_means_keep_the_worst(figures):
    rows = [Row(f"clean: {k}", "networks", {"x_psnr_min_db": v, "share": v}) for k, v in (("a", 1.0), ("b", 3.0))]
    (mean,) = figures.means("clean: mean", rows)
    assert mean.values == {"x_psnr_min_db": 1.0, "share": 2.0}


def test_the_busiest_window_is_found(load):
    pictures = load("networks_pictures")
    field = np.zeros((40, 60))
    field[22:30, 41:50] = 1
    y, x = pictures.busiest(field, (12, 16))
    assert field[y : y + 12, x : x + 16].sum() == field.sum()
    assert pictures.busiest(field, (100, 100)) == (0, 0)


def test_strips_are_drawn(load, picture, tmp_path):
    pytest.importorskip("matplotlib")
    pictures = load("networks_pictures")
    other = picture // 2
    np.testing.assert_array_equal(pictures.apart(picture, picture), 0)
    assert pictures.apart(other, picture).max() > 200
    shown = ("drawn", {"input": other, "equalisation": picture}, picture, {"input": 12.3})
    pictures.strip([shown, shown], tmp_path / "strip.png", "dB")
    assert (tmp_path / "strip.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def document(figures, bench):
    """A result of all sections with figures that were made up."""
    from reelmend.analyze.benchmark import Comparison, document

    methods = ("equalisation", "+ global", "+ temporal", "+ local")
    runs = [figures.Run("local", "a", 0, "truth", dict.fromkeys(("ewarp_squared", "ewarp_l1", "flicker_tiles"), 0.5))]
    runs += [run(figures, name, 20.0 + k) for k, name in enumerate(("input", *methods))]
    rows = figures.summary("quality: mean", runs) + figures.summary("quality: local", runs)
    for how in ("white", "black"):
        lost = [figures.Loss("a", 4, how, name, 0.2, 15.0, 30.0, False) for name in ("input", *methods)]
        rows += figures.losses(f"clipped: {how}", lost)
    film = {"flicker_tiles": 2.0, "gradient_ratio": 1.0}
    rows += [Row("real: film", name, film) for name in ("input", "equalisation", "networks")]
    clean = {"always_psnr_db": 42.0, "always_psnr_min_db": 40.0, "auto_exact_share": 1.0}
    rows += [Row("clean: mean", name, clean) for name in ("equalisation", "networks")]
    for case, values in (("1920x1080, mode film", {"ms": 10.0, "added_ms": 5.0}), ("80 frames", {"s": 1.0})):
        rows += [Row(f"speed: {case}", name, values) for name in ("equalisation", "networks")]
    settings = {
        "network": {"name": "blaze"},
        "quick": False,
        "width": 480,
        "frames": 60,
        "clips": {"a": "a.mp4"},
        "quality": {"seeds": 1, "kinds": ["local"]},
        "clipped": {"every": 6},
        "real": {"films": {"film": "film.mp4"}},
        "speed": {"paper_s": 58.37},
    }
    ratio = Comparison("speed: 80 frames", "networks", "equalisation", 0.5, 0.4, 0.6, 5)
    return json.loads(json.dumps(document("deflicker_networks", rows, [ratio], settings=settings)))


def test_a_result_fits_the_schema_and_is_shown(load, bench, document):
    assert load("schema").problems(document) == []
    text = bench.show(document)
    assert "quality: mean / + temporal" in text
    assert "networks run at 0.50 (0.40-0.60) of the speed of equalisation" in text


def test_the_table_shows_every_section(load, document):
    table = load("table")
    text = table.networks(document)
    assert "| + local | **24.00** |" in text
    assert "+3.00 (+3.00 to +3.00)" in text
    assert "| film | 2.00 | 2.00 | 2.00 | 1.000 | 1.000 |" in text
    assert "100.0 % of the frames leave bit for bit" in text
    assert "- 80 frames: 1 s alone, 1 s with networks; BlazeBVD's paper: 58.37 s" in text
    document["rows"] = [row for row in document["rows"] if row["case"].startswith("clipped: ")]
    document["settings"] = {"clipped": {}}
    assert "where it went white" in table.networks(document)


def test_a_section_measured_again_takes_the_place_of_the_old(bench, document):
    new = {**document, "rows": [{"case": "real: other", "method": "input", "values": {"flicker_tiles": 1.0}}]}
    new["settings"] = {k: v for k, v in document["settings"].items() if k in bench.COMMON} | {"real": {"films": {}}}
    new["comparisons"] = []
    result = bench.merged(document, new)
    cases = list(dict.fromkeys(bench.section_of(row) for row in result["rows"]))
    assert cases == list(bench.SECTIONS)
    assert [row["case"] for row in result["rows"] if bench.section_of(row) == "real"] == ["real: other"]
    assert result["settings"]["real"] == {"films": {}}
    assert result["settings"]["quality"] == document["settings"]["quality"]
    assert len(result["comparisons"]) == 1


@pytest.mark.parametrize("what", ["network", "quick", "frames"])
def test_sections_of_different_things_are_not_put_together(bench, document, what):
    other = {**document, "settings": {**document["settings"], what: "another"}}
    with pytest.raises(ValueError, match=f"another {what}"):
        bench.merged(other, document)
