"""Networks that spandrel knows: recognised in every spelling, exported, the same picture as spandrel's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from reelmend.errors import CheckpointError, MissingExtraError

# meshgrid's and JIT's deprecations are those definitions' own
pytestmark = [
    pytest.mark.extra("train"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
]


@pytest.fixture
def original(small_weights):
    """original(kind): a small network of spandrel's with random weights, in eval mode."""
    from reelmend.networks.others import _spandrel

    _spandrel()
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.DAT import DAT
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.PLKSR import PLKSR, RealPLKSR

    plk = {"dim": 16, "n_blocks": 1, "kernel_size": 9, "split_ratio": 0.25, "upscaling_factor": 2}
    dat = {"img_size": 16, "embed_dim": 48, "split_size": [4, 8], "depth": [2], "num_heads": [2], "expansion_factor": 2}
    kinds = {
        "esrgan": lambda: ESRGAN(num_filters=8, num_blocks=1, scale=4),
        "compact": lambda: Compact(num_feat=8, num_conv=2, upscale=2),
        "grey": lambda: Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=2),
        "plksr": lambda: PLKSR(**plk),
        "realplksr": lambda: RealPLKSR(**plk),
        "dat": lambda: DAT(**dat, upscale=2, resi_connection="1conv", upsampler="pixelshuffledirect"),
    }

    def make(kind):
        module = kinds[kind]()
        learned = dict(module.named_parameters())
        module.load_state_dict({**module.state_dict(), **small_weights(learned, 1)})
        return module.eval()

    return make


def checkpoint(state):
    from reelmend.networks.checkpoint import Checkpoint

    return Checkpoint(Path("x.pth"), state, dict(state), "")


def recognised(state):
    from reelmend.networks.importing import recognise

    return recognise(checkpoint(state))


def spelled(state, blocks, trunk, unit, body, first, ups, hr):
    """ESRGAN's keys of 2018 in another spelling."""
    names = {"model.0": first, f"model.1.sub.{blocks}": body, "model.3": ups[0], "model.6": ups[1]}
    names |= {"model.8": hr, "model.10": "conv_last"}
    out = {}
    for key, tensor in state.items():
        name, kind = key.rsplit(".", 1)
        dense = re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0", name)
        new = f"{trunk}.{dense[1]}.{unit}{dense[2]}.conv{dense[3]}" if dense else names[name]
        out[f"{new}.{kind}"] = tensor
    return out


def test_esrgan_in_three_spellings(original):
    import torch

    module = original("esrgan")
    old = module.state_dict()
    assert "model.1.sub.0.RDB1.conv1.0.weight" in old
    middle = spelled(old, 1, "RRDB_trunk", "RDB", "trunk_conv", "conv_first", ("upconv1", "upconv2"), "HRconv")
    new = spelled(old, 1, "body", "rdb", "conv_body", "conv_first", ("conv_up1", "conv_up2"), "conv_hr")
    assert "body.0.rdb3.conv5.weight" in new
    x = torch.rand(1, 3, 24, 20)
    with torch.no_grad():
        expected = module(x)
        for state in (old, middle, new):
            got = recognised(state)
            assert (got.family, got.task, got.scale) == ("esrgan", "upscale", 4)
            torch.testing.assert_close(got.graphs[0].module(x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "family", "scale"),
    [
        ("esrgan", "esrgan", 4),
        ("plksr", "plksr", 2),
        ("realplksr", "plksr", 2),
        ("dat", "dat", 2),
    ],
)
def test_exported_it_gives_the_same_picture(original, tmp_path, kind, family, scale):
    import onnxruntime
    import torch

    from reelmend.networks.export import export

    module = original(kind)
    got = recognised(module.state_dict())
    assert (got.family, got.scale, got.graphs[0].part.radius) == (family, scale, None)
    network = export(got, kind, tmp_path, precisions=("fp16",))
    assert set(network.part().files) == {"fp32", "fp16"}
    session = onnxruntime.InferenceSession(network.onnx("main", "fp32"), providers=["CPUExecutionProvider"])
    for size in ((16, 16), (37, 51)):
        x = np.random.default_rng(0).random((1, 3, *size), np.float32)
        with torch.no_grad():
            expected = module(torch.from_numpy(x)).numpy()
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, atol=1e-4, rtol=0)


def test_what_is_of_no_use_here_is_refused(original):
    with pytest.raises(CheckpointError, match=r"x\.pth: RealESRGAN Compact: takes 1 channels and gives 1; expected 3"):
        recognised(original("grey").state_dict())


def test_weights_that_nearly_fit_are_refused(original):
    state = dict(original("compact").state_dict())
    del state["body.2.bias"]
    with pytest.raises(
        CheckpointError, match=r"(?s)taken for one of spandrel's networks, but does not fit: .*body\.2\.bias"
    ):
        recognised(state)


def test_without_spandrel_the_extra_is_named(monkeypatch):
    import sys

    import torch

    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'reelmend\[train\]'"):
        recognised({"some.weight": torch.zeros(1)})
