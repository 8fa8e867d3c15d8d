"""Weights files on this machine, and whether they are unchanged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from featx.backbones.names import BUILTIN, COLOUR
from featx.backbones.weights.published import RECOMMENDED, file_name, hash_prefix
from featx.errors import FeatxError
from featx.files.atomic import write_atomic
from featx.files.regular import open_regular, read_json

SUFFIXES = (".pth", ".pt", ".safetensors")
# How much of a file is read or copied at a time.
BLOCK = 1 << 20


def weights_folder() -> Path:
    """Where torch keeps downloaded weights: $TORCH_HOME, else the cache folder of this account."""
    home = os.environ.get("TORCH_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def weights_path() -> list[Path]:
    """The files and folders that `FEATX_WEIGHTS_PATH` names."""
    names = os.environ.get("FEATX_WEIGHTS_PATH", "").split(os.pathsep)
    return [Path(name).expanduser() for name in names if name.strip()]


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_here() -> list[Path]:
    """The weights files in torch's cache, by name; none of them read."""
    folder = weights_folder()
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())


def weights_missing(url: str, why: str, *, backbone: str | None = None) -> FeatxError:
    """The error for weights that are neither here nor available: which file, from where, and what works without it."""
    name = file_name(url)
    target = weights_folder() / name
    places = [str(target), *map(str, weights_path())]
    known = next((entry.backbone for entry in RECOMMENDED if entry.url == url), None)
    shown = backbone or known or name.removesuffix(f"-{hash_prefix(name)}{target.suffix}")
    instead = fallback_backbone()
    return FeatxError(
        "weights-missing",
        f"the weights for `{shown}` are not on this machine, and {why}\nlooked in: {', '.join(places)}",
        f"on a machine with internet download {url}, copy that file here, then `featx weights add {name}` "
        "(or name its folder in `FEATX_WEIGHTS_PATH`)\n"
        f"or try without a download now: `--backbone {instead}`",
        {"backbone": shown, "url": url, "looked_in": str(target), "instead": instead},
    )


def builtin_weights() -> Path | None:
    """The weights file that travels with featx, if this installation has it."""
    path = Path(__file__).parent.with_name("builtin.safetensors")
    return path if path.is_file() else None


def fallback_backbone() -> str:
    """The best backbone that works without a download."""
    return BUILTIN if builtin_weights() is not None else COLOUR


def find_weights(url: str) -> Path | None:
    """The file of this address in torch's cache or on `FEATX_WEIGHTS_PATH`, checked; None if there is none."""
    path = unchecked_weights(url)
    if path is not None:
        verify_weights(path)
    return path


def unchecked_weights(url: str) -> Path | None:
    """The same, but no byte of it is read: enough for a list."""
    name = file_name(url)
    on_path = [place / name if place.is_dir() else place for place in weights_path()]
    paths = [weights_folder() / name, *on_path]
    return next((path for path in paths if path.name == name and path.is_file()), None)


def verify_weights(path: Path, *, sha256_prefix: str | None = None) -> str:
    """The file's SHA-256, checked against its name and against the digest of its first check."""
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise unreadable(path, error) from error
    pin_digest(path, digest, sha256_prefix)
    return digest


def state_folder() -> Path:
    """Where featx notes the full SHA-256 of each published file it has checked."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "featx" / "weights"


def note_of(path: Path) -> Path:
    """The note about a weights file of this name."""
    return state_folder() / f"{path.name}.json"


def pin_digest(path: Path, digest: str, sha256_prefix: str | None = None) -> None:
    """Refuse a file that does not match the checksum in its name, or has changed."""
    # The digest of a tuned network is on the card beside it, whatever the end of its name looks like.
    published_prefix = None if path.with_suffix(".json").is_file() else hash_prefix(path.name)
    wanted = (sha256_prefix or published_prefix or "").lower()
    if not digest.startswith(wanted):
        raise FeatxError(
            "weights-broken",
            f"`{path}` is damaged or not what its name says: "
            f"its SHA-256 begins with {digest[: len(wanted)]}, not {wanted}",
            f"delete it and download it again: `featx weights get`; if the file is your own and `{wanted}` is not a "
            "checksum, rename it",
            {"path": str(path), "sha256": digest, "wanted": wanted},
        )
    if not published_prefix:
        return
    # Eight characters stop accidents, not a forger; the whole digest, once seen, stops both.
    note = note_of(path)
    try:
        noted = read_json(note)["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        noted = None
    if noted is None:
        # A read-only home is no reason to stop: the published beginning has been checked.
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(note, (json.dumps({"sha256": digest, "first_seen_at": str(path)}) + "\n").encode())
    elif noted != digest:
        raise FeatxError(
            "weights-broken",
            f"`{path}` has changed since featx first checked it, though its published checksum still fits",
            f"someone may have tampered with it: delete it and get it again with `featx weights get`; if you trust "
            f"the file as it is now, delete {note}",
            {"path": str(path), "sha256": digest, "wanted": noted},
        )


def unreadable(path: Path, error: OSError) -> FeatxError:
    """The error for a weights file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return FeatxError("no-such-file", f"there is no weights file `{path}`", "check the path")
    if isinstance(error, PermissionError):
        return FeatxError("no-permission", f"cannot read `{path}`: permission denied", "make the file readable")
    return FeatxError(
        "weights-broken", f"cannot read `{path}`: {error.strerror or error}", "download or copy the file again"
    )


def cannot_write(target: Path, error: OSError) -> FeatxError:
    """The error for a path where weights cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FeatxError(
            "disk-full", f"no room for `{target}`", "free some space, or set `TORCH_HOME` to a folder on another disk"
        )
    return FeatxError(
        "no-permission",
        f"cannot write `{target}`: {error.strerror or error}",
        "make the folder writable, or set `TORCH_HOME` to another folder",
    )
