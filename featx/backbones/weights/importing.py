"""Weights downloaded elsewhere, copied into torch's cache."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from featx.backbones.weights.cache import BLOCK, cannot_write, file_sha256, pin_digest, unreadable, weights_folder
from featx.backbones.weights.published import RECOMMENDED, PublishedWeights, hash_prefix, published_weights
from featx.errors import FeatxError
from featx.files.atomic import atomic_writer


def add_weights(file: Path, every: Sequence[PublishedWeights] | None = None) -> Path:
    """Copy a file downloaded elsewhere into torch's cache under its published name, after verifying it."""
    try:
        digest = file_sha256(file)
    except OSError as error:
        raise unreadable(file, error) from error
    # Browsers rename downloads ("resnet50-0676ba61 (1).pth"); the content tells which file it is.
    name = _name_by_content(file, digest, RECOMMENDED)
    if name is None:
        name = _name_by_content(file, digest, published_weights() if every is None else every)
    prefix = hash_prefix(file.name)
    if name is None and prefix and digest.startswith(prefix):
        name = file.name
    if name is None and prefix:
        pin_digest(file, digest)
    if name is None:
        raise FeatxError(
            "weights-broken",
            f"`{file}` is not a published weights file, or was damaged in transit",
            "to use your own weights, leave the file where it is: "
            f"`featx extract IMAGES --backbone NAME --weights {file}`",
            {"path": str(file), "sha256": digest},
        )
    target = weights_folder() / name
    pin_digest(target, digest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and file.samefile(target)):
            copy_checked(file, target, digest)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def _name_by_content(file: Path, digest: str, known: Sequence[PublishedWeights]) -> str | None:
    names = [entry.file_name for entry in known if digest.startswith(hash_prefix(entry.file_name) or "-")]
    return file.name if file.name in names else names[0] if names else None


def copy_checked(file: Path, target: Path, digest: str) -> None:
    """Copy a weights file atomically, refusing bytes that changed since they were checked."""
    with file.open("rb") as source, atomic_writer(target) as copy:
        shutil.copyfileobj(source, copy, BLOCK)
        copy.flush()
        if file_sha256(Path(copy.name)) != digest:
            raise FeatxError("weights-broken", f"`{file}` changed while it was copied", "add it again")
