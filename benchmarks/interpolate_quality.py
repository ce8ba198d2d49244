"""How well frames are made between frames, against FFmpeg's minterpolate and OpenCV's optical flow, used plainly: every
second frame of a clip is taken away.

    python benchmarks/interpolate_quality.py [--quick] [--json benchmarks/results/interpolate_quality.json]
                                             [--worst benchmarks/results/interpolate_worst.jpg]
    python benchmarks/interpolate_quality.py --slim --json benchmarks/results/interpolate_slim.json

The frames that are left, in yuv420p and native size, go to every method at half the clip's rate, for twice that; what
is made between them is compared with what was taken away, in RGB, by PSNR (each frame) and SSIM (every 4th). Frames of
the source must come out untouched. A pair with a cut in it has no truth between its frames and is left out. Of clips
with 60 frames a second, three of four are taken away too ("x4"). With --slim the methods are those whose networks ship,
slow ones too, on the first frames of clips held out.

"held out" is the mean of clips that method "fast" was not trained on (engines/fast/split.json); it is the one to read
that method by. The twenty clips of signs are one kind of footage, and count as one.

Needs the test material (REELMEND_MATERIAL, or ../shared/material next to the repository).
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from clips import material, rate
from peers import Method, Yuv, as_frame, as_yuv, filtered, pictures, to_rgb, to_yuv
from reelmend.analyze.benchmark import Row, document, table, write
from reelmend.analyze.metrics import psnr, ssim
from reelmend.stages.shots import Shots
from reelmend.stages.structure import structure_of

WORDS = "again bird book brother eat help hungry learn milk night no please school sister sorry student thanks"
CLIPS = {
    "dog": "sam2_dog_720p30.mp4",
    "blocks": "sam2_blocks_720p30.mp4",
    "coffee": "sam2_coffee_720p30.mp4",
    "bedroom": "sam2_bedroom_540p30.mp4",
    "bunny 720p60": "bbb_720p60_from4k.mp4",
    "bunny 1080p60": "media3_bbb_1080p60.webm",
    "talk": "maxine_talk_1080p30.mp4",
    "sintel": "../sequences/sintel_alley1_clean",
    **{f"sign: {word}": f"intel_asl_{word}_480p30.mkv" for word in [*WORDS.split(), "walk", "want", "yes"]},
}
MINTERPOLATE = {
    "ffmpeg minterpolate": "mi_mode=mci",
    "ffmpeg minterpolate, aobmc, vsbmc": "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1",
}
SSIM_EVERY = 4
WORST = 10


def load(clip: str, count: int) -> tuple[list[Yuv], Fraction]:
    """The first frames of a clip as yuv420p in native size, and its rate."""
    path = material() / CLIPS[clip]
    if path.is_dir():
        images = [av.open(str(p)) for p in sorted(path.glob("*.png"))]
        return [to_yuv(next(c.decode(video=0)).to_ndarray(format="rgb24")) for c in images], Fraction(24)
    frames: list[Yuv] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.reformat(format="yuv420p").to_ndarray())
            if len(frames) == count:
                break
    return frames, rate(CLIPS[clip])


def ours(fps: Fraction, times: int = 2, **options: Any) -> Method:
    """Our stage, frames pushed one by one, to so many times the rate."""

    def run(frames: list[Yuv]) -> list[Yuv]:
        from reelmend.stages.interpolate import Interpolate
        from reelmend.stream import Stream

        stream = Stream([Interpolate(factor=times, repeats="keep", **options)])
        return [as_yuv(f) for f in stream.process(as_frame(yuv, t, fps) for t, yuv in enumerate(frames))]

    return run


def theirs(options: str, times: int = 2) -> Method:
    """FFmpeg's filter to so many times the rate."""

    def run(frames: list[Yuv]) -> list[Yuv]:
        given = pictures(frames, 1)
        return [f.to_ndarray() for f in filtered(given, "minterpolate", f"fps={times}:{options}")]

    return run


def back_warped(times: int = 2) -> Method:
    """What "optical flow" mostly means: OpenCV's dense inverse search (medium), flows at t by Super SloMo's linear
    approximation (Jiang et al., CVPR 2018, equation 4), both pictures fetched along them and mixed by time."""

    def run(frames: list[Yuv]) -> list[Yuv]:
        import cv2

        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        out = [frames[0]]
        for one, two in pairwise(frames):
            a, b = to_rgb(one), to_rgb(two)
            gray = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (a, b)]
            there, back = search.calc(*gray, None), search.calc(*gray[::-1], None)
            grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in a.shape[1::-1])), 2)
            for k in range(1, times):
                t = k / times
                to_a, to_b = t * t * back - (1 - t) * t * there, (1 - t) * (1 - t) * there - t * (1 - t) * back
                seen = [
                    cv2.remap(p, grid + np.float32(f), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                    for p, f in ((a, to_a), (b, to_b))
                ]
                out.append(to_yuv(cv2.addWeighted(seen[0], 1 - t, seen[1], t, 0)))
            out.append(two)
        return out

    return run


def methods(fps: Fraction, times: int = 2, slim: bool = False) -> dict[str, Method]:
    if slim:
        named = ("flow", "fast", "superslomo", "dain")
        return {"opencv DIS, back-warp": back_warped(times), **{n: ours(fps, times, method=n) for n in named}}
    return {
        "sample": ours(fps, times, method="sample"),
        "blend": ours(fps, times, method="blend"),
        **{name: theirs(options, times) for name, options in MINTERPOLATE.items()},
        "opencv DIS, back-warp": back_warped(times),
        "memc": ours(fps, times, method="memc"),
        "flow": ours(fps, times, method="flow"),
        "fast": ours(fps, times, method="fast"),
    }


def shots(frames: list[Yuv]) -> list[int]:
    """The shot of every frame, as our stages tell it."""
    counter = Shots()
    return [counter.number(structure_of(as_frame(yuv, t))) for t, yuv in enumerate(frames)]


Worst = tuple[float, str, int]  # PSNR, clip, frame


def held_out() -> set[str]:
    """The clips that method "fast" was not trained on."""
    split = json.loads((Path(__file__).parents[1] / "engines" / "fast" / "split.json").read_text("utf-8"))
    trained = set(split["video"]["train"])
    return {clip for clip, file in CLIPS.items() if file not in trained}


def one(
    clip: str, count: int, times: int, slim: bool
) -> tuple[str, dict[str, dict[str, float]], dict[str, list[tuple[float, int]]]]:
    """(clip, figures by method, the PSNR of every made frame by method)."""
    frames, fps = load(clip, count)
    shot = shots(frames)
    last = (len(frames) - 1) // times * times
    judged = [i for i in range(1, last) if i % times and shot[i - i % times] == shot[i - i % times + times]]
    figures, single = {}, {}
    for name, method in methods(fps / times, times, slim).items():
        out = method(frames[::times])
        found, alike, exact = [], [], 0
        for i in judged:
            if i >= len(out):
                break  # minterpolate keeps its last frames
            made, truth = to_rgb(out[i]), to_rgb(frames[i])
            found.append((psnr(made, truth), i))
            if (i // times) % SSIM_EVERY == 0:
                alike.append(ssim(made, truth))
            exact += np.array_equal(out[i - i % times], frames[i - i % times])
        values = [v for v, _ in found]
        figures[name] = {
            "psnr_db": float(np.mean(values)),
            "psnr_min_db": float(np.min(values)),
            "ssim": float(np.mean(alike)),
            "ssim_min": float(np.min(alike)),
            "source_exact": exact / len(found),
            "frames": len(found),
        }
        single[name] = found
    return clip, figures, single


def run(quick: bool, slim: bool, workers: int) -> tuple[dict[str, Any], dict[str, list[Worst]]]:
    count = 25 if quick else 17 if slim else 121
    untrained = held_out()
    clips = [c for c in CLIPS if not quick or not c.startswith("sign") or c.endswith("yes")]
    if slim:
        clips = [c for c in clips if c in untrained]
    jobs = [(c, 2) for c in clips] + [(c, 4) for c in clips if c.endswith("60") and not slim]
    rows: list[Row] = []
    worst: dict[str, list[Worst]] = {}
    found = {}
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(one, *zip(*((c, count, times, slim) for c, times in jobs), strict=True))
        for (_, times), (clip, figures, single) in zip(jobs, results, strict=True):
            case = clip if times == 2 else f"{clip}, x4"
            for name, values in figures.items():
                rows.append(Row(case, name, values))
            print(f"{case:18}", "  ".join(f"{n} {v['psnr_db']:.2f}" for n, v in figures.items()), flush=True)
            if times == 2:
                found[clip] = figures
                for name in figures:
                    worst.setdefault(name, []).extend((v, clip, i) for v, i in single[name])
    for name in worst:
        held = {c: figures[name] for c, figures in found.items() if c in untrained}
        rows.insert(0, Row("held out", name, mean_of(held)))
        rows.insert(0, Row("mean", name, mean_of({c: figures[name] for c, figures in found.items()})))
        worst[name] = sorted(worst[name])[:WORST]
    settings = {"frames": count, "clips": CLIPS, "minterpolate": MINTERPOLATE, "quick": quick}
    return document("interpolate_slim" if slim else "interpolate_quality", rows, settings=settings), worst


def mean_of(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Of figures by clip; those of signs count as one clip."""
    signs = [figures for clip, figures in found.items() if clip.startswith("sign")]
    each = [figures for clip, figures in found.items() if not clip.startswith("sign")]
    each.append({k: float(np.mean([s[k] for s in signs])) for k in signs[0]})
    return {k: float(np.mean([e[k] for e in each])) for k in each[0] if k != "frames"}


def sheet(worst: dict[str, list[Worst]], path: Path, count: int) -> None:
    """The worst frames of method "fast": a row each of what was taken away and what the methods made of it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [n for n in worst if n not in ("sample",)]
    picked = [(clip, i) for _, clip, i in worst["fast"]]
    figure, axes = plt.subplots(len(picked), len(shown) + 1, figsize=(3.2 * (len(shown) + 1), 1.95 * len(picked)))
    for row, (clip, i) in zip(axes, picked, strict=True):
        frames, fps = load(clip, count)
        near = slice(max(0, (i - 1) // 2 - 2), (i + 1) // 2 + 3)
        some = frames[::2][near]
        at = i - 2 * (near.start or 0)
        row[0].imshow(to_rgb(frames[i]))
        row[0].set_ylabel(f"{clip} {i}", fontsize=7)
        row[0].set_title("truth", fontsize=7)
        for axis, name in zip(row[1:], shown, strict=True):
            out = methods(fps / 2)[name](some)
            if at >= len(out):  # minterpolate keeps its last frames
                continue
            made = to_rgb(out[at])
            axis.imshow(made)
            axis.set_title(f"{name.replace('ffmpeg ', '')} {psnr(made, to_rgb(frames[i])):.1f} dB", fontsize=7)
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=80)


def show(result: dict[str, Any]) -> str:
    """The means as text."""
    columns = ("psnr_db", "psnr_min_db", "ssim", "ssim_min", "source_exact")
    body = [
        [r["case"], r["method"], *(f"{r['values'][c]:.3f}" for c in columns)]
        for r in result["rows"]
        if r["case"] in ("mean", "held out") or r["case"].endswith("x4")
    ]
    return table(("clips", "method", *columns), body)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="25 frames of fewer clips (two minutes)")
    parser.add_argument(
        "--slim", action="store_true", help="the methods whose networks ship, on 17 frames of clips held out"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worst", type=Path, metavar="PICTURE", help="draw the worst frames of method fast")
    args = parser.parse_args()
    result, worst = run(args.quick, args.slim, args.workers)
    print(show(result))
    for name, frames in worst.items():
        print(f"worst of {name}:", ", ".join(f"{clip} {i} ({v:.1f} dB)" for v, clip, i in frames))
    if args.json:
        write(args.json, result)
    if args.worst:
        sheet(worst, args.worst, 25 if args.quick else 121)


if __name__ == "__main__":
    main()
