from itertools import pairwise

import av
import numpy as np
import pytest

from reelmend.analyze.clip import read_clip, write_clip
from reelmend.analyze.scenes import Film, soundtrack
from reelmend.analyze.series import FlickerMeter
from reelmend.errors import OptionError, SinkError, SourceError


def test_the_film_is_a_function_of_its_arguments():
    one, other = Film(20, width=160, height=90, seed=4), Film(20, width=160, height=90, seed=4)
    forward = [one[t] for t in range(20)]
    assert all(np.array_equal(forward[t], other[t]) for t in reversed(range(20)))
    assert forward[0].dtype == np.uint8
    assert forward[0].shape == (90, 160, 3)
    assert not np.array_equal(Film(20, width=160, height=90, seed=5)[3], forward[3])
    assert len(list(one)) == len(one) == 20


def test_the_film_moves_has_texture_and_one_cut():
    film = Film(40, width=320, height=180)
    frames = [frame.astype(float) for frame in film]
    change = np.array([np.abs(a - b).mean() for a, b in pairwise(frames)])
    assert change.argmax() + 1 == film.cut == 20
    assert change.max() > 30
    assert change[change < 30].max() < 6
    assert np.delete(change, change.argmax()).min() > 0.8
    assert all(frame.std() > 30 for frame in frames)


def test_the_film_does_not_flicker():
    meter = FlickerMeter()
    for frame in Film(48, width=320, height=180):
        meter.push(frame)
    assert meter.figures().luma < 0.1


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (101, 64), (64, 202)])
def test_any_size_can_be_drawn(size):
    film = Film(3, width=size[0], height=size[1])
    assert [frame.shape for frame in film] == [(size[1], size[0], 3)] * 3


def test_film_errors():
    with pytest.raises(OptionError, match="0 of 640x360"):
        Film(0)
    with pytest.raises(IndexError, match="frame 3 of a film of 3"):
        Film(3, width=32, height=32)[3]


def test_soundtrack():
    sound = soundtrack(1.5, 8000)
    assert sound.shape == (2, 12000)
    assert sound.dtype == np.float32
    assert 0.1 < np.abs(sound).max() <= 1
    assert np.abs(sound[:, [0, -1]]).max() < 1e-6
    assert soundtrack(0).shape == (2, 0)


@pytest.mark.parametrize(("name", "sound", "codec"), [("a.mp4", "aac", "aac"), ("b.mkv", "flac", "flac")])
def test_clip_with_sound(tmp_path, name, sound, codec):
    path = tmp_path / name
    film = write_clip(path, 1.0, width=160, height=90, flicker=None, sound=sound)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.codec_context.name == "h264"
        assert (video.width, video.height, video.average_rate) == (160, 90, 24)
        assert (video.codec_context.colorspace, video.codec_context.color_range) == (1, 1)
        assert (audio.codec_context.name, audio.rate, audio.channels) == (codec, 48000, 2)
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(samples - 48000) <= 2048
    frames = list(read_clip(path))
    assert len(frames) == film.frames == 24
    assert np.abs(frames[5].astype(float) - film[5]).mean() < 6
    assert [np.array_equal(a, b) for a, b in zip(read_clip(path, 4, 3), frames[4:7], strict=True)] == [True] * 3


def test_clip_flickers_and_can_be_silent(tmp_path):
    path = tmp_path / "f.mp4"
    film = write_clip(path, 2.0, width=160, height=90, sound=None)
    meter, truth = FlickerMeter(), FlickerMeter()
    for picture, clean in zip(read_clip(path), film, strict=True):
        meter.push(picture)
        truth.push(clean)
    assert meter.figures().luma > 3
    assert truth.figures().luma < 0.2
    with av.open(str(path)) as container:
        assert not container.streams.audio


def test_clip_errors(tmp_path):
    with pytest.raises(SinkError, match="nowhere"):
        write_clip(tmp_path / "nowhere" / "x.mp4", 0.1, width=64, height=64)
    with pytest.raises(SourceError, match="none"):
        list(read_clip(tmp_path / "none.mp4"))
