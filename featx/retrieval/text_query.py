"""Words to the products that look so, where the backbone knows texts; else to those with the words on their photos."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from featx.embedding.single import Embedder
from featx.retrieval.read_text import texts_of_rows
from featx.retrieval.results import Matches, Neighbour, Query
from featx.retrieval.rows import IndexRows
from featx.text.records import PhotoText
from featx.text.word_search import WordHit, find_words, wanted_words

if TYPE_CHECKING:
    from featx.retrieval.search import SimilarityIndex


def text_matches(
    index: SimilarityIndex,
    query: str,
    k: int = 10,
    *,
    where: str | None = None,
    label: str | None = None,
    min_similarity: float = -1.0,
) -> Matches:
    """The k products that look as the words say, where the backbone knows texts; else those with the words on photos.

    Words on photos count 1 each where they stand there, less where they are part of another word or may be misread;
    `similarity` is the share that was found.
    """
    if text_network(index):
        return _described(index, query, k, where, label, min_similarity)
    return _with_words(index, query, k, where, label)


def text_network(index: SimilarityIndex) -> str:
    """The backbone that compares texts with the photos of an index; "" where words on the photos are looked for."""
    return index.embed.text_network if isinstance(index.embed, Embedder) else ""


def words_condition(words: str, where: str | None = None) -> str:
    """A condition on the words on a photo, beside another one."""
    quoted = words.replace("'", "''")
    return " and ".join([*([f"({where})"] if where else []), f"read_text ~ '{quoted}'"])


def _described(
    index: SimilarityIndex, query: str, k: int, where: str | None, label: str | None, min_similarity: float
) -> Matches:
    wanted_words(query)
    assert isinstance(index.embed, Embedder)
    row = index.embed.of_text(query)
    found = index.matches(Query(query, row), k, where=where, label=label, min_similarity=min_similarity, copies=True)
    # The words for similarities are measured between photos, and texts are further from every photo.
    answers = tuple(replace(answer, near_copy=False, word="", precision=None) for answer in found)
    return replace(found, neighbours=answers, hidden=0, compared_by=index.embed.text_network)


def _with_words(index: SimilarityIndex, query: str, k: int, where: str | None, label: str | None) -> Matches:
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
    return Matches(Query(query, np.empty((0, 0), dtype=np.float32)), answers, rows=tuple(row for _, row, _ in ranked))


def _answer(rows: IndexRows, row: int, score: float, hit: WordHit, text: PhotoText | None) -> Neighbour:
    product = rows.products[int(rows.codes[row])]
    return Neighbour(
        rows.ids[row], product, score, rows.label_of(row), rows.paths[row], columns=rows.own_row(row),
        text=text.text if text else " ".join(hit.words),
    )  # fmt: skip
