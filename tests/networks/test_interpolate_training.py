"""The task "interpolate": moments of clips and stills, batches, and training that goes on to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reelmend import ops
from reelmend.errors import MediaError, OptionError

pytestmark = pytest.mark.extra("train")

RECIPE = """
name = "tiny"
task = "interpolate"
licence = "Apache-2.0"
origin = "a test"
seed = 2

[network]
family = "fast"
width = 8
layers = 1

[data]
split = "split.json"
size = 96
candidates = 2

[[data.source]]
path = "video"
patches = 24

[motion]
gaps = { 2 = 0.5, 4 = 0.5 }
even = 0.5

[schedule]
steps = 6
batch = 2
patch = 64
warmup = 1
checkpoint = 2
"""
STEP = 3  # pixels to the left from frame to frame


def texture(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Smooth noise of several scales: uint8 (rows, columns, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((3, rows, columns), np.float32)
    for cell, weight in ((3, 1.0), (8, 1.5), (24, 2.0)):
        for plane in total:
            plane += weight * ops.resize(
                rng.standard_normal((rows // cell + 2, columns // cell + 2)).astype(np.float32), plane.shape
            )
    return np.asarray(np.clip(128 + 40 * np.moveaxis(total, 0, 2) / total.std(), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that pans evenly, and stills."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "video").mkdir()
    (folder / "stills").mkdir()
    wide = texture(128, 240)
    with av.open(str(folder / "video" / "pan.mkv"), "w") as out:
        stream: Any = out.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "bgr0"
        for t in range(14):
            part = np.ascontiguousarray(wide[:, STEP * t : STEP * t + 160])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24").reformat(format="bgr0")))
        out.mux(stream.encode())
    for k in range(3):
        with av.open(str(folder / "stills" / f"{k}.png"), "w") as out:
            stream = out.add_stream("png", 1)
            stream.width, stream.height, stream.pix_fmt = 420, 400, "rgb24"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(texture(400, 420, 10 + k), format="rgb24")))
            out.mux(stream.encode())
    return folder


def recipe_in(folder: Path, text: str = RECIPE, split: Any = None) -> Any:
    from reelmend.networks.train.recipe import load_recipe

    folder.mkdir(exist_ok=True)
    split = split or {"video": {"train": ["pan.mkv"], "test": ["pan.mkv"[::-1]]}}
    (folder / "split.json").write_text(json.dumps(split))
    (folder / "recipe.toml").write_text(text)
    return load_recipe(folder / "recipe.toml")


@pytest.fixture(scope="module")
def moments(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from reelmend.networks.train.moments import Moments, prepare_moments

    work = tmp_path_factory.mktemp("work")
    recipe = recipe_in(work / "recipe", split={"video": {"train": ["pan.mkv"], "test": []}})
    prepare_moments(recipe, material, work)
    return Moments.load(sorted(work.glob("moments-*.npz")))


def psnr(a: Any, b: Any) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(a) - np.asarray(b)) ** 2) + 1e-9))


def test_moments_of_a_clip_hold_its_motion(moments: Any) -> None:
    from reelmend.networks.train.moments import PLANES

    assert moments.pictures.shape == (24, 3, 96, 96, 3)
    assert moments.search.shape == (24, PLANES, 24, 24)
    for search, t in zip(moments.search.astype(np.float32), moments.times, strict=True):
        inner = search[:, 4:-4, 4:-4]
        gap = -np.median(inner[9]) / STEP
        assert abs(gap - round(gap)) < 0.1
        assert round(gap) in (2, 4)
        assert np.isclose(t * round(gap), round(t * round(gap)))
        assert abs(np.median(inner[0]) - STEP * t * round(gap)) < 0.3  # back to a, to the right
        assert abs(np.median(inner[2]) + STEP * (1 - t) * round(gap)) < 0.3
        assert abs(np.median(inner[[1, 3, 5, 7, 10, 12]])) < 0.2


def test_batches_stay_true_however_they_are_turned(moments: Any) -> None:
    """Mirrored, turned and reversed in time, what the search tells of a pair still leads to the picture between."""
    from reelmend.networks.train.between import drawn, searched, whole

    plain = psnr(searched(whole(moments, range(24))), whole(moments, range(24)).truth)
    assert plain > 34
    seen = set()
    for seed in range(12):
        batch = drawn(moments, 4, 64, np.random.default_rng(seed))
        assert batch.truth.shape == (4, 3, 64, 64)
        for one, t, made in zip(batch.truth, batch.t, searched(batch), strict=True):
            assert psnr(made, one) > plain - 8
            seen.add(round(float(t), 2))
        seen |= {("x" if abs(f[0].mean()) > abs(f[1].mean()) else "y", bool(f[:2].mean() > 0)) for f in batch.flows}
    assert {0.25, 0.5, 0.75} <= seen
    assert {("x", True), ("x", False), ("y", True), ("y", False)} <= seen


def test_geometry_in_training_is_that_of_the_ops() -> None:
    import torch

    from reelmend.networks.train.between import fetched, resized

    rng = np.random.default_rng(1)
    plane = rng.random((40, 56)).astype(np.float32)
    flow = (6 * rng.standard_normal((2, 24, 32))).astype(np.float32)
    found = fetched(torch.from_numpy(plane)[None, None], torch.from_numpy(flow)[None], torch.tensor([[8.0, 4.0]]))
    far = np.zeros((2, 40, 56), np.float32)
    far[:, 4:28, 8:40] = flow
    assert np.abs(found[0, 0].numpy() - ops.warp(plane, far)[4:28, 8:40]).max() < 1e-5
    for size in ((20, 28), (5, 7), (80, 112)):
        theirs = resized(torch.from_numpy(plane)[None, None], size)[0, 0].numpy()
        assert np.abs(theirs - ops.resize(plane, size)).max() < 1e-5


def test_layers_of_stills_move_evenly_where_told_so(material: Path, tmp_path: Path) -> None:
    from reelmend.networks.train.data import picture
    from reelmend.networks.train.moments import cut, layered

    stills = [picture(material / "stills" / f"{k}.png") for k in range(3)]
    known, unknown = (
        layered(stills, recipe_in(tmp_path / str(even), RECIPE.replace("even = 0.5", f"even = {even}.0")), rng)
        for even, rng in ((0, np.random.default_rng(4)), (1, np.random.default_rng(4)))
    )
    assert known.before is not None
    assert known.after is not None
    assert unknown.before is None
    assert unknown.after is None
    assert np.array_equal(known.a, unknown.a)
    assert np.array_equal(known.truth, unknown.truth)
    assert 0 < known.t < 1
    apart = [np.abs(p.astype(int) - q.astype(int)).mean() for p, q in ((known.a, known.b), (known.a, known.truth))]
    assert apart[0] > 2
    assert apart[1] > 1
    patches = cut(known, 96, 2, np.random.default_rng(0))
    assert patches is not None
    assert patches.pictures.shape == (4, 3, 96, 96, 3)


def broken_off(step: int, loss: float) -> None:
    if step == 3:
        raise KeyboardInterrupt


def test_training_lowers_the_loss_and_goes_on_to_the_bit(material: Path, tmp_path: Path) -> None:
    import torch

    from reelmend.networks.fast import FAST
    from reelmend.networks.train.loop import train
    from reelmend.networks.train.task import task_of

    split: Any = {"video": {"train": ["pan.mkv"], "test": []}}
    recipe = recipe_in(tmp_path / "recipe", split=split)
    found = []
    for name in ("at once", "broken off"):
        work = tmp_path / name
        task_of(recipe).prepare(material, work)
        if name == "broken off":
            with pytest.raises(KeyboardInterrupt):
                train(recipe, task_of(recipe), work, threads=1, told=broken_off)
        assert train(recipe, task_of(recipe), work, threads=1).finished
        found.append(torch.load(work / "weights.pth", weights_only=True)["params_ema"])
    assert all(torch.equal(found[0][k], found[1][k]) for k in found[0])
    assert FAST.recognise(found[0], found[0]).family == "fast"
    task = task_of(recipe)
    task.open(tmp_path / "at once", "cpu")
    both = task.moments.pictures[:, :2].astype(int)  # a cross-fade, which no search finds
    task.moments.pictures[:, 2] = both.mean(1)
    task.moments.times[...] = 0.5
    network = task.network()
    before = float(task.loss(network, np.random.default_rng(0)).detach())
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        task.loss(network, np.random.default_rng(0)).backward()
        optimiser.step()
    assert float(task.loss(network, np.random.default_rng(0)).detach()) < 0.7 * before


def test_what_is_hard_is_drawn_more_often(moments: Any) -> None:
    from copy import copy

    from reelmend.networks.train.interpolate import _shares

    harder = copy(moments)
    harder.pictures = moments.pictures.copy()
    harder.pictures[3, 2] = 255 - harder.pictures[3, 2]
    shares = _shares(harder)
    assert np.isclose(shares.sum(), 1)
    assert shares.argmax() == 3
    assert shares[3] > 1.5 * np.delete(shares, 3).max()
    assert shares.min() >= 0.5 / 24


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('family = "fast"', 'family = "slow"'), "network.family is 'slow'; expected fast, superslomo"),
        (("width = 8", "width = 0"), "expected width and layers, whole numbers"),
        (("patch = 64", "patch = 42"), "expected multiples of 4 and 4"),
        (("2 = 0.5, 4", "1 = 0.5, 4"), "motion.gaps is .*; expected shares above 0 by whole numbers from 2 on"),
        (("even = 0.5", "even = 1.5"), r"motion: even 1\.5"),
    ],
)
def test_recipes_are_read_strictly(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    from reelmend.networks.train.task import task_of

    with pytest.raises(OptionError, match=words):
        task_of(recipe_in(tmp_path / "recipe", RECIPE.replace(*change)))


def test_patches_of_another_recipe_are_not_mixed_in(material: Path, tmp_path: Path) -> None:
    from reelmend.networks.train.moments import prepare_moments

    split = {"video": {"train": ["pan.mkv"], "test": []}}
    prepare_moments(recipe_in(tmp_path / "one", split=split), material, tmp_path)
    with pytest.raises(OptionError, match="holds moments of another recipe"):
        prepare_moments(recipe_in(tmp_path / "two", RECIPE.replace("seed = 2", "seed = 3"), split), material, tmp_path)
    with pytest.raises(MediaError, match=r"none\.mkv is not there"):
        prepare_moments(
            recipe_in(tmp_path / "three", split={"video": {"train": ["none.mkv"], "test": []}}),
            material,
            tmp_path / "other",
        )


def test_dains_projection_in_training_is_that_of_the_op() -> None:
    import torch

    from reelmend.networks.train.projecting import projected

    rng = np.random.default_rng(3)
    coarse = (9 * rng.standard_normal((2, 2, 6, 8))).astype(np.float32)
    flow = np.stack([[ops.resize(p, (48, 64)) for p in one] for one in coarse])
    weight = torch.from_numpy(rng.uniform(0.2, 2.0, (2, 1, 48, 64)).astype(np.float32)).requires_grad_()
    found = projected(torch.from_numpy(flow), torch.tensor([0.25, 0.6]).reshape(2, 1, 1, 1), weight)
    for one, made, near, t in zip(flow, found.detach().numpy(), weight.detach().numpy(), (0.25, 0.6), strict=True):
        expected, holes = ops.project_flow(np.ascontiguousarray(one), t=t, depth_weight=near[0])
        assert 0.01 < holes.mean() < 0.6
        # where rounding decides on which side of a whole place a pixel passes, one more or less counts
        assert (np.abs(made - expected).max(0) < 1e-3).mean() > 0.99
    (found * found).sum().backward()
    assert weight.grad is not None
    assert float(weight.grad.abs().mean()) > 0


def test_dains_adaptive_warp_in_training_is_that_of_the_op() -> None:
    import torch

    from reelmend.networks.train.projecting import adaptive

    rng = np.random.default_rng(4)
    planes = rng.random((3, 40, 56)).astype(np.float32)
    flow = (4 * rng.standard_normal((2, 24, 32))).astype(np.float32)
    taps = rng.standard_normal((16, 24, 32)).astype(np.float32)
    place = np.stack(np.meshgrid(np.arange(8, 40), np.arange(4, 28)))
    flow = np.clip(place + flow, 0, np.array([55, 39]).reshape(2, 1, 1)).astype(np.float32) - place
    flow = flow.astype(np.float32)
    given = (torch.from_numpy(x)[None] for x in (planes, flow, taps))
    found = adaptive(*given, torch.tensor([[8.0, 4.0]]))[0].numpy()
    whole, all_taps = np.zeros((2, 40, 56), np.float32), np.zeros((16, 40, 56), np.float32)
    whole[:, 4:28, 8:40], all_taps[:, 4:28, 8:40] = flow, taps
    expected = np.stack(ops.adaptive_warp(list(planes), whole, all_taps))[:, 4:28, 8:40]
    part = (flow + place) % 1
    near = ((part > 1e-4) & (part < 1 - 1e-4)).all(0)
    assert np.abs(found - expected)[:, near].max() < 1e-4


@pytest.mark.parametrize(
    "network",
    [
        'family = "superslomo"\nwidths = [4, 6, 8, 8, 8, 8]',
        'family = "dain"\ncontext = 2\nkernels = [4, 4, 6, 6, 8, 8]\nsynthesis = 6\ndepth = 4\nresidual = 1',
    ],
)
def test_other_families_train_and_become_networks(network: str, material: Path, tmp_path: Path) -> None:
    import torch

    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.importing import recognise
    from reelmend.networks.train.between import searched, whole
    from reelmend.networks.train.loop import train
    from reelmend.networks.train.task import task_of

    begin, end = RECIPE.index("family ="), RECIPE.index("[data]")
    text = RECIPE[:begin] + network + "\n\n" + RECIPE[end:].replace("steps = 6", "steps = 2").replace("= 96", "= 128")
    recipe = recipe_in(tmp_path / "recipe", text, {"video": {"train": ["pan.mkv"], "test": []}})
    task = task_of(recipe)
    task.prepare(material, tmp_path)
    assert train(recipe, task, tmp_path, threads=1).finished
    found = recognise(read_checkpoint(tmp_path / "weights.pth"))
    assert found.family == network.split('"')[1]
    assert "flow" not in {graph.part.name for graph in found.graphs}
    task.open(tmp_path, "cpu")
    batch = whole(task.moments, range(2))
    with torch.no_grad():
        made = task.chain.made(task.network(), batch)[0]
    inner = (slice(None), slice(None), slice(16, 80), slice(16, 80))
    assert psnr(made[inner], searched(batch)[inner]) > 32  # untrained, it is nearly the search


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ('family = "superslomo"\nwidths = [4, 6]', "expected widths, six whole numbers"),
        ('family = "dain"\ncolour = 3', "expected some of context, depth, kernels"),
    ],
)
def test_sizes_of_other_families_are_read_strictly(network: str, words: str, tmp_path: Path) -> None:
    from reelmend.networks.train.task import task_of

    begin, end = RECIPE.index("family ="), RECIPE.index("[data]")
    with pytest.raises(OptionError, match=words):
        task_of(recipe_in(tmp_path / "recipe", RECIPE[:begin] + network + "\n\n" + RECIPE[end:]))
