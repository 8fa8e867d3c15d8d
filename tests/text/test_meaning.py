"""Texts by meaning are computed once, in the process and on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from featx.text import meaning
from featx.text.meaning import meaning_rows


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path) -> list[str]:
    """What the encoder is asked for, in a shop of its own."""
    seen: list[str] = []

    class Counted:
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            seen.extend(texts)
            return np.array([np.full(384, len(text)) for text in texts], dtype=np.float32)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(meaning, "open_sentences", Counted)
    meaning._known.cache_clear()
    return seen


def test_a_text_is_computed_once_whatever_stands_beside_it(asked, tmp_path):
    (tmp_path / "artifacts").mkdir()
    assert meaning_rows(["oat", "rye bread", "oat"])[:, 0].tolist() == [3, 9, 3] and asked == ["oat", "rye bread"]
    meaning._known.cache_clear()  # as in another process
    assert meaning_rows(["rye bread", "wheat"])[:, 0].tolist() == [9, 5] and asked[2:] == ["wheat"]
    (tmp_path / "artifacts" / "sentences.npz").write_bytes(b"damaged")
    meaning._known.cache_clear()
    assert meaning_rows(["oat"])[0, 0] == 3 and asked[3:] == ["oat"]


def test_without_a_shop_nothing_is_written(asked, tmp_path):
    assert meaning_rows(["oat"]).shape == (1, 384) and meaning_rows([]).shape == (0, 384)
    assert list(tmp_path.iterdir()) == []
