"""Pictures made larger by a network."""

from .stage import Upscale

__all__ = ["Upscale"]
