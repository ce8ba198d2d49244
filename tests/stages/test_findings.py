"""What the stage found and did: one frame, a clip, and the stage telling it."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction

import numpy as np
import pytest

from reelmend import Deflicker, Stream
from reelmend.stages.deflicker import KINDS, Findings, Kind, Summary


def findings(index=0, kinds=None, *, sure=True, touched=False, cut=False, note="", **changes):
    made = {
        "index": index, "time": Fraction(index, 24), "shot": 1, "cut": cut, "kinds": kinds or {}, "sure": sure,
        "touched": touched, "level_in": (100.0, 110.0, 120.0), "level_out": (101.0, 110.5, 119.0), "largest": 4.5,
        "singular": False, "exposed": 0.25, "note": note,
    }  # fmt: skip
    return Findings(**(made | changes))


def summed(*many):
    summary = Summary()
    for one in many:
        summary.add(one)
    return summary


# --- one frame ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "sure", "kind"),
    [
        ({}, True, "none"),
        ({}, False, "unsure"),
        ({"global": Kind(4, 0.9, 1)}, True, "global"),
        ({"global": Kind(4, 0.5, 1)}, False, "global"),
        ({"global": Kind(4, 0.49, 0)}, True, "none"),
        ({"global": Kind(4, 0.49, 0)}, False, "unsure"),
        ({"global": Kind(4, 0.9, 1), "bands": Kind(6, 0.6, 1)}, True, "bands"),
        ({"global": Kind(4, 0.9, 1), "bands": Kind(6, 0.4, 1)}, True, "global"),
    ],
)
def test_the_kind_is_the_strongest_that_is_believed(kinds, sure, kind):
    assert findings(kinds=kinds, sure=sure).kind == kind


def test_a_row_is_flat_and_the_same_for_every_frame():
    row = findings(48, {"bands": Kind(6.0, 0.75, 0.5)}, touched=True, note="mains bands, 100 Hz").as_dict()
    assert list(row) == list(findings().as_dict())
    assert row["frame"] == 48
    assert row["time"] == 2.0
    assert row["kind"] == "bands"
    assert (row["bands_strength"], row["bands_confidence"], row["bands_amount"]) == (6.0, 0.75, 0.5)
    assert (row["red_in"], row["green_in"], row["blue_in"]) == (100.0, 110.0, 120.0)
    assert (row["red_out"], row["green_out"], row["blue_out"]) == (101.0, 110.5, 119.0)
    assert (row["largest"], row["exposed"], row["note"]) == (4.5, 0.25, "mains bands, 100 Hz")
    assert [k.removesuffix("_strength") for k in row if k.endswith("_strength")] == list(KINDS)
    assert all(row[f"{k}_{what}"] == 0 for k in KINDS if k != "bands" for what in ("strength", "confidence", "amount"))
    assert findings(time=None).as_dict()["time"] is None


def test_a_row_goes_through_json_and_csv():
    row = findings(3, {"global": Kind(np.float32(2.5), 1.0, 1.0)}).as_dict()
    assert json.loads(json.dumps(row)) == row
    text = io.StringIO()
    csv.writer(text).writerow(row.values())
    assert len(next(csv.reader(io.StringIO(text.getvalue())))) == len(row)


# --- a clip ------------------------------------------------------------------------------------------------------


def test_an_empty_summary_reads():
    assert Summary().verdict == "none"
    assert Summary().kinds == ()
    assert "frames   0" in str(Summary())
    assert findings().summary() == Summary()


def test_a_summary_counts():
    summary = summed(
        *(findings(i, {"global": Kind(3.0 + (i == 5), 0.9, 1.0)}, touched=True) for i in range(10)),
        findings(10, cut=True),
        findings(11, {"global": Kind(9.0, 0.3, 0.0)}, sure=False),
        *(findings(i, {"global": Kind(3.0, 0.9, 0.0)}) for i in range(12, 14)),
    )
    assert (summary.frames, summary.touched, summary.cuts, summary.unsure) == (14, 10, 1, 1)
    found = summary.found["global"]
    assert (found.frames, found.treated, found.most) == (12, 10, 4.0)
    assert found.mean == pytest.approx(37 / 12)
    assert found.ranges == [(0, 9), (12, 13)]
    assert summary.kinds == ("global",)
    assert summary.verdict == "global"
    assert summary.words == "Global flicker"


def test_a_summary_numbers_on_when_the_stage_is_opened_anew():
    flicker = {"global": Kind(3.0, 0.9, 1.0)}
    summary = summed(*(findings(i, flicker) for i in (0, 1, 2, 0, 1)))
    assert summary.found["global"].ranges == [(0, 4)]
    assert summed(*(findings(i, flicker) for i in (70, 71))).found["global"].ranges == [(70, 71)]


def test_the_verdict_weighs_frames_by_strength():
    weak, strong = {"global": Kind(1.0, 0.9, 1.0)}, {"bands": Kind(9.0, 0.9, 1.0)}
    clip = [findings(i, weak) for i in range(80)] + [findings(i, strong) for i in range(20)]
    assert summed(*clip).verdict == "bands"
    assert summed(*clip).kinds == ("global", "bands")
    assert summed(*clip[:80], *clip[:5], *clip[80:88]).verdict == "global"


def test_flashes_and_fades_are_told_only_without_flicker():
    flash = {"flash": Kind(60.0, 0.9, 0.0)}
    clip = [findings(i, flash if i == 50 else {}) for i in range(100)]
    assert summed(*clip).verdict == "flash"
    assert summed(*clip).kinds == ("flash",)
    flicker = [findings(100 + i, {"global": Kind(0.5, 0.9, 1.0)}) for i in range(20)]
    assert summed(*clip, *flicker).verdict == "global"
    assert summed(*clip, *flicker).kinds == ("global", "flash")


def test_a_stray_frame_is_no_verdict_but_a_scene_is():
    clip = [findings(i) for i in range(990)]
    flicker = [findings(990 + i, {"global": Kind(4.0, 0.9, 1.0)}) for i in range(12)]
    assert summed(*clip, *flicker[:2]).verdict == "none"
    assert summed(*clip, *flicker).verdict == "global"
    assert summed(*clip, *flicker).kinds == ()


def test_where_nothing_is_certain_the_words_say_so():
    assert summed(*(findings(i, sure=i < 2) for i in range(8))).words.startswith("No flicker found, but")
    assert summed(*(findings(i, sure=i < 6) for i in range(8))).words == "No flicker found"


def test_the_table_reads():
    note = "mains bands, 100 Hz: 0.167 cycles a frame"
    bands = {"bands": Kind(6.0, 0.9, 1.0)}
    clip = [findings(i, bands if i % 20 < 10 else {}, touched=i % 20 < 10, note=note) for i in range(200)]
    text = str(summed(*clip))
    lines = text.splitlines()
    assert lines[0] == "verdict  rolling bands"
    assert lines[1] == "frames   200: 100 treated, 100 left bit for bit; 0 unsure"
    assert lines[2] == "cuts     0"
    assert lines[4].split()[:8] == ["bands", "100", "50", "%", "100", "%", "6.0", "6.0"]
    assert lines[4].endswith("0-9, 20-29, 40-49, 60-69 and 6 more")
    assert lines[5].strip() == note
    assert len(lines) == 6
    assert all(len(line) <= 120 for line in lines)


def test_notes_are_kept_once_and_few():
    clip = [findings(i, {"bands": Kind(6.0, 0.9, 1.0)}, note=f"{i // 2} Hz") for i in range(100)]
    notes = summed(*clip).found["bands"].notes
    assert notes[:3] == ["0 Hz", "1 Hz", "2 Hz"]
    assert len(notes) == 8


# --- the stage tells -----------------------------------------------------------------------------------------------


def pictures(count, *, flicker, size=(48, 64)):
    rng = np.random.default_rng(5)
    ground = rng.integers(40, 180, (*size, 3)).astype(np.float64)
    return [
        np.clip(ground * (1 + flicker * rng.standard_normal()), 0, 255).astype(np.uint8) for _ in range(count)
    ]  # fmt: skip


def heard(frames, **options):
    stream = Stream([Deflicker(**options)])
    told = []
    stream.listen(lambda stage, finding: told.append((stage, finding)))
    out = list(stream.process(frames))
    assert {stage for stage, _ in told} == {"deflicker"}
    return out, [finding for _, finding in told]


@pytest.mark.parametrize("mode", ["live", "low", "film"])
def test_the_stage_tells_each_frame_once_in_order(mode):
    out, told = heard(pictures(70, flicker=0.06), mode=mode)
    assert [f.index for f in told] == list(range(70))
    assert [f.time for f in told] == [f.time for f in out]


def test_the_stage_tells_what_it_did():
    given = pictures(70, flicker=0.06)
    out, told = heard(given, mode="film")
    for picture, frame, finding in zip(given, out, told, strict=True):
        after = np.stack(frame.planes[:3], axis=-1)
        assert finding.touched == bool((after != picture).any())
        # whole pixels of tiles of unequal size: near the mean, not equal to it
        assert finding.level_in == pytest.approx(tuple(picture.mean((0, 1))), abs=1.0)
        assert finding.level_out == pytest.approx(tuple(after.mean((0, 1))), abs=1.0)
        assert finding.kind == "global"
        assert finding.largest >= np.abs(after.astype(int) - picture).max() - 1
    assert sum(f.touched for f in told) > 60


def test_the_stage_tells_that_there_is_nothing():
    _, told = heard(pictures(70, flicker=0.0), mode="film")
    assert {f.kind for f in told} <= {"none", "unsure"}
    assert not any(f.touched for f in told)
    assert all(f.level_in == f.level_out and f.largest == 0 for f in told)
    assert told[30].sure


def test_listening_changes_nothing():
    given = pictures(40, flicker=0.06)
    with_listener, _ = heard(given, mode="low")
    without = list(Stream([Deflicker(mode="low")]).process(given))
    for a, b in zip(with_listener, without, strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
