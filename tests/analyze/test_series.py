import numpy as np
import pytest

from reelmend.analyze.metrics import luma, psnr, ssim
from reelmend.analyze.series import ClipMeter, Detrender, FlickerMeter, detrend


def reference_detrend(x):
    out = np.empty(len(x))
    for t in range(len(x)):
        out[t] = x[t] - np.median(x[max(0, t - 5) : t + 6])
    return out


def test_detrend_against_a_loop():
    x = np.cumsum(np.random.default_rng(0).standard_normal(50))
    assert detrend(x) == pytest.approx(reference_detrend(x))


def test_a_slow_ramp_and_a_single_cut_are_no_flicker_inside():
    ramp = np.arange(60.0)
    assert np.abs(detrend(ramp)[5:-5]).max() == 0
    step = np.repeat([50.0, 120.0], 30)
    assert np.abs(detrend(step)).max() == 0


@pytest.mark.parametrize("frames", [1, 2, 5, 6, 10, 11, 12, 40])
def test_streaming_gives_the_same(frames):
    x = np.random.default_rng(frames).standard_normal((frames, 7))
    stream = Detrender()
    for row in x:
        stream.push(row)
        stream.result()  # reading in between must not disturb
    std, most = stream.result()
    residue = np.stack([reference_detrend(column) for column in x.T], 1)
    assert std == pytest.approx(residue.std(0))
    assert most == pytest.approx(np.abs(residue).max(0))


def clip(frames=30, height=64, width=96):
    rng = np.random.default_rng(3)
    base = rng.integers(60, 180, (height, width, 3))
    return base, [np.clip(base + 10 * (-1) ** t, 0, 255).astype(np.uint8) for t in range(frames)]


def test_global_flicker_is_seen_everywhere_alike():
    _, frames = clip()
    meter = FlickerMeter()
    for frame in frames:
        meter.push(frame)
    f = meter.figures()
    assert f.frames == 30
    series = np.array([10.0 * (-1) ** t for t in range(30)])
    expected = reference_detrend(series).std()
    for figure in (f.luma, *f.channels, f.strips, f.tiles):
        assert figure == pytest.approx(expected, rel=1e-3)
    assert f.luma_max == pytest.approx(np.abs(reference_detrend(series)).max(), rel=1e-3)
    assert meter.luma[0] == pytest.approx(float(luma(frames[0]).mean()), abs=1e-3)


def test_bands_and_tiles_are_told_from_global_flicker():
    bands, spot = FlickerMeter(), FlickerMeter()
    for t in range(30):
        sign = 1 if t % 2 else -1
        a = np.full((64, 96, 3), 100, np.uint8)
        a[:32] += np.uint8(10 + 5 * sign)
        a[32:] += np.uint8(10 - 5 * sign)
        bands.push(a)
        b = np.full((64, 96, 3), 100, np.uint8)
        b[:8, :8] += np.uint8(10 + 5 * sign)
        spot.push(b)
    assert bands.figures().luma == pytest.approx(0, abs=1e-3)
    assert bands.figures().strips > 3
    assert spot.figures().luma < 0.1
    assert spot.figures().tiles_max > 5


def test_depth_does_not_matter():
    _, frames = clip(12)
    low, high = FlickerMeter(), FlickerMeter(1020)
    for frame in frames:
        low.push(frame)
        high.push(frame.astype(np.uint16) * 4)
    assert high.figures().tiles == pytest.approx(low.figures().tiles, rel=1e-4)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (16, 12), (17, 13)])
def test_pictures_smaller_than_the_grid(shape):
    meter = FlickerMeter()
    for t in range(13):
        meter.push(np.full((*shape, 3), 50 + t % 2, np.uint8))
    f = meter.figures()
    assert f.tiles == pytest.approx(f.luma, rel=1e-3)
    assert f.strips == pytest.approx(f.luma, rel=1e-3)


def test_clip_meter_gathers_means_and_minima():
    rng = np.random.default_rng(0)
    truth = [rng.integers(0, 256, (32, 40, 3), dtype=np.uint8) for _ in range(4)]
    out = [np.clip(x.astype(int) + n, 0, 255).astype(np.uint8) for x, n in zip(truth, (1, 9, 2, 0), strict=True)]
    meter = ClipMeter()
    for a, b in zip(out, truth, strict=True):
        meter.push(a, b)
    f = meter.figures()
    each = [psnr(a, b) for a, b in zip(out, truth, strict=True)]
    similar = [ssim(a, b) for a, b in zip(out, truth, strict=True)]
    assert (f.psnr, f.psnr_min) == (pytest.approx(np.mean(each)), pytest.approx(min(each)))
    assert (f.ssim, f.ssim_min) == (pytest.approx(np.mean(similar)), pytest.approx(min(similar)))
    assert f.kl_max > f.kl > 0
    assert f.as_dict()["flicker"]["frames"] == 4


def test_clip_meter_without_ssim_and_without_frames():
    meter = ClipMeter(with_ssim=False)
    with pytest.raises(ValueError, match="no frames"):
        meter.figures()
    meter.push(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))
    assert meter.figures().ssim is None
    assert meter.figures().psnr == 100


def test_clip_meter_takes_ssim_of_some_frames():
    rng = np.random.default_rng(0)
    truth = [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(5)]
    meter = ClipMeter(ssim_every=2)
    for t, b in enumerate(truth):
        meter.push(b // (t + 1), b)
    each = [ssim(truth[t] // (t + 1), truth[t]) for t in (0, 2, 4)]
    assert (meter.figures().ssim, meter.figures().ssim_min) == (pytest.approx(np.mean(each)), pytest.approx(min(each)))
