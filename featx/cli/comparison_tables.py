"""A comparison as tables, for the person at the terminal, with the warnings to read before believing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featx.cli.output import Cell, Output, duration, percent, percent_range, pluralise, size

if TYPE_CHECKING:
    from featx.comparison import Comparison
    from featx.comparison.document import ComparedStore, ComparisonDocument, LearningPoint
    from featx.reporting.records import EntryRow

# Letters of a bar behind a score.
BAR = 10


def print_comparison(comparison: Comparison, price: float | None, out: Output) -> None:
    """The recommendation, a row for each backbone and for each classifier, and the learning curve."""
    document, rows = comparison.document, comparison.rows()
    out.headline(document.best.why)
    if not out.for_people:
        out.records(list(rows[0]), [_plain_cells(row) for row in rows])
    else:
        if len(document.stores) > 1:
            print_backbones(document, price, out)
        _print_tables(document, rows, out)
    if document.learning_curve:
        _print_curve(document.learning_curve, out)


def print_warnings(document: ComparisonDocument, out: Output) -> None:
    """Warnings to read before believing the table, on a terminal or not."""
    settings = document.settings
    if document.doubling:
        out.say(f"  {document.doubling.why}")
    for store in document.stores:
        _print_checks(store, document, out)
    if settings["left_out_of_folds"]:
        names = settings["left_out_of_folds"]
        few = pluralise(len(names), "category has", "categories have")
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        out.warn(f"{few} fewer than {settings['folds']} products: learned, but left out of the folds: {listed}")
    for note in document.notes:
        out.say(f"  {note}")


def print_backbones(document: ComparisonDocument, price: float | None, out: Output) -> None:
    """One row for each store: its best classifier, its look-alike search, its pace and cost."""
    from featx.reporting.formatting import NUMBER_FORMATS
    from featx.reporting.recommendation import which_of

    widths = {store.name: store.width for store in document.stores}
    alike = {name: quality.recall_at_1 for name, quality in (document.retrieval or {}).items()}
    best = {row.store: row for row in reversed(which_of(document, price).rows) if not row.baseline}
    table: list[list[Cell]] = []
    for row in sorted(best.values(), key=lambda row: -row.accuracy.value if row.accuracy else 0.0):
        recall = alike.get(row.store)
        table.append(
            [
                row.store,
                f"{widths[row.store]:,}",
                percent(row.accuracy.value if row.accuracy else None),
                percent(recall.value if recall else None),
                "–" if row.images_per_second is None else f"{row.images_per_second:,.0f}",
                "–" if row.hours_per_million is None else NUMBER_FORMATS["hours"](row.hours_per_million),
                *(
                    ["–" if row.cost_per_million is None else f"{row.cost_per_million:,.2f}"]
                    if price is not None
                    else []
                ),
                _standing_of(row),
            ]
        )
    costs = ["cost per million"] if price is not None else []
    columns = ["backbone", "numbers", "right", "first look-alike", "photos/s", "time per million", *costs, ""]
    out.result("")
    out.records(columns, table, right=columns[1:-1])
    out.result("")


def _standing_of(row: EntryRow) -> str:
    from featx.comparison.result import standing

    flags = {"best": row.best, "as_good": row.alike, "not_told_apart": row.tied, "below_baseline": row.below}
    return standing({**flags, "baseline": row.baseline})


def _print_tables(document: ComparisonDocument, rows: list[dict[str, Any]], out: Output) -> None:
    settings, several = document.settings, len(document.stores) > 1
    groups = f"{settings['groups']:,} groups of one product or near-certain copies, never split"
    repeated = f" × {settings['repeats']}" if settings["repeats"] > 1 else ""
    categories = len(document.stores[0].categories)
    out.result(
        f"{pluralise(settings['n_learn'], 'photo')} · {pluralise(categories, 'category', 'categories')}"
        f" · {settings['folds']} folds{repeated} · {groups}"
    )
    out.result("")
    _print_scores(rows, out, held=settings["n_test"] > 0, several=several)
    out.result("")
    _print_costs(rows, out, several=several)
    _print_verdicts(document, several, out)


def _print_scores(rows: list[dict[str, Any]], out: Output, *, held: bool, several: bool) -> None:
    """A row for each candidate; columns that say nothing here are left out."""
    from featx.comparison.result import standing

    pairs = [
        (row["plain_accuracy"], row["cv_accuracy"]) for row in rows if row["plain_accuracy"] and row["cv_accuracy"]
    ]
    # Plain folds are worth a column where they promise too much, which the note below the table says.
    plain = any(random > grouped + 0.005 for random, grouped in pairs)
    coarse = any(row["coarse_accuracy"] is not None for row in rows)
    side = "test" if held else "cv"
    columns = [
        "classifier",
        *(["backbone"] if several else []),
        *(["held-out"] if held else ["folds"]),
        "95 % interval",
        *(["folds"] if held else []),
        *(["plain*"] if plain else []),
        *(["coarse"] if coarse else []),
        "macro F1",
        "",
    ]
    table: list[list[Cell]] = [
        [
            _shown_name(row),
            *([row["store"]] if several else []),
            percent(row[f"{side}_accuracy"]),
            percent_range(row[f"{side}_low"], row[f"{side}_high"]),
            *([percent(row["cv_accuracy"])] if held else []),
            *([percent(row["plain_accuracy"])] if plain else []),
            *([percent(row["coarse_accuracy"])] if coarse else []),
            percent(row["macro_f1"]),
            standing(row),
        ]
        for row in rows
    ]
    with_bars(columns, table, [row[f"{side}_accuracy"] for row in rows])
    out.records(columns, table, right=[name for name in columns if name not in ("classifier", "backbone", "")])
    if plain:
        out.result("* plain folds split the photos of one product: often reported, and too good to be true")


def _print_costs(rows: list[dict[str, Any]], out: Output, *, several: bool) -> None:
    costs: list[list[Cell]] = [
        [
            row["clf"],
            *([row["store"]] if several else []),
            duration(row["fit_seconds"]),
            f"{1000 * row['predict_seconds']:.2f} ms",
            size(row["bytes"]),
        ]
        for row in rows
        if not row["baseline"]
    ]
    names = ["classifier", *(["backbone"] if several else []), "training", "per photo", "size"]
    out.records(names, costs, right=names[-3:])


def _shown_name(row: dict[str, Any]) -> str:
    """A classifier's name; the one that sees colours alone, and no other baseline of its store, is called so."""
    from featx.backbones.registry import baseline_name
    from featx.comparison.candidates import MOST_FREQUENT

    colours = row["baseline"] and row["store"] == baseline_name() and row["clf"] != MOST_FREQUENT
    return "colour only" if colours else str(row["clf"])


def with_bars(columns: list[str], table: list[list[Cell]], shares: list[float | None]) -> None:
    """A bar behind the score that rows are ordered by, where the terminal is wide enough for one."""
    from shutil import get_terminal_size

    from featx.cli.sparklines import bar

    widths = [max(len(str(row[i] or "–")) for row in table) for i in range(len(columns))]
    widths = [max(width, len(name)) for width, name in zip(widths, columns, strict=True)]
    room = get_terminal_size().columns - sum(widths) - 2 * len(columns)
    if room < BAR + 2:
        return
    position = columns.index("95 % interval")
    columns.insert(position, "")
    for row, share in zip(table, shares, strict=True):
        row.insert(position, bar(share, BAR))


def _print_verdicts(document: ComparisonDocument, several: bool, out: Output) -> None:
    best, held = document.best.name, bool(document.held_out_tests)
    lines = []
    for test in document.held_out_tests or document.tests:
        if best not in (test.a, test.b) or test.verdict == "tie":
            continue
        winner, loser = (test.a, test.b) if test.verdict == "a" else (test.b, test.a)
        low, high = sorted((abs(test.low or 0.0), abs(test.high or 0.0)))
        names = [f"{clf} on {store}" if several else clf for store, clf in (winner, loser)]
        chance = "< 0.001" if (test.p_holm or 0.0) < 0.001 else f"= {test.p_holm:.3f}"
        points = f"{100 * abs(test.difference):.1f} points ({100 * low:.1f} – {100 * high:.1f})"
        lines.append(f"{names[0]} is better than {names[1]} by {points}, p {chance}")
    if lines:
        out.result("")
    shown = lines if out.verbose else lines[:3]
    for line in shown:
        out.result(line)
    if len(lines) > len(shown):
        out.result(f"and better than {len(lines) - len(shown)} more (-v shows them)")
    where = "the same held-out photos" if held else "the same folds, corrected for their overlap"
    if lines:
        out.result(f"(paired tests on {where}; p is corrected for the number of tests)")


def _print_curve(curve: Sequence[LearningPoint], out: Output) -> None:
    if out.for_people:
        out.result("")
        from featx.cli.sparklines import bar

        rows: list[list[Cell]] = [
            [point.per_class, point.n, percent(point.accuracy.mean), bar(point.accuracy.mean, BAR)]
            for point in curve
            if point.accuracy
        ]
        columns = ["photos per category (at most)", "in all", "right", ""]
        out.records(columns, rows, right=columns[:-1])


def _print_checks(store: ComparedStore, document: ComparisonDocument, out: Output) -> None:
    lead = f"{store.name}: " if len(document.stores) > 1 else ""
    seen = "in training" if document.settings["n_test"] else "in the other folds"
    for check in store.checks:
        bad, share = check.level == "warning", check.share or 0.0
        if check.code == "FX101":
            out.say(f"  {lead}{percent(share, 0)} of the scored photos have a near-duplicate {seen} (cosine ≥ 0.95)")
            if bad:
                out.warn(
                    f"FX101: {lead}with so many near-duplicates the score is too good; trust photos from elsewhere"
                )
        elif check.code == "FX105" and bad:
            out.warn(f"FX105: {lead}no classifier is better than colours alone ({percent(share)})")
        elif check.code == "FX106" and bad:
            out.warn(f"FX106: {lead}the folds promise {100 * share:.0f} points more than held-out photos show")


def _plain_cells(row: dict[str, Any]) -> list[Cell]:
    return [str(value).lower() if isinstance(value, bool) else value for value in row.values()]
