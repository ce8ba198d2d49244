"""What a change of light does to code values, by the transfer characteristics of the video.

A lamp that gives a tenth more light moves a gamma-coded value by a share of itself, a PQ or HLG value by something
else. Changes of light are measured between frames as differences of `log_light`, and undone by adding gain times
`response`, so that video is treated in its own code values and never converted.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...frame import Transfer

__all__ = ["Light", "light_of"]

_POINTS = 4096
_FLOOR = 0.02  # of code values: keeps noise in the dark from looking like a change of light


class Light:
    """One transfer characteristic.

    log_light  strictly rising function of code values 0..1, whose differences between two pictures of the same thing
               are their difference in light. Gamma-coded: the log of the code value, so a gain multiplies it
    response   how far a code value moves for a unit of change of the log of its own light, without a floor: the change
               is that of a row or a block, and what is black in it has no light to change
    """

    def __init__(self, codes: NDArray[np.float64], light: NDArray[np.float64], floor: float, multiplies: bool) -> None:
        self._codes = codes
        self._log_light = np.log(light + floor)
        self._response = codes if multiplies else light / np.gradient(light, codes)
        self._multiplies = multiplies
        self._responses: dict[int, NDArray[np.float32]] = {}

    def log(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """log_light of pictures."""
        if self._multiplies:
            dark = np.float32(_FLOOR)
            result: NDArray[np.float32] = np.log(np.maximum(x, np.float32(0)) + dark, dtype=np.float32)
            return result
        # the grid is even, so the place in it is a product
        at = np.clip(x * np.float32(_POINTS - 1) + np.float32(0.5), 0, _POINTS - 1).astype(np.int32)
        taken: NDArray[np.float32] = np.take(self._log_light, at).astype(np.float32)
        return taken

    def gain(self, change: NDArray[np.float32]) -> NDArray[np.float32]:
        """The relative gain that adds `change` to log_light."""
        result: NDArray[np.float32] = np.expm1(change) if self._multiplies else change
        return result

    def response(self, size: int) -> NDArray[np.float32]:
        """At `size` even points over 0..1: float32 (3, size), the channels alike."""
        known = self._responses.get(size)
        if known is None:
            x = np.linspace(0.0, 1.0, size)
            known = np.tile(np.interp(x, self._codes, self._response).astype(np.float32), (3, 1))
            known.flags.writeable = False
            self._responses[size] = known
        return known


def _pq(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084: code value to light, 1 = 10,000 cd/m2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    p = x ** (1 / m2)
    result: NDArray[np.float64] = (np.maximum(p - c1, 0) / (c2 - c3 * p)) ** (1 / m1)
    return result


def _hlg(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67 (BT.2100): code value to scene light, 1 = peak."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(x <= 0.5, x * x / 3, (np.exp((x - c) / a) + b) / 12)


@cache
def light_of(transfer: Transfer) -> Light:
    """How light acts on video of this transfer; anything but PQ and HLG counts as gamma-coded."""
    codes = np.linspace(0.0, 1.0, _POINTS)
    if transfer not in (Transfer.PQ, Transfer.HLG):
        return Light(codes, codes, _FLOOR, True)
    linear = _pq if transfer is Transfer.PQ else _hlg
    # the floor is that of a code value of _FLOOR in gamma 2.4, at the same part of the range that is in use
    return Light(codes, linear(codes), float(linear(np.array([3 * _FLOOR]))[0]), False)
