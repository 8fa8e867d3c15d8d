"""The feature store: an HDF5 file that any tool can read, and a journal beside it that makes new rows safe at once.

records      a row, and the shape of its features
journal      the append-only file: a batch is committed when its frame is on the disk
sealed_file  the HDF5 file, read with suspicion
snapshot     sealed rows and journal frames, put together
row_records  rows -> frames of the journal
writer       append, update, remove, seal
seal_process, seal_client, sealed_file_writer  the child process that writes a new HDF5 file
store_card, disk_space  the summary beside a store; room on the disk
store        a store as everyone else reads it
in_memory    a store that was never written
facts        counts of what a store holds
"""

from __future__ import annotations

from featx.store.disk_space import ensure_room
from featx.store.records import Row
from featx.store.store import Store, as_store, open_store
from featx.store.store_card import is_card
from featx.store.writer import StoreWriter

__all__ = ["Row", "Store", "StoreWriter", "as_store", "ensure_room", "is_card", "open_store"]
