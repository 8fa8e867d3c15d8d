"""`/v1/similar` and `/v1/classify`: photos and known items in, look-alikes and categories out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from featx.catalogue.items import Item
from featx.embedding.stream import Embedded
from featx.errors import FeatxError
from featx.prediction.predict import Prediction
from featx.retrieval.lookup import of_known, of_rows
from featx.retrieval.query import steer
from featx.retrieval.results import Matches
from featx.retrieval.results import Query as IndexQuery
from featx.retrieval.text_query import text_matches, words_condition
from featx.server.answers import (
    CategoryAnswer,
    CategoryAnswers,
    SimilarAnswer,
    SimilarAnswers,
    category_answer,
    json_answer,
    no_category,
    no_similar,
    similar_answer,
)
from featx.server.generations import Generation
from featx.server.problems import Problem
from featx.server.requests import ID, PHOTO_BODY, answers, needs, service_of
from featx.server.service import Computed, Service, in_thread
from featx.server.tokens import CLASSIFY, READ, Caller
from featx.server.uploads import uploads_of

router = APIRouter(tags=["search"])
Names = Annotated[list[ID], Query(max_length=20)]
TEXT = "How the products look, where the backbone knows texts, else words on their photos; beside an item, such words."
ONE_TEXT = threading.Lock()


@dataclass(frozen=True)
class SearchSettings:
    """What narrows and steers the answers of a search."""

    k: int
    where: str | None
    label: str | None
    like: tuple[str, ...]
    unlike: tuple[str, ...]
    diverse: bool
    copies: bool
    min_similarity: float

    def answer(self, generation: Generation, query: IndexQuery | None) -> Matches:
        """The look-alikes of a query, moved towards some items and away from others."""
        rows = generation.index.rows
        if self.like or self.unlike:
            pulls, pushes = ([of_known(rows, name) for name in names] for names in (self.like, self.unlike))
            query = steer(query, pulls, pushes)
        if query is None:
            raise Problem(
                400, "bad-flag", "there is nothing to look for", "name an `id`, items to be `like`, or a `text`"
            )
        return generation.index.matches(
            query,
            self.k,
            where=self.where or None,
            label=self.label or None,
            min_similarity=self.min_similarity,
            diverse=self.diverse,
            copies=self.copies,
        )

    def described(self, generation: Generation, text: str) -> Matches:
        """The products that look as a text says, where the backbone knows texts; else with its words on photos."""
        where, label = self.where or None, self.label or None
        # One at a time: the first opens the network.
        with ONE_TEXT:
            return text_matches(
                generation.index, text, self.k, where=where, label=label, min_similarity=self.min_similarity
            )


async def search_settings(
    k: Annotated[int, Query(ge=1, le=200, description="How many products.")] = 12,
    where: Annotated[
        str | None, Query(max_length=1000, description="Only these, like `price < 20`.", examples=["price < 20"])
    ] = None,
    label: Annotated[str | None, Query(max_length=500, description="Only this category.")] = None,
    like: Names = [],  # noqa: B006 - FastAPI copies it
    unlike: Names = [],  # noqa: B006
    diverse: Annotated[bool, Query(description="Avoid answers that resemble each other.")] = False,
    copies: Annotated[bool, Query(description="Show near-copies of the query too.")] = False,
    min_similarity: Annotated[float, Query(ge=-1, le=1, description="Only products at least this similar.")] = -1.0,
) -> SearchSettings:
    """The settings of a search, from the address."""
    # Not a plain function: FastAPI would hand that to a thread, and wait for it.
    return SearchSettings(k, where, label, tuple(like), tuple(unlike), diverse, copies, min_similarity)


Settings = Annotated[SearchSettings, Depends(search_settings)]
Reader = Annotated[Caller, Depends(needs(READ))]
Classifying = Annotated[Caller, Depends(needs(CLASSIFY))]


@router.get("/v1/similar", responses=answers(SimilarAnswers))
async def similar_to_item(
    request: Request,
    settings: Settings,
    caller: Reader,
    id: Annotated[ID | None, Query(description="An item or a product.")] = None,
    text: Annotated[str | None, Query(max_length=300, description=TEXT, examples=["red dress"])] = None,
) -> Response:
    """The products most like an item, like some items and unlike others, or as a text says."""
    generation = service_of(request).now
    rows = generation.index.rows

    def answer() -> Matches:
        if text and not (id or settings.like or settings.unlike):
            return settings.described(generation, text)
        narrowed = replace(settings, where=words_condition(text, settings.where)) if text else settings
        return generation.alike(id, narrowed) if id else narrowed.answer(generation, None)

    matches = await in_thread(answer)
    found = similar_answer(rows, matches, matches.query.name, id or None)
    return json_answer(SimilarAnswers(generation.name, [found], matches.compared_by))


@router.post("/v1/similar", responses=answers(SimilarAnswers), openapi_extra=PHOTO_BODY)
async def similar_to_photos(request: Request, settings: Settings, caller: Classifying) -> Response:
    """The products most like a photo; a form of several gets an answer, or a problem, for each."""
    service, (uploads, several) = service_of(request), await uploads_of(request, service_of(request).settings.limits)
    generation = service.now
    computed = await service.computed(generation, uploads, caller)
    _refuse_single(computed, several)
    found = [await in_thread(_similar_to, generation, settings, photo) for photo in computed]
    return json_answer(SimilarAnswers(generation.name, found))


@router.post("/v1/classify", responses=answers(CategoryAnswers), openapi_extra=PHOTO_BODY)
async def classify_photos(
    request: Request,
    caller: Classifying,
    top: Annotated[int, Query(ge=1, le=5, description="How many categories.")] = 3,
) -> Response:
    """The category of a photo with its confidence; a form of several gets an answer, or a problem, for each."""
    service, (uploads, several) = service_of(request), await uploads_of(request, service_of(request).settings.limits)
    generation = service.now
    predictor = generation.classifier
    computed = await service.computed(generation, uploads, caller)
    _refuse_single(computed, several)
    found = await in_thread(categories_of, generation, computed, top)
    return json_answer(CategoryAnswers(generation.name, predictor.model.name, generation.rule.limit, found))


def _refuse_single(computed: Sequence[Computed], several: bool) -> None:
    """A photo that came alone is refused as a whole."""
    if not several and computed[0].problem is not None:
        raise computed[0].problem


def _similar_to(generation: Generation, settings: SearchSettings, photo: Computed) -> SimilarAnswer:
    name, rows = photo.upload.name, generation.index.rows
    if photo.problem is not None or photo.features is None:
        assert photo.problem is not None
        return no_similar(name, photo.problem)
    known = None if photo.row is None else rows.ids[photo.row]
    if photo.row is not None:
        query = of_rows(rows, name, [photo.row])
    else:
        assert photo.upload.photo is not None
        digests = frozenset([photo.upload.photo.digest])
        query = IndexQuery(name, generation.for_index(photo.features), digests=digests)
    try:
        return similar_answer(rows, settings.answer(generation, query), name, known)
    except FeatxError as error:
        raise Problem.of(error) from error


def categories_of(generation: Generation, photos: Sequence[Computed], top: int) -> list[CategoryAnswer]:
    """The category of each photo that could be computed, and the problem with each other one."""
    usable = [photo for photo in photos if photo.features is not None]
    predictions = iter(predicted(generation, usable))
    return [
        category_answer(photo.upload.name, _id_of(generation, photo), next(predictions), top)
        if photo.features is not None
        else no_category(photo.upload.name, photo.problem or Problem(500, "bug", "no features"))
        for photo in photos
    ]


def predicted(generation: Generation, photos: Sequence[Computed]) -> list[Prediction]:
    """What the classifier says of photos with features."""
    embedded = [
        Embedded(
            Item(photo.upload.name, photo.upload.name),
            "" if photo.upload.photo is None else photo.upload.photo.digest,
            generation.for_classifier(np.asarray(photo.features)),
        )
        for photo in photos
    ]
    bodies: dict[int, Any] = {id(item.photo): photo.upload.photo for item, photo in zip(embedded, photos, strict=True)}
    return generation.classifier.decided(embedded, generation.rule, lambda item: bodies[id(item)])


def _id_of(generation: Generation, photo: Computed) -> str | None:
    return None if photo.row is None else generation.index.rows.ids[photo.row]


def category_of_row(service: Service, generation: Generation, row: int) -> CategoryAnswer:
    """What the classifier says of a row of the store."""
    item_id = generation.index.rows.ids[row]
    item = generation.store.known()[item_id]
    features = generation.for_classifier(generation.features_of(row))
    embedded = Embedded(item, generation.index.rows.digests[row], features, reused=True)
    (prediction,) = generation.classifier.decided([embedded], generation.rule)
    return category_answer(item_id, item_id, prediction, 5)
