"""Weights from elsewhere: a file, a folder or an installed package, checked and copied into the weights folder.

The names and shapes of the tensors tell the network. Nothing is imported from a package: its list of files is read, and
of its files only those that hold weights, as plain numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from featx.backbones.architectures import recognise_network
from featx.backbones.names import OPEN_CLIP
from featx.backbones.open_clip_networks import files_beside, require_fit
from featx.backbones.weights import (
    SUFFIXES,
    AddedWeights,
    PublishedWeights,
    add_weights,
    copy_beside,
    copy_weights,
    hash_prefix,
    note_added,
    published_as,
    readable_sha256,
)
from featx.errors import FeatxError

# More files than this are a folder of checkpoints, of which somebody has to choose.
MOST_FILES = 20
# Names that say nothing about the network.
NAMELESS = (
    "best", "checkpoint", "last", "model", "model_best", "open_clip_model", "open_clip_pytorch_model", "pytorch_model",
    "weights",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Weights files to look at, and where they come from, in words."""

    origin: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class _Candidate:
    """A file that was checked: its network, its digest, and the published file that it is, if any."""

    file: Path
    backbone: str
    sha256: str
    published: PublishedWeights | None


def add_from(named: str, backbone: str | None = None) -> list[AddedWeights]:
    """Check the weights in a file, folder or installed package, and copy them to where they are found by their digest.

    `backbone` settles which network is meant where the tensors fit several. Nothing is copied unless every file can be
    read safely and one of them at least is of a known network; a single file may instead bear its own checksum.
    """
    source = source_of(named)
    candidates: list[_Candidate] = []
    misfits: list[FeatxError] = []
    for file in source.files:
        try:
            candidates.append(_checked(file, backbone))
        except FeatxError as error:
            # A folder may hold other things beside what is wanted; what is damaged or hostile stops everything.
            if error.code != "weights-misfit":
                raise
            misfits.append(error)
    if not candidates and len(source.files) == 1 and backbone is None:
        candidates = _checked_by_name(source.files[0])
    if not candidates:
        raise misfits[0]
    return [_installed(candidate, source.origin) for candidate in candidates]


def source_of(named: str) -> Source:
    """The weights files of a path or package name."""
    path = Path(named).expanduser()
    if path.is_dir():
        return Source(str(path), _some(named, _in_folder(path)))
    # A missing file stays a file: the error is about it.
    if path.exists() or path.suffix.lower() in SUFFIXES or path.name != named:
        return Source(str(path), (path,))
    try:
        package = distribution(named)
    except (PackageNotFoundError, ValueError) as error:
        raise FeatxError(
            "no-such-file",
            f"`{named}` is neither a file or folder here nor an installed package",
            f"check the path, or install the package first: `pip install {named}`",
        ) from error
    return Source(f"package {package.name} {package.version}", _some(named, _in_package(package)))


def _in_folder(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _in_package(package: Distribution) -> list[Path]:
    """Its weights files; a list of files may name any path, so one outside the package's own folders is left out."""
    home = Path(str(package.locate_file(""))).resolve()
    # A .pth file without a folder is Python's: paths to import from.
    listed = [file for file in package.files or [] if file.suffix.lower() in SUFFIXES and len(file.parts) > 1]
    paths = (Path(str(package.locate_file(file))).resolve() for file in listed)
    return sorted(path for path in paths if path.is_relative_to(home) and path.is_file())


def _some(named: str, files: Sequence[Path]) -> tuple[Path, ...]:
    if not files:
        raise FeatxError(
            "no-such-file",
            f"`{named}` has no weights file",
            f"weights files end in {', '.join(SUFFIXES)}; name the file, if it lies elsewhere",
        )
    if len(files) > MOST_FILES:
        raise FeatxError(
            "bad-flag", f"`{named}` has {len(files):,} weights files", f"name one of them, such as `{files[0]}`"
        )
    return tuple(files)


def _checked(file: Path, backbone: str | None) -> _Candidate:
    """A file with its network; whoever published it, its tensors are read before it is copied."""
    digest = readable_sha256(file)
    published = published_as(file, digest)
    if published is not None:
        return _Candidate(file, published.backbone, digest, published)
    if backbone is not None and backbone.startswith(OPEN_CLIP):
        # Its networks are in no table of tensors: the one that is meant is built without numbers, to compare with.
        require_fit(file, backbone)
        return _Candidate(file, backbone, digest, None)
    return _Candidate(file, recognise_network(file, backbone), digest, None)


def _checked_by_name(file: Path) -> list[_Candidate]:
    """A file of an unknown network, if its publisher wrote the beginning of its digest into its name."""
    prefix, digest = hash_prefix(file.name), readable_sha256(file)
    return [_Candidate(file, "", digest, None)] if prefix is not None and digest.startswith(prefix) else []


def _installed(candidate: _Candidate, origin: str) -> AddedWeights:
    file, digest = candidate.file, candidate.sha256
    if candidate.published is not None:
        target = add_weights(file, [candidate.published])
    else:
        target = copy_weights(file, _name(candidate), digest)
    added = AddedWeights(candidate.backbone, target, digest, origin)
    if candidate.published is None and added.backbone:
        note_added(added)
    if added.backbone.startswith(OPEN_CLIP):
        for beside in files_beside(file):
            copy_beside(beside, target.with_suffix("") / beside.name)
    return added


def _name(candidate: _Candidate) -> str:
    """The name in the weights folder: it ends with the beginning of the digest, as published names do."""
    file, digest = candidate.file, candidate.sha256
    prefix = hash_prefix(file.name)
    if prefix is not None and digest.startswith(prefix):
        return file.name
    stem = candidate.backbone if file.stem.lower() in NAMELESS else file.stem
    plain = re.sub(r"[^\w.]+", "-", stem)
    return f"{plain}-{digest[:8]}{file.suffix.lower()}"
