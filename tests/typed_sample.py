"""Every public name as a caller sees it; `make types` fails where one of them is not typed.

Nothing here runs: mypy reads it with `--strict`, and each `assert_type` fails where the type is `Any`.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import featx
from featx.audit.duplicates import Duplicates
from featx.audit.issues import Issues
from featx.backbones import Encoder
from featx.catalogue.items import Catalogue
from featx.comparison.evaluate import Evaluation
from featx.prediction.predict import Predictions
from featx.prediction.suggest import Suggestions
from featx.reporting import Written
from featx.retrieval import Matches, SimilarityIndex


def photos_to_store() -> featx.Store:
    """From photos to features."""
    assert_type(featx.__version__, str)
    assert_type(featx.read_catalogue("photos"), Catalogue)
    assert_type(featx.open_backbone("colour"), Encoder)
    featx.read_photo(Path("photo.jpg"))
    assert_type(featx.extract("photos"), featx.Store)
    assert_type(featx.use_store("resnet50"), Path)
    featx.ImageEmbedder("colour")
    return featx.open_store()


def store_to_answers(store: featx.Store) -> None:
    """From features to classifiers, answers and pages."""
    classifier = featx.fit(store)
    assert_type(classifier, featx.Classifier)
    featx.save(classifier, Path("svm.safetensors"))
    assert_type(featx.load_classifier("svm.safetensors"), featx.Classifier)
    comparison = featx.compare(store)
    assert_type(comparison, featx.Comparison)
    assert_type(featx.evaluate(classifier), Evaluation)
    assert_type(featx.predict("new", classifier), Predictions)
    assert_type(featx.suggest(store), Suggestions)
    assert_type(featx.similar("sku123.jpg"), Matches)
    assert_type(featx.open_index(), SimilarityIndex)
    assert_type(featx.find_duplicates(store), Duplicates)
    assert_type(featx.find_issues(store), Issues)
    assert_type(featx.reporting(comparison, store), Written)
    assert_type(featx.exporting(store, "npz"), list[Path])
    assert_type(featx.FeatxError("bug", "a fact").exit_code, int)
