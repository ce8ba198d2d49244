"""DAIN's checkpoint, taken apart."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...engines.network import Part, Port
from ...errors import CheckpointError
from ..family import Family, Graph, Recognised, State
from ..fitting import fitted, shape_of, within
from .depth import Depth, hourglass
from .flow import LEVELS, SCALES, UNIT, FirstLevel, LastLevel, Level, Pyramid, level_part, pyramid_part
from .frames import DOWN, TAPS, Context, Kernels, Synthesis, context_channels
from .slim import SlimDepth

__all__ = ["DAIN"]

MULTIPLE = 64  # of the pyramid's six halvings; the public program pads to 128
_OF_KERNELS = 32  # where there is no pyramid: of their five
_EXAMPLE = (128, 192)  # no level of which is a single row or column
_PREFIXES = ("flownets.", "depthNet.", "slimDepth.", "ctxNet.", "rectifyNet.", "initScaleNets_filter")


class _Dain(Family):
    """best.pth: a plain state dict of 954 tensors. Or a slim one, see `slim`: widths are those of its tensors."""

    name = "dain"

    def matches(self, data: Any, state: State) -> bool:
        return "initScaleNets_filter.0.weight" in state and "rectifyNet.block1.0.weight" in state

    def recognise(self, data: Any, state: State) -> Recognised:
        strange = [name for name in state if not name.startswith(_PREFIXES)]
        if strange:
            raise CheckpointError(
                f"DAIN: {len(strange)} tensors belong to no part of it ({', '.join(strange[:6])}); expected a state "
                f"dict as best.pth, whose names begin with {', '.join(_PREFIXES)}"
            )
        flow = within(state, "flownets.")
        scales = {str(level): scale for level, scale in SCALES.items()}
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=(*(_flow(flow) if flow else ()), _depth(state), _context(state), _kernels(state), _synthesis(state)),
            window=(0, 1),
            settings={"multiple": MULTIPLE, "radius": 4, "unit": UNIT, "scales": scales}
            if flow
            else {"multiple": _OF_KERNELS},
        )


def _flow(state: State) -> list[Graph]:
    """Every level's tensors by their names; what is left is the pyramid's."""
    left = dict(state)
    levels = []
    for module in (FirstLevel(), *(Level(level) for level in LEVELS[1:-1]), LastLevel()):
        level = module.level
        names = {name for name, _ in module.named_children()}
        own = {name: left.pop(name) for name in list(left) if name.partition(".")[0] in names}
        levels.append(Graph(fitted(module, own, f"DAIN, flownets, level {level}"), level_part(level), _EXAMPLE))
    return [Graph(fitted(Pyramid(), left, "DAIN, flownets, pyramid"), pyramid_part(), _EXAMPLE), *levels]


def _plane(name: str, channels: int, kind: Any = "picture", low: float = 0.0, high: float = 1.0) -> Port:
    return Port(name, (1, channels, "h", "w"), kind, (low, high))


def _depth(state: State) -> Graph:
    large, small = within(state, "depthNet."), within(state, "slimDepth.")
    if large and small:
        raise CheckpointError(
            f"DAIN: depthNet and slimDepth, {len(large)} and {len(small)} tensors; expected one depth network"
        )
    net: nn.Module
    if small:
        width = (shape_of(small, "conv0.weight") or (8,))[0]
        net, multiple = fitted(SlimDepth(width), small, "DAIN, slimDepth"), 4
    else:
        net, multiple = fitted(hourglass(), large, "DAIN, depthNet"), 16
    log, weight = _plane("log_depth", 1, "depth", -2.0, 3.0), _plane("weight", 1, "depth", 0.0, 8.0)
    return Graph(Depth(net).eval(), Part("depth", (_plane("picture", 3),), (log, weight), multiple=multiple))


def _context(state: State) -> Graph:
    log = _plane("log_depth", 1, "depth", -2.0, 3.0)
    seen = _plane("context", context_channels(_width(state)), "features", -1.0, 1.0)
    net = fitted(Context(_width(state)), within(state, "ctxNet."), "DAIN, ctxNet")
    return Graph(net, Part("context", (_plane("picture", 3), log), (seen,)))


def _width(state: State) -> int:
    """Of the layers of context."""
    return (shape_of(state, "ctxNet.block1.0.weight") or (64,))[0]


def _kernels(state: State) -> Graph:
    own = {name: tensor for name, tensor in state.items() if name.startswith("initScaleNets_filter")}
    places = zip((0, *DOWN), (16, 32, 64, 128, 256, 512), strict=True)
    widths = [(shape_of(own, f"initScaleNets_filter.{k}.weight") or (public,))[0] for k, public in places]
    taps = [_plane(f"taps_{name}", TAPS, "kernel", -1.0, 1.0) for name in "ab"]
    net = fitted(Kernels(widths), own, "DAIN, initScaleNets_filter")
    return Graph(net, Part("kernels", (_plane("a", 3), _plane("b", 3)), tuple(taps), multiple=32))


def _synthesis(state: State) -> Graph:
    own, context = within(state, "rectifyNet."), context_channels(_width(state))
    shape = shape_of(own, "block1.0.weight")
    width, size = (shape[0], shape[2]) if len(shape) == 4 and shape[2] % 2 else (128, 7)
    residual = len({name.partition(".")[0] for name in own if ".conv" in name})
    net = fitted(Synthesis(context, width, residual, size), own, "DAIN, rectifyNet")
    inputs = (
        _plane("blend", 3),
        *(_plane(f"from_{name}", 3) for name in "ab"),
        *(_plane(f"to_{name}", 2, "flow", -32.0, 32.0) for name in "ab"),
        *(_plane(f"taps_{name}", TAPS, "kernel", -1.0, 1.0) for name in "ab"),
        *(_plane(f"context_{name}", context, "features", -1.0, 1.0) for name in "ab"),
    )
    return Graph(net, Part("synthesis", inputs, (_plane("picture", 3),)))


DAIN = _Dain()
