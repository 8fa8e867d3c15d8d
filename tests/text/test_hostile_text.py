"""Whatever stands on a photo is harmless in everything that featx prints and writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from featx.classifiers.columns.use import try_columns
from featx.images import decode_photo, read_bytes
from featx.labels.training_set import training_set_of
from featx.reporting import write_report
from featx.store import Store, open_store
from featx.text.reading import read_store
from featx.text.records import Pixels
from tests.conftest import photo
from tests.reporting.documents import comparison
from tests.text.hostile import HOSTILE, assert_dead, assert_no_formula, assert_plain
from tests.text.readers import ListReader

# Also on their own: a text may be hostile only where it is the first, or the only one.
SAID = [*([text] for text in HOSTILE), HOSTILE]


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Photos of any colour in two categories; all that tells them apart is on the packs, beside hostile text."""
    from featx.extraction import extract

    monkeypatch.chdir(tmp_path)
    for i in range(2 * len(SAID)):
        photo(tmp_path / "photos" / ("oats", "milk")[i % 2] / f"p{i}.png", seed=i, size=(16, 16))
    store = extract("photos", backbone="colour", store="store.h5")
    read_store(store, reader=reader_of(store))
    return open_store("store.h5")


def reader_of(store: Store) -> ListReader:
    """A reader that knows what is said on each photo of the store."""
    numbers = {
        np.asarray(decode_photo(read_bytes(path), path)).tobytes(): int(Path(path).stem[1:]) for path in store.paths
    }

    def say(image: Pixels) -> Sequence[str]:
        i = numbers[image.tobytes()]
        return [*SAID[i // 2], ("havre dryck", "mellan mjolk")[i % 2]]

    return ListReader(say)


def test_text_of_strangers_is_harmless_in_tables_pages_and_on_the_terminal(featx, packs, tmp_path, monkeypatch):
    monkeypatch.setattr("featx.text.loose_photos.open_reader", lambda looks: reader_of(packs))
    every = ("--store", "store.h5")
    ran = [
        featx("similar", "p0", *every, "-k", "99"),
        featx("similar", "--text", "havre <script> \x1b[2J", *every),
        featx("similar", "p0", *every, "-k", "99", "--where", "text ~ 'owned'"),
        featx("info", *every, "--check"),
        featx("read", "photos"),
        featx("read", "photos", "--json"),
        featx("similar", "p0", *every, "-k", "99", "--json"),
        *(featx("similar", "p0", *every, "-k", "99", "-o", f"alike.{kind}") for kind in ("csv", "jsonl", "html")),
        *(featx("export", *every, "--to", kind, "-o", f"all.{kind}") for kind in ("csv", "jsonl", "parquet")),
    ]
    for one in ran:
        assert one.returncode == 0, one.stderr
        assert_plain(one.stdout + one.stderr)
    assert_no_formula((tmp_path / "alike.csv").read_text(encoding="utf-8"))
    assert_no_formula((tmp_path / "all.csv").read_text(encoding="utf-8"))
    assert_dead((tmp_path / "alike.html").read_text(encoding="utf-8"))
    for lines in (
        ran[5].stdout,
        ran[6].stdout,
        *((tmp_path / f"{name}.jsonl").read_text("utf-8") for name in ("alike", "all")),
    ):
        texts = [json.loads(line)["text"] for line in lines.splitlines()]
        assert len(texts) > 20 and max(map(len, texts)) < 200 * (len(HOSTILE) + 2)
        for text in texts:
            assert_plain(text)


def test_text_of_strangers_is_harmless_in_a_report_and_its_table_of_words(packs, tmp_path):
    record = try_columns(training_set_of(packs), ["text"], "centroid", 2)
    assert record["decided"] and record["words"]
    written = write_report(
        comparison(packs) | {"columns": record}, packs, root=tmp_path, formats=("html", "json", "md")
    )
    page = written.page.read_text(encoding="utf-8")
    assert "havre" in page
    assert_dead(page)
    assert_dead(next(written.folder.glob("*.md")).read_text(encoding="utf-8"))
    for table in written.folder.rglob("*.csv"):
        assert_no_formula(table.read_text(encoding="utf-8"))
    assert_plain(next(written.folder.glob("*.json")).read_text(encoding="utf-8"))
