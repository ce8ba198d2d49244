"""Synthetic flicker, for measuring and for training: seeded, deterministic, one frame at a time.

Each kind is one way in which real footage flickers. A `Flicker` answers for any frame index in any order, so
clips can be streamed, cut and resumed: the same (kind, seed, strength, fps) always gives the same pictures.

    flicker = make("gain_gamma", seed=1)
    bad = [flicker.apply(rgb, t) for t, rgb in enumerate(clean)]

Frames are RGB, uint8 or uint16, shape (height, width, 3). Values are treated as peak-normalised code values in
0..1 (not linear light), as in the literature the kinds come from: BlazeBVD (arXiv 2403.06243) for the additive
windows, Lai et al. (ECCV 2018) and DVP for per-frame tone changes, mains beat for the row bands.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArrayError, OptionError

__all__ = ["KINDS", "Chain", "Flicker", "make"]

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class Flicker(ABC):
    """One kind of flicker over a clip of any length.

    seed      any non-negative integer; other seeds give other sequences
    strength  scales every deviation; 1.0 is the strength each kind documents, 0.0 changes nothing
    fps       frames a second, where the kind is tied to real time (bands)
    """

    name: str = ""

    def __init__(self, *, seed: int = 0, strength: float = 1.0, fps: float = 30.0) -> None:
        if seed < 0 or strength < 0 or not math.isfinite(strength) or not fps > 0:
            raise OptionError(
                f"flicker needs seed >= 0, a finite strength >= 0 and fps > 0; got seed={seed}, "
                f"strength={strength}, fps={fps}"
            )
        self.seed = seed
        self.strength = strength
        self.fps = fps

    @abstractmethod
    def parameters(self, t: int) -> dict[str, Any]:
        """What happens to frame t, as plain numbers and arrays (for logs, tests and training targets)."""

    @abstractmethod
    def apply(self, rgb: Samples, t: int, *, peak: int | None = None) -> Samples:
        """Frame t with its flicker: same shape and dtype, rounded to nearest. peak: largest code (dtype's if None)."""

    def _rng(self, *key: int) -> np.random.Generator:
        # SeedSequence mixes the words, so neighbouring frames are independent and random access costs nothing.
        return np.random.default_rng([self.seed, sum(map(ord, self.name)), *key])


def _checked(rgb: Samples, peak: int | None) -> int:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype not in (np.uint8, np.uint16):
        raise ArrayError(
            f"flicker is applied to uint8 or uint16 arrays (height, width, 3); got {rgb.dtype} {rgb.shape}"
        )
    return int(np.iinfo(rgb.dtype).max) if peak is None else peak


class _Tone(Flicker):
    """A kind that maps code values the same way all over the picture: applied through a table."""

    @abstractmethod
    def curves(self, x: Floats, t: int) -> Floats:
        """Tone curves of frame t: levels x (n,) in 0..1 -> (3, n); may leave 0..1, the caller clips."""

    def apply(self, rgb: Samples, t: int, *, peak: int | None = None) -> Samples:
        top = _checked(rgb, peak)
        x = np.arange(top + 1, dtype=np.float64) / top
        tables = np.clip(np.floor(np.clip(self.curves(x, t), 0, 1) * top + 0.5), 0, top).astype(rgb.dtype)
        out = np.empty_like(rgb)
        for c in range(3):
            out[..., c] = tables[c][np.minimum(rgb[..., c], top)]
        return out


class _Field(Flicker):
    """A kind whose gain depends on the place in the picture."""

    @abstractmethod
    def field(self, height: int, width: int, t: int) -> npt.NDArray[np.float32]:
        """Gain of frame t, broadcastable to (height, width, 3)."""

    def apply(self, rgb: Samples, t: int, *, peak: int | None = None) -> Samples:
        top = _checked(rgb, peak)
        values = rgb * self.field(rgb.shape[0], rgb.shape[1], t)
        rounded: Samples = np.clip(np.floor(values + np.float32(0.5)), 0, top).astype(rgb.dtype)
        return rounded


class GainGamma(_Tone):
    """Own exposure and contrast in every frame: exp(N(0, .15)) * x ** exp(N(0, .12)). Old film, bad shutters."""

    name = "gain_gamma"

    def parameters(self, t: int) -> dict[str, Any]:
        draw = self._rng(t).standard_normal(2) * self.strength
        return {"gain": float(np.exp(0.15 * draw[0])), "gamma": float(np.exp(0.12 * draw[1]))}

    def curves(self, x: Floats, t: int) -> Floats:
        p = self.parameters(t)
        return np.broadcast_to(p["gain"] * x ** p["gamma"], (3, len(x)))


class Pumping(_Tone):
    """Slow automatic exposure hunting: log gain is AR(1), coefficient .9, stationary deviation .15."""

    name = "pumping"
    _COEFFICIENT = 0.9

    def __init__(self, *, seed: int = 0, strength: float = 1.0, fps: float = 30.0) -> None:
        super().__init__(seed=seed, strength=strength, fps=fps)
        self._source = self._rng()
        self._log_gain = [0.15 * float(self._source.standard_normal())]

    def parameters(self, t: int) -> dict[str, Any]:
        a = self._COEFFICIENT
        while len(self._log_gain) <= t:
            step = 0.15 * math.sqrt(1 - a * a) * float(self._source.standard_normal())
            self._log_gain.append(a * self._log_gain[-1] + step)
        return {"gain": math.exp(self.strength * self._log_gain[t])}

    def curves(self, x: Floats, t: int) -> Floats:
        return np.broadcast_to(self.parameters(t)["gain"] * x, (3, len(x)))


class Additive(_Tone):
    """Windows of 2..12 frames, each with its own RGB shift U(-.2, .2), and N(0, .04) per channel on every frame."""

    name = "additive"

    def __init__(self, *, seed: int = 0, strength: float = 1.0, fps: float = 30.0) -> None:
        super().__init__(seed=seed, strength=strength, fps=fps)
        self._source = self._rng()
        self._windows: list[tuple[int, Floats]] = []
        self._of_frame: list[int] = []

    def parameters(self, t: int) -> dict[str, Any]:
        while len(self._of_frame) <= t:
            length = int(self._source.integers(2, 13))
            self._windows.append((length, self._source.uniform(-0.2, 0.2, 3)))
            self._of_frame += [len(self._windows) - 1] * length
        length, shift = self._windows[self._of_frame[t]]
        noise = 0.04 * self._rng(1, t).standard_normal(3)
        return {"window": self._of_frame[t], "length": length, "shift": self.strength * (shift + noise)}

    def curves(self, x: Floats, t: int) -> Floats:
        shift: Floats = self.parameters(t)["shift"]
        return x[None, :] + shift[:, None]


class WhiteBalance(_Tone):
    """Colour hunting: red and blue gains exp(N(0, .06)) in every frame, green scaled so that luma stays."""

    name = "white_balance"

    def parameters(self, t: int) -> dict[str, Any]:
        red, blue = np.exp(0.06 * self.strength * self._rng(t).standard_normal(2))
        green = (1 - 0.2126 * red - 0.0722 * blue) / 0.7152
        return {"gain": np.array([red, green, blue])}

    def curves(self, x: Floats, t: int) -> Floats:
        gain: Floats = self.parameters(t)["gain"]
        return gain[:, None] * x[None, :]


class Alternation(_Tone):
    """A gain that repeats every `period` frames, amplitude .12 in log gain (shutter beat, pulldown, field order)."""

    period = 2

    def parameters(self, t: int) -> dict[str, Any]:
        phase = t % self.period
        pattern = [math.cos(2 * math.pi * k / self.period) for k in range(self.period)]
        return {"phase": phase, "gain": math.exp(0.12 * self.strength * pattern[phase])}

    def curves(self, x: Floats, t: int) -> Floats:
        return np.broadcast_to(self.parameters(t)["gain"] * x, (3, len(x)))


class Alternation2(Alternation):
    __doc__ = Alternation.__doc__
    name = "alternation2"
    period = 2


class Alternation3(Alternation):
    __doc__ = Alternation.__doc__
    name = "alternation3"
    period = 3


class Flash(_Tone):
    """Single bright frames, one in each run of 25 frames: 1 - (1 - x)(1 - a), a = .45. Lightning, photographers."""

    name = "flash"
    every = 25

    def parameters(self, t: int) -> dict[str, Any]:
        at = int(self._rng(t // self.every).integers(4, self.every - 4))
        return {"flash": 0.45 * min(self.strength, 2.0) if t % self.every == at else 0.0}

    def curves(self, x: Floats, t: int) -> Floats:
        return np.broadcast_to(1 - (1 - x) * (1 - self.parameters(t)["flash"]), (3, len(x)))


class Fade(_Tone):
    """Film fades: to black and back over 2 x 24 frames, once in 96 frames. Wanted in a film: a negative test."""

    name = "fade"
    length = 24
    every = 96

    def parameters(self, t: int) -> dict[str, Any]:
        into = t % self.every - (self.every - 2 * self.length)
        darkness = 0.0 if into < 0 else 1 - abs(into + 0.5 - self.length) / self.length
        return {"gain": max(0.0, 1 - self.strength * darkness)}

    def curves(self, x: Floats, t: int) -> Floats:
        return np.broadcast_to(self.parameters(t)["gain"] * x, (3, len(x)))


class Batches(_Tone):
    """A step every 16 frames, as models leave that work in batches: gain exp(N(0, .06)), RGB shift N(0, .02)."""

    name = "batches"
    every = 16

    def parameters(self, t: int) -> dict[str, Any]:
        draw = self.strength * self._rng(t // self.every).standard_normal(4)
        return {"batch": t // self.every, "gain": float(np.exp(0.06 * draw[0])), "shift": 0.02 * draw[1:]}

    def curves(self, x: Floats, t: int) -> Floats:
        p = self.parameters(t)
        shift: Floats = p["shift"]
        gain = float(p["gain"])
        return gain * x[None, :] + shift[:, None]


class Bands(_Field):
    """Mains light on a rolling shutter: rows times 1 + .25 cos(2 pi (f / fps t + k y / height + phase)), f = 100 Hz.

    The seed draws k, 1.5 to 3.5 periods over the picture, and the phase.
    """

    name = "bands"
    mains = 100.0

    def __init__(self, *, seed: int = 0, strength: float = 1.0, fps: float = 30.0) -> None:
        super().__init__(seed=seed, strength=strength, fps=fps)
        self._periods, self._phase = (float(v) for v in self._rng().uniform((1.5, 0.0), (3.5, 1.0)))

    def parameters(self, t: int) -> dict[str, Any]:
        phase = (self.mains / self.fps * t + self._phase) % 1.0
        return {"amplitude": 0.25 * self.strength, "phase": phase, "periods": self._periods}

    def field(self, height: int, width: int, t: int) -> npt.NDArray[np.float32]:
        p = self.parameters(t)
        turns = p["phase"] + p["periods"] * np.arange(height) / height
        gain = 1 + p["amplitude"] * np.cos(2 * np.pi * turns)
        return np.asarray(gain, np.float32)[:, None, None]


class Bands120(Bands):
    __doc__ = (Bands.__doc__ or "").replace("100 Hz", "120 Hz")
    name = "bands120"
    mains = 120.0


class Local(_Field):
    """Part of the picture flickers: gain exp(N(0, .2)) in every frame inside two soft ellipses, 1 outside."""

    name = "local"

    def __init__(self, *, seed: int = 0, strength: float = 1.0, fps: float = 30.0) -> None:
        super().__init__(seed=seed, strength=strength, fps=fps)
        rng = self._rng()
        # centre y, centre x, radius y, radius x as shares of the picture
        self._ellipses = rng.uniform((0.2, 0.2, 0.15, 0.15), (0.8, 0.8, 0.35, 0.35), (2, 4))
        self._mask: npt.NDArray[np.float32] | None = None

    def mask(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """Weight of each ellipse, (2, height, width), 1 at its centre falling smoothly to 0."""
        if self._mask is None or self._mask.shape[1:] != (height, width):
            y = (np.arange(height) + 0.5)[:, None] / height
            x = (np.arange(width) + 0.5)[None, :] / width
            far = [((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 for cy, cx, ry, rx in self._ellipses]
            self._mask = np.exp(-(np.stack(far) ** 2)).astype(np.float32)
        return self._mask

    def parameters(self, t: int) -> dict[str, Any]:
        return {"gain": np.exp(0.2 * self.strength * self._rng(1, t).standard_normal(2))}

    def field(self, height: int, width: int, t: int) -> npt.NDArray[np.float32]:
        gain = np.float32(self.parameters(t)["gain"])
        weights = self.mask(height, width)
        return (1 + np.tensordot(gain - 1, weights, 1)).astype(np.float32)[..., None]


class Chain(Flicker):
    """Several kinds, one after the other on the same frame. seed, strength and fps are those of the parts."""

    name = "chain"

    def __init__(self, *parts: Flicker) -> None:
        super().__init__()
        self.parts = parts

    def parameters(self, t: int) -> dict[str, Any]:
        return {part.name: part.parameters(t) for part in self.parts}

    def apply(self, rgb: Samples, t: int, *, peak: int | None = None) -> Samples:
        for part in self.parts:
            rgb = part.apply(rgb, t, peak=peak)
        return rgb


_REGISTRY: dict[str, Callable[..., Flicker]] = {
    kind.name: kind
    for kind in (
        GainGamma, Pumping, Additive, WhiteBalance, Local, Bands, Bands120,
        Alternation2, Alternation3, Flash, Fade, Batches,
    )
}  # fmt: skip
KINDS: tuple[str, ...] = tuple(_REGISTRY)


def make(kind: str, *, seed: int = 0, strength: float = 1.0, fps: float = 30.0) -> Flicker:
    """A flicker by name. Several names joined by "+" are applied one after the other."""
    parts = []
    for name in kind.split("+"):
        if name not in _REGISTRY:
            raise OptionError(f"unknown kind of flicker {name!r}; expected one of {', '.join(KINDS)} (joined by '+')")
        parts.append(_REGISTRY[name](seed=seed, strength=strength, fps=fps))
    return parts[0] if len(parts) == 1 else Chain(*parts)
