import builtins

import numpy as np
import pytest

from reelmend.analyze import metrics
from reelmend.analyze.flow import dis_flow, visible
from reelmend.errors import ArrayError, MissingExtraError


def reference_ssim(a, b, peak):
    """Wang et al. 2004 in float64, window by window."""
    x = np.arange(-5, 6)
    g = np.exp(-(x * x) / 4.5)
    window = np.outer(g, g) / g.sum() ** 2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    found = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            p, q = a[i : i + 11, j : j + 11].astype(float), b[i : i + 11, j : j + 11].astype(float)
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            found.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp * mp + mq * mq + c1) * (vp + vq + c2)))
    return np.mean(found)


def pair(dtype, peak, shape=(23, 31, 3), noise=0.06):
    rng = np.random.default_rng(1)
    smooth = np.cumsum(np.cumsum(rng.standard_normal(shape), 0), 1)
    a = (smooth - smooth.min()) / np.ptp(smooth)
    b = np.clip(a + noise * rng.standard_normal(shape), 0, 1)
    return (a * peak).astype(dtype), (b * peak).astype(dtype)


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 1023), (np.uint16, 65535)])
def test_psnr_and_ssim_against_float64(dtype, peak):
    a, b = pair(dtype, peak)
    mse = np.mean((a.astype(float) - b.astype(float)) ** 2)
    assert metrics.psnr(a, b, peak) == pytest.approx(10 * np.log10(peak**2 / mse), abs=1e-4)
    expected = np.mean([reference_ssim(a[..., c], b[..., c], peak) for c in range(3)])
    assert metrics.ssim(a, b, peak) == pytest.approx(expected, abs=2e-5)


def test_ssim_of_nearly_flat_bright_pictures_is_stable():
    a = np.full((40, 40), 250, np.uint8)
    b = a.copy()
    b[::7, ::5] += 1
    assert metrics.ssim(a, b) == pytest.approx(reference_ssim(a, b, 255), abs=2e-5)


def test_by_hand():
    a, b = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 1, np.uint8)
    assert metrics.psnr(a, b) == pytest.approx(20 * np.log10(255))
    assert metrics.psnr(a, a) == metrics.PSNR_CAP
    assert metrics.ssim(a, a) == pytest.approx(1)
    # flat pictures: the means alone decide
    c = 0.0001
    p, q = 100 / 255, 110 / 255
    flat = metrics.ssim(a + 100, a + 110)
    assert flat == pytest.approx((2 * p * q + c) / (p * p + q * q + c), abs=1e-6)
    assert metrics.luma(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))[0] == pytest.approx(
        255 * np.array([0.2126, 0.7152, 0.0722])
    )


def test_histogram_is_of_the_largest_channel():
    rgb = np.array([[[1, 5, 3], [255, 0, 0]], [[5, 5, 5], [0, 0, 0]]], np.uint8)
    h = metrics.value_histogram(rgb)
    assert h[5] == 2
    assert h[255] == 1
    assert h[0] == 1
    assert h.sum() == 4
    deep = metrics.value_histogram(rgb.astype(np.uint16) * 4, 1023)
    assert np.array_equal(deep, np.bincount([5, 5, 255 * 4 * 256 // 1024, 0], minlength=256))


def test_histogram_kl():
    h = np.array([3, 0, 1, 0])
    assert metrics.histogram_kl(h, h) == 0
    p, q = np.array([4, 1, 2, 1]) / 8, np.array([1, 4, 1, 2]) / 8
    assert metrics.histogram_kl(h, np.array([0, 3, 0, 1])) == pytest.approx(np.sum(p * np.log(p / q)))


def test_warp_by_whole_and_half_pixels():
    picture = np.arange(20, dtype=np.uint8).reshape(4, 5)
    flow = np.zeros((4, 5, 2), np.float32)
    assert np.array_equal(metrics.warp(picture, flow), picture)
    flow[..., 0] = 1
    assert np.array_equal(metrics.warp(picture, flow)[:, :4], picture[:, 1:])
    assert np.array_equal(metrics.warp(picture, flow)[:, 4], picture[:, 4])
    flow[..., 0] = 0.5
    flow[..., 1] = -1
    assert metrics.warp(picture, flow)[2, 1] == pytest.approx((picture[1, 1] + picture[1, 2]) / 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_warp_of_tiny_pictures(shape):
    picture = np.ones((*shape, 3), np.uint8)
    assert np.array_equal(metrics.warp(picture, np.full((*shape, 2), 0.3, np.float32)), picture)


def test_both_ewarp_definitions_by_hand():
    frames = [np.full((4, 4, 3), v, np.uint8) for v in (0, 51, 102)]
    still, all_seen = np.zeros((4, 4, 2), np.float32), np.ones((4, 4), np.uint8)
    flows, masks = [still] * 2, [all_seen] * 2
    assert metrics.ewarp_squared(frames, flows, masks) == pytest.approx(0.04)
    # short term .2 and .2, long term .2 and .4
    assert metrics.ewarp_l1(frames, flows, masks, flows, masks) == pytest.approx(0.2 + 0.3)
    frames[1][:2] = 255
    lower = np.zeros((4, 4), np.uint8)
    lower[2:] = 1
    assert metrics.ewarp_squared(frames, flows, [lower] * 2) == pytest.approx(0.04)
    assert metrics.ewarp_squared(frames, flows, [lower * 0] * 2) == 0


def test_shapes_are_checked():
    a = np.zeros((12, 12, 3), np.uint8)
    with pytest.raises(ArrayError, match=r"\(12, 12, 3\) and \(12, 11, 3\)"):
        metrics.psnr(a, a[:, 1:])
    with pytest.raises(ArrayError, match="11x11"):
        metrics.ssim(a[:8], a[:8])
    with pytest.raises(ArrayError, match="peak="):
        metrics.psnr(a / 255, a / 255)
    with pytest.raises(ArrayError, match=r"\(12, 12, 2\)"):
        metrics.warp(a, np.zeros((12, 12), np.float32))
    with pytest.raises(ValueError, match="zip"):
        metrics.ewarp_squared([a, a, a], [], [])


def test_flow_of_a_shift_and_its_mask():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    a = cv2.GaussianBlur(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 2) * 2
    b = np.roll(a, (2, 3), (0, 1))
    forward, backward = dis_flow(a, b), dis_flow(b, a)
    assert np.median(forward, (0, 1)) == pytest.approx((3, 2), abs=0.2)
    mask = visible(forward, backward)
    assert mask.dtype == np.uint8
    assert mask[16:-16, 16:-16].mean() > 0.9
    assert metrics.ewarp_squared([a, b], [forward], [mask]) < metrics.ewarp_squared([a, b], [0 * forward], [mask]) / 20


def test_occlusion_by_hand():
    forward = np.zeros((8, 8, 2), np.float32)
    backward = np.zeros((8, 8, 2), np.float32)
    backward[2, 2] = (3, 0)
    mask = visible(forward, backward)
    assert mask[2, 2] == 0
    assert mask.sum() == 63
    forward[:, 4:] = (2, 0)
    assert not visible(forward, -forward)[:, 3].any()


def test_flow_without_opencv_names_the_extra(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "cv2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"reelmend\[bench\]"):
        dis_flow(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))
