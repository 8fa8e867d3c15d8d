"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice.

options        options, report and events of an extraction
destination    which backbone, into which store
existing_rows, stat_cache, skip_log   what is known: rows, the bytes at each path, photos that cannot be used
inspection     what each photo turns out to be
plan           what is to be done
suited_layers  `--layer auto`: the nodes that suit the categories at hand
known_blocks   parts of a joined backbone that other stores hold already
network        the backbone, and the engine that runs it
run            the run: a stream reads and computes, rows are committed, the store is sealed
provenance     what a store remembers of how it was made
signals        Ctrl-C
verification   does a store still hold what its photos give?
"""

from featx.extraction.options import ExtractionEvents, ExtractionOptions, ExtractionReport
from featx.extraction.run import extract, run_extraction
from featx.extraction.verification import check_store

__all__ = ["ExtractionEvents", "ExtractionOptions", "ExtractionReport", "check_store", "extract", "run_extraction"]
