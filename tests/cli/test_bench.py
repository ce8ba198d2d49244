import json

import pytest

from reelmend.cli import main


def test_bench_prints_a_table_and_writes_json(tmp_path, capsys, monkeypatch):
    from reelmend.cli import bench

    stage = bench._stage
    monkeypatch.setattr(bench, "_stage", lambda width, height: stage(width, height, seconds=0.05))
    path = tmp_path / "b.json"
    assert main(["bench", "--size", "64x48", "--rounds", "1", "--json", str(path)]) == 0
    said = capsys.readouterr().out
    assert "map_tones" in said
    assert "file to file" in said
    document = json.loads(path.read_text())
    assert document["benchmark"] == "bench"
    assert {row["method"] for row in document["rows"]} >= {"reelmend", "numpy", "film", "low", "live"}


@pytest.mark.parametrize("size", ["64", "63x64", "16x16", "axb", "64x64x64"])
def test_bench_refuses_impossible_sizes(size, capsys):
    assert main(["bench", "--size", size]) == 2
    assert "expected an even size" in capsys.readouterr().err
