"""`reelmend doctor` tells what works and imports nothing that is optional."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from reelmend.cli import main
from reelmend.cli.doctor import examine


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    said = capsys.readouterr().out
    broken = [f.name for f in examine() if f.state == "bad"]
    assert status == (1 if broken else 0)
    for word in ("versions", "compute", "encoders", "optional", "numpy", "FFmpeg", "native code", "cuda", "nvenc"):
        assert word in said
    lines = [line for line in said.splitlines() if line.startswith("  ")]
    width = max(len(f.name) for f in examine())
    assert all(line[4 + width : 8 + width].strip() in ("ok", "off", "bad") for line in lines)


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"name": "NVIDIA H200", "compute_capability": "9.0", "memory": 140 << 30}
    module = SimpleNamespace(device_count=lambda: 1, device_info=lambda index: info)
    monkeypatch.setitem(sys.modules, "reelmend._cuda", module)
    cuda = next(f for f in examine() if f.name == "cuda")
    assert cuda.state == "ok"
    assert cuda.detail.startswith("NVIDIA H200 (compute capability 9.0, 140 GiB); used with --device cuda; 'make gpu'")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {f["group"] for f in found} == {"versions", "compute", "encoders", "optional"}
    assert {f["state"] for f in found} <= {"ok", "off", "bad"}
    assert next(f for f in found if f["name"] == "x264")["state"] == "ok"


def test_optional_packages_are_not_imported() -> None:
    code = (
        "import sys; from reelmend.cli import main; main(['doctor', '--json'])\n"
        "heavy = {'cupy', 'matplotlib', 'cv2', 'tensorrt', 'pycuda', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
