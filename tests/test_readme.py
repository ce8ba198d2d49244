"""The README's Python examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reelmend.analyze.clip import write_clip

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 3


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda s: s.strip().splitlines()[-1][:40])
def test_snippet_runs(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "film.mp4" in snippet:
        write_clip(tmp_path / "film.mp4", seconds=1, width=96, height=64)
    exec(compile(snippet, "README.md", "exec"), {})
    if "steady.mp4" in snippet:
        assert (tmp_path / "steady.mp4").stat().st_size > 0
