"""The classifiers in a folder: what the card beside each says of it, and which of them are damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from featx.classifiers.card import read_card
from featx.classifiers.persistence import load_classifier
from featx.classifiers.registry import classifier_files, newest_classifier
from featx.errors import FeatxError
from featx.files.regular import read_regular


@dataclass(frozen=True)
class ClassifierFacts:
    """One saved classifier; without a readable card, only where it is."""

    path: str
    accuracy: float | None = None
    measured_on: str | None = None
    n: int | None = None
    store: str | None = None
    written: str | None = None
    on: str | None = None
    used: bool = False  # whether `featx predict` takes it when none is named


def list_classifiers(folder: Path) -> list[ClassifierFacts]:
    """Every classifier in a folder, by name."""
    paths = classifier_files(folder)
    newest = newest_classifier(folder) if paths else None
    return [facts_of(path, used=path == newest) for path in paths]


def facts_of(path: Path, *, used: bool = False) -> ClassifierFacts:
    """What the card beside a classifier says; a broken card is for `damaged_classifiers` to judge."""
    try:
        card = read_card(read_regular(path.with_suffix(".json")))
        return ClassifierFacts(
            path=str(path),
            accuracy=card.best.accuracy,
            measured_on="held-out photos" if card.test else "cross-validation",
            n=card.best.n,
            store=card.test_store or card.store,
            written=card.written,
            on=card.backbone,
            used=used,
        )
    except (OSError, ValueError):
        return ClassifierFacts(str(path), used=used)


def damaged_classifiers(folder: Path) -> list[str]:
    """Load and verify every classifier as `featx predict` would; what is wrong with each damaged one, and the fix."""
    damage = []
    for path in classifier_files(folder):
        try:
            load_classifier(path)
        except FeatxError as error:
            damage.append(f"{error.message}; {error.hint}")
    return damage
