"""Saved classifiers as `featx info` lists them."""

from __future__ import annotations

from featx.classifiers.model import save
from tests.classifiers.conftest import cross_validated, with_card
from tests.conftest import Run


def test_info_says_what_each_score_is_of_and_which_classifier_predict_takes(featx: Run, store, model, tmp_path):
    models = tmp_path / "artifacts" / "models"
    folded = with_card(model, test=None, store="other.h5", cv=cross_validated(0.9, 0.8, 1.0))
    save(folded, models / "lda.safetensors")
    save(model, models / "svm.safetensors")
    ran = featx("info", "--store", str(store.path))
    lda, svm, note = (line for line in ran.stdout.splitlines() if ".safetensors" in line or "different photos" in line)
    assert "% right in cross-validation on 18 photos of other.h5" in lda and "predict" not in lda
    assert "100.0% right on 6 held-out photos   ← used by `featx predict`" in svm
    assert "scored on different photos" in note
