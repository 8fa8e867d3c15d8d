"""A photo → its category and the next one, and what in the photo decides between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.base import Encoder
from featx.catalogue.items import Item
from featx.catalogue.own_columns import Value
from featx.classifiers.model import Classifier
from featx.compute.vectors import nearest, unit_rows
from featx.embedding.single import NAMELESS
from featx.embedding.stream import Embedded
from featx.errors import FeatxError, did_you_mean
from featx.explanation.border import Border, Shares, ask_border
from featx.explanation.covering import Covering, find_covering
from featx.explanation.fine import fine_regions
from featx.explanation.looking import aspects_of, look, regions_of_networks, rows_of
from featx.explanation.margin import Margin
from featx.explanation.question import Question
from featx.explanation.regions import GRID, Regions, support_of
from featx.explanation.words import WordShare, encoded_columns, words_of_photo
from featx.images import PhotoLike
from featx.images.photos import name_of
from featx.prediction.predict import Predictor, open_predictor
from featx.store import Store
from featx.views.notebook import notebook_table
from featx.views.quantities import percent

if TYPE_CHECKING:
    from PIL import Image

NEAREST = 3
CATEGORIES_READY = 16


@dataclass(frozen=True)
class PartShare:
    """What one part of the features adds to the log-odds of the category against the next."""

    name: str
    log_odds: float


@dataclass(frozen=True)
class NearPhoto:
    """A training photo and its similarity."""

    path: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """Why one category and not the next.

    `log_odds` says how much likelier the category is than the runner-up. With a linear classifier it is the sum of
    `parts` and `rest`, which no photo changes; with another one a part is what would be lost without it.
    """

    path: str
    category: str
    sure: float
    runner_up: str
    runner_up_sure: float
    log_odds: float
    parts: list[PartShare]
    rest: float | None
    # What each cell of the photo adds, by the name of the network; and whether that is exact or by occlusion.
    regions: dict[str, Regions]
    # Words of the photo's columns, with what would be lost without each; the strongest first.
    words: list[WordShare]
    near: dict[str, list[NearPhoto]]
    # What is answered with the border of the photo blurred, and with its middle; None where that was not asked.
    border: Border | None
    image: Image.Image = field(repr=False)
    # What must be covered for another answer; None where it was not asked for, or where half the photo is not enough.
    covering: Covering | None = None
    covering_tried: bool = False

    @property
    def cells(self) -> NDArray[np.float64]:
        """The regions of all networks together, on a grid over the photo."""
        total = np.zeros((GRID, GRID))
        for region in self.regions.values():
            total += region.cells
        return total

    @property
    def support(self) -> NDArray[np.float64]:
        """Where to look first: what speaks for the category alone, smoothed, on the same grid."""
        return support_of(self.cells)

    @property
    def border_sentence(self) -> str:
        """A warning where the border decides, in one line; else empty."""
        if self.border is None or not self.border.decides:
            return ""
        then, still = self.border.border_blurred, self.border.middle_blurred
        return (
            f"the border decides: with it blurred it is {then.category} ({percent(then.sure)}), with the middle "
            f"blurred still {still.category} ({percent(still.sure)}); look at the background"
        )

    @property
    def strongest(self) -> PartShare:
        """The part that speaks most for the category."""
        return max(self.parts, key=lambda part: part.log_odds)

    def side(self, log_odds: float) -> str:
        """The category that a share speaks for."""
        return self.category if log_odds > 0 else self.runner_up

    @property
    def sentence(self) -> str:
        """What decided, in one line: `61% shape, 27% colour, 12% title speak for mugs`."""
        speaking = [part for part in self.parts if part.log_odds > 0]
        total = sum(part.log_odds for part in speaking)
        if not total:
            return f"no part of the photo speaks for {self.category} rather than {self.runner_up}"
        listed = ", ".join(f"{percent(part.log_odds / total, 0)} {part.name}" for part in speaking)
        return f"for {self.category}: {listed}"

    @property
    def legend(self) -> str:
        """What the colours of the picture mean, and how the regions were measured."""
        methods = ", ".join(f"{network} {region.method}" for network, region in self.regions.items())
        return f"orange speaks for {self.category}, blue for {self.runner_up} ({methods})"

    def strongest_words(self, most: int) -> list[WordShare]:
        """The words that count most on either side, those for the category first."""
        strongest = sorted(self.words, key=lambda word: -abs(word.log_odds))[:most]
        return sorted(strongest, key=lambda word: -word.log_odds)

    def overlay(self, side: int = 512) -> Image.Image:
        """The photo with its regions: orange speaks for the category, blue for the runner-up."""
        from featx.explanation.overlay import overlay

        return overlay(self.image, self.cells, side)

    @property
    def covering_sentence(self) -> str:
        """What must be covered for another answer, in one line."""
        if not self.regions:
            return "the backbone has no maps, so nothing can be covered by region"
        if self.covering is None:
            return f"it stays {self.category} with the regions that speak for it covered"
        share, then = percent(self.covering.share, 0), self.covering.category
        return f"with {share} of the photo covered it is {then} ({percent(self.covering.sure)})"

    def picture(self, side: int = 512) -> Image.Image:
        """The overlay; beside it the covered photo, where one was looked for and found."""
        from featx.explanation.overlay import beside

        covered = self.covered(side)
        return self.overlay(side) if covered is None else beside([self.overlay(side), covered])

    def covered(self, side: int = 512) -> Image.Image | None:
        """The photo as it must be covered for another answer."""
        from featx.explanation.covering import covered
        from featx.explanation.overlay import fitted

        return None if self.covering is None else fitted(covered(self.image, self.covering.cells), side)

    def shown(self, side: int = 512) -> Image.Image:
        """The photo as large as its overlay."""
        from featx.explanation.overlay import fitted

        return fitted(self.image, side)

    def to_dict(self) -> dict[str, Any]:
        """The JSON record of `featx explain --json`."""
        return {
            "path": self.path,
            "category": self.category,
            "sure": round(self.sure, 4),
            "runner_up": self.runner_up,
            "runner_up_sure": round(self.runner_up_sure, 4),
            "log_odds": round(self.log_odds, 4),
            "parts": {part.name: round(part.log_odds, 4) for part in self.parts},
            "rest": None if self.rest is None else round(self.rest, 4),
            "words": [
                {"column": word.column, "word": word.word, "log_odds": round(word.log_odds, 4)} for word in self.words
            ],
            "regions": {name: region.to_dict() for name, region in self.regions.items()},
            "border": self.border and self.border.to_dict(),
            **({"covering": self.covering and self.covering.to_dict()} if self.covering_tried else {}),
            "nearest": {
                label: [{"path": photo.path, "similarity": round(photo.similarity, 4)} for photo in photos]
                for label, photos in self.near.items()
            },
        }

    def _repr_html_(self) -> str:
        from html import escape

        from featx.images.thumbnails import data_uri, jpeg

        rows = [(part.name, f"{part.log_odds:+.2f}") for part in self.parts]
        rows += [(f"{word.word} in {word.column}", f"{word.log_odds:+.2f}") for word in self.strongest_words(8)]
        title = f"{self.category} ({percent(self.sure)}) rather than {self.runner_up}"
        drawn = self.overlay(320) if self.regions else self.shown(320)
        picture = f'<img src="{data_uri(jpeg(drawn), "jpeg")}" alt="{escape(self.path)}">'
        return picture + notebook_table(title, ("part", "log-odds"), rows)


def explain(
    photo: PhotoLike,
    classifier: str | None = None,
    *,
    store: Path | None = None,
    against: str | None = None,
    columns: Mapping[str, Value] | None = None,
    cover: bool = False,
    fine: bool = False,
    weights: str | Path | None = None,
) -> Explanation:
    """Explain the category of a photo in any form: what speaks for it, rather than for the next one or `against`.

    A classifier that counts columns finds them in the store, or in `columns`, such as {"title": "Oat milk"}.
    With `cover` it looks for what must be covered for another category to be answered; with `fine` the regions are
    finer, and take seconds. `weights` is where the weights file of the backbone is, if it moved.
    """
    return Explainer(open_predictor(classifier, store, device="cpu", weights=weights), cover=cover, fine=fine)(
        photo, against, columns
    )


class Explainer:
    """Explains one photo after another with the same classifier."""

    def __init__(self, predictor: Predictor, *, cover: bool = False, fine: bool = False, border: bool = True) -> None:
        """With `cover`, each explanation says what must be covered for another answer; with `fine`, regions are finer.

        Fine regions are measured on the photo itself, by the whole classifier, which takes seconds. Without `border`
        nothing is asked about the photo with its border blurred, which takes as long as predicting two photos.
        """
        self.predictor, self.cover, self.fine, self.border = predictor, cover, fine, border

    def __call__(
        self, photo: PhotoLike, against: str | None = None, columns: Mapping[str, Value] | None = None
    ) -> Explanation:
        """The explanation of one photo; `columns` are those of its row in a table."""
        model, name = self.predictor.model, name_of(photo, NAMELESS)
        looked = look(photo, lambda: self.predictor.backbone, name, exact=self.predictor.exact)
        row, image, encoder = looked.features, looked.image, self.predictor.backbone
        assert row is not None and image is not None
        values = self._columns(photo, looked, columns)
        shares = model.predict_proba(row[None], values)[0]
        winner, other = _first_two(model, shares, against)
        question = Question(model, winner, other, encoded_columns(model, values))
        margin = question.margin(row)
        explanation = Explanation(
            path=name,
            category=model.classes[winner],
            sure=float(shares[winner]),
            runner_up=model.classes[other],
            runner_up_sure=float(shares[other]),
            log_odds=float(question.log_odds(row[None])[0]),
            parts=_parts(question, encoder, row, margin),
            rest=None if margin is None else margin.rest,
            regions=self._regions(looked, question, margin),
            words=words_of_photo(question, row, values),
            near=self._nearest(row, looked.digest, [model.classes[winner], model.classes[other]]),
            border=ask_border(image, self._shares(values), model.classes, winner) if self.border else None,
            image=image,
        )
        return self._with_covering(explanation, values, winner) if self.cover else explanation

    def _regions(self, looked: Embedded[PhotoLike], question: Question, margin: Margin | None) -> dict[str, Regions]:
        """What each region adds: by each network from its maps, or by the whole classifier from the photo."""
        encoder = self.predictor.backbone
        if self.fine:
            assert looked.image is not None
            return {encoder.spec.name: fine_regions(looked.image, lambda images: question.log_odds(self._rows(images)))}
        weights = None if margin is None else margin.weights
        return regions_of_networks(encoder, looked, weights, question.log_odds)

    def _rows(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return rows_of(images, lambda: self.predictor.backbone)

    def _with_covering(self, result: Explanation, values: Mapping[str, Sequence[Value]], winner: int) -> Explanation:
        """The explanation with what must be covered."""
        shares_of, classes = self._shares(values), self.predictor.model.classes
        found = find_covering(result.image, result.support, shares_of, classes, winner) if result.regions else None
        return replace(result, covering=found, covering_tried=True)

    def _nearest(self, row: NDArray[np.float32], digest: str, labels: Sequence[str]) -> dict[str, list[NearPhoto]]:
        """The nearest photos of each category; none without the store that the classifier was trained on."""
        photos = self._training_photos
        found = {} if photos is None else {label: photos.nearest(row, digest, label) for label in labels}
        return {label: near for label, near in found.items() if near}

    @cached_property
    def _training_photos(self) -> _TrainingPhotos | None:
        return None if self.predictor.store is None else _TrainingPhotos(self.predictor.store)

    def _shares(self, values: Mapping[str, Sequence[Value]]) -> Shares:
        """The probabilities of images beside the columns of the photo."""

        def shares_of(images: Sequence[Image.Image]) -> NDArray[np.float64]:
            columns = {name: [cell for cell in cells for _ in images] for name, cells in values.items()}
            return np.asarray(self.predictor.model.predict_proba(self._rows(images), columns))

        return shares_of

    def _columns(
        self, photo: PhotoLike, looked: Embedded[PhotoLike], given: Mapping[str, Value] | None
    ) -> dict[str, list[Value]]:
        """The columns that the classifier wants: given, known to the store, or read off the photo."""
        item = Item(looked.digest, name_of(photo, NAMELESS), extra=dict(given or {}))
        return self.predictor.columns.of([Embedded(item, looked.digest, looked.features)], lambda _: photo) or {}


def _first_two(model: Classifier, shares: NDArray[np.float64], against: str | None) -> tuple[int, int]:
    """The likeliest category and the next one, or the one that was named."""
    first, second = np.argsort(-shares, kind="stable")[:2].tolist()
    if against is None:
        return first, second
    if against not in model.classes:
        hint = did_you_mean(against, model.classes, "name one of its categories")
        raise FeatxError("bad-flag", f"the classifier knows no category `{against}`", hint)
    named = model.classes.index(against)
    if named == first:
        raise FeatxError("bad-flag", f"`{against}` is the category itself", "name another one")
    return first, named


def _parts(question: Question, encoder: Encoder, row: NDArray[np.float32], margin: Margin | None) -> list[PartShare]:
    """What each network, each aspect of one, and the photo's columns add to the log-odds; the most first."""
    numbers = aspects_of(encoder)
    if margin is not None:
        adds = {name: float(margin.weights[own] @ row[own].astype(np.float64)) for name, own in numbers.items()}
        beside = margin.columns
    else:
        whole = question.log_odds(row[None])
        without = np.repeat(row[None], len(numbers), axis=0)
        for i, own in enumerate(numbers.values()):
            without[i, own] = 0
        lost = whole - question.log_odds(without)
        adds = dict(zip(numbers, lost.tolist(), strict=True))
        beside = float((whole - question.log_odds(row[None], np.zeros_like(question.encoded[None])))[0])
    if question.encoded.any():
        adds[", ".join(question.model.wants)] = beside
    return [PartShare(name, value) for name, value in sorted(adds.items(), key=lambda item: -item[1])]


class _TrainingPhotos:
    """The photos of the store that the classifier was trained on; those of the categories asked for last stay ready."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names, self._digests = np.array([str(label) for label in store.labels]), np.array(store.digests)
        self._unit_rows_of = lru_cache(CATEGORIES_READY)(self._of_category)

    def nearest(self, row: NDArray[np.float32], digest: str, label: str) -> list[NearPhoto]:
        """The nearest photos of a category, without the photo itself."""
        own, rows = self._unit_rows_of(label)
        digests = np.array([digest]), self._digests[own]
        index, cosine = nearest(unit_rows(row[None]), rows, NEAREST, digests)
        found = [(own[i], float(c)) for i, c in zip(index[0], cosine[0], strict=True) if i >= 0]
        return [NearPhoto(str(self._store.paths[i]), c) for i, c in found]

    def _of_category(self, label: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        own = np.flatnonzero(self._names == label)
        return own, unit_rows(np.asarray(self._store.features[own], dtype=np.float32))
