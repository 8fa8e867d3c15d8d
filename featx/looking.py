"""What a person points at: an item, a product, a file name or a new photo, found in a store or embedded for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError, closest
from featx.store import Store


@dataclass(frozen=True)
class Query:
    """One thing to look for: its features, and what must not answer itself."""

    name: str
    features: np.ndarray
    item_id: str | None = None
    product: str | None = None
    digest: str | None = None


def find_query(store: Store, name: str) -> Query:
    """A query by item id, product id, file name, stem or path; a photo the store does not know is embedded.

    Known photos are answered from the store alone, without loading a network.
    """
    known = _known(store, name)
    if known is not None:
        return _of_row(store, name, known)
    path = Path(name)
    if path.is_file():
        from featx.images import UnreadablePhoto, read_bytes

        try:
            digest = hashlib.sha256(read_bytes(path)).hexdigest()
        except UnreadablePhoto as error:
            raise _unreadable(error) from error
        if digest in store.digests:
            return _of_row(store, name, store.digests.index(digest))
        return Query(name, embed(store, path), digest=digest)
    if "/" in name or "\\" in name:
        raise FeatxError("no-such-file", f"no file at `{name}`, and no item with that path", _nearest(store, name))
    raise FeatxError(
        "not-in-store",
        f"no product `{name}` in {store.path}, and no file of that name",
        _nearest(store, name),
    )


def embed(store: Store, path: Path) -> np.ndarray:
    """The features of a new photo, made exactly as those of the store."""
    from featx.extraction.run import backbone_of
    from featx.images import UnreadablePhoto, read_photo

    try:
        photo = read_photo(path)
    except UnreadablePhoto as error:
        raise _unreadable(error) from error
    backbone = backbone_of(store)
    features: np.ndarray = backbone.features([backbone.prepare(photo.image)])[0]
    return features


def _unreadable(error: Exception) -> FeatxError:
    return FeatxError("photo-unreadable", f"cannot read {error}", "name another photo, or mend this one")


def _of_row(store: Store, name: str, i: int) -> Query:
    return Query(name, store.features[i], store.ids[i], store.product_of(i), store.digests[i])


def _known(store: Store, name: str) -> int | None:
    """The row that is meant: an id, a path, a product, or a file name or stem that only one item has."""
    for names in (store.ids, store.paths, store.products):
        if name in names:
            return names.index(name)
    base = Path(name).name
    if base != name and Path(name).is_file():
        return None
    hits = [i for i, path in enumerate(store.paths) if Path(path).name == base or Path(path).stem == base]
    if len(hits) > 1:
        said = ", ".join(f"`{store.ids[i]}`" for i in hits[:4])
        raise FeatxError(
            "not-in-store",
            f"`{name}` names {len(hits)} items of {store.path}",
            f"say which: {said}",
            {"items": len(hits)},
        )
    return hits[0] if hits else None


def _nearest(store: Store, name: str) -> str:
    known = list(dict.fromkeys([*store.ids, *(p for p in store.products if p), *(Path(p).name for p in store.paths)]))
    near = closest(Path(name).name, known)
    return (
        f"did you mean {', '.join(f'`{one}`' for one in near)}?" if near else "`featx info` shows what is in the store"
    )
