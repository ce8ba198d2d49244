"""Frames made between two pictures: by one of them, by a mixture of them, or along their motion."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ... import ops
from ...frame import Array, Frame
from ..letterbox import Region
from ..planes import composed, cropped
from .estimate import Estimator, Motion
from .standing import Standing
from .synthesis import Synthesiser, View
from .ways import Ways

__all__ = ["Maker", "Overlay", "Picture"]

_UNSURE, _SURE = 0.15, 0.40  # shares of agreeing flow: nothing is moved below, all from there on
# Forward and backward motion agree in 0.00 to 0.14 of the picture at true cuts, and in 0.47 and more in fast pans that
# look like one, of the film and the animation it was set on; blocks agree in 0.46 of pure noise. A flash has the
# content of its shot, but not the light.
_ONE_SHOT = 0.5
_ALIKE = 0.05  # of the range, in mean light
_OVERLAY_AFTER = 5  # pairs through which an overlay has stood still
_NEIGHBOURS = 8  # cells along an edge, of a quarter of the picture's size each
_MOVING = 0.25  # pixels of the picture a pair: in front of motion, of which a search finds little just there


@dataclass(slots=True)
class Picture:
    """One picture of the source on its way through the stage.

    region   the picture inside black bars
    time     when it is shown, on the clock of the output
    light    mean of its samples, 0..1; `flat` where nothing is to be seen in it
    repeats  frames that show it again, and their times
    prepared  what the estimator keeps of it, by region; `views` what a network does
    motion   to the next picture, once it is `related` to it; None where the shot ends
    pair     what a network found of it and the next picture; `standing` where the two are alike
    """

    frame: Frame
    shot: int
    region: Region
    time: Fraction
    repeats: list[tuple[Frame, Fraction]]
    light: float = 0.0
    flat: bool = False
    prepared: dict[Region, Any] = field(default_factory=dict)
    views: dict[Region, View] = field(default_factory=dict)
    motion: Motion | None = None
    related: bool = False
    pair: Any = None
    standing: Standing | None = None

    def forget(self) -> None:
        """Nothing more is made of it; its motion may still tell of the next pair."""
        self.prepared.clear()
        self.views.clear()
        self.pair = self.standing = None


class Overlay:
    """What has stood still in front of a moving picture, over the pairs of one shot."""

    def __init__(self) -> None:
        self._count: Array | None = None
        self._region: Region | None = None
        self._found = False

    def see(self, a: Frame, b: Frame, region: Region, flow: Array) -> None:
        """Count one pair."""
        x0, y0, x1, y1 = region
        luma = [f.planes[min(1, len(f.planes) - 1) if f.format.kind == "rgb" else 0][y0:y1, x0:x1] for f in (a, b)]
        if self._count is None or self._region != region:
            self._region = region
            self._count = ops.beside(np.zeros(luma[0].shape, np.uint8), luma[0], np.uint8)
        unit = 1 << (a.format.depth - 8)
        ops.count_overlay(luma[0], luma[1], flow, self._count, still=3 * unit, contrast=40 * unit, moving=_MOVING)
        self._found = int(ops.largest(self._count, 0).max()) >= _OVERLAY_AFTER

    def lay(self, source: Array, target: Array) -> None:
        """Put it back, from a plane of the source, into one that was made; both inside the region."""
        if self._found:
            ops.lay_over(source, self._count, target, least=_OVERLAY_AFTER)


class Maker:
    """Makes the frames between two pictures.

    method     "sample", "blend", or along motion that the estimator finds
    cuts       "hold", "blend" or "extrapolate"
    overlays   whether what stands still in front of motion is kept so
    synthesiser  what makes pictures instead; the motion still tells shots, and where pictures can only be mixed
    """

    def __init__(
        self,
        method: str,
        cuts: str,
        estimator: Estimator | None,
        overlays: bool,
        synthesiser: Synthesiser | None = None,
    ) -> None:
        self._method = method
        self._cuts = cuts
        self._estimator = estimator
        self._overlays = overlays
        self._synthesiser = synthesiser
        self._overlay = Overlay()
        self._shot: int | None = None
        self._joined: dict[int, int] = {}  # shots that go on under an earlier number

    def relate(self, a: Picture, b: Picture) -> None:
        """Find the motion of a pair, once. What looked like two shots and moves as one, as a fast pan does, is one."""
        a.shot, b.shot = (self._joined.get(p.shot, p.shot) for p in (a, b))
        if self._estimator is None or a.related:
            return
        a.related = True
        cut = a.shot != b.shot
        if cut and abs(a.light - b.light) > _ALIKE:
            return
        whole = (0, 0, a.frame.width, a.frame.height)
        region = a.region if a.region == b.region else whole
        one, two = (_prepared(p, region, self._estimator) for p in (a, b))
        motion = self._estimator.both(one, two, region)
        if cut:
            if motion.sure < _ONE_SHOT:
                return
            self._joined[b.shot] = b.shot = a.shot
        a.motion = motion

    def observe(self, a: Picture, b: Picture) -> None:
        """See a pair that frames will be made of, in order."""
        if a.shot != self._shot:
            self._shot, self._overlay = a.shot, Overlay()
        if self._overlays and a.motion is not None:
            # Where a title is, a search finds that nothing moves, and what is made along that stays. What a network
            # makes need not, so a title is told by what moves around it.
            along = self._synthesiser is None or self._synthesiser.along
            flow = a.motion.forward if along else _around(a.motion.forward)
            self._overlay.see(a.frame, b.frame, a.motion.region, flow)

    def make(self, a: Picture, b: Picture, t: Fraction, before: Picture | None, after: Picture | None) -> Frame:
        """The frame at t, between 0 (a) and 1 (b): untimed. `before` and `after` tell the motion around the pair."""
        near = a.frame if 2 * t < 1 else b.frame
        if self._method == "sample":
            return near
        if a.shot != b.shot:
            if _fades(before, a, b, after):
                return self._mix(a.frame, b.frame, float(t))
            return self._across(a, b, t, before, after)
        motion = a.motion
        if motion is None:
            return self._mix(a.frame, b.frame, float(t))
        share = min(1.0, max(0.0, (motion.sure - _UNSURE) / (_SURE - _UNSURE)))
        if share == 0.0:
            return self._mix(a.frame, b.frame, float(t))
        past = before.motion if before is not None and _even(before, a, b) else None
        future = b.motion if after is not None and _even(a, b, after) else None
        ways = Ways(motion, past, future)
        if self._synthesiser is not None:
            return self._synthesised(self._synthesiser, a, b, float(t), ways, share)
        return self._along(a, b, float(t), ways, share)

    def _mix(self, a: Frame, b: Frame, t: float) -> Frame:
        """A cross-fade."""
        whole = (0, 0, a.width, a.height)
        still = _still(a)
        return self._composed(a, b, [(0, still, 1 - t, 1.0), (1, still, t, 1.0)], whole, t)

    def _across(self, a: Picture, b: Picture, t: Fraction, before: Picture | None, after: Picture | None) -> Frame:
        """Where the shot changes between the pictures."""
        if self._cuts == "blend":
            return self._mix(a.frame, b.frame, float(t))
        if self._cuts == "extrapolate":
            if 2 * t < 1 and before is not None and before.motion is not None and before.shot == a.shot:
                return self._moved(a.frame, before.motion, before.motion.backward, float(t))
            if 2 * t >= 1 and after is not None and b.motion is not None and after.shot == b.shot:
                return self._moved(b.frame, b.motion, b.motion.forward, float(1 - t))
            return a.frame if 2 * t < 1 else b.frame
        return a.frame

    def _moved(self, frame: Frame, motion: Motion, flow: Array, far: float) -> Frame:
        """A picture moved on (or back) along one of the flows of its motion."""
        if motion.sure < _SURE:
            return frame
        return self._composed(frame, frame, [(0, flow, 1.0, far)], motion.region, 0.0)

    def _along(self, a: Picture, b: Picture, t: float, ways: Ways, share: float) -> Frame:
        """Along the motion, seen from both pictures: four warps, mixed."""
        motion, way = ways.motion, ways.at(t)
        by_a, by_b = way.by_a * np.float32(share), (1 - way.by_a) * np.float32(share)
        terms = [
            (0, way.a_to_a, by_a * np.float32(1 - t), 1.0),
            (1, way.a_to_b, by_a * np.float32(t), 1.0),
            (0, way.b_to_a, by_b * np.float32(1 - t), 1.0),
            (1, way.b_to_b, by_b * np.float32(t), 1.0),
        ]
        if share < 1.0:
            still = ops.beside(np.zeros(tuple(motion.forward.shape), np.float32), motion.forward)
            terms += [(0, still, (1 - share) * (1 - t), 1.0), (1, still, (1 - share) * t, 1.0)]
        return self._composed(
            a.frame, b.frame, terms, motion.region, t, overlay=self._overlay if self._overlays else None
        )

    def _synthesised(
        self, synthesiser: Synthesiser, a: Picture, b: Picture, t: float, ways: Ways, share: float
    ) -> Frame:
        """By a network, as far as the motion is sure, else a mixture. Where nothing changes, the source."""
        motion, region = ways.motion, ways.motion.region
        if a.standing is None:
            a.standing = Standing(cropped(a.frame, region), cropped(b.frame, region), motion)
        near = a.frame if 2 * t < 1 else b.frame
        planes = [ops.copy(p) for p in near.planes]
        target = near.replace(planes=tuple(planes), made=True)
        if a.standing.everywhere:
            return target
        one, two = (_viewed(p, region, synthesiser) for p in (a, b))
        if a.pair is None:
            a.pair = synthesiser.pair(one, two, ways)
        inside = cropped(target, region)
        pictures = cropped(a.frame, region), cropped(b.frame, region)
        synthesiser.write(a.pair, (one, two), pictures, t, share, inside)
        source = cropped(near, region)
        a.standing.keep(source, inside, t)
        if self._overlays:
            for from_, to in zip(source.planes, inside.planes, strict=True):
                self._overlay.lay(from_, to)
        return target

    def _composed(
        self,
        a: Frame,
        b: Frame,
        terms: list[tuple[int, Array, float | Array, float]],
        region: Region,
        t: float,
        overlay: Overlay | None = None,
    ) -> Frame:
        """Terms (which picture, flow, weight, scale) composed inside the region; around it, the nearer picture."""
        near = a if 2 * t < 1 else b
        made = composed(near, region, [((a, b)[which], *rest) for which, *rest in terms]).replace(made=True)
        if overlay is not None:
            for source, target in zip(cropped(near, region).planes, cropped(made, region).planes, strict=True):
                overlay.lay(source, target)
        return made


def _prepared(picture: Picture, region: Region, estimator: Estimator) -> Any:
    """What the estimator keeps of a picture's region, made once."""
    if region not in picture.prepared:
        picture.prepared[region] = estimator.prepare(picture.frame, region)
    return picture.prepared[region]


def _viewed(picture: Picture, region: Region, synthesiser: Synthesiser) -> View:
    """What the network keeps of a picture's region, made once."""
    if region not in picture.views:
        picture.views[region] = synthesiser.view(picture.frame, region)
    return picture.views[region]


def _around(flow: Array) -> Array:
    """How far things move around each place, on a coarse grid: a field as long as the flow is on the mean there."""
    rows, columns = (int(n) for n in flow.shape[1:])
    coarse = (-(-rows // _NEIGHBOURS), -(-columns // _NEIGHBOURS))
    means = [ops.resize(abs(flow[c]), coarse, filter="area") for c in (0, 1)]
    field = ops.beside(np.zeros((2, *coarse), np.float32), flow)
    field[0], field[1] = means[0] * np.float32(coarse[1] / columns), means[1] * np.float32(coarse[0] / rows)
    return field


def _still(frame: Frame) -> Array:
    return ops.beside(np.zeros((2, 1, 1), np.float32), frame.planes[0])


def _even(a: Picture, b: Picture, c: Picture) -> bool:
    """Whether b lies about half way in time between a and c, all of one shot."""
    one, two = b.time - a.time, c.time - b.time
    return a.shot == b.shot == c.shot and 4 * one <= 5 * two and 4 * two <= 5 * one


def _fades(before: Picture | None, a: Picture, b: Picture, after: Picture | None) -> bool:
    """Whether a picture without content is the end of a fade, or its beginning: the light goes on as in the interval
    beside, where a cut to black or from it would be a jump."""
    step = b.light - a.light
    beside = 0.0
    if b.flat and before is not None and before.shot == a.shot:
        beside = a.light - before.light
    elif a.flat and after is not None and after.shot == b.shot:
        beside = after.light - b.light
    return step * beside > 0 and abs(step) <= 2 * abs(beside)
