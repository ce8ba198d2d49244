"""Clips of the test material (REELMEND_MATERIAL, or ../shared/material next to the repository) as RGB pictures."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av

from peers import Rgb


def material() -> Path:
    """The folder of the clips. Ends the program where there is none."""
    folder = Path(os.environ.get("REELMEND_MATERIAL", Path(__file__).parents[2] / "shared/material"))
    if not (folder / "video").is_dir():
        raise SystemExit(f"no test material at {folder}: set REELMEND_MATERIAL to its folder")
    return folder / "video"


def load(name: str, count: int, height: int = 480) -> list[Rgb]:
    """The first frames of a clip as RGB, reduced to `height` lines (even width) where it has more."""
    frames: list[Rgb] = []
    with av.open(str(material() / name)) as container:
        for frame in container.decode(video=0):
            h = min(frame.height, height) & ~1
            w = round(frame.width * h / frame.height / 2) * 2
            frames.append(frame.reformat(w, h, "rgb24", interpolation="AREA").to_ndarray())
            if len(frames) == count:
                break
    return frames


def rate(name: str) -> Fraction:
    """Frames a second of a clip, exact, as its container tells it."""
    with av.open(str(material() / name)) as container:
        found = container.streams.video[0].average_rate
    if not found:
        raise SystemExit(f"{name} tells no frame rate")
    return Fraction(found)
