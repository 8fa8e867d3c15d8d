"""What came of a tuning, for the person at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featx.cli.output import Output, duration, percent, pluralise, size

if TYPE_CHECKING:
    from featx.backbones.tuned_card import TunedCard
    from featx.finetuning import Tuned

# How a judgement by look-alikes is called on the card.
NEAREST = "nearest photo"


def print_result(tuned: Tuned, out: Output, images: str) -> None:
    """Before and after, whether it pays, the file, and how to go on."""
    if tuned.card.tested is not None:
        before, after = tuned.card.tested
        out.result(
            f"{'test':<10}{percent(before.accuracy)} before, {percent(after.accuracy)} after, on "
            f"{pluralise(after.n, 'photo')} that chose nothing"
        )
    if tuned.card.beside is not None:
        before, after = tuned.card.beside
        what = "look-alikes" if before.classifier == NEAREST else "categories"
        out.result(f"{what}: {percent(before.accuracy)} before, {percent(after.accuracy)} after")
    best = tuned.best
    extract = best.extract if best is not None else ""
    if not tuned.pays:
        kept = "written all the same" if tuned.file else "nothing written"
        keep = "" if tuned.file or not tuned.history else "; `--keep` writes it all the same"
        out.result(f"tuning does not pay: {_as_good(tuned)}: {kept}{keep}")
    _print_beside(tuned.card, out)
    if tuned.file is not None:
        card = tuned.file.with_suffix(".md")
        out.ok(
            f"{tuned.backbone} saved: {tuned.file} ({size(tuned.file.stat().st_size)}); card: {card} · "
            f"{duration(tuned.seconds)}"
        )
        out.next(f"featx extract {images} {extract if tuned.pays else f'-b {tuned.backbone}'}   ·   featx fit")
    elif not tuned.pays:
        out.next(f"featx extract {images} {extract}".rstrip() + "   ·   featx fit")


def _as_good(tuned: Tuned) -> str:
    """What does as well without any training; p compares with the frozen network alone."""
    if tuned.best is None or not tuned.best.extract:
        return f"the frozen network is as good (p = {tuned.p:.3f})"
    return f"{tuned.best.name} of the frozen network do as well"


def _print_beside(card: TunedCard, out: Output) -> None:
    """What was requested beside the judgement."""
    if card.also is not None:
        name = str(card.recipe.get("also")).partition("=")[0]
        before, after = card.also
        out.result(f"{name}: {percent(before.accuracy)} before, {percent(after.accuracy)} after")
    if card.unlabelled is not None:
        more = card.unlabelled
        sure = "" if more.threshold is None else f", at least {percent(more.threshold)} sure of each"
        out.result(
            f"unlabelled: {percent(more.without.accuracy)} without, {percent(more.with_them.accuracy)} with "
            f"{more.used:,} of {pluralise(more.photos, 'photo')}{sure}: {'kept' if more.kept else 'not kept'}"
        )
    if card.scratch is not None:
        out.result(f"from random numbers: {percent(card.scratch.accuracy)} after as many steps; not kept")
    for row in card.robustness:
        out.result(f"{row.change:<14}{percent(row.before):>6} before, {percent(row.after):>6} after")
