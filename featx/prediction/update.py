"""One nightly command: extract, train again where labels changed, predict what is new, write what needs a look.

Every step writes its result whole or not at all and knows what is done already, so a run that was killed is simply run
again. What the last run finished is noted at its very end.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.catalogue.again import read_again
from featx.catalogue.items import Item
from featx.classifiers.fit import fit, fit_again
from featx.classifiers.freshness import digest_of_lessons, why_stale
from featx.classifiers.model import Classifier, load_classifier
from featx.classifiers.persistence import SUFFIX
from featx.classifiers.promotion import publish
from featx.classifiers.registry import latest_of_levels
from featx.errors import FeatxError
from featx.extraction import ExtractionEvents, ExtractionOptions, ExtractionReport, run_extraction
from featx.files.atomic import cannot_write, write_atomic
from featx.files.locks import held_or_busy
from featx.files.regular import read_json
from featx.files.spreadsheet import write_table
from featx.labels.training_set import lessons_of
from featx.prediction.predict import Prediction, Predictor
from featx.prediction.review import decision_rule
from featx.prediction.sheets import predictions_sheet
from featx.prediction.suggest import undecided_rows
from featx.store import Store, open_store
from featx.text.reading import read_store
from featx.text.text_file import texts_beside
from featx.views.pages import write_page
from featx.views.quantities import pluralise
from featx.views.sheet import MOST
from featx.workspace import Workspace

# So much of a digest tells photos from one another, in a quarter of the space.
SHORT = 16
PHOTO_COUNTS = ("new", "changed", "removed", "gone", "skipped", "total")
STAGES = ("extract", "train", "predict", "write", "note", "done")


@dataclass
class UpdateReport:
    """The outcome of a run: photos, the classifier, new predictions, and the files to look at.

    `extraction` has every count of photos; the properties are the few that a nightly run needs.
    """

    extraction: ExtractionReport
    classifier: str | None = None
    trained: bool = False
    trainings: list[str] = field(default_factory=list)
    predicted: int = 0
    review: int = 0
    # New photos whose text was read, where that of the others was; in words what came of it.
    read: int = 0
    reading: str = ""
    unlabelled: int = 0
    waiting: int = 0
    limit: str = ""
    sheet: str | None = None
    predictions: str | None = None
    changed_anything: bool = False
    seconds: float = 0.0

    @property
    def store(self) -> str:
        """The path of the store."""
        return str(self.extraction.store)

    @property
    def new(self) -> int:
        """Photos that are new, copies of known ones included."""
        return self.extraction.new + self.extraction.copied

    @property
    def changed(self) -> int:
        """Photos with other bytes than before."""
        return self.extraction.changed

    @property
    def removed(self) -> int:
        """Photos that `prune` removed."""
        return self.extraction.pruned

    @property
    def gone(self) -> int:
        """Photos that left the disk or their table, but not the store."""
        return len(self.extraction.gone) + len(self.extraction.left)

    @property
    def skipped(self) -> int:
        """Files that could not be read."""
        return len(self.extraction.skipped)

    @property
    def total(self) -> int:
        """Photos in the store."""
        return self.extraction.total

    @property
    def training(self) -> str:
        """The outcome of each training in a sentence; empty if there was none."""
        return "; ".join(self.trainings)

    def to_dict(self) -> dict[str, Any]:
        """The run for programs."""
        names = [name for name in self.__dataclass_fields__ if name != "extraction"]
        record = {name: getattr(self, name) for name in (*PHOTO_COUNTS, *names)}
        return {
            "schema": "featx-update/1",
            "store": self.store,
            **record,
            "training": self.training,
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> list[str]:
        """The run in a few lines; one line if there was nothing to do."""
        if not self.changed_anything:
            waiting = f"; {pluralise(self.waiting, 'photo')} still to look at in {self.sheet}" if self.waiting else ""
            return [f"nothing to do: {pluralise(self.total, 'photo')} as before{waiting}"]
        photos = (
            (self.new, "new"),
            (self.changed, "changed"),
            (self.removed, "removed"),
            (self.extraction.renamed + self.extraction.refreshed, "renamed or described anew"),
        )
        listed = ", ".join(f"{n:,} {word}" for n, word in photos if n) or "as before"
        lines = [f"photos: {listed}; {self.total:,} in {self.store}"]
        if self.reading:
            lines.append(f"text: {self.reading}")
        lines += [f"classifier: {training}" for training in self.trainings]
        if self.predictions:
            look = f"; {self.review:,} of them need a look ({self.limit})" if self.review else ""
            lines.append(f"predicted: {pluralise(self.predicted, 'new photo')}{look}; all in {self.predictions}")
            lines.append(f"to decide on: {self.sheet}, then `featx issues --apply decisions.csv`")
        return lines


@dataclass(frozen=True)
class UpdateState:
    """The state after the last complete run, so that nothing is done twice.

    `tried` are the digests of the labels that were trained on, one for each level of categories.
    """

    tried: frozenset[str] = field(default_factory=frozenset)
    answered_by: str = ""
    answered: frozenset[str] = field(default_factory=frozenset)
    waiting: int = 0


def update(
    source: str | Path | Iterable[str] | None = None,
    *,
    store: str | Path | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    prune: bool = False,
    most: int = MOST,
    workspace: Workspace | None = None,
    listener: ExtractionEvents | None = None,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> UpdateReport:
    """Bring a store, its classifier and the predictions of photos without a category up to date.

    Without a `source` it is the one the store was extracted from. A `backbone` chooses its store in the workspace, or
    begins it; `weights` are published ones or a file, as in `extract`. `prune` removes photos that are gone.
    `on_stage` is called before each stage. Only one run at a time works in a folder of artifacts.
    """
    begun = time.monotonic()
    workspace = workspace or Workspace.here()
    workspace.make()
    with _alone(workspace):
        run = _Update(workspace, most, on_stage)
        path = chosen_store(workspace, None if store is None else Path(store), backbone)
        options = ExtractionOptions(backbone=backbone, weights=weights, prune=prune)
        report = run.go(source, path, options, listener)
    report.seconds = time.monotonic() - begun
    return report


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    busy = f"another `featx update` is running in {workspace.root}"
    hint = "wait until it is done; the next run continues where it ends"
    with held_or_busy(workspace.root / "update.lock", busy, hint):
        yield


class _Update:
    """One run, stage by stage."""

    def __init__(self, workspace: Workspace, most: int, on_stage: Callable[[str], object]) -> None:
        self.workspace, self.most, self.on_stage = workspace, most, on_stage
        self.folder = workspace.root / "update"
        self.state = read_state(self.folder / "state.json")

    def go(
        self,
        source: str | Path | Iterable[str] | None,
        path: Path | None,
        options: ExtractionOptions,
        listener: ExtractionEvents | None,
    ) -> UpdateReport:
        self.on_stage("extract")
        extracted = self._extract(source, path, options, listener)
        report = UpdateReport(extracted)
        if extracted.stopped:
            raise KeyboardInterrupt
        opened = open_store(extracted.store)
        _read_new(opened, report)
        self.on_stage("train")
        tried = self._train(opened, report)
        self.on_stage("predict")
        rows = undecided_rows(opened)
        report.unlabelled, report.waiting = len(rows), self.state.waiting
        model = None if report.classifier is None else load_classifier(report.classifier)
        answered_by = "" if model is None else self._answered_by(opened, model, rows)
        if model is not None and (answered_by != self.state.answered_by or not self._written()):
            predictions = _predict(opened, model, rows)
            self.on_stage("write")
            self._write(predictions, model, report)
        elif model is not None:
            self._name_files(report)
        self.on_stage("note")
        answered = frozenset(opened.digests[row][:SHORT] for row in rows) if model is not None else frozenset[str]()
        now = UpdateState(tried, answered_by, answered, report.waiting)
        report.changed_anything = now != self.state or extracted.changes > 0
        if report.changed_anything:
            self._note(now, report)
        self.on_stage("done")
        return report

    @property
    def _sheet(self) -> Path:
        return self.folder / "sheet.html"

    @property
    def _table(self) -> Path:
        return self.folder / "predictions.csv"

    def _written(self) -> bool:
        return self._sheet.exists() and self._table.exists()

    def _extract(
        self,
        source: str | Path | Iterable[str] | None,
        path: Path | None,
        options: ExtractionOptions,
        listener: ExtractionEvents | None,
    ) -> ExtractionReport:
        # A store that is only begun has the photos of the current one.
        known = _store_there(self.workspace, path) or _store_there(self.workspace, None)
        catalogue = read_again(source, {} if known is None else open_store(known).provenance)
        return run_extraction(catalogue, options, store=path, workspace=self.workspace, listener=listener)

    def _train(self, opened: Store, report: UpdateReport) -> frozenset[str]:
        """Train each level again whose photos or labels changed, once for the same labels; returns the labels tried."""
        latest = latest_of_levels(self.workspace.models, opened.path)
        if not latest:
            return self._train_first(opened, report)
        # Categories as they are in the store are what new photos are predicted with.
        report.classifier = str(latest.get(None) or next(iter(latest.values())))
        tried: set[str] = set()
        for level, path in latest.items():
            tried.add(self._train_again(opened, level, path, report))
        return frozenset(tried)

    def _train_again(self, opened: Store, level: str | None, path: Path, report: UpdateReport) -> str:
        old = load_classifier(path)
        tried = _lessons_at(opened, level)
        why = why_stale(old.card, opened)
        if not why or tried in self.state.tried:
            return tried
        part = opened.suited_to(old.fingerprint)
        new = fit_again(old.card, part)
        elsewhere = None if old.card.test_store is None else open_store(old.card.test_store)
        published = publish(new, path, part, elsewhere, update=True)
        sentence = published.decision.sentence if published.decision is not None else ""
        at_level = "" if level is None else f"at level {level}, "
        report.trained = report.trained or published.saved
        report.trainings.append(
            f"{at_level}{'trained again' if published.saved else 'kept the old one'}: {why}; {sentence}"
        )
        return tried

    def _train_first(self, opened: Store, report: UpdateReport) -> frozenset[str]:
        tried = frozenset([_lessons_at(opened, None)])
        try:
            model = fit(opened)
        except FeatxError as error:
            if error.code != "class-too-small":
                raise
            report.trainings.append(f"none: {error.message}")
            return tried
        path = self.workspace.models / f"{model.name}{SUFFIX}"
        publish(model, path, opened)
        report.classifier, report.trained = str(path), True
        report.trainings.append(f"trained the first: {path}")
        return tried

    def _answered_by(self, opened: Store, model: Classifier, rows: Sequence[int]) -> str:
        """Identifies the photos to predict and the classifier."""
        digest = hashlib.sha256(f"{model.card.sha256} {self.most}\n".encode())
        for row in rows:
            digest.update(f"{opened.ids[row]}\t{opened.digests[row]}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _write(self, predictions: list[Prediction], model: Classifier, report: UpdateReport) -> None:
        """The table of all predictions and the sheet of the most doubtful."""
        new = [prediction for prediction in predictions if prediction.digest[:SHORT] not in self.state.answered]
        report.predicted, report.review = len(new), sum(prediction.review for prediction in new)
        report.waiting = sum(prediction.review for prediction in predictions)
        report.limit = decision_rule(model.card).reasons
        self.folder.mkdir(parents=True, exist_ok=True)
        records = [{"id": prediction.item.item_id, **prediction.to_cells()} for prediction in predictions]
        empty = {"id": "", **Prediction(Item("", "")).to_cells()}
        columns = list(dict.fromkeys(name for record in (empty, *records) for name in record))
        write_table(self._table, columns, [[record.get(name) for name in columns] for record in records])
        write_page(self._sheet, predictions_sheet(predictions, model.classes, self.most).to_html())
        self._name_files(report)

    def _name_files(self, report: UpdateReport) -> None:
        """Name the files where there is something in them."""
        if report.unlabelled:
            report.sheet, report.predictions = str(self._sheet), str(self._table)

    def _note(self, state: UpdateState, report: UpdateReport) -> None:
        record = {
            "tried": sorted(state.tried),
            "answered_by": state.answered_by,
            "answered": sorted(state.answered),
            "waiting": state.waiting,
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.folder / "summary.json", (json.dumps(report.to_dict(), indent=1) + "\n").encode())
            write_atomic(self.folder / "state.json", (json.dumps(record) + "\n").encode())
        except OSError as error:
            raise cannot_write(self.folder, error) from error


def read_state(path: Path) -> UpdateState:
    """The notes of the last complete run; empty if unreadable, so that everything is checked again."""
    try:
        record = read_json(path)
        tried = record["tried"]
        return UpdateState(
            frozenset([tried] if isinstance(tried, str) else map(str, tried)),
            str(record["answered_by"]),
            frozenset(map(str, record["answered"])),
            int(record["waiting"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return UpdateState()


def _store_there(workspace: Workspace, path: Path | None) -> Path | None:
    try:
        return workspace.current_store(path)
    except FeatxError as error:
        if error.code != "no-store":
            raise
        return None


def chosen_store(workspace: Workspace, path: Path | None, backbone: str | None) -> Path | None:
    """The store that a run works on, if it is named: by its path, or by its backbone where no variable names one."""
    if path is not None or backbone is None or os.environ.get("FEATX_STORE"):
        return path
    return workspace.store_path(backbone)


def _lessons_at(opened: Store, level: str | None) -> str:
    """Identifies the photos and categories to learn from at a level."""
    return digest_of_lessons(lessons_of(opened, level))


def _read_new(store: Store, report: UpdateReport) -> None:
    """Read the text of new photos, where that of the others was read; the night goes on where nothing can read."""
    if not texts_beside(store.path).exists():
        return
    try:
        done = read_store(store)
    except FeatxError as error:
        if error.code != "extra-missing":
            raise
        report.reading = f"{error.message}: {error.hint}"
        return
    report.read = done.read
    if done.read or done.unread:
        unread = f"; {len(done.unread):,} could not be read" if done.unread else ""
        report.reading = f"read on {pluralise(done.read, 'new photo')}{unread}"


def _predict(opened: Store, model: Classifier, rows: Sequence[int]) -> list[Prediction]:
    """Predictions for rows of a store, from their stored features."""
    part = opened.suited_to(model.fingerprint)
    predictor = Predictor(model, part, _no_network, top=2)
    return list(predictor.answer_rows(rows, decision_rule(model.card)))


def _no_network() -> Any:
    raise AssertionError("the features of a row lie in the store")
