"""The surest mistakes are explained by the saved classifier, or the page says why they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featx.classifiers.fit import fit
from featx.classifiers.model import load_classifier
from featx.classifiers.pipelines import scores_of
from featx.classifiers.unlearning import without_products
from featx.comparison.document import Details, Entry
from featx.labels.training_set import training_set_of
from featx.reporting.explained import MOST, explained_mistakes, surest_mistakes
from featx.reporting.thumbnails import FOLDER, ThumbnailCache
from featx.store import Store, open_store


@pytest.fixture(scope="module")
def shop(sample_shop: Path) -> Store:
    """The sample catalogue; its paths are relative to its folder."""
    return open_store(sample_shop / "artifacts/embeddings/builtin.h5")


@pytest.fixture(scope="module")
def models(shop: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    fit(shop, "lda", folds=2).save(folder / "lda.safetensors")
    return folder


def details_of(store: Store, answers: list[tuple[int, str, str]]) -> Details:
    """Details of rows with the category that they have and the one they were taken for, surer and surer."""
    classes = sorted({str(label) for label in store.labels})
    return Details(
        ids=[store.ids[row] for row, _, _ in answers],
        truth=[classes.index(truth) for _, truth, _ in answers],
        says=[classes.index(says) for _, _, says in answers],
        confidence=[0.5 + 0.001 * i for i in range(len(answers))],
        classes=classes,
    )


def other_than(label: str) -> str:
    return "mugs" if label != "mugs" else "hats"


def test_the_surest_mistakes_are_shown_with_their_regions_and_what_spoke_for_them(
    sample_shop: Path, shop: Store, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample_shop)
    says = str(shop.labels[0])
    wrong, right_now = (0, other_than(says), says), (1, str(shop.labels[1]), other_than(str(shop.labels[1])))
    thumbnails = ThumbnailCache(tmp_path, dict(zip(shop.ids, shop.paths, strict=True)))
    entry = Entry("builtin", "lda")
    found = explained_mistakes(details_of(shop, [wrong, right_now]), entry, None, shop, models, thumbnails)
    assert found is not None and not found.why_none
    (row,) = found.rows
    assert row.says == says and row.photo.label == wrong[1] and row.sentence.startswith(f"for {says}: ")
    assert row.has_regions and (tmp_path / FOLDER / str(row.photo.thumbnail)).stat().st_size < 12_000
    # The saved classifier recognises the other photo, even without having learned from it.
    assert (found.n_other, found.n_unreadable) == (1, 0)


def test_a_mistake_that_the_classifier_learned_from_is_explained_as_if_it_had_not(
    sample_shop: Path, shop: Store, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample_shop)
    model = load_classifier(models / "lda.safetensors")
    training = training_set_of(shop)
    row = int(training.learn[0])
    without = without_products(model, shop, [shop.ids[row]])
    assert without is not None and without.classes == model.classes
    own = [shop.ids[i] for i, group in zip(training.learn, training.groups, strict=True) if group == training.groups[0]]
    again = without_products(model, shop, own)
    assert again is not None
    features = shop.features[row : row + 1]
    np.testing.assert_array_equal(without.predict_proba(features), again.predict_proba(features))
    scores, before = (scores_of(each.pipeline, features, model.classes) for each in (without, model))
    assert not np.allclose(scores, before)
    # A photo that it never learned from changes nothing, and a category is never lost.
    held = next(shop.ids[i] for i, split in enumerate(shop.splits) if split == "test")
    assert without_products(model, shop, [held]) is model
    mugs = [shop.ids[i] for i in training.learn if shop.labels[i] == "mugs"]
    assert without_products(model, shop, mugs) is None


def test_without_a_saved_classifier_the_report_says_how_to_train_one(shop: Store, models: Path, tmp_path: Path) -> None:
    details = details_of(shop, [(0, other_than(str(shop.labels[0])), str(shop.labels[0]))])
    thumbnails = ThumbnailCache(tmp_path, {})
    for clf, level in (("svm", None), ("lda", "kind")):
        found = explained_mistakes(details, Entry("builtin", clf), level, shop, models, thumbnails)
        assert found is not None and not found.rows
        assert f"featx fit --clf {clf}" in found.why_none and str(shop.path) in found.why_none
        assert ("--level kind" in found.why_none) == (level == "kind")


def test_photos_that_are_gone_are_counted(
    shop: Store, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    details = details_of(shop, [(0, other_than(str(shop.labels[0])), str(shop.labels[0]))])
    found = explained_mistakes(details, Entry("builtin", "lda"), None, shop, models, ThumbnailCache(tmp_path, {}))
    assert found is not None and (found.rows, found.n_unreadable) == ([], 1)


def test_only_the_surest_mistakes_are_explained(shop: Store) -> None:
    label = str(shop.labels[0])
    mistakes = surest_mistakes(details_of(shop, [(row, other_than(label), label) for row in range(40)]))
    assert [mistake.item_id for mistake in mistakes] == [shop.ids[row] for row in range(39, 39 - MOST, -1)]
    assert not surest_mistakes(details_of(shop, [(0, label, label)]))
