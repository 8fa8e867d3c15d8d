"""The shapes of answers, from which the description of the API is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from msgspec import to_builtins
from starlette.responses import Response

from featx.prediction.predict import Prediction
from featx.retrieval.results import Matches, Neighbour
from featx.retrieval.rows import IndexRows
from featx.server.problems import JsonResponse, Problem, ProblemDetails

Json = Any


@dataclass(frozen=True)
class SimilarItem:
    """One look-alike: its rank, its similarity from -1 to 1, and the word for that."""

    rank: int
    score: float
    id: str
    product: str
    label: str | None
    word: str | None
    precision: float | None
    # The address of its photo, below this server.
    photo: str
    # What the shop's own table says of it.
    columns: dict[str, Json] = field(default_factory=dict)
    text: str | None = None


@dataclass(frozen=True)
class SimilarAnswer:
    """The look-alikes of one query; `hidden` near-copies of it are left out."""

    query: str
    # The item, where the store knows the photo.
    id: str | None
    results: list[SimilarItem]
    hidden: int
    error: ProblemDetails | None = None


@dataclass(frozen=True)
class SimilarAnswers:
    """An answer to each query, all from one state of the store; `compared_by` is the network that knows texts."""

    generation: str
    answers: list[SimilarAnswer]
    compared_by: str = ""


@dataclass(frozen=True)
class Share:
    """A category and its calibrated probability."""

    category: str
    sure: float


@dataclass(frozen=True)
class CategoryAnswer:
    """The category of one photo; `review` says whether a person should look, `doubt` why."""

    query: str
    id: str | None
    category: str | None
    sure: float | None
    review: bool
    doubt: str | None
    # The cosine with the nearest photo that the classifier learned from.
    similarity: float | None
    top: list[Share]
    # Categories that must not be missed, and that the photo may be of.
    flags: list[str] = field(default_factory=list)
    error: ProblemDetails | None = None


@dataclass(frozen=True)
class CategoryAnswers:
    """An answer to each photo, all from one classifier."""

    generation: str
    classifier: str
    # When an answer is left to a person, in words.
    rule: str
    answers: list[CategoryAnswer]


@dataclass(frozen=True)
class ItemRecord:
    """One photo of the catalogue."""

    id: str
    product: str
    label: str | None
    digest: str
    photo: str
    columns: dict[str, Json]


@dataclass(frozen=True)
class ItemPage:
    """Some items of the catalogue, and where the next ones begin."""

    generation: str
    total: int
    items: list[ItemRecord]
    next: int | None


@dataclass(frozen=True)
class ItemAnswer:
    """One item, the other photos of its product, and what the classifier says of it."""

    generation: str
    item: ItemRecord
    others: list[ItemRecord]
    category: CategoryAnswer | None


@dataclass(frozen=True)
class CatalogueAnswer:
    """What the server knows: its catalogue, its classifier, and what the caller may do."""

    generation: str
    version: str
    photos: int
    products: int
    categories: list[str]
    # The columns that filters may name.
    columns: list[str]
    # Columns with few values, and these values.
    choices: dict[str, list[str]]
    classifier: str | None
    no_classifier: str | None
    accuracy: float | None
    approximate: bool
    scopes: list[str]
    read_only: bool
    text: bool


def json_answer(answer: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A record as an answer."""
    return JsonResponse(to_builtins(answer), status, headers)


def photo_address(item_id: str, digest: str) -> str:
    """The address of a photo: a changed photo has another one, so browsers may keep it."""
    encoded = quote(item_id.encode("utf-8", "surrogateescape"), safe="")
    return f"/v1/photo/{encoded}?v={digest[:12]}"


def item_record(rows: IndexRows, row: int) -> ItemRecord:
    """One row of the catalogue."""
    item_id, digest = rows.ids[row], rows.digests[row]
    product = rows.products[int(rows.codes[row])]
    return ItemRecord(item_id, product, rows.label_of(row), digest, photo_address(item_id, digest), rows.own_row(row))


def similar_answer(rows: IndexRows, matches: Matches, query: str, known: str | None) -> SimilarAnswer:
    """The products that answer one query."""
    ranked = enumerate(zip(matches.rows, matches, strict=True), start=1)
    results = [_similar_item(rows.digests[row], rank, neighbour) for rank, (row, neighbour) in ranked]
    return SimilarAnswer(query, known, results, matches.hidden)


def _similar_item(digest: str, rank: int, neighbour: Neighbour) -> SimilarItem:
    return SimilarItem(
        rank,
        round(neighbour.similarity, 4),
        neighbour.item_id,
        neighbour.product,
        neighbour.label,
        neighbour.word or None,
        None if neighbour.precision is None else round(neighbour.precision, 4),
        photo_address(neighbour.item_id, digest),
        dict(neighbour.columns),
        neighbour.text,
    )


def no_similar(query: str, problem: Problem) -> SimilarAnswer:
    """The answer to a photo that cannot be used."""
    return SimilarAnswer(query, None, [], 0, problem.details)


def category_answer(query: str, known: str | None, prediction: Prediction, top: int) -> CategoryAnswer:
    """The category of one photo."""
    return CategoryAnswer(
        query,
        known,
        prediction.label or None,
        round(prediction.sure, 4),
        prediction.review,
        prediction.doubt or None,
        round(prediction.similarity, 4),
        [Share(label, round(share, 4)) for label, share in prediction.top[:top]],
        list(prediction.flags or ()),
    )


def no_category(query: str, problem: Problem) -> CategoryAnswer:
    """The answer to a photo that cannot be used."""
    return CategoryAnswer(query, None, None, None, True, None, None, [], error=problem.details)
