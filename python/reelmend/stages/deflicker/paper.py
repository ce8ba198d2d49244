"""BlazeBVD's own GFRM: a U-Net from a frame and its filtered illumination to the frame without flicker.

It makes every pixel of a frame, so it costs by their number, and what it cannot carry it blurs. For comparison, and for
those who train it. Source: Qiu et al., ECCV 2024 (arXiv 2403.06243), section 3.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...convert import from_rgb, rgb_into
from ...engines import EnginePlan, Network, open_engine, plan_engine
from ...frame import Frame, VideoInfo
from .exposure import illumination_map

__all__ = ["FAMILY", "Paper", "plan_of"]

FAMILY = "gfrm"


def plan_of(network: Network, info: VideoInfo) -> EnginePlan:
    """How it would run on frames like these."""
    return plan_engine(network, size=(info.height, info.width))


class Paper:
    """The network for frames of one size, in the memory of the host; those on a GPU are copied there and back."""

    def __init__(self, network: Network, info: VideoInfo) -> None:
        self._size = (info.height, info.width)
        self._engine = open_engine(network, size=self._size)
        rows, columns = self._engine.size
        self._given = np.zeros((1, 6, rows, columns), np.float32)
        self._made = np.empty((1, 3, rows, columns), np.float32)

    def __call__(self, source: Frame, table: NDArray[np.float32]) -> Frame:
        """A frame as it came, with its filtered illumination, after the network; its opacity stays."""
        host = source.replace(planes=tuple(ops.to_host(p) for p in source.planes))
        rgb = self._given[0, :3]
        rgb_into(host, rgb)
        self._given[0, 3:] = illumination_map(rgb, table)
        part = self._engine.part
        self._engine.run({part.inputs[0].name: self._given}, {part.outputs[0].name: self._made})
        rows, columns = self._size
        made = from_rgb(self._made[0, :, :rows, :columns], host)
        planes = tuple(ops.beside(p, like, p.dtype) for p, like in zip(made.planes, source.planes, strict=False))
        return source.replace(planes=(*planes, *source.planes[len(planes) :]))
