"""Deflicker: finds out what flickers and cures that; cut-aware, bit-exact where nothing does."""

from .findings import KINDS, Findings, Kind, Summary
from .stage import CURES, Deflicker

__all__ = ["CURES", "KINDS", "Deflicker", "Findings", "Kind", "Summary"]
