"""Clocks: one for a file whose time starts again in the middle (joined recordings), and one for slow motion."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["UNCHANGED", "Clock", "Pace"]

_JUMP = Fraction(1)  # seconds back in decoding time that no reordering explains


@dataclass(slots=True)
class _Stream:
    part: int = 0
    last: Fraction | None = None
    step: Fraction = Fraction(0)


class Clock:
    """Moves packets so that time goes on where it starts again.

    The stream that jumps back first decides by how much all of them are moved from there on, which keeps sound
    and picture together. Jumps forward are gaps, and stay.
    """

    def __init__(self) -> None:
        self._moves = [Fraction(0)]
        self._streams: dict[int, _Stream] = {}

    @property
    def parts(self) -> int:
        """How many times time has started, 1 for a whole recording."""
        return len(self._moves)

    def set(self, packet: Any) -> bool:
        """Move one packet, in the order of the file. True if its stream starts again with it."""
        stream = self._streams.setdefault(packet.stream_index, _Stream())
        raw = packet.dts if packet.dts is not None else packet.pts
        again = False
        if raw is not None:
            at = raw * packet.time_base
            if stream.last is not None and at < stream.last - _JUMP:
                stream.part += 1
                again = True
                if stream.part == len(self._moves):
                    # All streams of the part before must have ended.
                    ends = [
                        s.last + s.step for s in self._streams.values() if s.last is not None and s.part < stream.part
                    ]
                    self._moves.append(self._moves[-1] + max([stream.last + stream.step, *ends]) - at)
            elif stream.last is not None and not packet.duration:
                stream.step = at - stream.last
            if packet.duration:
                stream.step = packet.duration * packet.time_base
            stream.last = at
        move = self._moves[stream.part]
        if move:
            ticks = round(move / packet.time_base)
            if packet.pts is not None:
                packet.pts += ticks
            if packet.dts is not None:
                packet.dts += ticks
        return again


@dataclass(frozen=True, slots=True)
class Pace:
    """How time in the output follows the source's: stretched `slower` times, from `origin` (seconds) on."""

    origin: Fraction = Fraction(0)
    slower: Fraction = Fraction(1)

    def at(self, time: Fraction) -> Fraction:
        """When the output shows what the source shows at `time`; nothing that was not before zero is moved there."""
        return max(self.origin + (time - self.origin) * self.slower, min(time, Fraction(0)))

    def move(self, packet: Any) -> None:
        """Set a packet's times to the output's, to the nearest tick of its own time base."""
        if self.slower == 1:
            return
        tick = packet.time_base
        if packet.duration:
            begin = packet.pts if packet.pts is not None else packet.dts
            if begin is not None:
                packet.duration = self._tick(begin + packet.duration, tick) - self._tick(begin, tick)
        if packet.pts is not None:
            packet.pts = self._tick(packet.pts, tick)
        if packet.dts is not None:
            packet.dts = self._tick(packet.dts, tick)

    def _tick(self, ticks: int, tick: Fraction) -> int:
        return round(self.at(ticks * tick) / tick)


UNCHANGED = Pace()
