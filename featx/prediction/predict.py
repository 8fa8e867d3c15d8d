"""Photos in, categories with an honest confidence out; photos the store knows are not computed again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.catalogue.items import Item
from featx.classifiers.model import Classifier, require_same_features
from featx.classifiers.persistence import load_classifier
from featx.classifiers.registry import newest_classifier
from featx.classifiers.thresholds import Thresholds, thresholds_for
from featx.errors import FeatxError
from featx.images import UnreadablePhoto, decode_photo, digest_of, read_bytes
from featx.workspace import Workspace

if TYPE_CHECKING:
    from featx.backbones.base import Backbone
    from featx.store import Store

BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """What one photo shows: categories with their probabilities, likeliest first, or why it could not be read."""

    item: Item
    top: tuple[tuple[str, float], ...] = ()
    similarity: float = 0.0
    doubt: str = ""
    unreadable: str = ""

    @property
    def label(self) -> str:
        """The likeliest category."""
        return self.top[0][0] if self.top else ""

    @property
    def sure(self) -> float:
        """The probability of the likeliest category."""
        return self.top[0][1] if self.top else 0.0


def shown_sure(share: float) -> str:
    """A probability in two decimals, never surer than it is."""
    return f"{int(100 * share + 1e-9) / 100:.2f}"


class Predictions(list[Prediction]):
    """Predictions as a list that a notebook shows as a table."""

    SHOWN = 100

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each photo."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        rows = [(one.item.path, one.label, one.sure, one.doubt, one.unreadable) for one in self]
        return pandas.DataFrame(rows, columns=["file", "category", "sure", "doubt", "error"])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("file", "category", "sure", ""))
        rows = []
        for one in self[: self.SHOWN]:
            said = one.unreadable or (f"needs a look: {one.doubt}" if one.doubt else "")
            cells = (one.item.path, one.label or "–", shown_sure(one.sure) if one.top else "–", said)
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
        more = f" (the first {self.SHOWN} are shown)" if len(self) > self.SHOWN else ""
        doubts = sum(bool(one.doubt) for one in self)
        title = f"{len(self):,} photos{more}; {doubts:,} need a look" if doubts else f"{len(self):,} photos{more}"
        return f"<table><caption>{title}</caption><tr>{head}</tr>{''.join(rows)}</table>"


@dataclass(frozen=True)
class DecisionRule:
    """When an answer is left to a person: below a confidence, or unlike anything that was learned from."""

    sure: float = 0.0
    unlike: bool = True
    thresholds: Thresholds | None = None

    def unsure(self, label: str, sure: float) -> bool:
        """Whether so much confidence is too little for an answer of that category."""
        # What is no number is no confidence.
        return not sure >= (self.sure if self.thresholds is None else self.thresholds.of(label))


def limit_for(model: Classifier, coverage: float) -> tuple[float, dict[str, Any]]:
    """The confidence above which that share of pictures was answered when measured, and what it bought."""
    table = model.card.get("coverage") or []
    good = [row for row in table if row["coverage"] <= coverage + 1e-9]
    if not good:
        raise FeatxError(
            "bad-flag", f"no threshold is known for a coverage of {coverage:g}", "ask for 0.1 or more, or use `--sure`"
        )
    row = max(good, key=lambda one: one["coverage"])
    return float(row["threshold"]), row


class Predictor:
    """Answers for photos, in batches, with a classifier and the backbone its features come from."""

    def __init__(
        self, model: Classifier, store: Store | None, open_backbone: Callable[[], Backbone], *, top: int = 1
    ) -> None:
        self.model, self.store, self.top = model, store, max(1, top)
        self._rows = {digest: i for i, digest in enumerate(store.digests)} if store is not None else {}
        self._open, self._once = open_backbone, threading.Lock()
        self._backbone: Backbone | None = None
        self.from_store = 0

    def stream(self, items: Iterable[Item], limits: DecisionRule, *, workers: int = 4) -> Iterator[Prediction]:
        """Predictions in the order of the items; only a few batches are in memory at a time."""
        waiting: deque[Future[_Look]] = deque()
        source, batch = iter(items), []
        with ThreadPoolExecutor(workers) as pool:
            try:
                while True:
                    while len(waiting) < 3 * BATCH and (item := next(source, None)) is not None:
                        waiting.append(pool.submit(self._look, item))
                    if not waiting:
                        break
                    batch.append(waiting.popleft().result())
                    if len(batch) == BATCH:
                        yield from self._answer(batch, limits)
                        batch = []
                if batch:
                    yield from self._answer(batch, limits)
            finally:
                for one in waiting:
                    one.cancel()

    def _look(self, item: Item) -> _Look:
        try:
            data = read_bytes(item.path)
            row = self._rows.get(digest_of(data))
            if row is not None:
                return _Look(item, row=row)
            return _Look(item, prepared=self.backbone.prepare(decode_photo(data, item.path)))
        except UnreadablePhoto as error:
            return _Look(item, unreadable=f"{error.reason}: {error.detail}" if error.detail else error.reason)

    @property
    def backbone(self) -> Backbone:
        """The network, loaded when the first photo needs it."""
        with self._once:
            if self._backbone is None:
                self._backbone = self._open()
            return self._backbone

    def _answer(self, batch: list[_Look], limits: DecisionRule) -> Iterator[Prediction]:
        fresh = [i for i, look in enumerate(batch) if look.prepared is not None]
        known = [i for i, look in enumerate(batch) if look.row is not None]
        features = np.zeros((len(batch), self.model.fingerprint.width), dtype=np.float32)
        if fresh:
            features[fresh] = self.backbone.features([batch[i].prepared for i in fresh])
        for i in known:
            assert self.store is not None
            features[i] = self.store.features[batch[i].row]
        self.from_store += len(known)
        usable = sorted(fresh + known)
        answers = dict(zip(usable, self.answers(features[usable]), strict=True)) if usable else {}
        for i, look in enumerate(batch):
            if i not in answers:
                yield Prediction(look.item, unreadable=look.unreadable)
                continue
            top, similarity = answers[i]
            doubt = "unsure" if limits.unsure(*top[0]) else ""
            if limits.unlike and similarity < self.model.familiar.threshold:
                doubt = "unlike anything learned"
            yield Prediction(look.item, top, similarity, doubt)

    def answers(self, features: np.ndarray) -> list[tuple[tuple[tuple[str, float], ...], float]]:
        """For each row the likeliest categories and the cosine with the nearest known photo."""
        shares = self.model.predict_proba(features)
        order = np.argsort(-shares, axis=1, kind="stable")[:, : self.top]
        near = self.model.familiar.similarity(features)
        return [
            (tuple((self.model.classes[j], float(shares[i, j])) for j in order[i]), float(near[i]))
            for i in range(len(shares))
        ]


@dataclass(frozen=True)
class _Look:
    item: Item
    row: int | None = None
    prepared: Any = None
    unreadable: str = ""


def predict(
    images: str | Path | Iterable[str],
    model: Classifier | str | Path | None = None,
    *,
    store: Store | None = None,
    top: int = 1,
    sure: float = 0.0,
    coverage: float | None = None,
    min_precision: float | None = None,
    unlike: bool = True,
    device: str = "auto",
) -> Predictions:
    """Say the category of photos, with the classifier given or the one trained last; photos in `store` are looked up.

    For thousands of photos, `Predictor.stream` gives one answer after another and keeps none.
    """
    from featx.catalogue.reading import read_catalogue
    from featx.embedding.reopen import open_from_fingerprint, reopen_backbone

    used = (
        model if isinstance(model, Classifier) else load_classifier(model or newest_classifier(Workspace.here().models))
    )
    if store is not None:
        require_same_features(used, store.fingerprint, store.path)

    def open_it() -> Backbone:
        if store is not None:
            return reopen_backbone(store, device)
        backbone = open_from_fingerprint(used.fingerprint, device=device)
        require_same_features(used, backbone.fingerprint, Path(backbone.name))
        return backbone

    limits = DecisionRule(
        limit_for(used, coverage)[0] if coverage is not None else sure,
        unlike,
        thresholds_for(used.card, min_precision)[0] if min_precision is not None else None,
    )
    catalogue = read_catalogue(images, allow_outside=True)
    found = Predictor(used, store, open_it, top=top).stream(catalogue.items, limits)
    skipped = [Prediction(Item(skip.path, skip.path), unreadable=skip.reason) for skip in catalogue.skipped]
    return Predictions([*found, *skipped])
