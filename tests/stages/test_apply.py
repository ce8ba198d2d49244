"""The brush: curves and gains inside a region, a mask and outside what is protected, in every format."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import OptionError
from reelmend.frame import ChromaLocation, Colour, Frame, Matrix, PixelFormat, Range, Transfer
from reelmend.stages.deflicker.apply import Brush
from reelmend.stages.deflicker.light import light_of

TICK = Fraction(1, 25)
WIDTH, HEIGHT = 46, 34
WHOLE = (0, 0, WIDTH, HEIGHT)
FORMATS = [
    "yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv420p10", "yuv422p12", "yuv444p16", "yuva420p",
    "gray", "gray10", "gray16", "rgb24", "rgb48", "gbrp", "gbrp12", "rgba", "gbrap10",
]  # fmt: skip


def frame_of(name, width=WIDTH, height=HEIGHT, seed=0):
    """Noise in the middle of the range, read-only; alpha is a ramp."""
    fmt = PixelFormat.parse(name)
    rng = np.random.default_rng(seed)
    top = fmt.max_code
    shapes = fmt.plane_shapes(width, height)
    planes = [rng.integers(int(0.3 * top), int(0.6 * top), s).astype(fmt.dtype) for s in shapes]
    if fmt.packed:
        whole = np.stack(planes, axis=-1)
        planes = [whole[:, :, c] for c in range(whole.shape[2])]
    for plane in planes:
        plane.setflags(write=False)
    matrix = Matrix.BT709 if fmt.kind == "yuv" else Matrix.RGB
    span = Range.LIMITED if fmt.kind == "yuv" else Range.FULL
    colour = Colour(matrix=matrix, range=span, chroma_location=ChromaLocation.LEFT)
    return Frame(tuple(planes), fmt, 7, TICK, 1, colour, {"captions": 1})


def lifted(frame, by=0.1):
    """A curve that adds a tenth of the range."""
    return np.full((3, 1024 if frame.format.depth == 8 else 4096), by, np.float32)


def colour_of(frame):
    return frame.planes[: 1 if frame.format.kind == "gray" else 3]


def steps_of(frame, plane):
    """Decimation of a plane, (y, x)."""
    return -(-frame.height // plane.shape[0]), -(-frame.width // plane.shape[1])


def exact(frame, made, kept):
    """Whether each sample all of whose pixels are in `kept` (height, width) is as it was, in every plane."""
    for before, after in zip(frame.planes, made.planes, strict=True):
        sy, sx = steps_of(frame, before)
        rows, columns = before.shape
        padded = np.pad(kept, ((0, rows * sy - frame.height), (0, columns * sx - frame.width)), constant_values=True)
        all_kept = padded.reshape(rows, sy, columns, sx).all(axis=(1, 3))
        if not np.array_equal(before[all_kept], after[all_kept]):
            return False
    return True


def touched(frame, made):
    """Share of luma (or R, G and B) that changed."""
    pairs = zip(colour_of(frame)[: 1 if frame.format.kind == "yuv" else 3], colour_of(made), strict=False)
    return float(np.mean([np.mean(a != b) for a, b in pairs]))


@pytest.mark.parametrize("name", FORMATS)
def test_everything_is_changed_and_nothing_else(name):
    frame = frame_of(name)
    made = Brush(None, (), False).retone(frame, WHOLE, lifted(frame))
    assert touched(frame, made) == 1
    span = frame.format.max_code * (219 / 255 if frame.format.kind == "yuv" else 1)
    change = made.planes[0].astype(float) - frame.planes[0]
    assert change.mean() == pytest.approx(0.1 * span, rel=0.02)
    assert [(p.shape, p.dtype) for p in made.planes] == [(p.shape, p.dtype) for p in frame.planes]
    assert (made.pts, made.time_base, made.colour, made.format) == (frame.pts, TICK, frame.colour, frame.format)
    assert made.side_data is frame.side_data
    if frame.format.alpha:
        assert made.planes[-1] is frame.planes[-1]


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_no_change_is_bit_exact(name, dither):
    frame = frame_of(name)
    made = Brush(None, (), dither).retone(frame, WHOLE)
    assert exact(frame, made, np.ones((HEIGHT, WIDTH), bool))
    nothing = np.zeros((3, 1, 4, 5), np.float32)
    made = Brush(None, (), dither).retone(frame, WHOLE, gains=nothing, light=light_of(Transfer.BT709))
    assert exact(frame, made, np.ones((HEIGHT, WIDTH), bool))


@pytest.mark.parametrize("region", [(0, 6, 46, 28), (10, 0, 30, 34), (4, 2, 46, 34), (0, 0, 16, 16)])
@pytest.mark.parametrize("name", FORMATS)
def test_outside_the_region_all_stays(name, region):
    frame = frame_of(name)
    made = Brush(None, (), True).retone(frame, region, lifted(frame))
    x0, y0, x1, y1 = region
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[y0:y1, x0:x1] = False
    assert exact(frame, made, outside)
    assert touched(frame, made) == pytest.approx((~outside).mean())


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_protected_stays(name):
    frame = frame_of(name)
    regions = ((3, 5, 20, 11), (30, 20, 1000, 1000))
    made = Brush(None, regions, True).retone(frame, WHOLE, lifted(frame))
    kept = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in regions:
        kept[y0:y1, x0:x1] = True
    assert exact(frame, made, kept)
    assert touched(frame, made) == pytest.approx(1 - kept.mean())


@pytest.mark.parametrize("name", FORMATS)
def test_the_mask_says_how_much(name):
    frame = frame_of(name)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, 16:32], mask[:, 32:] = 128, 255
    made = Brush(mask, (), False).retone(frame, WHOLE, lifted(frame))
    assert exact(frame, made, mask == 0)
    change = made.planes[0].astype(float) - frame.planes[0]
    assert change[:, 16:32].mean() == pytest.approx(128 / 255 * change[:, 32:].mean(), rel=0.05)


def test_mask_and_protection_go_together():
    frame = frame_of("gray")
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:10] = 0
    made = Brush(mask, ((0, 20, 5, 30),), True).retone(frame, WHOLE, lifted(frame))
    kept = mask == 0
    kept[20:30, :5] = True
    assert np.array_equal(made.planes[0] == frame.planes[0], kept)
    assert (mask[10:] == 255).all()  # the user's array is not written to


def test_the_mask_keeps_its_place_inside_a_region():
    frame = frame_of("rgb24")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[12:20, 8:30] = 255
    made = Brush(mask, (), False).retone(frame, (4, 6, 40, 30), lifted(frame))
    assert np.array_equal(made.planes[0] != frame.planes[0], mask == 255)


def test_a_mask_of_another_size_is_refused():
    frame = frame_of("gray")
    with pytest.raises(OptionError, match="mask is 10x9, the video 46x34; give one as large"):
        Brush(np.zeros((9, 10), np.uint8), (), True).retone(frame, WHOLE, lifted(frame))


def test_protection_fits_frames_of_any_size():
    brush = Brush(None, ((3, 5, 20, 11),), False)
    for width, height in ((46, 34), (31, 17), (2, 2), (1, 1), (46, 34)):
        frame = frame_of("yuv420p", width, height)
        made = brush.retone(frame, (0, 0, width, height), lifted(frame))
        kept = np.zeros((height, width), bool)
        kept[5:11, 3:20] = True
        assert exact(frame, made, kept)
        assert touched(frame, made) == pytest.approx(1 - kept.mean())


@pytest.mark.parametrize("name", ["gray16", "gbrp16", "rgb48"])
def test_gains_lie_on_a_grid_over_the_region(name):
    """Rows of the grid are rows of the region; gamma-coded samples are multiplied."""
    frame = frame_of(name)
    gains = np.zeros((3, 1, 2, 1), np.float32)
    gains[:, :, 1] = 0.2
    made = Brush(None, (), False).retone(frame, (0, 10, 46, 30), gains=gains, light=light_of(Transfer.BT709))
    share = made.planes[0].astype(float) / frame.planes[0] - 1
    assert np.abs(share[:15]).max() < 1e-3
    assert share[25:30] == pytest.approx(0.2, abs=1e-3)
    assert not share[30:].any()
    # between the centres of the two rows, at 14.5 and 24.5, it is linear
    assert share[15:25].mean(axis=1) == pytest.approx(0.2 * (np.arange(15, 25) - 14.5) / 10, abs=1e-3)


@pytest.mark.parametrize("transfer", [Transfer.PQ, Transfer.HLG])
def test_gains_act_on_light(transfer):
    """A twentieth more light in PQ or HLG is what `response` says, not a twentieth more code."""
    frame = frame_of("gray16")
    light = light_of(transfer)
    gains = np.full((3, 1, 1, 1), 0.05, np.float32)
    made = Brush(None, (), False).retone(frame, WHOLE, gains=gains, light=light)
    codes = frame.planes[0] / 65535
    expected = codes + 0.05 * np.interp(codes, np.linspace(0, 1, 4096), light.response(4096)[0])
    assert np.abs(made.planes[0] / 65535 - expected).max() < 1e-4
    assert np.abs(made.planes[0] / 65535 - 1.05 * codes).min() > 1e-3


def test_dither_keeps_the_mean():
    frame = frame_of("gray", 320, 240)
    change = np.full((3, 1024), 0.3 / 255, np.float32)
    whole = (0, 0, 320, 240)
    for dither, expected in ((True, 0.3), (False, 0.0)):
        made = Brush(None, (), dither).retone(frame, whole, change)
        assert (made.planes[0].astype(float) - frame.planes[0]).mean() == pytest.approx(expected, abs=0.02)


def test_the_source_is_not_written_to():
    frame = frame_of("yuv420p")
    before = [p.copy() for p in frame.planes]
    Brush(None, (), True).retone(frame, (2, 2, 40, 30), lifted(frame))
    assert all(np.array_equal(a, b) for a, b in zip(before, frame.planes, strict=True))
    assert ops.to_host(frame.planes[0]) is frame.planes[0]
