"""Reelmend restores video as it streams.

import reelmend
reelmend.restore("film.mp4", "steady.mp4", stages=[reelmend.Deflicker()])

stream = reelmend.Stream([reelmend.Deflicker()])      # or frame by frame
for picture in pictures:                              # NumPy arrays (height, width, 3)
    for frame in stream.push(picture):
        show(reelmend.to_rgb(frame))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ReelmendError

if TYPE_CHECKING:
    from .convert import to_rgb
    from .fallback import Fallback
    from .frame import Colour, Frame, PixelFormat, VideoInfo
    from .restore import RestoreResult, plan_restore, restore
    from .stage import Declaration, Stage, StageRuntime
    from .stages.deflicker import Deflicker
    from .stages.interpolate import Interpolate
    from .stages.upscale import Upscale
    from .stream import Plan, Stream

__version__ = "0.1.0"

# Public names and where they live; loaded when first used, so that `import reelmend` stays quick.
_HOMES = {
    "Colour": ".frame",
    "Declaration": ".stage",
    "Deflicker": ".stages.deflicker",
    "Fallback": ".fallback",
    "Frame": ".frame",
    "Interpolate": ".stages.interpolate",
    "PixelFormat": ".frame",
    "Plan": ".stream",
    "RestoreResult": ".restore",
    "Stage": ".stage",
    "StageRuntime": ".stage",
    "Stream": ".stream",
    "Upscale": ".stages.upscale",
    "VideoInfo": ".frame",
    "plan_restore": ".restore",
    "restore": ".restore",
    "to_rgb": ".convert",
}

__all__ = [
    "Colour",
    "Declaration",
    "Deflicker",
    "Fallback",
    "Frame",
    "Interpolate",
    "PixelFormat",
    "Plan",
    "ReelmendError",
    "RestoreResult",
    "Stage",
    "StageRuntime",
    "Stream",
    "Upscale",
    "VideoInfo",
    "__version__",
    "plan_restore",
    "restore",
    "to_rgb",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
