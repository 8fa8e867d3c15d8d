"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice.

request     what is asked for, what is heard of it, and what was done
settling    which backbone, into which store
known, seen what the store knows: its rows; which bytes lay where
looks       what each photo turns out to be
run         the run: threads look, the network computes, rows are committed
interrupts  Ctrl-C
reopening   the backbone of a store, once more
checking    is a store still true?
"""

from featx.extraction.checking import check_store
from featx.extraction.request import ExtractionEvents, ExtractionOptions, ExtractionReport
from featx.extraction.run import extract, run_extraction

__all__ = ["ExtractionEvents", "ExtractionOptions", "ExtractionReport", "check_store", "extract", "run_extraction"]
