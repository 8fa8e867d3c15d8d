"""Queries, and the products that answer them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.own_columns import Value, beside
from featx.files.cells import Cell

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]


@dataclass(frozen=True)
class Neighbour:
    """One answer to a query: the item, its product, its similarity from -1 to 1, and the word for that."""

    item_id: str
    product: str
    similarity: float
    label: str | None
    path: str
    near_copy: bool = False
    word: str = ""
    precision: float | None = None
    # What the person's own table says of the photo.
    columns: Mapping[str, Value] = field(default_factory=dict, hash=False)
    # What was read off the photo; None where it was not read.
    text: str | None = None


@dataclass(frozen=True)
class Query:
    """One thing to search for: the features of its photos, and the products and files that must not answer."""

    name: str
    features: NDArray[Any]
    products: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Query({self.name!r}, {len(np.atleast_2d(self.features))} photos)"


@dataclass(frozen=True)
class Matches:
    """The answers to one query, best first, and how many near-copies of it were left out."""

    query: Query
    neighbours: tuple[Neighbour, ...]
    hidden: int = 0
    # The backbone that compared a text with photos; "" for photos, and for words that stand on photos.
    compared_by: str = ""
    # The rows of the answers in the index: to look them up by their names takes longer than the search.
    rows: tuple[int, ...] = field(default=(), compare=False)

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self.neighbours)

    def __len__(self) -> int:
        return len(self.neighbours)

    def __getitem__(self, i: int) -> Neighbour:
        """The answer of a rank, counted from 0."""
        return self.neighbours[i]

    def __repr__(self) -> str:
        best = f", best {self[0].product} {self[0].similarity:.2f}" if self.neighbours else ""
        return f"Matches({len(self)} for {self.query.name}{best})"

    def to_dict(self, *, named: bool = False) -> list[dict[str, Cell]]:
        """The answers as plain records, as `--json` prints them: each with the columns of the person's own table.

        Where answers to several queries go into one list, `named` says in each which query it answers.
        """
        query: dict[str, Cell] = {"query": self.query.name} if named else {}
        return [
            beside(query | record, neighbour.columns)
            for record, neighbour in zip(self._records(), self.neighbours, strict=True)
        ]

    def _records(self) -> Iterator[dict[str, Cell]]:
        for rank, neighbour in enumerate(self.neighbours, start=1):
            yield {
                "rank": rank,
                "score": round(neighbour.similarity, 4),
                "id": neighbour.item_id,
                "product": neighbour.product,
                "label": neighbour.label,
                "path": neighbour.path,
                "word": neighbour.word or None,
                "precision": None if neighbour.precision is None else round(neighbour.precision, 4),
                **({} if neighbour.text is None else {"text": neighbour.text}),
                **({"compared_by": self.compared_by} if self.compared_by else {}),
            }

    def to_pandas(self) -> pandas.DataFrame:
        """The answers as a data frame."""
        from featx.views.frames import columns_of_records, pandas_frame

        return pandas_frame(columns_of_records(self.to_dict()))

    def _repr_html_(self) -> str:
        from featx.views.gallery import notebook_answers

        return notebook_answers(self.query.name, self.query.paths, self.neighbours)
