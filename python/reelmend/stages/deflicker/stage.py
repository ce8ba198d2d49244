"""The stage: options, and the window they are applied over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...errors import OptionError
from ...frame import Frame, VideoInfo
from ...stage import Declaration, Finding, Stage, StageRuntime, State
from .curves import scene_weights, tone_change
from .findings import Findings, Kind
from .gate import Evidence, Gate
from .shots import Shots
from .signature import BINS, POINTS, TILES, Region, structure_of, tones_of
from .track import Entry, Track

__all__ = ["Deflicker"]

Mode = Literal["live", "low", "film"]
_LOOKAHEAD: dict[str, int] = {"live": 0, "low": 4, "film": 60}


@dataclass(frozen=True)
class Deflicker(Stage):
    """Removes global flicker by scale-time equalisation (Delon 2006; the first step of BlazeBVD, 2024).

    The quantile functions of R, G and B are averaged over a window in time, and each frame is brought to the average
    by a tone curve a channel, applied in the frame's own format and depth. Nothing is mixed across cuts, frames whose
    content differs count less, and a frame of a clip that does not flicker leaves as it came, bit for bit.

    mode       "live": no look-ahead; "low": 4 frames, for streams; "film": 60 frames, for files
    lookahead  frames, 0..60, in place of the mode's
    past       frames behind that count, 1..480
    sigma      standard deviation of the window in frames, 2..120, in place of the mode's (film 40, others 80,
               since half a window must reach twice as far); it should exceed the time over which the flicker wanders
    slope      least and greatest slope of the tone curves
    gate       "auto": act only where flicker is found; "always": act on every frame
    dither     8x8 ordered dither of the result, so that the fractional curve does not posterise
    """

    name: ClassVar[str] = "deflicker"

    mode: Mode = "low"
    lookahead: int | None = None
    past: int = 240
    sigma: float | None = None
    slope: tuple[float, float] = (0.4, 2.5)
    gate: Literal["auto", "always"] = "auto"
    dither: bool = True

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            if not ok:
                raise OptionError(f"Deflicker: {name} is {getattr(self, name)!r}; expected {expected}")

        check("mode", self.mode in get_args(Mode), "'live', 'low' or 'film'")

        def within(value: Any, low: float, high: float, kind: type[int] | type[float] = int) -> bool:
            return isinstance(value, int | kind) and bool(low <= value <= high)

        check("lookahead", self.lookahead is None or within(self.lookahead, 0, 60), "0 to 60 frames")
        check("past", within(self.past, 1, 480), "1 to 480 frames")
        check("sigma", self.sigma is None or within(self.sigma, 2, 120, float), "2 to 120 frames")
        pair = isinstance(self.slope, tuple) and len(self.slope) == 2
        in_order = pair and within(self.slope[0], 1e-3, 1, float) and within(self.slope[1], 1, 8, float)
        check("slope", in_order, "(low, high) with 0 < low <= 1 <= high <= 8")
        check("gate", self.gate in ("auto", "always"), "'auto' or 'always'")

    @property
    def window(self) -> tuple[int, int]:
        return self.past, _LOOKAHEAD[self.mode] if self.lookahead is None else self.lookahead

    @property
    def deviation(self) -> float:
        """sigma, or the mode's."""
        return self.sigma if self.sigma is not None else 40.0 if self.mode == "film" else 80.0

    @property
    def state(self) -> State:
        return "window"

    def declare(self, info: VideoInfo, device: str) -> Declaration:
        if info.format.kind == "yuv":
            info.colour.luma_weights(info.height)
        past, future = self.window
        acts = "where flicker is found" if self.gate == "auto" else "on every frame"
        # of each frame in the window: quantiles, tiles and ranks; and until it is given out its four histograms
        table = 4 * (3 * POINTS + 4 * TILES[0] * TILES[1])
        return Declaration(
            window=self.window,
            latency=future,
            output=info,
            # held: the frames of the look-ahead, the one at work, and its result
            memory=(future + 2) * info.frame_bytes + (past + future + 1) * table + (future + 1) * 16 * BINS,
            device=device,
            state=self.state,
            notes=(f"mode {self.mode}, sigma {self.deviation:g} frames, acts {acts}",),
        )

    def open(self, info: VideoInfo, device: str) -> StageRuntime:
        self.declare(info, device)
        return _Runtime(self)


class _Runtime(StageRuntime):
    def __init__(self, options: Deflicker) -> None:
        self._options = options
        self._listener: Callable[[Finding], None] | None = None
        self.reset()

    def reset(self) -> None:
        self._window: deque[tuple[Track, Entry]] = deque()
        self._at = 0  # of the next frame to give out, in the window
        self._count = 0
        self._tracks: dict[int, Track] = {}
        self._newest = 0  # the highest shot number so far
        self._shots = Shots()
        self._gate = Gate()

    def push(self, frame: Frame) -> list[Frame]:
        structure = structure_of(frame)
        shot = self._shots.number(structure)
        if shot <= self._newest and self._window and self._window[-1][0].shot != shot:
            self._unflag_flash(shot)
        cut = shot > self._newest > 0
        self._newest = max(self._newest, shot)
        track = self._tracks.setdefault(shot, Track(shot))
        region = track.letterbox.look(frame)
        inside = structure.inside(region, frame.width, frame.height)
        entry = Entry(self._count, frame, structure, tones_of(frame, region), region, inside, cut)
        track.add(entry)
        self._window.append((track, entry))
        self._count += 1
        if len(self._window) - self._at > self._options.window[1]:
            return [self._next()]
        return []

    def _unflag_flash(self, shot: int) -> None:
        """An old shot is back: what came between was a flash, no cut. Frames already given out keep their flag."""
        for track, entry in reversed(self._window):
            if track.shot == shot:
                return
            entry.cut = False

    def flush(self) -> list[Frame]:
        out = []
        while self._at < len(self._window):
            out.append(self._next())
        self.reset()
        return out

    def update(self, **options: Any) -> None:
        fixed = {"mode", "lookahead"} & options.keys()
        if fixed:
            raise OptionError(f"Deflicker: {', '.join(sorted(fixed))} cannot change in a run; open a new stream")
        try:
            self._options = replace(self._options, **options)
        except TypeError as error:
            raise OptionError(f"Deflicker: {error}") from None

    def _next(self) -> Frame:
        track, entry = self._window[self._at]
        assert entry.frame is not None
        frame = entry.frame.replace(cut=True) if entry.cut else entry.frame
        amount, evidence, self._largest = 1.0, Evidence(), 0.0
        if self._options.gate == "auto":
            evidence = self._gate.advance(track.shot, *track.evidence(entry.index))
            amount = self._gate.amount
        if amount > 0 and len(track.entries) > 1:
            frame = self._equalise(track, entry, frame, amount)
        if self._listener is not None:
            self._listener(self._findings(track, entry, frame, amount, evidence))
        entry.frame = entry.tones = None
        self._at += 1
        while self._at > self._options.past:
            old, _ = self._window.popleft()
            old.drop_first()
            if not old.entries:
                del self._tracks[old.shot]
            self._at -= 1
        return frame

    def listen(self, listener: Callable[[Finding], None] | None) -> None:
        self._listener = listener

    def _findings(self, track: Track, entry: Entry, frame: Frame, amount: float, evidence: Evidence) -> Findings:
        assert entry.frame is not None
        touched = frame.planes is not entry.frame.planes
        structures = (entry.structure, structure_of(frame) if touched else entry.structure)
        before, after = (s.tiles.mean((1, 2), np.float64) * 255 for s in structures)
        # what does not open the gate is suspected at most
        confidence = min(max(evidence.coherence, 0.0), 1.0 if amount > 0 else 0.49)
        found = Kind(evidence.level, confidence, amount if touched else 0.0)
        return Findings(
            index=entry.index,
            time=frame.time,
            shot=track.shot,
            cut=entry.cut,
            kinds={} if evidence.is_calm or not evidence.frames else {"global": found},
            sure=evidence.flickers or evidence.is_calm,
            touched=touched,
            level_in=(float(before[0]), float(before[1]), float(before[2])),
            level_out=(float(after[0]), float(after[1]), float(after[2])),
            largest=self._largest,
            singular=False,
            exposed=0.0,
        )

    def _equalise(self, track: Track, entry: Entry, frame: Frame, amount: float) -> Frame:
        mine = entry.tones
        assert mine is not None
        quantiles, alike, distance = track.window(entry)
        weights = scene_weights(quantiles, alike, distance, self._options.deviation)
        target = ops.smooth_quantiles(quantiles, weights)
        size = 1024 if frame.format.depth == 8 else 4096
        change = tone_change(mine.histogram, mine.quantiles, target, size=size, slope=self._options.slope)
        change *= np.float32(amount)
        if float(np.abs(change).max()) * frame.format.max_code < 0.1:
            return frame
        self._largest = float(np.abs(change).max()) * 255
        return _apply(frame, change, entry.region, self._options.dither)


def _apply(frame: Frame, change: NDArray[np.float32], region: Region, dither: bool) -> Frame:
    """The frame with the tone curves applied inside the region; bars outside it stay as they are."""
    fmt = frame.format
    x0, y0, x1, y1 = region
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
