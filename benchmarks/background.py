"""Does `featx explain` warn where the background gives a category away, and only there?

    python benchmarks/background.py STORE [--photos 60] [--seed 0]

An LDA learns from the photos of a store's `train` split and explains held-out ones (any, where none are held out): how
often the border alone is enough for the answer, how often the answer needs it, and how often both, which is the
warning. Then the photos of the largest category are cut in two at random, a mark is drawn into a corner of each photo
of one half, and an LDA learns to tell the halves apart from half of the photos: nothing but the mark can. How often are
the others warned of, with the mark and without it?
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from featx.classifiers.fit import fit
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.embedding.reopen import reopen_backbone
from featx.explanation.explainer import Explainer, Explanation
from featx.images import read_photo
from featx.prediction.predict import Predictor
from featx.store import Store, open_store


def print_shares(what: str, results: Sequence[Explanation]) -> None:
    """How often the border suffices, is needed, and both."""
    suffices = np.array([result.border.middle_blurred.category == result.category for result in results])
    needed = np.array([result.border.border_blurred.category != result.category for result in results])
    warned = np.array([result.border.decides for result in results])
    print(
        f"{what}, {len(results)} photos: the border suffices in {suffices.mean():.0%}, "
        f"is needed in {needed.mean():.0%}, is warned of in {warned.mean():.0%}"
    )


def as_it_is(explainer: Explainer, store: Store, n: int, random: np.random.Generator) -> None:
    """Print how often photos are warned of as they are."""
    held = [i for i, split in enumerate(store.splits) if split in ("val", "test")] or list(range(len(store)))
    print_shares("as they are", [explainer(store.paths[i]) for i in random.permutation(held)[:n]])


def marked(image: Image.Image) -> Image.Image:
    """The photo with a mark in its upper left corner."""
    side = min(image.size) // 8
    drawn = image.convert("RGB").copy()
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((side // 4, side // 4, side + side // 4, side + side // 4), fill=(250, 250, 250))
    pen.rectangle((side // 2, side // 2, side, side), fill=(20, 20, 20))
    return drawn


def with_marks(explainer: Explainer, store: Store, n: int, random: np.random.Generator) -> None:
    """Print how often the warning is there where a mark decides."""
    names, counts = np.unique([str(label) for label in store.labels if label], return_counts=True)
    own = np.flatnonzero(np.array(store.labels) == names[counts.argmax()])
    images = [read_photo(store.paths[i]).image for i in random.permutation(own)[: 2 * n]]
    labels = np.array(["marked", "plain"])[np.arange(len(images)) % 2]
    shown = [marked(image) if label == "marked" else image for image, label in zip(images, labels, strict=True)]
    encoder = explainer.predictor.backbone
    features = np.concatenate([encoder.features([encoder.prepare(image)]) for image in shown])
    learn = np.arange(len(labels)) % 4 < 2
    pipeline = train_classifier(ClassifierSettings("lda"), features[learn], labels[learn])
    model = replace(explainer.predictor.model, pipeline=pipeline, classes=["marked", "plain"], temperature=1.0)
    asked = Explainer(Predictor(model, None, lambda: encoder))
    results = [asked(shown[i]) for i in np.flatnonzero(~learn)]
    right = [result for result, label in zip(results, labels[~learn], strict=True) if result.category == label]
    print(f"halves of {names[counts.argmax()]}: {len(right)} of {len(results)} told apart")
    for name in ("marked", "plain"):
        print_shares(name, [result for result in right if result.category == name])


def main() -> None:
    """Print both."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("store", type=Path)
    arguments.add_argument("--photos", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    store, random = open_store(given.store), np.random.default_rng(given.seed)
    encoder = reopen_backbone(store, "cpu")
    explainer = Explainer(Predictor(fit(store, "lda", folds=2), store, lambda: encoder))
    as_it_is(explainer, store, given.photos, random)
    with_marks(explainer, store, given.photos, random)


if __name__ == "__main__":
    main()
