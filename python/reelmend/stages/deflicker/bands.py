"""Bands: light that changes while a rolling shutter reads the rows, so that it lies in stripes over the picture.

Mains light pulses at 100 or 120 Hz; at the clip's frame rate that is an alias of so many cycles a frame, and over the
rows a wave of so many periods. The change between two frames is seen in the median of each row: motion moves parts of
a row, light all of it. Whether the parts agree is the coherence; whether one travelling wave tells what happens, the
lock. A clip with both has bands, and the wave, its frequency, phase and amplitude a channel, is what to take away.
Bands that follow no wave (lamps dimmed by bursts) are taken from the rows' own mean over time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUPS", "BandEvidence", "Wave", "find_wave", "weigh_bands"]

GROUPS = 4  # parts of a row that must agree
_HARMONICS = 2  # the log of 1 + a cos is no cosine, and lamps are not either
_LEAST_PERIODS, _MOST_PERIODS = 0.4, 12.0  # over the picture
_SPECTRUM = (144, 256)  # rows, frames of the zero-padded transform
_LEVELS = 255.0

_COHERENCE_ON, _COHERENCE_LOCKED, _COHERENCE_OFF = 0.70, 0.58, 0.45
_LOCK_ON = 0.30
_HOPELESS = 0.15  # share the peak of the spectrum explains, below which it is not worth a search
_LEVEL_ON, _LEVEL_OFF = 0.4, 0.2
SHORTEST = 4  # changes; fewer say nothing
_FEW = 12  # changes; fewer must be beyond doubt
_FEW_COHERENCE = 0.75


@dataclass(frozen=True, slots=True)
class BandEvidence:
    """coherence 0..1 of the parts of rows, level = their deviation in 8-bit levels, lock = share of the rows' changes
    that one wave explains, changes = how many were weighed."""

    coherence: float = 0.0
    level: float = 0.0
    lock: float = 0.0
    changes: int = 0

    @property
    def is_there(self) -> bool:
        return self.changes >= SHORTEST and self.coherence >= self._least and self.level >= _LEVEL_ON

    @property
    def _least(self) -> float:
        least = _COHERENCE_LOCKED if self.lock >= _LOCK_ON else _COHERENCE_ON
        return max(least, _FEW_COHERENCE) if self.changes < _FEW else least

    @property
    def is_gone(self) -> bool:
        return self.changes >= SHORTEST and (self.coherence < _COHERENCE_OFF or self.level < _LEVEL_OFF)

    @property
    def confidence(self) -> float:
        """0.5 where it counts as there, 1 where it is beyond doubt."""
        if self.changes < SHORTEST or self.level < _LEVEL_OFF:
            return 0.0
        value = 0.5 + (self.coherence - self._least) * (2.0 if self.lock >= _LOCK_ON else 1.6)
        return float(np.clip(value, 0.0, 1.0 if self.is_there else 0.49))


def weigh_bands(parts: NDArray[np.float32], brightness: float) -> tuple[float, float]:
    """Coherence and level of the changes of rows: (changes, GROUPS, rows) in log light; brightness 0..1."""
    own = parts - parts.mean(axis=2, keepdims=True)
    groups = own.shape[1]
    square = float((own.astype(np.float64) ** 2).sum())
    together = float((own.sum(axis=1, dtype=np.float64) ** 2).sum())
    shared = max(together - square, 0.0) / (groups - 1)
    level = np.sqrt(shared / groups / max(own.shape[0] * own.shape[2], 1)) * brightness * _LEVELS
    return shared / max(square, 1e-9), float(level)


@dataclass(frozen=True, slots=True)
class Wave:
    """log light = sum over harmonics m of a_m cos(2 pi m (frequency t + periods y)) + b_m sin(...), a channel each.

    frequency    cycles a frame, -0.5..0.5: positive where bands move up (towards row 0) with time
    periods      over the height of the picture
    coefficient  float64 (2 * harmonics, channels)
    share        of the changes explained
    """

    frequency: float
    periods: float
    coefficient: NDArray[np.float64]
    share: float

    def at(self, t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """At frame t and heights y, 0 at the top edge to 1 at the bottom edge: (len(y), channels)."""
        basis = _basis(np.array([t]), y, self.frequency, self.periods, len(self.coefficient) // 2)
        result: NDArray[np.float64] = basis[0] @ self.coefficient
        return result

    @property
    def amplitude(self) -> float:
        """Of the fundamental, the greatest of the channels, in log light."""
        return float(np.hypot(self.coefficient[0], self.coefficient[1]).max())


def find_wave(changes: NDArray[np.float64], t: NDArray[np.int64], start: Wave | None = None) -> Wave:
    """The travelling wave that explains most of the changes of rows.

    changes  (n, rows, channels): of log light between frames t[i] and t[i + 1]
    t        (n + 1,): frame numbers
    start    a wave of just before, from which to search; else the peak of the spectrum

    Least squares on the changes themselves, not on their sum: their noise does not add up.
    """
    luma = changes.mean(axis=2)
    heights = (np.arange(changes.shape[1]) + 0.5) / changes.shape[1]
    if start is None:
        frequency, periods = _peak(luma, t)
        steps, width = 5, 1.0
        coefficient, share = _fit(changes, t, heights, frequency, periods, _HARMONICS)
        if share < _HOPELESS:
            return Wave(frequency, periods, coefficient, share)
    else:
        frequency, periods = start.frequency, start.periods
        steps, width = 2, 0.25
    for k in range(steps):
        reach = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) * width * 0.5**k
        tried = [
            (_fit(luma[:, :, None], t, heights, f, p, 1)[1], f, p)
            for f in frequency + reach / _SPECTRUM[1]
            for p in periods + reach * 0.12
        ]
        _, frequency, periods = max(tried)
    coefficient, share = _fit(changes, t, heights, frequency, periods, _HARMONICS)
    return Wave(frequency, periods, coefficient, share)


def _peak(luma: NDArray[np.float64], t: NDArray[np.int64]) -> tuple[float, float]:
    """Frequency and periods of the strongest wave in changes (n, rows) between frames t[i] and t[i + 1]."""
    rows = luma.shape[1]
    # at even times: what happens over frames that are missing is left out
    next_ = np.diff(t) == 1
    even = np.zeros((max(int(t[-1] - t[0]), 1), rows))
    even[(t[:-1] - t[0])[next_]] = (luma - luma.mean())[next_]
    window = np.hanning(len(even) + 2)[1:-1, None]
    spectrum = np.fft.rfft2((even * window).T, s=_SPECTRUM)
    power = (spectrum * spectrum.conj()).real
    periods = np.fft.fftfreq(_SPECTRUM[0]) * rows
    power[(np.abs(periods) > _MOST_PERIODS) | (np.abs(periods) < _LEAST_PERIODS)] = 0.0
    i, j = np.unravel_index(int(np.argmax(power)), power.shape)
    f, p = float(j) / _SPECTRUM[1], float(periods[i])
    return (f, p) if p > 0 else (-f, -p)


def _basis(
    t: NDArray[np.float64] | NDArray[np.int64], y: NDArray[np.float64], frequency: float, periods: float, harmonics: int
) -> NDArray[np.float64]:
    """(frames, rows, 2 * harmonics)."""
    phase = 2 * np.pi * (frequency * t[:, None] + periods * y[None, :])
    parts = [wave(m * phase) for m in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
    return np.stack(parts, axis=-1)


def _fit(
    changes: NDArray[np.float64],
    t: NDArray[np.int64],
    y: NDArray[np.float64],
    frequency: float,
    periods: float,
    harmonics: int,
) -> tuple[NDArray[np.float64], float]:
    """Least squares of the changes by the changes of the basis: coefficients, and the share of energy explained."""
    steps = np.diff(_basis(t - t[0], y, frequency, periods, harmonics), axis=0)
    a = steps.reshape(-1, steps.shape[2])
    b = changes.reshape(len(a), -1)
    normal = a.T @ a + 1e-6 * len(a) * np.eye(a.shape[1])
    coefficient: NDArray[np.float64] = np.linalg.solve(normal, a.T @ b).astype(np.float64)
    left = float(((b - a @ coefficient) ** 2).sum())
    return coefficient, 1.0 - left / max(float((b * b).sum()), 1e-12)
