"""PyNvVideoCodec: what feeds and muxes for it, run against a stand-in for the card, and the fall back where it is not.

The stand-in has the package's calls and decodes and encodes real video, by PyAV on the CPU. It proves our side:
packets, times, planes, headers. That the package itself behaves so only a card can show: see the tests marked gpu.
"""

from __future__ import annotations

import ctypes
import enum
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from reelmend.errors import MissingExtraError
from reelmend.frame import Frame, Matrix, Primaries, Range, Transfer
from reelmend.media import hardware, nvcodec, open_source
from reelmend.media import nvcodec_encoder as encoding
from reelmend.media.encoders import choose, probe
from reelmend.media.hardware import Unavailable
from reelmend.media.nvcodec import NvcodecSource
from reelmend.restore import restore


class _Lane:
    """Work on the CPU is done when it returns."""

    library = np

    def __init__(self, index: int) -> None:
        pass

    @contextmanager
    def work(self) -> Iterator[None]:
        yield


class _Surface:
    """(rows * 3 / 2, columns), as DLPack, with the time that came with its packet; the decoder writes over it."""

    def __init__(self, both: np.ndarray, pts: int) -> None:
        self._both, self._pts = both, pts

    def getPTS(self) -> int:
        return self._pts

    def __dlpack_device__(self) -> Any:
        return self._both.__dlpack_device__()

    def __dlpack__(self, stream: Any = 0) -> Any:
        return self._both.__dlpack__()


class _Decoder:
    def __init__(self, codec: str) -> None:
        self._context: Any = av.CodecContext.create(codec, "r")
        self._given: list[np.ndarray] = []

    def Decode(self, data: Any) -> list[_Surface]:
        for old in self._given:
            old[...] = 0
        packet = None
        if data.bsl:
            packet = av.Packet(ctypes.string_at(data.bsl_data, data.bsl))
            packet.pts, packet.time_base = data.pts, Fraction(1, 1000)
        surfaces = []
        for frame in self._context.decode(packet):
            nv12 = frame.reformat(format="nv12" if "10" not in frame.format.name else "p010le", threads=1)
            rows = [np.from_dlpack(p) for p in nv12.planes]
            both = np.concatenate([rows[0], rows[1].reshape(rows[1].shape[0], -1)])
            surfaces.append(_Surface(both, frame.pts))
        self._given = [s._both for s in surfaces]
        return surfaces


class _Encoder:
    """x264 with a delay of three frames."""

    def __init__(self, width: int, height: int, form: str, host: bool, **options: Any) -> None:
        assert (form, options["bf"], options["codec"]) == ("NV12", "0", "h264")
        self._context: Any = av.CodecContext.create("libx264", "w")
        self._context.width, self._context.height, self._context.pix_fmt = width, height, "yuv420p"
        self._context.time_base, self._context.framerate = Fraction(1, 1000), Fraction(25)
        self._context.options = {"bf": "0", "qp": options["constqp"], "rc-lookahead": "3", "preset": "ultrafast"}
        self._host = host

    def Encode(self, picture: Any, told: Any) -> list[dict[str, Any]]:
        if self._host:
            both = picture
        else:
            luma, chroma = picture.cuda()
            both = _at(luma, luma), _at(luma, chroma)
            both = np.concatenate([both[0][:, :, 0], both[1].reshape(both[1].shape[0], -1)])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(both), "nv12").reformat(format="yuv420p", threads=1)
        frame.pts = told.inputTimeStamp
        return self._told(self._context.encode(frame))

    def EndEncode(self) -> list[dict[str, Any]]:
        return self._told(self._context.encode(None))

    def _told(self, packets: Any) -> list[dict[str, Any]]:
        return [{"data": bytes(p), "timestamp": p.pts, "picture_type": 3 if p.is_keyframe else 0} for p in packets]


def _at(_: Any, plane: Any) -> np.ndarray:
    told = plane.__cuda_array_interface__
    size = int(np.prod(told["shape"]))
    flat = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(told["data"][0]))
    return np.lib.stride_tricks.as_strided(flat, told["shape"], told["strides"])


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """PyNvVideoCodec on a machine with a card, as far as this library sees it."""
    module = ModuleType("PyNvVideoCodec")
    codecs = {"H264": "h264", "HEVC": "hevc", "VP9": "vp9", "VP8": "vp8", "AV1": "av1"}
    module.cudaVideoCodec = enum.Enum("cudaVideoCodec", codecs)  # type: ignore[attr-defined]
    module.PacketData = SimpleNamespace  # type: ignore[attr-defined]
    module.NV_ENC_PIC_PARAMS = SimpleNamespace  # type: ignore[attr-defined]
    module.CreateEncoder = _Encoder  # type: ignore[attr-defined]
    module.CreateDecoder = lambda **options: _Decoder(options["codec"].value)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", module)
    for room in (hardware, nvcodec):
        monkeypatch.setattr(room, "why_no_gpu", lambda index: "")
    for room in (nvcodec, encoding):
        monkeypatch.setattr(room, "Lane", _Lane)
    nvcodec.nvcodec.cache_clear()
    probe.cache_clear()
    yield module
    nvcodec.nvcodec.cache_clear()
    probe.cache_clear()


def read(source: Any) -> list[Frame]:
    with source:
        return list(source)


def same(ours: list[Frame], theirs: list[Frame]) -> None:
    assert [(f.time, f.duration) for f in ours] == [(f.time, f.duration) for f in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.format, a.colour) == (b.format, b.colour)
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize(
    ("codec", "fmt", "name", "options"),
    [
        ("libx264", "yuv420p", "a.mp4", {"bf": "3", "g": "7"}),
        ("libx264", "yuv420p", "a.ts", {"bf": "2"}),
        ("libx265", "yuv420p10le", "a.mkv", {"x265-params": "log-level=none:bframes=3"}),
        ("libvpx-vp9", "yuv420p", "a.webm", {"cpu-used": "8"}),
    ],
)
def test_pictures_and_times_are_those_of_the_cpu(
    card: ModuleType, clips: SimpleNamespace, tmp_path: Path, codec: str, fmt: str, name: str, options: dict[str, str]
) -> None:
    path = clips.make(tmp_path / name, codec=codec, fmt=fmt, frames=20, options=options)
    source = open_source(path, device="cuda", decoder="nvcodec")
    assert source.fallbacks == ()
    assert source.decoder == "NVDEC of GPU 0, by PyNvVideoCodec; frames stay there"
    ours = read(source)
    assert source.problem is None
    same(ours, read(open_source(path)))


def test_uneven_times_go_through(card: ModuleType, clips: SimpleNamespace, tmp_path: Path) -> None:
    pts = [7, 40, 80, 133, 200, 210, 300, 317, 350]
    tick = Fraction(1, 1000)
    path = clips.make(tmp_path / "a.mkv", frames=len(pts), pts=pts, time_base=tick, options={"bf": "2"})
    ours = read(open_source(path, device="cuda", decoder="nvcodec"))
    assert [f.time for f in ours] == [at * tick for at in pts]
    same(ours, read(open_source(path)))


def test_other_streams_come_from_the_demuxer(card: ModuleType, clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", audio=1, chapters=True, frames=20)
    out = tmp_path / "out.mkv"
    with open_source(path, device="cuda", decoder="nvcodec") as source:
        assert [s.type for s in source.streams] == ["audio"]
        assert len(source.chapters) == 2
        packets: list[Any] = []
        source.attach(packets.append)
        assert len(list(source)) == 20
    assert len(packets) >= len(clips.packets(path, "audio"))
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"size": (97, 65), "codec": "ffv1"}, "does not decode ffv1"),
        ({"fmt": "yuv444p"}, "this video is yuv444p"),
        ({"codec": "mpeg2video"}, "does not decode mpeg2video"),
    ],
)
def test_what_it_cannot_do_goes_to_the_cpu_and_is_said(
    card: ModuleType, clips: SimpleNamespace, tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=4, **options)
    with open_source(path, device="cuda", decoder="nvcodec") as source:
        (fallback,) = source.fallbacks
        assert (fallback.wanted, fallback.used) == ("PyNvVideoCodec", "PyAV on the CPU")
        assert why in fallback.why
        assert len(list(source)) == 4


def test_it_needs_a_gpu_for_its_frames(clips: SimpleNamespace) -> None:
    with open_source(clips.plain, decoder="nvcodec") as source:
        assert source.fallbacks[0].why == "it gives frames on a GPU, and the device is cpu"


def test_without_the_package_the_extra_is_named(clips: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    nvcodec.nvcodec.cache_clear()
    with pytest.raises(MissingExtraError, match=r"reelmend\[nvcodec\]"):
        open_source(clips.plain, device="cuda", decoder="nvcodec")


def test_a_package_without_its_driver_is_a_fallback(
    clips: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises RuntimeError on import, with many lines; the first one tells."""
    said = "Failed to load NVENC library: libnvidia-encode.so.1: cannot open shared object file"
    (tmp_path / "PyNvVideoCodec.py").write_text(f"raise RuntimeError({said!r} + chr(10) + 'TROUBLESHOOTING')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "PyNvVideoCodec", raising=False)
    nvcodec.nvcodec.cache_clear()
    with open_source(clips.plain, device="cuda", decoder="nvcodec") as source:
        assert source.fallbacks[0].why == f"PyNvVideoCodec does not start: {said}"
        assert len(list(source)) == 30
    with pytest.raises(Unavailable, match="libnvidia-encode"):
        NvcodecSource(str(clips.plain))


def test_the_encoder_is_tried_and_replaced_aloud(clips: SimpleNamespace, tmp_path: Path) -> None:
    probe.cache_clear()
    nvcodec.nvcodec.cache_clear()
    if not probe("h264_nvcodec", "yuv420p"):
        pytest.skip("this machine has NVENC")
    with open_source(clips.plain) as source:
        choice = choose("mp4", source.info, "nvcodec")
    assert choice.name in ("nvenc", "x264")
    assert any(note.startswith("nvcodec (h264_nvcodec, yuv420p) not used: ") for note in choice.notes)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_its_packets_become_a_film(card: ModuleType, clips: SimpleNamespace, tmp_path: Path, container: str) -> None:
    """Header, times, key frames, colours and sound, from bare H.264."""
    pts = [0, 40, 80, 133, 200, 210, 300, 317, 350, 401, 450, 503]
    path = clips.make(
        tmp_path / "in.mkv", frames=len(pts), pts=pts, time_base=Fraction(1, 1000), audio=1, colour=(9, 16, 9, 2),
        aspect=Fraction(4, 3),
    )  # fmt: skip
    out = tmp_path / f"out.{container}"
    result = restore(path, out, stages=[], encoder="nvcodec", crf=10)
    assert result.encoder == "nvcodec (h264_nvcodec), yuv420p"
    assert result.frames_out == len(pts)
    assert clips.times(out) == [Fraction(at, 1000) for at in pts]
    assert clips.packets(out, "audio") == clips.packets(path, "audio")
    with open_source(out) as ours, open_source(path) as theirs:
        colour = ours.info.colour
        assert (colour.primaries, colour.transfer) == (Primaries.BT2020, Transfer.PQ)
        assert (colour.matrix, colour.range) == (Matrix.BT2020_NCL, Range.FULL)
        assert ours.info.sample_aspect_ratio == Fraction(4, 3)
        for a, b in zip(ours, theirs, strict=True):
            assert float(np.abs(a.planes[0].astype(int) - b.planes[0]).mean()) < 2
    with av.open(str(out)) as film:
        keys = [p.is_keyframe for p in film.demux(video=0) if p.size]
    assert keys[0]
    assert not all(keys)


def test_frames_on_the_gpu_are_joined_for_it(
    card: ModuleType, clips: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Held(np.ndarray):
        """NumPy's memory, told of as a GPU's is."""

        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return {"data": (self.ctypes.data, False)}

    library = SimpleNamespace(__name__="fake", empty=lambda *a, **k: np.empty(*a, **k).view(Held))
    monkeypatch.setattr(_Lane, "library", library)
    options = {"rc": "constqp", "constqp": "4", "bf": "0"}
    with open_source(clips.plain) as source:
        frames = list(source)
        encoder = encoding.NvcodecEncoder(source.info, options, frames[0], on_gpu=True)
        tick = Fraction(1, 25)
        packets = [p for k, f in enumerate(frames) for p in encoder.encode(f, 3 * k, 3, tick, f.colour)]
        packets += encoder.flush(tick)
    assert [p.pts for p in packets] == [3 * k for k in range(30)]
    assert [p.dts for p in packets] == [p.pts for p in packets]
    decoder: Any = av.CodecContext.create("h264", "r")
    pictures = [f for p in [*packets, None] for f in decoder.decode(p)]
    for ours, theirs in zip(pictures, frames, strict=True):
        luma = ours.to_ndarray()[: theirs.height]
        assert float(np.abs(luma.astype(int) - theirs.planes[0]).mean()) < 1


@pytest.mark.gpu
@pytest.mark.extra("nvcodec")
def test_the_real_decoder(cuda: Any, clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", size=(320, 240), frames=20, options={"bf": "2"})
    with open_source(path, device="cuda", decoder="nvcodec") as source, open_source(path) as plain:
        if source.fallbacks:
            pytest.skip(str(source.fallbacks[0]))
        for a, b in zip(source, plain, strict=True):
            assert a.time == b.time
            assert all(np.array_equal(cuda.get(p), q) for p, q in zip(a.planes, b.planes, strict=True))


@pytest.mark.gpu
@pytest.mark.extra("nvcodec")
def test_the_real_encoder(cuda: Any, clips: SimpleNamespace, tmp_path: Path) -> None:
    why = encoding.nvcodec_why_not(320, 240)
    if why:
        pytest.skip(why)
    path = clips.make(tmp_path / "a.mp4", size=(320, 240), frames=20)
    out = tmp_path / "out.mp4"
    result = restore(path, out, stages=[], encoder="nvcodec", device="cuda")
    assert result.encoder.startswith("nvcodec")
    assert clips.times(out) == clips.times(path)
