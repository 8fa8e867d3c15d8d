"""Lance's inverted lists of compressed vectors (IVF_RQ, an extra): an index in a folder, read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.retrieval.engines.base import Keys
from featx.retrieval.engines.pushdown import KeptColumn, sql_with_values, understood

if TYPE_CHECKING:
    from featx.retrieval.condition_tree import Node, Value

# The name of the lists among the indexes of a dataset.
LISTS = "vector_idx"
# Compressed vectors order the nearest only roughly, so several times as many are proposed.
PROPOSED_AT_LEAST, PROPOSED_FOR_A_LIST = 200, 4
# Under a condition so many times as many lists are read: what meets it may lie in those farthest from the query.
LISTS_UNDER_A_CONDITION = 10
TYPES = {"text": "string", "whole": "int64", "number": "float64", "flag": "bool_"}


@dataclass(frozen=True)
class Piece:
    """Some rows on their way into an index: their numbers, directions, and values of the kept columns."""

    keys: NDArray[np.int64]
    directions: NDArray[np.float32]
    values: Mapping[str, Sequence[Value]]


class LanceEngine:
    """An index in a folder; a search reads the lists nearest to the query."""

    name = "lance"
    # Lists that a search reads; under a condition it goes on until there are enough rows.
    efforts: tuple[int, ...] = (20, 50, 100, 200, 400)

    def __init__(self, dataset: Any, columns: Sequence[KeptColumn]) -> None:
        self._dataset = dataset
        self._columns = {column.name: column for column in columns}
        self._n = dataset.count_rows()

    @classmethod
    def open(cls, folder: Path, columns: Sequence[KeptColumn]) -> LanceEngine:
        """The index in a folder; FeatxError where it is none."""
        lance = _library()
        try:
            return cls(lance.dataset(str(folder)), columns)
        except (OSError, ValueError) as error:
            raise FeatxError(
                "index-broken", f"the index in `{folder}` cannot be read", "make it again: `featx index build`"
            ) from error

    def __len__(self) -> int:
        return int(self._n)

    def search(self, direction: NDArray[np.float32], k: int, effort: int, only: Node | None = None) -> Keys:
        """The numbers of probably the k nearest under a condition."""
        lists = effort if only is None else LISTS_UNDER_A_CONDITION * effort
        nearest = {
            "column": "vector",
            "q": direction,
            "k": max(k, PROPOSED_AT_LEAST, PROPOSED_FOR_A_LIST * effort),
            "minimum_nprobes": lists,
            "maximum_nprobes": effort if only is None else None,
        }
        sql = None if only is None else sql_with_values(only, self._columns)
        scanner = self._dataset.scanner(
            columns=["key"], nearest=nearest, filter=sql, prefilter=True, disable_scoring_autoprojection=True
        )
        return np.asarray(scanner.to_table()["key"].to_numpy(), dtype=np.uint64)

    def understood(self, condition: Node) -> Node | None:
        """As much of a condition as the columns in the index decide."""
        return understood(condition, self._columns)


def write_lance(folder: Path, width: int, columns: Sequence[KeptColumn], pieces: Iterable[Piece]) -> None:
    """Write rows into a new folder; its lists are made afterwards."""
    import pyarrow as pa

    lance = _library()
    vector = pa.list_(pa.float16(), width)
    own = [pa.field(column.alias, getattr(pa, TYPES[column.kind])()) for column in columns]
    schema = pa.schema([pa.field("key", pa.int64()), pa.field("vector", vector), *own])

    def batches() -> Iterator[Any]:
        for piece in pieces:
            halves = pa.array(piece.directions.astype(np.float16).ravel())
            arrays = [pa.array(piece.keys), pa.FixedSizeListArray.from_arrays(halves, width)]
            arrays += [pa.array(piece.values[c.name], field.type) for c, field in zip(columns, own, strict=True)]
            yield pa.record_batch(arrays, schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    dataset = lance.write_dataset(reader, str(folder), schema=schema, mode="create")
    for column in columns:
        if column.kind != "flag" and column.name != "id":
            dataset.create_scalar_index(column.alias, "BTREE")


def make_lists(folder: Path, centres: NDArray[np.float32], bits: int) -> None:
    """Make a list around each centre, with so many bits for each number; those that are there already are replaced.

    The rotation is given too: left to Lance, centres and rotation differ from build to build.
    """
    lance = _library()
    dataset = lance.dataset(str(folder))
    if any(index.name == LISTS for index in dataset.describe_indices()):
        dataset.drop_index(LISTS)
    n, width = centres.shape
    segment = dataset.create_index_uncommitted(
        "vector", "IVF_RQ", metric="cosine", num_partitions=n, num_bits=bits, ivf_centroids=centres.astype(np.float16),
        rabitq_model=_rotation(lance, width, bits), fragment_ids=[part.fragment_id for part in dataset.get_fragments()],
    )  # fmt: skip
    dataset.commit_existing_index_segments(LISTS, "vector", [segment])
    dataset.cleanup_old_versions(older_than=timedelta(0))


def _rotation(lance: Any, width: int, bits: int) -> str:
    """The rotation before vectors become bits, as Lance writes it, with signs that are always the same."""
    model = json.loads(lance.lance.indices.build_rq_model(width, num_bits=bits))
    signs = np.random.default_rng(0).bytes(len(model["fast_rotation_signs"]))
    return json.dumps(model | {"fast_rotation_signs": list(signs)})


def _library() -> Any:
    try:
        import lance
    except ImportError as error:
        raise FeatxError(
            "extra-missing",
            "an index in a folder needs Lance, which is not installed",
            "`pip install 'featx[lance]'`, or search exactly: `--exact`",
        ) from error
    return lance
