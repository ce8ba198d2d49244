"""Upscale: each frame made larger, on its own, by a network of the catalogue."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...convert import from_rgb, rgb_into, spread
from ...engines import Network, Part, find, open_engine, plan_engine
from ...engines.chain import Chain, not_recorded
from ...errors import FormatError, OptionError
from ...fallback import Fallback
from ...frame import Array, Frame, Transfer, VideoInfo
from ...ops._dispatch import empty
from ...stage import Declaration, Stage, StageRuntime, State
from ..tiles import Tile, cut

__all__ = ["Upscale"]

_TILE = 1024  # pixels along an edge of a part, where a frame is too large to go through whole
# The largest frames that do: parts cost time, by what they overlap, and save memory.
_WHOLE = {"cpu": 1920 * 1088, "cuda": 3840 * 2176}
_CHANNELS = 64  # of float32 that a network is taken to hold per pixel of a tile, for the plan's memory


@dataclass(frozen=True, kw_only=True)
class Upscale(Stage):
    """Options of super-resolution.

    network    a name of the catalogue (`reelmend engines list`), the path of a network's folder, or a Network, whose
               task is "upscale"; its scale is how many times as large frames become
    precision  "auto", "fp32", "mixed", "fp16" or "int8"; what is not accepted on this machine is refused or, with
               "auto", replaced by the next, which the plan says
    tile       pixels along an edge of the parts in which a frame goes through the network; 0: always whole; None: as
               fits the device. Parts overlap by what the network sees, so there are no seams; a network that sees the
               whole picture is never given parts
    graphs     on a GPU, record what is done for a frame as one CUDA graph, and replay it for later frames

    Networks see RGB of 0..1 as the frame's tags say, in its own transfer; what comes out has the frame's format, depth
    and tags. Opacity is made larger bilinearly.
    """

    network: str | Network = "lite-x2"
    precision: Any = "auto"
    tile: int | None = None
    graphs: bool = True

    name: ClassVar[str] = "upscale"

    def __post_init__(self) -> None:
        if self.tile is not None and (self.tile < 0 or 0 < self.tile < 64):
            raise OptionError(f"Upscale: tile is {self.tile} pixels; expected 0 (whole frames) or at least 64")

    @property
    def window(self) -> tuple[int, int]:
        return 0, 0

    @property
    def state(self) -> State:
        return "none"

    def _network(self) -> Network:
        return self.network if isinstance(self.network, Network) else find(self.network, "upscale")

    def _tile(self, part: Part, width: int, height: int, device: str) -> tuple[int, int]:
        """(rows, columns) of a tile; those of the padded frame where it goes through whole."""
        rows, columns = part.padded((height, width))
        tile = self.tile
        if tile is None:
            tile = _TILE if rows * columns > _WHOLE[device.partition(":")[0]] else 0
        if not tile or part.radius is None:
            return rows, columns
        if tile - 2 * part.radius < part.multiple:
            raise OptionError(
                f"Upscale: tile is {tile} pixels, but this network sees {part.radius} to each side; give at least "
                f"{2 * part.radius + 64}, or 0 for whole frames"
            )
        across = [next(cut(n, tile, part.radius, part.multiple)).length for n in (rows, columns)]
        return across[0], across[1]

    def declare(self, info: VideoInfo, device: str) -> Declaration:
        network = self._network()
        part = network.part()
        tile = self._tile(part, info.width, info.height, device)
        plan = plan_engine(network, size=tile, device=device, precision=self.precision)
        rows, columns = tile
        scale = network.scale
        notes = [str(plan)]
        if tile != part.padded((info.height, info.width)):
            notes.append(f"in parts of {columns}x{rows} that overlap by {2 * part.radius if part.radius else 0} pixels")
        if info.colour.transfer in (Transfer.PQ, Transfer.HLG):
            notes.append("HDR: the network sees the coded values, though it learnt from others")
        output = replace(info, width=info.width * scale, height=info.height * scale)
        floats = 3 * 4 * (math.prod(part.padded((info.height, info.width))) + output.width * output.height)
        return Declaration(
            window=self.window,
            latency=0,
            output=output,
            memory=floats + rows * columns * _CHANNELS * 4 + output.frame_bytes,
            device=device,
            state=self.state,
            engines=(network.name,),
            fallbacks=plan.fallbacks + (not_recorded(device, [plan]) if self.graphs else ()),
            notes=tuple(notes),
        )

    def open(self, info: VideoInfo, device: str) -> _Runtime:
        return _Runtime(self, info, device)


class _Runtime(StageRuntime):
    """Frame to RGB, through the network in tiles, and back to the frame's format."""

    def __init__(self, options: Upscale, info: VideoInfo, device: str) -> None:
        network = options._network()
        self._part = network.part()
        self._scale = network.scale
        self._size = (info.height, info.width)
        self._padded = self._part.padded(self._size)
        self._tile = options._tile(self._part, info.width, info.height, device)
        self._engine = open_engine(network, size=self._tile, device=device, precision=options.precision)
        self._chain = Chain(device, self._engine, graphs=options.graphs)
        radius, multiple = self._part.radius or 0, self._part.multiple
        self._rows = list(cut(self._padded[0], self._tile[0], radius, multiple))
        self._columns = list(cut(self._padded[1], self._tile[1], radius, multiple))
        self._input: Array = None
        self._output: Array = None
        self._parts: tuple[Array, Array] | None = None

    def push(self, frame: Frame) -> list[Frame]:
        if (frame.height, frame.width) != self._size:
            h, w = self._size
            raise FormatError(f"Upscale was opened for {w}x{h}; got a frame of {frame.width}x{frame.height}")
        if self._input is None:
            self._allocate(frame.planes[0])
        return [self._by_ops(frame) if frame.format.kind == "yuv" else self._by_library(frame)]

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        return (*self._engine.fallbacks, *self._chain.fallbacks)

    def _by_ops(self, frame: Frame) -> Frame:
        """A frame of YUV: all of it is ops and the network, and so one chain."""
        fmt, like = frame.format, frame.planes[0]
        height, width = (n * self._scale for n in self._size)
        picture = self._output[0][:, :height, :width]
        planes = tuple(empty(shape, fmt.dtype, like) for shape in fmt.plane_shapes(width, height))

        def work(stream: Any) -> None:
            rgb_into(frame, self._input[0], stream)
            self._chain.part(self._through, stream)
            from_rgb(picture, frame, planes[:3], stream)
            for opacity, larger in zip(frame.planes[3:], planes[3:], strict=True):
                ops.resize(opacity, out=larger, stream=stream)

        self._chain(work, like, (*frame.planes, *planes), (fmt, frame.colour))
        return frame.replace(planes=planes)

    def _by_library(self, frame: Frame) -> Frame:
        """A frame of RGB or gray: its own library converts it, which takes memory; the chain is what lies between."""
        rgb_into(frame, self._input[0])
        self._chain(self._through, frame.planes[0])
        height, width = (n * self._scale for n in self._size)
        made = from_rgb(self._output[0][:, :height, :width], frame)
        return made.replace(planes=(*made.planes, *self._opacity(frame)))

    def _allocate(self, like: Array) -> None:
        s = self._scale
        rows, columns = self._padded
        self._input = empty((1, 3, rows, columns), np.float32, like)
        self._output = empty((1, 3, s * rows, s * columns), np.float32, like)
        if len(self._rows) * len(self._columns) > 1:
            rows, columns = self._tile
            self._parts = (
                empty((1, 3, rows, columns), np.float32, like),
                empty((1, 3, s * rows, s * columns), np.float32, like),
            )

    def _through(self, stream: Any) -> None:
        """From RGB to larger RGB, both always at the same places, whole or in parts."""
        if self._parts is None:
            self._run(self._input, self._output, stream)
            return
        for y in self._rows:
            for x in self._columns:
                self._part_of(y, x, *self._parts, stream)

    def _run(self, x: Array, y: Array, stream: Any) -> None:
        self._engine.run({self._part.inputs[0].name: x}, {self._part.outputs[0].name: y}, stream)

    def _part_of(self, y: Tile, x: Tile, given: Array, made: Array, stream: Any) -> None:
        s = self._scale
        spread(self._input[0][:, y.begin : y.begin + y.length, x.begin : x.begin + x.length], given[0], stream)
        self._run(given, made, stream)
        right = made[0][
            :,
            s * (y.first - y.begin) : s * (y.last - y.begin),
            s * (x.first - x.begin) : s * (x.last - x.begin),
        ]
        spread(right, self._output[0][:, s * y.first : s * y.last, s * x.first : s * x.last], stream)

    def _opacity(self, frame: Frame) -> tuple[Array, ...]:
        if not frame.format.alpha:
            return ()
        height, width = (n * self._scale for n in self._size)
        return (ops.resize(frame.planes[-1], (height, width)),)

    def flush(self) -> list[Frame]:
        return []

    def reset(self) -> None:
        return
