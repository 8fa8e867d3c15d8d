"""Everything the report says, as one JSON document: from a comparison, a store, and what the audit found."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.errors import FeatxError
from featx.metrics.confusion import confusion_counts, most_frequent_mistakes
from featx.metrics.scores import wilson
from featx.report.catalogue_map import map_of
from featx.report.confusion import confusion_of
from featx.report.data_findings import findings_of
from featx.report.published_results import published_for
from featx.report.recommendation import headline, score_of, which_of
from featx.report.retrieval_examples import lookalikes_of
from featx.report.thumbnails import ThumbnailCache

if TYPE_CHECKING:
    from featx.store import Store

Document = dict[str, Any]

SCHEMA = "featx-report/1"
COMPARISON = "featx-comparison/1"
PAIRS = 10
EXAMPLES = 4
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "top3",
    "top5",
    "log_loss",
    "ece",
)


def build_document(
    comparison: Mapping[str, Any],
    folder: Path,
    *,
    store: Store | None = None,
    issues: Mapping[str, Any] | None = None,
    duplicates: Mapping[str, Any] | None = None,
    skipped: Sequence[Mapping[str, str]] | None = None,
    price_per_hour: float | None = None,
    cache: Path | None = None,
    base: Path | None = None,
) -> Document:
    """The report document of a comparison; thumbnails go into `folder`, the map is kept in `cache`."""
    if comparison.get("schema") != COMPARISON:
        raise FeatxError(
            "bad-manifest",
            f"this is not a comparison: its schema is `{comparison.get('schema')}`, not `{COMPARISON}`",
            "make one: `featx compare`",
        )
    paths = {} if store is None else dict(zip(store.ids, store.paths, strict=True))
    named = [] if store is None else _labels(comparison, store)
    labels = {} if store is None else dict(zip(store.ids, named, strict=True))
    pictures = ThumbnailCache(folder, paths, base or Path())
    entry, details = _best(comparison)
    document: Document = {
        "schema": SCHEMA,
        "written": comparison.get("written"),
        "featx": comparison.get("featx"),
        "about": _about(comparison, store, entry),
        "which": which_of(comparison, price_per_hour),
        "honest": _honest(comparison, entry, labels),
        "fails": _fails(details, entry, labels, pictures, _about(comparison, store, entry)["n_categories"]),
        "trust": _trust(details, entry),
        "data": findings_of(issues, duplicates, skipped, pictures),
        "similar": lookalikes_of(_retrieval(comparison, entry), store, named, pictures),
        "map": None if store is None else map_of(store, named, pictures, cache),
        "made": _made(comparison),
    }
    document["changes"] = None
    document["pictures"] = {
        "made": sum(name is not None for name in pictures.made.values()),
        "left_out": pictures.left_out,
        "missing": sorted(pictures.missing)[:50],
        "n_missing": len(pictures.missing),
    }
    return _plain(document)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    """The same with Python's own numbers; what is no number becomes null, as JSON wants it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _best(comparison: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    best = comparison.get("best") or {}
    for entry in comparison.get("entries", ()):
        if entry["store"] == best.get("store") and entry["clf"] == best.get("clf"):
            return entry, (comparison.get("details") or {}).get(f"{entry['store']}/{entry['clf']}") or {}
    raise FeatxError("bad-manifest", "this comparison does not say which entry is best", "run `featx compare` again")


def _store_told(comparison: Mapping[str, Any], entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((one for one in comparison.get("stores", ()) if one["name"] == entry["store"]), {})


def _labels(comparison: Mapping[str, Any], store: Store) -> Sequence[str | None]:
    """The labels that were compared: those people had decided on by then, at the level of the comparison."""
    from featx.labels.training_set import labels_at_level

    entry, _ = _best(comparison)
    relabelled = _store_told(comparison, entry).get("relabelled") or {}
    labels = [relabelled.get(item_id, label) for item_id, label in zip(store.ids, store.labels, strict=True)]
    return labels_at_level(store, labels, (comparison.get("settings") or {}).get("level"))


def _about(comparison: Mapping[str, Any], store: Store | None, entry: Mapping[str, Any]) -> Document:
    told = _store_told(comparison, entry)
    n_photos = told.get("n") if store is None else len(store)
    return {
        "store": entry["store"],
        "backbone": told.get("backbone"),
        "n": n_photos,
        "n_labelled": told.get("n_labelled"),
        "n_products": told.get("n_products"),
        "n_categories": len(told.get("categories") or ()),
    }


def _honest(comparison: Mapping[str, Any], entry: Mapping[str, Any], labels: Mapping[str, str | None]) -> Document:
    told = _store_told(comparison, entry)
    categories = told.get("categories") or sorted({label for label in labels.values() if label})
    measured_on, _ = headline(entry)
    n_test = (entry.get("test") or {}).get("n")
    settings = comparison.get("settings") or {}
    naive = (entry.get("naive") or {}).get("accuracy")
    published, published_on = published_for([str(one) for one in categories], n_test)

    def metrics(scores: Mapping[str, Any] | None) -> list[Document]:
        return [{"metric": name} | found for name in METRICS if (found := score_of((scores or {}).get(name)))]

    return {
        "measured_on": measured_on,
        "n_test": n_test,
        "grouped_by": settings.get("grouped_by"),
        "folds": settings.get("folds"),
        "repeats": settings.get("repeats"),
        "test": metrics(entry.get("test")),
        "cv": metrics(entry.get("cv")),
        "naive": score_of(naive),
        "baselines": [
            {"store": one["store"], "clf": one["clf"], "accuracy": score_of(headline(one)[1].get("accuracy"))}
            for one in comparison["entries"]
            if one.get("baseline")
        ],
        "published": published,
        "published_on": published_on,
        "checks": [dict(check) for check in told.get("checks") or ()],
        "learning_curve": comparison.get("learning_curve"),
        "doubling": comparison.get("doubling"),
    }


def _fails(
    details: Mapping[str, Any],
    entry: Mapping[str, Any],
    labels: Mapping[str, str | None],
    pictures: ThumbnailCache,
    n_known: int,
) -> Document | None:
    if not details.get("per_class"):
        return None
    classes = [str(one) for one in details.get("classes") or ()]
    truth, says = details.get("truth") or [], details.get("says") or []
    taken = most_frequent_mistakes(confusion_counts(truth, says, len(classes))) if truth else [None] * len(classes)
    place = {label: i for i, label in enumerate(classes)}
    photos = Counter(label for label in labels.values() if label)
    rows = []
    for one in details["per_class"]:
        label, n = str(one["label"]), int(one["n"])
        mistake = taken[place[label]] if label in place else None
        # A category without a scored photo has no recall, whatever a division by zero is taken for.
        recall = one.get("recall") if n else None
        interval = wilson(round((recall or 0) * n), n)
        rows.append(
            {
                "label": label,
                "photos": photos.get(label, n) if photos else n,
                "n": n,
                "precision": one.get("precision"),
                "recall": recall,
                "recall_low": interval.low,
                "recall_high": interval.high,
                "f1": one.get("f1") if n else None,
                "taken_for": classes[mistake[0]] if mistake else None,
                "times": mistake[1] if mistake else 0,
            }
        )
    rows.sort(key=lambda row: (row["n"] == 0, 1 if row["recall"] is None else row["recall"], row["label"]))
    pairs = []
    worst = sorted(details.get("confusions") or (), key=lambda pair: -pair["n"])
    for pair in [pair for i, pair in enumerate(worst) if i < 4 or pair["n"] > 1][:PAIRS]:
        right = [i for i, t, s in zip(details.get("ids") or (), truth, says, strict=True) if t == s]
        shown: dict[str, str | None] = {str(pair["truth"]): None, str(pair["says"]): None}
        for item_id in right:
            named = labels.get(item_id)
            if named in shown and shown[named] is None:
                shown[named] = item_id
        pairs.append(
            {
                "truth": str(pair["truth"]),
                "says": str(pair["says"]),
                "n": int(pair["n"]),
                "examples": [photo(i, labels, pictures) for i in list(pair.get("examples") or ())[:EXAMPLES]],
                "typical": [photo(i, labels, pictures) for i in shown.values() if i is not None],
            }
        )
    rare = sorted((row for row in rows if row["n"]), key=lambda row: (row["photos"], row["label"]))[:8]
    return {
        "measured_on": details.get("measured_on"),
        "per_class": rows,
        "n_unscored": max(0, n_known - sum(row["n"] > 0 for row in rows)),
        "pairs": pairs,
        "confusion": confusion_of(dict(details)),
        "rare": [{key: row[key] for key in ("label", "photos", "n", "recall")} for row in rare],
        "coarse": _coarse(entry),
        "outcomes": _outcomes(details),
    }


def _coarse(entry: Mapping[str, Any]) -> Document | None:
    told = entry.get("coarse") or {}
    score = score_of(told.get("test") or told.get("cv"))
    return None if score is None else {**score, "level": told.get("level"), "classes": told.get("classes")}


def photo(item_id: str, labels: Mapping[str, str | None], pictures: ThumbnailCache) -> Document:
    """A photo as the report names it: id, category, thumbnail."""
    return {"id": str(item_id), "label": labels.get(item_id), "thumbnail": pictures.name(item_id)}


def _outcomes(details: Mapping[str, Any]) -> Document | None:
    """Which photos were right, in one bit each, so that a later report can compare photo by photo."""
    if not details.get("ids"):
        return None
    import base64
    import hashlib

    order = sorted(range(len(details["ids"])), key=lambda i: str(details["ids"][i]))
    right = [details["truth"][i] == details["says"][i] for i in order]
    names = "\n".join(str(details["ids"][i]) for i in order)
    return {
        "ids": hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest(),
        "n": len(order),
        "right": base64.b64encode(np.packbits(right).tobytes()).decode(),
    }


def _trust(details: Mapping[str, Any], entry: Mapping[str, Any]) -> Document | None:
    """How far the probabilities can be trusted; the thresholds are those that the comparison decided on."""
    if not details.get("reliability") and not details.get("confidence"):
        return None
    correct = [t == s for t, s in zip(details.get("truth") or (), details.get("says") or (), strict=True)]
    confidence = list(details.get("confidence") or ())
    n, automation = len(confidence), details.get("automation") or {}
    return {
        "measured_on": details.get("measured_on"),
        "n": n,
        "enough": automation.get("coverage") is not None,
        "products": automation.get("n"),
        "needed": automation.get("needed"),
        "accuracy": sum(correct) / n if n else None,
        "confidence": sum(confidence) / n if n else None,
        "ece": score_of(headline(entry)[1].get("ece")),
        "reliability": [dict(one) for one in details.get("reliability") or ()],
        "coverage": [dict(one) for one in details.get("coverage") or ()],
        "thresholds": [dict(one) for one in details.get("thresholds") or ()],
    }


def _retrieval(comparison: Mapping[str, Any], entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = (comparison.get("retrieval") or {}).get(entry["store"])
    return found if isinstance(found, Mapping) else None


def _made(comparison: Mapping[str, Any]) -> Document:
    return {
        "command": list(comparison.get("command") or ()),
        "commands": _commands(comparison),
        "machine": dict(comparison.get("machine") or {}),
        "settings": dict(comparison.get("settings") or {}),
        "seconds": comparison.get("seconds"),
        "peak_memory": comparison.get("peak_memory"),
        "stores": [
            {key: value for key, value in one.items() if key not in ("categories", "checks")}
            for one in comparison.get("stores") or ()
        ],
    }


def _commands(comparison: Mapping[str, Any]) -> list[str]:
    """What to type to make it again: the extraction of each store where it is known, then the comparison."""
    extracted = [(one.get("extracted") or {}).get("command") for one in comparison.get("stores") or ()]
    compared = shlex.join(str(word) for word in comparison.get("command") or ())
    return [" ".join(str(one).split()) for one in dict.fromkeys([*extracted, compared]) if one]
