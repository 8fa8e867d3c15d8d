"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice.

options     what is asked for, what is heard of it, and what was done
destination which backbone, into which store
existing_rows, stat_cache  what the store knows: its rows; which bytes lay where
inspection  what each photo turns out to be
run         the run: threads look, the network computes, rows are committed
signals     Ctrl-C
verification is a store still true?
"""

from featx.extraction.options import ExtractionEvents, ExtractionOptions, ExtractionReport
from featx.extraction.run import extract, run_extraction
from featx.extraction.verification import check_store

__all__ = ["ExtractionEvents", "ExtractionOptions", "ExtractionReport", "check_store", "extract", "run_extraction"]
