"""Words for similarities: what they are called in one catalogue, and how often that was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Band:
    """A word for similarities from a limit upwards, how often it was right, and on how many answers that was measured.

    `precision` is None where the catalogue cannot tell.
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
        """From which similarity on an answer is a near-copy."""
        return self.categories[0].least

    def say(self, similarity: float, *, other_product: bool) -> Band | None:
        """The word for an answer; `other_product` where the query's own product was kept from answering."""
        for word in (*(() if other_product else self.products), *self.categories):
            if similarity >= word.least:
                return word
        return None

    def to_dict(self) -> dict[str, Any]:
        """The words as JSON keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> SimilarityScale:
        """Words as JSON kept them."""
        return cls(*(tuple(Band(**word) for word in told[name]) for name in ("products", "categories")))
