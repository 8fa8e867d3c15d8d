"""What this machine offers: threads, a GPU, room on the disk, and the versions of what does the work."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from featx.compute.threads import cores

LIBRARIES = ("featx", "torch", "torchvision", "scikit-learn", "h5py", "numpy")


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


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
