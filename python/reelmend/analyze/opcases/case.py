"""What a case is, and the picture that cases share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import ops

__all__ = ["Array", "Call", "Inputs", "OpCase", "Picture", "cv2_or_none", "each", "numpy_to_rgb", "numpy_to_yuv"]

Call = Callable[[], object]
Array = npt.NDArray[Any]
Inputs = Mapping[str, Any]


def each(arrays: Any) -> Iterator[Any]:
    """The arrays of a case's inputs or result, in order: of a mapping, a sequence, or a single array."""
    if isinstance(arrays, Mapping):
        arrays = tuple(arrays.values())
    if isinstance(arrays, list | tuple):
        for part in arrays:
            yield from each(part)
    else:
        yield arrays


@dataclass(slots=True)
class OpCase:
    """An op on one picture: timed beside its peers on a CPU, timed and compared with the CPU on a GPU.

    name    begins with the name of the op in reelmend.ops: "warp, luma plane, bicubic"
    inputs  every array that the op reads, by name: NumPy arrays, or tuples of them. Tables are among them, so that a
            call with the same on a GPU copies nothing between host and GPU
    run     run(inputs, out) calls the op; `inputs` live on either device. out=None allocates the result, any other is
            the result of an earlier call, to be written again. Results are an array or a tuple of arrays
    peers   calls that do the same job, by name
    note    where a peer does another job
    bytes   read from and written to memory: each input and each array of the result once, unless given
    out     the result on the CPU
    """

    name: str
    inputs: Inputs
    run: Callable[[Inputs, Any], Any]
    peers: dict[str, Call] = field(default_factory=dict)
    note: str = ""
    bytes: int = 0
    out: Any = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.run(self.inputs, None)
        self.bytes = self.bytes or sum(int(a.nbytes) for a in (*each(self.inputs), *each(self.out)))

    @property
    def op(self) -> str:
        """The name of the op in reelmend.ops."""
        return re.split(r"\W", self.name, maxsplit=1)[0]

    def ours(self) -> Any:
        """The op on the CPU, into `out`."""
        return self.run(self.inputs, self.out)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in the forms that cases and peers take.

    rgb     uint8 (height, width, 3)
    yuv     the same as yuv420p
    packed  the same in one array (3 height / 2, width), as OpenCV takes it
    change  float32 (3, 1024): a gamma of 1.1 for map_tones
    table   float32 (256,): the same for apply_lut
    """

    rgb: Array
    yuv: tuple[Array, Array, Array]
    packed: Array
    change: Array
    table: Array

    @classmethod
    def random(cls, width: int, height: int, seed: int) -> Picture:
        """A smooth random RGB picture of even size with noise: histograms neither flat nor peaked."""
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        light = np.empty((height, width, 3), np.float32)
        for c in range(3):
            a, b, p = rng.uniform(2, 9, 3)
            light[..., c] = 120 + 70 * np.sin(a * x / width + p) * np.cos(b * y / height)
        light += 6 * rng.standard_normal(light.shape, dtype=np.float32)
        rgb = np.clip(light, 0, 255).astype(np.uint8)
        yuv = ops.rgb_to_yuv(rgb)
        packed = np.concatenate([p.ravel() for p in yuv]).reshape(height * 3 // 2, width)
        ramp = np.linspace(0, 1, 1024, dtype=np.float32)
        change = np.stack([ramp**1.1 - ramp] * 3).astype(np.float32)
        table = (255 * np.linspace(0, 1, 256, dtype=np.float32) ** np.float32(1.1)).astype(np.float32)
        return cls(rgb, yuv, packed, change, table)

    @property
    def levels(self) -> Array:
        """`table` in whole codes: uint8 (256,)."""
        return np.round(self.table).astype(np.uint8)


def cv2_or_none() -> Any:
    """OpenCV, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def numpy_to_rgb(y: Array, u: Array, v: Array) -> Array:
    """BT.709 limited to RGB in codes, chroma repeated: float32 (height, width, 3)."""
    luma: Array = np.float32(255 / 219) * (y.astype(np.float32) - 16)
    cb, cr = (np.float32(255 / 224) * (np.repeat(np.repeat(c, 2, 0), 2, 1).astype(np.float32) - 128) for c in (u, v))
    rgb: Array = np.stack([luma + 1.5748 * cr, luma - 0.1873 * cb - 0.4681 * cr, luma + 1.8556 * cb], -1)
    return rgb


def numpy_to_yuv(rgb: Array) -> tuple[Array, Array, Array]:
    """RGB codes to BT.709 limited 4:2:0, chroma the mean of four."""
    r, g, b = (rgb[..., c].astype(np.float32) for c in range(3))
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b

    def chroma(c: Array, divisor: float) -> Array:
        d = (c - luma) / np.float32(divisor)
        small = (d[::2, ::2] + d[1::2, ::2] + d[::2, 1::2] + d[1::2, 1::2]) * np.float32(0.25)
        return np.asarray(np.clip(small * (224 / 255) + 128.5, 0, 255), np.uint8)

    y = np.clip(luma * (219 / 255) + 16.5, 0, 255).astype(np.uint8)
    return y, chroma(b, 1.8556), chroma(r, 1.5748)
