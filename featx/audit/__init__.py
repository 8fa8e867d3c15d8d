"""Maintain a catalogue: duplicate photos, and labels that are probably wrong.

near_pairs         rows whose features point the same way, tile by tile
perceptual_hashes  whether two photos are the same image: perceptual hashes, cached beside the store
duplicates         groups of copies, and how far to trust them
label_evidence     what speaks against each label
issues             labels, products, categories and photos that somebody should look at
sheets             both as pages of photos to decide on
"""

from __future__ import annotations

from featx.audit.duplicates import DuplicateGroup, Duplicates, find_duplicates
from featx.audit.issues import Issues, LabelIssue, find_issues

__all__ = ["DuplicateGroup", "Duplicates", "Issues", "LabelIssue", "find_duplicates", "find_issues"]
