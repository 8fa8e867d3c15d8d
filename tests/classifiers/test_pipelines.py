"""What confidence is worth on real photos."""

from __future__ import annotations

import numpy as np
import pytest

from featx.catalogue.reading import read_catalogue
from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.thresholds import choose
from featx.extraction import extract
from featx.labels.folds import grouped_folds, groups_of
from featx.metrics.scores import wilson
from featx.metrics.selective import coverage_table
from tests.conftest import SHARED

CLOTHING = SHARED / "data" / "clothing" / "train"
pytestmark = [pytest.mark.reality, pytest.mark.long]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory):
    """Scores and truth, out of fold and held out, of a linear SVM on a few hundred clothing photos."""
    if not CLOTHING.is_dir():
        pytest.skip("the shared clothing photos are not here")
    root = tmp_path_factory.mktemp("clothing")
    photos = [photo for folder in sorted(CLOTHING.iterdir()) for photo in sorted(folder.iterdir())[:60]]
    table = root / "list.csv"
    table.write_text("path,label\n" + "".join(f"{photo},{photo.parent.name}\n" for photo in photos))
    store = extract(read_catalogue(table, allow_outside=True), backbone="builtin", store=root / "store.h5")
    x = np.array(store.features)
    classes, y = np.unique([str(label) for label in store.labels], return_inverse=True)
    names = classes[y]
    groups = groups_of([store.product_of(i) for i in range(len(store))], store.digests, x)
    held = np.random.default_rng(0).random(int(groups.max()) + 1)[groups] < 0.35
    learn = np.flatnonzero(~held)
    recipe, known = ClassifierSettings("svm", 1e-3), list(classes)
    scores = np.zeros((len(learn), len(classes)))
    for train, score in grouped_folds(list(names[learn]), groups[learn], 5, 0):
        classifier = train_classifier(recipe, x[learn[train]], names[learn[train]])
        scores[score] = scores_of(classifier, x[learn[score]], known)
    final = train_classifier(recipe, x[learn], names[learn])
    return scores, y[learn], scores_of(final, x[held], known), y[held]


def gap(shares: np.ndarray, truth: np.ndarray) -> float:
    """The expected calibration error over ten equal bins."""
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == truth
    bins = np.minimum((sure * 10).astype(int), 9)
    return sum(
        abs(sure[bins == i].mean() - right[bins == i].mean()) * (bins == i).mean() for i in range(10) if i in bins
    )


def test_the_temperature_makes_confidence_honest_on_photos_it_was_not_chosen_on(judged):
    scores, truth, held_scores, held_truth = judged
    temperature = fit_temperature(scores, truth)
    before, after = (gap(probabilities(held_scores, t), held_truth) for t in (1.0, temperature))
    assert after < before / 2 and after < 0.15


def test_a_threshold_keeps_what_it_promised_on_held_out_photos(judged):
    scores, truth, held_scores, held_truth = judged
    temperature = fit_temperature(scores, truth)
    shares, held = probabilities(scores, temperature), probabilities(held_scores, temperature)
    for row in coverage_table(shares.max(axis=1), shares.argmax(axis=1) == truth, np.arange(len(truth))):
        kept = held.max(axis=1) >= row["threshold"]
        if kept.sum() >= 30:
            reached = wilson(int((held.argmax(axis=1) == held_truth)[kept].sum()), int(kept.sum()))
            assert reached.low <= row["high"] and reached.high >= row["low"], row


def test_thresholds_by_category_keep_their_promise_on_held_out_photos(judged):
    scores, truth, held_scores, held_truth = judged
    temperature = fit_temperature(scores, truth)
    shares, held = probabilities(scores, temperature), probabilities(held_scores, temperature)
    names = [str(number) for number in range(scores.shape[1])]
    for target in (0.8, 0.9):
        row = choose(target, shares.max(axis=1), shares.argmax(axis=1), shares.argmax(axis=1) == truth, names)
        limits = np.array([row.of(name) for name in names])
        stands = held.max(axis=1) >= limits[held.argmax(axis=1)]
        reached = wilson(int((held.argmax(axis=1) == held_truth)[stands].sum()), int(stands.sum()))
        assert reached.n < 20 or reached.high >= target, (target, reached)
