import av
import pytest

from reelmend.cli import demo, main


def test_demo_writes_clips_and_pictures_and_says_what_it_gained(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "demo"
    assert main(["demo", "--output", str(folder), "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    for name in ("flickering.mp4", "restored.mp4", "before_after.png", "flicker.png"):
        assert (folder / name).stat().st_size > 1000
        assert str(folder / name) in said
    before, after = next(line for line in said.splitlines() if line.startswith("flicker of mean luma")).split("->")
    assert float(after.split()[0]) < float(before.split()[-1]) / 4
    with av.open(str(folder / "flickering.mp4")) as a, av.open(str(folder / "restored.mp4")) as b:
        assert [s.type for s in b.streams] == ["video", "audio"]
        sound = [[bytes(packet) for packet in c.demux(audio=0) if packet.size] for c in (a, b)]
        assert sound[0] == sound[1]
    assert main(["demo", "--output", str(folder), "--seconds", "0.5"]) == 0


@pytest.mark.parametrize("seconds", ["0", "1000", "long", "nan"])
def test_demo_refuses_impossible_lengths(seconds, tmp_path, capsys):
    assert main(["demo", "--output", str(tmp_path / "x"), "--seconds", seconds]) == 2
    assert "--seconds" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_strip_shows_the_frames_that_flicker_most():
    assert demo._liveliest([100.0] * 20 + [140, 60, 130, 70, 140, 60] + [100.0] * 20) == 20
    assert demo._liveliest([100.0]) == 0
