"""make gpu, on machines that have no GPU: what it says without one, what it writes with one that is pretended."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reelmend import Stream, ops
from reelmend.analyze.benchmark import Row
from reelmend.analyze.opcases import OpCase, each
from reelmend.errors import DeviceError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
INFO = {"name": "NVIDIA H200", "compute_capability": "9.0", "memory": 1 << 37, "l2_cache": 1 << 20}


@pytest.fixture(scope="module")
def gpu(load):
    return load("gpu")


@pytest.fixture(scope="module")
def device(load):
    return load("gpu_device")


@pytest.fixture(scope="module")
def build(load):
    return load("gpu_build")


class Pretended:
    """A GPU made of NumPy arrays that runs what is queued at once. `early`: it never lags behind the queue."""

    def __init__(self, library="cupy", early=False):
        self.library, self.early, self.log = library, early, []

    def put(self, array):
        return np.array(array, order="C")

    def get(self, array):
        return np.asarray(array)

    def bytes(self, count):
        self.log.append(count)
        return np.zeros(count, np.uint8)

    def zero(self, array):
        self.log.append("zero")

    def copy(self, to, source):
        to[...] = source

    def event(self):
        self.log.append("event")
        return time.perf_counter()

    def passed(self, event):
        return self.early

    def seconds(self, first, last):
        return last - first

    def wait(self):
        self.log.append("wait")


class Broken(Pretended):
    """As Pretended, but a sample of each result changes on its way home."""

    def get(self, array):
        wrong = np.array(array)
        wrong.view(np.uint8).reshape(-1)[0] ^= 1
        return wrong


@pytest.fixture
def small(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "SIZES", ((96, 64),))
    monkeypatch.setattr(gpu, "RAGGED", (62, 34))
    monkeypatch.setattr(gpu, "LARGE", 1 << 16)


def without_gpu(*command, **env):
    """What a program says where the driver shows no GPU."""
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **env}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=hidden, cwd=ROOT)


def test_without_a_gpu_the_build_fails_and_says_so():
    env = {"REELMEND_CUDA_ARCHITECTURES": ""}
    done = without_gpu(sys.executable, FOLDER / "gpu_build.py", FOLDER / "gpu.py", **env)
    assert done.returncode == 1
    assert "make gpu: no GPU here: " in done.stderr
    assert "skip" not in done.stdout + done.stderr


def test_without_a_gpu_measuring_fails_and_says_so(tmp_path):
    done = without_gpu(sys.executable, FOLDER / "gpu.py", "--out", tmp_path)
    assert done.returncode == 1
    assert "make gpu: no GPU here" in done.stderr or "no CUDA module" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_said_in_order(gpu, monkeypatch):
    cuda = SimpleNamespace(device_count=lambda: 0, why_not=lambda: "it is in the post", architectures="90")
    monkeypatch.setattr(gpu, "import_module", lambda name: cuda)
    with pytest.raises(SystemExit, match="no GPU here: CUDA says: it is in the post"):
        gpu.here()
    cuda.device_count, cuda.device_info = lambda: 1, lambda index: INFO
    monkeypatch.setattr(gpu, "found", list)
    with pytest.raises(SystemExit, match="neither CuPy nor a PyTorch"):
        gpu.here()
    monkeypatch.setattr(gpu, "found", lambda: [Pretended()])
    assert gpu.here().info == {"architectures": "90", **INFO}


def test_make_passes_folders_on():
    done = subprocess.run(
        ["make", "-n", "gpu", "OUT=over there", "WHEELS=/w"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "benchmarks/gpu_build.py --wheels '/w' benchmarks/gpu.py --out 'over there'" in done.stdout


def test_a_whole_run_fits_the_schema(gpu, small, load, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "here", lambda: gpu.Machine({"architectures": "90-real", **INFO}, [Pretended()]))
    monkeypatch.setattr(gpu, "SECTIONS", (gpu.copies, gpu.parity, gpu.bandwidth))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path)])
    assert gpu.main() == 0
    path = tmp_path / "gpu_nvidia_h200.json"
    document = json.loads(path.read_text())
    assert load("schema").problems(document) == []
    assert document["benchmark"] == path.stem
    assert document["machine"]["gpu"]["name"] == "NVIDIA H200"
    measured = {r["case"]: r["values"] for r in document["rows"] if "share" in r["values"]}
    compared = [r for r in document["rows"] if r["case"].startswith("parity: ")]
    cases = gpu.op_cases(96, 64)
    assert set(measured) == {f"{case.name}, 96x64" for case in cases}
    assert len(compared) == 2 * len(cases)
    assert all(r["values"]["different"] == 0 and r["values"]["samples"] > 0 for r in compared)
    for case in cases:
        v = measured[f"{case.name}, 96x64"]
        assert v["gb_per_s"] == pytest.approx(case.bytes / v["us"] / 1e3, rel=1e-4)
        assert v["starved_rounds"] == 0
    said = capsys.readouterr().out
    assert f"parity with the CPU: {len(compared)} of {len(compared)} equal to the bit" in said
    assert "warp, luma plane, bicubic, 96x64" in said


def test_a_bit_that_differs_fails_the_run(gpu, small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "here", lambda: gpu.Machine(dict(INFO), [Pretended(), Broken("torch")]))
    monkeypatch.setattr(gpu, "SECTIONS", (gpu.parity,))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path)])
    assert gpu.main() == 1
    document = json.loads((tmp_path / "gpu_nvidia_h200.json").read_text())
    found = {"cupy": set(), "torch": set()}
    for row in document["rows"]:
        found[row["method"]].add(row["values"]["different"] > 0)
    assert found == {"cupy": {False}, "torch": {True}}
    assert len(document["settings"]["faults"]) == len(document["rows"]) // 2
    assert "warp, luma plane, 62x34, torch: 1 samples are not the CPU's" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [
        (np.float32([0.0, np.nan]), np.float32([0.0, np.nan]), 0),
        (np.float32([0.0, 1.0]), np.float32([-0.0, 1.0]), 1),
        (np.uint8([1, 2]), np.uint8([1, 3]), 1),
        (np.uint8([[1, 2]]), np.uint8([1, 2]), 2),
        (np.uint8([1, 2]), np.uint16([1, 2]), 2),
        (np.uint16([[1, 2], [3, 4]])[:, ::-1], np.uint16([[2, 1], [4, 3]]), 0),
    ],
)
def test_bits_are_compared(gpu, a, b, count):
    assert gpu.differing(a, b) == count


def test_a_stage_is_compared_and_timed(gpu, small, monkeypatch):
    machine = gpu.Machine(dict(INFO), [Pretended(), Broken("torch")])
    # frames of a pretended GPU are NumPy's: they go through as the CPU's do
    monkeypatch.setattr(gpu, "Stream", lambda stages, device: Stream(stages))
    rows = list(gpu.stages(machine, (96, 64), 70, 0.01))
    assert [(row.case, row.method) for row in rows if "fps" in row.values] == [
        (f"deflicker {mode}, 96x64", method) for mode in ("film", "live") for method in ("cupy", "torch", "cpu")
    ]
    assert all(row.values["fps"] > 0 for row in rows if "fps" in row.values)
    different = {row.method: row.values["different"] for row in rows if "different" in row.values}
    assert different == {"cupy": 0, "torch": 70}
    assert len(machine.faults) == 2


def test_enlarging_is_compared_with_and_without_graphs(gpu, small, monkeypatch):
    class Worse(Pretended):
        """Every frame that comes home is another."""

        def get(self, array):
            self.log.append("get")
            return np.asarray(array) + np.uint8(len(self.log) % 251)

    machine = gpu.Machine(dict(INFO), [Pretended(), Worse("torch")])
    monkeypatch.setattr(gpu, "ENLARGED", ((48, 32),))
    monkeypatch.setattr(gpu, "Stream", lambda stages, device: Stream(stages))
    rows = {(row.case, row.method): row.values for row in gpu.enlarging(machine, 4, 0.01)}
    for method, different in (("cupy", 0), ("torch", 4)):
        for how, recorded in (("graph", 1), ("no graph", 0)):
            values = rows.pop((f"upscale to 96x64, {how}", method))
            assert values["fps"] > 0
            assert values["recorded"] == recorded
        assert rows.pop(("graph or none: upscale to 96x64", method)) == {"frames": 4, "different": different}
    assert not rows
    assert machine.faults == ["upscale to 96x64, torch: 4 of 4 frames change with a graph"]
    assert machine.absent == []


def test_new_frames_are_timed_and_those_along_flow_compared(gpu, small, monkeypatch):
    machine = gpu.Machine(dict(INFO), [Pretended(), Broken("torch")])
    monkeypatch.setattr(gpu, "BETWEEN", ((96, 64),))
    monkeypatch.setattr(gpu, "Stream", lambda stages, device: Stream(stages))
    rows = {(row.case, row.method): row.values for row in gpu.between(machine, 4, 0.01)}
    for library, different in (("cupy", 0), ("torch", 8)):
        for method in ("flow", "fast"):
            values = rows.pop((f"new frames, 96x64, {method}", library))
            assert values["fps"] > 0
            assert values["seven_ms"] > 0
        assert rows.pop(("parity: new frames, 96x64, flow", library)) == {"frames": 8, "different": different}
    assert not rows
    assert machine.faults == ["new frames, 96x64, flow, torch: 8 frames are not the CPU's"]
    assert machine.absent == []


def test_enlarging_without_a_backend_is_told_and_no_fault(gpu, small, monkeypatch):
    def fails(stages, device):
        raise DeviceError("lite-x2/main cannot run on cuda")

    machine = gpu.Machine(dict(INFO), [Pretended()])
    monkeypatch.setattr(gpu, "Stream", fails)
    assert list(gpu.enlarging(machine)) == []
    assert machine.faults == []
    assert len(machine.absent) == 4
    assert machine.absent[0] == "upscale to 1920x1080, cupy, graph: lite-x2/main cannot run on cuda"
    assert gpu.result(machine, [Row("a", "cuda", {"us": 1.0})])["settings"]["absent"] == machine.absent


def test_the_clock_keeps_the_queue_filled_and_the_cache_cold(device):
    pretended = Pretended()
    clock = device.Clock(pretended, 1 << 27)
    assert pretended.log[0] == 1 << 29  # four times the cache
    pretended.log.clear()
    timing = clock.time([lambda: pretended.log.append("call")] * 2, rounds=3)
    assert (timing.rounds, timing.starved) == (3, 0)
    assert 0 <= timing.q1 <= timing.seconds <= timing.q3
    rounds = [part.split() for part in " ".join(pretended.log).split("wait")][3:6]  # after three to warm up
    for part in rounds:
        assert part[-4:] == ["event", "call", "call", "event"]
        assert part[:-4] == ["zero"] * len(part[:-4])
        assert len(part) > 5


def test_rounds_in_which_the_gpu_waited_are_counted(device):
    timing = device.Clock(Pretended(early=True), 1).time([lambda: None], rounds=4)
    assert timing.starved == 4
    assert timing.seconds >= 0


def test_sets_outgrow_the_cache(device):
    clock = device.Clock(Pretended(), 1 << 20)
    assert [clock.sets(size) for size in (1 << 30, 1 << 20, 1 << 19, 1, 0)] == [4, 4, 8, 32, 32]


def test_calls_of_a_run_share_no_memory(device, gpu):
    seen = []

    def run(given, out):
        seen.append((given["x"], out))
        return given["x"].copy() if out is None else out

    x = np.zeros(1 << 10, np.uint8)
    device.Clock(Pretended(), 1 << 10).case(OpCase("noop", {"x": x}, run))
    used = {id(given): given for given, out in seen if out is not None}
    assert len(used) == 4
    assert x.ctypes.data not in {given.ctypes.data for given in used.values()}
    outs = {id(out) for given, out in seen if out is not None}
    assert len(outs) == 4


@pytest.mark.parametrize(
    ("device_name", "name"),
    [
        ("NVIDIA H200", "gpu_nvidia_h200"),
        ("NVIDIA GeForce RTX 4090", "gpu_nvidia_geforce_rtx_4090"),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "gpu_nvidia_a100_sxm4_80gb_mig_1g_10gb"),
    ],
)
def test_results_are_named_after_the_device(gpu, load, device_name, name):
    machine = gpu.Machine({**INFO, "name": device_name}, [Pretended()])
    made = gpu.result(machine, [Row("a", "cuda", {"us": 1.0})])
    assert made["benchmark"] == name
    assert load("schema").problems(made) == []


def test_tests_marked_gpu_are_all_among_those_run(gpu):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "gpu", "tests"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    files = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert "tests/ops/test_warp.py" in files
    assert "tests/stages/test_gpu_frames.py" in files
    assert [f for f in files if not f.startswith(tuple(f"{folder}/" for folder in gpu.TESTS))] == []


def test_tests_that_fail_or_find_no_gpu_are_faults(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "TESTS", ("tests/ops/test_quantiles.py",))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine = SimpleNamespace(faults=[])
    (row,) = gpu.suite(machine)
    assert row.values["skipped"] == row.values["passed"] == 0
    assert row.values["failed"] > 0
    assert machine.faults == ["tests marked gpu: pytest's status is 1"]


def test_everything_that_make_gpu_imports_does_without_pyav():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('av', 'cv2', 'tqdm', 'onnxruntime', 'matplotlib')))\n"
        "import gpu; case, = [c for c in gpu.op_cases(64, 48) if c.name == 'yuv_to_rgb, yuv420p']\n"
        "gpu.Stream([gpu.Deflicker()]).push(next(gpu.frames(64, 48, 1))); print(*case.peers)"
    )
    env = {**os.environ, "PYTHONPATH": str(FOLDER)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["numpy"]


class TestBuild:
    def test_a_venv_is_used_only_where_it_fits(self, build, monkeypatch, tmp_path):
        assert build.fits(tmp_path / "python", "90") == "it is not there"
        python, module = tmp_path / "python", tmp_path / "_cuda.so"
        module.touch()
        said = json.dumps([str(ROOT / "python" / "reelmend" / "__init__.py"), str(module), "75-real 90-real 120"])
        python.touch()
        answers = []
        monkeypatch.setattr(build.subprocess, "run", lambda *a, **k: answers[-1])
        answers.append(SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nImportError: no numpy\n"))
        assert build.fits(python, "90") == "ImportError: no numpy"
        answers.append(SimpleNamespace(returncode=0, stdout=said, stderr=""))
        future = time.time() + 1000
        os.utime(module, (future, future))
        assert [build.fits(python, a) for a in ("90", "75", "120")] == ["", "", ""]
        assert build.fits(python, "89") == "its CUDA module is for 75-real 90-real 120"
        os.utime(module, (0, 0))
        assert build.fits(python, "90") == "CMakeLists.txt is newer than its CUDA module"
        answers.append(SimpleNamespace(returncode=0, stdout=said.replace(str(ROOT), "/usr"), stderr=""))
        assert "its reelmend is /usr/python" in build.fits(python, "90")

    def test_the_packages_of_a_venv_are_probed(self, build, monkeypatch, tmp_path):
        """A Python that sees only these packages is asked as the one of .venv is."""
        home = tmp_path / "python"
        for name in ("numpy", "pytest", "cupy", "reelmend"):
            (home / name).mkdir(parents=True)
            (home / name / "__init__.py").touch()
        (home / "reelmend" / "_cuda.py").write_text("architectures = '75-real 90-real'\n")
        python = tmp_path / "bin"
        python.write_text(f'#!/bin/sh\nPYTHONPATH={home} exec {sys.executable} -S "$@"\n')
        python.chmod(0o755)
        monkeypatch.setattr(build, "ROOT", tmp_path)
        monkeypatch.setattr(build, "sources", list)
        assert build.fits(python, "90") == ""
        assert build.fits(python, "89") == "its CUDA module is for 75-real 90-real"
        (home / "cupy" / "__init__.py").unlink()
        (home / "cupy").rmdir()
        assert build.fits(python, "90") == "AssertionError: it has neither CuPy nor PyTorch"

    def test_what_is_missing_comes_from_wheels_or_is_named(self, build, monkeypatch, tmp_path):
        monkeypatch.setattr(build, "missing", lambda wheels: ["pybind11>=3.0", "cmake>=3.24"])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit, match=r"lacks pybind11>=3.0, cmake>=3.24.*make gpu WHEELS=FOLDER"):
            build.bring(None)
        ran = []
        monkeypatch.setattr(build, "run", lambda *command: ran.append(command))
        build.bring(tmp_path)
        assert ran[0][1:4] == ("-m", "pip", "install")
        assert {"--no-index", tmp_path, "pybind11>=3.0", "cmake>=3.24"} <= set(ran[0])
        monkeypatch.setattr(build, "missing", lambda wheels: [])
        build.bring(None)
        assert len(ran) == 1

    def test_cupy_is_taken_from_wheels_where_nothing_holds_arrays(self, build, monkeypatch, tmp_path):
        (tmp_path / "cupy_cuda13x-14.2.0-cp312-cp312-manylinux2014_x86_64.whl").touch()
        monkeypatch.setattr(build, "_cmake", lambda: "cmake")
        monkeypatch.setattr(build, "find_spec", lambda name: None)
        assert {"cupy-cuda13x", "numpy", "pytest"} <= set(build.missing(tmp_path))
        assert not any("cupy" in name for name in build.missing(None))
        monkeypatch.setattr(build, "find_spec", lambda name: name)
        assert not any("cupy" in name for name in build.missing(tmp_path))

    def test_the_driver_is_asked_and_its_reason_passed_on(self, build, monkeypatch):
        class Driver:
            def __init__(self, status=0, count=1):
                self.status, self.count = status, count

            def cuInit(self, flags):
                return self.status

            def cuGetErrorString(self, status, text):
                text._obj.value = b"no CUDA-capable device is detected"
                return 0

            def cuDeviceGetCount(self, count):
                count._obj.value = self.count
                return 0

            def cuDeviceGet(self, device, index):
                return 0

            def cuDeviceGetAttribute(self, value, attribute, device):
                value._obj.value = {75: 9, 76: 0}[attribute]
                return 0

        def drive(driver):
            monkeypatch.setattr(build.ctypes, "CDLL", lambda name: driver)

        drive(Driver())
        assert build.compute_capability() == "90"
        drive(Driver(status=100))
        with pytest.raises(build.NoGpu, match="cuInit: the driver says: no CUDA-capable device is detected"):
            build.compute_capability()
        drive(Driver(count=0))
        with pytest.raises(build.NoGpu, match="sees no device"):
            build.compute_capability()


def test_every_op_is_compared_between_the_devices(gpu):
    moves = {"beside", "cast", "copy", "empty_like", "largest", "to_device", "to_host"}  # of memory, not of pixels
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    have = {case.op for case in gpu.op_cases(64, 48)}
    assert have == functions - moves, "give a new op a case in reelmend.analyze.opcases"
    for case in gpu.op_cases(64, 48):
        assert all(isinstance(a, np.ndarray) for a in (*each(case.inputs), *each(case.out))), case.name
