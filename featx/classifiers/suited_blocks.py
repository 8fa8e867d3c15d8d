"""The blocks of a joined store that separate its categories best, by grouped folds of a quick classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.compute.left_out import centred_cosines, left_out_answers, targets
from featx.labels.folds import Fold, grouped_folds
from featx.labels.training_set import TrainingSet
from featx.metrics.block_choice import FEWEST, BlockChoice, blends_of, choose_blocks

# So many photos are enough to choose on; the cost grows with the cube.
MOST = 2000
FOLDS = 5


def suited_blocks(training: TrainingSet, seed: int = 0) -> BlockChoice | None:
    """The choice of blocks, by folds that split no product; None where there is nothing to choose, or too few photos.

    One inverse of the photos' inner products answers for every fold, so no classifier is trained.
    """
    names = [block.name for block in training.store.blocks]
    rows = some_groups(training.groups, seed)
    labels, groups = training.labels[training.learn][rows], training.groups[rows]
    if len(names) < 2 or len(rows) < FEWEST or len(np.unique(labels)) < 2:
        return None
    folds = grouped_folds(labels.tolist(), groups, FOLDS, seed)
    if not folds:
        return None
    learn = training.learn[rows]
    products = {name: centred_cosines(training.store.with_blocks([name]).features_map()[learn]) for name in names}
    # A block of a tuned network does too well on what it has seen.
    fair = ~training.seen[rows]
    if fair.sum() < FEWEST:
        return None
    correct = {blend: correct_in_folds(blend.mean(products), labels, folds)[fair] for blend in blends_of(names)}
    return choose_blocks(correct, groups[fair], f"{len(folds)} folds of a quick classifier")


def some_groups(groups: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """The photos that are measured, by number: all, or whole groups of them."""
    if len(groups) <= MOST:
        return np.arange(len(groups))
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups]
    return np.sort(np.argsort(order, kind="stable")[:MOST])


def correct_in_folds(products: NDArray[np.float32], labels: NDArray[np.str_], folds: list[Fold]) -> NDArray[np.bool_]:
    """Whether each photo is right by a regression on the photos outside of its fold."""
    wanted = targets(labels)
    answers = left_out_answers(products, wanted, [score for _, score in folds])
    correct: NDArray[np.bool_] = answers.argmax(axis=1) == wanted.argmax(axis=1)
    return correct
