"""The rungs of the ladder that `--depth` wants, each judged."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import PLUS
from featx.backbones.nodes import AT
from featx.backbones.tuned import PREFIX
from featx.finetuning.cut.processes import started
from featx.finetuning.cut.tail import seconds_of_a_photo
from featx.finetuning.halves import Prepared, prepared
from featx.finetuning.judgement.judge import Judgement, judged_by_lda
from featx.finetuning.ladder import ADAPTED, FROZEN, JOINED, NODES, TAIL, VIEWS, WHOLE, Rung
from featx.finetuning.nodes import beside, frozen_nodes, widened
from featx.finetuning.options import ALL, AUTO, HEAD
from featx.finetuning.trainer import Trained, Trainer
from featx.finetuning.training.training import LEAST
from featx.finetuning.work import Work

# Rows of views that a discriminant analysis learns from at most: more take gigabytes.
MOST_ROWS = 12_000


@dataclass(frozen=True)
class Climbed:
    """Every rung, the cheapest first, and the networks that were trained for some of them."""

    rungs: list[Rung]
    trained: dict[str, Trained]


@dataclass(frozen=True)
class Nodes:
    """Several layers of the frozen network, by name, and their rows of all photos."""

    layers: str
    rows: NDArray[np.float32]


def climbed(work: Work, before: Judgement, adapted: Trained | None, trainer: Trainer) -> Climbed:
    """The rungs that `--depth` wants."""
    depth = str(work.options.depth)
    rungs, trained = [Rung(FROZEN, before, time.monotonic() - work.begun)], {}
    if adapted is not None:
        trained[ADAPTED] = adapted
        rungs.append(_rung_of(work, ADAPTED, adapted))
    with prepared(work, depth) as own:
        nodes = None
        # Of another size, or with adapted norms, no command extracts several layers.
        is_plain = work.options.size is None and adapted is None
        if depth in (AUTO, HEAD) and own.cut is not None and is_plain:
            lowest, nodes = _frozen_rungs(work, own)
            rungs += lowest
        if depth != HEAD:
            name = WHOLE if own.cut is None else TAIL
            trained[name] = made = trainer.trained(name, own)
            rungs.append(_rung_of(work, name, made))
            if nodes is not None:
                rungs.append(_joined(work, made, nodes))
    if depth == AUTO and _whole_is_affordable(work):
        with prepared(work, ALL) as own:
            trained[WHOLE] = made = trainer.trained(WHOLE, own)
            rungs.append(_rung_of(work, WHOLE, made))
    return Climbed(rungs, trained)


def _reported(work: Work, rung: Rung) -> Rung:
    work.events.rung(rung.step(work.photos))
    return rung


def _rung_of(work: Work, name: str, made: Trained) -> Rung:
    return _reported(work, Rung(name, made.judgement, made.seconds, f"-b {PREFIX}{work.name}"))


def _whole_is_affordable(work: Work) -> bool:
    """Whether all layers can be trained in the time that is left."""
    each = seconds_of_a_photo(work.encoder.tunable(), work.prepared)
    fits = each * len(work.photos.learn) * (work.options.epochs or LEAST) < work.seconds_left
    return started().agreed(fits)


def _frozen_rungs(work: Work, own: Prepared) -> tuple[list[Rung], Nodes | None]:
    """What more of the frozen network gives: several of its layers, and altered views as photos of their own."""
    begun, photos = time.monotonic(), work.photos
    assert own.parts is not None and own.cut is not None
    nodes = frozen_nodes(work.parent.backbone, work.weights, own.parts, own.cut)
    if nodes is None:
        return [], None
    rows = nodes.rows(own.activations.batches(photos.digests))
    wide = widened(work.parent, rows)
    weights = f" --weights {work.weights}" if work.weights else ""
    layers = f"-b {work.parent.backbone}{weights} --layer {nodes.layers}"
    rungs = [_reported(work, Rung(NODES, work.judged(rows, wide), time.monotonic() - begun, layers))]
    if own.views and not work.options.for_look_alikes:
        begun, learned = time.monotonic(), [photos.digests[i] for i in photos.learn]
        used = min(own.views, max(1, MOST_ROWS // len(learned) - 1))
        more = (nodes.rows(own.activations.batches(learned, view)) for view in range(1, used + 1))
        judged = judged_by_lda(photos, photos.with_features(rows, wide), more, used)
        rungs.append(_reported(work, Rung(VIEWS, judged, time.monotonic() - begun, f"{layers} --views {used + 1}")))
    return rungs, Nodes(nodes.layers, rows)


def _joined(work: Work, made: Trained, nodes: Nodes) -> Rung:
    """The tuned network beside several layers of the frozen one."""
    begun, rows = time.monotonic(), beside(made.rows, nodes.rows)
    judged = work.judged(rows, widened(work.parent, rows))
    weights = f" --weights {PLUS}{work.weights}" if work.weights else ""
    extract = f"-b {PREFIX}{work.name}{PLUS}{work.parent.backbone}{AT}{nodes.layers}{weights}"
    return _reported(work, Rung(JOINED, judged, made.seconds + time.monotonic() - begun, extract))
