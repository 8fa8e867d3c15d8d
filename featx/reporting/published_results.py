"""Figures others published for data sets that featx can recognise by their categories."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from featx.reporting.records import PublishedResult, PublishedSplit


@dataclass(frozen=True)
class Known:
    """A data set: categories that give it away, how many there are, and how many photos its test split has.

    `figures` are what others reached: the method, its accuracy, its coarse accuracy, and where it was printed.
    """

    name: str
    telling: frozenset[str]
    categories: int
    n_test: int
    figures: tuple[tuple[str, float, float | None, str], ...]


KLASSON = "Klasson, Zhang, Kjellström: A hierarchical grocery store image dataset, 2019"
ANTIOQUIA = "Antioquia: Using convolutional neural networks for hierarchical grocery store product classification, 2021"
KNOWN = (
    Known(
        "Grocery Store Dataset",
        frozenset({"Golden-Delicious", "Granny-Smith", "Pink-Lady", "Royal-Gala", "Arla-Standard-Milk", "Zucchini"}),
        81,
        2_485,
        (
            ("frozen AlexNet and an SVM", 0.650, 0.754, KLASSON),
            ("frozen VGG16 and an SVM", 0.573, 0.728, KLASSON),
            ("frozen DenseNet-169 and an SVM", 0.725, 0.852, KLASSON),
            ("a network fine-tuned on the data set", 0.8604, 0.9199, ANTIOQUIA),
        ),
    ),
)


def published_for(
    categories: Collection[str], n_test: int | None
) -> tuple[list[PublishedResult], PublishedSplit | None]:
    """What others reached on the data set with these categories, and on which photos; nothing where it is not known.

    `same_photos` says whether as many photos were held out here as in the published test split.
    """
    names = set(categories)
    for known in KNOWN:
        if len(names) == known.categories and known.telling <= names:
            results = [PublishedResult(known.name, *figure) for figure in known.figures]
            return results, PublishedSplit(known.name, known.n_test, n_test == known.n_test)
    return [], None
