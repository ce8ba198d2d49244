"""The pictures that Interpolate holds while it makes frames between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from ...errors import FormatError
from ...fallback import Fallback
from ...frame import Frame, VideoInfo
from ...stage import StageRuntime
from ..letterbox import Letterbox
from ..shots import Shots
from ..structure import structure_of
from .cadence import Cadence, Shown
from .flownet import FlowNet
from .making import Maker, Picture
from .timing import NEAR, AtRate, Due, Schedule, Split, common_tick

if TYPE_CHECKING:
    from .stage import Interpolate

__all__ = ["Runtime"]


class Runtime(StageRuntime):
    """Frames become pictures (repeats grouped), pictures pairs, and pairs give what is due between them."""

    def __init__(self, options: Interpolate, info: VideoInfo, device: str) -> None:
        self._options = options
        moving = self._moving = options._moving
        estimator, self._synthesiser = options._estimator(device), options._synthesiser(device)
        size = (info.height, info.width)
        if isinstance(estimator, FlowNet):
            estimator.levels(size)  # what has to be built is, before the first frame
        if self._synthesiser is not None:
            self._synthesiser.engines(size)
        self._maker = Maker(options.method, options.cuts, estimator, options.overlays and moving, self._synthesiser)
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

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        return () if self._synthesiser is None else self._synthesiser.fallbacks

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
        self._before.forget()
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
