"""Has the training set of a classifier changed since it was trained?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from featx.classifiers.card import Card
from featx.errors import FeatxError
from featx.labels.training_set import Lesson, lessons_of
from featx.store import Store, open_store


def digest_of_lessons(lessons: list[Lesson]) -> str:
    """Identifies the training photos and their categories, whatever the order of the rows."""
    text = "\n".join(f"{photo} {label}" for photo, label in sorted(lessons))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def why_stale(card: Card, store: Store | None = None) -> str:
    """What has changed in the store of a classifier since it was trained; empty where nothing has.

    `store` spares opening it again. The decisions of people count, as they do in training.
    """
    try:
        opened = store or open_store(Path(card.store))
        lessons = lessons_of(opened, card.level, card.held_out)
    except FeatxError as error:
        return f"its store cannot be used: {error.message}"
    known = card.n if card.sample is None else card.sample.photos_of
    if len(lessons) != known:
        return f"its store now has {len(lessons):,} photos to learn from, and it learned from {known:,}"
    if card.lessons_sha256 and card.lessons_sha256 != digest_of_lessons(lessons):
        return "photos or labels of its store have changed since"
    return ""
