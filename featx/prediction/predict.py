"""Photos in, categories with calibrated confidence out; photos the store knows are not computed again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.backbones.weights import named_place
from featx.catalogue.items import Catalogue, Item
from featx.catalogue.own_columns import Value, beside, unlike_ours
from featx.classifiers.columns.values import Columns, full_columns, rows_of
from featx.classifiers.model import Classifier, load_classifier, require_same_features
from featx.classifiers.registry import find_classifier, open_classifier
from featx.embedding.reopen import decodes_exactly, open_from_fingerprint, reopen_backbone
from featx.embedding.stream import Embedded, Images, Source, embed, read_source
from featx.errors import FeatxError
from featx.images import PhotoLike, UnreadablePhoto, holds_a_photo
from featx.images.photos import name_of
from featx.images.views import view_of
from featx.prediction.item_columns import ItemColumns
from featx.prediction.review import DecisionRule, ReviewCounts, decision_rule
from featx.views.frames import columns_of_records, pandas_frame
from featx.views.notebook import notebook_table
from featx.views.quantities import pluralise
from featx.workspace import Workspace

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

    from featx.backbones import Encoder
    from featx.store import Store

CLASSIFIED_AT_ONCE = 32


@dataclass(frozen=True)
class Prediction:
    """What one photo shows: categories with their probabilities, likeliest first, or why it could not be read."""

    item: Item
    top: tuple[tuple[str, float], ...] = ()
    similarity: float = 0.0
    doubt: str = ""
    unreadable: str = ""
    digest: str = ""
    # The categories that must not be missed and that it may be of; None where the classifier knows of none.
    flags: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """The likeliest category."""
        return self.top[0][0] if self.top else ""

    @property
    def sure(self) -> float:
        """The probability of the likeliest category."""
        return self.top[0][1] if self.top else 0.0

    @property
    def review(self) -> bool:
        """Whether a person should look at it."""
        return bool(self.doubt or self.unreadable)

    def to_dict(self, top: int = 1) -> dict[str, Any]:
        """The JSON record of `featx predict --json`: the answer, then the columns of the person's own table.

        With more than one category asked for it lists them.
        """
        return beside(self._answer(top), self.item.columns)

    def _answer(self, top: int) -> dict[str, Any]:
        record: dict[str, Any] = {
            "path": self.item.path,
            "category": self.label or None,
            "sure": round(self.sure, 4) if self.top else None,
            "review": self.review,
            "doubt": self.doubt or None,
            "similarity": round(self.similarity, 4) if self.top else None,
            "error": self.unreadable or None,
        }
        if self.flags is not None:
            record["flags"] = list(self.flags)
        if top > 1:
            record["top"] = [{"category": label, "sure": round(share, 4)} for label, share in self.top]
        return record

    def to_cells(self, top: int = 1) -> dict[str, Any]:
        """The record as a row of a table: a column for each category named, no list in a cell."""
        record = self._answer(top)
        others = record.pop("top", [])
        if self.flags is not None:
            record["flags"] = ", ".join(self.flags) or None
        for rank in range(1, top):
            other = others[rank] if rank < len(others) else {}
            record |= {f"category_{rank + 1}": other.get("category"), f"sure_{rank + 1}": other.get("sure")}
        return beside(record, self.item.columns)


def shown_sure(share: float) -> str:
    """A probability with two decimals, rounded down."""
    return f"{int(100 * share + 1e-9) / 100:.2f}"


class Predictions(list[Prediction]):
    """Predictions as a list that a notebook shows as a table, with the rule by which some are left to a person."""

    def __init__(self, predictions: Iterable[Prediction] = (), rule: DecisionRule | None = None) -> None:
        super().__init__(predictions)
        self.rule = rule or DecisionRule()

    @property
    def summary(self) -> str:
        """How many need a look and why, as the command prints it."""
        counts = ReviewCounts()
        for prediction in self:
            counts.count(prediction.doubt, prediction.unreadable, prediction.flags)
        return counts.sentence(self.rule)

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row for each photo."""
        names = list(no_prediction(self.rule).to_dict())
        return pandas_frame(columns_of_records([prediction.to_dict() for prediction in self], names))

    def __repr__(self) -> str:
        doubts = sum(prediction.review for prediction in self)
        return f"Predictions({pluralise(len(self), 'photo')}, {doubts:,} need a look)"

    def _repr_html_(self) -> str:
        rows = [
            (
                prediction.item.path,
                prediction.label,
                shown_sure(prediction.sure) if prediction.top else None,
                _remark(prediction),
            )
            for prediction in self
        ]
        columns = ("path", "category", "sure", "")
        return notebook_table(repr(self), columns, rows, [[prediction.item.path] for prediction in self])


def no_prediction(rule: DecisionRule, item: Item | None = None) -> Prediction:
    """A prediction with every field of those that the rule decides."""
    return Prediction(item or Item("", ""), flags=() if rule.flagged_from else None)


def _remark(prediction: Prediction) -> str:
    doubt = f"needs a look: {prediction.doubt}" if prediction.doubt else ""
    return prediction.unreadable or doubt


class Predictor:
    """Predicts categories, in batches, with a classifier and the backbone its features come from."""

    def __init__(
        self,
        model: Classifier,
        store: Store | None,
        open_backbone: Callable[[], Encoder],
        *,
        top: int = 1,
        views: int = 1,
    ) -> None:
        """`views` of each photo are averaged: the photo, and flips and crops of it."""
        self.model, self.store, self.top, self.views = model, store, max(1, top), views
        self._rows = {digest: i for i, digest in enumerate(store.digests)} if store is not None else {}
        self.columns = ItemColumns(model, store)
        self._open, self._once = open_backbone, threading.Lock()
        self._backbone: Encoder | None = None
        # How many photos the store knew, the file of the classifier, and why no store is used.
        self.from_store = 0
        self.path: Path | None = None
        self.without_store = ""

    @property
    def exact(self) -> bool:
        """Whether photos are decoded at full size, as those of the store were."""
        return self.store is not None and decodes_exactly(self.store.provenance)

    def stream(
        self,
        items: Iterable[Item],
        limits: DecisionRule,
        *,
        workers: int = 4,
        photo_of: Callable[[Item], PhotoLike] | None = None,
    ) -> Iterator[Prediction]:
        """Predictions in the order of the items; only a few batches are in memory at a time.

        `photo_of` gives the photo of an item that is no file.
        """

        def read(item: Item) -> Source:
            # A view is a crop of its own, so it needs the whole photo.
            whole = self.exact or self.views > 1
            return self._viewed(read_source(photo_of(item) if photo_of else item.path, exact=whole, name=item.path))

        with embed(items, lambda: self.backbone, read=read, known=self._stored, workers=workers) as stream:
            while batch := list(islice(stream, CLASSIFIED_AT_ONCE)):
                yield from self._decide(batch, self.columns.of(batch, photo_of), limits)

    def _viewed(self, source: Source) -> Source:
        """A photo with its views."""
        if self.views == 1:
            return source
        seed = 0 if self.store is None else int(str(self.store.provenance.get("seed") or 0))

        def decode(smallest: tuple[int, int] | None) -> Images:
            (image,) = source.decode(None)
            return [image, *(view_of(image, source.digest, view, seed) for view in range(1, self.views))]

        return Source(source.digest, decode)

    def decided(
        self,
        embedded: Sequence[Embedded[Item]],
        limits: DecisionRule,
        photo_of: Callable[[Item], PhotoLike] | None = None,
    ) -> list[Prediction]:
        """Predictions for photos whose features somebody else has computed."""
        predictions: list[Prediction] = []
        for start in range(0, len(embedded), CLASSIFIED_AT_ONCE):
            batch = embedded[start : start + CLASSIFIED_AT_ONCE]
            columns = self.columns.known(batch) if photo_of is None else self.columns.of(batch, photo_of)
            predictions.extend(self._decide(batch, columns, limits))
        return predictions

    def answer_rows(self, rows: Iterable[int], limits: DecisionRule) -> Iterator[Prediction]:
        """Predictions for rows of the store, whose photos are not read again."""
        assert self.store is not None
        store, known, headings = self.store, self.store.known(), unlike_ours(self.store.headings)
        asked = list(rows)
        wanted = np.unique(np.array(asked, dtype=np.intp))
        # A few photos without a category, in a catalogue of hundreds of thousands.
        all_features = store.views_of(wanted)[:, 0]
        for start in range(0, len(asked), CLASSIFIED_AT_ONCE):
            batch = asked[start : start + CLASSIFIED_AT_ONCE]
            items = [replace(known[store.ids[row]], headings=headings) for row in batch]
            features = all_features[np.searchsorted(wanted, batch)]
            embedded = [
                Embedded(item, store.digests[row], features[i], reused=True)
                for i, (item, row) in enumerate(zip(items, batch, strict=True))
            ]
            yield from self._decide(embedded, self.columns.known(embedded), limits)

    def _stored(self, digest: str) -> np.ndarray | None:
        """The features of a photo that the store knows; called from several threads."""
        row = self._rows.get(digest)
        if row is None or self.store is None or self.store.views < self.views:
            return None
        with self._once:
            features: np.ndarray = self.store.all_views[row, : self.views]
        return features[0] if self.views == 1 else features

    @property
    def backbone(self) -> Encoder:
        """The network, loaded when the first photo needs it."""
        with self._once:
            if self._backbone is None:
                self._backbone = self._open()
            return self._backbone

    def _decide(
        self, batch: Sequence[Embedded[Item]], columns: Columns | None, limits: DecisionRule
    ) -> Iterator[Prediction]:
        self.from_store += sum(result.reused for result in batch)
        usable = [i for i, result in enumerate(batch) if result.features is not None]
        features = [np.atleast_2d(result.features) for result in batch if result.features is not None]
        answers = iter(self._shares_of_one_shape(features, columns and rows_of(columns, usable)))
        for result in batch:
            if result.features is None:
                yield replace(no_prediction(limits, result.photo), unreadable=_reason(result.unreadable))
                continue
            shares, similarity = next(answers)
            top = self._likeliest(shares)
            flags = limits.flags(dict(zip(self.model.classes, shares.tolist(), strict=True)))
            doubt = limits.doubt(*top[0], similarity, self.model.novelty.threshold, flags)
            kept = flags if limits.flagged_from else None
            yield Prediction(result.photo, top, similarity, doubt, digest=result.digest, flags=kept)

    def _shares_of_one_shape(
        self, rows: Sequence[np.ndarray], columns: Columns | None
    ) -> list[tuple[np.ndarray, float]]:
        """Probabilities from a padded matrix of one shape, so that no answer depends on the number of photos."""
        if not rows:
            return []
        padding = CLASSIFIED_AT_ONCE - len(rows)
        padded = {name: [*values, *[values[-1]] * padding] for name, values in (columns or {}).items()}
        shares = mean_of_views(self.model, np.stack([*rows, *[rows[-1]] * padding]), padded)
        return list(zip(shares, self._nearest(np.stack(rows)), strict=False))

    def answers(
        self, features: np.ndarray, columns: Columns | None = None
    ) -> list[tuple[tuple[tuple[str, float], ...], float]]:
        """For each row the likeliest categories and the cosine with the nearest known photo."""
        return [(self._likeliest(shares), near) for shares, near in self._shares(features[:, None], columns)]

    def _shares(self, views: np.ndarray, columns: Columns | None) -> list[tuple[np.ndarray, float]]:
        """For rows (n, views, width) the probabilities, by all views together, and the cosine with the nearest."""
        return list(zip(mean_of_views(self.model, views, columns), self._nearest(views), strict=True))

    def _nearest(self, views: np.ndarray) -> list[float]:
        near: list[float] = self.model.novelty.similarity(np.ascontiguousarray(views[:, 0])).tolist()
        return near

    def _likeliest(self, shares: np.ndarray) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-shares, kind="stable")[: self.top]
        return tuple((self.model.classes[j], float(shares[j])) for j in order)


def mean_of_views(model: Classifier, views: np.ndarray, columns: Columns | None = None) -> np.ndarray:
    """Probabilities of the mean score over the views of each photo, (n, views, width)."""
    n, count, width = views.shape
    repeated = {name: [value for value in values for _ in range(count)] for name, values in (columns or {}).items()}
    shares = model.predict_proba(views.reshape(-1, width), repeated)
    if count == 1:
        return shares
    # The mean of logarithms is the mean of scores.
    mean = np.exp(np.log(np.maximum(shares, 1e-12)).reshape(n, count, -1).mean(axis=1))
    normal: np.ndarray = mean / mean.sum(axis=1, keepdims=True)
    return normal


def open_predictor(
    classifier: str | None = None,
    store: Path | None = None,
    *,
    device: str = "auto",
    top: int = 1,
    views: int = 1,
    weights: str | Path | None = None,
    workspace: Workspace | None = None,
) -> Predictor:
    """A predictor with the classifier that is named, and the store whose photos need no computing.

    Without a name it is the classifier trained last (on the store, where one is named). Where no store is named and
    there is none, or one of another backbone, photos are computed; `Predictor.without_store` tells why. `weights` is
    where the weights file of the backbone is, if it moved.
    """
    from featx.store import open_store

    workspace = workspace or Workspace.here()
    path = find_classifier(classifier, workspace.models, store)
    model = load_classifier(path)
    opened: Store | None = None
    reason = ""
    try:
        opened = open_store(workspace.current_store(store)).suited_to(model.fingerprint)
        require_same_features(model, opened.fingerprint, opened.path)
    except FeatxError as error:
        if store is not None or error.code not in ("no-store", "other-backbone"):
            raise
        opened, reason = None, error.message
    opener = _opener(model, opened, device, named_place(weights))
    predictor = Predictor(model, opened, opener, top=top, views=views)
    predictor.path, predictor.without_store = path, reason
    return predictor


def _opener(model: Classifier, store: Store | None, device: str, places: Sequence[Path]) -> Callable[[], Encoder]:
    """A function that opens the backbone of a classifier's features: that of the store, if there is one."""

    # A weights file may be beside the classifier, or beside the store it was trained on.
    near = [*places, *(Path(path).parent for path in (model.card.model, model.card.store) if path)]

    def open_it() -> Encoder:
        if store is not None:
            return reopen_backbone(store, device, near)
        recorded = {"weights_file": model.card.weights_file}
        backbone = open_from_fingerprint(model.fingerprint, recorded, device, near)
        require_same_features(model, backbone.fingerprint, None)
        return backbone

    return open_it


def skipped_predictions(catalogue: Catalogue, rule: DecisionRule) -> Iterator[Prediction]:
    """What was listed in a catalogue and is no usable photo, as predictions that say why."""
    for skip in catalogue.skipped:
        item = Item(skip.path, skip.path, extra=skip.columns)
        yield replace(no_prediction(rule, item), unreadable=skip.reason)


def _reason(error: UnreadablePhoto | None) -> str:
    assert error is not None
    return f"{error.reason}: {error.detail}" if error.detail else error.reason


def predict(
    images: str | Path | PhotoLike | Iterable[PhotoLike],
    classifier: Classifier | str | Path | None = None,
    *,
    store: Store | None = None,
    columns: Mapping[str, Sequence[Value]] | None = None,
    top: int = 1,
    views: int = 1,
    sure: float | None = None,
    coverage: float | None = None,
    min_precision: float | None = None,
    unlike: bool = True,
    device: str = "auto",
    weights: str | Path | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Predictions:
    """Predict the category of photos: a folder, a table, one photo in any form, or a list of these.

    The classifier is one in memory, a file, a name such as `lda`, or the one trained last. The answers to a list
    come in its order. Those below the limit that was measured when the classifier was trained are marked for a
    person; `sure`, `coverage` or `min_precision` set another limit, and `sure=0` sets none.

    A classifier that counts columns finds them in the table, or in `store`; for a list of photos `columns` gives them,
    such as {"title": [...]}. Where a photo has none of them, the photo alone answers.

    With `views`, the answers to so many flips and crops of each photo are averaged. Photos in `store` are not computed
    again, unless it has fewer views. `weights` is where the weights file of the backbone is, if it moved. For thousands
    of photos, `Predictor.stream` yields one prediction after another and keeps none.
    """
    used = open_classifier(classifier, Workspace.here())
    if store is not None:
        store = store.suited_to(used.fingerprint)
        require_same_features(used, store.fingerprint, store.path)
    rule = decision_rule(used.card, sure=sure, coverage=coverage, min_precision=min_precision, unlike=unlike)
    predictor = Predictor(used, store, _opener(used, store, device, named_place(weights)), top=top, views=views)
    catalogue, photos = _requested(images, columns or {})
    photo_of = None if photos is None else lambda item: photos[int(item.item_id)]
    answers = Predictions(rule=rule)
    for done, answer in enumerate(predictor.stream(catalogue.items, rule, photo_of=photo_of), start=1):
        answers.append(answer)
        progress(done, len(catalogue.items))
    answers.extend(skipped_predictions(catalogue, rule))
    return answers


def _requested(images: object, columns: Columns) -> tuple[Catalogue, list[PhotoLike] | None]:
    """The items that somebody names, and the photos themselves where these need not be files."""
    if isinstance(images, str | os.PathLike):
        return _read([images], columns), None
    if holds_a_photo(images):
        return _numbered([images], columns), [images]
    if not isinstance(images, Iterable):
        raise FeatxError(
            "bad-flag", f"photos cannot be of type {type(images).__name__}", "name a folder or give a list"
        )
    photos = list(images)
    if any(isinstance(photo, str | os.PathLike) and Path(photo).is_dir() for photo in photos):
        return _read(photos, columns), None
    return _numbered(photos, columns), photos


def _read(names: Sequence[object], columns: Columns) -> Catalogue:
    from featx.catalogue.reading import read_several

    if columns:
        raise FeatxError("bad-flag", "`columns` needs a list of photos", "give the photos as a list, or name a table")
    paths = [os.fspath(name) for name in names if isinstance(name, str | os.PathLike)]
    if len(paths) < len(names):
        raise FeatxError("bad-flag", "the list mixes folders with photos in memory", "predict the folders on their own")
    return read_several(paths, allow_outside=True)


def _numbered(photos: Sequence[PhotoLike], columns: Columns) -> Catalogue:
    """Items for photos that need not be files, in their order; numbers are their ids, since names may be alike."""
    values = full_columns(columns, list(columns), len(photos))
    cells = [{name: column[i] for name, column in values.items()} for i in range(len(photos))]
    items = [Item(str(i), name_of(photo, f"photo {i}"), extra=cells[i]) for i, photo in enumerate(photos)]
    return Catalogue("", items)
