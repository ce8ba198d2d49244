"""A path that was wanted and not taken: data in a plan, never silent."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Fallback"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A path that was wanted and not taken, and why. Shown in the plan; never silent."""

    wanted: str
    used: str
    why: str

    def __str__(self) -> str:
        return f"{self.used} instead of {self.wanted}: {self.why}"
