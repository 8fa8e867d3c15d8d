"""The feature store: an HDF5 file that any tool can read, and a journal beside it that makes new rows safe at once.

records    what a row is
journal    the append-only file: a batch is committed when its frame is on the disk
snapshot   sealed rows and journal frames, put together
sealed_file  the HDF5 file: written whole, read with suspicion
seal_process, seal_client  the child process that writes a new HDF5 file
writer     append, update, remove, seal
store      what everyone else uses
facts      what a store holds, counted
"""

from __future__ import annotations

from featx.store.records import Row
from featx.store.store import Store, open_store
from featx.store.writer import StoreWriter, ensure_room, is_card

__all__ = ["Row", "Store", "StoreWriter", "ensure_room", "is_card", "open_store"]
