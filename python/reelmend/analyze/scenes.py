"""The project's own little film, drawn by NumPy: something real enough to flicker, with no file to ship.

Two shots with a cut between them: a windmill over hills, with a slow camera pan (parallax), and a sailing boat at
dusk. Textured, in motion, with film grain; the same arguments always give the same pictures, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from ..errors import OptionError

__all__ = ["Film", "soundtrack"]

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Rgb = tuple[float, float, float]


def _noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4) -> Plane:
    """Smooth value noise in about -1..1: `octaves` grids, the coarsest `cell` pixels wide, each half the one before."""
    total = np.zeros((height, width), np.float32)
    weight = 0.5
    for _ in range(octaves):
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        y, x = np.arange(height) / cell, np.arange(width) / cell
        y0, x0 = y.astype(int), x.astype(int)
        fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
        fy, fx = (fy * fy * (3 - 2 * fy))[:, None], (fx * fx * (3 - 2 * fx))[None, :]
        left = grid[y0][:, x0] * (1 - fy) + grid[y0 + 1][:, x0] * fy
        right = grid[y0][:, x0 + 1] * (1 - fy) + grid[y0 + 1][:, x0 + 1] * fy
        total += np.float32(weight) * (left * (1 - fx) + right * fx)
        weight, cell = weight / 2, max(cell / 2, 1.0)
    return total


def _mix(a: Rgb, b: Rgb, share: Plane) -> Plane:
    """Colours between a and b, (*share.shape, 3)."""
    low, high = np.array(a, np.float32), np.array(b, np.float32)
    mixed: Plane = low + (high - low) * share[..., None]
    return mixed


def _paint(canvas: Plane, cover: Plane, colour: Plane | Rgb, top: int = 0, left: int = 0) -> None:
    """Lay a colour over part of the canvas with coverage 0..1 (height, width); what lies outside is cut off."""
    h, w = cover.shape
    y0, y1 = max(top, 0), min(top + h, canvas.shape[0])
    x0, x1 = max(left, 0), min(left + w, canvas.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    area = canvas[y0:y1, x0:x1]
    paint = np.asarray(colour, np.float32)
    if paint.ndim == 3:
        paint = paint[y0 - top : y1 - top, x0 - left : x1 - left]
    area += (paint - area) * cover[y0 - top : y1 - top, x0 - left : x1 - left, None]


def _polygon(points: list[tuple[float, float]], height: int, width: int) -> Plane:
    """Coverage of a convex polygon given as (x, y) in clockwise order on screen, edges one pixel soft."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    inside = np.full((height, width), np.inf, np.float32)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        length = math.hypot(bx - ax, by - ay) or 1.0
        inside = np.minimum(inside, ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / np.float32(length))
    cover: Plane = np.clip(inside + np.float32(0.5), 0, 1)
    return cover


def _turned(points: list[tuple[float, float]], angle: float, x: float, y: float) -> list[tuple[float, float]]:
    c, s = math.cos(angle), math.sin(angle)
    return [(x + c * px - s * py, y + s * px + c * py) for px, py in points]


class _Hills:
    """Shot 1: sky, sun, drifting clouds, four ranges of hills in parallax, a windmill."""

    _PAN = 110.0  # pixels the nearest range moves at most, at 360 lines
    _SPEED = (0.15, 0.35, 0.65, 1.0)

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.w, self.h, self.s = width, height, height / 360
        share = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** np.float32(0.8)
        sky = _mix((86, 142, 202), (247, 228, 196), np.broadcast_to(share, (height, width)))
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        far = np.hypot(x - 0.76 * width, y - 0.24 * height) / np.float32(self.s)
        sky += np.exp(-far / 70)[..., None] * np.array((120, 96, 40), np.float32)
        _paint(sky, np.clip(19 * self.s - far * np.float32(self.s), 0, 1), (255, 247, 222))
        self.sky = np.minimum(sky, 252)
        cloud = _noise(rng, int(0.55 * height), 2 * width, 90 * self.s, 5)
        fall = np.sin(np.linspace(0.25, math.pi, cloud.shape[0], dtype=np.float32))[:, None]
        self.cloud = np.clip((cloud - 0.02) * 3.2, 0, 0.9) * fall
        self.ranges = [self._range(rng, k) for k in range(4)]

    def _range(self, rng: np.random.Generator, k: int) -> tuple[int, Plane, Plane, npt.NDArray[np.float64]]:
        """(first row, colour, coverage, height of the ridge) of range k as a strip wider than the picture."""
        s = self.s
        width = self.w + math.ceil(self._PAN * s * self._SPEED[k]) + 2
        x = np.arange(width) / s
        base = (0.50, 0.60, 0.71, 0.86)[k] * self.h
        ridge = np.full(width, base)
        for n in range(1, 5):
            swing = (30, 24, 18, 9)[k] / n * s
            ridge += swing * np.sin(x * 2 * math.pi * n / (430 - 60 * k) + rng.uniform(0, 2 * math.pi))
        ridge += _noise(rng, 1, width, 26 * s, 4)[0] * (8, 7, 6, 12)[k] * s
        top = max(0, int(ridge.min()) - 2)
        rows = np.arange(top, self.h, dtype=np.float32)[:, None]
        cover = np.clip(rows - ridge[None, :].astype(np.float32) + 0.5, 0, 1).astype(np.float32)
        near: Rgb = ((142, 160, 186), (112, 146, 138), (104, 138, 84), (58, 88, 44))[k]
        low: Rgb = ((176, 184, 190), (146, 170, 140), (148, 164, 92), (36, 60, 32))[k]
        depth = np.clip((rows - ridge[None, :].astype(np.float32)) / (0.32 * self.h), 0, 1)
        colour = _mix(near, low, depth)
        grain = _noise(rng, len(rows), width, (60, 40, 26, 10)[k] * s, 5)
        fields = np.sin(depth * (40, 46, 52, 60)[k] + 3 * grain) * (0.02, 0.04, 0.06, 0.02)[k]
        colour *= (1 + (0.06, 0.11, 0.15, 0.34)[k] * grain + fields)[..., None]
        return top, colour, cover, ridge

    def draw(self, t: float) -> Plane:
        """The shot at t seconds, (height, width, 3) float32 codes."""
        canvas = self.sky.copy()
        self._slide(canvas, 0, (253, 250, 246), self.cloud, (9 * self.s * t) % (self.w - 2))
        pan = 0.5 - 0.5 * math.cos(2 * math.pi * t / 16)
        for k, (top, colour, cover, ridge) in enumerate(self.ranges):
            at = pan * self._PAN * self.s * self._SPEED[k]
            self._slide(canvas, top, colour, cover, at)
            if k == 2:
                foot = int(0.31 * self.w + 0.3 * self._PAN * self.s)
                self._windmill(canvas, foot - at, float(ridge[foot]) + 3 * self.s, t)
        return canvas

    def _slide(self, canvas: Plane, top: int, colour: Plane | Rgb, cover: Plane, at: float) -> None:
        whole = int(at)
        part = np.float32(at - whole)
        here = slice(whole, whole + self.w)
        there = slice(whole + 1, whole + self.w + 1)
        shade = np.asarray(colour, np.float32)
        if shade.ndim == 3:
            shade = shade[:, here] * (1 - part) + shade[:, there] * part
        _paint(canvas, cover[:, here] * (1 - part) + cover[:, there] * part, shade, top)

    def _windmill(self, canvas: Plane, x: float, y: float, t: float) -> None:
        s, size = self.s, int(150 * self.s)
        left, top = int(x) - size // 2, int(y) - size
        cx, foot = x - left, y - top
        body = [(cx + x * s, foot - y * s) for x, y in ((-11, 62), (11, 62), (17, 0), (-17, 0))]
        side = np.linspace(1.06, 0.74, size, dtype=np.float32)[None, :, None]
        wall = np.array((226, 212, 190), np.float32) * np.broadcast_to(side, (size, size, 1))
        _paint(canvas, _polygon(body, size, size), wall, top, left)
        door = [(cx + x * s, foot - y * s) for x, y in ((-4, 15), (4, 15), (4, 0), (-4, 0))]
        _paint(canvas, _polygon(door, size, size), (92, 62, 44), top, left)
        cap = [(cx + x * s, foot - y * s) for x, y in ((-12, 61), (-5, 75), (5, 75), (12, 61))]
        _paint(canvas, _polygon(cap, size, size), (142, 66, 48), top, left)
        hub = foot - 66 * s
        for blade in range(4):
            angle = 1.25 * t + blade * math.pi / 2 + 0.4
            arm = _turned([(0, -1.1 * s), (56 * s, -1.1 * s), (56 * s, 1.1 * s), (0, 1.1 * s)], angle, cx, hub)
            sail = _turned([(12 * s, 1 * s), (55 * s, 1 * s), (55 * s, 10 * s), (12 * s, 7 * s)], angle, cx, hub)
            _paint(canvas, _polygon(sail, size, size) * np.float32(0.9), (238, 230, 214), top, left)
            _paint(canvas, _polygon(arm, size, size), (82, 58, 44), top, left)


class _Sea:
    """Shot 2: dusk over the sea, a headland with a lighthouse, a boat that rocks, the sun's path on the water."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.w, self.h, self.s = width, height, height / 360
        s = self.s
        self.horizon = int(0.52 * height)
        share = np.linspace(0, 1, self.horizon, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
        sky = _mix((48, 52, 104), (226, 138, 98), share**1.3)
        cloud = _noise(rng, self.horizon, width, 120 * s, 5)
        stripes = _noise(rng, self.horizon, width, 30 * s, 3) * 0.3
        lit = np.clip((cloud + stripes) * 1.6, -0.5, 0.8) * (0.3 + 0.7 * share)
        sky += lit[..., None] * np.array((44, 22, 18), np.float32)
        y, x = np.mgrid[0 : self.horizon, 0:width].astype(np.float32)
        far = np.hypot(x - 0.36 * width, y - 0.44 * height) / np.float32(s)
        sky += np.exp(-far / 60)[..., None] * np.array((90, 70, 24), np.float32)
        _paint(sky, np.clip(24 * s - far * np.float32(s), 0, 1), (255, 226, 160))
        ridge = self.horizon - (16 + 26 * np.clip((np.arange(width) / width - 0.70) * 4, 0, 1)) * s
        ridge = ridge + _noise(rng, 1, width, 30 * s, 4)[0] * 9 * s
        ridge = np.where(np.arange(width) > 0.66 * width, ridge, self.horizon + 2.0)
        land = np.clip(y - ridge[None, :].astype(np.float32) + 0.5, 0, 1)
        rock = _mix((46, 38, 60), (74, 54, 66), np.clip(0.5 + _noise(rng, self.horizon, width, 14 * s, 4), 0, 1))
        _paint(sky, land.astype(np.float32), rock)
        at = 0.86 * width
        tower = [(at + x * s, y * height) for x, y in ((-4, 0.33), (4, 0.33), (6, 0.45), (-6, 0.45))]
        _paint(sky, _polygon(tower, self.horizon, width), (210, 196, 190))
        lamp = [(at + x * s, y * height) for x, y in ((-3, 0.305), (3, 0.305), (3, 0.335), (-3, 0.335))]
        _paint(sky, _polygon(lamp, self.horizon, width), (122, 46, 44))
        self.sky = np.clip(sky, 0, 252)
        rows = np.arange(height - self.horizon, dtype=np.float32)[:, None] / np.float32(s)
        # rows lie on a plane seen from above: the distance of row r below the horizon falls as 1 / r
        self.depth = 2600 / (rows + 9)
        self.x = ((np.arange(width, dtype=np.float32)[None, :] / np.float32(s)) - 320) * self.depth / 190
        # waves near the horizon are finer than pixels: they fade there instead of aliasing
        self.calm = 1 / (1 + (self.depth / 60) ** 2)
        self.path = np.exp(-(((np.arange(width)[None, :] - 0.36 * width) / ((26 + 0.5 * rows) * s)) ** 2))
        dark = np.clip(rows / 150, 0, 1) ** np.float32(0.55)
        self.water = _mix((214, 126, 96), (22, 34, 66), np.broadcast_to(dark, (len(rows), width)))
        self.ripple = _noise(rng, height - self.horizon, width, 9 * s, 3)

    def draw(self, t: float) -> Plane:
        """The shot at t seconds, (height, width, 3) float32 codes."""
        wave = np.zeros_like(self.ripple)
        for fx, fd, speed, share in ((0.31, 0.9, 1.3, 0.5), (-0.46, 1.7, 1.9, 0.35), (0.93, 3.1, 2.9, 0.3)):
            wave += np.float32(share) * np.sin(fx * self.x + fd * self.depth + np.float32(speed * t))
        wave *= self.calm
        wave += 0.6 * self.ripple
        water = self.water * (1 + 0.16 * wave)[..., None]
        glint = np.clip(wave * 1.5 - 0.05, 0, 1) * self.path
        water += glint.astype(np.float32)[..., None] * np.array((200, 142, 70), np.float32)
        canvas = np.concatenate([self.sky, water])
        self._boat(canvas, t)
        return canvas

    def _boat(self, canvas: Plane, t: float) -> None:
        s, size = self.s, int(170 * self.s)
        x = (0.50 + 0.012 * t) * self.w % (1.2 * self.w)
        y = 0.70 * self.h + 2.2 * s * math.sin(1.3 * t + 0.5)
        left, top = int(x) - size // 2, int(y) - int(0.8 * size)
        cx, cy, roll = x - left, y - top, 0.07 * math.sin(1.1 * t)

        def part(points: list[tuple[float, float]], colour: Rgb, alpha: float = 1.0) -> None:
            shape = _turned([(px * s, py * s) for px, py in points], roll, cx, cy)
            _paint(canvas, _polygon(shape, size, size) * np.float32(alpha), colour, top, left)

        part([(-34, 12), (30, 12), (20, 30), (-24, 30)], (20, 22, 40), 0.5)
        part([(-1.2, -104), (1.2, -104), (1.2, 0), (-1.2, 0)], (70, 50, 44))
        part([(3, -100), (44, -8), (3, -8)], (246, 232, 214))
        part([(3, -60), (25, -8), (3, -8)], (222, 200, 184), 0.5)
        part([(-3, -92), (-3, -8), (-34, -8)], (206, 86, 66))
        part([(-42, -4), (46, -4), (32, 14), (-30, 14)], (58, 34, 36))
        part([(-42, -4), (46, -4), (44, 0), (-40, 0)], (232, 214, 190))


class Film:
    """The demo film as a function of the frame index.

    frames  its length; the cut lies at `cut` = frames // 2 (the boat from there on)
    width, height, fps  of the pictures; 640 x 360 at 24 unless said
    seed    of the textures and the grain
    grain   standard deviation of the film grain in 8-bit levels

    `film[t]` is frame t, uint8 RGB (height, width, 3); iterating gives all of them. About 15 ms a frame.
    """

    def __init__(
        self, frames: int, *, width: int = 640, height: int = 360, fps: float = 24.0, seed: int = 0, grain: float = 1.6
    ) -> None:
        if frames < 1 or width < 32 or height < 32 or not fps > 0:
            raise OptionError(
                f"the film needs at least 1 frame of 32x32 and fps > 0; got {frames} of {width}x{height}, {fps} fps"
            )
        self.frames, self.width, self.height, self.fps = frames, width, height, fps
        self.cut = frames // 2
        self._seed, self._grain = seed, grain
        rng = np.random.default_rng([seed, 1])
        # both are made at once: the second shot's textures must not depend on whether the first was looked at
        self._shots: tuple[Callable[[float], Plane], ...] = (
            _Hills(width, height, rng).draw,
            _Sea(width, height, rng).draw,
        )
        self._noise = (grain * rng.standard_normal((height + 64, width + 64, 1))).astype(np.float32)

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, t: int) -> Picture:
        if not 0 <= t < self.frames:
            raise IndexError(f"frame {t} of a film of {self.frames}")
        second = t >= self.cut
        picture = self._shots[second]((t - self.cut if second else t) / self.fps)
        picture *= np.float32(0.88)  # headroom, as a film scan has: flicker should not clip every highlight
        y, x = np.random.default_rng([self._seed, 2, t]).integers(0, 64, 2)
        picture += self._noise[y : y + self.height, x : x + self.width]
        return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)

    def __iter__(self) -> Iterator[Picture]:
        return (self[t] for t in range(self.frames))


def soundtrack(seconds: float, rate: int = 48000) -> npt.NDArray[np.float32]:
    """A calm run of plucked notes over a soft chord: stereo float32 (2, samples) within -1..1, faded at both ends."""
    n = round(seconds * rate)
    time = np.arange(n) / rate
    out = np.zeros((2, n))
    for chord, pitch in enumerate((130.81, 164.81, 196.00)):
        pad = np.sin(2 * np.pi * pitch * time) + 0.4 * np.sin(2 * np.pi * 2.003 * pitch * time)
        out += 0.06 * pad * (0.8 + 0.2 * np.sin(2 * np.pi * (0.11 + 0.03 * chord) * time))
    scale = (261.63, 329.63, 392.00, 523.25, 440.00, 392.00, 329.63, 293.66)
    step = 0.375
    for k in range(math.ceil(seconds / step)):
        start = int(k * step * rate)
        t = time[: min(n - start, 2 * rate)]
        pitch = scale[(k * 3 + k // 8) % 8] * (2 if k % 5 == 0 else 1)
        note = np.exp(-3.2 * t) * (1 - np.exp(-400 * t))
        note *= np.sin(2 * np.pi * pitch * t) + 0.35 * np.exp(-3 * t) * np.sin(4 * np.pi * pitch * t)
        pan = 0.5 + 0.25 * math.sin(k)
        out[:, start : start + len(t)] += 0.22 * np.array([[1 - pan], [pan]]) * note
    edge = np.clip(np.minimum(time, time[::-1]) / 0.25, 0, 1) if n else time
    return (np.clip(out * edge, -1, 1)).astype(np.float32)
