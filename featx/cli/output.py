"""What a command prints, and where: results on stdout, everything else on stderr."""

from __future__ import annotations

import json as jsonlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from featx.views.quantities import clock
from featx.views.quantities import duration as duration  # noqa: PLC0414
from featx.views.quantities import pluralise as pluralise  # noqa: PLC0414
from featx.views.quantities import size as size  # noqa: PLC0414

if TYPE_CHECKING:
    from rich.console import Console

Cell = str | int | float | None


class Advance(Protocol):
    """Told after each batch: how many items are done in all, and a word about the rest."""

    def __call__(self, done: int, note: str = "") -> None:
        """Show that `done` items are through."""


@dataclass
class Output:
    """The two streams of one command and how the person asked to see them."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    _columns_told: bool = field(default=False, repr=False)

    @property
    def for_people(self) -> bool:
        """Whether stdout is a terminal that should get tables and sentences."""
        return not self.json and sys.stdout.isatty()

    def say(self, text: str) -> None:
        """A line about what is going on, for the person only."""
        if not self.quiet:
            _write(sys.stderr, text)

    def detail(self, text: str) -> None:
        """A line that only `--verbose` shows."""
        if self.verbose:
            _write(sys.stderr, text)

    def ok(self, text: str) -> None:
        """What was achieved."""
        if not self.quiet:
            _write(sys.stderr, f"{_mark('✓', 'ok', sys.stderr)} {text}", style="green")

    def warn(self, text: str) -> None:
        """What was skipped or looks wrong; shown even with `--quiet` off only."""
        if not self.quiet:
            _write(sys.stderr, f"! {text}", style="yellow")

    def next(self, text: str) -> None:
        """What to type now."""
        if not self.quiet and not self.json:
            _write(sys.stderr, f"  next: {text}", style="cyan")

    def result(self, text: str) -> None:
        """A line of the result, for a person (nothing under `--json`: the document says it)."""
        if not self.json:
            _write(sys.stdout, text)

    def headline(self, text: str) -> None:
        """What a list comes to: above its table on a terminal, else on stderr, so that stdout holds the list alone."""
        if self.for_people:
            self.result(text)
        else:
            self.say(text)

    def document(self, value: object) -> None:
        """The one JSON document of a command that has one result (printed only under `--json`)."""
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
    ) -> None:
        """A list: a table on a terminal, tab-separated lines in a pipe, a JSON object a line under `--json`.

        Where a table is too wide, `paths` are the columns that keep the ends of their cells. What the columns of a
        pipe are is told once, on stderr.
        """
        if self.json:
            for record in records if records is not None else [dict(zip(columns, row, strict=True)) for row in rows]:
                print(json_line(record, sys.stdout))
            sys.stdout.flush()
        elif sys.stdout.isatty():
            if rows:
                _table(columns, rows, right, paths)
        else:
            if rows and not self._columns_told:
                self._columns_told = True
                self.say(f"  columns: {', '.join(_flat(name) or 'remark' for name in columns)}")
            for row in rows:
                _write(sys.stdout, "\t".join(_flat("" if cell is None else str(cell)) for cell in row))

    @contextmanager
    def progress(self, total: int, what: str, unit: str = "images") -> Iterator[Advance]:
        """A transient bar on a terminal; elsewhere a plain line every 10 % or 30 seconds."""
        if self.quiet or os.environ.get("FEATX_NO_PROGRESS"):
            yield lambda done, note="": None
        elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            with _bar(total, unit) as advance:
                yield advance
        else:
            yield _plain_progress(total, what, unit)


def json_line(value: object, stream: TextIO) -> str:
    """One line of JSON; where the stream is not UTF-8, in characters that every encoding has."""
    plain = (stream.encoding or "utf-8").lower().replace("_", "-") not in ("utf-8", "utf8")
    return jsonlib.dumps(value, ensure_ascii=plain, allow_nan=False, default=str)


def _console(stream: TextIO, *, wrapped: bool = False) -> Console:
    from rich.console import Console

    # Without colours nothing else that steers a terminal is sent either, bold type included.
    system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(file=stream, highlight=False, soft_wrap=not wrapped, markup=False, emoji=False, color_system=system)


def _write(stream: TextIO, text: str, style: str | None = None) -> None:
    shown = _encodable(_printable(text), stream)
    if style and stream.isatty() and not os.environ.get("NO_COLOR"):
        _console(stream).print(shown, style=style)
    else:
        print(shown, file=stream, flush=True)


def _printable(text: str) -> str:
    """Names of files and labels must not steer the terminal: control characters are shown, not sent.

    Nor may they turn the direction of writing, behind which `gpj.exe` reads as `exe.jpg`.
    """
    return "".join(_shown(c) for c in text)


def without_steering(text: str) -> str:
    """Text of any origin, such as a trace, as a terminal may get it."""
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
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[str], paths: Sequence[str] = ()
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
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


GAP = 2
SHORTEST = 20


def _fit(columns: Sequence[str], cells: list[list[str]], at: Sequence[int], width: int) -> None:
    """Shorten the widest of the columns `at` until the table fits, but never below what tells files apart."""
    from rich.cells import cell_len

    head = [max(name.split("\n"), key=len) for name in columns]
    widths = [max(cell_len(row[i]) for row in [head, *cells]) for i in range(len(columns))]
    while at and sum(widths) + GAP * (len(widths) - 1) > width:
        widest = max(at, key=widths.__getitem__)
        if widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    mark = _encodable("…", sys.stdout)
    for row in cells:
        for i in at:
            if cell_len(row[i]) > widths[i]:
                row[i] = mark + _end_of(row[i], widths[i] - cell_len(mark))


def _end_of(path: str, width: int) -> str:
    """As much of a path's end as fits, whole folders where the name leaves room for one."""
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
    said = {"tenth": 0, "at": begun}

    def advance(done: int, note: str = "") -> None:
        now, tenth = time.monotonic(), done * 10 // max(total, 1)
        line = pace.line(done, note)
        # A run that ends within seconds needs no running commentary.
        if now - begun > 5 and (tenth > said["tenth"] or now - said["at"] >= 30):
            said.update(tenth=tenth, at=now)
            _write(sys.stderr, f"{what} {line}")

    return advance


class _Pace:
    """How far the work is and how fast it goes, counted from the first that is done: loading a network is no photo."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit = total, unit
        self.begun, self.before = time.monotonic(), 0

    def line(self, done: int, note: str = "") -> str:
        """What is told of it when so many are done."""
        far = f"{done}%" if self.unit == "percent" else f"{done:,}/{self.total:,}"
        if done and not self.before and self.unit != "percent":
            self.begun, self.before = time.monotonic(), done
        more, seconds = done - self.before, max(time.monotonic() - self.begun, 1e-6)
        told = [far]
        if more > 0:
            rate = more / seconds
            if self.unit != "percent":
                told.append(f"{rate:.0f} {self.unit}/s" if rate >= 1 else f"{60 * rate:.0f} {self.unit}/min")
            told.append(f"{clock((self.total - done) / rate)} left")
        elif not done:
            told.append("starting")
        return "  ".join([*told, *([note] if note else [])])


def error_text(message: str, hint: str) -> str:
    """An error as a person reads it: the fact, a blank line, what to do; at most 80 columns wide."""
    import shutil

    width = min(80, max(40, shutil.get_terminal_size().columns))
    blocks = [_wrapped("error: ", message, width)]
    if hint:
        blocks.append(_wrapped("hint: ", hint, width))
    return _encodable(_printable("\n\n".join(blocks)), sys.stderr)


# Stands for a space at which no line may end.
_FIRM = "\ue000"


def _wrapped(lead: str, text: str, width: int) -> str:
    """Text in lines of a width; what stands between backticks stays on one, so that it can be copied."""
    import re
    import textwrap

    lines: list[str] = []
    for line in re.sub("`[^`\n]*`", lambda found: found[0].replace(" ", _FIRM), text).split("\n"):
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
