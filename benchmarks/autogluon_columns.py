"""AutoGluon's tables: the features of photos and their text as columns of one table, in an environment that has it.

    PYTHON benchmarks/autogluon_columns.py TASK.npz ANSWERS.json

`text_and_image.py --autogluon PYTHON` writes the task and starts this file; it imports no featx. AutoGluon tries
LightGBM, forests, extra trees and a linear model (those that its environment has) on one core, counts the words of the
text itself, and answers with the best of them and their ensemble.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main(task: Path, answers: Path) -> None:
    import pandas as pd
    from autogluon.tabular import TabularPredictor

    with np.load(task, allow_pickle=False) as given:
        features, texts, labels, folds = (given[name] for name in ("features", "texts", "labels", "folds"))
        seconds = float(given["seconds"])
    photos = pd.DataFrame(features, columns=[f"f{i}" for i in range(features.shape[1])])
    table = pd.concat([photos, pd.Series(texts.astype(object), name="text")], axis=1)
    said = [""] * len(labels)
    begun = time.process_time()
    # Row i of fold k: 0 learn, 1 score, anything else neither.
    for fold in folds:
        learn, score = np.flatnonzero(fold == 0), np.flatnonzero(fold == 1)
        with tempfile.TemporaryDirectory() as folder:
            predictor = TabularPredictor("label", path=folder, verbosity=0, eval_metric="accuracy")
            models = {"GBM": {}, "RF": {}, "XT": {}, "LR": {}}
            rows = table.iloc[learn].assign(label=labels[learn])
            predictor.fit(rows, time_limit=seconds, hyperparameters=models, num_cpus=1)
            for i, label in zip(score, predictor.predict(table.iloc[score]), strict=True):
                said[i] = str(label)
    answers.write_text(json.dumps({"said": said, "cpu": time.process_time() - begun}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
