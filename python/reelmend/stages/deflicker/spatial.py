"""The first half of the stage: light that changes over the picture unevenly, in bands or patches, is found and undone.

Only gains are carried from frame to frame, never pixels. They are measured on tiny pictures, between one frame and the
next, as medians: of rows for bands, of blocks for patches. What frames have in common is taken off, and left to the
second half. Patches are measured along the motion of the picture, and only where they jitter they are cured.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..letterbox import inside
from ..rows import Rows, linear, middle
from ..shots import FLASH
from ..structure import FINE
from .bands import GROUPS, SHORTEST, BandEvidence, Wave, find_wave, weigh_bands
from .gate import Switch
from .item import Found, Item
from .light import Light
from .patches import (
    SIDE,
    PatchEvidence,
    bins_of,
    block_medians,
    blocks_of,
    medians_of,
    shift_of,
    shifted,
    softened,
    weigh_patches,
)

__all__ = ["Spatial"]

_PAST = 32  # frames of evidence behind
_EVERY = 8  # frames between two weighings
_AGAIN = 4  # frames between two fits of the wave
_TONES = 8  # levels at which the common change of two frames is measured
_SIGMA_BANDS = 4.0  # frames over which bands that follow no wave are averaged
_SIGMA_PATCHES = 5.0  # frames over which patches are
_QUIET = 0.25  # of the blocks, that must not jitter to be trusted with what is common
_HERE = 4  # frames on both sides that tell whether the wave is there
_GONE, _THERE = 0.3, 0.6  # share of the wave in a frame
_SMOOTH = 0.03  # weight of the share's own change against what it explains
_BINS = 4  # of luma, in the grid of patches
_HELD = 3.0  # times the spread of a block, up to which one of its tiles counts beyond the median
_SHY = 2.0  # tiles that a bin's own change must outweigh
_ROWS = 128  # of the grid of gains, where bands are in it
_COHERENT = 0.5  # of rows, from which a wave is looked for
_LOCK = 0.30  # share a wave must explain to be used
_LEAST = max(SIDE, GROUPS)  # tiles each way; a narrower picture inside its bars has no blocks, or no parts of rows
_NEVER = -(10**9)
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


class _Shot:
    """The tiny pictures of one shot that are in the window, and what is measured on them when it is asked for."""

    def __init__(self, window: tuple[slice, slice], light: Light) -> None:
        self.window = window  # the tiles in use
        self.light = light
        self._index, self._log = Rows(), Rows()
        self._luma, self._log_luma = Rows(), Rows()
        self._parts, self._medians, self._spreads = Rows(), Rows(), Rows()  # of each change; behind the frames
        self._patches: dict[int, NDArray[np.float32]] = {}
        self.bands, self.patches = BandEvidence(), PatchEvidence()
        self.banded = self.patched = False  # whether there ever was evidence
        self.wave: Wave | None = None  # as it is undone
        self._seen: Wave | None = None  # as it was last weighed: of luma, for where to search
        self._weighed = self._fitted = _NEVER
        self._origin = 0  # frame from which the wave's time is counted

    def add(self, index: int, fine: NDArray[np.float32]) -> None:
        tiles = fine[:, *self.window]
        self._index.append(np.int64(index))
        self._log.append(self.light.log(tiles))
        luma = np.tensordot(_LUMA, tiles, 1)
        self._luma.append(luma)
        self._log_luma.append(self.light.log(luma))

    def drop_before(self, index: int) -> None:
        """Frames of before `index` are no longer asked for."""
        while len(self._index) > 1 and self._index.all()[0] < index:
            gone = int(self._index.all()[1])
            self._patches.pop(gone, None)
            for rows in (self._index, self._log, self._luma, self._log_luma):
                rows.drop()
            if len(self._parts):
                for rows in (self._parts, self._medians, self._spreads):
                    rows.drop()

    @property
    def newest(self) -> int:
        return int(self._index.all()[-1])

    def _measure(self) -> None:
        """Parts of rows and blocks of all changes not yet measured, at once."""
        done = len(self._parts)
        luma = self._luma.all()[done:]
        if len(luma) < 2:
            return
        change = np.diff(self._log_luma.all()[done:], axis=0)
        change -= _common(luma[:-1], change)
        n, rows, columns = change.shape
        wide = columns - columns % GROUPS
        parts = middle(change[:, :, :wide].reshape(n, rows, GROUPS, wide // GROUPS))
        for part in parts.transpose(0, 2, 1):
            self._parts.append(part)
        medians, spreads = block_medians(change - middle(change)[:, :, None])
        for median, spread in zip(medians, spreads, strict=True):
            self._medians.append(median)
            self._spreads.append(spread)

    def weigh(self, index: int, last: int) -> None:
        """Evidence around frame `index`, of frames up to `last`; anew now and then only."""
        young = self.bands.changes < _EVERY and index - self._weighed >= 2
        if not young and index - self._weighed < _EVERY and index >= self._weighed:
            return
        self._weighed = index
        self._measure()
        a, b = self._span(index, last)
        parts = self._parts.all()[a:b] if len(self._parts) else np.empty((0, GROUPS, 1), np.float32)
        brightness = float(self._luma.all()[-1].mean())
        if len(parts) == 0:
            self.bands, self.patches = BandEvidence(), PatchEvidence()
            return
        coherence, level = weigh_bands(parts, brightness)
        lock = 0.0
        if coherence > _COHERENT and len(parts) >= SHORTEST:
            t = self._index.all()[a : b + 1]
            rows = parts.mean(axis=1, dtype=np.float64)[:, :, None]
            self._seen = find_wave(rows, t, self._seen if self._seen and self._seen.share > 0.5 else None)
            lock = self._seen.share
        else:
            self._seen = self.wave = None
        self.bands = BandEvidence(coherence, level, lock, len(parts))
        self.patches = weigh_patches(self._medians.all()[a:b], self._spreads.all()[a:b], brightness)
        self.banded |= self.bands.is_there
        self.patched |= self.patches.is_there(self.banded)

    def _span(self, index: int, last: int) -> tuple[int, int]:
        """First and one past the last change between frames near `index`."""
        first, end = np.searchsorted(self._index.all(), (index - _PAST, last + 1))
        return int(first), max(int(end) - 1, int(first))

    def row_change(self, index: int, last: int, heights: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """By how much each height of frame `index` is too bright in log light: (heights, 3); None where not known."""
        a, b = self._span(index, last)
        if b - a < SHORTEST:
            return None
        frames = self._index.all()[a : b + 1]
        log = self._log.all()[a : b + 1]
        own = int(np.searchsorted(frames, index))
        if self._seen is not None and self._seen.share >= _LOCK:
            if self.wave is None or not 0 <= index - self._fitted < min(_AGAIN, 1 + (b - a) // 8):
                self.wave = find_wave(_row_changes(log), frames, self.wave or self._seen)
                self._origin, self._fitted = int(frames[0]), index
            first = max(0, own - _HERE)
            near = slice(first, own + _HERE + 1)
            return self._presence(log[near], frames[near], own - first) * self.wave.at(index - self._origin, heights)
        off = _against_neighbours(_row_changes(log), frames, index, _SIGMA_BANDS)
        return linear(heights * len(off) - 0.5, len(off)) @ off

    def _presence(self, log: NDArray[np.float32], frames: NDArray[np.int64], own: int) -> float:
        """How much of the wave is in one of a few frames, 0..1: bands may begin and end within a shot.

        Least squares of the changes by m(t) wave(t) - m(t - 1) wave(t - 1), with m a little smooth.
        """
        assert self.wave is not None
        heights = (np.arange(log.shape[2]) + 0.5) / log.shape[2]
        wave = np.stack([self.wave.at(int(t) - self._origin, heights).ravel() for t in frames])
        change = _row_changes(log).reshape(len(frames) - 1, -1)
        n = len(frames)
        normal, right = np.zeros((n, n)), np.zeros(n)
        smooth = _SMOOTH * float((wave * wave).sum()) / n + 1e-12
        for k in range(n - 1):
            both = wave[k : k + 2] * np.array([[-1.0], [1.0]])
            normal[k : k + 2, k : k + 2] += both @ both.T + smooth * np.array([[1.0, -1.0], [-1.0, 1.0]])
            right[k : k + 2] += both @ change[k]
        part = float(np.linalg.lstsq(normal, right, rcond=None)[0][own])
        return float(np.clip((part - _GONE) / (_THERE - _GONE), 0.0, 1.0))

    def patch_change(self, index: int, last: int) -> NDArray[np.float32] | None:
        """By how much each block of frame `index` is too bright in log light: (bins of luma, rows, columns, 3)."""
        a, b = self._span(index, last)
        if b - a < SHORTEST:
            return None
        frames = self._index.all()[a : b + 1]
        off = _against_neighbours([self._patch_step(k) for k in range(a, b)], frames, index, _SIGMA_PATCHES)
        soft = np.stack([softened(one) for one in off.astype(np.float32)])
        return soft * self.patches.reach[None, :, :, None]

    def _patch_step(self, k: int) -> NDArray[np.float32]:
        """Change of each block between frames k and k + 1 of the window, along the motion: (bins, rows, columns, 3).

        What tiles of like brightness in and around a block have beyond its median is a grid of its own, so that light
        stops where the picture has an edge (a bilateral grid: Chen, Paris, Durand 2007).
        """
        index = int(self._index.all()[k + 1])
        known = self._patches.get(index)
        if known is not None:
            return known
        before, after = self._log.all()[k], self._log.all()[k + 1]
        x, y = shift_of(*self._log_luma.all()[k : k + 2])
        change = after - shifted(before, x, y)
        if self.wave is not None:
            t = int(self._index.all()[k]) - self._origin, index - self._origin
            heights = (np.arange(change.shape[1]) + 0.5) / change.shape[1]
            rolled = self.wave.at(t[1], heights) - self.wave.at(t[0], heights)
            change = change - rolled.T[:, :, None].astype(np.float32)
        blocks = blocks_of(change)
        quiet = ~self.patches.jitters
        trusted = blocks[:, quiet] if quiet.shape == blocks.shape[1:3] and quiet.mean() >= _QUIET else blocks
        blocks = blocks - np.median(trusted.reshape(3, -1), axis=1)[:, None, None, None]
        middles, spreads = medians_of(blocks)
        limit = _HELD * spreads[..., None]
        beyond = np.clip(blocks - middles[..., None], -limit, limit)
        shares = bins_of(blocks_of(self._luma.all()[k + 1]), _BINS)  # (bins, rows, columns, tiles)
        held = np.einsum("zrct,krct->zrck", shares, beyond, optimize=True)
        count = shares.sum(axis=-1)[..., None]
        part = np.stack([softened(h) / (softened(n) + _SHY) for h, n in zip(held, count, strict=True)])
        made: NDArray[np.float32] = np.moveaxis(middles, 0, -1)[None] + part
        self._patches[index] = made
        return made


class Spatial:
    """Looks at frames as they come and gives them out `future` frames later, with the gains that they need.

    What is found, and the gains, are in the item's `found`. Shots are told apart by number.
    """

    def __init__(self, future: int, *, bands: bool = True, patches: bool = True) -> None:
        self._future = future
        self._may = bands, patches  # be cured
        self._held: deque[Item] = deque()
        self._shots: dict[int, _Shot] = {}
        self._bands, self._patches = Switch(), Switch()

    def push(self, item: Item, light: Light) -> list[Item]:
        assert item.frame is not None
        assert item.structure is not None
        if any(self._may) and item.structure.fine.shape[1:] == FINE:
            window = inside(FINE, item.region, item.frame.width, item.frame.height)
            shot = self._shots.get(item.shot)
            if min(s.stop - s.start for s in window) < _LEAST:
                shot = None
            elif shot is None or shot.window != window:
                shot = self._shots[item.shot] = _Shot(window, light)
            if shot is not None:
                shot.add(item.index, item.structure.fine)
        self._held.append(item)
        return [self._next()] if len(self._held) > self._future else []

    def flush(self) -> list[Item]:
        return [self._next() for _ in range(len(self._held))]

    def unflag(self, shot: int) -> bool:
        """What came after this shot was no cut. Whether the shot was met, so that nothing older is to be looked at."""
        for item in reversed(self._held):
            if item.shot == shot:
                return True
            item.cut = False
        return False

    def _next(self) -> Item:
        item = self._held[0]
        shot = self._shots.get(item.shot)
        if shot is not None:
            self._cure(item, shot, self._held[-1].index)
            shot.drop_before(item.index - _PAST)
        self._held.popleft()
        kept = {held.shot for held in self._held}
        # a shot may come back after a flash of some frames
        for number in [n for n, s in self._shots.items() if n not in kept and s.newest < item.index - FLASH]:
            del self._shots[number]
        return item

    def _cure(self, item: Item, shot: _Shot, last: int) -> None:
        shot.weigh(item.index, last)
        bands = self._bands.advance(item.shot, self._may[0] and shot.bands.is_there, shot.bands.is_gone)
        local = self._may[1] and shot.patches.is_there(bands > 0)
        patches = self._patches.advance(item.shot, local, shot.patches.is_gone)
        # what was found in another shot says nothing of this one
        bands, patches = bands * shot.banded, patches * shot.patched
        item.found = found = Found(shot.bands, shot.patches, shot.wave)
        if bands == 0 and patches == 0:
            return
        assert item.frame is not None
        rows_of, columns_of = (s.stop - s.start for s in shot.window)
        grid = (_ROWS if bands > 0 else rows_of // SIDE, columns_of // SIDE if patches > 0 else 1)
        x0, y0, x1, y1 = item.region
        # centres of the grid's cells, as shares of the tiles in use
        y = _centres(grid[0], y0, y1, item.frame.height / FINE[0], shot.window[0])
        change: NDArray[np.float64] = np.zeros((_BINS if patches > 0 else 1, *grid, 3))
        if bands > 0:
            off = shot.row_change(item.index, last, y)
            if off is not None:
                change += bands * off[:, None, :]
                found.wave, found.bands_amount = shot.wave, bands
        if patches > 0:
            blocks = shot.patch_change(item.index, last)
            if blocks is not None:
                x = _centres(grid[1], x0, x1, item.frame.width / FINE[1], shot.window[1])
                down = linear(y * rows_of / SIDE - 0.5, blocks.shape[1])
                across = linear(x * columns_of / SIDE - 0.5, blocks.shape[2])
                change += patches * np.einsum("ri,cj,zijk->zrck", down, across, blocks, optimize=True)
                found.patches_amount = patches
        if not change.any():  # a wave that is not in this frame
            found.bands_amount = found.patches_amount = 0.0
            return
        found.gains = shot.light.gain(-change.transpose(3, 0, 1, 2).astype(np.float32))


def _common(before: NDArray[np.float32], change: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a tone curve does: the median of the change at each brightness, for (frames, rows, columns) alike.

    The tiles of a frame are ordered by brightness and cut into _TONES parts; between the parts' medians it is linear.
    """
    n = len(before)
    order = np.argsort(before.reshape(n, -1), axis=1)
    size = order.shape[1]
    part = size // _TONES
    ordered = np.take_along_axis(change.reshape(n, -1), order, axis=1)
    medians = middle(ordered[:, : part * _TONES].reshape(n, _TONES, part))
    curve = medians @ linear((np.arange(size) + 0.5) / part - 0.5, _TONES).T.astype(np.float32)
    result = np.empty_like(ordered)
    np.put_along_axis(result, order, curve, axis=1)
    return result.reshape(change.shape)


def _row_changes(log: NDArray[np.float32]) -> NDArray[np.float64]:
    """Change of each row from frame to frame, (frames - 1, rows, 3), less what the whole frame has in common."""
    change = np.diff(log, axis=0)
    change -= np.median(change, axis=(2, 3), keepdims=True)
    return middle(change).transpose(0, 2, 1).astype(np.float64)


def _against_neighbours(
    changes: Sequence[NDArray[np.float32]] | NDArray[np.float64], frames: NDArray[np.int64], index: int, sigma: float
) -> NDArray[np.float64]:
    """A frame's level against the Gaussian mean of those around it, from the changes between these frames."""
    steps = np.asarray(changes)
    level = np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
    weights = np.exp(-0.5 * ((frames - index) / sigma) ** 2)
    own = int(np.searchsorted(frames, index))
    result: NDArray[np.float64] = level[own] - np.tensordot(weights / weights.sum(), level, 1)
    return result


def _centres(n: int, first: int, last: int, tile: float, window: slice) -> NDArray[np.float64]:
    """Centres of n cells over samples first..last, as shares of a run of tiles of this many samples each."""
    centre = first + (np.arange(n) + 0.5) * (last - first) / n
    result: NDArray[np.float64] = (centre / tile - window.start) / (window.stop - window.start)
    return result
