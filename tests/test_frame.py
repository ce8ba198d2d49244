from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from reelmend.errors import FormatError
from reelmend.frame import (
    ChromaLocation,
    Colour,
    Frame,
    Matrix,
    PixelFormat,
    Primaries,
    Range,
    Transfer,
    VideoInfo,
)

DEPTHS = ["", "9", "10", "12", "14", "16"]
NAMES = [
    *["gray" + d for d in DEPTHS],
    *["gbrp" + d for d in DEPTHS],
    *["gbrap" + d for d in DEPTHS],
    *[f"yuv{a}{s}p{d}" for a, s, d in product(["", "a"], ["420", "422", "440", "444"], DEPTHS)],
    "rgb24",
    "rgb48",
    "rgba",
    "rgba64",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_comes_back(name):
    fmt = PixelFormat.parse(name)
    assert fmt.name == name
    assert PixelFormat.parse(fmt.name) == fmt
    assert fmt.dtype == (np.uint8 if fmt.depth == 8 else np.uint16)
    assert fmt.max_code == 2**fmt.depth - 1
    assert fmt.plane_count == len(fmt.plane_shapes(7, 5))


def test_little_endian_names_are_the_same_formats():
    assert PixelFormat.parse("yuv420p10le") == PixelFormat.parse("yuv420p10")
    assert PixelFormat.parse("gray16le") == PixelFormat("gray", 16, (0, 0))


@pytest.mark.parametrize(
    ("name", "kind", "depth", "subsampling", "packed", "alpha"),
    [
        ("yuv420p", "yuv", 8, (1, 1), False, False),
        ("yuv422p10", "yuv", 10, (1, 0), False, False),
        ("yuv440p12", "yuv", 12, (0, 1), False, False),
        ("yuva444p16", "yuv", 16, (0, 0), False, True),
        ("gbrp12", "rgb", 12, (0, 0), False, False),
        ("gbrap", "rgb", 8, (0, 0), False, True),
        ("rgb24", "rgb", 8, (0, 0), True, False),
        ("rgba64", "rgb", 16, (0, 0), True, True),
        ("gray14", "gray", 14, (0, 0), False, False),
    ],
)
def test_parse(name, kind, depth, subsampling, packed, alpha):
    assert PixelFormat.parse(name) == PixelFormat(kind, depth, subsampling, packed, alpha)


@pytest.mark.parametrize("name", ["", "nv12", "yuv411p", "yuv420", "p010le", "rgb565", "YUV420P", "yuv420p10be", "ya8"])
def test_unknown_names_are_refused(name):
    with pytest.raises(FormatError, match=f"'{name}'.*expected"):
        PixelFormat.parse(name)


@pytest.mark.parametrize("name", ["yuv420p0", "yuv420p7", "gray17", "gray32", "gbrp99"])
def test_depths_that_frames_cannot_have_are_refused(name):
    with pytest.raises(FormatError, match="8 to 16"):
        PixelFormat.parse(name)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("yuv420p", [(5, 7), (3, 4), (3, 4)]),
        ("yuv422p", [(5, 7), (5, 4), (5, 4)]),
        ("yuv440p", [(5, 7), (3, 7), (3, 7)]),
        ("yuv444p", [(5, 7)] * 3),
        ("yuva420p", [(5, 7), (3, 4), (3, 4), (5, 7)]),
        ("gray", [(5, 7)]),
        ("gbrap", [(5, 7)] * 4),
    ],
)
def test_plane_shapes_of_odd_sizes_round_up(name, shapes):
    assert list(PixelFormat.parse(name).plane_shapes(7, 5)) == shapes


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv440p"])
def test_one_pixel_has_one_chroma_sample(name):
    assert PixelFormat.parse(name).plane_shapes(1, 1) == ((1, 1),) * 3


def test_frame_bytes():
    assert PixelFormat.parse("yuv420p").frame_bytes(7, 5) == 35 + 12 + 12
    assert PixelFormat.parse("yuv420p10").frame_bytes(7, 5) == 2 * (35 + 12 + 12)
    assert PixelFormat.parse("rgba").frame_bytes(4, 2) == 32
    assert VideoInfo(1920, 1080).frame_bytes == 1920 * 1080 * 3 // 2


def test_video_info_reads_well():
    info = VideoInfo(1920, 1080, PixelFormat.parse("yuv422p10"), rate=Fraction(30000, 1001))
    assert str(info) == "1920x1080 yuv422p10, 29.97 fps"
    assert str(VideoInfo(64, 48)) == "64x48 yuv420p, variable rate"


@pytest.mark.parametrize(
    ("matrix", "weights"),
    [
        (Matrix.BT709, (0.2126, 0.0722)),
        (Matrix.BT470BG, (0.299, 0.114)),
        (Matrix.SMPTE170M, (0.299, 0.114)),
        (Matrix.SMPTE240M, (0.212, 0.087)),
        (Matrix.FCC, (0.30, 0.11)),
        (Matrix.BT2020_NCL, (0.2627, 0.0593)),
    ],
)
def test_luma_weights(matrix, weights):
    for height in (240, 2160):
        assert Colour(matrix=matrix).luma_weights(height) == weights


def test_an_unspecified_matrix_goes_by_height():
    for matrix in (Matrix.UNSPECIFIED, Matrix.RGB):
        assert Colour(matrix=matrix).luma_weights(719) == (0.299, 0.114)
        assert Colour(matrix=matrix).luma_weights(720) == (0.2126, 0.0722)


@pytest.mark.parametrize("matrix", [Matrix.YCGCO, Matrix.ICTCP, Matrix.BT2020_CL, Matrix.SMPTE2085])
def test_other_matrices_are_refused_by_name(matrix):
    with pytest.raises(FormatError, match=f"{matrix.name} is not supported.*BT709"):
        Colour(matrix=matrix).luma_weights(1080)


@pytest.mark.parametrize("kind", [Primaries, Transfer, Matrix])
def test_unknown_codes_read_as_unspecified(kind):
    assert kind(3) is kind.UNSPECIFIED
    assert kind(250) is kind.UNSPECIFIED
    assert kind(1) is kind.BT709


def yuv_frame(**changes):
    planes = (np.zeros((6, 8), np.uint8), np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.uint8))
    return Frame(**{"planes": planes, "format": PixelFormat(), "pts": 3, "time_base": Fraction(1001, 30000), **changes})


def test_time_is_exact():
    assert yuv_frame().time == Fraction(1001, 10000)
    assert yuv_frame(pts=-1, time_base=Fraction(1, 90000)).time == Fraction(-1, 90000)


def test_size_and_place():
    frame = yuv_frame()
    assert (frame.width, frame.height, frame.on_gpu) == (8, 6, False)


def test_replace_shares_planes():
    frame = yuv_frame()
    other = frame.replace(pts=9, cut=True)
    assert other.planes is frame.planes
    assert (other.pts, other.cut, frame.pts, frame.cut) == (9, True, 3, False)


def test_coding_says_what_samples_mean():
    plain = yuv_frame().coding
    assert plain == {"kr": 0.299, "kb": 0.114, "depth": 8, "full_range": False, "siting": "left"}
    colour = Colour(matrix=Matrix.BT2020_NCL, range=Range.FULL, chroma_location=ChromaLocation.TOPLEFT)
    told = yuv_frame(colour=colour, format=PixelFormat("yuv", 10)).coding
    assert told == {"kr": 0.2627, "kb": 0.0593, "depth": 10, "full_range": True, "siting": "topleft"}


@pytest.mark.parametrize("location", [c for c in ChromaLocation if c])
def test_every_chroma_location_is_a_siting_of_the_ops(location):
    from reelmend import ops

    frame = yuv_frame(colour=Colour(chroma_location=location))
    assert ops.yuv_to_rgb(frame.planes, **frame.coding).shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("shape", "dtype", "depth", "name"),
    [
        ((4, 6, 3), np.uint8, None, "rgb24"),
        ((4, 6, 3), np.uint16, None, "rgb48"),
        ((4, 6, 3), np.uint16, 10, "gbrp10"),
        ((4, 6), np.uint8, None, "gray"),
        ((4, 6), np.uint16, 12, "gray12"),
        ((1, 1), np.uint16, None, "gray16"),
    ],
)
def test_from_array(shape, dtype, depth, name):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    frame = Frame.from_array(array, 5, depth=depth)
    assert frame.format.name == name
    assert (frame.pts, frame.time_base, frame.duration, frame.time) == (5, Fraction(1, 25), 1, Fraction(1, 5))
    assert (frame.colour.matrix, frame.colour.range) == (Matrix.RGB, Range.FULL)
    assert all(np.shares_memory(p, array) for p in frame.planes)
    assert np.array_equal(np.stack(frame.planes, -1).reshape(shape), array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 6, 3), np.float32),
        np.zeros((4, 6, 3), np.int8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((3, 4, 6), np.uint8),
        np.zeros(6, np.uint8),
        np.zeros((1, 4, 6, 3), np.uint8),
        [[1, 2], [3, 4]],
        None,
        "film.mp4",
    ],
    ids=["float", "signed", "rgba", "planes first", "flat", "batch", "list", "none", "text"],
)
def test_from_array_refuses(array):
    with pytest.raises(FormatError, match=r"needs a uint8 or uint16 array.*got"):
        Frame.from_array(array)


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 10), (np.uint8, 7), (np.uint16, 8), (np.uint16, 17)])
def test_from_array_refuses_depths(dtype, depth):
    with pytest.raises(FormatError, match=f"depth {depth} does not fit"):
        Frame.from_array(np.zeros((2, 2), dtype), depth=depth)
