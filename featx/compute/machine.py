"""What this machine offers: threads, a GPU, room on the disk, and the versions of what does the work."""

from __future__ import annotations

import platform
import shutil
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


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has matrix units for bf16 (Intel's AMX), which are several times as fast as float32."""
    facts = Path("/proc/cpuinfo")
    return facts.is_file() and "amx_bf16" in facts.read_text(encoding="utf-8").split()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
