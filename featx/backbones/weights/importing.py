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
    digest = readable_sha256(file)
    published = published_as(file, digest, every)
    name = published.file_name if published is not None else None
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
    return copy_weights(file, name, digest)


def readable_sha256(file: Path) -> str:
    """The SHA-256 of a file that somebody named, or the error about it."""
    try:
        return file_sha256(file)
    except OSError as error:
        raise unreadable(file, error) from error


def published_as(file: Path, digest: str, every: Sequence[PublishedWeights] | None = None) -> PublishedWeights | None:
    """The published file with this content: browsers rename downloads ("resnet50-0676ba61 (1).pth")."""
    recommended = _by_content(file, digest, RECOMMENDED)
    return recommended or _by_content(file, digest, published_weights() if every is None else every)


def copy_weights(file: Path, name: str, digest: str) -> Path:
    """Copy a file that was checked into torch's cache under a name that begins its digest."""
    target = weights_folder() / name
    pin_digest(target, digest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and file.samefile(target)):
            copy_checked(file, target, digest)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def copy_beside(file: Path, target: Path) -> None:
    """Copy what its publisher put beside a weights file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and file.samefile(target)):
            copy_checked(file, target, readable_sha256(file))
    except OSError as error:
        raise cannot_write(target, error) from error


def _by_content(file: Path, digest: str, known: Sequence[PublishedWeights]) -> PublishedWeights | None:
    fitting = [entry for entry in known if digest.startswith(hash_prefix(entry.file_name) or "-")]
    return next((entry for entry in fitting if entry.file_name == file.name), fitting[0] if fitting else None)


def copy_checked(file: Path, target: Path, digest: str) -> None:
    """Copy a weights file atomically, refusing bytes that changed since they were checked."""
    with file.open("rb") as source, atomic_writer(target) as copy:
        shutil.copyfileobj(source, copy, BLOCK)
        copy.flush()
        if file_sha256(Path(copy.name)) != digest:
            raise FeatxError("weights-broken", f"`{file}` changed while it was copied", "add it again")
