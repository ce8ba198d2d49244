"""Export: the same bytes each time, nothing of this machine in them, proved, written at once or not at all."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from reelmend.engines.network import FILE, Bar, Part, Port, load_network
from reelmend.errors import NetworkError, OptionError

pytestmark = pytest.mark.extra("train")

# Two parts: features on half the grid, and an upscaler that takes them beside the picture.
SOURCE = """
import torch
from torch import nn
from reelmend.engines.network import Part, Port
from reelmend.networks.family import Graph, Recognised


class Features(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, 2, 1)

    def forward(self, x):
        return torch.relu(self.conv(x))


class Upscaler(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(8, 48, 3, padding=1)

    def forward(self, x, f):
        shuffle = torch.nn.functional.pixel_shuffle
        return shuffle(self.a(x) + shuffle(self.b(f), 2), 2)


def recognised():
    torch.manual_seed(3)
    f = Port("f", (1, 8, "h/2", "w/2"), "features")
    first = Part("features", (Port("x", (1, 3, "h", "w")),), (f,), multiple=2)
    second = Part("main", (Port("x", (1, 3, "h", "w")), f), (Port("y", (1, 3, "2*h", "2*w")),), multiple=2)
    graphs = Graph(Features().eval(), first), Graph(Upscaler().eval(), second)
    return Recognised("two", "upscale", graphs, scale=2, licence="MIT", settings={"a": 1})
"""


@pytest.fixture(scope="module")
def two():
    """The network of SOURCE."""
    space = {"__name__": "two"}
    exec(compile(SOURCE, "two", "exec"), space)
    return space["recognised"]


@pytest.fixture(scope="module")
def exported(two, tmp_path_factory):
    from reelmend.networks.export import export

    said = []
    folder = tmp_path_factory.mktemp("catalogue")
    network = export(two(), "two", folder, precisions=("fp16", "mixed"), origin="a test", told=said.append)
    return network, said


@pytest.fixture
def one():
    """one(module, bars): a network of one part, a picture to a picture of the same size."""

    def make(module, bars=None):
        from reelmend.networks.family import Graph, Recognised

        ports = (Port("x", (1, 3, "h", "w")),), (Port("y", (1, 3, "h", "w")),)
        return Recognised("one", "restore", (Graph(module.eval(), Part("main", *ports, bars=bars or {})),))

    return make


def chain(*weights):
    """1 x 1 convolutions that multiply, with rectifiers between."""
    import torch
    from torch import nn

    steps = []
    for weight in weights:
        conv = nn.Conv2d(3, 3, 1, bias=False)
        conv.weight.data = weight * torch.eye(3)[:, :, None, None]
        steps += [conv, nn.ReLU()]
    return nn.Sequential(*steps[:-1])


def test_what_is_written(exported):
    network, said = exported
    files = sorted(path.name for path in network.folder.iterdir())
    kinds = ("fp16", "fp32", "mixed")
    assert files == sorted([FILE, *(f"{part}.{kind}.onnx" for part in ("features", "main") for kind in kinds)])
    assert load_network(network.folder) == network
    assert (network.family, network.task, network.scale, network.licence) == ("two", "upscale", 2, "MIT")
    assert (network.origin, network.settings) == ("a test", {"a": 1})
    assert network.parameters == 3 * 8 * 16 + 8 + 3 * 12 * 9 + 12 + 8 * 48 * 9 + 48
    for part in network.parts:
        for kind in kinds:
            network.onnx(part, kind)  # checked against its SHA-256
    assert len(said) == 6
    assert not any("left out" in line for line in said)


def test_graphs_are_named_free_and_hold_nothing_of_this_machine(exported):
    import onnx

    network, _ = exported
    for part in network.parts.values():
        for kind in part.files:
            data = network.onnx(part.name, kind)
            model = onnx.load_model_from_string(data)
            onnx.checker.check_model(model, full_check=True)
            for values, ports in ((model.graph.input, part.inputs), (model.graph.output, part.outputs)):
                assert [v.name for v in values] == [p.name for p in ports]
                for value, port in zip(values, ports, strict=True):
                    kind_of = value.type.tensor_type
                    assert kind_of.elem_type == onnx.TensorProto.FLOAT
                    assert tuple(d.dim_param or d.dim_value for d in kind_of.shape.dim) == port.shape
            told = {p.key: p.value for p in model.metadata_props}
            assert told == {"network": "two", "part": part.name, "precision": kind}
            assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
            for word in (b"stack_trace", b"site-packages", b".py", b"/home", b"/work", b"/tmp"):
                assert word not in data


@pytest.mark.parametrize("size", [(2, 2), (34, 50), (70, 18)])
def test_every_size_of_a_part_runs(exported, two, size):
    import onnxruntime
    import torch

    network, _ = exported
    rng = np.random.default_rng(0)
    x, f = rng.random((1, 3, *size), np.float32), rng.random((1, 8, size[0] // 2, size[1] // 2), np.float32)
    graphs = {graph.part.name: graph for graph in two().graphs}
    for part, given in (("features", {"x": x}), ("main", {"x": x, "f": f})):
        session = onnxruntime.InferenceSession(network.onnx(part, "fp32"), providers=["CPUExecutionProvider"])
        with torch.no_grad():
            expected = graphs[part].module(*map(torch.from_numpy, given.values())).numpy()
        np.testing.assert_allclose(session.run(None, given)[0], expected, atol=1e-5)


def test_the_same_weights_give_the_same_bytes(exported, tmp_path):
    """In another process too, where hashes of strings are other ones."""
    program = SOURCE + (
        "\nimport sys, warnings\nwarnings.simplefilter('ignore')\n"
        "from reelmend.networks.export import export\n"
        "export(recognised(), 'two', sys.argv[1], precisions=('fp16', 'mixed'), origin='a test')\n"
    )
    (tmp_path / "again.py").write_text(program)
    subprocess.run([sys.executable, tmp_path / "again.py", tmp_path / "c"], check=True, env=None)
    network, _ = exported
    for path in network.folder.iterdir():
        assert (tmp_path / "c" / "two" / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_fp16_that_overflows_is_left_out_and_named(one, tmp_path):
    from reelmend.networks.export import export

    said = []
    network = export(one(chain(6e4, 1e2, 1 / 6e6)), "big", tmp_path, told=said.append)
    assert set(network.part().files) == {"fp32"}
    why = network.settings["left_out"]["main.fp16"]
    assert "output 'y' differs from fp32 on the sample" in why
    assert "expected 48.0 dB" in why
    assert any("fp16 is left out" in line for line in said)


def test_the_bar_is_the_parts_own(one, tmp_path):
    from reelmend.networks.export import export

    network = export(one(chain(0.5, 0.3), {"fp16": Bar(200.0, 1e-9)}), "strict", tmp_path)
    assert "expected 200.0 dB" in network.settings["left_out"]["main.fp16"]
    assert load_network(network.folder).part().bar("fp16") == Bar(200.0, 1e-9)


def test_a_graph_that_is_not_its_module_is_refused(one, tmp_path, monkeypatch):
    """A planted fault: the exporter is made to lose a thousandth of a weight."""
    from onnx import numpy_helper

    from reelmend.networks import export as room

    honest = room.traced

    def wrong(graph):
        model = honest(graph)
        tensor = model.graph.initializer[0]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.001), tensor.name))
        return model

    monkeypatch.setattr(room, "traced", wrong)
    with pytest.raises(NetworkError, match=r"bad/main: y of the exported graph differs from torch by 0\.00\d+ on"):
        room.export(one(chain(0.9, 0.9)), "bad", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_depends_on_the_size_is_refused(one, tmp_path):
    from torch import nn

    from reelmend.networks.export import export

    class Fixed(nn.Module):
        def forward(self, x):
            return x.reshape(1, 3, 64, 64) * 0.5

    class Counted(nn.Module):
        def forward(self, x):
            return x * float(sum(range(x.shape[2])))

    for module in (Fixed(), Counted()):
        with pytest.raises(
            NetworkError, match=r"main: torch cannot export it with free rows and columns: [xy] came out"
        ):
            export(one(module), "fixed", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_precisions_and_what_is_there(one, tmp_path):
    from reelmend.networks.export import export

    made = one(chain(0.5))
    with pytest.raises(NetworkError, match="expected lower-case letters"):
        export(made, "../Up", tmp_path)
    with pytest.raises(OptionError, match="precision fp8: expected fp32, mixed, fp16, int8"):
        export(made, "x", tmp_path, precisions=("fp8",))
    with pytest.raises(OptionError, match="int8 needs calibration pictures"):
        export(made, "x", tmp_path, precisions=("int8",))
    assert list(tmp_path.iterdir()) == []


def test_overwriting_keeps_the_files_that_others_wrote(one, tmp_path):
    from reelmend.networks.export import export

    first = export(one(chain(0.5)), "x", tmp_path, licence="MIT")
    (first.folder / "card.md").write_text("a card")
    with pytest.raises(NetworkError, match="is there already; choose another name, or overwrite it"):
        export(one(chain(0.5)), "x", tmp_path)
    second = export(one(chain(0.25)), "x", tmp_path, precisions=("fp32",), overwrite=True)
    assert (second.folder / "card.md").read_text() == "a card"
    assert sorted(p.name for p in second.folder.iterdir()) == ["card.md", "main.fp32.onnx", FILE]
    assert second.licence == "unknown"
    assert second.part().sha256["fp32"] != first.part().sha256["fp32"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_int8_of_what_takes_no_picture_is_refused(exported, two):
    import onnx

    from reelmend.networks.quantizing import quantized

    network, _ = exported
    pictures = [np.random.default_rng(0).random((1, 3, 33, 47), np.float32)]
    for part, words in (("main", "takes other inputs"), ("features", "first and last convolutions")):
        model = onnx.load_model_from_string(network.onnx(part, "fp32"))
        with pytest.raises(NetworkError, match=words):
            quantized(model, network.part(part), pictures)
