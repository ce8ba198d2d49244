"""Sinks: the same times, the same streams, the same meaning of samples; and files that survive."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from reelmend.errors import OptionError, SinkError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range, VideoInfo
from reelmend.media import Prefetch, Sink, open_sink, open_source

FAST: dict[str, Any] = {"preset": "ultrafast"}


def copy(source: Path, target: Path, change: Callable[[Frame], Frame] | None = None, **options: Any) -> Sink:
    """Source to sink as `restore` does it, without stages."""
    with (
        open_source(source) as frames,
        open_sink(target, frames.info, source=frames, **(FAST | options)) as sink,
        Prefetch(frames) as ahead,
    ):
        for frame in ahead:
            sink.write(change(frame) if change else frame)
    return sink


def redrawn(frame: Frame) -> Frame:
    """The same samples in new memory, as a stage would give them."""
    return frame.replace(planes=tuple(np.array(p) for p in frame.planes))


# -- time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "nut", "ts"])
@pytest.mark.parametrize("base", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1, 15360)])
def test_times_are_exact(clips: SimpleNamespace, tmp_path: Path, kind: str, base: Fraction) -> None:
    step = max(1, round(Fraction(1, 25) / base))
    pts = [i * step + (i % 3 if step > 5 else 0) for i in range(20)]
    source = clips.make(tmp_path / "in.mp4", frames=20, pts=pts, time_base=base, options={"bf": "2"})
    sink = copy(source, tmp_path / f"out.{kind}")
    before, after = clips.times(source), clips.times(tmp_path / f"out.{kind}")
    assert sink.written == 20
    if kind == "mkv":
        assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(after, before, strict=True))
        assert (after != before) == any("1/1000 s" in n for n in sink.notes)
    elif kind == "ts":
        assert all(
            abs((a - after[0]) - (b - before[0])) <= Fraction(1, 90000) for a, b in zip(after, before, strict=True)
        )
    else:
        assert after == before


@pytest.mark.parametrize("encoder", ["x264", "x265", "svtav1", "vp9"])
def test_uneven_times_with_every_encoder(clips: SimpleNamespace, tmp_path: Path, encoder: str) -> None:
    pts = [0, 3003, 3500, 9009, 9010, 12012, 99000, 99001, 102102, 300000]
    source = clips.make(tmp_path / "in.mp4", frames=10, pts=pts, time_base=Fraction(1, 90000), options={"bf": "2"})
    copy(source, tmp_path / "out.mp4", redrawn, encoder=encoder)
    assert clips.times(tmp_path / "out.mp4") == [Fraction(p, 90000) for p in pts]


def test_late_start_is_kept(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=8, pts=[75 + i for i in range(8)])
    copy(source, tmp_path / "out.mp4")
    assert clips.times(tmp_path / "out.mp4")[0] == 3


def test_times_before_zero_move_everything_alike(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=10, audio=1)
    before = clips.times(source)
    for kind in ("mp4", "mkv"):
        out = tmp_path / f"out.{kind}"
        sink = copy(source, out, lambda f: f.replace(pts=f.pts - 3 * f.duration))
        assert clips.times(out) == before
        assert any("start 0.12 s later" in n for n in sink.notes)
        sound, moved = clips.packets(source, "audio"), clips.packets(out, "audio")
        assert [h for _, h in moved] == [h for _, h in sound]
        assert abs(moved[0][0] - sound[0][0] - Fraction(3, 25)) < Fraction(1, 1000)


def test_frames_out_of_order_are_refused(clips: SimpleNamespace, tmp_path: Path) -> None:
    with open_source(clips.plain) as source:
        frames = list(source)
        sink = open_sink(tmp_path / "out.mp4", source.info, **FAST)
        sink.write(frames[1])
        sink.write(frames[0])
        with pytest.raises(SinkError, match="not after the one before"):
            sink.close()


# -- what is copied -------------------------------------------------------------------------------------


def test_two_sounds_chapters_and_tags(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "in.mkv", frames=30, audio=2, chapters=True, tags={"title": "A film", "artist": "Someone"},
        aspect=Fraction(4, 3),
    )  # fmt: skip
    for kind in ("mkv", "mp4", "mov"):
        out = tmp_path / f"out.{kind}"
        sink = copy(source, out, redrawn)
        for number in (0, 1):
            assert clips.packets(out, "audio", number) == clips.packets(source, "audio", number)
        with av.open(str(out)) as found:
            assert [s.language for s in found.streams.audio] == ["eng", "ger" if kind == "mov" else "deu"]
            said = {k.lower(): v for k, v in found.metadata.items()}
            assert said["title"] == "A film"
            assert said["artist"] == "Someone"
            assert [(c["metadata"]["title"], c["start"] * c["time_base"]) for c in found.chapters()] == [
                ("one", 0),
                ("two", Fraction(1, 2)),
            ]
            assert found.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert not any("dropped" in n for n in sink.notes)


def test_copied_again_nothing_multiplies(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", audio=1, chapters=True)
    copy(source, tmp_path / "once.mp4")
    copy(tmp_path / "once.mp4", tmp_path / "twice.mp4")
    with av.open(str(tmp_path / "once.mp4")) as one, av.open(str(tmp_path / "twice.mp4")) as two:
        assert [s.type for s in one.streams] == [s.type for s in two.streams]
        assert len(two.chapters()) == 2
    assert clips.packets(tmp_path / "twice.mp4", "audio") == clips.packets(source, "audio")


SRT = "1\n00:00:00,100 --> 00:00:00,600\nHello\n\n2\n00:00:00,700 --> 00:00:01,100\nWorld\n"


def _with_words(clips: SimpleNamespace, folder: Path) -> Path:
    """A Matroska file with subtitles and an attached font and cover."""
    (folder / "a.srt").write_text(SRT)
    with (
        av.open(str(clips.plain)) as film,
        av.open(str(folder / "a.srt")) as words,
        av.open(str(folder / "words.mkv"), "w") as out,
    ):
        routes = {s.index: out.add_stream_from_template(s, opaque=True) for s in film.streams}
        text = out.add_stream_from_template(words.streams.subtitles[0])
        text.metadata["language"] = "fra"
        text.disposition = 0x40  # forced
        out.add_attachment("font.ttf", "application/x-truetype-font", b"\0\1\0\0font")
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = routes[packet.stream_index]
                out.mux(packet)
        for packet in words.demux():
            if packet.dts is not None:
                packet.stream = text
                out.mux(packet)
    return folder / "words.mkv"


def test_subtitles_and_attachments(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = _with_words(clips, tmp_path)
    copy(source, tmp_path / "out.mkv")
    assert clips.packets(tmp_path / "out.mkv", "subtitle") == clips.packets(source, "subtitle")
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert out.streams.subtitles[0].language == "fra"
        assert int(out.streams.subtitles[0].disposition) & 0x40
        assert out.streams.attachments[0].data == b"\0\1\0\0font"
        assert out.streams.attachments[0].name == "font.ttf"
    sink = copy(source, tmp_path / "out.mp4")
    dropped = [n for n in sink.notes if "dropped" in n]
    assert len(dropped) == 2
    assert any("subtitle #2 (srt, fra) dropped: mp4 cannot hold it; an output ending in .mkv can" in n for n in dropped)
    assert clips.packets(tmp_path / "out.mp4", "audio") == clips.packets(source, "audio")


def test_mov_text_subtitles_stay_in_mp4(clips: SimpleNamespace, tmp_path: Path, material: Path) -> None:
    source = material / "video/torchcodec_nasa_180p25_dissolve.mp4"
    with open_source(source) as frames, open_sink(tmp_path / "out.mp4", frames.info, source=frames, **FAST) as sink:
        for frame in frames:
            sink.write(frame)
    for kind in ("audio", "subtitle"):
        for number in (0, 1):
            assert clips.packets(tmp_path / "out.mp4", kind, number) == clips.packets(source, kind, number)


def test_cover_art_is_copied(clips: SimpleNamespace, tmp_path: Path) -> None:
    with av.open(str(clips.plain)) as film, av.open(str(tmp_path / "in.mp4"), "w") as out:
        routes = {s.index: out.add_stream_from_template(s, opaque=True) for s in film.streams}
        cover = out.add_stream("mjpeg", rate=1, width=64, height=64)
        cover.pix_fmt = "yuvj420p"
        cover.disposition = 0x400
        frame = av.VideoFrame(64, 64, "yuvj420p")
        frame.pts = 0
        data = cover.encode(frame)[0]
        picture = bytes(data)
        out.mux(data)
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = routes[packet.stream_index]
                out.mux(packet)
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4")
    copy(tmp_path / "in.mp4", tmp_path / "out.mkv")
    for name in ("out.mp4", "out.mkv"):
        with av.open(str(tmp_path / name)) as found:
            covers = [s for s in found.streams.video if int(s.disposition) & 0x400]
            assert len(covers) == 1
            assert len(found.streams.video) == 2
            assert bytes(next(found.demux(covers[0]))) == picture
        assert len(clips.times(tmp_path / name)) == 30
    sink = copy(tmp_path / "in.mp4", tmp_path / "out.mov")
    assert any(
        "cover picture #2 (mjpeg) dropped: mov cannot hold it; an output ending in .mkv can" in n for n in sink.notes
    )


def test_rotation(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", rotation=90)
    copy(source, tmp_path / "out.mp4", redrawn)
    copy(source, tmp_path / "out.mkv", redrawn)
    for name in ("in.mp4", "out.mp4", "out.mkv"):
        with av.open(str(tmp_path / name)) as found:
            assert abs(next(found.decode(video=0)).rotation) == 90


def test_streams_can_only_be_copied_from_the_start(clips: SimpleNamespace, tmp_path: Path) -> None:
    from reelmend.errors import SourceError

    with open_source(clips.plain) as source:
        next(source)
        with pytest.raises(SourceError, match="only from the start"):
            open_sink(tmp_path / "out.mp4", source.info, source=source)


# -- what samples mean ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmt", "size", "target", "encoder", "expect"),
    [
        ("yuv420p", (96, 64), "out.mp4", "auto", "libx264 yuv420p"),
        ("yuv420p10le", (96, 64), "out.mp4", "auto", "libx265 yuv420p10le"),
        ("yuv422p10le", (96, 64), "out.mp4", "auto", "libx265 yuv422p10le"),
        ("yuv444p12le", (96, 64), "out.mp4", "auto", "libx265 yuv444p12le"),
        ("yuv420p", (97, 65), "out.mp4", "auto", "libvpx-vp9 yuv420p"),
        ("yuv420p", (97, 65), "out.mp4", "x264", "libx264 yuv444p"),
        ("yuv420p", (96, 64), "out.webm", "auto", "libsvtav1 yuv420p"),
        ("yuv444p", (96, 64), "out.webm", "auto", "libvpx-vp9 yuv444p"),
        ("yuv420p12le", (96, 64), "out.mp4", "svtav1", "libsvtav1 yuv420p10le"),
        ("gray", (96, 64), "out.mp4", "auto", "libx264 yuv420p"),
        ("gray", (97, 65), "out.mkv", "ffv1", "ffv1 gray"),
        ("bgr0", (97, 65), "out.mkv", "auto", "ffv1 bgr0"),
        ("gbrp16le", (97, 65), "out.mkv", "auto", "ffv1 gbrp16le"),
        ("bgr0", (96, 64), "out.mp4", "auto", "libx264 yuv420p"),
        ("yuv420p", (96, 64), "out.mov", "prores", "prores_ks yuv422p10le"),
        ("yuv420p", (97, 65), "out.avi", "auto", "ffv1 yuv420p"),
    ],
)  # fmt: skip
def test_encoder_and_format(
    clips: SimpleNamespace, tmp_path: Path, fmt: str, size: tuple[int, int], target: str, encoder: str, expect: str
) -> None:
    source = clips.make(tmp_path / "in.mkv", size=size, fmt=fmt, codec="ffv1", frames=4)
    sink = copy(source, tmp_path / target, redrawn, encoder=encoder)
    codec, pix_fmt = expect.split()
    assert codec in sink.encoder
    assert pix_fmt in sink.encoder
    with open_source(tmp_path / target) as again, open_source(source) as before:
        assert (again.info.width, again.info.height) == size
        ours, theirs = list(again), list(before)
    assert len(ours) == 4
    if "ffv1" in codec:
        for a, b in zip(ours, theirs, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
    elif ours[0].format.depth == theirs[0].format.depth and theirs[0].format.kind != "rgb":
        scale = 1 << (ours[0].format.depth - 8)
        difference = np.abs(ours[2].planes[0].astype(int) - theirs[2].planes[0].astype(int)).mean() / scale
        assert difference < 6
    lost = any("lost" in n or "written as" in n for n in sink.notes)
    assert lost == ((pix_fmt.removesuffix("le") not in (fmt.removesuffix("le"), "gray") and fmt not in ("bgr0", "gray"))
                    or (fmt == "bgr0" and target == "out.mp4"))  # fmt: skip


def test_untouched_and_redrawn_frames_encode_alike(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mkv", fmt="yuvj420p", codec="mjpeg", frames=5)
    copy(source, tmp_path / "a.mkv", encoder="ffv1")
    copy(source, tmp_path / "b.mkv", redrawn, encoder="ffv1")
    assert clips.packets(tmp_path / "a.mkv", "video") == clips.packets(tmp_path / "b.mkv", "video")
    with open_source(tmp_path / "a.mkv") as again, open_source(source) as before:
        assert again.info.colour.range is Range.FULL
        for a, b in zip(again, before, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def test_rgb_to_mp4_keeps_the_colours(clips: SimpleNamespace, tmp_path: Path) -> None:
    colours = {"red": (200, 30, 30), "grey": (128, 128, 128), "blue": (20, 40, 220)}
    for name, rgb in colours.items():
        array = np.zeros((64, 96, 3), np.uint8)
        array[...] = rgb
        layout = PixelFormat("rgb", 8, (0, 0), packed=True)
        meaning = Colour(matrix=Matrix.RGB, range=Range.FULL)
        info = VideoInfo(96, 64, layout, meaning, Fraction(25), Fraction(1, 25))
        with open_sink(tmp_path / f"{name}.mp4", info, **FAST) as sink:
            for index in range(3):
                sink.write(Frame.from_array(array, index))
        with av.open(str(tmp_path / f"{name}.mp4")) as out:
            frame = next(out.decode(video=0))
            assert frame.colorspace == 5 or frame.colorspace == 6
            back = frame.to_ndarray(format="rgb24")[20:40, 20:40].reshape(-1, 3).mean(0)
        assert np.abs(back - rgb).max() < 4


def test_hdr10_metadata_is_kept(clips: SimpleNamespace, tmp_path: Path) -> None:
    params = (
        "log-level=none:repeat-headers=1:master-display=G(8500,39850)B(6550,2300)R(35400,14600)"
        "WP(15635,16450)L(10000000,50):max-cll=1000,400"
    )
    source = clips.make(tmp_path / "in.mp4", fmt="yuv420p10le", codec="libx265", frames=5, colour=(9, 16, 9, 1),
                        options={"x265-params": params})  # fmt: skip
    for target, encoder in (("a.mp4", "auto"), ("b.mkv", "x265"), ("c.mp4", "svtav1"), ("d.mkv", "x264")):
        copy(source, tmp_path / target, redrawn, encoder=encoder)
        with open_source(source) as before, open_source(tmp_path / target) as after:
            assert after.info.colour.transfer == before.info.colour.transfer
            assert after.info.colour.primaries == before.info.colour.primaries
            assert after.info.colour.matrix == before.info.colour.matrix
            from reelmend.media.hdr import hdr_of

            was, now = hdr_of(next(before).side_data), hdr_of(next(after).side_data)
        assert was is not None
        assert now is not None, encoder
        assert was.light == now.light == (1000, 400)
        assert was.primaries is not None
        assert now.primaries is not None
        for (x, y), (u, v) in zip(was.primaries, now.primaries, strict=True):
            assert abs(x - u) < Fraction(1, 10000)
            assert abs(y - v) < Fraction(1, 10000)
    sink = copy(source, tmp_path / "e.mov", encoder="prores")
    assert any("mastering display" in n for n in sink.notes)


# -- refusals -------------------------------------------------------------------------------------------


def test_refusals(clips: SimpleNamespace, tmp_path: Path) -> None:
    with open_source(clips.plain) as source:
        info = source.info

        def refuse(path: Path | str, match: str, error: type[Exception] = SinkError, **options: Any) -> None:
            with pytest.raises(error, match=match) as caught:
                open_sink(path, info, source=source, **options)
            assert "\n" not in str(caught.value)

        refuse(tmp_path / "no/out.mp4", "no does not exist")
        refuse(clips.plain / "out.mp4", "is not a folder")
        refuse(tmp_path / "out.xyz", "unknown ending '.xyz'")
        refuse(tmp_path / "out", "no ending")
        refuse(clips.plain, "same file")
        (tmp_path / "link.mp4").symlink_to(clips.plain)
        refuse(tmp_path / "link.mp4", "same file", overwrite=True)
        (tmp_path / "hard.mp4").hardlink_to(clips.plain)
        refuse(tmp_path / "hard.mp4", "same file", overwrite=True)
        (tmp_path / "old.mp4").write_text("precious")
        refuse(tmp_path / "old.mp4", "already exists")
        assert (tmp_path / "old.mp4").read_text() == "precious"
        refuse(tmp_path / "out.mp4", "unknown encoder 'h265'", OptionError, encoder="h265")
        refuse(tmp_path / "out.mp4", "crf of x264 is 0 .best. to 51", OptionError, encoder="x264", crf=99)
        refuse(tmp_path / "out.mp4", "unknown preset", OptionError, preset="quick")
        refuse(tmp_path / "out.mp4", "cannot encode.*prores.*mp4 cannot hold it", encoder="prores")
        refuse(tmp_path / "frame.png", "needs a number")
        assert not (tmp_path / "out.mp4").exists()


def test_a_changed_size_is_refused(clips: SimpleNamespace, tmp_path: Path) -> None:
    with open_source(clips.plain) as source:
        frame = next(source)
        small = frame.replace(planes=tuple(p[: p.shape[0] // 2, : p.shape[1] // 2] for p in frame.planes))
        with (
            open_sink(tmp_path / "out.mp4", source.info) as sink,
            pytest.raises(SinkError, match="frame 0 is 48x32, the file is 96x64"),
        ):
            sink.write(small)


def test_nvenc_falls_back_and_says_so(clips: SimpleNamespace, tmp_path: Path) -> None:
    from reelmend.media.encoders import probe

    if not probe("h264_nvenc", "yuv420p"):
        pytest.skip("this machine has NVENC")
    sink = copy(clips.plain, tmp_path / "out.mp4", encoder="nvenc")
    assert "libx264" in sink.encoder
    assert any("nvenc (h264_nvenc, yuv420p) not used" in n for n in sink.notes)


# -- survival -------------------------------------------------------------------------------------------


def test_finished_mp4_is_an_ordinary_one(clips: SimpleNamespace, tmp_path: Path) -> None:
    copy(clips.make(tmp_path / "in.mp4", frames=80, audio=1), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    at, boxes = 0, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        boxes.append(data[at + 4 : at + 8].decode())
        length = int.from_bytes(data[at + 8 : at + 16]) if length == 1 else length
        at += length
    assert boxes[0] == "ftyp"
    assert "moov" in boxes
    assert "mdat" in boxes
    assert "moof" not in boxes


@pytest.mark.parametrize("frames", [27, 28, 29, 30, 51, 52, 53, 54, 55])
def test_the_last_pictures_are_never_cut_off(clips: SimpleNamespace, tmp_path: Path, frames: int) -> None:
    """Reordered pictures may straddle the last fragments; the edit list must reach the newest one."""
    source = clips.make(tmp_path / "in.mp4", frames=frames, options={"bf": "3"})
    before = clips.times(source)
    for encoder in ("x264", "x265"):
        for kind in ("mp4", "mov"):
            copy(source, tmp_path / f"{encoder}.{kind}", encoder=encoder, preset="medium")
            assert clips.times(tmp_path / f"{encoder}.{kind}") == before


def test_abort_keeps_a_playable_file(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=200, audio=1)

    def run() -> None:
        with open_source(source) as frames, open_sink(tmp_path / "out.mp4", frames.info, source=frames, **FAST) as sink:
            for index, frame in enumerate(frames):
                if index == 150:
                    raise RuntimeError("stop here")
                sink.write(frame)

    with pytest.raises(RuntimeError, match="stop here"):
        run()
    found = clips.times(tmp_path / "out.mp4")
    assert 100 <= len(found) <= 150
    assert found == clips.times(source)[: len(found)]
    assert not any(t.name.startswith("reelmend") for t in threading.enumerate())


def test_sink_left_without_frames_makes_no_trouble(clips: SimpleNamespace, tmp_path: Path) -> None:
    with open_source(clips.plain) as source:
        open_sink(tmp_path / "out.mp4", source.info, source=source).abort()
        assert not (tmp_path / "out.mp4").exists()
        (tmp_path / "old.mp4").write_text("precious")
        open_sink(tmp_path / "old.mp4", source.info, overwrite=True).close()
        assert (tmp_path / "old.mp4").read_text() == "precious"
        assert len(list(source)) == 30


RUN = """
import os, resource, signal, sys
from reelmend.media import open_sink, open_source
source, target, how = sys.argv[1:]
frames = open_source(source)
sink = open_sink(target, frames.info, source=frames, preset="ultrafast")
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    for index, frame in enumerate(frames):
        sink.write(frame)
        if how == "kill" and sink.written >= 150:
            os.kill(os.getpid(), signal.SIGKILL)
    sink.close()
except OSError as error:
    print(type(error).__name__, error)
    sink.abort()
"""


def _child(source: Path, target: Path, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, str(source), str(target), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_killed_run_leaves_a_playable_file(clips: SimpleNamespace, tmp_path: Path, kind: str) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=250, audio=1)
    done = _child(source, tmp_path / f"out.{kind}", "kill")
    assert done.returncode == -signal.SIGKILL
    found = clips.times(tmp_path / f"out.{kind}")
    assert len(found) >= 75
    assert found == clips.times(source)[: len(found)]
    if kind != "mkv":
        sound = clips.packets(tmp_path / f"out.{kind}", "audio")
        assert len(sound) > 75
        assert sound == clips.packets(source, "audio")[: len(sound)]
    if shutil.which("ffprobe"):
        words = [
            "-v",
            "error",
            "-count_frames",
            "-select_streams",
            "v",
            "-show_entries",
            "stream=nb_read_frames",
            "-of",
            "csv=p=0",
        ]
        judged = subprocess.run(
            ["ffprobe", *words, str(tmp_path / f"out.{kind}")], capture_output=True, text=True, check=True
        )
        assert int(judged.stdout.strip().strip(",")) == len(found)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_full_disk_keeps_what_was_written(clips: SimpleNamespace, tmp_path: Path, kind: str) -> None:
    source = clips.make(tmp_path / "in.mp4", size=(192, 128), frames=300, audio=1, options={"crf": "10"})
    done = _child(source, tmp_path / f"out.{kind}", "full")
    assert done.returncode == 0, done.stderr
    assert "SinkError" in done.stdout
    assert "are kept in" in done.stdout
    assert "File too large" in done.stdout
    with open_source(tmp_path / f"out.{kind}") as again:  # whose last packet may be cut
        found = [f.time for f in again]
    told = int(done.stdout.split(" frames (up to ")[0].split()[-1])
    assert 20 <= len(found) < 300
    assert abs(told - len(found)) <= 3
    assert set(found) <= set(clips.times(source))
    assert found == sorted(found)


def test_full_disk_while_finishing(tmp_path: Path) -> None:
    """The late corrections of a muxer are all made, or none."""
    from reelmend.media.safefile import SafeFile

    file = SafeFile(str(tmp_path / "a"))
    file.write(b"head.....body")
    file.begin_finish()
    file.seek(0)
    file.write(b"HEAD")
    file.seek(13)
    file.write(b"index")
    file.roll_back()
    file.close()
    assert (tmp_path / "a").read_bytes() == b"head.....body"
    file = SafeFile(str(tmp_path / "a"))
    file.write(b"head.....body")
    file.begin_finish()
    file.seek(0)
    file.write(b"HEAD")
    file.seek(13)
    file.write(b"index")
    file.commit()
    file.close()
    assert (tmp_path / "a").read_bytes() == b"HEAD.....bodyindex"


def test_much_sound_before_the_picture_is_not_held(clips: SimpleNamespace, tmp_path: Path) -> None:
    """Packets beyond the limit go ahead, and reading never waits for frames that cannot come."""
    import reelmend.media.sink as module

    source = clips.make(tmp_path / "in.mkv", frames=20, audio=1, audio_codec="pcm_s16le")
    kept, module._PACKET_BYTES = module._PACKET_BYTES, 2000
    try:
        copy(source, tmp_path / "out.mkv")
    finally:
        module._PACKET_BYTES = kept
    assert clips.packets(tmp_path / "out.mkv", "audio") == clips.packets(source, "audio")
    assert len(clips.times(tmp_path / "out.mkv")) == 20


# -- pictures and y4m -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmt", "target", "name"),
    [
        ("bgr0", "out/", "gbrp"),
        ("gbrp16le", "out/shot_%04d.png", "gbrp16"),
        ("gbrp16le", "out/shot_%04d.tif", "gbrp16"),
        ("gray", "out/%06d.png", "gray"),
        ("gray16le", "out/%06d.png", "gray16"),
    ],
)
def test_pictures_lose_nothing(clips: SimpleNamespace, tmp_path: Path, fmt: str, target: str, name: str) -> None:
    source = clips.make(tmp_path / "in.mkv", size=(33, 21), fmt=fmt, codec="ffv1", frames=3, audio=1)
    sink = copy(source, f"{tmp_path}/{target}", redrawn)  # type: ignore[arg-type]
    assert any("1 streams dropped" in n for n in sink.notes)
    with open_source(tmp_path / "out", rate=25) as again, open_source(source) as before:
        assert again.info.format.name == name
        for a, b in zip(again, before, strict=True):
            assert a.time == b.time
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def test_yuv_pictures(clips: SimpleNamespace, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mkv", fmt="yuv420p10le", codec="ffv1", frames=2)
    copy(source, f"{tmp_path}/out/%06d.png")  # type: ignore[arg-type]
    with open_source(tmp_path / "out") as again:
        assert again.info.format.name == "gbrp16"
    with pytest.raises(SinkError, match="already exists"):
        copy(source, f"{tmp_path}/out/%06d.png")  # type: ignore[arg-type]
    with open_source(tmp_path / "out") as again, pytest.raises(SinkError, match="same folder"):
        open_sink(f"{tmp_path}/out/%06d.png", again.info, source=again, overwrite=True)


@pytest.mark.parametrize("fmt", ["yuv420p", "yuv420p10le", "yuv422p", "yuv444p12le", "gray"])
def test_y4m_loses_nothing(clips: SimpleNamespace, tmp_path: Path, fmt: str) -> None:
    source = clips.make(tmp_path / "in.mkv", size=(97, 65), fmt=fmt, codec="ffv1", frames=4, rate=Fraction(24000, 1001))
    copy(source, tmp_path / "out.y4m", redrawn)
    with open_source(tmp_path / "out.y4m") as again, open_source(source) as before:
        assert again.info.format == before.info.format
        assert again.info.rate == Fraction(24000, 1001)
        for index, (a, b) in enumerate(zip(again, before, strict=True)):
            assert a.time == index * Fraction(1001, 24000)
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


# -- real clips -----------------------------------------------------------------------------------------


def test_a_real_hdr10_clip(clips: SimpleNamespace, tmp_path: Path, material: Path) -> None:
    from reelmend.media.hdr import hdr_of

    source = material / "video/exo_roof_1080p30_pq10_pan.mp4"
    sink = copy(source, tmp_path / "out.mp4")
    assert "libx265" in sink.encoder
    assert "yuv420p10le" in sink.encoder
    assert clips.times(tmp_path / "out.mp4") == clips.times(source)
    assert clips.packets(tmp_path / "out.mp4", "audio") == clips.packets(source, "audio")
    with open_source(source) as before, open_source(tmp_path / "out.mp4") as after:
        assert after.info.colour == before.info.colour
        was, now = next(before).side_data, next(after).side_data
    assert hdr_of(now) == hdr_of(was)
    assert any("HDR10+" in n for n in sink.notes)


@pytest.mark.parametrize(
    "name",
    ["exo_roof_360p30_handheld.mp4", "mdn_friday_480p30_oldfilm.mp4", "rrtn_marketstreet1906_368p24_flicker.mp4"],
)
def test_real_clips_keep_their_times(clips: SimpleNamespace, tmp_path: Path, material: Path, name: str) -> None:
    source = material / "video" / name
    copy(source, tmp_path / "out.mp4")
    assert clips.times(tmp_path / "out.mp4") == clips.times(source)
    with av.open(str(source)) as film:
        sounds = len(film.streams.audio)
    for number in range(sounds):
        assert clips.packets(tmp_path / "out.mp4", "audio", number) == clips.packets(source, "audio", number)


def test_telemetry_and_time_code(clips: SimpleNamespace, tmp_path: Path, material: Path) -> None:
    source = material / "video/gopro_coast_480p30_gyro.mp4"
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.streams.video[0].metadata["timecode"] == "19:26:48:04"
        gyro = [s for s in out.streams.data if s.name == "bin_data"]
        found = [bytes(p) for p in out.demux(gyro[0]) if p.size]
    with av.open(str(source)) as film:
        before = [bytes(p) for p in film.demux(next(s for s in film.streams.data if s.name == "bin_data")) if p.size]
    assert found == before
    assert len(found) > 5


def test_rotation_and_variable_rate_of_a_phone(clips: SimpleNamespace, tmp_path: Path, material: Path) -> None:
    source = material / "video/media3_building_1080p30_hlg10_pan.mp4"
    with open_source(source) as frames, open_sink(tmp_path / "out.mp4", frames.info, source=frames, **FAST) as sink:
        times = []
        for frame in frames:
            sink.write(frame)
            times.append(frame.time)
            if len(times) == 20:
                break
    assert clips.times(tmp_path / "out.mp4") == times
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert next(out.decode(video=0)).rotation == -90
