"""What a result file holds, checked by hand: no schema library is needed to read or to test one.

python benchmarks/schema.py [FILE ...]        checks these, or all committed results
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from reelmend.analyze.benchmark import SCHEMA

RESULTS = Path(__file__).parent / "results"


def problems(document: Any) -> list[str]:
    """Everything that is wrong with a document; an empty list if it is a valid result."""
    if not isinstance(document, dict):
        return ["not a JSON object"]
    wrong = []

    def need(ok: bool, text: str) -> None:
        if not ok:
            wrong.append(text)

    expected = {"schema", "benchmark", "date", "machine", "versions", "settings", "rows", "comparisons"}
    need(set(document) == expected, f"keys are {sorted(document)}; expected {sorted(expected)}")
    if wrong:
        return wrong
    need(document["schema"] == SCHEMA, f"schema is {document['schema']!r}; expected {SCHEMA!r}")
    need(re.fullmatch(r"[a-z][a-z0-9_]*", str(document["benchmark"])) is not None, "benchmark is no lower-case name")
    date = str(document["date"])
    need(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", date) is not None, f"date {date!r} is not YYYY-MM-DDThh:mm:ssZ"
    )
    machine = document["machine"]
    need({"cpu", "cores", "memory_gib", "system"} <= set(machine), f"machine has only {sorted(machine)}")
    need(bool(machine.get("cpu")) and machine.get("cores", 0) >= 1, "machine names no CPU or no cores")
    versions = document["versions"]
    need({"python", "reelmend", "numpy"} <= set(versions), f"versions has only {sorted(versions)}")
    need(bool(document["rows"]), "rows is empty")
    seen = set()
    for row in document["rows"]:
        need(set(row) == {"case", "method", "values"} and bool(row["values"]), f"bad row {row}")
        key = (row.get("case"), row.get("method"))
        need(key not in seen, f"row {key} is there twice")
        seen.add(key)
        for name, value in row.get("values", {}).items():
            number = value is None or (isinstance(value, int | float) and math.isfinite(value))
            need(number, f"{key}: {name} is {value!r}")
    for c in document["comparisons"]:
        need(set(c) == {"case", "ours", "peer", "ratio", "q1", "q3", "runs"}, f"bad comparison {c}")
        need(0 < c["q1"] <= c["ratio"] <= c["q3"] and c["runs"] >= 1, f"comparison out of order: {c}")
        for method in (c["ours"], c["peer"]):
            need((c["case"], method) in seen, f"comparison names no row: {c['case']} / {method}")
    return wrong


def main(paths: list[str]) -> int:
    bad = 0
    for path in [Path(p) for p in paths] or sorted(RESULTS.glob("*.json")):
        found = problems(json.loads(path.read_text("utf-8")))
        bad += bool(found)
        print(f"{path}: {'ok' if not found else ''}")
        for line in found:
            print(f"  {line}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
