"""Pictures that come more than once: animation on twos and threes, and clips at a lower rate than their file's.

Where most pictures of late were shown two or three times, the repeats are no pictures of their own: motion then goes
evenly from one picture to the next, over all the time between them. What is shown longer is a hold, and stays one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ...frame import Frame
from ..structure import Structure

__all__ = ["LONGEST", "Cadence", "Shown", "is_repeat"]

LONGEST = 3  # times that one picture is shown in a cadence
_RUNS = 8  # pictures of late that tell whether there is one
_ON, _OFF = 6, 3  # pictures shown twice or thrice of those; at or below _OFF there is none any more
_LEAST = 0.7 / 255  # what two encodings of a picture may differ by in a tile
_SHARE = 0.2  # or this part of what changes from picture to picture, where noise is above that
_CHANGES = 24


@dataclass(slots=True)
class Shown:
    """A picture, the number of its shot, how it is built, and the frames that repeat it."""

    frame: Frame
    shot: int
    structure: Structure
    repeats: list[Frame]


def _change(a: Structure, b: Structure) -> float:
    """How much the most changed hundredth of the tiles changed, 0..1."""
    if a.fine.shape != b.fine.shape:
        return 1.0
    change = np.abs(a.fine - b.fine).max(axis=0).ravel()
    place = min(change.size - 1, int(0.99 * change.size))
    return float(np.partition(change, place)[place])


def is_repeat(change: float, usual: float) -> bool:
    """Whether a change is that of a picture shown again; `usual` is what changes from picture to picture."""
    return change < max(_LEAST, _SHARE * usual)


class Cadence:
    """Groups frames by picture. Passive: push a frame, get the pictures that are complete.

    found  what to do with repeats: "auto" (group them while there is a cadence), or "always"
    """

    def __init__(self, found: str = "auto") -> None:
        self._always = found == "always"
        self.reset()

    def reset(self) -> None:
        """Forget all, what is held too."""
        self._open: Shown | None = None
        self._last: Structure | None = None
        self._shot = 0
        self._run = 0
        self._runs: deque[int] = deque(maxlen=_RUNS)
        self._changes: deque[float] = deque(maxlen=_CHANGES)
        self._on = self._always

    @property
    def active(self) -> bool:
        """Whether repeats are grouped now."""
        return self._on

    def push(self, frame: Frame, shot: int, structure: Structure) -> list[Shown]:
        """Take one frame; gives pictures, oldest first, once it is known how often they are shown."""
        again = False
        if self._last is not None:
            change = _change(structure, self._last)
            usual = float(np.percentile(self._changes, 75)) if self._changes else 0.0
            again = is_repeat(change, usual) and shot == self._shot
            self._changes.append(change)
        self._last, self._shot = structure, shot
        if again:
            self._run += 1
        else:
            self._end_run()
            self._run = 1
        held = self._open
        if held is None:
            self._open = Shown(frame, shot, structure, [])
            return []
        if again and self._on and self._run <= LONGEST:
            held.repeats.append(frame)
            return []
        if again and held.repeats:
            # a hold: every frame of it is shown as it is, and motion starts from the last
            alone = [Shown(f, held.shot, structure, []) for f in (held.frame, *held.repeats)]
            self._open = Shown(frame, shot, structure, [])
            return alone
        self._open = Shown(frame, shot, structure, [])
        return [held]

    def flush(self) -> list[Shown]:
        """End of input: what is still held."""
        held = self._open
        self.reset()
        return [held] if held is not None else []

    def _end_run(self) -> None:
        if self._run:
            self._runs.append(self._run)
        if self._always:
            return
        repeated = sum(2 <= run <= LONGEST for run in self._runs)
        if repeated >= _ON:
            self._on = True
        elif repeated <= _OFF:
            self._on = False
