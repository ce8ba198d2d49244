"""SPAN, SPANv2, DISP, RT4KSR: each against a plain restatement on the raw keys of the real file."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")


def conv(x, state, name, groups=1):
    import torch.nn.functional as F

    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), padding=weight.shape[-1] // 2, groups=groups)


def span(state, x):
    import torch

    x = (x - torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)) * 255

    def block(x, k):
        name = f"block_{k}"
        o1 = conv(x, state, f"{name}.c1_r.eval_conv")
        o1 = o1 * torch.sigmoid(o1)
        o2 = conv(o1, state, f"{name}.c2_r.eval_conv")
        o2 = o2 * torch.sigmoid(o2)
        o3 = conv(o2, state, f"{name}.c3_r.eval_conv")
        return (o3 + x) * (torch.sigmoid(o3) - 0.5), o1

    entry = conv(x, state, "conv_1.eval_conv")
    b1, _ = block(entry, 1)
    b2, _ = block(b1, 2)
    b3, _ = block(b2, 3)
    b4, _ = block(b3, 4)
    b5, _ = block(b4, 5)
    b6, o1 = block(b5, 6)
    joined = torch.cat([entry, conv(b6, state, "conv_2.eval_conv"), b1, o1], 1)
    return torch.pixel_shuffle(conv(conv(joined, state, "conv_cat"), state, "upsampler.0"), 4)


def spanv2(state, x):
    import torch

    near = conv(x, state, "conv_near", groups=3)
    for k in range(1, 6):
        f = x
        for step in ("c1", "c2"):
            f = torch.clamp(conv(f, state, f"block_{k}.{step}.conv"), min=0)
        f = conv(f, state, f"block_{k}.c3.conv")
        x = torch.clamp(f, min=0) if k == 1 else (x + f) * conv(f, state, f"block_{k}.guidance_map_conv")
    joined = torch.cat([near, x], 1)
    out = conv(conv(joined, state, "depthwise_conv", groups=80), state, "pointwise_conv")
    return torch.pixel_shuffle(out, 4)


def disp(state, x):
    import torch

    entry = x = conv(x, state, "conv_1.eval_conv")
    for k in range(4):
        y = x
        for step in ("c1_r", "c2_r", "_extern_conv_block.0", "c3_r"):
            y = conv(y, state, f"blocks.{k}.{step}.eval_conv")
            y = y * torch.sigmoid(y)
        x = x + y
    return torch.pixel_shuffle(conv(conv(x, state, "conv_2") + entry, state, "upsampler.0"), 4)


def rt4ksr(state, x):
    """As trained, nothing folded: the 3 x 3 of a block pads its input with the bias of the 1 x 1 before it."""
    import torch
    import torch.nn.functional as F

    def block(x, name):
        e = conv(x, state, f"{name}.expand_conv")
        bias = state[f"{name}.expand_conv.bias"].view(1, -1, 1, 1)
        padded = F.pad(e - bias, (1, 1, 1, 1)) + bias
        f = F.conv2d(padded, state[f"{name}.fea_conv.weight"], state[f"{name}.fea_conv.bias"]) + e
        return conv(f, state, f"{name}.reduce_conv") + x

    def norm(x, name):
        mean = x.mean(1, keepdim=True)
        var = ((x - mean) ** 2).mean(1, keepdim=True)
        weight, bias = (state[f"{name}.{what}"].view(1, -1, 1, 1) for what in ("weight", "bias"))
        return weight * (x - mean) / torch.sqrt(var + 1e-6) + bias

    x = conv(torch.pixel_unshuffle(x, 2), state, "head.0")
    for k in range(4):
        x = block(norm(x, f"body.{k}.norm"), f"body.{k}.conv1")
        x = 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    x = block(norm(x, "tail.0"), "tail.1")
    return torch.pixel_shuffle(conv(x, state, "upsample.0"), 4)


# file, restatement, family, scale, radius, multiple
KINDS = {
    "span_x4.pth": (span, "span", 4, 21, 1),
    "spanv2_c2_x4.pth": (spanv2, "spanv2", 4, 16, 1),
    "disp_x4.pth": (disp, "disp", 4, 18, 1),
    "rt4ksr_x2.pth": (rt4ksr, "rt4ksr", 2, 15, 2),
}
EACH = pytest.mark.parametrize("file", KINDS)


@pytest.fixture(scope="module")
def files(material):
    """(checkpoint, what it was recognised as) by file."""
    from reelmend.networks.checkpoint import read_checkpoint
    from reelmend.networks.importing import recognise

    read = {file: read_checkpoint(material / "weights" / file) for file in KINDS}
    return {file: (checkpoint, recognise(checkpoint)) for file, checkpoint in read.items()}


@pytest.fixture(scope="module")
def picture(material):
    """A photograph, reduced: float32 (1, 3, 90, 122)."""
    from PIL import Image

    image = Image.open(material / "images" / "cid22_512" / "1001682.webp").convert("RGB")
    small = np.asarray(image.resize((122, 90), Image.Resampling.BICUBIC), np.float32) / 255
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None])


@EACH
def test_what_it_is(files, file):
    checkpoint, got = files[file]
    _, family, scale, radius, multiple = KINDS[file]
    (graph,) = got.graphs
    assert (got.family, got.task, got.scale, got.licence) == (family, "upscale", scale, "unknown")
    assert (graph.part.radius, graph.part.multiple, graph.part.name) == (radius, multiple, "main")
    assert graph.part.outputs[0].shape == (1, 3, f"{scale}*h", f"{scale}*w")
    assert "module." not in next(iter(checkpoint.state))


@EACH
def test_it_is_the_plain_restatement(files, picture, file):
    """From the raw keys: definition, folding, borders."""
    import torch

    checkpoint, got = files[file]
    with torch.no_grad():
        expected = KINDS[file][0](checkpoint.state, torch.from_numpy(picture)).numpy()
        y = got.graphs[0].module(torch.from_numpy(picture)).numpy()
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("file", ["span_x4.pth", "rt4ksr_x2.pth"])
def test_its_exported_graph_is_the_plain_restatement(files, picture, file):
    """Of the two that are folded; that graphs are their modules is proved at every export."""
    import onnxruntime
    import torch

    from reelmend.networks.tracing import finished, traced

    checkpoint, got = files[file]
    with torch.no_grad():
        expected = KINDS[file][0](checkpoint.state, torch.from_numpy(picture)).numpy()
    data = finished(traced(got.graphs[0]), "x", "main", "fp32")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": picture})[0], expected, atol=1e-4, rtol=0)


@EACH
def test_the_radius_is_exact(files, file):
    """By derivatives in float64: pixels at the radius change the output, none beyond does."""
    import torch

    _, got = files[file]
    scale, radius, multiple = got.scale, got.graphs[0].part.radius, got.graphs[0].part.multiple
    half = radius + 3 + (radius + 3) % multiple
    side = 2 * half + multiple
    torch.manual_seed(0)
    x = (0.4 + 0.2 * torch.rand(1, 3, side, side, dtype=torch.float64)).requires_grad_()
    module = got.graphs[0].module.double()
    try:
        y = module(x)
        reach = []
        for at in range(half, half + multiple):  # every place on the grid
            rows = slice(at * scale, (at + 1) * scale)
            (slope,) = torch.autograd.grad(y[..., rows, rows].square().sum(), x, retain_graph=True)
            rows, columns = slope[0].abs().sum(0).nonzero(as_tuple=True)
            reach.append(max(int((rows - at).abs().max()), int((columns - at).abs().max())))
    finally:
        module.float()
    assert max(reach) == radius


def test_a_trained_span_is_folded_to_what_spandrel_runs(small_weights):
    import torch

    from reelmend.networks.importing import recognise
    from reelmend.networks.others import _spandrel

    _spandrel()
    from spandrel.architectures.SPAN import SPAN

    for norm in (True, False):
        original = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=12, upscale=2, norm=norm).eval()
        # small: six blocks of random attention make much of the last bit of a folded weight
        state = {name: 0.6 * tensor for name, tensor in small_weights(original.state_dict(), 1).items()}
        original.load_state_dict(state)
        got = recognise(held(state))
        assert (got.family, got.scale) == ("span", 2)
        x = torch.rand(1, 3, 31, 29, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected, y = original.double()(x), got.graphs[0].module.double()(x)
        scale = float(expected.abs().max())
        assert scale > 1e-3
        torch.testing.assert_close(y / scale, expected / scale, atol=1e-4, rtol=0)


def held(state):
    from pathlib import Path

    from reelmend.networks.checkpoint import Checkpoint

    return Checkpoint(Path("x.pth"), state, state, "")


INNER = {
    "span_x4.pth": "block_3.c2_r.eval_conv.weight",
    "spanv2_c2_x4.pth": "block_3.c2.conv.weight",
    "disp_x4.pth": "blocks.2.c2_r.eval_conv.weight",
    "rt4ksr_x2.pth": "body.2.conv1.fea_conv.weight",
}


@EACH
@pytest.mark.parametrize("fault", ["missing", "left over", "shape"])
def test_weights_that_do_not_fit_are_named(files, file, fault):
    import torch

    from reelmend.networks.importing import recognise

    state = dict(files[file][0].state)
    name = INNER[file]
    if fault == "missing":
        del state[name]
    elif fault == "left over":
        state["stray.weight"] = torch.zeros(2)
    else:
        state[name] = state[name][:-1]
    words = r"stray\.weight" if fault == "left over" else re.escape(name.removesuffix(".weight"))
    with pytest.raises(CheckpointError, match=words):
        recognise(held(state))


def test_a_trained_branch_of_high_frequencies_is_refused(files):
    from reelmend.networks.importing import recognise

    state = dict(files["rt4ksr_x2.pth"][0].state)
    state["gamma"] = state["gamma"] + 0.5
    with pytest.raises(CheckpointError, match=r"gamma is 0\.5.*high frequencies"):
        recognise(held(state))
