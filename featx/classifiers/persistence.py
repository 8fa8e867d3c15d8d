"""The files of a classifier: `NAME.safetensors`, its card `NAME.json`, and the card for people `NAME.md`."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from contextlib import suppress
from glob import escape as escaped
from pathlib import Path

from msgspec.structs import replace

from featx.backbones.fingerprint import Fingerprint
from featx.classifiers.card import Card, card_bytes, page, read_card, training_command
from featx.classifiers.encoding import KEY, Parts, decode, encode
from featx.classifiers.verification import UntrustedClassifier
from featx.errors import FeatxError
from featx.files.atomic import remove_stale_temporaries, replace_durably, temporary_path, write_atomic
from featx.files.regular import read_regular

SUFFIX = ".safetensors"
# How classifiers were kept before: an object graph, which is no longer read.
OLD_SUFFIX = ".skops"
# How the name of a classifier ends whose card is about to be put in place.
WAITING = ".next"


def write_files(parts: Parts, card: Card, path: Path) -> Card:
    """Write a classifier and its cards: whenever this stops, the old one or the new one loads, whole.

    It is for whoever is the `one_writer` of the folder; the card comes back as it was written.
    """
    _must_be_free(path)
    data = encode(parts)
    card = replace(card, model=str(path), sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    waiting = _waiting(path, card.sha256)
    try:
        # Two files cannot change in one step. The card does: until it names the new classifier the old one answers,
        # and from then on whoever finds the old file beside it takes the one that waits for its name.
        write_atomic(waiting, data)
        write_atomic(path.with_suffix(".json"), card_bytes(card))
        _name(waiting, path)
        for leftover in path.parent.glob(f".{escaped(path.name)}.*{WAITING}"):
            leftover.unlink(missing_ok=True)
        remove_stale_temporaries(path)
        write_atomic(path.with_suffix(".md"), page(card).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise _cannot_write(path, error) from error
    return card


def _cannot_write(path: Path, error: OSError) -> FeatxError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return FeatxError(
        "disk-full" if full else "no-permission",
        f"cannot write `{path}`: {error.strerror or error}",
        "free some space and run it again" if full else "make the folder writable",
    )


# One of these stands in whatever featx wrote there, even if a part of it is damaged.
MARKS = {
    ".json": (b'"card_sha256"', b'"fingerprint"', b'"temperature"'),
    ".md": (b"Fingerprint: `", b"SHA-256 of the classifier", b" features\n\n"),
}


def _must_be_free(path: Path) -> None:
    """An older classifier and its cards are replaced, but never your own `shop.json` beside `shop.safetensors`."""
    if path.suffix in (*MARKS, OLD_SUFFIX):
        what = "an older format" if path.suffix == OLD_SUFFIX else "cards"
        raise FeatxError(
            "bad-flag", f"`{path.name}` ends as {what} do", f"let the name of a classifier end in {SUFFIX}"
        )
    card = _content(path.with_suffix(".json"))
    described = any(mark in card for mark in MARKS[".json"])
    own = {
        path: KEY.encode() in _content(path)[:1000] or described,
        path.with_suffix(".json"): described,
        path.with_suffix(".md"): any(mark in _content(path.with_suffix(".md")) for mark in MARKS[".md"]),
    }
    for beside, ours in own.items():
        if not ours and _content(beside):
            raise FeatxError(
                "bad-flag",
                f"`{beside}` was not written by featx, so it is not replaced",
                "save the classifier under another name",
            )


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError:
        return b""


def read_files(path: Path) -> tuple[Parts, Fingerprint, Card]:
    """Read a classifier: its digest is checked before a byte is parsed, its arrays before anybody asks it."""
    if path.suffix == OLD_SUFFIX and path.exists():
        raise old_format(path)
    try:
        card, data = _read(path)
    except FileNotFoundError as error:
        raise FeatxError("no-model", f"no classifier at `{path}`", "train one: `featx fit`") from error
    except OSError as error:
        raise _broken(path, f"it cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise _broken(path, str(error)) from error
    try:
        # The folder may have been copied from elsewhere: the card says where the classifier lies now.
        return *_checked(card, data), replace(card, model=str(path))
    except UntrustedClassifier as error:
        raise _broken(path, str(error)) from error


def _checked(card: Card, data: bytes) -> tuple[Parts, Fingerprint]:
    try:
        fingerprint = Fingerprint.from_dict(card.fingerprint)
    except FeatxError as error:
        raise UntrustedClassifier(error.message) from error
    parts = decode(data, fingerprint.width)
    if parts.classes != card.labels:
        raise UntrustedClassifier("its categories are not those on its card")
    if parts.settings.name != card.clf:
        raise UntrustedClassifier(f"it is a `{parts.settings.name}`, and its card describes a `{card.clf}`")
    return parts, fingerprint


def old_format(path: Path) -> FeatxError:
    """Why a classifier in the format of before is not read, and the command that trains it again."""
    if path.with_suffix(SUFFIX).exists():
        hint = f"use `{path.with_suffix(SUFFIX)}`, and remove this one"
    else:
        try:
            command = training_command(read_card(read_regular(path.with_suffix(".json"))))
        except (OSError, ValueError):
            command = f"featx fit --clf {path.stem}"
        hint = f"train it again: `{command}`"
    return FeatxError("model-broken", f"`{path}` was saved in a format that featx no longer reads", hint)


def _broken(path: Path, why: str) -> FeatxError:
    return FeatxError(
        "model-broken", f"`{path}` is not a classifier that featx can trust: {why}", "train again: `featx fit`"
    )


def _name(waiting: Path, path: Path) -> None:
    """Give a waiting file its name too; a disk on which a rename is not all or nothing still holds it as it waited."""
    second = temporary_path(path)
    try:
        os.link(waiting, second)
    except OSError:  # a disk without hard links
        second = waiting
    replace_durably(second, path)


def _waiting(path: Path, sha256: str) -> Path:
    """Where a classifier lies while its card is being put in place."""
    return path.with_name(f".{path.name}.{sha256[:16]}{WAITING}")


def _read(path: Path) -> tuple[Card, bytes]:
    """The card of a classifier and the bytes it vouches for, however far somebody is with writing another."""
    card_path, content = path.with_suffix(".json"), b""
    while (now := read_regular(card_path)) != content:
        content = now
        card = read_card(content)
        expected = card.sha256
        if not re.fullmatch("[0-9a-f]{64}", expected):
            raise ValueError("no SHA-256")
        exists = False
        # In this order: what is no longer waiting has its name.
        for candidate in (_waiting(path, expected), path):
            with suppress(FileNotFoundError):
                data, exists = read_regular(candidate), True
                if hashlib.sha256(data).hexdigest() == expected:
                    return card, data
        if not exists:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    raise _broken(path, "its SHA-256 is not the one on its card")
