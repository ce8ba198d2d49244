"""Every op at 1080p beside NumPy, OpenCV and FFmpeg's swscale, in turn, on one picture.

    python benchmarks/ops.py [--json benchmarks/results/ops.json]

What each peer does is in reelmend.analyze.opcases; `reelmend bench` runs the same cases from a wheel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reelmend.analyze.benchmark import document, table, write
from reelmend.analyze.opcases import measure_ops, op_cases


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = 1920, 1080
    rows, comparisons = measure_ops(width, height, rounds=args.rounds)
    notes = {case.name: case.note for case in op_cases(width, height) if case.note}
    body = []
    for row in rows:
        found = [c for c in comparisons if row.method == c.peer and row.case == c.case]
        ratio = f"{found[0].ratio:.2f} ({found[0].q1:.2f}-{found[0].q3:.2f})" if found else ""
        body.append([f"{row.case} / {row.method}", f"{row.values['ms']:.3f}", ratio])
    print(table(("op / method", "ms", "ours is times as fast"), body))
    if args.json:
        settings = {"width": width, "height": height, "depth": 8, "rounds": args.rounds, "notes": notes}
        write(args.json, document("ops", rows, comparisons, settings=settings))


if __name__ == "__main__":
    main()
