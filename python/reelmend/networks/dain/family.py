"""DAIN's checkpoint, taken apart."""

from __future__ import annotations

from typing import Any

from ...engines.network import Part, Port
from ...errors import CheckpointError
from ..family import Family, Graph, Recognised, State
from ..fitting import fitted, within
from .depth import Depth, hourglass
from .flow import LEVELS, SCALES, UNIT, FirstLevel, LastLevel, Level, Pyramid, level_part, pyramid_part
from .frames import CONTEXT, TAPS, Context, Kernels, Synthesis

__all__ = ["DAIN"]

MULTIPLE = 64  # of the pyramid's six halvings; the public program pads to 128
_EXAMPLE = (128, 192)  # no level of which is a single row or column
_PREFIXES = ("flownets.", "depthNet.", "ctxNet.", "rectifyNet.", "initScaleNets_filter")


class _Dain(Family):
    """best.pth: a plain state dict of 954 tensors."""

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
        own = {name: tensor for name, tensor in state.items() if name.startswith("initScaleNets_filter")}
        return Recognised(
            family=self.name,
            task="interpolate",
            graphs=(
                *_flow(within(state, "flownets.")),
                Graph(Depth(fitted(hourglass(), within(state, "depthNet."), "DAIN, depthNet")).eval(), _depth()),
                Graph(fitted(Context(), within(state, "ctxNet."), "DAIN, ctxNet"), _context()),
                Graph(fitted(Kernels(), own, "DAIN, initScaleNets_filter"), _kernels()),
                Graph(fitted(Synthesis(), within(state, "rectifyNet."), "DAIN, rectifyNet"), _synthesis()),
            ),
            window=(0, 1),
            settings={
                "multiple": MULTIPLE,
                "radius": 4,
                "unit": UNIT,
                "scales": {str(level): scale for level, scale in SCALES.items()},
            },
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


def _depth() -> Part:
    log, weight = _plane("log_depth", 1, "depth", -2.0, 3.0), _plane("weight", 1, "depth", 0.0, 8.0)
    return Part("depth", (_plane("picture", 3),), (log, weight), multiple=16)


def _context() -> Part:
    log = _plane("log_depth", 1, "depth", -2.0, 3.0)
    return Part("context", (_plane("picture", 3), log), (_plane("context", CONTEXT, "features", -1.0, 1.0),))


def _kernels() -> Part:
    taps = [_plane(f"taps_{name}", TAPS, "kernel", -1.0, 1.0) for name in "ab"]
    return Part("kernels", (_plane("a", 3), _plane("b", 3)), tuple(taps), multiple=32)


def _synthesis() -> Part:
    inputs = (
        _plane("blend", 3),
        *(_plane(f"from_{name}", 3) for name in "ab"),
        *(_plane(f"to_{name}", 2, "flow", -32.0, 32.0) for name in "ab"),
        *(_plane(f"taps_{name}", TAPS, "kernel", -1.0, 1.0) for name in "ab"),
        *(_plane(f"context_{name}", CONTEXT, "features", -1.0, 1.0) for name in "ab"),
    )
    return Part("synthesis", inputs, (_plane("picture", 3),))


DAIN = _Dain()
