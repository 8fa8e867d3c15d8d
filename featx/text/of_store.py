"""The text of a store's photos, by item id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import FeatxError
from featx.text.records import PhotoText
from featx.text.text_file import TextFile, load_texts, texts_beside

if TYPE_CHECKING:
    from featx.store import Store


def read_texts(store: Store | str | Path | None = None) -> dict[str, str]:
    """The text read off each photo, by item id; "" where a photo has none, and no entry where none was read.

    `featx read` reads them. The store is the current one when none is named.
    """
    return {item_id: text.text for item_id, text in photo_texts(store).items()}


def photo_texts(store: Store | str | Path | None = None) -> dict[str, PhotoText]:
    """The same with lines, boxes and confidences."""
    # Whoever shows a few words needs no store, and what it brings.
    from featx.store import open_store

    opened = open_store(store) if store is None or isinstance(store, str | Path) else store
    known = load_texts(texts_beside(opened.path), opened.digests)
    return {item_id: known[d] for item_id, d in zip(opened.ids, opened.digests, strict=True) if d in known}


def text_damage(store: Path) -> list[str]:
    """What is wrong with the texts beside a store, in sentences."""
    try:
        file = TextFile.open(texts_beside(store))
    except FeatxError as error:
        return [error.message]
    if file is None:
        return []
    with file:
        return file.damage()


@dataclass(frozen=True)
class TextFacts:
    """How many photos of a store were read, and on how many there is text; `lines` and `readers` of these."""

    read: int
    with_text: int
    lines: int
    readers: tuple[str, ...]


def text_facts(store: Path, digests: Sequence[str]) -> TextFacts | None:
    """The counts for the photos of a store; None where none was read."""
    known = load_texts(texts_beside(store), digests)
    texts = [known[digest] for digest in digests if digest in known]
    if not texts:
        return None
    return TextFacts(
        len(texts),
        sum(bool(text.lines) for text in texts),
        sum(len(text.lines) for text in texts),
        tuple(sorted({text.reader for text in texts})),
    )
