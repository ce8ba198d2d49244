"""EBME's bi-directional flow: a light recurrent pyramid, seen from the middle of two frames.

Source: Jin et al., "Enhanced Bi-directional Motion Estimation for Video Frame Interpolation", WACV 2023;
github.com/srcn-ivl/EBME (Apache-2.0), file bi-flownet.pkl.

The two parts run once each for every level of a pyramid, from the coarsest; `stages.interpolate.flownet` is the chain.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .. import ops
from ..engines.network import Part, Port
from .family import Family, Graph, Recognised, State
from .fitting import fitted, shape_of

__all__ = ["EBME", "Estimator", "Features"]

RADIUS = 4  # pixels of a quarter grid that the cost volume reaches
_SHIFTS = (2 * RADIUS + 1) ** 2
_WIDTHS = (160, 128, 112, 96, 64)
# As the published weights have them on film.
_SEEN = (-2.0, 10.0)
_CARRIED = (-16.0, 64.0)
_FLOW = (-64.0, 64.0)


def _convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2)


def _stage(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Convolutions, each with its LeakyReLU; the first one halves the size."""
    steps: list[nn.Module] = []
    for i in range(layers):
        steps += [_convolution(outputs if i else inputs, outputs, stride=1 if i else 2), nn.LeakyReLU(0.1)]
    return nn.Sequential(*steps)


class Features(nn.Module):
    """A picture (n, 3, h, w), RGB 0..1, to features (n, 2 width, h/4, w/4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_stage1 = _stage(3, width, 3)
        self.conv_stage2 = _stage(width, 2 * width, 6)

    def forward(self, picture: Tensor) -> Any:
        return self.conv_stage2(self.conv_stage1(picture))


class Estimator(nn.Module):
    """The flows of one level, all on a quarter grid (n, channels, h/4, w/4).

    volume   how alike the features of both pictures are at shifts up to RADIUS, as ops.correlate gives it: 81
    a, b     features of both pictures, each moved to the middle by the flows of the level before: 2 width each
    carried  what the level before knew (its second output, enlarged): 64; zeros at the coarsest
    last     its flows, enlarged: 4; zeros at the coarsest

    Gives the flows, first to second picture and back, x first, in pixels of the level's picture (not of the quarter
    grid): 4; and what the next level is to know: 64.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = _SHIFTS + 4 * width + _WIDTHS[-1] + 4
        for i, outputs in enumerate(_WIDTHS, 1):
            layer = nn.Sequential(_convolution(inputs, outputs, 1 if i == 1 else 3), nn.LeakyReLU(0.1))
            self.add_module(f"conv_layer{i}", layer)
            inputs = outputs
        self.conv_layer6 = nn.Sequential(_convolution(inputs, 4))
        self.likeness = nn.LeakyReLU(0.1)

    def forward(self, volume: Tensor, a: Tensor, b: Tensor, carried: Tensor, last: Tensor) -> tuple[Any, Any]:
        x = torch.cat([self.likeness(volume), a, b, carried, last], 1)
        for i in range(1, len(_WIDTHS) + 1):
            x = self.get_submodule(f"conv_layer{i}")(x)
        return self.conv_layer6(x), x


class _Ebme(Family):
    """bi-flownet.pkl: a plain state dict, "module." before every name."""

    name = "ebme"

    def matches(self, data: Any, state: State) -> bool:
        return "feat_pyramid.conv_stage1.0.weight" in state and "flow_estimator.conv_layer1.0.weight" in state

    def recognise(self, data: Any, state: State) -> Recognised:
        width = (shape_of(state, "feat_pyramid.conv_stage1.0.weight") or (24,))[0]
        both = nn.ModuleDict({"feat_pyramid": Features(width), "flow_estimator": Estimator(width)})
        fitted(both, state, "EBME")
        picture = Port("picture", (1, 3, "h", "w"))
        features = Part("features", (picture,), (_port("features", 2 * width, *_SEEN),), multiple=4, radius=_reach())
        estimator = Part(
            name="estimator",
            inputs=(
                _port("volume", _SHIFTS, -1.0, 4.0),
                _port("a", 2 * width, *_SEEN),
                _port("b", 2 * width, *_SEEN),
                _port("carried", _WIDTHS[-1], *_CARRIED),
                _port("last", 4, *_FLOW, flow=True),
            ),
            outputs=(_port("flow", 4, *_FLOW, flow=True), _port("carry", _WIDTHS[-1], *_CARRIED)),
            multiple=4,
            radius=4 * 5,  # five convolutions of 3 on a quarter grid
        )
        return Recognised(
            family=self.name,
            task="flow",
            graphs=(Graph(both["feat_pyramid"], features), Graph(both["flow_estimator"], estimator)),
            window=(0, 1),
            settings={"radius": RADIUS, "bias": _bias(both["feat_pyramid"], both["flow_estimator"])},
        )


def _port(name: str, channels: int, low: float, high: float, flow: bool = False) -> Port:
    """A port on the quarter grid."""
    return Port(name, (1, channels, "h/4", "w/4"), "flow" if flow else "features", (low, high))


def _reach() -> int:
    """Pixels that features see around their own: a convolution of 3 sees one pixel of its input's grid each way."""
    return 1 + 2 * (2 + 1) + 4 * 5


def _bias(features: nn.Module, estimator: nn.Module) -> list[float]:
    """What both flows have in common between a picture and itself, where they should be 0: (x, y) in pixels.

    Training compares what is made half way, from both pictures; a shift of both at once can be made up for by what
    makes it, so nothing holds it at 0. In the published weights it is 0.39 and -0.46, and alike to 0.01 for any content
    and at any level; so it is measured once, on noise, at one level.
    """
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        seen = features(picture)
        volume = torch.from_numpy(ops.correlate(seen[0].numpy(), seen[0].numpy(), RADIUS))
        nothing = torch.zeros(1, _WIDTHS[-1] + 4, *seen.shape[2:])
        flows, _ = estimator(volume[None], seen, seen, nothing[:, 4:], nothing[:, :4])
    x, y = flows.reshape(2, 2, -1).mean((0, 2)).tolist()
    return [x, y]


EBME = _Ebme()
