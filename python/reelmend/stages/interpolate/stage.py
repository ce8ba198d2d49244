"""The stage: options, and the pictures it holds while it makes frames between them."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...engines.catalogue import find
from ...engines.network import Network
from ...errors import FormatError, OptionError
from ...frame import Frame, VideoInfo
from ...stage import Declaration, Stage, StageRuntime, State
from ..letterbox import Letterbox
from ..shots import FLASH, Shots
from ..structure import structure_of
from .cadence import LONGEST, Cadence, Shown
from .estimate import Estimator, estimator_for
from .flownet import FlowNet
from .making import Maker, Picture
from .timing import NEAR, AtRate, Due, Schedule, Split, common_tick, nominal

if TYPE_CHECKING:
    from ...engines import EnginePlan

__all__ = ["METHODS", "Interpolate"]

METHODS = ("sample", "blend", "memc", "flow")
Method = Literal["sample", "blend", "memc", "flow"]
_MOVING = ("memc", "flow")
_FASTEST = 1000  # frames a second
_TABLES = 48 << 10  # bytes: how a frame is built


@dataclass(frozen=True)
class Interpolate(Stage):
    """Makes new frames between the frames there are: any rate from any rate, exactly timed.

    Source frames that fall on an output time leave untouched, with all their samples; so does a source frame that an
    output time misses by less than a fiftieth of the interval, if no other output time is nearer to it. Others are
    made at their exact place in time. Where repeats are re-timed, they are no frames of their own. Frames must come in
    order of time, each later than the one before.

    Give one of:
    rate         frames a second of the result, exact: 60, "60000/1001", Fraction(24000, 1001). Constant, from the
                 first frame's time on, whatever the source's times and gaps
    factor       2..64: every interval of the source in so many equal parts; variable rates stay variable
    slow_motion  1 or more: time is stretched by so much, at the source's nominal rate, or at `rate` if it is given

    method       "sample": the source frame that is nearest in time; "blend": a cross-fade; "memc": along the motion of
                 blocks (hierarchical, bidirectional, overlapped search to a quarter of a pixel); "flow": along dense
                 optical flow
    acceleration  whether motion may be evenly accelerated rather than even; looks one picture further ahead
    cuts         "hold": the old picture stays until the new shot begins; "blend"; "extrapolate": each side moves on
    repeats      "auto": pictures shown two or three times (animation on twos, clips of a lower rate) are re-timed while
                 that is so of most; "retime": always; "keep": never, which saves the delay
    overlays     titles and logos that stand still in front of motion are kept still
    flow         with method "flow": the network that finds it, of family "ebme": its name in the catalogue, the path of
                 its folder, or the Network. None: our own dense search

    Cuts are found by structure, as the deflicker stage finds them, so a flash of one frame is none; it is mixed with
    nothing all the same. Where motion is searched, it has the last word: what moves as one, a fast pan, is one shot. A
    fade is mixed down to black. Where the motion of a pair cannot be known (dissolves, violent change), the frames are
    mixed. Black bars stay as they are.
    """

    name: ClassVar[str] = "interpolate"

    rate: Fraction | int | str | None = None
    factor: int | None = None
    slow_motion: Fraction | int | str | None = None
    method: Method = "flow"
    acceleration: bool = True
    cuts: Literal["hold", "blend", "extrapolate"] = "hold"
    repeats: Literal["auto", "keep", "retime"] = "auto"
    overlays: bool = True
    flow: str | Network | None = None

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            if not ok:
                got = getattr(self, name)
                shown = got if isinstance(got, Fraction) else repr(got)
                raise OptionError(f"Interpolate: {name} is {shown}; expected {expected}")

        for name, least, expected in (
            ("rate", Fraction(1, 1000), 'frames a second, exact: 60, "60000/1001", at most 1000'),
            ("slow_motion", Fraction(1), 'how many times as slow, 1 to 1000: 4, "5/2"'),
        ):
            value = _exact(getattr(self, name))
            check(name, value is None or least <= value <= _FASTEST, expected)
            object.__setattr__(self, name, value)
        whole = isinstance(self.factor, int) and not isinstance(self.factor, bool)
        check("factor", self.factor is None or (whole and 2 <= self.factor <= 64), "a whole number from 2 to 64")
        if self.factor is not None and (self.rate is not None or self.slow_motion is not None):
            raise OptionError("Interpolate: factor does not go with rate or slow_motion; give one of them")
        if self.factor is None and self.rate is None and self.slow_motion is None:
            raise OptionError("Interpolate: how many frames? Give rate=60, factor=2 or slow_motion=4")
        check("method", self.method in METHODS, f"one of {', '.join(METHODS)}")
        check("cuts", self.cuts in ("hold", "blend", "extrapolate"), "'hold', 'blend' or 'extrapolate'")
        check("repeats", self.repeats in ("auto", "keep", "retime"), "'auto', 'keep' or 'retime'")
        for name in ("acceleration", "overlays"):
            check(name, isinstance(getattr(self, name), bool), "True or False")
        check("flow", self.flow is None or isinstance(self.flow, str | Network), "a network's name, or None")
        if self.flow is not None and self.method != "flow":
            raise OptionError(f"Interpolate: flow={self.flow!r} goes with method 'flow' alone; got {self.method!r}")

    @property
    def _ahead(self) -> int:
        """Pictures beyond the pair at work."""
        return 1 if self.method in _MOVING and (self.acceleration or self.cuts == "extrapolate") else 0

    @property
    def _grouped(self) -> bool:
        """Whether repeats may be taken together. The nearest frame is the nearest, repeat or not."""
        return self.repeats != "keep" and self.method != "sample"

    @property
    def _furthest(self) -> int:
        """Frames of look-ahead, where every picture is shown as often as a cadence allows."""
        return LONGEST * (2 + self._ahead) if self._grouped else 1 + self._ahead

    @property
    def window(self) -> tuple[int, int]:
        shown = LONGEST if self._grouped else 1
        return shown * (1 + self._ahead) - 1, self._furthest

    @property
    def latency(self) -> int:
        """With repeats="auto" that of ordinary video; more, up to the window's future, while there is a cadence."""
        return 2 + self._ahead if self._grouped and self.repeats == "auto" else self._furthest

    @property
    def state(self) -> State:
        return "recurrent" if self._grouped or (self.overlays and self.method in _MOVING) else "window"

    def _estimator(self, device: str) -> Estimator | None:
        """What finds motion, if anything does. Raises NetworkError for a network that is not there or does not fit."""
        if self.flow is not None:
            return FlowNet(self.flow if isinstance(self.flow, Network) else find(self.flow, "flow"), device)
        return estimator_for(self.method) if self.method in _MOVING else None

    def _rate(self, info: VideoInfo) -> Fraction | None:
        """Frames a second of the result, where that can be said."""
        if isinstance(self.rate, Fraction):
            return self.rate
        if self.factor is not None:
            return info.rate * self.factor if info.rate else None
        if not info.rate:
            raise OptionError("Interpolate: slow_motion of a clip without a nominal rate needs rate= as well")
        return nominal(info.rate)

    def _tick(self, info: VideoInfo) -> Fraction:
        """The time base in which all output times are whole."""
        base = info.time_base
        if self.factor is not None:
            return base / self.factor
        rate = self._rate(info)
        assert rate is not None
        return common_tick(base, 1 / rate)  # times are whole steps from the first frame's on

    def declare(self, info: VideoInfo, device: str) -> Declaration:
        rate = self._rate(info)
        slower = self.slow_motion if isinstance(self.slow_motion, Fraction) else Fraction(1)
        known = rate * slower / info.rate if rate and info.rate else self.factor
        growth = Fraction(known or 2)  # of a clip of any rate: as if it doubled, for the memory alone
        frames = None if info.frames is None or known is None else math.ceil(info.frames * growth)
        notes = [f"{self.method}, {_words(self, rate)}"]
        if self._furthest != self.latency:
            notes.append(f"looks up to {self._furthest} frames ahead while pictures repeat")
        memory = 0
        plans: list[EnginePlan] = []
        estimator = self._estimator(device)
        if estimator is not None:
            notes.append(f"motion by {estimator.name}")
            memory += estimator.memory(info.width, info.height) + (info.width * info.height if self.overlays else 0)
        if isinstance(estimator, FlowNet):
            plans = estimator.plans((info.height, info.width))
            notes.append(_told(plans))
        shown = LONGEST if self._grouped else 1
        # the pictures at work, those ahead and the one before, each as often as it may be shown, and the next one
        held = shown * (3 + self._ahead) + (1 if self._grouped else 0)
        made = 0 if self.method == "sample" else math.ceil(growth * shown) - (1 if self.factor is not None else 0)
        return Declaration(
            window=self.window,
            latency=self.latency,
            output=replace(info, rate=rate, time_base=self._tick(info), frames=frames),
            memory=memory + (held + made) * info.frame_bytes + (held + FLASH + 1) * _TABLES,
            device=device,
            state=self.state,
            engines=tuple(dict.fromkeys(plan.request.network.name for plan in plans)),
            fallbacks=tuple(dict.fromkeys(fallback for plan in plans for fallback in plan.fallbacks)),
            notes=tuple(notes),
            retimed=True,
            slower=slower,
        )

    def open(self, info: VideoInfo, device: str) -> _Runtime:
        return _Runtime(self, info, device)


def _exact(value: Any) -> Fraction | None:
    if value is None:
        return None
    if isinstance(value, float) and not value.is_integer():
        raise OptionError(f"Interpolate: {value!r} is no exact rate; give a fraction such as '60000/1001'")
    try:
        if isinstance(value, bool):
            raise TypeError
        return Fraction(value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise OptionError(f"Interpolate: expected a number or a fraction such as '60000/1001'; got {value!r}") from None


def _told(plans: list[EnginePlan]) -> str:
    """Many engines in one line: how many there are of each kind."""
    kinds = Counter(
        f"{p.backend} {p.request.precision} on {p.request.device}: {p.state}" + (f" ({p.why})" if p.why else "")
        for p in plans
    )
    (rows, columns), (few, least) = plans[0].request.size, plans[-1].request.size
    return f"{columns}x{rows} to {least}x{few}, {len(plans)} engines: " + "; ".join(
        f"{count} by {kind}" for kind, count in kinds.items()
    )


def _words(options: Interpolate, rate: Fraction | None) -> str:
    if options.factor is not None:
        return f"{options.factor} times as many frames"
    slow = f", {options.slow_motion} times as slow" if options.slow_motion is not None else ""
    return f"{rate} frames a second{slow}"


class _Runtime(StageRuntime):
    """Frames become pictures (repeats grouped), pictures pairs, and pairs give what is due between them."""

    def __init__(self, options: Interpolate, info: VideoInfo, device: str) -> None:
        self._options = options
        moving = self._moving = options.method in _MOVING
        estimator = options._estimator(device)
        if isinstance(estimator, FlowNet):
            estimator.levels((info.height, info.width))  # what has to be built is, before the first frame
        self._maker = Maker(options.method, options.cuts, estimator, options.overlays and moving)
        self._ahead = options._ahead
        rate = options._rate(info)
        self._schedule: Schedule
        if options.factor is not None:
            self._schedule = Split(options.factor)
        else:
            assert rate is not None
            self._schedule = AtRate(rate)
        self._tick = options._tick(info)
        self._slower = options.slow_motion if isinstance(options.slow_motion, Fraction) else Fraction(1)
        self._usual = 1 / info.rate if info.rate else None
        self.reset()

    def reset(self) -> None:
        self._schedule.begin()
        self._origin: Fraction | None = None
        self._clear()

    def _clear(self) -> None:
        """Forget the pictures; time goes on."""
        self._shots = Shots()
        self._letterbox = Letterbox()
        self._shot: int | None = None
        self._cadence = Cadence("always" if self._options.repeats == "retime" else "auto")
        self._last: Fraction | None = None
        self._before: Picture | None = None
        self._pending: deque[Picture] = deque()
        self._begun: Picture | None = None
        self._newest = 0
        self._cut = self._jump = False

    def push(self, frame: Frame) -> list[Frame]:
        if self._last is not None and frame.time <= self._last:
            raise FormatError(
                f"a frame at {float(frame.time):.6f} s came after one at {float(self._last):.6f} s; "
                "expected each later than the one before"
            )
        self._last = frame.time
        structure = structure_of(frame)
        shot = self._shots.number(structure)
        if not self._options._grouped:
            return self._take([Shown(frame, shot, structure, [])])
        return self._take(self._cadence.push(frame, shot, structure))

    def flush(self) -> list[Frame]:
        out = self._take(self._cadence.flush())
        while len(self._pending) > 1:
            out += self._pair()
        if self._pending:
            out += self._tail(self._pending[0])
        self._clear()
        return out

    def _take(self, shown: Iterable[Shown]) -> list[Frame]:
        out = []
        for one in shown:
            self._pending.append(self._picture(one))
            if len(self._pending) > 1 + self._ahead:
                out += self._pair()
        return out

    def _picture(self, shown: Shown) -> Picture:
        if self._origin is None:
            self._origin = shown.frame.time
        region = (0, 0, shown.frame.width, shown.frame.height)
        if self._moving:
            if shown.shot != self._shot:
                self._shot, self._letterbox = shown.shot, Letterbox()
            region = self._letterbox.look(shown.frame)
        repeats = [(frame, self._clock(frame.time)) for frame in shown.repeats]
        light, flat = float(shown.structure.fine.mean()), not shown.structure.ranks.any()
        return Picture(shown.frame, shown.shot, region, self._clock(shown.frame.time), repeats, light, flat)

    def _clock(self, time: Fraction) -> Fraction:
        assert self._origin is not None
        return self._origin + (time - self._origin) * self._slower

    def _pair(self) -> list[Frame]:
        """What is due from the first pending picture up to the second."""
        a, b = self._pending[0], self._pending[1]
        after = self._pending[2] if len(self._pending) > 2 else None
        self._maker.relate(a, b)
        if after is not None:
            self._maker.relate(b, after)
        self._maker.observe(a, b)
        before = self._before
        self._begin(a)
        out = []
        for due in self._schedule.between([a.time, *(time for _, time in a.repeats), b.time]):
            t = (due.time - a.time) / (b.time - a.time)
            if t <= NEAR and _nearest(due, a.time):
                out.append(self._timed(a.frame, due))
            elif 1 - t <= NEAR and _nearest(due, b.time):
                self._begin(b)
                out.append(self._timed(b.frame, due))
            else:
                made = self._maker.make(a, b, t, before, after)
                moves_on = a.shot != b.shot and self._options.cuts == "extrapolate"
                if 2 * t >= 1 and (moves_on or made.planes is b.frame.planes):
                    self._begin(b)
                out.append(self._timed(made, due))
        self._before = self._pending.popleft()
        self._before.prepared.clear()
        return out

    def _begin(self, picture: Picture) -> None:
        """A picture is shown from now on: what is new with it goes with the next frame given out, and with no other."""
        if picture is self._begun:
            return
        self._begun = picture
        flash = any(p.shot < picture.shot for p in self._pending if p.time > picture.time)
        self._cut |= picture.frame.cut or (picture.shot > self._newest > 0 and not flash)
        self._jump |= picture.frame.discontinuity
        self._newest = max(self._newest, picture.shot)

    def _tail(self, last: Picture) -> list[Frame]:
        """The last picture, for as long as it is shown."""
        self._begin(last)
        times = [last.time, *(time for _, time in last.repeats)]
        frame = last.repeats[-1][0] if last.repeats else last.frame
        shown = frame.duration * frame.time_base * self._slower
        if not shown:  # as long as the frame before
            if self._before is not None:
                times = [self._before.time, *(time for _, time in self._before.repeats), *times]
            shown = times[-1] - times[-2] if len(times) > 1 else self._usual or frame.time_base * self._slower
            times = [time for time in times if time >= last.time]
        return [self._timed(last.frame, due) for due in self._schedule.between([*times, times[-1] + shown])]

    def _timed(self, frame: Frame, due: Due) -> Frame:
        tick = self._tick
        if (due.time / tick).denominator != 1 or (due.duration / tick).denominator != 1:
            tick = common_tick(common_tick(tick, due.time), due.duration)
        cut, jump, self._cut, self._jump = self._cut, self._jump, False, False
        return frame.replace(
            pts=int(due.time / tick),
            time_base=tick,
            duration=int(due.duration / tick),
            cut=cut,
            discontinuity=jump,
        )


def _nearest(due: Due, time: Fraction) -> bool:
    """Whether no other output time is as near to a source frame as this one, even steps taken for granted."""
    return 2 * abs(due.time - time) < due.duration
