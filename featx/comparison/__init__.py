"""Classifiers and backbones on the same folds and the same held-out photos, and which one really wins.

alignment     the same photos in every store, and what must stay together
candidates    one classifier on one store: its answers for every fold and for the held-out photos
baselines     colours alone: what any network must beat
scoring       scores, intervals and paired tests
mistakes      where the best one fails, category by category
learning_curve  accuracy against photos per category
document      comparison.json as records
json_values   records as plain JSON values and back
result        the comparison as a file, a DataFrame, a table in a notebook
compare       all of it in order
joined_sets   the backbones that are better together than the best of them alone
local_backbones   every backbone of this machine, extracted and compared
evaluate      one trained classifier on photos it never saw
"""

from __future__ import annotations

from featx.comparison.compare import compare
from featx.comparison.local_backbones import compare_backbones
from featx.comparison.result import Comparison

__all__ = ["Comparison", "compare", "compare_backbones"]
