"""Weights that somebody added to this machine: which network they are of, and where they came from.

The file lies in the weights folder like every other; the note of its digest also holds the network. So lists and the
choice of weights read no tensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from featx.backbones.weights.cache import cannot_write, note_of, weights_here
from featx.errors import FeatxError
from featx.files.atomic import write_atomic
from featx.files.regular import read_json


@dataclass(frozen=True)
class AddedWeights:
    """A weights file in the weights folder, the backbone it is for, and what it was copied from."""

    backbone: str
    file: Path
    sha256: str
    origin: str


def note_added(added: AddedWeights) -> None:
    """Remember the network of a file that was checked."""
    note = note_of(added.file)
    record = {
        "sha256": added.sha256,
        "first_seen_at": str(added.file),
        "backbone": added.backbone,
        "origin": added.origin,
    }
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(note, (json.dumps(record) + "\n").encode())
    except OSError as error:
        raise cannot_write(note, error) from error


def added_weights() -> list[AddedWeights]:
    """Every file that was added and is still there, by name; no tensor is read."""
    return list(_added())


def _added() -> Iterator[AddedWeights]:
    for file in weights_here():
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = read_json(note_of(file))
            yield AddedWeights(str(record["backbone"]), file, str(record["sha256"]), str(record["origin"]))


def added_for(backbone: str) -> AddedWeights | None:
    """The weights that were added for a backbone; where there are several, the error lists them."""
    mine = [added for added in added_weights() if added.backbone == backbone]
    if len(mine) > 1:
        raise FeatxError(
            "bad-flag",
            f"several weights were added for `{backbone}`: {', '.join(added.file.name for added in mine)}",
            f"choose: `--weights {mine[0].file.name}`",
            {"weights": [str(added.file) for added in mine]},
        )
    return mine[0] if mine else None
