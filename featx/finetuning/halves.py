"""A network cut in two, and what its front gives for every photo and view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import fx, nn

from featx.backbones.cuts import Cut, CutNetwork
from featx.backbones.tunable import TunableNetwork
from featx.compute.memory import give_back
from featx.errors import FeatxError
from featx.finetuning.cut.activations import Activations, Making, budget_of, views_within
from featx.finetuning.cut.fill import Missing, fill
from featx.finetuning.cut.front import TORCH, FrontEncoder, digest_of, suited_engine
from featx.finetuning.cut.tail import Whole
from featx.finetuning.events import Kept
from featx.finetuning.options import ALL, AUTO, HEAD
from featx.finetuning.work import Work

# What `--depth auto` cuts off: two blocks gain most of what a CPU can afford.
USUAL_DEPTH = 2


@dataclass(frozen=True)
class CutOff:
    """A fresh copy of the network, its parts, and where it is cut: nowhere where all of it is trained.

    A network that has no parts can only be trained whole.
    """

    network: TunableNetwork
    parts: CutNetwork | None
    cut: Cut | None

    @property
    def back(self) -> nn.Module:
        """The part that is trained."""
        return Whole(self.network) if self.cut is None or self.parts is None else self.parts.halves(self.cut)[1]

    @property
    def blocks(self) -> int:
        """How many blocks are trained."""
        if self.cut is not None:
            return self.cut.blocks
        return 0 if self.parts is None else len(self.parts.blocks)

    @cached_property
    def front(self) -> fx.GraphModule | None:
        """The part that stays as it is."""
        return None if self.cut is None or self.parts is None else self.parts.halves(self.cut)[0]

    def engine(self, work: Work) -> str:
        """What runs the front for all views that are wanted, whether some are kept already or not."""
        wanted = work.wanted(work.options.views_used)
        views = sum(wanted.values()) + len(wanted)
        return TORCH if self.front is None else suited_engine(work.encoder, self.network, self.front, views)

    def encoder(self, work: Work) -> FrontEncoder:
        """The front as an encoder."""
        if self.front is None:
            return FrontEncoder.of_photos(work.encoder)
        return FrontEncoder.up_to(work.encoder, self.network, self.front, self.engine(work))


@dataclass(frozen=True)
class Prepared(CutOff):
    """A network to train, with the activations of every photo and of so many altered views of each."""

    activations: Activations
    views: int


def cut_off(work: Work, depth: str) -> CutOff:
    """The network as it was, cut as `--depth` wants it."""
    network = work.encoder.tunable()
    example = torch.from_numpy(work.prepared[None]).to(network.device)
    try:
        parts = CutNetwork(network.network, network.enter(example), work.parent.backbone)
    except FeatxError:
        if depth == ALL:  # all of it needs no parts; it gets one rate
            return CutOff(network, None, None)
        raise
    if depth == ALL:
        return CutOff(network, parts, None)
    if depth in (AUTO, HEAD) or depth.isdigit():
        return CutOff(network, parts, parts.at_depth(int(depth) if depth.isdigit() else USUAL_DEPTH))
    return CutOff(network, parts, parts.before_layer(depth))


@contextmanager
def prepared(work: Work, depth: str) -> Iterator[Prepared]:
    """A network to train, once the cache has the activations that it learns from."""
    own = cut_off(work, depth)
    making, budget = _making(work, own), budget_of(work.options.cache)
    views = views_within(budget, len(work.wanted(0)), making.record.itemsize, work.options.views_used)
    with Activations.open(making, budget) as activations:
        _fill(work, own, activations, views)
        yield Prepared(own.network, own.parts, own.cut, activations, views)


def _making(work: Work, own: CutOff) -> Making:
    """What decides the activations; networks with the same front share them."""
    parent = replace(work.parent, backbone="", weights="", weights_sha256="")
    cut = own.cut
    facts = {
        "fingerprint": parent.to_dict(),
        "front": None if own.front is None else digest_of(own.front),
        "engine": own.engine(work),
        "cut": None if cut is None else [cut.name, cut.position],
        "augment": work.options.augment,
        "seed": work.options.seed,
    }
    if cut is not None:
        return Making(facts, cut.shape)
    return Making(facts, work.prepared.shape, "uint8" if work.prepared.dtype == np.uint8 else "float16")


def _fill(work: Work, own: CutOff, activations: Activations, views: int) -> None:
    """Compute what the cache lacks: every photo as it is, and views of those that are learned from."""
    wanted = work.wanted(views)
    missing = Missing.of(activations, wanted, work.paths)
    each = activations.making.record.itemsize
    total = (sum(wanted.values()) + len(wanted)) * each
    name = "all layers" if own.cut is None else own.cut.name
    work.events.cut(Kept(name, own.blocks, each, views, len(wanted), total, missing.count))
    with work.events.progress(len(missing.numbers), "activations") as advance:
        if missing.count:  # or the front would be converted for nothing
            fill(activations, own.encoder(work), missing, work.views, advance)
    give_back()
