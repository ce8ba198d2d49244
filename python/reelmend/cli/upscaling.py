"""Options of `reelmend restore` for larger pictures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import OptionError

if TYPE_CHECKING:
    from ..stage import Stage

__all__ = ["add_upscaling", "upscaling"]


def add_upscaling(parser: argparse.ArgumentParser) -> None:
    """Add them to the command line."""
    larger = parser.add_argument_group(
        "larger pictures",
        "After flicker is removed and before new frames are made, each frame goes through a network that makes it\n"
        "as many times as large as it was made for.",
    )
    larger.add_argument(
        "--upscale",
        nargs="?",
        const="lite-x2",
        metavar="NETWORK",
        help="a network for upscaling: its name ('reelmend engines list' tells which there are, 'reelmend engines "
        "import FILE' adds one) or its folder. Without a name: lite-x2, twice as wide and high",
    )
    larger.add_argument(
        "--upscale-tile",
        type=int,
        metavar="PIXELS",
        help="frames go through in parts of this size, which overlap so that there are no seams; 0: whole "
        "(default: whole up to 1080 lines on a CPU and 2160 on a GPU, else 1024)",
    )
    larger.add_argument(
        "--upscale-precision",
        choices=("auto", "fp32", "mixed", "fp16", "int8"),
        help="auto takes the fastest that agrees with the fp32 reference on this machine (default)",
    )


def upscaling(args: argparse.Namespace) -> list[Stage]:
    """The stage they ask for, if any."""
    if args.upscale is None:
        given = [n for n in ("tile", "precision") if getattr(args, f"upscale_{n}") is not None]
        if given:
            raise OptionError(f"--upscale-{given[0]} says how to make pictures larger; add --upscale to do it")
        return []
    from ..stages.upscale import Upscale

    return [Upscale(network=args.upscale, tile=args.upscale_tile, precision=args.upscale_precision or "auto")]
