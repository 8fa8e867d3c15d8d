"""What only some runs measured, as tables on the card's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from featx.backbones.tuned_card import Reached, Robust, Trial, TunedCard, Unlabelled
from featx.views.quantities import percent, percent_range, pluralise


def tables_of(card: TunedCard) -> list[str]:
    """Lines of Markdown, an empty one after each table."""
    return [
        *(_of_search(card.search) if card.search else []),
        *(_beside(card)),
        *(_of_robustness(card.robustness) if card.robustness else []),
    ]


def _beside(card: TunedCard) -> Iterator[str]:
    """A sentence for each measure that a run had beside, and an empty line after it."""
    if card.scratch is not None:
        yield f"From random numbers the same steps reach {_reached(card.scratch)}; that network is not kept."
        yield ""
    if card.also is not None:
        name = str(card.recipe.get("also")).partition("=")[0]
        yield f"{name} before {_reached(card.also[0])}, after {_reached(card.also[1])}, by a discriminant analysis."
        yield ""
    if card.unlabelled is not None:
        yield _of_unlabelled(card.unlabelled)
        yield ""


def _of_unlabelled(made: Unlabelled) -> str:
    sure = "" if made.threshold is None else f" of which the network was at least {percent(made.threshold)} sure"
    outcome = "they are kept" if made.kept else "that is not better, so the network never saw them"
    return (
        f"Of {pluralise(made.photos, 'photo')} without categories {made.used:,} were shown{sure}: "
        f"{_reached(made.without)} without, {_reached(made.with_them)} with them; {outcome}."
    )


def _of_robustness(rows: Sequence[Robust]) -> list[str]:
    return [
        f"On {pluralise(rows[0].n, 'judging photo')}, changed; FGSM moves every byte against the network:",
        "",
        "| photos | before | after |",
        "|---|---|---|",
        *(f"| {row.change} | {percent(row.before)} | {percent(row.after)} |" for row in rows),
        "",
    ]


def _reached(reached: Reached) -> str:
    return f"{percent(reached.accuracy)} ({percent_range(reached.low, reached.high)})"


def _of_search(trials: Sequence[Trial]) -> list[str]:
    return [
        "Recipes that were tried, in the order of the search; each round keeps one of three:",
        "",
        "| epochs | rate | weight decay | smoothing | slower by block | blocks | judged right |",
        "|---|---|---|---|---|---|---|",
        *map(_of_trial, trials),
        "",
    ]


def _of_trial(trial: Trial) -> str:
    blocks = "all" if trial.blocks is None else trial.blocks
    judged = "diverged" if trial.judged is None else percent(trial.judged)
    numbers = f"{trial.lr:g} | {trial.weight_decay:g} | {trial.smoothing:g} | {trial.layer_decay:g}"
    return f"| {trial.epochs} | {numbers} | {blocks} | {judged} |"
