"""reelmend bench: how fast this machine runs the ops, the stage and a whole file, beside what is installed."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..analyze.benchmark import Comparison, Row
    from ..frame import Frame

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bench` to the command line."""
    parser = subparsers.add_parser(
        "bench",
        help="measure the speed of this machine, with peers beside it",
        description="Times every op beside NumPy, OpenCV and swscale (where installed), the deflicker stage alone, and "
        "a whole file from decoding to encoding.",
    )
    size = "size of the pictures (1920x1080)"
    parser.add_argument("--size", type=_size, default=(1920, 1080), metavar="WxH", help=size)
    parser.add_argument("--rounds", type=int, default=5, help="alternated rounds of each op (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    parser.set_defaults(run=run)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    numbers = [int(n) for n in (width, height) if n.isdigit()]
    if len(numbers) != 2 or min(numbers) < 32 or any(n % 2 for n in numbers):
        raise argparse.ArgumentTypeError(f"expected an even size of at least 32x32 such as 1920x1080; got {text!r}")
    return numbers[0], numbers[1]


def run(args: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    from ..analyze.benchmark import document, machine, table, write
    from ..analyze.opcases import measure_ops

    width, height = args.size
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores; pictures of {width}x{height}, 8 bits\n")

    rows, comparisons = measure_ops(width, height, rounds=max(1, args.rounds))
    print(_ops_table(rows, comparisons) + "\n")

    whole = [*_stage(width, height), *_file(width, height)]
    body = [[row.case, row.method, f"{row.values['fps']:.1f}"] for row in whole]
    print(table(("what", "mode", "frames / s"), body))

    if args.json:
        settings = {"width": width, "height": height, "rounds": args.rounds}
        write(args.json, document("bench", [*rows, *whole], comparisons, settings=settings))
        print(f"\n{args.json}")
    return 0


def _ops_table(rows: list[Row], comparisons: list[Comparison]) -> str:
    from ..analyze.benchmark import table

    peers = list(dict.fromkeys(c.peer for c in comparisons))
    ratio = {(c.case, c.peer): c for c in comparisons}
    body = []
    for row in rows:
        if row.method != "reelmend":
            continue
        cells = [row.case, f"{row.values['ms']:.3f}", f"{row.values['gb_per_s']:.1f}"]
        for peer in peers:
            c = ratio.get((row.case, peer))
            cells.append(f"{c.ratio:.2f} ({c.q1:.2f}-{c.q3:.2f})" if c else "")
        body.append(cells)
    head = ("op", "ms", "GB/s", *(f"times as fast as {peer}" for peer in peers))
    return table(head, body) if body else ""


def frames(width: int, height: int, count: int) -> Iterator[Frame]:
    """`count` flickering yuv420p frames: 24 pictures of the demo film, repeated."""
    from fractions import Fraction

    from .. import ops
    from ..analyze.clip import demo_flicker
    from ..analyze.scenes import Film
    from ..frame import Colour, Frame, Matrix, PixelFormat, Range

    colour = Colour(matrix=Matrix.BT709, range=Range.LIMITED)
    flicker = demo_flicker(25.0)
    film = Film(24, width=width, height=height, fps=25.0)
    stock = [ops.rgb_to_yuv(flicker.apply(film[t % film.cut], t)) for t in range(24)]
    for t in range(count):
        yield Frame(stock[t % 24], PixelFormat(), t, Fraction(1, 25), 1, colour)


def _stage(width: int, height: int, seconds: float = 3.0) -> list[Row]:
    """Frames a second of the stage alone, once its window is full, for each mode."""
    from ..analyze.benchmark import Row
    from ..stages.deflicker import Deflicker
    from ..stream import Stream

    rows = []
    for mode in ("film", "low", "live"):
        source = frames(width, height, 100_000)
        stream = Stream([Deflicker(mode=mode)])
        while not stream.push(next(source)):
            pass
        done, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < seconds:
            done += len(stream.push(next(source)))
        rows.append(Row("deflicker stage, one after the other", mode, {"fps": done / taken}))
    return rows


def _file(width: int, height: int) -> list[Row]:
    """Frames a second of a whole file: decoding, deflicker, encoding with the defaults."""
    from ..analyze.benchmark import Row
    from ..analyze.clip import write_clip
    from ..restore import restore
    from ..stages.deflicker import Deflicker

    with tempfile.TemporaryDirectory(prefix="reelmend-bench-") as folder:
        source = Path(folder) / "in.mp4"
        film = write_clip(source, 2.5, width=width, height=height, preset="ultrafast")
        start = time.perf_counter()
        restore(source, Path(folder) / "out.mp4", stages=[Deflicker(mode="film")], overwrite=True)
        taken = time.perf_counter() - start
    return [Row("file to file, H.264 to H.264", "film", {"fps": film.frames / taken})]
