"""Pictures of a result of deflicker_kinds.py: which verdicts were given, and what each method gains.

    python benchmarks/kinds_pictures.py [FILE.json]        draws them beside the file

Extra: matplotlib (reelmend[plot]).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from reelmend.analyze.report import AFTER, BEFORE, FAINT, INK, canvas

MODES = {"reelmend film": "film", "reelmend low": "low", "reelmend live": "live"}
COLOURS = {
    "input": "#9a9a9a",
    "reelmend film": AFTER,
    "reelmend low": "#6aa7bd",
    "reelmend live": "#b4d3de",
    "ffmpeg deflicker": BEFORE,
    "ffmpeg tmidequalizer": "#e0a491",
}
OTHERS = {name: colour for name, colour in COLOURS.items() if name != "input"}
LABELS = {
    "gain_gamma": "gain and gamma",
    "white_balance": "white balance",
    "bands": "mains bands",
    "alternation2": "alternation by 2",
    "alternation3": "alternation by 3",
    "mixed": "gain + bands + local",
}
NOT_TELLING = "steps", "alternation", "flash", "fade", "none"  # verdicts of which none is right for mixed flicker

Rows = dict[tuple[str, str], dict[str, float | None]]


def rows_of(document: dict[str, Any]) -> Rows:
    return {(row["case"], row["method"]): row["values"] for row in document["rows"]}


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """All pictures of a result; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "deflicker_confusion.png", folder / "deflicker_gains.png"]
    confusion(document, paths[0])
    gains(document, paths[1])
    return paths


def confusion(document: dict[str, Any], path: Path) -> None:
    """What was put on the clips (down) against the verdict (across), a panel a mode."""
    rows, expected = rows_of(document), document["settings"]["expected"]
    kinds = list(expected)
    first = rows["verdict: " + kinds[0], "reelmend film"]
    verdicts = [name for name in first if name not in ("runs", "right", "unsure")]
    cell, left, right, gap, over, under = 0.58, 1.95, 0.62, 0.3, 1.95, 0.85
    width = left + len(MODES) * (cell * len(verdicts) + right) + (len(MODES) - 1) * gap + 0.1
    tall = over + 0.5 * len(kinds) + under
    figure = canvas(width, tall)
    for k, (method, mode) in enumerate(MODES.items()):
        x = left + k * (cell * len(verdicts) + right + gap)
        axes = figure.add_axes((x / width, under / tall, cell * len(verdicts) / width, 0.5 * len(kinds) / tall))
        _matrix(axes, rows, method, expected, verdicts)
        axes.set_yticks(np.arange(len(kinds)) + 0.5)
        if k == 0:
            named = [LABELS.get(kind, kind) for kind in kinds]
            axes.set_yticklabels(named, fontsize=11, color=INK)
        else:
            axes.set_yticklabels([])
        share = rows["verdict: all", method]["right"]
        axes.set_title(f"{mode}: {_percent(share)} right", fontsize=13, color=INK, weight="bold", loc="left", pad=66)
    for text, y, size, weight in (
        ("Which kind of flicker is found", tall - 0.33, 15, "bold"),
        (_subject(document), tall - 0.68, 10.5, "normal"),
    ):
        figure.text(0.12 / width, y / tall, text, fontsize=size, color=INK, weight=weight, va="center")
    figure.text(
        left / width, 0.38 / tall,
        "Down: what was put on the clip; across: the verdict over the clip. In a cell: runs and "
        "their share of the line; framed: the right verdict; blue: right, red: wrong.\nThe mixture is right where "
        "bands, local flicker and that of the whole picture are all found, whichever of them is the verdict.",
        fontsize=10.5, color="#777777", va="center", linespacing=1.5,
    )  # fmt: skip
    figure.savefig(path)


def _matrix(axes: Any, rows: Rows, method: str, expected: dict[str, str], verdicts: list[str]) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    good, bad = (LinearSegmentedColormap.from_list(c, ("#ffffff", c)) for c in (AFTER, BEFORE))
    for y, (kind, truth) in enumerate(expected.items()):
        values = rows[f"verdict: {kind}", method]
        runs = float(values["runs"] or 1)
        for x, verdict in enumerate(verdicts):
            count = float(values[verdict] or 0)
            share = count / runs
            fits = verdict == truth or (truth == "mixed" and verdict not in NOT_TELLING)
            colour = (good if fits else bad)(share**0.7 if count else 0.0)
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="#e6e6e6", lw=0.7))
            if verdict == truth:
                frame = Rectangle((x + 0.04, y + 0.05), 0.92, 0.9, facecolor="none", edgecolor=AFTER, lw=1.6, zorder=3)
                axes.add_patch(frame)
            if count:
                ink = "white" if share > 0.6 else INK
                axes.text(x + 0.5, y + 0.36, f"{count:.0f}", fontsize=11, color=ink, ha="center", va="center")
                axes.text(x + 0.5, y + 0.74, _percent(share), fontsize=7.5, color=ink, ha="center", va="center")
        told = _percent(values["right"])
        axes.text(len(verdicts) + 0.94, y + 0.5, told, fontsize=11, color=INK, ha="right", va="center", weight="bold")
    axes.text(len(verdicts) + 0.94, -0.12, "right", fontsize=10, color="#777777", ha="right", va="bottom")
    axes.set_xlim(0, len(verdicts))
    axes.set_ylim(len(expected), 0)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(verdicts)) + 0.5, verdicts, fontsize=11, color=INK, rotation=40, ha="left")
    for label in axes.get_xticklabels():
        label.set_rotation_mode("anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def gains(document: dict[str, Any], path: Path) -> None:
    """dB over the input of each method, by kind: mean, worst frame; and what is left alone where nothing flickers."""
    rows, expected = rows_of(document), document["settings"]["expected"]
    wanted = [kind for kind, truth in expected.items() if truth in ("flash", "fade", "none")]
    kinds = [kind for kind in expected if kind not in wanted]
    films = [case[6:] for case, method in rows if case.startswith("real: ") and method == "input"]
    means = [f"{kind}: mean" for kind in kinds]
    figure = canvas(15, 12)
    across, first, second = (0.05, 0.94), (0.05, 0.42), (0.55, 0.44)
    mean = "Mean of the frames: dB of PSNR over the input, which is the line at 0"
    worst = "Worst frame of a clip: dB over the input's worst frame"
    same = "Where nothing is to be removed: frames that leave bit for bit, %"
    left = "Films that flicker: deviation of mean luma, less is better"
    _bars(_panel(figure, across, 0.685, mean, "dB"), rows, means, "gain_db", OTHERS)
    _bars(_panel(figure, across, 0.37, worst, "dB"), rows, means, "worst_gain_db", OTHERS)
    if wanted:
        whole = [f"{kind}: mean" for kind in wanted]
        _bars(_panel(figure, first, 0.05, same, "%"), rows, whole, "exact_share", OTHERS, scale=100)
    if films:
        reals = [f"real: {film}" for film in films]
        _bars(_panel(figure, second, 0.05, left, "8-bit levels"), rows, reals, "flicker_luma", COLOURS, places=2)
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(facecolor=colour, label=name) for name, colour in COLOURS.items()],
        loc="center right", bbox_to_anchor=(0.995, 0.976), ncols=len(COLOURS), frameon=False, fontsize=10.5,
    )  # fmt: skip
    figure.text(0.015, 0.976, "What each method gains", fontsize=15, color=INK, weight="bold", va="center")
    figure.text(0.015, 0.948, _subject(document), fontsize=10.5, color=INK, va="center")
    figure.savefig(path)


def _panel(figure: Any, sides: tuple[float, float], bottom: float, title: str, unit: str) -> Any:
    axes = figure.add_axes((sides[0], bottom, sides[1], 0.225))
    axes.set_title(title, fontsize=12, color=INK, loc="left", weight="bold", pad=8)
    axes.set_ylabel(unit, color=INK)
    return axes


def _bars(
    axes: Any,
    rows: Rows,
    cases: list[str],
    key: str,
    colours: dict[str, str],
    *,
    scale: float = 1.0,
    places: int = 1,
) -> None:
    """A group of bars for each case, one bar a method."""
    each = 0.84 / len(colours)
    for m, (method, colour) in enumerate(colours.items()):
        heights = np.array([scale * float(rows[case, method][key] or 0) for case in cases])
        x = np.arange(len(cases)) - 0.42 + (m + 0.5) * each
        axes.bar(x, heights, each * 0.94, color=colour, zorder=2)
        for at, height in zip(x, heights, strict=True):
            text = f"{height:.0f}" if abs(height) >= 9.95 else f"{height:.{places}f}"
            axes.annotate(
                "0" if float(text) == 0 else text, (at, height), (0, 2 if height >= 0 else -2),
                textcoords="offset points", ha="center", va="bottom" if height >= 0 else "top", fontsize=8.5, color=INK,
            )  # fmt: skip
    names = [case.removeprefix("real: ").removesuffix(": mean") for case in cases]
    axes.axhline(0, color=INK, lw=1.1, zorder=3)
    axes.set_xticks(np.arange(len(cases)), [LABELS.get(name, name) for name in names], fontsize=10.5, color=INK)
    axes.set_xlim(-0.55, len(cases) - 0.45)
    axes.margins(y=0.14)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", colors="#777777")
    axes.grid(True, axis="y", color="#e6e6e6", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(FAINT)


def _subject(document: dict[str, Any]) -> str:
    s = document["settings"]
    strengths = ", ".join(f"{v:g}" for v in s["strengths"])
    return (
        f"{len(s['clips'])} clean clips of {s['frames']} frames, {s['height']} lines; "
        f"strength{'s' if len(s['strengths']) > 1 else ''} {strengths}; "
        f"{len(s['seeds'])} seed{'s' if len(s['seeds']) > 1 else ''}"
    )


def _percent(share: float | None) -> str:
    return f"{100 * float(share or 0):.0f} %"


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results" / "deflicker_kinds.json"
    for drawn in draw(json.loads(path.read_text("utf-8")), path.parent):
        print(drawn)
