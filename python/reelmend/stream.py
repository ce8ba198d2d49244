"""Stages composed: planned before the first frame, then pushed frames in order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from .convert import check_device, to_device
from .errors import FormatError, PlanError, StageError
from .fallback import Fallback
from .frame import Array, Frame, VideoInfo
from .stage import Declaration, Finding, Stage, StageRuntime

__all__ = ["Plan", "StageStats", "Stream"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stream will do, before it does it. `print(plan)` is meant to be read."""

    input: VideoInfo
    stages: tuple[tuple[str, Declaration], ...]

    @property
    def output(self) -> VideoInfo:
        return self.stages[-1][1].output if self.stages else self.input

    @property
    def slower(self) -> Fraction:
        """How many times as slow the output plays, over all stages."""
        return math.prod((d.slower for _, d in self.stages), start=Fraction(1))

    @property
    def retimed(self) -> bool:
        """Whether any stage gives frames at other times than it was given them."""
        return any(d.retimed for _, d in self.stages)

    @property
    def latency(self) -> int:
        """Input frames pushed before the first output frame, over all stages, rounded up.

        A stage's latency counts frames of its own input; behind a change of rate those are not the stream's.
        """
        total = Fraction(0)
        info = self.input
        for _, d in self.stages:
            faster = info.rate / self.input.rate if info.rate and self.input.rate else Fraction(1)
            total += d.latency / faster
            info = d.output
        return math.ceil(total)

    @property
    def latency_seconds(self) -> Fraction | None:
        """The same in seconds at the nominal rate; None where the rate is not known."""
        total = Fraction(0)
        info = self.input
        for _, d in self.stages:
            if d.latency and not info.rate:
                return None
            total += d.latency / info.rate if info.rate and d.latency else 0
            info = d.output
        return total

    @property
    def memory(self) -> int:
        """Bytes held at most by the stages."""
        return sum(d.memory for _, d in self.stages)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        return tuple(f for _, d in self.stages for f in d.fallbacks)

    def __str__(self) -> str:
        seconds = self.latency_seconds
        lines = [f"input    {self.input}"]
        for name, d in self.stages:
            past, future = d.window
            lines.append(
                f"stage    {name} on {d.device}: window {past} past + {future} future frames, "
                f"latency {d.latency}, memory {d.memory / 2**20:.1f} MiB"
            )
            lines += [f"         {note}" for note in d.notes]
            lines += [f"         engine {engine}" for engine in d.engines]
        lines.append(f"output   {self.output}")
        after = f" ({float(seconds):.3f} s)" if seconds is not None else ""
        lines.append(f"total    latency {self.latency} frames{after}, memory {self.memory / 2**20:.1f} MiB")
        lines += [f"fallback {f.used} instead of {f.wanted}: {f.why}" for f in self.fallbacks]
        return "\n".join(lines)


@dataclass(slots=True)
class StageStats:
    """Counts of one stage since the stream was made. seconds is wall time inside push and flush."""

    name: str
    frames_in: int = 0
    frames_out: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Link:
    stage: Stage
    runtime: StageRuntime
    stats: StageStats


class Stream:
    """Stages in a row. Push frames in, take frames out; no threads, no queues.

        stream = Stream([Deflicker()])
        for picture in pictures:                # NumPy arrays (height, width, 3) or Frames
            for frame in stream.push(picture):
                ...
        for frame in stream.flush():
            ...

    stages  options of the stages, first to last
    info    what will come in; without it the first frame tells, and `plan` is there after it
    device  "cpu", "cuda" or "cuda:N": where the stages work. Frames are moved there as they come, and stay there
    rate    frames a second for bare arrays, which have no time of their own

    A frame whose size or format differs from the one before flushes the stages and opens them anew;
    so does `frame.discontinuity`, without the opening.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        info: VideoInfo | None = None,
        *,
        device: str = "cpu",
        rate: Fraction = Fraction(25),
    ) -> None:
        for stage in stages:
            if not isinstance(stage, Stage):
                raise PlanError(f"a stream is made of stages such as Deflicker(); got {stage!r}")
        check_device(device)
        self._stages = tuple(stages)
        self._device = device
        self._rate = Fraction(rate)
        self._links: list[_Link] = []
        self._earlier: tuple[Fallback, ...] = ()
        self._stats = tuple(StageStats(stage.name) for stage in stages)
        self._info: VideoInfo | None = None
        self._plan: Plan | None = None
        self._arrays = 0
        self._listener: Callable[[str, Finding], None] | None = None
        if info is not None:
            self._open(info)

    @staticmethod
    def planned(stages: Sequence[Stage], info: VideoInfo, device: str = "cpu") -> Plan:
        """The plan alone; nothing is opened or allocated."""
        declared = []
        at = info
        for stage in stages:
            declaration = stage.declare(at, device)
            declared.append((stage.name, declaration))
            at = declaration.output
        return Plan(info, tuple(declared))

    @property
    def plan(self) -> Plan:
        """What the stream does. Raises PlanError before the first frame where no `info` was given."""
        if self._plan is None:
            raise PlanError("no plan yet: give Stream(..., info=VideoInfo(...)) or push the first frame")
        return self._plan

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """What was wanted and not taken so far: the plan's, and what opening and running showed since."""
        planned = self._plan.fallbacks if self._plan is not None else ()
        found = (fallback for link in self._links for fallback in link.runtime.fallbacks)
        return tuple(dict.fromkeys((*self._earlier, *planned, *found)))

    @property
    def stats(self) -> tuple[StageStats, ...]:
        return self._stats

    def push(self, frame: Frame | Array) -> list[Frame]:
        """Push one frame (or RGB / gray array); returns the frames that are ready, oldest first."""
        if not isinstance(frame, Frame):
            frame = Frame.from_array(frame, self._arrays, time_base=1 / self._rate)
            self._arrays += 1
        frame = to_device(frame, self._device)
        out: list[Frame] = []
        if self._info is None or not self._fits(frame):
            out += self.flush()
            self._open(self._describe(frame))
        elif frame.discontinuity:
            out += self.flush()
        return out + self._run(0, [frame])

    def flush(self) -> list[Frame]:
        """End of input: everything still held comes out."""
        out: list[Frame] = []
        for i, link in enumerate(self._links):
            start = time.perf_counter()
            try:
                held = link.runtime.flush()
            except Exception as error:
                raise StageError(link.stage.name, link.stats.frames_in, None, error) from error
            link.stats.seconds += time.perf_counter() - start
            link.stats.frames_out += len(held)
            out += self._run(i + 1, held)
        return out

    def reset(self) -> None:
        """Forget everything held (after a seek)."""
        for link in self._links:
            link.runtime.reset()

    def update(self, stage: str, **options: Any) -> None:
        """Change options of the named stage (of all of that name) from the next frame on."""
        named = [link for link in self._links if link.stage.name == stage]
        for link in named:
            link.runtime.update(**options)
        if not named:
            raise PlanError(f"no open stage {stage!r}; this stream has: {', '.join(s.name for s in self._stages)}")

    def listen(self, listener: Callable[[str, Finding], None] | None) -> None:
        """Have `listener(stage_name, finding)` called for each frame that a stage with something to tell gives out.

        Called inside push and flush, in the order of the stage's frames; what it raises ends the push as a StageError.
        It stays when stages are opened anew, for frames of another size or format. None ends it.

            stream.listen(lambda stage, finding: print(stage, finding.as_dict()))
        """
        self._listener = listener
        for link in self._links:
            self._attach(link)

    def process(self, frames: Iterable[Frame | Array]) -> Iterator[Frame]:
        """Push each, then flush: a generator over all output frames."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def _run(self, first: int, frames: list[Frame]) -> list[Frame]:
        for link in self._links[first:]:
            ready: list[Frame] = []
            start = time.perf_counter()
            for frame in frames:
                try:
                    ready += link.runtime.push(frame)
                except Exception as error:
                    raise StageError(link.stage.name, link.stats.frames_in, frame.time, error) from error
                link.stats.frames_in += 1
            link.stats.seconds += time.perf_counter() - start
            link.stats.frames_out += len(ready)
            frames = ready
        return frames

    def _attach(self, link: _Link) -> None:
        link.runtime.listen(None if self._listener is None else partial(self._listener, link.stage.name))

    def _open(self, info: VideoInfo) -> None:
        self._earlier = self.fallbacks
        self._plan = self.planned(self._stages, info, self._device)
        self._info = info
        self._links = []
        at = info
        for stage, (_, declaration), stats in zip(self._stages, self._plan.stages, self._stats, strict=True):
            link = _Link(stage, stage.open(at, self._device), stats)
            if self._listener is not None:
                self._attach(link)
            self._links.append(link)
            at = declaration.output

    def _fits(self, frame: Frame) -> bool:
        info = self._info
        return info is not None and (frame.width, frame.height, frame.format) == (info.width, info.height, info.format)

    def _describe(self, frame: Frame) -> VideoInfo:
        if frame.height < 1 or frame.width < 1:
            raise FormatError(f"a frame has at least one pixel; got {frame.width}x{frame.height}")
        rate = self._info.rate if self._info else 1 / (frame.duration * frame.time_base) if frame.duration else None
        return VideoInfo(frame.width, frame.height, frame.format, frame.colour, rate, frame.time_base)
