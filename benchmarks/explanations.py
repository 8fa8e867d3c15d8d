"""Do the regions of `featx explain` decide? Deletion and insertion beside captum and grad-cam, and the time they take.

    python benchmarks/explanations.py STORE [--photos 20] [--skip 0] [--seed 0] [--clf logreg] [--folds 5] [--keep DIR]

A classifier learns from the photos of a store's `train` split (or from four fifths of it, by product) and is
asked about others. Each method orders the cells of such a photo, the strongest for its category first. Deletion covers
the cells in this order with a blurred photo, insertion uncovers them on it; the figure is the mean probability of the
category on the way. A good map has low deletion and high insertion. `pip install captum grad-cam` for the contestants.
What was chosen on the first photos is shown on others with `--skip`.

The first lines are of the whole command: CPU time to predict a photo, to explain it with its parts and the nearest
photos, and to draw it.

With `--keep` the classifier and the figures of each photo are kept in a folder, and a run that was stopped goes on.

The store is one of `builtin` or of an EfficientNet-Lite, whose networks take bytes; with `--times` of any backbone.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import nn

from featx.backbones.engines.base import EmbeddingModule
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier, load_classifier
from featx.cli.explain import COMPRESSION
from featx.embedding.reopen import reopen_backbone
from featx.embedding.stream import embed
from featx.explanation.explainer import Explainer
from featx.explanation.fine import fine_regions
from featx.explanation.question import Question
from featx.explanation.regions import cells_of, spread, support_of
from featx.images import read_photo
from featx.prediction.predict import Predictor
from featx.store import Store, open_store

GRID, STEPS, BATCH = 12, 8, 16
Cells = np.ndarray


class Asked(nn.Module):
    """Photos (n, 3, height, width), 0 to 255, to the log-odds of one category against the other."""

    def __init__(self, network: nn.Module, weights: np.ndarray, rest: float) -> None:
        super().__init__()
        self.network, self.rest = network, rest
        self.register_buffer("weights", torch.from_numpy(weights.astype(np.float32)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 1)."""
        rows = self.network(pixels.permute(0, 2, 3, 1))
        return (rows @ self.weights[: rows.shape[1]] + self.rest)[:, None]


def parts_of(encoder: Any) -> tuple[nn.Module, nn.Module]:
    """The network of an encoder, and the module inside that answers with the last maps."""
    if encoder.spec.name == "builtin":
        graph = encoder.graph()
        return graph, graph.maps
    before, after = encoder._parts()
    maps = EmbeddingModule(before, lambda output: output, *encoder._normalisation).eval()
    return nn.Sequential(maps, after).eval(), maps


def to_grid(cells: np.ndarray) -> Cells:
    """Cells of any number as GRID x GRID."""
    image = Image.fromarray(np.ascontiguousarray(cells, dtype=np.float32))
    kind = Image.Resampling.BOX if min(cells.shape) >= GRID else Image.Resampling.BICUBIC
    return np.asarray(image.resize((GRID, GRID), kind))


def contestants(
    asked: Asked, maps: nn.Module, pixels: torch.Tensor, seed: tuple[int, int]
) -> Iterator[tuple[str, Callable]]:
    """The other methods, each a function without arguments that gives its cells."""
    random = np.random.default_rng(seed)
    side, centre = pixels.shape[-1], np.hypot(*np.indices((GRID, GRID)) - (GRID - 1) / 2)
    yield "random order", lambda: random.normal(size=(GRID, GRID))
    yield "middle first", lambda: -centre
    try:
        from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
        from pytorch_grad_cam import GradCAM, HiResCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        print(f"  without the other libraries: {error}")
        return
    window = side // GRID
    grey = torch.full_like(pixels, float(pixels.mean()))
    yield "captum Occlusion", lambda: to_grid(
        Occlusion(asked)
        .attribute(pixels, (3, 2 * window, 2 * window), (3, window, window), grey, target=0, perturbations_per_eval=16)
        .sum(1)[0].numpy()
    )  # fmt: skip
    yield (
        "captum LayerGradCam",
        lambda: to_grid(
            LayerGradCam(asked, maps).attribute(pixels.clone().requires_grad_(), target=0)[0, 0].detach().numpy()
        ),
    )
    yield "captum IntegratedGradients", lambda: to_grid(
        IntegratedGradients(asked)
        .attribute(pixels.clone().requires_grad_(), grey, target=0, n_steps=16, internal_batch_size=8)
        .sum(1)[0].detach().numpy()
    )  # fmt: skip
    for name, method in (("grad-cam GradCAM", GradCAM), ("grad-cam HiResCAM", HiResCAM)):
        yield (
            name,
            lambda method=method: to_grid(
                method(asked, [maps])(pixels.clone().requires_grad_(), [ClassifierOutputTarget(0)])[0]
            ),
        )


def curves(photo: np.ndarray, order: np.ndarray, share_of: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Mean probability of the category while cells are covered, and while they are uncovered."""
    side = photo.shape[0]
    blurred = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(side / 10)))
    rank = np.empty(GRID * GRID)
    rank[order] = np.arange(GRID * GRID)
    edges = (np.arange(side) * GRID) // side
    rank = rank.reshape(GRID, GRID)[edges][:, edges][..., None]
    taken = [round(GRID * GRID * i / STEPS) for i in range(STEPS + 1)]
    deleted = np.stack([np.where(rank < n, blurred, photo) for n in taken])
    inserted = np.stack([np.where(rank < n, photo, blurred) for n in taken])
    shares = share_of(np.concatenate([deleted, inserted]))
    halves = np.split(shares, 2)
    return tuple(float(np.trapezoid(half) / STEPS) for half in halves)  # type: ignore[return-value]


def learned_and_asked(store: Any, n: int, skip: int, seed: int) -> np.ndarray:
    """Rows to ask about, which the classifier does not learn from; the first of the random order are skipped."""
    labelled = [i for i, label in enumerate(store.labels) if label is not None]
    held = [i for i in labelled if store.splits[i] in ("val", "test")]
    return np.random.default_rng(seed).permutation(held or labelled)[skip : skip + n]


def fitted(store: Store, clf: str, folds: int, folder: Path | None) -> Classifier:
    """The classifier, kept in a folder where there is one."""
    path = None if folder is None else folder / "classifier.safetensors"
    if path is not None and path.exists():
        return load_classifier(path)
    model = fit(store, clf, folds=folds)
    if path is not None:
        model.save(path)
    return model


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("store", type=Path)
    arguments.add_argument("--photos", type=int, default=20)
    arguments.add_argument("--skip", type=int, default=0, help="photos of the same random order to leave out first")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--folds", type=int, default=5, help="of the calibration")
    arguments.add_argument("--keep", type=Path)
    arguments.add_argument("--clf", default="logreg", help="a linear one: logreg, lda or svm")
    arguments.add_argument("--times", action="store_true", help="only what the command takes, with any backbone")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    store = open_store(given.store)
    model, encoder = fitted(store, given.clf, given.folds, given.keep), reopen_backbone(store, "cpu")
    asked_rows = learned_and_asked(store, given.photos, given.skip, given.seed)
    print_times(Predictor(model, store, lambda: encoder), [store.paths[i] for i in asked_rows])
    if given.times:
        return
    network, maps_of = parts_of(encoder)
    file = None if given.keep is None else given.keep / "scores.json"
    scores: dict[str, list[tuple[float, float, float]]] = (
        json.loads(file.read_text()) if file is not None and file.exists() else {}
    )
    for row_number in asked_rows[len(scores.get("featx", ())) :]:
        prepared = encoder.prepare(read_photo(store.paths[row_number]).image)
        row = encoder.features([prepared])[0]
        shares = model.predict_proba(row[None])[0]
        winner, other = np.argsort(-shares)[:2].tolist()
        question = Question(model, winner, other, np.zeros(0, np.float32))
        margin = question.margin(row)
        assert margin is not None
        asked = Asked(network, margin.weights, margin.rest).eval()
        pixels = torch.from_numpy(prepared.transpose(2, 0, 1)[None].astype(np.float32))

        square = prepared.shape[1], prepared.shape[0]

        def own(
            prepared: Any = prepared, row: np.ndarray = row, margin: Any = margin, question: Any = question
        ) -> Cells:
            def odds(pooled: np.ndarray) -> np.ndarray:
                rows = np.repeat(row[None], len(pooled), axis=0)
                rows[:, : pooled.shape[1]] = pooled
                return question.log_odds(rows)

            return cells_of(encoder, encoder.feature_maps([prepared]), margin.weights, odds)[0]

        def share_of(photos: np.ndarray, winner: int = winner) -> np.ndarray:
            return np.asarray(model.predict_proba(encoder.features(list(photos)))[:, winner])

        def fine(prepared: Any = prepared, question: Question = question) -> Cells:
            def odds(images: Sequence[Image.Image]) -> np.ndarray:
                shown = [encoder.prepare(image) for image in images]
                parts = [encoder.features(shown[i : i + BATCH]) for i in range(0, len(shown), BATCH)]
                return question.log_odds(np.concatenate(parts))

            return fine_regions(Image.fromarray(prepared), odds).cells

        methods = [
            ("featx", lambda own=own: to_grid(own())),
            ("featx --fine", lambda fine=fine: to_grid(fine())),
            ("featx, support", lambda own=own, square=square: to_grid(support_of(spread(own(), encoder, square)))),
            *contestants(asked, maps_of, pixels, (given.seed, int(row_number))),
        ]
        for name, method in methods:
            begun = time.process_time()
            cells = method()
            seconds = time.process_time() - begun
            order = np.argsort(-cells.ravel(), kind="stable")
            scores.setdefault(name, []).append((*curves(prepared, order, share_of), seconds))
        if file is not None:
            file.write_text(json.dumps(scores))
    ours = np.array(scores["featx"])
    print(f"{encoder.spec.name}, {len(ours)} photos, mean and standard error of the difference to featx")
    print(f"{'':28}{'deletion':>18}{'insertion':>18}{'CPU ms':>9}")
    for name, values in scores.items():
        rows = np.array(values)
        errors = (rows - ours).std(axis=0, ddof=1) / np.sqrt(len(rows))
        cells = [f"{rows[:, i].mean():.3f} ({errors[i]:.3f})" for i in (0, 1)]
        print(f"{name:28}{cells[0]:>18}{cells[1]:>18}{1000 * np.median(rows[:, 2]):9.0f}")


def print_times(predictor: Predictor, photos: Sequence[str]) -> None:
    """Print the CPU time of each step of the command, as the median over the photos."""
    explainer, asking = Explainer(predictor, border=False), Explainer(predictor)

    def predicted(photo: str) -> None:
        with embed([photo], lambda: predictor.backbone, workers=1, batch=1) as stream:
            for embedded in stream:
                predictor.model.predict_proba(embedded.features[None])

    def drawn(photo: str) -> None:
        explainer(photo).overlay().save(io.BytesIO(), "PNG", compress_level=COMPRESSION)

    medians = []
    for step in (predicted, explainer, drawn, asking):
        step(photos[0])  # what is made once, such as the rows of the training photos
        seconds = []
        for photo in photos:
            begun = time.process_time()
            step(photo)
            seconds.append(time.process_time() - begun)
        medians.append(1000 * np.median(seconds))
    plain, *more = medians
    explained, drawn_too, asked_too = (each - plain for each in more)
    print(f"CPU ms a photo: predicted {plain:.0f}; on top of that explained {explained:.0f}")
    print(f"with the picture {drawn_too:.0f}, with the question about the border {asked_too:.0f}", flush=True)


if __name__ == "__main__":
    main()
