"""One case an op: ours and its peers (NumPy always; OpenCV, FFmpeg's swscale where installed) on the same picture.

Used by `reelmend bench` and by benchmarks/ops.py. A peer does the same job the way its users would write it; where it
does less or rounds otherwise, `note` says so.
"""

from __future__ import annotations

import numpy as np

from .. import ops
from .benchmark import Comparison, Row, alternate, compare
from .motioncases import motion_cases
from .opcase import Array, OpCase, find_opencv
from .scattercases import scatter_cases

__all__ = ["OpCase", "measure_ops", "op_cases"]


def _picture(width: int, height: int, seed: int) -> Array:
    """A smooth random RGB picture with noise: histograms neither flat nor peaked."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    out = np.empty((height, width, 3), np.float32)
    for c in range(3):
        a, b, p = rng.uniform(2, 9, 3)
        out[..., c] = 120 + 70 * np.sin(a * x / width + p) * np.cos(b * y / height)
    out += 6 * rng.standard_normal(out.shape, dtype=np.float32)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _numpy_to_rgb(y: Array, u: Array, v: Array) -> Array:
    """BT.709 limited to RGB in codes, chroma repeated: float32 (height, width, 3)."""
    luma: Array = np.float32(255 / 219) * (y.astype(np.float32) - 16)
    cb, cr = (np.float32(255 / 224) * (np.repeat(np.repeat(c, 2, 0), 2, 1).astype(np.float32) - 128) for c in (u, v))
    rgb: Array = np.stack([luma + 1.5748 * cr, luma - 0.1873 * cb - 0.4681 * cr, luma + 1.8556 * cb], -1)
    return rgb


def _numpy_to_yuv(rgb: Array) -> tuple[Array, Array, Array]:
    r, g, b = (rgb[..., c].astype(np.float32) for c in range(3))
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b

    def chroma(c: Array, divisor: float) -> Array:
        d = (c - luma) / np.float32(divisor)
        small = (d[::2, ::2] + d[1::2, ::2] + d[::2, 1::2] + d[1::2, 1::2]) * np.float32(0.25)
        return np.asarray(np.clip(small * (224 / 255) + 128.5, 0, 255), np.uint8)

    y = np.clip(luma * (219 / 255) + 16.5, 0, 255).astype(np.uint8)
    return y, chroma(b, 1.8556), chroma(r, 1.5748)


def _tables(height: int) -> tuple[Array, Array]:
    """A gamma of 1.1 as (change (3, 1024), 8-bit table (256,))."""
    x = np.linspace(0, 1, 1024, dtype=np.float32)
    change = np.stack([x**1.1 - x] * 3).astype(np.float32)
    table = (255 * np.linspace(0, 1, 256, dtype=np.float32) ** np.float32(1.1)).astype(np.float32)
    return change, table


def op_cases(width: int = 1920, height: int = 1080, seed: int = 0) -> list[OpCase]:
    """All ops on one 8-bit picture of even size, with the peers that are installed."""
    cv2 = find_opencv()
    rgb = _picture(width, height, seed)
    y, u, v = ops.rgb_to_yuv(rgb)
    yuv = [y, u, v]
    packed = np.concatenate([p.ravel() for p in yuv]).reshape(height * 3 // 2, width)
    change, table = _tables(height)
    levels = np.round(table).astype(np.uint8)
    size, planar = rgb.nbytes, packed.nbytes
    cases: list[OpCase] = []

    counts = np.empty((4, 256), np.int32)
    case = OpCase("histogram, RGB and V, RGB picture", size, lambda: ops.histogram(rgb, color="rgb", out=counts))

    def numpy_histogram() -> object:
        value = rgb.max(-1)
        return [np.bincount(p.ravel(), minlength=256) for p in (*np.moveaxis(rgb, 2, 0), value)]

    case.peers["numpy"] = numpy_histogram
    if cv2 is not None:

        def cv2_histogram() -> object:
            parts = cv2.split(rgb)
            value = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
            return [cv2.calcHist([p], [0], None, [256], [0, 256]) for p in (*parts, value)]

        case.peers["opencv"] = cv2_histogram
    cases.append(case)

    case = OpCase("histogram, RGB and V, yuv420p", planar, lambda: ops.histogram(yuv, out=counts))
    if cv2 is not None:

        def cv2_histogram_yuv() -> object:
            parts = cv2.split(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420))
            value = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
            return [cv2.calcHist([p], [0], None, [256], [0, 256]) for p in (*parts, value)]

        case.peers["opencv"] = cv2_histogram_yuv
    cases.append(case)

    target = np.empty_like(y)
    case = OpCase("apply_lut, luma plane", 2 * y.nbytes, lambda: ops.apply_lut(y, table, dither=False, out=target))
    case.peers["numpy"] = lambda: np.take(levels, y, out=target, mode="clip")
    if cv2 is not None:
        case.peers["opencv"] = lambda: cv2.LUT(y, levels, target)
    cases.append(case)
    cases.append(OpCase("apply_lut, luma plane, dithered", 2 * y.nbytes, lambda: ops.apply_lut(y, table, out=target)))

    planes_out = [np.empty_like(p) for p in yuv]
    three = np.stack([levels] * 3, -1)[None]
    case = OpCase(
        "map_tones, yuv420p",
        2 * planar,
        lambda: ops.map_tones(yuv, change, out=planes_out),
        note="peers convert to RGB, look up, convert back: chroma resampled, no dither",
    )

    def numpy_tones() -> object:
        return _numpy_to_yuv(levels[np.clip(_numpy_to_rgb(y, u, v) + 0.5, 0, 255).astype(np.uint8)])

    case.peers["numpy"] = numpy_tones
    if cv2 is not None:
        case.peers["opencv"] = lambda: cv2.cvtColor(
            cv2.LUT(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), three), cv2.COLOR_RGB2YUV_I420
        )
    cases.append(case)
    cases += _field_cases(yuv, packed, change, three, planes_out)

    rgb_out = np.empty_like(rgb)
    case = OpCase(
        "yuv_to_rgb, yuv420p",
        planar + size,
        lambda: ops.yuv_to_rgb(yuv, out=rgb_out),
        note="ours interpolates chroma; NumPy and OpenCV (BT.601) repeat it",
    )
    case.peers["numpy"] = lambda: np.clip(_numpy_to_rgb(y, u, v) + 0.5, 0, 255).astype(np.uint8)
    back = OpCase(
        "rgb_to_yuv, yuv420p",
        planar + size,
        lambda: ops.rgb_to_yuv(rgb, out=planes_out),
        note="ours filters chroma for its siting; OpenCV (BT.601) takes one sample of four",
    )
    back.peers["numpy"] = lambda: _numpy_to_yuv(rgb)
    if cv2 is not None:
        case.peers["opencv"] = lambda: cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420, rgb_out)
        back.peers["opencv"] = lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    _swscale(case, back, rgb, packed)
    cases += [case, back]

    means = np.empty((8, 12), np.float32)
    case = OpCase("area_mean, luma to 8x12", y.nbytes, lambda: ops.area_mean(y, out=means))
    rows, columns = np.arange(8) * height // 8, np.arange(12) * width // 12
    case.peers["numpy"] = lambda: np.add.reduceat(np.add.reduceat(y, rows, 0, np.float32), columns, 1)
    if cv2 is not None:
        case.peers["opencv"] = lambda: cv2.resize(y, (12, 8), interpolation=cv2.INTER_AREA)
    cases.append(case)

    hist = ops.histogram(rgb, color="rgb", bins=1024)
    tables = np.empty((4, 256), np.float32)
    case = OpCase("quantiles, 4 x 1024 bins", hist.nbytes + tables.nbytes, lambda: ops.quantiles(hist, out=tables))

    def numpy_quantiles() -> object:
        ranks = (np.arange(256) + 0.5) / 256
        out = []
        for row in hist:
            used = np.flatnonzero(row)
            middle = (np.cumsum(row) - row / 2)[used] / row.sum()
            out.append(np.interp(ranks, middle, used / 1023))
        return out

    case.peers["numpy"] = numpy_quantiles
    cases.append(case)

    window = np.ascontiguousarray(np.broadcast_to(ops.quantiles(hist), (61, 4, 256)))
    weights = np.full(61, 1 / 61, np.float32)
    mean = np.empty((4, 256), np.float32)
    case = OpCase("smooth_quantiles, 61 frames", window.nbytes, lambda: ops.smooth_quantiles(window, weights, out=mean))
    case.peers["numpy"] = lambda: np.tensordot(weights, window, 1)
    cases.append(case)
    return cases + motion_cases(y) + scatter_cases(y)


def _field_cases(yuv: list[Array], packed: Array, change: Array, three: Array, out: list[Array]) -> list[OpCase]:
    """Tones with fields of gains and with a mask, and the exposure map, on one yuv420p picture.

    change, three  a curve for map_tones, and the same as OpenCV's table
    """
    cv2 = find_opencv()
    y, u, v = yuv
    rng = np.random.default_rng(1)
    mask = rng.integers(0, 256, y.shape).astype(np.uint8)
    cases: list[OpCase] = []
    for name, shape in (("64 rows", (1, 64, 1)), ("16x32", (1, 16, 32)), ("16x32 in 8 bins", (8, 16, 32))):
        gains = rng.uniform(-0.1, 0.1, (3, *shape)).astype(np.float32)

        def ours(gains: Array = gains) -> object:
            return ops.map_tones(yuv, change, gains=gains, out=out)

        cases.append(OpCase(f"map_tones, yuv420p, gains {name}", 2 * packed.nbytes, ours))
        if cv2 is None or shape[0] > 1:
            continue
        factors = np.ascontiguousarray(np.moveaxis(1 + gains[:, 0], 0, 2))

        def opencv(factors: Array = factors) -> object:
            toned = cv2.LUT(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), three)
            field = cv2.resize(factors, (y.shape[1], y.shape[0]), interpolation=cv2.INTER_LINEAR)
            return cv2.cvtColor(cv2.multiply(toned, field, dtype=cv2.CV_8U), cv2.COLOR_RGB2YUV_I420)

        cases[-1].peers["opencv"] = opencv
    cases.append(
        OpCase(
            "map_tones, yuv420p, mask",
            2 * packed.nbytes + mask.nbytes,
            lambda: ops.map_tones(yuv, change, mask=mask, out=out),
        )
    )

    exposed = np.empty_like(mask)
    case = OpCase("exposure_map, yuv420p", packed.nbytes + mask.nbytes, lambda: ops.exposure_map(yuv, out=exposed))

    def numpy_exposure() -> object:
        value = _numpy_to_rgb(y, u, v).max(-1)
        return ((value < 0.05 * 255) | (value > 0.80 * 255)).astype(np.uint8)

    case.peers["numpy"] = numpy_exposure
    if cv2 is not None:

        def cv2_exposure() -> object:
            parts = cv2.split(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420))
            value = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
            return cv2.bitwise_not(cv2.inRange(value, 13, 204))

        case.peers["opencv"] = cv2_exposure
    cases.append(case)
    return cases


def _swscale(to_rgb: OpCase, to_yuv: OpCase, rgb: Array, packed: Array) -> None:
    """Adds FFmpeg's converter as a peer (default bilinear chroma; the frame is already in its memory)."""
    try:
        import av
        from av.video.reformatter import VideoReformatter
    except ImportError:
        return
    source, back = av.VideoFrame.from_ndarray(packed, format="yuv420p"), av.VideoFrame.from_ndarray(rgb, format="rgb24")
    one, other = VideoReformatter(), VideoReformatter()
    to_rgb.peers["swscale"] = lambda: one.reformat(source, format="rgb24")
    to_yuv.peers["swscale"] = lambda: other.reformat(back, format="yuv420p")


def measure_ops(
    width: int = 1920, height: int = 1080, *, rounds: int = 7, seed: int = 0
) -> tuple[list[Row], list[Comparison]]:
    """Time all cases, ours and peers in turn: rows of (ms, and for ours gb_per_s), and our ratios to each peer."""
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    for case in op_cases(width, height, seed):
        taken = alternate({"reelmend": case.ours, **case.peers}, rounds)
        for method, seconds in taken.items():
            middle = float(np.median(seconds))
            values: dict[str, float | None] = {"ms": 1e3 * middle}
            if method == "reelmend":
                values["gb_per_s"] = case.bytes / middle / 1e9
            rows.append(Row(case.name, method, values))
        comparisons += [compare(case.name, "reelmend", peer, taken) for peer in case.peers]
    return rows, comparisons
