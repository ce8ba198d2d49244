"""Import: real files of weights give the pictures of their originals, through the engine; others are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest

from reelmend.engines import open_engine
from reelmend.engines.samples import samples
from reelmend.errors import CheckpointError, NetworkError, OptionError

pytestmark = [pytest.mark.extra("train"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FILES = {"spanv2_c2_x4.pth": 4, "disp_x4.pth": 4, "span_x4.pth": 4, "rt4ksr_x2.pth": 2}
STILLS = ("1001682", "1028637", "106399", "1082342", "1110472", "1130683", "1173777", "1200348")


@pytest.fixture(scope="module")
def imported(material, tmp_path_factory):
    """Each of FILES as a network, by its name."""
    from reelmend.networks.importing import import_checkpoint

    catalogue = tmp_path_factory.mktemp("catalogue")
    return {name: import_checkpoint(material / "weights" / name, catalogue=catalogue) for name in FILES}


@pytest.fixture(scope="module")
def stills(material):
    """Photographs, uint8 (rows, columns, 3), their sides multiples of 4."""
    from reelmend import to_rgb
    from reelmend.media import open_source

    found = []
    for path in [material / "images" / "cid22_512" / f"{name}.webp" for name in STILLS]:
        if path.is_file():
            with open_source(path) as source:
                found.append(to_rgb(next(iter(source)))[:512, :512])
    assert len(found) >= 6
    return [p[: p.shape[0] // 4 * 4, : p.shape[1] // 4 * 4] for p in found]


def luma(rgb):
    """BT.601 luma of 8-bit RGB, as results of super-resolution are compared."""
    return 16 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255


def psnr(a, b, border):
    d = (luma(a.astype(float)) - luma(b.astype(float)))[border:-border, border:-border]
    return 10 * np.log10(255**2 / np.mean(d**2))


@pytest.mark.parametrize("file", FILES)
def test_pictures_are_better_than_bicubic_by_a_decibel_and_a_half(imported, stills, file):
    from PIL import Image

    scale, network = FILES[file], imported[file]
    assert network.scale == scale
    gains = []
    for truth in stills:
        height, width = truth.shape[:2]
        small = Image.fromarray(truth).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
        bicubic = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
        x = np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 255)
        with open_engine(network, size=x.shape[2:]) as engine:
            assert engine.size == x.shape[2:]
            y = engine.run({"x": x})["y"]
        made = np.rint(y[0].clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        gains.append(psnr(made, truth, scale) - psnr(bicubic, truth, scale))
    assert np.mean(gains) >= 1.5
    assert min(gains) > 0


@pytest.mark.parametrize("file", FILES)
def test_the_engine_gives_what_the_checkpoint_gives_in_torch(imported, material, file):
    import torch

    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.importing import recognise

    (graph,) = recognise(read_checkpoint(material / "weights" / file)).graphs
    # a picture: on noise these networks answer with values far beyond 0..1, and differ by as much more
    x = dict(samples(graph.part, (46, 70)))["odd size"]["x"]
    with torch.no_grad():
        expected = graph.module(torch.from_numpy(x)).numpy()
    with open_engine(imported[file], size=(46, 70)) as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], expected, atol=1e-4)


@pytest.mark.parametrize("file", FILES)
def test_nothing_beyond_the_radius_counts(imported, file):
    """Which is what makes tiles exact; at the radius something does."""
    part = imported[file].part()
    radius, m = part.radius, part.multiple
    assert radius is not None
    side = 2 * (radius + 4) + 2
    side += -side % m
    x = np.random.default_rng(2).random((1, 3, side, side), np.float32)
    with open_engine(imported[file], size=(side, side)) as engine:
        before = engine.run({"x": x})["y"].copy()
        x[:, :, :, 0] = 1 - x[:, :, :, 0]
        changed = np.abs(engine.run({"x": x})["y"] - before).max(axis=(0, 1, 2)) > 0
    reach = np.flatnonzero(changed).max() // imported[file].scale
    assert 1 <= reach <= radius


@pytest.mark.extra("rtx")
@pytest.mark.parametrize("file", FILES)
def test_tensorrt_rtx_builds_it(imported, file):
    from reelmend.engines.tensorrt import check_builds

    assert check_builds(imported[file], (75, 120)) == []


def write(path, state, **how):
    import torch

    torch.save(state, path, **how)
    return path


def test_an_unknown_file_is_refused_with_the_keys_that_puzzled_us(tmp_path):
    import torch

    from reelmend.networks.importing import import_checkpoint

    state = {f"mystery.{k}.weight": torch.zeros(3, k + 1) for k in range(12)}
    path = write(tmp_path / "odd.pth", state)
    with pytest.raises(CheckpointError, match="an unknown architecture") as caught:
        import_checkpoint(path, catalogue=tmp_path / "c")
    assert "mystery.0.weight (3, 1)" in str(caught.value)
    assert "and 4 more" in str(caught.value)
    assert "ESRGAN" in str(caught.value)
    assert not (tmp_path / "c").exists()


class Hostile:
    def __init__(self, command):
        self._command = command

    def __reduce__(self):
        import os

        return os.system, (self._command,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("deep", [True, False])
def test_a_hostile_pickle_runs_nothing_and_is_named(tmp_path, zipped, deep):
    import torch

    from reelmend.networks.importing import import_checkpoint

    canary = tmp_path / "canary"
    evil = Hostile(f"touch {canary}")
    state = {"conv.weight": torch.zeros(3), "more": {"list": [1, evil]} if deep else evil}
    path = write(tmp_path / "evil.pth", state, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"a hostile or unusual pickle: it wants .*system"):
        import_checkpoint(path, catalogue=tmp_path / "c")
    assert not canary.exists()


def test_damaged_files_are_told(tmp_path):
    import torch

    from reelmend.networks.checkpoint import read_checkpoint

    held = io.BytesIO()
    torch.save({"conv.weight": torch.zeros(64, 64)}, held)
    whole = held.getvalue()
    for name, data in {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello, these are no weights"}.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=str(path)):
            read_checkpoint(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "nowhere.pth")


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    """A small SRVGGNetCompact, as its authors write it, and its state."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8), nn.Conv2d(8, 12, 3, padding=1))
    with torch.no_grad():
        for p in body.parameters():
            p *= 0.5
    state = {f"body.{name}": p.detach() for name, p in body.named_parameters()}
    return body, write(tmp_path_factory.mktemp("c") / "Tiny Compact!.pth", {"params_ema": state})


def test_what_spandrel_knows_is_imported(compact, tmp_path):
    import torch

    from reelmend.networks.importing import import_checkpoint

    body, path = compact
    said = []
    network = import_checkpoint(path, catalogue=tmp_path, licence="MIT", told=said.append)
    assert (network.name, network.family, network.scale, network.licence) == ("tiny-compact", "compact", 2, "MIT")
    assert said
    x = np.random.default_rng(0).random((1, 3, 20, 24), np.float32)
    with torch.no_grad():
        t = torch.from_numpy(x)
        expected = torch.pixel_shuffle(body(t), 2) + torch.nn.functional.interpolate(t, scale_factor=2, mode="nearest")
    with open_engine(network, size=(20, 24)) as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], expected.numpy(), atol=1e-4)
    with pytest.raises(NetworkError, match="is there already"):
        import_checkpoint(path, catalogue=tmp_path)
    first = (network.folder / "main.fp32.onnx").read_bytes()
    again = import_checkpoint(path, catalogue=tmp_path, overwrite=True)
    assert (again.folder / "main.fp32.onnx").read_bytes() == first  # the same weights, the same bytes


def test_int8_needs_pictures_and_is_judged(compact, tmp_path):
    from reelmend.networks.importing import import_checkpoint

    with pytest.raises(OptionError, match="int8 needs calibration pictures"):
        import_checkpoint(compact[1], catalogue=tmp_path, precisions=("int8",))
    pictures = [np.random.default_rng(k).random((1, 3, 48, 64), np.float32) for k in range(3)]
    network = import_checkpoint(compact[1], catalogue=tmp_path, precisions=("int8",), calibration=pictures)
    assert set(network.part().files) == {"fp32", "int8"} or "main.int8" in network.settings["left_out"]


def test_weights_that_fp16_cannot_hold_leave_fp16_out(tmp_path):
    """Values beyond 65504 inside the network: fp16 is refused by name, fp32 is made all the same."""
    import torch

    from reelmend.networks.importing import import_checkpoint

    torch.manual_seed(0)
    state = {
        "body.0.weight": 3e5 * torch.rand(8, 3, 3, 3),
        "body.0.bias": torch.zeros(8),
        "body.1.weight": torch.ones(8),
        "body.2.weight": 1e-6 * torch.rand(12, 8, 3, 3),
        "body.2.bias": torch.zeros(12),
    }
    said = []
    path = write(tmp_path / "large.pth", state)
    network = import_checkpoint(path, catalogue=tmp_path / "c", precisions=("fp16",), told=said.append)
    assert set(network.part().files) == {"fp32"}
    assert "output 'y' differs from fp32" in network.settings["left_out"]["main.fp16"]
    assert any("fp16 is left out" in line for line in said)
