"""The output of a command: results on stdout, everything else on stderr."""

from __future__ import annotations

import json as jsonlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from featx.views.quantities import clock
from featx.views.quantities import duration as duration  # noqa: PLC0414
from featx.views.quantities import percent as percent  # noqa: PLC0414
from featx.views.quantities import percent_range as percent_range  # noqa: PLC0414
from featx.views.quantities import pluralise as pluralise  # noqa: PLC0414
from featx.views.quantities import size as size  # noqa: PLC0414
from featx.views.quantities import some_of as some_of  # noqa: PLC0414

if TYPE_CHECKING:
    from rich.console import Console

    from featx.cli.own_columns import OwnColumns

Cell = str | int | float | None


class Advance(Protocol):
    """Called after each batch with the number of items done so far and an optional note."""

    def __call__(self, done: int, note: str = "") -> None:
        """Show progress."""


@dataclass
class Output:
    """The two output streams of a command, and the flags that control them."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    _columns_named: bool = field(default=False, repr=False)

    @property
    def for_people(self) -> bool:
        """Whether stdout is a terminal, which gets tables and sentences."""
        return not self.json and sys.stdout.isatty()

    def say(self, text: str) -> None:
        """A progress line, for people only."""
        if not self.quiet:
            _write(sys.stderr, text)

    def detail(self, text: str) -> None:
        """A line that only `--verbose` shows."""
        if self.verbose:
            _write(sys.stderr, text)

    def ok(self, text: str) -> None:
        """A line for a finished step."""
        if not self.quiet:
            _write(sys.stderr, f"{_mark('✓', 'ok', sys.stderr)} {text}", style="green")

    def warn(self, text: str) -> None:
        """A line for something skipped or suspicious; hidden by `--quiet`."""
        if not self.quiet:
            _write(sys.stderr, f"! {text}", style="yellow")

    def notice(self, text: str) -> None:
        """A line that tells a person, in colour, something they may not expect; hidden by `--quiet`."""
        if not self.quiet:
            _write(sys.stderr, f"! {text}", style="magenta")

    def next(self, text: str) -> None:
        """A suggestion of the next command."""
        if not self.quiet and not self.json:
            _write(sys.stderr, f"  next: {text}", style="cyan")

    def result(self, text: str) -> None:
        """A line of the result for people; `--json` prints the document instead."""
        if not self.json:
            _write(sys.stdout, text)

    def headline(self, text: str) -> None:
        """The summary of a list: above its table on a terminal, else on stderr, so that stdout holds only the list."""
        if self.for_people:
            self.result(text)
        else:
            self.say(text)

    def document(self, value: object) -> None:
        """The JSON document of a command with one result; printed only under `--json`."""
        if self.json:
            print(json_line(value, sys.stdout), flush=True)

    def records(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        records: Sequence[Mapping[str, object]] | None = None,
        *,
        right: Sequence[str] = (),
        paths: Sequence[str] = (),
        styles: Sequence[str] = (),
        own: OwnColumns | None = None,
    ) -> None:
        """A list: a table on a terminal, tab-separated lines in a pipe, JSON Lines under `--json`.

        Where a table is too wide, the columns in `paths` are shortened at the front; `styles` are the colours of its
        rows. In a pipe, stderr names the columns once. Of the user's `own` columns a terminal shows what fits, and a
        pipe those that were requested; the `records` hold them already.
        """
        if own is not None and rows and not self.json:
            columns, rows, right = _with_own(own, columns, rows, right, paths)
        if self.json:
            for record in records if records is not None else [dict(zip(columns, row, strict=True)) for row in rows]:
                print(json_line(record, sys.stdout))
            sys.stdout.flush()
        elif sys.stdout.isatty():
            if rows:
                _table(columns, rows, right, paths, styles)
        else:
            if rows and not self._columns_named:
                self._columns_named = True
                self.say(f"  columns: {', '.join(_flat(name) or 'remark' for name in columns)}")
            for row in rows:
                _write(sys.stdout, "\t".join(_flat("" if cell is None else str(cell)) for cell in row))

    @contextmanager
    def progress(self, total: int, what: str, unit: str = "photos") -> Iterator[Advance]:
        """A transient bar on a terminal; elsewhere a plain line every 10% or 30 seconds."""
        if self.quiet or os.environ.get("FEATX_NO_PROGRESS"):
            yield lambda done, note="": None
        elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            with _bar(total, unit) as advance:
                yield advance
        else:
            yield _plain_progress(total, what, unit)


def in_percent(advance: Advance) -> Callable[[int, int], None]:
    """Progress in steps, shown in percent of all."""
    return lambda done, total: advance(done * 100 // total)


def _with_own(
    own: OwnColumns, columns: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[str], paths: Sequence[str]
) -> tuple[Sequence[str], Sequence[Sequence[Cell]], Sequence[str]]:
    if not sys.stdout.isatty():
        return *own.named(columns, rows), right
    wide, cells, numbers = own.fitting(columns, rows, paths, _console(sys.stdout, wrapped=True).width)
    return wide, cells, [*right, *numbers]


def json_line(value: object, stream: TextIO) -> str:
    """One line of JSON; plain ASCII where the stream is not UTF-8."""
    plain = (stream.encoding or "utf-8").lower().replace("_", "-") not in ("utf-8", "utf8")
    return jsonlib.dumps(value, ensure_ascii=plain, allow_nan=False, default=str)


def _console(stream: TextIO, *, wrapped: bool = False) -> Console:
    from rich.console import Console

    # Without colours, no other escape sequence is sent either, such as bold type.
    system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(file=stream, highlight=False, soft_wrap=not wrapped, markup=False, emoji=False, color_system=system)


def _write(stream: TextIO, text: str, style: str | None = None) -> None:
    shown = _encodable(_printable(text), stream)
    if style and stream.isatty() and not os.environ.get("NO_COLOR"):
        _console(stream).print(shown, style=style)
    else:
        print(shown, file=stream, flush=True)


def _printable(text: str) -> str:
    """Show control characters instead of sending them: file names and labels must not steer the terminal.

    Nor may they reverse the writing direction, which makes `gpj.exe` read as `exe.jpg`.
    """
    return "".join(_shown(c) for c in text)


def without_steering(text: str) -> str:
    """Text of any origin, such as a traceback, made safe for a terminal."""
    return _encodable(_printable(text), sys.stderr)


def _shown(c: str) -> str:
    code = ord(c)
    if c in "\n\t" or not (code < 32 or 127 <= code < 160 or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069):
        return c
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _flat(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        for mark, plain in (("✓", "ok"), ("·", "-"), ("×", "x"), ("–", "-"), ("…", "..."), ("→", "->"), ("≥", ">=")):
            text = text.replace(mark, plain)
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    return text


def _mark(mark: str, plain: str, stream: TextIO) -> str:
    return mark if _encodable(mark, stream) == mark else plain


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    right: Sequence[str],
    paths: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console(sys.stdout, wrapped=True)
    cells = [[_encodable(_printable(_flat("–" if c is None else str(c))), sys.stdout) for c in row] for row in rows]
    _fit(columns, cells, [columns.index(name) for name in paths], console.width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in paths
        )
    for row, style in zip(cells, styles or [""] * len(cells), strict=True):
        table.add_row(*map(Text, row), style=style or None)
    console.print(table)


GAP = 2
SHORTEST = 20


def _fit(columns: Sequence[str], cells: list[list[str]], shrinkable: Sequence[int], width: int) -> None:
    """Shorten the widest of the `shrinkable` columns until the table fits, but never below `SHORTEST`."""
    from rich.cells import cell_len

    head = [max(name.split("\n"), key=len) for name in columns]
    widths = [max(cell_len(row[i]) for row in [head, *cells]) for i in range(len(columns))]
    while shrinkable and sum(widths) + GAP * (len(widths) - 1) > width:
        widest = max(shrinkable, key=widths.__getitem__)
        if widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    mark = _encodable("…", sys.stdout)
    for row in cells:
        for i in shrinkable:
            if cell_len(row[i]) > widths[i]:
                row[i] = mark + _end_of(row[i], widths[i] - cell_len(mark))


def _end_of(path: str, width: int) -> str:
    """As much of the end of a path as fits, cut at a folder if possible."""
    from rich.cells import cell_len

    end = path[-width:]
    while cell_len(end) > width:
        end = end[1:]
    folders = end.find("/")
    return end[folders:] if 0 <= folders < len(end) - 1 else end


@contextmanager
def _bar(total: int, unit: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=32), TextColumn("{task.fields[line]}", markup=False))
    with Progress(*columns, console=_console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=total, line="starting")
        pace = _Pace(total, unit)

        def advance(done: int, note: str = "") -> None:
            bar.update(task, completed=done, line=pace.line(done, note))

        yield advance


def _plain_progress(total: int, what: str, unit: str) -> Advance:
    begun, pace = time.monotonic(), _Pace(total, unit)
    last = {"tenth": 0, "time": begun}

    def advance(done: int, note: str = "") -> None:
        now, tenth = time.monotonic(), done * 10 // max(total, 1)
        line = pace.line(done, note)
        # A run that ends within seconds needs no progress lines.
        if now - begun > 5 and (tenth > last["tenth"] or now - last["time"] >= 30):
            last.update(tenth=tenth, time=now)
            _write(sys.stderr, f"{what} {line}")

    return advance


class _Pace:
    """Progress and speed, timed from the first finished item: loading a network is not part of the speed."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit = total, unit
        self.begun, self.before = time.monotonic(), 0

    def line(self, done: int, note: str = "") -> str:
        """The progress line after `done` items."""
        position = f"{done}%" if self.unit == "percent" else f"{done:,}/{self.total:,}"
        if done and not self.before and self.unit != "percent":
            self.begun, self.before = time.monotonic(), done
        more, seconds = done - self.before, max(time.monotonic() - self.begun, 1e-6)
        parts = [position]
        if more > 0:
            rate = more / seconds
            if self.unit != "percent":
                parts.append(f"{rate:.0f} {self.unit}/s" if rate >= 1 else f"{60 * rate:.0f} {self.unit}/min")
            parts.append(f"{clock((self.total - done) / rate)} left")
        elif not done:
            parts.append("starting")
        return "  ".join([*parts, *([note] if note else [])])


def error_text(message: str, hint: str) -> str:
    """An error for people: the fact, a blank line, the hint; at most 80 columns wide."""
    import shutil

    width = min(80, max(40, shutil.get_terminal_size().columns))
    blocks = [_wrapped("error: ", message, width)]
    if hint:
        blocks.append(_wrapped("hint: ", hint, width))
    return _encodable(_printable("\n\n".join(blocks)), sys.stderr)


# Stands for a space that must not become a line break.
_FIRM = "\ue000"


def _wrapped(lead: str, text: str, width: int) -> str:
    """Wrap text, keeping each command in backticks on one line so that it can be copied."""
    import re
    import textwrap

    lines: list[str] = []
    for line in re.sub("`[^`\n]*`", lambda match: match[0].replace(" ", _FIRM), text).split("\n"):
        indent = lead if not lines else " " * len(lead)
        lines += textwrap.wrap(
            line,
            width,
            initial_indent=indent,
            subsequent_indent=" " * len(lead),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines).replace(_FIRM, " ")
