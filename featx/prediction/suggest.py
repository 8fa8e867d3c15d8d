"""Which photos to label next: those the classifier is least certain about, and no two that look alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.catalogue.own_columns import Value, beside
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.model import Classifier, require_same_features
from featx.classifiers.registry import open_classifier
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.labels.decisions import decided, labels_after_decisions
from featx.store import Store, as_store
from featx.views.frames import columns_of_records, pandas_frame
from featx.views.notebook import notebook_table
from featx.views.quantities import pluralise
from featx.workspace import Workspace

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]


@dataclass(frozen=True)
class Suggestion:
    """A photo worth a label: the predicted category, its probability, and the category that comes next."""

    item_id: str
    path: str
    product: str
    says: str
    sure: float
    instead: str
    doubt: float
    digest: str = ""
    # What the person's own table says of the photo.
    columns: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """The suggestion for programs, and the columns of the person's own table behind it."""
        record = {
            "id": self.item_id,
            "path": self.path,
            "product": self.product,
            "says": self.says,
            "sure": round(self.sure, 4),
            "instead": self.instead,
            "doubt": round(self.doubt, 4),
        }
        return beside(record, self.columns)


class Suggestions(list[Suggestion]):
    """Suggestions as a list that a notebook shows as a table."""

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row for each photo."""
        return pandas_frame(columns_of_records([suggestion.to_dict() for suggestion in self]))

    def __repr__(self) -> str:
        return f"Suggestions({pluralise(len(self), 'photo')} to label next)"

    def _repr_html_(self) -> str:
        rows = [(suggestion.path, suggestion.says, f"{suggestion.sure:.2f}", suggestion.instead) for suggestion in self]
        return notebook_table(
            repr(self), ("path", "says", "sure", "or"), rows, [[suggestion.path] for suggestion in self]
        )


def suggest(
    store: Store | str | Path | None = None, classifier: Classifier | str | Path | None = None, n: int = 50
) -> Suggestions:
    """The photos without a category whose label would teach the classifier most, one for each product.

    From the current store with the classifier trained last on it, unless another is given: one in memory, a file, or a
    name such as `lda`.
    """
    store = as_store(store)
    model = open_classifier(classifier, Workspace.here(), store.path)
    store = store.suited_to(model.fingerprint)
    require_same_features(model, store.fingerprint, store.path)
    if len(model.classes) < 2:
        raise FeatxError("class-too-small", "the classifier knows only one category", "train it on two or more")
    open_rows = np.array(undecided_rows(store), dtype=int)
    if not len(open_rows):
        return Suggestions()
    features = store.views_of(open_rows)[:, 0]
    probabilities = model.predict_proba(features, columns_of(store, open_rows, model.wants))
    first, second = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].T
    doubts = margin_uncertainty(probabilities)
    products = [store.product_of(int(i)) for i in open_rows]
    # Their own column of categories is empty, and would be read as the answer when the table comes back.
    own = {name: column for name, column in store.own_columns.items() if store.headings.get(name) != "label"}
    suggestions = Suggestions()
    for i in select_diverse(features, doubts, n, products):
        row = int(open_rows[i])
        suggestions.append(
            Suggestion(
                store.ids[row],
                store.paths[row],
                products[i],
                model.classes[first[i]],
                float(probabilities[i, first[i]]),
                model.classes[second[i]],
                float(doubts[i]),
                store.digests[row],
                {heading: column[row] for heading, column in own.items()},
            )
        )
    return suggestions


def undecided_rows(store: Store) -> list[int]:
    """The photos without a category about which nobody has decided anything yet."""
    answered = {fix.key for fix in decided()}
    labels = labels_after_decisions(store).labels
    photos = zip(store.ids, store.digests, labels, strict=True)
    return [
        i for i, (item_id, digest, label) in enumerate(photos) if label is None and (item_id, digest) not in answered
    ]


def margin_uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """One minus the margin between the two likeliest categories: 1 where they tie, 0 where one is certain."""
    two = np.sort(np.partition(probabilities, -2, axis=1)[:, -2:], axis=1)
    doubts: np.ndarray = 1 - (two[:, 1] - two[:, 0])
    return doubts


def select_diverse(
    features: np.ndarray, doubts: np.ndarray, n: int, products: Sequence[str] | None = None
) -> list[int]:
    """Rows with high uncertainty that do not resemble one another, best first; at most one of each product."""
    unit = unit_rows(features)
    left = np.ones(len(unit), dtype=bool)
    names = np.array(products if products is not None else [str(i) for i in range(len(unit))])
    far = np.ones(len(unit), dtype=np.float32)
    picked: list[int] = []
    while len(picked) < n and left.any():
        i = int(np.argmax(np.where(left, doubts * far, -1.0)))
        picked.append(i)
        left &= names != names[i]
        far = np.minimum(far, np.clip(1 - unit @ unit[i], 0, None))
    return picked
