"""Weights files: find them in torch's cache, fetch them, and never read one that fails verification.

published  which files there are to download
cache      where they lie here, and whether they are whole
loading    their tensors
locating   a file by its SHA-256, wherever it lies now
download   the file of an address, from the cache or the web
http       requests, and downloads that go on where they broke off
importing  files that were downloaded elsewhere
added      which network the files are of that no publisher's list names
"""

from featx.backbones.weights.added import AddedWeights, added_for, added_weights, note_added
from featx.backbones.weights.cache import (
    SUFFIXES,
    builtin_weights,
    fallback_backbone,
    file_sha256,
    find_weights,
    state_folder,
    unchecked_weights,
    verify_weights,
    weights_folder,
    weights_here,
    weights_missing,
    weights_path,
)
from featx.backbones.weights.download import fetch_weights, offline, probe_url, source_url, watched_downloads
from featx.backbones.weights.importing import add_weights, copy_beside, copy_weights, published_as, readable_sha256
from featx.backbones.weights.loading import load_state_dict, put_tensors, require_tensors, weights_file
from featx.backbones.weights.locating import (
    is_cached,
    is_digest,
    locate_weights,
    named_place,
    search_places,
    weights_not_found,
)
from featx.backbones.weights.published import (
    PUBLISHER,
    RECOMMENDED,
    PublishedWeights,
    file_name,
    find_published,
    hash_prefix,
    published_weights,
)

__all__ = [
    "PUBLISHER",
    "RECOMMENDED",
    "SUFFIXES",
    "AddedWeights",
    "PublishedWeights",
    "add_weights",
    "added_for",
    "added_weights",
    "builtin_weights",
    "copy_beside",
    "copy_weights",
    "fallback_backbone",
    "fetch_weights",
    "file_name",
    "file_sha256",
    "find_published",
    "find_weights",
    "hash_prefix",
    "is_cached",
    "is_digest",
    "load_state_dict",
    "locate_weights",
    "named_place",
    "note_added",
    "offline",
    "probe_url",
    "published_as",
    "published_weights",
    "put_tensors",
    "readable_sha256",
    "require_tensors",
    "search_places",
    "source_url",
    "state_folder",
    "unchecked_weights",
    "verify_weights",
    "watched_downloads",
    "weights_file",
    "weights_folder",
    "weights_here",
    "weights_missing",
    "weights_not_found",
    "weights_path",
]
