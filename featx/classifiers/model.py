"""A trained classifier in memory: its pipeline, its categories, and what its features must be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx.backbones.fingerprint import Fingerprint
from featx.classifiers.calibration import probabilities
from featx.classifiers.card import Card
from featx.classifiers.columns.fusion import Fusion
from featx.classifiers.columns.values import Columns, full_columns
from featx.classifiers.encoding import Parts
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.persistence import read_files, write_files
from featx.classifiers.pipelines import scores_of
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.files.locks import one_writer
from featx.views.notebook import notebook_table
from featx.views.quantities import percent, percent_range


@dataclass
class Classifier:
    """A trained classifier with its honest scores.

    `pipeline` is scikit-learn's, or, in a saved linear classifier, one with the same answers that loads no scikit-learn
    and hands over scikit-learn's as `pipeline.whole`.
    """

    settings: ClassifierSettings
    pipeline: Any
    classes: list[str]
    temperature: float
    fingerprint: Fingerprint
    novelty: NoveltyDetector
    card: Card
    # What it needs to count the columns of a photo too.
    fusion: Fusion | None = None

    @property
    def wants(self) -> list[str]:
        """The columns that it counts beside the photo; without them it answers by the photo alone."""
        return [] if self.fusion is None else self.fusion.names

    @property
    def name(self) -> str:
        """Which classifier this is, as `--clf` names it."""
        return self.settings.name

    def save(self, path: Path | str) -> None:
        """Write it and its cards; `path` ends in `.safetensors`."""
        with one_writer(Path(path).parent, "a classifier"):
            self.write(Path(path))

    def write(self, path: Path) -> None:
        """`save` for whoever is the `one_writer` of the folder already."""
        parts = Parts(self.settings, self.pipeline, self.classes, self.temperature, self.novelty, self.fusion)
        self.card = write_files(parts, self.card, path)

    @staticmethod
    def load(path: Path | str) -> Classifier:
        """Read a saved classifier, checked before anybody asks it."""
        parts, fingerprint, card = read_files(Path(path))
        return Classifier(
            parts.settings, parts.pipeline, parts.classes, parts.temperature, fingerprint, parts.novelty, card,
            parts.fusion,
        )  # fmt: skip

    @property
    def classes_(self) -> np.ndarray:
        """The categories, as scikit-learn names them."""
        return np.array(self.classes)

    def predict_proba(self, features: np.ndarray, columns: Columns | None = None) -> np.ndarray:
        """Calibrated probabilities, a column for each of `classes`.

        `columns` has a value for each row in every column that the classifier `wants`, such as {"title": [...]}.
        Where a row has none, the photo alone answers.
        """
        scores = scores_of(self.pipeline, features, self.classes)
        if self.fusion is not None:
            given = full_columns(columns, self.wants, len(scores))
            scores, _ = self.fusion.scores(scores, np.asarray(features), given, self.classes)
        return probabilities(scores, self.temperature)

    def predict(self, features: np.ndarray, columns: Columns | None = None) -> np.ndarray:
        """The likeliest category of each row."""
        likeliest: np.ndarray = self.classes_[self.predict_proba(features, columns).argmax(axis=1)]
        return likeliest

    def __repr__(self) -> str:
        score = f"{percent(self.card.best.accuracy)} right on {self.card.best.n:,} photos"
        return f"Classifier({self.name}, {len(self.classes):,} categories, {score})"

    def _repr_html_(self) -> str:
        scores = {"held-out photos": self.card.test, "cross-validation": self.card.cv}
        rows = [
            (where, percent(score.accuracy), percent_range(*score.ci95), f"{score.n:,}")
            for where, score in scores.items()
            if score is not None
        ]
        return notebook_table(repr(self), ("", "right", "95 % interval", "photos"), rows)


def save(model: Classifier, path: Path) -> None:
    """Write a classifier and its cards."""
    model.save(path)


def load_classifier(path: Path | str) -> Classifier:
    """Read a saved classifier, checked before anybody asks it."""
    return Classifier.load(path)


def require_same_features(model: Classifier, fingerprint: Fingerprint, where: Path | None) -> None:
    """A classifier answers only for features made as those it was trained on: of a store, or of the opened backbone."""
    field = model.fingerprint.difference(fingerprint, "classify")
    if field:
        learned_from, holds = model.fingerprint.values_of(field, fingerprint)
        has = "the backbone here has" if where is None else f"{where} holds"
        again = "`featx fit`, on a store of this backbone" if where is None else f"`featx fit --store {where}`"
        raise FeatxError(
            "other-backbone",
            f"the classifier was trained on features of {learned_from}, but {has} {holds}",
            f"train again: {again}",
        )
