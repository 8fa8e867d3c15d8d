"""Weights files by their SHA-256, wherever they are: a folder copied to another machine still works."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from featx.backbones.weights.cache import SUFFIXES, file_sha256, weights_folder, weights_path
from featx.backbones.weights.published import hash_prefix
from featx.errors import FeatxError


def is_digest(text: str) -> bool:
    """Whether this is a SHA-256; some weights are known by another name only."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def search_places(near: Sequence[Path] = ()) -> list[Path]:
    """Where weights files are looked for: near the files that need them, on `FEATX_WEIGHTS_PATH`, in the cache."""
    return list(dict.fromkeys([*near, *weights_path(), weights_folder()]))


def named_place(weights: str | Path | None) -> list[Path]:
    """The file or folder that somebody names, to be searched before every other place."""
    if weights is None:
        return []
    place = Path(weights).expanduser()
    if not place.exists():
        raise FeatxError(
            "no-such-file", f"no weights file or folder at `{weights}`", "check the spelling, or where you are"
        )
    return [place]


def locate_weights(sha256: str, name: str, places: Iterable[Path]) -> Path | None:
    """The file with this digest in these files and folders; one of this name is tried first in each."""
    for place in places:
        for file in _candidates(place, sha256, name):
            with suppress(OSError):
                if file_sha256(file) == sha256:
                    return file
    return None


def is_cached(sha256: str) -> bool:
    """Whether the cache has a published file whose name begins this digest; none of them is read."""
    prefixes = (hash_prefix(file.name) for file in _files(weights_folder()))
    return any(prefix is not None and sha256.startswith(prefix) for prefix in prefixes)


def weights_not_found(backbone: str, name: str, sha256: str, places: Sequence[Path]) -> FeatxError:
    """The error for a weights file that was not found: its name and digest, and every place searched."""
    shown = ", ".join(os.path.join(place, "") if place.is_dir() else str(place) for place in places)
    return FeatxError(
        "weights-missing",
        f"the weights file of `{backbone}` is not here: `{name}` with SHA-256 {sha256}\nlooked in: {shown}",
        "name the file or its folder: `--weights FILE`, or `FEATX_WEIGHTS_PATH=FOLDER`; or copy it beside the store",
        {"backbone": backbone, "file": name, "sha256": sha256, "looked_in": [str(place) for place in places]},
    )


def _candidates(place: Path, sha256: str, name: str) -> Iterator[Path]:
    """Files that may have this digest, the likeliest first."""
    files = [place] if place.is_file() else _files(place)
    possible = [file for file in files if sha256.startswith(hash_prefix(file.name) or "")]
    return iter(sorted(possible, key=lambda file: (file.name != name, not hash_prefix(file.name), file.name)))


def _files(folder: Path) -> list[Path]:
    """The weights files in a folder; classifiers end in .safetensors too, and each has a card beside it."""
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    except OSError:
        return []
    return [file for file in files if not file.with_suffix(".json").exists()]
