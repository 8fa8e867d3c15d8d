"""Where files are kept: the artifacts folder, the names in it, and the current store."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError, did_you_mean
from featx.files.atomic import cannot_write, write_atomic
from featx.files.locks import one_writer
from featx.files.regular import read_json


@dataclass(frozen=True)
class Workspace:
    """The artifacts folder and the fixed places inside it."""

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """The workspace of this working directory: $FEATX_ARTIFACTS, else artifacts/."""
        return cls(Path(os.environ.get("FEATX_ARTIFACTS") or "artifacts"))

    @property
    def embeddings(self) -> Path:
        """Where stores are kept, one HDF5 file for each backbone."""
        return self.root / "embeddings"

    @property
    def models(self) -> Path:
        """Where classifiers and their cards are kept."""
        return self.root / "models"

    @property
    def texts(self) -> Path:
        """Where the text of photos in no store is kept."""
        return self.root / "photos.text"

    @property
    def tuned(self) -> Path:
        """Where networks that `featx tune` trained further are kept."""
        return self.root / "tuned"

    @property
    def banks(self) -> Path:
        """Where what `featx inspect` learned from good photos is kept."""
        return self.root / "banks"

    @property
    def skipped_list(self) -> Path:
        """The machine-readable list of photos the last extraction could not use."""
        return self.root / "skipped.csv"

    @property
    def unmatched_list(self) -> Path:
        """What the last extraction could not match by name: photos without a row, rows without a photo."""
        return self.root / "unmatched.csv"

    @property
    def log(self) -> Path:
        """Where the trace of a bug is kept."""
        return self.root / "featx.log"

    def store_path(self, name: str) -> Path:
        """The store of a backbone, by a name that is safe in a file system."""
        safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
        return self.embeddings / f"{safe}.h5"

    def make(self) -> None:
        """Create the artifacts folder; git keeps only what cannot be rebuilt."""
        try:
            self.embeddings.mkdir(parents=True, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists() and not (self.root / "README.md").exists():
                write_atomic(ignore, b"*\n!fixes.csv\n")
        except OSError as error:
            raise FeatxError(
                "no-permission",
                f"cannot create `{self.root}`: {error.strerror or error}",
                "make the folder writable, or choose another with `FEATX_ARTIFACTS=/some/folder`",
            ) from error

    def current_store(self, given: Path | None = None) -> Path:
        """The store a command should use: the one named, else the one chosen with `featx use` or extracted first."""
        requested = given or (Path(os.environ["FEATX_STORE"]) if os.environ.get("FEATX_STORE") else None)
        if requested is not None:
            if not is_store(requested):
                raise FeatxError(
                    "no-store", f"no store at `{requested}`", f"make it: `featx extract IMAGES --store {requested}`"
                )
            return requested
        noted = self.noted()
        if noted is not None:
            return noted
        stores = sorted(self.embeddings.glob("*.h5"), key=lambda path: path.stat().st_mtime)
        if not stores:
            raise self.no_store_yet()
        return stores[-1]

    def no_store_yet(self) -> FeatxError:
        """The error for a workspace without any store."""
        return FeatxError(
            "no-store",
            f"no store under `{self.embeddings}` yet",
            "make one from a folder of photos: `featx extract data/train`",
        )

    def stores(self) -> list[Path]:
        """The stores in the artifacts folder by name, and the current one if it is elsewhere."""
        inside = sorted(self.embeddings.glob("*.h5"))
        noted = self.noted()
        return inside if noted is None or noted in inside else [*inside, noted]

    def use(self, name: str) -> Path:
        """Make a store the current one: by its path, or by its name in the artifacts folder, such as `resnet50`."""
        choices = [Path(name), self.store_path(name.removesuffix(".h5"))]
        store = next((path for path in choices if is_store(path) and not path.is_dir()), None)
        if store is None:
            known = [path.stem for path in self.stores()]
            raise FeatxError(
                "no-store",
                f"no store `{name}`, neither as a path nor under `{self.embeddings}`",
                did_you_mean(name, known, f"there are {', '.join(known)}" if known else self.no_store_yet().hint),
            )
        self.note_current(store)
        return store

    def flag_for(self, store: Path) -> str:
        """The flag that makes a command use this store; empty for the current one."""
        try:
            if self.current_store().resolve() == store.resolve():
                return ""
        except FeatxError:
            pass  # there is no current store
        return f" --store {shlex.quote(str(store))}"

    def note_current(self, store: Path) -> None:
        """Remember the store that commands use, relative to the artifacts folder if it is inside."""
        with one_writer(self.root, "the current store"):
            self._note(store)

    def note_first(self, store: Path) -> Path | None:
        """Make a store the current one if there is none yet; otherwise the current one stays, and is returned."""
        with one_writer(self.root, "the current store"):
            current = self.noted()
            if current is None:
                self._note(store)
            return current

    def _note(self, store: Path) -> None:
        try:
            noted = store.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            noted = str(store.resolve())
        path = self.root / "current.json"
        try:
            write_atomic(path, (json.dumps({"store": noted}) + "\n").encode())
        except OSError as error:
            raise cannot_write(path, error, "make room there; the store itself is complete") from error

    def noted(self) -> Path | None:
        """The store that was chosen or extracted first, if it still exists."""
        noted = self._noted()
        return noted if noted is not None and is_store(noted) else None

    def _noted(self) -> Path | None:
        try:
            noted = read_json(self.root / "current.json")["store"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not isinstance(noted, str):
            return None
        store = self.root / noted
        # A store below the working directory is named as a person would type it.
        return store.relative_to(Path.cwd()) if store.is_relative_to(Path.cwd()) else store


def use_store(name: str | Path) -> Path:
    """Make a store the default of commands and functions, as `featx use` does."""
    return Workspace.here().use(str(name))


def is_store(path: Path) -> bool:
    """Whether there is a store at this path, sealed or waiting in a journal."""
    # The journal first: a writer that seals in between removes it only once the sealed file is there.
    return journal_beside(path).exists() or path.exists()


def journal_beside(store: Path) -> Path:
    """The journal in which rows wait until they are sealed into the store."""
    if not store.name:
        raise FeatxError("bad-flag", f"`{store}` is not a file name", "name a file, such as `--store my.h5`")
    return store.with_name(store.name + ".journal")
