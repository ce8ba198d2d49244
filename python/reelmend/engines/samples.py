"""Stored pictures for comparing engines: made, not read, so that they are the same everywhere.

Each is hard in another way: a smooth gradient (banding, scale), fast motion (what a flow must find), darkness (small
values lose bits in fp16), saturated colours (values near both ends, sharp edges), and a picture of odd size, padded as
the stages pad.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .network import Part, Port, Size

__all__ = ["SAMPLES", "pad", "samples"]

SAMPLES = ("gradient", "fast motion", "dark", "saturated", "odd size")

Sample = dict[str, NDArray[np.float32]]


def samples(part: Part, size: Size) -> Iterator[tuple[str, Sample]]:
    """(name, inputs by name) for each of SAMPLES, at a padded size of the part. The same bits at every call."""
    for name in SAMPLES:
        shown = 0
        inputs: Sample = {}
        for port in part.inputs:
            inputs[port.name] = _port(name, port, port.at(size), shown)
            shown += port.kind == "picture"
        yield name, inputs


def _port(sample: str, port: Port, shape: tuple[int, ...], shown: int) -> NDArray[np.float32]:
    low, high = port.range
    if port.kind == "time":
        value = low + (high - low) * (0.25 + 0.5 * SAMPLES.index(sample) / (len(SAMPLES) - 1))
        return np.full(shape, value, np.float32)
    if port.kind == "picture":
        rows, columns = shape[-2:]
        channels = int(np.prod(shape[:-2]))
        unit = np.stack([_picture(sample, rows, columns, c, shown + c // 3) for c in range(channels)])
        return np.ascontiguousarray((low + (high - low) * unit).reshape(shape), np.float32)
    rng = np.random.default_rng(zlib.crc32(f"{sample}/{port.name}".encode()))
    if port.kind == "kernel":
        taps = rng.random(shape)
        return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)
    field = _smooth(rng, shape) if port.kind != "features" else 0.5 * (_smooth(rng, shape) + rng.random(shape))
    return np.asarray(low + (high - low) * field, np.float32)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Waves of a few periods across the picture, 0..1, another in each channel."""
    rows, columns = shape[-2:] if len(shape) >= 2 else (1, shape[-1])
    count = int(np.prod(shape)) // (rows * columns)
    y, x = np.mgrid[0:rows, 0:columns] / max(rows, columns, 2)
    out = np.empty((count, rows, columns))
    for c in range(count):
        fx, fy, phase = *rng.uniform(0.5, 4, 2), rng.uniform(0, 2 * np.pi)
        out[c] = 0.5 + 0.5 * np.sin(2 * np.pi * (fx * x + fy * y) + phase)
    return out.reshape(shape)


def _picture(sample: str, rows: int, columns: int, channel: int, index: int) -> NDArray[np.float64]:
    """One channel of the picture number `index` of a sequence, 0..1."""
    c = channel % 3
    if sample == "odd size":
        odd = (max(rows - 1 - rows % 2, 1), max(columns - 1 - columns % 2, 1))
        small = _texture(*odd, c, 3.0 * index)
        return pad(small, (rows, columns))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    if sample == "gradient":
        across = (x / max(columns - 1, 1), y / max(rows - 1, 1), (x + y) / max(rows + columns - 2, 1))[c]
        return np.asarray(np.clip(across * (1 - 0.02 * index), 0, 1), np.float64)
    if sample == "fast motion":
        return _texture(rows, columns, c, 12.0 * index)
    if sample == "dark":
        return 0.06 * _texture(rows, columns, c, 2.0 * index)
    stripes = (((x // 8 + y // 8 + index).astype(int) >> c) & 1).astype(np.float64)
    # Edges two pixels wide and a hundredth from the ends: as hard as decoded video with half-size chroma has them.
    # On harder ones networks of super-resolution do not settle in any precision (SPAN, DISP: 1e-3 off in fp32).
    around = np.pad(stripes, 1, mode="edge")
    soft = np.zeros((rows, columns))
    for k in range(9):
        soft += around[k // 3 : k // 3 + rows, k % 3 : k % 3 + columns] / 9
    return 0.01 + 0.98 * soft


def _texture(rows: int, columns: int, channel: int, shift: float) -> NDArray[np.float64]:
    """Waves of many directions with a hard edge, moved to the right by `shift` pixels."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    x = x - shift
    rng = np.random.default_rng(5 + channel)
    total = np.zeros((rows, columns))
    for period in (3.1, 7.3, 17.9, 41.0, 97.0):
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        total += period**0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    disc = (x - columns / 3) ** 2 + (y - rows / 2) ** 2 < (min(rows, columns) / 5) ** 2
    return np.clip(0.5 + total / 50 + np.where(disc, 0.25 - 0.2 * channel, 0.0), 0, 1)


def pad(x: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """The last row and column repeated up to a size, as the stages pad."""
    rows, columns = x.shape[-2:]
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, size[0] - rows), (0, size[1] - columns)], mode="edge")
