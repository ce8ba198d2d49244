"""Shots: where one picture gives way to another, told by structure so that a flash is not a cut."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shots"]

# A cut is a fall of the rank correlation of tiny pictures by _JUMP beyond _UNREST times its usual fall of late, and by
# _LEAST at all. Over the clips it was set on, true cuts fall by 0.45 to 1.28; a handheld pan in a dark roof scene by
# 0.19, a shaky telephoto by 0.34 with a usual fall of 0.11.
_LEAST = 0.30
_JUMP = 0.20
_UNREST = 2.0
_RECENT = 12
_FLASH = 3  # frames after which the old picture may come back


@dataclass(slots=True)
class _Seen:
    shot: int
    ranks: NDArray[np.float32]


class Shots:
    """Numbers frames by shot, in order. A shot that was interrupted by a flash of up to 3 frames goes on under its
    number; the flash keeps a number of its own, so nothing is mixed with it."""

    def __init__(self) -> None:
        self._next = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._seen: deque[_Seen] = deque(maxlen=_FLASH + 1)

    def number(self, ranks: NDArray[np.float32]) -> int:
        """The shot of the next frame, from its signature's ranks."""
        if not self._seen:
            return self._remember(self._new(), ranks)
        last = self._seen[-1]
        fall = _fall(ranks, last.ranks)
        usual = float(np.median(self._recent)) if self._recent else 0.0
        limit = max(_LEAST, _JUMP + _UNREST * usual)
        if fall <= limit:
            self._recent.append(fall)
            return self._remember(last.shot, ranks)
        for earlier in reversed(self._seen):
            if earlier.shot != last.shot and _fall(ranks, earlier.ranks) <= limit:
                return self._remember(earlier.shot, ranks)
        self._recent.clear()
        return self._remember(self._new(), ranks)

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _remember(self, shot: int, ranks: NDArray[np.float32]) -> int:
        self._seen.append(_Seen(shot, ranks))
        return shot


def _fall(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.size != b.size:
        return 2.0
    flat_a, flat_b = not a.any(), not b.any()
    if flat_a and flat_b:
        return 0.0
    return 1.0 - float(a @ b)
