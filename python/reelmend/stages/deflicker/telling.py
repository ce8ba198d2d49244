"""What the two halves know of a frame, put into words for a listener."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...frame import Frame
from ..letterbox import Region, inside
from ..structure import Structure, structure_of
from .exposure import exposed_share, filtered_illumination, singular_frames
from .findings import Findings, Kind
from .item import Item
from .tonal import COLOR, Judged

__all__ = ["retold", "tell"]

_SUSPECTED = 0.49  # the confidence, at most, of what was not acted on


def tell(item: Item, judged: Judged, frame: Frame, values: NDArray[np.int32], own: int) -> Findings:
    """Findings of one frame as it is given out.

    values, own  histograms of V of the frames around it, and its place among them
    """
    assert item.source is not None
    touched = frame.planes is not item.source.planes
    assert item.structure is not None
    structure = item.structure if item.found.gains is None else structure_of(item.source)
    before = _levels(item.source, item.region, structure)
    after = _levels(frame, item.region, structure_of(frame)) if touched else before
    tables = filtered_illumination(values)
    kinds, note = _kinds(item, judged, frame)
    return Findings(
        index=item.index,
        time=frame.time,
        shot=item.shot,
        cut=item.cut,
        kinds=kinds,
        sure=_is_sure(item, judged),
        touched=touched,
        level_in=before,
        level_out=after,
        largest=_largest(item, judged) if touched else 0.0,
        singular=bool(singular_frames(values, tables)[own]),
        exposed=exposed_share(values[own], tables[own]),
        note=note,
    )


def retold(finding: Findings, frame: Frame, region: Region) -> Findings:
    """The same of a frame that was changed further."""
    return replace(finding, touched=True, level_out=_levels(frame, region, structure_of(frame)))


def _levels(frame: Frame, region: Region, structure: Structure) -> tuple[float, float, float]:
    tiles = structure.fine
    window = inside((tiles.shape[1], tiles.shape[2]), region, frame.width, frame.height)
    r, g, b = (float(c[window].mean()) * 255 for c in tiles)
    return r, g, b


def _kinds(item: Item, judged: Judged, frame: Frame) -> tuple[dict[str, Kind], str]:
    found, kinds, notes = item.found, {}, []
    acted = judged.amount if judged.change is not None else 0.0
    evidence = judged.evidence
    if judged.flash:
        # without a look-ahead nothing tells yet whether the light will come back
        kinds["flash"] = Kind(abs(judged.flash), 0.9 if judged.flash_over else _SUSPECTED, acted)
    elif judged.flashed:
        kinds["flash"] = Kind(abs(judged.flashed), 0.9, 0.0)
        notes.append("told a frame late")
    elif judged.fade:
        kinds["fade"] = Kind(abs(judged.fade), 0.8, 0.0)
    elif judged.amount > 0 or not evidence.is_calm:
        if judged.alternates is not None:
            period = judged.alternates
            kinds["alternation"] = Kind(period.strength, period.confidence, acted)
            notes.append(f"repeats every {period.period} frames")
        elif judged.steps is not None:
            beat = judged.steps
            kinds["steps"] = Kind(beat.strength, beat.confidence, acted)
            notes.append(f"a step every {beat.period} frames")
        elif evidence.frames:
            name = "color" if judged.color >= COLOR else "global"
            least = 0.5 if judged.amount > 0 else 0.0
            most = 1.0 if judged.amount > 0 else _SUSPECTED
            if evidence.level > 0.12 and (judged.amount > 0 or evidence.active > 0.1):
                kinds[name] = Kind(evidence.level, min(max(evidence.coherence, least), most), acted)
    if found.bands.confidence > 0.2 or found.bands_amount > 0:
        confidence = max(found.bands.confidence, 0.5 if found.bands_amount > 0 else 0.0)
        kinds["bands"] = Kind(found.bands.level, confidence, found.bands_amount)
        if found.wave is not None and found.bands_amount > 0:
            notes.append(_of_wave(found.wave.frequency, found.wave.periods, frame))
    banded = found.bands_amount > 0
    confidence = found.patches.confidence(banded)
    if confidence > 0.2 or found.patches_amount > 0:
        confidence = max(confidence, 0.5) if found.patches_amount > 0 else min(confidence, _SUSPECTED)
        kinds["local"] = Kind(found.patches.level, confidence, found.patches_amount)
    return kinds, "; ".join(notes)


def _of_wave(frequency: float, periods: float, frame: Frame) -> str:
    """A wave in words, with the mains frequency whose alias it is, if it is one."""
    told = f"{abs(frequency):.2f} cycles a frame, {periods:.1f} periods over the picture"
    if not frame.duration:
        return f"bands, {told}"
    rate = float(1 / (frame.duration * frame.time_base))
    for mains in (100.0, 120.0):
        alias = (mains / rate + 0.5) % 1.0 - 0.5
        if abs(abs(alias) - abs(frequency)) < 0.004 and abs(alias) > 0.004:
            return f"mains bands, {mains:.0f} Hz: {told}"
    return f"bands, {told}"


def _is_sure(item: Item, judged: Judged) -> bool:
    found, evidence = item.found, judged.evidence
    if judged.flash:
        return judged.flash_over
    if judged.flashed or judged.fade:
        return True
    whole = evidence.flickers or evidence.is_calm or judged.alternates is not None or judged.steps is not None
    bands = found.bands.is_there or found.bands.confidence < 0.35
    local = found.patches_amount > 0 or found.patches.confidence(False) < 0.35
    return whole and bands and local


def _largest(item: Item, judged: Judged) -> float:
    tones = float(abs(judged.change).max()) if judged.change is not None else 0.0
    gains = float(abs(item.found.gains).max()) if item.found.gains is not None else 0.0
    return min(tones + gains, 1.0) * 255
