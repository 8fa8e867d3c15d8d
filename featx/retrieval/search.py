"""The index: similarities to a query, pooled by product and filtered, and the best k products."""

from __future__ import annotations

import os
from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError, did_you_mean
from featx.retrieval.engines.base import CANDIDATES, FEW
from featx.retrieval.engines.exact import ExactRescorer, Pool, similarities
from featx.retrieval.lookup import find, of_photo
from featx.retrieval.results import Matches, Neighbour, Query
from featx.retrieval.rows import NEAR_COPY, IndexRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featx.images.photos import PhotoLike
    from featx.metrics.block_choice import BlockChoice
    from featx.retrieval.condition_tree import Node, Value
    from featx.retrieval.conditions import Condition
    from featx.retrieval.engines.base import CandidateSource
    from featx.retrieval.lookup import Embed
    from featx.retrieval.screen import Screen
    from featx.retrieval.similarity_words import SimilarityScale
    from featx.text.records import PhotoText

    QueryLike = Query | PhotoLike | NDArray[np.floating[Any]]

# Float32 sums depend on a row's position in its block in the last digits; scores this close are compared again.
CLOSE = 2e-5
# In a diverse answer, the weight of similarity to the query; the rest is dissimilarity to earlier answers.
LIKENESS = 0.7
# Other names for columns that people use.
ALIASES = {"category": "label", "sku": "product", "file": "path", "image": "path", "text": "read_text"}
# Below this an exact search takes a fraction of a second, so an index is used only on request.
SMALL = 500_000
# The rows of so many conditions are remembered; a server would otherwise remember every one it was ever sent.
MOST_CONDITIONS = 64
# Rows that lie apart take about twice as long to compare as the same number side by side.
PICKED_COST = 4


@dataclass
class SimilarityIndex:
    """An index that answers queries with products, from the rows of a catalogue."""

    rows: IndexRows
    words: SimilarityScale | None = None
    # Why these parts of a joined backbone; None where there was nothing to choose, or somebody else chose.
    block_choice: BlockChoice | None = None
    # Computes the features of a new photo.
    embed: Embed | None = None
    # Proposes candidates, so that not every row is compared.
    nearby: CandidateSource | None = None
    # Shows of most rows that they need not be compared; made where many queries are expected.
    screen: Screen | None = None
    _masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def expect_many(self) -> None:
        """Prepare for more than a few queries; it takes seconds where there are very many rows."""
        self.rows.expect_many()
        if self.nearby is None and self.screen is None:
            from featx.retrieval.screen import Screen

            self.screen = Screen.of(self.rows)

    @property
    def near(self) -> float:
        """The similarity from which an answer counts as a near-copy."""
        return self.words.near if self.words else NEAR_COPY

    def __repr__(self) -> str:
        where = f" of {self.rows.path}" if self.rows.path else ""
        return f"SimilarityIndex({len(self):,} photos, {len(self.rows.products):,} products{where})"

    def similarities(self, query: NDArray[Any], pool: Pool = "best") -> NDArray[np.float32]:
        """The cosine of every row with a query of one photo or several; 0 where either has no direction."""
        return similarities(self.rows, query, pool)

    def allowed(self, where: str | Condition | None = None, label: str | None = None) -> NDArray[np.bool_] | None:
        """Which rows may answer under a condition and a category; None where all may."""
        mask = None
        if label is not None:
            if label not in self.rows.label_names:
                hint = did_you_mean(label, self.rows.label_names, "see `featx info`")
                raise FeatxError(
                    "bad-flag", f"no category `{label}`" + (f" in {self.rows.path}" if self.rows.path else ""), hint
                )
            mask = self.rows.label_codes == self.rows.label_names.index(label)
        if where is not None:
            text = where if isinstance(where, str) else where.text
            if text not in self._masks:
                columns = _with_text(self.rows)
                condition = _read_condition(where, columns) if isinstance(where, str) else where
                if len(self._masks) >= MOST_CONDITIONS:
                    self._masks.clear()
                self._masks[text] = condition.rows(columns, len(self))
            mask = self._masks[text] if mask is None else mask & self._masks[text]
        return mask

    def _pushed(self, where: str | Condition | None, label: str | None) -> Node | None:
        """As much of the conditions as the engine takes."""
        if self.nearby is None or (where is None and label is None):
            return None
        from featx.retrieval.condition_tree import And, Column, Comparison, Literal

        parts: list[Node] = [] if label is None else [Comparison("=", Column("label", 0), Literal(label, 0))]
        if where is not None:
            condition = _read_condition(where, _with_text(self.rows)) if isinstance(where, str) else where
            parts.append(condition.tree)
        return self.nearby.engine.understood(And(tuple(parts)))

    def query(self, query: QueryLike, k: int = 10, **settings: Any) -> list[Neighbour]:
        """The k products most like features, an item or product the index knows, or a new photo; see `matches`."""
        return list(self.matches(query, k, **settings))

    def matches(
        self,
        query: QueryLike,
        k: int = 10,
        *,
        where: str | Condition | None = None,
        label: str | None = None,
        pool: Pool = "best",
        min_similarity: float = -1.0,
        diverse: bool = False,
        copies: bool = False,
    ) -> Matches:
        """The k products most like a query, best first; ties go by id.

        A query is the name of an item or a product, a photo in any form, or features (an array of floats).
        Two products are as alike as their most alike photos (`best`), or as all their photos on average (`mean`). The
        query's own product and byte-identical copies never answer; near-copies only where `copies` asks for them.
        """
        resolved = self._resolve(query)
        allowed, pushed = self.allowed(where, label), self._pushed(where, label)
        ranked, hidden = self._ranked(resolved, k, allowed, pushed, pool, min_similarity, diverse, copies)
        texts = self._texts([row for row, _ in ranked])
        answers = (self._neighbour(row, value, bool(resolved.products), texts) for row, value in ranked)
        return Matches(resolved, tuple(answers), hidden, rows=tuple(row for row, _ in ranked))

    def _texts(self, rows: Sequence[int]) -> Mapping[int, PhotoText]:
        """What was read off the photos of some rows."""
        if self.rows.path is None or not self.rows.path.with_name(self.rows.path.name + ".text").exists():
            return {}
        # Most catalogues have no text, and none should pay for the database.
        from featx.retrieval.read_text import texts_of_rows

        return texts_of_rows(self.rows, rows)

    def _resolve(self, query: QueryLike) -> Query:
        if isinstance(query, Query):
            return query
        if isinstance(query, str | os.PathLike):
            return find(self.rows, os.fspath(query), self.embed)
        from featx.images.photos import holds_a_photo

        if holds_a_photo(query):
            return of_photo(self.rows, query, self.embed)
        return Query("features", np.atleast_2d(np.asarray(query)))

    def _neighbour(self, row: int, similarity: float, other_product: bool, texts: Mapping[int, PhotoText]) -> Neighbour:
        band = self.words.band_of(similarity, other_product=other_product) if self.words else None
        return Neighbour(
            self.rows.ids[row],
            self.rows.products[int(self.rows.codes[row])],
            similarity,
            self.rows.label_of(row),
            self.rows.paths[row],
            similarity >= self.near,
            band.word if band else "",
            band.precision if band else None,
            self.rows.own_row(row),
            texts[row].text if row in texts else None,
        )

    def _ranked(
        self,
        query: Query,
        k: int,
        allowed: NDArray[np.bool_] | None,
        pushed: Node | None,
        pool: Pool,
        least: float,
        diverse: bool,
        copies: bool,
    ) -> tuple[list[tuple[int, float]], int]:
        if not len(self):
            return [], 0
        excluded = [row for digest in query.digests if digest for row in self.rows.digests.rows_of(digest)]
        may = np.ones(len(self), dtype=bool) if allowed is None else allowed.copy()
        may[excluded] = False
        rescorer = ExactRescorer(self.rows, query.features, pool, may)
        wanted = max(100, 5 * k) if diverse else k
        left = len(self) if allowed is None else np.count_nonzero(may)
        few = np.flatnonzero(may) if allowed is not None and left <= FEW else None
        proposed = None
        if self.nearby is not None and pool == "best" and few is None:
            proposed = self._proposed(query, rescorer, pushed, wanted, least, copies)
        if proposed is None and self.screen is not None and pool == "best" and few is None:
            few = self._reaching(self.screen, query, rescorer, wanted, least, copies)
        if proposed is None and few is None and left * PICKED_COST < len(self):
            few = np.flatnonzero(may)
        ranked, hidden = proposed or self._compared(query, rescorer, few, wanted, least, copies)
        ranked = sorted(_best(ranked, wanted), key=lambda match: (-match[1], self.rows.ids[match[0]]))[:wanted]
        return (self._spread(ranked, k) if diverse else ranked), hidden

    def _compared(
        self,
        query: Query,
        rescorer: ExactRescorer,
        few: NDArray[np.intp] | None,
        wanted: int,
        least: float,
        copies: bool,
    ) -> tuple[list[tuple[int, float]], int]:
        """At least the best products after comparing every row, or a few, and the number of near-copies left out."""
        codes, scores = self._scores(query, rescorer, few)
        for own in self._own(query):
            place = int(np.searchsorted(codes, own))
            if place < len(codes) and codes[place] == own:
                scores[place] = -np.inf
        for limit in (self.near, least):
            for i in np.flatnonzero(np.abs(scores - limit) < CLOSE):
                scores[i] = rescorer.product(int(codes[i]))[1]
        hidden = 0
        if not copies:
            copied = scores >= self.near
            hidden = int(copied.sum())
            scores[copied] = -np.inf
        scores[scores < least] = -np.inf
        candidates = np.flatnonzero(scores > -np.inf)
        if len(candidates) > wanted:
            kept = scores[candidates]
            limit = np.partition(kept, len(kept) - wanted)[len(kept) - wanted]
            candidates = candidates[kept >= limit - CLOSE]
        best = codes[candidates].tolist()
        return [
            match for start in range(0, len(best), 4096) for match in rescorer.products(best[start : start + 4096])
        ], hidden

    def _scores(
        self, query: Query, rescorer: ExactRescorer, few: NDArray[np.intp] | None
    ) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
        """Products and their similarities: all of them, or those of a few rows."""
        cosines = similarities(self.rows, query.features, rescorer.pool, few)
        if few is None:
            return np.arange(len(self.rows.products)), self._pooled(cosines, rescorer.may, rescorer.pool)
        codes, product = np.unique(self.rows.codes[few], return_inverse=True)
        if rescorer.pool == "mean":
            sums = np.bincount(product, weights=cosines, minlength=len(codes))
            return codes, (sums / np.bincount(product, minlength=len(codes))).astype(np.float32)
        order = np.argsort(product, kind="stable")
        starts = np.searchsorted(product[order], np.arange(len(codes)))
        best: NDArray[np.float32] = np.maximum.reduceat(cosines[order], starts) if len(codes) else cosines
        return codes, best

    def _reaching(
        self, screen: Screen, query: Query, rescorer: ExactRescorer, wanted: int, least: float, copies: bool
    ) -> NDArray[np.intp] | None:
        """Every row that may be among the answers; None where all must be compared."""
        look = screen.look(self.rows.unit_queries(query.features), rescorer.may)
        own = self._own(query)
        likely = np.unique(self.rows.codes[look.likely(max(CANDIDATES, 4 * wanted))])
        products = rescorer.products([code for code in likely.tolist() if code not in own])
        left = sorted((value for _, value in products if copies or value < self.near), reverse=True)
        reached = max(left[wanted - 1] if len(left) >= wanted else -1.0, least)
        return look.reaching(reached - 2 * CLOSE) if reached > -1 else None

    def _proposed(
        self,
        query: Query,
        rescorer: ExactRescorer,
        pushed: Node | None,
        wanted: int,
        least: float,
        copies: bool,
    ) -> tuple[list[tuple[int, float]], int] | None:
        """The best products among the candidates of the engine; None where too few may answer, so all must be compared.

        A condition or many copies exclude candidates, so the engine must propose more until enough are left.
        """
        assert self.nearby is not None
        own = self._own(query)
        near = self.near
        for proposed in self.nearby.growing(rescorer.wanted, 4 * wanted, pushed):
            rows = proposed[rescorer.may[proposed]]
            products = rescorer.products(
                [code for code in np.unique(self.rows.codes[rows]).tolist() if code not in own]
            )
            hidden = 0 if copies else sum(value >= near for _, value in products)
            left = [match for match in products if (copies or match[1] < near) and match[1] >= least]
            # A candidate below the requested similarity shows that all better ones have been seen.
            if len(left) >= wanted or any(value < least for _, value in products):
                return left, hidden
        return None

    def _own(self, query: Query) -> set[int]:
        """The products of the query itself."""
        return {row for product in query.products for row in self.rows.products.rows_of(product)}

    def _pooled(self, similarities: NDArray[np.float32], may: NDArray[np.bool_], pool: Pool) -> NDArray[np.float32]:
        """One number for each product from those of its rows that may answer; minus infinity where none may."""
        if len(self.rows.products) == len(self):
            pooled = np.empty(len(self), dtype=np.float32)
            pooled[self.rows.codes] = np.where(may, similarities, -np.inf)
            return pooled
        if pool == "best":
            kept = np.where(may, similarities, np.float32(-np.inf))
            best: NDArray[np.float32] = np.maximum.reduceat(kept[self.rows.order], self.rows.starts[:-1])
            return best
        counts = np.bincount(self.rows.codes[may], minlength=len(self.rows.products))
        sums = np.bincount(self.rows.codes[may], weights=similarities[may], minlength=len(self.rows.products))
        means = np.where(counts, sums / np.maximum(counts, 1), -np.inf)
        return means.astype(np.float32)

    def _spread(self, ranked: list[tuple[int, float]], k: int) -> list[tuple[int, float]]:
        """Reorder answers: the best first, then each time one similar to the query and unlike earlier answers."""
        unit = self.rows.unit_rows(np.array([row for row, _ in ranked], dtype=np.intp))
        likeness = np.array([value for _, value in ranked])
        shown: list[int] = []
        nearest = np.full(len(ranked), -1.0)
        while len(shown) < min(k, len(ranked)):
            worth = LIKENESS * likeness - (1 - LIKENESS) * nearest if shown else likeness.copy()
            worth[shown] = -np.inf
            shown.append(int(np.argmax(np.round(worth, 6))))
            nearest = np.maximum(nearest, unit @ unit[shown[-1]])
        return [ranked[i] for i in shown]


def _best(ranked: list[tuple[int, float]], wanted: int) -> list[tuple[int, float]]:
    """The matches that may be among the best so many: ties go by id, so all that tie with the last stay."""
    if len(ranked) <= wanted:
        return ranked
    limit = sorted((similarity for _, similarity in ranked), reverse=True)[wanted - 1]
    return [match for match in ranked if match[1] >= limit]


def _with_text(rows: IndexRows) -> Mapping[str, Sequence[Value]]:
    """The columns that a condition may use; the text of the photos is read only where it does."""
    from featx.retrieval.read_text import COLUMN, TextColumn

    return ChainMap(rows.columns(), {COLUMN: TextColumn(rows)})  # type: ignore[arg-type]


def _read_condition(text: str, columns: Mapping[str, Sequence[Value]]) -> Condition:
    # Most queries have no condition, and its language takes a tenth of a cold query to import.
    from featx.retrieval.conditions import read_condition

    return read_condition(text, columns, ALIASES)
