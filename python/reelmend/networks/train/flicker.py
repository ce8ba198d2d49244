"""Runs of frames that flicker: clean clips, what was done to them, and what equalisation made of it.

A run is what the networks of Deflicker are trained on: the same small pictures that the stage makes of a film, made by
the stage itself. Clips give real motion; stills give content, under a camera that is moved by us. Each run is kept as
one file, so that a training reads and never decodes.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ... import Deflicker, ops
from ...analyze import degrade
from ...errors import MediaError, OptionError, SourceError
from ...frame import Frame, PixelFormat, VideoInfo
from ...stages.deflicker import networks as stage
from ...stages.deflicker.item import Item
from ...stages.deflicker.priors import MID, Sight, View, flow_to, global_inputs, small_flow
from .data import STILLS, Rgb, load_split, make_files, picture, resized
from .recipe import Recipe, Source

__all__ = [
    "SIZE",
    "Run",
    "clean_frames",
    "flickering",
    "held_out_runs",
    "make_run",
    "prepare_runs",
    "seen_by",
]

SIZE = (288, 512)  # rows, columns of the frames that flicker: twice MID each way
_SHORTEST = 24  # frames of a run

Frames = list[Rgb]


def fitted(rgb: Rgb) -> Rgb:
    """The middle of a picture in the shape of SIZE, brought to that size."""
    rows, columns = rgb.shape[:2]
    high, wide = min(rows, round(columns * SIZE[0] / SIZE[1])), min(columns, round(rows * SIZE[1] / SIZE[0]))
    top, left = (rows - high) // 2, (columns - wide) // 2
    part = rgb[top : top + high, left : left + wide]
    kind = "area" if high >= SIZE[0] else "bilinear"
    return resized(part, SIZE, kind)


def clean_frames(path: Path, count: int, place: float, rng: np.random.Generator) -> Frames:
    """`count` frames of a clip, begun at a share of its length; of a still, under a moving camera.

    A clip that is shorter gives what it has. Raises SourceError.
    """
    if path.suffix.lower() in STILLS:
        return filmed(picture(path), count, rng)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            total = stream.frames or sum(1 for _ in container.decode(stream))
        first = int(place * max(0, total - count))
        kept = []
        with av.open(str(path)) as container:
            for k, frame in enumerate(container.decode(video=0)):
                if k >= first + count:
                    break
                if k >= first:
                    kept.append(fitted(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise SourceError(f"{path}: no frames in it ({error}); expected a clip") from error
    return kept


def filmed(still: Rgb, count: int, rng: np.random.Generator) -> Frames:
    """A still seen by a hand-held camera that pans, turns and zooms a little; a third of them on a tripod."""
    rows, columns = still.shape[:2]
    wide = 0.8 * min(columns, rows * SIZE[1] / SIZE[0])  # columns of the still that are in view
    shrink = max(1.0, wide / SIZE[1])
    small = (round(rows / shrink), round(columns / shrink))
    planes = [ops.resize(np.ascontiguousarray(still[..., c]), small, filter="area") for c in range(3)]
    x, y, zoom, turn = (_walk(count, rng) * far for far in (0.09 * small[1], 0.09 * small[0], 0.08, 0.03))
    if rng.random() < 1 / 3:
        x, y, zoom, turn = (v * 0 for v in (x, y, zoom, turn))
    v, u = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float64)
    across, down = u - (SIZE[1] - 1) / 2, v - (SIZE[0] - 1) / 2
    frames = []
    for k in range(count):
        scale = wide / shrink / SIZE[1] * (1 + zoom[k])
        c, s = scale * math.cos(turn[k]), scale * math.sin(turn[k])
        at = np.stack([c * across - s * down + small[1] / 2 + x[k], s * across + c * down + small[0] / 2 + y[k]])
        seen = [_sampled(p, at) for p in planes]
        frames.append(np.stack(seen, axis=2))
    return frames


def _walk(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth path of at most 1 each way."""
    path = np.cumsum(np.cumsum(rng.normal(size=count)))
    path -= np.linspace(path[0], path[-1], count) * rng.random()
    result: NDArray[np.float64] = path / (np.abs(path).max() + 1e-9) * rng.random()
    return result


def _sampled(plane: NDArray[np.uint8], at: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A plane at places (2, rows, columns) of its own: a warp of a canvas that holds both."""
    rows, columns = (max(a, b) for a, b in zip(plane.shape, at.shape[1:], strict=True))
    canvas = np.pad(plane, ((0, rows - plane.shape[0]), (0, columns - plane.shape[1])), mode="reflect")
    v, u = np.mgrid[0 : at.shape[1], 0 : at.shape[2]]
    flow = np.zeros((2, rows, columns), np.float32)
    flow[:, : at.shape[1], : at.shape[2]] = at - np.stack([u, v])
    made: NDArray[np.uint8] = ops.warp(canvas, flow, border="reflect")[: at.shape[1], : at.shape[2]]
    return np.ascontiguousarray(made)


@dataclass(frozen=True, slots=True)
class Draw:
    """What is done to a run: kind of flicker ("" for none), its seed and strength, mode of the stage, crf (0: none)."""

    kind: str
    seed: int
    strength: float
    mode: str
    crf: int

    @classmethod
    def of(cls, recipe: Recipe, rng: np.random.Generator) -> Draw:
        f = recipe.flicker
        kind = "" if rng.random() < f.clean else _picked(f.kinds, rng)
        low, high = f.strength
        strength = float(np.exp(rng.uniform(math.log(low), math.log(high))))
        crf = int(rng.integers(f.crf[0], f.crf[1] + 1)) if rng.random() < f.compression else 0
        return cls(kind, int(rng.integers(1, 1 << 30)), strength, _picked(f.modes, rng), crf)


def _picked(shares: Any, rng: np.random.Generator) -> str:
    names = sorted(shares)
    weights = np.array([shares[n] for n in names], np.float64)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def flickering(clean: Frames, draw: Draw) -> Frames:
    """Clean frames with a draw's flicker, compressed if it says so."""
    bad = clean
    if draw.kind:
        flicker = degrade.make(draw.kind, seed=draw.seed, strength=draw.strength)
        bad = [flicker.apply(rgb, t) for t, rgb in enumerate(clean)]
    return _compressed(bad, draw.crf) if draw.crf else bad


def _compressed(frames: Frames, crf: int) -> Frames:
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", 30)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        for rgb in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        out.mux(stream.encode())
    held.seek(0)
    back: Any
    with av.open(held) as back:
        return [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in back.decode(video=0)]


class _Watcher(stage.Networks):
    """In place of the stage's networks: keeps what they would see, and changes nothing."""

    def __init__(self) -> None:
        self.seen: list[Sight] = []

    def reset(self) -> None:
        pass

    def push(self, item: Item, change: Any, frame: Frame, table: Any, forced: bool) -> list[Frame]:
        assert item.source is not None
        self.seen.append(stage.sight_of(item.source, frame, item.region, table))
        return [frame]

    def flush(self) -> list[Frame]:
        return []


def seen_by(frames: Frames, mode: str) -> list[Sight]:
    """What the networks of Deflicker in a mode see of frames."""
    fmt = PixelFormat("rgb", 8)
    info = VideoInfo(SIZE[1], SIZE[0], fmt, time_base=Fraction(1, 30))
    runtime: Any = Deflicker(mode=mode).open(info, "cpu")  # type: ignore[arg-type]
    watcher = runtime.after = _Watcher()
    for t, rgb in enumerate(frames):
        planes = tuple(np.ascontiguousarray(rgb[..., c]) for c in range(3))
        runtime.push(Frame(planes, fmt, t, Fraction(1, 30), 1))
    runtime.flush()
    return watcher.seen


@dataclass(slots=True)
class Run:
    """What is kept of a run of n frames, as arrays of whole numbers or float16; `arrays` names them.

    made, clean      uint16 (n, 3, 36, 64): RGB as equalised, and as it should be
    grid, tones      float16 and float32: what the global network takes
    acts             bool (n,): whether equalisation did anything
    back, fore       float16 (n, 2, 36, 64): motion to the frame before and to the next
    ahead            whether the networks may wait for the next
    mid, mid_raw     uint8 (n, 3, 144, 256): clean, and as it came; of some runs only, as all that follow
    tables           float16 (n, bins): V to V~
    mid_back, mid_fore   motion in that size
    """

    arrays: dict[str, NDArray[Any]]

    @classmethod
    def load(cls, path: Path) -> Run:
        with np.load(path) as held:
            return cls({name: held[name] for name in held.files})


def make_run(clean: Frames, draw: Draw, large: bool) -> Run:
    """A run of what a draw does to clean frames; `large`: with what the local network is trained on."""
    seen = seen_by(flickering(clean, draw), draw.mode)
    with_networks, alone = (Deflicker(mode=draw.mode, networks=n).window[1] for n in (True, False))  # type: ignore[arg-type]
    ahead = with_networks - alone
    n = len(seen)
    inputs = [global_inputs(seen[max(0, t - stage.PAST) : t + max(1, ahead)], min(t, stage.PAST)) for t in range(n)]
    truth = [View.made(np.moveaxis(_halved(rgb), 2, 0)) for rgb in clean]
    nothing = np.zeros((2, *MID), np.float32)
    back = [nothing] + [flow_to(b.made, a.made) for a, b in pairwise(seen)]
    fore = [flow_to(a.made, b.made) for a, b in pairwise(seen)] + [nothing]
    arrays: dict[str, NDArray[Any]] = {
        "made": _codes(np.stack([s.made.small for s in seen]), np.uint16),
        "clean": _codes(np.stack([t.small for t in truth]), np.uint16),
        "grid": np.stack([g for g, _ in inputs]).astype(np.float16),
        "tones": np.stack([t for _, t in inputs]),
        "acts": np.array([s.made is not s.raw for s in seen]),
        "back": np.stack([small_flow(f) for f in back]).astype(np.float16),
        "fore": np.stack([small_flow(f) for f in fore]).astype(np.float16),
        "ahead": np.array(ahead > 0),
    }
    if large:
        arrays["mid"] = _codes(np.stack([t.mid for t in truth]), np.uint8)
        arrays["mid_raw"] = _codes(np.stack([s.raw.mid for s in seen]), np.uint8)
        arrays["tables"] = np.stack([s.table for s in seen]).astype(np.float16)
        arrays["mid_back"], arrays["mid_fore"] = (np.stack(f).astype(np.float16) for f in (back, fore))
    return Run(arrays)


def _halved(rgb: Rgb) -> NDArray[np.float32]:
    rows, columns = MID
    means: NDArray[np.float32] = rgb.reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    return means / np.float32(255)


def _codes(x: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    most = np.iinfo(dtype).max
    return np.clip(x * np.float32(most) + np.float32(0.5), 0, most).astype(dtype)


def held_out_runs(recipe: Recipe, material: Path) -> Iterator[tuple[Run, np.random.Generator]]:
    """A run, with what the local network needs, of each file that a recipe never trains on, drawn as it draws; and
    what to go on drawing by. Files of too few frames are left out."""
    split = load_split(recipe.folder / recipe.data.split)
    for s, source in enumerate(recipe.data.source):
        for k, name in enumerate(split[source.path].test):
            rng = np.random.default_rng([recipe.seed, 3, s, k])
            clean = clean_frames(material / source.path / name, source.frames, 0.5, rng)
            if len(clean) >= _SHORTEST:
                yield make_run(clean, Draw.of(recipe, rng), True), rng


@dataclass(frozen=True, slots=True)
class _Job:
    recipe: Recipe
    source: Source
    path: Path
    number: tuple[int, int, int]  # of source, file and run
    to: Path
    large: bool


def _work(job: _Job) -> None:
    rng = np.random.default_rng([job.recipe.seed, *job.number])
    clean = clean_frames(job.path, job.source.frames, float(rng.random()), rng)
    if len(clean) >= _SHORTEST:
        run = make_run(clean, Draw.of(job.recipe, rng), job.large)
        draft = job.to.with_suffix(".draft.npz")
        np.savez(draft, **run.arrays)  # type: ignore[arg-type]
        os.replace(draft, job.to)


def prepare_runs(recipe: Recipe, material: Path, folder: Path) -> None:
    """Make the runs of a recipe in a folder, but for those that are there already; a file each.

    Of a source's runs, every file has as many; a quarter of all holds what the local network needs. Raises
    OptionError where the split names no file of a source, MediaError where one is not there.
    """
    split = load_split(recipe.folder / recipe.data.split)
    made_by = {
        "digest": recipe.digest("data", "flicker", "seed"),
        "split": {k: list(s.train) for k, s in split.items()},
    }
    make_files(folder, "runs", made_by, _jobs(recipe, material, folder, split), _work)


def _jobs(recipe: Recipe, material: Path, folder: Path, split: Any) -> Iterator[_Job]:
    for s, source in enumerate(recipe.data.source):
        if source.path not in split or not split[source.path].train:
            raise OptionError(f"split {recipe.data.split}: nothing to train on in {source.path}")
        names = split[source.path].train
        for k in range(source.patches):
            path = material / source.path / names[k % len(names)]
            if not path.is_file():
                raise MediaError(f"{path} is not there")
            number = (s, k % len(names), k // len(names))
            yield _Job(recipe, source, path, number, folder / f"run-{s}-{k:05d}.npz", k % 4 == 0)
