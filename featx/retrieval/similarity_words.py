"""Words for similarities in one catalogue, with how often each word was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Band:
    """A word for similarities from a limit upwards, with its measured precision and the number of answers behind it.

    `precision` is None where there were too few answers.
    """

    word: str
    least: float
    precision: float | None
    n: int
    meaning: str = ""


@dataclass(frozen=True)
class SimilarityScale:
    """The words of one catalogue: for answers that may be the query's own product, and for those that cannot be."""

    products: tuple[Band, ...]
    categories: tuple[Band, ...]

    @property
    def near(self) -> float:
        """The similarity from which an answer counts as a near-copy."""
        return self.categories[0].least

    def band_of(self, similarity: float, *, other_product: bool) -> Band | None:
        """The word for an answer; `other_product` where the query's own product was excluded."""
        for word in (*(() if other_product else self.products), *self.categories):
            if similarity >= word.least:
                return word
        return None

    def to_dict(self) -> dict[str, Any]:
        """The scale as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SimilarityScale:
        """The scale from its JSON."""
        return cls(*(tuple(Band(**word) for word in record[name]) for name in ("products", "categories")))
