"""Texts that give the category away: its name in them, one text for a whole category, one text of several items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featx.catalogue.own_columns import Value
from featx.classifiers.columns.cells import is_missing
from featx.classifiers.columns.encoders import as_text
from featx.classifiers.columns.values import Columns, Kind
from featx.classifiers.columns.words import WeighedText, weighed_words, words_of
from featx.labels.folds import union_groups

# Shorter texts may be alike by chance.
FEWEST_WORDS = 3
# Endings that may differ between the name of a category and its mention: boot, boots.
ENDING, SHORTEST = 2, 3
# Above this share of texts with the name of their category, the score without those words is worth the time.
MANY = 0.05


@dataclass(frozen=True)
class CategoryNames:
    """The words of each category's name."""

    words: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, labels: Collection[str]) -> CategoryNames:
        """The last part of a label such as `Fruit/Golden-Apple` is its name."""
        return cls({label: words_of(label.rsplit("/", 1)[-1].replace("-", " ")) for label in labels})

    def named(self, values: Sequence[Value], labels: Sequence[str]) -> float:
        """The share of texts that contain the name of their own category."""
        given = [(words_of(str(v)), label) for v, label in zip(values, labels, strict=True) if not is_missing(v)]
        return sum(self._names(words, label) for words, label in given) / max(len(given), 1)

    def _names(self, words: Sequence[str], label: str) -> bool:
        name = self.words[label]
        return bool(name) and all(any(alike(part, word) for word in words) for part in name)

    def without(self, columns: Columns, kinds: Mapping[str, Kind]) -> dict[str, Sequence[Value]]:
        """The same columns without the words of any category's name."""
        parts = {part for name in self.words.values() for part in name if len(part) >= SHORTEST}
        known: dict[str, bool] = {}

        def left(value: Value) -> Value:
            words = weighed_words(as_text(value))
            for word, _ in words:
                if word not in known:
                    known[word] = any(alike(part, word) for part in parts)
            return WeighedText((word, weight) for word, weight in words if not known[word]) or None

        return {
            name: values if kinds[name] is Kind.NUMBER else [left(value) for value in values]
            for name, values in columns.items()
        }


def alike(word: str, other: str) -> bool:
    """Whether two words are one, but for a short ending."""
    short, long = sorted((word, other), key=len)
    return long == short or (len(short) >= SHORTEST and long.startswith(short) and len(long) - len(short) <= ENDING)


def alike_groups(columns: Columns, kinds: Mapping[str, Kind], labels: Sequence[str], groups: np.ndarray) -> np.ndarray:
    """Groups in which items of one category with the same text are together: they are shots of one product."""
    for name, kind in kinds.items():
        if kind.is_text:
            texts = [_text(value) for value in columns[name]]
            keys = [(text, label) if text else i for i, (text, label) in enumerate(zip(texts, labels, strict=True))]
            numbers: dict[object, int] = {}
            groups = union_groups(groups, np.array([numbers.setdefault(key, len(numbers)) for key in keys]))
    return groups


def _text(value: Value) -> str:
    words = [] if is_missing(value) else words_of(str(value))
    return " ".join(words) if len(words) >= FEWEST_WORDS else ""


def stands_for_category(values: Sequence[Value], labels: Sequence[str], groups: np.ndarray) -> bool:
    """Whether a column is the category by another name: each value stands with one category and many products."""
    products: dict[str, set[int]] = defaultdict(set)
    categories: dict[str, set[str]] = defaultdict(set)
    for value, label, group in zip(values, labels, groups, strict=True):
        if not is_missing(value):
            products[str(value)].add(int(group))
            categories[str(value)].add(label)
    many = [value for value, shown in products.items() if len(shown) > 1]
    covered = sum(len(products[value]) for value in many) > 0.9 * sum(map(len, products.values()))
    return len(many) > 1 and covered and all(len(categories[value]) == 1 for value in many)
