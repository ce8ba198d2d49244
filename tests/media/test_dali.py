"""DALI as a feeder: its own decoders, PyAV's frames carried, exact times, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reelmend.convert import to_rgb
from reelmend.errors import MissingExtraError, OptionError, SourceError
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range
from reelmend.media import open_source
from reelmend.media.demuxed import Order

VFR = [0, 40, 80, 133, 200, 210, 300, 317, 350, 401, 450, 503, 550, 601, 650, 700, 777]
FAST = {"cpu-used": "8", "b": "0", "crf": "20"}

dali = pytest.mark.extra("dali")


@pytest.fixture
def feed() -> Callable[..., Any]:
    """DaliSource, imported only where a test needs it."""
    from reelmend.media.dali import DaliSource

    return lambda path, **options: DaliSource(str(path), **options)


@pytest.fixture(scope="module")
def vp9(clips: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("vp9")
    made: dict[Any, Path] = {}

    def make(frames: int, size: tuple[int, int] = (96, 64)) -> Path:
        key = (frames, size)
        if key not in made:
            name = folder / f"{frames}_{size[0]}.webm"
            made[key] = clips.make(name, codec="libvpx-vp9", frames=frames, size=size, options=FAST)
        return made[key]

    return make


def when(frames: list[Frame]) -> list[tuple[Fraction, int]]:
    return [(f.time, f.duration) for f in frames]


def read(source: Any) -> list[Frame]:
    with source:
        return list(source)


def same(ours: list[Frame], theirs: list[Frame]) -> None:
    """The same frames to the bit, at the same times."""
    assert when(ours) == when(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.format == b.format
        assert a.colour == b.colour
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def near(ours: list[Frame], theirs: list[Frame], mean: float) -> None:
    """DALI's RGB is that of PyAV's frames but for how it makes chroma larger; each frame is nearest to its own."""
    assert when(ours) == when(theirs)
    pictures = [to_rgb(f.replace(colour=_bt601(f.colour))).astype(np.int16) for f in theirs]
    for k, frame in enumerate(ours):
        rgb = np.stack(frame.planes, axis=-1).astype(np.int16)
        errors = [float(np.abs(rgb - picture).mean()) for picture in pictures]
        assert errors[k] <= mean
        assert int(np.argmin(errors)) == k


def _bt601(colour: Colour) -> Colour:
    return Colour(matrix=Matrix.SMPTE170M, range=colour.range)


@dali
@pytest.mark.parametrize("frames", [1, 7, 16, 17])
@pytest.mark.parametrize("sequence", [1, 8, 16])
def test_no_frame_of_the_last_sequence_is_lost(
    vp9: Callable[..., Path], feed: Callable[..., Any], frames: int, sequence: int
) -> None:
    path = vp9(frames)
    source = feed(path, decode="own", sequence=sequence)
    assert source.elsewhere
    assert source.fallbacks == ()
    ours = read(source)
    assert len(ours) == frames == source.delivered
    assert source.problem is None
    near(ours, read(open_source(path)), 2.0)


@dali
@pytest.mark.parametrize(("codec", "fmt", "name"), [("mjpeg", "yuvj420p", "a.mkv"), ("libvpx", "yuv420p", "a.webm")])
def test_other_codecs_of_its_own(
    clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any], codec: str, fmt: str, name: str
) -> None:
    path = clips.make(tmp_path / name, codec=codec, fmt=fmt, frames=5)
    source = feed(path, decode="own")
    assert source.info.format == PixelFormat("rgb", 8, (0, 0), packed=True)
    assert (source.info.colour.matrix, source.info.colour.range) == (Matrix.RGB, Range.FULL)
    assert any("BT.601" in note for note in source.notes)
    near(read(source), read(open_source(path)), 2.0)


@dali
def test_chroma_as_large_as_luma_differs_by_rounding_only(
    clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any]
) -> None:
    options = {**FAST, "profile": "1"}
    path = clips.make(tmp_path / "a.webm", codec="libvpx-vp9", fmt="yuv444p", frames=3, options=options)
    ours, theirs = read(feed(path, decode="own")), read(open_source(path))
    for a, b in zip(ours, theirs, strict=True):
        rgb = to_rgb(b.replace(colour=_bt601(b.colour))).astype(np.int16)
        assert np.abs(np.stack(a.planes, axis=-1) - rgb).max() <= 1


@dali
@pytest.mark.parametrize("size", [(97, 65), (33, 16)])
def test_odd_sizes(vp9: Callable[..., Path], feed: Callable[..., Any], size: tuple[int, int]) -> None:
    path = vp9(3, size)
    theirs = read(open_source(path))
    near(read(feed(path, decode="own")), theirs, 3.0)
    same(read(feed(path, decode="carried")), theirs)


@dali
@pytest.mark.parametrize("begin", [0, 1234])
@pytest.mark.parametrize("decode", ["own", "carried"])
def test_uneven_times_are_exact(
    clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any], begin: int, decode: str
) -> None:
    pts = [begin + at for at in VFR]
    path = clips.make(
        tmp_path / "vfr.mkv",
        codec="libvpx-vp9",
        frames=len(pts),
        pts=pts,
        time_base=Fraction(1, 1000),
        options={"cpu-used": "8"},
    )
    ours = read(feed(path, decode=decode, sequence=8))
    assert [f.time for f in ours] == [Fraction(at, 1000) for at in pts]
    assert when(ours) == when(read(open_source(path)))


@dali
@pytest.mark.parametrize(
    ("codec", "fmt", "size", "name"),
    [
        ("libx264", "yuv420p", (96, 64), "a.mp4"),
        ("libx265", "yuv420p10le", (98, 66), "a.mkv"),
        ("ffv1", "yuv444p12le", (31, 17), "a.mkv"),
        ("ffv1", "gray", (33, 21), "a.mkv"),
        ("ffv1", "gbrp16le", (33, 21), "a.mkv"),
    ],
)
@pytest.mark.parametrize("depth", [1, 3])
def test_carried_frames_are_those_of_pyav_to_the_bit(
    clips: SimpleNamespace,
    tmp_path: Path,
    feed: Callable[..., Any],
    codec: str,
    fmt: str,
    size: tuple[int, int],
    name: str,
    depth: int,
) -> None:
    options = {"bf": "2"} if codec == "libx264" else {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = clips.make(tmp_path / name, codec=codec, fmt=fmt, size=size, frames=9, options=options)
    source = feed(path, depth=depth)
    assert not source.elsewhere
    (fallback,) = source.fallbacks
    decoder = open_source(path).video.codec_context.name  # type: ignore[attr-defined]
    assert decoder in fallback.why
    assert "VP8, VP9, MJPEG" in fallback.why
    ours = read(source)
    same(ours, read(open_source(path)))
    assert all(not p.flags.writeable for f in ours for p in f.planes)


@dali
def test_carried_material(material: Path, feed: Callable[..., Any]) -> None:
    """10-bit HLG with a rotation, uneven times and an edit list: all of it, to the bit."""
    path = material / "video" / "media3_windows_1080p30_hlg10_pan.mp4"
    with feed(path) as ours, open_source(path) as theirs:
        assert ours.info == theirs.info
        for _ in range(8):
            a, b = next(ours), next(theirs)
            same([a], [b])
            assert {k for k in b.side_data if not k.startswith("reelmend")} == set(a.side_data)


@dali
def test_colours_dali_would_get_wrong_are_left_to_our_op(
    clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any]
) -> None:
    path = clips.make(tmp_path / "a.webm", codec="libvpx-vp9", frames=3, colour=(1, 1, 1, 1), options=FAST)
    with pytest.raises(SourceError, match=r"converts colours by BT\.601, and this video is tagged BT709.*carried"):
        feed(path, decode="own")
    source = feed(path)
    assert "tagged BT709" in str(source.fallbacks[0])
    ours, theirs = read(source), read(open_source(path))
    same(ours, theirs)
    assert all(np.array_equal(to_rgb(a), to_rgb(b)) for a, b in zip(ours, theirs, strict=True))


@dali
def test_large_untagged_video_counts_as_bt709(clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any]) -> None:
    for height, own in ((704, True), (720, False)):
        size = (32, height)
        path = clips.make(tmp_path / f"{height}.webm", codec="libvpx-vp9", size=size, frames=1, options=FAST)
        with feed(path) as source:
            assert source.elsewhere == own
            assert own or "not tagged and so large" in str(source.fallbacks[0])


@dali
def test_a_codec_dali_refuses_says_what_to_do(
    clips: SimpleNamespace, feed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"on the CPU it decodes VP8, VP9, MJPEG, and this is h264.*pyav"):
        feed(clips.plain, decode="own")
    # a DALI that decodes less than is believed here: its own error is put into words
    from reelmend.media import dali as module

    monkeypatch.setitem(module._ON_CPU, "h264", "H.264")
    with pytest.raises(SourceError, match=r"DALI [\d.]+ does not decode this h264 on the CPU.*carried"):
        feed(clips.plain, decode="own")


@dali
def test_both_ways_dali_says_no(clips: SimpleNamespace, feed: Callable[..., Any]) -> None:
    with feed(clips.plain, decode="carried") as source:
        for text in (
            'Assert on "num_shards_ <= Size()" failed: The number of input samples: 0, needs to be at least equal',
            "Error in CPU operator\nencountered:\n\nFailed to create video decoder for sample 0",
        ):
            assert "does not decode this h264 on the CPU" in str(source._refused(RuntimeError(text)))
        other = str(source._refused(RuntimeError("Critical error:\nencountered:\n\nno memory left\nat line 3")))
        assert "cannot read it (no memory left)" in other


@dali
@pytest.mark.parametrize("decode", ["own", "carried"])
def test_a_cut_file_gives_what_is_there(
    clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any], decode: str
) -> None:
    options = {"cpu-used": "8", "g": "20"}
    whole = clips.make(tmp_path / "whole.webm", codec="libvpx-vp9", size=(320, 240), frames=60, options=options)
    data = whole.read_bytes()
    cut = tmp_path / "cut.webm"
    cut.write_bytes(data[: len(data) * 2 // 3])
    source, plain = feed(cut, decode=decode), open_source(cut)
    ours, theirs = read(source), read(plain)
    assert 0 < len(ours) < 60
    assert when(ours) == when(theirs)
    assert source.problem is not None
    assert source.problem == plain.problem
    assert "bytes are missing" in source.problem


@dali
def test_a_picture_lost_is_an_error_and_no_shift(vp9: Callable[..., Path], feed: Callable[..., Any]) -> None:
    with feed(vp9(7), decode="own") as source:
        next(source)
        source._picture()  # one that DALI gave and nobody got
        with pytest.raises(SourceError, match=r"gives frame 1 at 0\.080000 s after the first.*0\.040000 s"):
            next(source)


@dali
def test_fewer_pictures_than_times_is_a_problem(vp9: Callable[..., Path], feed: Callable[..., Any]) -> None:
    with feed(vp9(7), decode="own") as source:
        source._rounds = 5
        assert len(list(source)) == 5
        assert "has fewer pictures than the file; stopped after frame 5" in source.problem


@dali
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_depth_is_how_far_ahead_it_reads(clips: SimpleNamespace, feed: Callable[..., Any], depth: int) -> None:
    with feed(clips.plain, decode="carried", depth=depth) as source:
        next(source)
        assert len(source._waiting) == depth - 1
        assert f"{depth} frame{'s' if depth > 1 else ''} ahead" in source.decoder
        assert source.memory == (depth + 1) * source.info.frame_bytes
        assert len(list(source)) == 29


@dali
def test_frames_outlive_the_source(vp9: Callable[..., Path], feed: Callable[..., Any]) -> None:
    for decode in ("own", "carried"):
        frames = read(feed(vp9(17), decode=decode))
        again = read(feed(vp9(17), decode=decode))
        assert len({f.planes[0].tobytes() for f in frames}) == 17
        same(frames, again)


@dali
def test_bad_options(clips: SimpleNamespace, feed: Callable[..., Any]) -> None:
    with pytest.raises(OptionError, match="choose auto, own or carried"):
        feed(clips.plain, decode="best")
    with pytest.raises(OptionError, match="at least 1; got 0 and 1"):
        feed(clips.plain, depth=0)
    with pytest.raises(SourceError, match="no such file"):
        feed("/nowhere.mp4")


@dali
def test_a_film_through_dali_keeps_its_sound(clips: SimpleNamespace, tmp_path: Path) -> None:
    from reelmend.restore import plan_restore, restore

    source = clips.make(
        tmp_path / "in.mkv",
        codec="libvpx-vp9",
        frames=20,
        audio=2,
        subtitle=None,
        chapters=True,
        tags={"title": "a film"},
        options=FAST,
    )
    out = tmp_path / "out.mkv"
    plan = plan_restore(source, out, stages=[], decoder="dali")
    assert "its own decoder on the CPU, 2 frames ahead" in str(plan)
    assert plan.ahead == 3 * plan.info.frame_bytes
    result = restore(source, out, stages=[], decoder="dali", encoder="ffv1")
    assert result.frames_out == 20
    assert clips.times(out) == clips.times(source)
    for track in (0, 1):
        assert clips.packets(out, "audio", track) == clips.packets(source, "audio", track)
    with open_source(out) as written:
        assert written.metadata["title"] == "a film"
        assert [c["metadata"]["title"] for c in written.chapters] == ["one", "two"]


@dali
def test_what_was_not_taken_is_in_the_plan_and_the_notes(clips: SimpleNamespace, tmp_path: Path) -> None:
    from reelmend.restore import plan_restore, restore

    out = tmp_path / "out.mp4"
    text = str(plan_restore(clips.plain, out, stages=[], decoder="dali"))
    assert "PyAV decodes on the CPU, frames go to the CPU, 2 frames ahead" in text
    assert "fallback PyAV's, its frames carried by DALI instead of DALI's own decoder: on the CPU it decodes" in text
    result = restore(clips.plain, out, stages=[], decoder="dali")
    assert any("instead of DALI's own decoder" in note for note in result.notes)
    assert result.frames_out == 30
    assert clips.packets(out, "audio") == clips.packets(clips.plain, "audio")


@dali
@pytest.mark.gpu
def test_frames_carried_to_a_gpu(cuda: Any, clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any]) -> None:
    options = {"x265-params": "log-level=none"}
    path = clips.make(tmp_path / "a.mkv", codec="libx265", fmt="yuv420p10le", size=(98, 66), frames=12, options=options)
    ours, theirs = read(feed(path, decode="carried", index=0)), read(open_source(path))
    assert all(f.on_gpu for f in ours)
    same([f.replace(planes=tuple(cuda.get(p) for p in f.planes)) for f in ours], theirs)


@dali
@pytest.mark.gpu
def test_its_decoder_on_a_gpu(cuda: Any, clips: SimpleNamespace, tmp_path: Path, feed: Callable[..., Any]) -> None:
    """The file's own codes, whatever its matrix: luma to the bit, chroma made larger by DALI."""
    path = clips.make(tmp_path / "a.mp4", size=(320, 240), frames=17, colour=(1, 1, 1, 1), options={"bf": "2"})
    try:
        source = feed(path, decode="own", index=0, sequence=8)
    except SourceError as error:
        pytest.skip(str(error))
    ours, theirs = read(source), read(open_source(path))
    assert when(ours) == when(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.format.name, a.colour) == ("yuv444p", b.colour)
        planes = [cuda.get(p) for p in a.planes]
        assert np.array_equal(planes[0], b.planes[0])
        for large, small in zip(planes[1:], b.planes[1:], strict=True):
            mean = large.astype(np.int16).reshape(120, 2, 160, 2).mean(axis=(1, 3))
            assert float(np.abs(mean - small).mean()) < 2


def test_without_dali_the_extra_is_named(clips: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "nvidia.dali", None)
    with pytest.raises(MissingExtraError, match=r"reelmend\[dali\]"):
        open_source(clips.plain, decoder="dali")


def test_times_come_in_the_order_of_showing() -> None:
    order = Order()
    shown: list[int] = []
    # I P B B P B B, decoded in this order; the packet shown at 3 is for the decoder alone
    for pts, dts, hidden in [
        (0, -2, False), (6, 0, False), (2, 2, False), (3, 3, True), (4, 4, False), (12, 6, False), (8, 8, False)
    ]:  # fmt: skip
        order.add(SimpleNamespace(pts=pts, dts=dts, duration=2, is_discard=hidden))
        shown += [s.pts for s in order.ready()]
    assert shown == [0, 2, 4, 6, 8]
    order.add(None)
    assert [s.pts for s in order.ready()] == [12]
    assert not order.untimed
    order.add(SimpleNamespace(pts=None, dts=9, duration=0, is_discard=False))
    assert order.untimed
