"""What the networks after equalisation are worth, and what they cost: Deflicker(networks=...) beside the stage alone.

    python benchmarks/deflicker_networks.py [--network FOLDER] [--section NAME] [--quick] [--pictures FOLDER]
        [--json benchmarks/results/deflicker_networks.json]

Clips are those that the networks were not trained on (test part of engines/blaze/split.json), at most 480 columns wide.
Every method takes the very same yuv420p frames, in mode film. "equalisation" is the stage without networks; "+ global",
"+ temporal", "+ local" add one network each to those before.

quality  five kinds of flicker on five clips, three seeds, against the clean clip: PSNR (a frame counts up to 60 dB),
         SSIM of every 4th frame, both E_warp of every 8th with flow of the clean clip, flicker of 8x12 tiles.
         Gains are over equalisation alone, by run: mean, quartiles, the least; better_share: runs that gained at all.
         "truth" is the clean clip itself.
clipped  every 6th frame alone has too much light (times 1.8) or too little (0.3 of white less), by turns; PSNR within
         the mask of what was lost to white or black by that, and outside of it. gate="always" for every method.
real     films that flicker: deviation of the means of 8x12 tiles from their 11-frame median (motion shows in it too),
         and the energy of gradients as a share of the input's, which falls where a picture is blurred.
clean    clean clips: PSNR against the input with gate="always"; frames that leave bit for bit with gate="auto".
speed    milliseconds a frame at 1920x1080, steadily, in turns; and the seconds of 80 frames of 640x360, engines opened
         and all, beside the 58.37 s that BlazeBVD's paper gives for as many on its GPU.

--section measures one of them, and puts it into a result that is there already. Speed wants an idle machine: what else
ran when it began is in the settings (load).
Needs the test material (REELMEND_MATERIAL, or ../shared/material next to the repository). Extras: bench; plot.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

import networks_pictures
from deflicker_quality import REAL
from networks_figures import EVERY, GAIN, SHIFT, Loss, Run, losses, means, summary
from networks_runs import (
    ALL,
    CLIPS,
    KINDS,
    METHODS,
    PAPER_SECONDS,
    TREAT,
    clipped,
    held_back,
    quality,
    real,
    speed,
    untouched,
)  # fmt: skip
from reelmend.analyze.benchmark import Comparison, Row, document, table, write
from reelmend.engines import find

SECTIONS = ("quality", "clipped", "real", "clean", "speed")
WIDTH, FRAMES, SEEDS = 480, 60, 3
COMMON = ("network", "quick", "width", "frames", "clips")  # settings of all sections
COLUMNS = {  # what is printed of each section
    "quality": (
        "psnr_db", "psnr_min_db", "psnr_y_db", "ssim", "ewarp_squared", "ewarp_l1", "flicker_tiles", "gain_db",
        "gain_q1_db", "gain_q3_db", "gain_least_db", "gain_min_db", "better_share",
    ),
    "clipped": (
        "inside_db", "inside_min_db", "outside_db", "masked_share", "exact_share", "frames", "gain_db", "gain_q1_db",
        "gain_q3_db", "gain_least_db",
    ),
    "real": ("flicker_luma", "flicker_tiles", "left_share", "gradient_ratio", "gradient_ratio_min", "exact_share"),
    "clean": ("always_psnr_db", "always_psnr_min_db", "auto_exact_share"),
    "speed": ("ms", "added_ms", "s", "fps", "times"),
}  # fmt: skip

Jobs = list[tuple[Callable[..., Any], tuple[Any, ...]]]
Document = dict[str, Any]


def calm() -> None:
    """In a worker: one thread, since there is a worker a core."""
    os.environ["REELMEND_THREADS"] = "1"


def jobs_of(section: str, network: str, quick: bool, width: int) -> Jobs:
    count, seeds = (24, 1) if quick else (FRAMES, SEEDS)
    clips, kinds = (list(CLIPS)[:2], KINDS[-2:]) if quick else (list(CLIPS), KINDS)
    if section == "quality":
        return [(quality, (network, clip, kind, seeds, count, width)) for clip in clips for kind in kinds]
    if section == "real":
        return [(real, (network, name, 24 if quick else 10_000)) for name in REAL]
    work = {"clipped": clipped, "clean": untouched}[section]
    return [(work, (network, clip, count, width)) for clip in clips]


def rows_of(section: str, found: Sequence[list[Any]]) -> list[Row]:
    """All rows of a section, those of everything first."""
    every = [each for one in found for each in one]
    rows: list[Row] = []
    if section == "quality":
        runs: list[Run] = every
        rows = summary("quality: mean", runs)
        for kind in dict.fromkeys(r.kind for r in runs):
            rows += summary(f"quality: {kind}", [r for r in runs if r.kind == kind])
        for clip in dict.fromkeys(r.clip for r in runs):
            rows += summary(f"quality: {clip}", [r for r in runs if r.clip == clip])
    elif section == "clipped":
        lost: list[Loss] = every
        for how in ("white", "black"):
            rows += losses(f"clipped: {how}", [f for f in lost if f.how == how])
        for clip in dict.fromkeys(f.clip for f in lost):
            rows += losses(f"clipped: {clip}", [f for f in lost if f.clip == clip])
    elif section == "clean":
        rows = [*means("clean: mean", every), *every]
    else:
        rows = every
    return rows


def run(sections: Sequence[str], network: str, quick: bool, workers: int, width: int) -> Document:
    held_back()
    measured = identity(network)
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    pooled = [(name, jobs_of(name, network, quick, width)) for name in sections if name != "speed"]
    with ProcessPoolExecutor(workers, initializer=calm) as pool:
        waiting = [(name, [pool.submit(call, *given) for call, given in jobs]) for name, jobs in pooled]
        with tqdm(total=sum(len(jobs) for _, jobs in waiting), unit="job") as bar:
            for _, jobs in waiting:
                for job in jobs:
                    job.add_done_callback(lambda _: bar.update())
            for name, jobs in waiting:
                rows += rows_of(name, [job.result() for job in jobs])
    load = os.getloadavg()[0]
    if "speed" in sections:
        more, comparisons = speed(network, quick)
        rows += more
    settings: Document = {
        "network": measured,
        "quick": quick,
        "width": width,
        "frames": 24 if quick else FRAMES,
        "clips": dict(list(CLIPS.items())[: 2 if quick else None]),
    }
    own = {
        "quality": {"seeds": 1 if quick else SEEDS, "kinds": KINDS[-2:] if quick else KINDS},
        "clipped": {"every": EVERY, "gain": GAIN, "shift": SHIFT, **TREAT},
        "real": {"films": REAL},
        "speed": {"paper_s": PAPER_SECONDS, "load": load},
    }
    settings |= {name: given for name, given in own.items() if name in sections}
    return document("deflicker_networks", rows, comparisons, settings=settings)


def identity(network: str) -> dict[str, Any]:
    """Which network it is, by the digests of its parts."""
    found = find(network, "deflicker")
    lacking = [part for part in METHODS[ALL] if part not in found.parts]
    if lacking:
        raise SystemExit(f"{found.name} has no {', '.join(lacking)}: this measures networks that have all parts")
    digests = {name: part.sha256.get("fp32") for name, part in found.parts.items()}
    return {"name": found.name, "origin": found.origin, "parameters": found.parameters, "sha256": digests}


def merged(old: Mapping[str, Any], new: Document) -> Document:
    """A new result with the sections of an old one that it lacks. ValueError if they are not of the same thing."""
    before, after = old["settings"], json.loads(json.dumps(new["settings"]))
    unlike = [name for name in COMMON if before.get(name) != after[name]]
    unlike += ["machine"] if old["machine"] != new["machine"] else []
    if unlike:
        raise ValueError(f"the result that is there has another {', '.join(unlike)}; measure all sections")
    own = {section_of(row) for row in new["rows"]}

    def joined(key: str) -> list[Any]:
        kept = [row for row in old[key] if section_of(row) not in own]
        return sorted([*kept, *new[key]], key=lambda row: SECTIONS.index(section_of(row)))

    settings = {name: given for name, given in before.items() if name not in own} | new["settings"]
    return {**new, "settings": settings, "rows": joined("rows"), "comparisons": joined("comparisons")}


def section_of(row: Mapping[str, Any]) -> str:
    """Of a row or a comparison."""
    return str(row["case"]).split(": ")[0]


def show(result: Mapping[str, Any]) -> str:
    """The result as text, one block a section."""
    blocks = []
    for section in SECTIONS:
        columns = COLUMNS[section]
        body = [
            [f"{r['case']} / {r['method']}", *(_cell(c, r["values"].get(c)) for c in columns)]
            for r in result["rows"]
            if section_of(r) == section
        ]
        if body:
            blocks.append(table((section, *columns), body))
    for c in result["comparisons"]:
        text = f"{c['case']}: {c['ours']} run at {c['ratio']:.2f} ({c['q1']:.2f}-{c['q3']:.2f}) of the speed of "
        blocks.append(text + c["peer"])
    return "\n\n".join(blocks)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.5f}" if name == "ewarp_squared" else f"{value:.4f}" if "ewarp" in name else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--network", default="blaze", metavar="FOLDER", help="a network's folder, or its name")
    parser.add_argument("--section", choices=SECTIONS, help="only this one; with --json, put into the file")
    parser.add_argument("--quick", action="store_true", help="24 frames of 2 clips, 2 kinds, one seed (two minutes)")
    parser.add_argument("--width", type=int, default=WIDTH, help="columns of the clips, at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw the methods side by side")
    args = parser.parse_args()
    sections = [args.section] if args.section else list(SECTIONS)
    result = run(sections, args.network, args.quick, args.workers, args.width)
    print(show(result))
    if args.json:
        if args.section and args.json.exists():
            try:
                result = merged(json.loads(args.json.read_text("utf-8")), result)
            except ValueError as error:
                raise SystemExit(f"{args.json} is left as it was: {error}") from None
        write(args.json, result)
    if args.pictures:
        for path in networks_pictures.draw(args.network, args.pictures, sections, args.quick, args.width):
            print(path)


if __name__ == "__main__":
    main()
