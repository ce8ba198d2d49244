"""`reelmend engines verify`: networks are what their descriptions say, and give what their fp32 files give."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import MissingExtraError, NetworkError, ReelmendError

if TYPE_CHECKING:
    from ..engines.network import Network

__all__ = ["verify"]


def verify(args: argparse.Namespace) -> int:
    """Say of each network, a line each, what is right and wrong. Returns the exit status."""
    from ..engines import find, networks
    from ..engines.cache import EngineCache

    wrong = 0
    for n in [find(name) for name in args.names] or networks():
        if isinstance(n, NetworkError):
            print(f"{n}")
            wrong += 1
            continue
        for line, bad in _verified(n):
            print(line, flush=True)
            wrong += bad
    if not args.names:
        for key, damage in EngineCache().verify().items():
            print(f"cache: engine {key[:12]}: {damage}")
            wrong += 1
    return 1 if wrong else 0


def _verified(network: Network) -> Iterator[tuple[str, bool]]:
    """(line, whether it tells of something wrong)."""
    from ..engines.acceptance import accept, reference
    from ..engines.engine import Request
    from ..engines.onnxruntime import OnnxRuntime

    told: list[str] = []
    for part in network.parts.values():
        size = part.padded((96, 144))
        for precision in part.files:
            name = f"{network.name}/{part.name} {precision}"
            request = Request(network, part, size, precision, smallest=part.padded((64, 64)), largest=size)
            try:
                with OnnxRuntime().load(request, network.onnx(part.name, precision), None) as engine:
                    worst = accept(engine, reference(request)).worst
            except ReelmendError as error:
                told.append(str(error))
                yield f"{name}: {error}", True
                continue
            yield f"{name}: {worst.psnr:.1f} dB from fp32 at least, {worst.largest:.2g} at most: ok", False
    from ..engines.tensorrt import check_builds

    try:
        problems = check_builds(network)
    except MissingExtraError as error:
        yield f"{network.name}: TensorRT-RTX was not asked: {error}", False
        return
    for problem in problems:
        if not problem.startswith(tuple(told)):
            yield f"{network.name}: {problem}", True
    if not problems:
        yield f"{network.name}: TensorRT-RTX builds all of it", False
