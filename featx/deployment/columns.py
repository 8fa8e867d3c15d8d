"""What turns columns into numbers, as files that travel with a deployment: code of featx, and what it learned."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from featx.catalogue.own_columns import Value
from featx.classifiers.columns import cells, encoders, words
from featx.classifiers.columns.encoders import ChoiceEncoder, ColumnEncoder, NumberEncoder, TextEncoder
from featx.classifiers.columns.learning import ColumnsEncoder
from featx.classifiers.columns.records import encoder_arrays, encoder_headers
from featx.classifiers.columns.values import Columns, Kind
from featx.classifiers.model import Classifier
from featx.errors import FeatxError
from featx.text import plain

FOLDER, LEARNED, ARRAYS = "columns", "learned.json", "learned.npz"
# The runner's part, and the files of featx that it needs.
OWN = Path(__file__).parent / "runner" / "columns.py"
COPIED = (plain, words, cells, encoders)
OF_FEATX = re.compile(r"^from featx\.(?:\w+\.)*(\w+) import ", re.MULTILINE)
# Drawn rows: every so many has no column, and a number lies so far beyond those learned from.
EMPTY, BEYOND = 5, 2.0


def require_columns_travel(model: Classifier) -> None:
    """Refuse columns that need more than NumPy."""
    if model.fusion is not None and Kind.MEANING in model.fusion.encoder.kinds.values():
        raise FeatxError(
            "bad-flag",
            "the classifier counts texts by their meaning, and the network for that (90 MB) stays with featx",
            f"count their words alone: `featx fit --with {','.join(model.wants)}` without `--sentences`",
        )


def write_columns(folder: Path, encoder: ColumnsEncoder) -> None:
    """Write the folder that the runner imports as `columns`."""
    folder.mkdir()
    for module in COPIED:
        path = Path(str(module.__file__))
        (folder / path.name).write_text(_travelling(path), encoding="utf-8")
    (folder / "__init__.py").write_text(_travelling(OWN), encoding="utf-8")
    arrays: dict[str, Any] = encoder_arrays(encoder)
    names = [[key.split(".")[1] for key in arrays if key.startswith(f"column {i}.")] for i in range(len(encoder.kinds))]
    learned = [
        {
            "name": header.name,
            "kind": str(header.kind),
            "words": header.words,
            "unseen": header.unseen,
            "repeats": header.repeats,
            "arrays": own,
        }
        for header, own in zip(encoder_headers(encoder), names, strict=True)
    ]
    (folder / LEARNED).write_text(json.dumps(learned, indent=1), encoding="utf-8")
    np.savez(folder / ARRAYS, **arrays)


def _travelling(source: Path) -> str:
    """A file of featx that imports its neighbours and nothing of featx."""
    return OF_FEATX.sub(r"from .\1 import ", source.read_text("utf-8"))


def drawn_columns(encoder: ColumnsEncoder, n: int) -> dict[str, list[Value]]:
    """Values like those learned from, unlike any of them, and missing, for photos that are drawn."""
    random = np.random.default_rng(0)
    drawn = {name: _drawn(column, n, random) for name, column in encoder.encoders.items()}
    return {
        name: [None if i % EMPTY == 0 else value for i, value in enumerate(values)] for name, values in drawn.items()
    }


def _drawn(encoder: ColumnEncoder, n: int, random: np.random.Generator) -> list[Value]:
    if isinstance(encoder, NumberEncoder):
        low, high = float(encoder.knots[0]), float(encoder.knots[-1])
        return [round(float(number), 2) for number in random.uniform(low, low + BEYOND * (high - low), n)]
    if isinstance(encoder, ChoiceEncoder):
        return [str(choice) for choice in random.choice([*encoder.choices, "never seen"], n)]
    assert isinstance(encoder, TextEncoder)
    whole = [piece.strip() for piece in encoder.pieces if piece[0] == piece[-1] == " "] or ["word"]
    return [" ".join([*random.choice(whole, 3), "unheard-of"][i % 2 :]) for i in range(n)]


def as_in_tables(columns: Columns | None) -> Columns | None:
    """The columns as a table has them: of what was read off photos the words alone, each counting the same."""
    if columns is None:
        return None
    return {name: [str(v) if isinstance(v, str) else v for v in values] for name, values in columns.items()}


def columns_as_json(columns: Columns, rows: Sequence[int]) -> list[str]:
    """Some rows of columns, each as a JSON object: an array of texts holds no Python objects."""
    return [json.dumps({name: values[row] for name, values in columns.items()}) for row in rows]


def columns_contract(model: Classifier) -> Mapping[str, Any] | None:
    """What a program must know of the columns that a graph takes; None for one that takes none."""
    if model.fusion is None:
        return None
    encoder = model.fusion.encoder
    kinds = {name: str(kind) for name, kind in encoder.kinds.items()}
    return {"input": FOLDER, "width": encoder.width, "kinds": kinds, "reads": model.fusion.reads}
