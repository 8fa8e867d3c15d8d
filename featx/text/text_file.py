"""The file beside a store that keeps what was read, by the digest of the photo: a SQLite database.

It stands beside the store, not in it: text belongs to the photo, whatever network made the features. So a new backbone,
or `--replace`, loses no text, other stores copy it, and the store's own format stays as it is. A photo is read once and
is safe as soon as its transaction is committed. A search, and a few photos' text, cost the same in a large catalogue.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from featx.errors import FeatxError
from featx.files.atomic import cannot_write
from featx.files.locks import held_or_busy
from featx.files.regular import open_regular
from featx.text.plain import words_of
from featx.text.records import PhotoText
from featx.workspace import Workspace

SUFFIX = ".text"
APPLICATION, SCHEMA = 0x66747874, 2  # "ftxt"; files of 1 know no sizes of photos
TABLES = {
    "reader": "CREATE TABLE reader (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE)",
    "photo": "CREATE TABLE photo (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, reader INTEGER NOT NULL,"
    " lines TEXT NOT NULL, sum INTEGER NOT NULL)",
    "word": "CREATE TABLE word (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE)",
    "occurs": "CREATE TABLE occurs (word INTEGER, photo INTEGER, PRIMARY KEY (word, photo)) WITHOUT ROWID",
    "of_photo": "CREATE INDEX of_photo ON occurs (photo)",
}
# No row that featx writes is larger, and SQLite then refuses to read one.
MOST_BYTES = 1 << 24
# SQLite takes only so many parameters at once.
AT_ONCE = 500
# Seconds to wait for a commit of whoever reads photos now.
PATIENCE = 60.0

Texts = dict[str, PhotoText]


def texts_beside(store: Path) -> Path:
    """Where the text of a store's photos is kept."""
    return store.with_name(store.name + SUFFIX)


def other_files(store: Path, workspace: Workspace) -> Iterator[Path]:
    """The other files of text: in the folder of this store, in the folder of stores, and that of photos in none."""
    own, places = texts_beside(store), (store.parent, workspace.embeddings)
    near = {os.path.realpath(path): path for place in places for path in place.glob(f"*.h5{SUFFIX}")}
    near[os.path.realpath(workspace.texts)] = workspace.texts
    near.pop(os.path.realpath(own), None)
    yield from (near[real] for real in sorted(near))


# --- reading ----------------------------------------------------------------------------------------------------------


class TextFile:
    """What was read, by digest; use it in a `with` block."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path, self._database = path, database

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """Open a file; None where there is none."""
        try:
            open_regular(path).close()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FeatxError("no-permission", f"cannot read `{path}`: {error.strerror}", "make it readable") from error
        with _explained(path):
            file = cls(path, _connected(path))
            try:
                if not _is_empty(file._database):
                    _require_ours(path, file._database)
                    return file
            except BaseException:
                file._database.close()
                raise
            file._database.close()
            return None  # killed before its tables were made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def texts(self, digests: Iterable[str] | None = None) -> Texts:
        """The texts of some photos, or of all."""
        with _explained(self.path):
            return dict(self._rows(None if digests is None else list(dict.fromkeys(digests))))

    def digests(self) -> set[str]:
        """The digests of all photos that were read."""
        with _explained(self.path):
            return {digest for (digest,) in self._database.execute("SELECT digest FROM photo")}

    def readers(self) -> dict[str, str]:
        """The fingerprint of the reader of each photo, by digest."""
        query = "SELECT digest, fingerprint FROM photo JOIN reader ON reader.id = photo.reader"
        with _explained(self.path):
            return dict(self._database.execute(query))

    def vocabulary(self) -> dict[str, int]:
        """Every folded word, with its number."""
        with _explained(self.path):
            return dict(self._database.execute("SELECT word, id FROM word"))

    def photos_with(self, words: Iterable[int]) -> dict[int, list[str]]:
        """For each word, by its number, the digests of the photos that it stands on."""
        query = "SELECT digest FROM occurs JOIN photo ON photo.id = occurs.photo WHERE occurs.word = ?"
        with _explained(self.path):
            return {word: [digest for (digest,) in self._database.execute(query, (word,))] for word in words}

    def damage(self) -> list[str]:
        """What is wrong with the file, in sentences."""
        try:
            with _explained(self.path):
                whole = [str(word) for (word,) in self._database.execute("PRAGMA integrity_check(3)")]
                for _ in self._rows(None):
                    pass
        except FeatxError as error:
            return [error.message]
        return [] if whole == ["ok"] else [f"`{self.path}` is damaged: {word}" for word in whole]

    def _rows(self, digests: list[str] | None) -> Iterator[tuple[str, PhotoText]]:
        query = "SELECT digest, fingerprint, lines, sum FROM photo JOIN reader ON reader.id = photo.reader"
        if digests is None:
            yield from map(self._checked, self._database.execute(query))
            return
        for start in range(0, len(digests), AT_ONCE):
            some = digests[start : start + AT_ONCE]
            marks = ",".join("?" * len(some))
            yield from map(self._checked, self._database.execute(f"{query} WHERE digest IN ({marks})", some))

    def _checked(self, row: tuple[str, str, str, int]) -> tuple[str, PhotoText]:
        digest, reader, lines, total = row
        if total != _sum_of(digest, lines):
            raise _broken(self.path, "the text of a photo is not what was written")
        return digest, PhotoText.of_record(json.loads(lines), reader)


def load_texts(path: Path, digests: Iterable[str] | None = None) -> Texts:
    """What a file holds, of all photos or of some, by digest; nothing where there is no file."""
    file = TextFile.open(path)
    if file is None:
        return {}
    with file:
        return file.texts(digests)


# --- writing ----------------------------------------------------------------------------------------------------------


class TextWriter:
    """The one writer of such a file, from `open` until `close`; use it in a `with` block."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path, self._database = path, database
        self._lock = ExitStack()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file for writing, or make one."""
        with ExitStack() as stack:
            lock, busy = path.with_name(path.name + ".lock"), f"another featx is reading photos into {path}"
            stack.enter_context(held_or_busy(lock, busy, "wait until it is done", {"path": str(path)}))
            new = (known := TextFile.open(path)) is None
            if known is not None:
                known.__exit__()
            with _explained(path):
                database = stack.enter_context(_closing(_connected(path, new=new)))
                if new:
                    _make(database)
                else:
                    database.execute(f"PRAGMA user_version = {SCHEMA}")
            writer = cls(path, database)
            writer._lock = stack.pop_all()
            return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; others may write it now."""
        self._lock.close()

    @property
    def content(self) -> TextFile:
        """What the file holds now."""
        return TextFile(self.path, self._database)

    def add(self, texts: Mapping[str, PhotoText]) -> None:
        """Keep texts by digest: when this returns they survive a kill or a power cut."""
        if not texts:
            return
        with _explained(self.path), self._database:
            for digest, text in texts.items():
                self._put(digest, text)

    def _put(self, digest: str, text: PhotoText) -> None:
        text = text.cleaned(text.reader)
        database, lines = self._database, json.dumps(text.to_record(), ensure_ascii=False)
        database.execute("DELETE FROM occurs WHERE photo = (SELECT id FROM photo WHERE digest = ?)", (digest,))
        reader = self._number("reader", "fingerprint", text.reader)
        database.execute(
            "INSERT INTO photo (digest, reader, lines, sum) VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE"
            " SET reader = excluded.reader, lines = excluded.lines, sum = excluded.sum",
            (digest, reader, lines, _sum_of(digest, lines)),
        )
        photo = database.execute("SELECT id FROM photo WHERE digest = ?", (digest,)).fetchone()[0]
        numbers = [(self._number("word", "word", word), photo) for word in dict.fromkeys(words_of(text.text))]
        database.executemany("INSERT INTO occurs VALUES (?, ?)", numbers)

    def _number(self, table: str, column: str, value: str) -> int:
        self._database.execute(f"INSERT OR IGNORE INTO {table} ({column}) VALUES (?)", (value,))
        number: int = self._database.execute(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).fetchone()[0]
        return number


# --- inside -----------------------------------------------------------------------------------------------------------


def _connected(path: Path, *, new: bool = False) -> sqlite3.Connection:
    """A connection that trusts nothing in the file. It may write: after a kill, a reader undoes what is unfinished."""
    mode = "rwc" if new else "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    name = path.absolute().as_uri()
    database = sqlite3.connect(f"{name}?mode={mode}", uri=True, timeout=PATIENCE, check_same_thread=False)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
    try:
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "synchronous = EXTRA"):
            database.execute(f"PRAGMA {setting}")
    except BaseException:
        database.close()
        raise
    return database


def _make(database: sqlite3.Connection) -> None:
    with database:
        database.execute("BEGIN")
        for statement in TABLES.values():
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {SCHEMA}")


def _is_empty(database: sqlite3.Connection) -> bool:
    return not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _require_ours(path: Path, database: sqlite3.Connection) -> None:
    """Refuse another program's database, a later version, and any table or trigger that featx did not make."""
    made = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"))
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise _broken(path, "it is no file of texts")
    if database.execute("PRAGMA user_version").fetchone()[0] > SCHEMA:
        raise FeatxError(
            "store-newer", f"`{path}` was written by a later featx", "update featx: `pip install -U featx`"
        )
    if made != TABLES:
        raise _broken(path, "its tables are not those that featx makes")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of the database as sentences."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise FeatxError("store-busy", f"another featx is writing {path}", "wait until it is done") from error
        hint = "what was read so far is kept; make room and run the same command again"
        full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
        code = "disk-full" if full else "no-permission"
        raise FeatxError(code, f"cannot use `{path}`: {error}", hint if full else "make it writable") from error
    except (sqlite3.DatabaseError, ValueError, TypeError) as error:
        raise _broken(path, f"it is damaged ({error})") from error
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def _closing(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield database
    finally:
        database.close()


def _sum_of(digest: str, lines: str) -> int:
    return zlib.crc32(f"{digest} {lines}".encode("utf-8", "surrogatepass"))


def _broken(path: Path, why: str) -> FeatxError:
    return FeatxError(
        "store-broken",
        f"`{path}` cannot be used: {why}",
        "delete it and read the photos again: `featx read`",
        {"path": str(path)},
    )
