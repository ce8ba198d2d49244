"""One frame on its way through the stage."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...frame import Frame
from ..letterbox import Region
from ..structure import Structure
from .bands import BandEvidence, Wave
from .patches import PatchEvidence
from .signature import Tones

__all__ = ["Found", "Item"]


@dataclass(slots=True)
class Found:
    """What the first half knows of a frame, and wants done to it.

    bands_amount, patches_amount  0..1, of each cure
    gains  for ops.map_tones, over the frame's region: float32 (3, bins, rows, columns); None for none
    """

    bands: BandEvidence = field(default_factory=BandEvidence)
    patches: PatchEvidence = field(default_factory=PatchEvidence)
    wave: Wave | None = None
    bands_amount: float = 0.0
    patches_amount: float = 0.0
    gains: NDArray[np.float32] | None = None


@dataclass(slots=True)
class Item:
    """One frame and what is known of it. Frame and tones are let go once it is given out.

    index      frame number, from 0
    frame      as it came, then as the first half left it
    source     as it came
    structure  of `frame`; let go with it
    shot       number of its shot
    region     the picture inside the bars
    cut        first frame of a shot
    found      what the first half says
    tones      of `frame`, once the second half has it
    """

    index: int
    frame: Frame | None
    source: Frame | None
    structure: Structure | None
    shot: int
    region: Region
    cut: bool
    found: Found = field(default_factory=Found)
    tones: Tones | None = None
