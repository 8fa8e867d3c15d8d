"""What runs the server elsewhere: a container and a systemd unit, written to a folder to be changed there."""

from __future__ import annotations

import os
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import cannot_write
from featx.files.spreadsheet import write_whole

SETUP = Path(__file__).parent / "setup"


def write_setup(folder: str | Path) -> list[Path]:
    """Write a `Containerfile` and `featx-serve.service` to a folder; files that are there are never replaced."""
    written = [Path(folder) / source.name for source in _sources()]
    for path in written:
        _refuse_existing(path)
    _make(Path(folder))
    for source, path in zip(_sources(), written, strict=True):
        write_whole(path, source.read_bytes())
    return written


def _sources() -> list[Path]:
    return sorted(SETUP.iterdir())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _refuse_existing(path: Path) -> None:
    """Somebody may have changed it."""
    if os.path.lexists(path):
        raise FeatxError("bad-flag", f"`{path}` exists", "name another folder, or move the file away")
