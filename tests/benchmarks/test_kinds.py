"""The matrix of kinds, tiny and on drawn pictures: its runs, its rows, its pictures and its table."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from reelmend.analyze.degrade import make
from reelmend.analyze.scenes import Film

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def runs(load):
    return load("kinds_runs")


@pytest.fixture(scope="module")
def kinds(load):
    return load("deflicker_kinds")


@pytest.fixture(scope="module")
def clip(runs):
    film = Film(80, width=64, height=48, seed=1)  # the first of its two shots
    return runs.Clip("drawn", Fraction(25), [film[t] for t in range(40)])


@pytest.fixture(scope="module")
def found(runs, clip):
    """Two kinds and clean pictures through all methods."""
    return [run for kind in ("gain_gamma", "flash", "clean") for run in runs.measured(clip, kind, 1.0, 0)]


@pytest.fixture(scope="module")
def document(runs, kinds, found, clip):
    from reelmend.analyze.benchmark import document

    flicker = make("gain_gamma", seed=0)
    bad = [flicker.apply(rgb, t) for t, rgb in enumerate(clip.rgb)]
    rows = kinds.summed(found) + runs.filmed("drawn", bad, clip.rate)
    settings = {
        "frames": 40,
        "height": 48,
        "strengths": (1.0,),
        "seeds": [0],
        "clips": {"drawn": "none"},
        "expected": {kind: runs.EXPECTED[kind] for kind in ("gain_gamma", "flash", "clean")},
        "misses": kinds.misses(found),
        "harmed": kinds.harmed(found),
    }
    return document("deflicker_kinds", rows, settings=settings)


def test_every_method_runs_on_the_same_frames(runs, found):
    methods = ["input", *runs.OURS, "ffmpeg deflicker", "ffmpeg tmidequalizer"]
    assert [run.method for run in found] == methods * 3
    for run in found:
        assert (run.verdict is not None) == (run.method in runs.OURS)
    for run in found[::6]:
        assert run.values["gain_db"] == run.values["worst_gain_db"] == 0
        assert run.values["exact_share"] == 1


def test_what_is_wanted_is_its_own_truth(runs, found):
    for run in found:
        if run.kind in runs.WANTED and run.method == "input":
            assert run.values["psnr_db"] == run.values["psnr_min_db"] == runs.CAP


def test_bands_that_would_stand_still_are_of_120_hz(runs):
    for rate, bands in ((25, "bands120"), (Fraction(30000, 1001), "bands"), (30, "bands"), (50, "bands120")):
        assert runs.Clip("", Fraction(rate), []).mains == bands
    moving = runs.Clip("", Fraction(25), [np.full((48, 64, 3), 128, np.uint8)] * 2)
    first, second = runs.flickering(moving, "bands", 1.0, 0)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("present", "right"),
    [(("global", "bands", "local"), True), (("color", "bands", "local"), True), (("bands", "local"), False)],
)
def test_a_mixture_is_right_where_all_parts_are_found(runs, present, right):
    assert runs.Run("mixed", "", 1.0, 0, "reelmend film", {}, "bands", present).right is right


def test_figures_count_a_frame_up_to_the_cap(runs):
    f = runs.figures(np.array([100.0, 40.0]), np.array([100.0, 30.0]), 0.5)
    assert (f["psnr_db"], f["gain_db"], f["worst_gain_db"]) == (50.0, 5.0, 10.0)
    assert f["pooled_gain_db"] == pytest.approx(10, abs=1e-3)
    assert runs.figures(np.array([40.0]), np.array([100.0]), 0.0)["pooled_gain_db"] is None


def test_trend_and_correlation(runs):
    means = np.random.default_rng(0).normal(100, 5, (50, 3))
    np.testing.assert_allclose(runs.trend(means), [means[k : k + 30].mean(0) for k in range(21)])
    ramp = np.arange(9.0)
    assert runs.correlation(ramp, -3 * ramp) == pytest.approx(-1)
    assert runs.correlation(ramp, np.ones(9)) is None


def test_rows_fit_the_schema_and_add_up(load, runs, document):
    assert load("schema").problems(document) == []
    rows = {(row["case"], row["method"]): row["values"] for row in document["rows"]}
    told = rows["verdict: gain_gamma", "reelmend film"]
    assert sum(told[name] for name in runs.VERDICTS) == told["runs"] == 1
    assert rows["verdict: all", "reelmend live"]["runs"] == 3
    assert ("gain_gamma: causal share", "reelmend live") in rows
    assert rows["real: drawn", "input"]["trend_green"] == pytest.approx(1)


def test_what_is_told_wrongly_is_listed(runs, kinds):
    wrong = runs.Run("bands", "dog", 0.3, 1, "reelmend low", {}, "local", ("local",))
    assert kinds.misses([wrong]) == ["bands, strength 0.3, seed 1, dog, reelmend low: local (local)"]
    changed = runs.Run("clean", "dog", 0.0, 0, "reelmend low", {"exact_share": 0.5, "psnr_min_db": 40.0}, "none")
    assert kinds.harmed([changed]) == [
        "clean, strength 0.0, seed 0, dog, reelmend low: 50.0 % untouched, worst frame 40.0 dB"
    ]


def test_text_pictures_and_table_of_a_result(load, kinds, document, tmp_path):
    text = kinds.show(document)
    assert "verdict: flash / reelmend live" in text
    assert "real: drawn / ffmpeg deflicker" in text
    paths = load("kinds_pictures").draw(document, tmp_path)
    assert [path.name for path in paths] == ["deflicker_confusion.png", "deflicker_gains.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    table = load("table").kinds(document)
    assert "| gain gamma | global |" in table
    assert "deflicker_confusion.png" in table


def test_names_are_chosen_by_their_beginnings(runs, kinds):
    assert kinds.chosen(None, runs.CLIPS, "clip") == list(runs.CLIPS)
    assert kinds.chosen("bands,alternation", runs.EXPECTED, "kind") == ["bands", "alternation2", "alternation3"]
    with pytest.raises(SystemExit, match="no kind begins with 'moire'"):
        kinds.chosen("moire", runs.EXPECTED, "kind")


def test_a_clean_file_is_compared_whole(runs, clip, tmp_path, monkeypatch):
    from av import VideoFrame
    from av import open as open_av

    (tmp_path / "video").mkdir()
    with open_av(str(tmp_path / "video" / "still.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in clip.rgb[:12]:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    monkeypatch.setenv("REELMEND_MATERIAL", str(tmp_path))
    assert runs.clean_files() == ["still.mkv"]
    rows = runs.untouched("still.mkv")
    assert [row.method for row in rows] == list(runs.OURS)
    assert all(row.values["frames"] == 12 for row in rows)
    assert all(sum(row.values[v] for v in runs.VERDICTS) == 1 for row in rows)
