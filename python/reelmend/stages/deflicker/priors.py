"""What the networks see of a frame: small pictures, and the priors of BlazeBVD that are made from them.

All sizes are fixed, whatever the video's: a picture of 144 x 256 to find motion and light that was lost, one of
36 x 64 (its means over 4 x 4) to judge light on. Both are taken inside the black bars. Networks answer with curves,
gains and weights on grids, which our ops apply at the video's own size and depth.

Source: Qiu et al., "BlazeBVD: Make Scale-Time Equalization Great Again for Blind Video Deflickering", ECCV 2024
(arXiv 2403.06243), sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...frame import Frame
from ..letterbox import Region
from ..structure import means_of
from .exposure import HIGH, LOW, illumination_map

__all__ = [
    "BLACK",
    "LOST",
    "MID",
    "NEAR",
    "PLANES",
    "RANKS",
    "RGB_PLANES",
    "SMALL",
    "TONES",
    "WHITE",
    "Sight",
    "View",
    "flow_to",
    "global_inputs",
    "half",
    "small_flow",
]

Floats = NDArray[np.float32]

SMALL, MID = (36, 64), (144, 256)  # rows, columns
# Ranks at which quantiles are taken: what lies at the ends tells a shift from the picture's own black and white.
RANKS = np.array(
    [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999], np.float32
)
_LEVELS = 1024
_END = 4  # levels from either end that count as clipped
NEAR = 15  # frames on both sides whose mean is a prior; that over the whole window is another
BLACK, WHITE = 0.02, 0.98  # of V: beyond, nothing is left of what was there
LOST = (0.012, 0.04)  # by how much what is exposed is changed where it is not lost, and where it is

_SIXTEENTH = np.full(4, 1 / 16, np.float32)

PLANES = 20  # of `global_inputs`' grid
RGB_PLANES = (0, 3, 10, 13, 16)  # where those of three colours begin
POINTS = len(RANKS) + 2  # of each channel's tones
TONES = 3 * POINTS * 5


@dataclass(slots=True)
class View:
    """One picture, small: RGB of 0..1.

    mid    float32 (3, *MID)
    luma   uint8 MID: its luma, to find motion by
    small  float32 (3, *SMALL)
    tones  float32 (3, POINTS): quantiles of `mid` at RANKS, and the shares that are clipped to black and to white
    """

    mid: Floats
    luma: NDArray[np.uint8]
    small: Floats
    tones: Floats

    @classmethod
    def of(cls, frame: Frame, region: Region) -> View:
        """Of the picture inside a region of a frame (any device), at least as large as MID."""
        return cls.made(means_of(frame, MID, region))

    @classmethod
    def made(cls, mid: Floats) -> View:
        return cls(mid, _luma(mid), _quarter(mid), np.stack([_tones(channel) for channel in mid]))


@dataclass(slots=True)
class Sight:
    """What is known of a frame before the networks.

    raw, made  as it came, and as scale-time equalisation left it
    table      float32 (n,): filtered illumination V~ of V = 0..1, as `filtered_illumination` gives it
    exposed    float32 (2, *MID), 0 or 1: where raw is all but black, and where all but white
    """

    raw: View
    made: View
    table: Floats
    exposed: Floats

    @classmethod
    def of(cls, raw: View, made: View, table: Floats) -> Sight:
        v = raw.mid.max(axis=0)
        return cls(raw, made, table, np.stack([v < BLACK, v > WHITE]).astype(np.float32))

    def lost(self, now: Floats) -> Floats:
        """How far light is lost to black, and to white, in a picture of MID that was made of it: (2, *MID), 0..1.

        What is exposed and stays as it came is black or white by itself.
        """
        off = np.abs(now - self.raw.mid).max(axis=0)
        share = np.clip((off - np.float32(LOST[0])) / np.float32(LOST[1] - LOST[0]), 0, 1)
        lost: Floats = self.exposed * share
        return lost


def _tones(channel: Floats) -> Floats:
    levels = np.clip(channel.ravel() * np.float32(_LEVELS - 1) + np.float32(0.5), 0, _LEVELS - 1).astype(np.int32)
    counts = np.bincount(levels, minlength=_LEVELS)
    below = np.cumsum(counts)
    quantiles = np.searchsorted(below, RANKS * below[-1]) / (_LEVELS - 1)
    ends = np.array([counts[:_END].sum(), counts[-_END:].sum()]) / below[-1]
    tones: Floats = np.concatenate([quantiles, ends]).astype(np.float32)
    return tones


def _quarter(x: Floats) -> Floats:
    """Means over 4 x 4."""
    n, rows, columns = x.shape
    lines = x.reshape(n, rows // 4, 4, columns).sum(axis=2)
    made: Floats = lines.reshape(n, rows // 4, columns // 4, 4) @ _SIXTEENTH
    return made


def global_inputs(window: Sequence[Sight], at: int) -> tuple[Floats, Floats]:
    """What the global network takes of frame `at` of a window of one shot: (PLANES, *SMALL) and (TONES,).

    Planes: RGB as equalised and as it came; V~ as a picture; shares lost to black and white, and of the exposure map
    of V~; means of RGB as equalised over the frames near and over the window, that of RGB as it came; deviation of
    luma over the frames near. Tones: quantiles as equalised and as it came, and of the latter the mean, the least and
    the greatest over the window.
    """
    sight = window[at]
    near = np.stack([s.made.small for s in window[max(0, at - NEAR) : at + NEAR + 1]])
    made = np.stack([s.made.small for s in window])
    raw = np.stack([s.raw.small for s in window])
    light = illumination_map(sight.raw.small, sight.table)
    exposed = ((light < LOW) | (light > HIGH)).astype(np.float32)
    deviation = near.mean(axis=1).std(axis=0)
    planes = [
        sight.made.small,
        sight.raw.small,
        light[None],
        _quarter(sight.exposed),
        exposed[None],
        near.mean(axis=0),
        made.mean(axis=0),
        raw.mean(axis=0),
        deviation[None],
    ]
    tones = np.stack([s.raw.tones for s in window])
    vectors = [sight.made.tones, sight.raw.tones, tones.mean(axis=0), tones.min(axis=0), tones.max(axis=0)]
    return np.concatenate(planes).astype(np.float32), np.concatenate(vectors, axis=None).astype(np.float32)


def flow_to(a: View, b: View) -> Floats:
    """Motion from one picture to another as equalised: float32 (2, *MID), a(x) is b(x + flow(x))."""
    flow: Floats = ops.dense_flow(a.luma, b.luma, iterations=4)
    return flow


def _luma(rgb: Floats) -> NDArray[np.uint8]:
    y = np.tensordot(np.array([0.2126, 0.7152, 0.0722], np.float32), rgb, 1)
    codes: NDArray[np.uint8] = np.clip(y * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
    return codes


def small_flow(flow: Floats) -> Floats:
    """The same motion on the grid of SMALL, in its pixels."""
    return _quarter(flow) * np.float32(0.25)


def half(flow: Floats) -> Floats:
    """The same motion on a grid of half the size, in its pixels."""
    n, rows, columns = flow.shape
    pairs: Floats = flow.reshape(n, rows // 2, 2, columns // 2, 2).sum(axis=(2, 4)) * np.float32(0.125)
    return pairs
