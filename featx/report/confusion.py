"""Who is taken for whom: the confusion matrix in an order that puts the mixed-up categories side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featx.metrics.confusion import confusion_counts

WIDEST = 8
SHOWN = 3


def clustered_order(matrix: np.ndarray) -> list[int]:
    """The categories so that those mixed up with each other are neighbours."""
    n = len(matrix)
    if n < 3:
        return list(range(n))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    alike = shares + shares.T
    apart = 1 - alike / max(float(alike.max()), 1e-12)
    np.fill_diagonal(apart, 0)
    return [int(i) for i in leaves_list(linkage(squareform(apart, checks=False), "average"))]


def worst_blocks(matrix: np.ndarray, order: Sequence[int], widest: int = WIDEST, most: int = SHOWN) -> list[list[int]]:
    """The stretches of the clustered order within which the most mistakes are made, worst first."""
    sorted_matrix = matrix[np.ix_(order, order)].astype(np.int64)
    np.fill_diagonal(sorted_matrix, 0)
    width = min(widest, len(order))
    starts = range(len(order) - width + 1)
    mistakes = [int(sorted_matrix[at : at + width, at : at + width].sum()) for at in starts]
    free = np.ones(len(order), dtype=bool)
    blocks: list[list[int]] = []
    for at in sorted(starts, key=lambda at: (-mistakes[at], at)):
        if len(blocks) == most or mistakes[at] == 0:
            break
        if free[at : at + width].all():
            free[at : at + width] = False
            blocks.append([int(order[i]) for i in range(at, at + width)])
    return blocks


def confusion_of(details: dict[str, Any]) -> dict[str, Any] | None:
    """What the report keeps of the matrix: the order, every cell that is not zero, the worst blocks."""
    if not details.get("truth"):
        return None
    classes = [str(one) for one in details["classes"]]
    matrix = confusion_counts(details["truth"], details["says"], len(classes))
    order = clustered_order(matrix)
    rows, columns = np.nonzero(matrix)
    return {
        "classes": classes,
        "order": order,
        "cells": [[int(i), int(j), int(matrix[i, j])] for i, j in zip(rows, columns, strict=True)],
        "blocks": [order] if len(classes) <= 20 else worst_blocks(matrix, order),
        "mistakes": int(matrix.sum() - np.trace(matrix)),
    }


def matrix_of(confusion: dict[str, Any]) -> np.ndarray:
    """The matrix again from what the report kept."""
    n = len(confusion["classes"])
    matrix = np.zeros((n, n), dtype=np.int64)
    for i, j, count in confusion["cells"]:
        matrix[i, j] = count
    return matrix
