"""Pictures made by networks from two others: what such a method is to the stage, and how its engines are held."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import ops
from ...convert import from_rgb
from ...engines.catalogue import find
from ...engines.network import Network, Size
from ...errors import NetworkError
from ...fallback import Fallback
from ...frame import Array, Frame
from ..letterbox import Region
from ..planes import resized
from .estimate import picture_of
from .opened import Opened
from .ways import Ways

if TYPE_CHECKING:
    from ...engines import Engine, EnginePlan

__all__ = ["Between", "RgbSynthesiser", "Synthesiser", "View", "sigmoid"]

_SCALED = {1: "", 2: " at half the size", 4: " at a quarter of the size"}


@dataclass(slots=True)
class View:
    """What is kept of one picture while pairs are made with it.

    size     its own rows and columns
    picture  float32 (3, rows, columns), RGB 0..1, padded by its edges to what the network takes, or reduced to that
    seen     what else its network keeps of it, found once
    """

    size: Size
    picture: Array
    seen: Any = None


@dataclass(slots=True)
class Between:
    """A picture made between two, and how it was made of them: float32, of the pictures' own size.

    picture     (3, rows, columns), RGB 0..1, not clamped
    to_a, to_b  (2, rows, columns): where its pixels lie in both pictures, for compose; of any one size
    by_a        (rows, columns), 0..1: the part of it that is the first picture's; as large as they are
    """

    picture: Array
    to_a: Array
    to_b: Array
    by_a: Array


class Synthesiser(ABC):
    """Makes pictures between two, by a network of one family, its parts run by engines and its geometry by our ops.

    network  as Interpolate takes it: a name of the catalogue, the path of a folder, or the Network
    device   "cpu", "cuda" or "cuda:N": where the pictures are
    scale    1, 1/2 or 1/4, where `scales`: the size, in parts of its own, in which a picture is looked at for motion

    A picture is viewed once, a pair is matched once, and then any number of pictures are made between: `view`, `pair`
    and `write`. All of them know nothing of time or shots, which are the stage's. Raises NetworkError for a network
    that is not there, or of another family.
    """

    family: ClassVar[str]  # which is also the method's name
    file: ClassVar[str]  # of weights, as published, and by whom
    scales: ClassVar[bool] = False
    shipped: ClassVar[str | None] = None  # the network that is taken where none is named
    along: ClassVar[bool] = False  # whether all it makes lies along our own search, so that what that holds still stays

    def __init__(self, network: str | Network, device: str, scale: float = 1.0) -> None:
        assert scale == 1 or self.scales
        self.network = self.found(network)
        if self.network.family != self.family:
            raise NetworkError(
                f"{self.network.name} is of family {self.network.family!r}; method {self.family!r} runs networks of "
                f"family {self.family!r}: {self.how_to_get_one()}"
            )
        self.name = f"the network {self.network.name}" + _SCALED[round(1 / scale)]
        self._opened = Opened(
            self.network, device, lambda size: {part: (part, at) for part, at in self.sizes(size).items()}
        )

    @classmethod
    def of(cls, network: str | Network, device: str, scale: float, resizes: bool) -> Synthesiser:
        """What runs a network of this method. `resizes`: see Interpolate, compat."""
        return cls(network, device, scale)

    @classmethod
    def how_to_get_one(cls) -> str:
        """What to do for a network of this method."""
        return f"import {cls.file} by 'reelmend engines import FILE', and give its name (network=, --network)"

    @classmethod
    def found(cls, network: str | Network) -> Network:
        """The network of a name, of any family."""
        if isinstance(network, Network):
            return network
        try:
            return find(network)
        except NetworkError as error:
            raise NetworkError(f"{error}. For method {cls.family!r}: {cls.how_to_get_one()}") from None

    @property
    @abstractmethod
    def multiple(self) -> int:
        """What rows and columns of padded pictures are multiples of."""

    @abstractmethod
    def sizes(self, size: Size) -> Mapping[str, Size]:
        """Its parts, by the size of what each is given for pictures of this padded size."""

    @abstractmethod
    def pair(self, a: View, b: View, ways: Ways) -> Any:
        """What is found of a pair once, for all times between. `ways`: what our own search tells of its motion."""

    @abstractmethod
    def write(
        self, pair: Any, views: tuple[View, View], pictures: tuple[Frame, Frame], t: float, share: float, target: Frame
    ) -> None:
        """Write the picture at t, above 0 (the first) and below 1 (the second), into the planes of a frame, in its
        format.

        views, pictures  of the two it is made of; frames and target inside the region of the views
        share            0..1: how much of it is the made picture; the rest is a cross-fade
        """

    @abstractmethod
    def memory(self, width: int, height: int) -> int:
        """Bytes held at most for pictures of this size: views, pairs, what is made, weights and activations."""

    def view(self, frame: Frame, region: Region) -> View:
        """A picture as its networks see it: the part of a frame inside a region."""
        x0, y0, x1, y1 = region
        size = (y1 - y0, x1 - x0)
        return View(size, picture_of(frame, region, self.padded(size)))

    def padded(self, size: Size) -> Size:
        """The size of padded pictures."""
        rows, columns = (math.ceil(n / self.multiple) * self.multiple for n in size)
        return rows, columns

    def plans(self, size: Size) -> list[EnginePlan]:
        """How its engines for pictures of this size would run. Builds nothing."""
        return self._opened.plans(self.padded(size))

    def engines(self, size: Size) -> dict[str, Engine]:
        """Its engines, by their parts, for pictures of this size; kept for the next call."""
        return self._opened(self.padded(size))

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """What was wanted for its engines and not taken, as far as they are open."""
        return self._opened.fallbacks


class RgbSynthesiser(Synthesiser):
    """One that makes whole pictures, as RGB."""

    @abstractmethod
    def at(self, pair: Any, t: float) -> Between:
        """The picture at t."""

    def write(
        self, pair: Any, views: tuple[View, View], pictures: tuple[Frame, Frame], t: float, share: float, target: Frame
    ) -> None:
        made = self.at(pair, t)
        rgb = made.picture
        rows, columns = views[0].size
        if share < 1:
            one, two = (resized(view.picture[:, :rows, :columns], (rows, columns)) for view in views)
            rest = 1 - share
            rgb = rgb * np.float32(share) + one * np.float32(rest * (1 - t)) + two * np.float32(rest * t)
        count = len(target.planes) - target.format.alpha
        into = target.planes[:count]
        if target.format.kind == "yuv":
            from_rgb(rgb, target, into)
        else:
            for plane, codes in zip(into, from_rgb(rgb, target).planes, strict=True):
                plane[...] = codes
        for i in range(count, len(target.planes)):
            one, two = (frame.planes[i] for frame in pictures)
            by_a = made.by_a * np.float32(share)
            terms = [ops.Term(one, made.to_a, by_a), ops.Term(two, made.to_b, share - by_a)]
            if share < 1:
                still = made.to_a * np.float32(0)
                rest = 1 - share
                terms += [ops.Term(one, still, rest * (1 - t)), ops.Term(two, still, rest * t)]
            ops.compose(terms, max_code=target.format.max_code, out=target.planes[i])


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by the library that holds x."""
    if hasattr(x, "sigmoid"):
        return x.sigmoid()
    return np.float32(1) / (np.float32(1) + np.exp(-x.clip(-80, 80)))
