"""Why the surest mistakes happened: regions and a sentence as in `featx explain`, by the saved classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featx.classifiers.registry import latest_of_kind
from featx.comparison.document import Details, Entry
from featx.errors import FeatxError
from featx.reporting.records import ExplainedMistake, ExplainedMistakes, Photo
from featx.reporting.thumbnails import ThumbnailCache

if TYPE_CHECKING:
    from featx.explanation.explainer import Explainer, Explanation
    from featx.store import Store

MOST = 12
SIDE = 160


@dataclass(frozen=True)
class Mistake:
    """A scored photo that was taken for another category."""

    item_id: str
    truth: str
    says: str


def explained_mistakes(
    details: Details, entry: Entry, level: str | None, store: Store, models: Path, thumbnails: ThumbnailCache
) -> ExplainedMistakes | None:
    """The surest mistakes with what spoke for them; None where there are none, or where they were not kept."""
    mistakes = surest_mistakes(details)
    if not mistakes:
        return None
    path = latest_of_kind(models, store.path, entry.clf, level)
    if path is None:
        return ExplainedMistakes(why_none=_train_first(entry, level, store.path))
    paths = dict(zip(store.ids, store.paths, strict=True))
    try:
        explainer = _explainer(path, store, [mistake.item_id for mistake in mistakes])
        return _explained(explainer, mistakes, paths, thumbnails)
    except FeatxError as error:
        return ExplainedMistakes(why_none=f"Not explained: {error.message}.")


def surest_mistakes(details: Details) -> list[Mistake]:
    """Photos whose category is wrong, the one that the classifier was surest of first."""
    wrong = [i for i, truth in enumerate(details.truth) if truth != details.says[i]]
    if sure := details.confidence:
        wrong.sort(key=lambda i: (-sure[i], details.ids[i]))
    names = details.classes
    return [Mistake(details.ids[i], names[details.truth[i]], names[details.says[i]]) for i in wrong[:MOST]]


def _train_first(entry: Entry, level: str | None, store: Path) -> str:
    coarser = "" if level is None else f" --level {level}"
    train = f"featx fit --clf {entry.clf}{coarser} --store {store}"
    return f"Not explained: no {entry.clf} is saved for this store. Run `{train}`, then `featx compare` again."


def _explainer(path: Path, store: Store, ids: list[str]) -> Explainer:
    """The explainer of a classifier, its network loaded; photos it learned from are explained as if it had not."""
    from featx.classifiers.unlearning import without_products
    from featx.explanation.explainer import Explainer
    from featx.prediction.predict import open_predictor

    predictor = open_predictor(str(path), store.path, device="cpu")
    predictor.model = without_products(predictor.model, store, ids) or predictor.model
    _ = predictor.backbone
    return Explainer(predictor, border=False)


def _explained(
    explainer: Explainer, mistakes: list[Mistake], paths: Mapping[str, str], thumbnails: ThumbnailCache
) -> ExplainedMistakes:
    rows, unreadable, right = [], 0, 0
    for mistake in mistakes:
        result = _explanation(explainer, mistake, paths)
        if result is None:
            unreadable += 1
        elif result.category != mistake.says:
            right += 1
        else:
            rows.append(_row(result, mistake, thumbnails))
    return ExplainedMistakes(rows=rows, n_other=right, n_unreadable=unreadable)


def _explanation(explainer: Explainer, mistake: Mistake, paths: Mapping[str, str]) -> Explanation | None:
    """Why the category that was answered and not the right one; None where the photo cannot be read any more."""
    path = paths.get(mistake.item_id)
    if path is None:
        return None
    try:
        result = explainer(path)
        known = mistake.truth in explainer.predictor.model.classes
        if result.category != mistake.says or result.runner_up == mistake.truth or not known:
            return result
        return explainer(path, against=mistake.truth)
    except FeatxError as error:
        if error.code != "photo-unreadable":
            raise
        return None


def _row(result: Explanation, mistake: Mistake, thumbnails: ThumbnailCache) -> ExplainedMistake:
    drawn = thumbnails.picture(result.overlay(SIDE)) if result.regions else thumbnails.name(mistake.item_id)
    return ExplainedMistake(
        photo=Photo(mistake.item_id, mistake.truth, drawn),
        says=mistake.says,
        sentence=result.sentence,
        has_regions=bool(result.regions),
    )
