"""reelmend demo: a flickering clip with sound, restored, with pictures that show the difference."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..errors import MissingExtraError

__all__ = ["add_parser", "run"]

SHOWN = 6

T = TypeVar("T")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="render a flickering clip, restore it and show the difference",
        description="Renders a short flickering film with sound, removes the flicker, and draws before and after.",
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), metavar="DIR", help="folder for the files (demo)")
    parser.add_argument("--seconds", type=_seconds, default=6.0, help="length of the clip, 0.5 to 120 (6)")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 120:
        raise argparse.ArgumentTypeError(f"expected 0.5 to 120 seconds; got {text}")
    return value


def run(args: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    if find_spec("matplotlib") is None:  # said now rather than after the work
        raise MissingExtraError("matplotlib", "plot", "drawing what the demo did")
    from ..analyze.clip import read_clip, write_clip
    from ..analyze.report import before_after, flicker_plot
    from ..analyze.series import ClipMeter, FlickerMeter
    from ..restore import restore
    from ..stages.deflicker import Deflicker

    folder: Path = args.output
    folder.mkdir(parents=True, exist_ok=True)
    damaged, mended = folder / "flickering.mp4", folder / "restored.mp4"

    rendering = f"rendering {args.seconds:g} s of flickering film with sound"
    film = _timed(rendering, lambda: write_clip(damaged, args.seconds))
    stages = [Deflicker(mode="film")]
    _timed("removing the flicker (film mode)", lambda: restore(damaged, mended, stages=stages, overwrite=True))

    flicker = (FlickerMeter(), FlickerMeter())
    against = (ClipMeter(with_ssim=False), ClipMeter(with_ssim=False))

    def measure() -> None:
        for truth, *pictures in zip(film, read_clip(damaged), read_clip(mended), strict=True):
            for picture, meter, distance in zip(pictures, flicker, against, strict=True):
                meter.push(picture)
                distance.push(picture, truth)

    def draw() -> None:
        first = _liveliest(flicker[0].luma[: film.cut])
        strips = [list(read_clip(path, first, SHOWN)) for path in (damaged, mended)]
        before_after(folder / "before_after.png", *strips, first=first)
        flicker_plot(flicker[0].luma, flicker[1].luma, folder / "flicker.png", fps=film.fps, cuts=[film.cut])

    _timed("measuring both", measure)
    _timed("drawing", draw)

    a, b = (meter.figures() for meter in flicker)
    p, q = (meter.figures() for meter in against)
    print()
    print(f"flicker of mean luma   {a.luma:6.2f} -> {b.luma:5.2f} levels (standard deviation from an 11-frame median)")
    print(f"flicker of 8x12 tiles  {a.tiles:6.2f} -> {b.tiles:5.2f} levels")
    print(f"PSNR to the clean film {p.psnr:6.2f} -> {q.psnr:5.2f} dB (mean over frames)")
    print(f"  its worst frame      {p.psnr_min:6.2f} -> {q.psnr_min:5.2f} dB")
    print()
    for name in ("flickering.mp4", "restored.mp4", "before_after.png", "flicker.png"):
        print(folder / name)
    return 0


def _liveliest(luma: Sequence[float]) -> int:
    """Index of the first of the SHOWN consecutive frames that flicker most: that is what is to be seen."""
    spread = [float(np.std(luma[t : t + SHOWN])) for t in range(max(1, len(luma) - SHOWN + 1))]
    return int(np.argmax(spread))


def _timed(what: str, call: Callable[[], T]) -> T:
    print(f"{what} ...", end=" ", flush=True)
    start = time.perf_counter()
    result = call()
    print(f"{time.perf_counter() - start:.1f} s", flush=True)
    return result
