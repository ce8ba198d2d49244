"""The public surface: what `tests/api_surface.json` says, and nothing heavy on import.

After a change that is meant, write the file anew:  REELMEND_WRITE_API=1 pytest tests/test_api.py
"""

from __future__ import annotations

import builtins
import dataclasses
import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import reelmend
from reelmend import errors, ops

SURFACE = Path(__file__).with_name("api_surface.json")
MODULES = {"reelmend": reelmend, "reelmend.ops": ops, "reelmend.errors": errors}
HEAVY = ["av", "onnxruntime", "openvino", "cupy", "torch", "matplotlib", "tqdm", "cv2", "PIL", "pycuda"]


def signature(thing: Any) -> str:
    # annotations are strings under `from __future__ import annotations`; unquoted they read alike on every Python
    return str(inspect.signature(thing)).translate({ord(c): None for c in "'\""})


def describe(thing: Any) -> Any:
    """What users can rely on: signatures, public members, bases of errors."""
    if inspect.ismodule(thing):  # reelmend.restore, once something has imported it: a module that is called
        thing = getattr(thing, thing.__name__.rpartition(".")[2])
    if not inspect.isclass(thing):
        return signature(thing) if callable(thing) else type(thing).__name__
    if issubclass(thing, BaseException):
        bases = [b.__name__ for b in thing.__mro__[1:] if b is not object]
        return {"bases": bases, "signature": signature(thing) if "__init__" in vars(thing) else "(message)"}
    members: dict[str, str] = {}
    fields = {f.name for f in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    for owner in reversed(thing.__mro__[:-1]):
        for name, value in vars(owner).items():
            if name.startswith("_") or name in fields:
                continue
            if isinstance(value, property):
                members[name] = "property"
            elif isinstance(value, classmethod | staticmethod):
                members[name] = f"{type(value).__name__} {signature(value.__func__)}"
            elif inspect.isfunction(value):
                members[name] = signature(value)
    return {"signature": signature(thing), "members": dict(sorted(members.items()))}


def surface() -> dict[str, Any]:
    return {
        name: {public: describe(getattr(module, public)) for public in sorted(module.__all__)}
        for name, module in MODULES.items()
    }


def test_the_public_surface_is_the_one_written_down():
    now = surface()
    if os.environ.get("REELMEND_WRITE_API"):
        SURFACE.write_text(json.dumps(now, indent=1) + "\n")
    known = json.loads(SURFACE.read_text())
    for module, names in now.items():
        assert sorted(known[module]) == sorted(names), f"names of {module}"
        for name, described in names.items():
            assert described == known[module][name], f"{module}.{name}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_public_name_resolves_and_is_listed_once(name):
    module = MODULES[name]
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert getattr(module, public) is not None
    assert set(module.__all__) <= set(dir(module))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'reelmend' has no attribute 'sharpen'"):
        _ = reelmend.sharpen


@pytest.mark.parametrize("name", sorted(reelmend.__all__))
def test_names_live_in_public_modules_with_their_documentation(name):
    thing = getattr(reelmend, name)
    if callable(thing):
        assert thing.__doc__
        assert thing.__doc__ != getattr(type(thing), "__doc__", None)
        assert thing.__module__.startswith("reelmend.")


def loaded_after(code: str) -> set[str]:
    program = f"import sys; {code}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.split()} | set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import reelmend",
        "import numpy, reelmend; s = reelmend.Stream([reelmend.Deflicker()]); s.push(numpy.ones((32, 32, 3), 'u1'))",
    ],
    ids=["import", "deflicker"],
)
def test_nothing_heavy_is_imported(code):
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_each_error_is_ours_and_a_builtin(name):
    error = getattr(errors, name)
    assert issubclass(error, errors.ReelmendError)
    if name != "ReelmendError":
        own = [b for b in error.__mro__ if b.__module__ == "builtins" and b not in (Exception, BaseException, object)]
        assert own, f"{name} is no builtin error"
        assert all(getattr(builtins, b.__name__) is b for b in own)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ArrayError", ValueError),
        ("OptionError", ValueError),
        ("FormatError", ValueError),
        ("PlanError", ValueError),
        ("DeviceError", RuntimeError),
        ("MissingExtraError", ImportError),
        ("MediaError", OSError),
        ("SourceError", OSError),
        ("SinkError", OSError),
        ("StageError", RuntimeError),
    ],
)
def test_the_builtin_of_each_error(name, builtin):
    assert issubclass(getattr(errors, name), builtin)


def test_a_missing_extra_says_what_to_install():
    error = errors.MissingExtraError("matplotlib", "plot", "the report")
    assert (error.package, error.extra) == ("matplotlib", "plot")
    assert "the report needs the package 'matplotlib'" in str(error)
    assert "pip install 'reelmend[plot]'" in str(error)


def test_a_gpu_array_without_our_cuda_module_says_so(monkeypatch):
    class Elsewhere:
        __cuda_array_interface__ = {}  # noqa: RUF012
        dtype = "uint8"
        shape = (2, 2)

    real = importlib.import_module

    def none(name: str, *rest: Any) -> Any:
        if name == "reelmend._cuda":
            raise ImportError("not built")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", none)
    with pytest.raises(errors.DeviceError, match=r"no CUDA module \(not built\)"):
        ops.area_mean(Elsewhere(), (1, 1), out=Elsewhere())
