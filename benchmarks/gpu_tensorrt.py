"""Every network of the catalogue on this machine's GPU by TensorRT or TensorRT-RTX: built, compared, replayed, timed.

    make gpu-tensorrt [OUT=FOLDER] [WHEELS=FOLDER] [PYTHON=python3]

Needs a GPU and one of the two packages; uses no network, and no engine that was built before. Leaves
gpu_tensorrt_<device>.json in the folder (benchmarks/results).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from gpu import Machine, differing, here, name_of
from reelmend.analyze.benchmark import Row, document, write
from reelmend.engines.acceptance import accept
from reelmend.engines.catalogue import networks
from reelmend.engines.engine import Request
from reelmend.engines.network import Network, Size
from reelmend.engines.tensorrt import TensorRT
from reelmend.errors import ReelmendError
from schema import RESULTS, problems

SIZE = (720, 1280)  # rows, columns
TURNS = 7  # the first of these is a plain run, the second is recorded, and the others are replayed


def usable(device: str = "cuda") -> list[TensorRT]:
    """The backends that run here. SystemExit says why none does."""
    both = [TensorRT("tensorrt"), TensorRT("tensorrt_rtx")]
    why = {b: b.why_not(device) for b in both}
    if all(why.values()):
        raise SystemExit("make gpu-tensorrt: " + "; ".join(f"{b.name}: {reason}" for b, reason in why.items()))
    return [b for b in both if not why[b]]


def measured(machine: Machine, backend: TensorRT, request: Request) -> Row:
    """One engine: seconds to build and to load, decibels from fp32, samples in which replays differ, and time of a run.

    engine_us  between two events on the GPU, the work queued ahead: the engine alone
    """
    gpu = machine.gpus[0]
    onnx = request.network.onnx(request.part.name, request.precision)
    start = time.perf_counter()
    built = backend.build(request, onnx, lambda line: None)
    after = time.perf_counter()
    with backend.load(request, onnx, built.plan) as engine:
        values: dict[str, float | None] = {"build_s": after - start, "load_s": time.perf_counter() - after}
        values["plan_bytes"], values["device_bytes"] = len(built.plan), engine.memory
        worst = accept(engine).worst
        values |= {"psnr_db": min(worst.psnr, 999.0), "largest": worst.largest}
        rng = np.random.default_rng(0)
        draws = [{p.name: rng.uniform(*p.range, engine.inputs[p.name]) for p in request.part.inputs} for _ in range(2)]
        # Runs on arrays of their own are plain ones. Then both pictures in turn in the same memory: what is replayed
        # has to see all that changed there.
        plain, alive = [], []
        for draw in draws:
            alive.append({name: gpu.put(x.astype(np.float32)) for name, x in draw.items()})
            outputs = engine.run(alive[-1])
            alive.append(outputs)
            gpu.wait()
            plain.append({name: gpu.get(y).copy() for name, y in outputs.items()})
        held = {name: gpu.put(x.astype(np.float32)) for name, x in draws[0].items()}
        outputs = {name: gpu.put(np.zeros(shape, np.float32)) for name, shape in engine.outputs.items()}
        different = 0
        for turn in range(TURNS):
            for name, x in draws[turn % 2].items():
                gpu.copy(held[name], gpu.put(x.astype(np.float32)))
            engine.run(held, outputs)
            gpu.wait()
            different += sum(differing(y, gpu.get(outputs[name])) for name, y in plain[turn % 2].items())
        values["replay_differs"] = different
        if all(differing(plain[0][name], plain[1][name]) == 0 for name in outputs):
            machine.faults.append(f"{request.words}: two pictures give one result")
        t = machine.clock.time([lambda: engine.run(held, outputs)] * 4)
        values |= {"engine_us": 1e6 * t.seconds, "q1_us": 1e6 * t.q1, "q3_us": 1e6 * t.q3}
        values |= {"queueing_us": 1e6 * t.queueing, "starved_rounds": t.starved}
        if engine.why_not_recorded:
            machine.faults.append(f"{request.words}: not recorded: {engine.why_not_recorded}")
    if values["replay_differs"]:
        machine.faults.append(f"{request.words}: {values['replay_differs']} samples change when it is replayed")
    return Row(_case(request), backend.name, values)


def _case(request: Request) -> str:
    rows, columns = request.size
    return f"{request.words}, {columns}x{rows}"


def requests(network: Network, backend: TensorRT, size: Size) -> Iterator[Request]:
    """A request for each part, in each precision that it has and the backend takes."""
    for part in network.parts.values():
        for precision in backend.precisions:
            if precision in part.files:
                yield Request(network, part, part.padded(size), precision, "cuda")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", default="", metavar="FOLDER", help="where to put the result (benchmarks/results)")
    args = parser.parse_args()
    backends = usable()
    machine = here()
    rows: list[Row] = []
    versions = {b.name: str(import_module(b.name).__version__) for b in backends}
    for backend in backends:
        for network in networks():
            if not isinstance(network, Network):
                machine.faults.append(str(network))
                continue
            for request in requests(network, backend, SIZE):
                try:
                    rows.append(measured(machine, backend, request))
                except ReelmendError as error:
                    machine.faults.append(f"{_case(request)} on {backend.name}: {error}")
                    continue
                print(f"{rows[-1].case} on {backend.name}: {rows[-1].values}", flush=True)
    settings = {"size": f"{SIZE[1]}x{SIZE[0]}", "arrays": machine.gpus[0].library, "faults": machine.faults}
    name = name_of(machine.info["name"]).replace("gpu_", "gpu_tensorrt_", 1)
    made = document(name, rows, settings=settings, more_versions=versions)
    made["machine"]["gpu"] = machine.info
    machine.faults += problems(made)
    path = Path(args.out or RESULTS) / f"{name}.json"
    write(path, made)
    print(path)
    for fault in machine.faults:
        print(f"make gpu-tensorrt: {fault}", file=sys.stderr)
    return 1 if machine.faults else 0


if __name__ == "__main__":
    sys.exit(main())
