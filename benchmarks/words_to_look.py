"""Words → photos without their text: a map from words to looks, learned on the shop's own photos, beside plain search.

    python benchmarks/words_to_look.py STORE

STORE has categories and was read by `featx read`. Two words of a product's text are a query, and the other photos of
its category are right. The map is learned on the texts and features of other products; plain search knows every text.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.columns.learning import learn_texts
from featx.classifiers.columns.words import words_of
from featx.compute.vectors import unit_rows
from featx.store import Store, open_store
from featx.text import read_texts
from featx.text.word_search import find_words

FOLDS, QUERIES, TOP, STRENGTH = 3, 40, 10, 1.0
# Words on fewer photos than this, or shorter, are no queries. Ranks are joined softly.
SEEN, SHORTEST, SOFT = 3, 3, 10


class Shop:
    """The photos of a store, their texts and looks."""

    def __init__(self, store: Store) -> None:
        read = read_texts(store)
        self.store, self.texts = store, [read.get(item_id, "") for item_id in store.ids]
        self.looks, self.labels = unit_rows(store.features), np.array([str(label) for label in store.labels])
        self.products = np.array([store.product_of(i) for i in range(len(store))])
        self.rows_of: dict[str, list[int]] = {}
        for row, digest in enumerate(store.digests):
            self.rows_of.setdefault(digest, []).append(row)
        self.seen = Counter(word for text in self.texts for word in set(words_of(text)))

    def query(self, row: int, random: np.random.Generator) -> str:
        """Two words of a photo; nothing where it has too few."""
        words = [w for w in dict.fromkeys(words_of(self.texts[row])) if self.seen[w] >= SEEN and len(w) >= SHORTEST]
        return " ".join(random.choice(words, 2, replace=False)) if len(words) > 1 else ""

    def found(self, query: str) -> list[int]:
        """The photos with these words, best first."""
        return [row for hit in find_words(self.store.path, query) for row in self.rows_of[hit.digest]]


class WordsToLook:
    """A ridge regression from a text's numbers to the features of its photo."""

    def __init__(self, shop: Shop, learn: NDArray[np.intp]) -> None:
        texts = [shop.texts[row] for row in learn]
        self.encoder = learn_texts(texts)
        rows, looks = self.encoder.encode(texts), shop.looks[learn]
        self.middle = rows.mean(axis=0)
        centred = rows - self.middle
        square = centred.T @ centred + STRENGTH * np.eye(rows.shape[1])
        self.map = np.linalg.solve(square, centred.T @ (looks - looks.mean(axis=0)))

    def found(self, shop: Shop, query: str) -> list[int]:
        """Every photo, the likeliest first."""
        towards = (self.encoder.encode([query])[0] - self.middle) @ self.map
        order: list[int] = np.argsort(-(shop.looks @ towards), kind="stable").tolist()
        return order


def joined(rankings: list[list[int]]) -> list[int]:
    """Several rankings as one, by the sum of their turned-over ranks."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking[:200]):
            scores[row] = scores.get(row, 0.0) + 1 / (SOFT + rank)
    return sorted(scores, key=lambda row: -scores[row])


def main() -> None:
    shop, random = Shop(open_store(sys.argv[1])), np.random.default_rng(0)
    rows = np.array([row for row, text in enumerate(shop.texts) if len(words_of(text)) > 1])
    fold = random.integers(0, FOLDS, len(rows))
    recalls: dict[str, list[float]] = {"words": [], "looks": [], "both": []}
    for new in range(FOLDS):
        words_to_look = WordsToLook(shop, rows[fold != new])
        for row in random.choice(rows[fold == new], QUERIES, replace=False):
            query, others = shop.query(row, random), shop.products != shop.products[row]
            right = (shop.labels == shop.labels[row]) & others
            if not query or not right.any():
                continue
            words = [other for other in shop.found(query) if others[other]]
            looks = [other for other in words_to_look.found(shop, query) if others[other]]
            for name, answers in {"words": words, "looks": looks, "both": joined([words, looks])}.items():
                recalls[name].append(right[answers[:TOP]].sum() / min(TOP, right.sum()))
    print(f"{len(recalls['words'])} queries of two words, the share of the first {TOP} that is of the right category")
    for name, shares in recalls.items():
        print(f"by {name:6s} {np.mean(shares):6.1%}")


if __name__ == "__main__":
    main()
