"""`--layer auto`: the nodes of a network that tell the categories at hand apart best, measured on some of the photos.

One pass reads every candidate. They join the usual features one by one, as long as a quick classifier that never saw
the product of a photo comes clearly closer to its category with one more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Encoder, open_backbone
from featx.backbones.fingerprint import COMMA, PLUS
from featx.backbones.nodes import AT, AUTO, PENULTIMATE, candidates_among, split_name
from featx.backbones.registry import family_of
from featx.catalogue.items import Catalogue, Item
from featx.compute.left_out import centred_cosines, left_out_answers, targets
from featx.embedding.stream import embed
from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions, Progress
from featx.images import UnreadablePhoto, open_photo
from featx.labels.folds import grouped_folds
from featx.labels.seen import Seen, seen_by
from featx.labels.training_set import HELD_OUT
from featx.metrics.block_choice import FEWEST, Blend, BlockChoice
from featx.metrics.significance import LIMIT, sign_flips
from featx.views.block_choices import describe_layers

# So many labelled photos are looked at, whole products of them.
SAMPLE = 600
FOLDS = 5
# Every block makes later steps slower, and the fourth adds hardly anything.
MOST_ADDED = 3

Errors = NDArray[np.float64]


@dataclass(frozen=True)
class SuitedLayers:
    """A backbone with the chosen nodes in its name, and why these; no choice where too few photos have a category."""

    name: str
    choice: BlockChoice | None
    photos: int
    # Tuned networks that learned from too many of the photos.
    tuned: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The nodes and what they rest on, in one line."""
        nodes = self.name.partition(AT)[2] or PENULTIMATE
        if self.choice is None:
            unseen = f" and were not learned from by {', '.join(self.tuned)}" if self.tuned else ""
            return (
                f"layers: {nodes}, as usual: {self.photos:,} photos have a category{unseen}, "
                f"{FEWEST} are needed to choose"
            )
        none_helps = ", since no other helps clearly" if len(self.choice.shares) == 1 else ""
        return f"layers: {nodes}{none_helps} ({describe_layers(self.choice)})"


def wants_auto(name: str, options: ExtractionOptions) -> bool:
    """Whether somebody leaves the choice of layers to featx."""
    return options.layer == AUTO or f"{AT}{AUTO}" in name


def suited_layers(catalogue: Catalogue, name: str, options: ExtractionOptions, progress: Progress) -> SuitedLayers:
    """The nodes that suit the categories of a catalogue; the usual ones where too few photos have a category."""
    if options.pool is not None:
        raise FeatxError("bad-flag", f"`--layer {AUTO}` chooses the pooling too", "leave `--pool` out")
    parts = [_Part.of(part, of_all=options.layer == AUTO) for part in name.split(PLUS)]
    if not any(part.candidates for part in parts):
        raise FeatxError("bad-flag", f"`{name}` has no layers to choose among", "leave `--layer` out")
    usual_ones = PLUS.join(part.with_nodes(()) for part in parts)
    items = sample_of(catalogue.items, SAMPLE)
    if len(items) < FEWEST or len({item.label for item in items}) < 2:
        return SuitedLayers(usual_ones, None, len(items))
    encoder = open_backbone(
        PLUS.join(part.with_nodes(part.candidates) for part in parts),
        weights=options.weights,
        device=options.device,
        precision=options.precision,
    )
    seen = seen_by(encoder.fingerprint)
    items = with_unseen(catalogue.items, seen) if seen.networks else items
    fair = ~seen.rows([item.digest for item in items])
    if fair.sum() < FEWEST:
        return SuitedLayers(usual_ones, None, int(fair.sum()), seen.networks)
    labels = [str(item.label) for item in items]
    encoder.use_engine(options.engine, photos=len(items), batch_size=options.batch_size or 16)
    rows, kept = _features(encoder, items, options, progress)
    usual = [block.name for block in encoder.fingerprint.blocks if block.fingerprint.node not in _all(parts)]
    cosines = {block.name: centred_cosines(rows[:, block.columns]) for block in encoder.fingerprint.blocks}
    products = _products([items[i] for i in kept])
    choice = choose_nodes(cosines, usual, [labels[i] for i in kept], products, fair[kept], options.seed)
    chosen = [block.fingerprint for block in encoder.fingerprint.blocks if block.name in choice.blocks]
    named = [part.with_nodes([block.node for block in chosen if block.backbone == part.network]) for part in parts]
    return SuitedLayers(PLUS.join(named), choice, len(kept))


@dataclass(frozen=True)
class _Part:
    """A network of the backbone, the nodes that its name lists, and the candidates where they are to be chosen."""

    network: str
    listed: str | None
    candidates: tuple[str, ...]

    @classmethod
    def of(cls, part: str, *, of_all: bool) -> _Part:
        network, listed = split_name(part)
        layer_shapes = family_of(network).layer_shapes
        if layer_shapes is None or not (listed == AUTO or (of_all and listed is None)):
            return cls(network, listed, ())
        return cls(network, None, tuple(map(str, candidates_among(layer_shapes(network)))))

    def with_nodes(self, added: Sequence[str]) -> str:
        """The name with the nodes of the part; those that are added to the usual one where they are chosen."""
        if self.listed is not None:
            return f"{self.network}{AT}{self.listed}"
        nodes = list(dict.fromkeys([PENULTIMATE, *added]))
        return self.network if nodes == [PENULTIMATE] else f"{self.network}{AT}{COMMA.join(nodes)}"


def _all(parts: Sequence[_Part]) -> set[str]:
    return {node for part in parts for node in part.candidates}


def sample_of(items: Sequence[Item], most: int = SAMPLE) -> list[Item]:
    """Labelled photos to measure on, whole products in an order that means nothing; held-out ones are left alone."""
    usable = [item for item in items if item.label is not None and item.split not in HELD_OUT]
    return sorted(usable, key=lambda item: (_shuffled(item.product or item.item_id), item.path))[:most]


def with_unseen(items: Sequence[Item], seen: Seen, most: int = SAMPLE) -> list[Item]:
    """The same with their digests, up to half of them photos that no tuned network learned from: these are scored."""
    unseen: list[Item] = []
    others: list[Item] = []
    for item in sample_of(items, len(items)):
        digest = _digest_of(item)
        kind = others if digest is None or seen.rows([digest])[0] else unseen
        kind.append(replace(item, digest=digest or ""))
        if len(unseen) >= most // 2 and len(others) >= most // 2:
            break
    return unseen[: most // 2] + others[: most // 2]


def _digest_of(item: Item) -> str | None:
    try:
        return open_photo(item.path).digest
    except UnreadablePhoto:  # named when it is extracted
        return None


def _shuffled(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _products(items: Sequence[Item]) -> NDArray[np.intp]:
    return np.unique([item.product or item.item_id for item in items], return_inverse=True)[1]


def _features(
    encoder: Encoder, items: Sequence[Item], options: ExtractionOptions, progress: Progress
) -> tuple[NDArray[np.float32], list[int]]:
    """The features of the photos that can be read, and which ones these are."""
    rows, kept = [], []
    paths = [item.path for item in items]
    with embed(paths, lambda: encoder, workers=options.workers, batch=options.batch_size) as stream:
        for i, result in enumerate(stream):
            if result.features is not None:
                rows.append(result.features)
                kept.append(i)
            progress(i + 1)
    return np.stack(rows), kept


def choose_nodes(
    cosines: Mapping[str, NDArray[np.float32]],
    usual: Sequence[str],
    labels: Sequence[str],
    products: NDArray[np.intp],
    fair: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> BlockChoice:
    """The usual blocks, and those that help them most: each step takes the one with the smallest error.

    All photos are learned from; the errors are those of the `fair` ones, which no tuned network has seen.
    """
    wanted = targets(labels)
    folds = [score for _, score in grouped_folds(labels, products, FOLDS, seed)]
    scored = np.ones(len(labels), dtype=bool) if fair is None else fair

    def measure(blocks: Sequence[str]) -> tuple[Errors, float]:
        answers = left_out_answers(Blend(tuple(blocks)).mean(cosines), wanted, folds)
        right = (answers.argmax(axis=1) == wanted.argmax(axis=1))[scored].mean()
        return ((answers - wanted) ** 2).sum(axis=1).astype(np.float64)[scored], float(right)

    taken, shares = list(usual), {}
    errors, share = measure(taken)
    shares[PLUS.join(taken)] = round(share, 4)
    for _ in range(MOST_ADDED):
        tried = {name: measure([*taken, name]) for name in cosines if name not in taken}
        best = min(tried, key=lambda name: float(tried[name][0].mean()), default="")
        if not best or tried[best][1] < share or not _is_better(tried[best][0], errors, products[scored], len(tried)):
            break
        taken.append(best)
        errors, share = tried[best]
        shares[f"with {best.rpartition('/')[2]}"] = round(share, 4)
    return BlockChoice(tuple(taken), f"{len(folds)} folds of a quick classifier", int(scored.sum()), shares)


def _is_better(errors: Errors, others: Errors, products: NDArray[np.intp], candidates: int) -> bool:
    """Whether the best of several candidates has clearly smaller errors: a paired test over whole products."""
    return errors.mean() < others.mean() and candidates * sign_flips(others, errors, products).p < LIMIT
