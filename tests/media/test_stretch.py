"""Slow motion beside the picture: sound keeps its pitch and its length is exact; words and chapters go along."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from reelmend.errors import OptionError
from reelmend.frame import Frame
from reelmend.media import open_sink, open_source
from reelmend.media.clock import Pace
from reelmend.media.sinks import plan_sink
from reelmend.media.stretch import Tempo

RATE = 48000


def tone(seconds: float, hertz: float = 440.0, rate: int = RATE) -> np.ndarray:
    return (np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate) / 4).astype(np.float32)


def dominant(samples: np.ndarray, rate: int) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * rate / samples.size)


def film(
    path: Path,
    samples: np.ndarray,
    codec: str = "aac",
    *,
    rate: int = RATE,
    layout: str = "stereo",
    seconds: float = 2.0,
    gap: tuple[int, int] | None = None,
    late: float = 0.0,
) -> Path:
    """25 frames a second beside one channel of sound in all channels; from sample gap[0] on, gap[1] later."""
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"preset": "ultrafast"} if path.suffix != ".webm" else {"cpu-used": "8", "deadline": "realtime"}
        audio: Any = out.add_stream(codec, rate=rate, layout=layout)
        for index in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + index % 150, np.uint8), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for at in range(0, samples.size, 1024):
            part = np.repeat(samples[None, at : at + 1024], channels, axis=0)
            chunk = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "fltp", layout)
            chunk.sample_rate, chunk.time_base = rate, Fraction(1, rate)
            chunk.pts = at + round(late * rate) + (gap[1] if gap and at >= gap[0] else 0)
            out.mux(audio.encode(chunk))
        out.mux(audio.encode(None))
    return path


def slowed(source: Path, target: Path, slower: Fraction, **options: Any) -> Any:
    """The frames at their stretched times, as a stage gives them; the sink does the rest."""
    with open_source(source) as frames:
        info = frames.info
        sink = open_sink(target, info, source=frames, preset="ultrafast", retimed=True, slower=slower, **options)
        pace = Pace(frames.begin, slower)

        def moved(frame: Frame) -> Frame:
            at = pace.at(frame.time) / info.time_base
            assert at.denominator == 1
            return frame.replace(pts=int(at), time_base=info.time_base, duration=int(frame.duration * slower))

        with sink:
            for frame in frames:
                sink.write(moved(frame))
    return sink


def heard(path: Path) -> tuple[Fraction, np.ndarray, int, str]:
    """(time of the first sample, samples of the first channel, samples a second, codec)."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        parts, begin = [], None
        for frame in container.decode(stream):
            begin = frame.pts * frame.time_base if begin is None else begin
            parts += [part.to_ndarray() for part in resampler.resample(frame)]
        assert begin is not None
        return begin, np.concatenate(parts, axis=1)[0], stream.rate, stream.codec_context.codec.canonical_name


# -- the filter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slower", [Fraction(1), Fraction(5, 4), Fraction(2), Fraction(5, 2), Fraction(4), Fraction(9)])
@pytest.mark.parametrize(("rate", "out"), [(48000, 48000), (44100, 48000)])
def test_tempo_keeps_pitch_and_is_exact_in_length(slower: Fraction, rate: int, out: int) -> None:
    tempo = Tempo(slower, rate, "mono", out)
    samples = tone(1.3, 440, rate)[None]
    parts = [tempo.push(samples[:, at : at + 1000]) for at in range(0, samples.shape[1], 1000)]
    result = np.concatenate([*parts, tempo.flush()], axis=1)[0]
    assert result.size == round(samples.shape[1] * slower * out / rate)
    assert dominant(result, out) == pytest.approx(440, rel=0.01)
    level = np.sqrt(np.mean(result[: result.size // 50 * 50].reshape(50, -1) ** 2, axis=1))
    assert level[:-1] == pytest.approx(np.full(49, 0.25 / np.sqrt(2)), rel=0.1)  # no holes, to the very end


def test_tempo_of_nothing_is_nothing() -> None:
    assert Tempo(Fraction(3), RATE, "stereo", RATE).flush().shape == (2, 0)


def test_tempo_keeps_its_place() -> None:
    """Half a second of tone, half of silence, and so on: each is where it is asked for, nothing adds up."""
    on = tone(0.5)
    samples = np.concatenate([part for _ in range(8) for part in (on, np.zeros_like(on))])[None]
    tempo = Tempo(Fraction(4), RATE, "mono", RATE)
    result = np.concatenate([tempo.push(samples), tempo.flush()], axis=1)[0]
    loud = np.abs(result).reshape(-1, 480).max(axis=1) > 0.1  # every 10 ms
    inner = loud.reshape(16, 200)[:, 15:-15]  # 0.15 s of 2 s at either end
    assert inner[::2].all()
    assert not inner[1::2].any()


# -- through files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout", "becomes"),
    [
        ("a.mp4", "aac", 48000, "stereo", "aac"),
        ("a.mp4", "aac", 44100, "mono", "aac"),
        ("a.mp4", "alac", 48000, "stereo", "alac"),
        ("a.mov", "pcm_s16le", 48000, "stereo", "pcm_s16le"),
        ("a.mov", "pcm_s24le", 48000, "stereo", "pcm_s24le"),
        ("a.mkv", "flac", 44100, "stereo", "flac"),
        ("a.mkv", "ac3", 48000, "5.1", "ac3"),
        ("a.mkv", "libmp3lame", 44100, "stereo", "mp3"),
        ("a.webm", "libopus", 48000, "stereo", "opus"),
        ("a.ts", "mp2", 48000, "stereo", "mp2"),
    ],
)
def test_length_pitch_and_codec(tmp_path: Path, name: str, codec: str, rate: int, layout: str, becomes: str) -> None:
    source = film(tmp_path / name, tone(2.0, 440, rate), codec, rate=rate, layout=layout)
    begin, samples, _, _ = heard(source)
    sink = slowed(source, tmp_path / f"slow_{name}", Fraction(5, 2))
    assert any("stretched to 2.5 times its length at its pitch" in note for note in sink.notes)
    at, result, out_rate, found = heard(tmp_path / f"slow_{name}")
    assert found == becomes
    frame = 1024 if becomes == "aac" else 1536 if becomes in ("ac3", "mp2", "mp3") else 960
    assert abs(result.size - samples.size * 2.5 * out_rate / rate) <= frame + 1152
    first = begin * Fraction(5, 2) if not name.endswith(".ts") else at
    assert abs(at - first) <= Fraction(frame, out_rate)
    assert dominant(result, out_rate) == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_length_is_within_a_frame_of_the_codec(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / name, tone(2.0))
    samples = heard(source)[1].size
    for slower in (Fraction(2), Fraction(4)):
        out = tmp_path / f"{slower}{name}"
        slowed(source, out, slower)
        assert 0 <= heard(out)[1].size - samples * slower < 1024


def test_codecs_that_do_not_fit_become_the_nearest(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", tone(1.0), "pcm_s16le", seconds=1.0)
    for target, becomes in (("out.mp4", "alac"), ("out.webm", "opus"), ("out.ts", "aac")):
        slowed(source, tmp_path / target, Fraction(2), encoder="vp9" if target == "out.webm" else "x264")
        assert heard(tmp_path / target)[3] == becomes


def test_sound_stays_beside_the_picture(tmp_path: Path) -> None:
    """A tone from 1.0 to 1.5 s is heard from 4 to 6 s; the gap before it is one of time stamps alone."""
    samples = np.concatenate([np.zeros(12 * 1024, np.float32), tone(0.5)])
    source = film(tmp_path / "in.mkv", samples, "pcm_s16le", gap=(12 * 1024, RATE - 12 * 1024 - 512))
    slowed(source, tmp_path / "out.mkv", Fraction(4))
    begin, result, rate, _ = heard(tmp_path / "out.mkv")
    loud = np.flatnonzero(np.abs(result) > 0.1)
    assert float(begin) + loud[0] / rate == pytest.approx(4 * (1 - 512 / RATE), abs=0.12)
    assert float(begin) + loud[-1] / rate == pytest.approx(4 * (1.5 - 512 / RATE), abs=0.12)


def test_sound_that_begins_late(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", tone(1.0), "flac", late=0.5)
    slowed(source, tmp_path / "out.mkv", Fraction(3))
    assert abs(heard(tmp_path / "out.mkv")[0] - Fraction(3, 2)) < Fraction(1, 100)


def test_keep_copies_and_drop_leaves_out(clips: SimpleNamespace, tmp_path: Path) -> None:
    sink = slowed(clips.plain, tmp_path / "kept.mp4", Fraction(2), audio="keep")
    assert clips.packets(tmp_path / "kept.mp4", "audio") == clips.packets(clips.plain, "audio")
    assert sink.notes == ()
    slowed(clips.plain, tmp_path / "none.mp4", Fraction(2), audio="drop")
    with av.open(str(tmp_path / "none.mp4")) as found:
        assert [s.type for s in found.streams] == ["video"]
    slowed(clips.plain, tmp_path / "normal.mp4", Fraction(1), audio="stretch")
    assert clips.packets(tmp_path / "normal.mp4", "audio") == clips.packets(clips.plain, "audio")
    slowed(clips.plain, tmp_path / "silent.mp4", Fraction(1), audio="drop")
    with av.open(str(tmp_path / "silent.mp4")) as found:
        assert len(found.streams) == 1


def test_unknown_audio_is_refused(clips: SimpleNamespace, tmp_path: Path) -> None:
    with open_source(clips.plain) as source, pytest.raises(OptionError, match="unknown audio 'loud'; choose stretch"):
        open_sink(tmp_path / "x.mp4", source.info, source=source, audio="loud")  # type: ignore[arg-type]
    assert not (tmp_path / "x.mp4").exists()


def test_plan_tells_what_becomes_of_sound(clips: SimpleNamespace, tmp_path: Path) -> None:
    plan: Callable[..., Any] = plan_sink
    with open_source(clips.plain) as source:
        stretched = plan(tmp_path / "x.mp4", source.info, source=source, slower=Fraction(4))
        assert stretched.sound == ("audio #1 (aac, eng) stretched to 4 times its length at its pitch, as aac",)
        assert stretched.copied == ()
        assert plan(tmp_path / "x.mp4", source.info, source=source, audio="drop").sound == ("left out",)
        assert plan(tmp_path / "x.mp4", source.info, source=source).copied == ("audio #1 (aac, eng)",)


# An encoder of subtitles wants to know how they look, though nothing is encoded here.
ASS = b"[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
WORDS = [(100, 500, b"Hello"), (700, 400, b"World")]  # from, for how many milliseconds, what


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_subtitles_and_chapters_go_along(clips: SimpleNamespace, tmp_path: Path, kind: str) -> None:
    picture = clips.make(tmp_path / "picture.mkv", chapters=True)
    source = tmp_path / f"in.{kind}"
    with av.open(str(picture)) as film, av.open(str(source), "w") as out:
        moving = out.add_stream_from_template(film.streams.video[0], opaque=True)
        reading: Any = out.add_stream("mov_text" if kind == "mp4" else "subrip")
        reading.codec_context.time_base = Fraction(1, 1000)
        reading.codec_context.subtitle_header = ASS
        out.set_chapters(film.chapters())
        for begin, length, text in WORDS:
            packet = av.Packet(len(text).to_bytes(2) + text if kind == "mp4" else text)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), reading
            out.mux(packet)
        for shown in film.demux(video=0):
            if shown.size:
                shown.stream = moving
                out.mux(shown)
    slowed(source, tmp_path / f"out.{kind}", Fraction(4))

    def read(path: Path) -> list[tuple[Fraction, Fraction, bytes]]:
        with av.open(str(path)) as found:
            return [
                (p.pts * p.time_base, p.duration * p.time_base, bytes(p))
                for p in found.demux(subtitles=0)
                if p.size and p.pts is not None and bytes(p) != b"\0\0"  # MP4 fills the time between with empty ones
            ]

    before, after = read(source), read(tmp_path / f"out.{kind}")
    assert [text for _, _, text in after] == [text for _, _, text in before]
    assert [(4 * at, 4 * length) for at, length, _ in before] == [(at, length) for at, length, _ in after]
    with av.open(str(tmp_path / f"out.{kind}")) as found:
        chapters = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in found.chapters()]
    assert chapters == [(0, 2), (2, Fraction(24, 5))]


def test_pace() -> None:
    pace = Pace(Fraction(1), Fraction(3))
    assert [pace.at(Fraction(t)) for t in (1, 2, 5)] == [1, 4, 13]
    assert pace.at(Fraction(1, 2)) == 0  # would be before zero
    assert Pace(Fraction(0), Fraction(3)).at(Fraction(-1, 50)) == Fraction(-1, 50)
