"""Training by recipe: recipes read strictly, runs that repeat and go on to the bit, and what is shipped of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelmend.errors import CheckpointError, OptionError

pytestmark = pytest.mark.extra("train")

SHIPPED = Path(__file__).parents[2] / "engines" / "lite-x2"

TINY = """
name = "tiny"
task = "upscale"
licence = "Apache-2.0"
origin = "a test"
seed = 3

[network]
family = "lite"
scale = 2
channels = 8
depth = 2
width = 16

[data]
split = "split.json"
size = 48

[[data.source]]
path = "stills"
patches = 24

[degradation]
kernels = { bicubic = 0.5, area = 0.25, lanczos = 0.25 }
blur = 0.3
compression = 0.3

[schedule]
steps = 20
batch = 4
patch = 32
warmup = 2
rate = 0.004
ema = 0.5
checkpoint = 5
"""

Change = Callable[..., Path]


def still(path: Path, seed: int, size: int = 96) -> None:
    """A picture of waves and of edges, written as PNG."""
    import av

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = sum(np.sin(2 * np.pi * (a * x + b * y))[..., None] * rng.random(3) for a, b in rng.uniform(-16, 16, (6, 2)))
    edges = (np.floor(x * 7) + np.floor(y * 5))[..., None] % 2
    rgb = np.uint8(np.clip(128 + 25 * waves + 60 * (edges - 0.5), 0, 255))
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = size
        stream.pix_fmt = "rgb24"
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")), *stream.encode()):
            container.mux(packet)


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of material: six stills."""
    folder = tmp_path_factory.mktemp("material") / "stills"
    folder.mkdir()
    for k in range(6):
        still(folder / f"{k}.png", k)
    return folder.parent


@pytest.fixture
def recipe_file(tmp_path: Path) -> Change:
    """Writes the tiny recipe with some of its words changed, and its split; gives its path."""

    def write(*changes: tuple[str, str]) -> Path:
        text = TINY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "split.json").write_text(
            json.dumps({"stills": {"train": [f"{k}.png" for k in range(4)], "test": ["4.png", "5.png"]}})
        )
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


def trained(path: Path, stills: Path, work: Path, **options: Any) -> Any:
    from reelmend.networks.train.loop import train
    from reelmend.networks.train.recipe import load_recipe
    from reelmend.networks.train.task import task_of

    recipe = load_recipe(path)
    task = task_of(recipe)
    task.prepare(stills, work)
    return train(recipe, task, work, threads=1, **options)


def weights(work: Path) -> dict[str, np.ndarray]:
    import torch

    state = torch.load(work / "weights.pth", weights_only=True)["params_ema"]
    return {name: tensor.numpy() for name, tensor in state.items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# --- recipes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('task = "upscale"', ""), "task: missing"),
        (("seed = 3", "sede = 3"), "sede: unknown key; expected name, task"),
        (("steps = 20", 'steps = "20"'), "schedule.steps is '20'; expected int"),
        (("steps = 20", "steps = true"), "schedule.steps is True; expected int"),
        (("steps = 20", "steps = 0"), "schedule.steps is 0; expected 1 or more"),
        (("patch = 32", "patch = 64"), "schedule.patch is 64, more than data.size, 48"),
        (("blur = 0.3", "blur = 1.3"), "degradation.blur is 1.3; expected a share of 0 to 1"),
        (("blur = 0.3", "blur_sigma = [0.9, 0.1]"), "degradation.blur_sigma is"),
        (("area = 0.25", "areas = 0.25"), "degradation.kernels is"),
        (("patches = 24", "patches = 24\nshrink = 0"), "data.source.shrink is 0"),
        (("patches = 24", ""), r"data.source\[0\].patches: missing"),
        (('path = "stills"', "path = 3"), r"data.source\[0\].path is 3; expected text"),
        (("rate = 0.004", "rate = -1"), "schedule: rate -1"),
        (("[network]", "[network"), "recipe .*recipe.toml: "),
    ],
)
def test_a_wrong_recipe_is_told_by_its_place(recipe_file: Change, change: tuple[str, str], words: str) -> None:
    from reelmend.networks.train.recipe import load_recipe

    with pytest.raises(OptionError, match=words):
        load_recipe(recipe_file(change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('task = "upscale"', 'task = "upscael"'), "task is 'upscael'; expected upscale"),
        (('family = "lite"', 'family = "large"'), "network.family is 'large'; expected 'lite'"),
        (("depth = 2", ""), "expected whole numbers scale, channels, depth, width"),
        (("patch = 32", "patch = 33"), "schedule.patch is 33; expected a multiple of 2"),
    ],
)
def test_a_recipe_that_its_task_cannot_take_is_refused(
    recipe_file: Change, change: tuple[str, str], words: str
) -> None:
    from reelmend.networks.train.recipe import load_recipe
    from reelmend.networks.train.task import task_of

    with pytest.raises(OptionError, match=words):
        task_of(load_recipe(recipe_file(change)))


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    from reelmend.networks.train.recipe import load_recipe

    with pytest.raises(OptionError, match=r"none\.toml: No such file"):
        load_recipe(tmp_path / "none.toml")


def test_a_digest_leaves_the_words_and_the_place_out(recipe_file: Change) -> None:
    from reelmend.networks.train.recipe import load_recipe

    first = load_recipe(recipe_file())
    assert load_recipe(recipe_file(("a test", "another"))).digest() == first.digest()
    assert load_recipe(recipe_file(("seed = 3", "seed = 4"))).digest() != first.digest()
    assert load_recipe(recipe_file(("steps = 20", "steps = 30"))).digest("data", "seed") == first.digest("data", "seed")


# --- data


def test_a_picture_on_both_sides_of_a_split_is_refused(tmp_path: Path) -> None:
    from reelmend.networks.train.data import load_split

    path = tmp_path / "split.json"
    path.write_text(json.dumps({"stills": {"train": ["a", "b"], "test": ["b"]}}))
    with pytest.raises(OptionError, match="stills: b in train and in test"):
        load_split(path)
    path.write_text("[]")
    with pytest.raises(OptionError, match=r"expected \{folder"):
        load_split(path)


def test_patches_are_made_once_and_anew_when_the_recipe_changes(
    recipe_file: Change, stills: Path, tmp_path: Path
) -> None:
    from reelmend.networks.train.data import prepare
    from reelmend.networks.train.recipe import load_recipe

    path = prepare(load_recipe(recipe_file()), stills, tmp_path / "work")
    held = np.load(path)
    assert held.shape == (24, 48, 48, 3)
    assert held.dtype == np.uint8
    made = path.stat().st_mtime_ns
    assert prepare(load_recipe(recipe_file(("steps = 20", "steps = 30"))), stills, tmp_path / "work") == path
    assert path.stat().st_mtime_ns == made
    prepare(load_recipe(recipe_file(("patches = 24", "patches = 12"))), stills, tmp_path / "work")
    assert np.load(path).shape == (12, 48, 48, 3)


def test_patches_are_cut_from_pictures_to_train_on_alone(recipe_file: Change, stills: Path, tmp_path: Path) -> None:
    from reelmend.networks.train.data import picture, prepare
    from reelmend.networks.train.recipe import load_recipe

    found = np.load(prepare(load_recipe(recipe_file()), stills, tmp_path / "work"))
    windows = [
        np.lib.stride_tricks.sliding_window_view(picture(stills / f"stills/{k}.png"), (48, 48, 3)) for k in range(6)
    ]

    def of(patch: np.ndarray) -> list[int]:
        return [k for k, w in enumerate(windows) if (w[:, :, 0] == patch).all((2, 3, 4)).any()]

    assert {k for patch in found for k in of(patch)} == {0, 1, 2, 3}


def test_a_missing_picture_is_named(recipe_file: Change, tmp_path: Path) -> None:
    from reelmend.errors import MediaError
    from reelmend.networks.train.data import prepare
    from reelmend.networks.train.recipe import load_recipe

    with pytest.raises(MediaError, match=r"0\.png is not there, with 3 more"):
        prepare(load_recipe(recipe_file()), tmp_path, tmp_path / "work")


def test_crops_turn_and_mirror_in_all_eight_ways() -> None:
    import torch

    from reelmend.networks.train.data import crops

    source = torch.arange(4 * 4 * 3, dtype=torch.uint8).reshape(1, 4, 4, 3)
    plain = source[0].permute(2, 0, 1).float() / 255
    got = crops(source, 200, 4, np.random.default_rng(0))
    ways = [torch.rot90(p, k, (1, 2)) for p in (plain, plain.flip(2)) for k in range(4)]
    counts = [sum(bool(torch.equal(g, w)) for g in got) for w in ways]
    assert sum(counts) == 200
    assert min(counts) > 5


# --- degradation


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("old", "new"), [(40, 20), (41, 17), (20, 40), (9, 9)])
def test_a_matrix_of_resizing_is_what_torch_does(mode: str, old: int, new: int) -> None:
    import torch

    from reelmend.networks.train.degrade import resize_matrix

    x = torch.rand(1, 1, old, old, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    m = torch.from_numpy(resize_matrix(mode, old, new).copy())
    expected = torch.nn.functional.interpolate(x, (new, new), mode=mode, antialias=True)
    assert torch.allclose(m @ x @ m.T, expected, atol=1e-6)


@pytest.mark.parametrize("kernel", ["area", "lanczos", "bicubic", "bilinear"])
def test_resizing_keeps_what_is_flat(kernel: str) -> None:
    from reelmend.networks.train.degrade import blur_matrix, resize_matrix

    assert np.allclose(resize_matrix(kernel, 24, 12).sum(1), 1)
    assert np.allclose(blur_matrix(0.7, 24).sum(1), 1)
    assert np.array_equal(blur_matrix(0, 5), np.eye(5))


def test_area_is_the_mean_of_a_square() -> None:
    from reelmend.networks.train.degrade import resize_matrix

    assert np.array_equal(resize_matrix("area", 6, 3), np.kron(np.eye(3), [[0.5, 0.5]]))


def test_compression_is_near_what_a_jpeg_of_that_quality_leaves() -> None:
    import cv2
    import torch

    from reelmend.networks.train.degrade import compress

    rng = np.random.default_rng(5)
    gray = cv2.GaussianBlur(rng.integers(0, 256, (50, 70), np.uint8), (5, 5), 0)
    rgb = np.clip(gray[..., None] + np.linspace((-40, 0, 40), (40, 20, -40), 70), 0, 255).astype(np.uint8)
    x = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    errors = []
    # at high quality the codec's rounding to 8 bits between its steps is as large as what it quantises
    for quality, share in ((30, 0.35), (90, 0.6)):
        _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float64)
        got = compress(x, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy() * 255
        lost = np.sqrt(np.mean((expected - rgb) ** 2))
        assert np.sqrt(np.mean((got - expected) ** 2)) < share * lost
        errors.append(np.sqrt(np.mean((got - rgb) ** 2)))
    assert errors[1] < 0.5 * errors[0]


# --- loss


def test_losses_are_what_they_say() -> None:
    import torch

    from reelmend.networks.train.loss import distance
    from reelmend.networks.train.recipe import Loss

    a, b = torch.rand(2, 2, 3, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    d = (a - b).numpy()
    y = np.einsum("bchw,c->bhw", d, [0.2126, 0.7152, 0.0722])
    assert distance(a, b, Loss("l1")).item() == pytest.approx(np.abs(d).mean())
    assert distance(a, b, Loss("l2")).item() == pytest.approx((d * d).mean())
    assert distance(a, b, Loss("charbonnier", 0.1)).item() == pytest.approx(np.sqrt(d * d + 0.01).mean())
    assert distance(a, b, Loss("l2", luma=2)).item() == pytest.approx((d * d).mean() + 2 * (y * y).mean(), rel=1e-6)


# --- the loop


def test_a_rate_rises_and_falls_to_its_floor() -> None:
    from reelmend.networks.train.loop import rate_at
    from reelmend.networks.train.recipe import Schedule

    s = Schedule(steps=100, rate=1.0, floor=0.1, warmup=9)
    rates = [rate_at(k, s) for k in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[100] == pytest.approx(0.1)


def test_some_steps_lower_the_loss(recipe_file: Change, stills: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    outcome = trained(recipe_file(), stills, tmp_path / "work", told=lambda step, loss: losses.append(loss))
    assert outcome.finished
    assert outcome.step == len(losses) == 20
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])
    text = (tmp_path / "work" / "curve.csv").read_text().splitlines()
    assert text[0] == "step,loss,rate"
    assert float(text[1].split(",")[1]) == pytest.approx(np.mean(losses))


def test_a_seed_gives_the_same_run_and_another_seed_another(recipe_file: Change, stills: Path, tmp_path: Path) -> None:
    runs = []
    for k, seed in enumerate((3, 3, 4)):
        path = recipe_file(("seed = 3", f"seed = {seed}"), ("steps = 20", "steps = 6"))
        runs.append((trained(path, stills, tmp_path / str(k)).curve, weights(tmp_path / str(k))))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_a_run_stopped_by_its_time_goes_on_to_the_same_bits(recipe_file: Change, stills: Path, tmp_path: Path) -> None:
    path = recipe_file(("steps = 20", "steps = 8"))
    whole = trained(path, stills, tmp_path / "whole")
    parts = 0
    while not (outcome := trained(path, stills, tmp_path / "parts", minutes=1e-3 if parts % 2 else 1e-9)).finished:
        parts += 1
        assert parts < 100
    assert outcome.curve == whole.curve
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    assert parts


def test_a_killed_run_goes_on_from_its_last_checkpoint(recipe_file: Change, stills: Path, tmp_path: Path) -> None:
    from reelmend.networks.train.loop import LAST

    path = recipe_file(("steps = 20", "steps = 40"))
    whole = trained(path, stills, tmp_path / "whole")
    # so slow a run that it is still in its last steps when it is killed
    slow = recipe_file(("steps = 20", "steps = 40"))
    work = tmp_path / "killed"
    program = (
        "import sys, time; from reelmend.networks.train import loop, __main__ as m; act = loop._State.advance\n"
        "def late(self, task):\n    time.sleep(0.2 if self.step >= 5 else 0)\n    return act(self, task)\n"
        "loop._State.advance = late; sys.exit(m.main(sys.argv[1:]))"
    )
    arguments = [str(slow), "--material", str(stills), "--work", str(work), "--threads", "1"]
    running = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (work / LAST).exists() and running.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert running.poll() is None
    finally:
        running.kill()
    assert running.wait() == -signal.SIGKILL
    assert not (work / "weights.pth").exists()
    outcome = trained(slow, stills, work)
    assert outcome.finished
    assert outcome.curve == whole.curve
    assert same(weights(work), weights(tmp_path / "whole"))


def test_a_checkpoint_of_another_recipe_or_damaged_is_refused(
    recipe_file: Change, stills: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    trained(recipe_file(("steps = 20", "steps = 2")), stills, work)
    with pytest.raises(CheckpointError, match="of another recipe than tiny"):
        trained(recipe_file(("steps = 20", "steps = 3")), stills, work)
    (work / "last.pth").write_bytes((work / "last.pth").read_bytes()[:500])
    with pytest.raises(CheckpointError, match="no checkpoint of a training"):
        trained(recipe_file(("steps = 20", "steps = 2")), stills, work)


def test_a_loss_that_is_no_number_ends_the_run(recipe_file: Change, stills: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"loss of step \d+ is (nan|inf); lower schedule.rate"):
        trained(recipe_file(("rate = 0.004", "rate = 1e30"), ("ema = 0.5", "ema = 0.5\nclip = 0")), stills, tmp_path)


# --- the command


def test_the_command_trains_and_gives_figures(
    recipe_file: Change, stills: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reelmend.networks.train.__main__ import main

    material = tmp_path / "material"
    (material / "images").mkdir(parents=True)
    (material / "images" / "stills").symlink_to(stills / "stills")
    path = recipe_file(('path = "stills"', 'path = "images/stills"'))
    split = path.with_name("split.json")
    split.write_text(split.read_text().replace('"stills"', '"images/stills"'))
    words = [str(path), "--material", str(material), "--work", str(tmp_path / "work"), "--threads", "1"]
    assert main([*words, "--minutes", "0"]) == 0
    assert "stopped at step 0 of 20; run again to go on" in capsys.readouterr().out
    assert main(words) == 0
    out = capsys.readouterr().out
    figures = json.loads(out[out.index("{") :])
    assert set(figures) == {"psnr_y_db", "gain_y_db", "gain_y_min_db", "psnr_db", "ssim_y"}
    assert 10 < figures["psnr_y_db"] < 60


def test_the_command_tells_what_is_wrong(
    recipe_file: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reelmend.networks.train.__main__ import main

    assert main([str(recipe_file()), "--only", "prepare"]) == 1
    assert "--material is None; expected the folder" in capsys.readouterr().err
    assert main([str(recipe_file()), "--only", "figures", "--work", str(tmp_path), "--material", str(tmp_path)]) == 1
    assert "is not there: it is written after the last step" in capsys.readouterr().err


# --- Lite


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 8), (8, 8), (8, 12)])
def test_a_collapsed_block_is_the_sum_of_its_branches(inputs: int, outputs: int) -> None:
    import torch
    from torch.nn import functional

    from reelmend.networks.upscale.lite import Collapsible

    torch.manual_seed(0)
    block = Collapsible(inputs, outputs, 32)
    with torch.no_grad():
        for p in block.parameters():
            p.normal_(std=0.2)
        x = torch.rand(1, inputs, 9, 7)
        wide = functional.conv2d(x, block.expand, padding=1)
        branches = functional.conv2d(x, block.plain, padding=1) + functional.conv2d(
            wide, block.project[:, :, None, None]
        )
        branches = branches + block.bias[:, None, None] + (x if inputs == outputs else 0)
        assert torch.allclose(block(x), branches, atol=1e-5)
        assert torch.allclose(block.folded()(x), branches, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_trained_network_is_recognised_and_folded(scale: int) -> None:
    import torch

    from reelmend.networks.upscale.lite import LITE, Lite

    torch.manual_seed(0)
    network = Lite(scale, 8, 3, 16)
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(std=0.1)
    state = network.state_dict()
    assert LITE.matches(None, state)
    assert not LITE.matches(None, network.folded().state_dict())
    found = LITE.recognise(None, state)
    assert (found.family, found.task, found.scale) == ("lite", "upscale", scale)
    assert found.graphs[0].part.radius == 4
    x = torch.rand(1, 3, 11, 13)
    with torch.no_grad():
        made, expected = found.graphs[0].module(x), network(x)
    assert made.shape == (1, 3, 11 * scale, 13 * scale)
    assert torch.allclose(made, expected, atol=1e-5)
    del state["body.1.bias"]
    with pytest.raises(CheckpointError, match=r"missing: body\.1\.bias"):
        LITE.recognise(None, state)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_network_is_bicubic_to_the_edge(scale: int) -> None:
    import torch

    from reelmend.networks.train.degrade import resize_matrix
    from reelmend.networks.upscale.lite import Lite

    x = torch.rand(1, 3, 7, 6, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.pad(x, (8, 8, 8, 8), mode="replicate")
    rows, columns = (torch.from_numpy(resize_matrix("bicubic", n + 16, scale * (n + 16)).astype("f")) for n in (7, 6))
    expected = (rows @ wide @ columns.T)[..., 8 * scale : -8 * scale, 8 * scale : -8 * scale]
    with torch.no_grad():
        assert torch.allclose(Lite(scale, 8, 2, 16)(x), expected, atol=1e-5)
