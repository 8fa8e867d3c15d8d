"""A training that was killed goes on where its last epoch ended, and ends with the same bytes.

Nothing of the random numbers has to be kept: those of an epoch follow from the seed and its number alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from featx.backbones.tuned_card import Epoch
from featx.files.atomic import cannot_write, write_atomic
from featx.files.digested import checked_body, with_digest
from featx.files.regular import read_regular

FILE = "training.state"
# The name under which the note is kept among the tensors.
NOTE = "note"


class Note(msgspec.Struct, frozen=True):
    """Where a training is: which one it is, and the epochs so far."""

    key: str
    rate: float
    tried: list[float]
    history: list[Epoch]
    best: int
    seconds: float
    halved: bool


@dataclass
class Progress:
    """A training between two epochs; `tensors` are the numbers of network, best network and optimizer, by name."""

    rate: float
    tried: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    seconds: float = 0.0
    halved: bool = False
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training, in a folder of its own: its digest, then tensors and the note about them."""

    folder: Path
    key: str

    def read(self) -> Progress | None:
        """How far this very training came; None where there is nothing whole of it."""
        try:
            tensors = load(checked_body(read_regular(self.folder / FILE)))
            note = msgspec.json.decode(tensors.pop(NOTE).numpy().tobytes(), type=Note)
        except (OSError, msgspec.MsgspecError, SafetensorError, ValueError, KeyError):
            return None
        if note.key != self.key:
            return None
        return Progress(note.rate, note.tried, note.history, note.best, note.seconds, note.halved, tensors)

    def write(self, progress: Progress) -> None:
        """Keep how far it came, in place of what was kept before."""
        made = progress
        note = Note(self.key, made.rate, made.tried, made.history, made.best, made.seconds, made.halved)
        text = torch.frombuffer(bytearray(msgspec.json.encode(note)), dtype=torch.uint8)
        # One tensor may be there under two names, as that of the best epoch; a file keeps each by itself.
        plain = {name: value.clone(memory_format=torch.contiguous_format) for name, value in made.tensors.items()}
        body = save({NOTE: text, **plain})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.folder / FILE, with_digest(body))
        except OSError as error:
            raise cannot_write(
                self.folder, error, "free some space; the training goes on from its last epoch"
            ) from error

    def remove(self) -> None:
        """Forget it: the training is over."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key_of(facts: Mapping[str, object]) -> str:
    """A name for a training by all that decides its outcome."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
