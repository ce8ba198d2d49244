"""The stage: its options, and what it declares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...engines.catalogue import find
from ...engines.host import cores
from ...engines.network import Network
from ...errors import OptionError
from ...frame import Transfer, VideoInfo
from ...stage import Declaration, Stage, State
from ..shots import FLASH
from .cadence import LONGEST
from .dain import DAIN
from .estimate import Estimator, estimator_for
from .fast import Fast
from .flownet import FlowNet
from .ifnet import IFNet
from .runtime import Runtime
from .superslomo import SuperSloMo
from .synthesis import Synthesiser
from .timing import common_tick, nominal

if TYPE_CHECKING:
    from ...engines import EnginePlan

__all__ = ["METHODS", "Interpolate"]

METHODS = ("auto", "sample", "blend", "memc", "flow", "fast", "superslomo", "ifnet", "dain")
Method = Literal["auto", "sample", "blend", "memc", "flow", "fast", "superslomo", "ifnet", "dain"]
_SYNTHESISERS: dict[str, type[Synthesiser]] = {"fast": Fast, "superslomo": SuperSloMo, "ifnet": IFNet, "dain": DAIN}
_FASTEST = 1000  # frames a second
_KEPT_UP = 2e6  # pixels a second and core that method "fast" makes, on the slowest machine it was measured on
_TABLES = 48 << 10  # bytes: how a frame is built


@dataclass(frozen=True)
class Interpolate(Stage):
    """Makes new frames between the frames there are: any rate from any rate, exactly timed.

    Source frames that fall on an output time leave untouched, with all their samples; so does a source frame that an
    output time misses by less than a fiftieth of the interval, if no other output time is nearer to it. Others are
    made at their exact place in time. Where repeats are re-timed, they are no frames of their own. Frames must come in
    order of time, each later than the one before.

    Give one of:
    rate         frames a second of the result, exact: 60, "60000/1001", Fraction(24000, 1001). Constant, from the
                 first frame's time on, whatever the source's times and gaps
    factor       2..64: every interval of the source in so many equal parts; variable rates stay variable
    slow_motion  1 or more: time is stretched by so much, at the source's nominal rate, or at `rate` if it is given

    method       "auto": "fast" on a GPU, and where the cores at hand make its frames as fast as they are shown, else
                 "flow". "sample": the source frame that is nearest in time; "blend": a cross-fade; "memc": along the
                 motion of blocks (hierarchical, bidirectional, overlapped search to a quarter of a pixel); "flow":
                 along dense optical flow; "fast": that, judged and sharpened by a small network of our own;
                 "superslomo": by the networks of Super SloMo; "ifnet": by those of RIFE 4.0 to 4.26; "dain": by those
                 of DAIN. The slim variants of superslomo and dain, which ship, begin with the dense flow
    acceleration  whether motion may be evenly accelerated rather than even ("memc", "flow", "fast", slim networks);
                 looks one picture further ahead, which tells a fade from black too
    cuts         "hold": the old picture stays until the new shot begins; "blend"; "extrapolate": each side moves on
    repeats      "auto": pictures shown two or three times (animation on twos, clips of a lower rate) are re-timed while
                 that is so of most; "retime": always; "keep": never, which saves the delay
    overlays     titles and logos that stand still in front of motion are kept still
    flow         with method "flow": the network that finds it, of family "ebme": its name in the catalogue, the path of
                 its folder, or the Network. None: our own dense search
    network      with methods of networks: the one that makes the pictures, of that family, given as `flow` is. Its
                 checkpoint is imported by `reelmend engines import`. None: the one that ships, of all but "ifnet"
    scale        with methods "fast" and "ifnet": 1, 1/2 or 1/4, the size, in parts of the pictures', in which motion is
                 looked for: less for large pictures
    compat       with method "superslomo" and a network as published: "pad", or "resize": pictures are reduced to
                 multiples of 32 and what is made is enlarged again, as the public program does it

    Cuts are found by structure, as the deflicker stage finds them, so a flash of one frame is none; it is mixed with
    nothing all the same. Where motion is searched, it has the last word: what moves as one, a fast pan, is one shot. A
    fade is mixed down to black. Where the motion of a pair cannot be known (dissolves, violent change), the frames are
    mixed. Black bars stay as they are. Frames of a network go by way of RGB, but for "fast" and the slim "superslomo",
    which move, mix and sharpen planes as they are; where both sources are alike, and nothing that our own search saw
    moving passes, they are the source to the bit. That search tells shots and overlays too.
    """

    name: ClassVar[str] = "interpolate"

    rate: Fraction | int | str | None = None
    factor: int | None = None
    slow_motion: Fraction | int | str | None = None
    method: Method = "auto"
    acceleration: bool = True
    cuts: Literal["hold", "blend", "extrapolate"] = "hold"
    repeats: Literal["auto", "keep", "retime"] = "auto"
    overlays: bool = True
    flow: str | Network | None = None
    network: str | Network | None = None
    scale: float | Fraction = 1
    compat: Literal["pad", "resize"] = "pad"

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            if not ok:
                got = getattr(self, name)
                shown = got if isinstance(got, Fraction) else repr(got)
                raise OptionError(f"Interpolate: {name} is {shown}; expected {expected}")

        for name, least, expected in (
            ("rate", Fraction(1, 1000), 'frames a second, exact: 60, "60000/1001", at most 1000'),
            ("slow_motion", Fraction(1), 'how many times as slow, 1 to 1000: 4, "5/2"'),
        ):
            value = _exact(getattr(self, name))
            check(name, value is None or least <= value <= _FASTEST, expected)
            object.__setattr__(self, name, value)
        whole = isinstance(self.factor, int) and not isinstance(self.factor, bool)
        check("factor", self.factor is None or (whole and 2 <= self.factor <= 64), "a whole number from 2 to 64")
        if self.factor is not None and (self.rate is not None or self.slow_motion is not None):
            raise OptionError("Interpolate: factor does not go with rate or slow_motion; give one of them")
        if self.factor is None and self.rate is None and self.slow_motion is None:
            raise OptionError("Interpolate: how many frames? Give rate=60, factor=2 or slow_motion=4")
        check("method", self.method in METHODS, f"one of {', '.join(METHODS)}")
        check("cuts", self.cuts in ("hold", "blend", "extrapolate"), "'hold', 'blend' or 'extrapolate'")
        check("repeats", self.repeats in ("auto", "keep", "retime"), "'auto', 'keep' or 'retime'")
        for name in ("acceleration", "overlays"):
            check(name, isinstance(getattr(self, name), bool), "True or False")
        check("flow", self.flow is None or isinstance(self.flow, str | Network), "a network's name, or None")
        if self.flow is not None and self.method not in ("flow", "auto"):
            raise OptionError(f"Interpolate: flow={self.flow!r} goes with method 'flow' alone; got {self.method!r}")
        check("network", self.network is None or isinstance(self.network, str | Network), "a network's name, or None")
        by = _SYNTHESISERS.get(self.method)
        if by is None and self.network is not None:
            given = self.network if isinstance(self.network, str) else self.network.name
            raise OptionError(
                f"Interpolate: network={given!r} goes with method {_either(_SYNTHESISERS)}; got {self.method!r}"
            )
        if by is not None and self._network is None:
            raise OptionError(f"Interpolate: method {self.method!r} needs network=: {by.how_to_get_one()}")
        check("compat", self.compat in ("pad", "resize"), "'pad' or 'resize'")
        if self.compat != "pad" and self.method != "superslomo":
            raise OptionError(f"Interpolate: compat='resize' goes with method 'superslomo'; got {self.method!r}")
        check("scale", self.scale in (1, 0.5, 0.25), "1, 1/2 or 1/4")
        if self.scale != 1 and (by is None or not by.scales):
            able = _either(name for name, s in _SYNTHESISERS.items() if s.scales)
            raise OptionError(f"Interpolate: scale={self.scale} goes with method {able}; got {self.method!r}")

    @property
    def _ahead(self) -> int:
        """Pictures beyond the pair at work."""
        return 1 if self._moving and (self.acceleration or self.cuts == "extrapolate") else 0

    @property
    def _moving(self) -> bool:
        """Whether motion is searched."""
        return self.method not in ("sample", "blend")

    @property
    def _grouped(self) -> bool:
        """Whether repeats may be taken together. The nearest frame is the nearest, repeat or not."""
        return self.repeats != "keep" and self.method != "sample"

    @property
    def _furthest(self) -> int:
        """Frames of look-ahead, where every picture is shown as often as a cadence allows."""
        return LONGEST * (2 + self._ahead) if self._grouped else 1 + self._ahead

    @property
    def window(self) -> tuple[int, int]:
        shown = LONGEST if self._grouped else 1
        return shown * (1 + self._ahead) - 1, self._furthest

    @property
    def latency(self) -> int:
        """With repeats="auto" that of ordinary video; more, up to the window's future, while there is a cadence."""
        return 2 + self._ahead if self._grouped and self.repeats == "auto" else self._furthest

    @property
    def state(self) -> State:
        return "recurrent" if self._grouped or (self.overlays and self._moving) else "window"

    def _chosen(self, info: VideoInfo, device: str) -> Interpolate:
        """With the method that "auto" stands for."""
        if self.method != "auto":
            return self
        rate = self._rate(info)
        keeps_up = rate is not None and rate * info.width * info.height <= _KEPT_UP * cores()
        fast = self.flow is None and (device != "cpu" or keeps_up)
        return replace(self, method="fast" if fast else "flow")

    def _estimator(self, device: str) -> Estimator | None:
        """What finds motion, if anything does. Raises NetworkError for a network that is not there or does not fit."""
        if self.flow is not None:
            return FlowNet(self.flow if isinstance(self.flow, Network) else find(self.flow, "flow"), device)
        return estimator_for(self.method) if self._moving else None

    def _synthesiser(self, device: str) -> Synthesiser | None:
        """What makes pictures by itself, if anything does. Raises NetworkError as _estimator does."""
        by, network = _SYNTHESISERS.get(self.method), self._network
        if by is None or network is None:
            return None
        return by.of(network, device, float(self.scale), self.compat == "resize")

    @property
    def _network(self) -> str | Network | None:
        """What makes pictures: the network that was named, or the one that ships for the method."""
        by = _SYNTHESISERS.get(self.method)
        return by.shipped if self.network is None and by is not None else self.network

    def _rate(self, info: VideoInfo) -> Fraction | None:
        """Frames a second of the result, where that can be said."""
        if isinstance(self.rate, Fraction):
            return self.rate
        if self.factor is not None:
            return info.rate * self.factor if info.rate else None
        if not info.rate:
            raise OptionError("Interpolate: slow_motion of a clip without a nominal rate needs rate= as well")
        return nominal(info.rate)

    def _tick(self, info: VideoInfo) -> Fraction:
        """The time base in which all output times are whole."""
        base = info.time_base
        if self.factor is not None:
            return base / self.factor
        rate = self._rate(info)
        assert rate is not None
        return common_tick(base, 1 / rate)  # times are whole steps from the first frame's on

    def declare(self, info: VideoInfo, device: str) -> Declaration:
        if self.method == "auto":
            return self._chosen(info, device).declare(info, device)
        rate = self._rate(info)
        slower = self.slow_motion if isinstance(self.slow_motion, Fraction) else Fraction(1)
        known = rate * slower / info.rate if rate and info.rate else self.factor
        growth = Fraction(known or 2)  # of a clip of any rate: as if it doubled, for the memory alone
        frames = None if info.frames is None or known is None else math.ceil(info.frames * growth)
        notes = [f"{self.method}, {_words(self, rate)}"]
        if self._furthest != self.latency:
            notes.append(f"looks up to {self._furthest} frames ahead while pictures repeat")
        memory = 0
        plans: list[EnginePlan] = []
        estimator, synthesiser = self._estimator(device), self._synthesiser(device)
        size = (info.height, info.width)
        if synthesiser is not None:
            notes.append(f"pictures by {synthesiser.name}")
            memory += synthesiser.memory(info.width, info.height)
            plans = synthesiser.plans(size)
            notes.append(_told(plans))
            if info.colour.transfer in (Transfer.PQ, Transfer.HLG):
                notes.append("HDR: the network sees the coded values, though it learnt from others")
        if estimator is not None:
            what = "motion" if synthesiser is None else "shots, overlays and what stands still"
            notes.append(f"{what} by {estimator.name}")
            memory += estimator.memory(info.width, info.height) + (info.width * info.height if self.overlays else 0)
        if isinstance(estimator, FlowNet):
            plans = estimator.plans(size)
            notes.append(_told(plans))
        shown = LONGEST if self._grouped else 1
        # the pictures at work, those ahead and the one before, each as often as it may be shown, and the next one
        held = shown * (3 + self._ahead) + (1 if self._grouped else 0)
        made = 0 if self.method == "sample" else math.ceil(growth * shown) - (1 if self.factor is not None else 0)
        return Declaration(
            window=self.window,
            latency=self.latency,
            output=replace(info, rate=rate, time_base=self._tick(info), frames=frames),
            memory=memory + (held + made) * info.frame_bytes + (held + FLASH + 1) * _TABLES,
            device=device,
            state=self.state,
            engines=tuple(dict.fromkeys(plan.request.network.name for plan in plans)),
            fallbacks=tuple(dict.fromkeys(fallback for plan in plans for fallback in plan.fallbacks)),
            notes=tuple(notes),
            retimed=True,
            slower=slower,
        )

    def open(self, info: VideoInfo, device: str) -> Runtime:
        return Runtime(self._chosen(info, device), info, device)


def _exact(value: Any) -> Fraction | None:
    if value is None:
        return None
    if isinstance(value, float) and not value.is_integer():
        raise OptionError(f"Interpolate: {value!r} is no exact rate; give a fraction such as '60000/1001'")
    try:
        if isinstance(value, bool):
            raise TypeError
        return Fraction(value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise OptionError(f"Interpolate: expected a number or a fraction such as '60000/1001'; got {value!r}") from None


def _told(plans: list[EnginePlan]) -> str:
    """Many engines in one line: how many there are of each kind."""
    kinds = Counter(
        f"{p.backend} {p.request.precision} on {p.request.device}: {p.state}" + (f" ({p.why})" if p.why else "")
        for p in plans
    )
    sizes = sorted({plan.request.size for plan in plans}, reverse=True)
    shown = " to ".join(f"{columns}x{rows}" for rows, columns in dict.fromkeys((sizes[0], sizes[-1])))
    return f"{shown}, {len(plans)} engines: " + "; ".join(f"{count} by {kind}" for kind, count in kinds.items())


def _either(names: Iterable[str]) -> str:
    return " or ".join(repr(name) for name in names)


def _words(options: Interpolate, rate: Fraction | None) -> str:
    if options.factor is not None:
        return f"{options.factor} times as many frames"
    slow = f", {options.slow_motion} times as slow" if options.slow_motion is not None else ""
    return f"{rate} frames a second{slow}"
