"""The stage: options, and the window they are applied over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...engines import Network
from ...errors import OptionError
from ...fallback import Fallback
from ...frame import Frame, VideoInfo
from ...stage import Declaration, Finding, Stage, StageRuntime, State
from ..letterbox import Letterbox, Region
from ..shots import Shots
from ..structure import FINE, TILES, structure_of
from .apply import Brush, check_mask
from .exposure import NEIGHBOURS, RADIUS, filtered_illumination
from .findings import Findings
from .item import Item
from .light import light_of
from .networks import PARTS, Networks, ahead_of, find_network, fits, keeps, memory_of, plans_of
from .signature import BINS, POINTS
from .spatial import Spatial
from .telling import retold, tell
from .tonal import Tonal

__all__ = ["CURES", "Deflicker"]

Mode = Literal["live", "low", "film"]
CURES = ("tones", "bands", "local")
_LOOKAHEAD: dict[str, int] = {"live": 0, "low": 4, "film": 60}
_EARLY = 15  # frames of the look-ahead that the first half may have
_BOXES = 8  # shots whose bars are remembered: one may come back after a flash


@dataclass(frozen=True)
class Deflicker(Stage):
    """Finds out what flickers, and takes it away; what does not flicker leaves as it came, bit for bit.

    First what lies unevenly over the picture: rolling bands of mains light, told by the wave they follow (or, where
    they follow none, by rows that agree), and patches that flicker by themselves. Their gains are measured between
    frames and undone on a grid. Then the whole picture, of brightness, of colour, by turns or in steps, by scale-time
    equalisation (Delon 2006; the first step of BlazeBVD, 2024): the quantile functions of R, G and B are averaged over
    a window in time, and each frame is brought to the average by a tone curve a channel. Flashes and fades are kept.
    Nothing is mixed across cuts, frames whose content differs count less, and all is done in the frame's own format,
    depth and code values; PQ and HLG have their own response to light. Black bars are found and left out.

    A listener is told what was found in each frame and done to it, as `Findings`.

    mode       "live": no look-ahead; "low": 4 frames, for streams; "film": 60 frames, for files
    lookahead  frames, 0..60, in place of the mode's
    past       frames behind that count, 1..480
    sigma      standard deviation of the window in frames, 2..120, in place of the mode's (film 40, others 80,
               since half a window must reach twice as far); it should exceed the time over which the flicker wanders
    slope      least and greatest slope of the tone curves
    gate       "auto": act only where flicker is found; "always": equalise every frame
    cures      which cures may be used: "tones" (brightness, colour, alternation, steps), "bands", "local"
    flashes    "keep", or "remove": single bright or dark frames, up to three, are equalised too
    protect    regions (x0, y0, x1, y1) in pixels that stay as they are, such as a logo
    mask       uint8 (height, width): how much of the correction to apply, 0 (none) to 255 (all)
    dither     8x8 ordered dither of the result, so that the fractional curve does not posterise
    networks   whether the networks of BlazeBVD go on where equalisation acted: what it left of flicker, and light that
               was clipped. True for all, or some of "global", "temporal", "local". They need 256 x 144 pixels or more
               inside black bars, and wait for some frames more (none in mode "live")
    network    which: a name of the catalogue (`reelmend engines list`), a network's folder, or a Network; one of family
               "gfrm" is the U-Net of the paper, which makes each frame anew and runs alone
    """

    name: ClassVar[str] = "deflicker"

    mode: Mode = "low"
    lookahead: int | None = None
    past: int = 240
    sigma: float | None = None
    slope: tuple[float, float] = (0.4, 2.5)
    gate: Literal["auto", "always"] = "auto"
    cures: tuple[str, ...] = CURES
    flashes: Literal["keep", "remove"] = "keep"
    protect: tuple[Region, ...] = ()
    mask: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    dither: bool = True
    networks: bool | tuple[str, ...] = False
    network: str | Network = "blaze"

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
        known = isinstance(self.cures, tuple) and set(self.cures) <= set(CURES) and len(self.cures) > 0
        check("cures", known, f"a tuple of some of {', '.join(CURES)}")
        some = isinstance(self.networks, tuple) and set(self.networks) <= set(PARTS) and len(self.networks) > 0
        check("networks", isinstance(self.networks, bool) or some, f"True, False or some of {', '.join(PARTS)}")
        check("flashes", self.flashes in ("keep", "remove"), "'keep' or 'remove'")

        def is_region(r: Any) -> bool:
            return isinstance(r, tuple) and len(r) == 4 and all(within(v, 0, 1 << 16) for v in r)

        regions = isinstance(self.protect, tuple) and all(
            is_region(r) and r[0] < r[2] and r[1] < r[3] for r in self.protect
        )
        check("protect", regions, "a tuple of regions (x0, y0, x1, y1) with 0 <= x0 < x1 and 0 <= y0 < y1")
        if self.mask is not None:
            plane = isinstance(self.mask, np.ndarray) and self.mask.ndim == 2 and self.mask.dtype == np.uint8
            got = f"{getattr(self.mask, 'dtype', type(self.mask).__name__)} {getattr(self.mask, 'shape', '')}"
            if not plane:
                raise OptionError(f"Deflicker: mask is {got}; expected a uint8 array (height, width)")

    @property
    def _parts(self) -> tuple[str, ...]:
        """The networks that go on."""
        return PARTS if self.networks is True else self.networks or ()

    @property
    def _ahead(self) -> tuple[int, int]:
        """Frames that equalisation waits for, and the networks after it."""
        ahead = _LOOKAHEAD[self.mode] if self.lookahead is None else self.lookahead
        return ahead, ahead_of(ahead) if self._parts else 0

    @property
    def window(self) -> tuple[int, int]:
        return self.past, sum(self._ahead)

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
        check_mask(self.mask, info.width, info.height)
        acts = "where flicker is found" if self.gate == "auto" else "on every frame"
        notes = [f"mode {self.mode}, looks {future} frames ahead, sigma {self.deviation:g} frames, acts {acts}"]
        fallbacks: tuple[Fallback, ...] = ()
        engines: tuple[str, ...] = ()
        seen = 0
        if self._parts:
            if fits(info):
                network = find_network(self.network)
                if not keeps(network) and (self.mask is not None or self.protect):
                    raise OptionError(
                        f"Deflicker: {network.name} makes every pixel anew; use it without mask and protect, or another"
                    )
                engines = (network.name,)
                notes += [str(plan) for plan in plans_of(self.network, self._parts, info)]
                seen = memory_of(info, future)
            else:
                why = f"the picture is {info.width}x{info.height}, they need 256x144 or more"
                fallbacks = (Fallback("the networks", "equalisation alone", why),)
        tiles, fine = TILES[0] * TILES[1], FINE[0] * FINE[1]
        # of each frame in the window: quantiles, ranks and levels of groups; until it is given out its pictures and
        # histograms as well, and of some frames more the logs of its pictures
        table = 4 * (3 * POINTS + tiles + 128)
        picture = 4 * (12 * fine + 5 * tiles + 4 * BINS)
        return Declaration(
            window=self.window,
            latency=future,
            output=info,
            # held: the frames of the look-ahead, the one at work, and its results
            memory=(future + 3) * info.frame_bytes + (past + future + 1) * table + (future + 64) * picture + seen,
            device=device,
            state=self.state,
            engines=engines,
            fallbacks=fallbacks,
            notes=tuple(notes),
        )

    def open(self, info: VideoInfo, device: str) -> StageRuntime:
        self.declare(info, device)
        return _Runtime(self, info if self._parts and fits(info) else None)


class _Runtime(StageRuntime):
    def __init__(self, options: Deflicker, info: VideoInfo | None) -> None:
        """info: of the frames, where networks go on."""
        self._options = options
        self._listener: Callable[[Finding], None] | None = None
        brush = Brush(options.mask, options.protect, options.dither)
        # what goes on with frames that are equalised
        self.after: Networks | None = None
        if info is not None:
            self.after = Networks(options.network, options._parts, options._ahead[1], brush, info)
        self.reset()

    def reset(self) -> None:
        options = self._options
        ahead = options._ahead[0]
        # of the look-ahead for the first half; a short one is worth more to the second
        early = min(_EARLY, max(0, ahead - 8) // 3)
        bands, patches = "bands" in options.cures, "local" in options.cures
        self._spatial, self._tonal = Spatial(early, bands=bands, patches=patches), Tonal(ahead - early)
        self._brush = Brush(options.mask, options.protect, options.dither)
        self._waiting: deque[tuple[Findings | None, Frame, Region]] = deque()  # in `after`
        if self.after is not None:
            self.after.reset()
        self._count = 0
        self._last = self._newest = 0  # numbers of the last frame's shot, and the highest so far
        self._shots = Shots()
        self._boxes: dict[int, Letterbox] = {}

    def push(self, frame: Frame) -> list[Frame]:
        structure = structure_of(frame)
        shot = self._shots.number(structure)
        if shot <= self._newest and self._last and self._last != shot and not self._spatial.unflag(shot):
            self._tonal.unflag(shot)
        cut = shot > self._newest > 0
        self._last, self._newest = shot, max(self._newest, shot)
        box = self._boxes.pop(shot, None) or Letterbox()
        self._boxes[shot] = box
        while len(self._boxes) > _BOXES:
            del self._boxes[next(iter(self._boxes))]
        item = Item(self._count, frame, frame, structure, shot, box.look(frame), cut)
        self._count += 1
        return self._pass(self._spatial.push(item, light_of(frame.colour.transfer)))

    def flush(self) -> list[Frame]:
        out = self._pass(self._spatial.flush())
        for _ in range(len(self._tonal)):
            out += self._next()
        if self.after is not None:
            rest = self.after.flush()
            self._tell(rest)
            out += rest
        self.reset()
        return out

    def update(self, **options: Any) -> None:
        fixed = {"mode", "lookahead", "cures", "networks", "network"} & options.keys()
        if fixed:
            raise OptionError(f"Deflicker: {', '.join(sorted(fixed))} cannot change in a run; open a new stream")
        try:
            self._options = replace(self._options, **options)
        except TypeError as error:
            raise OptionError(f"Deflicker: {error}") from None
        self._brush = Brush(self._options.mask, self._options.protect, self._options.dither)
        if self.after is not None:
            self.after.brush = self._brush

    def listen(self, listener: Callable[[Finding], None] | None) -> None:
        self._listener = listener

    def _pass(self, items: list[Item]) -> list[Frame]:
        """From the first half to the second."""
        out = []
        for item in items:
            if item.found.gains is not None:
                assert item.frame is not None
                light = light_of(item.frame.colour.transfer)
                item.frame = self._brush.retone(item.frame, item.region, gains=item.found.gains, light=light)
                item.structure = structure_of(item.frame)
            if self._tonal.push(item):
                out += self._next()
        return out

    def _next(self) -> list[Frame]:
        options = self._options
        item, judged = self._tonal.judge(
            cure="tones" in options.cures,
            gated=options.gate == "auto",
            remove_flashes=options.flashes == "remove",
            sigma=options.deviation,
            slope=options.slope,
        )
        assert item.frame is not None
        frame = item.frame
        if judged.change is not None:
            frame = self._brush.retone(frame, item.region, judged.change)
        if item.cut:
            frame = frame.replace(cut=True)
        out, finding = [frame], None
        if self._listener is not None or self.after is not None:
            values, own = self._tonal.values(RADIUS + NEIGHBOURS)
            if self._listener is not None:
                finding = tell(item, judged, frame, values, own)
            self._waiting.append((finding, frame, item.region))
            if self.after is not None:
                near = slice(max(0, own - RADIUS), own + RADIUS + 1)
                table = filtered_illumination(values[near])[min(own, RADIUS)]
                out = self.after.push(item, judged.change, frame, table, options.gate == "always")
            self._tell(out)
        self._tonal.forget(options.past)
        return out

    def _tell(self, frames: list[Frame]) -> None:
        """What was found in frames, now that they are given out."""
        for frame in frames:
            finding, before, region = self._waiting.popleft()
            if finding is not None and self._listener is not None:
                self._listener(finding if frame.planes is before.planes else retold(finding, frame, region))
