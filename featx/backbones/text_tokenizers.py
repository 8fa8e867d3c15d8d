"""Texts as numbers by a `tokenizer.json`, the form in which a network's publisher gives what splits its texts.

The file is data: it says how to split, and the library `tokenizers` does so. Nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError

TOKENIZER, ITS_CONFIG = "tokenizer.json", "tokenizer_config.json"
EXTRA = 'pip install "featx[clip]"'
# The largest that is published, of 256,000 pieces, has 34 MB.
MOST_BYTES = 128 << 20


@dataclass(frozen=True)
class TextForm:
    """What a network wants of a text: how many pieces, cleaned how, and whether the mark of its end becomes a zero."""

    length: int
    pieces: int
    clean: Callable[[str], str] = str.strip
    blanks_end: bool = False


class FileTokenizer:
    """Splits texts as a file says; every text becomes a row of the same length."""

    def __init__(self, file: Path, form: TextForm) -> None:
        self.file, self.form = file, form
        settings = _settings(file)
        self._tokenizer = _read(file)
        self._end = _number(self._tokenizer, settings.get("sep_token")) if form.blanks_end else None
        filler = _number(self._tokenizer, settings.get("pad_token"))
        if filler is None:
            raise _broken(file.with_name(ITS_CONFIG), f"its `pad_token` is no piece of {TOKENIZER}")
        self._tokenizer.enable_truncation(form.length)
        self._tokenizer.enable_padding(length=form.length, pad_id=filler)

    def numbers(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of the pieces of each text."""
        rows = [split.ids for split in self._tokenizer.encode_batch([self.form.clean(text) for text in texts])]
        numbers = np.array(rows, dtype=np.int64).reshape(len(texts), self.form.length)
        if numbers.size and numbers.max() >= self.form.pieces:
            raise FeatxError(
                "weights-misfit",
                f"`{self.file}` knows more pieces of texts than the network ({self.form.pieces:,})",
                f"bring the {TOKENIZER} of the same network",
            )
        return np.where(numbers == self._end, 0, numbers) if self._end is not None else numbers


def _read(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise FeatxError("extra-missing", f"`{file}` needs the package tokenizers", EXTRA) from error
    data = _bytes_of(file)
    try:
        return Tokenizer.from_buffer(data)
    except Exception as error:
        raise _broken(file, f"it is no tokenizer: {str(error)[:200]}") from error


def _settings(file: Path) -> dict[str, Any]:
    """What stands beside the file: above all, with which piece short texts are filled."""
    beside = file.with_name(ITS_CONFIG)
    if not beside.is_file():
        raise _broken(beside, "it is missing, and says with what short texts are filled")
    try:
        settings = json.loads(_bytes_of(beside))
    except ValueError as error:
        raise _broken(beside, "it is no JSON") from error
    return settings if isinstance(settings, dict) else {}


def _bytes_of(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise _broken(file, str(error.strerror)) from error
    if len(data) > MOST_BYTES:
        raise _broken(file, f"it is larger than {MOST_BYTES >> 20} MB")
    return data


def _number(tokenizer: Any, token: object) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    return tokenizer.token_to_id(name) if isinstance(name, str) else None


def _broken(file: Path, why: str) -> FeatxError:
    return FeatxError(
        "weights-broken",
        f"`{file}` cannot be used: {why}",
        f"bring {TOKENIZER} and {ITS_CONFIG} of the network's publisher, both in one folder",
    )
