"""One frame on its way through the stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...frame import Frame
from .signature import Region, Structure, Tones
from .spatial import Found

__all__ = ["Item"]


@dataclass(slots=True)
class Item:
    """One frame and what is known of it. Frame and tones are let go once it is given out.

    index      frame number, from 0
    frame      as it came, then as the first half left it
    source     as it came
    structure  of `frame`
    shot       number of its shot
    region     the picture inside the bars
    cut        first frame of a shot
    found      what the first half says
    tones      of `frame`, once the second half has it
    """

    index: int
    frame: Frame | None
    source: Frame | None
    structure: Structure
    shot: int
    region: Region
    cut: bool
    found: Found = field(default_factory=Found)
    tones: Tones | None = None
