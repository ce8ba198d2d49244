"""Descriptions of networks: read back as written, and refused with the place and the reason when broken."""

import json

import pytest

from reelmend.engines import find, load_network, networks
from reelmend.engines.network import Network, Part, Port
from reelmend.errors import NetworkError


@pytest.fixture
def described(tmp_path):
    """A network without any graph: descriptions need none."""
    ports = (Port("x", (1, 3, "h", "w")),), (Port("flow", (1, 2, "h/4", "3*w/2"), "flow", (-20.0, 20.0)),)
    part = Part("main", *ports, multiple=4, minimum=16, radius=7, files={"fp32": "main.fp32.onnx"})
    folder = tmp_path / "catalogue" / "toy"
    folder.mkdir(parents=True)
    network = Network("toy", "flow", "toy", {"main": part}, settings={"levels": [1, 2]}, folder=folder)
    network.save()
    return network


def test_what_is_saved_is_what_is_loaded(described):
    assert load_network(described.folder) == described


def test_shapes_follow_the_size(described):
    flow = described.part().outputs[0]
    assert flow.at((16, 24)) == (1, 2, 4, 36)
    with pytest.raises(NetworkError, match="h/4 is not a whole number for 24x18"):
        flow.at((18, 24))


def test_sizes_are_padded_to_multiples_and_to_the_least(described):
    assert described.part().padded((17, 33)) == (20, 36)
    assert described.part().padded((1, 1)) == (16, 16)
    assert described.part().padded((16, 16)) == (16, 16)


def test_a_part_that_is_not_there_is_named(described):
    with pytest.raises(NetworkError, match="toy: no part 'other'; it has main"):
        described.part("other")
    with pytest.raises(NetworkError, match="no fp16 file; it has fp32"):
        described.file("main", "fp16")


def test_a_file_that_was_changed_is_refused(described, tmp_path):
    path = described.folder / "main.fp32.onnx"
    with pytest.raises(NetworkError, match="cannot be read"):
        described.onnx()
    path.write_bytes(b"something")
    described.onnx()  # no sum is stored
    plain = json.loads((described.folder / "network.json").read_text())
    plain["parts"]["main"]["sha256"] = {"fp32": "0" * 64}
    (described.folder / "network.json").write_text(json.dumps(plain))
    with pytest.raises(NetworkError, match="is not the file its description names"):
        load_network(described.folder).onnx()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.update(schema=99), "schema is 99; expected 1"),
        (lambda p: p.update(name="../evil"), "lower-case letters"),
        (lambda p: p.update(parts={}), "at least one part"),
        (lambda p: p.pop("task"), "task"),
        (lambda p: p.update(surprise=1), "surprise"),
        (lambda p: p["parts"]["main"]["files"].update(fp32="../../x.onnx"), "not in the network's folder"),
        (lambda p: p["parts"]["main"]["files"].update(fp64="x.onnx"), "unknown precision fp64"),
        (lambda p: p["parts"]["main"]["inputs"][0].update(shape=[1, "q"]), "dimension 'q'"),
        (lambda p: p["parts"]["main"]["inputs"][0].update(kind="smell"), "kind is 'smell'"),
        (lambda p: p["parts"]["main"].update(inputs=[]), "no inputs"),
    ],
)
def test_a_broken_description_says_where_and_what(described, change, why):
    path = described.folder / "network.json"
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(NetworkError, match=why) as caught:
        load_network(described.folder)
    assert "network.json" in str(caught.value)


def test_no_json_and_no_folder(described, tmp_path):
    (described.folder / "network.json").write_text("{")
    with pytest.raises(NetworkError, match="not JSON"):
        load_network(described.folder)
    with pytest.raises(NetworkError, match=r"No such file"):
        load_network(tmp_path / "nowhere")


def test_the_catalogue_finds_by_name_and_by_path(described, tmp_path):
    assert find("toy") == described
    assert find(described.folder) == described
    with pytest.raises(NetworkError, match=r"no network 'tou': did you mean 'toy'\?"):
        find("tou")
    with pytest.raises(NetworkError, match=r"network 'toy' is for flow, not for upscale"):
        find("toy", "upscale")


def test_the_catalogue_lists_broken_ones_as_errors(described, tmp_path):
    broken = tmp_path / "catalogue" / "a-broken-one"
    broken.mkdir()
    (broken / "network.json").write_text("nonsense")
    listed = list(networks())
    assert any(isinstance(n, NetworkError) and "a-broken-one" in str(n) for n in listed)
    assert described in listed
