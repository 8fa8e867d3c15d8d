"""Classifiers and backbones on the same folds and the same held-out pictures, and who really wins.

matching      the same pictures in every store, and what must stay together
contenders    one classifier on one store: its answers for every fold and for the held-out pictures
baselines     what needs no network, so that a good-looking score means something
significance  paired tests that respect overlapping folds
details       where the best one fails, category by category
curve         accuracy against photos per category
record        the comparison as a document, a DataFrame, a table in a notebook
running       all of it in order
"""

from __future__ import annotations

from featx.comparison.record import Comparison
from featx.comparison.running import compare

__all__ = ["Comparison", "compare"]
