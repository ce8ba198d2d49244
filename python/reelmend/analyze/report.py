"""Pictures of a restoration, by matplotlib (extra `plot`): mean luma over time, a strip of frames before / after,
what a stage found and did frame by frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArrayError, MissingExtraError
from .series import detrend

__all__ = ["Course", "Lane", "before_after", "canvas", "findings_plot", "flicker_plot", "need_matplotlib"]

BEFORE, AFTER, INK = "#c0492b", "#1f6f8b", "#333333"
FAINT = "#b5b5b5"
PRESENT = 0.5  # confidence from which a kind is drawn as present, and not as suspected
_FEW_CUTS = 40  # more are drawn as ticks


def canvas(width: float, height: float) -> Any:
    """A figure of so many inches on the Agg canvas, 100 dots an inch: no display, no change to pyplot's state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing the report") from None
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def need_matplotlib() -> None:
    """Raises MissingExtraError where there is no matplotlib."""
    canvas(1, 1)


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
    figure = canvas(10, 5.6)
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
    figure = canvas(width, height)
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


@dataclass(frozen=True, slots=True)
class Lane:
    """One kind over a clip: the greatest strength (8-bit levels), confidence and amount (0..1) of each column, and
    over the frames where it is present: how many, and the mean and greatest strength."""

    name: str
    strength: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    amount: npt.NDArray[np.float64]
    frames: int
    mean: float
    most: float


@dataclass(frozen=True, slots=True)
class Course:
    """What was found and done over a clip, in columns of `stride` frames.

    luma, deviation  before and after: (least and greatest, columns), 8-bit levels; deviation is that of luma from its
                     11-frame running median
    seconds          of the first frame of each column, NaN where not known
    cut, unsure      whether any frame of the column is one; cuts is the number of cuts
    touched          (all frames, any frame; columns)
    """

    first: int
    frames: int
    stride: int
    cuts: int
    luma: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    deviation: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    seconds: npt.NDArray[np.float64]
    cut: npt.NDArray[np.bool_]
    touched: npt.NDArray[np.bool_]
    unsure: npt.NDArray[np.bool_]
    lanes: tuple[Lane, ...]


def findings_plot(course: Course, path: str | os.PathLike[str], *, title: str) -> None:
    """What a stage found and did, frame by frame, PNG of 1400 pixels' width.

    From the top: mean luma before and after, its deviation from the 11-frame median, a lane for each kind of flicker
    (height: strength, tint: confidence, hatched where its cure was applied), and which frames were changed.
    """
    count = len(course.lanes)
    heights = (2.3, 1.5, 0.3 * count, 0.24)
    over, under, gap = 0.95, 0.75, 0.13
    tall = sum(heights) + over + under + gap * 3 + 0.3
    figure = canvas(14, tall)
    boxes = []
    top = tall - over
    for height, room in zip(heights, (gap, gap + 0.3, gap, 0), strict=True):
        boxes.append((0.088, (top - height) / tall, 0.79, height / tall))
        top -= height + room
    luma, deviation, lanes, strip = (figure.add_axes(box) for box in boxes)
    # a column spans its frames from half a frame before the first to half a frame after the last
    edges = course.first - 0.5 + np.minimum(np.arange(len(course.cut) + 1) * course.stride, course.frames)
    middles = (edges[:-1] + edges[1:]) / 2
    curves = [(0, BEFORE, "before", 1.0), (1, AFTER, "after", 1.6)]
    if not course.touched.any():
        curves = [(1, AFTER, "before and after: the same", 1.6)]
    for values, colour, label, width in curves:
        for axes, series in ((luma, course.luma), (deviation, course.deviation)):
            low, high = series[values]
            if course.stride == 1:
                axes.plot(middles, low, color=colour, lw=width, label=label, marker="." if len(low) < 3 else None)
            else:
                axes.fill_between(middles, low, high, color=colour, lw=0.8, label=label, alpha=0.9)
    deviation.axhline(0, color="#bbbbbb", lw=0.8, zorder=0)
    _headroom(luma, course.luma, 4.0)
    _headroom(deviation, course.deviation, 2.0)
    luma.set_ylabel("mean luma\n(8-bit levels)", color=INK)
    deviation.set_ylabel("minus 11-frame\nmedian", color=INK)
    _draw_lanes(lanes, course, edges)
    _draw_strip(strip, course, edges)
    _draw_cuts((luma, deviation, lanes), edges[:-1][course.cut], course.cuts)
    for axes in (luma, deviation, lanes):
        axes.tick_params(labelbottom=False, bottom=False)
    for axes in (luma, deviation):
        axes.grid(True, color="#e6e6e6", lw=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (luma, deviation, lanes, strip):
        axes.set_xlim(edges[0], edges[-1])
    luma.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=3, frameon=False, fontsize=10, borderaxespad=0.2)
    _legend_of_lanes(lanes)
    _time_axis((luma, deviation, lanes, strip), course)
    figure.text(0.088, 1 - 0.42 / tall, title, fontsize=14, color=INK, va="center", ha="left", weight="bold")
    name = os.fspath(path)
    try:
        figure.savefig(name + ".part", format="png")
        os.replace(name + ".part", name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name + ".part")


def _headroom(axes: Any, pair: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], least: float) -> None:
    low, high = (float(f([f(one) for one in pair])) for f in (np.nanmin, np.nanmax))
    room = max(high - low, least)
    middle = (low + high) / 2
    axes.set_ylim(middle - 0.56 * room, middle + 0.56 * room)


def _draw_lanes(axes: Any, course: Course, edges: npt.NDArray[np.float64]) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    count = len(course.lanes)
    most = max([8.0, *(lane.most for lane in course.lanes)])
    for k, lane in enumerate(course.lanes):
        base = k + 0.94
        present = lane.frames > 0
        axes.axhline(k + 1, color="#e6e6e6", lw=0.7, zorder=0)
        found = np.nonzero(lane.confidence > 0)[0]
        height = _height(lane.strength[found], most)
        x0, x1, y0, y1 = edges[found], edges[found + 1], np.full(len(found), base), base - height
        boxes = np.stack([x0, y0, x1, y0, x1, y1, x0, y1], axis=1).reshape(-1, 4, 2)
        confidence = lane.confidence[found]
        tint = np.where(confidence >= PRESENT, 0.25 + 0.65 * confidence, 0.12 + 0.1 * confidence)
        colours = np.column_stack([np.tile(to_rgb(BEFORE), (len(found), 1)), tint])
        axes.add_collection(
            PolyCollection(list(boxes), facecolors=colours, edgecolors="none", antialiaseds=False, zorder=2)
        )
        for first, last in _runs(lane.amount > 0):
            part = slice(first, last + 1)
            tops = base - _height(lane.strength[part], most)
            axes.fill_between(
                np.append(edges[part], edges[last + 1]), base, np.append(tops, tops[-1]), step="post",
                facecolor="none", edgecolor=AFTER, hatch="/////", lw=1.0, zorder=3,
            )  # fmt: skip
        levels = f"{lane.mean:.1f} / {lane.most:.1f}" if present else ""
        for x, said in ((1.012, _share(lane.frames, course.frames) if present else "never"), (1.065, levels)):
            axes.text(
                x, 1 - (k + 0.55) / count, said, transform=axes.transAxes, fontsize=9, va="center",
                color=INK if present else FAINT,
            )  # fmt: skip
    for first, last in _runs(course.unsure):
        axes.axvspan(edges[first], edges[last + 1], color="#d9d9d9", alpha=0.55, lw=0, zorder=1)
    for x, head in ((1.012, "frames"), (1.065, "levels,\nmean / most")):
        axes.text(x, 1.02, head, transform=axes.transAxes, fontsize=9, color="#777777", va="bottom")
    axes.set_ylim(count, 0)
    axes.set_yticks(np.arange(count) + 0.55, [lane.name for lane in course.lanes], fontsize=10)
    for tick, lane in zip(axes.get_yticklabels(), course.lanes, strict=True):
        tick.set_color(INK if lane.frames else FAINT)
    axes.tick_params(left=False)
    axes.spines[["top", "right"]].set_visible(False)


def _height(strength: npt.NDArray[np.float64], most: float) -> npt.NDArray[np.float64]:
    """Of a bar in its lane: by the logarithm, so that weak flicker is still seen beside a flash."""
    return np.asarray(0.82 * np.clip(np.log1p(strength) / np.log1p(most), 0.12, 1))


def _legend_of_lanes(axes: Any) -> None:
    from matplotlib.patches import Patch

    axes.legend(
        handles=[
            Patch(facecolor=BEFORE, alpha=0.9, label="found (height: strength, tint: confidence)"),
            Patch(facecolor=BEFORE, alpha=0.2, label="suspected"),
            Patch(facecolor="none", edgecolor=AFTER, hatch="/////", label="cure applied"),
            Patch(facecolor="#d9d9d9", alpha=0.8, label="unsure"),
        ],
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False, fontsize=9,
        borderaxespad=0.2, borderpad=0.2, handlelength=1.6, columnspacing=1.6,
    )  # fmt: skip


def _draw_strip(axes: Any, course: Course, edges: npt.NDArray[np.float64]) -> None:
    every, some = course.touched
    axes.set_facecolor("#efefef")
    for shown, alpha in ((some & ~every, 0.45), (every, 1.0)):
        for first, last in _runs(shown):
            axes.axvspan(edges[first], edges[last + 1], color=AFTER, alpha=alpha, lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["changed"], fontsize=10, color=INK)
    axes.tick_params(left=False)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _draw_cuts(panels: Sequence[Any], cuts: npt.NDArray[np.float64], count: int) -> None:
    few = len(cuts) <= _FEW_CUTS
    for axes in panels[: 3 if few else 1]:
        for at in cuts:
            axes.axvline(at, ymin=0 if few else 0.96, color="#999999", lw=1, ls=(0, (2, 3)) if few else "-", zorder=1)
    if count:
        label = "cut" if count == 1 else f"{count:,} cuts"
        mark = {"ls": (0, (2, 3))} if few else {"ls": "none", "marker": "|", "ms": 8}
        panels[0].plot([], [], color="#999999", lw=1, label=label, **mark)


def _time_axis(panels: Sequence[Any], course: Course) -> None:
    """Frame numbers below, and under each its time as the video has it: exact for variable rates too."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    known = ~np.isnan(course.seconds)
    starts = course.first + np.arange(len(course.seconds)) * course.stride

    def told(frame: float, _: int) -> str:
        if frame != round(frame):
            return ""
        text = f"{frame:,.0f}"
        if not known.any():
            return text
        return f"{text}\n{_clock(float(np.interp(frame, starts[known], course.seconds[known])))}"

    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    panels[-1].xaxis.set_major_formatter(FuncFormatter(told))
    panels[-1].set_xlabel("frame, and time" if known.any() else "frame", color=INK)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _share(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "< 1 %" if 0 < share < 1 else f"{share:.0f} %"


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of each run of True."""
    steps = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(zip(np.nonzero(steps > 0)[0].tolist(), (np.nonzero(steps < 0)[0] - 1).tolist(), strict=True))
