import builtins

import numpy as np
import pytest

from reelmend.analyze.report import before_after, flicker_plot
from reelmend.analyze.scenes import Film
from reelmend.errors import ArrayError, MissingExtraError


def png_size(path):
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_flicker_plot(tmp_path):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    path = tmp_path / "flicker.png"
    flicker_plot(list(120 + 8 * rng.standard_normal(60)), [120.0] * 60, path, fps=24, cuts=[30])
    assert png_size(path) == (1000, 560)
    flicker_plot([120.0], [120.0], path)
    assert png_size(path) == (1000, 560)


@pytest.mark.parametrize("count", [1, 6])
def test_before_after(tmp_path, count):
    pytest.importorskip("matplotlib")
    film = list(Film(count, width=160, height=90))
    path = tmp_path / "strip.png"
    before_after(path, film, film, first=3)
    width, height = png_size(path)
    assert width == 1600
    picture = 1600 / count * 90 / 160
    assert 2 * picture * 0.9 < height < 2 * picture + 140


def test_report_errors(tmp_path):
    with pytest.raises(ArrayError, match="1 and 0"):
        flicker_plot([1.0], [], tmp_path / "x.png")
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ArrayError, match="1 and 2"):
        before_after(tmp_path / "x.png", [frame], [frame, frame])


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"reelmend\[plot\]"):
        flicker_plot([1.0], [1.0], tmp_path / "x.png")
