"""Saved classifiers: find the latest, or the latest of a store; archive one before its namesake replaces it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from featx.classifiers.card import Card, read_card
from featx.classifiers.kinds import aliases
from featx.classifiers.model import Classifier, load_classifier
from featx.classifiers.persistence import OLD_SUFFIX, SUFFIX, old_format
from featx.errors import FeatxError, did_you_mean
from featx.files.regular import read_regular, same_place
from featx.workspace import Workspace


def open_classifier(
    which: Classifier | str | Path | None, workspace: Workspace, store: Path | None = None
) -> Classifier:
    """The classifier itself, or the one a person means: a file, a name (`lda`), or the one trained last."""
    if isinstance(which, Classifier):
        return which
    return load_classifier(find_classifier(None if which is None else str(which), workspace.models, store))


def classifier_files(models: Path) -> list[Path]:
    """The classifiers in a folder, by name."""
    return sorted(models.glob(f"*{SUFFIX}"))


def find_classifier(name: str | None, models: Path, store: Path | None = None) -> Path:
    """The classifier by file or name; with neither, the one trained last, on `store` if given."""
    if name is None:
        return newest_classifier(models) if store is None else latest_for_store(models, store)
    if name.endswith((SUFFIX, OLD_SUFFIX)) or os.sep in name:
        return Path(name)
    path = models / f"{aliases().get(name, name)}{SUFFIX}"
    trained = sorted(classifier_files(models), key=lambda path: path.stat().st_mtime)
    if trained and not path.exists():
        hint = did_you_mean(name, [path.stem for path in trained], f"train it: `featx fit --clf {name}`")
        raise FeatxError("no-model", f"no classifier `{name}` in {models}", hint)
    return path


def latest_for_store(models: Path, store: Path) -> Path:
    """The classifier trained last on a store, else the one trained last on any store."""
    return _latest([path for path in classifier_files(models) if _trained_on(path, store)]) or newest_classifier(models)


def latest_at_level(models: Path, store: Path, level: str | None) -> Path | None:
    """The classifier trained last on a store at a level of categories, if there is one."""
    return _latest([path for path in classifier_files(models) if _trained_on(path, store, level)])


def latest_of_kind(models: Path, store: Path, clf: str, level: str | None) -> Path | None:
    """The classifier of a kind trained last on a store at a level of categories, if there is one."""
    at_level = [path for path in classifier_files(models) if _trained_on(path, store, level)]
    return _latest([path for path in at_level if (card := _card(path)) is not None and card.clf == clf])


def latest_of_levels(models: Path, store: Path) -> dict[str | None, Path]:
    """The classifier trained last on a store at each level of categories, in the order of training."""
    latest: dict[str | None, Path] = {}
    for path in sorted(classifier_files(models), key=lambda path: path.stat().st_mtime):
        card = _card(path)
        if card is not None and same_place(card.store, store):
            latest.pop(card.level, None)
            latest[card.level] = path
    return latest


def cards_of_store(models: Path, store: Path, level: str | None) -> dict[str, Card]:
    """The cards of the classifiers trained on a store at a level of categories, by the classifiers' names."""
    at_level = [path for path in classifier_files(models) if _trained_on(path, store, level)]
    return {path.stem: card for path in at_level if (card := _card(path)) is not None}


def _latest(paths: Sequence[Path]) -> Path | None:
    return max(paths, key=lambda path: path.stat().st_mtime, default=None)


def archive_same_name(path: Path, store: Path, level: str | None) -> Path | None:
    """Archive a classifier of another store under its own name before its file is replaced; the new path."""
    card = _card(path)
    if card is None or (same_place(card.store, store) and card.level == level):
        return None
    try:
        old = load_classifier(path)
    except FeatxError:  # a damaged one is of no use
        return None
    base, number = f"{path.stem}-{Path(card.store).stem}", 1
    archive = path.with_name(f"{base}{SUFFIX}")
    while archive.exists() and not _alike(_card(archive), card):
        number += 1
        archive = path.with_name(f"{base}-{number}{SUFFIX}")
    old.write(archive)
    return archive


def _alike(card: Card | None, other: Card) -> bool:
    return card is not None and (card.store, card.level, card.clf) == (other.store, other.level, other.clf)


def _trained_on(path: Path, store: Path, *levels: str | None) -> bool:
    """Whether a classifier was trained on a store, at any level or one of these."""
    card = _card(path)
    return card is not None and same_place(card.store, store) and (not levels or card.level in levels)


def _card(path: Path) -> Card | None:
    try:
        return read_card(read_regular(path.with_suffix(".json")))
    except (OSError, ValueError):
        return None


def newest_classifier(models: Path) -> Path:
    """The classifier that was trained last."""
    trained = sorted(classifier_files(models), key=lambda path: path.stat().st_mtime)
    if not trained:
        if old := sorted(models.glob(f"*{OLD_SUFFIX}"), key=lambda path: path.stat().st_mtime):
            raise old_format(old[-1])
        raise FeatxError("no-model", f"no classifier in `{models}` yet", "train one: `featx fit`")
    return trained[-1]
