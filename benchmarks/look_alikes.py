"""First look-alike and precision at 10 by the weights of two blocks: as they are, centred, and whitened.

    python benchmarks/look_alikes.py clothing/builtin.h5 clothing/efficientnet_lite2.h5

Two stores of the same photos. Photos that are held out (`val`) look among the others; else each photo looks among those
of other products; an answer of the same category is right.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import unit_rows
from featx.store import Store, open_store

Matrix = NDArray[np.float32]
WEIGHTS = (0, 1, 2, 4, np.inf)
# Principal directions that are kept, and how much of their mean variance is added to each before dividing by it.
WHITENING = ((64, 1.0), (256, 1.0), (256, 10.0), (512, 3.0))


def whitened(rows: Matrix, keep: int, shrink: float) -> Matrix:
    """Rows of equal variance along their principal directions, nearly."""
    centred = rows - rows.mean(axis=0)
    values, directions = np.linalg.eigh((centred.T @ centred / len(centred)).astype(np.float64))
    values, directions = values[::-1][:keep], directions[:, ::-1][:, :keep].astype(np.float32)
    return unit_rows(centred @ directions / np.sqrt(values + shrink * values.mean()).astype(np.float32))


def forms(rows: Matrix) -> dict[str, Matrix]:
    """The rows as they are, centred, and whitened."""
    unit = unit_rows(rows)
    white = {f"whitened, {keep} directions, {shrink:g}": whitened(unit, keep, shrink) for keep, shrink in WHITENING}
    return {"as they are": unit, "centred": unit_rows(unit - unit.mean(axis=0)), **white}


def right(cosines: Matrix, store: Store) -> str:
    """First look-alike and precision at 10, per cent."""
    _, labels = np.unique([str(label) for label in store.labels], return_inverse=True)
    _, products = np.unique([store.product_of(i) for i in range(len(store))], return_inverse=True)
    held = np.array([split == "val" for split in store.splits])
    ask, among = (np.flatnonzero(held), np.flatnonzero(~held)) if held.any() else (np.arange(len(held)),) * 2
    scores = cosines[np.ix_(ask, among)]
    scores[products[ask][:, None] == products[among][None, :]] = -np.inf
    top = np.argpartition(-scores, 10, axis=1)[:, :10]
    first = (labels[among][scores.argmax(axis=1)] == labels[ask]).mean()
    return f"{100 * first:.1f} / {100 * (labels[among][top] == labels[ask][:, None]).mean():.1f}"


def main(first: str, second: str) -> None:
    """Print a row for each form, a column for each weight of the second block."""
    stores = [open_store(path) for path in (first, second)]
    if stores[0].digests != stores[1].digests:
        sys.exit("the two stores hold different photos")
    rows = [forms(store.features) for store in stores]
    print("| rows | " + " | ".join("second alone" if np.isinf(w) else f"1 : {w:g}" for w in WEIGHTS) + " |")
    print("|---" * (len(WEIGHTS) + 1) + "|")
    for form in rows[0]:
        base, added = (each[form] @ each[form].T for each in rows)
        cells = [right(added if np.isinf(w) else base + np.float32(w) * added, stores[0]) for w in WEIGHTS]
        print(f"| {form} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
