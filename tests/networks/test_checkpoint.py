"""Files of weights: every format is read, and nothing that they say is run."""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from reelmend.errors import CheckpointError

pytestmark = pytest.mark.extra("train")

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])


def saved(path, data, zipped=True):
    import torch

    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    return path


def read(path):
    from reelmend.networks.checkpoint import read_checkpoint

    return read_checkpoint(path)


@FORMATS
def test_what_training_programs_leave_in_files_is_read(tmp_path, zipped):
    import torch

    when = datetime.datetime(2020, 2, 3, 4, 5, 6, 7, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    data = {
        "epoch": np.int64(7),
        "loss": [np.float64(0.5), 0.25],
        "lost": np.arange(6, dtype=np.float32).reshape(2, 3),
        "on": np.bool_(True),
        "timestamp": when,
        "took": datetime.timedelta(seconds=3),
        "nothing": b"",
        "bytes": b"\x00\xff",
        "big": 1 << 90,
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "state_dict": OrderedDict({"module.a": torch.nn.Parameter(torch.ones(2)), "module.b": torch.zeros(1)}),
    }
    path = saved(tmp_path / "x.ckpt", data, zipped)
    got = read(path)
    assert (got.wrapper, list(got.state)) == ("state_dict", ["a", "b"])
    assert not got.state["a"].requires_grad
    assert got.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for key in ("epoch", "loss", "on", "timestamp", "took", "nothing", "bytes", "big", "size", "dtype", "device"):
        assert got.data[key] == data[key], key
    np.testing.assert_array_equal(got.data["lost"], data["lost"])


def test_the_marks_of_another_caller_stay(tmp_path):
    """What one reading allows is allowed no longer; what its caller had allowed before still is."""
    import torch

    path = saved(tmp_path / "x.pth", {"a": torch.zeros(1), "t": datetime.timedelta(1)})
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([datetime.timedelta]):
        read(path)
        assert datetime.timedelta in torch.serialization.get_safe_globals()
    assert set(torch.serialization.get_safe_globals()) == before
    read(path)
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict", "model", "generator", "whatever"])
def test_the_main_state_is_found(tmp_path, wrapper):
    import torch

    inner = {"a": torch.ones(1)}
    got = read(saved(tmp_path / "x.pth", {wrapper: inner}))
    assert (got.wrapper, list(got.state)) == (wrapper, ["a"])


def test_averaged_weights_come_before_plain_ones(tmp_path):
    import torch

    got = read(saved(tmp_path / "x.pth", {"params": {"a": torch.zeros(1)}, "params_ema": {"a": torch.ones(1)}}))
    assert (got.wrapper, got.state["a"].item()) == ("params_ema", 1.0)


def test_a_prefix_is_taken_off_only_where_all_share_it(tmp_path):
    import torch

    got = read(saved(tmp_path / "x.pth", {"module.a": torch.zeros(1), "b": torch.zeros(1)}))
    assert list(got.state) == ["module.a", "b"]


def test_safetensors(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"module.a": torch.arange(3.0)}, tmp_path / "named.pth")  # told by its bytes, not by its name
    assert read(tmp_path / "named.pth").state["a"].tolist() == [0, 1, 2]
    whole = (tmp_path / "named.pth").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-4])
    with pytest.raises(CheckpointError, match=r"damaged \.safetensors"):
        read(tmp_path / "cut.safetensors")


class Reduced:
    """Pickles as a call of any function with any arguments, themselves calls if need be."""

    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given

    def __call__(self):
        """A callable, so that a call can be of what another call gives."""


def attacks(canary):
    """(what it is called, the names it wants, an object that writes the canary when it is unpickled carelessly)."""
    write = f"open({str(canary)!r}, 'w').close()"
    system = Reduced(getattr, Reduced(__import__, "os"), "system")
    return [
        ("system", "posix.system", Reduced(os.system, f"touch {canary}")),
        ("exec", "builtins.exec", Reduced(exec, write)),
        ("eval, nested", "builtins.eval", {"a": [(1, {"b": Reduced(eval, write)})]}),
        ("getattr chain", "builtins.getattr", Reduced(system, f"touch {canary}")),
        ("numpy", "numpy.fromfile", Reduced(np.fromfile, str(canary))),
    ]


@FORMATS
@pytest.mark.parametrize("kind", range(5))
def test_a_hostile_pickle_runs_nothing_and_is_named(tmp_path, zipped, kind):
    import torch

    canary = tmp_path / "canary"
    _, wanted, evil = attacks(canary)[kind]
    path = saved(tmp_path / "x.pth", {"a": torch.zeros(1), "evil": evil}, zipped)
    with pytest.raises(CheckpointError, match=f"hostile or unusual pickle: it wants .*{wanted}"):
        read(path)
    assert not canary.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_without_torch_runs_nothing(tmp_path, protocol):
    canary = tmp_path / "canary"
    data = pickle.dumps({"a": Reduced(os.system, f"touch {canary}")}, protocol)
    (tmp_path / "x.pkl").write_bytes(data)
    words = "it wants posix.system" if protocol >= 2 else "not a file of weights"
    with pytest.raises(CheckpointError, match=words):
        read(tmp_path / "x.pkl")
    assert not canary.exists()
    pickle.loads(data)
    assert canary.exists()  # the trap was set


def test_a_numpy_object_array_is_refused(tmp_path):
    path = saved(tmp_path / "x.pth", {"a": np.array([1, "b"], object)})
    with pytest.raises(CheckpointError, match="NumPy data of the kind 'O8'"):
        read(path)


def test_a_whole_module_is_refused_with_what_to_do(tmp_path):
    import torch

    with pytest.raises(
        CheckpointError, match=r"wants torch\.nn\.modules\.conv\.Conv2d.*torch\.save\(model\.state_dict"
    ):
        read(saved(tmp_path / "x.pth", torch.nn.Conv2d(1, 1, 1)))


def other_archive():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return held.getvalue()


def broken(folder):
    """(words of the error, bytes of a file) for every way in which one may be no checkpoint."""
    import torch

    zipped = saved(folder / "a", {"a": torch.zeros(500)}).read_bytes()
    legacy = saved(folder / "b", {"a": torch.zeros(500)}, zipped=False).read_bytes()
    return [
        ("the file is empty", b""),
        ("cut off at", zipped[: len(zipped) // 2]),
        ("damaged", legacy[: len(legacy) // 2]),
        ("not a file of weights", b"\x89PNG\r\n\x1a\n picture"),
        ("not one that torch.save wrote", pickle.dumps([1, 2], 2)),
        ("a zip archive without weights", other_archive()),
        ("holds no tensors by name but a list", saved(folder / "c", [torch.zeros(1)]).read_bytes()),
        ("holds no tensors by name but a dict", saved(folder / "d", {"epoch": 3}).read_bytes()),
        ("sparse or quantized", saved(folder / "e", {"a": torch.eye(2).to_sparse()}).read_bytes()),
    ]


@pytest.mark.parametrize("kind", range(9))
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_is_no_checkpoint_is_said(tmp_path, kind):
    words, data = broken(tmp_path)[kind]
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "weights_only" not in str(caught.value)  # no advice to read it unsafely


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_is_refused(tmp_path):
    import torch

    program = torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2))
    torch.jit.save(program, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read(tmp_path / "x.pt")


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be read: No such file"):
        read(tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match=r"cannot be read: Is a directory"):
        read(tmp_path)
