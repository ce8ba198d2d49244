"""Deflicker: finds out what flickers and cures that; cut-aware, bit-exact where nothing does."""

from .exposure import exposed_share, filtered_illumination, singular_frames
from .findings import KINDS, Findings, Kind, Summary
from .stage import CURES, Deflicker

__all__ = [
    "CURES",
    "KINDS",
    "Deflicker",
    "Findings",
    "Kind",
    "Summary",
    "exposed_share",
    "filtered_illumination",
    "singular_frames",
]
