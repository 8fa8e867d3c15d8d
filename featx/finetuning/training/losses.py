"""What a training makes smaller: doubt about categories, or the distance of look-alikes.

Every loss takes rows of length 1, as `similar` compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

# Angles to the right category's centre are made wider by this many radians, and cosines sharper by this factor.
MARGIN, SHARPNESS = 0.2, 30.0
# How sharply alike photos are told from others, and how much nearer they must be.
TEMPERATURE, NEARER = 0.1, 0.1
# So many photos of a category are in a batch together, or hardly one would have a partner.
TOGETHER = 4
# How much a second level counts beside the categories, and a teacher instead of them; how much its scores are softened.
SECOND, TAUGHT, SOFTNESS = 0.3, 0.7, 4.0
# Cosines of 1 have no slope of the angle.
ALMOST = 1 - 1e-6


@dataclass(frozen=True)
class Targets:
    """What is known of the photos of a batch: categories, values of a second level (-1: none), a teacher's scores."""

    truth: torch.Tensor
    second: torch.Tensor | None = None
    taught: torch.Tensor | None = None

    def of(self, rows: torch.Tensor | slice) -> Targets:
        """The same for some of the photos, or in another order."""
        second = None if self.second is None else self.second[rows]
        return Targets(self.truth[rows], second, None if self.taught is None else self.taught[rows])


@dataclass(frozen=True)
class Objective:
    """The loss of a training: its kind, and the head that has a weight vector for each category.

    `second` is the head of a second level.
    """

    kind: str
    head: nn.Linear
    smoothing: float = 0.0
    weights: torch.Tensor | None = None
    second: nn.Linear | None = None

    def __call__(self, rows: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss of rows; photos without a category count only where a teacher answered for them."""
        loss = self._of_known(rows, targets.truth)
        if self.second is not None and targets.second is not None:
            loss = loss + SECOND * _cross_entropy_of_known(self.second(rows), targets.second)
        if targets.taught is not None:
            loss = (1 - TAUGHT) * loss + TAUGHT * distilled(self.head(rows), targets.taught)
        return loss

    def _of_known(self, rows: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        known = truth >= 0
        if bool(known.all()):
            return LOSSES[self.kind](self, rows, truth)
        return LOSSES[self.kind](self, rows[known], truth[known]) if bool(known.any()) else 0.0 * rows.sum()

    def compares_photos(self) -> bool:
        """Whether photos of a batch are compared with each other, so that each needs a partner there."""
        return self.kind in ("supcon", "triplet")

    def order(self, drawn: NDArray[np.intp], truth: NDArray[np.intp]) -> NDArray[np.intp]:
        """The photos of a pass in an order that suits the loss, from one that was drawn."""
        return partners_together(drawn, truth) if self.compares_photos() else drawn


def cross_entropy(objective: Objective, rows: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Doubt about the categories."""
    return functional.cross_entropy(
        objective.head(rows), truth, weight=objective.weights, label_smoothing=objective.smoothing
    )


def distilled(scores: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """How far scores are from a teacher's, both softened (Hinton et al. 2015)."""
    own, wanted = (functional.log_softmax(each / SOFTNESS, dim=1) for each in (scores, taught))
    return SOFTNESS**2 * functional.kl_div(own, wanted, log_target=True, reduction="batchmean")


def arcface(objective: Objective, rows: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The angle to the centre of the category, with a margin (Deng et al. 2019)."""
    cosines = (rows @ functional.normalize(objective.head.weight).T).clamp(-ALMOST, ALMOST)
    own = functional.one_hot(truth, cosines.shape[1]).bool()
    wider = torch.cos(torch.acos(cosines) + MARGIN)
    scores = SHARPNESS * torch.where(own, torch.minimum(wider, cosines), cosines)
    return functional.cross_entropy(scores, truth, weight=objective.weights, label_smoothing=objective.smoothing)


def supcon(objective: Objective, rows: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """How far photos of the category are from being the nearest in the batch (Khosla et al. 2020)."""
    partners, others = _partners(truth)
    logits = (rows @ rows.T / TEMPERATURE).masked_fill(~others, -torch.inf)
    logs = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    paired = partners.any(dim=1)
    sums = logs.masked_fill(~partners, 0.0).sum(dim=1)
    means = -sums[paired] / partners.sum(dim=1)[paired]
    return means.mean() if bool(paired.any()) else 0.0 * rows.sum()


def triplet(objective: Objective, rows: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """How much the farthest photo of the category must come nearer than the nearest other one (Hermans et al. 2017)."""
    partners, others = _partners(truth)
    cosines = rows @ rows.T
    farthest = cosines.masked_fill(~partners, torch.inf).amin(dim=1)
    nearest = cosines.masked_fill(partners | ~others, -torch.inf).amax(dim=1)
    usable = partners.any(dim=1) & (others & ~partners).any(dim=1)
    # Softly, so that no photo is without a slope.
    losses = functional.softplus((nearest - farthest + NEARER)[usable] / TEMPERATURE)
    return losses.mean() if bool(usable.any()) else 0.0 * rows.sum()


LOSSES: dict[str, Callable[[Objective, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "ce": cross_entropy,
    "arcface": arcface,
    "supcon": supcon,
    "triplet": triplet,
}


def partners_together(drawn: NDArray[np.intp], truth: NDArray[np.intp]) -> NDArray[np.intp]:
    """The same photos, those of a category in groups that stay together; the groups in the order that was drawn."""
    groups: dict[tuple[int, int], list[int]] = {}
    count: dict[int, int] = {}
    for row in drawn.tolist():
        category = int(truth[row])
        number = count.get(category, 0)
        count[category] = number + 1
        groups.setdefault((category, number // TOGETHER), []).append(row)
    return np.array([row for group in groups.values() for row in group], dtype=np.intp)


def _cross_entropy_of_known(scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    known = truth >= 0
    return functional.cross_entropy(scores[known], truth[known]) if bool(known.any()) else 0.0 * scores.sum()


def _partners(truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each photo which others of a batch are of its category, and which are others at all."""
    others = ~torch.eye(len(truth), dtype=torch.bool)
    return (truth[:, None] == truth[None, :]) & others, others
