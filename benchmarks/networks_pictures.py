"""Pictures of what the networks after equalisation do: the methods side by side, and how far each is from the truth.

    python benchmarks/networks_pictures.py FOLDER [NETWORK]

Extra: matplotlib (reelmend[plot]).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clips import rate
from deflicker_quality import REAL
from networks_figures import ALONE, clipped_mask, exposed, exposure, psnr_within
from networks_runs import ALL, BOTH, CLIPS, METHODS, TREAT, film, flickering, pictures, stage
from peers import Rgb, Yuv, to_rgb, to_yuv
from reelmend.analyze.flow import dis_flow, visible
from reelmend.analyze.metrics import psnr
from reelmend.analyze.report import INK, canvas

SHOWN = (("bedroom (handheld)", "additive+local", 0), ("roof (pan)", "gain_gamma+local", 0))
LOST = ("bedroom (handheld)", "roof (pan)")
CROP = (150, 200)  # lines, columns of the films' crops
CLOSER = 4  # how much differences are enlarged

Films = dict[str, list[Rgb]]


def draw(network: str, folder: Path, sections: Sequence[str], quick: bool = False, width: int = 480) -> list[Path]:
    """The pictures of some sections; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 24 if quick else 60
    made = []
    if "quality" in sections:
        made.append(folder / "networks_ablation.png")
        ablation(network, made[-1], count, width)
    if "clipped" in sections:
        made.append(folder / "networks_clipped.png")
        restored(network, made[-1], count, width)
    if "real" in sections:
        made.append(folder / "networks_real.png")
        reals(network, made[-1], 24 if quick else 10_000)
    return made


def outputs(network: str, frames: list[Yuv], fps: Any, methods: Mapping[str, Any], **options: Any) -> Films:
    """What methods make of frames, in RGB; "input" is what they took."""
    found = {"input": [to_rgb(yuv) for yuv in frames]}
    for name, parts in methods.items():
        found[name] = [to_rgb(yuv) for yuv in stage(network, parts, fps, **options)(frames)]
    return found


def ablation(network: str, path: Path, count: int, width: int) -> None:
    """The frame that equalisation alone leaves worst, and that which all networks do."""
    rows = []
    for (clip, kind, seed), method in zip(SHOWN, (ALONE, ALL), strict=True):
        clean, fps = pictures(clip, count, width), rate(CLIPS[clip])
        truth = [to_rgb(to_yuv(rgb)) for rgb in clean]
        films = outputs(network, flickering(clean, fps, kind, seed), fps, METHODS)
        found = {name: [psnr(a, b) for a, b in zip(out, truth, strict=True)] for name, out in films.items()}
        t = int(np.argmin(found[method]))
        named = "equalisation" if method == ALONE else "all networks"
        title = f"{clip}, {kind.replace('_', ' ').replace('+', ' and ')}, frame {t}: the worst of {named}"
        rows.append((title, {n: out[t] for n, out in films.items()}, truth[t], {n: v[t] for n, v in found.items()}))
    strip(rows, path, "dB: PSNR of the frame")


def restored(network: str, path: Path, count: int, width: int) -> None:
    """One frame with too much light and one with too little, the first of a clip that lost enough."""
    rows = []
    for clip, how in zip(LOST, ("white", "black"), strict=True):
        clean, fps = pictures(clip, count, width), rate(CLIPS[clip])
        given = [to_yuv(exposed(rgb, exposure(t))) for t, rgb in enumerate(clean)]
        films = outputs(network, given, fps, METHODS, **TREAT)
        truth = [to_rgb(to_yuv(rgb)) for rgb in clean]
        masks = {t: clipped_mask(films["input"][t], truth[t]) for t in range(count) if exposure(t) == how}
        t = max(masks, key=lambda t: float(masks[t].mean()))
        found = {n: psnr_within(out[t], truth[t], masks[t]) for n, out in films.items()}
        title = f"{clip}, frame {t} lost {100 * masks[t].mean():.1f} % of the picture to {how}"
        rows.append((title, {n: out[t] for n, out in films.items()}, truth[t], found))
    strip(rows, path, "dB: PSNR within what was lost")


Shown = tuple[str, dict[str, Rgb], Rgb, Mapping[str, float | None]]


def strip(rows: Sequence[Shown], path: Path, unit: str) -> None:
    """Rows of (title, pictures by method, truth, dB by method): the pictures, and beneath how far they are off."""
    names = ["input", "truth", *(n for n in rows[0][1] if n != "input")]
    wide, head, gap = 3.2, 0.66, 0.06
    highs = [wide * truth.shape[0] / truth.shape[1] for _, _, truth, _ in rows]
    width = len(names) * (wide + gap) - gap
    tall = sum(head + 2 * high + 3 * gap for high in highs)
    figure = canvas(width, tall)
    top = float(tall)
    for (title, made, truth, found), high in zip(rows, highs, strict=True):
        figure.text(0.06 / width, (top - 0.17) / tall, title, fontsize=13, color=INK, weight="bold", va="center")
        note = f"{unit}; beneath: {CLOSER} times the difference from the truth"
        figure.text(1 - 0.06 / width, (top - 0.17) / tall, note, fontsize=10.5, color=INK, va="center", ha="right")
        top -= head
        for k, name in enumerate(names):
            picture = truth if name == "truth" else made[name]
            x = k * (wide + gap)
            value = found.get(name)
            label = name if value is None else f"{name}  {value:.1f} dB"
            figure.text((x + 0.06) / width, (top + 0.14) / tall, label, fontsize=11, color=INK, va="center")
            for j, shown in enumerate((picture, apart(picture, truth))):
                box = (x, top - high - j * (high + gap), wide, high)
                _panel(figure, box, shown, (width, tall))
        top -= 2 * high + 3 * gap
    figure.savefig(path)


def apart(a: Rgb, b: Rgb) -> Rgb:
    """CLOSER times how far pictures are apart, in each channel."""
    off = np.abs(a.astype(np.int16) - b) * CLOSER
    picture: Rgb = np.minimum(off, 255).astype(np.uint8)
    return picture


def reals(network: str, path: Path, count: int) -> None:
    """A crop of each film where it moves most: as it came, equalised, and after all networks."""
    rows = []
    for name in REAL:
        films = outputs(network, film(name, count), rate(REAL[name]), BOTH)
        t, (y, x) = moving(films[ALONE])
        crop = {n: out[t][y : y + CROP[0], x : x + CROP[1]] for n, out in films.items()}
        rows.append((f"{name}, frame {t}", crop))
    wide, head, gap = 4.0, 0.42, 0.06
    high = wide * CROP[0] / CROP[1]
    names = list(rows[0][1])
    width, tall = len(names) * (wide + gap) - gap, len(rows) * (head + high) + 0.05
    figure = canvas(width, tall)
    for r, (title, crop) in enumerate(rows):
        top = tall - r * (head + high) - head
        for k, name in enumerate(names):
            left = k * (wide + gap)
            label = f"{title}: {name}" if k == 0 else name
            figure.text((left + 0.06) / width, (top + 0.17) / tall, label, fontsize=12, color=INK, va="center")
            _panel(figure, (left, top - high, wide, high), crop[name], (width, tall))
    figure.savefig(path)


def moving(frames: Sequence[Rgb]) -> tuple[int, tuple[int, int]]:
    """(frame, the corner of the crop in it) where motion that can be followed is largest."""
    best = (-1.0, 0, (0, 0))
    for t in range(1, len(frames) - 1):
        back, there = dis_flow(frames[t], frames[t - 1]), dis_flow(frames[t - 1], frames[t])
        size = np.sqrt((back**2).sum(2)) * visible(back, there)
        corner = busiest(size, CROP)
        total = float(size[corner[0] : corner[0] + CROP[0], corner[1] : corner[1] + CROP[1]].mean())
        best = max(best, (total, t, corner))
    return best[1], best[2]


def busiest(field: npt.NDArray[Any], size: tuple[int, int]) -> tuple[int, int]:
    """The corner (row, column) of the window of this size with the largest sum; the first of equal ones."""
    sums = np.pad(np.cumsum(np.cumsum(field, 0, dtype=np.float64), 1), ((1, 0), (1, 0)))
    h, w = min(size[0], field.shape[0]), min(size[1], field.shape[1])
    total = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    y, x = np.unravel_index(int(np.argmax(total)), total.shape)
    return int(y), int(x)


def _panel(figure: Any, box: tuple[float, float, float, float], rgb: Rgb, size: tuple[float, float]) -> None:
    """A picture at (x, y, width, height) inches of a figure of this size."""
    axes = figure.add_axes((box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]))
    axes.imshow(rgb, aspect="auto", interpolation="lanczos")
    axes.set_axis_off()


if __name__ == "__main__":
    for drawn in draw(sys.argv[2] if len(sys.argv) > 2 else "blaze", Path(sys.argv[1]), ("quality", "clipped", "real")):
        print(drawn)
