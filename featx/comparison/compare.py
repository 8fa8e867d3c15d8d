"""Every classifier on every store: the same pictures, the same folds, the same held-out pictures."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from featx.backbones.registry import baseline_name
from featx.classifiers.kinds import COMPARED, names_of
from featx.classifiers.spec import ClassifierSettings
from featx.comparison.alignment import AlignedStores, align
from featx.comparison.baselines import colour_features
from featx.comparison.candidates import MOST_FREQUENT, Candidate, CandidateResult, EvaluationPlan, answers_of, set_task
from featx.comparison.learning_curve import doubling, learning_curve
from featx.comparison.mistakes import collect_mistakes
from featx.comparison.result import Comparison, rounded
from featx.comparison.scoring import Scoring, checks_of, choose, score_candidate, scored_folds, tests_between
from featx.errors import FeatxError
from featx.labels.decisions import labels_after_decisions
from featx.labels.training_set import HELD_OUT
from featx.metrics.scores import ScoredAnswers
from featx.store import Store, open_store

COLOUR = baseline_name()
MOST_SEARCHED = 20_000


class Listener(Protocol):
    """Told after each fold: how many are done of how many, and whose it was."""

    def __call__(self, done: int, total: int, note: str) -> object:
        """Show it."""


def compare(
    stores: Store | str | Path | Sequence[Store | str | Path] | None = None,
    clf: str | Sequence[str] = COMPARED,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    group: str | None = None,
    level: str | None = None,
    coarse: str | None = None,
    test: Sequence[str] = HELD_OUT,
    test_stores: Sequence[Store | str | Path] = (),
    curve: bool = False,
    colour: bool = True,
    retrieval: bool = True,
    cache: Path | None = None,
    command: Sequence[str] = (),
    progress: Listener = lambda done, total, note: None,
) -> Comparison:
    """Compare classifiers and backbones on the same folds; held-out splits are scored once and come first.

    `group` names a column whose pictures stay together, `coarse` a column (or a number of path parts) to score too.
    With `test_stores`, one for each backbone, all their labelled pictures are the held-out ones. `retrieval` measures
    the look-alike search of each store too.
    """
    begun = time.monotonic()
    given = list(stores) if isinstance(stores, Sequence) and not isinstance(stores, str) else [stores]
    opened = [one if isinstance(one, Store) else open_store(one) for one in given]
    names = names_of(clf)
    elsewhere = [one if isinstance(one, Store) else open_store(one) for one in test_stores]
    matched = align(opened, level, coarse, test, group, elsewhere)
    notes = list(matched.notes)
    task = with_held_out(set_task(matched.learned_labels, matched.groups, folds, repeats, seed), matched)
    counted = scored_folds(task, folds)
    if not counted and matched.n_learn == len(matched.ids):
        raise _nothing_to_score(matched, folds)
    features = {name: matched.features(i) for i, name in enumerate(matched.names)}
    contenders = _contenders(matched, names, seed)
    if colour and COLOUR not in [store.fingerprint.backbone for store in opened]:
        found, why = colour_features(matched.paths, matched.digests, cache)
        if found is None:
            notes.append(f"the colour baseline was left out: {why}")
        else:
            features[COLOUR] = found
            contenders.append(Candidate(COLOUR, "logreg", True, ClassifierSettings("logreg", seed=seed)))
    answers = _all_answers(contenders, task, features, matched.n_learn, progress)
    scoring = Scoring(matched, task, counted, seed)
    # Rounded first: the sentence, the table and the card of `featx fit` then say the same.
    entries = [rounded(score_candidate(told, scoring)) for told in answers]
    serious = [i for i, one in enumerate(contenders) if not one.baseline]
    between, held_between = tests_between(answers, entries, serious, scoring)
    best = choose(entries, serious, held_between or between, scoring)
    winner = next(one for one in answers if (one.contender.store, one.contender.clf) == (best["store"], best["clf"]))
    points = _curve(winner, features[winner.contender.store], matched, task) if curve else None
    searches = _retrieval(opened, matched.names, notes) if retrieval else {}
    document: dict[str, Any] = {
        "schema": "featx-comparison/1",
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "featx": _version(),
        "command": list(command),
        "machine": _machine(),
        "settings": {
            "folds": folds,
            "repeats": repeats,
            "seed": seed,
            "grouped_by": matched.grouped_by,
            "groups": len(set(matched.groups.tolist())),
            "level": level,
            "coarse": matched.coarse_name,
            "test": [str(one.path) for one in elsewhere] or list(test),
            "n_learn": matched.n_learn,
            "n_test": len(matched.ids) - matched.n_learn,
            "left_out_of_folds": sorted(set(task.classes) - scoring.foldable),
        },
        "notes": notes,
        "stores": [
            _store(store, name, matched, checks_of(i, features[name], entries, best, scoring))
            for i, (store, name) in enumerate(zip(opened, matched.names, strict=True))
        ],
        "entries": entries,
        "tests": between,
        "held_out_tests": held_between,
        "best": best,
        "details": {winner.contender.name: _details(winner, scoring)},
        "learning_curve": points,
        "doubling": None if points is None else doubling(points),
        "retrieval": searches,
        "seconds": round(time.monotonic() - begun, 1),
        "peak_memory": _peak_memory(),
    }
    return Comparison(rounded(document))


def with_held_out(task: EvaluationPlan, matched: AlignedStores) -> EvaluationPlan:
    """The task with what is true of the held-out pictures, and which of them are of one product."""
    place = {label: i for i, label in enumerate(task.classes)}
    truth = np.array([place.get(label, -1) for label in matched.labels[matched.n_learn :]], dtype=int)
    groups = np.unique(matched.products[matched.n_learn :], return_inverse=True)[1]
    return replace(task, held_truth=truth, held_groups=groups)


def _contenders(matched: AlignedStores, names: Sequence[str], seed: int) -> list[Candidate]:
    contenders = [
        Candidate(store, name, False, ClassifierSettings(name, seed=seed)) for store in matched.names for name in names
    ]
    contenders.append(Candidate(matched.names[0], MOST_FREQUENT, True, None))
    if "centroid" not in names:
        contenders += [
            Candidate(store, "centroid", True, ClassifierSettings("centroid", seed=seed)) for store in matched.names
        ]
    return contenders


def _all_answers(
    contenders: Sequence[Candidate],
    task: EvaluationPlan,
    features: dict[str, np.ndarray],
    n_learn: int,
    progress: Listener,
) -> list[CandidateResult]:
    total, done = len(contenders) * (len(task.folds) + 1), 0
    answers = []
    for one in contenders:

        def step(name: str = one.name) -> None:
            nonlocal done
            done += 1
            progress(done, total, name)

        rows = features[one.store]
        answers.append(answers_of(one, task, rows[:n_learn], rows[n_learn:], plain=not one.baseline, progress=step))
    return answers


def _curve(
    winner: CandidateResult, rows: np.ndarray, matched: AlignedStores, task: EvaluationPlan
) -> list[dict[str, Any]]:
    """On the held-out pictures where there are any, else over the folds."""
    recipe = winner.contender.recipe
    assert recipe is not None
    n, everything = matched.n_learn, np.arange(len(rows))
    parts = [(everything[:n], everything[n:])] if len(rows) > n else task.repeats[0]
    return learning_curve(recipe, winner.strength, rows, matched.labels, parts, task.seed)


def _details(winner: CandidateResult, scoring: Scoring) -> dict[str, Any]:
    matched, task = scoring.matched, scoring.task
    if winner.held is not None:
        rows = np.arange(matched.n_learn, len(matched.ids))
        judged = ScoredAnswers(scoring.held_truth, winner.held)
        where = "test"
    else:
        cut = task.repeats[0]
        rows = np.concatenate([score[kept] for (_, score), kept in zip(cut, scoring.kept, strict=False)])
        shares = np.concatenate(
            [told[kept] for told, kept in zip(winner.folds[: len(cut)], scoring.kept, strict=False)]
        )
        judged, where = ScoredAnswers(task.truth[rows], shares), "cv"
    truths = matched.labels[rows].tolist()
    return collect_mistakes(judged, [matched.ids[i] for i in rows], truths, task.classes, where)


def _retrieval(stores: Sequence[Store], names: Sequence[str], notes: list[str]) -> dict[str, Any]:
    """How well look-alike search works on each store; a note where one is too large to measure."""
    from featx.retrieval.quality import measure

    measured: dict[str, Any] = {}
    for name, store in zip(names, stores, strict=True):
        labels = labels_after_decisions(store).labels
        rows = [i for i, label in enumerate(labels) if label is not None]
        if len(rows) > MOST_SEARCHED:
            notes.append(f"look-alike search was not measured on {name}: more than {MOST_SEARCHED:,} pictures")
            continue
        measured[name] = measure(
            store.features[rows],
            [labels[i] for i in rows],
            [store.product_of(i) for i in rows],
            [store.ids[i] for i in rows],
        )
    return measured


def _nothing_to_score(matched: AlignedStores, folds: int) -> FeatxError:
    sizes = sorted(len({*matched.groups[matched.learned_labels == label].tolist()}) for label in matched.classes)
    # Two categories at least must be scored for something to be told apart.
    most = sizes[-2]
    if most < 2:
        return FeatxError(
            "class-too-small",
            "each category is one product, or all but one: nothing is left to score once its pictures stay together"
            if sizes[-1] > 1
            else "each category is one product: nothing is left to score once its pictures stay together",
            "add pictures of other products to every category, or hold some out in a `test` folder",
            {"products_per_category": most},
        )
    return FeatxError(
        "class-too-small",
        f"fewer than two categories have {folds} products, one for each of the {folds} folds; "
        f"the largest two have {most} or more",
        f"ask for fewer folds: `featx compare --folds {most}`",
        {"products_per_category": most},
    )


def _store(store: Store, name: str, matched: AlignedStores, checks: list[dict[str, Any]]) -> dict[str, Any]:
    path = Path(store.path)
    return {
        "name": name,
        "path": str(path),
        "fingerprint": store.fingerprint.to_dict(),
        "backbone": store.fingerprint.backbone,
        "width": store.width,
        "n": len(store),
        "n_labelled": len(matched.ids),
        "n_products": len(set(matched.products)),
        "categories": matched.classes,
        "relabelled": _relabelled(store),
        "bytes": path.stat().st_size if path.exists() else 0,
        "images_per_second": store.provenance.get("images_per_second"),
        "extracted": {
            key: store.provenance[key]
            for key in ("command", "written", "device", "batch_size", "versions")
            if store.provenance.get(key) is not None
        },
        "checks": checks,
    }


def _relabelled(store: Store) -> dict[str, str | None]:
    """What people decided, photo by photo: a report that is written later counts the same labels."""
    decided = labels_after_decisions(store).labels
    triples = zip(store.ids, store.labels, decided, strict=True)
    return {item_id: label for item_id, before, label in triples if label != before}


def _machine() -> dict[str, Any]:
    import sklearn

    return {
        "system": platform.system(),
        "processor": _processor(),
        "threads": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }


def _processor() -> str:
    """The processor's own name where the system tells it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _peak_memory() -> int | None:
    """The most memory this process ever held, in bytes, where the system keeps count."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _version() -> str:
    from featx import __version__

    return __version__
