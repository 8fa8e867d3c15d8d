"""Text on photos: read once for each photo, kept beside the store, searched with misreadings allowed for.

records      the lines of a photo: text, confidence, box
plain        text that is harmless wherever it is shown, and text folded for comparing
reader       the contract of a reader, and which one is used
rapid_reader  the reader of `featx[read]`: two networks that find and read lines
text_file    the file beside a store: what was read, by the digest of the photo
of_store     the text of a store's photos, and how many have any
reading      photos without text yet -> the file
loose_photos photos in no store -> a file of the shop
meaning      texts → rows of numbers by meaning, each text once
word_search  words looked for in texts: accents folded, misreadings allowed for
"""

from featx.text.of_store import read_texts
from featx.text.records import PhotoText, TextLine

__all__ = ["PhotoText", "TextLine", "read_texts"]
