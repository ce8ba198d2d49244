"""python -m reelmend.networks.train RECIPE: prepare, train, and say how good it became."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from ...errors import OptionError, ReelmendError
from .loop import LAST, WEIGHTS, train
from .recipe import Recipe, load_recipe
from .task import Task, task_of

STEPS = ("prepare", "train", "figures")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m reelmend.networks.train",
        description="Train a network by its recipe. Stopped at any time, it goes on where it was.",
    )
    p.add_argument("recipe", type=Path, help="recipe.toml")
    p.add_argument("--material", type=Path, help="folder that the recipe's sources are relative to")
    p.add_argument("--work", type=Path, help="folder of patches, checkpoints and curve (default: build/train/NAME)")
    p.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    p.add_argument("--threads", type=int, default=0, help="of the CPU (default: one a core)")
    p.add_argument("--minutes", type=float, default=math.inf, help="stop after these; run again to go on")
    p.add_argument("--only", choices=STEPS, help="one step of the three instead of all")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        return _run(args, load_recipe(args.recipe))
    except ReelmendError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, recipe: Recipe) -> int:
    task = task_of(recipe)
    work = args.work or Path("build/train") / recipe.name
    steps = (args.only,) if args.only else STEPS
    if "prepare" in steps:
        task.prepare(_material(args), work)
    if "train" in steps:
        with tqdm(total=recipe.schedule.steps, unit="step", dynamic_ncols=True) as bar:

            def told(step: int, loss: float) -> None:
                bar.update(step - bar.n)
                if step % 100 == 0:
                    bar.set_postfix(loss=f"{loss:.5f}", refresh=False)

            outcome = train(
                recipe, task, work, device=args.device, threads=args.threads, minutes=args.minutes, told=told
            )
        if not outcome.finished:
            print(f"stopped at step {outcome.step} of {recipe.schedule.steps}; run again to go on")
            return 0
        print(f"{outcome.step} steps in {outcome.seconds / 60:.1f} minutes: {work / WEIGHTS}")
    if "figures" in steps:
        print(json.dumps(_figures(task, work, _material(args)), indent=1))
    return 0


def _material(args: argparse.Namespace) -> Path:
    if args.material is None or not args.material.is_dir():
        raise OptionError(f"--material is {args.material}; expected the folder that the recipe's sources lie in")
    return Path(args.material)


def _figures(task: Task, work: Path, material: Path) -> dict[str, float]:
    if not (work / WEIGHTS).exists():
        raise OptionError(f"{work / WEIGHTS} is not there: it is written after the last step; train on first")
    network = task.network()
    network.load_state_dict(torch.load(work / LAST, weights_only=True)["average"])
    return task.figures(network.eval(), material)


if __name__ == "__main__":
    sys.exit(main())
