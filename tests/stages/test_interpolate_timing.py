"""When the frames of Interpolate are due: schedules by themselves, and through the stage on tiny pictures."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from reelmend import Stream
from reelmend.errors import FormatError, OptionError, StageError
from reelmend.frame import Frame, PixelFormat, VideoInfo
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.timing import AtRate, Due, Split, common_tick

from .synthesised import LEARNED

F = Fraction
FILM, PAL, NTSC = F(24000, 1001), F(25), F(60000, 1001)
MS = F(1, 1000)

BY_NETWORKS = [pytest.param(name, marks=pytest.mark.extra("train")) for name in LEARNED]

# 64 rows of noise, each another code word: no two frames are alike, and a frame can be told by its samples
RNG = np.random.default_rng(0)
BASE = RNG.integers(40, 200, (16, 16)).astype(np.uint8)


def clip(pts, tick, durations=None):
    """Gray frames of 16 x 16 at these times; each differs from the one before by more than a repeat does, yet is built
    like it."""
    frames = []
    for k, at in enumerate(pts):
        picture = (BASE + (17 * k) % 41).astype(np.uint8)
        picture.setflags(write=False)
        length = durations[k] if durations else 0
        frames.append(Frame((picture,), PixelFormat.parse("gray"), at, tick, length, side_data={"number": k}))
    return frames


def even(rate, count, start=0, tick=None):
    """Frames of a constant rate, with the times a container of this time base has: rounded."""
    tick = tick or 1 / rate
    pts = [start + round(k / rate / tick) for k in range(count + 1)]
    return clip(pts[:-1], tick, [b - a for a, b in pairwise(pts)])


def info_of(frames, rate):
    return VideoInfo(16, 16, PixelFormat.parse("gray"), rate=rate, time_base=frames[0].time_base, frames=len(frames))


def network_of(method):
    return {"network": f"few-{method}"} if method in LEARNED else {}


def run(frames, nominal=None, /, **options):
    options = {"method": "sample", "repeats": "keep", **options}
    options |= network_of(options["method"])
    stream = Stream([Interpolate(**{"method": "flow", **options})], info_of(frames, nominal))
    out = [f for frame in frames for f in stream.push(frame)]
    return out + stream.flush()


def end_of(frames):
    last = frames[-1]
    return last.time + last.duration * last.time_base


def check_tiled(out):
    """Each frame lasts until the next begins."""
    for a, b in pairwise(out):
        assert a.time < b.time
        assert a.time + a.duration * a.time_base == b.time


def check_sources(out, frames, slower=1):
    """Source frames at their own times are themselves; none of them comes twice unless as the nearest in a gap."""
    origin = frames[0].time
    by_time = {f.time: f for f in out}
    for f in frames:
        at = origin + (f.time - origin) * slower
        if at in by_time:
            assert by_time[at].planes is f.planes
            assert not by_time[at].made


# --- schedules by themselves -------------------------------------------------------------------------------------


def test_half_an_hour_of_film_at_60_does_not_drift():
    schedule, frame, length = AtRate(F(60)), 1 / FILM, 0
    edges = [k * frame for k in range(0, 24 * 1800, 240)]
    for a, b in pairwise(edges):
        for due in schedule.between([a, (a + b) / 2, b]):
            assert due == Due(F(length, 60), F(1, 60))
            length += 1
    assert length == math.ceil(edges[-1] * 60)


@pytest.mark.parametrize("rate", [F(1), F(1001, 1000), F(1, 7)])
def test_ten_hours_frame_by_frame_do_not_drift(rate):
    """Every interval of 24000/1001 apart; slow results, so that there are few."""
    schedule, frame, times = AtRate(rate), 1 / FILM, []
    step = 31
    for k in range(0, 36000 * 24, step):
        times += [due.time for due in schedule.between([k * frame, (k + step) * frame])]
    assert times == [k / rate for k in range(len(times))]
    assert len(times) == math.ceil((k + step) * frame * rate)


def test_a_schedule_begins_anew():
    schedule = AtRate(F(50))
    assert [d.time for d in schedule.between([F(1, 3), F(1, 3) + F(1, 25)])] == [F(1, 3), F(1, 3) + F(1, 50)]
    schedule.begin()
    assert [d.time for d in schedule.between([F(-2), F(-2) + F(1, 25)])] == [F(-2), F(-2) + F(1, 50)]


def test_split_parts_every_interval():
    due = Split(3).between([F(0), F(1, 7), F(1, 2)])
    assert [d.time for d in due] == [F(0), F(1, 21), F(2, 21), F(1, 7), F(1, 7) + F(5, 42), F(1, 7) + F(5, 21)]
    assert [d.duration for d in due] == [F(1, 21)] * 3 + [F(5, 42)] * 3


@pytest.mark.parametrize(("a", "b"), [(F(1, 90000), F(1001, 60000)), (MS, F(1, 60)), (F(3), F(2)), (F(1, 4), F(1, 4))])
def test_common_tick_is_the_largest(a, b):
    tick = common_tick(a, b)
    assert (a / tick).denominator == (b / tick).denominator == 1
    assert math.gcd((a / tick).numerator, (b / tick).numerator) == 1


# --- constant rates ----------------------------------------------------------------------------------------------

RATES = [
    (FILM, F(60)),
    (PAL, F(50)),
    (F(30), FILM),
    (F(50), NTSC),
    (F(60), F(24)),
    (FILM, F(1000)),
    (F(24), F(24)),
    (PAL, F(7, 3)),
]


@pytest.mark.parametrize(("source", "rate"), RATES, ids=str)
@pytest.mark.parametrize("tick", [None, MS, F(1, 90000)], ids=str)
def test_every_output_is_exactly_where_it_is_due(source, rate, tick):
    frames = even(source, 60, start=-13, tick=tick)
    out = run(frames, source, rate=rate)
    start = frames[0].time
    assert [f.time for f in out] == [start + k / rate for k in range(len(out))]
    assert len(out) == math.ceil((end_of(frames) - start) * rate)
    assert {f.duration * f.time_base for f in out} == {1 / rate}
    assert out[0].planes is frames[0].planes
    check_tiled(out)
    check_sources(out, frames)
    declared = Interpolate(rate=rate).declare(info_of(frames, source), "cpu").output
    assert declared.rate == rate
    assert {f.time_base for f in out} == {declared.time_base}
    assert abs(declared.frames - len(out)) <= math.ceil(rate / source)


@pytest.mark.parametrize(("source", "rate"), RATES[:5], ids=str)
def test_sample_gives_the_nearest_frame(source, rate):
    frames = even(source, 30)
    times = [f.time for f in frames]
    for f in run(frames, source, rate=rate):
        distances = [abs(f.time - t) for t in times]
        assert abs(f.time - times[f.side_data["number"]]) <= min(distances) + F(1, 25) / source
        assert not f.made


@pytest.mark.parametrize("method", ["sample", "blend", "flow", *BY_NETWORKS])
def test_to_the_same_rate_every_frame_leaves_untouched(method):
    frames = even(FILM, 30)
    for repeats in ("auto", "keep"):
        out = run(frames, FILM, rate=FILM, method=method, repeats=repeats)
        assert [f.planes for f in out] == [f.planes for f in frames]
        assert [f.time for f in out] == [f.time for f in frames]


def test_doubling_keeps_every_source_frame_and_makes_one_between():
    frames = even(PAL, 20)
    out = run(frames, PAL, rate=50, method="blend")
    assert [f.planes for f in out[::2]] == [f.planes for f in frames]
    assert [f.made for f in out] == [False, True] * 19 + [False, False]  # the last lasts until the end of the clip


def test_rounded_times_are_near_enough():
    """25 fps at 24.98: times are missed by less than a fiftieth, and the frames leave untouched."""
    pts = [0, 41, 80, 120, 161, 200, 240, 279, 320]
    frames = clip(pts, MS, [40] * 9)
    out = run(frames, PAL, rate=PAL, method="blend")
    near = [abs(p - 40 * k) * 50 <= 40 for k, p in enumerate(pts)]
    assert [not f.made for f in out] == [*near, True][: len(out)]


# --- factors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("method", ["sample", "blend", *BY_NETWORKS])
def test_every_interval_of_a_variable_rate_is_split(factor, method):
    pts = np.cumsum([0, *np.random.default_rng(1).integers(1, 90, 40)]).tolist()
    frames = clip([p - 500 for p in pts], MS, [7] * len(pts))
    out = run(frames, None, factor=factor, method=method)
    expected = [a.time + F(k, factor) * (b.time - a.time) for a, b in pairwise(frames) for k in range(factor)]
    expected += [frames[-1].time + F(k, factor) * 7 * MS for k in range(factor)]
    assert [f.time for f in out] == expected
    assert [f.planes for f in out[::factor]] == [f.planes for f in frames]
    assert out[-1].time + out[-1].duration * out[-1].time_base == end_of(frames)
    assert {f.time_base for f in out} == {MS / factor}
    check_tiled(out)


@pytest.mark.parametrize("factor", [2, 49, 50, 51, 64])
@pytest.mark.parametrize("method", ["blend", *BY_NETWORKS])
def test_no_source_frame_comes_twice(factor, method):
    frames = even(PAL, 4)
    out = run(frames, PAL, factor=factor, method=method)
    assert len(out) == 4 * factor
    count = Counter(id(f.planes) for f in out[:-factor])
    assert all(n == 1 for n in count.values())
    assert [f.planes for f in out[::factor]] == [f.planes for f in frames]


def test_a_last_frame_without_a_duration_lasts_as_long_as_the_one_before():
    out = run(clip([0, 10, 40], MS), None, factor=3)
    assert [f.pts for f in out] == [0, 10, 20, 30, 60, 90, 120, 150, 180]
    assert out[-1].duration == 30
    single = run(clip([5], MS), PAL, factor=4)
    assert [f.time for f in single] == [5 * MS + k * F(1, 100) for k in range(4)]
    nothing_known = run(clip([5], MS), None, factor=2)
    assert [f.time for f in nothing_known] == [5 * MS, F(11, 2) * MS]


def test_a_last_picture_of_repeats_without_durations():
    frames = clip([0, 40, 80, 120, 160, 200], MS)
    frames = [f.replace(planes=frames[k // 2].planes) for k, f in enumerate(frames)]
    out = run(frames, PAL, factor=2, method="blend", repeats="retime")
    assert [f.time for f in out] == [k * F(1, 50) for k in range(12)]
    check_tiled(out)


# --- slow motion -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slower", [F(1), F(2), F(5, 2), F(8)], ids=str)
@pytest.mark.parametrize("start", [0, -70, 12345])
def test_slow_motion_stretches_time(slower, start):
    frames = even(PAL, 12, start=start, tick=MS)
    out = run(frames, PAL, slow_motion=slower)
    assert [f.time for f in out] == [frames[0].time + F(k, 25) for k in range(math.ceil(12 * slower))]
    check_tiled(out)
    check_sources(out, frames, slower)
    if slower.denominator == 1:
        assert [f.planes for f in out[:: int(slower)]] == [f.planes for f in frames]


def test_slow_motion_at_another_rate():
    out = run(even(PAL, 10), PAL, slow_motion="5/2", rate=NTSC)
    assert [f.time for f in out] == [k / NTSC for k in range(math.ceil(NTSC))]


def test_slow_motion_goes_on_behind_a_gap():
    """The stretched clock is not set back: times stay in order."""
    frames = even(PAL, 12)
    gap = [f.replace(pts=f.pts + 5 * (k >= 6), discontinuity=k == 6) for k, f in enumerate(frames)]
    out = run(gap, PAL, slow_motion=2)
    assert len(out) == 24
    assert [f.time for f in out] == [F(k, 25) for k in range(12)] + [F(22 + k, 25) for k in range(12)]


# --- ends, gaps, resets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sample", "blend", "flow", *BY_NETWORKS])
@pytest.mark.parametrize("repeats", ["auto", "keep", "retime"])
def test_one_frame_two_frames_and_none(method, repeats):
    options = {"rate": 50, "method": method, "repeats": repeats}
    frames = even(PAL, 2)
    assert Stream([Interpolate(**options, **network_of(method))], info_of(frames, PAL)).flush() == []
    one = run(frames[:1], PAL, **options)
    assert [(f.time, f.planes) for f in one] == [(0, frames[0].planes), (F(1, 50), frames[0].planes)]
    two = run(frames, PAL, **options)
    assert [f.time for f in two] == [F(k, 50) for k in range(4)]
    assert two[0].planes is frames[0].planes


def parted_clip():
    """Eight frames, a gap of 100, eight more."""
    return [f.replace(pts=f.pts + 100 * (k >= 8), discontinuity=k == 8) for k, f in enumerate(even(PAL, 16))]


@pytest.mark.parametrize("options", [{"factor": 3}, {"slow_motion": 3}], ids=str)
@pytest.mark.parametrize("method", ["sample", "flow", *BY_NETWORKS])
def test_a_gap_parts_the_clip(options, method):
    """Both parts come out as two clips would, and the gap is told once."""
    parted = parted_clip()
    out = run(parted, PAL, method=method, **options)
    assert [f.discontinuity for f in out].count(True) == 1
    at = next(k for k, f in enumerate(out) if f.discontinuity)
    assert out[at].planes is parted[8].planes
    first, second = run(parted[:8], PAL, method=method, **options), run(parted[8:], PAL, method=method, **options)
    assert [(f.time, f.duration) for f in out[:at]] == [(f.time, f.duration) for f in first]
    start = out[at].time
    assert [f.time - start for f in out[at:]] == [f.time - second[0].time for f in second]
    for a, b in zip(out, first + second, strict=True):
        assert np.array_equal(a.planes[0], b.planes[0])
    assert all(a.time < b.time for a, b in pairwise(out))


@pytest.mark.parametrize("method", ["sample", "blend", "flow", *BY_NETWORKS])
@pytest.mark.parametrize("rate", [F(60), F(24000, 1001), F(50)], ids=str)
def test_a_constant_rate_keeps_its_grid_behind_a_gap(method, rate):
    parted = parted_clip()
    out = run(parted, PAL, method=method, rate=rate)
    (at,) = (k for k, f in enumerate(out) if f.discontinuity)
    gap, end = parted[8].time, end_of(parted)
    grid = [k / rate for k in range(math.ceil(end * rate))]
    assert [f.time for f in out] == [t for t in grid if t < 8 * F(1, 25) or t >= gap]
    assert out[at].time == min(t for t in grid if t >= gap)


@pytest.mark.parametrize("method", ["flow", *BY_NETWORKS])
def test_flushed_it_can_be_pushed_again(method):
    for frames in (even(FILM, 10), even(FILM, 1)):
        for rate in (60, FILM):
            check_again(frames, rate, method)


def check_again(frames, rate, method):
    stream = Stream([Interpolate(rate=rate, method=method, **network_of(method))], info_of(frames, FILM))
    once, again = (list(stream.process(frames)) for _ in range(2))
    assert once
    for a, b in zip(once, again, strict=True):
        assert (a.time, a.duration, a.cut, a.made) == (b.time, b.duration, b.cut, b.made)
        assert np.array_equal(a.planes[0], b.planes[0])


def test_reset_forgets_all():
    frames = even(FILM, 10)
    fresh = run(frames, FILM, rate=60, repeats="auto")
    stream = Stream([Interpolate(rate=60, method="sample")], info_of(frames, FILM))
    for f in even(F(7), 9, start=-3):
        stream.push(f)
    stream.reset()
    assert [(f.time, f.planes) for f in stream.process(frames)] == [(f.time, f.planes) for f in fresh]


@pytest.mark.parametrize("pts", [[0, 2, 2], [0, 2, 1]])
@pytest.mark.parametrize("repeats", ["keep", "auto", "retime"])
def test_time_that_does_not_go_on_is_refused(pts, repeats):
    stage = Interpolate(factor=2, method="blend", repeats=repeats)
    frames = clip(pts, F(1, 25))
    runtime = stage.open(info_of(frames, PAL), "cpu")
    runtime.push(frames[0])
    runtime.push(frames[1])
    with pytest.raises(FormatError, match="expected each later than the one before"):
        runtime.push(frames[2])
    runtime.push(frames[2].replace(pts=3))  # the rest of the clip still can be
    assert [f.time for f in runtime.flush()][-1] > 2 * F(1, 25)
    with pytest.raises(StageError, match="interpolate"):
        run(frames, PAL, factor=2)


# --- what is declared --------------------------------------------------------------------------------------------

LATENCIES = [
    ({"method": "sample"}, 1),
    ({"method": "sample", "repeats": "retime"}, 1),
    ({"method": "blend", "repeats": "keep"}, 1),
    ({"method": "blend"}, 2),
    ({"method": "flow", "repeats": "keep", "acceleration": False}, 1),
    ({"method": "flow", "repeats": "keep"}, 2),
    ({"method": "flow", "acceleration": False}, 2),
    ({"method": "flow"}, 3),
    ({"method": "flow", "acceleration": False, "cuts": "extrapolate"}, 3),
    ({"method": "ifnet", "acceleration": False, "repeats": "keep"}, 1),
    ({"method": "superslomo", "repeats": "keep"}, 2),
    ({"method": "ifnet"}, 3),
    ({"method": "dain"}, 3),
    ({"method": "fast"}, 3),
]
LATENCIES = [
    pytest.param(
        options, late, options["method"], marks=pytest.mark.extra("train") if network_of(options["method"]) else ()
    )
    for options, late in LATENCIES
]


@pytest.mark.parametrize(("options", "latency", "method"), LATENCIES, ids=str)
def test_the_first_frame_comes_as_late_as_declared(options, latency, method):
    stage = Interpolate(factor=2, **options, **network_of(method))
    frames = even(PAL, 12)
    declared = stage.declare(info_of(frames, PAL), "cpu")
    assert declared.latency == stage.latency == latency
    assert declared.window == stage.window
    assert declared.window[1] >= latency
    runtime = stage.open(info_of(frames, PAL), "cpu")
    given = [len(runtime.push(f)) for f in frames]
    assert given == [0] * latency + [2] * (12 - latency)


@pytest.mark.parametrize("method", ["blend", "flow", *BY_NETWORKS])
@pytest.mark.parametrize("shown", [1, 2, 3])
def test_no_frame_waits_longer_than_the_window_says(method, shown):
    """Every picture shown so often: a frame is out before more than `window` frames have come after it."""
    stage = Interpolate(factor=2, method=method, repeats="retime", **network_of(method))
    assert stage.latency == stage.window[1] == {"blend": 6}.get(method, 9)
    frames = even(PAL, 36)
    frames = [f.replace(planes=frames[k // shown].planes) for k, f in enumerate(frames)]
    runtime = stage.open(info_of(frames, PAL), "cpu")
    out = 0
    for k, f in enumerate(frames):
        out += len(runtime.push(f))
        assert out >= 2 * (k - stage.window[1] + 1)
    assert out + len(runtime.flush()) == 72


def test_the_plan_says_what_will_be():
    info = VideoInfo(640, 360, rate=FILM, frames=240)
    text = str(Stream.planned([Interpolate(rate="60000/1001", method="flow")], info))
    for words in ("60000/1001 frames a second", "motion by", "looks up to 9 frames ahead", "latency 3", "59.9401 fps"):
        assert words in text
    plan = Stream.planned([Interpolate(slow_motion=4, method="blend", repeats="keep")], info)
    assert "4 times as slow" in str(plan)
    assert plan.output.frames == 960
    assert plan.output.rate == FILM
    assert plan.latency == 1
    plan = Stream.planned([Interpolate(factor=3)], info)
    assert "3 times as many frames" in str(plan)
    assert plan.output.rate == 3 * FILM


@pytest.mark.parametrize(
    ("options", "info", "method"),
    [
        ({"factor": 2}, VideoInfo(640, 360, rate=FILM), "flow"),  # 11 million pixels a second
        ({"factor": 2}, VideoInfo(320, 180, rate=FILM), "fast"),
        ({"rate": 60}, VideoInfo(320, 180, rate=FILM), "fast"),
        ({"rate": 90}, VideoInfo(320, 180, rate=FILM), "flow"),
        ({"slow_motion": 4}, VideoInfo(320, 180, rate=FILM), "fast"),  # shown at the source's rate
        ({"factor": 2}, VideoInfo(320, 180), "flow"),  # how fast that is cannot be known
        ({"rate": 60}, VideoInfo(320, 180), "fast"),
        ({"rate": 60, "method": "memc"}, VideoInfo(320, 180, rate=FILM), "memc"),
        ({"factor": 2, "method": "fast"}, VideoInfo(640, 360, rate=FILM), "fast"),
    ],
)
def test_the_method_is_one_that_keeps_up(monkeypatch, options, info, method):
    """With two cores. Declared and run alike."""
    monkeypatch.setattr("reelmend.stages.interpolate.stage.cores", lambda: 2)
    stage = Interpolate(**options)
    declared = stage.declare(info, "cpu")
    assert declared.notes[0].startswith(f"{method}, ")
    assert (declared.window, declared.latency, declared.state) == (stage.window, stage.latency, stage.state)
    assert declared == Interpolate(**{**options, "method": method}).declare(info, "cpu")
    assert stage._chosen(info, "cpu").method == method
    assert stage._chosen(info, "cuda").method == ("memc" if method == "memc" else "fast")


def test_what_is_not_known_is_not_promised():
    unknown = VideoInfo(640, 360, frames=240)
    assert Interpolate(rate=60).declare(unknown, "cpu").output.frames is None
    factor = Interpolate(factor=3).declare(unknown, "cpu").output
    assert (factor.frames, factor.rate) == (720, None)
    with pytest.raises(OptionError, match="needs rate="):
        Interpolate(slow_motion=2).declare(unknown, "cpu")


def test_state():
    assert Interpolate(rate=60).state == "recurrent"
    assert Interpolate(rate=60, repeats="keep").state == "recurrent"
    assert Interpolate(rate=60, repeats="keep", overlays=False).state == "window"
    assert Interpolate(rate=60, method="sample").state == "window"


# --- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [60, "60", 60.0, F(60), "60000/1001", F(60000, 1001)])
def test_rates_are_exact(rate):
    assert Interpolate(rate=rate).rate == F(rate)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "how many frames"),
        ({"rate": 59.94}, "no exact rate"),
        ({"rate": float("nan")}, "no exact rate"),
        ({"rate": float("inf")}, "no exact rate"),
        ({"rate": "1/0"}, "number or a fraction"),
        ({"rate": "fast"}, "number or a fraction"),
        ({"rate": [60]}, "number or a fraction"),
        ({"rate": True}, "number or a fraction"),
        ({"rate": 0}, "rate is"),
        ({"rate": -25}, "rate is"),
        ({"rate": 1001}, "at most 1000"),
        ({"factor": 1}, "2 to 64"),
        ({"factor": 65}, "2 to 64"),
        ({"factor": 2.0}, "2 to 64"),
        ({"factor": True}, "2 to 64"),
        ({"factor": 2, "rate": 60}, "does not go with"),
        ({"factor": 2, "slow_motion": 2}, "does not go with"),
        ({"slow_motion": "1/2"}, "slow_motion"),
        ({"slow_motion": 1001}, "slow_motion"),
        ({"rate": 60, "method": "rife"}, "one of auto, sample, blend, memc, flow, fast"),
        ({"rate": 60, "cuts": "mix"}, "cuts"),
        ({"rate": 60, "repeats": "drop"}, "repeats"),
        ({"rate": 60, "overlays": 1}, "overlays is 1; expected True or False"),
        ({"rate": 60, "acceleration": "yes"}, "acceleration is 'yes'; expected True or False"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(OptionError, match=words):
        Interpolate(**options)
