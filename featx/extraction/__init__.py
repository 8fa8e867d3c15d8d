"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice."""

from featx.extraction.checking import check_store
from featx.extraction.request import Listener, Request, Summary
from featx.extraction.run import extract, run_extraction

__all__ = ["Listener", "Request", "Summary", "check_store", "extract", "run_extraction"]
