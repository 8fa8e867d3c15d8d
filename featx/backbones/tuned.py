"""`tuned:NAME`: a network that `featx tune` trained further, with the card that says what it learned from.

The weights are plain tensors, checked against the digest on the card before a byte of them is parsed.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.backbones.base import BackboneRequest
from featx.backbones.weights import file_sha256, weights_path
from featx.errors import FeatxError, did_you_mean
from featx.files.regular import read_regular
from featx.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featx.backbones.tuned_card import TunedCard

PREFIX = "tuned:"
# What fingerprints call the weights; their digest says which ones.
WEIGHTS = "tuned"
SUFFIX = ".safetensors"
# Answers for photos by networks that never saw them.
FOLDS = ".folds"


@dataclass(frozen=True)
class TunedWeights:
    """The file of a tuned network, and its card."""

    file: Path
    card: TunedCard

    def request(self, request: BackboneRequest) -> BackboneRequest:
        """The request for its parent with these weights."""
        parent = self.card.parent
        return replace(request, name=parent.backbone, weights=str(self.file), preprocessing=parent.preprocessing)


def is_tuned(backbone: str) -> bool:
    """Whether this names a tuned network."""
    return backbone.startswith(PREFIX)


def tuned_folders() -> list[Path]:
    """Where tuned networks are looked for: in the artifacts, then on `FEATX_WEIGHTS_PATH`."""
    return [Workspace.here().tuned, *(place for place in weights_path() if place.is_dir())]


def find_tuned(backbone: str) -> TunedWeights:
    """A tuned network by its name, its file checked."""
    file, card = _file_of(backbone), find_card(backbone)
    found = file_sha256(file)
    if found != card.sha256:
        raise FeatxError(
            "weights-broken",
            f"`{file}` is damaged or not the one its card describes: its SHA-256 begins with {found[:8]}, "
            f"not {card.sha256[:8]}",
            "copy both files again, or tune again: `featx tune`",
            {"path": str(file), "sha256": found, "wanted": card.sha256},
        )
    return TunedWeights(file, card)


def find_card(backbone: str) -> TunedCard:
    """The card of a tuned network by its name; its weights are not read."""
    from featx.backbones.tuned_card import read_tuned_card

    return read_tuned_card(_file_of(backbone).with_suffix(".json"))


@dataclass(frozen=True)
class FairAnswers:
    """Log probabilities of the categories, by networks that never saw the photo, for photos by their digest."""

    categories: list[str]
    rows: dict[str, int]
    log_chances: NDArray[np.float32]


def fair_answers(backbone: str) -> FairAnswers | None:
    """The out-of-fold answers of a tuned network, checked; None where none were made."""
    card = find_card(backbone)
    if card.folds is None:
        return None
    import numpy as np
    from safetensors.numpy import load

    path = _file_of(backbone).with_suffix(FOLDS)
    try:
        data = read_regular(path)
    except OSError as error:
        raise FeatxError(
            "weights-missing",
            f"the out-of-fold answers of {backbone} are not at `{path}`",
            "copy the file there, beside its card",
        ) from error
    if hashlib.sha256(data).hexdigest() != card.folds.sha256:
        raise FeatxError(
            "weights-broken", f"`{path}` is damaged or not the one its card describes", "copy it again, or tune again"
        )
    tensors = load(data)
    digests = {row.tobytes().hex(): i for i, row in enumerate(tensors["digests"])}
    return FairAnswers(card.categories, digests, tensors["log_chances"].astype(np.float32))


def _file_of(backbone: str) -> Path:
    name = checked_name(backbone.removeprefix(PREFIX))
    file = next((file for folder in tuned_folders() if (file := folder / f"{name}{SUFFIX}").is_file()), None)
    if file is None:
        raise FeatxError(
            "unknown-backbone",
            f"no tuned network `{name}` in {', '.join(map(str, tuned_folders()))}",
            did_you_mean(name, tuned_names(), "`featx tune` makes one; `FEATX_WEIGHTS_PATH` names other folders"),
        )
    return file


def tuned_cards() -> list[TunedCard]:
    """The cards of all tuned networks that are here; damaged ones are left out."""
    files = [file for folder in tuned_folders() for file in sorted(folder.glob(f"*{SUFFIX}"))]
    if not files:  # as nearly always: the card's library is not even loaded
        return []
    from featx.backbones.tuned_card import read_tuned_card

    cards = []
    for file in files:
        with suppress(FeatxError):  # named when it is opened
            cards.append(read_tuned_card(file.with_suffix(".json")))
    return cards


def tuned_names() -> list[str]:
    """The names of all tuned networks that are here."""
    return [card.name for card in tuned_cards()]


def checked_name(name: str) -> str:
    """A name that is safe in a file system and in the name of a backbone."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        raise FeatxError(
            "bad-flag",
            f"`{name}` cannot name a tuned network",
            "use letters, digits, dots, dashes and underscores: `--name shoes-2`",
        )
    return name


def tuned_rows() -> list[dict[str, Any]]:
    """A row of `featx backbones` for each tuned network."""
    return [
        {
            "name": f"{PREFIX}{card.name}",
            "width": card.parent.width,
            **dict.fromkeys(("parameters", "gflops", "top1", "input", "default", "url")),
            "weights": [],
            "licence": card.parent.licence,
        }
        for card in tuned_cards()
    ]


def is_here(backbone: str) -> bool:
    """Whether the files of a tuned network are on this machine."""
    return backbone.removeprefix(PREFIX) in tuned_names()
