"""Answers that need a person: the limit that `fit` measured, the fallback if it could not, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from featx.classifiers.card import Card, CoverageRow
from featx.classifiers.thresholds import Thresholds, thresholds_for
from featx.errors import FeatxError
from featx.metrics.selective import LEAST, format_threshold
from featx.views.quantities import percent, pluralise

UNSURE, UNLIKE = "unsure", "unlike anything learned"
# What is filed by default is right this often, where enough was measured to promise it.
TARGET = 0.95
# Less confidence than this says: more likely wrong than right. However good a classifier is on average, such an answer
# needs a look.
EVEN_ODDS = 0.5
# With too few products to measure anything: answers that should be wrong one time in five at most.
CAUTIOUS = 0.8
# Above every confidence.
NEVER = 2.0


@dataclass(frozen=True)
class DecisionRule:
    """When an answer is left to a person: below a confidence, unlike anything learned, or flagged.

    `because` says in words which limit that is. `flagged_from` holds, for each category that must not be missed, the
    probability from which a photo may be of it.
    """

    sure: float = 0.0
    unlike: bool = True
    thresholds: Thresholds | None = None
    because: str = ""
    flagged_from: Mapping[str, float] = field(default_factory=dict)

    def limit_of(self, label: str) -> float:
        """The confidence that an answer of that category needs."""
        return self.sure if self.thresholds is None else self.thresholds.of(label)

    def unsure(self, label: str, sure: float) -> bool:
        """Whether so much confidence is too little for an answer of that category."""
        # NaN never counts as confident.
        return not sure >= self.limit_of(label)

    def flags(self, shares: Mapping[str, float]) -> tuple[str, ...]:
        """The categories that must not be missed and that a photo may be of, by their probabilities."""
        # NaN is flagged.
        return tuple(name for name, least in self.flagged_from.items() if not shares[name] < least)

    def doubt(self, label: str, sure: float, similarity: float, least: float, flags: Sequence[str] = ()) -> str:
        """Why an answer needs a person, or ""; `least` is the similarity from which a photo is like those learned."""
        if flags:
            return f"may be {' or '.join(flags)}"
        if self.unlike and similarity < least:
            return UNLIKE
        return UNSURE if self.unsure(label, sure) else ""

    @property
    def limit(self) -> str:
        """The limit in words, as in `below 0.62, the limit measured for 95% right`."""
        if self.thresholds is not None:
            return f"below the limit for their category, measured for {percent(self.thresholds.target, 0)} right"
        shown = "whatever the confidence" if self.sure >= NEVER else f"below {format_threshold(self.sure)}"
        return f"{shown}, {self.because}" if self.because else shown

    @property
    def reasons(self) -> str:
        """The limit, and what must not be missed, in words."""
        return " or ".join([self.limit, *(f"may be {name}" for name in self.flagged_from)])


def decision_rule(
    card: Card,
    *,
    sure: float | None = None,
    coverage: float | None = None,
    min_precision: float | None = None,
    unlike: bool = True,
) -> DecisionRule:
    """The rule that a person set, else the one that was measured when the classifier was trained.

    Categories that must not be missed are flagged by either.
    """
    rule = _limit_rule(card, sure, coverage, min_precision, unlike)
    return replace(rule, flagged_from={row.category: row.threshold for row in card.min_recall})


def _limit_rule(
    card: Card, sure: float | None, coverage: float | None, min_precision: float | None, unlike: bool
) -> DecisionRule:
    if coverage is not None:
        return DecisionRule(
            limit_for(card, coverage)[0], unlike, because=f"which {percent(coverage, 0)} reached when it was measured"
        )
    if min_precision is not None:
        return DecisionRule(unlike=unlike, thresholds=thresholds_for(card, min_precision)[0])
    if sure is not None:
        return DecisionRule(sure, unlike)
    return _measured(card, unlike)


def _measured(card: Card, unlike: bool) -> DecisionRule:
    """The limit for `TARGET` right, for the next lower target that was reached, or a cautious one."""
    rows = [row for row in card.thresholds if row.target <= TARGET + 1e-9]
    if not rows:
        few = f"a cautious limit: {pluralise(card.automation.n, 'product')} are too few to measure one ({LEAST} needed)"
        return DecisionRule(CAUTIOUS, unlike, because=few)
    most = max(row.target for row in rows)
    reached = [(row.target, row.everywhere) for row in rows if row.everywhere is not None]
    if not reached:
        lowest = min(row.target for row in rows)
        return DecisionRule(
            NEVER, unlike, because=f"as no confidence reached {percent(lowest, 0)} right when it was measured"
        )
    target, limit = max(reached)
    if limit < EVEN_ODDS:
        return DecisionRule(
            EVEN_ODDS,
            unlike,
            because=f"more likely wrong than right (the limit measured for {percent(target, 0)} right is lower)",
        )
    because = f"the limit measured for {percent(target, 0)} right"
    if target < most:
        because += f" (no confidence reached {percent(most, 0)})"
    elif most < TARGET:
        because += f" ({pluralise(card.automation.n, 'product')} are too few to measure {percent(TARGET, 0)})"
    return DecisionRule(limit, unlike, because=because)


def limit_for(card: Card, coverage: float) -> tuple[float, CoverageRow]:
    """The confidence above which this share of photos was answered in the measurement, and the accuracy there."""
    good = [row for row in card.coverage if row.coverage <= coverage + 1e-9]
    if not good:
        raise FeatxError(
            "bad-flag", f"no threshold is known for a coverage of {coverage:g}", "use 0.1 or more, or use `--sure`"
        )
    row = max(good, key=lambda row: row.coverage)
    return row.threshold, row


@dataclass
class ReviewCounts:
    """The number of answers, and of those that need a person, by reason."""

    n: int = 0
    unsure: int = 0
    unlike: int = 0
    unreadable: int = 0
    flagged: Counter[str] = field(default_factory=Counter)

    def count(self, doubt: str, unreadable: str, flags: Sequence[str] | None = None) -> None:
        """Count an answer by its doubt, or an unreadable photo by its reason."""
        self.n += 1
        self.unreadable += bool(unreadable)
        if flags:
            self.flagged[doubt] += 1
        else:
            self.unlike += doubt == UNLIKE
            self.unsure += bool(doubt) and doubt != UNLIKE

    @property
    def review(self) -> int:
        """How many need a look."""
        return self.unsure + self.unlike + self.unreadable + self.flagged.total()

    def sentence(self, rule: DecisionRule) -> str:
        """As in `12 of 41 need a look: 9 below 0.62, the limit measured for 95% right; 3 unreadable`."""
        if not self.review:
            return f"none of {pluralise(self.n, 'photo')} needs a look: none is {rule.limit}"
        reasons = [
            f"{n:,} {words}"
            for n, words in (
                *((n, words) for words, n in sorted(self.flagged.items())),
                (self.unlike, UNLIKE),
                (self.unreadable, "unreadable"),
                (self.unsure, rule.limit),
            )
            if n
        ]
        if len(reasons) == 1:
            reasons = [reasons[0].partition(" ")[2]]
        needs = "needs" if self.review == 1 else "need"
        return f"{self.review:,} of {pluralise(self.n, 'photo')} {needs} a look: {', '.join(reasons)}"
