"""Room on the disk for a store, and the errors where it runs out."""

from __future__ import annotations

import shutil
from pathlib import Path

from featx.errors import FeatxError

MARGIN = 1.1


def ensure_room(path: Path | str, n_rows: int, width: int) -> None:
    """Refuse to start when the disk has too little room."""
    needs = int(n_rows * width * 4 * MARGIN)
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    if needs > disk.free:
        raise FeatxError(
            "disk-full",
            f"the disk is full: {path} needs about {shown_size(needs)} more\n"
            f"{folder} has {shown_size(disk.free)} free of {shown_size(disk.total)}",
            f"free some space and run the same command again, or move the store: `--store /bigdisk/{Path(path).name}`",
            {"needs_bytes": needs, "free_bytes": disk.free},
        )


def disk_full(path: Path, why: str, saved: int) -> FeatxError:
    """The error for a disk that fills up while a store is written."""
    return FeatxError(
        "disk-full",
        why,
        f"{saved:,} photos are saved. Free some space and run the same command\n"
        f"again, or move the store: `--store /bigdisk/{path.name}`",
        {"saved": saved},
    )


def shown_size(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:,.0f} GB" if size >= 1e10 else f"{max(1, round(size / 1e6)):,} MB"
