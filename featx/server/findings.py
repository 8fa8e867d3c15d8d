"""What takes longer than an answer may: doubted labels and answers, copies, and the layout of the map.

Each is found in a process of its own, which opens the catalogue itself, so that all that travels are settings and
findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.audit import DuplicateGroup, LabelIssue, find_duplicates, find_issues
from featx.embedding.stream import Embedded
from featx.prediction.predict import Prediction
from featx.prediction.suggest import undecided_rows
from featx.reporting.map_layout import Layout, lay_out
from featx.server.generations import Generation, open_generation
from featx.server.jobs import Progress
from featx.server.settings import ServerSettings
from featx.store import open_store

PREDICTED_AT_ONCE = 256


@dataclass(frozen=True)
class Doubt:
    """An unlabelled photo that the classifier leaves to a person."""

    item_id: str
    digest: str
    top: list[tuple[str, float]]
    why: str


def doubted_labels(settings: ServerSettings, progress: Progress) -> list[LabelIssue]:
    """The labels that are probably wrong, as `featx issues` finds them."""
    return list(find_issues(settings.store, progress=progress))


def copies(settings: ServerSettings, progress: Progress) -> list[DuplicateGroup]:
    """The groups of copies, as `featx duplicates` finds them."""
    return list(find_duplicates(settings.store, progress=progress).groups)


def layout(settings: ServerSettings, blocks: list[str], cache: Path, progress: Progress) -> Layout:
    """The places of the photos on the map, by some blocks of a joined backbone; all of them where none is named."""
    store = open_store(settings.store).with_blocks(blocks)
    return lay_out(np.asarray(store.features_map()), cache=cache)


def doubted_answers(settings: ServerSettings, progress: Progress) -> list[Doubt]:
    """The unlabelled photos that the classifier leaves to a person, the least certain first."""
    generation = open_generation(settings)
    rows = generation.index.rows
    doubted = [(row, answer) for row, answer in _predicted(generation, progress) if answer.doubt]
    doubted.sort(key=lambda case: (case[1].sure, case[0]))
    return [Doubt(rows.ids[row], rows.digests[row], list(answer.top[:3]), answer.doubt) for row, answer in doubted]


def _predicted(generation: Generation, progress: Progress) -> Iterator[tuple[int, Prediction]]:
    rows = undecided_rows(generation.store)
    known, ids, digests = generation.store.known(), generation.index.rows.ids, generation.index.rows.digests
    for start in range(0, len(rows), PREDICTED_AT_ONCE):
        batch = rows[start : start + PREDICTED_AT_ONCE]
        embedded = [Embedded(known[ids[row]], digests[row], _features(generation, row), reused=True) for row in batch]
        yield from zip(batch, generation.classifier.decided(embedded, generation.rule), strict=True)
        progress(start + len(batch), len(rows))


def _features(generation: Generation, row: int) -> np.ndarray:
    return generation.for_classifier(generation.features_of(row))
