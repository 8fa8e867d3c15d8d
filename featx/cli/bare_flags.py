"""Flags that may stand without a value: `featx extract --read photos` means `--read all`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# By command and flag: the values it takes, the first of them where none follows.
BARE: Mapping[str, Mapping[str, Sequence[str]]] = {"extract": {"--read": ("all", "auto")}}


def with_bare_values(words: Sequence[str], command: str | None) -> list[str]:
    """The words of a command line, with a value after each flag that stands without one."""
    flags = BARE.get(command or "", {})
    written: list[str] = []
    for i, word in enumerate(words):
        if word == "--":
            return [*written, *words[i:]]
        written.append(word)
        if word in flags and (i + 1 == len(words) or words[i + 1] not in flags[word]):
            written.append(flags[word][0])
    return written
