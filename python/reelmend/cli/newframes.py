"""Options of `reelmend restore` for new frames, and the numbers they take."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import OptionError

if TYPE_CHECKING:
    from ..stage import Stage

__all__ = ["add_new_frames", "new_frames", "rate"]

_NTSC = Fraction(1000, 1001)


def add_new_frames(parser: argparse.ArgumentParser) -> None:
    """Add them to the command line."""
    frames = parser.add_argument_group(
        "new frames",
        "Give one of --fps, --factor and --slow-motion (or --slow-motion with --fps). Frames of the input that\n"
        "fall on a new time are left as they are; others are made at their exact place.",
    )
    frames.add_argument(
        "--fps",
        type=rate,
        metavar="RATE",
        help="so many frames a second, evenly spaced: 60, 60000/1001. Exact: NTSC rates are fractions, 24000/1001 and "
        "not 23.976. Faster or slower than the input; the length stays",
    )
    frames.add_argument(
        "--factor",
        type=int,
        metavar="N",
        help="N times the frames, 2 to 64: every interval in N equal parts, so that a variable rate stays variable",
    )
    frames.add_argument(
        "--slow-motion",
        type=_times,
        metavar="S",
        help="S times as slow, 4 or 5/2, at the input's rate (or at --fps); subtitles and chapters go along, sound as "
        "--audio says",
    )
    frames.add_argument(
        "--method",
        choices=("auto", "sample", "blend", "memc", "flow", "fast", "superslomo", "ifnet", "dain"),
        help="auto: fast on a GPU, and where this machine makes its frames as fast as they are shown, else flow "
        "(default); sample: the nearest frame, repeated or left out; blend: a cross-fade; memc: along the motion of "
        "blocks; flow: along dense optical flow; fast: that, judged and sharpened by a small network; "
        "superslomo, ifnet, dain: by networks of Super SloMo, RIFE or DAIN (--network)",
    )
    frames.add_argument(
        "--network",
        metavar="NETWORK",
        help="the network of --method fast, superslomo, ifnet or dain, by its name in the catalogue ('reelmend engines "
        "list'). Import one: 'reelmend engines import SuperSloMo.ckpt', flownet.pkl of RIFE 4.0 to 4.26 or best.pth of "
        "DAIN. Default: the one that ships, of all but ifnet",
    )
    frames.add_argument(
        "--motion-scale",
        choices=("1", "1/2", "1/4"),
        help="with --method fast or ifnet: look for motion in pictures of this size, in parts of their own (default: "
        "1); less for large ones",
    )
    frames.add_argument(
        "--compat",
        choices=("pad", "resize"),
        help="with --method superslomo: pad pictures to the sizes that the network takes (default), or reduce them and "
        "enlarge what is made, as the public program does",
    )
    frames.add_argument(
        "--flow",
        metavar="NETWORK",
        help="find the flow of --method flow by a network of the catalogue ('reelmend engines list'): EBME's, imported "
        "by 'reelmend engines import bi-flownet.pkl'. Otherwise by our own dense search",
    )
    frames.add_argument(
        "--cuts",
        choices=("hold", "blend", "extrapolate"),
        help="between the last frame of a shot and the first of the next: hold the old picture (default), blend both, "
        "or extrapolate: each side moves on",
    )
    frames.add_argument(
        "--repeats",
        choices=("auto", "keep", "retime"),
        help="pictures that come two or three times, as in animation or in clips of a lower rate. auto: spread motion "
        "evenly where most are such (default); retime: always; keep: never",
    )
    frames.add_argument(
        "--audio",
        choices=("stretch", "keep", "drop"),
        help="sound in slow motion. stretch: as slow as the picture, at its pitch, encoded anew (default); keep: "
        "copied as it is, so that it ends early; drop: left out, which works at normal speed too",
    )


_HOW = ("method", "flow", "network", "motion_scale", "compat", "cuts", "repeats")


def new_frames(args: argparse.Namespace) -> list[Stage]:
    """The stage that makes new frames, where it is asked for; refuses options that would say nothing."""
    if args.audio in ("stretch", "keep") and args.slow_motion is None:
        raise OptionError(
            f"--audio {args.audio} says how sound goes with --slow-motion; at normal speed it is copied as it is"
        )
    how = {name: getattr(args, name) for name in _HOW}
    given = {name: value for name, value in how.items() if value is not None}
    if args.fps is None and args.factor is None and args.slow_motion is None:
        if given:
            first = next(iter(given)).replace("_", "-")
            raise OptionError(
                f"--{first} says how new frames are made; say how many: --fps 60, --factor 2 or --slow-motion 4"
            )
        return []
    if args.factor is not None:
        for name, value in (("--fps", args.fps), ("--slow-motion", args.slow_motion)):
            if value is not None:
                raise OptionError(f"--factor does not go with {name}: both say how many frames; give one of them")
    if args.cuts is not None and args.method == "sample":
        raise OptionError("--cuts says what is made between two shots, and --method sample makes nothing")
    scale = Fraction(given.pop("motion_scale", 1))
    from ..stages.interpolate import Interpolate

    return [Interpolate(rate=args.fps, factor=args.factor, slow_motion=args.slow_motion, scale=scale, **given)]


def rate(text: str) -> Fraction:
    """Frames a second, exact; refuses what was rounded."""
    exact = _number(text)
    if exact is None:
        raise argparse.ArgumentTypeError(f"expected frames a second such as 24 or 30000/1001; got {text!r}")
    meant = round(exact / _NTSC) * _NTSC
    if exact.denominator != 1 and exact != meant and abs(exact - meant) < Fraction(1, 100):
        raise argparse.ArgumentTypeError(
            f"{text} is not an exact rate and would drift; did you mean {meant.numerator}/{meant.denominator}?"
        )
    return exact


def _times(text: str) -> Fraction:
    times = _number(text)
    if times is None or times < 1:
        raise argparse.ArgumentTypeError(f"expected how many times as slow, 1 or more, such as 4 or 5/2; got {text!r}")
    return times


def _number(text: str) -> Fraction | None:
    """An exact number above 0."""
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return number if number > 0 else None
