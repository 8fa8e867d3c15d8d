"""A network tuned inside a scikit-learn pipeline: on the photos of `fit` alone, with products kept whole."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import featx
from featx.errors import FeatxError
from featx.finetuning import TuneOptions
from featx.finetuning.transformer import FineTunedFeatures

QUICK = TuneOptions(depth=1, epochs=1, views=0, batch=8, lr=0.01, average="none", keep=True, val="0.4")


def listed(shop: Path) -> tuple[list[str], list[str], list[str]]:
    paths = sorted(map(str, shop.rglob("*.jpg")))
    return paths, [Path(path).parent.name for path in paths], [Path(path).stem[:-2] for path in paths]


def test_it_gives_the_features_of_the_network_it_tuned_and_pickles_and_clones_do_too(shop, small, workplace):
    paths, labels, products = listed(shop)
    step = FineTunedFeatures(small, options=QUICK)
    with pytest.raises(NotFittedError):
        step.transform(paths)
    rows = step.fit(paths, labels, groups=products).transform(paths[:4])
    assert step.backbone_.startswith("tuned:fitted-")
    np.testing.assert_array_equal(rows, featx.ImageEmbedder(step.backbone_).transform(paths[:4]))
    np.testing.assert_array_equal(rows, pickle.loads(pickle.dumps(step)).transform(paths[:4]))
    assert step.get_feature_names_out().shape == (rows.shape[1],)
    again = clone(step)
    assert again.get_params() == step.get_params()
    assert again.fit(paths, labels, groups=products).backbone_ == step.backbone_


def test_products_are_never_divided_and_where_tuning_does_not_pay_features_are_frozen(shop, small, workplace):
    paths, labels, products = listed(shop)
    options = TuneOptions(depth=1, epochs=1, views=0, batch=8, lr=1e-9, average="none")
    step = FineTunedFeatures(small, options=options).fit(paths, labels, groups=products)
    assert not step.tuned_.pays and step.backbone_ == small
    np.testing.assert_array_equal(step.transform(paths[:4]), featx.ImageEmbedder(small).transform(paths[:4]))
    assert len(step.tuned_.card.judged_on) % 2 == 0


def test_a_grid_search_tunes_in_each_fold_on_its_own_photos(shop, small, workplace):
    paths, labels, products = listed(shop)
    pipeline = make_pipeline(FineTunedFeatures(small, options=QUICK), LogisticRegression(max_iter=50))
    grid = {"finetunedfeatures__seed": [0], "logisticregression__C": [0.1, 1.0]}
    folds = list(StratifiedGroupKFold(2).split(paths, labels, products))
    search = GridSearchCV(pipeline, grid, cv=folds, refit=False, error_score="raise").fit(np.array(paths), labels)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    networks = list(Path("artifacts/tuned").glob("fitted-*.safetensors"))
    assert len(networks) == 2  # one for each fold, whatever comes after it


@pytest.mark.parametrize(
    ("photos", "labels", "said"),
    [
        (["a.jpg", "b.jpg"], None, "needs the categories"),
        (["a.jpg", "b.jpg"], ["x"], "2 photos and 1 categories"),
        ([np.zeros((4, 4, 3), np.uint8)], ["x"], "photo 0 is of the type ndarray, and the path of a file is wanted"),
        ("a.jpg", ["x"], "one photo, not a list"),
    ],
    ids=["no labels", "too few labels", "arrays", "one path"],
)
def test_what_it_cannot_tune_on_is_refused_in_words(photos, labels, said):
    with pytest.raises(FeatxError, match=said):
        FineTunedFeatures("small").fit(photos, labels)


CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_that_need_no_table_pass(check):
    getattr(estimator_checks, check)("FineTunedFeatures", FineTunedFeatures())
