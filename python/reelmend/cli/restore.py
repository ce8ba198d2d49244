"""`reelmend restore`: a file in, a better file out."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from .newframes import add_new_frames, new_frames, rate
from .upscaling import add_upscaling, upscaling

if TYPE_CHECKING:
    from ..restore import Progress, RestoreResult
    from ..stage import Stage

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
Restore a video. Say what to do with one or more of the flags below; sound, subtitles, chapters, tags and the exact
time of every frame are kept. What cannot be kept is said. Flicker is removed first, then pictures are made larger,
then new frames are made.
"""

_EPILOG = """\
IN   a video file; a folder of pictures; a pattern such as 'shot/%06d.png' or 'shot/*.tif'; - for y4m on stdin
OUT  .mp4 .mov .mkv .webm .ts .avi .nut; a folder ('out/') or 'out/%06d.png' for pictures; .y4m; - for y4m on stdout

examples:
  reelmend restore film.mp4 steady.mp4 --deflicker
  reelmend restore film.mp4 steady.mp4 --deflicker --networks             better, and slower
  reelmend restore scan/ steady.mkv --deflicker --rate 18 --encoder ffv1     pictures in, lossless out
  reelmend restore film.mov steady.mov --deflicker --encoder prores
  reelmend restore film.mp4 steady.mp4 --deflicker --deflicker-protect 1700,40,1880,120     leaves a logo alone
  reelmend restore film.mp4 large.mp4 --upscale                              twice as wide and high, by a network
  reelmend restore film.mp4 smooth.mp4 --fps 60                              any rate to any rate, exactly timed
  reelmend restore film.mp4 smooth.mp4 --factor 2                            twice the frames; uneven times stay so
  reelmend restore film.mp4 slow.mp4 --slow-motion 4                         4 times as slow; sound keeps its pitch
  reelmend restore scan/ film.mkv --rate 16 --deflicker --fps 24             scans at 16 a second become 24
  reelmend restore film.mp4 steady.mp4 --deflicker --dry-run                 the whole plan, nothing written
  reelmend restore film.mp4 steady.mp4 --deflicker --explain                 what was found and done, frame by frame
  ffmpeg -i film.mp4 -f yuv4mpegpipe - | reelmend restore - - --deflicker | x264 --demuxer y4m -o out.mkv -
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `restore` to the command line."""
    parser = subparsers.add_parser(
        "restore",
        help="restore a video file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="IN", help="what to restore")
    parser.add_argument("output", metavar="OUT", help="where to write it")
    what = parser.add_argument_group("what to do")
    what.add_argument(
        "--deflicker",
        action="store_true",
        help="find what flickers (brightness, colour, rolling bands of mains light, parts of the picture, every second "
        "or third frame, steps) and remove it; fades, flashes and video that does not flicker are left alone",
    )
    what.add_argument(
        "--deflicker-mode",
        choices=("live", "low", "film"),
        help="live: no delay; low: a delay of 4 frames; film: looks 60 frames ahead, the best (default)",
    )
    what.add_argument(
        "--deflicker-cures",
        metavar="LIST",
        help="which cures may be used, by comma: tones (brightness, colour, alternation, steps), bands, local "
        "(default: all, each where it is needed)",
    )
    what.add_argument(
        "--deflicker-flashes",
        choices=("keep", "remove"),
        help="single bright or dark frames, up to three: keep (default) or remove",
    )
    what.add_argument(
        "--deflicker-protect",
        action="append",
        type=_region,
        metavar="X0,Y0,X1,Y1",
        help="leave a part of the picture alone, a logo for one: left, top, right, bottom in pixels; may be repeated",
    )
    what.add_argument(
        "--deflicker-mask",
        metavar="PICTURE",
        help="a gray picture as large as the video: white where to remove flicker, black where not",
    )
    what.add_argument(
        "--networks",
        action="store_true",
        help="with --deflicker: let the networks of BlazeBVD go on where flicker was found; they even out what is left "
        "of it, in parts of the picture above all, and take light that was clipped from frames that saw it",
    )
    add_upscaling(parser)
    add_new_frames(parser)
    what.add_argument(
        "--explain",
        nargs="?",
        const="",
        metavar="PATH",
        help="tell what was found and done: a summary at the end, every frame as a row of PATH.csv, and a picture, "
        "PATH.png: brightness before and after, and which kind of flicker was found where. A kind is believed from a "
        "confidence of 0.5; 'unsure' marks frames whose evidence is too short or ambiguous. PATH is a base name or a "
        "folder; without it, OUT's name and .explain (steady.explain.csv); write it behind IN and OUT",
    )
    how = parser.add_argument_group("how to write it")
    how.add_argument(
        "--encoder",
        default="auto",
        metavar="NAME",
        help="auto, x264, x265, svtav1, vp9, ffv1 (lossless), prores, nvenc, nvcodec (default: auto, by OUT and depth)",
    )
    how.add_argument("--crf", type=int, metavar="N", help="quality, lower is better (x264 18, x265 20, svtav1 28)")
    how.add_argument("--preset", metavar="P", help="ultrafast ... medium (default) ... placebo")
    how.add_argument("--overwrite", action="store_true", help="replace OUT, and the files of --explain, if they exist")
    how.add_argument(
        "--rate",
        type=rate,
        metavar="RATE",
        help="only where IN is pictures, which have no times: how many of them make a second, 18 or 30000/1001 "
        "(default 24). For new frames see --fps",
    )
    run_group = parser.add_argument_group("the run")
    run_group.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    run_group.add_argument(
        "--decoder",
        choices=("auto", "pyav", "dali", "nvcodec"),
        default="auto",
        help="what decodes IN: auto (default: NVDEC where --device cuda has it, else the CPU), pyav (the CPU), dali or "
        "nvcodec (NVIDIA's, from the extras of these names)",
    )
    run_group.add_argument("--limit", type=int, metavar="N", help="only the first N frames, for a quick look")
    run_group.add_argument("--dry-run", action="store_true", help="print the whole plan and stop")
    run_group.add_argument("--quiet", action="store_true", help="errors and warnings only")
    run_group.add_argument("--json", action="store_true", help="print the result (or plan) as JSON on stdout")
    parser.set_defaults(run=run)


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        x0, y0, x1, y1 = (int(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected X0,Y0,X1,Y1 in pixels, such as 0,0,200,80; got {text!r}") from None
    return x0, y0, x1, y1


def _stages(args: argparse.Namespace) -> list[Stage]:
    stages: list[Stage] = []
    given = [n for n in ("mode", "cures", "flashes", "protect", "mask") if getattr(args, f"deflicker_{n}") is not None]
    if given and not args.deflicker:
        raise OptionError(f"--deflicker-{given[0]} says how to remove flicker; add --deflicker to do it")
    if args.networks and not args.deflicker:
        raise OptionError("--networks go on where flicker was found; add --deflicker to find it")
    if args.deflicker:
        from ..media import read_mask
        from ..stages.deflicker import CURES, Deflicker

        stages.append(
            Deflicker(
                mode=args.deflicker_mode or "film",
                cures=tuple(args.deflicker_cures.split(",")) if args.deflicker_cures else CURES,
                flashes=args.deflicker_flashes or "keep",
                protect=tuple(args.deflicker_protect or ()),
                mask=read_mask(args.deflicker_mask) if args.deflicker_mask else None,
                networks=args.networks,
            )
        )
    stages += upscaling(args)
    stages += new_frames(args)
    if not stages:
        raise OptionError(
            "nothing to do: say what to restore, such as  reelmend restore "
            f"{args.input} {args.output} --deflicker  (see  reelmend restore --help)"
        )
    return stages


def _input_rate(args: argparse.Namespace) -> Fraction:
    """Pictures a second. Raises OptionError where the input has times of its own, and new frames may be meant."""
    if args.rate is None:
        return Fraction(24)
    from ..media.folder import looks_like_pattern

    if not os.path.isdir(args.input) and not looks_like_pattern(args.input):
        raise OptionError(
            f"--rate is the rate of a folder of pictures, and {args.input} is not one: it has its own times; "
            f"for other frames a second use --fps {args.rate}"
        )
    return Fraction(args.rate)


def run(args: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    from ..restore import RestoreInterrupted, plan_restore, restore
    from . import EXIT_DAMAGED_INPUT

    if args.json and args.output == "-":
        raise OptionError("--json and OUT '-' both want standard output; give OUT a name")
    stages = _stages(args)
    common: dict[str, Any] = {
        "stages": stages,
        "device": args.device,
        "encoder": args.encoder,
        "crf": args.crf,
        "preset": args.preset,
        "overwrite": args.overwrite,
        "rate": _input_rate(args),
        "explain": args.explain,
        "audio": args.audio or "stretch",
        "decoder": args.decoder,
    }
    if args.dry_run:
        plan = plan_restore(args.input, args.output, **common)
        text = json.dumps({"plan": str(plan).splitlines()}) if args.json else str(plan)
        print(text, file=sys.stderr if args.output == "-" else sys.stdout)
        return 0
    said = _foretell(args)
    bar = None if args.quiet else _Bar()
    try:
        result = restore(args.input, args.output, limit=args.limit, progress=bar, **common)
    except RestoreInterrupted as stop:
        _explain(args, stop.result)
        raise
    finally:
        if bar is not None:
            bar.close()
    _report(args, result, said)
    return EXIT_DAMAGED_INPUT if result.problem else 0


def _foretell(args: argparse.Namespace) -> tuple[str, ...]:
    """What is better known before a long run than after it; gives the notes that were printed."""
    from ..analyze.explain import why_no_picture

    missing = why_no_picture() if args.explain is not None and not args.quiet else None
    if missing is None:
        return ()
    print(f"reelmend: note: {missing}", file=sys.stderr, flush=True)
    return (missing,)


def _explain(args: argparse.Namespace, result: RestoreResult) -> None:
    if result.summary and not args.quiet:
        print(result.summary, file=sys.stderr)
    if result.explain and not args.quiet:
        print(f"reelmend: explained in {', '.join(result.explain)}", file=sys.stderr)


def _report(args: argparse.Namespace, result: RestoreResult, said: tuple[str, ...]) -> None:
    if not args.quiet:
        for note in result.notes:
            if note not in said:
                print(f"reelmend: note: {note}", file=sys.stderr)
        speed = result.frames_in / result.seconds if result.seconds else 0.0
        grown = f" from {result.frames_in}" if result.frames_out != result.frames_in else ""
        print(
            f"reelmend: {result.frames_out} frames{grown} in {result.seconds:.1f} s ({speed:.1f} fps) "
            f"to {result.output}, {result.encoder}",
            file=sys.stderr,
        )
    _explain(args, result)
    if result.problem:
        print(f"reelmend: warning: {result.problem}", file=sys.stderr)
    if args.json:
        print(
            json.dumps(
                {
                    "output": result.output,
                    "frames_in": result.frames_in,
                    "frames_out": result.frames_out,
                    "frames_made": result.frames_made,
                    "seconds": round(result.seconds, 3),
                    "encoder": result.encoder,
                    "plan": str(result.plan).splitlines(),
                    "notes": list(result.notes),
                    "problem": result.problem,
                    "explain": list(result.explain),
                    "summary": result.summary.splitlines(),
                }
            )
        )


class _Bar:
    """Progress on stderr: a bar on a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._begin = self._said = time.monotonic()

    def __call__(self, at: Progress) -> None:
        if self._terminal:
            self._draw(at)
            return
        now = time.monotonic()
        if now - self._said >= 10:
            self._said = now
            fps = at.frames_in / (now - self._begin)
            share = at.share
            left = f", {share:.0%}, {_clock((now - self._begin) * (1 / share - 1))} left" if share else ""
            print(f"reelmend: {at.frames_in} frames, {fps:.1f} fps{left}", file=sys.stderr, flush=True)

    def _draw(self, at: Progress) -> None:
        if self._bar is None:
            from tqdm import tqdm

            by_time = not at.total and bool(at.length)
            self._bar = tqdm(
                total=at.total or (round(float(at.length or 0), 1) if by_time else None),
                unit="s" if by_time else "frame",
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
                bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}{postfix}]" if by_time else None,
            )
        if at.total or not at.length:
            self._bar.update(at.frames_in - self._bar.n)
        elif at.time is not None:
            self._bar.set_postfix_str(f"{at.frames_in} frames", refresh=False)
            self._bar.update(max(0.0, min(float(at.time), self._bar.total) - self._bar.n))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
