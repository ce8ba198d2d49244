"""New frames through files: counts and times to the tick, sound untouched, every way a run can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import reelmend
from reelmend.errors import OptionError
from reelmend.frame import Frame
from reelmend.media import open_source
from reelmend.restore import Progress, RestoreInterrupted, plan_restore, restore

FAST: dict[str, Any] = {"preset": "ultrafast"}


def picture(index: int, fmt: str = "yuv420p", size: tuple[int, int] = (96, 64)) -> av.VideoFrame:
    """A textured square that moves two pixels a frame over a still ground."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    shade = (60 + 30 * np.sin(x / 5) + 30 * np.cos(y / 7)).astype(np.uint8)
    left = 4 + (2 * index) % (width - 28)
    shade[20:40, left : left + 20] = 150 + 60 * ((x[20:40, :20] // 5 + y[20:40, :20] // 5) % 2)
    frame = av.VideoFrame.from_ndarray(np.repeat(shade[:, :, None], 3, axis=2), "rgb24")
    return frame if fmt == "rgb24" else frame.reformat(format=fmt, threads=1)


def clip(
    path: Path,
    frames: int = 40,
    rate: Fraction = Fraction(25),
    *,
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    fmt: str = "yuv420p",
    encoder: str = "libx264",
    options: dict[str, str] | None = None,
    sound: bool = False,
) -> Path:
    base = time_base or 1 / rate
    with av.open(str(path), "w", container_options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as out:
        video: Any = out.add_stream(encoder, rate=rate, options=options or {"preset": "ultrafast", "g": "12"})
        video.width, video.height, video.pix_fmt = 96, 64, fmt
        video.codec_context.time_base = base
        audio: Any = out.add_stream("aac", rate=48000) if sound else None
        for index in range(frames):
            frame = picture(index, fmt)
            frame.pts, frame.time_base = pts[index] if pts else round(index / rate / base), base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for at in range(0, round(frames / rate * 48000) if sound else 0, 1024):
            wave = np.sin(np.arange(at, at + 1024) * 0.05).astype(np.float32)[None] / 4
            chunk = av.AudioFrame.from_ndarray(np.repeat(wave, 2, axis=0), "fltp", "stereo")
            chunk.sample_rate, chunk.pts, chunk.time_base = 48000, at, Fraction(1, 48000)
            out.mux(audio.encode(chunk))
        if audio is not None:
            out.mux(audio.encode(None))
    return path


def times(path: Path) -> list[Fraction]:
    with open_source(path) as source:
        return [f.time for f in source]


def shown(path: Path) -> Fraction:
    """When the last frame ends."""
    with open_source(path) as source:
        last: Frame = list(source)[-1]
        return last.time + last.duration * last.time_base


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as found:
        stream = next(s for s in found.streams if s.type == kind)
        return [(p.pts * p.time_base, bytes(p)) for p in found.demux(stream) if p.size and p.pts is not None]


def interpolated(**options: Any) -> list[Any]:
    return [reelmend.Interpolate(**({"method": "blend"} | options))]


NTSC = Fraction(24000, 1001)


# -- counts and times -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp4", "mov", "nut"])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [(NTSC, Fraction(60)), (Fraction(25), Fraction(50)), (Fraction(30), NTSC), (Fraction(60), Fraction(24)),
     (NTSC, Fraction(60000, 1001)), (Fraction(12), Fraction(144))],
)  # fmt: skip
def test_any_rate_to_any_rate_is_exact(tmp_path: Path, given: Fraction, wanted: Fraction, kind: str) -> None:
    source = clip(tmp_path / "in.mp4", 30, given)
    result = restore(source, tmp_path / f"out.{kind}", stages=interpolated(rate=wanted), **FAST)
    count = -(-30 * wanted // given)  # all k with k / wanted < 30 / given
    assert (result.frames_in, result.frames_out) == (30, count)
    assert times(tmp_path / f"out.{kind}") == [k / wanted for k in range(count)]
    assert result.notes == ()
    with av.open(str(tmp_path / f"out.{kind}")) as found:
        assert found.streams.video[0].guessed_rate == wanted


def test_matroska_rounds_to_its_milliseconds_and_says_so(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 30, NTSC)
    result = restore(source, tmp_path / "out.mkv", stages=interpolated(rate=60), **FAST)
    found = times(tmp_path / "out.mkv")
    assert len(found) == result.frames_out == 76
    assert all(abs(at - Fraction(k, 60)) <= Fraction(1, 2000) for k, at in enumerate(found))
    assert [n for n in result.notes if "1/1000 s" in n] == list(result.notes)


UNEVEN = [0, 1001, 2002, 5005, 5505, 9009, 9010, 12012, 15015, 18018]


def test_variable_rate_stays_variable_with_a_factor_and_is_constant_with_a_rate(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 10, Fraction(30), pts=UNEVEN, time_base=Fraction(1, 30000))
    before, end = times(source), shown(source)
    restore(source, tmp_path / "twice.mp4", stages=interpolated(factor=2), **FAST)
    expected = [t for a, b in pairwise([*before, end]) for t in (a, (a + b) / 2)]
    assert times(tmp_path / "twice.mp4") == expected
    assert shown(tmp_path / "twice.mp4") == end
    result = restore(source, tmp_path / "even.mp4", stages=interpolated(rate=60), **FAST)
    assert times(tmp_path / "even.mp4") == [Fraction(k, 60) for k in range(result.frames_out)]
    assert end - Fraction(1, 60) <= Fraction(result.frames_out - 1, 60) < end


@pytest.mark.parametrize("slower", [Fraction(2), Fraction(5, 2), Fraction(8)])
def test_slow_motion(tmp_path: Path, slower: Fraction) -> None:
    source = clip(tmp_path / "in.mp4", 20, sound=True)
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(slow_motion=slower), **FAST)
    assert result.frames_out == 20 * slower
    assert times(tmp_path / "out.mp4") == [Fraction(k, 25) for k in range(result.frames_out)]
    assert any("stretched to" in note for note in result.notes)
    assert result.plan.slower == slower
    with av.open(str(tmp_path / "out.mp4")) as found:
        heard = sum(f.samples for f in found.decode(audio=0))
    with av.open(str(source)) as given:
        assert abs(heard - sum(f.samples for f in given.decode(audio=0)) * slower) < 1024


def test_source_frames_leave_untouched(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 12, encoder="ffv1", options={})
    restore(source, tmp_path / "out.mkv", stages=interpolated(factor=3), encoder="ffv1")
    with open_source(source) as given, open_source(tmp_path / "out.mkv") as made:
        before, after = list(given), list(made)
    assert len(after) == 36
    for a, b in zip(before, after[::3], strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
    assert not np.array_equal(after[1].planes[0], after[0].planes[0])


def test_sound_is_copied_packet_for_packet(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 30, sound=True)
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(rate=60), **FAST)
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
    # every twelfth falls on a source frame, and the last two show the last one
    assert (result.frames_out, result.frames_made) == (72, 72 - 6 - 2)


@pytest.mark.parametrize("method", ["sample", "blend", "memc", "flow"])
def test_every_method_through_a_file(tmp_path: Path, method: Any) -> None:
    source = clip(tmp_path / "in.mp4", 12)
    result = restore(source, tmp_path / "out.mp4", stages=[reelmend.Interpolate(factor=2, method=method)], **FAST)
    assert times(tmp_path / "out.mp4") == [Fraction(k, 50) for k in range(24)]
    assert result.frames_made == (0 if method == "sample" else 11)
    assert f"{method}, 2 times as many frames" in str(result.plan)


def test_flicker_goes_first(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 30)
    stages = [reelmend.Deflicker(mode="low"), *interpolated(rate=50)]
    result = restore(source, tmp_path / "out.mp4", stages=stages, **FAST)
    assert times(tmp_path / "out.mp4") == [Fraction(k, 50) for k in range(60)]
    assert result.plan.latency == 4 + 2


def test_pictures_in_and_out(tmp_path: Path) -> None:
    restore(clip(tmp_path / "in.mp4", 8), f"{tmp_path}/scan/%03d.png", stages=[])
    result = restore(tmp_path / "scan", f"{tmp_path}/more/%03d.png", stages=interpolated(rate=24), rate=16)
    assert (result.frames_in, result.frames_out) == (8, 12)
    assert len(os.listdir(tmp_path / "more")) == 12
    assert any("24 frames a second" in note for note in result.notes)


def test_joined_recordings_in_slow_motion(tmp_path: Path) -> None:
    """Time starts again in the middle of the file: it goes on in the output, at the same pace."""
    clip(tmp_path / "a.ts", 50)
    joined = tmp_path / "in.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    before = times(joined)
    result = restore(joined, tmp_path / "out.mp4", stages=interpolated(slow_motion=2, rate=25), **FAST)
    after = times(tmp_path / "out.mp4")
    assert result.frames_out == len(after)
    assert after == [before[0] + Fraction(k, 25) for k in range(len(after))]
    assert abs(len(after) - 200) <= 2


def test_a_time_base_beyond_any_container_is_rounded_and_said(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 10)
    rate = Fraction(591234567, 10_000_000)
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(rate=rate), **FAST)
    found = times(tmp_path / "out.mp4")
    assert len(found) == 24
    assert all(abs(at - k / rate) <= Fraction(1, 2_000_000) for k, at in enumerate(found))
    assert any("did not fit the time base" in note for note in result.notes)


@pytest.mark.parametrize("slower", ["1.2345678", "7/3"])
def test_odd_slow_motion_is_exact(tmp_path: Path, slower: str) -> None:
    source = clip(tmp_path / "in.mp4", 10)
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(slow_motion=slower), **FAST)
    assert result.notes == ()
    assert times(tmp_path / "out.mp4") == [Fraction(k, 25) for k in range(-(-10 * Fraction(slower) // 1))]


# -- what the frames say ------------------------------------------------------------------------------------


def test_made_frames_keep_depth_colour_and_hdr10(tmp_path: Path) -> None:
    words = (
        "log-level=none:repeat-headers=1:colorprim=9:transfer=16:colormatrix=9:range=limited:max-cll=1000,400:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    )
    source = clip(
        tmp_path / "in.mp4", 8, fmt="yuv420p10le", encoder="libx265",
        options={"preset": "ultrafast", "x265-params": words},
    )  # fmt: skip
    restore(source, tmp_path / "out.mp4", stages=interpolated(factor=2), **FAST)
    with av.open(str(tmp_path / "out.mp4")) as found:
        frames = list(found.decode(video=0))
    assert len(frames) == 16
    assert {(f.format.name, f.color_primaries, f.color_trc, f.colorspace, f.color_range) for f in frames} == {
        ("yuv420p10le", 9, 16, 9, 1)
    }
    with open_source(source) as given, open_source(tmp_path / "out.mp4") as made:
        before, after = (next(iter(s)).side_data for s in (given, made))
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert after[name] == before[name]


def captioned(path: Path, frames: int = 20) -> Path:
    """H.264 with a pair of EIA-608 bytes in every picture (ATSC A/53 in an SEI message)."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 96, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"preset": "ultrafast", "bf": "0"}
    data: list[Any] = []
    for index in range(frames):
        frame = picture(index)
        frame.pts, frame.time_base = index, Fraction(1, 25)
        data += context.encode(frame)
    data += context.encode(None)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index, packet in enumerate(data):
            user = b"\xb5\x00\x31GA94\x03\x41\xff\xfc" + bytes([0x41 + index % 20, 0x80]) + b"\xff"
            sei = b"\x00\x00\x00\x01\x06\x04" + bytes([len(user)]) + user + b"\x80"
            raw = bytes(packet)
            cut = min(
                i for i in (raw.find(b"\x00\x00\x01" + bytes([kind])) for kind in (0x65, 0x41, 0x61, 0x01)) if i >= 0
            )
            whole = av.Packet(raw[:cut] + sei[1:] + raw[cut:])
            whole.pts, whole.dts, whole.time_base, whole.stream = packet.pts, packet.dts, Fraction(1, 25), stream
            whole.duration, whole.is_keyframe = 1, packet.is_keyframe
            out.mux(whole)
    return path


def captions(path: Path) -> int:
    with av.open(str(path)) as found:
        return sum("A53_CC" in [e.type.name for e in f.side_data] for f in found.decode(video=0))


def test_captions_in_pictures_are_neither_doubled_nor_halved(tmp_path: Path) -> None:
    source = captioned(tmp_path / "in.ts")
    assert captions(source) == 20
    restore(source, tmp_path / "same.mp4", stages=[], **FAST)
    assert captions(tmp_path / "same.mp4") == 20
    for method in ("sample", "blend"):
        out = tmp_path / f"{method}.mp4"
        plan = plan_restore(source, out, stages=interpolated(rate=60, method=method))
        result = restore(source, out, stages=interpolated(rate=60, method=method), **FAST)
        assert captions(out) == 0
        assert [n for n in result.notes if "closed captions" in n] == [n for n in plan.notes if "closed captions" in n]
        assert any("closed captions" in note for note in result.notes)


# -- plan and progress --------------------------------------------------------------------------------------


def test_plan_and_progress(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 20, sound=True)
    stages = [reelmend.Interpolate(slow_motion=4)]
    text = str(plan_restore(source, tmp_path / "out.mp4", stages=stages))
    for part in ("input    96x64 yuv420p, 25 fps", "stage    interpolate on cpu", "fast, 25 frames a second, 4 times",
                 "latency 3 frames", "to       ", "out.mp4, about 80 frames, 3.2", "sound    audio #1 (aac",
                 "stretched to 4 times its length at its pitch", "memory   at most"):  # fmt: skip
        assert part in text
    assert "left out" in str(plan_restore(source, tmp_path / "out.mp4", stages=stages, audio="drop"))
    assert list(tmp_path.iterdir()) == [source]
    seen: list[Progress] = []
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(factor=4), progress=seen.append, **FAST)
    assert [p.frames_in for p in seen] == list(range(1, 21))
    assert {p.total for p in seen} == {20}
    assert seen[-1].share == 1.0
    assert seen[0].frames_out < seen[-1].frames_out <= result.frames_out == 80


def test_a_plan_without_retiming_is_as_before(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 4)
    text = str(plan_restore(source, tmp_path / "out.mp4", stages=[reelmend.Deflicker()]))
    assert f"to       {tmp_path}/out.mp4\n" in text


def test_slow_motion_of_an_uneven_clip_has_a_rate_to_go_by(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 10, Fraction(30), pts=UNEVEN, time_base=Fraction(1, 30000))
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(slow_motion=2), **FAST)
    steps = {b - a for a, b in pairwise(times(tmp_path / "out.mp4"))}
    assert steps == {1 / result.plan.output.rate} if result.plan.output.rate else False


# -- every end ----------------------------------------------------------------------------------------------


def test_limit(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 100, sound=True)
    result = restore(source, tmp_path / "out.mp4", stages=interpolated(factor=2), limit=25, **FAST)
    assert (result.frames_in, result.frames_out) == (25, 50)
    assert times(tmp_path / "out.mp4") == [Fraction(k, 50) for k in range(50)]
    result = restore(source, tmp_path / "slow.mp4", stages=interpolated(slow_motion=2), limit=25, **FAST)
    assert result.frames_out == 50
    with av.open(str(tmp_path / "slow.mp4")) as found:
        sound = found.streams.audio[0]
        assert 1.95 < float(sound.duration * sound.time_base) < 2.05


@pytest.mark.parametrize("options", [{"factor": 2}, {"slow_motion": 2}])
def test_interrupt_keeps_all_frames_read(tmp_path: Path, options: dict[str, Any]) -> None:
    source = clip(tmp_path / "in.mp4", 100, sound=True)

    def stop(at: Progress) -> None:
        if at.frames_in == 50:
            raise KeyboardInterrupt

    with pytest.raises(RestoreInterrupted, match="interrupted: 100 frames kept in") as caught:
        restore(source, tmp_path / "out.mp4", stages=interpolated(**options), progress=stop, **FAST)
    assert caught.value.result.frames_in == 50
    rate = 50 if "factor" in options else 25
    assert times(tmp_path / "out.mp4") == [Fraction(k, rate) for k in range(100)]
    with av.open(str(tmp_path / "out.mp4")) as found:
        assert sum(1 for _ in found.decode(audio=0)) > 10


RUN = """
import sys, reelmend
def tell(at):
    print(at.frames_in, flush=True)
reelmend.restore(sys.argv[1], sys.argv[2], stages=[reelmend.Interpolate(slow_motion=2, method="blend")],
                 preset="ultrafast", progress=tell)
"""


def test_a_killed_run_leaves_a_playable_file(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 1500, sound=True)
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, str(source), str(tmp_path / "out.mp4")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "150":
            child.send_signal(signal.SIGKILL)
            break
    child.communicate(timeout=20)
    found = times(tmp_path / "out.mp4")
    assert 25 <= len(found) < 3000
    assert found == [Fraction(k, 25) for k in range(len(found))]
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert sum(1 for _ in out.decode(audio=0)) > 10


def test_truncated_input(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 100)
    data = source.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    result = restore(tmp_path / "cut.mp4", tmp_path / "out.mp4", stages=interpolated(factor=2), **FAST)
    assert result.problem is not None
    assert result.frames_out == 2 * result.frames_in
    assert times(tmp_path / "out.mp4") == [Fraction(k, 50) for k in range(result.frames_out)]


def test_errors_come_before_anything_is_written(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 3)
    for call in (restore, plan_restore):
        with pytest.raises(OptionError, match="unknown audio 'loud'"):
            call(source, tmp_path / "out.mp4", stages=interpolated(factor=2), audio="loud")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == [source]


def test_real_uneven_hlg(tmp_path: Path, material: Path) -> None:
    source = material / "video" / "media3_windows_1080p30_hlg10_pan.mp4"
    with open_source(source) as given:
        before = [next(given).time for _ in range(8)]
    assert len({b - a for a, b in pairwise(before)}) > 1
    restore(source, tmp_path / "out.mp4", stages=interpolated(factor=2), limit=8, **FAST)
    after = times(tmp_path / "out.mp4")
    assert after[:15] == [t for a, b in pairwise(before) for t in (a, (a + b) / 2)] + before[-1:]
    with open_source(tmp_path / "out.mp4") as made:
        assert (made.info.colour.transfer.name, made.info.format.depth) == ("HLG", 10)
