"""Motion between two pictures, found by matching blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArrayError
from ._dispatch import Array, as_input, dtype_of, empty, module_for, overlaps, stream_of

__all__ = ["BlockPyramid", "block_motion"]

_MAX_SIDE = 16384


class BlockPyramid:
    """A picture made ready for block_motion: copies with margins, each half as large as the one before.

    plane   uint8 (height, width)
    window, levels  as in block_motion

    Worth making where a picture is matched more than once: both ways, and with the pictures before and after. It keeps
    about 1.5 times the bytes of the plane, and not the plane. Errors: ArrayError.
    """

    __slots__ = ("levels", "pictures", "sizes", "window")

    def __init__(self, plane: Array, *, window: int = 16, levels: int | None = None, stream: Any = None) -> None:
        plane = as_input(plane)
        if dtype_of(plane) != np.uint8 or len(plane.shape) != 2:
            raise ArrayError(
                f"expected a picture of uint8 and shape (height, width); got {dtype_of(plane)} of {tuple(plane.shape)}"
            )
        height, width = (int(n) for n in plane.shape)
        if not (1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE):
            raise ArrayError(f"expected a picture with sides of 1 to {_MAX_SIDE}; got {tuple(plane.shape)}")
        _check_int("window", window, 8, 32)
        if window not in (8, 16, 32):
            raise ArrayError(f"window: expected 8, 16 or 32; got {window}")
        if levels is None:
            levels = 1
            while min(width, height) >> levels >= 2 * window:
                levels += 1
        _check_int("levels", levels, 1, 12)
        sizes = [(width, height)]
        for _ in range(levels - 1):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        margin = window + 8  # block_margin and block_pitch of csrc/ops/blocks.h
        rooms = [(h + 2 * margin, (w + 2 * margin + 15) // 16 * 16) for w, h in sizes]
        self.window, self.levels, self.sizes = int(window), int(levels), sizes
        self.pictures: list[Array] = [empty(room, np.uint8, plane) for room in rooms]
        native, to = module_for(plane), stream_of(plane, stream)
        native.block_copy(plane, window, self.pictures[0], to)
        for size, fine, coarse in zip(sizes, self.pictures, self.pictures[1:], strict=False):
            native.block_halve(fine, size, window, coarse, to)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.sizes[0][1], self.sizes[0][0]


def block_motion(
    a: Array | BlockPyramid,
    b: Array | BlockPyramid,
    *,
    step: int = 8,
    window: int | None = None,
    levels: int | None = None,
    radius: int | None = None,
    smooth: float = 0.25,
    passes: int = 2,
    hint: Array | None = None,
    out: tuple[Array, Array] | None = None,
    stream: Any = None,
) -> tuple[Array, Array]:
    """The motion of each block of picture a to picture b: (flow, cost), so that a(x) is about b(x + flow).

    a, b     uint8 (height, width): luma, or any plane; or a BlockPyramid of it
    flow     float32 (2, rows, columns), rows = ceil(height / step): u to the right, then v down, in pixels, multiples
             of 1/4; at the centres of blocks. resize_flow(flow, (rows step, columns step)) / step, cropped, is a flow
             for `warp`
    cost     float32 (rows, columns): the mean absolute difference of the match, in levels of 8 bits
    step     the side of a block, even, at most `window`. Block (j, i) covers pixels [i step, (i + 1) step) across
    window   8, 16 or 32: the side of the square around a block that is matched. Where it leaves a picture, edges are
             repeated; vectors may lead outside until it only just touches the picture. Default: 16, or the pyramid's
    levels   1 to 12, of the pyramid, each half as large as the one before. Default: the pyramid's, or as many as keep
             the short side at two windows or more
    radius   in pixels of the coarsest level, which is searched whole: 0 to 64. Default: an eighth of its longer side,
             at least 4, so that motion of an eighth of the picture is found
    smooth   0 to 2: what a pixel of difference to the vectors around costs, in levels of a pixel of the window. 0 takes
             the least difference of pictures; more makes flat and repetitive areas follow their neighbours
    passes   0 to 8: how often, at each level, blocks may take over a vector of their eight neighbours
    hint     float32 (2, rows, columns), in pixels: vectors to try as well, such as the field of the pair before. NaN
             and infinity count as 0
    out      (flow, cost) to write to

    Hierarchical matching with candidates as in de Haan et al., "True-motion estimation with 3-D recursive search block
    matching", IEEE Trans. CSVT 3, 1993, but each pass reads the field of the pass before, and all is counted in whole
    numbers: the result does not depend on threads or the device. Sides are at most 16384. Errors: ArrayError.
    """
    one, two = _pyramids(a, b, window, levels, stream)
    width, height = one.sizes[0]
    like, window = one.pictures[0], one.window
    _check_int("step", step, 2, window)
    if step % 2:
        raise ArrayError(f"step: expected an even number; got {step}")
    _check_int("passes", passes, 0, 8)
    if not isinstance(smooth, int | float | np.number) or not 0 <= smooth <= 2:
        raise ArrayError(f"smooth: expected 0 to 2; got {smooth!r}")
    if radius is None:
        radius = min(max(4, -(-max(one.sizes[-1]) // 8)), 64)
    _check_int("radius", radius, 0, 64)
    shape = -(-height // step), -(-width // step)
    if hint is not None:
        hint = as_input(hint)
        if dtype_of(hint) != np.float32 or tuple(hint.shape) != (2, *shape):
            raise ArrayError(
                f"hint: expected float32 of shape {(2, *shape)}; got {dtype_of(hint)} of {tuple(hint.shape)}"
            )
    if out is None:
        out = empty((2, *shape), np.float32, like), empty(shape, np.float32, like)
    flow, cost = _targets(out, hint)
    rule = step, window, round(smooth * window * window * 16 / 9)
    native, to = module_for(like), stream_of(like, stream)
    found = None
    for level in reversed(range(one.levels)):
        size, pair = one.sizes[level], (one.pictures[level], two.pictures[level])
        blocks = 3, -(-size[1] // step), -(-size[0] // step)
        now, then = (empty(blocks, np.int32, like) for _ in range(2))
        native.block_search(*pair, size, rule, found, hint, level, radius, now, to)
        for _ in range(passes):
            native.block_spread(*pair, size, rule, now, then, to)
            now, then = then, now
        found = now
    native.block_fractions(one.pictures[0], two.pictures[0], one.sizes[0], rule, found, flow, cost, to)
    return flow, cost


def _pyramids(
    a: Array | BlockPyramid, b: Array | BlockPyramid, window: int | None, levels: int | None, stream: Any
) -> tuple[BlockPyramid, BlockPyramid]:
    """Both pictures, made ready alike."""
    for given in (a, b):
        if isinstance(given, BlockPyramid):
            window = given.window if window is None else window
            levels = given.levels if levels is None else levels
    made = []
    for what, x in (("a", a), ("b", b)):
        if not isinstance(x, BlockPyramid):
            try:
                x = BlockPyramid(x, window=16 if window is None else window, levels=levels, stream=stream)
            except ArrayError as error:
                raise ArrayError(f"{what}: {error}") from None
        levels = x.levels if levels is None else levels
        if (x.window, x.levels) != (16 if window is None else window, levels):
            raise ArrayError(
                f"{what}: expected a pyramid of window {window} and {levels} levels; got {x.window} and {x.levels}"
            )
        made.append(x)
    if made[0].shape != made[1].shape:
        raise ArrayError(f"b: expected the shape of a, {made[0].shape}; got {made[1].shape}")
    return made[0], made[1]


def _check_int(what: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ArrayError(f"{what}: expected a whole number from {least} to {most}; got {value!r}")


def _targets(out: Any, hint: Array | None) -> tuple[Array, Array]:
    if not isinstance(out, tuple | list) or len(out) != 2:
        raise ArrayError("out: expected (flow, cost)")
    if overlaps(out[0], out[1]) or (hint is not None and any(overlaps(hint, t) for t in out)):
        raise ArrayError("out: it shares memory with the hint or with itself; give other memory")
    return out[0], out[1]
