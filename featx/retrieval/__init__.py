"""Features in, the most similar products out.

search      the index: similarities, pooling by product, filters, the best k
results     queries, and the products that answer them
rows        the features and names of each row
string_column  ids, paths and products of 100,000 rows, found by name without making 100,000 strings
cache       the file beside a store that answers for known items without opening the store
similarity_words  words for similarities
calibration  the limits of these words, measured on the catalogue's own products and categories
lookup      a name resolved: an item, a product, a file
screen      rows that cannot be among the answers, seen by a few of their numbers
engines/    exact comparison with all rows, or likely candidates
measured_recall  how many of the true nearest an engine proposes, with conditions and without
approximate  the file beside a store that holds a graph
lance_index  the folder beside a store that holds an index on the disk
server_index  the index of a store on a server, synced and searched there
engine_choice  which engine answers: by size, by what is built, or by name
query       names, new photos, crops, likes and dislikes -> a query
read_text   the text read off the photos: in conditions and beside answers
text_query  words -> the products that look so, or that have them on their photos
conditions  `--where`: its text read into a tree
condition_tree  such a tree, evaluated with NumPy or written as SQL
suited_blocks  the parts of a joined backbone that find look-alikes best here
quality     recall and precision of search in this catalogue
related     the most similar products of every product
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.retrieval.cache import cache_damage, cache_of, open_cached, write_cache
from featx.retrieval.calibration import calibrate
from featx.retrieval.results import Matches, Neighbour, Query
from featx.retrieval.rows import NEAR_COPY, IndexRows
from featx.retrieval.search import SimilarityIndex
from featx.retrieval.suited_blocks import suited_blocks
from featx.workspace import Workspace

if TYPE_CHECKING:
    from featx.store import Store

__all__ = [
    "NEAR_COPY",
    "Matches",
    "Neighbour",
    "Query",
    "SimilarityIndex",
    "index_of",
    "repair_index",
    "with_look_alike_blocks",
]


def index_of(store: Store | str | Path | None = None, blocks: Sequence[str] = ()) -> SimilarityIndex:
    """The index of a store, by path or already opened; the current store when none is named.

    `blocks` are the parts of a joined backbone that are compared. Where none is named, those that suit the store are,
    and only that index is kept beside the store. It answers what the store knows;
    `featx.retrieval.query.open_index` adds new photos.
    """
    opened = None if store is None or isinstance(store, str | Path) else store
    named = Path(store) if isinstance(store, str | Path) and str(store) else None
    path = Path(opened.path) if opened is not None else Workspace.here().current_store(named)
    if opened is not None and opened.is_part:
        blocks = [block.name for block in opened.blocks]
    index = open_cached(path)
    if index is not None and (not blocks or _has_just(index, blocks)):
        return index
    # HDF5 and all it brings are loaded only when the cache cannot answer.
    from featx.store import open_store

    opened = open_store(path) if opened is None else opened
    choice = None if blocks else suited_blocks(opened)
    part = opened.with_blocks(choice.blocks if choice else blocks)
    index = SimilarityIndex(IndexRows.of_store(part, choice.weights if choice else ()))
    index.words, index.block_choice = calibrate(index.rows), choice
    if not blocks and not opened.unsealed:
        write_cache(part, index)
    return index


def _has_just(index: SimilarityIndex, blocks: Sequence[str]) -> bool:
    """Whether an index compares these blocks, all counting alike."""
    return set(blocks) == set(index.rows.blocks or ["all"]) and not index.rows.weights


def with_look_alike_blocks(store: Store) -> Store:
    """An opened store with the blocks that find its look-alikes best; as it is where somebody chose its blocks."""
    return store if store.is_part or len(store.blocks) < 2 else store.with_blocks(index_of(store).rows.blocks)


def repair_index(store: Store) -> list[str]:
    """Verify the side files of search beside an opened store and remove damaged ones; returns a sentence for each."""
    from featx.retrieval.approximate import approximate_of, damage
    from featx.retrieval.lance_index import lance_damage, lance_of, remove_lance

    path = Path(store.path)
    done = []
    if (wrong := cache_damage(path)) is not None:
        if not _put_away(cache_of(path)):
            done.append(f"`{cache_of(path)}`: {wrong}, and cannot be removed; searches work without it")
        else:
            index_of(store)
            done.append(f"`{cache_of(path)}`: {wrong}; it was rebuilt")
    if (wrong := damage(path)) is not None:
        gone = _put_away(approximate_of(path))
        what = "it was removed, and is rebuilt on demand" if gone else "it cannot be removed"
        done.append(f"`{approximate_of(path)}`: {wrong}; {what}")
    if (wrong := lance_damage(path)) is not None:
        remove_lance(path)
        done.append(f"`{lance_of(path)}`: {wrong}; it was removed: `featx index build` makes it again")
    return done


def _put_away(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a folder of that name, or one that may not be written into
        return False
    return True
