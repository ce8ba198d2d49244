from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reelmend import ops, to_rgb
from reelmend.frame import ChromaLocation, Colour, Frame, Matrix, PixelFormat, Range

LIMITED = Colour(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)


def yuv_frame(name, height=17, width=33, colour=LIMITED):
    fmt = PixelFormat.parse(name)
    rng = np.random.default_rng(0)
    planes = tuple(rng.integers(0, fmt.max_code + 1, s).astype(fmt.dtype) for s in fmt.plane_shapes(width, height))
    return Frame(planes, fmt, 0, Fraction(1, 25), colour=colour)


def picture(dtype=np.uint8, top=None, seed=0):
    top = top or np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top + 1, (6, 8, 3)).astype(dtype)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "yuv440p12", "yuv444p16", "yuva420p"])
def test_yuv_is_what_the_op_gives(name):
    frame = yuv_frame(name)
    kr, kb = 0.2126, 0.0722
    depth = frame.format.depth
    expected = ops.yuv_to_rgb(frame.planes[:3], kr=kr, kb=kb, depth=depth, full_range=False, siting="left")
    got = to_rgb(frame)
    assert got.dtype == frame.format.dtype
    assert np.array_equal(got, expected)
    eight = to_rgb(frame, np.uint8)
    assert eight.dtype == np.uint8
    share = to_rgb(frame, np.float32)
    assert share.dtype == np.float32
    assert np.abs(np.clip(share, 0, 1) * 255 - eight).max() <= 0.501


def test_range_and_matrix_are_heeded():
    one = to_rgb(yuv_frame("yuv444p"))
    full = to_rgb(yuv_frame("yuv444p", colour=Colour(matrix=Matrix.BT709, range=Range.FULL)))
    other = to_rgb(yuv_frame("yuv444p", colour=Colour(matrix=Matrix.SMPTE170M, range=Range.LIMITED)))
    assert not np.array_equal(one, full)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_packed_array_comes_back(dtype):
    array = picture(dtype)
    got = to_rgb(Frame.from_array(array))
    assert got.dtype == dtype
    assert np.array_equal(got, array)


@pytest.mark.parametrize(
    "view",
    [lambda a: a[2:5, 1:7], lambda a: a[:, :, ::-1], lambda a: a[::-1], lambda a: a[:, ::2]],
    ids=["crop", "BGR as RGB", "upside down", "every second column"],
)
def test_a_view_comes_back_as_it_is_seen(view):
    array = picture()
    assert np.array_equal(to_rgb(Frame.from_array(view(array))), view(array))


def test_a_frame_with_other_planes_than_it_came_with():
    frame = Frame.from_array(picture())
    planes = tuple(p // 2 for p in frame.planes)
    assert np.array_equal(to_rgb(frame.replace(planes=planes)), np.stack(planes, -1))


def test_planar_rgb_and_gray():
    array = picture(np.uint16, 1023)
    assert np.array_equal(to_rgb(Frame.from_array(array, depth=10)), array)
    gray = array[:, :, 0]
    assert np.array_equal(to_rgb(Frame.from_array(gray, depth=10)), np.stack([gray] * 3, -1))


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 10), (np.uint16, 16)])
def test_rgb_to_other_dtypes(dtype, depth):
    top = 2**depth - 1
    array = picture(dtype, top)
    frame = Frame.from_array(array, depth=depth)
    share = to_rgb(frame, np.float32)
    assert share.dtype == np.float32
    assert np.abs(share - array / top).max() < 1e-6
    eight = to_rgb(frame, "uint8")
    assert eight.dtype == np.uint8
    assert np.abs(eight - array / top * 255).max() <= 0.5 + 1e-4


def test_uint16_of_eight_bits_means_the_same_for_yuv_and_rgb():
    yuv = yuv_frame("yuv444p")
    rgb = Frame.from_array(to_rgb(yuv))
    # the RGB picture was rounded to 8 bits first
    assert np.abs(to_rgb(yuv, np.uint16).astype(int) - to_rgb(rgb, np.uint16)).max() <= 257 // 2 + 1
    assert to_rgb(rgb, np.uint16).max() == 65535


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="uint8, uint16 or float32"):
        to_rgb(Frame.from_array(picture()), np.int32)


def test_alpha_is_left_out():
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 4)).astype(np.uint8)
    planes = tuple(array[:, :, c] for c in range(4))
    frame = Frame(planes, PixelFormat.parse("rgba"), 0, Fraction(1, 25))
    assert np.array_equal(to_rgb(frame), array[:, :, :3])
