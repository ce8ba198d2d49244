"""What the stage found in each frame and did about it, and the same of a whole clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

__all__ = ["CONTENT", "KINDS", "PRESENT", "Findings", "Kind", "KindSummary", "Summary"]

KINDS = ("global", "color", "bands", "local", "alternation", "steps", "flash", "fade")
CONTENT = ("flash", "fade")  # not flicker: what was in front of the camera, or what an editor did
PRESENT = 0.5  # confidence from which a kind counts as present; below it is only suspected

_WORDS = {
    "global": "Global flicker",
    "color": "Flicker of colour",
    "bands": "Rolling bands",
    "local": "Flicker of parts of the picture",
    "alternation": "Alternating frames",
    "steps": "Steps of exposure",
    "flash": "Flashes, no flicker",
    "fade": "Fades, no flicker",
    "none": "No flicker found",
}
_SHARE = 0.10  # of the frames, from which a kind is one of the clip's
_LEAST = 12  # frames of a kind that make a verdict, however long the clip
_NOTES = 8  # distinct notes kept of a kind
_SPANS = 4  # ranges of frames written out of a kind


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of flicker in one frame.

    strength    typical deviation, 8-bit levels
    confidence  0..1; 0.5 or more counts as present, less as suspected
    amount      0..1, how much of its cure was applied to this frame
    """

    strength: float
    confidence: float
    amount: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one frame, and what was done.

    index      frame number, from 0
    time       seconds, exact; None where it is not known
    shot       number of its shot
    cut        True for the first frame of a shot
    kinds      what was found or suspected, by name (of KINDS)
    sure       False where the evidence is ambiguous, or still too short
    touched    False where the frame left as it came, bit for bit
    level_in   means of R, G and B before, 8-bit levels
    level_out  the same after
    largest    the largest change that equalisation applied anywhere in the frame, 8-bit levels
    singular   whether the frame is in BlazeBVD's singular set
    exposed    share of under- or over-exposed pixels, 0..1
    note       a short free text, such as "mains bands, 100 Hz: 0.167 cycles a frame"
    """

    index: int
    time: Fraction | None
    shot: int
    cut: bool
    kinds: Mapping[str, Kind]
    sure: bool
    touched: bool
    level_in: tuple[float, float, float]
    level_out: tuple[float, float, float]
    largest: float
    singular: bool
    exposed: float
    note: str = ""

    @property
    def kind(self) -> str:
        """The strongest kind whose confidence is 0.5 or more. Without one: "none", or "unsure" where it is not sure."""
        present = {name: k.strength for name, k in self.kinds.items() if k.confidence >= PRESENT}
        if present:
            return max(present, key=lambda name: present[name])
        return "none" if self.sure else "unsure"

    def as_dict(self) -> dict[str, Any]:
        """One flat row of plain values, the same keys in the same order for every frame, for CSV or JSON.

        `frame` is the index; `time` seconds as a float, or None. Levels are red_in ... blue_out. Every name of KINDS
        has three values: NAME_strength, NAME_confidence and NAME_amount, 0 where it was not found.
        """
        row: dict[str, Any] = {
            "frame": self.index,
            "time": None if self.time is None else float(self.time),
            "shot": self.shot,
            "cut": self.cut,
            "kind": self.kind,
            "sure": self.sure,
            "touched": self.touched,
        }
        for when, level in (("in", self.level_in), ("out", self.level_out)):
            row |= {f"{c}_{when}": float(v) for c, v in zip(("red", "green", "blue"), level, strict=True)}
        row |= {"largest": float(self.largest), "singular": self.singular, "exposed": float(self.exposed)}
        nothing = Kind(0.0, 0.0, 0.0)
        for name in KINDS:
            k = self.kinds.get(name, nothing)
            row[f"{name}_strength"] = float(k.strength)
            row[f"{name}_confidence"] = float(k.confidence)
            row[f"{name}_amount"] = float(k.amount)
        row["note"] = self.note
        return row

    def summary(self) -> Summary:
        """A new, empty Summary: where to add findings such as this one."""
        return Summary()


@dataclass(slots=True)
class KindSummary:
    """One kind over a clip: the frames it is present in, its strength there, and where they are.

    mean, most  strength over those frames, 8-bit levels
    treated     frames its cure was applied to, in part or whole
    ranges      (first, last) of each run of such frames
    notes       distinct notes of the frames where it is the strongest, the first few
    """

    frames: int = 0
    treated: int = 0
    total: float = 0.0
    most: float = 0.0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return self.total / self.frames if self.frames else 0.0

    def add(self, index: int, kind: Kind) -> None:
        """Count one frame in which the kind is present."""
        self.frames += 1
        self.treated += kind.amount > 0
        self.total += kind.strength
        self.most = max(self.most, kind.strength)
        if self.ranges and self.ranges[-1][1] == index - 1:
            self.ranges[-1] = (self.ranges[-1][0], index)
        else:
            self.ranges.append((index, index))

    def spans(self) -> str:
        """The ranges as text: "0-59, 80"; of many only the first."""
        told = [f"{a}-{b}" if b > a else str(a) for a, b in self.ranges[:_SPANS]]
        more = len(self.ranges) - len(told)
        return ", ".join(told) + (f" and {more} more" if more else "")


@dataclass
class Summary:
    """What was found in a clip. `add` findings frame by frame; `print(summary)` is meant to be read.

    frames, touched, cuts  numbers of frames: all, those changed, those that begin a shot
    unsure   frames of which nothing certain can be said
    found    by name, each kind that was present anywhere

    Frames are numbered from the index of the first one on, as they are added: a stage that is opened anew in mid-run
    begins again at 0, the summary goes on. Memory grows with runs of frames, not with frames.
    """

    frames: int = 0
    touched: int = 0
    cuts: int = 0
    unsure: int = 0
    found: dict[str, KindSummary] = field(default_factory=dict)
    first: int = 0

    def add(self, findings: Findings) -> None:
        """Count one frame."""
        if not self.frames:
            self.first = findings.index
        index = self.first + self.frames
        self.frames += 1
        self.touched += findings.touched
        self.cuts += findings.cut
        self.unsure += not findings.sure
        for name, kind in findings.kinds.items():
            if kind.confidence >= PRESENT:
                self.found.setdefault(name, KindSummary()).add(index, kind)
        if findings.note and findings.kind in self.found:
            notes = self.found[findings.kind].notes
            if findings.note not in notes and len(notes) < _NOTES:
                notes.append(findings.note)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds present in at least 10 % of the frames, flash and fade in any, in the order of KINDS."""
        return tuple(
            name
            for name in KINDS
            if name in self.found and (name in CONTENT or self.found[name].frames >= _SHARE * self.frames)
        )

    @property
    def verdict(self) -> str:
        """The dominant kind of the clip, or "none".

        Flash and fade are told only where there is no continuous kind. Those are weighed by frames times strength,
        if they are among `kinds`, or present in 12 frames: a scene that flickers is told in a long film too.
        """
        present = [k for k in KINDS if k in self.kinds or (k in self.found and self.found[k].frames >= _LEAST)]
        candidates = [name for name in present if name not in CONTENT] or present
        return max(candidates, key=lambda name: self.found[name].total, default="none")

    @property
    def words(self) -> str:
        """The verdict for people: "Global flicker"."""
        if self.verdict == "none" and 2 * self.unsure > self.frames:
            return "No flicker found, but the evidence is too short or ambiguous"
        return _WORDS[self.verdict]

    def __str__(self) -> str:
        words = self.words
        left = self.frames - self.touched
        lines = [
            f"verdict  {words[0].lower()}{words[1:]}",
            f"frames   {self.frames}: {self.touched} treated, {left} left bit for bit; {self.unsure} unsure",
            f"cuts     {self.cuts}",
        ]
        order = [name for name in KINDS if name in self.found]
        if order:
            digits = max(len("frames"), *(len(str(self.found[name].frames)) for name in order))
            lines.append(f"kind     {'':<11}  {'frames':>{digits}}  share   cured   mean    max  where")
        for name in order:
            k = self.found[name]
            lines.append(
                f"         {name:<11}  {k.frames:>{digits}}  {_percent(k.frames, self.frames):>5}  "
                f"{_percent(k.treated, k.frames):>5}  {k.mean:>5.1f}  {k.most:>5.1f}  {k.spans()}"
            )
            lines += [f"           {note}" for note in k.notes]
        return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0.0
    return "< 1 %" if 0 < share < 1 else f"{share:.0f} %"
