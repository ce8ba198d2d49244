"""HDR10 metadata: FFmpeg's side data read into the words the encoders take."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["Hdr", "hdr_of"]


@dataclass(frozen=True, slots=True)
class Hdr:
    """Mastering display (SMPTE ST 2086) and content light level (CTA-861.3), each where known.

    primaries  ((x, y) of red, green, blue, white) in CIE 1931, or None
    luminance  (min, max) in cd/m2, or None
    light      (MaxCLL, MaxFALL) in cd/m2, or None
    """

    primaries: tuple[tuple[Fraction, Fraction], ...] | None
    luminance: tuple[Fraction, Fraction] | None
    light: tuple[int, int] | None

    def x26x(self) -> tuple[str | None, str | None]:
        """(mastering display, light level) in the words of x264 and x265: units of 0.00002 and 0.0001 cd/m2."""
        return self._text(lambda v: str(round(v * 50000)), lambda v: str(round(v * 10000)))

    def svt(self) -> tuple[str | None, str | None]:
        """The same for SVT-AV1, in decimal fractions."""
        return self._text(lambda v: f"{float(v):.6f}", lambda v: f"{float(v):.4f}")

    def _text(self, chroma: Any, light: Any) -> tuple[str | None, str | None]:
        mastering = None
        if self.primaries and self.luminance:
            red, green, blue, white = (f"({chroma(x)},{chroma(y)})" for x, y in self.primaries)
            low, high = self.luminance
            mastering = f"G{green}B{blue}R{red}WP{white}L({light(high)},{light(low)})"
        return mastering, f"{self.light[0]},{self.light[1]}" if self.light else None


def hdr_of(side_data: Mapping[str, Any]) -> Hdr | None:
    """From a frame's side data; None where there is none."""
    primaries = luminance = light = None
    mastering = side_data.get("MASTERING_DISPLAY_METADATA")
    if isinstance(mastering, bytes) and len(mastering) >= 88:
        # AVMasteringDisplayMetadata: 10 rationals (R, G, B, white as x, y; min, max) and two flags
        numbers = struct.unpack("=20i2i", mastering[:88])
        values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
        if numbers[20]:
            primaries = tuple((values[i], values[i + 1]) for i in (0, 2, 4, 6))
        # FFmpeg clears the second flag for odd values, such as a display of 0.1 cd/m2; they are handed on all the same.
        if numbers[21] or numbers[20]:
            luminance = (values[8], values[9])
    level = side_data.get("CONTENT_LIGHT_LEVEL")
    if isinstance(level, bytes) and len(level) >= 8:
        light = struct.unpack("=2I", level[:8])
    if primaries is None and luminance is None and light is None:
        return None
    return Hdr(primaries, luminance, light)
