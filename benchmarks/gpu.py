"""The GPU of this machine: every op's bits and bandwidth, the stages on frames in its memory, and its tests.

    make gpu [OUT=FOLDER] [WHEELS=FOLDER] [PYTHON=python3]

builds for the GPU (gpu_build.py), runs this, and leaves gpu_<device>.json in the folder (benchmarks/results). Without a
GPU it fails. A section below is a function from Machine to rows; what is wrong it adds to `faults`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gpu_device import Clock, Gpu, Timing, found, placed
from reelmend import Deflicker, Interpolate, Stream, Upscale
from reelmend.analyze.benchmark import Row, document, table, write
from reelmend.analyze.opcases import each, op_cases
from reelmend.cli.bench import frames
from reelmend.errors import ReelmendError
from reelmend.frame import Frame
from reelmend.stage import Stage
from schema import RESULTS, problems

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((1920, 1080), (3840, 2160))
RAGGED = (318, 242)
LARGE = 1 << 29  # bytes that a large copy moves
MODES = ("film", "live")
BETWEEN = ((1280, 720), (1920, 1080))  # new frames
ENLARGED = ((960, 540), (1920, 1080))  # to twice their size
# Where tests marked gpu are. Those of media need PyAV, which ops and stages do not.
TESTS = ("tests/ops", "tests/stages", "tests/engines", *(("tests/media",) if find_spec("av") else ()))
TESTS_LIMIT = 300  # seconds


@dataclass
class Machine:
    """What sections work with: `gpus` is one GPU, through each library that can hold its arrays.

    faults  what is wrong; `absent`: what could not be measured, and why
    """

    info: dict[str, Any]
    gpus: list[Gpu]
    faults: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock(self.gpus[0], int(self.info["l2_cache"]))

    @property
    def peak(self) -> float:
        """Bytes a second of a copy within the device, read and written, of buffers far larger than its cache."""
        size = LARGE
        return size / self.clock.copy(size).seconds


def copies(machine: Machine) -> Iterator[Row]:
    """What the device's own copy reaches, large and as small as an op at 1080p."""
    for size in (LARGE, 1 << 25, 1 << 22):
        t = machine.clock.copy(size)
        yield Row(
            f"copy within the device, {size >> 20} MiB", "cuda", {**_times(t), "gb_per_s": size / t.seconds / 1e9}
        )


def parity(machine: Machine) -> Iterator[Row]:
    """Every case of every op, its result beside the CPU's, bit for bit: no op has a tolerance."""
    for width, height in (RAGGED, *SIZES):
        for case in op_cases(width, height):
            for gpu in machine.gpus:
                name = f"parity: {case.name}, {width}x{height}"
                got = [gpu.get(a) for a in each(case.run(placed(gpu, case), None))]
                different = sum(map(differing, each(case.out), got))
                if different:
                    machine.faults.append(f"{name}, {gpu.library}: {different} samples are not the CPU's")
                count = sum(a.size for a in each(case.out))
                yield Row(name, gpu.library, {"samples": count, "different": different})


def differing(a: Any, b: Any) -> int:
    """Samples whose bits differ; all of them where shape or dtype does."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return max(a.size, 1)
    bits = np.dtype(f"u{a.itemsize}")
    return int(np.count_nonzero(np.ascontiguousarray(a).view(bits) != np.ascontiguousarray(b).view(bits)))


def bandwidth(machine: Machine) -> Iterator[Row]:
    """Bytes that each case must move over the time it takes, as a share of the copy's rate.

    us           in a run, a call after the other, each on arrays that are not in the cache
    share        of the rate of a large copy; share_of_copy: of the rate of copies of as many bytes, in a run too
    alone_us     one call after the cache was emptied, with what starting a kernel takes; alone_share: of a large copy
    queueing_us  of Python's and the driver's time for a call; no part of the others
    """
    peak = machine.peak
    for width, height in SIZES:
        for case in op_cases(width, height):
            alone, run = machine.clock.case(case)
            values = _times(run)
            values["gb_per_s"] = case.bytes / run.seconds / 1e9
            values["share"] = case.bytes / run.seconds / peak
            values["share_of_copy"] = machine.clock.copy(case.bytes).seconds / run.seconds
            values["alone_us"] = 1e6 * alone.seconds
            values["alone_share"] = case.bytes / alone.seconds / peak
            yield Row(f"{case.name}, {width}x{height}", "cuda", values)


def _times(t: Timing) -> dict[str, float | None]:
    return {
        "us": 1e6 * t.seconds,
        "q1_us": 1e6 * t.q1,
        "q3_us": 1e6 * t.q3,
        "queueing_us": 1e6 * t.queueing,
        "starved_rounds": t.starved,
    }


def stages(machine: Machine, size: tuple[int, int] = SIZES[0], count: int = 84, seconds: float = 3.0) -> Iterator[Row]:
    """Deflicker on frames that lie in the GPU's memory and stay there: its frames beside the CPU's, and its speed."""
    width, height = size
    stock = list(frames(width, height, 24))
    for mode in MODES:
        case = f"deflicker {mode}, {width}x{height}"
        stage = Deflicker(mode=mode)
        expected = _through(stage, "cpu", stock, count)
        for gpu in machine.gpus:
            held = [_held(gpu, frame) for frame in stock]
            different = _unlike(gpu, expected, _through(stage, "cuda", held, count))
            if different:
                machine.faults.append(f"{case}, {gpu.library}: {different} of {count} frames are not the CPU's")
            yield Row(f"parity: {case}", gpu.library, {"frames": count, "different": different})
            yield Row(case, gpu.library, {"fps": _speed(stage, "cuda", held, seconds, gpu)})
        yield Row(case, "cpu", {"fps": _speed(stage, "cpu", stock, seconds)})


def enlarging(machine: Machine, count: int = 12, seconds: float = 3.0) -> Iterator[Row]:
    """Upscale by the network that it takes by default, end to end, with a graph for each frame and without.

    recorded   whether there was a graph. Without, the backend may still have one for a run of its network
    different  frames that are not the same to the bit with and without
    """
    stages = {"graph": Upscale(), "no graph": Upscale(graphs=False)}
    for width, height in ENLARGED:
        case = f"upscale to {2 * width}x{2 * height}"
        stock = list(frames(width, height, 8))
        for gpu in machine.gpus:
            held = [_held(gpu, frame) for frame in stock]
            made: dict[str, list[list[Any]]] = {}
            for how, stage in stages.items():
                try:
                    stream, source = Stream([stage], device="cuda"), _endless(held)
                    outs = [out for _ in range(count) for out in stream.push(next(source))]
                    fps = _speed(stage, "cuda", held, seconds, gpu)
                except (ReelmendError, ImportError) as error:
                    machine.absent.append(f"{case}, {gpu.library}, {how}: {error}")
                    continue
                made[how] = [[gpu.get(plane) for plane in out.planes] for out in outs]
                recorded = how == "graph" and not any("graph" in fallback.wanted for fallback in stream.fallbacks)
                yield Row(f"{case}, {how}", gpu.library, {"fps": fps, "recorded": float(recorded)})
            if len(made) == len(stages):
                both = zip(made["graph"], made["no graph"], strict=True)
                different = sum(any(map(differing, a, b)) for a, b in both)
                if different:
                    machine.faults.append(f"{case}, {gpu.library}: {different} of {count} frames change with a graph")
                yield Row(f"graph or none: {case}", gpu.library, {"frames": count, "different": different})


def between(machine: Machine, count: int = 12, seconds: float = 3.0) -> Iterator[Row]:
    """New frames between frames, by the methods that ship: to twice the rate, and seven of a pair. A second's frames
    are all that come out. Along flow they are the CPU's to the bit; what networks make is not compared here.

    seven_ms  seven new frames of one pair; published: Super SloMo 790 ms for 720p (V100)
    """
    for width, height in BETWEEN:
        stock = list(frames(width, height, 8))
        for method in ("flow", "fast"):
            case = f"new frames, {width}x{height}, {method}"
            twice, seven = (Interpolate(factor=n, method=method, repeats="keep") for n in (2, 8))
            expected = _through(twice, "cpu", stock, count) if method == "flow" else []
            for gpu in machine.gpus:
                held = [_held(gpu, frame) for frame in stock]
                try:
                    fps = _speed(twice, "cuda", held, seconds, gpu)
                    seven_ms = 8e3 / _speed(seven, "cuda", held, seconds, gpu)
                    made = _through(twice, "cuda", held, count) if expected else []
                except (ReelmendError, ImportError) as error:
                    machine.absent.append(f"{case}, {gpu.library}: {error}")
                    continue
                yield Row(case, gpu.library, {"fps": fps, "seven_ms": seven_ms})
                if made:
                    different = _unlike(gpu, expected, made)
                    if different:
                        machine.faults.append(f"{case}, {gpu.library}: {different} frames are not the CPU's")
                    yield Row(f"parity: {case}", gpu.library, {"frames": len(made), "different": different})


def _unlike(gpu: Gpu, expected: list[Frame], made: list[Frame]) -> int:
    """Frames made on the GPU that are not the CPU's to the bit."""
    return sum(
        any(differing(p, gpu.get(q)) for p, q in zip(a.planes, b.planes, strict=True))
        for a, b in zip(expected, made, strict=True)
    )


def _held(gpu: Gpu, frame: Frame) -> Frame:
    return frame.replace(planes=tuple(gpu.put(p) for p in frame.planes))


def _endless(stock: list[Frame]) -> Iterator[Frame]:
    t = 0
    while True:
        yield stock[t % len(stock)].replace(pts=t)
        t += 1


def _through(stage: Stage, device: str, stock: list[Frame], count: int) -> list[Frame]:
    stream, source = Stream([stage], device=device), _endless(stock)
    return [out for _ in range(count) for out in stream.push(next(source))] + stream.flush()


def _speed(stage: Stage, device: str, stock: list[Frame], seconds: float, gpu: Gpu | None = None) -> float:
    """Frames a second once the stage's window is full, all work on the GPU done."""
    stream, source = Stream([stage], device=device), _endless(stock)
    wait = gpu.wait if gpu is not None else lambda: None
    while not stream.push(next(source)):
        pass
    wait()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += len(stream.push(next(source)))
    wait()
    return done / (time.perf_counter() - start)


def suite(machine: Machine) -> Iterator[Row]:
    """The tests marked gpu, which may not be skipped for want of one."""
    report = ROOT / "build" / "gpu" / "tests.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    # Other versions than the project's are no fault here, and plugins that happen to be installed have no say.
    env = {**os.environ, "REELMEND_REQUIRE_GPU": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-W", "default", f"--junitxml={report}", *TESTS]
    start = time.perf_counter()
    try:
        status = subprocess.run(command, cwd=ROOT, env=env, check=False, timeout=TESTS_LIMIT).returncode
    except subprocess.TimeoutExpired:
        machine.faults.append(f"tests marked gpu: not done in {TESTS_LIMIT} s")
        return
    if status:
        machine.faults.append(f"tests marked gpu: pytest's status is {status}")
    if report.exists():
        suites = list(ElementTree.parse(report).iter("testsuite"))
        count = {name: sum(int(s.get(name, 0)) for s in suites) for name in ("tests", "failures", "errors", "skipped")}
        passed = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
        values: dict[str, float | None] = {"passed": passed, "failed": count["failures"] + count["errors"]}
        values |= {"skipped": count["skipped"], "seconds": time.perf_counter() - start}
        yield Row("tests marked gpu", "pytest", values)


SECTIONS = (copies, parity, bandwidth, stages, enlarging, between, suite)


def here() -> Machine:
    """This machine's first GPU. SystemExit says what is missing."""
    try:
        cuda = import_module("reelmend._cuda")
    except ImportError as error:
        raise SystemExit(f"make gpu: this build has no CUDA module ({error}); run make gpu, which builds it") from None
    if cuda.device_count() < 1:
        raise SystemExit(f"make gpu: no GPU here: CUDA says: {cuda.why_not()}")
    gpus = found()
    if not gpus:
        raise SystemExit(
            f"make gpu: {sys.executable} has neither CuPy nor a PyTorch with CUDA, one of which must hold arrays on "
            "the GPU: pip install cupy-cuda13x, or bring its wheel and those of what it needs with WHEELS=FOLDER"
        )
    return Machine({"architectures": cuda.architectures, **cuda.device_info(0)}, gpus)


def name_of(device: str) -> str:
    """The benchmark's name: gpu_nvidia_h200 for an NVIDIA H200."""
    return "gpu_" + "_".join(re.findall(r"[a-z0-9]+", device.lower()))


def result(machine: Machine, rows: list[Row]) -> dict[str, Any]:
    """The document of all rows."""
    versions = {}
    for name in ("cupy-cuda13x", "cupy-cuda12x", "torch"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    settings = {
        "sizes": [f"{w}x{h}" for w, h in SIZES],
        "depth": 8,
        "arrays": [gpu.library for gpu in machine.gpus],
        "faults": machine.faults,
        "absent": machine.absent,
    }
    made = document(name_of(machine.info["name"]), rows, settings=settings, more_versions=versions)
    made["machine"]["gpu"] = machine.info
    return made


def show(rows: list[Row]) -> str:
    """What a reader looks for first: shares of the copy's rate, frames a second, what differs."""
    body = []
    for row in rows:
        v = row.values
        if "share" in v:
            cells = [f"{v['us']:.1f}", f"{v['gb_per_s']:.0f}", f"{100 * (v['share'] or 0):.0f}"]
            cells += [f"{100 * (v['share_of_copy'] or 0):.0f}", f"{v['alone_us']:.1f}", f"{v['queueing_us']:.0f}"]
            body.append([row.case, *cells])
        elif "gb_per_s" in v:
            body.append([row.case, f"{v['us']:.1f}", f"{v['gb_per_s']:.0f}", "", "", "", ""])
    head = ("op", "us", "GB/s", "% of a copy", "% of one as small", "alone, us", "queueing, us")
    parts = [table(head, body)]
    rates = [[row.case, row.method, f"{row.values['fps']:.1f}"] for row in rows if "fps" in row.values]
    parts.append(table(("stage", "on", "frames / s"), rates))
    compared = [row for row in rows if row.case.startswith("parity: ")]
    wrong = sum(bool(row.values["different"]) for row in compared)
    parts.append(f"parity with the CPU: {len(compared) - wrong} of {len(compared)} equal to the bit")
    parts += [f"{row.case}: {row.values}" for row in rows if row.method == "pytest"]
    return "\n\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", default="", metavar="FOLDER", help="where to put the result (benchmarks/results)")
    args = parser.parse_args()
    machine = here()
    rows: list[Row] = []
    for section in SECTIONS:
        start = time.perf_counter()
        rows += section(machine)
        print(f"{section.__name__}: {time.perf_counter() - start:.0f} s", flush=True)
    made = result(machine, rows)
    machine.faults += problems(made)
    path = Path(args.out or RESULTS) / f"{made['benchmark']}.json"
    write(path, made)
    print(f"\n{machine.info['name']}\n\n{show(rows)}\n\n{path}")
    for missing in machine.absent:
        print(f"not measured: {missing}")
    for fault in machine.faults:
        print(f"make gpu: {fault}", file=sys.stderr)
    return 1 if machine.faults else 0


if __name__ == "__main__":
    sys.exit(main())
