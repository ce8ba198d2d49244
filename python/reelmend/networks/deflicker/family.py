"""The families "blaze", the networks of BlazeBVD as Deflicker runs them, and "gfrm", the paper's U-Net alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...engines.network import Part, Port
from ..family import Family, Graph, Recognised, State
from ..fitting import fitted, shape_of
from .gfrm import KNOTS, GridGfrm, UNetGfrm
from .lfrm import VIEWS, Lfrm
from .tcm import SEEN, STATE, Tcm

__all__ = ["BLAZE", "GFRM", "Blaze"]

_SMALL, _MID = (36, 64), (144, 256)  # what it is traced with; stages.deflicker.priors has the pictures


class Blaze(nn.Module):
    """All three networks. planes, tones: of the global one's inputs."""

    def __init__(self, planes: int, tones: int, *, width: int = 32, local: int = 16, temporal: int = 32) -> None:
        super().__init__()
        nets = {"global": GridGfrm(planes, tones, width), "temporal": Tcm(temporal), "local": Lfrm(local)}
        self.nets = nn.ModuleDict(nets)


class _Global(nn.Module):
    """Vectors as pictures of one pixel, as graphs have them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, grid: Tensor, tones: Tensor) -> tuple[Tensor, Tensor]:
        curves, gains = self.net(grid, tones.flatten(1))
        return torch.unsqueeze(curves, 3), gains


class BlazeFamily(Family):
    """Checkpoints of `Blaze`."""

    name = "blaze"

    def matches(self, data: Any, state: State) -> bool:
        return {"nets.global.enter.weight", "nets.temporal.enter.weight", "nets.local.enter.weight"} <= set(state)

    def recognise(self, data: Any, state: State) -> Recognised:
        width, planes = (shape_of(state, "nets.global.enter.weight") or (32, 20))[:2]
        tones = (shape_of(state, "nets.global.ranks1.weight") or (0, 240))[1]
        local = (shape_of(state, "nets.local.enter.weight") or (16,))[0]
        temporal = (shape_of(state, "nets.temporal.enter.weight") or (32,))[0]
        both = fitted(Blaze(planes, tones, width=width, local=local, temporal=temporal), state, "Blaze").eval()
        nets: Any = both.nets
        half = ("h/2", "w/2")
        glob = Part(
            name="global",
            inputs=(Port("grid", (1, planes, "h", "w")), Port("tones", (1, tones, 1, 1))),
            outputs=(
                Port("curves", (1, 3, KNOTS, 1), "features", (-0.35, 0.35)),
                Port("gains", (1, 3, *half), "features", (-0.7, 0.7)),
            ),
            multiple=4,
        )
        temp = Part(
            name="temporal",
            inputs=(Port("seen", (1, SEEN, "h", "w")), Port("state", (1, STATE, *half), "features", (-1.0, 1.0))),
            outputs=(
                Port("change", (1, 3, *half), "features", (-0.7, 0.7)),
                Port("next", (1, STATE, *half), "features", (-1.0, 1.0)),
            ),
            multiple=2,
        )
        loc = Part(
            name="local",
            inputs=(Port("views", (1, VIEWS, "h", "w")), Port("there", (1, 2, 1, 1), "mask")),
            outputs=(Port("weights", (1, 3, "h", "w"), "mask"),),
            multiple=4,
        )
        return Recognised(
            family=self.name,
            task="deflicker",
            graphs=(
                Graph(_Global(nets["global"]), glob, _SMALL),
                Graph(nets["temporal"], temp, _SMALL),
                Graph(nets["local"], loc, _MID),
            ),
            window=(60, 13),
            licence="Apache-2.0",
        )


class GfrmFamily(Family):
    """Checkpoints of `UNetGfrm`, the paper's GFRM."""

    name = "gfrm"

    def matches(self, data: Any, state: State) -> bool:
        return {"down.0.0.weight", "shrink.0.weight", "up.0.0.weight", "out.weight"} <= set(state)

    def recognise(self, data: Any, state: State) -> Recognised:
        levels = len({name.split(".")[1] for name in state if name.startswith("down.")})
        widths = tuple((shape_of(state, f"down.{k}.0.weight") or (32,))[0] for k in range(levels))
        net = fitted(UNetGfrm(widths), state, "GFRM").eval()
        part = Part(
            name="main",
            inputs=(Port("x", (1, 6, "h", "w")),),
            outputs=(Port("y", (1, 3, "h", "w")),),
            multiple=1 << (levels - 1),
        )
        graph = Graph(net, part, (part.multiple * 4, part.multiple * 6))
        return Recognised(family=self.name, task="deflicker", graphs=(graph,), licence="Apache-2.0")


BLAZE, GFRM = BlazeFamily(), GfrmFamily()
