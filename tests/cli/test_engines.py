"""`reelmend engines`: what it lists, builds, verifies, drops, imports and exports, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reelmend.analyze.clip import write_clip
from reelmend.cli import main
from reelmend.engines import find, user_folder
from reelmend.engines.cache import EngineCache
from reelmend.media import open_source

SHIPS = ("blaze", "dain", "fast", "lite-x2", "superslomo")
SHIPPED = "lite-x2"
SIZE = ("--size", "64x48")
ORT = ("--backend", "onnxruntime")  # always there, whatever else is

# what exporting with this torch warns of
importing = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache and catalogue."""
    monkeypatch.setenv("REELMEND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REELMEND_ENGINES", str(tmp_path / "catalogue"))
    monkeypatch.delenv("REELMEND_CACHE_LIMIT", raising=False)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main(["engines", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out, said.err


def refused(got: tuple[int, str, str], status: int, *words: str) -> None:
    """One line, on standard error, with these words in it."""
    assert got[0] == status
    assert got[1] == ""
    assert got[2].startswith("reelmend: ")
    assert got[2].count("\n") == 1
    for word in words:
        assert word in got[2]


def described(folder: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((folder / "network.json").read_text())
    return plain


def copied(name: str = "mine", precisions: tuple[str, ...] = ("fp32", "fp16", "mixed")) -> Path:
    """A network of the user's own, which is the shipped one under another name, with some of its precisions."""
    folder = user_folder() / name
    shutil.copytree(find(SHIPPED).folder, folder)
    plain = described(folder)
    plain["name"] = name
    for part in plain["parts"].values():
        for key in ("files", "sha256"):
            part[key] = {p: v for p, v in part[key].items() if p in precisions}
    (folder / "network.json").write_text(json.dumps(plain))
    return folder


def broken(name: str = "broken") -> Path:
    folder = user_folder() / name
    folder.mkdir(parents=True)
    (folder / "network.json").write_text('{"schema": 1, "name": "bro')
    return folder


@pytest.fixture
def rtx_takes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-RTX is there and builds whatever it is asked to, in no time."""
    monkeypatch.setattr("reelmend.engines.tensorrt.check_builds", lambda network: [])


# list


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    copied("mine", ("fp32",))
    status, said, told = run(capsys, "list")
    assert (status, told) == (0, "")
    head, *rows = [line.split() for line in said.splitlines()]
    assert head == ["name", "task", "scale", "family", "parameters", "precisions", "licence", "from"]
    assert [SHIPPED, "upscale", "2", "lite", "12,368", "fp16", "fp32", "mixed", "Apache-2.0", "shipped"] in rows
    assert ["mine", "upscale", "2", "lite", "12,368", "fp32", "Apache-2.0", "imported"] in rows


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, told = run(capsys, "list", "--json")
    assert (status, told) == (0, "")
    rows = {row["name"]: row for row in json.loads(said)}
    assert sorted(rows) == list(SHIPS)
    assert (rows[SHIPPED]["scale"], rows[SHIPPED]["precisions"]) == (2, ["fp16", "fp32", "mixed"])


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_broken_network_is_said_beside_the_others(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    folder = broken()
    status, said, told = run(capsys, "list", *words)
    assert status == 1
    assert SHIPPED in said
    assert "broken" not in said
    assert told.startswith(f"reelmend: {folder}/network.json: not JSON (")
    assert told.count("\n") == 1
    if words:
        assert [row["name"] for row in json.loads(said)] == list(SHIPS)


def test_a_network_is_listed_by_the_name_that_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    copied().rename(user_folder() / "renamed")
    _, said, _ = run(capsys, "list", "--json")
    names = [row["name"] for row in json.loads(said)]
    assert names == sorted([*SHIPS, "renamed"])
    for name in names:
        assert run(capsys, "show", name)[0] == 0


def test_where_there_is_none_it_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("reelmend.engines.catalogue._shipped", lambda: tmp_path / "nowhere")
    status, said, _ = run(capsys, "list")
    assert status == 0
    assert f"'reelmend engines import FILE' adds one to {tmp_path}/catalogue" in said


# show


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, told = run(capsys, "show", SHIPPED)
    assert (status, told) == (0, "")
    network = find(SHIPPED)
    facts = dict(line.split(maxsplit=1) for line in said.partition("\n\n")[0].splitlines())
    assert facts["licence"] == "Apache-2.0"
    assert facts["parameters"] == "12,368"
    assert facts["from"] == "shipped"
    assert facts["origin"] == network.origin
    assert "part main: sees 6 pixels to each side, sizes in multiples of 1, at least 1" in said
    assert "  in   x: picture (1, 3, h, w), 0 to 1" in said
    assert "  out  y: picture (1, 3, 2*h, 2*w), 0 to 1" in said
    for precision, bar in (("fp32", "80 dB"), ("mixed", "54 dB"), ("fp16", "48 dB")):
        size = network.file("main", precision).stat().st_size / 1e6  # type: ignore[arg-type]
        assert f"file main.{precision}.onnx: {size:.2f} MB; accepted from {bar}" in said
    assert "no engines kept\n" in said
    assert said.endswith((network.folder / "card.md").read_text().rstrip() + "\n")


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = run(capsys, "show", SHIPPED, "--json")
    assert status == 0
    assert json.loads(said) == described(find(SHIPPED).folder)


def test_show_says_what_is_missing_and_where_it_lies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = copied().rename(tmp_path / "elsewhere")
    (folder / "main.fp16.onnx").unlink()
    (folder / "card.md").unlink()
    status, said, _ = run(capsys, "show", folder)
    assert status == 0
    assert "file main.fp16.onnx: missing" in said
    assert f"from        {folder}\n" in said
    assert said.endswith("no engines kept\n")


# build


def test_on_a_cpu_there_is_nothing_to_build(capsys: pytest.CaptureFixture[str]) -> None:
    ready = f"{SHIPPED}/main fp32, 64x48: ready on onnxruntime, cpu\n"
    assert run(capsys, "build", SHIPPED, *SIZE, *ORT) == (0, ready, "")
    assert EngineCache().list() == ()


def test_what_is_compared_is_kept_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("build", SHIPPED, *SIZE, *ORT, "--precision", "fp16")
    ready = f"{SHIPPED}/main fp16, 64x48: ready on onnxruntime, cpu\n"
    status, said, told = run(capsys, *words)
    assert (status, said) == (0, ready)
    assert told.startswith(f"reelmend: building {SHIPPED}/main fp16 for onnxruntime: there was none")
    assert run(capsys, *words) == (0, ready, "")
    _, said, _ = run(capsys, "show", SHIPPED)
    assert "1 engine kept:\n  main fp16 on onnxruntime: x [1, 3, 48, 64]; onnxruntime " in said
    assert "; accepted\n" in said


def test_a_range_of_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    more = (*ORT, "--precision", "mixed", "--smallest", "32x24", "--largest", "128x96")
    assert run(capsys, "build", SHIPPED, *SIZE, *more)[0] == 0
    (kept,) = EngineCache().list()
    assert kept.fields["shapes"] == {"x": [[1, 3, 24, 32], [1, 3, 48, 64], [1, 3, 96, 128]]}


@pytest.mark.extra("rtx")
def test_building_for_cards_that_are_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, told = run(capsys, "build", SHIPPED, *SIZE, "--target", "8.6", "--target", "12.0")
    assert status == 0
    assert "building lite-x2/main fp16 for tensorrt_rtx" in told
    kept = {record.fields["capability"]: record for record in EngineCache().list()}
    assert set(kept) == {"86", "120"}
    for line, (card, capability) in zip(said.splitlines(), (("8.6", "86"), ("12.0", "120")), strict=True):
        assert line.startswith(f"{SHIPPED}/main fp16 for {card}: ")
        assert line.endswith(f" MB, key {kept[capability].key[:12]}")
    _, said, _ = run(capsys, "show", SHIPPED)
    assert "2 engines kept:" in said
    assert said.count("main fp16 on tensorrt_rtx: x [1, 3, 48, 64]; tensorrt_rtx ") == 2
    assert said.count("; not yet compared") == 2


@pytest.mark.extra("rtx")
def test_an_engine_for_another_card_that_could_not_be_kept_is_a_failure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the way")
    status, said, _ = run(capsys, "build", SHIPPED, *SIZE, "--target", "8.6")
    assert status == 1
    assert f"{tmp_path}/cache" in said
    assert "set REELMEND_CACHE to a folder that can be written" in said


@pytest.mark.extra("rtx")
def test_a_card_that_is_not_served(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, told = run(capsys, "build", SHIPPED, *SIZE, "--target", "9.0")
    assert (status, said) == (1, "")
    assert "does not build for compute capability 90; it has 75, 80, 86, 89, 120" in told


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--target", "8.6", "--backend", "onnxruntime"], 2, "tensorrt_rtx alone builds for cards that are not here"),
        (["--backend", "tensorrt"], 1, "TensorRT runs on NVIDIA GPUs, not on a CPU"),
        (["--precision", "int8"], 1, "no int8 file; it has fp16, fp32, mixed"),
        (["--backend", "ncnn"], 2, "backend is 'ncnn'; expected auto, tensorrt, "),
        (["--device", "gpu"], 2, "device is 'gpu'; expected 'cpu', 'cuda' or 'cuda:N'"),
        ([*ORT, "--smallest", "128x96"], 1, "64x48 is not a size this engine was opened for: 128x96 to 64x48"),
    ],
)
def test_what_cannot_be_built_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int, told: str
) -> None:
    refused(run(capsys, "build", SHIPPED, *SIZE, *words), status, told)


@pytest.mark.parametrize(
    ("option", "text", "told"),
    [
        *(
            ("--size", text, "such as 1920x1080")
            for text in ("64", "64x", "0x48", "64x48x3", "-64x48", "6²x48", "a x b")
        ),
        *(("--target", t, "such as 8.6 or 12.0") for t in ("8", "8.", ".86", "8.6.1", "1.20", "sm_86", "1200", "")),
    ],
)
def test_words_that_are_no_size_and_no_card(
    capsys: pytest.CaptureFixture[str], option: str, text: str, told: str
) -> None:
    size = () if option == "--size" else SIZE
    status, said, err = run(capsys, "build", SHIPPED, *size, f"{option}={text}")
    assert (status, said) == (2, "")
    assert err.endswith(f"{told}; got {text!r}\n")


# verify


@pytest.mark.extra("rtx")
def test_a_sound_network_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    copied("mine", ("fp32", "fp16"))
    status, said, told = run(capsys, "verify", "mine")
    assert (status, told) == (0, "")
    first, second, third = sorted(said.splitlines())
    assert first.startswith("mine/main fp16: ")
    assert " dB from fp32 at least, " in first
    assert second.startswith("mine/main fp32: ")
    assert third == "mine: TensorRT-RTX builds all of it"


def test_without_a_builder_verify_says_that_it_was_not_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reelmend.errors import MissingExtraError

    def absent(network: object) -> list[str]:
        raise MissingExtraError("tensorrt-rtx", "rtx", "building it")

    monkeypatch.setattr("reelmend.engines.tensorrt.check_builds", absent)
    status, said, _ = run(capsys, "verify", SHIPPED)
    assert status == 0
    assert f"{SHIPPED}: TensorRT-RTX was not asked: " in said
    assert "reelmend[rtx]" in said


@pytest.mark.extra("rtx")
def test_a_damaged_file_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied("mine", ("fp32", "fp16"))
    path = folder / "main.fp16.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    status, said, _ = run(capsys, "verify", "mine")
    assert status == 1
    assert f"mine/main fp16: mine: {path} is not the file its description names; import or install it again\n" in said
    assert said.count(str(path)) == 1
    assert "mine/main fp32: " in said
    assert ": ok\n" in said
    assert "builds all of it" not in said


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str], rtx_takes_all: None) -> None:
    path = copied("mine", ("fp32", "mixed")) / "main.mixed.onnx"
    path.unlink()
    status, said, _ = run(capsys, "verify", "mine")
    assert status == 1
    assert f"{path} cannot be read (No such file or directory)" in said


@pytest.mark.extra("train")
def test_weights_that_were_changed_are_found_by_what_they_do(
    capsys: pytest.CaptureFixture[str], rtx_takes_all: None
) -> None:
    """The description was changed with them, so no checksum tells."""
    import hashlib

    import onnx
    from onnx import numpy_helper

    folder = copied("mine")
    path = folder / "main.fp16.onnx"
    model = onnx.load(path)
    weights = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    weights.CopyFrom(numpy_helper.from_array(1.25 * numpy_helper.to_array(weights), weights.name))
    onnx.save(model, path)
    plain = described(folder)
    plain["parts"]["main"]["sha256"]["fp16"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "network.json").write_text(json.dumps(plain))
    status, said, _ = run(capsys, "verify", "mine")
    assert status == 1
    wrong = [line for line in said.splitlines() if not line.endswith(": ok") and "builds all" not in line]
    assert len(wrong) == 1
    assert wrong[0].startswith("mine/main fp16: ")
    assert "output 'y' differs" in wrong[0]
    assert "expected 48.0 dB or better" in wrong[0]


def test_what_a_builder_refuses_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelmend.engines.tensorrt.check_builds", lambda network: ["node 'a': no", "node 'b': no"])
    status, said, _ = run(capsys, "verify", SHIPPED)
    assert status == 1
    assert said.endswith(f"{SHIPPED}: node 'a': no\n{SHIPPED}: node 'b': no\n")


def test_verify_all_goes_on_after_what_is_broken(capsys: pytest.CaptureFixture[str], rtx_takes_all: None) -> None:
    assert run(capsys, "verify")[0] == 0
    folder = broken("a-broken-one")
    assert run(capsys, "build", SHIPPED, *SIZE, *ORT, "--precision", "fp16")[0] == 0
    (kept,) = EngineCache().list()
    (kept.folder / "engine.plan").write_bytes(b"more than was written")
    status, said, told = run(capsys, "verify")
    assert (status, told) == (1, "")
    first, *others, last = said.splitlines()
    assert first.startswith(f"{folder}/network.json: not JSON")
    files = sum(len(part.files) for name in SHIPS for part in find(name).parts.values())
    assert sum(line.endswith(": ok") for line in others) == files
    assert last.startswith(f"cache: engine {kept.key[:12]}: the one in the cache was damaged")


# prune


@pytest.fixture
def kept(capsys: pytest.CaptureFixture[str]) -> dict[str, Path]:
    """Two engines, by precision; fp16 was last used ten days ago."""
    for precision in ("fp16", "mixed"):
        assert run(capsys, "build", SHIPPED, *SIZE, *ORT, "--precision", precision)[0] == 0
    folders = {str(r.fields["precision"]): r.folder for r in EngineCache().list()}
    manifest = folders["fp16"] / "manifest.json"
    when = manifest.stat().st_mtime - 10 * 86400
    os.utime(manifest, (when, when))
    return folders


@pytest.mark.parametrize(
    ("words", "count", "left"),
    [
        (["--all"], "2 engines", set()),
        (["--older-than", "9"], "1 engine", {"mixed"}),
        (["--older-than", "0.5"], "1 engine", {"mixed"}),
        (["--older-than", "11"], "no engines", {"fp16", "mixed"}),
        (["--limit", "0"], "2 engines", set()),
        (["--limit", "1G"], "no engines", {"fp16", "mixed"}),
        (["--limit", "ONE"], "1 engine", {"mixed"}),
        (["--older-than", "11", "--limit", "ONE"], "1 engine", {"mixed"}),
    ],
)
def test_prune(
    capsys: pytest.CaptureFixture[str], kept: dict[str, Path], words: list[str], count: str, left: set[str]
) -> None:
    one = max(r.bytes for r in EngineCache().list())
    status, said, told = run(capsys, "prune", *[str(one) if w == "ONE" else w for w in words])
    assert (status, told) == (0, "")
    assert said.startswith(f"{count} dropped, ")
    assert {precision for precision, folder in kept.items() if folder.exists()} == left


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say what to drop: --older-than DAYS, --limit SIZE or --all"),
        (["--limit", "much"], "'much' is no size; expected a number of bytes, or one such as 500M or 8G"),
        (["--limit", ""], "'' is no size"),
        (["--older-than=-1"], "expected a number of days such as 30 or 0.5; got '-1'"),
        (["--older-than", "nan"], "expected a number of days"),
        (["--older-than", "a week"], "expected a number of days"),
    ],
)
def test_prune_has_to_be_told_what(
    capsys: pytest.CaptureFixture[str], kept: dict[str, Path], words: list[str], told: str
) -> None:
    status, said, err = run(capsys, "prune", *words)
    assert (status, said) == (2, "")
    assert told in err
    assert all(folder.exists() for folder in kept.values())


def test_an_empty_cache_is_pruned(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "prune", "--all") == (0, "no engines dropped, 0.0 MB\n", "")


# import


def save(path: Path, state: object) -> Path:
    import torch

    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SRVGGNetCompact of random weights that enlarges twice."""
    import torch

    torch.manual_seed(0)
    shapes = {"0.weight": (8, 3, 3, 3), "0.bias": (8,), "1.weight": (8,), "2.weight": (12, 8, 3, 3), "2.bias": (12,)}
    state = {f"body.{name}": 0.05 * torch.randn(shape) for name, shape in shapes.items()}
    return save(tmp_path_factory.mktemp("weights") / "Tiny Compact!.pth", {"params": state})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_clip(path, 0.2, width=64, height=48, flicker=None, preset="ultrafast")
    return path


@importing
@pytest.mark.extra("train")
def test_what_is_imported_enlarges_a_film(
    capsys: pytest.CaptureFixture[str], weights: Path, film: Path, tmp_path: Path
) -> None:
    status, said, told = run(capsys, "import", weights, "--licence", "MIT")
    assert status == 0
    folder = user_folder() / "tiny-compact"
    assert said == f"tiny-compact: upscale by compact, 1,108 parameters, in {folder}\n"
    assert "Tiny Compact!.pth: compact, x2" in told
    assert told.endswith("use it:  reelmend restore IN OUT --upscale tiny-compact\n")
    assert set(described(folder)["parts"]["main"]["files"]) == {"fp32", "fp16"}
    _, said, _ = run(capsys, "list")
    assert ["tiny-compact", "upscale", "2", "compact", "1,108", "fp16", "fp32", "MIT", "imported"] in [
        line.split() for line in said.splitlines()
    ]
    out = tmp_path / "out.mp4"
    words = ["restore", film, out, "--upscale", "tiny-compact", "--preset", "ultrafast"]
    assert main([str(w) for w in words]) == 0
    with open_source(film) as source, open_source(out) as made:
        assert (made.info.width, made.info.height) == (128, 96)
        assert len(list(made)) == len(list(source)) > 1


@importing
@pytest.mark.extra("train")
def test_a_name_that_exists_is_replaced_only_when_told_to(capsys: pytest.CaptureFixture[str], weights: Path) -> None:
    words = ("import", weights, "--name", "mine", "--precision", "fp32")
    assert run(capsys, *words)[0] == 0
    file = user_folder() / "mine" / "main.fp32.onnx"
    (user_folder() / "mine" / "card.md").write_text("what I know of it")
    file.write_bytes(b"damaged")
    status, said, told = run(capsys, *words)
    assert (status, said) == (1, "")
    assert f"{file.parent} is there already; choose another name, or overwrite it" in told
    assert file.read_bytes() == b"damaged"
    status, said, _ = run(capsys, *words, "--overwrite")
    assert status == 0
    assert file.read_bytes() != b"damaged"
    assert set(described(file.parent)["parts"]["main"]["files"]) == {"fp32"}
    assert "what I know of it" in run(capsys, "show", "mine")[1]


class Hostile:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> Any:
        return os.system, (self._command,)


@pytest.mark.extra("train")
def test_a_hostile_pickle_runs_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = save(tmp_path / "evil.pth", {"conv.weight": Hostile(f"touch {canary}")})
    refused(run(capsys, "import", path), 1, str(path), "a hostile or unusual pickle", "system")
    assert not canary.exists()
    assert not user_folder().exists()


@pytest.mark.extra("train")
def test_keys_that_nobody_knows_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import torch

    path = save(tmp_path / "odd.pth", {f"mystery.{k}.weight": torch.zeros(3, k + 1) for k in range(3)})
    words = (str(path), "an unknown architecture", "mystery.0.weight (3, 1), mystery.1.weight (3, 2)", "known are")
    refused(run(capsys, "import", path), 1, *words)
    assert not user_folder().exists()


@pytest.mark.extra("train")
@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["nowhere.pth"], 1, "nowhere.pth"),
        (["WEIGHTS", "--name", "No Name"], 1, "name 'No Name': expected lower-case letters"),
        (["WEIGHTS", "--precision", "int8"], 2, "int8 needs --calibrate VIDEO"),
        (["WEIGHTS", "--calibrate", "FILM"], 2, "--calibrate needs --precision int8"),
        (["WEIGHTS", "--precision", "int8", "--calibrate", "nowhere.mp4"], 1, "nowhere.mp4: no such file"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    capsys: pytest.CaptureFixture[str], weights: Path, film: Path, words: list[str], status: int, told: str
) -> None:
    got, said, err = run(capsys, "import", *[{"WEIGHTS": str(weights), "FILM": str(film)}.get(w, w) for w in words])
    assert (got, said) == (status, "")
    assert told in err.splitlines()[-1]
    assert not list(user_folder().glob("*"))


@importing
@pytest.mark.extra("train")
def test_int8_is_calibrated_with_pictures_of_a_film(
    capsys: pytest.CaptureFixture[str], weights: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reelmend.networks import importing as room

    seen: list[Any] = []
    real = room.import_checkpoint

    def noted(*given: Any, **more: Any) -> Any:
        seen.extend(more["calibration"])
        return real(*given, **more)

    monkeypatch.setattr(room, "import_checkpoint", noted)
    assert run(capsys, "import", weights, "--precision", "int8", "--calibrate", film)[0] == 0
    with open_source(film) as source:
        assert len(seen) == min(16, len(list(source)))
    for picture in seen:
        assert (picture.shape, picture.dtype) == ((1, 3, 48, 64), "float32")
        assert 0.1 < picture.std() < 1
    plain = described(user_folder() / "tiny-compact")
    assert "int8" in plain["parts"]["main"]["files"] or "main.int8" in plain["settings"]["left_out"]


def test_without_the_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    for name in [n for n in sys.modules if n.startswith("reelmend.networks.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pth").write_bytes(b"")
    refused(run(capsys, "import", tmp_path / "x.pth"), 1, "torch", "reelmend[train]")


# export


def test_what_is_exported_is_found_by_its_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    to = tmp_path / "new" / "folder"
    status, said, told = run(capsys, "export", SHIPPED, to)
    assert (status, told) == (0, "")
    assert said.startswith(f"{SHIPPED}: card.md, main.fp16.onnx, main.fp32.onnx, main.mixed.onnx, network.json, ")
    assert said.endswith(f" in {to}/{SHIPPED}\n")
    network = find(to / SHIPPED)
    assert network.folder == to / SHIPPED
    assert network.onnx("main", "fp16") == find(SHIPPED).onnx("main", "fp16")
    status, said, _ = run(capsys, "build", to / SHIPPED, *SIZE, *ORT)
    assert (status, said) == (0, f"{SHIPPED}/main fp32, 64x48: ready on onnxruntime, cpu\n")


def test_what_is_there_is_not_exported_over(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / SHIPPED).mkdir()
    (tmp_path / SHIPPED / "mine.txt").write_text("mine")
    refused(run(capsys, "export", SHIPPED, tmp_path), 2, f"{tmp_path / SHIPPED} is already there; choose another")
    assert os.listdir(tmp_path / SHIPPED) == ["mine.txt"]


def test_a_damaged_network_is_not_exported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = copied() / "main.mixed.onnx"
    path.write_bytes(b"damaged")
    refused(run(capsys, "export", "mine", tmp_path / "to"), 1, f"{path} is not the file its description names")
    assert not (tmp_path / "to").exists()


def test_what_the_file_system_refuses_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(run(capsys, "export", SHIPPED, tmp_path / "file" / "to"), 1, f"{SHIPPED} cannot be copied to ", "directory")
    (copied() / "notes.txt").symlink_to(tmp_path / "nowhere")
    refused(run(capsys, "export", "mine", tmp_path / "to"), 1, f"to {tmp_path}/to/mine: ", "No such file", "notes.txt")
    assert not (tmp_path / "to" / "mine").exists()


# all of them


@pytest.mark.parametrize(
    "words",
    [["show"], ["build", *SIZE], ["build", *SIZE, "--target", "8.6"], ["verify"], ["export", "FOLDER"]],
    ids=lambda words: " ".join(words[:1] + words[3:]),
)
def test_a_name_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]) -> None:
    command, *rest = [str(tmp_path / "to") if w == "FOLDER" else w for w in words]
    refused(run(capsys, command, "lite-x3", *rest), 1, "no network 'lite-x3': did you mean 'lite-x2'?")
    broken()
    refused(run(capsys, command, "broken", *rest), 1, "broken/network.json: not JSON")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("list", ["--json"]),
        ("show", ["NETWORK", "its name, or the path of its folder", "--json"]),
        ("build", ["NETWORK", "1920x1080", "--smallest", "--precision", "--target CC", "such as 8.9"]),
        ("verify", ["NETWORK", "default: all, and the cache"]),
        ("prune", ["--older-than DAYS", "--limit SIZE", "2G, 500M", "--all"]),
        ("import", ["FILE", ".safetensors", "--licence", "--calibrate", "--overwrite", "extra"]),
        ("export", ["NETWORK", "FOLDER", "gets a new folder with the network's name"]),
    ],
)
def test_help(capsys: pytest.CaptureFixture[str], command: str, told: list[str]) -> None:
    status, said, err = run(capsys, command, "--help")
    assert (status, err) == (0, "")
    assert said.startswith(f"usage: reelmend engines {command} ")
    flat = " ".join(said.split())
    for words in told:
        assert words in flat
    arguments, _, examples = said.partition("positional" if "positional" in said else "options")[2].partition(
        "examples:"
    )
    assert examples.split()
    assert all(f"  reelmend engines {command}" in line for line in examples.strip("\n").splitlines())
    lines = [*arguments.splitlines(), ""]
    for line, after in pairwise(lines):
        if re.match(r"  \S", line):
            assert re.search(r"\S  +\S", line) or after.startswith(" " * 8), f"{line.strip()} is not explained"


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, err = run(capsys)
    assert (status, said) == (2, "")
    assert "WHAT" in err
    assert run(capsys, "rebuild")[0] == 2
    status, said, _ = run(capsys, "--help")
    assert status == 0
    assert "examples:" in said
    for command in ("list", "show", "build", "verify", "prune", "import", "export"):
        assert f"    {command} " in said
    assert main(["--help"]) == 0
    assert "engines" in capsys.readouterr().out
