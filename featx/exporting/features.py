"""Give a store's features and columns to other programs, in a format they read."""

from __future__ import annotations

import errno
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np

from featx.catalogue.own_columns import written_names
from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, atomic_writer
from featx.files.cells import Cell
from featx.files.spreadsheet import TableWriter
from featx.text.text_file import load_texts, texts_beside

if TYPE_CHECKING:
    from featx.backbones import Fingerprint

FORMATS = ("npz", "npy", "csv", "parquet", "jsonl", "safetensors")
BLOCK = 4096
# The reader of the safetensors format refuses longer headers.
_LONGEST_HEADER = 100_000_000
# With a bare "\n", Python leaves a carriage return inside a cell unquoted, and the row becomes two.
_ROW_END = "\r\n"

Progress = Callable[[int], object]


class Exportable(Protocol):
    """What of a store is exported."""

    @property
    def path(self) -> Path:
        """The path of the store."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What made the features."""

    @property
    def ids(self) -> Sequence[str]:
        """One name for each item, unique."""

    @property
    def paths(self) -> Sequence[str]:
        """The path of each photo."""

    @property
    def labels(self) -> Sequence[str | None]:
        """The category of each item."""

    @property
    def products(self) -> Sequence[str | None]:
        """The product each item shows."""

    @property
    def splits(self) -> Sequence[str | None]:
        """The split of each item."""

    @property
    def digests(self) -> Sequence[str]:
        """The SHA-256 of each photo."""

    @property
    def own_columns(self) -> Mapping[str, Sequence[Cell]]:
        """The columns of the person's own table."""

    @property
    def width(self) -> int:
        """How many numbers describe an item."""

    def feature_blocks(self) -> Iterator[np.ndarray]:
        """A row of numbers for each item, some rows at a time."""


def format_of(name: str | None, output: Path | None) -> str:
    """The requested format, by name or by the suffix of the output file."""
    if name is not None:
        if name not in FORMATS:
            raise FeatxError("bad-flag", f"featx does not write `{name}`", f"it writes {', '.join(FORMATS)}")
        return name
    ending = output.suffix.lower().lstrip(".") if output is not None else ""
    if ending in FORMATS:
        return ending
    raise FeatxError("bad-flag", "no format was named", f"name one with `--to`: {', '.join(FORMATS)}")


def export_store(
    store: Exportable,
    to: str,
    output: Path | None = None,
    *,
    labels: Sequence[str | None] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a store's rows as `to`, each file whole or not at all; which files were written.

    `labels` are written instead of the store's own. Without `output`, the file is named like the store, in the working
    folder. `npy` writes two files into a folder: `features.npy` and `items.csv` (or `X.npy` and `X.csv`, when `output`
    is `X.npy`).
    """
    format_of(to, None)
    targets = _targets(store, to, output)
    for target in targets:
        _may_write(target, store, force)
    table = _Table(store, store.labels if labels is None else labels)
    report = progress or (lambda done: None)
    try:
        if to == "npy":
            with _replacing(targets[0]) as features, _replacing(targets[1]) as items:
                _write_npy(features, table, report)
                with _as_text(items) as text:
                    _write_csv(text, table, report, features=False)
        else:
            with _replacing(targets[0]) as file:
                _WRITERS[to](file, table, report)
    except OSError as error:
        raise _cannot_write(targets[0], error) from error
    return targets


def _targets(store: Exportable, to: str, output: Path | None) -> list[Path]:
    stem = Path(store.path).stem
    if to == "npy":
        if output is not None and output.suffix.lower() == ".npy":
            return [output, output.with_suffix(".csv")]
        folder = output or Path(f"{stem}-features")
        return [folder / "features.npy", folder / "items.csv"]
    return [output or Path(f"{stem}.{to}")]


def _may_write(target: Path, store: Exportable, force: bool) -> None:
    if target.is_dir():
        raise FeatxError("bad-flag", f"`{target}` is a folder", "name a file with `-o`")
    if not target.exists():
        return
    source = Path(store.path)
    if source.exists() and target.samefile(source):
        raise FeatxError("bad-flag", f"`{target}` is the store itself", "name another file with `-o`")
    if not force:
        raise FeatxError("bad-flag", f"`{target}` already exists", "name another with `-o`, or replace it: `--force`")


def _cannot_write(target: Path, error: OSError) -> FeatxError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FeatxError("disk-full", f"no room for `{target}`", "free some space, or name a file elsewhere with `-o`")
    return FeatxError(
        "no-permission", f"cannot write `{target}`: {error.strerror or error}", "name a file elsewhere with `-o`"
    )


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the target's name once it is complete and on the disk, and is gone if that never happens."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(target) as file:
        yield file


@contextmanager
def _as_text(file: IO[bytes]) -> Iterator[TextIO]:
    text = io.TextIOWrapper(file, encoding=SPREADSHEET, newline="", write_through=False)
    try:
        yield text
    finally:
        text.detach()


def _plain(text: str | None) -> str | None:
    """Text that UTF-8 can carry: bytes of odd file names are shown as escapes."""
    return None if text is None else str(text).encode("utf-8", "backslashreplace").decode("utf-8")


class _Table:
    """A store's rows as named columns of equal length, and its features, which are never all in memory."""

    def __init__(self, store: Exportable, labels: Sequence[str | None]) -> None:
        self.n, self.width, self._feature_blocks = len(store.ids), store.width, store.feature_blocks
        self.fingerprint = json.dumps(store.fingerprint.to_dict(), ensure_ascii=False)
        named: dict[str, Sequence[Cell]] = {
            "id": store.ids,
            "path": store.paths,
            "label": labels,
            "product": store.products,
            "split": store.splits,
            "digest": store.digests,
        }
        self.columns: dict[str, list[Cell]] = {
            name: [_plain(_text(v)) for v in values] for name, values in named.items()
        }
        known = load_texts(texts_beside(Path(store.path)), store.digests)
        if known:
            texts = [known[digest].text if digest in known else None for digest in store.digests]
            self.columns["text"] = [_plain(text) for text in texts]
        own = {str(_plain(heading)): values for heading, values in store.own_columns.items()}
        ours = {*self.columns, "features", *(name for name in own if re.fullmatch(r"f\d+", name))}
        for heading, name in written_names(own, ours).items():
            self.columns[name] = [_cell(value) for value in own[heading]]

    def blocks(self, report: Progress) -> Iterator[tuple[int, int, np.ndarray]]:
        """The features, some thousand rows at a time: first row, row after the last, their numbers."""
        begin, waiting, left = 0, list[np.ndarray](), self.n
        for part in self._feature_blocks():
            waiting.append(part)
            left -= len(part)
            if (count := sum(map(len, waiting))) >= BLOCK or not left:
                yield begin, begin + count, np.ascontiguousarray(np.concatenate(waiting), dtype="<f4")
                begin, waiting = begin + count, []
                report(begin)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _cell(value: object) -> Cell:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, int | float) else _plain(str(value))


def _write_npy(file: IO[bytes], table: _Table, report: Progress) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (table.n, table.width)}
    np.lib.format.write_array_header_1_0(file, header)
    for _, _, block in table.blocks(report):
        file.write(block.tobytes())


def _write_npz(file: IO[bytes], table: _Table, report: Progress) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as member:
            _write_npy(member, table, report)
        arrays = {name: _array(values) for name, values in table.columns.items()}
        for name, array in (arrays | {"fingerprint": np.array(table.fingerprint)}).items():
            # A slash in a column's name would make a folder of it.
            with archive.open(f"{name.replace('/', '_')}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _array(values: Sequence[Cell]) -> np.ndarray:
    """An array that needs no pickle: numbers where all are, else text with nothing for a missing one."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, dtype=bool)
    if kinds == {int} and all(-(2**63) <= int(value or 0) < 2**63 for value in values):
        return np.array(values, dtype=np.int64)
    if kinds and kinds <= {int, float, type(None)} and kinds & {int, float}:
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    # Numpy drops zeros from the end of text; no name of a file or a label has them.
    return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)


def _numbers(block: np.ndarray) -> Iterator[list[str]]:
    """The shortest decimals that give back the same float32, row by row."""
    if not np.isfinite(block).all():
        raise FeatxError("store-broken", "some features in the store are not numbers", "check it: `featx info --check`")
    for row in block:
        yield row.astype(np.str_).tolist()


def _write_csv(text: TextIO, table: _Table, report: Progress, *, features: bool = True) -> None:
    writer = TableWriter(text)
    writer.row([*table.columns, *(f"f{i}" for i in range(table.width if features else 0))])
    columns = list(table.columns.values())
    if not features:
        writer.rows([column[i] for column in columns] for i in range(table.n))
        return
    # Numbers need no quoting; looking for quotes in thousands of them would cost as much as writing them.
    head = io.StringIO(newline="")
    head_writer = TableWriter(head)
    for begin, end, block in table.blocks(report):
        for i, numbers in zip(range(begin, end), _numbers(block), strict=True):
            head.seek(0)
            head.truncate()
            head_writer.row(column[i] for column in columns)
            text.write(f"{head.getvalue().removesuffix(_ROW_END)},{','.join(numbers)}{_ROW_END}")


def _write_csv_file(file: IO[bytes], table: _Table, report: Progress) -> None:
    with _as_text(file) as text:
        _write_csv(text, table, report)


def _write_jsonl(file: IO[bytes], table: _Table, report: Progress) -> None:
    for begin, end, block in table.blocks(report):
        for i, numbers in zip(range(begin, end), _numbers(block), strict=True):
            about = {name: _finite(values[i]) for name, values in table.columns.items()}
            head = json.dumps(about, ensure_ascii=False, allow_nan=False)
            file.write(f'{head[:-1]}, "features": [{", ".join(numbers)}]}}\n'.encode())


def _finite(value: Cell) -> Cell:
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _write_parquet(file: IO[bytes], table: _Table, report: Progress) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FeatxError(
            "extra-missing",
            "writing Parquet needs pyarrow, which is not installed",
            "`pip install 'featx[parquet]'`, or choose another format: `--to npz`",
        ) from error

    columns = {name: _arrow(pa, values, text=i < 6) for i, (name, values) in enumerate(table.columns.items())}
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    fields.append(pa.field("features", pa.list_(pa.float32(), table.width), nullable=False))
    schema = pa.schema(fields, metadata={"featx.fingerprint": table.fingerprint})
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for begin, end, block in table.blocks(report):
            rows = [column.slice(begin, end - begin) for column in columns.values()]
            rows.append(pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), table.width))
            writer.write_batch(pa.record_batch(rows, schema=schema))


def _arrow(pa: Any, values: list[Cell], *, text: bool) -> Any:
    if text:
        return pa.array(values, pa.string())
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError):  # a column of words and numbers is a column of words
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _write_safetensors(file: IO[bytes], table: _Table, report: Progress) -> None:
    about = {
        name: json.dumps([_finite(v) for v in values], ensure_ascii=False) for name, values in table.columns.items()
    }
    header = {
        "__metadata__": {**about, "fingerprint": table.fingerprint},
        "features": {"dtype": "F32", "shape": [table.n, table.width], "data_offsets": [0, 4 * table.n * table.width]},
    }
    head = json.dumps(header, ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > _LONGEST_HEADER:
        raise FeatxError("bad-flag", f"{table.n:,} items are too many for a SafeTensors header", "use `--to npz`")
    file.write(len(head).to_bytes(8, "little") + head)
    for _, _, block in table.blocks(report):
        file.write(block.tobytes())


_WRITERS: Mapping[str, Callable[[IO[bytes], _Table, Progress], None]] = {
    "npz": _write_npz,
    "csv": _write_csv_file,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
    "safetensors": _write_safetensors,
}
