"""Flicker over time, and all figures of a clip gathered frame by frame, in memory that does not grow with pictures."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .metrics import histogram_kl, luma, peak_of, psnr, ssim, value_histogram

__all__ = ["ClipFigures", "ClipMeter", "Detrender", "FlickerFigures", "FlickerMeter", "Pool", "detrend"]

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

WINDOW = 11
STRIPS = 16
TILES = (8, 12)


def detrend(values: npt.ArrayLike, window: int = WINDOW) -> Floats:
    """Values (frames, ...) minus their centred running median over `window` frames, truncated at both ends."""
    x = np.asarray(values, np.float64)
    half = window // 2
    trend = [np.median(x[max(0, t - half) : t + half + 1], axis=0) for t in range(len(x))]
    return x - np.asarray(trend).reshape(x.shape)


class Detrender:
    """`detrend` as a stream: push vectors of one length, read their deviation. Holds `window` vectors."""

    def __init__(self, window: int = WINDOW) -> None:
        self._half = window // 2
        self._held: deque[Floats] = deque(maxlen=window)
        self._sums: tuple[int, Floats, Floats, Floats] | None = None

    def push(self, values: npt.ArrayLike) -> Floats | None:
        """One vector on. Gives the deviation of the vector half a window ago, once there is one."""
        self._held.append(np.atleast_1d(np.asarray(values, np.float64)))
        if len(self._held) <= self._half:
            return None
        # all that is held is now the window of the vector `half` before the newest
        held = list(self._held)
        residue = self._residue(held[-1 - self._half], held)
        self._sums = self._with(self._sums, residue)
        return residue

    def rest(self) -> list[Floats]:
        """The deviations that `push` has not given yet, those of the last vectors, over what is there of their window.

        More can be pushed after it.
        """
        held = list(self._held)
        last = range(max(0, len(held) - self._half), len(held))
        return [self._residue(held[at], held[max(0, at - self._half) :]) for at in last]

    @staticmethod
    def _residue(values: Floats, window: list[Floats]) -> Floats:
        ordered = np.sort(np.stack(window), axis=0)
        n = len(window)
        return np.asarray(values - 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))

    @staticmethod
    def _with(sums: tuple[int, Floats, Floats, Floats] | None, residue: Floats) -> tuple[int, Floats, Floats, Floats]:
        size = np.abs(residue)
        if sums is None:
            return 1, residue, residue * residue, size
        n, total, squares, most = sums
        return n + 1, total + residue, squares + residue * residue, np.maximum(most, size)

    def result(self) -> tuple[Floats, Floats]:
        """(standard deviation in time, largest absolute deviation) of each component. More can be pushed after it."""
        sums = self._sums
        for residue in self.rest():
            sums = self._with(sums, residue)
        if sums is None:
            return np.zeros(1), np.zeros(1)
        n, total, squares, most = sums
        return np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0)), most


class Pool:
    """The least and the greatest value of many series over stretches of frames, in memory that does not grow.

    A stretch is one frame at first; when `columns` of them (an even number) are full, neighbours are merged in pairs.
    """

    def __init__(self, series: int, columns: int) -> None:
        self.stride = 1
        self.frames = 0
        self._low = np.full((series, columns), np.nan)
        self._high = np.full((series, columns), np.nan)

    def put(self, frame: int, first: int, values: npt.ArrayLike) -> None:
        """Values of one frame for the series from `first` on, in any order; NaN is no value."""
        x = np.atleast_1d(np.asarray(values, np.float64))
        columns = self._low.shape[1]
        while frame // self.stride >= columns:
            self.stride *= 2
            for held, merge in ((self._low, np.fmin), (self._high, np.fmax)):
                held[:, : columns // 2] = merge(held[:, 0::2], held[:, 1::2])
                held[:, columns // 2 :] = np.nan
        self.frames = max(self.frames, frame + 1)
        at = (slice(first, first + x.size), frame // self.stride)
        self._low[at] = np.fmin(self._low[at], x)
        self._high[at] = np.fmax(self._high[at], x)

    @property
    def low(self) -> Floats:
        """(series, stretches); NaN where nothing was put."""
        return self._low[:, : -(-self.frames // self.stride)]

    @property
    def high(self) -> Floats:
        """(series, stretches); NaN where nothing was put."""
        return self._high[:, : -(-self.frames // self.stride)]


@dataclass(frozen=True, slots=True)
class FlickerFigures:
    """Deviation from an 11-frame running median, in 8-bit levels (research habit: comparable at every bit depth).

    luma      of mean luma (BT.709): flicker of the whole picture; luma_max its largest single deviation
    channels  of the means of R, G and B: colour flicker
    strips    of the means of 16 row strips, averaged over them: bands show here
    tiles     of the means of 8 x 12 tiles, averaged over them: local flicker (and motion) shows here
    """

    frames: int
    luma: float
    luma_max: float
    channels: tuple[float, float, float]
    channels_max: float
    strips: float
    strips_max: float
    tiles: float
    tiles_max: float


def _means(plane: npt.NDArray[np.float32], rows: int, columns: int) -> Floats:
    """Means of a grid of rows x columns nearly equal parts of a plane, (rows, columns); empty parts repeat others."""
    h, w = plane.shape
    y = np.minimum(np.arange(rows) * h // rows, h - 1)
    x = np.minimum(np.arange(columns) * w // columns, w - 1)
    counts = np.outer(np.maximum(np.diff(np.append(y, h)), 1), np.maximum(np.diff(np.append(x, w)), 1))
    lines = (
        np.add.reduceat(plane, x, axis=1, dtype=np.float64) if columns > 1 else plane.sum(1, dtype=np.float64)[:, None]
    )
    return np.asarray(np.add.reduceat(lines, y, axis=0) / counts, np.float64)


class FlickerMeter:
    """Flicker of one clip: push its frames, read `figures()`. `luma` keeps the mean luma of each frame (one float)."""

    def __init__(self, peak: float | None = None) -> None:
        self._peak = peak
        self._global = Detrender()
        self._strips = Detrender()
        self._tiles = Detrender()
        self.luma: list[float] = []

    def push(self, rgb: Samples) -> None:
        """One RGB frame (height, width, 3)."""
        scale = 255.0 / peak_of(rgb, self._peak)
        y = luma(rgb)
        channels = rgb.reshape(-1, 3).mean(0, dtype=np.float64)
        mean = float(y.mean(dtype=np.float64))
        self.luma.append(mean * scale)
        self._global.push(np.append(channels, mean) * scale)
        self._strips.push(_means(y, STRIPS, 1).ravel() * scale)
        self._tiles.push(_means(y, *TILES).ravel() * scale)

    def figures(self) -> FlickerFigures:
        (std, most), (strips, strips_max), (tiles, tiles_max) = (
            meter.result() for meter in (self._global, self._strips, self._tiles)
        )
        std, most = np.resize(std, 4), np.resize(most, 4)
        return FlickerFigures(
            len(self.luma),
            float(std[3]),
            float(most[3]),
            (float(std[0]), float(std[1]), float(std[2])),
            float(most[:3].max()),
            float(strips.mean()),
            float(strips_max.max()),
            float(tiles.mean()),
            float(tiles_max.max()),
        )


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """A clip against its truth: mean over frames and the worst frame. PSNR in dB; SSIM up to 1; KL in nats."""

    frames: int
    psnr: float
    psnr_min: float
    psnr_y: float
    psnr_y_min: float
    ssim: float | None
    ssim_min: float | None
    ssim_y: float | None
    ssim_y_min: float | None
    kl: float
    kl_max: float
    flicker: FlickerFigures

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self)


class ClipMeter:
    """Figures of an output clip against its truth, frame by frame: push(out, truth), then figures().

    with_ssim=False leaves SSIM out (it takes three quarters of the time); ssim_every=n takes it on every n-th frame
    only. `rows` keeps the per-frame numbers
    (PSNR RGB, PSNR Y, SSIM RGB, SSIM Y, KL); pictures are never kept.
    """

    def __init__(self, peak: float | None = None, *, with_ssim: bool = True, ssim_every: int = 1) -> None:
        self._peak = peak
        self._ssim_every = max(1, ssim_every) if with_ssim else 0
        self.flicker = FlickerMeter(peak)
        self.rows: list[tuple[float, float, float, float, float]] = []

    def push(self, out: Samples, truth: Samples) -> None:
        """One frame of the output and of the truth, RGB (height, width, 3) each."""
        top = peak_of(truth, self._peak)
        y, y_truth = luma(out), luma(truth)
        due = self._ssim_every and len(self.rows) % self._ssim_every == 0
        colour, gray = (ssim(out, truth, top), ssim(y, y_truth, top)) if due else (np.nan, np.nan)
        kl = histogram_kl(value_histogram(out, top), value_histogram(truth, top))
        self.rows.append((psnr(out, truth, top), psnr(y, y_truth, top), colour, gray, kl))
        self.flicker.push(out)

    def figures(self) -> ClipFigures:
        """All figures so far. ValueError for an empty clip."""
        if not self.rows:
            raise ValueError("no frames were pushed to this meter")
        table = np.asarray(self.rows)
        mean, least = table.mean(0), table.min(0)
        similar: list[float | None] = [None] * 4
        if self._ssim_every:
            taken = table[:: self._ssim_every, 2:4]
            similar = [float(f(taken[:, k])) for k in (0, 1) for f in (np.mean, np.min)]
        return ClipFigures(
            frames=len(table),
            psnr=float(mean[0]),
            psnr_min=float(least[0]),
            psnr_y=float(mean[1]),
            psnr_y_min=float(least[1]),
            ssim=similar[0],
            ssim_min=similar[1],
            ssim_y=similar[2],
            ssim_y_min=similar[3],
            kl=float(mean[4]),
            kl_max=float(table[:, 4].max()),
            flicker=self.flicker.figures(),
        )
