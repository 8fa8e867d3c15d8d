"""Catalogues and comparisons made up for the report's tests: every figure known, photos drawn, nothing fitted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from featx.backbones import Fingerprint
from featx.metrics.selective import automation_at, coverage_curve, min_products_for
from tests.conftest import toy_fingerprint

SCRIPT = "<script>window.stolen=1</script>"


@dataclass
class Catalogue:
    """What the report needs of a store, without one."""

    ids: list[str]
    paths: list[str]
    labels: list[str | None]
    products: list[str | None]
    features: np.ndarray

    fingerprint: Fingerprint = field(default_factory=lambda: toy_fingerprint(24))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def digests(self) -> list[str]:
        return [f"{i:064x}" for i in range(len(self.ids))]


def catalogue(
    folder: Path, classes: list[str], each: int, *, seed: int = 0, photos: int | None = None, width: int = 24
) -> Catalogue:
    """`each` photos a category around a centre of its own; the first `photos` are drawn, the others share a file."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(len(classes), width))
    n = len(classes) * each
    truth = np.repeat(np.arange(len(classes)), each)
    features = (centres[truth] + 0.9 * random.normal(size=(n, width))).astype(np.float32)
    drawn = n if photos is None else photos
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n):
        path = folder / f"{min(i, drawn - 1)}.jpg"
        if i < drawn:
            colour = random.integers(30, 226, 3)
            pixels = np.clip(colour + random.normal(0, 12, (64, 80, 3)), 0, 255).astype(np.uint8)
            pixels[16:48, 20:60] = 255 - colour
            Image.fromarray(pixels).save(path, quality=85)
        paths.append(str(path))
    ids = [f"item{i:05d}" for i in range(n)]
    return Catalogue(ids, paths, [classes[t] for t in truth], [f"p{i // 2}" for i in range(n)], features)


def comparison(store: Catalogue, *, right: float = 0.8, seed: int = 1, clfs: tuple[str, ...] = ("svm", "knn")) -> dict:
    """A comparison of the documented shape over half of the catalogue, with about `right` of it right."""
    random = np.random.default_rng(seed)
    classes = sorted({label for label in store.labels if label})
    index = {label: i for i, label in enumerate(classes)}
    rows = np.arange(0, len(store), 2)
    truth = np.array([index[store.labels[i]] for i in rows])
    wrong = random.random(len(rows)) > right
    # Mistakes go to a neighbouring category, as they do in life.
    says = np.where(wrong, (truth + random.choice([1, 1, 2], len(rows))) % len(classes), truth)
    confidence = np.clip(np.where(wrong, 0.55, 0.85) + random.normal(0, 0.12, len(rows)), 0.05, 0.999)
    accuracy = float(np.mean(truth == says))

    def scores(value: float) -> dict:
        score = {"value": value, "low": max(0.0, value - 0.03), "high": min(1.0, value + 0.03)}
        return {
            name: dict(score)
            for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "top3", "top5", "log_loss", "ece")
        }

    def folds(value: float) -> dict:
        return {
            name: {
                "mean": score["value"],
                "sd": 0.01,
                "low": score["low"],
                "high": score["high"],
                "folds": [score["value"]] * 5,
            }
            for name, score in scores(value).items()
        }

    entries = [
        {
            "store": store_name,
            "clf": clf,
            "baseline": store_name == "colour",
            "settings": {},
            "test": {**scores(accuracy - 0.04 * i - 0.2 * (store_name == "colour")), "n": len(rows)},
            "cv": folds(accuracy + 0.05 - 0.04 * i),
            "naive": {"accuracy": {"mean": min(1.0, accuracy + 0.1), "low": None, "high": None}},
            "coarse": {
                "level": "family",
                "classes": 3,
                "test": {"value": min(1.0, accuracy + 0.07), "low": accuracy, "high": 1.0},
                "cv": None,
            },
            "fit_seconds": 1.5 + i,
            "predict_seconds": 0.02,
            "bytes": 40_000 * (i + 1),
        }
        for store_name in ("builtin", "colour")
        for i, clf in enumerate(clfs)
    ]
    matrix = Counter((int(t), int(s)) for t, s in zip(truth, says, strict=True) if t != s)
    per_class = []
    for i, label in enumerate(classes):
        hit, n, answered = int(np.sum((truth == i) & (says == i))), int(np.sum(truth == i)), int(np.sum(says == i))
        recall, precision = hit / max(n, 1), hit / answered if answered else 0.0
        f1 = 2 * recall * precision / (recall + precision) if hit else 0.0
        per_class.append({"label": label, "n": n, "precision": precision, "recall": recall, "f1": f1})
    ids = [store.ids[i] for i in rows]
    confusions = [
        {
            "truth": classes[t],
            "says": classes[s],
            "n": n,
            "examples": [ids[k] for k in np.flatnonzero((truth == t) & (says == s))[:6]],
        }
        for (t, s), n in matrix.most_common(40)
    ]
    reliability = []
    for low in np.arange(0, 1, 0.1):
        inside = (confidence >= low) & (confidence < low + 0.1)
        if inside.any():
            score = {"confidence": float(confidence[inside].mean()), "n": int(inside.sum())}
            score["accuracy"] = float(np.mean(truth[inside] == says[inside]))
            reliability.append({"low": float(low), "high": float(low + 0.1), **score})
    # Products enough, as the photos of these catalogues are their own.
    thresholds = []
    for target in (0.8, 0.9, 0.95, 0.98, 0.99):
        cut = {**vars(automation_at(confidence, truth == says, target)), "target": target, "measured_on": "test"}
        thresholds.append({**cut, "n": len(rows), "needed": min_products_for(target)})
    thresholds = [row for row in thresholds if row["n"] >= row["needed"]]
    few = {"target": 0.98, "coverage": None, "threshold": None, "measured_on": "test", "n": len(rows), "needed": 150}
    automation = next((row for row in thresholds if row["target"] == 0.98), few) | {"held_out": None}
    stores = [
        {
            "name": name,
            "path": f"artifacts/embeddings/{name}.h5",
            "fingerprint": {"backbone": name, "width": 24},
            "backbone": name,
            "width": 24,
            "n": len(store),
            "n_labelled": len(store),
            "n_products": len(set(store.products)),
            "categories": classes,
            "bytes": 100_000,
            "images_per_second": rate,
            "checks": [
                {"code": "FX101", "level": "passed", "share": 0.04},
                {"code": "FX103", "level": "warning", "share": 0.2},
            ],
        }
        for name, rate in (("builtin", 99.3), ("colour", 850.0))
    ]
    return {
        "schema": "featx-comparison/1",
        "written": "2026-01-02T03:04:05Z",
        "featx": "0.1",
        "command": ["featx", "compare"],
        "machine": {"cores": 4, "memory": "16 GB"},
        "settings": {"folds": 5, "repeats": 2, "seed": 0, "grouped_by": "product"},
        "stores": stores,
        "entries": entries,
        "tests": [
            {
                "a": ["builtin", clfs[0]],
                "b": ["builtin", clfs[1]],
                "metric": "accuracy",
                "difference": 0.04,
                "low": 0.01,
                "high": 0.07,
                "p": 0.004,
                "p_holm": 0.012,
                "level": 0.05,
                "verdict": "a",
            }
        ],
        "best": {"store": "builtin", "clf": clfs[0], "ties": [], "why": "the highest score on the held-out photos"},
        "details": {
            f"builtin/{clfs[0]}": {
                "measured_on": "test",
                "ids": ids,
                "truth": truth.tolist(),
                "says": says.tolist(),
                "confidence": confidence.tolist(),
                "classes": classes,
                "per_class": per_class,
                "confusions": confusions,
                "reliability": reliability,
                "coverage": coverage_curve(confidence, truth == says),
                "automation": automation,
                "thresholds": thresholds,
            }
        },
        "learning_curve": [
            {"per_class": size, "accuracy": {"mean": accuracy - 0.3 / size**0.5, "sd": 0.02}, "n": size * len(classes)}
            for size in (2, 5, 10, 20)
        ],
        "retrieval": {
            "builtin": {
                name: {"value": 0.7, "low": 0.66, "high": 0.74}
                for name in ("recall_at_1", "recall_at_5", "recall_at_10", "precision_at_10", "map")
            }
            | {
                "categories": [
                    {"label": label, "recall_at_1": 0.9 - 0.8 * i / len(classes), "map": 0.5}
                    for i, label in enumerate(classes)
                ]
            }
        },
        "seconds": 12.5,
    }


class Numbers(HTMLParser):
    """Every number that the page shows, with the place it claims to be from."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[dict, str]] = []
        self._open: dict | None = None

    def handle_starttag(self, tag, attrs):
        if tag == "data":
            self._open = dict(attrs)

    def handle_data(self, data):
        if self._open is not None:
            self.found.append((self._open, data))
            self._open = None
