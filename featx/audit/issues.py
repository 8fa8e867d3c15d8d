"""Labels, products, categories and photos that disagree with the rest and need a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.audit.duplicates import DuplicateGroup, find_duplicates
from featx.audit.label_evidence import SUSPECTED, LabelEvidence, judge, nearness_of
from featx.catalogue.own_columns import Value, beside
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.labels.decisions import KEEP, decided, labels_after_decisions
from featx.labels.seen import seen_by
from featx.labels.some_products import some_products
from featx.metrics.confusion import confusion_counts
from featx.store import Store, as_store
from featx.views.frames import columns_of_records, pandas_frame
from featx.views.notebook import notebook_table

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

AS_ONE = 0.35
FAR = 5.0


# The names of these fields in tables and JSON.
KEYS = {"label": "says", "probability": "sure"}


@dataclass(frozen=True)
class LabelIssue:
    """A doubted label: the label, the category the photo looks like, and the probability that the label is wrong.

    `why` is `look` (classifiers that never saw the product say so) or `product` (its other photos have another label).
    The lower the `margin`, the more speaks against the label: the log odds that it is right, were half of all wrong.
    """

    item_id: str
    product: str
    path: str
    digest: str
    label: str
    looks_like: str
    probability: float
    agree: int
    neighbours: int
    why: str
    margin: float = 0.0
    # What the person's own table says of the photo.
    columns: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """The doubted label for programs, and the columns of the person's own table behind it."""
        record = {KEYS.get(name, name): value for name, value in asdict(self).items()}
        return beside(record, record.pop("columns"))


@dataclass(frozen=True)
class MixedProduct:
    """A product whose photos carry different labels."""

    product: str
    labels: dict[str, int]


@dataclass(frozen=True)
class TwinCategories:
    """Two categories that are confused so often that they behave as one."""

    a: str
    b: str
    a_as_b: float
    b_as_a: float


@dataclass(frozen=True)
class Outlier:
    """A photo unlike all others in the catalogue, with the similarity to its nearest neighbours."""

    item_id: str
    label: str | None
    path: str
    similarity: float


@dataclass(frozen=True)
class Issues:
    """Doubted labels, the likeliest wrong first (iteration yields these), and other findings.

    Of all labels `suspected` are more likely wrong than right; `precision` is the share of these that are expected to
    be wrong, None where there are none.
    """

    labels: tuple[LabelIssue, ...]
    leaks: tuple[DuplicateGroup, ...]
    products: tuple[MixedProduct, ...]
    twins: tuple[TwinCategories, ...]
    outliers: tuple[Outlier, ...]
    n: int
    not_judged: dict[str, int]
    suspected: int = 0
    precision: float | None = None
    # What is not judged because a tuned network learned from it; empty where nothing is.
    seen: str = ""

    def __iter__(self) -> Iterator[LabelIssue]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Issues({self.suspected:,} of {self.n:,} labels look wrong)"

    def _repr_html_(self) -> str:
        columns = ("product", "says", "looks like", "sure", "path")
        rows = [
            (issue.product, issue.label, issue.looks_like, f"{issue.probability:.2f}", issue.path)
            for issue in self.labels
        ]
        return notebook_table(repr(self), columns, rows, [[issue.path] for issue in self.labels])

    def to_dict(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "schema": "featx-issues/1",
            "n": self.n,
            "suspected": self.suspected,
            "precision": self.precision,
            "labels": [issue.to_dict() for issue in self.labels],
            "leaks": [leak.to_dict() for leak in self.leaks],
            "products": [asdict(product) for product in self.products],
            "twins": [asdict(twin) for twin in self.twins],
            "outliers": [asdict(outlier) for outlier in self.outliers],
            "not_judged": self.not_judged,
            "seen": self.seen,
        }

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with a row for each label that is probably wrong."""
        names = [KEYS.get(name, name) for name in LabelIssue.__dataclass_fields__ if name != "columns"]
        return pandas_frame(columns_of_records([issue.to_dict() for issue in self.labels], names))


def find_issues(
    store: Store | str | Path | None = None,
    *,
    n: int | None = None,
    folds: int = 5,
    seed: int = 0,
    fixes: Path | None = None,
    products: int | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Issues:
    """Find the labels of a store that are probably wrong: more likely than not, or the `n` likeliest.

    Each photo is judged by classifiers that saw neither it nor another photo of its product, and by its nearest
    neighbours from other products. Decisions taken before (`fixes`, by default artifacts/fixes.csv) are respected.
    With `products`, about so many of them are looked at, drawn whole and of each category in proportion.
    """
    if n is not None and n < 1:
        raise FeatxError("bad-flag", f"{n} labels cannot be listed", "use `-n 1` or more")
    opened = as_store(store)
    opened = opened if products is None else some_products(opened, products, seed=seed)
    decided_labels = labels_after_decisions(opened, fixes).labels
    rows = np.array([i for i, label in enumerate(decided_labels) if label is not None], dtype=int)
    labels = np.array([str(decided_labels[i]) for i in rows], dtype=object).astype(str)
    if len(set(labels.tolist())) < 2:
        held = "only one category" if len(labels) else "no categories"
        raise FeatxError(
            "class-too-small",
            f"{opened.path} has {held}, but finding wrong labels takes two",
            "put each category into a folder of its own, or name the column: `featx extract TABLE --label-col COLUMN`",
        )
    unit, steps = unit_rows(opened.features_map()), folds + 3
    evidence = judge(
        unit[rows],
        np.asarray(opened.features_map()[rows], dtype=np.float32),
        labels,
        opened,
        rows,
        folds,
        seed,
        lambda done: progress(done, steps),
    )
    seen = evidence.unheard
    kept = {decision.key for decision in decided(fixes) if decision.decision == KEEP}
    mixed, from_products = _mixed(opened, rows, labels)
    ranked = {issue.item_id: issue for issue in _doubts(opened, rows, labels, evidence)}
    # The other photos of a product are plain facts, and decide where their share exceeds the probability by looks.
    ranked |= {
        issue.item_id: issue
        for issue in from_products
        if issue.probability >= _probability_of(ranked.get(issue.item_id))
    }
    left = [issue for issue in ranked.values() if (issue.item_id, issue.digest) not in kept]
    left.sort(key=lambda issue: (-issue.probability, issue.margin, -issue.agree, issue.item_id))
    suspected = [issue for issue in left if issue.probability >= SUSPECTED]
    several = len({split for split in opened.splits if split}) > 1
    copies = find_duplicates(opened, across="split", fixes=fixes) if several else None
    near = evidence.nearness if len(rows) == len(opened) else nearness_of(unit)
    outliers = _outliers(opened, decided_labels, near)
    progress(steps, steps)
    return Issues(
        tuple(suspected if n is None else left[:n]),
        copies.groups if copies else (),
        mixed,
        _twins(evidence),
        outliers,
        len(rows),
        {name: int(count) for name, count in sorted(Counter(labels[~evidence.fair & ~seen].tolist()).items())},
        len(suspected),
        round(sum(issue.probability for issue in suspected) / len(suspected), 4) if suspected else None,
        seen_by(opened.fingerprint).note(int(seen.sum()), len(rows)),
    )


def _probability_of(issue: LabelIssue | None) -> float:
    return issue.probability if issue is not None else 0.0


def _doubts(store: Store, rows: np.ndarray, labels: np.ndarray, evidence: LabelEvidence) -> list[LabelIssue]:
    """Every label that was judged, with what speaks against it."""
    likeliest = evidence.looks_like
    agree = (evidence.neighbour_labels == likeliest[:, None]).sum(axis=1)
    neighbours = (evidence.neighbour_labels >= 0).sum(axis=1)
    return [
        LabelIssue(
            store.ids[rows[k]],
            store.product_of(rows[k]),
            store.paths[rows[k]],
            store.digests[rows[k]],
            str(labels[k]),
            evidence.classes[likeliest[k]],
            round(float(evidence.wrong[k]), 4),
            int(agree[k]),
            int(neighbours[k]),
            "look",
            round(float(evidence.margins[k]), 4),
            store.own_row(int(rows[k])),
        )
        for k in np.flatnonzero(evidence.fair)
    ]


def _mixed(store: Store, rows: np.ndarray, labels: np.ndarray) -> tuple[tuple[MixedProduct, ...], list[LabelIssue]]:
    """Products with several labels; where one label has the majority, the others are doubted."""
    members: dict[str, list[int]] = {}
    for k, row in enumerate(rows):
        if store.products[row] is not None:
            members.setdefault(str(store.products[row]), []).append(k)
    mixed, issues = [], []
    for product, rows_of_product in sorted(members.items()):
        counts = Counter(str(labels[k]) for k in rows_of_product)
        if len(counts) < 2:
            continue
        mixed.append(MixedProduct(product, dict(sorted(counts.items()))))
        (most, times), (_, second) = counts.most_common(2)
        if times == second:
            continue
        issues += [
            LabelIssue(
                store.ids[rows[k]],
                product,
                store.paths[rows[k]],
                store.digests[rows[k]],
                str(labels[k]),
                most,
                round(times / len(rows_of_product), 4),
                times,
                len(rows_of_product) - 1,
                "product",
                columns=store.own_row(int(rows[k])),
            )
            for k in rows_of_product
            if labels[k] != most
        ]
    return tuple(mixed), issues


def _twins(evidence: LabelEvidence) -> tuple[TwinCategories, ...]:
    """Categories of which a third or more is taken for the other, both ways, by classifiers that had not seen them."""
    answers, fair, classes = evidence.answers, evidence.fair, evidence.classes
    counts = confusion_counts(answers.truth[fair], answers.predicted[fair], len(classes))
    sizes = counts.sum(axis=1)
    twins = []
    for a, b in np.argwhere(np.triu(counts, 1)).tolist():
        if min(sizes[a], sizes[b]) < 5:
            continue
        a_as_b, b_as_a = counts[a, b] / sizes[a], counts[b, a] / sizes[b]
        if min(a_as_b, b_as_a) >= AS_ONE * 0.6 and (counts[a, b] + counts[b, a]) / (sizes[a] + sizes[b]) >= AS_ONE:
            twins.append(TwinCategories(classes[a], classes[b], round(float(a_as_b), 4), round(float(b_as_a), 4)))
    return tuple(sorted(twins, key=lambda twin: (-(twin.a_as_b + twin.b_as_a), twin.a, twin.b)))


def _outliers(store: Store, labels: Sequence[str | None], near: np.ndarray) -> tuple[Outlier, ...]:
    """Photos whose nearest neighbours are far, by the measure of the others (median and its deviation)."""
    if len(near) < 2:
        return ()
    middle = np.median(near)
    spread = max(1.4826 * float(np.median(np.abs(near - middle))), 1e-3)
    far = [i for i in np.argsort(near, kind="stable") if near[i] < middle - FAR * spread]
    return tuple(Outlier(store.ids[i], labels[i], store.paths[i], round(float(near[i]), 4)) for i in far)
