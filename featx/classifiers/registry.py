"""The classifiers that are there: the one trained last, or last on a store; and none is lost to its namesake."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from featx.classifiers.card import read_card
from featx.classifiers.kinds import aliases
from featx.classifiers.persistence import OLD_SUFFIX, SUFFIX, load_classifier, old_format, write
from featx.errors import FeatxError, did_you_mean
from featx.files.regular import read_regular, same_place


def classifier_files(models: Path) -> list[Path]:
    """The classifiers in a folder, by name."""
    return sorted(models.glob(f"*{SUFFIX}"))


def find_classifier(name: str | None, models: Path, store: Path | None = None) -> Path:
    """The classifier a person means: a file, a name, or the one trained last, on `store` where one is given."""
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
    """The classifier trained last on a store, else the one trained last on any."""
    found = [path for path in classifier_files(models) if same_place(_card(path).get("store", ""), store)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None) or newest_classifier(models)


def archive_same_name(path: Path, store: Path, level: str | None) -> Path | None:
    """Keep a classifier trained on another store under a name of its own, before its file is replaced; where it is."""
    card = _card(path)
    trained_on = card.get("store")
    if trained_on is None or (same_place(trained_on, store) and card.get("level") == level):
        return None
    try:
        old = load_classifier(path)
    except FeatxError:  # nobody could use it any more
        return None
    base, number = f"{path.stem}-{Path(trained_on).stem}", 1
    kept = path.with_name(f"{base}{SUFFIX}")
    while kept.exists() and not _alike(_card(kept), card):
        number += 1
        kept = path.with_name(f"{base}-{number}{SUFFIX}")
    write(old, kept)
    return kept


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("store", "level", "clf"))


def _card(path: Path) -> dict[str, Any]:
    try:
        return read_card(read_regular(path.with_suffix(".json")))
    except (OSError, ValueError):
        return {}


def newest_classifier(models: Path) -> Path:
    """The classifier that was trained last."""
    trained = sorted(classifier_files(models), key=lambda path: path.stat().st_mtime)
    if not trained:
        if old := sorted(models.glob(f"*{OLD_SUFFIX}"), key=lambda path: path.stat().st_mtime):
            raise old_format(old[-1])
        raise FeatxError("no-model", f"no classifier in `{models}` yet", "train one: `featx fit`")
    return trained[-1]
