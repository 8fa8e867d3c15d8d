"""Resolve a name in an index: an item, a product, a path, a file name or a stem; or suggest near names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError, closest
from featx.retrieval.results import Query
from featx.retrieval.rows import IndexRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from featx.images.photos import PhotoLike

    # Computes the features of a photo.
    Embed = Callable[[PhotoLike], NDArray[Any]]

# In larger catalogues only names that share a beginning or an end with the query are compared.
MANY = 20_000


def find(index: IndexRows, name: str | Path, embed: Embed | None = None) -> Query:
    """The query for a name; an unknown photo is embedded, if `embed` can."""
    rows = known_rows(index, str(name))
    if rows is not None:
        return of_rows(index, str(name), rows)
    if Path(name).is_file() and embed is not None:
        return of_photo(index, name, embed)
    rows = rows_in_any_case(index, str(name))
    if rows is not None:
        return of_rows(index, str(name), rows)
    raise unknown(index, str(name))


def of_known(index: IndexRows, name: str) -> Query:
    """The query for an item or a product by its name; no file is looked for, as a stranger may have sent the name."""
    rows = known_items(index, name)
    if not rows:
        near = closest(name, _candidates(index, name[:100]))
        hint = f"did you mean {', '.join(f'`{other}`' for other in near)}?" if near else ""
        raise FeatxError("not-in-store", f"no item or product `{name}`", hint)
    return of_rows(index, name, rows)


def known_items(index: IndexRows, name: str) -> list[int]:
    """The row of an item, or all rows of a product, in upper or lower case; none where the name is not known."""
    if rows := index.ids.rows_of(name)[:1]:
        return rows
    if products := index.products.rows_of(name):
        return _photos_of(index, products[0])
    if len(items := index.ids.rows_in_any_case(name)) == 1:
        return items
    products = index.products.rows_in_any_case(name)
    return _photos_of(index, products[0]) if len(products) == 1 else []


def of_photo(index: IndexRows, photo: PhotoLike, embed: Embed | None) -> Query:
    """The query of a photo that is at hand and need not be a file; one the index knows is not computed again."""
    from featx.embedding.single import NAMELESS, unreadable_query
    from featx.images.photos import name_of, open_photo
    from featx.images.reading import UnreadablePhoto

    name = name_of(photo, NAMELESS)
    try:
        opened = open_photo(photo, name)
    except UnreadablePhoto as error:
        raise unreadable_query(error) from error
    if rows := index.digests.rows_of(opened.digest)[:1]:
        return of_rows(index, name, rows)
    if embed is None:
        raise FeatxError(
            "not-in-store",
            f"{name} is not in the index, which has no backbone to compute it with",
            "open the index of a store",
        )
    paths = (name,) if isinstance(photo, str | Path) else ()
    return Query(name, np.atleast_2d(embed(opened)), digests=frozenset([opened.digest]), paths=paths)


def of_rows(index: IndexRows, name: str, rows: list[int]) -> Query:
    """The query of rows in the index; their own products and digests are excluded from the answers."""
    indices: NDArray[np.intp] = np.array(rows, dtype=np.intp)
    return Query(
        name,
        np.asarray(index.features[indices]),
        frozenset(index.products[int(index.codes[i])] for i in rows),
        frozenset(index.digests[i] for i in rows),
        tuple(index.paths[i] for i in rows),
    )


def known_rows(index: IndexRows, name: str) -> list[int] | None:
    """The rows a name refers to: one item, or all photos of a product; None if the name is not known."""
    for names in (index.ids, index.paths):
        if rows := names.rows_of(name):
            return rows[:1]
    if products := index.products.rows_of(name):
        return _photos_of(index, products[0])
    base = Path(name).name
    if not base or (base != name and Path(name).is_file()):
        return None
    # A path that is neither a file nor in the store does not refer to a photo of that name in another folder.
    if base != name:
        return None
    matches = {*index.paths.rows_ending("/" + base), *index.paths.rows_of(base)}
    matches |= {i for i in index.paths.rows_with(base + ".") if Path(index.paths[i]).stem == base}
    if len(matches) > 1:
        listed = ", ".join(f"`{index.ids[i]}`" for i in sorted(matches)[:4])
        raise FeatxError(
            "not-in-store",
            f"`{name}` matches {len(matches)} items of {index.path}",
            f"name one: {listed}" + (", …" if len(matches) > 4 else ""),
            {"items": len(matches)},
        )
    return list(matches) or None


def rows_in_any_case(index: IndexRows, name: str) -> list[int] | None:
    """The rows of the one item, product or file name that differs from a name only in upper and lower case.

    People type `a1001` for A1001; two that differ only so are not guessed between.
    """
    if items := index.ids.rows_in_any_case(name):
        return items if len(items) == 1 else None
    if products := index.products.rows_in_any_case(name):
        return _photos_of(index, products[0]) if len(products) == 1 else None
    if Path(name).name != name:
        return None
    files = [row for row in index.paths.rows_with_in_any_case(name) if _is_file_name(index.paths[row], name)]
    return files if len(files) == 1 else None


def _is_file_name(path: str, name: str) -> bool:
    file = Path(path)
    return name.casefold() in (file.name.casefold(), file.stem.casefold())


def _photos_of(index: IndexRows, product: int) -> list[int]:
    return [int(i) for i in index.order[index.starts[product] : index.starts[product + 1]]]


def unknown(index: IndexRows, name: str) -> FeatxError:
    """The error for an unknown name, with the nearest known ones."""
    near = closest(Path(name).name, _candidates(index, Path(name).stem))
    hint = f"did you mean {', '.join(f'`{name}`' for name in near)}?" if near else "`featx info` shows what is there"
    if "/" in name or "\\" in name:
        return FeatxError("no-such-file", f"no file at `{name}`, and no item with that path", hint)
    return FeatxError("not-in-store", f"no product `{name}` in {index.path}, and no file of that name", hint)


def _candidates(index: IndexRows, stem: str) -> list[str]:
    if len(index) <= MANY:
        return list(dict.fromkeys([*index.ids, *index.products, *(Path(path).name for path in index.paths)]))
    names_nearby: dict[str, None] = {}
    for size in range(len(stem), 2, -1):
        for piece in (stem[:size], stem[-size:]):
            for names in (index.ids, index.products):
                names_nearby.update((names[i], None) for i in names.rows_with(piece)[:2000])
        if len(names_nearby) >= 50:
            break
    return list(names_nearby)
