"""A file in, a file out: the whole way, and every way it can end."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest

import reelmend
from reelmend.errors import OptionError, SinkError, SourceError, StageError
from reelmend.frame import Frame, VideoInfo
from reelmend.media import open_source
from reelmend.restore import Progress, RestoreInterrupted, RestoreResult, plan_restore, restore
from reelmend.stage import Declaration, Stage, StageRuntime


def clip(path: Path, frames: int = 40, size: tuple[int, int] = (96, 64), sound: bool = True) -> Path:
    with av.open(str(path), "w", container_options={"movflags": "faststart"}) as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "10"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio: Any = out.add_stream("aac", rate=48000) if sound else None
        for index in range(frames):
            array = np.full((size[1], size[0], 3), 60 + (index * 5) % 120, np.uint8)
            array[:, index % size[0]] = 255
            frame = av.VideoFrame.from_ndarray(array, "rgb24")
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for done in range(0, frames * 1920 if sound else 0, 1024):
            chunk = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            chunk.sample_rate, chunk.pts = 48000, done
            out.mux(audio.encode(chunk))
        if sound:
            out.mux(audio.encode(None))
    return path


def times(path: Path) -> list[Fraction]:
    with open_source(path) as source:
        return [f.time for f in source]


@dataclass(frozen=True)
class Delay(Stage):
    """Holds `frames` frames back, as a stage with a look ahead does; fails at `fail_at`; naps in every push."""

    frames: int = 5
    fail_at: int = -1
    nap: float = 0.0
    name: ClassVar[str] = "delay"

    @property
    def window(self) -> tuple[int, int]:
        return (0, self.frames)

    @property
    def state(self) -> Any:
        return "window"

    def declare(self, info: VideoInfo, device: str) -> Declaration:
        return Declaration(self.window, self.frames, info, self.frames * info.frame_bytes, device, notes=("a test",))

    def open(self, info: VideoInfo, device: str) -> StageRuntime:
        return _Runtime(self)


class _Runtime(StageRuntime):
    def __init__(self, stage: Delay) -> None:
        self.stage = stage
        self.held: list[Frame] = []
        self.count = 0

    def push(self, frame: Frame) -> list[Frame]:
        if self.count == self.stage.fail_at:
            raise ValueError("a fault")
        time.sleep(self.stage.nap)
        self.count += 1
        self.held.append(frame)
        return [self.held.pop(0)] if len(self.held) > self.stage.frames else []

    def flush(self) -> list[Frame]:
        out, self.held = self.held, []
        return out

    def reset(self) -> None:
        self.held.clear()


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("reelmend")]


def test_the_whole_way(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4")
    seen: list[Progress] = []
    result = restore(source, tmp_path / "out.mp4", stages=[Delay()], preset="ultrafast", progress=seen.append)
    assert (result.frames_in, result.frames_out) == (40, 40)
    assert times(tmp_path / "out.mp4") == times(source)
    assert result.problem is None
    assert not result.interrupted
    assert "libx264" in result.encoder
    assert result.notes == ()
    assert "a test" in str(result.plan)
    assert result.plan.latency == 5
    assert [p.frames_in for p in seen] == list(range(1, 41))
    assert seen[-1].share == 1.0
    assert seen[0].total == 40
    assert alive() == []


def test_the_package_names_work_in_any_order(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 5)
    assert reelmend.plan_restore is plan_restore
    result = reelmend.restore(source, tmp_path / "out.mkv", stages=[], preset="ultrafast")
    assert result.frames_out == 5


def test_plan_is_complete_and_writes_nothing(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4")
    plan = plan_restore(source, tmp_path / "out.mp4", stages=[Delay()])
    text = str(plan)
    for part in ("96x64 yuv420p, 25 fps", "stage    delay on cpu", "latency 5 frames", "x264 (libx264), yuv420p",
                 "copied   audio #1 (aac", "40 frames", "MiB"):  # fmt: skip
        assert part in text
    assert list(tmp_path.iterdir()) == [source]
    assert plan.memory < 300 << 20


def test_limit(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 100)
    result = restore(source, tmp_path / "out.mp4", stages=[Delay()], limit=25, preset="ultrafast")
    assert (result.frames_in, result.frames_out) == (25, 25)
    assert times(tmp_path / "out.mp4") == times(source)[:25]
    with av.open(str(tmp_path / "out.mp4")) as out:
        sound = out.streams.audio[0]
        assert 0.9 < float(sound.duration * sound.time_base) < 1.2
    with pytest.raises(OptionError, match="limit"):
        restore(source, tmp_path / "x.mp4", stages=[], limit=0)


def test_a_failing_stage_keeps_what_was_done(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 100)
    with pytest.raises(StageError, match=r"stage 'delay' failed at frame 60 .2.400 s.: a fault") as caught:
        restore(source, tmp_path / "out.mp4", stages=[Delay(fail_at=60)], preset="ultrafast")
    assert caught.value.__notes__ == [f"55 frames (up to 2.160 s) are kept in {tmp_path / 'out.mp4'}"]
    assert times(tmp_path / "out.mp4") == times(source)[:55]
    assert alive() == []


def test_a_failing_progress_call_ends_the_run(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 30)

    def stop(at: Progress) -> None:
        if at.frames_in == 20:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        restore(source, tmp_path / "out.mp4", stages=[], preset="ultrafast", progress=stop)
    assert times(tmp_path / "out.mp4") == times(source)[:20]
    assert alive() == []


def test_interrupt_by_hand_keeps_all_frames_read(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 100)

    def stop(at: Progress) -> None:
        if at.frames_in == 50:
            raise KeyboardInterrupt

    with pytest.raises(RestoreInterrupted, match="interrupted: 50 frames kept in") as caught:
        restore(source, tmp_path / "out.mp4", stages=[Delay()], preset="ultrafast", progress=stop)
    assert caught.value.result.interrupted
    assert caught.value.result.frames_out == 50
    assert times(tmp_path / "out.mp4") == times(source)[:50]
    assert alive() == []


def test_truncated_input_gives_a_whole_output(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 100)
    data = source.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    result = restore(tmp_path / "cut.mp4", tmp_path / "out.mp4", stages=[Delay()], preset="ultrafast")
    assert result.problem is not None
    assert "missing" in result.problem
    assert 10 < result.frames_out == result.frames_in < 100
    assert times(tmp_path / "out.mp4") == times(source)[: result.frames_out]


def test_errors_come_before_anything_is_written(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 3)
    with pytest.raises(SourceError):
        restore(tmp_path / "none.mp4", tmp_path / "out.mp4", stages=[])
    with pytest.raises(SinkError, match="same file"):
        restore(source, source, stages=[], overwrite=True)
    with pytest.raises(OptionError):
        restore(source, tmp_path / "out.mp4", stages=[], encoder="h265")
    assert list(tmp_path.iterdir()) == [source]


def test_an_interrupt_while_a_stage_works_loses_no_frame(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 60)
    stage = Delay(nap=0.01)
    runtimes: list[_Runtime] = []

    class Interrupting(_Runtime):
        def push(self, frame: Frame) -> list[Frame]:
            if self.count == 30:
                os.kill(os.getpid(), signal.SIGINT)  # arrives here, in the middle of the work
                time.sleep(0.05)
            return super().push(frame)

    class Stopped(Delay):
        def open(self, info: VideoInfo, device: str) -> StageRuntime:
            runtimes.append(Interrupting(stage))
            return runtimes[-1]

    with pytest.raises(RestoreInterrupted, match="interrupted: 31 frames kept in"):
        restore(source, tmp_path / "out.mp4", stages=[Stopped(nap=0.01)], preset="ultrafast")
    assert times(tmp_path / "out.mp4") == times(source)[:31]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


RUN = """
import sys
sys.path.insert(0, sys.argv[3])
from test_restore import Delay
from reelmend.restore import restore, RestoreInterrupted
def tell(at):
    print(at.frames_in, flush=True)
try:
    restore(sys.argv[1], sys.argv[2], stages=[Delay(nap=0.01)], preset="ultrafast", progress=tell)
except RestoreInterrupted as stop:
    print(stop)
    sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_signals_in_mid_run(tmp_path: Path, how: signal.Signals) -> None:
    source = clip(tmp_path / "in.mp4", 400)
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, str(source), str(tmp_path / "out.mp4"), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "120":
            child.send_signal(how)
            break
    rest = child.communicate(timeout=20)[0]
    code = child.returncode
    found = times(tmp_path / "out.mp4")
    assert found == times(source)[: len(found)]
    if how is signal.SIGINT:
        assert code == 130
        assert f"interrupted: {len(found)} frames kept in" in rest
        assert len(found) >= 120
    else:
        assert code == -signal.SIGKILL
        assert len(found) >= 25


def test_a_folder_in_and_out(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 6)
    restore(source, f"{tmp_path}/shot/%04d.png", stages=[])
    result = restore(tmp_path / "shot", tmp_path / "out.mkv", stages=[Delay(2)], rate="24000/1001")
    assert "ffv1" in result.encoder
    assert result.frames_out == 6
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert out.streams.video[0].average_rate == Fraction(24000, 1001)


# --- explaining --------------------------------------------------------------------------------------------------


def flickering(path: Path, frames: int = 60) -> Path:
    rng = np.random.default_rng(3)
    ground = rng.integers(40, 180, (64, 96, 3)).astype(np.float32)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for index in range(frames):
            picture = np.clip(ground * (1 + 0.06 * rng.standard_normal()), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_explain(tmp_path: Path) -> None:
    source = flickering(tmp_path / "in.mp4")
    plain = restore(source, tmp_path / "plain.mp4", stages=[reelmend.Deflicker()], preset="ultrafast")
    assert (plain.explain, plain.summary) == ((), "")
    result = restore(source, tmp_path / "out.mp4", stages=[reelmend.Deflicker()], preset="ultrafast", explain="")
    assert result.notes == ()
    assert result.explain == (str(tmp_path / "out.explain.csv"), str(tmp_path / "out.explain.png"))
    assert all(Path(name).stat().st_size > 0 for name in result.explain)
    told = rows(tmp_path / "out.explain.csv")
    assert [int(row["frame"]) for row in told] == list(range(60))
    assert [float(row["time"]) for row in told] == [float(t) for t in times(tmp_path / "out.mp4")]
    assert {row["kind"] for row in told[20:]} == {"global"}
    assert result.summary.startswith("verdict  global flicker\nframes   60: ")
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def test_explain_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = flickering(tmp_path / "in.mp4", 3)
    plan = plan_restore(source, tmp_path / "out.mp4", stages=[reelmend.Deflicker()], explain=tmp_path / "told")
    assert plan.explain == (f"{tmp_path}/told.csv", f"{tmp_path}/told.png")
    assert f"explain  {tmp_path}/told.csv" in str(plan)
    monkeypatch.setattr(reelmend.restore, "why_no_picture", lambda: "no matplotlib here")
    plan = plan_restore(source, tmp_path / "out.mp4", stages=[reelmend.Deflicker()], explain=tmp_path / "told")
    assert plan.explain == (f"{tmp_path}/told.csv",)
    assert "no matplotlib here" in plan.notes
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("call", [restore, plan_restore])
def test_explain_is_refused_before_the_run(tmp_path: Path, call: Any) -> None:
    source = flickering(tmp_path / "in.mp4", 3)
    (tmp_path / "told.csv").write_text("mine")
    for where, message in ((tmp_path / "told", "already exists"), (tmp_path / "no" / "told", "does not exist")):
        with pytest.raises(OptionError, match=message):
            call(source, tmp_path / "out.mp4", stages=[reelmend.Deflicker()], explain=where)
    with pytest.raises(OptionError, match="among the frames"):
        call(source, f"{tmp_path}/%04d.png", stages=[reelmend.Deflicker()], explain=tmp_path / "x")
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "told.csv"]
    assert (tmp_path / "told.csv").read_text() == "mine"


def test_explain_never_lands_among_the_input_pictures(tmp_path: Path) -> None:
    restore(clip(tmp_path / "in.mp4", 3, sound=False), f"{tmp_path}/scan/", stages=[])
    where = tmp_path / "scan" / "000001"
    with pytest.raises(OptionError, match="among the frames"):
        restore(tmp_path / "scan", tmp_path / "out.mkv", stages=[], explain=where, overwrite=True)
    assert len(os.listdir(tmp_path / "scan")) == 3


def test_explain_with_nobody_to_tell_is_a_note(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 5)
    result = restore(source, tmp_path / "out.mp4", stages=[Delay()], preset="ultrafast", explain="")
    assert (result.explain, result.summary, result.frames_out) == ((), "", 5)
    assert any("something to tell" in note for note in result.notes)


def test_explaining_never_loses_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = flickering(tmp_path / "in.mp4")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no ink")

    def run(out: str) -> RestoreResult:
        return restore(source, tmp_path / out, stages=[reelmend.Deflicker()], preset="ultrafast", explain="")

    monkeypatch.setattr("reelmend.analyze.explain.findings_plot", broken)
    result = run("a.mp4")
    assert result.frames_out == 60
    assert any("no ink" in note for note in result.notes)
    assert result.explain == (str(tmp_path / "a.explain.csv"),)
    assert len(rows(tmp_path / "a.explain.csv")) == 60
    monkeypatch.setattr("reelmend.stages.deflicker.Summary.add", broken)
    result = run("b.mp4")
    assert result.frames_out == 60
    assert sum("no ink" in note for note in result.notes) == 1
    assert times(tmp_path / "b.mp4") == times(source)


def test_explain_of_a_failed_and_of_an_interrupted_run(tmp_path: Path) -> None:
    source = flickering(tmp_path / "in.mp4", 100)
    stages = [reelmend.Deflicker(mode="live"), Delay(0, fail_at=60)]
    with pytest.raises(StageError):
        restore(source, tmp_path / "a.mp4", stages=stages, preset="ultrafast", explain="")
    assert 60 <= len(rows(tmp_path / "a.explain.csv")) <= 61
    assert (tmp_path / "a.explain.png").stat().st_size > 0

    def stop(at: Progress) -> None:
        if at.frames_in == 50:
            raise KeyboardInterrupt

    with pytest.raises(RestoreInterrupted) as caught:
        restore(
            source, tmp_path / "b.mp4", stages=[reelmend.Deflicker()], preset="ultrafast", explain="", progress=stop
        )
    assert len(caught.value.result.explain) == 2
    assert "frames   50: " in caught.value.result.summary
    assert len(rows(tmp_path / "b.explain.csv")) == 50


KILLED = """
import sys, reelmend
def tell(at):
    print(at.frames_in, flush=True)
reelmend.restore(sys.argv[1], sys.argv[2], stages=[reelmend.Deflicker(mode="live")], preset="ultrafast",
                 explain="", progress=tell)
"""


def test_a_killed_run_leaves_its_table(tmp_path: Path) -> None:
    source = flickering(tmp_path / "in.mp4", 1500)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(source), str(tmp_path / "out.mp4")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "120":
            child.kill()
            break
    child.communicate(timeout=20)
    told = rows(tmp_path / "out.explain.csv")
    assert 120 <= len(told) < 1500
    assert all(None not in row and None not in row.values() for row in told)
    assert [int(row["frame"]) for row in told] == list(range(len(told)))
