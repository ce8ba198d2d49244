"""What was done to a frame and what the networks add, as one change from the frame as it came: rounded once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...frame import Frame
from ..planes import resized
from .apply import points_of
from .light import Light, light_of

__all__ = ["Treated", "joined", "toned"]

_BINS = 4  # of luma, at which the second gains are put in terms of the first response
_GRID = (36, 64)  # cells that a joined grid has at least: several of either grid, which are linear between centres
_STEP = (0.02, 0.3)  # least and greatest gain over which a curve's slope is taken
_RATIO = 2.0  # the most that the second gains are raised by the response to the first

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Treated:
    """What was done to a frame before the networks.

    base    as it came
    gains   of the first half, as Found has them: float32 (3, bins, rows, columns); None for none
    change  of the second half: what curves add then, float32 (3, points); None for none
    """

    base: Frame
    gains: Floats | None
    change: Floats | None


def toned(picture: Floats, curves: Floats, gains: Floats) -> Floats:
    """A picture (3, rows, columns) of 0..1 after curves (3, knots) and gains (3, rows, columns), as map_tones makes
    it of large ones."""
    at = np.clip(picture, 0, 1)
    knots = np.linspace(0, 1, curves.shape[1])
    curved = np.stack([p + np.interp(x, knots, c) for p, x, c in zip(picture, at, curves, strict=True)])
    made: Floats = (curved * (1 + resized(gains, (picture.shape[1], picture.shape[2])))).astype(np.float32)
    return np.clip(made, 0, 1)


def joined(treated: Treated, curves: Floats, gains: Floats) -> tuple[Floats, Floats, Floats | None]:
    """(change, gains, response) for ops.map_tones of `base`: all that was done to it, then curves and gains.

    curves  float32 (3, knots): what is added to a value after those of the second half, at even points of 0..1
    gains   float32 (3, rows, columns): by what part of it a value is changed at last

    With F what all curves make of a value x, s how a value moves with light, g the first gains and h the last, that is
    F(x + g s(x)) (1 + h). The curve is F, the response r = (F(x + d s) - F(x - d s)) / 2 d with d the usual size of g,
    so that g r(x) is what F makes of g where F is all but straight that far; h goes with it as h F / r, which differs
    little over values and is taken at the luma of each bin.
    """
    change = _change(treated.change, curves, treated.base)
    if treated.gains is None:
        return change, np.ascontiguousarray(gains[:, None]), None
    light = light_of(treated.base.colour.transfer)
    response = _response(treated.gains, change, light)
    first, bins = treated.gains, max(_BINS, treated.gains.shape[1])
    size = (max(_GRID[0], first.shape[2]), max(_GRID[1], first.shape[3]))
    last = resized(gains, size)
    made = np.empty((3, bins, *size), np.float32)
    for c in range(3):
        held = resized(first[c], size)
        ratio = _ratio(change[c], response[c], light, bins)
        made[c] = held * (1 + last[c]) + ratio[:, None, None] * last[c]
    return change, made, response


def _change(first: Floats | None, curves: Floats, frame: Frame) -> Floats:
    """What curves add after others that add `first`, together, as ops.map_tones takes it."""
    x = np.linspace(0, 1, points_of(frame.format))
    knots = np.linspace(0, 1, curves.shape[1])
    if first is None:
        first = np.zeros((3, len(x)), np.float32)
    return np.stack([f + np.interp(x + f, knots, c) for f, c in zip(first, curves, strict=True)]).astype(np.float32)


def _response(gains: Floats, change: Floats, light: Light) -> Floats:
    """r of `joined`, (3, points)."""
    size = change.shape[1]
    x = np.linspace(0, 1, size)
    moved = light.response(size)
    made = np.empty_like(change)
    for c in range(3):
        step = float(np.clip(np.sqrt((gains[c] ** 2).mean()), *_STEP))
        up, down = x + step * moved[c], x - step * moved[c]
        made[c] = (up - down + np.interp(up, x, change[c]) - np.interp(down, x, change[c])) / (2 * step)
    return made


def _ratio(change: Floats, response: Floats, light: Light, bins: int) -> Floats:
    """F / r of one channel at the luma of each bin: (bins,); at most so much more than curves that add nothing have."""
    at = (np.arange(bins) + 0.5) / bins
    x = np.linspace(0, 1, len(change))
    moved, bare, curved = (np.interp(at, x, y) for y in (response, light.response(len(x))[0], change))
    most = _RATIO * at / bare
    ratio: Floats = np.clip((at + curved) / np.maximum(moved, 1e-4), 0, most).astype(np.float32)
    return ratio
