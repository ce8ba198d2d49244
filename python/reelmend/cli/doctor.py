"""`reelmend doctor`: what was found, what is used, and why the rest is not."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

__all__ = ["Finding", "add_parser", "examine", "run"]

# package: (what it is for here, how to get it)
_OPTIONAL = {
    "matplotlib": ("plots of the report", "pip install 'reelmend[plot]'"),
    "cv2": ("a peer in benchmarks", "pip install 'reelmend[bench]'"),
    "cupy": ("frames on an NVIDIA card", "pip install 'reelmend[cupy]'"),
    "torch": ("frames on an NVIDIA card, where CuPy is not installed", "pip install torch"),
    "pycuda": ("frames on an NVIDIA card, for programs that use it", "pip install pycuda"),
    "nvidia.dali": ("feeding decoded frames on a card", "pip install 'reelmend[dali]'"),
    "PyNvVideoCodec": ("decoding and encoding on a card", "pip install 'reelmend[nvcodec]'"),
    "openvino": ("networks that enlarge, faster on the CPU", "pip install 'reelmend[openvino]'"),
    "tensorrt": ("networks on data-centre cards", "see NVIDIA's TensorRT pages"),
    "tensorrt_rtx": ("networks on GeForce and RTX cards", "see NVIDIA's TensorRT-RTX pages"),
}
_DISTRIBUTIONS = {"cv2": "opencv-python-headless", "cupy": "cupy-cuda13x", "nvidia.dali": "nvidia-dali-cuda130"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. state: "ok", "off" (optional, absent) or "bad" (needed, broken)."""

    group: str
    name: str
    state: str
    detail: str


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="what this machine offers, which path is used, why others are off",
        description="Look at what is installed and what works here: native code, CUDA, every encoder (each is made to "
        "encode a frame) and optional packages. Exit status 1 if something needed is broken.",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def _versions() -> list[Finding]:
    from .. import __version__

    found = [
        Finding("versions", "reelmend", "ok", __version__),
        Finding("versions", "python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        Finding(
            "versions",
            "cores",
            "ok",
            str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        ),
    ]
    for name in ("numpy", "av", "onnxruntime", "tqdm"):
        try:
            text = version(name)
        except PackageNotFoundError:
            state = "bad" if name in ("numpy", "av") else "off"
            found.append(Finding("versions", name, state, f"not installed: pip install {name}"))
            continue
        if name == "av":
            import av

            libraries = av.library_versions
            parts = [f"{n} {'.'.join(map(str, libraries[n]))}" for n in ("libavcodec", "libavformat") if n in libraries]
            text += f" (FFmpeg {', '.join(parts)})"
        found.append(Finding("versions", name, "ok", text))
    return found


def _described(module: Any, *names: str) -> list[str]:
    said = []
    for name in names:
        value = getattr(module, name, None)
        if callable(value):
            try:
                value = value()
            except Exception as error:
                value = f"failed: {error}"
        if value not in (None, ""):
            said.append(f"{name.replace('_', ' ')} {value}")
    return said


def _device(module: Any, index: int) -> str:
    info = module.device_info(index)
    return f"{info['name']} (compute capability {info['compute_capability']}, {info['memory'] / 2**30:.0f} GiB)"


def _native() -> list[Finding]:
    try:
        module = import_module("reelmend._native")
        said = _described(module, "variant", "threads", "thread_count")
        native = Finding("compute", "native code", "ok", ", ".join(["used on cpu", *said]))
    except ImportError as error:
        native = Finding("compute", "native code", "bad", f"{error}; reinstall: pip install --force-reinstall reelmend")
    try:
        module = import_module("reelmend._cuda")
        count = int(module.device_count()) if hasattr(module, "device_count") else 0
        if count:
            names = ", ".join(_device(module, k) for k in range(count))
            cuda = Finding(
                "compute", "cuda", "ok", f"{names}; used with --device cuda; 'make gpu' tests and measures it"
            )
        else:
            why = getattr(module, "why_not", None)
            cuda = Finding("compute", "cuda", "off", str(why() if callable(why) else why or "no device found"))
    except ImportError:
        cuda = Finding("compute", "cuda", "off", "this build has no CUDA module; the CPU path is used")
    except Exception as error:
        cuda = Finding("compute", "cuda", "off", f"failed: {error}; the CPU path is used")
    return [native, cuda]


def _encoders() -> list[Finding]:
    from ..media.encoders import ENCODERS, probe

    formats = {
        "libx264": ("yuv420p", "yuv420p10le"),
        "libx265": ("yuv420p", "yuv420p10le", "yuv420p12le"),
        "libsvtav1": ("yuv420p", "yuv420p10le"),
        "libvpx-vp9": ("yuv420p",),
        "ffv1": ("yuv420p", "yuv420p10le", "yuv420p16le"),
        "prores_ks": ("yuv422p10le", "yuv444p10le"),
        "h264_nvenc": ("yuv420p",),
        "hevc_nvenc": ("yuv420p", "p010le"),
        "h264_nvcodec": ("yuv420p",),
    }
    found = []
    for name, encoder in ENCODERS.items():
        tried = [(codec, pix_fmt, probe(codec, pix_fmt)) for codec in encoder.codecs for pix_fmt in formats[codec]]
        works = [f"{codec} {pix_fmt}" for codec, pix_fmt, why_not in tried if not why_not]
        detail = ", ".join(works) or "{} {}: {}".format(*tried[0])
        found.append(Finding("encoders", name, "ok" if works else "off", detail))
    return found


def _packages() -> list[Finding]:
    found = []
    for name, (purpose, how) in _OPTIONAL.items():
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            found.append(Finding("optional", name, "off", f"{purpose}: {how}"))
            continue
        try:
            text = version(_DISTRIBUTIONS.get(name, name))
        except PackageNotFoundError:
            text = "installed"
        found.append(Finding("optional", name, "ok", f"{text}: {purpose}"))
    return found


def examine() -> list[Finding]:
    """Everything `reelmend doctor` says. Optional packages are looked for, never imported."""
    return [*_versions(), *_native(), *_encoders(), *_packages()]


def run(args: argparse.Namespace) -> int:
    """Print the report. Returns 1 if something needed is broken."""
    found = examine()
    if args.json:
        print(json.dumps([asdict(f) for f in found], indent=1))
    else:
        width = max(len(f.name) for f in found)
        group = ""
        for finding in found:
            if finding.group != group:
                group = finding.group
                print(f"{group}")
            print(f"  {finding.name:<{width}}  {finding.state:<3}  {finding.detail}")
    return 1 if any(f.state == "bad" for f in found) else 0
