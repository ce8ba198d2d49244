"""The command line: exit statuses, one line for each error, pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reelmend.cli import main
from reelmend.media import open_source


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    rng = np.random.default_rng(3)
    ground = rng.integers(40, 200, (72, 128, 3)).astype(np.float32)
    with av.open(str(path), "w", container_options={"movflags": "faststart"}) as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "10"})
        video.width, video.height, video.pix_fmt = 128, 72, "yuv420p"
        for index in range(60):
            picture = np.clip(ground * (1 + 0.15 * (index % 2)), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def count(path: Path) -> int:
    with open_source(path) as source:
        return len(list(source))


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main([str(w) for w in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_restore(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mp4"
    status, said, told = run(capsys, "restore", film, out, "--deflicker", "--preset", "ultrafast")
    assert status == 0
    assert said == ""
    assert "60 frames in" in told
    assert count(out) == 60
    status, said, told = run(capsys, "restore", film, out, "--deflicker")
    assert status == 1
    assert "already exists" in told
    assert told.count("\n") == 1
    status, said, told = run(
        capsys, "restore", film, out, "--deflicker", "--deflicker-mode", "live", "--overwrite", "--quiet", "--json",
        "--crf", "30", "--encoder", "x264", "--limit", "10",
    )  # fmt: skip
    assert (status, told) == (0, "")
    assert json.loads(said)["frames_out"] == 10


def test_dry_run(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said, told = run(capsys, "restore", film, tmp_path / "out.mp4", "--deflicker", "--dry-run")
    assert status == 0
    assert "stage    deflicker" in said
    assert "x264" in said
    assert told == ""
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["restore", "FILM", "OUT"], 2, "nothing to do: say what to restore"),
        (["restore", "FILM", "OUT", "--deflicker-mode", "low"], 2, "add --deflicker"),
        (["restore", "FILM", "OUT", "--deflicker", "--encoder", "h265"], 2, "unknown encoder 'h265'"),
        (["restore", "FILM", "OUT", "--deflicker", "--crf", "77"], 2, "crf of x264"),
        (["restore", "nothere.mp4", "OUT", "--deflicker"], 1, "nothere.mp4: no such file"),
        (["restore", "FILM", "FILM", "--deflicker", "--overwrite"], 1, "same file"),
        (["restore", "FILM", "no/such/out.mp4", "--deflicker"], 1, "does not exist"),
        (["restore", "FILM", "out.doc", "--deflicker"], 1, "unknown ending '.doc'"),
        (["restore", "FILM", "-", "--deflicker", "--json"], 2, "both want standard output"),
        (["restore", "FILM", "-", "--deflicker", "--explain"], 2, "gives no name to go by"),
        (["restore", "FILM", "OUT", "--deflicker", "--explain", "no/such"], 2, "the folder no does not exist"),
    ],
)
def test_one_line_for_each_error(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, told: str
) -> None:
    places = {"FILM": str(film), "OUT": str(tmp_path / "out.mp4")}
    got, out, err = run(capsys, *[places.get(w, w) for w in words])
    assert got == status
    assert told in err
    assert err.startswith("reelmend: ")
    assert err.count("\n") == 1
    assert out == ""
    assert not (tmp_path / "out.mp4").exists()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["restore"]) == 2
    assert main(["restore", "a", "b", "--rate", "x"]) == 2
    capsys.readouterr()
    status, said, _ = run(capsys, "--help")
    assert status == 0
    assert "examples:" in said
    status, said, _ = run(capsys, "restore", "--help")
    assert status == 0
    assert "--deflicker-mode" in said
    assert "examples:" in said
    status, said, _ = run(capsys, "--version")
    assert said.startswith("reelmend ")


def test_damaged_input_completes_and_warns(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = film.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 7 // 10])
    status, _, told = run(capsys, "restore", tmp_path / "cut.mp4", tmp_path / "out.mp4", "--deflicker", "--quiet")
    assert status == 3
    assert "warning:" in told
    assert "bytes are missing" in told
    assert "after frame" in told
    assert told.count("\n") == 1
    assert 10 < count(tmp_path / "out.mp4") < 60


def test_unexpected_errors_are_one_line_too(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import reelmend.cli.restore as command

    def broken(args: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(command, "_stages", broken)
    status, _, told = run(capsys, "restore", film, tmp_path / "out.mp4", "--deflicker")
    assert status == 1
    assert told.count("\n") == 1
    assert "unexpected ZeroDivisionError: oh no; set REELMEND_DEBUG=1" in told
    monkeypatch.setenv("REELMEND_DEBUG", "1")
    _, _, told = run(capsys, "restore", film, tmp_path / "out.mp4", "--deflicker")
    assert "Traceback" in told


def command(*words: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "reelmend.cli", *map(str, words)], env=dict(os.environ), **options)


def test_pipes(film: Path, tmp_path: Path) -> None:
    first = command("restore", film, "-", "--deflicker", "--quiet", stdout=subprocess.PIPE)
    second = command("restore", "-", tmp_path / "out.mkv", "--deflicker", "--quiet", stdin=first.stdout)
    assert first.stdout is not None
    first.stdout.close()
    assert second.wait(timeout=60) == 0
    assert first.wait(timeout=60) == 0
    assert count(tmp_path / "out.mkv") == 60


def test_a_reader_that_leaves(film: Path) -> None:
    child = command("restore", film, "-", "--deflicker", "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.read(1000)
    child.stdout.close()
    with child.stderr:
        told = child.stderr.read().decode()
    assert child.wait(timeout=60) == 1
    assert "the reader closed the pipe" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_waiting_for_input(tmp_path: Path, film: Path, how: signal.Signals) -> None:
    """Standard input stalls in the middle: Ctrl-C must still end the run, with what was read."""
    done = command("restore", film, "-", "--deflicker", "--quiet", stdout=subprocess.PIPE).communicate(timeout=60)[0]
    child = command("restore", "-", tmp_path / "out.mp4", "--deflicker", "--deflicker-mode", "live", "--preset",
                    "ultrafast", stdin=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert child.stdin is not None
    assert child.stderr is not None
    child.stdin.write(done[: len(done) // 2])
    child.stdin.flush()
    for _ in range(200):
        if (tmp_path / "out.mp4").exists():
            break
        time.sleep(0.05)
    time.sleep(1.0)
    child.send_signal(how)
    with child.stdin, child.stderr:
        told = child.stderr.read().decode()
    assert child.wait(timeout=20) == 130
    kept = count(tmp_path / "out.mp4")
    assert f"interrupted: {kept} frames kept in" in told
    assert "playable" in told
    assert kept >= 10


def test_explain(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mp4"
    common = ("restore", film, out, "--deflicker", "--preset", "ultrafast")
    status, said, told = run(capsys, *common, "--explain")
    assert (status, said) == (0, "")
    assert "\nverdict  " in told
    assert f"explained in {tmp_path}/out.explain.csv, {tmp_path}/out.explain.png" in told
    assert len((tmp_path / "out.explain.csv").read_text().splitlines()) == 61
    before = out.stat().st_mtime_ns
    status, _, told = run(capsys, *common, "--explain")
    assert status == 2
    assert "out.explain.csv: already exists" in told
    assert told.count("\n") == 1
    assert out.stat().st_mtime_ns == before
    status, said, told = run(capsys, *common, f"--explain={tmp_path}/told.png", "--overwrite", "--quiet", "--json")
    assert (status, told) == (0, "")
    result = json.loads(said)
    assert result["explain"] == [f"{tmp_path}/told.csv", f"{tmp_path}/told.png"]
    assert result["summary"][1].startswith("frames   60: ")


def test_explain_is_in_the_plan_and_the_help(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = run(capsys, "restore", film, tmp_path / "x.mp4", "--deflicker", "--explain", "--dry-run")
    assert status == 0
    assert f"explain  {tmp_path}/x.explain.png" in said
    assert list(tmp_path.iterdir()) == []
    _, said, _ = run(capsys, "restore", "--help")
    assert "--explain [PATH]" in said


def test_what_explaining_lacks_is_said_once_and_first(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    status, _, told = run(
        capsys, "restore", film, tmp_path / "out.mp4", "--deflicker", "--preset", "ultrafast", "--explain"
    )
    assert status == 0
    assert told.startswith("reelmend: note: explain: only the table will be written")
    assert told.count("reelmend[plot]") == 1
    assert sorted(os.listdir(tmp_path)) == ["out.explain.csv", "out.mp4"]
