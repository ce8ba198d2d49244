"""Builds the extension modules for the GPU of this machine alone, offline, and runs a program with that build.

    python benchmarks/gpu_build.py [--wheels FOLDER] PROGRAM [ARGUMENT ...]

What .venv has is used where it fits: a CUDA module for this GPU, newer than its sources. Otherwise the modules are
built with the CMake, pybind11 and nvcc that are found, into build/gpu; nothing is asked of a package index. What is
missing comes from a folder of wheels. REELMEND_CUDA_ARCHITECTURES names another architecture than the GPU's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "gpu"
SITE, TOOLS = BUILD / "site", BUILD / "tools"
PROBE = """
import json, numpy, pytest, reelmend, reelmend._cuda as cuda
from importlib.util import find_spec
assert find_spec("cupy") or find_spec("torch"), "it has neither CuPy nor PyTorch"
print(json.dumps([reelmend.__file__, cuda.__file__, cuda.architectures]))
"""


class NoGpu(Exception):
    """Why there is no GPU to build for."""


def compute_capability() -> str:
    """Of the first GPU, asked of the driver itself: "90" for an H200. Raises NoGpu with the reason."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoGpu(f"no NVIDIA driver ({error})") from None

    def check(status: int, what: str) -> None:
        if status:
            text = ctypes.c_char_p()
            driver.cuGetErrorString(status, ctypes.byref(text))
            raise NoGpu(f"{what}: the driver says: {(text.value or b'unknown error').decode()}")

    count, device = ctypes.c_int(), ctypes.c_int()
    check(driver.cuInit(0), "cuInit")
    check(driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    if not count.value:
        raise NoGpu("the driver sees no device")
    check(driver.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
    parts = []
    for attribute in (75, 76):  # compute capability, major and minor
        value = ctypes.c_int()
        check(driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device), "cuDeviceGetAttribute")
        parts.append(str(value.value))
    return "".join(parts)


def sources() -> list[Path]:
    """What the extension modules are made of."""
    return [ROOT / "CMakeLists.txt", *(p for p in (ROOT / "csrc").rglob("*") if p.is_file())]


def fits(python: Path, architecture: str) -> str:
    """Why the package installed for this Python is not the one to measure; empty if it is."""
    if not python.exists():
        return "it is not there"
    done = subprocess.run([str(python), "-c", PROBE], capture_output=True, text=True, check=False, cwd=BUILD.anchor)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it fails"])[-1]
    package, module, architectures = json.loads(done.stdout)
    if ROOT / "python" not in Path(package).resolve().parents:
        return f"its reelmend is {package}"
    if architecture not in re.split(r"[\s;]+|-real|-virtual", architectures):
        return f"its CUDA module is for {architectures}"
    built = Path(module).stat().st_mtime
    changed = [str(p.relative_to(ROOT)) for p in sources() if p.stat().st_mtime > built]
    return f"{changed[0]} is newer than its CUDA module" if changed else ""


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:2])


def _cmake() -> str | None:
    """A CMake of 3.24 or newer."""
    found = [shutil.which("cmake", path=str(TOOLS / "bin")), shutil.which("cmake")]
    for path in filter(None, found):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, env=environment())
        if said.returncode == 0 and _version(said.stdout) >= (3, 24):
            return path
    return None


def missing(wheels: Path | None) -> list[str]:
    """What the build or the tests need and this Python lacks, as requirements."""
    wanted = [name for name in ("numpy", "pytest") if not find_spec(name)]
    try:
        if _version(metadata.version("pybind11")) < (3, 0):
            wanted.append("pybind11>=3.0")
    except metadata.PackageNotFoundError:
        wanted.append("pybind11>=3.0")
    if _cmake() is None:
        wanted.append("cmake>=3.24")
    holders = sorted(wheels.glob("cupy_*.whl")) if wheels is not None else []
    if holders and not find_spec("cupy") and not find_spec("torch"):
        wanted.append(holders[0].name.partition("-")[0].replace("_", "-"))
    return wanted


def environment() -> dict[str, str]:
    """Of a process that finds the build and the tools."""
    paths = [str(SITE), str(TOOLS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(*command: str | Path) -> None:
    print("+", *command, flush=True)
    done = subprocess.run([str(part) for part in command], check=False, env=environment())
    if done.returncode:
        raise SystemExit(f"make gpu: {Path(command[0]).name} failed with status {done.returncode}")


def bring(wheels: Path | None) -> None:
    """What is missing, out of the folder of wheels and nowhere else."""
    sys.path.insert(0, str(TOOLS))  # an earlier run may have brought it
    wanted = missing(wheels)
    if not wanted:
        return
    names = " ".join(f"'{name}'" for name in wanted)
    if wheels is None:
        raise SystemExit(
            f"make gpu: {sys.executable} lacks {', '.join(wanted)}. Where there is a network: pip install {names}. "
            f"Else bring wheels (pip download -d FOLDER {names}) and run make gpu WHEELS=FOLDER"
        )
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"),
        *("--find-links", wheels, "--upgrade", "--target", TOOLS, *wanted),
    )


def build(architectures: str, wheels: Path | None) -> None:
    """The package with both modules, in build/gpu/site."""
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        raise SystemExit(f"make gpu: {sys.executable} has no Python.h; install its headers (python3-dev)")
    if "CUDACXX" not in os.environ and not shutil.which("nvcc"):
        nvcc = Path("/usr/local/cuda/bin/nvcc")
        if nvcc.exists():
            os.environ["CUDACXX"] = str(nvcc)
    bring(wheels)
    cmake = _cmake()
    assert cmake is not None
    where = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True, env=environment()
    )
    tree = BUILD / f"{sys.implementation.cache_tag}-{architectures.replace(';', '-')}"
    run(
        *(cmake, "-S", ROOT, "-B", tree, *(("-G", "Ninja") if shutil.which("ninja") else ())),
        *("-DCMAKE_BUILD_TYPE=Release", "-DREELMEND_CUDA=ON", f"-DREELMEND_CUDA_ARCHITECTURES={architectures}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={where.stdout.strip()}"),
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    run(cmake, "--build", tree, "--parallel", str(cores))
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(
        ROOT / "python" / "reelmend", SITE / "reelmend", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    run(cmake, "--install", tree, "--prefix", SITE)
    found = [sys.executable, "-c", "import reelmend._cuda as cuda; print(cuda.__file__)"]
    module = subprocess.run(found, capture_output=True, text=True, check=False, env=environment(), cwd=BUILD.anchor)
    if module.returncode:
        raise SystemExit(f"make gpu: the CUDA module was built, but does not load: {module.stderr.strip()}")
    if SITE not in Path(module.stdout.strip()).parents:
        raise SystemExit(
            f"make gpu: {sys.executable} has a reelmend of its own, {module.stdout.strip()}, which hides the build in "
            f"{SITE}; name another with PYTHON=, or uninstall it there"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="wheels of what this Python lacks")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="what to run with the build, and its arguments")
    args = parser.parse_args()
    if args.wheels is not None and not args.wheels.is_dir():
        raise SystemExit(f"make gpu: WHEELS={args.wheels} is no folder")
    architectures = os.environ.get("REELMEND_CUDA_ARCHITECTURES", "")
    try:
        architectures = architectures or f"{compute_capability()}-real"
    except NoGpu as reason:
        raise SystemExit(
            f"make gpu: no GPU here: {reason}. It builds for an NVIDIA GPU and measures it; make bench measures the CPU"
        ) from None
    python = ROOT / ".venv" / "bin" / "python"
    why = fits(python, architectures.partition("-")[0])
    if why:
        print(f"not .venv: {why}; building for {architectures} with {sys.executable}", flush=True)
        build(architectures, args.wheels and args.wheels.resolve())
        python = Path(sys.executable)
    env = os.environ if not why else environment()
    return subprocess.run([str(python), *args.program], check=False, env=env).returncode if args.program else 0


if __name__ == "__main__":
    sys.exit(main())
