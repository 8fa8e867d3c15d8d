"""Categories without a single photo: what a studio picture, a description and the text on photos are worth.

    python benchmarks/few_shot_from_text.py STORE GROCERY

STORE holds the photos of the Grocery Store Dataset, labelled with their fine class, and was read by `featx read`;
GROCERY is the data set's folder, with classes.csv, studio pictures and descriptions. No photo of STORE teaches
anything, but in the last part, where those of other categories teach how descriptions look.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.columns.encoders import TextEncoder
from featx.classifiers.columns.learning import learn_texts
from featx.compute.vectors import unit_queries, unit_rows
from featx.embedding.single import Embedder
from featx.store import Store, open_store
from featx.text import read_texts
from featx.text.meaning import meaning_rows

Scores = NDArray[np.float32]
FOLDS, STRENGTH = 5, 1.0


@dataclass(frozen=True)
class Categories:
    """The categories, with a studio picture and a text of each."""

    names: list[str]
    pictures: list[Path]
    texts: list[str]

    @classmethod
    def of(cls, grocery: Path, known: set[str]) -> Categories:
        """Those of the data set that a store has."""
        with (grocery / "classes.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row[0] in known]
        texts = [(grocery / row[5].lstrip("/")).read_text(encoding="utf-8") for row in rows]
        names = [row[0] for row in rows]
        told = [f"{name.replace('-', ' ')}. {text}" for name, text in zip(names, texts, strict=True)]
        return cls(names, [grocery / row[4].lstrip("/") for row in rows], told)


def by_pieces(texts: list[str], categories: list[str]) -> Scores:
    """How many rare pieces of words a text shares with that of each category."""
    encoder = learn_texts(categories)
    return _weights(encoder, texts) @ _weights(encoder, categories).T


def _weights(encoder: TextEncoder, texts: list[str]) -> Scores:
    rows = np.zeros((len(texts), len(encoder.pieces)), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        indices, weights = encoder.weighed(text)
        row[indices] = weights
    return rows


def joined(*scores: Scores) -> Scores:
    """The sum of several scores, each in its own standard deviations; one that prefers nothing has no say."""
    spread = [part.std(axis=1, keepdims=True) for part in scores]
    middle = [part.mean(axis=1, keepdims=True) for part in scores]
    parts = [(x - m) / np.where(s > 0, s, 1) for x, m, s in zip(scores, middle, spread, strict=True)]
    return np.sum(parts, axis=0).astype(np.float32)


def without_photos(
    store: Store, categories: Categories, pictures: Scores, texts: list[str]
) -> Iterator[tuple[str, Scores]]:
    """Each way of answering, with a score for each photo and category."""
    by_picture = unit_rows(store.features) @ pictures.T
    words, given = by_pieces(texts, categories.texts), np.array([bool(text) for text in texts])[:, None]
    meant = (meaning_rows(texts) @ meaning_rows(categories.texts).T) * given
    yield "the studio picture", by_picture
    yield "read text and description, by pieces of words", words
    yield "read text and description, by meaning", meant
    yield "picture and pieces", joined(by_picture, words)
    yield "picture and meaning", joined(by_picture, meant)


def described(store: Store, categories: Categories, pictures: Scores, truth: NDArray[np.intp]) -> Iterator[str]:
    """Descriptions of new categories, seen as photos by a map that other categories taught."""
    rows, meaning = unit_rows(store.features), meaning_rows(categories.texts)
    centres = np.array([rows[truth == i].mean(axis=0) for i in range(len(categories.names))])
    fold = np.random.default_rng(0).permutation(len(categories.names)) % FOLDS
    right: dict[str, list[bool]] = {"its description": [], "its studio picture": [], "both": []}
    for new in range(FOLDS):
        learn, unseen = np.flatnonzero(fold != new), np.flatnonzero(fold == new)
        middle, text = centres[learn].mean(axis=0), meaning[learn].mean(axis=0)
        known = meaning[learn] - text
        ridge = np.linalg.solve(
            known.T @ known + STRENGTH * np.eye(known.shape[1]), known.T @ (centres[learn] - middle)
        )
        photos = np.flatnonzero(np.isin(truth, unseen))
        by_text = rows[photos] @ unit_rows(middle + (meaning[unseen] - text) @ ridge).T
        by_picture = rows[photos] @ pictures[unseen].T
        answers = {"its description": by_text, "its studio picture": by_picture, "both": joined(by_text, by_picture)}
        for name, scores in answers.items():
            right[name] += (unseen[scores.argmax(axis=1)] == truth[photos]).tolist()
    chance = FOLDS / len(categories.names)
    yield f"among about {len(categories.names) // FOLDS} new categories (chance {chance:.0%}):"
    yield from (f"  {name:20s} {np.mean(answers):6.1%}" for name, answers in right.items())


def _shares(right: NDArray[np.bool_], groups: Mapping[str, NDArray[np.bool_]]) -> str:
    return "   ".join(f"{name} {right[rows].mean():6.1%}" for name, rows in groups.items())


def main() -> None:
    store, grocery = open_store(sys.argv[1]), Path(sys.argv[2])
    categories = Categories.of(grocery, {label for label in store.labels if label})
    truth = np.array([categories.names.index(str(label)) for label in store.labels])
    read = read_texts(store)
    texts = [read.get(item_id, "") for item_id in store.ids]
    embed = Embedder(store.path)
    pictures = unit_queries(np.stack([embed(path) for path in categories.pictures]))
    packed = np.array(["/Packages/" in path for path in store.paths])
    groups = {
        "all": np.ones(len(store), dtype=bool),
        "packages": packed,
        "of these read": packed & np.array(texts, bool),
    }
    print(f"{len(store):,} photos, {len(categories.names)} categories, none of them with a photo to learn from")
    for name, scores in without_photos(store, categories, pictures, texts):
        print(f"{name:46s} {_shares(scores.argmax(axis=1) == truth, groups)}")
    print("\n".join(described(store, categories, pictures, truth)))


if __name__ == "__main__":
    main()
