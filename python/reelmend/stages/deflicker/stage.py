"""The stage: options, and the window they are applied over."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...errors import OptionError
from ...frame import Frame, VideoInfo
from ...stage import Declaration, Stage, StageRuntime, State
from .curves import scene_weights, tone_change
from .gate import Gate, group_changes
from .shots import Shots
from .signature import BINS, POINTS, Region, Signature, find_letterbox, sign

__all__ = ["Deflicker"]

Mode = Literal["live", "low", "film"]
_LOOKAHEAD: dict[str, int] = {"live": 0, "low": 4, "film": 60}
_LETTERBOX_EVERY = 24  # frames


@dataclass(frozen=True)
class Deflicker(Stage):
    """Removes global flicker by scale-time equalisation (Delon 2006; the first step of BlazeBVD, 2024).

    The quantile functions of R, G and B are averaged over a window in time, and each frame is brought to the average
    by a tone curve a channel, applied in the frame's own format and depth. Nothing is mixed across cuts, frames whose
    content differs count less, and a frame of a clip that does not flicker leaves as it came, bit for bit.

    mode       "live": no look-ahead; "low": 4 frames, for streams; "film": 60 frames, for files
    lookahead  frames, 0..60, in place of the mode's
    past       frames behind that count, 1..240
    sigma      standard deviation of the window in frames, 2..120, in place of the mode's (film 40, others 60, since half
               a window must reach twice as far); it should exceed the time over which the flicker wanders
    slope      least and greatest slope of the tone curves
    gate       "auto": act only where flicker is found; "always": act on every frame
    dither     8x8 ordered dither of the result, so that the fractional curve does not posterise
    """

    name: ClassVar[str] = "deflicker"

    mode: Mode = "low"
    lookahead: int | None = None
    past: int = 120
    sigma: float | None = None
    slope: tuple[float, float] = (0.5, 2.0)
    gate: Literal["auto", "always"] = "auto"
    dither: bool = True

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            if not ok:
                raise OptionError(f"Deflicker: {name} is {getattr(self, name)!r}; expected {expected}")

        check("mode", self.mode in get_args(Mode), "'live', 'low' or 'film'")
        check("lookahead", self.lookahead is None or 0 <= self.lookahead <= 60, "0 to 60 frames")
        check("past", 1 <= self.past <= 240, "1 to 240 frames")
        check("sigma", self.sigma is None or 2 <= self.sigma <= 120, "2 to 120 frames")
        low, high = self.slope
        check("slope", 0 < low <= 1 <= high <= 8, "(low, high) with 0 < low <= 1 <= high <= 8")
        check("gate", self.gate in ("auto", "always"), "'auto' or 'always'")

    @property
    def window(self) -> tuple[int, int]:
        return self.past, _LOOKAHEAD[self.mode] if self.lookahead is None else self.lookahead

    @property
    def deviation(self) -> float:
        """sigma, or the mode's."""
        return self.sigma if self.sigma is not None else 40.0 if self.mode == "film" else 60.0

    @property
    def state(self) -> State:
        return "window"

    def declare(self, info: VideoInfo, device: str) -> Declaration:
        if info.format.kind == "yuv":
            info.colour.luma_weights(info.height)
        past, future = self.window
        table = 4 * 3 * (BINS + POINTS + 18 * 32)
        return Declaration(
            window=self.window,
            latency=future,
            output=info,
            # held: the frames of the look-ahead, the one at work, and its result
            memory=(future + 2) * info.frame_bytes + (past + future + 1) * table,
            device=device,
            state=self.state,
            notes=(f"mode {self.mode}, sigma {self.deviation:g} frames, acts {'where flicker is found' if self.gate == 'auto' else 'on every frame'}",),
        )

    def open(self, info: VideoInfo, device: str) -> StageRuntime:
        self.declare(info, device)
        return _Runtime(self)


@dataclass(slots=True)
class _Entry:
    shot: int
    signature: Signature
    changes: NDArray[np.float32] | None  # against the frame before, if of the same shot
    frame: Frame | None  # until it is given out
    region: Region | None
    cut: bool


@dataclass(slots=True)
class _Letterbox:
    """The smallest bars seen so far in a shot; looked at now and then, since it reads every sample."""

    region: Region | None = None
    countdown: int = 0

    def look(self, frame: Frame) -> Region | None:
        if self.countdown == 0:
            seen = find_letterbox(frame)
            if seen is not None:
                old = self.region or seen
                self.region = (min(old[0], seen[0]), min(old[1], seen[1]), max(old[2], seen[2]), max(old[3], seen[3]))
                self.countdown = _LETTERBOX_EVERY
        else:
            self.countdown -= 1
        return self.region


class _Runtime(StageRuntime):
    def __init__(self, options: Deflicker) -> None:
        self._options = options
        self._entries: deque[_Entry] = deque()
        self._at = 0  # of the next frame to give out, in entries
        self._shots = Shots()
        self._gate = Gate()
        self._letterbox = _Letterbox()

    def push(self, frame: Frame) -> list[Frame]:
        region = self._letterbox.look(frame)
        signature = sign(frame, region)
        shot = self._shots.number(signature.ranks)
        last = self._entries[-1] if self._entries else None
        changes = None
        for earlier in reversed(self._entries):
            if earlier.shot == shot:
                if earlier.signature.tiles.shape == signature.tiles.shape:
                    changes = group_changes(earlier.signature.tiles, signature.tiles)
                break
        cut = last is not None and last.shot != shot and all(e.shot != shot for e in self._entries)
        self._entries.append(_Entry(shot, signature, changes, frame, region, cut))
        if len(self._entries) - self._at > self._options.window[1]:
            return [self._next()]
        return []

    def flush(self) -> list[Frame]:
        out = []
        while self._at < len(self._entries):
            out.append(self._next())
        self.reset()
        return out

    def reset(self) -> None:
        self._entries.clear()
        self._at = 0
        self._shots = Shots()
        self._gate = Gate()
        self._letterbox = _Letterbox()

    def update(self, **options: Any) -> None:
        fixed = {"mode", "lookahead"} & options.keys()
        if fixed:
            raise OptionError(f"Deflicker: {', '.join(sorted(fixed))} cannot change in a run; open a new stream")
        try:
            self._options = replace(self._options, **options)
        except TypeError as error:
            raise OptionError(f"Deflicker: {error}") from None

    def _next(self) -> Frame:
        entry = self._entries[self._at]
        assert entry.frame is not None
        frame = entry.frame.replace(cut=True) if entry.cut else entry.frame
        amount = self._amount(entry)
        if amount > 0:
            frame = self._equalise(entry, frame, amount)
        entry.frame = None
        self._at += 1
        while self._at > self._options.past:
            self._entries.popleft()
            self._at -= 1
        return frame

    def _amount(self, entry: _Entry) -> float:
        if self._options.gate == "always":
            return 1.0
        same = [(i, e.changes) for i, e in enumerate(self._entries) if e.shot == entry.shot and e.changes is not None]
        behind = deque(c for i, c in same if i <= self._at)
        ahead = [c for i, c in same if i > self._at]
        self._gate.advance(entry.shot, behind, ahead)
        return self._gate.amount

    def _equalise(self, entry: _Entry, frame: Frame, amount: float) -> Frame:
        window = [(i - self._at, e.signature) for i, e in enumerate(self._entries) if e.shot == entry.shot]
        distance = np.array([d for d, _ in window])
        if len(window) < 2:
            return frame
        quantiles = np.stack([s.quantiles for _, s in window])
        alike = np.stack([s.ranks for _, s in window]) @ entry.signature.ranks
        weights = scene_weights(quantiles, alike, distance, self._options.deviation)
        target = ops.smooth_quantiles(quantiles, weights)
        mine = entry.signature
        size = 1024 if frame.format.depth == 8 else 4096
        change = tone_change(mine.histogram, mine.quantiles, target, size=size, slope=self._options.slope) * np.float32(amount)
        if float(np.abs(change).max()) * frame.format.max_code < 0.1:
            return frame
        return _apply(frame, change, entry.region, self._options.dither)


def _apply(frame: Frame, change: NDArray[np.float32], region: Region | None, dither: bool) -> Frame:
    """The frame with the tone curves applied inside the region; bars outside it stay as they are."""
    fmt = frame.format
    x0, y0, x1, y1 = region or (0, 0, frame.width, frame.height)
    whole = (x0, y0, x1, y1) == (0, 0, frame.width, frame.height)
    colour = frame.planes[: 1 if fmt.kind == "gray" else 3]
    made = [ops.copy(p) if not whole else ops.empty_like(p) for p in colour]
    sx, sy = fmt.subsampling if fmt.kind == "yuv" else (0, 0)

    def inside(planes: Any) -> list[Any]:
        sub = (slice(y0 >> sy, -(-y1 >> sy)), slice(x0 >> sx, -(-x1 >> sx)))
        return [p[y0:y1, x0:x1] if i == 0 else p[sub] for i, p in enumerate(planes)]

    if fmt.kind == "yuv":
        ops.map_tones(inside(colour), change, dither=dither, out=inside(made), **frame.coding)
    else:
        codes = np.arange(fmt.max_code + 1, dtype=np.float64)
        grid = np.linspace(0.0, fmt.max_code, change.shape[1])
        for c, (source, target) in enumerate(zip(inside(colour), inside(made), strict=True)):
            lut = codes + np.interp(codes, grid, change[c]) * fmt.max_code
            ops.apply_lut(source, lut.astype(np.float32), max_code=fmt.max_code, dither=dither, out=target)
    return frame.replace(planes=(*made, *frame.planes[len(colour) :]))
