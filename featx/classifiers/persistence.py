"""A trained classifier: what it answers, and how it is kept in a file that can be audited before it is loaded."""

from __future__ import annotations

import errno
import hashlib
import importlib
import io
import json
import os
import re
import sys
import zipfile
from contextlib import suppress
from glob import escape as escaped
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from featx.backbones.fingerprint import Fingerprint
from featx.classifiers.card import card_bytes, page, read_card
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.verification import UntrustedClassifier, verify_archive, verify_classifier
from featx.errors import FeatxError
from featx.files.atomic import fsync_folder, remove_stale_temporaries, write_atomic
from featx.files.locks import LockHeld, folder_lock
from featx.files.regular import read_regular

# The only types a classifier file may hold beside plain numbers and texts. What the file itself lists is never trusted.
TRUSTED = [
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._data.Normalizer",
    "featx.classifiers.solvers.lda.LDAProjection",
    "featx.classifiers.solvers.lda.ShrinkageLDA",
    "featx.classifiers.solvers.linear_models.LinearSVM",
    "featx.classifiers.solvers.linear_models.Logistic",
    "featx.classifiers.solvers.kernel_svm.KernelSVM",
    "featx.classifiers.solvers.knn.SoftKNN",
    "sklearn.decomposition._pca.PCA",
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    "sklearn.neighbors._nearest_centroid.NearestCentroid",
    "featx.classifiers.solvers.centroid.Centroid",
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.tree._classes.ExtraTreeClassifier",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._tree.Tree",
]
# How the name of a classifier ends whose card is about to be put in place.
WAITING = ".next"


def save(model: Classifier, path: Path) -> None:
    """Write a classifier and its cards: whenever this stops, the old one or the new one loads, whole."""
    _must_be_free(path)
    data = _without_chance(
        _skops().dumps(
            {
                "pipeline": model.pipeline,
                "classes": model.classes,
                "temperature": model.temperature,
                "familiar": model.familiar.rows,
                "familiar_from": model.familiar.threshold,
            }
        )
    )
    model.card = {**model.card, "model": str(path), "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    card = card_bytes(model.card)
    waiting = _waiting(path, model.card["sha256"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with folder_lock(path.parent):
            # Two files cannot change in one step. The card does: until it names the new classifier the old one answers,
            # and from then on whoever finds the old file beside it takes the one that waits for its name.
            write_atomic(waiting, data)
            write_atomic(path.with_suffix(".json"), card)
            _name(waiting, path)
            fsync_folder(path.parent)
            for leftover in path.parent.glob(f".{escaped(path.name)}.*{WAITING}"):
                leftover.unlink(missing_ok=True)
            remove_stale_temporaries(path)
        write_atomic(path.with_suffix(".md"), page(model.card).encode("utf-8", "backslashreplace"))
    except LockHeld as error:
        raise FeatxError(
            "store-busy",
            f"another featx has been saving a classifier in {path.parent} for a minute",
            "wait until it is done, or save into another folder",
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise FeatxError(
            "disk-full" if full else "no-permission",
            f"cannot write `{path}`: {error.strerror or error}",
            "free some space and run it again" if full else "make the folder writable",
        ) from error


def _without_chance(data: bytes) -> bytes:
    """The same file without the time and the addresses in memory it was made at: equal classifiers have equal bytes."""
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def numbered(node: dict[str, Any]) -> dict[str, Any]:
        if isinstance(node.get("__id__"), int):
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if isinstance(node.get("file"), str):
            node["file"] = names.setdefault(node["file"], f"{len(names)}{Path(node['file']).suffix}")
        return node

    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(kept, "w") as after:
        schema = json.loads(before.read("schema.json"), object_hook=numbered)
        for old, new in names.items():
            after.writestr(zipfile.ZipInfo(new), before.read(old))
        after.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema))
    return kept.getvalue()


# One of these stands in whatever featx wrote there, even if a part of it is damaged.
MARKS = {
    ".json": (b'"card_sha256"', b'"fingerprint"', b'"temperature"'),
    ".md": (b"Fingerprint: `", b"SHA-256 of the classifier", b" features\n\n"),
}


def _must_be_free(path: Path) -> None:
    """An older classifier and its cards are replaced, but not somebody's own `shop.json` beside `shop.skops`."""
    if path.suffix in MARKS:
        raise FeatxError("bad-flag", f"`{path.name}` is the name of a card", "end the classifier's name in .skops")
    marks = MARKS if path.suffix == ".skops" else {path.suffix: (b"PK",), **MARKS}
    for suffix, known in marks.items():
        beside, said = path.with_suffix(suffix), b""
        with suppress(OSError):
            said = read_regular(beside)
        if said and not any(mark in said for mark in known):
            raise FeatxError(
                "bad-flag",
                f"`{beside}` was not written by featx, and is not replaced",
                "save the classifier under another name",
            )


def load_classifier(path: Path | str) -> Classifier:
    """Read a classifier: its digest is checked before a byte is parsed, then its types against a fixed list."""
    skops = _skops()
    from skops.io.exceptions import UntrustedTypesFoundException

    path = Path(path)
    try:
        card, data = _read(path)
    except FileNotFoundError as error:
        raise FeatxError("no-model", f"no classifier at `{path}`", "train one: `featx fit`") from error
    except OSError as error:
        raise _broken(path, f"it cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise _broken(path, str(error)) from error
    try:
        verify_archive(data, TRUSTED)
        strange = sorted(set(skops.get_untrusted_types(data=data)) - set(TRUSTED))
        if strange:
            raise _broken(path, f"it holds types no classifier of featx has: {', '.join(strange[:3])}")
        held = skops.load(io.BytesIO(data), trusted=TRUSTED)
        verify_classifier(held, card["fingerprint"]["width"])
        return _made(card, held)
    except UntrustedTypesFoundException as error:
        raise _broken(path, "it holds types no classifier of featx has") from error
    except UntrustedClassifier as error:
        raise _broken(path, str(error)) from error
    except FeatxError:
        raise
    except Exception as error:
        raise _broken(path, f"it cannot be parsed ({type(error).__name__}: {error})") from error


def _made(card: dict[str, Any], held: dict[str, Any]) -> Classifier:
    """A classifier of what a file holds, once it was vetted; Unfit where that and its card tell of two."""
    classes, familiar = held["classes"], NoveltyDetector(np.asarray(held["familiar"]), float(held["familiar_from"]))
    if classes != card["labels"] or not set(map(str, held["pipeline"].classes_)) <= set(classes):
        raise UntrustedClassifier("its categories are not those on its card")
    try:
        fingerprint = Fingerprint.from_dict(card["fingerprint"])
    except FeatxError as error:
        raise UntrustedClassifier(error.message) from error
    return Classifier(card["clf"], held["pipeline"], classes, held["temperature"], fingerprint, familiar, card)


def _skops() -> ModuleType:
    """skops without what it looks at but never needs: all of scikit-learn, one corner of which loads torch whole."""
    corner = "sklearn.externals.array_api_compat.torch"
    hidden = corner not in sys.modules and "torch" not in sys.modules
    if hidden:
        # Listing scikit-learn's estimators passes over a module that cannot be imported.
        sys.modules[corner] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("skops.io")
    finally:
        if hidden:
            del sys.modules[corner]


def _broken(path: Path, why: str) -> FeatxError:
    return FeatxError(
        "model-broken", f"`{path}` is not a classifier featx can trust: {why}", "train again: `featx fit`"
    )


def _name(waiting: Path, path: Path) -> None:
    """Give a waiting file its name too; a disk on which a rename is not all or nothing still holds it as it waited."""
    second = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        os.link(waiting, second)
    except OSError:  # a disk without hard links
        second = waiting
    os.replace(second, path)


def _waiting(path: Path, sha256: str) -> Path:
    """Where a classifier lies while its card is being put in place."""
    return path.with_name(f".{path.name}.{sha256[:16]}{WAITING}")


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The card of a classifier and the bytes it vouches for, however far somebody is with writing another."""
    card_path, said = path.with_suffix(".json"), b""
    while (now := read_regular(card_path)) != said:
        said = now
        card = read_card(said)
        expected = str(card["sha256"])
        if not re.fullmatch("[0-9a-f]{64}", expected):
            raise ValueError("no SHA-256")
        found = False
        # In this order: what is no longer waiting has its name.
        for place in (_waiting(path, expected), path):
            with suppress(FileNotFoundError):
                data, found = read_regular(place), True
                if hashlib.sha256(data).hexdigest() == expected:
                    return card, data
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    raise _broken(path, "its SHA-256 is not the one on its card")
