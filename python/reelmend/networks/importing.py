"""A file of weights into a catalogue: read, recognised, exported."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Told
from ..engines.network import Network, Precision
from ..errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .family import Recognised

__all__ = ["import_checkpoint", "recognise"]

_SHOWN = 8  # keys that an error lists


def import_checkpoint(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    catalogue: str | os.PathLike[str],
    licence: str = "unknown",
    precisions: Sequence[Precision] = ("fp32", "fp16"),
    calibration: Sequence[NDArray[np.float32]] | None = None,
    overwrite: bool = False,
    told: Told | None = None,
) -> Network:
    """Read a checkpoint, find out what it is, and write it into the folder `catalogue` as a network that can run.

    name     in the catalogue; None: the file's name, without its ending, in the letters that a name may have
    licence  SPDX identifier of the weights, which a checkpoint does not say; "unknown": what is known of the family

    The rest is as `export.export` says, and so are its errors. Raises CheckpointError for a file that cannot be read
    safely or is of no known architecture, MissingExtraError without the extra `train`.
    """
    try:
        from .checkpoint import read_checkpoint
        from .export import export
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "importing a checkpoint") from None
    say = told or (lambda line: None)
    checkpoint = read_checkpoint(path)
    recognised = recognise(checkpoint)
    say(f"{checkpoint.path.name}: {recognised.family}, x{recognised.scale}, {len(checkpoint.state)} tensors")
    return export(
        recognised,
        name or _name(checkpoint.path),
        catalogue,
        precisions=precisions,
        licence=None if licence == "unknown" else licence,
        origin=f"{checkpoint.path.name}, SHA-256 {checkpoint.sha256}",
        calibration=calibration,
        overwrite=overwrite,
        told=told,
    )


def recognise(checkpoint: Checkpoint) -> Recognised:
    """What a checkpoint is, by its keys and shapes: a family of this room (`families`), else one that spandrel knows.

    Raises CheckpointError where it is neither, with the keys that puzzled and what is supported, and where it is one
    but its weights do not fit.
    """
    from .families import families
    from .others import recognise_other, supported

    known = families()
    try:
        for family in known:
            if family.matches(checkpoint.data, checkpoint.state):
                return family.recognise(checkpoint.data, checkpoint.state)
        other = recognise_other(checkpoint.state)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    if other is not None:
        return other
    state = checkpoint.state
    keys = ", ".join(f"{key} {tuple(state[key].shape)}" for key in list(state)[:_SHOWN])
    more = f" and {len(state) - _SHOWN} more" if len(state) > _SHOWN else ""
    raise CheckpointError(
        f"{checkpoint.path}: an unknown architecture; its keys are {keys}{more}; known are "
        f"{', '.join(family.name for family in known)}, and by spandrel {', '.join(supported())}"
    )


def _name(path: Path) -> str:
    """A name for the catalogue: lower-case letters, digits, dots and dashes, at most 64."""
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")[:64]
    if not name:
        raise CheckpointError(f"{path}: no name for the catalogue can be made of this file's; give one")
    return name
