"""What the notebook page shows is what a notebook shows: every cell runs, and every result is a small safe table."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import types
from pathlib import Path

import pytest

import featx
from featx.errors import FeatxError
from tests.conftest import ROOT


@pytest.fixture
def shop(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few products of four categories of the sample catalogue, two of them held out, and new photos."""
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    for split, most in (("train", 6), ("test", 2)):
        for folder in sorted((ROOT / "data" / split).iterdir())[:4]:
            photos = sorted(folder.glob("*.jpg"))
            for name, chosen in ((f"data/{split}", photos[:most]), ("new", photos[most : most + 1])):
                target = workplace / name / folder.name
                target.mkdir(parents=True, exist_ok=True)
                for path in chosen:
                    shutil.copy(path, target / path.name)
    return workplace


def run_cell(code: str, names: dict[str, object]) -> object:
    """Run a cell as a notebook does; what its last line is worth, if that is an expression."""
    *before, last = ast.parse(code).body
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return None


def test_every_cell_runs_and_every_result_shows_itself(shop):
    names: dict[str, object] = {}
    cells = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebook.md").read_text(encoding="utf-8"), re.DOTALL)
    shown = [result for cell in cells if (result := run_cell(cell, names)) is not None]
    assert len(shown) >= 8
    for result in shown:
        html = result._repr_html_()
        assert html.count("<table") == 1 and len(html) < 300_000
        if type(result).__module__.startswith("featx"):
            assert "\n" not in repr(result) and len(repr(result)) < 250
    for result in shown:
        if isinstance(result, featx.Store) or type(result).__name__ in ("Matches", "Predictions"):
            assert "data:image/jpeg;base64," in result._repr_html_()


def test_a_store_is_rows_for_other_libraries(shop, monkeypatch):
    store = featx.extract("data", backbone="colour")
    table = store.to_pandas()
    assert list(table.columns[:5]) == ["path", "id", "label", "product", "split"]
    assert table["embedding"][3].tolist() == store.features[3].tolist()
    rows = store.to_torch()
    assert rows.features.numpy().tolist() == store.features.tolist()
    assert [rows.categories[i] for i in rows.targets] == store.labels
    monkeypatch.setitem(sys.modules, "polars", types.SimpleNamespace(DataFrame=lambda columns, **_: columns))
    assert list(store.to_polars()) == list(table.columns)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(FeatxError, match="polars is not installed") as refused:
        store.to_polars()
    assert refused.value.hint == "`pip install polars`"


def test_what_is_large_is_short_in_words(shop):
    catalogue = featx.read_catalogue("data")
    store = featx.extract(catalogue, backbone="colour")
    index = featx.open_index(store)
    query = index.matches(store.ids[0]).query
    for value in (catalogue, store, index, query, featx.read_photo(store.paths[0])):
        assert len(repr(value)) < 200, type(value)


def test_a_bar_tells_a_notebook_how_far_it_is(monkeypatch):
    drawn = []

    class Cell:
        update = staticmethod(lambda page: drawn.append(page))

    module = types.ModuleType("IPython.display")
    module.HTML = str
    module.display = lambda page, display_id: drawn.append(page) or Cell()
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("featx.views.progress.PAUSE", 0.0)
    bar = featx.ProgressBar("<photos>")
    for done in range(3):
        bar(done + 1, 3)
    assert drawn[-1] == '<div><progress value="3" max="3"></progress> &lt;photos&gt;  3 of 3</div>'
    assert len(drawn) == 3


def test_an_extraction_tells_how_far_it_is(shop):
    steps: list[tuple[int, int]] = []
    store = featx.extract("data", backbone="colour", progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (len(store), len(store))
