"""Pictures cut into tiles that overlap by what a network sees.

No seam can be: each output pixel is taken from a tile that holds all it depends on, or ends where the picture ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Tile", "cut"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile along one axis: it reads samples from `begin`, `length` of them, and is right from `first` to `last`."""

    begin: int
    length: int
    first: int
    last: int


def cut(length: int, tile: int, radius: int, multiple: int = 1) -> Iterator[Tile]:
    """Tiles of one length that cover 0..length; one tile where that is enough.

    tile      samples of a tile, more than twice the radius; `radius` is how far a result looks
    multiple  tiles begin at multiples of this, and are as long as a multiple of it, as is `length`

    Their right parts follow one another without gap or overlap.
    """
    tile -= tile % multiple
    if tile >= length or tile - 2 * radius < multiple:
        yield Tile(0, length, 0, length)
        return
    done = 0
    while done < length:
        begin = 0 if done == 0 else done - radius - (done - radius) % multiple
        begin = max(0, min(begin, length - tile))
        last = length if begin + tile >= length else begin + tile - radius
        yield Tile(begin, tile, done, last)
        done = last
