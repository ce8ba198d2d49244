"""When output frames are due: exact, without drift, whatever the times of the source."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

__all__ = ["AtRate", "Due", "Schedule", "Split", "common_tick", "nominal"]

# A made frame so near a source frame, in parts of the interval, would be that frame but for the blur of resampling.
NEAR = Fraction(1, 50)


@dataclass(frozen=True, slots=True)
class Due:
    """One output frame: its time in seconds, and how long it stays."""

    time: Fraction
    duration: Fraction


def common_tick(a: Fraction, b: Fraction) -> Fraction:
    """The largest time base in which multiples of both are whole."""
    bottom = math.lcm(a.denominator, b.denominator)
    return Fraction(math.gcd(int(a * bottom), int(b * bottom)), bottom)


def nominal(rate: Fraction) -> Fraction:
    """A rate to go by where a file tells but the mean of uneven times: the whole or NTSC rate within half a per cent,
    else the nearest of hundredths at most."""
    if rate.denominator <= 1001 and rate.numerator <= 1_000_000:
        return rate
    whole = Fraction(max(1, round(rate)))
    ntsc = Fraction(max(1, round(rate * 1001 / 1000)) * 1000, 1001)
    best = min(whole, ntsc, key=lambda r: abs(r - rate))
    return best if abs(best - rate) * 200 <= rate else rate.limit_denominator(100)


class Schedule(ABC):
    """Gives output times, interval after interval of the source, each time exactly once."""

    @abstractmethod
    def between(self, times: Sequence[Fraction]) -> list[Due]:
        """What is due from times[0] up to, not at, times[-1]; those between are times of source frames as well.

        Intervals must follow each other: times[0] is the last of the call before, or a new beginning.
        """

    def begin(self) -> None:
        """The next interval starts afresh, at whatever time."""
        return


class AtRate(Schedule):
    """A constant rate: times are start + k / rate, the start being the first source frame's time.

    It goes on behind a gap; only where time goes back does it start anew.
    """

    def __init__(self, rate: Fraction) -> None:
        self._step = 1 / rate
        self._start: Fraction | None = None
        self._next = 0

    def begin(self) -> None:
        self._start = None

    def between(self, times: Sequence[Fraction]) -> list[Due]:
        if self._start is None or times[0] <= self._start + (self._next - 1) * self._step:
            self._start, self._next = times[0], 0
        # behind a gap the same grid goes on
        self._next = max(self._next, math.ceil((times[0] - self._start) / self._step))
        due = []
        while (at := self._start + self._next * self._step) < times[-1]:
            due.append(Due(at, self._step))
            self._next += 1
        return due


class Split(Schedule):
    """Every interval of the source in `factor` equal parts: a variable rate stays variable."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def between(self, times: Sequence[Fraction]) -> list[Due]:
        due = []
        for begin, end in pairwise(times):
            step = (end - begin) / self._factor
            due += [Due(begin + k * step, step) for k in range(self._factor)]
        return due
