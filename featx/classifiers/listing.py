"""The classifiers in a folder: the facts on their cards, and which files are damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.classifiers.card import read_card, training_command
from featx.classifiers.freshness import why_stale
from featx.classifiers.model import load_classifier
from featx.classifiers.registry import classifier_files, newest_classifier
from featx.errors import FeatxError
from featx.files.regular import read_regular, same_place
from featx.store import Store


@dataclass(frozen=True)
class ClassifierFacts:
    """A saved classifier; without a readable card, only its path."""

    path: str
    accuracy: float | None = None
    measured_on: str | None = None
    n: int | None = None
    store: str | None = None
    written: str | None = None
    on: str | None = None
    used: bool = False  # whether `featx predict` takes it when none is named
    # What it was trained on, and what has changed there since.
    trained_on: str | None = None
    photos: int | None = None
    categories: int | None = None
    level: str | None = None
    stale: str | None = None
    # Which parts of a joined backbone it uses, and what chose them.
    block_choice: dict[str, Any] | None = None
    # The columns that it counts beside the photo.
    wants: list[str] = field(default_factory=list)
    # The words of their texts that speak for each category, the clearest first.
    words: dict[str, list[str]] = field(default_factory=dict)
    # The command that trains it again.
    command: str | None = None


def list_classifiers(folder: Path, store: Store | None = None) -> list[ClassifierFacts]:
    """Every classifier in a folder, by name; `store` is one that is open already."""
    paths = classifier_files(folder)
    newest = newest_classifier(folder) if paths else None
    return [facts_of(path, store, used=path == newest) for path in paths]


def facts_of(path: Path, store: Store | None = None, *, used: bool = False) -> ClassifierFacts:
    """The facts on the card of a classifier; `damaged_classifiers` judges broken cards."""
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
            trained_on=card.store,
            photos=card.n,
            categories=card.classes,
            level=card.level,
            block_choice=card.block_choice,
            wants=card.wants,
            words=card.words,
            stale=why_stale(card, store if store is not None and same_place(card.store, store.path) else None) or None,
            command=training_command(card),
        )
    except (OSError, ValueError):
        return ClassifierFacts(str(path), used=used)


def damaged_classifiers(folder: Path) -> list[str]:
    """Load and verify every classifier as `featx predict` would: the fault of each damaged one, and the fix."""
    damage = []
    for path in classifier_files(folder):
        try:
            load_classifier(path)
        except FeatxError as error:
            damage.append(f"{error.message}; {error.hint}")
    return damage
