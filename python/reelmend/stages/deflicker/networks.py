"""The networks of BlazeBVD after scale-time equalisation: what is judged on small pictures is done to large ones.

global    curves and a grid of gains for each frame by itself, from its priors over the window (GFRM)
temporal  gains by which light follows that of the past, moved along the motion (TCM); recurrent, reset at cuts
local     where light is lost to black or white, shares of the past and the next frame, moved along the motion (LFRM)

The networks see pictures of 36 x 64 and 144 x 256 in the memory of the host, whatever the frames' size and device:
they are too small for a GPU to be worth the way there and back. Frames stay where they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import ops
from ...engines import Engine, EnginePlan, Network, find, open_engine, plan_engine
from ...errors import NetworkError
from ...frame import Frame, VideoInfo
from ..letterbox import Region
from ..planes import composed, moved, resized
from . import paper
from .apply import Brush
from .item import Found, Item
from .joined import Treated, joined, toned
from .priors import MID, PLANES, SMALL, TONES, Sight, View, flow_to, global_inputs, half, small_flow
from .trust import drifts, kept, local, uneven

__all__ = [
    "PARTS",
    "PAST",
    "Networks",
    "ahead_of",
    "find_network",
    "fits",
    "keeps",
    "memory_of",
    "plans_of",
    "sight_of",
]

PARTS = ("global", "temporal", "local")
FAMILY = "blaze"
PAST = 60  # frames of a shot that priors are made of
_FUTURE = 12  # frames of look-ahead that they may have
_LOST = 2e-4  # share of the picture from which what is lost is looked for
_MORE = 2.0  # times what the frames beside it lost that a frame must have lost: the paper's singular frames
_SEEN = 0.006  # of 0..1, root mean square: what a change must be to be made where no flicker was found
_NONE = 1e-3  # a weight that is none
_GAIN = (0.2, 5.0)  # least and greatest factor of light

Floats = NDArray[np.float32]


def ahead_of(lookahead: int) -> int:
    """Frames that the networks wait for, beside a look-ahead of so many for equalisation."""
    return min(_FUTURE, (lookahead + 1) // 2) + 1 if lookahead else 0


def fits(info: VideoInfo) -> bool:
    """Whether frames are large enough for them."""
    return info.height >= MID[0] and info.width >= MID[1]


def find_network(network: str | Network) -> Network:
    """A network that the stage can run. Raises NetworkError for others."""
    found = network if isinstance(network, Network) else find(network, "deflicker")
    if found.family == paper.FAMILY:
        return found
    if found.family != FAMILY:
        raise NetworkError(
            f"{found.name} is of family {found.family!r}; Deflicker runs those of families {FAMILY!r}, {paper.FAMILY!r}"
        )
    takes = [port.shape[1] for port in found.part("global").inputs]
    if takes != [PLANES, TONES]:
        raise NetworkError(f"{found.name} takes {takes} priors; Deflicker gives {[PLANES, TONES]}: train it anew")
    return found


def memory_of(info: VideoInfo, ahead: int) -> int:
    """Bytes: small pictures of the window; of the frames waited for, larger ones, and those before equalisation."""
    small, mid = (4 * rows * columns for rows, columns in (SMALL, MID))
    return (ahead + PAST) * 2 * 3 * small + (ahead + 2) * (8 * mid + info.frame_bytes)


def keeps(network: Network) -> bool:
    """Whether what is masked or protected stays as it is."""
    return network.family != paper.FAMILY


def plans_of(network: str | Network, parts: Sequence[str], info: VideoInfo) -> list[EnginePlan]:
    """How its parts would run on frames like these."""
    found = find_network(network)
    if found.family == paper.FAMILY:
        return [paper.plan_of(found, info)]
    return [plan_engine(found, part, **_how(part)) for part in parts]


def _how(part: str) -> dict[str, Any]:
    """Size of its pictures, and threads: those of SMALL are too small to be shared."""
    return {"size": MID} if part == "local" else {"size": SMALL, "threads": 1}


@dataclass(slots=True)
class _Entry:
    """A frame in the window.

    frame   as equalised; let go when it is given out
    treated what was done to it before, so that all is done at once; let go with it
    acts    whether anything is to be done to it; `sure`: also what is hardly to be seen
    sight   what is known of it
    found   what the first half knows of it
    toned   curves, gains and the small picture after them, once the global network has seen it
    """

    frame: Frame | None
    treated: Treated | None
    shot: int
    region: Region
    acts: bool
    sure: bool
    sight: Sight
    found: Found
    toned: _Toned | None = None


@dataclass(slots=True)
class _Toned:
    curves: Floats  # (3, knots)
    gains: Floats  # (3, rows, columns)
    small: Floats  # (3, *SMALL)
    added: float  # whether light is added in the window, 0..1


@dataclass(slots=True)
class _Past:
    """The frame given out last: its entry, picture as given out, small and of MID, what of it is lost, the state."""

    entry: _Entry
    frame: Frame
    small: Floats
    mid: Floats
    lost: Floats  # (1, *MID)
    state: Floats
    share: float  # of its pixels that were lost when it came


class Networks:
    """Takes frames in order and gives them out `ahead` frames later.

    network  of the catalogue; parts: which of PARTS; brush: applies what they say; info: of the frames
    """

    def __init__(self, network: str | Network, parts: Sequence[str], ahead: int, brush: Brush, info: VideoInfo) -> None:
        found = find_network(network)
        self.brush = brush
        self._ahead = ahead
        self._paper = paper.Paper(found, info) if found.family == paper.FAMILY else None
        self._engines: dict[str, Engine] = {}
        if self._paper is None:
            for part in parts:
                self._engines[part] = open_engine(found, part, **_how(part))
        self.reset()

    def reset(self) -> None:
        self._window: deque[_Entry] = deque()
        self._at = 0  # of the next frame to give out
        self._past: _Past | None = None

    def push(self, item: Item, change: Floats | None, frame: Frame, table: Floats, forced: bool) -> list[Frame]:
        """Take a frame: its item, the curves that equalise it (None: none), the frame after them, its filtered
        illumination.

        They go on where equalisation acted. If that was `forced`, flicker or not, they go on anywhere, but not for what
        is hardly to be seen.
        """
        assert item.source is not None
        acts = forced or frame.planes is not item.source.planes
        if self._paper is not None:
            return [self._paper(item.source, table).replace(cut=frame.cut) if acts else frame]
        sight = sight_of(item.source, frame, item.region, table)
        treated = Treated(item.source, item.found.gains, change)
        self._window.append(_Entry(frame, treated, item.shot, item.region, acts, not forced, sight, item.found))
        return [self._next()] if len(self._window) - self._at > self._ahead else []

    def flush(self) -> list[Frame]:
        frames = [self._next() for _ in range(len(self._window) - self._at)]
        self.reset()
        return frames

    def _next(self) -> Frame:
        entry = self._window[self._at]
        before = self._past
        if before is not None and not _together(before.entry, entry):
            before = None
        later = self._at + 1
        following = self._window[later] if self._ahead and later < len(self._window) else None
        if following is not None and not _together(entry, following):
            following = None
        if self._engines.keys() <= {"global"}:
            before = following = None  # nothing asks for motion
        self._past = self._done(entry, before, following)
        frame = self._past.frame
        entry.frame = entry.treated = None
        self._at += 1
        if self._at > PAST:
            self._window.popleft()
            self._at -= 1
        return frame

    def _done(self, entry: _Entry, before: _Past | None, following: _Entry | None) -> _Past:
        assert entry.frame is not None
        sight = entry.sight
        if not entry.acts:
            return self._left(entry)
        said = self._tone(self._at)
        back = None if before is None else flow_to(sight.made, before.entry.sight.made)
        fore = None if following is None else flow_to(sight.made, following.sight.made)
        gains, state = said.gains, _blank(self._engines)
        small = said.small
        if "temporal" in self._engines:
            ahead = None if following is None or not following.acts else self._tone(self._at + 1).small
            change, state = self._follow(said.small, before, back, ahead, fore)
            wide = resized(change, SMALL)
            sure = 1 - (1 - said.added) * (1 - local(entry.found))
            held = np.float32(max(sure, kept(said.small * np.expm1(wide))))
            gains = np.clip((1 + gains) * np.exp(held * change), *_GAIN) - 1
            small = said.small * np.exp(held * wide)
        off = small - sight.made.small
        if entry.sure or float(np.sqrt((off * off).mean())) >= _SEEN:
            frame = self._retoned(entry, said.curves, gains)
            mid = toned(sight.made.mid, said.curves, gains)
        else:
            frame, small, mid = entry.frame, sight.made.small, sight.made.mid
        lost = sight.lost(mid)
        left = lost.max(axis=0, keepdims=True)
        share = float(left.mean())
        seen = before is not None or following is not None
        if "local" in self._engines and seen and share > _LOST and (before is None or share > _MORE * before.share):
            frame, mid, left = self._restored(entry, frame, mid, lost, before, back, following, fore)
        return _Past(entry, frame, small, mid, left, state, share)

    def _left(self, entry: _Entry) -> _Past:
        """A frame that is given out as it is."""
        assert entry.frame is not None
        made = entry.sight.made
        left = entry.sight.lost(made.mid).max(axis=0, keepdims=True)
        return _Past(entry, entry.frame, made.small, made.mid, left, _blank(self._engines), float(left.mean()))

    def _retoned(self, entry: _Entry, curves: Floats, gains: Floats) -> Frame:
        """A frame as it came after all that was done to it, and then by curves and gains, rounded once."""
        assert entry.treated is not None
        change, field, response = joined(entry.treated, curves, gains)
        made = self.brush.retone(entry.treated.base, entry.region, change, field, response=response)
        return made.replace(cut=True) if entry.frame is not None and entry.frame.cut else made

    def _tone(self, at: int) -> _Toned:
        """What the global network says of a frame of the window; nothing changes without that network."""
        entry = self._window[at]
        if entry.toned is None:
            made = entry.sight.made.small
            curves, gains = np.zeros((3, 2), np.float32), np.zeros((3, SMALL[0] // 2, SMALL[1] // 2), np.float32)
            added = 0.0
            if "global" in self._engines:
                first = at
                while first > 0 and at - first < PAST and _together(self._window[first - 1], entry):
                    first -= 1
                end = at + 1
                while (
                    end < len(self._window) and end - at < max(1, self._ahead) and _together(self._window[end], entry)
                ):
                    end += 1
                grid, tones = global_inputs([self._window[k].sight for k in range(first, end)], at - first)
                said = self._engines["global"].run({"grid": grid[None], "tones": tones[None, :, None, None]})
                curves, gains = said["curves"][0, :, :, 0], said["gains"][0]
                adds = drifts(tones)
                added = float(adds.mean())
                sure = 1 - (1 - adds) * (1 - uneven(entry.found))
                held = np.maximum(sure, kept(toned(made, curves, gains) - made)).astype(np.float32)
                curves, gains = curves * held[:, None], gains * held[:, None, None]
            entry.toned = _Toned(curves, gains, toned(made, curves, gains), added)
        return entry.toned

    def _follow(
        self, now: Floats, before: _Past | None, back: Floats | None, ahead: Floats | None, fore: Floats | None
    ) -> tuple[Floats, Floats]:
        """(what is added to the log of light, the state) by the temporal network."""
        past, known, state = now, np.zeros((1, *SMALL), np.float32), _blank(self._engines)
        if before is not None and back is not None:
            flow = small_flow(back)
            past, known = moved(before.small, flow), np.ones((1, *SMALL), np.float32)
            state = moved(before.state, half(flow))
        following = now if ahead is None or fore is None else moved(ahead, small_flow(fore))
        seen = np.concatenate([now, past, known, following])
        said = self._engines["temporal"].run({"seen": seen[None], "state": np.ascontiguousarray(state[None])})
        return said["change"][0], said["next"][0]

    def _restored(
        self,
        entry: _Entry,
        frame: Frame,
        mid: Floats,
        lost: Floats,
        before: _Past | None,
        back: Floats | None,
        following: _Entry | None,
        fore: Floats | None,
    ) -> tuple[Frame, Floats, Floats]:
        """The frame with what it lost taken from the past and the next, by the local network."""
        left = lost.max(axis=0, keepdims=True)
        nothing = np.ones((1, *MID), np.float32)
        past, past_lost = mid, nothing
        if before is not None and back is not None:
            both = moved(np.concatenate([before.mid, before.lost]), back)
            past, past_lost = both[:3], both[3:]
        then, then_lost = mid, np.concatenate([nothing, nothing])
        then_said = None
        if following is not None and fore is not None:
            then_said = self._tone(self._at + 1)
            light = toned(following.sight.made.mid, then_said.curves, then_said.gains)
            ahead_lost = following.sight.lost(light)
            if float(left.mean()) <= _MORE * float(ahead_lost.max(axis=0).mean()):
                return frame, mid, left
            both = moved(np.concatenate([light, ahead_lost]), fore)
            then, then_lost = both[:3], both[3:]
        there = np.array([before is not None, following is not None], np.float32).reshape(1, 2, 1, 1)
        views = np.concatenate([mid, past, then, lost, past_lost, then_lost])
        weights = self._engines["local"].run({"views": views[None], "there": there})["weights"][0]
        weights[1:] *= self.brush.open(frame, entry.region, MID)
        weights[1:][weights[1:].max(axis=(1, 2)) < _NONE] = 0
        weights[0] = 1 - weights[1] - weights[2]
        like = frame.planes[0]
        terms = [(frame, np.zeros((2, *MID), np.float32), weights[0])]
        if before is not None and back is not None and weights[1].any():
            terms.append((before.frame, back, weights[1]))
        if then_said is not None and fore is not None and following is not None and weights[2].any():
            ahead = self._retoned(following, then_said.curves, then_said.gains)
            terms.append((ahead, fore, weights[2]))
        if len(terms) == 1:
            return frame, mid, left
        beside = [(f, ops.beside(flow, like), ops.beside(weight, like), 1.0) for f, flow, weight in terms]
        made = composed(frame, entry.region, beside, 1 if frame.format.kind == "gray" else 3)
        light = weights[:1] * mid + weights[1:2] * past + weights[2:] * then
        left = weights[:1] * left + weights[1:2] * past_lost + weights[2:] * then_lost.max(axis=0)
        # it comes back with the next frame: what rounding adds to it must not grow
        return made, light, np.clip(left, 0, 1)


def sight_of(source: Frame, frame: Frame, region: Region, table: Floats) -> Sight:
    """What is known of a frame as it came and as equalised, with its filtered illumination."""
    raw = View.of(source, region)
    made = raw if frame.planes is source.planes else View.of(frame, region)
    return Sight.of(raw, made, table)


def _together(a: _Entry, b: _Entry) -> bool:
    return a.shot == b.shot and a.region == b.region


def _blank(engines: dict[str, Engine]) -> Floats:
    if "temporal" not in engines:
        return np.zeros((1, SMALL[0] // 2, SMALL[1] // 2), np.float32)
    return np.zeros(engines["temporal"].inputs["state"][1:], np.float32)
