"""The feature store: one HDF5 file people can read, and a journal beside it in which new rows are safe at once.

records    what a row is
journal    the append-only file: a batch is committed when its frame is on the disk
contents   sealed rows and journal frames, put together
sealed     the HDF5 file: written whole, read with suspicion
sealing    the child process that writes a new HDF5 file
writer     append, update, remove, seal
reading    what everyone else uses
"""

from __future__ import annotations

from featx.store.reading import Store, open_store
from featx.store.records import Row, SkippedItem, StoredItem
from featx.store.writer import StoreWriter, ensure_room, is_card

__all__ = ["Row", "SkippedItem", "Store", "StoreWriter", "StoredItem", "ensure_room", "is_card", "open_store"]
