"""Deflicker: global scale-time equalisation, cut-aware, and only where there is flicker."""

from .findings import KINDS, Findings, Kind, Summary
from .stage import Deflicker

__all__ = ["KINDS", "Deflicker", "Findings", "Kind", "Summary"]
