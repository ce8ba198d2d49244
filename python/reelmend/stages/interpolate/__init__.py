"""Interpolate: new frames between the frames there are, exactly timed."""

from .stage import METHODS, Interpolate

__all__ = ["METHODS", "Interpolate"]
