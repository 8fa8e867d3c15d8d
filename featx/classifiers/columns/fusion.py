"""The answers of a photo and of its columns as one: joined features, averaged, or stacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from featx.classifiers.calibration import probabilities
from featx.classifiers.columns.learning import ColumnsEncoder
from featx.classifiers.columns.values import Columns
from featx.classifiers.pipelines import scores_of
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import unit_rows

# So much of the columns' answer is shared by all categories: no text rules one out.
DOUBT = 0.02
# No probability is taken as smaller, and no answer counts as unlikelier where two are stacked.
NEVER_ZERO, UNLIKELY = 1e-12, -8.0


class Way(StrEnum):
    """How the answers of a photo and of its columns become one."""

    JOINED = "joined"
    AVERAGED = "averaged"
    STACKED = "stacked"


@dataclass(frozen=True)
class Part:
    """A trained pipeline with its settings, and the temperature of its scores."""

    settings: ClassifierSettings
    pipeline: Any
    temperature: float

    def logs(self, rows: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """The logarithms of its probabilities; no category is impossible."""
        return doubtful(scores_of(self.pipeline, rows, classes), self.temperature)


@dataclass(frozen=True)
class Fusion:
    """What a classifier needs to count columns too.

    `columns` answers by the columns alone, or by photo and columns where they are joined. `stack` answers by the two
    answers. A photo whose columns say nothing gets the answer of the photo.
    """

    way: Way
    encoder: ColumnsEncoder
    columns: Part
    # The temperature of the scores by the photo alone, and that of the fused ones.
    photo_temperature: float
    temperature: float
    # How much the columns count beside the photo.
    weight: float = 1.0
    stack: Part | None = None
    # Whether `text` is what was read off the photos, and no column of a table; new photos are looked at as often as
    # those that it was learned from.
    reads: bool = False
    looks: int = 1

    @property
    def names(self) -> list[str]:
        """The columns that it wants."""
        return list(self.encoder.kinds)

    def scores(
        self, photo: np.ndarray, features: np.ndarray, columns: Columns, classes: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of photos with their columns, from those by the photo alone; and which rows have such columns."""
        by_photo = certain(photo, self.photo_temperature)
        encoded = self.encoder.encode(columns)
        says = says_anything(encoded)
        if says.any():
            rows = self.fused(by_photo[says], features[says], encoded[says], classes)
            by_photo[says] = np.log(probabilities(rows, self.temperature) + NEVER_ZERO)
        return by_photo, says

    def fused(
        self, by_photo: np.ndarray, features: np.ndarray, encoded: np.ndarray, classes: Sequence[str]
    ) -> np.ndarray:
        """Scores of rows whose columns say something, before their temperature."""
        if self.way is Way.JOINED:
            return scores_of(self.columns.pipeline, join_rows(features, encoded, self.weight), classes)
        by_columns = self.columns.logs(encoded, classes)
        if self.stack is None:
            return by_photo + self.weight * by_columns
        return scores_of(self.stack.pipeline, stack_rows(by_photo, by_columns), classes)


def says_anything(encoded: np.ndarray) -> np.ndarray:
    """The rows whose columns say anything."""
    return np.asarray(encoded.any(axis=1))


def certain(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Scores as logarithms of probabilities."""
    logs: np.ndarray = np.log(probabilities(scores, temperature) + NEVER_ZERO)
    return logs


def doubtful(scores: np.ndarray, temperature: float) -> np.ndarray:
    """The same with some doubt."""
    shares = probabilities(scores, temperature)
    logs: np.ndarray = np.log((1 - DOUBT) * shares + DOUBT / shares.shape[1])
    return logs


def join_rows(features: np.ndarray, encoded: np.ndarray, weight: float) -> np.ndarray:
    """The features of photos at length 1, beside their columns."""
    return np.hstack([unit_rows(features), np.float32(weight) * encoded])


def stack_rows(by_photo: np.ndarray, by_columns: np.ndarray) -> np.ndarray:
    """Both answers side by side; what is hardly likely counts the same however unlikely."""
    return np.hstack([np.maximum(by_photo, UNLIKELY), np.maximum(by_columns, UNLIKELY)]).astype(np.float32)
