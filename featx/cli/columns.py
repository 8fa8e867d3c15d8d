"""What the columns of a table, or read text, do for a classifier, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featx.cli.output import percent, pluralise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featx.classifiers.card import ColumnsRecord, Difference, TriedClassifier

# From this share of texts with the name of their category on, somebody should know.
MANY = 0.05
# Categories whose words are shown.
SHOWN = 5
NAMES = {"photo": "photo alone", "columns": "columns alone"}


def column_lines(record: ColumnsRecord) -> list[str]:
    """The trials of columns beside the photo, the way that was chosen, and what it gained."""
    columns = ", ".join(
        f"{column.name} ({column.kind}, {percent(column.given, 0)} of photos)" for column in record.columns
    )
    lines = [f"beside the photo: {columns}", f"tried in the same folds: {_listed(record.tried)}"]
    if record.tried_on_held_out:
        lines.append(f"tried on held-out photos, which decide: {_listed(record.tried_on_held_out)}")
    lines[-1] += f"; chosen: {_chosen(record)}"
    gains = {"in the folds": record.cv, "on held-out photos": record.test}
    lines += [f"  {where}: {_gain(gain)}" for where, gain in gains.items() if gain is not None]
    return [*lines, *word_lines({label: [word.word for word in words] for label, words in record.words.items()})]


def word_lines(words: Mapping[str, Sequence[str]], most: int = SHOWN) -> list[str]:
    """The words that speak for categories, a line for each; of many categories only the first."""
    lines = [f"  {label}: {', '.join(of)}" for label, of in list(words.items())[:most]]
    more = len(words) - len(lines)
    left = [f"  … {pluralise(more, 'more category', 'more categories')}: in `--json` and the report"] if more else []
    return ["words that speak for a category:", *lines, *left] if lines else []


def _listed(trials: Sequence[TriedClassifier]) -> str:
    return ", ".join(f"{NAMES.get(trial.name, trial.name)} {percent(_share(trial))}" for trial in trials)


def _chosen(record: ColumnsRecord) -> str:
    if not record.cv and len(record.tried) == 1:
        return "photo alone (too few products to try others)"
    return "photo alone (no other is clearly better)" if record.way == "photo" else record.way


def _share(trial: TriedClassifier) -> float:
    return trial.correct / max(trial.n, 1)


def _gain(gain: Difference) -> str:
    low, high = gain.ci95
    return (
        f"{percent(gain.photo)} by the photo alone, {percent(gain.both)} with columns: "
        f"{100 * gain.difference:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}) on {pluralise(gain.n, 'photo')}"
    )


def leak_warnings(record: ColumnsRecord) -> list[str]:
    """The columns that give the category away, each in a sentence."""
    warnings = []
    for column in record.columns:
        if column.stands:
            warnings.append(
                f"FX108: each value of `{column.name}` stands with one category: it is the category by another name, "
                "and the score holds only where new products have it before they have a category"
            )
        elif column.named >= MANY:
            warnings.append(
                f"FX107: {percent(column.named, 0)} of the values of `{column.name}` contain the name of their category"
                + _without(record)
            )
    return warnings


def _without(record: ColumnsRecord) -> str:
    if record.without_names is None:
        return ""
    return f"; without those words {percent(_share(record.without_names))} are right in the folds"
