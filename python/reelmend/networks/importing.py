"""A file of weights in, a network of the catalogue out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Told
from ..engines.network import Network, Precision
from ..errors import CheckpointError
from .checkpoint import Checkpoint, read_checkpoint
from .export import export
from .families import families
from .family import Recognised
from .others import recognise_other, supported

__all__ = ["import_checkpoint", "recognise"]

_SHOWN = 8  # keys of a file that puzzles us


def recognise(checkpoint: Checkpoint) -> Recognised:
    """What a file of weights is: one of our families, else what spandrel knows.

    Raises CheckpointError for an unknown architecture, with the keys that puzzled us and what is known, and for a
    known one whose keys or shapes do not fit.
    """
    for family in families():
        if family.matches(checkpoint.data, checkpoint.state):
            try:
                return family.recognise(checkpoint.data, checkpoint.state)
            except CheckpointError as error:
                raise CheckpointError(f"{checkpoint.path}: {error}") from error
    try:
        found = recognise_other(checkpoint.state)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    if found is not None:
        return found
    keys = [f"{name} {tuple(tensor.shape)}" for name, tensor in checkpoint.state.items()]
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    ours = ", ".join(family.name for family in families())
    raise CheckpointError(
        f"{checkpoint.path}: an unknown architecture. Its keys: {', '.join(keys[:_SHOWN])}{more}. Known are {ours}, "
        f"and by spandrel {', '.join(supported())}"
    )


def import_checkpoint(
    path: str | os.PathLike[str],
    *,
    catalogue: str | os.PathLike[str],
    name: str | None = None,
    licence: str = "unknown",
    precisions: Sequence[Precision] = ("fp32", "mixed", "fp16"),
    calibration: Sequence[NDArray[np.float32]] | None = None,
    overwrite: bool = False,
    told: Told | None = None,
) -> Network:
    """Read a file of weights, find out what it is, export and prove it, and put it into a catalogue.

    path       .pth, .pt, .pkl, .ckpt or .safetensors; nothing in it is run
    catalogue  folder that gets a folder for the network
    name       default: the file's name, in lower case, with dashes for what a name may not hold
    Others as `export` takes them.

    Raises CheckpointError for a file that is unsafe, damaged or unknown; NetworkError for a name that is taken or a
    graph that differs from its checkpoint; OptionError.
    """
    checkpoint = read_checkpoint(path)
    recognised = recognise(checkpoint)
    if told is not None:
        parts = ", ".join(graph.part.name for graph in recognised.graphs)
        told(f"{checkpoint.path.name}: {recognised.family}, for {recognised.task}; parts: {parts}")
    more: dict[str, Any] = {} if licence == "unknown" else {"licence": licence}
    return export(
        recognised,
        name or _name(Path(path).stem),
        catalogue,
        precisions=precisions,
        origin=f"imported from {checkpoint.path.name}, SHA-256 {checkpoint.sha256[:16]}",
        calibration=calibration,
        overwrite=overwrite,
        told=told,
        **more,
    )


def _name(stem: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64] or "network"
