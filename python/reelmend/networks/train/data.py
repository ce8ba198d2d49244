"""Pictures to train on: stills and clips decoded once, cut into patches, kept as one file.

The file holds uint8 patches (n, size, size, 3), RGB, and is small enough to be carried to another machine; beside it
lies what it was made by. What is held out by the split is never opened here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import av
import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from ... import ops
from ...errors import MediaError, OptionError, SourceError
from .recipe import Data, Recipe, Source

__all__ = [
    "Split",
    "crops",
    "held_out",
    "load_split",
    "make_files",
    "patches",
    "picture",
    "pictures",
    "prepare",
    "resized",
]

Rgb = npt.NDArray[np.uint8]  # (rows, columns, 3)
Told = Any

STILLS = {".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
PATCHES, ABOUT = "patches.npy", "patches.json"


@dataclass(frozen=True, slots=True)
class Split:
    """Names of a folder's files: which are trained on, and which are only looked at when figures are taken."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def load_split(path: str | os.PathLike[str]) -> dict[str, Split]:
    """The split of every folder. Raises OptionError where it cannot be read or a file is on both sides."""
    try:
        plain = json.loads(Path(path).read_text("utf-8"))
        found = {folder: Split(tuple(s["train"]), tuple(s["test"])) for folder, s in plain.items()}
    except OSError as error:
        raise OptionError(f"split {path}: {error.strerror}; expected a JSON file") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(
            f'split {path}: {type(error).__name__}: {error}; expected {{folder: {{"train": [names], "test": [names]}}}}'
        ) from error
    for folder, split in found.items():
        both = sorted(set(split.train) & set(split.test))
        if both:
            raise OptionError(
                f"split {path}: {folder}: {', '.join(both)} in train and in test; expected in one of them"
            )
    return found


def held_out(split: Mapping[str, Split], material: Path) -> list[Path]:
    """Files that are never trained on, in order."""
    return [material / folder / name for folder, s in sorted(split.items()) for name in sorted(s.test)]


def picture(path: str | os.PathLike[str]) -> Rgb:
    """A still, RGB uint8. Raises SourceError."""
    return next(pictures(Path(path), 1))


def pictures(path: Path, count: int) -> Iterator[Rgb]:
    """`count` pictures of a clip, evenly over its length; the one of a still. Raises SourceError."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            total = 1 if path.suffix.lower() in STILLS else sum(1 for _ in container.decode(stream))
        wanted = {round((k + 0.5) * total / count - 0.5) for k in range(min(count, total))}
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                if index >= max(wanted):
                    break
    except (av.FFmpegError, IndexError, StopIteration, ValueError) as error:
        raise SourceError(f"{path}: no picture in it ({error}); expected a still or a clip") from error


def resized(rgb: Rgb, size: tuple[int, int], kind: str = "area") -> Rgb:
    """A picture in another size, by a filter of ops.resize."""
    return np.stack([ops.resize(np.ascontiguousarray(rgb[..., c]), size, filter=kind) for c in range(3)], axis=2)


def _shrunk(rgb: Rgb, by: int) -> Rgb:
    if by == 1:
        return rgb
    h, w = rgb.shape[0] // by * by, rgb.shape[1] // by * by
    means = rgb[:h, :w].reshape(h // by, by, w // by, by, 3).mean((1, 3))
    return np.asarray(np.rint(means), np.uint8)


def _detail(rgb: Rgb) -> float:
    """Mean absolute difference of neighbours."""
    x = rgb.astype(np.int16)
    return float(np.abs(np.diff(x, axis=0)).mean() + np.abs(np.diff(x, axis=1)).mean())


def _cut(rgb: Rgb, count: int, data: Data, rng: np.random.Generator) -> list[Rgb]:
    high, wide = rgb.shape[0] - data.size, rgb.shape[1] - data.size
    found = []
    for _ in range(count):
        places = [(int(rng.integers(high + 1)), int(rng.integers(wide + 1))) for _ in range(data.candidates)]
        drawn = [rgb[y : y + data.size, x : x + data.size] for y, x in places]
        found.append(max(drawn, key=_detail))
    return found


def _of_source(source: Source, names: Sequence[str], material: Path, data: Data, seed: Sequence[int]) -> list[Rgb]:
    folder = material / source.path
    count = len(names) * source.frames
    found: list[Rgb] = []
    done = 0
    for k, name in enumerate(names):
        rng = np.random.default_rng([*seed, k])
        for rgb in pictures(folder / name, source.frames):
            done += 1
            share = source.patches * done // count - len(found)
            small = _shrunk(rgb, source.shrink)
            if min(small.shape[:2]) >= data.size:
                found += _cut(small, share, data, rng)
    if not found:
        raise SourceError(
            f"{folder}: no picture of {data.size}x{data.size} or more; expected one in {len(names)} files"
        )
    return found


def prepare(recipe: Recipe, material: Path, folder: Path) -> Path:
    """Make the file of patches in a folder, unless it is there and of this recipe; gives its path.

    Raises OptionError where the split names no file of a source, SourceError where one cannot be read.
    """
    path, about = folder / PATCHES, folder / ABOUT
    split = load_split(recipe.folder / recipe.data.split)
    digest = recipe.digest("data", "seed")
    made_by = {"digest": digest, "split": {k: list(s.train) for k, s in split.items()}}
    if path.exists() and about.exists() and json.loads(about.read_text("utf-8")) == made_by:
        return path
    found: list[Rgb] = []
    for k, source in enumerate(recipe.data.source):
        if source.path not in split or not split[source.path].train:
            raise OptionError(
                f"split {recipe.data.split}: nothing to train on in {source.path}; "
                f"it has {', '.join(split) or 'nothing'}"
            )
        missing = [n for n in split[source.path].train if not (material / source.path / n).is_file()]
        if missing:
            raise MediaError(f"{material / source.path}: {missing[0]} is not there, with {len(missing) - 1} more")
        found += _of_source(source, split[source.path].train, material, recipe.data, [recipe.seed, k])
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "patches.draft.npy"
    np.save(draft, np.stack(found))
    about.unlink(missing_ok=True)
    os.replace(draft, path)
    about.write_text(json.dumps(made_by, indent=1) + "\n", "utf-8")
    return path


class Job(Protocol):
    """What makes one file, `to`."""

    @property
    def to(self) -> Path: ...


_Job = TypeVar("_Job", bound=Job)


def make_files(
    folder: Path, word: str, made_by: Mapping[str, Any], jobs: Iterable[_Job], work: Callable[[_Job], None]
) -> None:
    """Do the jobs whose file is not there yet, on all cores.

    word     what the files hold, as "runs"; a file of that name says what they were `made_by`

    Raises OptionError where the folder holds what was made by something else, and whatever a job raises.
    """
    about = folder / f"{word}.json"
    if about.exists() and json.loads(about.read_text("utf-8")) != made_by:
        raise OptionError(f"{folder} holds {word} of another recipe; name another folder, or delete it to begin anew")
    folder.mkdir(parents=True, exist_ok=True)
    about.write_text(json.dumps(made_by, indent=1) + "\n", "utf-8")
    left = [job for job in jobs if not job.to.exists()]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in tqdm(pool.map(work, left), total=len(left), unit="file", disable=not left):
            assert done is None


def patches(path: Path, device: str) -> torch.Tensor:
    """The patches (n, size, size, 3) uint8 of a file that `prepare` made, on a device."""
    return torch.from_numpy(np.load(path)).to(device)


def crops(source: torch.Tensor, count: int, size: int, rng: np.random.Generator) -> torch.Tensor:
    """`count` squares drawn from patches, each turned and mirrored at random: float32 (count, 3, size, size), 0..1."""
    n, full = source.shape[:2]
    which = rng.integers(n, size=count)
    place = rng.integers(full - size + 1, size=(2, count))
    mirrored = rng.integers(2, size=(2, count)).astype(bool)
    swapped = rng.integers(2, size=count).astype(bool)
    line = np.arange(size)
    rows, columns = (p[:, None] + np.where(m[:, None], line[::-1], line) for p, m in zip(place, mirrored, strict=True))
    # a swap of the axes is the same as indices that run along the other one
    y = np.where(swapped[:, None, None], rows[:, None, :], rows[:, :, None])
    x = np.where(swapped[:, None, None], columns[:, :, None], columns[:, None, :])
    flat = torch.from_numpy((which[:, None, None] * full + y) * full + x).to(source.device)
    picked = source.reshape(-1, 3)[flat]
    return picked.permute(0, 3, 1, 2).float() / 255
