"""Whether and how a classifier counts columns: what was tried, what the columns say, and where they decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from featx.backbones.sentences import open_sentences
from featx.classifiers.columns.category_words import CategoryWord, category_words
from featx.classifiers.columns.cells import is_missing
from featx.classifiers.columns.fusion import Fusion, Way
from featx.classifiers.columns.held_out import HeldPhotos, HeldTrial, best_on_held_out, columns_alone, held_trial
from featx.classifiers.columns.leaks import MANY, CategoryNames, alike_groups, stands_for_category
from featx.classifiers.columns.of_store import columns_of, looks_at_photos, require_columns
from featx.classifiers.columns.trials import COLUMNS, PHOTO, Trials, WayTrial
from featx.classifiers.columns.values import Columns, Kind, kind_of
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.pipelines import train_on_views
from featx.classifiers.selection import choose
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.labels.training_set import TrainingSet
from featx.metrics.significance import sign_flips
from featx.text.plain import plain_line

# How many photos are kept in which the columns decided, and how many of those that they got wrong.
EXAMPLES, WORSE = 6, 2


@dataclass(frozen=True)
class ColumnFacts:
    """A column: what it is, in which share of the photos it has a value, and how far it gives the category away.

    `named` is the share of its texts that contain the name of their category; `stands` says that each of its values
    stands with one category.
    """

    name: str
    kind: Kind
    given: float
    named: float
    stands: bool


@dataclass(frozen=True)
class Decided:
    """A photo that the columns gave another category than the photo alone, and what its texts say."""

    id: str
    truth: str
    photo: str
    both: str
    text: str


@dataclass(frozen=True)
class ColumnUse:
    """The outcome for the columns of a training set. `fusion` is None where the photo alone does as well."""

    facts: list[ColumnFacts]
    trials: list[WayTrial]
    p_values: list[float]
    chosen: WayTrial
    fusion: Fusion | None
    without_names: WayTrial | None
    decided: list[Decided]
    # Which rows to learn from are scored.
    scored: np.ndarray
    # On held-out photos: answers by the photo alone, each way by its name and p-value, and whether they decided.
    photos: HeldPhotos | None = None
    held: Mapping[str, HeldTrial] = field(default_factory=dict)
    held_p_values: list[float] = field(default_factory=list)

    @property
    def held_scores(self) -> np.ndarray | None:
        """Scores of the held-out photos by a fusion that was suited to others; None where no columns are counted."""
        return self.held[self.chosen.name].scores if self.fusion is not None and self.held else None


@dataclass(frozen=True)
class ColumnSet:
    """The columns of the rows to learn from, and the training set whose groups keep equal texts together."""

    training: TrainingSet
    columns: Columns
    kinds: Mapping[str, Kind]
    facts: list[ColumnFacts]
    # How often the photos were looked at for their text; 0 where no text was read off them.
    looks: int


def column_set(
    training: TrainingSet, names: Sequence[str], level: str | None = None, *, sentences: bool = False
) -> ColumnSet:
    """The columns of these names for a training set; with `sentences`, texts count by their meaning too."""
    store, labels = training.store, training.labels[training.learn].tolist()
    require_columns(store, names, level)
    columns = columns_of(store, training.learn, names)
    kinds = {name: kind_of(values, training.groups) for name, values in columns.items()}
    if sentences:
        require_texts(kinds)
        kinds = {name: Kind.MEANING if kind.is_text else kind for name, kind in kinds.items()}
    facts = _facts(columns, kinds, labels, training.groups)
    texts = {fact.name: fact.kind for fact in facts if not fact.stands}
    groups = alike_groups(columns, texts, labels, training.groups)
    return ColumnSet(replace(training, groups=groups), columns, kinds, facts, looks_at_photos(store, names))


def require_texts(kinds: Mapping[str, Kind]) -> None:
    """Refuse sentences where there are none, and before anything else where their network is not installed."""
    if not any(kind.is_text for kind in kinds.values()):
        hint = "leave `--sentences` out, or name a column of texts: `--with title --sentences`"
        raise FeatxError("bad-flag", "sentences need a column of texts, and none was named", hint)
    open_sentences()


def try_columns(
    training: TrainingSet, names: Sequence[str], clf: str, folds: int, seed: int = 0, *, sentences: bool = False
) -> dict[str, Any]:
    """What columns are worth beside the photo for one classifier, as a card keeps it."""
    columns = column_set(training, names, sentences=sentences)
    training = replace(columns.training, finer=None)
    results, _ = choose(training, ClassifierSettings(clf, seed=seed), [clf], folds)
    views, labels = training.store.all_views[training.learn], training.labels[training.learn]
    pipeline = train_on_views(results.settings, views, labels)
    return columns_record(columns, use_columns(columns, results, training.scored_rows(folds), pipeline))


def _facts(columns: Columns, kinds: Mapping[str, Kind], labels: Sequence[str], groups: np.ndarray) -> list[ColumnFacts]:
    names = CategoryNames.of(set(labels))
    facts = []
    for name, values in columns.items():
        given = sum(not is_missing(value) for value in values) / max(len(values), 1)
        if not given:
            raise FeatxError("bad-column", f"the column `{name}` is empty in every photo to learn from", "leave it out")
        words = kinds[name] is not Kind.NUMBER
        named = names.named(values, labels) if words else 0.0
        facts.append(
            ColumnFacts(name, kinds[name], given, named, words and stands_for_category(values, labels, groups))
        )
    return facts


def use_columns(columns: ColumnSet, results: FoldResults, scored: np.ndarray, pipeline: object) -> ColumnUse:
    """Try every way of counting the columns in the folds of `results`, and train the one that is clearly better.

    Where there are enough held-out photos, these decide: `pipeline` answers for them by the photo alone.
    """
    if not scored.any():  # with nothing to decide on
        photo = WayTrial(PHOTO, results.scores, np.zeros(0, dtype=bool))
        return ColumnUse(columns.facts, [photo], [], photo, None, None, [], scored)
    trials = Trials(columns.training, results, columns.kinds, scored)
    answers = trials.answers(columns.columns)
    ways = trials.ways(answers)
    chosen, p_values = trials.chosen(ways)
    photos = HeldPhotos.of(columns.training.held, pipeline, trials.classes) if len(columns.training.held) else None

    def fusion_by(way: str) -> Fusion:
        fusion = trials.fusion(Way(way), columns.columns, answers)
        return replace(fusion, reads=bool(columns.looks), looks=max(1, columns.looks))

    held: dict[str, HeldTrial] = {}
    held_p: list[float] = []
    fusion = None
    if photos is not None and photos.enough:
        held = {way: held_trial(fusion_by(way), photos) for way in (Way.AVERAGED, Way.JOINED)}
        best, held_p = best_on_held_out(list(held.values()), photos)
        fusion = None if best is None else best.fusion
        chosen = next(trial for trial in ways if trial.name == (PHOTO if fusion is None else fusion.way))
    elif chosen.name != PHOTO:
        fusion = fusion_by(chosen.name)
    without = None
    if fusion is not None and any(fact.named >= MANY for fact in columns.facts):
        bare = CategoryNames.of(trials.classes).without(columns.columns, columns.kinds)
        without = next(way for way in trials.ways(trials.answers(bare)) if way.name == chosen.name)
    if held and fusion is not None and photos is not None:
        decided = _decided_on_held_out(photos, held[chosen.name], columns.kinds)
    else:
        decided = _decided_in_folds(columns, trials, ways[0], chosen)
    return ColumnUse(columns.facts, ways, p_values, chosen, fusion, without, decided, scored, photos, held, held_p)


def _decided_in_folds(columns: ColumnSet, trials: Trials, photo: WayTrial, chosen: WayTrial) -> list[Decided]:
    """Photos to learn from to which the columns gave another category, in the folds."""
    fixed, broken = np.zeros((2, len(trials.y)), dtype=bool)
    fixed[trials.scored], broken[trials.scored] = chosen.right & ~photo.right, photo.right & ~chosen.right
    training = columns.training
    return [
        Decided(
            training.store.ids[training.learn[row]],
            str(trials.y[row]),
            trials.classes[int(photo.scores[row].argmax())],
            trials.classes[int(chosen.scores[row].argmax())],
            _shown(columns.columns, columns.kinds, row),
        )
        for row in _examples(fixed, broken, chosen.scores)
    ]


def _decided_on_held_out(photos: HeldPhotos, trial: HeldTrial, kinds: Mapping[str, Kind]) -> list[Decided]:
    """Held-out photos to which the columns gave another category."""
    held, before = photos.held, photos.right(photos.scores)
    columns, truth = columns_of(held.store, held.rows, list(kinds)), held.truth
    return [
        Decided(
            held.store.ids[int(held.rows[row])],
            str(truth[row]),
            photos.classes[int(photos.scores[row].argmax())],
            photos.classes[int(trial.scores[row].argmax())],
            _shown(columns, kinds, row),
        )
        for row in _examples(trial.right & ~before, before & ~trial.right, trial.scores)
    ]


def _examples(fixed: np.ndarray, broken: np.ndarray, scores: np.ndarray) -> list[int]:
    """Most that the columns got right, a few that they got wrong; the most certain first."""

    def certain_first(rows: np.ndarray) -> list[int]:
        found = np.flatnonzero(rows)
        return [int(row) for row in found[np.argsort(-scores[found].max(axis=1), kind="stable")]]

    worse = certain_first(broken)[:WORSE]
    return [*certain_first(fixed)[: EXAMPLES - len(worse)], *worse]


def _shown(columns: Columns, kinds: Mapping[str, Kind], row: int) -> str:
    """What the texts of a row say, as one line that is harmless to show."""
    values = [columns[name][row] for name, kind in kinds.items() if kind.is_text]
    return plain_line(" · ".join(str(value) for value in values if not is_missing(value)))


# --- on the card ------------------------------------------------------------------------------------------------------


def columns_record(columns: ColumnSet, use: ColumnUse) -> dict[str, Any]:
    """The outcome as the card keeps it, with the difference on held-out photos where there are any."""
    photo, groups = use.trials[0].right, columns.training.groups[use.scored]
    names = [trial.name for trial in use.trials if trial.name not in (PHOTO, COLUMNS)]
    p_of = dict(zip(names, use.p_values, strict=True))
    return {
        "way": use.chosen.name,
        "reads": bool(columns.looks),
        "columns": [asdict(fact) for fact in use.facts],
        "tried": [_tried(trial, p_of.get(trial.name), chosen=trial is use.chosen) for trial in use.trials],
        "cv": None if use.fusion is None else difference(use.chosen.right, photo, groups),
        "tried_on_held_out": _tried_on_held_out(use),
        "test": _held_out(use),
        "without_names": None if use.without_names is None else _tried(use.without_names, None),
        "decided": [asdict(photo) for photo in use.decided],
        "words": {label: [asdict(word) for word in words] for label, words in _words(columns).items()},
    }


def _words(columns: ColumnSet) -> dict[str, list[CategoryWord]]:
    training = columns.training
    labels = training.labels[training.learn].tolist()
    return category_words(columns.columns, columns.kinds, labels, training.groups)


def _tried(trial: WayTrial, p: float | None, *, chosen: bool = False) -> dict[str, Any]:
    return {"name": trial.name, "correct": int(trial.right.sum()), "n": len(trial.right), "p": p, "chosen": chosen}


def _tried_on_held_out(use: ColumnUse) -> list[dict[str, Any]]:
    """The trials on held-out photos, the photo alone first; none where they did not decide."""
    photos = use.photos
    if photos is None or not use.held:
        return []
    trials = [WayTrial(PHOTO, photos.scores, photos.right(photos.scores))]
    trials += [WayTrial(COLUMNS, photos.scores, columns_alone(use.held[Way.AVERAGED].fusion, photos))]
    trials += [WayTrial(name, trial.scores, trial.right) for name, trial in use.held.items()]
    p_values = [None, None, *use.held_p_values]
    return [_tried(trial, p, chosen=trial.name == use.chosen.name) for trial, p in zip(trials, p_values, strict=True)]


def _held_out(use: ColumnUse) -> dict[str, Any] | None:
    """The difference that the columns make on held-out photos."""
    photos = use.photos
    if photos is None or use.fusion is None:
        return None
    scores = use.held_scores
    if scores is None:
        columns = columns_of(photos.held.store, photos.held.rows, use.fusion.names)
        scores, _ = use.fusion.scores(photos.scores, photos.features, columns, photos.classes)
    return difference(photos.right(scores), photos.right(photos.scores), photos.groups)


def difference(both: np.ndarray, photo: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """The accuracy with and without columns on the same photos, and the test of the difference."""
    test = sign_flips(both, photo, groups)
    return {
        "photo": round(float(photo.mean()), 4),
        "both": round(float(both.mean()), 4),
        "difference": round(test.difference, 4),
        "ci95": [round(test.low, 4), round(test.high, 4)],
        "p": test.p,
        "n": len(both),
    }
