"""Every backbone of this machine on the same photos: their features, and those of the joined sets that pay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.backbones.fingerprint import PLUS
from featx.backbones.registry import backbone_rows, family_of
from featx.backbones.registry import local_backbones as local_names
from featx.catalogue.items import Catalogue
from featx.catalogue.reading import read_catalogue
from featx.comparison.compare import compare
from featx.comparison.joined_sets import joined_sets_that_pay
from featx.comparison.result import Comparison
from featx.errors import FeatxError
from featx.extraction import ExtractionEvents, ExtractionOptions, ExtractionReport, run_extraction
from featx.labels.training_set import HELD_OUT
from featx.store import Store, open_store
from featx.workspace import Workspace, is_store

ALL_LOCAL = "all-local"
# One classifier for all of them: the table is about backbones, and every further one makes each test weaker.
CLASSIFIER = "lda"
# Errors about one backbone or its store; any other one, such as a full disk, would come again with the next.
OF_ONE_BACKBONE = (
    "bad-flag",
    "extra-missing",
    "other-backbone",
    "out-of-memory",
    "store-broken",
    "store-newer",
    "torch-mismatch",
    "unknown-backbone",
    "weights-broken",
    "weights-misfit",
    "weights-missing",
)


@dataclass(frozen=True)
class LeftOut:
    """A backbone that is not compared, and why."""

    backbone: str
    why: str


@dataclass
class Extracted:
    """The stores to compare, the backbones that were left out, and whether somebody pressed Ctrl-C."""

    stores: list[Store] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    stopped: bool = False

    @property
    def notes(self) -> list[str]:
        """What to say of those that were left out."""
        return [f"{left.backbone} was left out: {left.why}" for left in self.left_out]


def cheap_first() -> list[str]:
    """The backbones of this machine but for baselines, which every comparison has; those of unknown cost come last."""
    rows = {str(row["name"]): row for row in backbone_rows()}
    names = [name for name in local_names() if not family_of(name).is_baseline]
    # The built-in network has no figure, and is the cheapest.
    return sorted(names, key=lambda name: rows[name]["gflops"] or (0.0 if rows[name]["parameters"] else 1e9))


def compare_backbones(
    photos: str | Path | Catalogue,
    classifiers: str | Sequence[str] = CLASSIFIER,
    *,
    minutes: float | None = None,
    test: Sequence[str] = HELD_OUT,
    **settings: Any,
) -> Comparison:
    """Extract photos with every backbone of this machine, then compare them and the joined sets that pay.

    After so many `minutes` of extraction the rest is left out, with a note; the next call goes on from there. The
    `settings` are those of `compare`.
    """
    catalogue = photos if isinstance(photos, Catalogue) else read_catalogue(photos)
    extracted = extract_local(catalogue, minutes=minutes, test=test)
    if extracted.stopped:
        raise KeyboardInterrupt
    return compare(extracted.stores, classifiers, test=test, notes=extracted.notes, **settings)


def extract_local(
    catalogue: Catalogue,
    *,
    minutes: float | None = None,
    test: Sequence[str] = HELD_OUT,
    workspace: Workspace | None = None,
    listener: Callable[[str], ExtractionEvents] = lambda name: ExtractionEvents(),
) -> Extracted:
    """A store for each backbone of this machine, the cheapest first, and for each joined set that pays.

    A backbone that cannot be opened is left out, with the reason.
    """
    if len({label for label in catalogue.labels if label is not None}) < 2:
        raise FeatxError(
            "class-too-small",
            "comparing backbones needs photos of two categories or more",
            "put the photos into a folder for each category, or name a table with a column of categories",
        )
    run = _Run(catalogue, workspace or Workspace.here(), listener, minutes)
    errors: list[FeatxError] = []
    with run.budget:
        for name in cheap_first():
            try:
                run.add(name)
            except FeatxError as error:
                if error.code not in OF_ONE_BACKBONE:
                    raise
                errors.append(error)
                run.extracted.left_out.append(LeftOut(name, error.message.splitlines()[0]))
            if run.extracted.stopped:
                return run.extracted
    if not run.extracted.stores:
        raise errors[0] if errors else _nothing_done(run.extracted.left_out)
    singles = list(run.extracted.stores)
    order = local_names()
    singles.sort(key=lambda store: order.index(store.fingerprint.backbone))
    for parts in joined_sets_that_pay(singles, test):
        run.join([singles[number] for number in parts])
        if run.extracted.stopped:
            break
    return run.extracted


class _Budget:
    """Stops the extraction that runs after so many minutes, if there is a limit."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.is_over, self.stop = minutes, False, threading.Event()
        self._timer = None if minutes is None else threading.Timer(60 * minutes, self._end)

    def __enter__(self) -> None:
        if self.minutes == 0:
            self._end()
        elif self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        self.stop.set()


class _Run:
    """One store after the other, until the budget is spent."""

    def __init__(
        self,
        catalogue: Catalogue,
        workspace: Workspace,
        listener: Callable[[str], ExtractionEvents],
        minutes: float | None,
    ) -> None:
        self.catalogue, self.workspace, self.listener = catalogue, workspace, listener
        self.budget, self.extracted = _Budget(minutes), Extracted()

    def add(self, name: str) -> None:
        """The store of a backbone; what an earlier run finished costs nothing, and is compared in any case."""
        path = self.workspace.store_path(name)
        if self.budget.is_over and not self._is_complete(path):
            self._leave_out(name, "it was not begun")
            return
        # A complete store is only looked through, whatever the time.
        stop = threading.Event() if self.budget.is_over else self.budget.stop
        report = self._extract(name, stop)
        if not report.stopped:
            self.extracted.stores.append(open_store(report.store))
        elif self.budget.is_over:
            self._leave_out(name, f"{report.total:,} of {report.listed:,} photos were done")
        else:
            self.extracted.stopped = True

    def join(self, parts: Sequence[Store]) -> None:
        """The store of a joined set: its blocks are copied, not computed."""
        report = self._extract(PLUS.join(part.fingerprint.backbone for part in parts), threading.Event())
        if report.stopped:
            self.extracted.stopped = True
        else:
            self.extracted.stores.append(open_store(report.store))

    def _extract(self, name: str, stop: threading.Event) -> ExtractionReport:
        return run_extraction(
            self.catalogue,
            ExtractionOptions(backbone=name),
            store=self.workspace.store_path(name),
            workspace=self.workspace,
            listener=self.listener(name),
            stop=stop,
        )

    def _leave_out(self, name: str, so_far: str) -> None:
        why = f"the {self.budget.minutes:g} minutes were over, {so_far}; the same command goes on from there"
        self.extracted.left_out.append(LeftOut(name, why))

    def _is_complete(self, path: Path) -> bool:
        if not is_store(path):
            return False
        known = set(open_store(path).ids)
        return all(item.item_id in known for item in self.catalogue.items)


def _nothing_done(left_out: Sequence[LeftOut]) -> FeatxError:
    return FeatxError(
        "no-store",
        f"no backbone finished; the first, {left_out[0].backbone}, was left out: {left_out[0].why}",
        "give it more `--minutes`",
    )
