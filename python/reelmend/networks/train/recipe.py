"""What a recipe.toml holds, read strictly: a key that is unknown, missing or of a wrong type is told by its place."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ...errors import OptionError

__all__ = [
    "Data",
    "Degradation",
    "Flicker",
    "Loss",
    "Motion",
    "Recipe",
    "Schedule",
    "Source",
    "load_recipe",
    "parse_recipe",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """Pictures to train on: a folder of stills or clips, relative to the material.

    patches  cut from it in all
    shrink   pictures are first reduced by this whole number, each pixel the mean of a square: takes away the traces
             of compression and of a sensor's mosaic
    frames   taken of each clip, evenly over its length
    """

    path: str
    patches: int
    shrink: int = 1
    frames: int = 1

    def __post_init__(self) -> None:
        _least("data.source.patches", self.patches, 1)
        _least("data.source.shrink", self.shrink, 1)
        _least("data.source.frames", self.frames, 1)


@dataclass(frozen=True, slots=True)
class Data:
    """Sources and how they are cut.

    split       a JSON file beside the recipe: {folder: {"train": [names], "test": [names]}}
    size        rows and columns of a cached patch
    candidates  places drawn for each patch, of which the one with the most detail is kept
    """

    split: str
    source: tuple[Source, ...]
    size: int = 128
    candidates: int = 2

    def __post_init__(self) -> None:
        _least("data.size", self.size, 16)
        _least("data.candidates", self.candidates, 1)


@dataclass(frozen=True, slots=True)
class Degradation:
    """How inputs are made of pictures; shares are 0..1 of the samples.

    kernels      share of each kernel of reduction: bicubic, area, lanczos, bilinear
    blur         share that is blurred before, by a Gaussian of `blur_sigma` (least, most) pixels of the picture
    compression  share that is compressed after, as JPEG does, in qualities `compression_quality` (least, most)
    """

    kernels: Mapping[str, float] = field(default_factory=lambda: {"bicubic": 1.0})
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.3, 0.7)
    compression: float = 0.0
    compression_quality: tuple[float, float] = (70.0, 95.0)

    def __post_init__(self) -> None:
        known = ("bicubic", "area", "lanczos", "bilinear")
        if not self.kernels or not set(self.kernels) <= set(known) or not min(self.kernels.values()) >= 0:
            raise OptionError(f"degradation.kernels is {dict(self.kernels)}; expected shares of {', '.join(known)}")
        if sum(self.kernels.values()) <= 0:
            raise OptionError("degradation.kernels: all shares are 0; expected one above 0")
        for name in ("blur", "compression"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"degradation.{name} is {getattr(self, name)}; expected a share of 0 to 1")
        for name, least, most in (("blur_sigma", 0.0, 8.0), ("compression_quality", 1.0, 100.0)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise OptionError(f"degradation.{name} is [{low}, {high}]; expected {least:g} to {most:g}, in order")


@dataclass(frozen=True, slots=True)
class Flicker:
    """What is done to runs of frames, for networks that take it away again; shares are 0..1 of the runs.

    kinds        shares of kinds of flicker, of `analyze.degrade`, joined by "+"
    clean        share of runs that do not flicker
    strength     (least, most) times that of the kind, even in its logarithm
    modes        shares of the modes of Deflicker
    compression  share that is compressed after, by H.264 of quality `crf` (least, most)
    """

    kinds: Mapping[str, float] = field(default_factory=lambda: {"gain_gamma": 1.0})
    clean: float = 0.05
    strength: tuple[float, float] = (1.0, 1.0)
    modes: Mapping[str, float] = field(default_factory=lambda: {"film": 1.0})
    compression: float = 0.0
    crf: tuple[int, int] = (16, 28)

    def __post_init__(self) -> None:
        for name in ("kinds", "modes"):
            shares = getattr(self, name)
            if not shares or min(shares.values()) < 0 or sum(shares.values()) <= 0:
                raise OptionError(f"flicker.{name} is {dict(shares)}; expected shares, one of them above 0")
        for name in ("clean", "compression"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"flicker.{name} is {getattr(self, name)}; expected a share of 0 to 1")
        if not 0 < self.strength[0] <= self.strength[1] or not 0 <= self.crf[0] <= self.crf[1] <= 51:
            raise OptionError(f"flicker: strength {self.strength}, crf {self.crf}; expected (least, most) in order")


@dataclass(frozen=True, slots=True)
class Motion:
    """Pictures from between two others, of clips and of stills that are moved; shares are 0..1.

    gaps   shares of distances of the two, in frames of a clip: {"2" = 0.7, "4" = 0.3}
    even   share of pairs of which the pictures before and after are not known
    speed  (least, most) pixels that layers made of stills move from one picture to the next, even in its logarithm
    halve  clips of so many rows or more are seen in half their size as often as in their own
    """

    gaps: Mapping[str, float] = field(default_factory=lambda: {"2": 1.0})
    even: float = 0.2
    speed: tuple[float, float] = (1.0, 24.0)
    halve: int = 700

    def __post_init__(self) -> None:
        if not self.gaps or not all(g.isdigit() and int(g) >= 2 for g in self.gaps) or min(self.gaps.values()) <= 0:
            raise OptionError(f"motion.gaps is {dict(self.gaps)}; expected shares above 0 by whole numbers from 2 on")
        if not 0 <= self.even <= 1 or not 0 < self.speed[0] <= self.speed[1]:
            raise OptionError(f"motion: even {self.even}, speed {self.speed}; expected 0 to 1, (least, most) in order")


@dataclass(frozen=True, slots=True)
class Loss:
    """kind: "charbonnier" (`epsilon` in units of 0..1), "l1" or "l2"; `luma` weighs the same of luma beside it."""

    kind: str = "charbonnier"
    epsilon: float = 1e-3
    luma: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("charbonnier", "l1", "l2"):
            raise OptionError(f"loss.kind is {self.kind!r}; expected charbonnier, l1 or l2")
        if self.epsilon <= 0 or self.luma < 0:
            raise OptionError(f"loss: epsilon {self.epsilon}, luma {self.luma}; expected above 0, and 0 or more")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps of Adam: the rate rises over `warmup` steps, then falls as a cosine to `floor` times its height.

    patch       rows and columns of the truth in a batch, in pixels
    ema         decay of the averaged weights, which are what is kept
    clip        the gradient's norm is held to this, 0: not
    checkpoint  steps between two checkpoints: what a killed run loses at most
    precision   "fp32" or "bf16" (autocast; the loss and the weights stay fp32)
    """

    steps: int
    batch: int = 16
    patch: int = 64
    rate: float = 1e-3
    floor: float = 0.01
    warmup: int = 200
    ema: float = 0.999
    clip: float = 1.0
    checkpoint: int = 1000
    precision: str = "fp32"

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "patch", "checkpoint"):
            _least(f"schedule.{name}", getattr(self, name), 1)
        if not (self.rate > 0 and 0 <= self.floor <= 1 and 0 <= self.ema < 1 and self.warmup >= 0 and self.clip >= 0):
            raise OptionError(
                f"schedule: rate {self.rate}, floor {self.floor}, ema {self.ema}, warmup {self.warmup}, clip "
                f"{self.clip}; expected a rate above 0, a floor of 0 to 1, ema below 1, and none below 0"
            )
        if self.precision not in ("fp32", "bf16"):
            raise OptionError(f"schedule.precision is {self.precision!r}; expected fp32 or bf16")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a trained network becomes.

    task     what it learns: a name of `task.TASKS`
    network  family and sizes, as that task takes them
    seed     of the weights, the patches and the batches
    folder   where the recipe lies; no part of its digest
    """

    name: str
    task: str
    licence: str
    origin: str
    network: Mapping[str, Any]
    data: Data
    schedule: Schedule
    degradation: Degradation = field(default_factory=Degradation)
    flicker: Flicker = field(default_factory=Flicker)
    motion: Motion = field(default_factory=Motion)
    loss: Loss = field(default_factory=Loss)
    seed: int = 0
    folder: Path = Path()

    def digest(self, *sections: str) -> str:
        """SHA-256 of these sections, of all but the words about it if none is named."""
        plain = asdict(self)
        picked = sections or [k for k in plain if k not in ("folder", "licence", "origin")]
        return hashlib.sha256(json.dumps({k: plain[k] for k in picked}, sort_keys=True).encode()).hexdigest()


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe. Raises OptionError that names the file, the key, what it holds and what was expected."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise OptionError(f"recipe {path}: {error.strerror}; expected a TOML file") from error
    try:
        return parse_recipe(tomllib.loads(text), Path(path).parent)
    except (tomllib.TOMLDecodeError, OptionError) as error:
        raise OptionError(f"recipe {path}: {error}") from error


def parse_recipe(plain: Mapping[str, Any], folder: Path = Path()) -> Recipe:
    """A recipe from what a TOML file holds. Raises OptionError as `load_recipe` does."""
    if "folder" in plain:
        raise OptionError("folder: unknown key")
    recipe: Recipe = _read(Recipe, {**plain, "folder": folder}, "")
    if recipe.schedule.patch > recipe.data.size:
        raise OptionError(
            f"schedule.patch is {recipe.schedule.patch}, more than data.size, {recipe.data.size}; "
            "patches of a batch are cut from those of the cache"
        )
    return recipe


def _least(name: str, value: int, least: int) -> None:
    if value < least:
        raise OptionError(f"{name} is {value}; expected {least} or more")


def _read(kind: type[T], plain: Mapping[str, Any], place: str) -> T:
    """A dataclass from a table, its keys and types checked."""
    types = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = [key for key in plain if key not in known]
    if unknown:
        raise OptionError(f"{place}{unknown[0]}: unknown key; expected {', '.join(k for k in known if k != 'folder')}")
    absent = [
        name for name, f in known.items() if name not in plain and f.default is MISSING and f.default_factory is MISSING
    ]
    if absent:
        raise OptionError(f"{place}{absent[0]}: missing; it has no default")
    return kind(**{key: _value(types[key], value, f"{place}{key}") for key, value in plain.items()})


def _value(kind: Any, value: Any, place: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise OptionError(f"{place} is {value!r}; expected a table [{place}]")
        return _read(kind, value, f"{place}.")
    base = get_origin(kind) or kind
    if base is tuple:
        return _sequence(kind, value, place)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if base is Mapping or (isinstance(base, type) and issubclass(base, Mapping)):
        if isinstance(value, Mapping):
            inner = get_args(kind)[1]
            return {k: v if inner is Any else _value(inner, v, f"{place}.{k}") for k, v in value.items()}
        raise OptionError(f"{place} is {value!r}; expected a table")
    if isinstance(base, UnionType) or not isinstance(value, base) or (isinstance(value, bool) and base is not bool):
        raise OptionError(f"{place} is {value!r}; expected {'text' if base is str else base.__name__}")
    return value


def _sequence(kind: Any, value: Any, place: str) -> tuple[Any, ...]:
    inner = get_args(kind)
    if not isinstance(value, list | tuple):
        raise OptionError(f"{place} is {value!r}; expected a list")
    if inner[-1] is ...:
        if not value:
            raise OptionError(f"{place} is empty; expected one entry or more")
        return tuple(_value(inner[0], v, f"{place}[{k}]") for k, v in enumerate(value))
    if len(value) != len(inner):
        raise OptionError(f"{place} has {len(value)} entries; expected {len(inner)}")
    return tuple(_value(t, v, f"{place}[{k}]") for k, (t, v) in enumerate(zip(inner, value, strict=True)))
