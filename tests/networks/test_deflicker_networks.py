"""The networks of BlazeBVD: what training computes is what the stage computes, and what they are recognised by."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from reelmend import ops
from reelmend.analyze.degrade import make
from reelmend.analyze.scenes import Film
from reelmend.errors import OptionError
from reelmend.frame import Frame, PixelFormat, VideoInfo

pytestmark = pytest.mark.extra("train")

torch = pytest.importorskip("torch")

from reelmend.engines import load_network  # noqa: E402
from reelmend.networks.deflicker.family import Blaze  # noqa: E402
from reelmend.networks.deflicker.gfrm import KNOTS, GridGfrm, UNetGfrm, drifts, steady, toned  # noqa: E402
from reelmend.networks.deflicker.lfrm import VIEWS, Lfrm  # noqa: E402
from reelmend.networks.importing import import_checkpoint  # noqa: E402
from reelmend.networks.train import deflicker as training  # noqa: E402
from reelmend.networks.train.flicker import SIZE, Draw, flickering, make_run, prepare_runs, seen_by  # noqa: E402
from reelmend.networks.train.recipe import load_recipe  # noqa: E402
from reelmend.stages.deflicker import trust  # noqa: E402
from reelmend.stages.deflicker.item import Item  # noqa: E402
from reelmend.stages.deflicker.networks import PARTS, Networks  # noqa: E402
from reelmend.stages.deflicker.priors import MID, PLANES, POINTS, SMALL, TONES, Sight, View, global_inputs  # noqa: E402

INFO = VideoInfo(SIZE[1], SIZE[0], PixelFormat("rgb", 8), time_base=Fraction(1, 30))
DRAW = Draw("gain_gamma+local", 5, 1.0, "low", 0)
SHIPPED = Path(__file__).parents[2] / "engines" / "blaze"


def drawn(seed: int = 0) -> Blaze:
    """All three with weights that do something."""
    torch.manual_seed(seed)
    net = Blaze(PLANES, TONES, width=8, temporal=8, local=4)
    with torch.no_grad():
        for p in net.parameters():
            if not p.any():
                p.normal_(0, 0.02)
    return net.eval()


@pytest.fixture(scope="module")
def frames():
    film = Film(28, width=SIZE[1], height=SIZE[0])
    return [film[t] for t in range(14)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network in a catalogue, exported from `drawn`."""
    place = tmp_path_factory.mktemp("catalogue")
    path = place / "drawn.pth"
    torch.save({"family": "blaze", "params_ema": drawn().state_dict()}, path)
    return import_checkpoint(path, catalogue=place, precisions=("fp32",)).folder


def test_is_recognised_with_all_its_parts(folder):
    network = load_network(folder)
    assert (network.family, network.task) == ("blaze", "deflicker")
    assert set(network.parts) == set(PARTS)
    assert network.parts["global"].inputs[0].shape[1] == PLANES
    assert network.parts["global"].inputs[1].shape[1] == TONES


def test_training_and_the_stage_compute_the_same(frames, folder):
    seen = seen_by(flickering(frames, DRAW), DRAW.mode)
    run = make_run(frames, DRAW, False)
    nets = drawn().nets
    held = training._Held.of(run)
    with torch.no_grad():
        x = toned(held.made, *nets["global"](held.grid.float(), held.tones)).clamp(0, 1)
        truth = training.followed(
            nets["temporal"],
            x[:, None],
            held.back[:, None].float(),
            held.fore[:, None].float(),
            torch.tensor([held.ahead]),
        )[:, 0].numpy()

    got = []

    class Watched(Networks):
        def _done(self, entry, before, following):
            past = super()._done(entry, before, following)
            got.append(past.small)
            return past

    from reelmend.stages.deflicker.apply import Brush
    from reelmend.stages.deflicker.networks import ahead_of

    networks = Watched(load_network(folder), ("global", "temporal"), ahead_of(4), Brush(None, (), True), INFO)
    fmt = PixelFormat("rgb", 8)
    blank = [Frame((np.zeros(SIZE, np.uint8),) * 3, fmt, t, Fraction(1, 30), 1) for t in range(len(seen))]
    import reelmend.stages.deflicker.networks as stage

    given = iter(seen)
    original = stage.sight_of, stage.kept
    stage.sight_of = lambda *a: next(given)
    stage.kept = lambda apart: 1.0  # training follows them all the way
    try:
        for frame in blank:
            item = Item(0, frame, frame, None, 1, (0, 0, SIZE[1], SIZE[0]), False)
            networks.push(item, None, frame, None, True)
        networks.flush()
    finally:
        stage.sight_of, stage.kept = original
    assert len(got) == len(seen)
    # training keeps what it reads as float16
    assert np.abs(truth - seen_small(seen)).max() > 0.01, "the networks change nothing"
    np.testing.assert_allclose(np.stack(got), truth, atol=4e-3)


def seen_small(seen):
    return np.stack([s.made.small for s in seen])


def test_toned_is_what_map_tones_does():
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 65536, (40, 64, 3)).astype(np.uint16)
    curves = rng.uniform(-0.1, 0.1, (3, KNOTS)).astype(np.float32)
    gains = rng.uniform(-0.2, 0.2, (3, 5, 8)).astype(np.float32)
    at = np.linspace(0, 1, 4096)
    change = np.stack([np.interp(at, np.linspace(0, 1, KNOTS), c) for c in curves]).astype(np.float32)
    x = torch.from_numpy(np.moveaxis(picture, 2, 0)[None].astype(np.float32) / 65535)
    expected = toned(x, torch.from_numpy(curves)[None], torch.from_numpy(gains)[None]).clamp(0, 1)[0].numpy()
    got = ops.map_tones(picture, change, gains=gains[:, None], color="rgb", depth=16, dither=False)
    np.testing.assert_allclose(np.moveaxis(got, 2, 0) / 65535, expected, atol=3e-4)


def test_the_stage_tells_as_the_network_does_where_light_is_added(frames):
    for kind in ("additive", "gain_gamma"):
        seen = seen_by(flickering(frames, Draw(kind, 4, 1.0, "film", 0)), "film")
        for k in (0, len(seen) // 2):
            tones = global_inputs(seen, k)[1]
            expected = drifts(torch.from_numpy(tones)[None])[0, :, 0].numpy()
            np.testing.assert_allclose(trust.drifts(tones), expected, atol=1e-4)
            assert (expected.mean() > 0.5) == (kind == "additive")


def test_moved_is_what_warp_does():
    rng = np.random.default_rng(2)
    x = rng.random((20, 30)).astype(np.float32)
    flow = rng.uniform(-6, 6, (2, 20, 30)).astype(np.float32)
    got = training.moved(torch.from_numpy(x)[None, None], torch.from_numpy(flow)[None])[0, 0].numpy()
    np.testing.assert_allclose(got, ops.warp(x, flow), atol=1e-4)


def test_steady_tells_the_curve_that_places_which_stand_still_need():
    rng = np.random.default_rng(3)
    near = rng.random((3, *SMALL)).astype(np.float32)
    now = np.clip(near - 0.05, 0, 1)
    grid = np.zeros((1, PLANES, *SMALL), np.float32)
    grid[0, :3], grid[0, 10:13] = now, near
    # half of the picture moves, and is another there
    grid[0, 19, :, 32:] = 1.0
    grid[0, 10:13, :, 32:] = 0
    curve, sure = (t.numpy()[0] for t in steady(torch.from_numpy(grid)))
    np.testing.assert_allclose(curve[:, 1:-1], 0.05, atol=0.01)
    assert (sure[:, 1:-1] > 0.5).all()
    assert (sure[:, -1] < sure[:, 4]).all()


@pytest.mark.parametrize(("kind", "low", "high"), [("additive", 0.7, 1.0), ("gain_gamma", 0.0, 0.3), ("local", 0, 0.3)])
def test_drifts_tells_light_that_is_added(kind, low, high):
    ramp = np.linspace(25, 230, MID[1]).astype(np.uint8)
    clean = np.broadcast_to(ramp[None, :, None], (*MID, 3)).copy()
    flicker = make(kind, seed=3)
    views = [View.made(np.moveaxis(flicker.apply(clean, t), 2, 0).astype(np.float32) / 255) for t in range(40)]
    seen = [Sight.of(v, v, np.linspace(0, 1, 64, dtype=np.float32)) for v in views]
    _, tones = global_inputs(seen, 20)
    told = float(drifts(torch.from_numpy(tones)[None]).mean())
    assert low <= told <= high


def test_exchanged_colours_and_mirrors_are_those_of_exchanged_and_mirrored_pictures(frames):
    mids = [np.stack([ops.resize(np.ascontiguousarray(f[..., c]), MID) for c in range(3)]) / 255 for f in frames[:4]]
    tables = np.linspace(0, 1, 256, dtype=np.float32) ** 0.9

    class Fixed:
        def __init__(self, order, mirror):
            self.order, self.mirror = order, mirror

        def integers(self, n):
            return self.order

        def random(self):
            return 0.0 if self.mirror else 1.0

    def inputs(order, mirror):
        seen = []
        for k, mid in enumerate(mids):
            raw, made = (
                np.ascontiguousarray((m * g)[list(order)][..., :: -1 if mirror else 1], np.float32)
                for m, g in ((mid, 0.7 + 0.1 * k), (mid, 0.9))
            )
            seen.append(Sight.of(View.made(raw), View.made(made), tables))
        return global_inputs(seen, 1)

    grid, tones = inputs((0, 1, 2), False)
    for order, mirror in ((1, False), (3, True), (5, True)):
        got = training.varied(torch.from_numpy(grid)[None], torch.from_numpy(tones)[None], [], Fixed(order, mirror))
        expected = inputs(training._RGB[order], mirror)
        np.testing.assert_allclose(got[0][0].numpy(), expected[0], atol=1e-5)
        np.testing.assert_allclose(got[1][0].numpy(), expected[1], atol=1e-5)


def test_lfrm_takes_nothing_where_nothing_is_lost_or_neighbours_lost_as_much():
    torch.manual_seed(4)
    net = Lfrm(4)
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(0, 0.3)
    views = torch.rand(1, VIEWS, 32, 48)
    views[:, 9:] = 0
    there = torch.ones(1, 2, 1, 1)
    with torch.no_grad():
        assert torch.equal(net(views, there)[:, 0], torch.ones(1, 32, 48))
        views[:, 9:11, 10:20, 10:20] = 1
        views[:, 11:] = 1
        assert torch.equal(net(views, there)[:, 0], torch.ones(1, 32, 48))
        views[:, 11:] = 0
        weights = net(views, there)
        assert float(weights[:, 1:, 12:18, 12:18].min()) > 0
        np.testing.assert_allclose(weights.sum(1).numpy(), 1, atol=1e-6)
        # what was lost is a share, however it was rounded
        views[:, 11:] = -1e-3
        assert float(net(views, there).min()) >= 0
        views[:, 11:] = 0
        # what is not there is not taken
        alone = net(views, torch.tensor([[1.0, 0.0]]).view(1, 2, 1, 1))
        assert float(alone[:, 2].max()) < 1e-6


def test_the_papers_unet_has_its_channels_and_keeps_the_size():
    net = UNetGfrm()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(8.6e6, rel=0.2)
    with torch.no_grad():
        assert UNetGfrm((4, 8, 8, 8, 8))(torch.rand(1, 6, 32, 48)).shape == (1, 3, 32, 48)


RECIPE = """
name = "tiny"
task = "deflicker"
licence = "Apache-2.0"
origin = "a test"
seed = 2

[network]
family = "blaze"
width = 8
temporal = 8
local = 4

[data]
split = "split.json"

[[data.source]]
path = "stills"
patches = 4
frames = 24

[flicker]
clean = 0.0

[schedule]
steps = 4
batch = 8
warmup = 1
checkpoint = 2
"""


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    import av

    place = tmp_path_factory.mktemp("material")
    (place / "stills").mkdir()
    film = Film(8, width=400, height=240)
    for k in range(3):
        with av.open(str(place / "stills" / f"{k}.png"), "w", format="image2", options={"update": "1"}) as out:
            stream = out.add_stream("png", rate=1)
            stream.width, stream.height, stream.pix_fmt = 400, 240, "rgb24"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(film[2 * k], format="rgb24")))
            out.mux(stream.encode())
    (place / "recipe.toml").write_text(RECIPE)
    (place / "split.json").write_text('{"stills": {"train": ["0.png", "1.png"], "test": ["2.png"]}}')
    return place


def test_runs_are_made_once_and_training_goes_on_to_the_bit(material, tmp_path):
    from reelmend.networks.train.loop import train

    recipe = load_recipe(material / "recipe.toml")
    task = training.Deflicker(recipe)
    work = tmp_path / "work"
    task.prepare(material, work)
    made = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in work.glob("run-*.npz")}
    assert len(made) == 4
    next(iter(work.glob("run-*.npz"))).unlink()
    task.prepare(material, work)
    again = {p.name: p.read_bytes() for p in work.glob("run-*.npz")}
    assert again.keys() == made.keys()
    for name, (_, data) in made.items():
        with np.load(work / name) as held:
            assert held["grid"].shape[1:] == (PLANES, *SMALL), name
        assert again[name] == data
    whole = train(recipe, task, work, threads=1)
    assert whole.finished
    weights = torch.load(work / "weights.pth", weights_only=True)["params_ema"]
    (work / "weights.pth").unlink()
    (work / "last.pth").unlink()
    assert not train(recipe, task, work, threads=1, minutes=0).finished
    train(recipe, task, work, threads=1)
    for name, x in torch.load(work / "weights.pth", weights_only=True)["params_ema"].items():
        assert torch.equal(x, weights[name]), name
    network = task.network()
    network.load_state_dict(weights)
    figures = task.figures(network.eval(), material)
    assert figures.keys() >= {"equalised_db", "global_db", "temporal_db", "lost_before_db", "lost_after_db"}


def test_the_papers_network_trains_and_runs_in_the_stage(material, tmp_path):
    from reelmend import Deflicker, Stream, to_rgb
    from reelmend.networks.train.gfrm import Gfrm
    from reelmend.networks.train.loop import train

    network = '[network]\nfamily = "gfrm"\nchannels = [4, 6, 8]\n'
    text = RECIPE[: RECIPE.index("[network]")] + network + RECIPE[RECIPE.index("[data]") - 1 :]
    text = text.replace('"deflicker"', '"gfrm"').replace("batch = 8", "batch = 2\npatch = 64\nrate = 0.01")
    path = material / "paper.toml"
    path.write_text(text)
    recipe = load_recipe(path)
    task = Gfrm(recipe)
    task.prepare(material, tmp_path)
    assert train(recipe, task, tmp_path, threads=1).finished
    imported = import_checkpoint(tmp_path / "weights.pth", name="paper", catalogue=tmp_path, precisions=("fp32",))
    assert imported.family == "gfrm"
    film = Film(8, width=322, height=182)
    flicker = make("gain_gamma", seed=1)
    given = [Frame.from_array(flicker.apply(film[t], t), t, time_base=Fraction(1, 25)) for t in range(8)]
    stage = Deflicker(mode="live", gate="always", networks=True, network=imported)
    out = list(Stream([stage]).process(given))
    assert [f.pts for f in out] == list(range(8))
    net = task.network()
    net.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True)["params_ema"])
    figures = task.figures(net.eval(), material)
    assert 5 < figures["input_db"] < 50
    assert 5 < figures["gfrm_db"] < 50
    # without a future and with one frame, V~ is V
    rgb = torch.from_numpy(np.moveaxis(to_rgb(given[0]), 2, 0).astype(np.float32) / 255)
    x = torch.cat([rgb, rgb.amax(0, keepdim=True).expand(3, -1, -1)])[None]
    x = torch.nn.functional.pad(x, (0, -322 % 4, 0, -182 % 4), mode="replicate")
    with torch.no_grad():
        expected = net.eval()(x)[0, :, :182, :322].clamp(0, 1).numpy()
    got = np.moveaxis(to_rgb(out[0]), 2, 0) / 255
    assert np.abs(got - expected).mean() < 0.02
    with pytest.raises(OptionError, match="every pixel"):
        Deflicker(networks=True, network=imported, protect=((0, 0, 8, 8),)).declare(INFO, "cpu")


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ('family = "gfrm"\nchannels = [4]', "channels"),
        ('family = "blaze"\nchannels = [4, 4]', "family"),
        ('family = "gfrm"\nchannels = [4, 4]\nwidth = 3', "family"),
        ('family = "gfrm"\nchannels = [4, 4, 4, 4, 4, 4, 4, 4]', "patch"),
    ],
)
def test_the_papers_recipes_are_read_strictly(tmp_path, network, told):
    from reelmend.networks.train.gfrm import Gfrm

    path = tmp_path / "recipe.toml"
    text = RECIPE[: RECIPE.index("[network]")] + f"[network]\n{network}\n" + RECIPE[RECIPE.index("[data]") - 1 :]
    path.write_text(text.replace('task = "deflicker"', 'task = "gfrm"'))
    with pytest.raises(OptionError, match=told):
        Gfrm(load_recipe(path))


def test_runs_of_another_recipe_are_not_mixed_in(material, tmp_path):
    recipe = load_recipe(material / "recipe.toml")
    (tmp_path / "runs.json").write_text("{}")
    with pytest.raises(OptionError, match="another recipe"):
        prepare_runs(recipe, material, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('"blaze"', '"lite"'), "network.family"),
        (("width = 8", "widths = 8"), "network has"),
        (("clean = 0.0", "clean = 1.5"), "flicker.clean"),
        (("clean = 0.0", "strength = [2.0, 1.0]"), "strength"),
        (("clean = 0.0", "kinds = { local = 0.0 }"), "flicker.kinds"),
    ],
)
def test_recipes_are_read_strictly(material, tmp_path, change, told):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(*change))
    with pytest.raises(OptionError, match=told):
        training.Deflicker(load_recipe(path))


def test_a_compressed_run_has_as_many_frames(frames):
    bad = flickering(frames, Draw("additive", 1, 1.0, "film", 30))
    assert len(bad) == len(frames)
    flicker = make("additive", seed=1)
    for a, (t, b) in zip(bad, enumerate(frames), strict=True):
        expected = flicker.apply(b, t)
        assert 0 < np.abs(a.astype(int) - expected).mean() < 12


def test_flow_of_runs_points_to_the_frame_before_and_the_next(frames):
    run = make_run(frames, Draw("", 1, 1.0, "film", 0), True)
    small = run.arrays["clean"].astype(np.float32) / 65535
    for t, (a, b) in enumerate(pairwise(small)):
        moved = np.stack(ops.warp(list(b), run.arrays["fore"][t].astype(np.float32)))
        assert np.abs(moved - a).mean() <= np.abs(b - a).mean() + 1e-3
    assert run.arrays["mid"].shape == (len(frames), 3, *MID)
    assert run.arrays["tones"].shape == (len(frames), 5 * 3 * POINTS)


def test_gfrm_changes_nothing_before_training():
    net = GridGfrm(PLANES, TONES, 8)
    with torch.no_grad():
        curves, gains = net(torch.zeros(1, PLANES, *SMALL), torch.zeros(1, TONES))
    assert not curves.any()
    assert not gains.any()
