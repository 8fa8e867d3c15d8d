"""Arrays cached between runs: written atomically, and ignored if damaged, since they can be computed again."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from featx.files.atomic import atomic_writer
from featx.files.regular import open_regular

# Besides OSError, NumPy lets these escape from damaged files and from those of other programs; RuntimeError is for
# archives that claim to be encrypted or packed in a way that this Python does not know.
DAMAGED = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, RuntimeError)


def cache_folder(name: str) -> Path:
    """Where what can be computed again is kept: a folder in the cache of this account."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "featx" / name


def read_arrays(path: Path | None, *names: str) -> dict[str, np.ndarray] | None:
    """The arrays of a cache by name; None where there is none, or not all of them can be read."""
    if path is None:
        return None
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except DAMAGED:
        return None


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Keep arrays under their names; OSError where they cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
