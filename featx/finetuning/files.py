"""Weights and card in place: first the weights, then the card that vouches for them, then a page for people."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import save

from featx.backbones.tuned import FOLDS, PREFIX, SUFFIX
from featx.backbones.tuned_card import Folds, Reached, TunedCard
from featx.files.atomic import cannot_write, write_atomic
from featx.files.markdown import escape_markdown, inline_code
from featx.finetuning.folds import OutOfFold
from featx.finetuning.tables import tables_of
from featx.views.quantities import percent, percent_range, pluralise


def weights_as_file(tensors: Mapping[str, torch.Tensor]) -> tuple[bytes, str]:
    """The weights file and its SHA-256; the same numbers give the same bytes."""
    data = save(dict(tensors), metadata={"format": "pt"})
    return data, hashlib.sha256(data).hexdigest()


def answers_as_file(answers: OutOfFold) -> bytes:
    """The out-of-fold answers: digests, and log probabilities in half precision."""
    digests = np.array([np.frombuffer(bytes.fromhex(digest), dtype=np.uint8) for digest in answers.digests])
    halves = torch.from_numpy(answers.log_chances.astype(np.float16))
    data: bytes = save({"digests": torch.from_numpy(digests), "log_chances": halves})
    return data


def write_weights(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write weights that a run needs on its way."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, weights_as_file(tensors)[0])
    except OSError as error:
        raise cannot_write(file, error, "free some space and run it again") from error


def publish(folder: Path, data: bytes, card: TunedCard, answers: bytes | None = None) -> Path:
    """Write the weights, out-of-fold answers, the card and the page; returns where the weights are."""
    file = folder / f"{card.name}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(file, data)
        if answers is not None:
            write_atomic(file.with_suffix(FOLDS), answers)
        write_atomic(file.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
        write_atomic(file.with_suffix(".md"), page_of(card).encode())
    except OSError as error:
        raise cannot_write(file, error, "free some space and run it again: the training itself is kept") from error
    return file


def page_of(card: TunedCard) -> str:
    """The card for people."""
    parent, (gain, low, high, p) = card.parent, card.gain
    rows = [("before", card.before), ("after", card.after)]
    if card.tested is not None:
        rows += [("before, test photos", card.tested[0]), ("after, test photos", card.tested[1])]
    if card.beside is not None:
        rows += [("before, beside", card.beside[0]), ("after, beside", card.beside[1])]
    ladder = [f"| {s.name} | {percent(s.reached.accuracy)} | {s.seconds:,.0f} s |" for s in card.ladder]
    learned, categories = (
        pluralise(len(card.tuned_on), "photo"),
        pluralise(len(card.categories), "category", "categories"),
    )
    lines = [
        f"# {PREFIX}{card.name}",
        "",
        f"{inline_code(parent.backbone)} ({escape_markdown(parent.weights)}), trained further "
        f"from {inline_code(card.cut)} on.",
        f"Licence of the original weights: {parent.licence}.",
        "",
        "| | right | 95 % interval | photos | classifier |",
        "|---|---|---|---|---|",
        *(_row(name, reached) for name, reached in rows),
        "",
        f"The difference on the judging photos is {percent(gain)} ({percent_range(low, high)}, p = {p:.3f}).",
        "These photos also chose the epoch and the blend, so that the gain on new photos may be smaller.",
        "",
        f"It learned from {learned} in {categories} and was judged on {pluralise(len(card.judged_on), 'photo')}.",
        "",
        *(["| way | judged right | took |", "|---|---|---|", *ladder, ""] if ladder else []),
        *([_of_folds(card.folds), ""] if card.folds is not None else []),
        "| epoch | loss | judged right | log loss |",
        "|---|---|---|---|",
        *(f"| {e.number} | {e.loss:.3f} | {percent(e.judged)} | {e.log_loss:.3f} |" for e in card.history),
        "",
        *tables_of(card),
        "Recipe: " + ", ".join(f"{name} {value}" for name, value in card.recipe.items() if value is not None) + ".",
        "",
        f"Weights: `{card.name}{SUFFIX}`, SHA-256 `{card.sha256}`. Written {card.written}.",
    ]
    return "\n".join(lines) + "\n"


def _of_folds(folds: Folds) -> str:
    reached = folds.reached
    return (
        f"Trained {folds.folds} times, each time without a part of the products, it is right for "
        f"{percent(reached.accuracy)} ({percent_range(reached.low, reached.high)}) of the photos left out."
    )


def _row(name: str, reached: Reached) -> str:
    span = percent_range(reached.low, reached.high)
    return f"| {name} | {percent(reached.accuracy)} | {span} | {reached.n:,} | {escape_markdown(reached.classifier)} |"
