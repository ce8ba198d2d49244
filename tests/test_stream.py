"""Streams over toy stages that are defined here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from reelmend import Stream
from reelmend.errors import FormatError, OptionError, PlanError, ReelmendError, StageError
from reelmend.fallback import Fallback
from reelmend.frame import Frame, PixelFormat, VideoInfo
from reelmend.stage import Declaration, Stage, StageRuntime

LOG: list[str] = []


@pytest.fixture(autouse=True)
def _empty_log():
    LOG.clear()


@dataclass(frozen=True)
class Delay(Stage):
    """Gives each frame `by` frames later."""

    name: ClassVar[str] = "delay"
    by: int = 2

    @property
    def window(self):
        return (1, self.by)

    @property
    def state(self):
        return "window"

    def declare(self, info, device):
        return Declaration(
            (1, self.by), self.by, info, self.by * info.frame_bytes, device, "window", notes=(f"waits {self.by}",)
        )

    def open(self, info, device):
        LOG.append(f"open {info.width}x{info.height} {info.format.name}")
        return DelayRuntime(self)


class DelayRuntime(StageRuntime):
    def __init__(self, options):
        self.options = options
        self.held = deque()

    def push(self, frame):
        LOG.append(f"push {frame.pts}")
        self.held.append(frame)
        return [self.held.popleft()] if len(self.held) > self.options.by else []

    def flush(self):
        LOG.append("flush")
        out = list(self.held)
        self.held.clear()
        return out

    def reset(self):
        LOG.append("reset")
        self.held.clear()

    def update(self, **options):
        if set(options) - {"by"}:
            raise OptionError(f"delay: expected by; got {', '.join(options)}")
        self.options = replace(self.options, **options)


@dataclass(frozen=True)
class Double(Stage):
    """Two frames for each: itself, and one made half a frame later."""

    name: ClassVar[str] = "double"

    window = (0, 0)
    state = "none"

    def declare(self, info, device):
        out = replace(info, rate=info.rate and info.rate * 2, time_base=info.time_base / 2)
        fallback = Fallback("cuda", "cpu", "toys have no kernels")
        return Declaration((0, 0), 0, out, 100, device, engines=("toy-1",), fallbacks=(fallback,))

    def open(self, info, device):
        return DoubleRuntime()


class DoubleRuntime(StageRuntime):
    def push(self, frame):
        base = frame.time_base / 2
        first = frame.replace(pts=2 * frame.pts, time_base=base)
        return [first, first.replace(pts=2 * frame.pts + 1, made=True)]

    def flush(self):
        return []

    def reset(self):
        pass


@dataclass(frozen=True)
class Fail(Stage):
    """Fails at its frame `at`, or in its flush where that is None."""

    name: ClassVar[str] = "fail"
    at: int | None = 3
    error: Exception = ZeroDivisionError("no luck")  # noqa: RUF009

    window = (0, 0)
    state = "none"

    def declare(self, info, device):
        return Declaration((0, 0), 0, info, 0, device)

    def open(self, info, device):
        return FailRuntime(self)


class FailRuntime(StageRuntime):
    def __init__(self, options):
        self.options = options
        self.count = 0

    def push(self, frame):
        if self.count == self.options.at:
            raise self.options.error
        self.count += 1
        return [frame]

    def flush(self):
        if self.options.at is None:
            raise self.options.error
        return []

    def reset(self):
        pass


INFO = VideoInfo(8, 6, PixelFormat("gray", 8, (0, 0)), rate=Fraction(24000, 1001), time_base=Fraction(1001, 24000))


def frame(pts, width=8, height=6, dtype=np.uint8, **changes):
    made = Frame.from_array(np.full((height, width), pts % 256, dtype), pts, time_base=Fraction(1001, 24000))
    return made.replace(**changes)


def pts(frames):
    return [f.pts for f in frames]


# --- pushing -----------------------------------------------------------------------------------------------------


def test_no_stages_is_a_pipe():
    stream = Stream([], INFO)
    given = frame(0)
    assert stream.push(given)[0] is given
    assert stream.flush() == []
    assert stream.plan.output == INFO
    assert stream.plan.latency == 0


def test_frames_come_out_in_order_after_the_latency():
    stream = Stream([Delay(2), Delay(3)], INFO)
    out = [pts(stream.push(frame(t))) for t in range(8)]
    assert out == [[]] * 5 + [[0], [1], [2]]
    assert pts(stream.flush()) == [3, 4, 5, 6, 7]
    assert stream.flush() == []


def test_flush_goes_through_the_later_stages():
    stream = Stream([Delay(2), Double(), Delay(3)], INFO)
    seen = [f for t in range(4) for f in stream.push(frame(t))] + stream.flush()
    assert pts(seen) == list(range(8))
    assert [f.made for f in seen] == [False, True] * 4
    assert [f.time for f in seen] == [Fraction(1001 * t, 48000) for t in range(8)]


def test_a_stream_goes_on_after_flush():
    stream = Stream([Delay(2)], INFO)
    assert pts(stream.process(frame(t) for t in range(4))) == [0, 1, 2, 3]
    assert pts(stream.process(frame(t) for t in range(4, 6))) == [4, 5]
    assert LOG.count("open 8x6 gray") == 1


def test_process_is_a_generator():
    stream = Stream([Delay(1)], INFO)
    asked = []

    def source():
        for t in range(5):
            asked.append(t)
            yield frame(t)

    out = stream.process(source())
    assert asked == []
    assert next(out).pts == 0
    assert asked == [0, 1]
    assert pts(out) == [1, 2, 3, 4]


def test_reset_forgets():
    stream = Stream([Delay(2)], INFO)
    stream.push(frame(0))
    stream.push(frame(1))
    stream.reset()
    assert LOG[-1] == "reset"
    assert stream.push(frame(5)) == []
    assert pts(stream.flush()) == [5]


def test_arrays_get_times_at_the_rate():
    stream = Stream([Delay(1)], rate=Fraction(30000, 1001))
    out = list(stream.process(np.zeros((4, 6, 3), np.uint8) for _ in range(3)))
    assert [f.time for f in out] == [t * Fraction(1001, 30000) for t in range(3)]
    assert stream.plan.input.rate == Fraction(30000, 1001)
    assert stream.plan.input.format.name == "rgb24"


@pytest.mark.parametrize("thing", [None, "film.mp4", np.zeros((4, 6), np.float32), np.zeros((0, 6), np.uint8)])
def test_what_is_no_picture_is_refused(thing):
    with pytest.raises(FormatError):
        Stream([Delay(1)]).push(thing)


# --- changes of the input ----------------------------------------------------------------------------------------


def test_a_discontinuity_flushes_first():
    stream = Stream([Delay(2)], INFO)
    assert pts(stream.push(frame(0)) + stream.push(frame(1))) == []
    assert pts(stream.push(frame(100, discontinuity=True))) == [0, 1]
    assert pts(stream.flush()) == [100]
    assert LOG.count("open 8x6 gray") == 1
    assert LOG.index("flush") < LOG.index("push 100")


def test_a_first_frame_may_be_a_discontinuity():
    stream = Stream([Delay(1)])
    assert stream.push(frame(0, discontinuity=True)) == []
    assert pts(stream.flush()) == [0]


@pytest.mark.parametrize(
    "other",
    [{"width": 10}, {"height": 7}, {"dtype": np.uint16}],
    ids=["width", "height", "format"],
)
def test_another_size_or_format_flushes_and_opens_anew(other):
    stream = Stream([Delay(2)], INFO)
    stream.push(frame(0))
    stream.push(frame(1))
    assert pts(stream.push(frame(2, **other))) == [0, 1]
    assert len([line for line in LOG if line.startswith("open")]) == 2
    now = stream.plan.input
    assert (now.width, now.height, now.format.depth) == (
        other.get("width", 8),
        other.get("height", 6),
        16 if "dtype" in other else 8,
    )
    assert now.rate == INFO.rate
    assert pts(stream.flush()) == [2]
    assert stream.stats[0].frames_in == 3


def test_the_first_frame_may_differ_from_what_was_said():
    stream = Stream([Delay(1)], INFO)
    stream.push(frame(0, width=20))
    assert stream.plan.input.width == 20


# --- the plan ----------------------------------------------------------------------------------------------------


def test_there_is_no_plan_before_something_is_known():
    stream = Stream([Delay(1)])
    with pytest.raises(PlanError, match="push the first frame"):
        _ = stream.plan
    stream.push(frame(0))
    assert stream.plan.latency == 1


def test_plan_adds_up():
    plan = Stream.planned([Delay(2), Delay(5)], INFO)
    assert plan.latency == 7
    assert plan.latency_seconds == 7 * Fraction(1001, 24000)
    assert plan.memory == 7 * 48
    assert plan.output == INFO
    assert plan.fallbacks == ()
    assert LOG == []


def test_plan_counts_seconds_at_each_stage_s_rate():
    plan = Stream.planned([Delay(2), Double(), Delay(4)], INFO)
    assert plan.latency_seconds == (2 + Fraction(4, 2)) * Fraction(1001, 24000)
    assert plan.output.rate == 2 * INFO.rate
    assert plan.output.time_base == INFO.time_base / 2


def test_plan_latency_counts_input_frames():
    stream = Stream([Double(), Delay(4)], INFO)
    pushed = 0
    while not stream.push(frame(pushed)):
        pushed += 1
    assert stream.plan.latency == pushed


def test_plan_without_a_rate():
    unknown = replace(INFO, rate=None)
    assert Stream.planned([Delay(2)], unknown).latency_seconds is None
    assert Stream.planned([Double()], unknown).latency_seconds == 0
    assert "latency 2 frames, memory" in str(Stream.planned([Delay(2)], unknown))


def test_plan_reads_well():
    assert str(Stream.planned([Delay(2), Double()], INFO, "cuda:1")).splitlines() == [
        "input    8x6 gray, 23.976 fps",
        "stage    delay on cuda:1: window 1 past + 2 future frames, latency 2, memory 0.0 MiB",
        "         waits 2",
        "stage    double on cuda:1: window 0 past + 0 future frames, latency 0, memory 0.0 MiB",
        "         engine toy-1",
        "output   8x6 gray, 47.952 fps",
        "total    latency 2 frames (0.083 s), memory 0.0 MiB",
        "fallback cpu instead of cuda: toys have no kernels",
    ]


@pytest.mark.parametrize("thing", [Delay, "delay", None, DelayRuntime(Delay())])
def test_what_is_no_stage_is_refused(thing):
    with pytest.raises(PlanError, match="made of stages"):
        Stream([Delay(), thing])


# --- failures ----------------------------------------------------------------------------------------------------


def test_a_failing_stage_says_which_where_and_when():
    stream = Stream([Delay(1), Fail(2)], INFO)
    for t in range(3):
        stream.push(frame(t))
    with pytest.raises(StageError, match=r"stage 'fail' failed at frame 2 \(0.083 s\): no luck") as caught:
        stream.push(frame(3))
    error = caught.value
    assert (error.stage, error.index, error.time) == ("fail", 2, 2 * Fraction(1001, 24000))
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert isinstance(error, RuntimeError)


def test_an_error_of_ours_is_wrapped_too():
    stream = Stream([Fail(0, FormatError("not this one"))], INFO)
    with pytest.raises(StageError, match="not this one") as caught:
        stream.push(frame(0))
    assert isinstance(caught.value.__cause__, FormatError)


def test_a_failing_flush():
    stream = Stream([Fail(None)], INFO)
    stream.push(frame(0))
    with pytest.raises(StageError, match="stage 'fail' failed at frame 1: no luck") as caught:
        stream.flush()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_ours_in_flush_is_wrapped_too():
    stream = Stream([Fail(None, FormatError("not this one"))], INFO)
    stream.push(frame(0))
    with pytest.raises(ReelmendError) as caught:
        stream.flush()
    assert isinstance(caught.value, StageError)


def test_a_stage_that_fails_on_flushed_frames():
    stream = Stream([Delay(2), Fail(0)], INFO)
    stream.push(frame(7))
    with pytest.raises(StageError) as caught:
        stream.flush()
    assert (caught.value.stage, caught.value.time) == ("fail", 7 * Fraction(1001, 24000))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interruptions_pass(stop):
    with pytest.raises(stop):
        Stream([Fail(0, stop())], INFO).push(frame(0))


# --- updating ----------------------------------------------------------------------------------------------------


def test_update_reaches_the_named_stage():
    stream = Stream([Double(), Delay(4)], INFO)
    stream.push(frame(0))
    stream.update("delay", by=0)
    assert len(stream.push(frame(1))) == 2


def test_update_errors():
    stream = Stream([Double(), Delay(2)], INFO)
    with pytest.raises(PlanError, match=r"no open stage 'blur'.*double, delay"):
        stream.update("blur", radius=2)
    with pytest.raises(OptionError, match="no option that can change in a run: got speed"):
        stream.update("double", speed=3)
    with pytest.raises(OptionError, match="got colour"):
        stream.update("delay", colour=1)
    with pytest.raises(PlanError, match="no open stage 'delay'"):
        Stream([Delay(2)]).update("delay", by=1)


# --- counting ----------------------------------------------------------------------------------------------------


def test_stats():
    stream = Stream([Delay(2), Double()], INFO)
    list(stream.process(frame(t) for t in range(5)))
    delay, double = stream.stats
    assert (delay.name, delay.frames_in, delay.frames_out) == ("delay", 5, 5)
    assert (double.name, double.frames_in, double.frames_out) == ("double", 5, 10)
    assert delay.seconds > 0
    assert double.seconds > 0


# --- listening ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    index: int


@dataclass(frozen=True)
class Telling(Delay):
    """A delay that tells of each frame as it gives it."""

    name: ClassVar[str] = "telling"

    def open(self, info, device):
        return TellingRuntime(self)


class TellingRuntime(DelayRuntime):
    listener = None
    count = 0

    def listen(self, listener):
        self.listener = listener

    def tell(self, frames):
        for _ in frames:
            if self.listener:
                self.listener(Told(self.count))
            self.count += 1
        return frames

    def push(self, frame):
        return self.tell(super().push(frame))

    def flush(self):
        return self.tell(super().flush())


def test_listening_hears_each_frame_in_order_from_the_stages_that_tell():
    stream = Stream([Delay(1), Telling(2)], INFO)
    heard = []
    stream.listen(lambda stage, finding: heard.append((stage, finding.index)))
    for t in range(6):
        stream.push(frame(t))
        assert len(heard) == max(0, t - 2)
    stream.flush()
    assert heard == [("telling", t) for t in range(6)]


def test_listening_before_the_first_frame_and_across_reopening():
    stream = Stream([Telling(1)])
    heard = []
    stream.listen(lambda stage, finding: heard.append(finding.index))
    for t in range(3):
        stream.push(frame(t))
    for t in range(2):
        stream.push(frame(t, width=10))
    stream.flush()
    assert heard == [0, 1, 2, 0, 1]


def test_listening_ends_and_stages_without_findings_need_nothing():
    stream = Stream([Telling(0), Double()], INFO)
    heard = []
    stream.listen(lambda stage, finding: heard.append(finding.index))
    stream.push(frame(0))
    stream.listen(None)
    stream.push(frame(1))
    assert heard == [0]
    assert DoubleRuntime().listen(print) is None


def test_what_a_listener_raises_ends_the_push():
    stream = Stream([Telling(0)], INFO)
    stream.listen(lambda stage, finding: 1 / 0)
    with pytest.raises(StageError, match="stage 'telling' failed at frame 0"):
        stream.push(frame(0))
