"""What tests of networks that make pictures share: modules as engines, pictures, and the way through the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from reelmend import Stream, ops
from reelmend.frame import Colour, Frame, Matrix, PixelFormat, Range
from reelmend.stages.interpolate import Interpolate
from reelmend.stages.interpolate.estimate import Motion
from reelmend.stages.interpolate.ways import Ways

LEARNED = ("fast", "superslomo", "ifnet", "dain")  # methods of networks, "few-..." of which are in the catalogue
TICK = Fraction(1, 25)
SIZES = [(64, 96), (50, 71), (97, 130)]
TIMES = [0.25, 0.5, 0.8]
TOLERANCE = 1e-4
HEIGHT, WIDTH = 96, 160


class Pretended:
    """An engine that is a module: no file, no export."""

    fallbacks = ()

    def __init__(self, graph: Any, size: tuple[int, int], runs: Counter[str]) -> None:
        self.graph, self.part, self.runs = graph, graph.part, runs
        assert size == self.part.padded(size)
        self.inputs = {port.name: port.at(size) for port in self.part.inputs}

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        import torch

        assert {name: x.shape for name, x in inputs.items()} == self.inputs
        assert all(x.dtype == np.float32 and x.flags.c_contiguous for x in inputs.values())
        self.runs[self.part.name] += 1
        with torch.no_grad():
            out = self.graph.module(*(torch.from_numpy(inputs[port.name]) for port in self.part.inputs))
        out = out if isinstance(out, tuple) else (out,)
        return {port.name: x.contiguous().numpy() for port, x in zip(self.part.outputs, out, strict=True)}

    def close(self) -> None:
        return


def pictures(size: tuple[int, int]) -> list[np.ndarray]:
    """Two of noise in two sizes of grain, the second moved: float32 (3, rows, columns), 0..1, as 16-bit codes have."""
    rng = np.random.default_rng(4)
    rows, columns = size
    fine, coarse = rng.random((3, rows + 8, columns + 8)), rng.random((3, rows // 8 + 2, columns // 8 + 2))
    whole = 0.4 * fine + 0.6 * coarse.repeat(8, 1).repeat(8, 2)[:, : rows + 8, : columns + 8]
    codes = [np.rint(whole[:, y : y + rows, x : x + columns] * 65535) for y, x in ((4, 4), (2, 1))]
    return [(c / 65535).astype(np.float32) for c in codes]


def deep(picture: np.ndarray, t: int = 0) -> Frame:
    """RGB of 16 bits."""
    codes = np.rint(picture * np.float32(65535)).astype(np.uint16)
    return Frame(tuple(codes), PixelFormat.parse("gbrp16"), t, TICK, 1, Colour(matrix=Matrix.RGB, range=Range.FULL))


def padded(picture: np.ndarray, multiple: int) -> Any:
    import torch

    rows, columns = (-n % multiple for n in picture.shape[1:])
    return torch.from_numpy(np.pad(picture, ((0, 0), (0, rows), (0, columns)), mode="edge"))[None]


def standing_still(region: tuple[int, int, int, int]) -> Ways:
    """What our own search tells of two pictures between which nothing moves."""
    x0, y0, x1, y1 = region
    flow = np.zeros((2, -(-(y1 - y0) // 4), -(-(x1 - x0) // 4)), np.float32)
    return Ways(Motion(flow, flow, 1.0, region))


def moving(size: tuple[int, int], cell: int = 4) -> Ways:
    """Smooth motion of some pixels, as our own search would tell it, in pixels of its grid."""
    rows, columns = (-(-n // cell) for n in size)
    v, u = np.mgrid[0:rows, 0:columns].astype(np.float32)
    forward = np.stack([0.4 * np.sin(v / 5) + 0.6, 0.5 * np.cos(u / 4) - 0.2]).astype(np.float32)
    backward = np.stack([0.3 * np.sin(v / 5) - 0.7, -0.4 * np.cos(u / 4) + 0.1]).astype(np.float32)
    return Ways(Motion(forward, backward, 1.0, (0, 0, size[1], size[0])))


def batch_of(a: np.ndarray, b: np.ndarray, ways: Ways, t: float, size: tuple[int, int], multiple: int) -> Any:
    """Whole pictures as a batch of training has patches: padded, and the search on the grid of the padded."""
    import torch

    from reelmend.networks.train.between import batch_of_search
    from reelmend.networks.train.moments import planes_of

    kept = planes_of(ways, t, size[1])
    one, two = (padded(p, multiple) for p in (a, b))
    rows, columns = (n // 4 for n in one.shape[2:])
    more = ((0, 0), (0, rows - kept.shape[1]), (0, columns - kept.shape[2]))
    search = torch.from_numpy(np.pad(kept, more, mode="edge"))[None]
    return batch_of_search(one, two, one, torch.full((1,), t), search, torch.zeros(1, 2))


def made(by: Any, a: np.ndarray, b: np.ndarray, times: list[float]) -> list[Any]:
    whole = (0, 0, a.shape[2], a.shape[1])
    pair = by.pair(*(by.view(deep(p), whole) for p in (a, b)), standing_still(whole))
    return [by.at(pair, t) for t in times]


def check_against(found: list[Any], reference: Callable[[float], Any]) -> None:
    """All pictures within the tolerance of the public program's, which differ from each other."""
    import torch

    with torch.no_grad():
        expected = [reference(t)[0].numpy()[:, : found[0].picture.shape[1], : found[0].picture.shape[2]] for t in TIMES]
    for one, truth in zip(found, expected, strict=True):
        assert np.abs(one.picture - truth).max() < TOLERANCE
        assert float(np.abs(one.to_a).max()) > 0.2
        assert 0 <= one.by_a.min() < one.by_a.max() <= 1
    assert np.abs(expected[0] - expected[2]).max() > 0.05


def texture(seed: int = 1) -> np.ndarray:
    """Smooth noise, float32 (3, ..., ...), 0.1 to 0.9: enough for a search to be sure."""
    rng = np.random.default_rng(seed)
    total = np.zeros((3, HEIGHT + 32, WIDTH + 96), np.float32)
    for cell, weight in ((3, 1.0), (8, 1.5), (24, 2.0)):
        for plane in total:
            plane += weight * ops.resize(
                rng.standard_normal((HEIGHT // cell + 12, WIDTH // cell + 36)).astype(np.float32), plane.shape
            )
    return np.clip(0.5 + 0.15 * total / total.std(), 0.1, 0.9)


def view(x: int, y: int = 4, seed: int = 1) -> np.ndarray:
    return texture(seed)[:, y : y + HEIGHT, x : x + WIDTH]


def run(frames: list[Frame], **options: Any) -> list[Frame]:
    stream = Stream([Interpolate(**{"factor": 4, "repeats": "keep", **options})])
    return [f for frame in frames for f in stream.push(frame)] + stream.flush()
