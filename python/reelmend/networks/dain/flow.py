"""PWC-DC-Net: flow from coarse to fine, one graph a level.

Source: Sun et al., "PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume", CVPR 2018, in the form
with dense connections and a dilated refinement.

With c_k the features of a picture at level k (of 1/2^k of its size), and (up_flow, up_seen) what level k + 1 gave:

    V = ops.correlate(c_k of I_0, g(c_k of I_1, SCALES[k] up_flow), 4), without the warp at level 6
    up_flow, up_seen = flow_k(V, c_k of I_0, up_flow, up_seen);  flow_6 takes V alone
    F_01 = 20 flow_2, enlarged four times (bilinear, without aligned corners; its vectors are not scaled)

g is a backward warp, bilinear, that gives 0 wherever any of its four samples lies outside.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...engines.network import Part, Port

__all__ = ["LEVELS", "SCALES", "UNIT", "FirstLevel", "LastLevel", "Level", "Pyramid", "level_part", "pyramid_part"]

LEVELS = (6, 5, 4, 3, 2)
# What a level's flow is multiplied by to be in its pixels: UNIT / 2^level
UNIT = 20.0
SCALES = {level: UNIT / 2**level for level in LEVELS[1:]}
WIDTHS = {1: 16, 2: 32, 3: 64, 4: 96, 5: 128, 6: 196}  # features by level
_SHIFTS = 81
_DENSE = (128, 128, 96, 64, 32)
_SLOPE = 0.1


def _layer(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation), nn.LeakyReLU(_SLOPE))


class Pyramid(nn.Module):
    """Part "pyramid": a picture (n, 3, h, w), RGB 0..1, multiples of 64, to features of levels 2 to 6."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for level, width in WIDTHS.items():
            for k, name in enumerate(self._names(level)):
                self.add_module(name, _layer(width if k else inputs, width, 1 if k else 2))
            inputs = width

    @staticmethod
    def _names(level: int) -> tuple[str, str, str]:
        """In the order in which they run. The last level's first two have each other's names."""
        return (
            (f"conv{level}aa", f"conv{level}a", f"conv{level}b")
            if level == 6
            else (
                f"conv{level}a",
                f"conv{level}aa",
                f"conv{level}b",
            )
        )

    def forward(self, picture: Tensor) -> tuple[Any, ...]:
        x, seen = picture, []
        for level in WIDTHS:
            for name in self._names(level):
                x = self.get_submodule(name)(x)
            seen.append(x)
        return tuple(seen[1:])


class Level(nn.Module):
    """Parts "flow5" to "flow3": the flow of one level, in units of UNIT pixels of the whole picture, and what it saw,
    both enlarged for the next.

    volume   the cost volume (n, 81, rows, columns)
    seen     the first picture's features
    flow, carried   what the level before gave, two channels each
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level
        inputs = _SHIFTS + (0 if level == LEVELS[0] else WIDTHS[level] + 4)
        for k, outputs in enumerate(_DENSE):
            self.add_module(f"conv{level}_{k}", _layer(inputs, outputs))
            inputs += outputs
        self.add_module(f"predict_flow{level}", nn.Conv2d(inputs, 2, 3, 1, 1))
        self.add_module(f"deconv{level}", nn.ConvTranspose2d(2, 2, 4, 2, 1))
        if level != LEVELS[-1]:
            self.add_module(f"upfeat{level}", nn.ConvTranspose2d(inputs, 2, 4, 2, 1))
        self.likeness = nn.LeakyReLU(_SLOPE)
        self.dense = inputs

    def estimate(self, volume: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """The flow, and all that was seen."""
        x = torch.cat([self.likeness(volume), *others], 1)
        for k in range(len(_DENSE)):
            x = torch.cat([self.get_submodule(f"conv{self.level}_{k}")(x), x], 1)
        return self.get_submodule(f"predict_flow{self.level}")(x), x

    def enlarged(self, flow: Tensor, x: Tensor) -> tuple[Any, Any]:
        """Both for the next level."""
        return self.get_submodule(f"deconv{self.level}")(flow), self.get_submodule(f"upfeat{self.level}")(x)

    def forward(self, volume: Tensor, seen: Tensor, flow: Tensor, carried: Tensor) -> Any:
        return self.enlarged(*self.estimate(volume, seen, flow, carried))


class FirstLevel(Level):
    """Part "flow6": the same of the volume alone."""

    def __init__(self) -> None:
        super().__init__(LEVELS[0])

    def forward(self, volume: Tensor) -> Any:  # type: ignore[override]
        return self.enlarged(*self.estimate(volume))


class LastLevel(Level):
    """Part "flow2": the flow of level 2, refined by dilated convolutions. `deconv2` is in the files, and not used."""

    def __init__(self) -> None:
        super().__init__(LEVELS[-1])
        inputs = self.dense
        for k, (outputs, dilation) in enumerate(((128, 1), (128, 2), (128, 4), (96, 8), (64, 16), (32, 1)), 1):
            self.add_module(f"dc_conv{k}", _layer(inputs, outputs, 1, dilation))
            inputs = outputs
        self.dc_conv7 = nn.Conv2d(inputs, 2, 3, 1, 1)

    def forward(self, volume: Tensor, seen: Tensor, flow: Tensor, carried: Tensor) -> Any:
        found, x = self.estimate(volume, seen, flow, carried)
        for k in range(1, 8):
            x = self.get_submodule(f"dc_conv{k}")(x)
        return found + x


def _features(level: int, name: str) -> Port:
    return Port(name, (1, WIDTHS[level], f"h/{2**level}", f"w/{2**level}"), "features", (-1.0, 1.0))


def pyramid_part() -> Part:
    outputs = tuple(_features(level, f"level{level}") for level in reversed(LEVELS))
    return Part("pyramid", (Port("picture", (1, 3, "h", "w")),), outputs, multiple=64)


def level_part(level: int) -> Part:
    """The description of a level's graph; its size is that of the whole picture."""

    def port(name: str, channels: int, at: int, flow: bool = False) -> Port:
        shape = (1, channels, f"h/{2**at}", f"w/{2**at}")
        return Port(name, shape, "flow" if flow else "features", (-1.0, 1.0))

    volume = port("volume", _SHIFTS, level)
    before = (_features(level, "seen"), port("flow", 2, level, True), port("carried", 2, level))
    inputs = (volume,) if level == LEVELS[0] else (volume, *before)
    if level == LEVELS[-1]:
        outputs: tuple[Port, ...] = (port("refined", 2, level, True),)
    else:
        outputs = (port("up_flow", 2, level - 1, True), port("up_seen", 2, level - 1))
    return Part(f"flow{level}", inputs, outputs, multiple=64)
