"""The Python examples of docs/ run as they stand; those that need a GPU and a library, where both are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SNIPPETS = [
    pytest.param(needs.split(), code, id=f"{path.stem}-{k}")
    for path in sorted(DOCS.glob("*.md"))
    for k, (needs, code) in enumerate(re.findall(r"^```python([^\n]*)\n(.*?)^```", path.read_text(), re.M | re.S))
]


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 4


@pytest.mark.parametrize(("needs", "code"), SNIPPETS)
def test_snippet_runs(
    needs: list[str], code: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "gpu" in needs:
        request.getfixturevalue("cuda")
    for package in re.findall(r"^(?:import|from) (\w+)", code, re.M):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {})
