"""The table and the picture of what was found, from made-up rows."""

from __future__ import annotations

import builtins
import csv
import errno
import os
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from reelmend.analyze import explain as module
from reelmend.analyze.explain import COLUMNS, Explainer, explain_paths, why_no_picture
from reelmend.analyze.series import Detrender, Pool, detrend
from reelmend.errors import OptionError
from reelmend.stages.deflicker import KINDS, Findings, Kind, Summary


def findings(count, kinds=("global",), *, strength=4.0, amount=1.0, first=0):
    rng = np.random.default_rng(1)
    for i in range(first, first + count):
        before = 100 + strength * rng.standard_normal()
        yield Findings(
            i, Fraction(i, 24), 1, i == first + count // 2, {k: Kind(strength, 0.9, amount) for k in kinds}, i > 10,
            amount > 0, (before, before, before), (100.0, 100.0, 100.0) if amount else (before,) * 3, 6.0,
            False, 0.01, "50 Hz, mains" if "bands" in kinds else "",
        )  # fmt: skip


def explained(folder: Path, clip, name="clip"):
    explainer = Explainer(f"{folder / name}.csv", f"{folder / name}.png")
    summary = Summary()
    for one in clip:
        summary.add(one)
        explainer.add(one.as_dict())
    return explainer.finish(summary.verdict, summary.words), explainer


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def picture(path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    return imread(path)


@pytest.fixture
def no_matplotlib(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)


# --- pooling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17, 100, 1000])
def test_the_pool_holds_least_and_greatest(count):
    x = np.random.default_rng(count).standard_normal((count, 3))
    pool = Pool(3, 8)
    for t, row in enumerate(x):
        pool.put(t, 0, row[:2])
        if t:
            pool.put(t - 1, 2, x[t - 1, 2])  # late, as deviations are
    pool.put(count - 1, 2, x[-1, 2])
    columns = -(-count // pool.stride)
    assert 4 < columns <= 8 or pool.stride == 1
    parts = [x[k * pool.stride : (k + 1) * pool.stride] for k in range(columns)]
    assert np.array_equal(pool.low, np.array([p.min(0) for p in parts]).T)
    assert np.array_equal(pool.high, np.array([p.max(0) for p in parts]).T)


def test_nan_is_no_value():
    pool = Pool(1, 4)
    for t, value in enumerate([np.nan, 2.0, np.nan, np.nan, 5.0]):
        pool.put(t, 0, value)
    assert pool.stride == 2
    assert np.array_equal(pool.high, [[2.0, np.nan, 5.0]], equal_nan=True)


@pytest.mark.parametrize("count", [1, 4, 5, 6, 11, 40])
def test_the_detrender_gives_every_deviation_once(count):
    x = np.random.default_rng(count).standard_normal((count, 2))
    detrender = Detrender()
    given = [d for d in map(detrender.push, x) if d is not None]
    assert np.allclose(given + detrender.rest(), detrend(x), atol=1e-12)
    assert np.allclose(detrender.result()[0], detrend(x).std(0))


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table_has_every_frame_and_value(tmp_path):
    clip = list(findings(40, ("global", "bands")))
    files, explainer = explained(tmp_path, clip)
    assert files[0] == str(tmp_path / "clip.csv")
    rows = table(files[0])
    assert len(rows) == explainer.rows == 40
    for one, row in zip(clip, rows, strict=True):
        expected = one.as_dict()
        assert list(row) == list(expected)
        for name, value in expected.items():
            if isinstance(value, str):
                assert row[name] == value
            else:
                assert float(row[name]) == pytest.approx(float(value), abs=1e-6)
    assert rows[20]["cut"] == "1"
    assert rows[3]["note"] == "50 Hz, mains"


def test_rows_are_on_disk_as_they_come(tmp_path):
    explainer = Explainer(str(tmp_path / "x.csv"), str(tmp_path / "x.png"))
    assert not (tmp_path / "x.csv").exists()
    for count, one in enumerate(findings(30), start=1):
        explainer.add(one.as_dict())
        text = (tmp_path / "x.csv").read_text()
        assert text.endswith("\n")
        assert text.count("\n") == count + 1
    explainer.finish()


def test_frames_are_numbered_on_across_reopening(tmp_path):
    files, _ = explained(tmp_path, [*findings(5), *findings(5)])
    assert [row["frame"] for row in table(files[0])] == [str(t) for t in range(10)]


def test_a_time_that_is_not_known_is_empty(tmp_path):
    row = next(findings(1)).as_dict() | {"time": None}
    explainer = Explainer(str(tmp_path / "x.csv"), str(tmp_path / "x.png"))
    explainer.add(row)
    explainer.finish()
    assert table(tmp_path / "x.csv")[0]["time"] == ""


def test_a_full_disk_keeps_whole_rows_and_the_picture(tmp_path, monkeypatch):
    real = module._Table.write

    class Full:
        """A disk with room for one more piece, and for half of that."""

        def __init__(self, file):
            self._file = file

        def write(self, data):
            if getattr(self, "full", False):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.full = True
            return self._file.write(data[: len(data) // 2])

        def __getattr__(self, name):
            return getattr(self._file, name)

    def write(self, values):
        if values[0] == 7:
            self._file = Full(self._file)
        real(self, values)

    monkeypatch.setattr(module._Table, "write", write)
    files, explainer = explained(tmp_path, findings(20))
    rows = table(tmp_path / "clip.csv")
    assert [row["frame"] for row in rows] == [str(t) for t in range(7)]
    assert rows[-1]["note"] is not None
    assert (tmp_path / "clip.csv").read_text().endswith("\n")
    assert any("No space left" in note and "first 7 frames" in note for note in explainer.notes)
    assert str(tmp_path / "clip.csv") in files


def test_a_table_that_cannot_be_opened_is_a_note(tmp_path):
    files, explainer = explained(tmp_path / "gone", findings(3))
    assert files == ()
    assert any("No such file" in note for note in explainer.notes)


def test_nothing_told_is_a_note(tmp_path):
    files, explainer = explained(tmp_path, [])
    assert files == ()
    assert "no frame" in explainer.notes[-1]
    assert list(tmp_path.iterdir()) == []


# --- the picture -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 60, 3000])
@pytest.mark.parametrize("kinds", [(), ("global",), KINDS])
def test_the_picture_is_drawn(tmp_path, count, kinds):
    pytest.importorskip("matplotlib")
    files, explainer = explained(tmp_path, findings(count, kinds, amount=float(bool(kinds))))
    assert explainer.notes == []
    assert [os.path.basename(name) for name in files] == ["clip.csv", "clip.png"]
    pixels = picture(files[1])
    assert pixels.shape[1] == 1400
    assert 700 < pixels.shape[0] < 1100
    assert np.ptp(pixels[..., :3].mean(-1)) > 0.5
    assert sorted(os.listdir(tmp_path)) == ["clip.csv", "clip.png"]


def red(pixels):
    """Pixels of the colour of what is found, at any tint: redder than green."""
    return int(((pixels[..., 0] - pixels[..., 1]) > 0.1).sum())


def test_the_picture_shows_what_is_found(tmp_path):
    def area(name, *args, **options):
        return red(picture(explained(tmp_path, findings(60, *args, amount=0.0, **options), name)[0][1]))

    none, one, two = area("none", ()), area("one", ("bands",)), area("two", ("bands", "local"))
    assert one - none > 5000
    assert two - one == pytest.approx(one - none, rel=0.3)


def test_one_frame_of_many_is_seen(tmp_path):
    clip = list(findings(20_000, (), amount=0.0))
    plain = picture(explained(tmp_path, clip, "plain")[0][1])
    flash = {"flash": Kind(60.0, 0.9, 0.0)}
    clip[7001] = Findings(7001, None, 1, False, flash, True, False, (100.0,) * 3, (100.0,) * 3, 0.0, False, 0.0)
    assert red(picture(explained(tmp_path, clip, "flash")[0][1])) - red(plain) >= 15


@pytest.mark.parametrize(
    ("kinds", "amount", "title"),
    [
        (("global",), 1.0, "Global flicker, 4.5 → 0.0 levels; 100 of 100 frames treated"),
        (("color",), 1.0, "Flicker of colour, 4.5 → 0.0 levels; 100 of 100 frames treated"),
        (("bands",), 1.0, "Rolling bands, 4.0 levels; 100 of 100 frames treated"),
        (("flash",), 0.0, "Flashes, no flicker, 4.0 levels; no frame changed"),
        ((), 0.0, "No flicker found; no frame changed"),
    ],
)
def test_the_title_says_the_verdict(tmp_path, monkeypatch, kinds, amount, title):
    said = []
    monkeypatch.setattr(module, "findings_plot", lambda course, path, title: said.append(title))
    monkeypatch.setattr(module, "why_no_picture", lambda: None)
    clip = list(findings(100, kinds, amount=amount))
    before = detrend([f.level_in[0] for f in clip])
    explained(tmp_path, clip)
    assert said == [title.replace("4.5", f"{np.sqrt((before**2).mean()):.1f}")]


def test_the_course_is_what_was_told(tmp_path, monkeypatch):
    courses = []
    monkeypatch.setattr(module, "findings_plot", lambda course, path, title: courses.append(course))
    monkeypatch.setattr(module, "why_no_picture", lambda: None)
    clip = list(findings(50, ("global", "flash"), first=10))
    explained(tmp_path, clip)
    course = courses[0]
    assert (course.first, course.frames, course.stride, course.cuts) == (10, 50, 1, 1)
    luma = [f.level_in[0] for f in clip]
    assert np.allclose(course.luma[0], luma)
    assert np.allclose(course.deviation[0], detrend(luma))
    assert np.allclose(course.deviation[1], 0)
    assert course.seconds[5] == pytest.approx(15 / 24)
    assert np.nonzero(course.cut)[0].tolist() == [25]
    assert course.unsure.tolist() == [i <= 10 for i in range(10, 60)]
    assert course.touched.all()
    lanes = {lane.name: lane for lane in course.lanes}
    assert tuple(lanes) == KINDS
    assert (lanes["flash"].frames, lanes["flash"].mean, lanes["flash"].most) == (50, 4.0, 4.0)
    assert lanes["bands"].frames == 0
    assert (lanes["global"].amount == 1).all()


def test_twenty_thousand_frames_in_bounded_memory(tmp_path):
    explainer = Explainer(str(tmp_path / "x.csv"), str(tmp_path / "x.png"))
    rows = [one.as_dict() for one in findings(100, KINDS)]
    for row in rows:
        explainer.add(row)
    tracemalloc.start()
    try:
        for at in range(100, 20_000):
            explainer.add(rows[at % 100])
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 200_000
    files = explainer.finish("global", "Global flicker")
    with open(files[0]) as file:
        assert sum(1 for _ in file) == 20_001
    assert explainer._pool.stride == 32
    assert explainer._pool.low.shape[1] == 625 <= COLUMNS


def test_a_picture_that_fails_is_a_note_and_the_table_stays(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr(module, "findings_plot", broken)
    monkeypatch.setattr(module, "why_no_picture", lambda: None)
    (tmp_path / "clip.png").write_bytes(b"of an earlier run")
    files, explainer = explained(tmp_path, findings(5))
    assert files == (str(tmp_path / "clip.csv"),)
    assert "no ink" in explainer.notes[-1]
    assert not (tmp_path / "clip.png").exists()


def test_rows_that_cannot_be_drawn_are_still_written(tmp_path):
    row = next(findings(1)).as_dict()
    del row["blue_out"]
    explainer = Explainer(str(tmp_path / "x.csv"), str(tmp_path / "x.png"))
    explainer.add(row)
    explainer.add(row)
    assert explainer.finish() == (str(tmp_path / "x.csv"),)
    assert len(table(tmp_path / "x.csv")) == 2
    assert len(explainer.notes) == 1


def test_without_matplotlib_it_is_said_first_and_the_table_written(tmp_path, no_matplotlib):
    explainer = Explainer(str(tmp_path / "x.csv"), str(tmp_path / "x.png"))
    assert explainer.notes == [why_no_picture()]
    assert "pip install 'reelmend[plot]'" in explainer.notes[0]
    for one in findings(5):
        explainer.add(one.as_dict())
    assert explainer.finish() == (str(tmp_path / "x.csv"),)
    assert len(table(tmp_path / "x.csv")) == 5
    assert len(explainer.notes) == 1


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "output", "base"),
    [
        ("told", "steady.mp4", "told"),
        ("told.csv", "steady.mp4", "told"),
        ("told.PNG", "steady.mp4", "told"),
        ("told.v2", "steady.mp4", "told.v2"),
        ("here", "steady.mp4", "here/steady.explain"),
        ("here/", "deep/steady.mp4", "here/steady.explain"),
        ("", "steady.mp4", "steady.explain"),
        ("", "here/steady.tar.mkv", "here/steady.tar.explain"),
        ("", "here", "here.explain"),
        ("", "new/", "new.explain"),
        ("", "here/%06d.png", "here.explain"),
        ("told", "-", "told"),
    ],
)
def test_names(tmp_path, monkeypatch, path, output, base):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert explain_paths(path, output) == (f"{base}.csv", f"{base}.png")
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_pictures_in_this_folder_give_a_name_beside_it(tmp_path, monkeypatch):
    (tmp_path / "scan").mkdir()
    monkeypatch.chdir(tmp_path / "scan")
    assert explain_paths("", "%06d.png")[0] == str(tmp_path / "scan.explain.csv")


@pytest.mark.parametrize(
    ("path", "output", "message"),
    [
        ("no/such", "steady.mp4", "the folder no does not exist"),
        ("no/", "steady.mp4", "the folder no does not exist"),
        ("file/x", "steady.mp4", "the folder file is not a folder"),
        ("", "-", "an output of '-'"),
        (".csv", "steady.mp4", "no name for files"),
        ("taken", "steady.mp4", r"taken.png: already exists; .*--overwrite"),
        ("dir", "steady.mp4", "dir.csv: is there already and is not a file"),
        ("scan/x", "steady.mp4", "would lie among the frames"),
    ],
)
def test_bad_names_are_refused(tmp_path, monkeypatch, path, output, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "taken.png").write_text("")
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "scan").mkdir()
    with pytest.raises(OptionError, match=message):
        explain_paths(path, output, frames=["scan"])


def test_overwriting_is_allowed_for_files_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.png").write_text("")
    assert explain_paths("taken", "x.mp4", overwrite=True) == ("taken.csv", "taken.png")
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(OptionError, match="is not a file"):
        explain_paths("taken", "x.mp4", overwrite=True)
