"""Every architecture that checkpoints are recognised as, in the order they are asked.

A family here is asked before spandrel (see `checkpoint.recognise`): what it claims is exported with its own definition.
"""

from __future__ import annotations

from importlib import import_module

from .family import Family

__all__ = ["FAMILIES", "families"]

# A family a line: the module in this room, and the name of its one object of class Family.
FAMILIES: tuple[tuple[str, str], ...] = (
    # upscale
    ("upscale.lite", "LITE"),
    ("upscale.span", "SPAN"),
    ("upscale.spanv2", "SPANV2"),
    ("upscale.disp", "DISP"),
    ("upscale.rt4ksr", "RT4KSR"),
    # deflicker
    ("deflicker.family", "BLAZE"),
    ("deflicker.family", "GFRM"),
    # interpolate and flow
    ("ebme", "EBME"),
    ("superslomo", "SUPERSLOMO"),
    ("ifnet", "IFNET"),
    ("fast", "FAST"),
    ("dain.family", "DAIN"),
)


def families() -> tuple[Family, ...]:
    """The objects, imported now."""
    return tuple(getattr(import_module(f".{module}", __package__), name) for module, name in FAMILIES)
