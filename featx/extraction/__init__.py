"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice.

options        options, report and events of an extraction
destination    which backbone, into which store
existing_rows, stat_cache, skip_log   known rows, the bytes at each path, photos that cannot be used
inspection     each photo: new, known, a copy, unreadable
plan           the work to do
suited_layers  `--layer auto`: the nodes that suit the categories at hand
known_blocks   parts of a joined backbone that other stores hold already
network        the backbone, and the engine that runs it
run            the run: a stream reads and computes, rows are committed, the store is sealed
commits        the thread that commits rows
shards         parts of a catalogue, extracted on their own and joined
shard_task     a shard on its way to whoever extracts it
shard_pool, ray_cluster, spark_cluster   shards by processes of this machine, or by a cluster
sharded_run    all shards, and then the store of all
provenance     the record of how a store was made
signals        Ctrl-C
forecast       what a very large extraction takes
verification   does a store still hold what its photos give?
"""

from featx.extraction.options import ExtractionEvents, ExtractionOptions, ExtractionReport
from featx.extraction.run import extract, run_extraction
from featx.extraction.sharded_run import extract_in_shards
from featx.extraction.verification import check_store

__all__ = [
    "ExtractionEvents",
    "ExtractionOptions",
    "ExtractionReport",
    "check_store",
    "extract",
    "extract_in_shards",
    "run_extraction",
]
