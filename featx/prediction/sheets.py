"""Predictions and suggestions as sheets of photos to decide on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from featx.prediction.predict import Prediction, shown_sure
from featx.prediction.suggest import Suggestion
from featx.views.sheet import MOST, Sheet, SheetPhoto


class MostUrgent:
    """Keeps the most doubtful ones of any number of predictions."""

    def __init__(self, most: int = MOST) -> None:
        self.most, self.total = most, 0
        self._kept: list[Prediction] = []

    def watch(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Pass predictions on; unreadable photos cannot be shown."""
        for prediction in predictions:
            if not prediction.unreadable:
                self._kept.append(prediction)
                self.total += 1
                if len(self._kept) >= 2 * self.most + 100:
                    self._kept = self._first()
            yield prediction

    def sheet(self, categories: Sequence[str]) -> Sheet:
        """The sheet of those kept."""
        photos = [_predicted(prediction) for prediction in self._first()]
        return Sheet("Predicted categories", photos, sorted(categories), self.total, "the most doubtful")

    def _first(self) -> list[Prediction]:
        return sorted(
            self._kept,
            # What must not be missed comes first, however confident another answer is.
            key=lambda prediction: (
                not prediction.flags,
                not prediction.review,
                prediction.sure,
                prediction.item.path,
            ),
        )[: self.most]


def predictions_sheet(predictions: Iterable[Prediction], categories: Sequence[str], most: int = MOST) -> Sheet:
    """Predictions, those that need a look first; the categories are those of the classifier."""
    urgent = MostUrgent(most)
    for _ in urgent.watch(predictions):
        pass
    return urgent.sheet(categories)


def suggestions_sheet(suggestions: Sequence[Suggestion], categories: Sequence[str], unlabelled: int) -> Sheet:
    """The photos to label next, those that teach most first."""
    photos = [_suggested(suggestion) for suggestion in suggestions]
    return Sheet("Photos to label next", photos, sorted(categories), unlabelled, "the most instructive")


def _predicted(prediction: Prediction) -> SheetPhoto:
    second = [(f"or {label}", shown_sure(share)) for label, share in prediction.top[1:2]]
    why = f"needs a look: {prediction.doubt}" if prediction.doubt else ""
    return SheetPhoto(
        prediction.item.item_id,
        prediction.digest,
        prediction.item.path,
        prediction.item.product or prediction.item.item_id,
        suggestions=tuple(label for label, _ in prediction.top[:2]),
        why=why,
        facts=((f"predicted {prediction.label}", shown_sure(prediction.sure)), *second),
        columns=prediction.item.columns,
    )


def _suggested(suggestion: Suggestion) -> SheetPhoto:
    return SheetPhoto(
        suggestion.item_id,
        suggestion.digest,
        suggestion.path,
        suggestion.product,
        suggestions=(suggestion.says, suggestion.instead),
        facts=((f"perhaps {suggestion.says}", shown_sure(suggestion.sure)), ("or", suggestion.instead)),
        columns=suggestion.columns,
    )
