"""The ways that pixels take from one picture to the next, seen from a time between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ... import ops
from ...engines.network import Size
from ...frame import Array
from ...ops._dispatch import empty
from ..planes import extend
from .estimate import Motion

__all__ = ["MIDDLE", "Way", "Ways", "spread"]

MIDDLE = 0.5  # the time of which a pair is judged as a whole

_ACCELERATION = 32.0  # pixels of the picture per interval squared: more is taken for a mistake
_DOUBT = 0.1  # pixels: reached by less than this is hardly reached


class Way(NamedTuple):
    """Where the pixels of a time between lie in both pictures, as each picture's motion tells it.

    a_to_a, a_to_b  float32 (2, rows, columns), by the first picture's motion, in pixels of its grid
    b_to_a, b_to_b  the same by the second picture's
    by_a            (rows, columns), 0..1: how much to believe the first picture's motion; the rest the second's
    """

    a_to_a: Array
    a_to_b: Array
    b_to_a: Array
    b_to_b: Array
    by_a: Array


@dataclass(frozen=True, slots=True)
class Ways:
    """Motion between two pictures, and around them: evenly accelerated where that of the pictures before (`past`) or
    after (`future`) is known, for pictures evenly in time; else even."""

    motion: Motion
    past: Motion | None = None
    future: Motion | None = None

    def at(self, t: float) -> Way:
        """At t, above 0 (the first picture) and below 1 (the second)."""
        a, b = self._traced(t, 1)
        return Way(a[0], a[1], b[1], b[0], _believed(self.motion, t))

    def onward(self, t: float) -> tuple[Array, Array]:
        """The even motions of the first picture's pixels to the second, and the other way, (2, rows, columns) each,
        that at t have brought them where they are: those that were searched, where nothing accelerates."""
        a, b = self._traced(t, 0)
        return a[0] * np.float32(-1 / t), b[0] * np.float32(-1 / (1 - t))

    def _traced(self, t: float, steps: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        motion = self.motion
        past, future = (m if m is not None and m.region == motion.region else None for m in (self.past, self.future))
        limit = _ACCELERATION * float(motion.forward.shape[2]) / (motion.region[2] - motion.region[0])
        before = None if past is None else past.backward
        after = None if future is None else future.forward
        return (
            ops.trace(motion.forward, t, beyond=before, limit=limit, steps=steps),
            ops.trace(motion.backward, 1 - t, beyond=after, limit=limit, steps=steps),
        )


def spread(flow: Array, size: Size, padded: Size) -> Array:
    """A flow of a picture, on a grid of any size and in its pixels, as float32 (2, *padded) in pixels of the picture of
    this size, which lies at the top left; its edges are repeated."""
    rows, columns = size
    full = empty((2, *padded), np.float32, flow)
    ops.resize_flow(flow, out=full[:, :rows, :columns])
    extend(full, size)
    return full


def _believed(motion: Motion, t: float) -> Array:
    """How much to believe, at each place at t, what the first picture's motion says of it, 0..1.

    Where no pixel of a picture comes to, its motion knows nothing of the place, which was hidden in it.
    """
    reached = ops.empty_like(motion.forward)
    spare = ops.empty_like(motion.forward[0])
    ops.splat(motion.forward[0], motion.forward, scale=t, out=(spare, reached[0]))
    ops.splat(motion.backward[0], motion.backward, scale=1 - t, out=(spare, reached[1]))
    reached = ops.median_flow(reached) + np.float32(_DOUBT)
    return reached[0] / (reached[0] + reached[1])
