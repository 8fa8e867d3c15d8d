"""Results as a notebook shows them: a small table, with thumbnails where photos say more than names."""

from __future__ import annotations

from collections.abc import Sequence

SIDE = 72
# A notebook stores its output: a few hundred kilobytes, however long the result.
MOST_ROWS = 50
MOST_PHOTOS = 24
LONGEST = 100


def notebook_table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    photos: Sequence[Sequence[str]] = (),
    total: int | None = None,
) -> str:
    """A table in HTML, every name escaped; `photos` are the paths shown before each row.

    Of many rows and photos the first are shown; the caption says of how many (`total`, where `rows` are not all).
    """
    from featx.views.pages import render

    shown = [[_cell(value) for value in row] for row in rows[:MOST_ROWS]]
    total = len(rows) if total is None else total
    more = f" (the first {len(shown)} of {total:,} are shown)" if len(shown) < total else ""
    return render(
        "notebook.html.j2", caption=caption + more, columns=columns, rows=shown, photos=_bounded(photos), side=SIDE
    )


def _cell(value: object) -> str:
    text = "–" if value is None or value == "" else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _bounded(photos: Sequence[Sequence[str]]) -> list[list[str]]:
    """The first photos; the rows after them have none."""
    left, shown = MOST_PHOTOS, []
    for paths in photos[:MOST_ROWS]:
        shown.append(list(paths[:left]))
        left -= len(shown[-1])
    return shown
