"""Every public name as a caller sees it; `make types` fails where one of them is not typed.

Nothing here runs: mypy reads it with `--strict`, and each `assert_type` fails where the type is `Any`.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

import featx
from featx.audit.duplicates import Duplicates
from featx.audit.issues import Issues
from featx.backbones import Encoder
from featx.catalogue.items import Catalogue
from featx.comparison.evaluate import Evaluation
from featx.deployment.folder import DeploymentReport
from featx.images import Photo
from featx.prediction.predict import Predictions
from featx.prediction.suggest import Suggestions
from featx.prediction.update import UpdateReport
from featx.reporting import Written
from featx.retrieval import Matches, SimilarityIndex
from featx.text.reading import ReadingReport


def photos_to_store() -> featx.Store:
    """From photos to features."""
    assert_type(featx.__version__, str)
    assert_type(featx.read_catalogue("photos"), Catalogue)
    assert_type(featx.open_backbone("colour"), Encoder)
    assert_type(featx.read_photo(Path("photo.jpg")), Photo)
    assert_type(featx.read_photo(b"").image, Image.Image)
    assert_type(featx.extract("photos"), featx.Store)
    assert_type(featx.use_store("resnet50"), Path)
    tuned = featx.tune("photos", minutes=5)
    assert_type(tuned, featx.Tuned)
    assert_type(tuned.backbone, str)
    assert_type(tuned.after.accuracy, float)
    assert_type(featx.read(), ReadingReport)
    assert_type(featx.read_texts(), dict[str, str])
    assert_type(featx.ImageEmbedder().transform(["photo.jpg"]), npt.NDArray[np.float32])
    assert_type(featx.FineTunedFeatures().transform(["photo.jpg"]), npt.NDArray[np.float32])
    assert_type(featx.ProgressBar("photos").line(1), str)
    return featx.open_store()


def store_to_answers(store: featx.Store) -> None:
    """From features to classifiers, answers and pages."""
    assert_type(store.labels, list[str | None])
    assert_type(store.features, npt.NDArray[np.float32])
    assert_type(store.to_torch().features, torch.Tensor)
    classifier = featx.fit(store, classifier="lda")
    assert_type(classifier, featx.Classifier)
    featx.save(classifier, Path("svm.safetensors"))
    assert_type(featx.load_classifier("svm.safetensors"), featx.Classifier)
    assert featx.deploy("deployed", "lda")
    comparison = featx.compare(store)
    comparison = featx.compare_backbones("data", minutes=10, folds=5)
    assert_type(comparison, featx.Comparison)
    assert_type(comparison.best.why, str)
    assert_type(featx.evaluate("lda"), Evaluation)
    assert_type(featx.predict("new", classifier), Predictions)
    assert featx.explain("sku123.jpg", "lda")
    assert_type(featx.suggest(store), Suggestions)
    assert_type(featx.update(), UpdateReport)
    assert_type(featx.similar("sku123.jpg"), Matches)
    assert_type(featx.similar(Image.new("RGB", (8, 8)))[0].similarity, float)
    assert_type(featx.open_index(), SimilarityIndex)
    assert_type(featx.find_duplicates(store), Duplicates)
    assert_type(featx.find_issues(store), Issues)
    assert_type([issue.item_id for issue in featx.find_issues(store)], list[str])
    assert_type(featx.report(comparison, store), Written)
    assert_type(featx.export(store, "npz"), list[Path])
    assert_type(featx.explain("photo.jpg").overlay(), Image.Image)
    assert_type(featx.inspect("photo.jpg", good="good")[0].is_unlike, bool)
    assert_type(featx.explain_similar("photo.jpg", "sku123.jpg").similarity, float)
    assert_type(featx.deploy("out", "lda"), DeploymentReport)
    assert_type(featx.FeatxError("bug", "a fact").exit_code, int)
    featx.serve("my.h5", port=8000, read_only=True)
