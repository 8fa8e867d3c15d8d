"""Is `featx explain` right when it says that the border of a photo speaks for its category?

    python benchmarks/background.py STORE [--photos 60] [--seed 0]

An LDA learns from the photos of a store's `train` split and is asked about the held-out ones; where none are held out,
it learned from all of them. For several limits of how much of what speaks for a category lies on the border: how many
photos are above, how often covering the border there takes more of the log-odds than covering as much of the middle,
and how often among the others. Then a mark is drawn into a corner of the photos of one of two categories, an LDA learns
from half of them, and the others are explained: how often the warning is there with the mark, and without it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from featx.classifiers.fit import fit
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.embedding.reopen import reopen_backbone
from featx.explanation.covering import SIDE, covered
from featx.explanation.explainer import Explainer, Explanation
from featx.images import read_photo
from featx.prediction.predict import Predictor
from featx.store import Store, open_store

LIMITS = (0.4, 0.5, 0.6, 0.7, 0.8)


def log_odds(explainer: Explainer, image: Image.Image, of: Explanation) -> float:
    """How much likelier the category of an explanation is than the runner-up, in this image."""
    encoder, model = explainer.predictor.backbone, explainer.predictor.model
    shares = np.log(model.predict_proba(encoder.features([encoder.prepare(image)]))[0])
    return float(shares[model.classes.index(of.category)] - shares[model.classes.index(of.runner_up)])


def border_matters_more(explainer: Explainer, result: Explanation) -> bool:
    """Whether covering the border, one cell wide, takes more than covering about as many cells of the middle."""
    border = np.ones((SIDE, SIDE), dtype=bool)
    border[1:-1, 1:-1] = False
    middle = np.zeros_like(border)
    middle[2:-2, 2:-2] = middle[1, 2:-2] = middle[-2, 2:-2] = True
    lost = [log_odds(explainer, covered(result.image, cells), result) for cells in (border, middle)]
    return lost[0] < lost[1]


def as_it_is(explainer: Explainer, store: Store, n: int, random: np.random.Generator) -> None:
    """Print how often the warning is right for photos as they are."""
    held = [i for i, split in enumerate(store.splits) if split in ("val", "test")] or list(range(len(store)))
    results = [explainer(store.paths[i]) for i in random.permutation(held)[:n]]
    shares = np.array([np.nan if result.border_share is None else result.border_share for result in results])
    matters = np.array([border_matters_more(explainer, result) for result in results])
    quantiles = np.nanquantile(shares, [0.1, 0.5, 0.9])
    print(f"{len(results)} photos; share on the border: {quantiles.round(2)} (10 %, half, 90 %)")
    for limit in LIMITS:
        above = shares > limit
        right, others = (f"{part.mean():.0%}" if len(part) else "-" for part in (matters[above], matters[~above]))
        print(
            f"  above {limit:.0%}: {above.mean():4.0%} of photos; the border matters more in {right}, else in {others}"
        )


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
    chosen = names[np.argsort(-counts, kind="stable")[:2]]
    rows = [random.permutation(np.flatnonzero(np.array(store.labels) == name))[:n] for name in chosen]
    images = [read_photo(store.paths[i]).image for each in rows for i in each]
    labels = np.repeat(chosen, [len(each) for each in rows])
    shown = [marked(image) if label == chosen[0] else image for image, label in zip(images, labels, strict=True)]
    encoder = explainer.predictor.backbone
    features = np.concatenate([encoder.features([encoder.prepare(image)]) for image in shown])
    learn = np.arange(len(labels)) % 2 == 0
    pipeline = train_classifier(ClassifierSettings("lda"), features[learn], labels[learn])
    model = replace(explainer.predictor.model, pipeline=pipeline, classes=sorted(chosen), temperature=1.0)
    asked = Explainer(Predictor(model, None, lambda: encoder))
    results = {
        name: [asked(shown[i]) for i in np.flatnonzero(~learn) if labels[i] == name] for name in chosen
    }  # fmt: skip
    for name, what in zip(chosen, ("a mark", "no mark"), strict=True):
        own = [result for result in results[name] if result.category == name]
        shares = np.array([result.border_share or 0.0 for result in own])
        above = ", ".join(f"{np.mean(shares > limit):.0%} above {limit:.0%}" for limit in LIMITS)
        print(f"{name} with {what}, {len(own)} photos: {above}")


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
