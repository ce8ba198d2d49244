"""How fast frames are made between frames, to twice the rate, against FFmpeg's minterpolate, and in how much memory.

    python benchmarks/interpolate_speed.py [--quick] [--json benchmarks/results/interpolate_speed.json]

stage    yuv420p frames of a real clip already in memory, in this process: our stage by push(), minterpolate by PyAV's
         libavfilter graph (push, pull). Steady state. Frames that come out are counted, made or not.
second   a new frame of a pair, and a second one of it: what a pair takes at twice the rate, and how much more at three
         times.
memory   bytes of arrays a running stage holds at most (tracemalloc, which NumPy reports to), beside what its plan says;
         without the frames held to find repeats, which come where repeats do.
Peers run in turn with ours; ratios are of one round, then median and quartiles.
"""

from __future__ import annotations

import argparse
import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from interpolate_quality import MINTERPOLATE, load
from peers import Yuv, as_frame, filtered, pictures
from reelmend.analyze.benchmark import Comparison, Row, alternate, compare, document, table, write

OURS: dict[str, dict[str, Any]] = {
    "sample": {"method": "sample"},
    "blend": {"method": "blend"},
    "memc": {"method": "memc"},
    "flow": {"method": "flow"},
    "fast": {"method": "fast"},
}
PAIRS = {"sample": 240, "blend": 120, "fast": 12}  # pairs a round; else 48
THEIRS = 8


def ours(frames: list[Yuv], pairs: int, factor: int = 2, **options: Any) -> Callable[[], None]:
    """A call that pushes `pairs` frames into a running stage."""
    from reelmend.stages.interpolate import Interpolate
    from reelmend.stream import Stream

    # to and fro, so that motion never jumps
    order = itertools.cycle([*frames, *frames[-2:0:-1]])
    stream, count = Stream([Interpolate(factor=factor, **options)]), itertools.count()
    for _ in range(8):
        stream.push(as_frame(next(order), next(count)))

    def call() -> None:
        for _ in range(pairs):
            stream.push(as_frame(next(order), next(count)))

    return call


def theirs(frames: list[Yuv], pairs: int, options: str) -> Callable[[], None]:
    """A call that takes 2 * pairs frames out of a running graph."""
    ready = list(pictures(frames, 1))

    def endless() -> Any:
        for t, frame in enumerate(itertools.cycle([*ready, *ready[-2:0:-1]])):
            frame.pts = t
            yield frame

    out = filtered(endless(), "minterpolate", f"fps=2:{options}")
    for _ in range(8):
        next(out)

    def call() -> None:
        for _ in range(2 * pairs):
            next(out)

    return call


def smaller(frames: list[Yuv], width: int, height: int) -> list[Yuv]:
    return [f.reformat(width, height).to_ndarray() for f in pictures(frames, 1)]


def second(frames: list[Yuv], size: str, method: str, rounds: int) -> Row:
    """What a first and a second frame of a pair take."""
    pairs = PAIRS.get(method, 48)
    calls = {str(n): ours(frames, pairs, n, method=method) for n in (2, 3)}
    taken = {n: 1e3 * float(np.median(t)) / pairs for n, t in alternate(calls, rounds).items()}
    more = taken["3"] - taken["2"]
    values = {"first_ms": taken["2"], "second_ms": more, "part": more / taken["2"]}
    return Row(f"a second frame of a pair, {size}", method, values)


def stage(frames: list[Yuv], size: str, rounds: int) -> tuple[list[Row], list[Comparison]]:
    calls: dict[str, Callable[[], None]] = {}
    pairs: dict[str, int] = {}
    for name, options in OURS.items():
        pairs[name] = PAIRS.get(name, 48)
        calls[name] = ours(frames, pairs[name], **options)
    for name, options_text in MINTERPOLATE.items():
        pairs[name] = THEIRS
        calls[name] = theirs(frames, THEIRS, options_text)
    taken = {n: [t / pairs[n] for t in times] for n, times in alternate(calls, rounds).items()}
    case = f"stage, {size} to twice the rate"
    rows = [
        Row(case, n, {"fps": 2 / float(np.median(t)), "ms_per_pair": 1e3 * float(np.median(t))})
        for n, t in taken.items()
    ]
    comparisons = [compare(case, n, peer, taken) for n in OURS for peer in MINTERPOLATE]
    return rows, comparisons


def memory(width: int, height: int, method: str) -> Row:
    """Peak bytes of arrays against the plan's, for moving noise of this size."""
    from reelmend.stages.interpolate import Interpolate
    from reelmend.stream import Stream

    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (height * 3 // 2, width + 64), np.uint8)
    stream = Stream([Interpolate(factor=2, method=method, repeats="keep")])  # type: ignore[arg-type]
    tracemalloc.start()
    for t in range(8):
        stream.push(as_frame(np.ascontiguousarray(wide[:, 4 * t : 4 * t + width]), t))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    planned = stream.plan.memory
    return Row(f"memory, {width}x{height}", method, {"mib": peak / 2**20, "planned_mib": planned / 2**20})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round, small memory cases")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rounds = 1 if args.quick else 5
    dog = load("dog", 61)[0][::2]
    rows, comparisons = stage(dog, "720p", rounds)
    if not args.quick:
        for frames, size in ((smaller(dog, 640, 360), "640x360"), (load("talk", 61)[0][::2], "1080p")):
            more = stage(frames, size, 3)
            rows, comparisons = rows + more[0], comparisons + more[1]
    rows += [second(dog, "720p", method, rounds) for method in ("flow", "fast")]
    sizes = [(1280, 720)] if args.quick else [(1280, 720), (3840, 2160), (7680, 4320)]
    rows += [memory(w, h, method) for w, h in sizes for method in ("blend", "memc", "flow", "fast")]
    print(
        table(
            ("case", "figures"),
            [[f"{r.case} / {r.method}", str({k: round(v or 0, 1) for k, v in r.values.items()})] for r in rows],
        )
    )
    print(
        table(
            ("ours / peer", "times as fast"),
            [[f"{c.case}: {c.ours} / {c.peer}", f"{c.ratio:.1f} ({c.q1:.1f}-{c.q3:.1f})"] for c in comparisons],
        )
    )
    if args.json:
        write(
            args.json,
            document("interpolate_speed", rows, comparisons, settings={"rounds": rounds}),
        )


if __name__ == "__main__":
    main()
