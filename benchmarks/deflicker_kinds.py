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
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import kinds_pictures
from deflicker_quality import REAL
from kinds_runs import CAP, CLIPS, EXPECTED, OURS, VERDICTS, WANTED, Run, clean_files, real, synthetic, untouched
from reelmend.analyze.benchmark import Row, document, table, write
from reelmend.stages.deflicker import KINDS

CAUSAL = ("gain_gamma", "bands", "alternation2", "alternation3")  # kinds of the causal shares
STRENGTHS, SEEDS = (0.5, 1.0, 2.0), (0, 1)


def verdicts(runs: Sequence[Run], case: str) -> list[Row]:
    """How often each verdict was given, how often rightly, and the share of frames of which nothing is certain."""
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
    return [Row(f"{kind}: causal share", name, {"share": mean[name] / film if film > 0 else None}) for name in OURS[1:]]


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


def harmed(runs: Sequence[Run]) -> list[str]:
    """Runs in which something was changed that was to be left alone, one line each."""
    return [
        f"{r.kind}, strength {r.strength}, seed {r.seed}, {r.clip}, {r.method}: "
        f"{100 * float(r.values['exact_share'] or 0):.1f} % untouched, worst frame {r.values['psnr_min_db']:.1f} dB"
        for r in runs
        if r.method in OURS and r.kind in WANTED and r.values["exact_share"] != 1
    ]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else 0.0


def calm() -> None:
    """In a worker: one thread, since there is a worker a core."""
    os.environ["REELMEND_THREADS"] = "1"


def run(kinds: Sequence[str], clips: Sequence[str], seeds: Sequence[int], quick: bool, workers: int) -> dict[str, Any]:
    count, height = (72, 180) if quick else (240, 270)
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
        "harmed": harmed(found),
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
    files: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        if row["case"].startswith("untouched: "):
            files.setdefault(row["case"][11:], []).append(row["values"])
    if files:
        head = ("clean files", *(f"exact, {name[9:]}" for name in OURS), *(f"verdict, {name[9:]}" for name in OURS))
        told = [
            [name, *(f"{v['exact_share']:.4f}" for v in own), *(next(k for k in VERDICTS if v[k]) for v in own)]
            for name, own in files.items()
        ]
        blocks.append(table(head, told))
    for title, key in (("told wrongly:", "misses"), ("changed, though to be left alone:", "harmed")):
        blocks.append("\n".join([title, *(result["settings"][key] or ["none"])]))
    return "\n\n".join(blocks)


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
