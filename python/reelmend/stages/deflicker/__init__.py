"""Deflicker: global scale-time equalisation, cut-aware, and only where there is flicker."""

from .stage import Deflicker

__all__ = ["Deflicker"]
