"""Frames that stay on a GPU: how planes are parted and joined, what is refused before trying, and the fall back."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from reelmend.errors import OptionError
from reelmend.frame import PixelFormat, VideoInfo
from reelmend.media import hardware, open_source
from reelmend.media.encoders import choose
from reelmend.media.hardware import CudaSource, Surface, Unavailable, joined, parted, why_not_decoded, within

SURFACE = [("yuv420p", "nv12", False), ("yuv420p10le", "p010le", True)]


def planes_of(frame: av.VideoFrame, depth: int) -> list[np.ndarray]:
    dtype = np.uint8 if depth == 8 else np.uint16
    rows = [np.frombuffer(p, dtype).reshape(p.height, p.line_size // np.dtype(dtype).itemsize) for p in frame.planes]
    return [r[:, : p.width] for r, p in zip(rows, frame.planes, strict=True)]


def surface(frame: av.VideoFrame) -> list[np.ndarray]:
    """A decoder's two arrays, by DLPack as they come from a GPU."""
    return [np.from_dlpack(Surface(plane)) for plane in frame.planes]


@pytest.mark.parametrize(("planar", "interleaved", "deep"), SURFACE)
def test_surfaces_are_parted_as_swscale_does(clips: SimpleNamespace, planar: str, interleaved: str, deep: bool) -> None:
    picture = clips.picture(3, 98, 66, planar)
    luma, chroma = surface(picture.reformat(format=interleaved, threads=1))
    assert chroma.shape == (33, 49, 2)
    ours = parted(luma, chroma, deep, np)
    for a, b in zip(ours, planes_of(picture, 10 if deep else 8), strict=True):
        assert np.array_equal(a, b)
        assert a.flags.c_contiguous
        assert not np.shares_memory(a, luma)
        assert not np.shares_memory(a, chroma)


@pytest.mark.parametrize(("planar", "interleaved", "deep"), SURFACE)
def test_planes_are_joined_as_swscale_does(clips: SimpleNamespace, planar: str, interleaved: str, deep: bool) -> None:
    picture = clips.picture(3, 98, 66, planar)
    both = joined(tuple(planes_of(picture, 10 if deep else 8)), deep, np)
    assert both.shape == (99, 98)
    luma, chroma = surface(picture.reformat(format=interleaved, threads=1))
    assert np.array_equal(both[:66], luma)
    assert np.array_equal(both[66:].reshape(33, 49, 2), chroma)


@pytest.mark.extra("train")
@pytest.mark.parametrize(("planar", "interleaved", "deep"), SURFACE)
def test_torch_holds_the_same(clips: SimpleNamespace, planar: str, interleaved: str, deep: bool) -> None:
    import torch

    rng = np.random.default_rng(0)
    top = 1024 if deep else 256
    dtype = np.uint16 if deep else np.uint8
    planes = [rng.integers(0, top, shape).astype(dtype) for shape in ((66, 98), (33, 49), (33, 49))]
    both = joined(tuple(torch.from_numpy(p) for p in planes), deep, torch)
    assert np.array_equal(both.numpy(), joined(tuple(planes), deep, np))
    ours = parted(both[:66], both[66:].reshape(33, 49, 2), deep, torch)
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(ours, planes, strict=True))


@pytest.mark.parametrize(
    ("codec", "form", "size", "why"),
    [
        ("h264", "yuv420p", (96, 64), ""),
        ("hevc", "yuv420p10", (96, 64), ""),
        ("rawvideo", "yuv420p", (96, 64), "does not decode rawvideo"),
        ("h264", "yuv444p", (96, 64), "this video is yuv444p"),
        ("h264", "yuv420p", (97, 64), "last column or row of 97x64"),
    ],
)
def test_what_is_refused_before_it_is_tried(codec: str, form: str, size: tuple[int, int], why: str) -> None:
    found = why_not_decoded(VideoInfo(*size, PixelFormat.parse(form)), codec)
    assert (found == "") if not why else (why in found)


def test_a_decoder_that_hangs_is_given_up() -> None:
    with pytest.raises(Unavailable, match=r"no picture within 0\.05 s"):
        within(0.05, lambda: time.sleep(0.5))
    assert within(5, lambda: 7) == 7

    def broken() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        within(5, broken)


@pytest.fixture
def no_gpu() -> str:
    """Why there is no GPU; skips where there is one."""
    why = hardware.why_no_gpu(0)
    if not why:
        pytest.skip("this machine has a GPU")
    return why


def test_without_a_gpu_the_cpu_decodes_and_it_is_said(clips: SimpleNamespace, tmp_path: Path, no_gpu: str) -> None:
    with open_source(clips.plain, device="cuda") as source, open_source(clips.plain) as plain:
        (fallback,) = source.fallbacks
        assert (fallback.wanted, fallback.used) == ("NVDEC by PyAV", "PyAV on the CPU")
        assert no_gpu in fallback.why
        for a, b in zip(source, plain, strict=True):
            assert a.time == b.time
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
    from reelmend.restore import plan_restore

    text = str(plan_restore(clips.plain, tmp_path / "out.mp4", stages=[], device="cuda"))
    assert "decoder  PyAV on the CPU\n" in text
    assert "fallback PyAV on the CPU instead of NVDEC by PyAV: " in text


def test_pyav_by_name_is_the_cpu_and_no_fallback(clips: SimpleNamespace) -> None:
    with open_source(clips.plain, device="cuda:3", decoder="pyav") as source:
        assert source.fallbacks == ()
        assert not next(source).on_gpu


def test_folders_have_one_way_to_be_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.png"), "w", format="image2", options={"update": "1"}) as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "rgb24"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 32, 3), np.uint8), "rgb24")))
        out.mux(stream.encode(None))
    with open_source(tmp_path, device="cuda") as source:
        assert [f.why for f in source.fallbacks] == ["it is tried on files only"]
    with open_source(tmp_path, decoder="dali") as source:
        assert [f.wanted for f in source.fallbacks] == ["DALI"]
    with open_source(tmp_path) as source:
        assert source.fallbacks == ()


@pytest.mark.parametrize(("option", "value"), [("device", "tpu"), ("device", "cuda:x"), ("decoder", "vlc")])
def test_bad_words(clips: SimpleNamespace, option: str, value: str) -> None:
    with pytest.raises(OptionError, match=value):
        open_source(clips.plain, **{option: value})


def test_nvdec_that_does_not_start_says_so(
    clips: SimpleNamespace, no_gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real call into FFmpeg's CUDA, which has no driver here."""
    monkeypatch.setattr(hardware, "Lane", lambda index: None)
    with pytest.raises(Unavailable, match="NVDEC did not start"):
        CudaSource(str(clips.plain))


def test_nvenc_for_frames_on_a_gpu_falls_back(no_gpu: str) -> None:
    assert no_gpu in hardware.nvenc_why_not("h264_nvenc", "nv12", 0)
    choice = choose("mp4", VideoInfo(96, 64), "nvenc", index=0)
    assert choice.index is None
    assert choice.name == "x264"
    assert any("NVENC" in note for note in choice.notes)


def test_a_gpu_changes_nothing_for_encoders_of_the_cpu() -> None:
    assert choose("mp4", VideoInfo(96, 64), "x264", index=0) == choose("mp4", VideoInfo(96, 64), "x264")


# -- on a GPU -----------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("codec", "fmt", "options"),
    [("libx264", "yuv420p", {"bf": "2"}), ("libx265", "yuv420p10le", {"x265-params": "log-level=none"})],
)
def test_nvdec_gives_the_samples_of_the_cpu(
    cuda: Any, clips: SimpleNamespace, tmp_path: Path, codec: str, fmt: str, options: dict[str, str]
) -> None:
    """H.264 and HEVC define their output to the bit."""
    path = clips.make(tmp_path / "a.mkv", size=(320, 240), codec=codec, fmt=fmt, frames=20, options=options)
    with open_source(path, device="cuda") as source, open_source(path) as plain:
        if source.fallbacks:
            pytest.skip(str(source.fallbacks[0]))
        for a, b in zip(source, plain, strict=True):
            assert a.on_gpu
            assert (a.time, a.format, a.colour) == (b.time, b.format, b.colour)
            assert all(np.array_equal(cuda.get(p), q) for p, q in zip(a.planes, b.planes, strict=True))


@pytest.mark.gpu
def test_nvenc_takes_frames_where_they_are(cuda: Any, clips: SimpleNamespace, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", size=(320, 240), frames=20, audio=1, options={"bf": "2"})
    why = hardware.nvenc_why_not("h264_nvenc", "nv12", 0)
    if why:
        pytest.skip(why)
    from reelmend.restore import restore

    out = tmp_path / "out.mp4"
    result = restore(path, out, stages=[], device="cuda", encoder="nvenc")
    assert "from frames on GPU 0" in result.encoder
    assert clips.times(out) == clips.times(path)


@pytest.mark.gpu
def test_a_lane_waits_and_is_done(cuda: Any) -> None:
    lane = hardware.Lane(0)
    x = cuda.put(np.arange(1 << 20, dtype=np.int32))
    for _ in range(50):
        x = x + 1
    with lane.work():
        y = x * 2
    assert np.array_equal(cuda.get(y), (np.arange(1 << 20) + 50) * 2)
