"""Motion between two pictures, found by matching blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, dtype_of, empty, module_for, overlaps, stream_of

__all__ = ["block_motion"]

_MAX_SIDE = 16384


def block_motion(
    a: Array,
    b: Array,
    *,
    step: int = 8,
    window: int = 16,
    levels: int | None = None,
    radius: int | None = None,
    smooth: float = 0.25,
    passes: int = 2,
    hint: Array | None = None,
    out: tuple[Array, Array] | None = None,
    stream: Any = None,
) -> tuple[Array, Array]:
    """The motion of each block of picture a to picture b: (flow, cost), so that a(x) is about b(x + flow).

    a, b     uint8 (height, width): luma, or any plane
    flow     float32 (2, rows, columns), rows = ceil(height / step): u to the right, then v down, in pixels, multiples
             of 1/4; as `warp` takes it once it is as large as the picture
    cost     float32 (rows, columns): the mean absolute difference of the match, in levels of 8 bits
    step     the side of a block, even, at most `window`. Block (j, i) covers pixels [i step, (i + 1) step) across
    window   8, 16 or 32: the side of the square around a block that is matched. Where it leaves a picture, edges are
             repeated. Vectors may lead outside until the window only just touches the picture
    levels   of the pyramid, each half as large as the one before. Default: until its short side is less
             than two windows
    radius   in pixels of the coarsest level, which is searched whole: 0 to 64. Default: an eighth of its longer side,
             4 or more. Finer levels go on from there, so the reach is at least 2^(levels - 1) times as far
    smooth   0 to 2: what a pixel of difference to the vectors around costs, in levels of a pixel of the window. 0 takes
             the least difference of pictures; more makes flat and repetitive areas follow their neighbours
    passes   0 to 8: how often, at each level, blocks may take over a vector of their eight neighbours
    hint     float32 (2, rows, columns), in pixels: vectors to try as well, such as the field of the pair before
    out      (flow, cost) to write to

    A hierarchical search as in de Haan et al., "True-motion estimation with 3-D recursive search block matching", IEEE
    Trans. CSVT 3, 1993, but with every pass over the field of the pass before: in whole numbers throughout, so the
    result does not depend on threads or the device. Sides are at most 16384. Errors: ArrayError.
    """
    a, b = _picture("a", as_input(a)), _picture("b", as_input(b))
    if tuple(a.shape) != tuple(b.shape):
        raise ArrayError(f"b: expected the shape of a, {tuple(a.shape)}; got {tuple(b.shape)}")
    height, width = (int(n) for n in a.shape)
    _check_int("window", window, 8, 32)
    if window not in (8, 16, 32):
        raise ArrayError(f"window: expected 8, 16 or 32; got {window}")
    _check_int("step", step, 2, window)
    if step % 2:
        raise ArrayError(f"step: expected an even number; got {step}")
    _check_int("passes", passes, 0, 8)
    if not isinstance(smooth, int | float | np.number) or not 0 <= smooth <= 2:
        raise ArrayError(f"smooth: expected 0 to 2; got {smooth!r}")
    if levels is None:
        levels = 1
        while min(width, height) >> levels >= 2 * window:
            levels += 1
    _check_int("levels", levels, 1, 12)
    sizes = [(width, height)]
    for _ in range(levels - 1):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    if radius is None:
        radius = min(max(4, -(-max(sizes[-1]) // 8)), 64)
    _check_int("radius", radius, 0, 64)
    shape = -(-height // step), -(-width // step)
    if hint is not None:
        hint = as_input(hint)
        if dtype_of(hint) != np.float32 or tuple(hint.shape) != (2, *shape):
            raise ArrayError(
                f"hint: expected float32 of shape {(2, *shape)}; got {dtype_of(hint)} of {tuple(hint.shape)}"
            )
    flow, cost = (
        (empty((2, *shape), np.float32, a), empty(shape, np.float32, a)) if out is None else _targets(out, a, b, hint)
    )
    rule = step, window, round(smooth * window * window * 16 / 9)
    native, to = module_for(a), stream_of(a, stream)
    ones, twos = (_pyramid(plane, sizes, window, to) for plane in (a, b))
    found = None
    for level in reversed(range(levels)):
        size = sizes[level]
        blocks = 3, -(-size[1] // step), -(-size[0] // step)
        now, then = (empty(blocks, np.int32, a) for _ in range(2))
        native.block_search(ones[level], twos[level], size, rule, found, hint, level, radius, now, to)
        for _ in range(passes):
            native.block_spread(ones[level], twos[level], size, rule, now, then, to)
            now, then = then, now
        found = now
    native.block_fractions(ones[0], twos[0], sizes[0], rule, found, flow, cost, to)
    return flow, cost


def _pyramid(plane: Array, sizes: list[tuple[int, int]], window: int, stream: Any) -> list[Array]:
    """Copies of a picture with margins, each half as large as the one before."""
    native = module_for(plane)
    pictures = [_room(size, window, plane) for size in sizes]
    native.block_copy(plane, window, pictures[0], stream)
    for size, fine, coarse in zip(sizes, pictures, pictures[1:], strict=False):
        native.block_halve(fine, size, window, coarse, stream)
    return pictures


def _room(size: tuple[int, int], window: int, like: Array) -> Array:
    """Where such a copy goes: block_margin and block_pitch of csrc/ops/blocks.h."""
    margin = window + 8
    return empty((size[1] + 2 * margin, (size[0] + 2 * margin + 15) // 16 * 16), np.uint8, like)


def _picture(what: str, x: Array) -> Array:
    if dtype_of(x) != np.uint8 or len(x.shape) != 2:
        raise ArrayError(f"{what}: expected uint8 of shape (height, width); got {dtype_of(x)} of {tuple(x.shape)}")
    if not all(1 <= n <= _MAX_SIDE for n in x.shape):
        raise ArrayError(f"{what}: expected sides of 1 to {_MAX_SIDE}; got {tuple(x.shape)}")
    return x


def _check_int(what: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ArrayError(f"{what}: expected a whole number from {least} to {most}; got {value!r}")


def _targets(out: Any, *read: Array | None) -> tuple[Array, Array]:
    if not isinstance(out, tuple | list) or len(out) != 2:
        raise ArrayError("out: expected (flow, cost)")
    if any(r is not None and overlaps(r, t) for r in read for t in out) or overlaps(out[0], out[1]):
        raise ArrayError("out: it shares memory with an input or with itself; give other memory")
    return out[0], out[1]
