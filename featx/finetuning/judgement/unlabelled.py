"""`--unlabelled DIR`: photos without categories, for a teacher to answer or for the tuned network to label itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.reading import read_catalogue
from featx.classifiers.solvers import ShrinkageLDA
from featx.compute.vectors import max_cosines, unit_rows
from featx.errors import FeatxError
from featx.finetuning.judgement.division import Photos
from featx.labels.folds import NEAR_CERTAIN
from featx.metrics.selective import automation_at

# A label is taken from the network where so large a share of the judging photos that it is as sure of is right.
TARGET = 0.98


@dataclass(frozen=True)
class Extra:
    """Photos without categories that resemble no photo that judges: their paths by digest."""

    paths: Mapping[str, str]

    @property
    def digests(self) -> list[str]:
        """In the order of the digests, so that names of files do not count."""
        return sorted(self.paths)


@dataclass(frozen=True)
class Guessed:
    """The photos that the network is sure of, the categories it takes them for, and how sure it must be."""

    digests: list[str]
    truth: NDArray[np.intp]
    threshold: float | None

    @classmethod
    def by_teacher(cls, extra: Extra) -> Guessed:
        """No guesses: a teacher answers for all of them."""
        return cls(extra.digests, np.full(len(extra.paths), -1, dtype=np.intp), None)


def paths_of(source: str) -> list[str]:
    """The photos of a folder or table, whatever labels they have."""
    paths = [item.path for item in read_catalogue(source).items]
    if not paths:
        raise FeatxError("no-images", f"no photo is in `{source}`", "name a folder with photos: `--unlabelled DIR`")
    return paths


def extra_of(photos: Photos, paths: Mapping[str, str], features: Mapping[str, NDArray[np.float32]]) -> Extra:
    """Those photos that are neither labelled already nor nearly copies of photos that judge or test."""
    new = sorted(paths.keys() - set(photos.digests))
    held = np.concatenate([photos.judge, photos.test])
    if new:
        near = max_cosines(unit_rows(np.stack([features[d] for d in new])), unit_rows(photos.store.features[held]))
        new = [digest for digest, cosine in zip(new, near, strict=True) if cosine < NEAR_CERTAIN]
    return Extra({digest: paths[digest] for digest in new})


def guessed(photos: Photos, rows: NDArray[np.float32], extra: Extra, extra_rows: NDArray[np.float32]) -> Guessed:
    """Label photos where a discriminant analysis is as sure as it must be to be right on the judging photos."""
    unit = unit_rows(rows)
    lda = ShrinkageLDA(photos.shrinkage).fit(unit[photos.learn], photos.truth(photos.learn))
    judged = np.asarray(lda.predict_proba(unit[photos.judge]))
    right = np.asarray(lda.classes_)[judged.argmax(axis=1)] == photos.truth(photos.judge)
    threshold = automation_at(judged.max(axis=1), right, TARGET).threshold
    if threshold is None:
        return Guessed([], np.zeros(0, dtype=np.intp), None)
    chances = np.asarray(lda.predict_proba(unit_rows(extra_rows)))
    sure = np.flatnonzero(chances.max(axis=1) >= threshold)
    truth = np.asarray(lda.classes_)[chances[sure].argmax(axis=1)].astype(np.intp)
    return Guessed([extra.digests[i] for i in sure], truth, threshold)
