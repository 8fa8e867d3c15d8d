"""How a tuning goes, for the person at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from featx.cli.output import Output, duration, percent, percent_range, pluralise, size, some_of

if TYPE_CHECKING:
    from featx.backbones.tuned_card import Epoch, Folds, Reached, Step, Trial
    from featx.catalogue.items import Catalogue, Skipped
    from featx.finetuning import TuneOptions
    from featx.finetuning.events import Advance, Kept, Planned, TuneEvents

# From this share of near-copies on, a judgement flatters.
MANY_TWINS = 0.2
# Epochs that a curve on the terminal goes back to.
CURVE = 24


def narrator(out: Output) -> TuneEvents:
    """Tells the person at the terminal how a tuning goes."""
    from featx.finetuning.events import TuneEvents as Events

    judged: list[float] = []

    class Narrator(Events):
        """Prints a line for each step."""

        def read(self, catalogue: Catalogue) -> None:
            out.say(catalogue.describe())

        @contextmanager
        def progress(self, total: int, what: str) -> Iterator[Advance]:
            with out.progress(total, what) as advance:
                yield advance

        def left_out(self, skipped: list[Skipped]) -> None:
            names = some_of([skip.path for skip in skipped])
            out.warn(f"{pluralise(len(skipped), 'photo')} left out, which cannot be read: {names}")

        def planned(self, plan: Planned) -> None:
            products = pluralise(plan.judged_products, "product")
            out.say(
                f"{plan.backbone} on {plan.device} · tuned on {pluralise(plan.tuned, 'photo')} in "
                f"{pluralise(plan.categories, 'category', 'categories')}, judged on {plan.judged:,} of {products} "
                "it never sees"
            )
            if plan.twins > MANY_TWINS:
                out.warn(
                    f"{percent(plan.twins, 0)} of the photos that judge are near-copies of photos it learns from: they "
                    "say little; let photos from elsewhere judge, `--val SPLIT`"
                )
            if plan.tested:
                out.say(f"{pluralise(plan.tested, 'photo')} only test: they choose nothing")

        def before(self, reached: Reached) -> None:
            out.result(_reached("before", f"frozen, {reached.classifier}", reached))

        def cut(self, kept: Kept) -> None:
            views = f"{pluralise(kept.views, 'view')} and the plain one" if kept.views else "the plain view"
            out.say(
                f"{'cut':<10}{kept.cut} · {size(kept.bytes_each)} a view · {views} of "
                f"{pluralise(kept.photos, 'photo')}: {size(kept.bytes_all)}, {kept.missing:,} to compute"
            )

        def searched(self, trials: list[Trial], chosen: TuneOptions) -> None:
            recipes = sum(trial.epochs == 1 for trial in trials)
            blocks = "" if chosen.last is None else f", last {pluralise(chosen.last, 'block')}"
            out.say(
                f"{'search':<10}rate {chosen.rate:g}, weight decay {chosen.weight_decay:g}, smoothing "
                f"{chosen.smoothing:g}, slower by {chosen.layer_decay:g}{blocks}: the best of {recipes:,} recipes"
            )

        def unlabelled(self, photos: int, usable: int) -> None:
            if photos > usable:
                out.say(
                    f"{photos - usable:,} of {pluralise(photos, 'photo')} without categories are copies of labelled "
                    "ones, or of each other: left out"
                )

        def rates(self, chosen: float, tried: list[float]) -> None:
            choice = f" of {', '.join(f'{rate:.1e}' for rate in tried)}, an epoch each" if tried else ""
            out.say(f"{'lr':<10}{chosen:.1e}{choice}")

        def going_on(self, epoch: int, epochs: int) -> None:
            out.say(f"going on at epoch {epoch} of {epochs}, where an earlier run ended")

        def epoch(self, epoch: Epoch, epochs: int, *, best: bool) -> None:
            mark = "   best" if best else ""
            judged.append(epoch.judged)
            out.say(
                f"epoch {epoch.number:>2}/{epochs}   loss {epoch.loss:.3f}   judged {percent(epoch.judged)}"
                f"{_curve(judged)}{mark}"
            )

        def stopped(self, reason: str) -> None:
            out.say(f"stopped: {reason}")

        def blended(self, share: float, accuracy: float) -> None:
            out.say(f"{'blend':<10}{share:g} tuned + {1 - share:g} as it was: {percent(accuracy)}")

        def rung(self, step: Step) -> None:
            out.result(f"{_reached('', step.name, step.reached)}   {duration(step.seconds)}")

        def folds(self, folds: Folds) -> None:
            out.result(_reached("folds", f"{folds.folds}, out of fold", folds.reached))

        def after(self, reached: Reached, gain: tuple[float, float, float, float]) -> None:
            difference, low, high, p = gain
            change = f"{100 * difference:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}, p = {p:.3f})"
            out.result(f"{_reached('after', f'tuned, {reached.classifier}', reached)}   {change}")
            out.say(f"{'':<10}the photos that judge also chose the epoch and the blend: new photos may gain less")

        def tracker_failed(self, name: str, reason: str) -> None:
            out.warn(f"{name} failed and gets no more numbers, the training goes on: {reason}")

    return Narrator()


def _curve(judged: list[float]) -> str:
    """The scores so far as a small curve, for a terminal."""
    from featx.cli.sparklines import curve

    if len(judged) < 2 or not sys.stderr.isatty():
        return ""
    shown = judged[-CURVE:]
    return f"   {curve(shown, min(shown), max(shown))}"


def _reached(when: str, what: str, reached: Reached) -> str:
    return f"{when:<10}{what:<22}{percent(reached.accuracy):>6}   ({percent_range(reached.low, reached.high)})"
