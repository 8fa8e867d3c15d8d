"""Words to the products with these words on their photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featx.retrieval.read_text import texts_of_rows
from featx.retrieval.results import Matches, Neighbour, Query
from featx.retrieval.rows import IndexRows
from featx.text.records import PhotoText
from featx.text.word_search import WordHit, find_words

if TYPE_CHECKING:
    from featx.retrieval.search import SimilarityIndex


def text_matches(
    index: SimilarityIndex, query: str, k: int = 10, *, where: str | None = None, label: str | None = None
) -> Matches:
    """The k products with these words on their photos, best first; `similarity` is the share that was found.

    Each word counts 1 where it stands there, less where it is part of another word or may be misread.
    """
    rows = index.rows
    assert rows.path is not None
    may = index.allowed(where, label)
    best: dict[int, tuple[float, int, WordHit]] = {}
    for hit in find_words(rows.path, query):
        for row in rows.digests.rows_of(hit.digest):
            product = int(rows.codes[row])
            if (may is None or may[row]) and hit.score > best.get(product, (0.0, 0, hit))[0]:
                best[product] = hit.score, row, hit
    ranked = sorted(best.values(), key=lambda match: (-match[0], rows.ids[match[1]]))[:k]
    texts = texts_of_rows(rows, [row for _, row, _ in ranked])
    answers = tuple(_answer(rows, row, score, hit, texts.get(row)) for score, row, hit in ranked)
    return Matches(Query(query, np.empty((0, 0), dtype=np.float32)), answers)


def _answer(rows: IndexRows, row: int, score: float, hit: WordHit, text: PhotoText | None) -> Neighbour:
    product = rows.products[int(rows.codes[row])]
    return Neighbour(
        rows.ids[row], product, score, rows.label_of(row), rows.paths[row], columns=rows.own_row(row),
        text=text.text if text else " ".join(hit.words),
    )  # fmt: skip
