"""What each layer of a network adds to the usual one, and to a second network, in grouped folds of a quick classifier.

    featx extract PHOTOS -b efficientnet_lite2 --layer penultimate,maps:middle,maps:spread,_blocks.14 -s layers.h5
    python benchmarks/layers.py layers.h5 [--beside builtin.h5] [--photos 1500]

The first block of the store is the usual one. Ends with what `--layer auto` would take.
"""

from __future__ import annotations

import argparse

import numpy as np

from featx.compute.left_out import centred_cosines, left_out_answers, targets
from featx.extraction.suited_layers import FOLDS, choose_nodes
from featx.labels.folds import grouped_folds
from featx.metrics.block_choice import Blend
from featx.store import open_store


def main() -> None:
    """Print a row for each layer: alone, beside the usual one, and beside that and the second network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--beside")
    parser.add_argument("--photos", type=int, default=1500)
    given = parser.parse_args()
    store = open_store(given.store)
    other = open_store(given.beside) if given.beside else None
    row_of = {digest: i for i, digest in enumerate((other or store).digests)}
    usable = [i for i in range(len(store)) if store.labels[i] is not None and store.digests[i] in row_of]
    rows = np.sort(np.random.default_rng(0).permutation(usable)[: given.photos])
    labels = [str(store.labels[i]) for i in rows]
    _, products = np.unique([store.product_of(int(i)) for i in rows], return_inverse=True)
    features = store.features[rows]
    cosines = {block.name: centred_cosines(features[:, block.columns]) for block in store.blocks}
    usual, *added = cosines
    if other is not None:
        cosines["beside"] = centred_cosines(other.features[[row_of[store.digests[i]] for i in rows]])
    wanted, folds = targets(labels), [score for _, score in grouped_folds(labels, products, FOLDS, 0)]

    def right(*blocks: str) -> str:
        answers = left_out_answers(Blend(blocks).mean(cosines), wanted, folds)
        return f"{100 * (answers.argmax(axis=1) == wanted.argmax(axis=1)).mean():.1f}"

    bases = [(usual,), *([("beside", usual)] if other is not None else [])]
    print(f"{len(rows):,} photos; the usual one: {', '.join(right(*base) for base in bases)}")
    for name in added:
        print(f"| `{name.partition('/')[2]}` | {' | '.join([right(name), *(right(*base, name) for base in bases)])} |")
    for base in bases:
        choice = choose_nodes({name: cosines[name] for name in (*base, *added)}, base, labels, products)
        print(f"auto: {choice.blend} {dict(choice.shares)}", flush=True)


if __name__ == "__main__":
    main()
