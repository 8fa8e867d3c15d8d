"""A store of some of the products: drawn whole, alike from every store, and compared and reported as any other."""

from __future__ import annotations

import numpy as np

from featx.comparison import compare
from featx.labels.some_products import some_products
from featx.reporting.sources import store_of as store_compared
from featx.store import Store
from featx.store.in_memory import store_in_memory
from tests.classifiers.test_suited_blocks import store_of


def of_rows(store: Store, rows: np.ndarray) -> Store:
    """Some rows of a store in memory, with a second view of each."""
    items = [list(store.known().values())[row] for row in rows]
    views = np.stack([store.features[rows], -store.features[rows]], axis=1)
    return store_in_memory("some.h5", items, views, store.fingerprint, {})


def test_the_same_products_are_drawn_whole_from_every_store_that_has_them(tmp_path) -> None:
    store = store_of(tmp_path / "a.h5", 800, products=200, noise=8)
    drawn = some_products(store, 100)
    products = set(drawn.products)
    assert len(products) == 100 and len(drawn) == 400, "each has four photos"
    assert drawn.ids == [name for name, product in zip(store.ids, store.products, strict=True) if product in products]
    rows = [store.position(name) for name in drawn.ids]
    np.testing.assert_array_equal(drawn.features, store.features[rows])
    assert [drawn.labels, drawn.digests] == [[column[row] for row in rows] for column in (store.labels, store.digests)]
    # Without a tenth of the rows, the draw is of the others as before.
    others = of_rows(store, np.flatnonzero(np.arange(800) % 200 >= 20))
    here = {product for product in products if int(str(product)[1:]) >= 20}
    again = some_products(others, 90)
    assert len(here & set(again.products)) > 0.9 * len(here)
    assert (again.all_views[:, 1] == -again.all_views[:, 0]).all(), "every view is kept"
    part = some_products(store.with_blocks(["good"]), 100)
    assert part.ids == drawn.ids and part.is_part
    np.testing.assert_array_equal(part.features, drawn.with_blocks(["good"]).features)
    assert some_products(store, 200) is store and some_products(store, 100, seed=1).ids != drawn.ids


def test_a_comparison_of_some_products_says_so_and_its_report_is_of_the_same(tmp_path) -> None:
    store = store_of(tmp_path / "a.h5", 400, products=200, noise=8)
    comparison = compare(store, "centroid", folds=2, products=100, colour=False, retrieval=False)
    assert comparison.document.settings["products"] == 100 and comparison.document.settings["n_learn"] == 200
    assert "200 of 400 photos were drawn, of about 100 products" in comparison.document.notes
    reported = store_compared(comparison.document)
    assert reported is not None and reported.ids == some_products(store, 100).ids
