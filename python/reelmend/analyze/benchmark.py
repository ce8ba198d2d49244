"""Measuring speed fairly: alternated runs, ratios with their spread, and what machine it was.

Callables are timed in turn (A B, B A, A B ...), so that a machine that warms up, throttles or is shared treats all of
them alike. A ratio is taken within each round and then its median and quartiles; a single best time says little.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SCHEMA", "Comparison", "Row", "alternate", "compare", "document", "machine", "table", "versions", "write"]

SCHEMA = "reelmend.benchmark/1"


@dataclass(frozen=True, slots=True)
class Row:
    """What one method did in one case: `values` by name of the figure, with its unit (psnr_db, fps, ms, mib ...)."""

    case: str
    method: str
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many times as fast `ours` is as `peer` in one case: median and quartiles over `runs` alternated rounds."""

    case: str
    ours: str
    peer: str
    ratio: float
    q1: float
    q3: float
    runs: int


def alternate(
    calls: Mapping[str, Callable[[], object]], rounds: int = 7, *, warmup: int = 1, floor: float = 0.02
) -> dict[str, list[float]]:
    """Wall seconds of each callable in each round, by name.

    Short calls are repeated within a round until `floor` seconds have passed, and the mean of these is taken.
    Every second round goes through the names backwards.
    """
    repeats: dict[str, int] = {}
    for name, call in calls.items():
        for _ in range(max(1, warmup)):
            start = time.perf_counter()
            call()
            last = time.perf_counter() - start
        repeats[name] = max(1, round(floor / max(last, 1e-7)))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            call, count = calls[name], repeats[name]
            start = time.perf_counter()
            for _ in range(count):
                call()
            taken[name].append((time.perf_counter() - start) / count)
    return taken


def compare(case: str, ours: str, peer: str, taken: Mapping[str, Sequence[float]]) -> Comparison:
    """Speed ratio of two entries of `alternate`: seconds of the peer over ours, above 1 where ours is faster."""
    ratios = np.asarray(taken[peer]) / np.asarray(taken[ours])
    q1, middle, q3 = np.percentile(ratios, (25, 50, 75))
    return Comparison(case, ours, peer, float(middle), float(q1), float(q3), len(ratios))


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """CPU model, cores this process may use, memory in GiB, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory: float | None = None
    if hasattr(os, "sysconf"):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return {"cpu": _cpu(), "cores": cores, "memory_gib": memory, "system": f"{platform.system()} {platform.machine()}"}


def versions(*more: str) -> dict[str, str]:
    """Versions of Python, of this package and of what it is measured against, where installed; `more` names others."""
    found = {"python": platform.python_version()}
    for name in ("reelmend", "numpy", "av", "opencv-python-headless", *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        import av

        found["libavfilter"] = ".".join(map(str, av.library_versions["libavfilter"]))
    except ImportError:
        pass
    return found


def document(
    benchmark: str,
    rows: Sequence[Row],
    comparisons: Sequence[Comparison] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    more_versions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A result as plain data, ready for JSON: schema, date (UTC), machine, versions, settings, rows, comparisons."""
    return {
        "schema": SCHEMA,
        "benchmark": benchmark,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "versions": {**versions(), **(more_versions or {})},
        "settings": dict(settings or {}),
        "rows": [asdict(row) for row in rows],
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }


def write(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Write a document as JSON, numbers rounded to 6 significant digits, in one atomic step."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(target.name + ".part")
    scratch.write_text(json.dumps(_short(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    scratch.replace(target)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {k: _short(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    return value


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Text columns, the first flush left and the others flush right."""
    rows = [list(head), *map(list, body)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)
