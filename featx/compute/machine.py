"""What this machine offers: threads, a GPU, room on the disk, and the versions of what does the work."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from featx.compute.threads import cores

LIBRARIES = ("featx", "torch", "torchvision", "scikit-learn", "h5py", "numpy")
# What features, or the files that hold them, may depend on.
WORKING = (
    "featx",
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "openvino",
    "onnxruntime",
    "numpy",
    "pillow",
    "h5py",
)


@dataclass(frozen=True)
class MachineFacts:
    """The machine a command runs on."""

    threads: int
    gpu: bool
    free_bytes: int
    python: str
    versions: dict[str, str | None]


def machine_facts(folder: Path = Path()) -> MachineFacts:
    """The facts of this machine; the free room is that of the folder's disk."""
    return MachineFacts(
        threads=cores(),
        gpu=Path("/dev/nvidia0").exists(),
        free_bytes=shutil.disk_usage(folder).free,
        python=platform.python_version(),
        versions={name: _version(name) for name in LIBRARIES},
    )


def working_versions() -> dict[str, str]:
    """The versions that must agree between machines which extract together; what is not installed is left out."""
    found = {name: _version(name) for name in WORKING}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {name: number for name, number in found.items() if number is not None}


def machine_description() -> dict[str, str | int | None]:
    """The machine and the numeric libraries, as written beside figures that depend on them."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "threads": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "scikit-learn": _version("scikit-learn"),
    }


def _processor() -> str:
    """The processor's name if the system gives it, else its architecture."""
    lines = _processor_facts().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has matrix units for bf16 (Intel's AMX), which are several times as fast as float32."""
    return "amx_bf16" in _processor_facts().split()


def _processor_facts() -> str:
    """What Linux says of the processor; nothing on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def peak_memory() -> int | None:
    """The peak memory of this process in bytes, if the system keeps count."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
