"""Committed results fit their schema, and the README shows what they say."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
RESULTS = sorted((FOLDER / "results").glob("*.json"))


def module(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def schema():
    return module("schema")


@pytest.fixture(scope="module")
def table():
    return module("table")


@pytest.fixture
def good():
    from reelmend.analyze.benchmark import Comparison, Row, document

    rows = [Row("a", "ours", {"ms": 1.0}), Row("a", "peer", {"ms": 2.0})]
    return document("ops", rows, [Comparison("a", "ours", "peer", 2.0, 1.9, 2.1, 3)])


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_committed_results_fit_the_schema(schema, path):
    document = json.loads(path.read_text("utf-8"))
    assert schema.problems(document) == []
    assert document["benchmark"] == path.stem
    assert not document["settings"].get("quick")


def test_schema_takes_what_is_written(schema, good):
    assert schema.problems(good) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("date"), "keys are"),
        (lambda d: d.update(schema="other/1"), "schema is"),
        (lambda d: d.update(date="yesterday"), "yesterday"),
        (lambda d: d["rows"].append(d["rows"][0]), "twice"),
        (lambda d: d["rows"][0]["values"].update(ms="fast"), "'fast'"),
        (lambda d: d["comparisons"][0].update(q1=3.0), "out of order"),
        (lambda d: d["comparisons"][0].update(peer="nobody"), "nobody"),
        (lambda d: d.update(rows=[]), "empty"),
        (lambda d: d["machine"].pop("cpu"), "machine"),
    ],
)
def test_schema_finds_faults(schema, good, change, said):
    change(good)
    assert any(said in line for line in schema.problems(good))


def test_readme_is_up_to_date(table):
    readme = table.README.read_text("utf-8")
    assert readme == table.updated(readme, table.load()), "run python benchmarks/table.py"


def test_only_the_section_is_rewritten(table):
    text = f"head\n{table.BEGIN}\nold\n{table.END}\ntail\n"
    new = table.updated(text, {})
    assert new.startswith("head\n")
    assert new.endswith("tail\n")
    assert "old" not in new
    assert table.updated(new, {}) == new
    with pytest.raises(ValueError, match="benchmarks:begin"):
        table.updated("no markers", {})


def test_best_marks_the_best(table):
    assert table.best([1.0, 3.0, None, 2.999], "{:.2f}") == ["1.00", "**3.00**", "", "**3.00**"]
    assert table.best([1.0, 3.0], "{:.1f}", least=True) == ["**1.0**", "3.0"]
