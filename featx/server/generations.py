"""The store, index and classifier that answer, opened together; they are replaced together when their files change.

An answer comes from one generation from its first step to its last, and names it.
"""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.own_columns import Value
from featx.classifiers.registry import find_classifier
from featx.compute.vectors import side_by_side
from featx.errors import FeatxError
from featx.prediction.predict import Predictor, open_predictor
from featx.prediction.review import DecisionRule, decision_rule
from featx.retrieval import SimilarityIndex
from featx.retrieval.approximate import approximate_of
from featx.retrieval.lance_index import lance_of
from featx.retrieval.lookup import of_known
from featx.retrieval.query import open_index
from featx.retrieval.results import Matches, Query
from featx.retrieval.server_index import server_note
from featx.server.settings import ServerSettings
from featx.store import Store, open_store
from featx.text.text_file import texts_beside
from featx.workspace import Workspace, journal_beside

# Seconds between two looks at the files.
EVERY = 1.0
# A column with more values than this is no list to choose from.
MOST_CHOICES = 40
# The page of a product asks for the same look-alikes again and again; so many answers are kept, and no long ones.
KEPT, LONGEST_KEPT = 1024, 50
Ranges = Sequence[tuple[int, int]]
Stamp = tuple[int, int, int]


class Search(Protocol):
    """What is asked of an item: how many look-alikes, and which."""

    @property
    def k(self) -> int:
        """How many."""

    def __hash__(self) -> int: ...

    def answer(self, generation: Generation, query: Query | None) -> Matches:
        """The look-alikes of a query."""


@dataclass(frozen=True, eq=False)
class Generation:
    """One state of the catalogue: its rows, and the classifier or why there is none."""

    name: str
    stamps: tuple[Stamp | None, ...]
    index: SimilarityIndex
    # The blocks that index and classifier need between them; photos are computed for these.
    store: Store
    predictor: Predictor | None = None
    rule: DecisionRule = field(default_factory=DecisionRule)
    no_classifier: FeatxError | None = None

    @cached_property
    def network(self) -> str:
        """What tells the network of its photos from another."""
        return repr(self.store.fingerprint)

    @property
    def classifier(self) -> Predictor:
        """The predictor; an error says why there is none."""
        if self.predictor is None:
            assert self.no_classifier is not None
            raise self.no_classifier
        return self.predictor

    def for_index(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The columns of a photo's features that search compares."""
        return np.asarray(side_by_side(np.atleast_2d(features), self._index_columns), dtype=np.float32)

    def for_classifier(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The columns of a photo's features that the classifier takes."""
        columns = side_by_side(np.atleast_2d(features), self._classifier_columns)
        return np.asarray(columns[0], dtype=np.float32)

    @cached_property
    def _index_columns(self) -> Ranges:
        return columns_within(self.store, self.store.whole.with_blocks(self.index.rows.blocks))

    @cached_property
    def _classifier_columns(self) -> Ranges:
        store = self.classifier.store
        return columns_within(self.store, self.store if store is None else store)

    def alike(self, name: str, search: Search) -> Matches:
        """The answer to a search for what is like an item or a product."""
        if search.k > LONGEST_KEPT:
            return search.answer(self, of_known(self.index.rows, name))
        # Texts of photos are a part of the answers, and are read while the store stays as it is.
        return self._kept(name, search, _stamp(texts_beside(self.store.path)))

    @cached_property
    def _kept(self) -> Callable[[str, Search, Stamp | None], Matches]:
        # A proxy, so that a state which was replaced is let go at once.
        me = weakref.proxy(self)
        return lru_cache(KEPT)(lambda name, search, _: search.answer(me, of_known(me.index.rows, name)))

    def features_of(self, row: int) -> NDArray[np.float32]:
        """What the store has of a row, for the same blocks as a new photo's."""
        return np.asarray(self._features[row], dtype=np.float32)

    @cached_property
    def choices(self) -> dict[str, list[str]]:
        """The columns of the shop's own table with few values, and these: what a filter may offer."""
        few = {name: _few_values(column) for name, column in self.index.rows.own_columns.items()}
        return {name: values for name, values in few.items() if values}

    @cached_property
    def _features(self) -> NDArray[Any]:
        return self.store.features_map()


def _few_values(column: Sequence[Value]) -> list[str]:
    """The texts in a column; none where there are many, or numbers."""
    values: set[str] = set()
    for value in column:
        if isinstance(value, str):
            values.add(value)
        elif value is not None:
            return []
        if len(values) > MOST_CHOICES:
            return []
    return sorted(values) if len(values) > 1 else []


def columns_within(whole: Store, part: Store) -> Ranges:
    """Where the blocks of one part of a store lie in the rows of another part that has them all."""
    places, start = [], 0
    for first, last in whole.columns_used:
        places.append((first, last, start))
        start += last - first
    return [
        (start + first - begin, start + last - begin)
        for first, last in part.columns_used
        for begin, end, start in places
        if begin <= first and last <= end
    ]


class Catalogue:
    """The generation that answers now; a thread watches the files and opens the next one."""

    def __init__(self, settings: ServerSettings, on_change: Callable[[Generation], object] = lambda _: None) -> None:
        self._settings, self._on_change = settings, on_change
        self.current = open_generation(settings)
        # Why the files of now cannot be opened, while the last good state goes on answering.
        self.trouble: FeatxError | None = None
        self.changes = 0
        self._failed: tuple[Stamp | None, ...] | None = None
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._watch.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._watch.is_alive():
            self._watch.join()

    def look(self) -> bool:
        """Open the next generation if the files have changed; whether there is a new one."""
        stamps = stamps_of(self._settings)
        if stamps in (self.current.stamps, self._failed):
            return False
        try:
            opened = open_generation(self._settings)
        except (FeatxError, OSError) as error:
            self.trouble = error if isinstance(error, FeatxError) else FeatxError("store-broken", str(error))
            self._failed = stamps
            return False
        opened.index.expect_many()
        self.trouble, self._failed = None, None
        self._on_change(opened)
        self.current = opened
        self.changes += 1
        return True

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            self.look()


def open_generation(settings: ServerSettings) -> Generation:
    """Open everything as it is now; once more where a file changed meanwhile."""
    for _ in range(5):
        before = stamps_of(settings)
        opened = _opened(settings, before)
        if stamps_of(settings) == before or journal_beside(settings.store).exists():
            return opened
        time.sleep(0.05)
    return opened


def _opened(settings: ServerSettings, stamps: tuple[Stamp | None, ...]) -> Generation:
    index = open_index(settings.store, engine=settings.engine, weights=settings.weights)
    whole = open_store(settings.store)
    name = hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]
    try:
        predictor = open_predictor(settings.classifier, settings.store, top=5, weights=settings.weights)
    except FeatxError as error:
        return Generation(name, stamps, index, whole.with_blocks(index.rows.blocks), no_classifier=error)
    assert predictor.store is not None
    wanted = _blocks(whole, index.rows.blocks, predictor.store)
    return Generation(name, stamps, index, wanted, predictor, decision_rule(predictor.model.card))


def _blocks(whole: Store, of_index: Sequence[str], of_classifier: Store) -> Store:
    """The blocks that either needs; all of them where one needs all."""
    if not of_index or not of_classifier.is_part:
        return whole
    return whole.with_blocks([*of_index, *(block.name for block in of_classifier.blocks)])


def stamps_of(settings: ServerSettings) -> tuple[Stamp | None, ...]:
    """What tells one state of the files from another: none of them is ever changed in place."""
    store = settings.store
    try:
        classifier = find_classifier(settings.classifier, Workspace.here().models, store)
    except FeatxError:
        classifier = None
    indexes = (approximate_of(store), lance_of(store), server_note(store))
    files = (store, *indexes, journal_beside(store), classifier)
    return tuple(None if file is None else _stamp(file) for file in files)


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
