"""Shots: where one picture gives way to another, told by structure so that a flash is not a cut."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .structure import Structure

__all__ = ["FLASH", "Shots", "fall"]

# A cut is a fall of the rank correlation of tiny pictures by _JUMP beyond _UNREST times its usual fall of late, and by
# _LEAST at all, where the texture is another as well: uneven light changes the ranks, but only a cut or a pan the
# texture. Over the clips it was set on, true cuts fall by 0.45 to 1.28, their texture by 0.9 or more; a handheld pan in
# a dark roof scene falls by 0.19, a shaky telephoto by 0.34 with a usual fall of 0.11.
_LEAST = 0.30
_JUMP = 0.20
_UNREST = 2.0
_TEXTURE = 0.5  # fall of the correlation of the textures
_RECENT = 12
FLASH = 3  # frames after which the old picture may come back


@dataclass(slots=True)
class _Seen:
    shot: int
    structure: Structure


class Shots:
    """Numbers frames by shot, in order. A shot that was interrupted by a flash of up to 3 frames goes on under its
    number; the flash keeps a number of its own, so nothing is mixed with it."""

    def __init__(self) -> None:
        self._next = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._seen: deque[_Seen] = deque(maxlen=FLASH + 1)

    def number(self, structure: Structure) -> int:
        """The shot of the next frame, from its structure."""
        if not self._seen:
            return self._remember(self._new(), structure)
        last = self._seen[-1]
        usual = float(np.median(self._recent)) if self._recent else 0.0
        limit = max(_LEAST, _JUMP + _UNREST * usual)
        if not _differs(structure, last.structure, limit):
            self._recent.append(fall(structure, last.structure))
            return self._remember(last.shot, structure)
        for earlier in reversed(self._seen):
            if earlier.shot != last.shot and not _differs(structure, earlier.structure, limit):
                return self._remember(earlier.shot, structure)
        self._recent.clear()
        return self._remember(self._new(), structure)

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _remember(self, shot: int, structure: Structure) -> int:
        self._seen.append(_Seen(shot, structure))
        return shot


def _differs(a: Structure, b: Structure, limit: float) -> bool:
    if _unlike(a.ranks, b.ranks) <= limit:
        return False
    return not (a.texture.any() and b.texture.any()) or _unlike(a.texture, b.texture) > _TEXTURE


def fall(a: Structure, b: Structure) -> float:
    """How unlike two pictures are built whatever their light, 0 (alike) to about 1: by ranks or texture, the less."""
    ranks = _unlike(a.ranks, b.ranks)
    return min(ranks, _unlike(a.texture, b.texture)) if a.texture.any() and b.texture.any() else ranks


def _unlike(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.size != b.size:
        return 2.0
    flat_a, flat_b = not a.any(), not b.any()
    if flat_a and flat_b:
        return 0.0
    return 1.0 - float(a @ b)
