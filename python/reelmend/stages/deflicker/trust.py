"""How far the networks are followed, frame by frame.

Scale-time equalisation brings light that is multiplied close to the truth; there the networks' answers err by more than
what is left. They know better where light is added, where it flickers in parts of the picture, and where so much is
wrong that they cannot err by as much. Elsewhere an answer is shrunk by its own error, as James and Stein (1961) do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .item import Found
from .patches import SHARE_OFF, SHARE_ON
from .priors import RANKS

__all__ = ["BLACK", "CERTAIN", "EVEN", "GRAY", "NOISE", "SETS", "drifts", "kept", "local", "uneven"]

SETS, BLACK, GRAY = 5, 0, 8  # of tones; among RANKS, those of 0.1 and of 50 percent
NOISE = 0.08  # a move of gray that tells little
EVEN, CERTAIN = 0.37, 0.03  # by what part of gray black moves where either may be, and how fast that is certain
_ERROR = 2 / 255  # of answers where nothing but their size speaks for them, root mean square

Floats = NDArray[np.float32]


def drifts(tones: Floats) -> Floats:
    """Whether light is added in the window and not multiplied, of R, G, B: (3,), 0..1. Then black moves nearly as far
    as gray.

    tones  as global_inputs gives them: of five sets of three channels, the fourth is the least in the window, the fifth
           the greatest
    """
    sets = tones.reshape(SETS, 3, len(RANKS) + 2)
    moves = sets[4] - sets[3]
    ratio = moves[:, BLACK] / (moves[:, GRAY] + NOISE)
    made: Floats = (1 / (1 + np.exp((EVEN - ratio) / CERTAIN))).astype(np.float32)
    return made


def local(found: Found) -> float:
    """Whether light flickers in parts of the picture: 0..1."""
    return float(np.clip((found.patches.share - SHARE_OFF) / (SHARE_ON - SHARE_OFF), 0, 1))


def uneven(found: Found) -> float:
    """Whether it does so, or in bands that were undone: 0..1."""
    return max(local(found), found.bands_amount)


def kept(apart: Floats) -> float:
    """What is kept of an answer that nothing but its size speaks for: 0..1, by how much it changes a picture of
    0..1."""
    power = float(np.square(apart).mean())
    return max(0.0, 1 - _ERROR * _ERROR / power) if power > 0 else 0.0
