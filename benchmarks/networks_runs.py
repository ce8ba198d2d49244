"""The runs of deflicker_networks.py: flicker on a clip, frames that are clipped, films, clean clips, speed.

All clips of pictures are of the test part of engines/blaze/split.json: no network was trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from clips import load, material, rate
from deflicker_quality import REAL
from deflicker_speed import HEIGHT, WIDTH, ours, stock
from networks_figures import (
    ALONE,
    CAP,
    Figures,
    Loss,
    Run,
    clipped_mask,
    exposed,
    exposure,
    gradient_energy,
    psnr_within,
)
from peers import Method, Rgb, Yuv, reelmend, to_rgb, to_yuv
from reelmend.analyze.benchmark import Comparison, Row, alternate, compare
from reelmend.analyze.degrade import make
from reelmend.analyze.flow import Flow, dis_flow, visible
from reelmend.analyze.metrics import ewarp_l1_pair, ewarp_squared_pair, psnr
from reelmend.analyze.series import ClipMeter, FlickerMeter

SPLIT = Path(__file__).parents[1] / "engines" / "blaze" / "split.json"
CLIPS = {
    "bedroom (handheld)": "sam2_bedroom_540p30.mp4",
    "roof (pan)": "exo_roof_360p30_handheld.mp4",
    "talk (webcam)": "maxine_talk_1080p30.mp4",
    "bunny (animation)": "bbb_720p60_from4k.mp4",
    "sign (fast hands)": "intel_asl_yes_480p30.mkv",
}
KINDS = ("gain_gamma", "additive", "local", "gain_gamma+local", "additive+local")
ALL = "+ local"
METHODS: dict[str, tuple[str, ...]] = {  # the networks that go on after equalisation, one more in each
    ALONE: (),
    "+ global": ("global",),
    "+ temporal": ("global", "temporal"),
    ALL: ("global", "temporal", "local"),
}
BOTH = {ALONE: (), "networks": METHODS[ALL]}
SSIM_EVERY, WARP_EVERY = 10, 20  # frames: they are slow
LEAST = 1e-3  # share of the picture that must be clipped for a frame to count
TREAT = {"gate": "always"}  # of single frames that are clipped: every one is equalised, whatever it is taken for
FILM_LINES = 368  # of the films that flicker
PAPER_SECONDS = 58.37  # of BlazeBVD on its GPU: 80 frames of 640x360 (arXiv 2403.06243)
RACE = "exo_roof_360p30_handheld.mp4", 80, 360  # clip, frames, lines


def held_back() -> dict[str, str]:
    """CLIPS, proved to be of the test part. Ends the program where one is not."""
    test = json.loads(SPLIT.read_text("utf-8"))["video"]["test"]
    strangers = sorted(set(CLIPS.values()) - set(test))
    if strangers:
        raise SystemExit(f"{SPLIT} does not keep for tests: {', '.join(strangers)}")
    return CLIPS


def stage(network: str, parts: tuple[str, ...], fps: Any, **options: Any) -> Method:
    """The stage in mode film, followed by some networks or by none."""
    more = {"networks": parts, "network": network} if parts else {}
    return reelmend(rate=fps, **{"mode": "film", **more, **options})


def lines(name: str, width: int) -> int:
    """Lines of a clip reduced to `width` columns, even; its own where it has no more."""
    with av.open(str(material() / name)) as container:
        video = container.streams.video[0]
        return min(video.height, round(video.height * width / video.width / 2) * 2)


def pictures(clip: str, count: int, width: int) -> list[Rgb]:
    return load(CLIPS[clip], count, lines(CLIPS[clip], width))


Motion = tuple[Flow, npt.NDArray[np.uint8]]  # a flow and its mask


@dataclass(frozen=True)
class Truth:
    """A clean clip as every method could give it at best, and its motion: from frame t to t + 1, to t - 1, to 0."""

    clean: list[Rgb]
    rgb: list[Rgb]
    fps: Any
    motion: dict[int, tuple[Motion, Motion, Motion]]


@lru_cache(maxsize=1)
def truth_of(clip: str, count: int, width: int) -> Truth:
    clean = pictures(clip, count, width)
    rgb = [to_rgb(to_yuv(picture)) for picture in clean]
    near = range(1, len(rgb) - 1, WARP_EVERY)
    found = {t: (motion(rgb[t], rgb[t + 1]), motion(rgb[t], rgb[t - 1]), motion(rgb[t], rgb[0])) for t in near}
    return Truth(clean, rgb, rate(CLIPS[clip]), found)


def motion(a: Rgb, b: Rgb) -> Motion:
    flow = dis_flow(a, b)
    return flow, visible(flow, dis_flow(b, a))


def warped(out: Sequence[Rgb], truth: Truth) -> Figures:
    """Both E_warp, their means over every WARP_EVERY-th frame."""
    squared, near, far = [], [], []
    for t, (following, previous, first) in truth.motion.items():
        squared.append(ewarp_squared_pair(out[t], out[t + 1], *following))
        near.append(ewarp_l1_pair(out[t], out[t - 1], *previous))
        far.append(ewarp_l1_pair(out[t], out[0], *first))
    return {"ewarp_squared": float(np.mean(squared)), "ewarp_l1": float(np.mean(near) + np.mean(far))}


@lru_cache(maxsize=1)
def at_best(clip: str, count: int, width: int) -> Figures:
    """What the clean clip itself has of the figures that need no truth."""
    truth, meter = truth_of(clip, count, width), FlickerMeter()
    for rgb in truth.rgb:
        meter.push(rgb)
    return {**warped(truth.rgb, truth), "flicker_tiles": meter.figures().tiles}


def measured(out: Sequence[Rgb], truth: Truth) -> Figures:
    """Of one clip; PSNR of a frame counts up to CAP."""
    meter = ClipMeter(ssim_every=SSIM_EVERY)
    for picture, clean in zip(out, truth.rgb, strict=True):
        meter.push(picture, clean)
    colour, gray = (np.minimum([row[k] for row in meter.rows], CAP) for k in (0, 1))
    figures = meter.figures()
    return {
        "psnr_db": float(colour.mean()),
        "psnr_min_db": float(colour.min()),
        "psnr_y_db": float(gray.mean()),
        "ssim": figures.ssim,
        **warped(out, truth),
        "flicker_tiles": figures.flicker.tiles,
    }


def flickering(clean: Sequence[Rgb], fps: Any, kind: str, seed: int) -> list[Yuv]:
    """A clean clip as the methods get it."""
    flicker = make(kind, seed=seed, fps=float(fps))
    return [to_yuv(flicker.apply(rgb, t)) for t, rgb in enumerate(clean)]


def quality(network: str, clip: str, kind: str, seeds: int, count: int, width: int) -> list[Run]:
    """Every method on one clip with one kind of flicker; the clean clip itself as "truth"."""
    truth = truth_of(clip, count, width)
    made = [Run(kind, clip, 0, "truth", at_best(clip, count, width))]
    for seed in range(seeds):
        bad = flickering(truth.clean, truth.fps, kind, seed)
        outs = {"input": bad} | {name: stage(network, parts, truth.fps)(bad) for name, parts in METHODS.items()}
        for name, out in outs.items():
            made.append(Run(kind, clip, seed, name, measured([to_rgb(yuv) for yuv in out], truth)))
    return made


def clipped(network: str, clip: str, count: int, width: int) -> list[Loss]:
    """Single frames that were exposed wrongly, as every method gives them."""
    clean, fps = pictures(clip, count, width), rate(CLIPS[clip])
    given = [to_yuv(exposed(rgb, exposure(t))) for t, rgb in enumerate(clean)]
    truth, bad = ([to_rgb(yuv) for yuv in clip] for clip in (map(to_yuv, clean), given))
    outs = {"input": given}
    outs |= {name: stage(network, parts, fps, **TREAT)(given) for name, parts in METHODS.items()}
    found = []
    for t in range(count):
        how = exposure(t)
        if how is None:
            continue
        mask = clipped_mask(bad[t], truth[t])
        if mask.mean() < LEAST:
            continue
        for name, out in outs.items():
            rgb = to_rgb(out[t])
            inside, outside = (psnr_within(rgb, truth[t], m) for m in (mask, ~mask))
            same = np.array_equal(out[t], given[t])
            found.append(Loss(clip, t, how, name, float(mask.mean()), float(inside or 0), outside, same))
    return found


def film(name: str, count: int) -> list[Yuv]:
    return [to_yuv(rgb) for rgb in load(REAL[name], count, FILM_LINES)]


def real(network: str, name: str, count: int) -> list[Row]:
    """A film that flickers by itself: what is left, and whether it is as sharp as it was.

    A frame's sharpness is compared with the same frame's of the input; a gain changes it too, so compare methods.
    """
    frames, fps = film(name, count), rate(REAL[name])
    outs = {"input": frames} | {method: stage(network, parts, fps)(frames) for method, parts in BOTH.items()}
    before: Figures = {}
    sharp: list[float] = []
    rows = []
    for method, out in outs.items():
        meter, energy = FlickerMeter(), []
        for yuv in out:
            rgb = to_rgb(yuv)
            meter.push(rgb)
            energy.append(gradient_energy(rgb))
        f = meter.figures()
        values: Figures = {"flicker_luma": f.luma, "flicker_tiles": f.tiles, "flicker_tiles_max": f.tiles_max}
        before, sharp = before or values, sharp or energy
        ratio = np.asarray(energy) / np.maximum(sharp, 1e-9)
        values |= {
            "left_share": f.tiles / max(float(before["flicker_tiles"] or 0), 1e-9),
            "gradient_ratio": float(ratio.mean()),
            "gradient_ratio_min": float(ratio.min()),
            "exact_share": float(np.mean([np.array_equal(a, b) for a, b in zip(out, frames, strict=True)])),
        }
        rows.append(Row(f"real: {name}", method, values))
    return rows


def untouched(network: str, clip: str, count: int, width: int) -> list[Row]:
    """A clean clip: what is done to it if every frame is to be equalised, and what if none needs it."""
    frames, fps = [to_yuv(rgb) for rgb in pictures(clip, count, width)], rate(CLIPS[clip])
    truth = [to_rgb(yuv) for yuv in frames]
    rows = []
    for method, parts in BOTH.items():
        forced = stage(network, parts, fps, gate="always")(frames)
        found = np.minimum([psnr(to_rgb(a), b) for a, b in zip(forced, truth, strict=True)], CAP)
        gated = stage(network, parts, fps)(frames)
        exact = float(np.mean([np.array_equal(a, b) for a, b in zip(gated, frames, strict=True)]))
        values: Figures = {
            "always_psnr_db": float(found.mean()),
            "always_psnr_min_db": float(found.min()),
            "auto_exact_share": exact,
        }
        rows.append(Row(f"clean: {clip}", method, values))
    return rows


def speed(network: str, quick: bool) -> tuple[list[Row], list[Comparison]]:
    """What the networks cost: steadily at 1080p, and over a short clip from opening the stage to the last frame."""
    rows: list[Row] = []
    comparisons = []
    frames, count = stock(24 if quick else 48), 4 if quick else 12
    for mode in ("film",) if quick else ("film", "low"):
        calls: dict[str, Callable[[], object]] = {}
        for method, parts in BOTH.items():
            more: dict[str, Any] = {"networks": parts, "network": network} if parts else {}
            calls[method] = ours(mode, frames, count, **more)
        case = f"speed: {WIDTH}x{HEIGHT}, mode {mode}"
        taken = alternate(calls, 3 if quick else 9)
        comparisons.append(compare(case, "networks", ALONE, taken))
        for method, seconds in taken.items():
            ms = 1000 * np.asarray(seconds) / count
            more_ms = ms - 1000 * np.asarray(taken[ALONE]) / count
            values: Figures = {"ms": float(np.median(ms)), "added_ms": float(np.median(more_ms))}
            rows.append(Row(case, method, values))
        del calls
    name, length, height = RACE
    flicker, fps = make("gain_gamma", seed=0, fps=float(rate(name))), rate(name)
    short = [to_yuv(flicker.apply(rgb, t)) for t, rgb in enumerate(load(name, length, height))]
    case = f"speed: {length} frames of {short[0].shape[1]}x{height}"
    whole = {m: partial(stage(network, parts, fps), short) for m, parts in BOTH.items()}
    taken = alternate(whole, 2 if quick else 5)
    comparisons.append(compare(case, "networks", ALONE, taken))
    for method, seconds in taken.items():
        s = float(np.median(seconds))
        rows.append(Row(case, method, {"s": s, "fps": length / s, "times": PAPER_SECONDS / s}))
    return rows, comparisons
