"""What an engine costs beside the runtime under it, how fast it starts, and which backend is faster on the CPU.

    python benchmarks/engines.py [--quick] [--json benchmarks/results/engines.json]

overhead   Engine.run on arrays of the host beside a bare call of the ONNX Runtime session under it, same buffers
start      a new process: from the first import to an engine that is ready, and to its first result; each backend
backends   the engine on OpenVINO (where its extra is installed) beside ONNX Runtime, fp32, and int8 where there is one
tiles      the stage Upscale, 540 to 1080 lines, in parts of several sizes and whole
Those compared take turns; ratios are of one round, then median and quartiles.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from reelmend import Stream, Upscale
from reelmend.analyze.benchmark import Comparison, Row, alternate, compare, document, table, write
from reelmend.engines import Network, networks, open_engine
from reelmend.engines.host import cores
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range

HD = (720, 1280)
SMALL = (540, 960)
BACKENDS = ("openvino", "onnxruntime") if find_spec("openvino") else ("onnxruntime",)

Figures = tuple[list[Row], list[Comparison]]


def upscalers() -> list[Network]:
    """Those of the catalogue."""
    return [n for n in networks() if isinstance(n, Network) and n.task == "upscale"]


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).random((1, 3, *size), np.float32)


def _timed(case: str, calls: dict[str, Callable[[], object]], ours: str, rounds: int) -> Figures:
    taken = alternate(calls, rounds)
    rows = [Row(case, name, {"ms": 1e3 * float(np.median(t)), "best_ms": 1e3 * min(t)}) for name, t in taken.items()]
    return rows, [compare(case, ours, peer, taken) for peer in calls if peer != ours]


def overhead(network: Network, rounds: int) -> Figures:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    bare = onnxruntime.InferenceSession(network.onnx(), options, providers=["CPUExecutionProvider"])
    engine = open_engine(network, size=HD, backend="onnxruntime")
    given = {name: picture(HD) for name in engine.inputs}
    made = {name: np.empty(shape, np.float32) for name, shape in engine.outputs.items()}
    binding = bare.io_binding()
    for name, x in given.items():
        binding.bind_input(name, "cpu", 0, np.float32, x.shape, x.ctypes.data)
    for name, y in made.items():
        binding.bind_output(name, "cpu", 0, np.float32, y.shape, y.ctypes.data)
    calls = {
        "engine": lambda: engine.run(given, made),
        "onnxruntime, bound": lambda: bare.run_with_iobinding(binding),
        "onnxruntime, plain": lambda: bare.run(None, given),
    }
    return _timed(f"overhead: {network.name}, 1280x720", calls, "engine", rounds)


_START = """
import time
begin = time.perf_counter()
import numpy as np
from reelmend.engines import open_engine
engine = open_engine({name!r}, size=(540, 960), backend={backend!r})
ready = time.perf_counter() - begin
engine.run({{n: np.zeros(s, np.float32) for n, s in engine.inputs.items()}})
print(ready, time.perf_counter() - begin)
"""


def start(network: Network, backend: str, rounds: int) -> Row:
    """Seconds in a new process, once what it reads is in memory and its engine was accepted."""
    taken = []
    for _ in range(rounds + 1):
        command = [sys.executable, "-c", _START.format(name=network.name, backend=backend)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        taken.append([float(word) for word in out.split()])
    ready, first = np.median(taken[1:], axis=0)
    values: dict[str, float | None] = {"ready_s": float(ready), "first_result_s": float(first)}
    return Row(f"start: {network.name}, 960x540, {backend}", "engine", values)


def backends(network: Network, rounds: int) -> Figures:
    calls: dict[str, Callable[[], object]] = {}
    for backend in BACKENDS:
        for precision in ("fp32", "int8"):
            if precision not in network.part().files:
                continue
            engine = open_engine(network, size=SMALL, backend=backend, precision=precision)
            given = {name: picture(SMALL) for name in engine.inputs}
            made = {name: np.empty(shape, np.float32) for name, shape in engine.outputs.items()}
            calls[f"{backend}, {precision}"] = lambda e=engine, g=given, m=made: e.run(g, m)
    return _timed(f"backends: {network.name}, 960x540", calls, next(iter(calls)), rounds)


def _frames(size: tuple[int, int]) -> Iterator[Frame]:
    fmt = PixelFormat("yuv", 8, (1, 1))
    rng = np.random.default_rng(0)
    planes = tuple(rng.integers(16, 236, shape, np.uint8) for shape in fmt.plane_shapes(size[1], size[0]))
    for t in itertools.count():
        yield Frame(planes, fmt, t, Fraction(1, 25), 1, Colour(matrix=Matrix.BT709, range=Range.LIMITED))


def tiles(network: Network, rounds: int) -> Figures:
    calls: dict[str, Callable[[], object]] = {}
    for tile in (128, 256, 512, 0):
        stream, frames = Stream([Upscale(network=network, tile=tile)]), _frames(SMALL)
        calls[f"parts of {tile}" if tile else "whole"] = lambda s=stream, f=frames: s.push(next(f))
    return _timed(f"tiles: {network.name}, 960x540 to {network.scale * 540} lines", calls, "whole", rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rounds = 1 if args.quick else 9
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    for network in upscalers():
        rows += [start(network, backend, 1 if args.quick else 5) for backend in BACKENDS]
        for section in (overhead, backends, tiles):
            more = section(network, rounds)
            rows, comparisons = rows + more[0], comparisons + more[1]
    cells = [[f"{r.case} / {r.method}", *(f"{k} {v:.3f}" for k, v in r.values.items() if v is not None)] for r in rows]
    print(table(("case", "", ""), cells))
    ratios = [[f"{c.case}: {c.ours} / {c.peer}", f"{c.ratio:.3f} ({c.q1:.3f}-{c.q3:.3f})"] for c in comparisons]
    print(table(("ours / peer", "times as fast"), ratios))
    if args.json:
        more_versions: dict[str, Any] = {}
        for name in ("onnxruntime", "openvino"):
            with suppress(PackageNotFoundError):
                more_versions[name] = version(name)
        settings = {"rounds": rounds, "threads": cores()}
        write(args.json, document("engines", rows, comparisons, settings=settings, more_versions=more_versions))


if __name__ == "__main__":
    main()
