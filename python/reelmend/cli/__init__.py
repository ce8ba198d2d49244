"""The command `reelmend`. Each subcommand is a file here with `add_parser` and `run`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from ..errors import OptionError, ReelmendError

__all__ = ["main"]

_COMMANDS = ("restore", "engines", "demo", "bench", "doctor")

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DAMAGED_INPUT = 3
EXIT_INTERRUPTED = 130

_EPILOG = """\
examples:
  reelmend restore film.mp4 steady.mp4 --deflicker       remove flicker; sound and subtitles are copied
  reelmend restore film.mp4 steady.mp4 --deflicker --dry-run   show the whole plan, write nothing
  reelmend restore film.mp4 smooth.mp4 --fps 60          make new frames between those there are
  reelmend restore film.mp4 slow.mp4 --slow-motion 4     4 times as slow; sound keeps its pitch
  reelmend restore film.mp4 large.mp4 --upscale          twice as wide and high, by a network
  reelmend engines list                                  the networks there are
  reelmend demo                                          see what it does, before and after
  reelmend doctor                                        what this machine offers, and what is missing

exit status: 0 done, 1 failed, 2 wrong usage, 3 done but the input was damaged, 130 interrupted
"""


def _parser() -> argparse.ArgumentParser:
    from .. import __version__

    parser = argparse.ArgumentParser(
        prog="reelmend",
        description="Restores video as it streams.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"reelmend {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in _COMMANDS:
        try:
            module = import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            continue
        module.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. argv: without the program's name; sys.argv's unless given."""
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    if args.command is None:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not the main thread
        before = None
    try:
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stop:
        kept = f"{stop} (playable)" if str(stop) else "interrupted"
        print(f"reelmend: {kept}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; spare the interpreter's own flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except ReelmendError as error:
        if os.environ.get("REELMEND_DEBUG"):
            traceback.print_exc()
        print("; ".join([f"reelmend: {_one_line(error)}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        return EXIT_USAGE if isinstance(error, OptionError) else EXIT_FAILED
    except Exception as error:
        if os.environ.get("REELMEND_DEBUG"):
            traceback.print_exc()
        print(
            f"reelmend: unexpected {type(error).__name__}: {_one_line(error)}; "
            "set REELMEND_DEBUG=1 to see where, and please report it",
            file=sys.stderr,
        )
        return EXIT_FAILED
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
