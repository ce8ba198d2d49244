"""The second half of the stage: light of the whole picture is judged, and equalised where it flickers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ... import ops
from .apply import points_of
from .curves import period_weights, scene_weights, tone_change
from .gate import WINDOW, Evidence, Gate, group_changes
from .item import Item
from .kinds import Regular, alternation, color_share, fade_of, flash_of, steps
from .signature import tones_of
from .track import Track

__all__ = ["COLOR", "Judged", "Tonal"]

_EVERY = 4  # frames between two searches for flicker of a fixed period
_FLASH_PAST, _FLASH_FUTURE = 10, 5  # frames around that tell a flash
_FLASH_BEYOND = 8.0  # times the flicker, where this many frames tell what it is
_FLASH_KNOWN = 24
_MOVES = 0.10  # how unlike the frame before a flash may be: something that comes into view may be bright too
_PURE = 0.8  # confidence of alternation from which it is all there is
_ALIKE = 0.9  # rank correlation of the ends of a fade: a pan brings another picture
COLOR = 0.30  # share of colour from which flicker is called that


@dataclass(slots=True)
class Judged:
    """What the second half knows of a frame.

    amount      of equalisation, 0..1
    flash       levels by which it flashes, 0 for none
    flash_over  whether the light is known to have come back
    flashed     the same of the frame before, where only this one tells that it was a flash
    fade        levels by which it fades, 0 for none
    """

    evidence: Evidence
    color: float = 0.0
    alternates: Regular | None = None
    steps: Regular | None = None
    flash: float = 0.0
    flash_over: bool = True
    flashed: float = 0.0
    fade: float = 0.0
    amount: float = 0.0
    change: NDArray[np.float32] | None = None  # the curves, for ops.map_tones; None for none


class Tonal:
    """Takes items in order and judges them `future` frames later; what it holds of a shot it forgets `past` after."""

    def __init__(self, future: int) -> None:
        self._future = future
        self._window: deque[tuple[Track, Item]] = deque()
        self._at = 0  # of the next item to judge, in the window
        self._tracks: dict[int, Track] = {}
        self._gate = Gate()
        self._looked = -(10**9)
        self._regular: tuple[Regular | None, Regular | None] = (None, None)
        self._flashes: dict[int, deque[int]] = {}  # frames, by shot
        self._values: deque[tuple[int, NDArray[np.int32]]] = deque(maxlen=16)
        self._value_shot = 0

    def push(self, item: Item) -> bool:
        """Take an item; whether one is ready to be judged."""
        assert item.frame is not None
        item.tones = tones_of(item.frame, item.region)
        track = self._tracks.setdefault(item.shot, Track(item.shot))
        track.add(item)
        self._window.append((track, item))
        return len(self._window) - self._at > self._future

    def __len__(self) -> int:
        """Items taken and not yet judged."""
        return len(self._window) - self._at

    def unflag(self, shot: int) -> bool:
        """What came after this shot was no cut. Whether the shot was met, so that nothing older is to be looked at."""
        for track, item in reversed(self._window):
            if track.shot == shot:
                return True
            item.cut = False
        return False

    def judge(
        self, *, cure: bool, gated: bool, remove_flashes: bool, sigma: float, slope: tuple[float, float]
    ) -> tuple[Item, Judged]:
        """The oldest item not yet judged, and what is to be done to it.

        cure: whether anything may be; gated: only where there is flicker; sigma, slope: as Deflicker has them
        """
        track, item = self._window[self._at]
        found = self._look(track, item)
        if not cure:
            found.amount = 0.0
        elif not gated or (remove_flashes and found.flash):
            found.amount = 1.0
        if found.amount > 0 and len(track.items) > 1:
            found.change = self._equalise(track, item, found, sigma, slope)
        return item, found

    def values(self, reach: int) -> tuple[NDArray[np.int32], int]:
        """Histograms of V of the frames around the oldest item not yet judged, and its place among them.

        Frames already judged have none any more, so `reach` goes as far back as the last call of this.
        """
        track, item = self._window[self._at]
        if item.shot != self._value_shot:
            self._values.clear()
            self._value_shot = item.shot
        past = [v for i, v in self._values if i >= item.index - reach]
        ahead = [i for t, i in islice(self._window, self._at, self._at + reach + 1) if t is track]
        now = [i.tones.value for i in ahead if i.tones is not None]
        self._values.append((item.index, now[0]))
        return np.stack([*past, *now]), len(past)

    def forget(self, past: int) -> None:
        """The item judged last is done with; those `past` before the next are dropped."""
        _, item = self._window[self._at]
        item.frame = item.source = item.structure = item.tones = None
        self._at += 1
        while self._at > past:
            old, _ = self._window.popleft()
            old.drop_first()
            if not old.items:
                del self._tracks[old.shot]
                self._flashes.pop(old.shot, None)
            self._at -= 1

    def _look(self, track: Track, item: Item) -> Judged:
        index = item.index
        changes, frames = track.changes(index, WINDOW)
        if not 0 <= index - self._looked < _EVERY or item.cut:
            self._looked = index
            swings = alternation(changes, int(frames[0])) if len(frames) else None
            self._regular = (swings, steps(*track.changes(index)))
        swings, stairs = self._regular
        deviations = track.deviations(index, self._flashes.get(track.shot, ()))
        regular = swings is not None or stairs is not None
        evidence = self._gate.advance(track.shot, deviations, changes, regular)
        found = Judged(evidence, alternates=swings, steps=stairs, amount=self._gate.amount)
        if found.amount > 0 and len(deviations):
            found.color = color_share(deviations, track.means(index))
        levels, own = track.around(index, _FLASH_PAST, _FLASH_FUTURE)
        if track.moves_at(index) < _MOVES:
            found.flash = flash_of(levels, own)
        known = evidence.frames >= _FLASH_KNOWN and not regular
        if found.amount > 0 and not (known and abs(found.flash) > _FLASH_BEYOND * evidence.level):
            found.flash = 0.0
        if found.flash:
            # what stands out of the flicker itself is kept as well
            found.amount = 0.0
            found.flash_over = own + 1 < len(levels)
            self._flashes.setdefault(track.shot, deque(maxlen=64)).append(index)
        elif found.amount == 0:
            if own + 1 == len(levels) and index - 1 in self._flashes.get(track.shot, ()):
                found.flashed = flash_of(levels, own - 1)
            assert item.structure is not None
            tiles = item.structure.tiles
            fading, alike = track.fading(index)
            if alike > _ALIKE:
                found.fade = fade_of(fading, group_changes(np.zeros_like(tiles), tiles))
        return found

    def _equalise(
        self, track: Track, item: Item, found: Judged, sigma: float, slope: tuple[float, float]
    ) -> NDArray[np.float32] | None:
        assert item.tones is not None
        assert item.frame is not None
        quantiles, alike, distance = track.window(item)
        if found.alternates is not None and found.alternates.confidence > _PURE and found.amount == 1.0:
            weights = period_weights(distance, found.alternates.period)
        else:
            weights = scene_weights(quantiles, alike, distance, sigma, track.moves())
        if found.flash:
            flashes = np.array(self._flashes.get(track.shot, ()), np.int64) - item.index
            weights = np.where(np.isin(distance, flashes), np.float32(0), weights)
            if not weights.any():
                return None
            weights /= weights.sum()
        target = ops.smooth_quantiles(quantiles, weights)
        fmt = item.frame.format
        change = tone_change(item.tones.histogram, item.tones.quantiles, target, size=points_of(fmt), slope=slope)
        change *= np.float32(found.amount)
        return change if float(np.abs(change).max()) * fmt.max_code >= 0.1 else None
