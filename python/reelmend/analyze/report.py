"""Pictures of a restoration, by matplotlib (extra `plot`): mean luma over time, a strip of frames before / after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArrayError, MissingExtraError
from .series import detrend

__all__ = ["before_after", "flicker_plot"]

BEFORE, AFTER, INK = "#c0492b", "#1f6f8b", "#333333"


def _figure(width: float, height: float) -> Any:
    """A figure of the Agg canvas: no display, and no change to the caller's pyplot state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing the report") from None
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def flicker_plot(
    before: Sequence[float],
    after: Sequence[float],
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    cuts: Sequence[int] = (),
    title: str = "Flicker of the whole picture",
) -> None:
    """Mean luma (8-bit levels) of each frame before and after, PNG of 1000 x 560.

    The title carries the figures: standard deviation from an 11-frame running median. fps gives seconds on the
    x axis instead of frames; cuts are marked.
    """
    if not len(before) or not len(after):
        raise ArrayError(f"a flicker plot needs at least one frame each; got {len(before)} and {len(after)}")
    a, b = np.asarray(before, float), np.asarray(after, float)
    ra, rb = detrend(a), detrend(b)
    figure = _figure(10, 5.6)
    axes, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (2, 1.1)})
    scale = 1 / fps if fps else 1.0
    xa, xb = np.arange(len(a)) * scale, np.arange(len(b)) * scale
    axes.plot(xa, a, color=BEFORE, lw=1.1, label="before")
    axes.plot(xb, b, color=AFTER, lw=1.9, label="after")
    below.axhline(0, color="#bbbbbb", lw=0.8)
    below.plot(xa, ra, color=BEFORE, lw=1.0)
    below.plot(xb, rb, color=AFTER, lw=1.6)
    for at in cuts:
        for one in (axes, below):
            one.axvline(at * scale, color="#999999", lw=1, ls=(0, (2, 3)))
        axes.text(at * scale, 0.97, " cut", color="#777777", fontsize=9, va="top", transform=axes.get_xaxis_transform())
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    room = max(high - low, 4.0)
    # headroom on top keeps the legend off the curves
    axes.set_ylim(low - 0.06 * room, high + 0.22 * room)
    axes.legend(loc="upper right", ncols=2, frameon=False, fontsize=10)
    axes.set_ylabel("mean luma\n(8-bit levels)", color=INK)
    below.set_ylabel("minus 11-frame\nmedian", color=INK)
    below.set_xlabel("seconds" if fps else "frame", color=INK)
    below.set_xlim(0, max(xa[-1], xb[-1], scale))
    for one in (axes, below):
        one.grid(True, color="#e6e6e6", lw=0.7)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{title}: {ra.std():.2f} → {rb.std():.2f} levels (standard deviation)", fontsize=13, x=0.5, y=0.97)
    figure.align_ylabels()
    figure.subplots_adjust(left=0.095, right=0.98, top=0.905, bottom=0.1, hspace=0.1)
    figure.savefig(os.fspath(path))


def before_after(
    path: str | os.PathLike[str],
    frames_before: Sequence[npt.NDArray[np.uint8]],
    frames_after: Sequence[npt.NDArray[np.uint8]],
    *,
    first: int = 0,
    labels: tuple[str, str] = ("before", "after"),
) -> None:
    """Consecutive frames in a strip: input row above, output row below, PNG 1600 wide.

    frames_before and frames_after are equally many 8-bit RGB pictures of one size; `first` is the index of the first.
    Under each picture stands its mean luma.
    """
    n = len(frames_before)
    if not n or n != len(frames_after):
        raise ArrayError(f"before / after needs equally many frames, at least one; got {n} and {len(frames_after)}")
    rows = (frames_before, frames_after)
    h, w = frames_before[0].shape[:2]
    width, left, gap = 16.0, 0.42, 0.06
    cell = (width - left - gap * n) / n
    tall = cell * h / w
    caption, head = 0.27, 0.3
    height = head + 2 * (tall + caption) + 0.08
    figure = _figure(width, height)
    for row, pictures in enumerate(rows):
        colour = (BEFORE, AFTER)[row]
        bottom = height - head - (row + 1) * tall - row * caption
        figure.text(
            0.5 * left / width, (bottom + tall / 2) / height, labels[row],
            rotation=90, ha="center", va="center", fontsize=15, color=colour, weight="bold",
        )  # fmt: skip
        for k, picture in enumerate(pictures):
            x = left + k * (cell + gap)
            axes = figure.add_axes((x / width, bottom / height, cell / width, tall / height))
            axes.imshow(picture, interpolation="antialiased", aspect="auto")
            axes.set_axis_off()
            mean = float(picture.reshape(-1, 3).mean(0) @ (0.2126, 0.7152, 0.0722))
            centre = (x + cell / 2) / width
            under = (bottom - 0.05) / height
            figure.text(centre, under, f"mean luma {mean:.1f}", ha="center", va="top", fontsize=11, color=colour)
            if row == 0:
                above = (height - head + 0.07) / height
                figure.text(centre, above, f"frame {first + k}", ha="center", va="bottom", fontsize=10, color=INK)
    figure.savefig(os.fspath(path))
