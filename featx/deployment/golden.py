"""Photos with the answers of featx, in a file that the runner can compare its own answers with."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx.catalogue.items import Item
from featx.classifiers.columns.values import Columns, rows_of
from featx.deployment.columns import as_in_tables, columns_as_json, drawn_columns
from featx.embedding.stream import embed, read_source
from featx.files.atomic import write_atomic
from featx.prediction.predict import Predictor
from featx.prediction.review import DecisionRule
from featx.samples import CATEGORIES, write_catalogue

# Drawn photos in a deployment; the planted faults of the sample catalogue come first.
COUNT = 20
EXPECTED = "expected.npz"


@dataclass(frozen=True)
class ExpectedAnswers:
    """Photos that could be read, their columns as JSON, and the outputs that the graph must give for them."""

    paths: list[str]
    arrays: dict[str, np.ndarray]
    columns: list[str] | None = None

    def write(self, path: Path, names: Sequence[str]) -> None:
        """Write the answers, for photos of these names beside the file."""
        file = io.BytesIO()
        columns = {} if self.columns is None else {"columns": np.array(self.columns)}
        arrays: dict[str, Any] = {"files": np.array(names), **columns, **self.arrays}
        np.savez_compressed(file, **arrays)
        write_atomic(path, file.getvalue())


def expected_answers(
    predictor: Predictor, rule: DecisionRule, paths: Sequence[str], columns: Columns | None = None
) -> ExpectedAnswers | None:
    """The answers of featx to photos; those that cannot be read are left out, and None is left where all are.

    Their columns are those given, else what the store knows of each photo.
    """

    def read(item: Item) -> Any:
        return read_source(item.path, exact=predictor.exact, name=item.path)

    items = [Item(path, path) for path in paths]
    with embed(items, lambda: predictor.backbone, read=read, known=lambda digest: None, workers=2) as stream:
        photos = list(stream)
    rows = {i: photo.features for i, photo in enumerate(photos) if photo.features is not None}
    if not rows:
        return None
    columns = columns or as_in_tables(predictor.columns.known(photos, count=False))
    readable, features = list(rows), np.stack(list(rows.values()))
    shares = predictor.model.predict_proba(features, columns and rows_of(columns, readable))
    similarity = predictor.model.novelty.similarity(features)
    label = shares.argmax(axis=1)
    names = [predictor.model.classes[i] for i in label]
    least = predictor.model.novelty.threshold
    flags = [rule.flags(dict(zip(predictor.model.classes, row, strict=True))) for row in shares.tolist()]
    answers = zip(names, shares.max(axis=1).tolist(), similarity.tolist(), flags, strict=True)
    sure = np.array([not rule.doubt(name, share, near, least, may_be) for name, share, near, may_be in answers])
    return ExpectedAnswers(
        [paths[i] for i in readable],
        {
            "label": label.astype(np.int64),
            "probabilities": shares.astype(np.float32),
            "sure": sure,
            "similarity": similarity.astype(np.float32),
            "embedding": features.astype(np.float32),
        },
        None if columns is None else columns_as_json(columns, readable),
    )


def write_golden(folder: Path, predictor: Predictor, rule: DecisionRule) -> None:
    """Draw photos into a folder, rotated, transparent and CMYK ones among them, with the answers of featx."""
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="featx-") as drawn:
        rows = write_catalogue(drawn, products=len(CATEGORIES), shots=2)
        rows = sorted(rows, key=lambda row: (row.fault not in ("rotated", "transparent", "cmyk"), row.shot, row.sku))
        for row in rows[:COUNT]:
            name = Path(row.image).name
            (folder / name).write_bytes((Path(drawn) / row.image).read_bytes())
    paths = sorted(str(path) for path in folder.iterdir())
    fusion = predictor.model.fusion
    columns = None if fusion is None else drawn_columns(fusion.encoder, len(paths))
    answers = expected_answers(predictor, rule, paths, columns)
    assert answers is not None
    answers.write(folder / EXPECTED, [Path(path).name for path in answers.paths])
