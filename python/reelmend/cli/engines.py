"""`reelmend engines`: the networks there are, the engines built of them, and files of weights made into networks."""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EngineError, NetworkError, OptionError
from .verifying import verify

if TYPE_CHECKING:
    from ..engines.cache import Record
    from ..engines.network import Network, Size

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
A network is a folder of the catalogue: ONNX files and what is known of them. An engine is a network made ready for one
machine, in one size and precision. ONNX Runtime on a CPU in fp32 is the reference, with nothing to build. Others are
made once, on a GPU or by OpenVINO, and compared with it; what was built and found is kept. What differs by more than
the network's bar is refused, and the next precision is tried, or the next backend.
"""

_EPILOG = """\
examples:
  reelmend engines list                                  which networks there are
  reelmend engines show lite-x2                          what is known of one, and which engines are kept of it
  reelmend engines import 4x_model.pth                   a file of weights becomes a network (extra: train)
  reelmend engines verify                                every network: its files, its figures, whether builders take it
  reelmend engines build lite-x2 --size 1920x1080 --device cuda
  reelmend engines build lite-x2 --size 1920x1080 --target 8.6 --target 12.0      for cards that are not here
  reelmend engines prune --limit 2G                      drop the engines not used for longest
  reelmend engines export lite-x2 folder                 its files and description, in folder/lite-x2

REELMEND_CACHE moves the folder of engines, REELMEND_CACHE_LIMIT bounds it (16G); REELMEND_ENGINES moves the folder of
imported networks.
"""

_NETWORK = "its name, or the path of its folder"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `engines` to the command line."""
    parser = subparsers.add_parser(
        "engines",
        help="the networks there are; import, build, verify",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    def command(name: str, work: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        p = commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog="\n".join(("examples:", *(e for e in _EPILOG.splitlines() if f" engines {name}" in e))),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        p.set_defaults(run=run, work=work)
        return p

    p = command("list", _list, "which networks there are")
    p.add_argument("--json", action="store_true", help="print as JSON")

    p = command("show", _show, "what is known of a network, and which engines are kept of it")
    p.add_argument("name", metavar="NETWORK", help=_NETWORK)
    p.add_argument("--json", action="store_true", help="print its description as JSON")

    p = command("build", _build, "build and accept engines now, so that no run has to wait")
    p.add_argument("name", metavar="NETWORK", help=_NETWORK)
    _add_building(p)

    p = command(
        "verify", verify, "compare every precision of networks with fp32, and have installed builders take them"
    )
    p.add_argument("names", metavar="NETWORK", nargs="*", help="which (default: all, and the cache)")

    p = command("prune", _prune, "drop kept engines")
    p.add_argument("--older-than", type=_days, metavar="DAYS", help="those not used for so many days")
    p.add_argument("--limit", metavar="SIZE", help="those not used for longest, down to this size: 2G, 500M")
    p.add_argument("--all", action="store_true", help="all of them")

    p = command("import", _import, "make a network of a file of weights (needs the extra train)")
    p.add_argument("file", metavar="FILE", help=".pth .pt .pkl .ckpt .safetensors: what it is, is told by its contents")
    p.add_argument("--name", help="what to call it (default: the file's name)")
    p.add_argument("--licence", default="unknown", metavar="SPDX", help="the licence of the weights, if you know it")
    p.add_argument("--precision", action="append", choices=("fp32", "mixed", "fp16", "int8"), help="may be repeated")
    p.add_argument("--calibrate", metavar="VIDEO", help="for int8: a film whose pictures show what values are usual")
    p.add_argument("--overwrite", action="store_true", help="replace a network of that name")

    p = command("export", _export, "copy a network's ONNX files and description elsewhere")
    p.add_argument("name", metavar="NETWORK", help=_NETWORK)
    p.add_argument("folder", metavar="FOLDER", help="gets a new folder with the network's name")


def _add_building(p: argparse.ArgumentParser) -> None:
    size = "width and height of the frames, such as 1920x1080"
    p.add_argument("--size", type=_size, required=True, metavar="WxH", help=size)
    p.add_argument("--smallest", type=_size, metavar="WxH", help="smallest of a range of sizes (slower than one size)")
    p.add_argument("--largest", type=_size, metavar="WxH", help="largest of a range of sizes")
    p.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    precision = "auto takes the fastest that agrees with the fp32 reference (default)"
    p.add_argument("--precision", default="auto", choices=("auto", "fp32", "mixed", "fp16", "int8"), help=precision)
    backend = (
        "what runs it, such as onnxruntime or tensorrt (default: auto, the best that 'reelmend doctor' finds here)"
    )
    p.add_argument("--backend", default="auto", metavar="NAME", help=backend)
    p.add_argument(
        "--target",
        action="append",
        type=_target,
        metavar="CC",
        help="compute capability of a card that is not here, such as 8.9 (TensorRT-RTX alone can); may be repeated. "
        "Such engines are accepted when they are first loaded on it",
    )


def _size(text: str) -> Size:
    m = re.fullmatch(r"0*([1-9][0-9]*)x0*([1-9][0-9]*)", text)
    if not m:
        raise argparse.ArgumentTypeError(f"expected a size such as 1920x1080; got {text!r}")
    return int(m[2]), int(m[1])


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of days such as 30 or 0.5; got {text!r}")
    return days


def _target(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}\.?[0-9]", text):
        raise argparse.ArgumentTypeError(f"expected a compute capability such as 8.6 or 12.0; got {text!r}")
    return int(text.replace(".", ""))


def run(args: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    return int(args.work(args))


def _say(line: str) -> None:
    print(f"reelmend: {line}", file=sys.stderr, flush=True)


def _list(args: argparse.Namespace) -> int:
    from ..engines import networks, user_folder

    listed = list(networks())
    broken = [n for n in listed if isinstance(n, NetworkError)]
    # the name by which it is found is its folder's
    rows = [_row(n) | {"name": n.folder.name} for n in listed if not isinstance(n, NetworkError)]
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        columns = ("name", "task", "scale", "family", "parameters", "precisions", "licence", "from")
        body = [[_cell(r[c]) for c in columns] for r in rows]
        widths = [max(len(c), *(len(b[k]) for b in body)) if body else len(c) for k, c in enumerate(columns)]
        for line in (columns, *body):
            print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
        if not rows:
            print(f"none yet: 'reelmend engines import FILE' adds one to {user_folder()}")
    for error in broken:
        print(f"reelmend: {error}", file=sys.stderr)
    return 1 if broken else 0


def _row(network: Network) -> dict[str, Any]:
    from ..engines.catalogue import folders

    lies = network.folder.resolve().parent
    catalogue = dict(zip((f.resolve() for f in folders()), ("imported", "shipped"), strict=True))
    return {
        "name": network.name,
        "task": network.task,
        "scale": network.scale,
        "family": network.family,
        "parameters": network.parameters,
        "precisions": sorted(set.intersection(*(set(p.files) for p in network.parts.values()))),
        "licence": network.licence,
        "from": catalogue.get(lies, str(network.folder)),
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _show(args: argparse.Namespace) -> int:
    from ..engines import find
    from ..engines.cache import EngineCache

    network = find(args.name)
    if args.json:
        print((network.folder / "network.json").read_text("utf-8"), end="")
        return 0
    for key, value in _row(network).items():
        print(f"{key:<11} {_cell(value)}")
    print(f"{'origin':<11} {network.origin or 'not said'}")
    for part in network.parts.values():
        radius = "sees the whole picture" if part.radius is None else f"sees {part.radius} pixels to each side"
        print(f"\npart {part.name}: {radius}, sizes in multiples of {part.multiple}, at least {part.minimum}")
        for way, ports in (("in", part.inputs), ("out", part.outputs)):
            for port in ports:
                shape = ", ".join(map(str, port.shape))
                print(f"  {way:<4} {port.name}: {port.kind} ({shape}), {port.range[0]:g} to {port.range[1]:g}")
        for precision in part.files:
            bar, path = part.bar(precision), network.file(part.name, precision)
            size = f"{path.stat().st_size / 1e6:.2f} MB" if path.is_file() else "missing"
            print(f"  file {path.name}: {size}; accepted from {bar.psnr:g} dB, {bar.largest:g} at most")
    kept = [r for r in EngineCache().list() if r.fields.get("network") == network.name]
    print(f"\n{_engines(len(kept))} kept" + (":" if kept else ""))
    for record in kept:
        print(f"  {_kept(record)}")
    card = network.folder / "card.md"
    if card.is_file():
        print(f"\n{card.read_text('utf-8').rstrip()}")
    return 0


def _engines(count: int) -> str:
    return f"{count or 'no'} engine{'' if count == 1 else 's'}"


def _kept(record: Record) -> str:
    f, m = record.fields, record.manifest
    state = "rejected" if "rejected" in m else "accepted" if "acceptance" in m else "not yet compared"
    sizes = ", ".join(f"{name} {shapes[1]}" for name, shapes in f.get("shapes", {}).items())
    return f"{f.get('part')} {f.get('precision')} on {f.get('backend')}: {sizes}; {f.get('builder', '')}; {state}"


def _build(args: argparse.Namespace) -> int:
    from ..engines import find, open_engine

    network = find(args.name)
    if args.target:
        if args.backend not in ("auto", "tensorrt_rtx"):
            raise OptionError(f"--target: tensorrt_rtx alone builds for cards that are not here; got {args.backend}")
        from ..engines.opening import build_ahead

        common = {"precision": args.precision, "smallest": args.smallest, "largest": args.largest}
        lost = 0
        for part in network.parts:
            for target in args.target:
                entry = build_ahead(network, part, size=args.size, target=target, told=_say, **common)
                kept = entry.note or f"{len(entry.plan) / 1e6:.2f} MB, key {entry.key[:12]}"
                print(f"{network.name}/{part} {entry.manifest['fields']['precision']} for {target / 10:.1f}: {kept}")
                lost += not entry.kept
        return 1 if lost else 0
    for part in network.parts:
        with open_engine(
            network,
            part,
            size=args.size,
            device=args.device,
            precision=args.precision,
            backend=args.backend,
            smallest=args.smallest,
            largest=args.largest,
            told=_say,
        ) as engine:
            for fallback in engine.fallbacks:
                _say(f"{fallback}")
            rows, columns = engine.size
            made = f"{engine.request.words}, {columns}x{rows}"
            print(f"{made}: ready on {engine.backend}, {engine.device}")
    return 0


def _prune(args: argparse.Namespace) -> int:
    from ..engines.cache import EngineCache
    from ..engines.cachefiles import bytes_of

    if not args.all and args.older_than is None and args.limit is None:
        raise OptionError("say what to drop: --older-than DAYS, --limit SIZE or --all")
    cache = EngineCache()
    age = None if args.older_than is None else args.older_than * 86400
    limit = None if args.limit is None else bytes_of(args.limit)
    dropped = cache.prune(all=args.all, older_than=age, limit=limit)
    print(f"{_engines(len(dropped))} dropped, {sum(r.bytes for r in dropped) / 1e6:.1f} MB")
    return 0


def _import(args: argparse.Namespace) -> int:
    from ..engines import user_folder
    from ..networks.importing import import_checkpoint

    if ("int8" in (args.precision or ())) != bool(args.calibrate):
        given, lacks = ("--calibrate", "--precision int8") if args.calibrate else ("int8", "--calibrate VIDEO")
        raise OptionError(f"{given} needs {lacks}: int8 is fitted to the values that pictures of a film give; add it")
    more: dict[str, Any] = {}
    if args.precision:
        more["precisions"] = tuple(args.precision)
    if args.calibrate:
        more["calibration"] = _pictures(args.calibrate)
    network = import_checkpoint(
        args.file,
        name=args.name,
        catalogue=user_folder(),
        licence=args.licence,
        overwrite=args.overwrite,
        told=_say,
        **more,
    )
    print(f"{network.name}: {network.task} by {network.family}, {network.parameters:,} parameters, in {network.folder}")
    if network.task == "upscale":
        _say(f"use it:  reelmend restore IN OUT --upscale {network.name}")
    elif network.task == "flow":
        _say(f"use it:  reelmend restore IN OUT --fps 60 --flow {network.name}")
    elif network.task == "interpolate":
        _say(f"use it:  reelmend restore IN OUT --fps 60 --method {network.family} --network {network.name}")
    return 0


def _pictures(path: str, count: int = 16) -> list[Any]:
    """Pictures from all over a film, as float32 (1, 3, rows, columns) of 0..1."""
    import numpy as np

    from ..convert import to_rgb
    from ..media import open_source

    with open_source(path) as source:
        every = max(1, (source.info.frames or 240) // count)
        chosen = list(islice(source, 0, every * count, every))
    return [np.ascontiguousarray(to_rgb(f, np.float32).transpose(2, 0, 1))[None] for f in chosen]


def _export(args: argparse.Namespace) -> int:
    from ..engines import find

    network = find(args.name)
    to = Path(args.folder) / network.name
    if to.exists():
        raise OptionError(f"{to} is already there; choose another folder, or remove it first")
    for part, precision in [(p, f) for p in network.parts.values() for f in p.files]:
        network.onnx(part.name, precision)  # is what its description says
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(network.folder, to)
    except OSError as error:  # that of copytree lists (from, to, why) of each file
        shutil.rmtree(to, ignore_errors=True)
        why = "; ".join(str(e[-1]) for e in error.args[0]) if isinstance(error, shutil.Error) else error.strerror
        raise EngineError(f"{network.name} cannot be copied to {to}: {why}") from error
    print(f"{network.name}: {', '.join(sorted(p.name for p in to.iterdir()))} in {to}")
    return 0
