"""Sources: exact times, planes as decoded, and errors that say what to do."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from reelmend.errors import SourceError
from reelmend.frame import Matrix, PixelFormat, Primaries, Range, Transfer
from reelmend.media import Prefetch, open_source
from reelmend.media.pixels import layout_of


def test_frames_are_views_of_the_decoded_planes(clips: SimpleNamespace) -> None:
    with open_source(clips.plain) as source, av.open(str(clips.plain)) as reference:
        assert (source.info.width, source.info.height) == (96, 64)
        assert source.info.format == PixelFormat.parse("yuv420p")
        assert source.info.frames == 30
        assert source.info.rate == 25
        for ours, theirs in zip(source, reference.decode(video=0), strict=True):
            stacked = theirs.to_ndarray()
            assert np.array_equal(ours.planes[0], stacked[:64])
            assert [p.shape for p in ours.planes] == [(64, 96), (32, 48), (32, 48)]
            assert np.array_equal(ours.planes[2].ravel(), stacked[80:].ravel())
            assert not any(p.flags.owndata or p.flags.writeable for p in ours.planes)
            assert ours.time == theirs.pts * theirs.time_base
        assert source.problem is None
        assert source.delivered == 30


def test_planes_outlive_the_source(clips: SimpleNamespace) -> None:
    with open_source(clips.plain) as source:
        frames = list(source)
    assert len({f.planes[0].tobytes() for f in frames}) == 30


@pytest.mark.parametrize(
    ("fmt", "codec", "size", "name"),
    [
        ("yuv420p", "ffv1", (97, 65), "yuv420p"),
        ("yuv422p10le", "ffv1", (97, 65), "yuv422p10"),
        ("yuv444p12le", "ffv1", (31, 17), "yuv444p12"),
        ("gray", "ffv1", (97, 65), "gray"),
        ("gray16le", "ffv1", (20, 10), "gray16"),
        ("gbrp16le", "ffv1", (33, 21), "gbrp16"),
        ("yuv420p", "libvpx-vp9", (97, 65), "yuv420p"),
    ],
)
def test_formats_as_decoded(
    clips: SimpleNamespace, tmp_path: Path, fmt: str, codec: str, size: tuple[int, int], name: str
) -> None:
    path = clips.make(tmp_path / "clip.mkv", size=size, fmt=fmt, codec=codec, frames=3)
    with open_source(path) as source:
        frames = list(source)
        assert source.info.format.name == name
        assert source.notes == ()
    expected = source.info.format.plane_shapes(*size)
    assert [p.shape for p in frames[0].planes] == list(expected)
    if codec == "ffv1":
        made = clips.picture(1, *size, fmt)
        order = [2, 0, 1] if fmt.startswith("gbr") else range(len(made.planes))
        for plane, index in zip(frames[1].planes, order, strict=True):
            raw = np.frombuffer(made.planes[index], dtype=plane.dtype)
            raw = raw.reshape(-1, made.planes[index].line_size // plane.dtype.itemsize)
            assert np.array_equal(plane, raw[: plane.shape[0], : plane.shape[1]])


def test_rgb_planes_are_in_rgb_order(tmp_path: Path) -> None:
    array = np.zeros((10, 12, 3), np.uint8)
    array[...] = (10, 20, 30)
    frame = av.VideoFrame.from_ndarray(array, "rgb24")
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25, width=12, height=10)
        stream.pix_fmt = "bgr0"
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_source(tmp_path / "a.mkv") as source:
        first = next(source)
    assert [int(p[0, 0]) for p in first.planes] == [10, 20, 30]
    assert first.colour.matrix is Matrix.RGB
    assert "bgr0 to gbrp" in source.notes[0]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("nv12", "yuv420p"), ("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"), ("rgb24", "gbrp"), ("bgra", "gbrap"),
        ("pal8", "gbrap"), ("rgb48be", "gbrp16le"), ("yuv411p", "yuv444p"), ("yuv410p", "yuv444p"),
        ("gray10be", "gray10le"), ("yuv420p10be", "yuv420p10le"), ("ya8", "gbrap"), ("monob", "gray"),
    ],
)  # fmt: skip
def test_other_formats_go_to_the_nearest_planar_one(name: str, target: str) -> None:
    layout = layout_of(name)
    assert layout.name == target
    assert name in layout.note


@pytest.mark.parametrize("name", ["nv12", "yuyv422", "bgr24", "rgba", "rgb48be", "gray16be", "p010le"])
def test_conversions_lose_nothing(name: str) -> None:
    from reelmend.media.pixels import ORIGIN, colour_of, from_av

    frame = av.VideoFrame(66, 34, name)
    rng = np.random.default_rng(1)
    for plane in frame.planes:
        values = rng.integers(0, 256, plane.buffer_size, dtype=np.uint8)
        if name == "p010le":
            values = (values.view("<u2") & 0xFFC0).view(np.uint8)
        plane.update(values.tobytes())
    layout = layout_of(name)
    ours = from_av(frame, layout, colour_of(frame, None, layout), 0, Fraction(1, 25), 1, {})
    back = ours.side_data[ORIGIN].frame.reformat(format=name, threads=1)
    row = {"rgb48be": 6, "rgba": 4, "bgr24": 3, "yuyv422": 2, "gray16be": 2, "p010le": 2}.get(name, 1) * 66
    for a, b in zip(frame.planes, back.planes, strict=True):
        one, two = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:, :row] for p in (a, b))
        assert np.array_equal(one, two)


def test_floating_point_pictures_are_refused() -> None:
    with pytest.raises(SourceError, match=r"gbrpf32le.*floating point"):
        layout_of("gbrpf32le")


def test_full_range_yuvj_is_yuv_with_range(clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", fmt="yuvj420p", codec="mjpeg", frames=2)
    with open_source(path) as source:
        assert source.info.format.name == "yuv420p"
        assert source.info.colour.range is Range.FULL
        assert next(source).colour.range is Range.FULL


def test_colour_tags(clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", fmt="yuv420p10le", codec="libx265", frames=3, colour=(9, 16, 9, 1),
                      options={"x265-params": "log-level=none"})  # fmt: skip
    with open_source(path) as source:
        colour = next(source).colour
    assert colour.primaries is Primaries.BT2020
    assert colour.transfer is Transfer.PQ
    assert colour.matrix is Matrix.BT2020_NCL
    assert colour.range is Range.LIMITED


def test_variable_times_are_exact(clips: SimpleNamespace, tmp_path: Path) -> None:
    pts = [0, 1001, 2002, 2500, 6006, 6007, 30030]
    path = clips.make(tmp_path / "vfr.mp4", frames=7, pts=pts, time_base=Fraction(1, 30000), options={"bf": "2"})
    with open_source(path) as source:
        assert [f.time for f in source] == [Fraction(p, 30000) for p in pts]


def test_raw_stream_without_times_counts_on_exactly(clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.h264", frames=10, rate=Fraction(30000, 1001), options={"bf": "0"})
    with open_source(path) as source:
        found = [f.time for f in source]
        step = 1 / source.info.rate
    assert found == [found[0] + i * step for i in range(10)]
    assert any("no time stamp" in n for n in source.notes)


def test_joined_recordings_go_on_without_a_jump(clips: SimpleNamespace, tmp_path: Path) -> None:
    one = clips.make(tmp_path / "a.ts", frames=60, audio=1, options={"bf": "2"})
    two = tmp_path / "b.ts"
    two.write_bytes(one.read_bytes() * 2)
    first = clips.times(one)
    sounds: list[Fraction] = []
    with open_source(two) as source:
        source.attach(lambda packet: sounds.append(packet.pts * packet.time_base))
        frames = list(source)
    assert len(frames) == 120
    found = [f.time for f in frames]
    assert found[:60] == first
    gap = found[60] - found[59]
    assert 0 < gap < Fraction(1, 5)
    assert [t - found[60] for t in found[60:]] == [t - first[0] for t in first]
    assert [i for i, f in enumerate(frames) if f.discontinuity] == [60]
    assert sounds == sorted(sounds)
    half = len(sounds) // 2
    assert abs((sounds[half] - sounds[0]) - (found[60] - found[0])) < Fraction(1, 10000)
    assert any("time starts again 1 times" in n for n in source.notes)


def test_cover_art_is_not_the_video(clips: SimpleNamespace, tmp_path: Path) -> None:
    path = _with_cover(clips.plain, tmp_path / "cover.mp4")
    with open_source(path) as source:
        assert (source.info.width, source.info.height) == (96, 64)
        assert len(list(source)) == 30
    only = _cover_alone(tmp_path / "song.m4a")
    with pytest.raises(SourceError, match=r"no video stream .only a cover picture.*audio"):
        open_source(only)


def _cover_alone(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=48000)
        cover = _add_cover(out)
        chunk = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        chunk.sample_rate = 48000
        out.mux(cover)
        out.mux(sound.encode(chunk))
        out.mux(sound.encode(None))
    return path


def _add_cover(out: av.container.OutputContainer) -> av.Packet:
    stream = out.add_stream("mjpeg", rate=1, width=200, height=200)
    stream.pix_fmt = "yuvj420p"
    stream.disposition = 0x400  # attached picture
    frame = av.VideoFrame(200, 200, "yuvj420p")
    frame.pts = 0
    packet = stream.encode(frame)[0]
    packet.stream = stream
    return packet


def _with_cover(path: Path, target: Path) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        routes = {s.index: out.add_stream_from_template(s, opaque=True) for s in source.streams}
        out.mux(_add_cover(out))
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = routes[packet.stream_index]
                out.mux(packet)
    return target


# -- what goes wrong ------------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nothere\.mp4: no such file"):
        open_source(tmp_path / "nothere.mp4")


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(SourceError, match="folder without pictures"):
        open_source(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SourceError, match=r"empty .0 bytes"):
        open_source(tmp_path / "empty.mp4")


def test_text_renamed_to_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 200)
    with pytest.raises(SourceError, match="not a video that FFmpeg can read"):
        open_source(tmp_path / "text.mp4")


def test_no_video_stream(clips: SimpleNamespace, tmp_path: Path) -> None:
    with av.open(str(clips.plain)) as source, av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as out:
        sound = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                out.mux(packet)
    with pytest.raises(SourceError, match="no video stream; it holds: audio"):
        open_source(tmp_path / "a.m4a")


def test_no_frames(clips: SimpleNamespace, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "none.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25, width=16, height=16)
        stream.codec_context.open()
        out.start_encoding()
    with pytest.raises(SourceError, match=r"none\.mkv: .*no frames; nothing to restore"):
        open_source(tmp_path / "none.mkv")


def test_missing_index(clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(SourceError, match=r"index .moov. is missing"):
        open_source(path)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_truncated_file_gives_every_good_frame(clips: SimpleNamespace, tmp_path: Path, kind: str) -> None:
    path = clips.make(
        tmp_path / f"whole.{kind}", frames=60, options={"g": "10", "bf": "2"}, audio=1,
        container={"movflags": "faststart"} if kind == "mp4" else {},
    )  # fmt: skip
    whole = clips.times(path)
    data = path.read_bytes()
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(data[: int(len(data) * 0.6)])
    with open_source(cut) as source:
        found = [f.time for f in source]
    assert 5 < len(found) < 60
    assert found == sorted(found)
    assert set(found) <= set(whole)
    assert len(found) >= whole.index(found[-1]) - 2  # frames that depend on what is missing are gone
    assert source.problem is not None
    assert f"after frame {len(found)} ({float(found[-1]):.3f} s)" in source.problem


def test_damage_in_the_middle_is_told(clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mov", codec="png", fmt="rgb24", frames=40)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = b"\x55" * 60
    path.write_bytes(data)
    with open_source(path) as source:
        count = len(list(source))
    assert count >= 25
    assert source.problem is not None or any("damaged" in n for n in source.notes)


# -- folders and patterns -------------------------------------------------------------------------------


def _pictures(folder: Path, count: int, fmt: str = "rgb24", suffix: str = "png", codec: str = "png") -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for index in range(count):
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt, context.time_base = 20, 12, fmt, Fraction(1, 25)
        frame = av.VideoFrame(20, 12, fmt)
        for plane in frame.planes:
            plane.update(bytes([index * 10 + 5]) * plane.buffer_size)
        frame.pts = 0
        path = folder / f"p{index + 8}.{suffix}"
        path.write_bytes(b"".join(bytes(p) for p in context.encode(frame) + context.encode(None)))
        paths.append(path)
    return paths


@pytest.mark.parametrize("ask", ["{}", "{}/p%d.png", "{}/*.png"])
def test_pictures_in_natural_order(tmp_path: Path, ask: str) -> None:
    _pictures(tmp_path / "in", 4)  # p8 p9 p10 p11
    with open_source(ask.format(tmp_path / "in"), rate="30000/1001") as source:
        frames = list(source)
        assert source.info.frames == 4
        assert source.info.rate == Fraction(30000, 1001)
    assert [int(f.planes[0][0, 0]) for f in frames] == [5, 15, 25, 35]
    assert [f.time for f in frames] == [i * Fraction(1001, 30000) for i in range(4)]


@pytest.mark.parametrize(
    ("fmt", "codec", "suffix", "name"),
    [
        ("gray", "png", "png", "gray"),
        ("rgb48be", "png", "png", "gbrp16"),
        ("rgb48le", "tiff", "tif", "gbrp16"),
        ("yuvj420p", "mjpeg", "jpg", "yuv420p"),
        ("gbrp10be", "dpx", "dpx", "gbrp10"),
    ],
)
def test_kinds_of_pictures(tmp_path: Path, fmt: str, codec: str, suffix: str, name: str) -> None:
    _pictures(tmp_path / "in", 2, fmt, suffix, codec)
    with open_source(tmp_path / "in") as source:
        assert source.info.format.name == name
        assert len(list(source)) == 2


def test_a_damaged_picture_ends_the_shot(tmp_path: Path) -> None:
    paths = _pictures(tmp_path / "in", 4)
    paths[2].write_bytes(b"not a picture")
    with open_source(tmp_path / "in") as source:
        assert len(list(source)) == 2
    assert source.problem is not None
    assert "p10.png" in source.problem


def test_mixed_kinds_and_no_match(tmp_path: Path) -> None:
    _pictures(tmp_path / "in", 1)
    _pictures(tmp_path / "in", 1, "rgb24", "tif", "tiff")
    with pytest.raises(SourceError, match=r"several kinds \(\.png, \.tif\)"):
        open_source(tmp_path / "in")
    with pytest.raises(SourceError, match="no file matches"):
        open_source(f"{tmp_path}/in/%04d.exr")


# -- reading ahead --------------------------------------------------------------------------------------


def test_prefetch_gives_the_same_frames_and_can_be_left(clips: SimpleNamespace) -> None:
    with open_source(clips.plain) as source, Prefetch(source, max_frames=3) as ahead:
        assert len([f.time for f in ahead]) == 30
    with open_source(clips.plain) as source:
        ahead = Prefetch(source, max_frames=2)
        next(ahead)
        assert ahead.close()
    assert not any(t.name == "reelmend-read" for t in threading.enumerate())


def test_prefetch_passes_errors_on(clips: SimpleNamespace) -> None:
    def failing():  # type: ignore[no-untyped-def]
        with open_source(clips.plain) as source:
            yield next(source)
        raise SourceError("broken")

    with Prefetch(failing()) as ahead:
        next(ahead)
        with pytest.raises(SourceError, match="broken"):
            next(ahead)
