"""The text of a store's photos, by item id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.store import Store, open_store
from featx.text.records import PhotoText
from featx.text.text_file import load_texts, texts_beside


def read_texts(store: Store | str | Path | None = None) -> dict[str, str]:
    """The text read off each photo, by item id; "" where a photo has none, and no entry where none was read.

    `featx read` reads them. The store is the current one when none is named.
    """
    return {item_id: text.text for item_id, text in photo_texts(store).items()}


def photo_texts(store: Store | str | Path | None = None) -> dict[str, PhotoText]:
    """The same with lines, boxes and confidences."""
    opened = store if isinstance(store, Store) else open_store(store)
    known = load_texts(texts_beside(opened.path))
    return {item_id: known[d] for item_id, d in zip(opened.ids, opened.digests, strict=True) if d in known}


@dataclass(frozen=True)
class TextFacts:
    """How many photos of a store were read, and on how many there is text; `lines` and `readers` of these."""

    read: int
    with_text: int
    lines: int
    readers: tuple[str, ...]


def text_facts(store: Path, digests: Sequence[str]) -> TextFacts | None:
    """The counts for the photos of a store; None where none was read."""
    known = load_texts(texts_beside(store))
    texts = [known[digest] for digest in digests if digest in known]
    if not texts:
        return None
    return TextFacts(
        len(texts),
        sum(bool(text.lines) for text in texts),
        sum(len(text.lines) for text in texts),
        tuple(sorted({text.reader for text in texts})),
    )
