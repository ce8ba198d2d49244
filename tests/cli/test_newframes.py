"""New frames on the command line: what is made, what is refused, and what is said."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import pytest

from reelmend.analyze.clip import write_clip
from reelmend.cli import main
from reelmend.media import open_source


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second at 24 frames a second, with sound."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_clip(path, 0.5, width=96, height=64, flicker=None, preset="ultrafast")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main([str(w) for w in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def times(path: Path) -> list[Fraction]:
    with open_source(path) as source:
        return [f.time for f in source]


@pytest.mark.parametrize(
    ("words", "rate", "count"),
    [
        (["--fps", "60"], Fraction(60), 30),
        (["--fps", "60000/1001", "--method", "blend"], Fraction(60000, 1001), 30),
        (["--fps", "12.5", "--method", "sample"], Fraction(25, 2), 7),
        (["--factor", "2", "--cuts", "extrapolate"], Fraction(48), 24),
        (["--slow-motion", "5/2", "--method", "memc", "--repeats", "keep"], Fraction(24), 30),
        (["--slow-motion", "2", "--fps", "30", "--audio", "keep"], Fraction(30), 30),
        (["--deflicker", "--deflicker-mode", "low", "--factor", "2", "--audio", "drop"], Fraction(48), 24),
    ],
)
def test_new_frames(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], rate: Fraction, count: int
) -> None:
    out = tmp_path / "out.mp4"
    status, said, told = run(capsys, "restore", film, out, *words, "--preset", "ultrafast", "--json")
    assert status == 0, told
    result = json.loads(said)
    assert (result["frames_in"], result["frames_out"]) == (12, count)
    assert result["frames_made"] == 0 if "sample" in words else result["frames_made"] > 0
    assert times(out) == [k / rate for k in range(count)]
    assert f"{count} frames from 12 in" in told
    with av.open(str(out)) as found:
        assert len(found.streams.audio) == ("drop" not in words)
    stages = [line.split()[1] for line in result["plan"] if line.startswith("stage")]
    assert stages == (["deflicker", "interpolate"] if "--deflicker" in words else ["interpolate"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fps", "23.976"], "did you mean 24000/1001?"),
        (["--fps", "29.97"], "did you mean 30000/1001?"),
        (["--fps", "59.94"], "did you mean 60000/1001?"),
        (["--fps", "fast"], "expected frames a second such as 24 or 30000/1001; got 'fast'"),
        (["--fps", "0"], "expected frames a second"),
        (["--slow-motion", "1/2"], "expected how many times as slow, 1 or more"),
        (["--slow-motion", "2", "--audio", "loud"], "invalid choice: 'loud'"),
        (["--fps", "60", "--method", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_values_are_refused_with_a_hint(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    status, _, err = run(capsys, "restore", film, tmp_path / "out.mp4", *words)
    assert status == 2
    assert told in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--method", "flow"], "--method says how new frames are made; say how many: --fps 60, --factor 2"),
        (["--deflicker", "--repeats", "keep"], "--repeats says how new frames are made"),
        (["--factor", "2", "--fps", "60"], "--factor does not go with --fps"),
        (["--factor", "2", "--slow-motion", "4"], "--factor does not go with --slow-motion"),
        (["--factor", "1"], "a whole number from 2 to 64"),
        (["--fps", "2000"], "rate is 2000; expected frames a second"),
        (["--fps", "60", "--audio", "stretch"], "--audio stretch says how sound goes with --slow-motion"),
        (["--fps", "60", "--method", "sample", "--cuts", "blend"], "--method sample makes nothing"),
        (["--fps", "60", "--rate", "30"], "--rate is the rate of a folder of pictures"),
    ],
)
def test_options_that_say_nothing_are_refused(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    status, out, err = run(capsys, "restore", film, tmp_path / "out.mp4", *words)
    assert (status, out) == (2, "")
    assert told in err
    assert err.startswith("reelmend: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_dry_run_tells_rate_method_latency_memory_and_sound(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = run(capsys, "restore", film, tmp_path / "o.mp4", "--slow-motion", "4", "--fps", "60", "--dry-run")
    assert status == 0
    for part in ("fast, 60 frames a second, 4 times as slow", "pictures by the network fast", "shots, overlays",
                 "output   96x64 yuv420p, 60 fps", "total    latency 3 frames", "MiB", "about 120 frames, 2.0",
                 "stretched to 4 times"):  # fmt: skip
        assert part in said
    assert list(tmp_path.iterdir()) == []


def test_rate_is_for_pictures_and_fps_for_the_result(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "restore", film, f"{tmp_path}/scan/", "--fps", "12", "--method", "sample", "--quiet")[0] == 0
    out = tmp_path / "out.mkv"
    status, _, told = run(
        capsys, "restore", f"{tmp_path}/scan", out, "--rate", "16", "--fps", "24", "--method", "blend"
    )  # fmt: skip
    assert status == 0
    assert "9 frames from 6" in told
    with av.open(str(out)) as found:
        assert found.streams.video[0].average_rate == 24


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = run(capsys, "restore", "--help")
    assert status == 0
    for part in ("--slow-motion S", "24000/1001", "--fps 60", "Flicker is removed first", "--audio"):
        assert part in said
    assert max(map(len, said.splitlines())) <= 120
    assert "--slow-motion 4" in run(capsys, "--help")[1]
