"""The words that speak for each category: those in more of its products' texts than chance would have it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featx.classifiers.columns.cells import is_missing
from featx.classifiers.columns.values import Columns, Kind
from featx.classifiers.columns.words import words_of

# So many words of a category are kept; a word on a single product says nothing of others.
MOST, LEAST = 5, 2
SHORTEST = 2
# How many standard errors a word's log-odds must lie above those of the other categories.
CLEAR = 2.0


@dataclass(frozen=True)
class CategoryWord:
    """A word that speaks for a category: on how many of its products it stands, and on how many of the others."""

    word: str
    here: int
    of: int
    elsewhere: int
    others: int


def category_words(
    columns: Columns, kinds: Mapping[str, Kind], labels: Sequence[str], groups: np.ndarray
) -> dict[str, list[CategoryWord]]:
    """For each category the words that speak for it, the clearest first; none for categories without such words.

    Products are counted and not photos: twenty shots of one pack are one pack.
    """
    texts = [name for name, kind in kinds.items() if kind.is_text]
    products: dict[tuple[str, int], set[str]] = defaultdict(set)
    for name in texts:
        for value, label, group in zip(columns[name], labels, groups, strict=True):
            if not is_missing(value):
                products[label, int(group)].update(words_of(str(value)))
    n_of = Counter(label for label, _ in products)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for (label, _), words in products.items():
        counts[label].update(word for word in words if len(word) >= SHORTEST)
    seen: Counter[str] = Counter()
    for counted in counts.values():
        seen.update(counted)
    n = len(products)
    found = {label: list(_clearest(counts[label], n_of[label], seen, n)) for label in sorted(n_of)}
    return {label: words for label, words in found.items() if words}


def _clearest(counts: Counter[str], of: int, seen: Counter[str], n: int) -> Iterator[CategoryWord]:
    words = [CategoryWord(word, here, of, seen[word] - here, n - of) for word, here in counts.items() if here >= LEAST]
    ranked = sorted(((_clearness(word), word) for word in words), key=lambda pair: (-pair[0], pair[1].word))
    yield from (word for clearness, word in ranked[:MOST] if clearness > CLEAR)


def _clearness(word: CategoryWord) -> float:
    """The log-odds of a word here against elsewhere, in standard errors; the halves stand for products not yet seen."""
    inside, outside = word.here + 0.5, word.elsewhere + 0.5
    without, free = word.of - word.here + 0.5, word.others - word.elsewhere + 0.5
    ratio = np.log(inside / without) - np.log(outside / free)
    return float(ratio / np.sqrt(1 / inside + 1 / without + 1 / outside + 1 / free))
