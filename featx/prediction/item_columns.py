"""The columns that a classifier counts, for the photos of a prediction: from their table, from the store, or read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from featx.catalogue.items import Item
from featx.catalogue.own_columns import Value
from featx.classifiers.columns.cells import is_missing
from featx.classifiers.columns.read_lines import weighed
from featx.classifiers.columns.values import READ
from featx.classifiers.model import Classifier
from featx.compute.threads import cores, side_by_side
from featx.embedding.stream import Embedded
from featx.errors import FeatxError
from featx.images import PhotoLike, UnreadablePhoto, read_photo
from featx.store import Store
from featx.text.reader import Reader, open_reader, text_of
from featx.text.text_file import load_texts, texts_beside
from featx.views.quantities import pluralise

PhotoOf = Callable[[Item], PhotoLike]


class ItemColumns:
    """Finds the values of the columns that a classifier wants, and counts the photos that have none of them."""

    def __init__(self, model: Classifier, store: Store | None) -> None:
        self.names, self.store = model.wants, store
        self.reads = model.fusion is not None and model.fusion.reads
        self._rows = {digest: i for i, digest in enumerate(store.digests)} if store is not None and self.names else {}
        self._columns = store.columns if store is not None and self.names else {}
        self._looks = 1 if model.fusion is None else model.fusion.looks
        self._read = self._known_texts() if self.reads else {}
        self._reader: Reader | None = None
        # How many photos had none of the columns, how many were read here, and why no reader reads.
        self.without, self.read_now, self.no_reader = 0, 0, ""

    def _known_texts(self) -> dict[str, str]:
        """What was read before, by digest."""
        if self.store is None:
            return {}
        texts = load_texts(texts_beside(self.store.path))
        return {digest: weighed(text) for digest, text in texts.items()}

    def of(self, batch: Sequence[Embedded[Item]], photo_of: PhotoOf | None = None) -> dict[str, list[Value]] | None:
        """The columns of a batch, its text read where it is not known; None for a classifier that wants none."""
        columns = self.known(batch, count=False)
        if columns is not None and self.reads:
            self._read_missing(batch, columns, photo_of)
        self._count(columns)
        return columns

    def known(self, batch: Sequence[Embedded[Item]], *, count: bool = True) -> dict[str, list[Value]] | None:
        """The columns of a batch without opening any photo."""
        columns = {name: [self._value(item, name) for item in batch] for name in self.names} or None
        if count:
            self._count(columns)
        return columns

    def _count(self, columns: dict[str, list[Value]] | None) -> None:
        rows = zip(*columns.values(), strict=True) if columns else ()
        self.without += sum(all(map(is_missing, row)) for row in rows)

    def _value(self, item: Embedded[Item], name: str) -> Value:
        if self.reads and name == READ:
            return self._read.get(item.digest)
        own: Mapping[str, Value] = item.photo.columns
        if name in own:
            return own[name]
        row, column = self._rows.get(item.digest), self._columns.get(name)
        return None if row is None or column is None else column[row]

    def _read_missing(
        self, batch: Sequence[Embedded[Item]], columns: dict[str, list[Value]], photo_of: PhotoOf | None
    ) -> None:
        """Read the photos whose text is not known, where a reader is installed."""
        missing = [i for i, item in enumerate(batch) if item.features is not None and item.digest not in self._read]
        reader = self._opened() if missing else None
        if reader is None:
            return
        photos = [photo_of(batch[i].photo) if photo_of else batch[i].photo.path for i in missing]
        texts = side_by_side(lambda photo: _text_of(reader, photo), photos, cores())
        for i, text in zip(missing, texts, strict=True):
            columns[READ][i] = self._read[batch[i].digest] = text
        self.read_now += len(missing)

    def _opened(self) -> Reader | None:
        """The reader, opened when the first photo needs it."""
        if self._reader is None and not self.no_reader:
            try:
                self._reader = open_reader(self._looks)
            except FeatxError as error:
                self.no_reader = error.message
        return self._reader

    def notes(self) -> list[str]:
        """What a person should know of the columns."""
        notes = []
        if self.without:
            wanted = ", ".join(self.names)
            why = f" ({self.no_reader})" if self.no_reader else ""
            notes.append(f"{pluralise(self.without, 'photo')} without {wanted}: answered by the photo alone{why}")
        if self.read_now:
            notes.append(f"text was read off {pluralise(self.read_now, 'photo')}")
        return notes


def _text_of(reader: Reader, photo: PhotoLike) -> str:
    """The text on a photo; none where it cannot be read, since its features could."""
    try:
        return weighed(text_of(reader, np.asarray(read_photo(photo).image)))
    except UnreadablePhoto:
        return ""
