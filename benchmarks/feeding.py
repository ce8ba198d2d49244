"""How fast frames come out of files, as planes for the stages: every way of reading that this library has, and ffmpeg.

    python benchmarks/feeding.py [--quick] [--json benchmarks/results/feeding.json]

Clips of the material are encoded anew, as H.264 and as VP9 tagged BT.601, which DALI's own decoders need. One call
opens the file, takes all of its frames and closes it: what a decoder takes to start counts. ffmpeg is the program,
which writes yuv420p into a pipe, made into arrays here. Frames come to the CPU, and to the GPU (rows "on a GPU") where
there is one. What is not there has a row without a figure, and `settings.absent` says why.
They run in turn; ratios are of one round, then median and quartiles.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from clips import material
from peers import ffmpeg, ffmpeg_version
from reelmend.analyze.benchmark import Comparison, Row, alternate, compare, document, table, versions, write
from reelmend.convert import to_host
from reelmend.errors import MissingExtraError, SourceError
from reelmend.media import open_source

CLIPS = {"720p": ("sam2_dog_720p30.mp4", 120), "1080p": ("maxine_talk_1080p30.mp4", 60)}
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "H.264": ("libx264", ".mp4", {"crf": "18", "preset": "medium"}),
    "VP9": ("libvpx-vp9", ".webm", {"crf": "24", "b": "0", "cpu-used": "6", "row-mt": "1"}),
}
FFMPEG, PYAV = "ffmpeg program", "PyAV"

Call = Callable[[], int]


def encoded(folder: Path, size: str, codec: str, count: int) -> Path:
    """A clip of `count` frames in this codec."""
    encoder, suffix, options = CODECS[codec]
    path = folder / f"{size}{suffix}"
    with av.open(str(material() / CLIPS[size][0])) as film, av.open(str(path), "w") as out:
        stream: Any = None
        for number, frame in enumerate(film.decode(video=0)):
            if number == count:
                break
            if stream is None:
                stream = out.add_stream(encoder, rate=30, options=options)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                context = stream.codec_context
                context.color_primaries, context.color_trc, context.colorspace, context.color_range = 5, 6, 5, 1
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 30), 0
            frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = 5, 6, 5, 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def through(open_it: Callable[[], Any]) -> Call:
    """A call that opens a source and takes all frames."""

    def call() -> int:
        count, last = 0, None
        with open_it() as source:
            for frame in source:
                count, last = count + 1, frame
            if last is not None:
                to_host(last)  # on a GPU: once the last one is there, all are
        return count

    return call


def by_ffmpeg(path: Path, width: int, height: int) -> Call:
    """The program, decoding into a pipe; one array a frame, its planes views."""
    size = width * height * 3 // 2
    command = [str(ffmpeg()), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]

    def call() -> int:
        count = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=size) as program:
            assert program.stdout is not None
            while len(data := program.stdout.read(size)) == size:
                flat = np.frombuffer(data, np.uint8)
                luma = flat[: width * height].reshape(height, width)
                count += luma.shape[0] == height
        return count

    return call


def methods(path: Path) -> tuple[dict[str, Call], dict[str, str]]:
    """The ways to read this file that work here, and why others do not."""
    calls: dict[str, Call] = {}
    absent: dict[str, str] = {}
    with open_source(path) as plain:
        width, height = plain.info.width, plain.info.height

    def offer(name: str, open_it: Callable[[], Any], wanted: str = "") -> None:
        try:
            with open_it() as source:
                missed = [f.why for f in source.fallbacks if not wanted or f.wanted == wanted]
        except (MissingExtraError, SourceError) as error:
            missed = [str(error).removeprefix(f"{path}: ")]
        if missed:
            absent[name] = missed[0]
        else:
            calls[name] = through(open_it)

    def dali(decode: str, index: int | None = None) -> Callable[[], Any]:
        def open_it() -> Any:
            from reelmend.media.dali import DaliSource

            return DaliSource(str(path), decode=decode, index=index)  # type: ignore[arg-type]

        return open_it

    offer(PYAV, lambda: open_source(path, decoder="pyav"))
    offer("DALI's own decoder", dali("own"))
    offer("PyAV, carried by DALI", dali("carried"))
    gpu = _why_no_gpu()
    for name, open_it in (
        ("NVDEC by PyAV, on a GPU", lambda: open_source(path, device="cuda")),
        ("PyNvVideoCodec, on a GPU", lambda: open_source(path, device="cuda", decoder="nvcodec")),
        ("DALI's own decoder, on a GPU", dali("own", 0)),
        ("PyAV, carried by DALI, on a GPU", dali("carried", 0)),
    ):
        if gpu:
            absent[name] = gpu
        else:
            offer(name, open_it)
    if ffmpeg():
        calls[FFMPEG] = by_ffmpeg(path, width, height)
    else:
        absent[FFMPEG] = "the program is not installed"
    return calls, absent


def _why_no_gpu() -> str:
    from reelmend.media.hardware import why_no_gpu

    return why_no_gpu(0)


def case(path: Path, name: str, frames: int, rounds: int) -> tuple[list[Row], list[Comparison], dict[str, str]]:
    calls, absent = methods(path)
    for method, call in calls.items():
        if (got := call()) != frames:
            raise RuntimeError(f"{name}: {method} gave {got} frames; expected {frames}")
    taken = alternate(calls, rounds)
    rows = [Row(name, method, {"fps": frames / float(np.median(times))}) for method, times in taken.items()]
    rows += [Row(name, method, {"fps": None}) for method in absent]
    peers = [peer for peer in (FFMPEG, PYAV) if peer in calls]
    comparisons = [compare(name, m, peer, taken) for m in calls for peer in peers if m not in (peer, FFMPEG)]
    return rows, comparisons, absent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of 12 frames")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rounds = 1 if args.quick else 7
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size, (_, count) in CLIPS.items():
            frames = 12 if args.quick else count
            for codec in CODECS:
                name = f"{codec}, {size}"
                found = case(encoded(Path(folder), size, codec, frames), name, frames, rounds)
                rows += found[0]
                comparisons += found[1]
                absent |= {f"{name}: {method}": why for method, why in found[2].items()}
    shown = [[f"{r.case}: {r.method}", "" if (v := r.values["fps"]) is None else f"{v:.1f}"] for r in rows]
    print(table(("case", "frames / s"), shown))
    ratios = [[f"{c.case}: {c.ours} / {c.peer}", f"{c.ratio:.2f} ({c.q1:.2f}-{c.q3:.2f})"] for c in comparisons]
    print(table(("ours / peer", "times as fast"), ratios))
    for what, why in absent.items():
        print(f"absent  {what}: {why}")
    if args.json:
        settings = {
            "rounds": rounds,
            "frames": {size: count for size, (_, count) in CLIPS.items()},
            "clips": {size: clip for size, (clip, _) in CLIPS.items()},
            "absent": absent,
        }
        more = {**ffmpeg_version(), **versions("nvidia-dali-cuda130", "PyNvVideoCodec")}
        write(args.json, document("feeding", rows, comparisons, settings=settings, more_versions=more))


if __name__ == "__main__":
    main()
