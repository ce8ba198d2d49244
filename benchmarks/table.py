"""The benchmark section of the README, made from benchmarks/results/*.json.

    python benchmarks/table.py [--check]

Rewrites what stands between the markers; --check only says whether it is up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"

Document = dict[str, Any]


def load(folder: Path = RESULTS) -> dict[str, Document]:
    """Committed results by the name of their benchmark."""
    found = (json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json")))
    return {document["benchmark"]: document for document in found}


def markdown(head: list[str], body: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def best(column: list[float | None], text: str, *, least: bool = False) -> list[str]:
    """Numbers as text, the best one bold, all that print alike included."""
    known = [v for v in column if v is not None]
    top = text.format(min(known) if least else max(known)) if known else ""
    cells = ["" if v is None else text.format(v) for v in column]
    return [f"**{cell}**" if cell and cell == top else cell for cell in cells]


def measured(document: Document, *names: str) -> str:
    """One line: when, on what, with which versions."""
    m, v = document["machine"], document["versions"]
    shown = ", ".join(f"{name} {v[name]}" for name in names if name in v)
    return f"*{document['date'][:10]}, {m['cpu']}, {m['cores']} cores, {m['system']}; {shown}.*"


def values(document: Document, case: str) -> dict[str, dict[str, float | None]]:
    return {row["method"]: row["values"] for row in document["rows"] if row["case"] == case}


def quality(document: Document) -> str:
    s = document["settings"]
    means = {kind: values(document, f"{kind}: mean") for kind in ("gain_gamma", "additive")}
    reals = {name: values(document, f"real: {name}") for name in s["real"]}
    names = list(means["gain_gamma"])
    columns: list[tuple[str, list[str]]] = []
    for kind, label in (("gain_gamma", "exposure"), ("additive", "colour steps")):
        for key, text, what in (("psnr_db", "{:.2f}", "PSNR"), ("psnr_min_db", "{:.2f}", "worst frame")):
            columns.append((f"{label}: {what}, dB", best([means[kind][n][key] for n in names], text)))
        columns.append((f"{label}: SSIM", best([means[kind][n]["ssim"] for n in names], "{:.3f}")))
    for name, found in reals.items():
        columns.append((f"{name}: flicker", best([found[n]["flicker_luma"] for n in names], "{:.2f}", least=True)))
    text = (
        f"Flicker put on {len(s['clips'])} clean clips (tripod, handheld, pan, animation; {s['frames']} frames of at "
        f"most {s['height']} lines, {s['seeds']} seeds), the same yuv420p frames to every method, against the clean "
        "clip in RGB; *worst frame* is the mean of each clip's minimum. Films that flicker themselves: standard "
        "deviation of mean luma from its 11-frame median, in 8-bit levels.\n\n"
    )
    text += markdown(["", *names], [[head, *cells] for head, cells in columns]) + "\n\n"
    return text + harm(document) + measured(document, "libavfilter", "av", "numpy")


def harm(document: Document) -> str:
    """What the methods do to clean footage and at a cut."""
    cases = [row["case"] for row in document["rows"] if row["case"].startswith("clean: ")]
    cut = next(case for case in cases if "cut: " in case)
    clean = [case for case in dict.fromkeys(cases) if case != cut]
    names = list(values(document, cut))
    body = []
    for name in names:
        rows = [values(document, case)[name] for case in clean]
        exact = sum(float(row["exact_share"] or 0) for row in rows) / len(rows)
        least = min(float(row["psnr_min_db"] or 0) for row in rows)
        at_cut = float(values(document, cut)[name]["psnr_min_db"] or 0)
        body.append([name, f"{100 * exact:.1f} %", _db(least), _db(at_cut)])
    head = ["clean footage in", "frames bit-exact", "worst frame, dB", "worst frame with a cut, dB"]
    return markdown(head, body) + "\n\n"


def _db(value: float) -> str:
    return "untouched" if value >= 100 else f"{value:.1f}"


def kinds(document: Document) -> str:
    """Which kind of flicker is found, and what is gained by taking it away."""
    s = document["settings"]
    ours, peers = [f"reelmend {mode}" for mode in ("film", "low", "live")], ["ffmpeg deflicker", "ffmpeg tmidequalizer"]
    body = []
    for kind, expected in s["expected"].items():
        told, gained = values(document, f"verdict: {kind}"), values(document, f"{kind}: mean")
        right = [f"{100 * float(told[name]['right'] or 0):.0f}" for name in ours]
        gains = [float(gained[name]["gain_db"] or 0) for name in ours]
        gains.append(max(float(gained[name]["gain_db"] or 0) for name in peers))
        # a gain that prints as 0 has no sign
        gains = [0.0 if abs(gain) < 0.05 else gain for gain in gains]
        worst = float(gained[ours[0]]["worst_gain_db"] or 0)
        cells = [" / ".join(right), *best(list(gains), "{:.1f}"), f"{0.0 if abs(worst) < 0.05 else worst:.1f}"]
        body.append([kind.replace("_", " "), expected, *cells])
    head = ["what is put on", "right verdict", "found, %: film / low / live"]
    head += ["film, dB", "low, dB", "live, dB", "best FFmpeg filter, dB", "film, worst frame, dB"]
    share = values(document, "verdict: all")
    files = [row for row in document["rows"] if row["case"].startswith("untouched: ")]
    changed = [row for row in files if row["values"]["exact_share"] != 1]
    runs = f"{float(share[ours[0]]['runs'] or 0):.0f}"
    rights = " / ".join(f"{100 * float(share[name]['right'] or 0):.0f} %" for name in ours)
    strengths = ", ".join(f"{v:g}" for v in s["strengths"])
    text = (
        f"Flicker of every kind on {len(s['clips'])} clean clips ({s['frames']} frames of at most {s['height']} lines, "
        f"strengths {strengths}, {len(s['seeds'])} seeds: {runs} runs). The verdict is right in {rights} of them "
        "(film / low / live). dB: PSNR in RGB over the input; flash, fade and clean are to be left alone, anything "
        "below 0 is harm. *mixed* is gain, bands and local flicker at once, right where all three are found.\n\n"
    )
    text += markdown(head, body) + "\n\n"
    if files:
        exact = len(files) - len(changed)
        text += f"Clean files whole, in their own format: in {exact} of {len(files)} runs every frame is untouched"
        text += "".join(
            f"{'; not in ' if k == 0 else ', '}`{row['case'][11:]}` ({row['method'][9:]}, "
            f"{100 * row['values']['exact_share']:.1f} % untouched)"
            for k, row in enumerate(changed)
        )
        text += ".\n\n"
    text += (
        "![Confusion matrices of the three modes](benchmarks/results/deflicker_confusion.png)\n\n"
        "What is told wrongly for what; the gains as bars are in "
        "[deflicker_gains.png](benchmarks/results/deflicker_gains.png).\n\n"
    )
    return text + measured(document, "libavfilter", "av", "numpy")


def networks(document: Document) -> str:
    """What the networks after equalisation are worth, one more in each line, and what they cost."""
    s, parts = document["settings"], []
    if "quality" in s:
        text = (
            f"Flicker of {len(s['quality']['kinds'])} kinds on {len(s['clips'])} clips that no network was trained on "
            f"({s['frames']} frames of at most {s['width']} columns, {s['quality']['seeds']} seeds), film, against "
        )
        text += "the clean clip (*truth*). *+* adds a network to those above it; *gain* is over equalisation alone, by "
        parts += [text + "run, with quartiles.", networks_quality(document)]
        parts.append("![What each network does to two frames](benchmarks/results/networks_ablation.png)")
    if "clipped" in s:
        both = [values(document, f"clipped: {how}") for how in ("white", "black")]
        body = [[n, *(f"{v[n][k]:.2f}" for v in both for k in ("inside_db", "outside_db"))] for n in both[0]]
        head = ["single frames exposed wrongly: PSNR, dB", "where it went white", "beside it", "black", "beside it"]
        parts.append(markdown(head, body))
    if "real" in s:
        body = []
        for name in s["real"]["films"]:
            found = values(document, f"real: {name}")
            sharp = (f"{v['gradient_ratio']:.3f}" for n, v in found.items() if n != "input")
            body.append([name, *(f"{v['flicker_tiles']:.2f}" for v in found.values()), *sharp])
        head = ["films that flicker: deviation of 8x12 tiles", "input", "equalisation", "networks"]
        parts.append(markdown([*head, "energy of gradients: equalisation", "networks"], body))
    if clean := values(document, "clean: mean"):
        alone, after = clean.values()
        exact = 100 * float(after["auto_exact_share"] or 0)
        text = f'Clean clips: {exact:.1f} % of the frames leave bit for bit; forced through (`gate="always"`), at '
        parts.append(text + f"{after['always_psnr_db']:.1f} dB, at {alone['always_psnr_db']:.1f} dB without networks.")
    lines = []
    for case in dict.fromkeys(row["case"] for row in document["rows"] if row["case"].startswith("speed: ")):
        alone, after = values(document, case).values()
        key, unit, rest = "s", "s", f"; BlazeBVD's paper: {s['speed']['paper_s']} s"
        if "ms" in after:
            key, unit, rest = "ms", "ms a frame", ""
        lines.append(f"- {case[7:]}: {alone[key]:.3g} {unit} alone, {after[key]:.3g} {unit} with networks{rest}")
    parts += ["\n".join(lines)] if lines else []
    return "\n\n".join([*parts, measured(document, "av", "numpy", "opencv-python-headless")])


def networks_quality(document: Document) -> str:
    mean = values(document, "quality: mean")
    shown = (("psnr_db", "{:.2f}"), ("psnr_min_db", "{:.2f}"), ("psnr_y_db", "{:.2f}"), ("ssim", "{:.3f}"))
    lower = (("ewarp_squared", "{:.5f}"), ("ewarp_l1", "{:.4f}"), ("flicker_tiles", "{:.2f}"))
    names = [name for name in mean if name != "truth"]
    columns = [best([mean[n][key] for n in names], text) for key, text in shown]
    columns += [best([mean[n][key] for n in names], text, least=True) for key, text in lower]
    body = [["truth", *([""] * len(shown)), *(text.format(mean["truth"][key]) for key, text in lower), ""]]
    for k, name in enumerate(names):
        v = mean[name]
        gain = f"{v['gain_db']:+.2f} ({v['gain_q1_db']:+.2f} to {v['gain_q3_db']:+.2f})" if "gain_db" in v else ""
        body.append([name, *(column[k] for column in columns), gain])
    head = ["", "PSNR, dB", "worst frame, dB", "PSNR of Y, dB", "SSIM", "E_warp, squared", "E_warp, L1"]
    text = markdown([*head, "flicker of tiles", "gain, dB"], body) + "\n\n"
    added, body = [name for name in names if name.startswith("+")], []
    for kind in document["settings"]["quality"]["kinds"]:
        found = values(document, f"quality: {kind}")
        gains = (f"{found[n]['gain_db']:+.2f}" for n in added)
        worst = (f"{found[added[-1]][key]:+.2f}" for key in ("gain_min_db", "gain_least_db"))
        body.append([kind.replace("_", " "), f"{found['equalisation']['psnr_db']:.2f}", *gains, *worst])
    return text + markdown(["gain, dB", "equalisation: PSNR", *added, "of worst frames", "of the worst run"], body)


def ratio(c: dict[str, Any]) -> str:
    return f"{c['ratio']:.2f} ({c['q1']:.2f}-{c['q3']:.2f})"


def speed(document: Document) -> str:
    body = []
    ratios = {(c["case"], c["ours"], c["peer"]): c for c in document["comparisons"]}
    peers = ["ffmpeg deflicker", "ffmpeg tmidequalizer"]
    rows = [row for row in document["rows"] if row["values"].get("fps") and not row["case"].startswith("memory")]
    for row in rows:
        cells = [f"{row['case']}: {row['method']}", f"{row['values']['fps']:.0f}"]
        for peer in peers:
            c = ratios.get((row["case"], row["method"], peer))
            cells.append(ratio(c) if c else "")
        body.append(cells)
    text = markdown(["", "frames / s", *(f"times as fast as {peer}" for peer in peers)], body) + "\n\n"
    memory = [row for row in document["rows"] if row["case"].startswith("memory, ") and "mib" in row["values"]]
    held = ", ".join(f"{row['values']['mib']:.0f} MiB for {row['case'][8:]}" for row in memory)
    return (
        text
        + f"Peak memory of a whole restoration: {held}.\n\n"
        + measured(document, "ffmpeg", "libavfilter", "av", "python")
    )


def frames_quality(document: Document) -> str:
    """How near made frames come to those that were taken away."""
    means = values(document, "mean")
    cases = dict.fromkeys(row["case"] for row in document["rows"])
    names = list(values(document, list(cases)[-1]))  # in the order they were measured in
    figures = (("psnr_db", "{:.2f}"), ("psnr_min_db", "{:.2f}"), ("ssim", "{:.3f}"), ("ssim_min", "{:.3f}"))
    columns = [best([means[n][key] for n in names], text) for key, text in figures]
    clips = [c for c in cases if c not in ("mean", "held out") and not c.endswith("x4") and "sign" not in c]
    for clip in clips:
        columns.append(best([values(document, clip)[n]["psnr_db"] for n in names], "{:.1f}"))
    signs = [c for c in cases if "sign" in c]
    each = [[float(values(document, c)[n]["psnr_db"] or 0) for c in signs] for n in names]
    columns.append(best([sum(e) / len(e) for e in each], "{:.1f}"))
    head = ["", "PSNR, dB", "worst frame, dB", "SSIM", "worst frame, SSIM", *clips, f"{len(signs)} signs"]
    body = [[name, *(column[k] for column in columns)] for k, name in enumerate(names)]
    text = (
        f"Every second frame of {len(clips) + len(signs)} clips (24 to 60 frames a second, native size, "
        f"{document['settings']['frames']} frames each) is taken away, and made again from the rest, halfway between "
        "two frames; in RGB. *worst frame* is the mean of each clip's minimum. The signs (webcam, fast hands) count as "
        "one clip. Per clip: PSNR.\n\n"
    )
    unseen = values(document, "held out")
    told = ", ".join(f"{n} {unseen[n]['psnr_db']:.2f} dB, SSIM {unseen[n]['ssim']:.4f}" for n in names if n in unseen)
    four = "; ".join(
        f"{case.removesuffix(', x4')}: "
        + ", ".join(f"{n} {v['psnr_db']:.1f}" for n, v in values(document, case).items() if n != "sample")
        for case in cases
        if case.endswith("x4")
    )
    return (
        text
        + markdown(head, body)
        + "\n\n![The worst frames of method fast](benchmarks/results/interpolate_worst.jpg)\n\n"
        + "The ten worst frames of `fast`, beside what was taken away and what other methods make of it.\n\n"
        + f"The mean of clips that `fast` was not trained on: {told}.\n\n"
        + f"Three of four frames taken away from clips of 60 a second, PSNR: {four}.\n\n"
        + measured(document, "libavfilter", "av", "numpy")
    )


def frames_slim(document: Document) -> str:
    """Frames made by the networks that ship."""
    held = values(document, "held out")
    names = list(values(document, document["rows"][-1]["case"]))  # in the order they were measured in
    figures = (("psnr_db", "{:.2f}"), ("psnr_min_db", "{:.2f}"), ("ssim", "{:.4f}"))
    columns = [best([held[n][key] for n in names], text) for key, text in figures]
    return (
        f"The networks that ship, beside what they begin with, as above, on the first {document['settings']['frames']} "
        "frames of clips that they were not trained on.\n\n"
        + markdown(
            ["", "PSNR, dB", "worst frame, dB", "SSIM"], [[n, *(c[k] for c in columns)] for k, n in enumerate(names)]
        )
        + "\n\n"
        + measured(document, "numpy")
    )


def frames_speed(document: Document) -> str:
    ratios = {(c["case"], c["ours"], c["peer"]): c for c in document["comparisons"]}
    peers = list(dict.fromkeys(c["peer"] for c in document["comparisons"]))
    body = []
    for row in document["rows"]:
        if not row["values"].get("fps"):
            continue
        found = [ratios.get((row["case"], row["method"], peer)) for peer in peers]
        cells = [f"{row['case'].removeprefix('stage, ')}: {row['method']}", f"{row['values']['fps']:.0f}"]
        body.append([*cells, *(f"{c['ratio']:.1f} ({c['q1']:.1f}-{c['q3']:.1f})" if c else "" for c in found)])
    pairs = [row for row in document["rows"] if row["case"].startswith("a second frame")]
    second = ", ".join(
        f"{row['method']} {100 * row['values']['part']:.0f} % ({row['values']['first_ms']:.0f} ms + "
        f"{row['values']['second_ms']:.0f} ms)"
        for row in pairs
    )
    memory = [row for row in document["rows"] if row["case"].startswith("memory, ")]
    held = ", ".join(f"{row['case'][8:]} {row['method']} {row['values']['mib']:.0f}" for row in memory)
    planned = ", ".join(f"{row['values']['planned_mib']:.0f}" for row in memory)
    return (
        markdown(["", "frames out / s", *(f"times as fast as {peer}" for peer in peers)], body)
        + f"\n\nA second new frame of the same pair, as a part of the first, 720p: {second}."
        + f"\n\nMost memory held by a running stage, MiB: {held}; planned: {planned}.\n\n"
        + measured(document, "libavfilter", "av", "numpy")
    )


def ops(document: Document) -> str:
    peers = list(dict.fromkeys(c["peer"] for c in document["comparisons"]))
    ratios = {(c["case"], c["peer"]): c for c in document["comparisons"]}
    body = []
    for row in document["rows"]:
        if row["method"] != "reelmend":
            continue
        found = [ratios.get((row["case"], peer)) for peer in peers]
        body.append([row["case"], f"{row['values']['ms']:.2g}", *(ratio(c) if c else "" for c in found)])
    notes = "".join(f"- {name}: {note}\n" for name, note in document["settings"]["notes"].items())
    size = f"{document['settings']['width']}x{document['settings']['height']}"
    head = [f"op, {size}, 8 bits", "ms", *(f"times as fast as {peer}" for peer in peers)]
    return (
        markdown(head, body)
        + "\n\n"
        + notes
        + "\n"
        + measured(document, "numpy", "opencv-python-headless", "libavfilter")
    )


def feeding(document: Document) -> str:
    """How fast frames come out of files, by each way of reading."""
    ratios = {(c["case"], c["ours"], c["peer"]): c for c in document["comparisons"]}
    peers = list(dict.fromkeys(c["peer"] for c in document["comparisons"]))
    body = []
    for row in document["rows"]:
        fps = row["values"]["fps"]
        if fps is None:
            continue
        found = [ratios.get((row["case"], row["method"], peer)) for peer in peers]
        body.append([f"{row['case']}: {row['method']}", f"{fps:.0f}", *(ratio(c) if c else "" for c in found)])
    cases = dict.fromkeys(row["case"] for row in document["rows"])
    absent: dict[tuple[str, str], list[str]] = {}
    for what, why in document["settings"]["absent"].items():
        case, method = what.split(": ", 1)
        absent.setdefault((method, why), []).append(case)
    notes = "".join(
        f"- not measured: {method}{'' if len(found) == len(cases) else ' for ' + '; '.join(found)} ({why})\n"
        for (method, why), found in absent.items()
    )
    text = (
        "Whole files, opened, decoded into planes for the stages, closed; in one process but for the ffmpeg program, "
        "which writes into a pipe.\n\n"
    )
    text += markdown(["", "frames / s", *(f"times as fast as {peer}" for peer in peers)], body) + "\n\n"
    return text + notes + "\n" + measured(document, "ffmpeg", "av", "nvidia-dali-cuda130", "PyNvVideoCodec", "numpy")


def engines(document: Document) -> str:
    """What an engine costs, how fast it starts, and on which backend it is faster."""
    ratios = {(c["case"], c["ours"], c["peer"]): c for c in document["comparisons"]}
    ours = {c["case"]: c["ours"] for c in document["comparisons"]}
    body, starts = [], []
    for row in document["rows"]:
        case, method, v = row["case"], row["method"], row["values"]
        if "ready_s" in v:
            what = case.removeprefix("start: ")
            ready, first = f"{v['ready_s']:.2f} s", f"{v['first_result_s']:.2f} s"
            starts.append(f"{what}: ready {ready} after a new process began, with a first result after {first}.")
            continue
        other = ratios.get((case, ours[case], method))
        body.append([f"{case}: {method}", f"{v['ms']:.0f}", ratio(other) if other else ""])
    head = ["", "ms", "the engine (backends: on OpenVINO; tiles: whole frames) is so many times as fast"]
    return "\n\n".join([markdown(head, body), *starts, measured(document, "onnxruntime", "openvino", "numpy")])


SECTIONS = (
    ("deflicker_quality", "Quality", quality),
    ("deflicker_kinds", "Kinds of flicker", kinds),
    ("deflicker_networks", "Networks after equalisation", networks),
    ("deflicker_speed", "Speed and memory", speed),
    ("interpolate_quality", "New frames: quality", frames_quality),
    ("interpolate_slim", "New frames: networks that ship", frames_slim),
    ("interpolate_speed", "New frames: speed and memory", frames_speed),
    ("engines", "Engines", engines),
    ("feeding", "Feeding: frames out of files", feeding),
    ("ops", "Operations", ops),
)


def section(results: dict[str, Document]) -> str:
    """The text between the markers."""
    parts = [f"### {title}\n\n{make(results[name])}" for name, title, make in SECTIONS if name in results]
    return "\n\n".join(parts)


def updated(readme: str, results: dict[str, Document]) -> str:
    """The README with its section made anew. ValueError if the markers are not there."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{section(results)}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if the README is out of date")
    args = parser.parse_args()
    old = README.read_text("utf-8")
    new = updated(old, load())
    if args.check:
        print("up to date" if old == new else "out of date: run python benchmarks/table.py")
        return int(old != new)
    README.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
