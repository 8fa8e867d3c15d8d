"""The text of tables that people save: which encoding it is in, and what separates its cells."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

UTF8, WINDOWS = "utf-8-sig", "cp1252"
NAMES = {
    WINDOWS: "Windows-1252", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32",
}  # fmt: skip
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
WORKBOOK = b"PK\x03\x04"
# What some spreadsheets write above the header, so that others know the separator.
DECLARED = re.compile(r'\ufeff?"?sep=(.)"?\r?\n?', re.IGNORECASE)


@dataclass(frozen=True)
class TextFormat:
    """How a table was read: its encoding, and what separates its cells."""

    encoding: str = UTF8
    separator: str = ","
    usual: str = ","

    @property
    def note(self) -> str:
        """What was taken, in words, where it is not what featx writes itself."""
        read = NAMES.get(self.encoding, "")
        cells = SEPARATORS.get(self.separator, f"`{self.separator}`") if self.separator != self.usual else ""
        if not read:
            return f"its cells are separated by {cells}" if cells else ""
        return f"it is not UTF-8: read as {read}" + (f", its cells separated by {cells}" if cells else "")


def possible_encodings(head: bytes) -> Iterator[str]:
    """The encodings a text may be in by its first bytes, the likeliest first."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        yield "utf-32"
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "utf-16"
    elif b"\0" in head[:2]:
        # Without a mark, every other byte of plain letters is zero.
        yield "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
    else:
        yield UTF8
        if not head.startswith(codecs.BOM_UTF8):
            yield WINDOWS


def separator_of(header: str, suffix: str = ".csv") -> str:
    """What separates the cells of a table that begins with this line; a separator inside quotes does not count."""
    declared = DECLARED.fullmatch(header)
    if declared:
        return declared[1]
    bare = re.sub(r'"[^"]*"', "", header)
    if suffix.lower() == ".tsv" and ("\t" in bare or "," not in bare):
        return "\t"
    return max(SEPARATORS, key=bare.count)


def is_declaration(line: str) -> bool:
    """Whether a line only says what separates the cells of those below it."""
    return DECLARED.fullmatch(line) is not None


def is_broken_utf8(data: bytes) -> bool:
    """Whether a text that is not UTF-8 was meant to be: most of its letters beyond ASCII are."""
    text = data.decode("utf-8", "replace")
    odd = text.count("\ufffd")
    return sum(letter > "\x7f" for letter in text) > 2 * odd


def decoded(data: bytes) -> str:
    """A whole table as text; bytes that no encoding explains are kept as they are."""
    for encoding in possible_encodings(data[:4]):
        if encoding == WINDOWS and is_broken_utf8(data):
            continue
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode(UTF8, "surrogateescape")
