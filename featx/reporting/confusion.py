"""Who is taken for whom: the confusion matrix in an order that puts the mixed-up categories side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.metrics.confusion import confusion_counts
from featx.reporting.records import Confusion

WIDEST = 8
SHOWN = 3
# So many categories are shown as one table.
WHOLE = 20


def clustered_order(matrix: np.ndarray) -> list[int]:
    """The categories so that those mixed up with each other are neighbours."""
    n = len(matrix)
    if n < 3:
        return list(range(n))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    alike = shares + shares.T
    distance = 1 - alike / max(float(alike.max()), 1e-12)
    np.fill_diagonal(distance, 0)
    return [int(i) for i in leaves_list(linkage(squareform(distance, checks=False), "average"))]


def worst_blocks(matrix: np.ndarray, order: Sequence[int], widest: int = WIDEST, most: int = SHOWN) -> list[list[int]]:
    """The stretches of the clustered order within which the most mistakes are made, worst first."""
    sorted_matrix = matrix[np.ix_(order, order)].astype(np.int64)
    np.fill_diagonal(sorted_matrix, 0)
    width = min(widest, len(order))
    starts = range(len(order) - width + 1)
    mistakes = [int(sorted_matrix[start : start + width, start : start + width].sum()) for start in starts]
    free = np.ones(len(order), dtype=bool)
    blocks: list[list[int]] = []
    for start in sorted(starts, key=lambda start: (-mistakes[start], start)):
        if len(blocks) == most or mistakes[start] == 0:
            break
        if free[start : start + width].all():
            free[start : start + width] = False
            blocks.append([int(order[i]) for i in range(start, start + width)])
    return blocks


def confusion_of(truth: Sequence[int], predicted: Sequence[int], classes: Sequence[str]) -> Confusion:
    """What the report keeps of the matrix: the order, every cell that is not zero, the worst blocks."""
    matrix = confusion_counts(truth, predicted, len(classes))
    order = clustered_order(matrix)
    rows, columns = np.nonzero(matrix)
    return Confusion(
        classes=list(classes),
        order=order,
        cells=[(int(i), int(j), int(matrix[i, j])) for i, j in zip(rows, columns, strict=True)],
        blocks=[order] if len(classes) <= WHOLE else worst_blocks(matrix, order),
        mistakes=int(matrix.sum() - np.trace(matrix)),
    )


def matrix_of(confusion: Confusion) -> np.ndarray:
    """The matrix from its form in the report."""
    matrix = np.zeros((len(confusion.classes), len(confusion.classes)), dtype=np.int64)
    for i, j, count in confusion.cells:
        matrix[i, j] = count
    return matrix
