"""Look after a catalogue: pictures that are there twice, labels that are probably wrong, and decisions about them.

near_pairs         rows whose features point the same way, tile by tile
perceptual_hashes  whether two photos show the same picture: perceptual hashes, kept beside the store
duplicates         groups of copies, and how far to trust them
issues             labels, products, categories and pictures that somebody should look at
"""

from __future__ import annotations

from featx.audit.duplicates import DuplicateGroup, Duplicates, find_duplicates
from featx.audit.issues import Issues, LabelIssue, find_issues

__all__ = ["DuplicateGroup", "Duplicates", "Issues", "LabelIssue", "find_duplicates", "find_issues"]
