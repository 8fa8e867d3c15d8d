"""What was learned from good photos, kept in a file: a SHA-256, then the arrays and a typed header as safetensors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from featx.backbones import Encoder, Fingerprint
from featx.catalogue.items import Item
from featx.errors import FeatxError
from featx.files.atomic import cannot_write, write_atomic
from featx.files.digested import checked_body, with_digest
from featx.files.regular import parse_json, read_regular
from featx.images import UnreadablePhoto, open_photo
from featx.images.places import mark_of
from featx.inspection.bank import PatchBank
from featx.inspection.learning import Learned, learn
from featx.views.quantities import pluralise

SUFFIX = ".bank"
# Raised when patches are made or chosen otherwise: a bank of before would compare what cannot be compared.
FORMAT = 1
KEY = "featx-bank"


class GoodPhoto(msgspec.Struct, frozen=True):
    """A photo that was learned from: its content, and the size and time by which a change is noticed."""

    path: str
    digest: str
    product: str | None = None
    mark: tuple[int, int] | None = None

    @property
    def changed(self) -> bool:
        """Whether there is another photo at its path now; one that is gone has not changed."""
        now = mark_of(self.path)
        return now is not None and now != self.mark and _digest(self.path) != self.digest


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """Everything of a bank that is not an array."""

    format: int
    fingerprint: dict[str, Any]
    photos: list[GoodPhoto]
    n_products: int
    skipped: list[str]


class KeptBank(msgspec.Struct, frozen=True):
    """What a file holds: what was learned, by which network, and from which photos."""

    learned: Learned
    fingerprint: Fingerprint
    photos: list[GoodPhoto]

    def is_of(self, fingerprint: Fingerprint, photos: Sequence[GoodPhoto]) -> bool:
        """Whether it was learned from just these photos, by this network."""
        own, other = (Counter((photo.digest, photo.product) for photo in each) for each in (self.photos, photos))
        return self.fingerprint == fingerprint and own == other


def bank_path(folder: Path, name: str) -> Path:
    """Where the bank of a name is kept."""
    if not name or Path(name).name != name or name.startswith("."):
        raise FeatxError("bad-flag", f"`{name}` is no name of a bank", "use a plain name: `--bank mugs`")
    return folder / f"{name}{SUFFIX}"


def learned_once(path: Path, encoder: Encoder, good: Sequence[Item]) -> tuple[Learned, bool]:
    """What is kept where it was learned from just these photos, else learned from them and kept; and whether it was."""
    try:
        kept = read_bank(path)
    except FeatxError:
        kept = None
    known = {photo.path: photo for photo in kept.photos} if kept is not None else {}
    photos = [_good_photo(item, known) for item in good]
    if kept is not None and kept.is_of(encoder.fingerprint, photos):
        return kept.learned, True
    learned = learn([item.path for item in good], encoder, [item.product for item in good])
    write_bank(path, KeptBank(learned, encoder.fingerprint, photos))
    return learned, False


def fresh_bank(path: Path) -> KeptBank:
    """A bank whose photos are as they were; refused where one of them has changed since."""
    kept = read_bank(path)
    if changed := [photo.path for photo in kept.photos if photo.changed]:
        raise FeatxError(
            "bank-stale",
            f"{pluralise(len(changed), 'good photo')} of the bank `{path.stem}` changed after it was learned, "
            f"such as `{changed[0]}`",
            f"learn it again: `--bank {path.stem} --good FOLDER`",
        )
    return kept


def read_bank(path: Path) -> KeptBank:
    """A bank; its digest is checked before a byte is parsed."""
    again = f"learn it: `--bank {path.stem} --good FOLDER`"
    try:
        data = read_regular(path)
    except FileNotFoundError as error:
        raise FeatxError("no-bank", f"no bank `{path.stem}` in `{path.parent}`", again) from error
    except OSError as error:
        raise FeatxError("bank-broken", f"`{path}` cannot be read: {error.strerror or error}", again) from error
    try:
        return _decoded(checked_body(data))
    except (safetensors.SafetensorError, msgspec.MsgspecError, FeatxError, ValueError, KeyError) as error:
        raise FeatxError("bank-broken", f"`{path}` is no bank that featx can read: {error}", again) from error


def write_bank(path: Path, kept: KeptBank) -> None:
    """Keep a bank in place of the one before, whole."""
    learned = kept.learned
    header = Header(FORMAT, kept.fingerprint.to_dict(), kept.photos, learned.n_products, learned.skipped)
    arrays = {
        "patches": learned.bank.patches,
        "owners": learned.bank.owners.astype(np.int64),
        "scores": learned.scores,
        "worst": learned.worst,
    }
    data: bytes = safetensors.numpy.save(arrays, {KEY: json.dumps(msgspec.to_builtins(header))})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, with_digest(data))
    except OSError as error:
        raise cannot_write(path, error) from error


def _decoded(body: bytes) -> KeptBank:
    arrays = safetensors.numpy.load(body)
    head = msgspec.json.decode(body[8 : 8 + int.from_bytes(body[:8], "little")])
    # Not msgspec's reader: paths may hold bytes that are not text, which it cannot represent.
    header = msgspec.convert(parse_json(head["__metadata__"][KEY].encode()), Header)
    if header.format != FORMAT:
        raise ValueError(f"it has format {header.format}, and this featx reads format {FORMAT}")
    patches, owners = arrays["patches"], arrays["owners"].astype(np.intp)
    if patches.ndim != 2 or len(patches) != len(owners) or not len(arrays["scores"]) == len(arrays["worst"]) > 0:
        raise ValueError("its arrays do not belong together")
    learned = Learned(PatchBank(patches, owners), arrays["scores"], arrays["worst"], header.n_products, header.skipped)
    return KeptBank(learned, Fingerprint.from_dict(header.fingerprint), header.photos)


def _good_photo(item: Item, known: dict[str, GoodPhoto]) -> GoodPhoto:
    mark = mark_of(item.path)
    before = known.get(item.path)
    digest = before.digest if before is not None and mark is not None and before.mark == mark else _digest(item.path)
    return GoodPhoto(item.path, digest, item.product, mark)


def _digest(path: str) -> str:
    """The digest of a photo's bytes; "" where there are none to read."""
    try:
        return open_photo(path).digest
    except UnreadablePhoto:
        return ""
