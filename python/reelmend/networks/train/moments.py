"""Moments: two pictures, a third from between them, and what our own search tells of their motion.

Clips give real motion, two pictures a few frames apart and one of those between; stills give layers that move over
each other, their places at any time known exactly. Motion is searched by the stage itself, in whole frames; what is
kept is a patch of all that. A file each clip or still, so that a training reads and never decodes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...errors import MediaError, OptionError, SourceError
from ...frame import Frame, PixelFormat
from ...stages.interpolate.estimate import estimator_for
from ...stages.interpolate.ways import MIDDLE, Ways
from ...stages.shots import Shots
from ...stages.structure import structure_of
from .data import STILLS, Rgb, load_split, make_files, picture, resized
from .recipe import Recipe, Source

__all__ = ["GRID", "PLANES", "Moment", "Moments", "cut", "layered", "planes_of", "prepare_moments", "seen_by_search"]

GRID = 4  # pixels of a picture along a cell of the search's flow
# Kept of the search, in pixels of the picture: four ways and by_a at the truth's time; the flows of the pair; those
# that are even and lead to the truth; ways and by_a at MIDDLE.
PLANES = 9 + 4 + 4 + 9
_SURE = 0.25  # share of agreeing flow below which the stage would hardly use a network
_STILL = 0.75  # of 255: pairs that differ by less on average are passed over
_A_PICTURE = 4  # patches of one pair
_STAGE = (384, 512)  # rows, columns of what is made of stills
_HELD = 3  # in seeds: of what is held out


@dataclass(slots=True)
class Moment:
    """Pictures, (rows, columns, 3) uint8, rows and columns multiples of GRID: a and b, truth from between them at t,
    and those before and after, as far away in time, where they are known."""

    a: Rgb
    b: Rgb
    truth: Rgb
    t: float
    before: Rgb | None = None
    after: Rgb | None = None


@dataclass(slots=True)
class Moments:
    """Patches: pictures uint8 (n, 3, size, size, 3), a, b and truth; search float16 (n, PLANES, size / GRID, ...);
    times float32 (n,)."""

    pictures: NDArray[np.uint8]
    search: NDArray[np.float16]
    times: NDArray[np.float32]

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Moments:
        held = []
        for path in paths:
            with np.load(path) as file:
                held.append([file[name] for name in ("pictures", "search", "times")])
        return cls(*(np.concatenate(v) for v in zip(*held, strict=True)))

    def save(self, path: Path) -> None:
        draft = path.with_suffix(".draft.npz")
        np.savez(draft, pictures=self.pictures, search=self.search, times=self.times)
        os.replace(draft, path)


def seen_by_search(moment: Moment) -> tuple[NDArray[np.float32], float]:
    """(what the stage's search tells, float32 (PLANES, rows / GRID, columns / GRID); the share in which it agrees)."""
    estimator = estimator_for("flow")
    rows, columns = moment.a.shape[:2]
    whole = (0, 0, columns, rows)
    near = {k: estimator.prepare(_frame(getattr(moment, k)), whole) for k in ("a", "b")}
    motion = estimator.both(near["a"], near["b"], whole)
    past, future = None, None
    if moment.before is not None:
        past = estimator.both(estimator.prepare(_frame(moment.before), whole), near["a"], whole)
    if moment.after is not None:
        future = estimator.both(near["b"], estimator.prepare(_frame(moment.after), whole), whole)
    return planes_of(Ways(motion, past, future), moment.t, columns), motion.sure


def planes_of(ways: Ways, t: float, columns: int) -> NDArray[np.float32]:
    """What is kept of a search, in pixels of a picture with so many columns."""
    now, middle, motion = ways.at(t), ways.at(MIDDLE), ways.motion
    unit = np.float32(columns / motion.forward.shape[2])
    flows = np.concatenate([*now[:4], motion.forward, motion.backward, *ways.onward(t), *middle[:4]]) * unit
    return np.concatenate([flows[:8], now.by_a[None], flows[8:], middle.by_a[None]])


def _frame(rgb: Rgb) -> Frame:
    planes = tuple(np.ascontiguousarray(rgb[..., c]) for c in range(3))
    return Frame(planes, PixelFormat("rgb", 8), 0, Fraction(1, 25), 1)


# --- clips --------------------------------------------------------------------------------------------------------


def _clip(path: Path, shrink: int) -> list[Rgb]:
    """All frames, RGB, reduced, in whole cells of 8 pixels."""
    kept = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                high, wide = frame.height // (8 * shrink) * 8, frame.width // (8 * shrink) * 8
                rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)[: high * shrink, : wide * shrink]
                if shrink > 1:
                    rgb = resized(rgb, (high, wide))
                kept.append(rgb)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise SourceError(f"{path}: no frames in it ({error}); expected a clip") from error
    return kept


def _filmed(path: Path, recipe: Recipe, rng: np.random.Generator) -> Iterator[Moment]:
    """Moments of a clip, without end."""
    m = recipe.motion
    shrink = 2 if _rows(path) >= m.halve and rng.random() < 0.5 else 1
    frames = _clip(path, shrink)
    counter = Shots()
    shot = [counter.number(structure_of(_frame(f))) for f in frames]
    gaps = sorted(g for g in m.gaps if int(g) < len(frames))
    shares = np.array([m.gaps[g] for g in gaps], np.float64)
    failed = 0
    while failed < 1000 and gaps:
        gap = int(gaps[int(rng.choice(len(gaps), p=shares / shares.sum()))])
        first = int(rng.integers(len(frames) - gap))
        last = first + gap
        between = int(rng.integers(1, gap))
        if len({*shot[first : last + 1]}) > 1 or _difference(frames[first], frames[last]) < _STILL:
            failed += 1
            continue
        failed = 0
        even = rng.random() < m.even

        def far(k: int, near: int, even: bool = even) -> Rgb | None:
            return frames[k] if not even and 0 <= k < len(frames) and shot[k] == shot[near] else None

        yield Moment(frames[first], frames[last], frames[first + between], between / gap,
                     far(first - gap, first), far(last + gap, last))  # fmt: skip


def _rows(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(container.streams.video[0].height)


def _difference(a: Rgb, b: Rgb) -> float:
    return float(np.abs(a[::4, ::4].astype(np.int16) - b[::4, ::4]).mean())


# --- stills -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Path:
    """How a layer moves: place, turn and zoom at time 0, speed and acceleration, in pixels, radians and log scale."""

    start: NDArray[np.float64]  # (4,): x, y, turn, zoom
    speed: NDArray[np.float64]
    faster: NDArray[np.float64]

    def at(self, time: float) -> NDArray[np.float64]:
        return self.start + self.speed * time + self.faster * time * time / 2


def _path(fast: float, rng: np.random.Generator) -> _Path:
    angle, far = rng.uniform(0, 2 * math.pi), fast
    speed = np.array([far * math.cos(angle), far * math.sin(angle), rng.normal(0, 0.02), rng.normal(0, 0.015)])
    faster = speed * rng.normal(0, 0.25) + np.array([*rng.normal(0, 0.08 * far, 2), 0, 0])
    return _Path(np.array([*rng.uniform(-40, 40, 2), rng.uniform(-0.3, 0.3), rng.uniform(-0.1, 0.1)]), speed, faster)


def _placed(plane: NDArray[np.uint8], pose: NDArray[np.float64], border: str) -> NDArray[np.float32]:
    """A plane seen in _STAGE at a pose, its middle at that place from the stage's middle."""
    rows, columns = _STAGE
    v, u = np.mgrid[0:rows, 0:columns].astype(np.float64)
    x, y, turn, zoom = pose
    across, down = u - (columns - 1) / 2 - x, v - (rows - 1) / 2 - y
    c, s = math.exp(-zoom) * math.cos(turn), math.exp(-zoom) * math.sin(turn)
    at = np.stack([c * across + s * down + (plane.shape[1] - 1) / 2, -s * across + c * down + (plane.shape[0] - 1) / 2])
    high, wide = max(rows, plane.shape[0]), max(columns, plane.shape[1])
    held = np.pad(plane, ((0, high - plane.shape[0]), (0, wide - plane.shape[1])), mode="reflect")
    flow = np.zeros((2, high, wide), np.float32)
    flow[:, :rows, :columns] = at - np.stack([u, v])
    made = ops.warp(held.astype(np.float32), flow, filter="bicubic", border=border)
    return np.asarray(made[:rows, :columns], np.float32)


def _blob(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A mask of one thing: a round outline with bumps, sometimes with a hole; its edge a pixel soft."""
    rows, columns = shape
    v, u = np.mgrid[0:rows, 0:columns].astype(np.float64)
    across, down = u - (columns - 1) / 2, v - (rows - 1) / 2
    angle = np.arctan2(down, across)
    wide, high = rng.uniform(20, 110, 2)
    bumps = sum(rng.normal(0, 0.12) * np.cos(k * angle + rng.uniform(0, 2 * math.pi)) for k in range(2, 9))
    edge = (1 - np.hypot(across / wide, down / high) + bumps) * min(wide, high)
    mask = np.clip(edge, 0, 1)
    if rng.random() < 0.2:
        mask = mask * np.clip(np.hypot(across, down) - 0.35 * min(wide, high), 0, 1)
    return np.asarray(np.rint(255 * mask), np.uint8)


def layered(stills: Sequence[Rgb], recipe: Recipe, rng: np.random.Generator) -> Moment:
    """A background and things in front of it, each of a still, on their own ways; pictures at -1, 0, 1, 2, and one
    between 0 and 1."""
    m = recipe.motion
    low, high = m.speed
    t = float(rng.integers(1, 8)) / 8

    def fast() -> float:
        return float(np.exp(rng.uniform(math.log(low), math.log(high))))

    layers = []
    for k, still in enumerate(stills):
        planes = [np.ascontiguousarray(still[..., c]) for c in range(3)]
        mask = None if k == 0 else _blob((still.shape[0], still.shape[1]), rng)
        layers.append((planes, mask, _path(fast() * (0.6 if k == 0 else 1.0), rng)))
    offsets = [np.zeros(4)] + [np.array([*rng.uniform(-150, 150, 2), 0, 0]) for _ in stills[1:]]

    def at(time: float) -> Rgb:
        made: Any = None
        for (planes, mask, path), offset in zip(layers, offsets, strict=True):
            pose = path.at(time) + offset
            drawn = np.stack([_placed(p, pose, "reflect") for p in planes])
            if mask is None:
                made = drawn
            else:
                share = np.clip(_placed(mask, pose, "zeros"), 0, 255) / np.float32(255)
                made = made + share * (drawn - made)
        return np.asarray(np.clip(np.rint(np.moveaxis(made, 0, 2)), 0, 255), np.uint8)

    even = rng.random() < m.even
    far = [None, None] if even else [at(-1.0), at(2.0)]
    return Moment(at(0.0), at(1.0), at(t), t, *far)


def _posed(paths: Sequence[Path], recipe: Recipe, rng: np.random.Generator) -> Iterator[Moment]:
    """Moments of a still, others in front of it, without end."""
    while True:
        others = [paths[int(k)] for k in rng.integers(len(paths), size=int(rng.integers(1, 4)))]
        yield layered([_small(picture(p)) for p in (paths[0], *others)], recipe, rng)


def _small(rgb: Rgb) -> Rgb:
    """Reduced by whole numbers, to about twice the stage at most."""
    shrink = max(1, min(rgb.shape[0] // _STAGE[0], rgb.shape[1] // _STAGE[1]))
    return resized(rgb, (rgb.shape[0] // shrink, rgb.shape[1] // shrink))


# --- patches ------------------------------------------------------------------------------------------------------


def cut(moment: Moment, size: int, candidates: int, rng: np.random.Generator) -> Moments | None:
    """Patches of a moment, where most differs between its pictures; None where the search does not agree."""
    rows, columns = moment.a.shape[:2]
    if min(rows, columns) < size:
        return None
    search, sure = seen_by_search(moment)
    if sure < _SURE:
        return None
    found = []
    for _ in range(_A_PICTURE):
        free = [(n - size) // GRID + 1 for n in (rows, columns)]
        places = [tuple(GRID * int(rng.integers(n)) for n in free) for _ in range(candidates)]
        parts = [(slice(y, y + size), slice(x, x + size)) for y, x in places]
        part = max(parts, key=lambda p: _difference(moment.a[p], moment.b[p]))
        cells = tuple(slice(s.start // GRID, s.stop // GRID) for s in part)
        pictures = np.stack([moment.a[part], moment.b[part], moment.truth[part]])
        found.append((pictures, search[(slice(None), *cells)].astype(np.float16)))
    pictures, kept = (np.stack(v) for v in zip(*found, strict=True))
    return Moments(pictures, kept, np.full(len(found), moment.t, np.float32))


@dataclass(frozen=True, slots=True)
class _Job:
    recipe: Recipe
    paths: tuple[Path, ...]  # a clip; or a still, and others
    count: int  # of patches
    seed: tuple[int, ...]
    to: Path


def _work(job: _Job) -> None:
    rng = np.random.default_rng(job.seed)
    data = job.recipe.data
    still = job.paths[0].suffix.lower() in STILLS
    moments = _posed(job.paths, job.recipe, rng) if still else _filmed(job.paths[0], job.recipe, rng)
    kept: list[Moments] = []
    for tries, moment in enumerate(moments):
        patches = cut(moment, data.size, data.candidates, rng)
        if patches is not None:
            kept.append(patches)
        if _A_PICTURE * len(kept) >= job.count or tries >= 4 * job.count:
            break
    if kept:
        whole = Moments(*(np.concatenate([getattr(k, n)[: job.count] for k in kept])[: job.count]
                          for n in ("pictures", "search", "times")))  # fmt: skip
        whole.save(job.to)


def prepare_moments(recipe: Recipe, material: Path, folder: Path) -> None:
    """Make the patches of a recipe in a folder, but for the files that are there already: "moments-*.npz" to train on,
    "held-*.npz", a tenth as many a file, of what is held out.

    Raises OptionError where the split names no file of a source, MediaError where one is not there.
    """
    split = load_split(recipe.folder / recipe.data.split)
    made_by = {
        "digest": recipe.digest("data", "motion", "seed"),
        "split": {k: [list(s.train), list(s.test)] for k, s in split.items()},
    }
    make_files(folder, "moments", made_by, _jobs(recipe, material, folder, split), _work)


def _jobs(recipe: Recipe, material: Path, folder: Path, split: Any) -> Iterator[_Job]:
    for s, source in enumerate(recipe.data.source):
        if source.path not in split or not split[source.path].train:
            raise OptionError(f"split {recipe.data.split}: nothing to train on in {source.path}")
        train, test = split[source.path].train, split[source.path].test
        each = math.ceil(source.patches / len(train))
        yield from _of(recipe, source, material, train, each, (s,), folder, "moments")
        yield from _of(recipe, source, material, test, math.ceil(each / 10), (s, _HELD), folder, "held")


def _of(
    recipe: Recipe, source: Source, material: Path, names: Sequence[str], each: int, seed: tuple[int, ...],
    folder: Path, word: str,
) -> Iterator[_Job]:  # fmt: skip
    paths = [material / source.path / name for name in names]
    missing = [p for p in paths if not p.is_file()]
    if missing:
        raise MediaError(f"{missing[0]} is not there, with {len(missing) - 1} more")
    for k, path in enumerate(paths):
        others = tuple(p for p in paths if p is not path) if path.suffix.lower() in STILLS else ()
        to = folder / f"{word}-{seed[0]}-{k:04d}.npz"
        yield _Job(recipe, (path, *others), each, (recipe.seed, *seed, k), to)
