"""Rows of features as torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


class TorchRows(NamedTuple):
    """Features, the number of each row's category (-1 where it has none), and the categories these numbers count."""

    features: torch.Tensor
    targets: torch.Tensor
    categories: list[str]


def torch_rows(features: npt.NDArray[np.float32], labels: Sequence[str | None]) -> TorchRows:
    """Features and labels as tensors, ready for `torch.utils.data.TensorDataset(rows.features, rows.targets)`."""
    import torch

    categories = sorted({label for label in labels if label is not None})
    number = {label: i for i, label in enumerate(categories)}
    targets = [-1 if label is None else number[label] for label in labels]
    # A copy: the rows of a store are read only, and a tensor that shares them could be written.
    return TorchRows(torch.tensor(features), torch.tensor(targets, dtype=torch.long), categories)
