"""How fast flicker is removed, and in how much memory, against FFmpeg's deflicker and tmidequalizer.

    python benchmarks/deflicker_speed.py [--quick] [--json benchmarks/results/deflicker_speed.json]

stage    1080p yuv420p frames already in memory, in this process: our stage by push(), the filters by PyAV's
         libavfilter graph (push, pull). Steady state: windows are full before the clock starts. No copies in or out.
         The frames flicker as a whole; "tones alone" does not look for bands and patches; "all cures" has frames that
         need every one.
program  the filters alone in the ffmpeg program: `-f rawvideo -i FILE -vf FILTER -f null -` minus the same with
         `-vf null`, in the same round. Left out where there is no ffmpeg program.
file     a 1080p H.264 clip with sound to another: `restore` in a fresh Python against one ffmpeg command, both with
         libx264, the same crf, preset and threads, sound copied. Start-up counts. The two builds of x264 differ (PyAV's
         wheel, the program's), and film without flicker takes fewer bits and less time to encode: the two `null` rows
         decode and encode only, and output_mib is the size of what came out.
memory   peak resident memory of a fresh Python restoring 1,000 and 10,000 frames of 640x360.
Peers run in turn with ours (A B, B A ...); ratios are of one round, then median and quartiles.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from peers import Yuv, as_frame, ffmpeg, ffmpeg_version, pictures, to_yuv
from reelmend.analyze.benchmark import Comparison, Row, alternate, compare, document, table, write
from reelmend.analyze.clip import demo_flicker, write_clip
from reelmend.analyze.degrade import Flicker, make
from reelmend.analyze.scenes import Film
from reelmend.frame import Frame

WIDTH, HEIGHT = 1920, 1080
FILTERS = ("deflicker", "tmidequalizer")
MODES = ("film", "low", "live")
CODEC = {"crf": 20, "preset": "veryfast"}

RESTORE = """
import sys
from reelmend.restore import restore
from reelmend.stages.deflicker import Deflicker
stages = [] if "null" in sys.argv[4:] else [Deflicker(mode="film")]
restore(sys.argv[1], sys.argv[2], stages=stages, overwrite=True, **eval(sys.argv[3]))
"""


def stock(count: int = 48, *, every_kind: bool = False) -> list[Yuv]:
    """Flickering 1080p frames of one shot."""
    film = Film(2 * count, width=WIDTH, height=HEIGHT)
    flicker: Flicker = demo_flicker()
    if every_kind:
        flicker = make("gain_gamma+bands+local", strength=0.5, fps=30.0)
    return [to_yuv(flicker.apply(film[t], t)) for t in range(count)]


def endless(frames: list[Yuv]) -> Iterator[Frame]:
    t = 0
    while True:
        yield as_frame(frames[t % len(frames)], t)
        t += 1


def ours(mode: str, frames: list[Yuv], count: int, **options: Any) -> Callable[[], None]:
    """A call that pushes `count` frames into a running stage."""
    from reelmend.stages.deflicker import Deflicker
    from reelmend.stream import Stream

    stream, source = Stream([Deflicker(mode=mode, **options)]), endless(frames)  # type: ignore[arg-type]
    for _ in range(130):  # past and look-ahead of every mode are full
        stream.push(next(source))

    def call() -> None:
        for _ in range(count):
            stream.push(next(source))

    return call


def theirs(name: str, frames: list[Yuv], count: int) -> Callable[[], None]:
    """A call that pushes `count` frames through a running filter graph. Frames lie in FFmpeg's memory already."""
    ready = list(pictures(frames))
    graph = av.filter.Graph()
    first = ready[0]
    source = graph.add_buffer(width=WIDTH, height=HEIGHT, format=first.format, time_base=first.time_base)
    middle, sink = graph.add(name), graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    at = 0

    def push() -> None:
        nonlocal at
        frame = ready[at % len(ready)]
        frame.pts = at
        at += 1
        graph.push(frame)
        try:
            graph.pull()
        except av.BlockingIOError:
            return

    for _ in range(20):
        push()

    def call() -> None:
        for _ in range(count):
            push()

    return call


def stage(quick: bool, folder: Path) -> tuple[list[Row], list[Comparison]]:
    count, rounds = (24, 3) if quick else (72, 9)
    frames = stock()
    calls = {f"reelmend {mode}": ours(mode, frames, count) for mode in MODES}
    calls["reelmend film, tones alone"] = ours("film", frames, count, cures=("tones",))
    calls["reelmend film, all cures"] = ours("film", stock(every_kind=True), count)
    calls |= {f"ffmpeg {name}": theirs(name, frames, count) for name in FILTERS}
    taken = alternate(calls, rounds, floor=0)
    case = "stage, 1080p frames in memory"
    rows = [Row(case, name, {"fps": count / float(np.median(seconds))}) for name, seconds in taken.items()]
    pairs = [(f"reelmend {m}", f"ffmpeg {f}") for m in (*MODES, "film, all cures") for f in FILTERS]
    pairs.append(("reelmend film", "reelmend film, tones alone"))
    return rows, [compare(case, a, b, taken) for a, b in pairs]


def command(*args: str) -> None:
    subprocess.run(args, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def program(quick: bool, folder: Path) -> tuple[list[Row], list[Comparison]]:
    """The filters in the ffmpeg program, reading and start-up taken off; ours beside them in the same rounds."""
    exe = ffmpeg()
    if exe is None:
        return [], []
    frames = stock()
    raw = folder / "frames.yuv"
    with raw.open("wb") as file:
        for yuv in frames:
            file.write(yuv.tobytes())
    loops, rounds = (1, 2) if quick else (4, 5)
    count = len(frames) * (loops + 1)
    head = [exe, "-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}"]
    head += ["-stream_loop", str(loops), "-i", str(raw)]

    def filtering(name: str) -> Callable[[], None]:
        return lambda: command(*head, "-vf", name, "-f", "null", "-")

    calls: dict[str, Callable[[], None]] = {"null": filtering("null")}
    calls |= {f"ffmpeg {name}": filtering(name) for name in FILTERS}
    calls["reelmend film"] = ours("film", frames, count)
    taken = alternate(calls, rounds, floor=0)
    for name in FILTERS:
        key = f"ffmpeg {name}"
        taken[key] = [max(a - b, 1e-6) for a, b in zip(taken[key], taken["null"], strict=True)]
    case = "ffmpeg program, filter alone, 1080p"
    rows = [Row(case, key, {"fps": count / float(np.median(taken[key]))}) for key in calls if key != "null"]
    return rows, [compare(case, "reelmend film", f"ffmpeg {f}", taken) for f in FILTERS]


def file(quick: bool, folder: Path) -> tuple[list[Row], list[Comparison]]:
    source = folder / "in.mp4"
    film = write_clip(source, 2 if quick else 8, width=WIDTH, height=HEIGHT, crf=14, preset="ultrafast")
    threads = len(os.sched_getaffinity(0))
    options = {"encoder": "x264", **CODEC}

    def restored(kind: str) -> Callable[[], None]:
        out = str(folder / f"reelmend {kind}.mp4")
        return lambda: command(sys.executable, "-c", RESTORE, str(source), out, repr(options), kind)

    calls: dict[str, Callable[[], None]] = {f"reelmend {kind}": restored(kind) for kind in ("film", "null")}
    exe = ffmpeg()

    def transcoded(name: str) -> Callable[[], None]:
        tail = ["-c:v", "libx264", "-crf", str(CODEC["crf"]), "-preset", str(CODEC["preset"]), "-threads", str(threads)]
        begin = [str(exe), "-nostdin", "-v", "error", "-y", "-i", str(source), "-vf", name]
        return lambda: command(*begin, *tail, "-c:a", "copy", str(folder / f"ffmpeg {name}.mp4"))

    if exe is not None:
        calls |= {f"ffmpeg {name}": transcoded(name) for name in (*FILTERS, "null")}
    taken = alternate(calls, 1 if quick else 5, floor=0)
    case = "file to file, 1080p H.264 with sound"
    rows = []
    for name, seconds in taken.items():
        middle = float(np.median(seconds))
        size = (folder / f"{name}.mp4").stat().st_size / 2**20
        rows.append(Row(case, name, {"fps": film.frames / middle, "s": middle, "output_mib": size}))
    ratios = [compare(case, "reelmend film", name, taken) for name in calls if name != "reelmend film"]
    if exe is not None:
        ratios.append(compare(case, "reelmend null", "ffmpeg null", taken))
    return rows, ratios


def peak_rss(*args: str) -> float:
    """Peak resident memory of a Python program given as arguments of `python -c`, MiB."""
    # ru_maxrss of a child counts its parent's memory at the fork as well; VmHWM starts anew with the program
    last = "\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    done = subprocess.run(
        [sys.executable, "-c", args[0] + last, *args[1:]], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    return int(done.stdout.split()[-1]) / 1024


def memory(quick: bool, folder: Path) -> list[Row]:
    lengths = (100, 1000) if quick else (1000, 10_000)
    rows = []
    for frames in lengths:
        source = folder / f"long{frames}.mp4"
        write_clip(source, frames / 24, width=640, height=360, preset="ultrafast", crf=28)
        start = time.perf_counter()
        options = {"encoder": "x264", "crf": 28, "preset": "ultrafast"}
        peak = peak_rss(RESTORE, str(source), str(folder / "long.mp4"), repr(options))
        taken = time.perf_counter() - start
        rows.append(Row(f"memory, {frames:,} frames of 640x360", "reelmend film", {"mib": peak, "fps": frames / taken}))
    ratio = (rows[1].values["mib"] or 0) / (rows[0].values["mib"] or 1)
    rows.append(Row("memory, long over short", "reelmend film", {"ratio": ratio}))
    return rows


def run(quick: bool) -> dict[str, Any]:
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="reelmend-", dir=shm if shm.is_dir() else None) as name:
        folder = Path(name)
        for part in (stage, program, file):
            more, ratios = part(quick, folder)
            rows += more
            comparisons += ratios
        rows += memory(quick, folder)
    settings = {"width": WIDTH, "height": HEIGHT, "format": "yuv420p", "codec": CODEC, "quick": quick}
    return document("deflicker_speed", rows, comparisons, settings=settings, more_versions=ffmpeg_version())


def show(result: dict[str, Any]) -> str:
    values = [
        [f"{r['case']} / {r['method']}", "  ".join(f"{v:.4g} {k}" for k, v in r["values"].items())]
        for r in result["rows"]
    ]
    ratios = [
        [f"{c['case']}: {c['ours']} / {c['peer']}", f"{c['ratio']:.2f}", f"{c['q1']:.2f}-{c['q3']:.2f}", str(c["runs"])]
        for c in result["comparisons"]
    ]
    return (
        table(("case / method", "measured"), values)
        + "\n\n"
        + table(("speed ratio", "median", "quartiles", "runs"), ratios)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and short runs (about a minute)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = run(args.quick)
    print(show(result))
    if args.json:
        write(args.json, result)


if __name__ == "__main__":
    main()
