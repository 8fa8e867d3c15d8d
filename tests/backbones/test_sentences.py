"""Texts by meaning: the published numbers, whatever stands beside a text, and files that are not the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from featx.backbones import sentences
from featx.backbones.sentences import has_sentences, open_sentences
from featx.backbones.word_pieces import WordPieces, words_of
from featx.errors import FeatxError

installed = pytest.mark.skipif(not has_sentences(), reason="the package with the weights is not installed")
HAPPY = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]


@installed
def test_the_rows_are_those_of_the_published_network():
    """The similarities that the page of the network shows, and its first numbers, computed here once."""
    rows = open_sentences().embed(HAPPY)
    np.testing.assert_allclose(rows[1:] @ rows[0], [0.6946, 0.9429, 0.2569], atol=2e-4)
    first = [-0.0338769, 0.09194162, 0.04870136, -0.03488351, -0.06482916, -0.02668583]
    np.testing.assert_allclose(rows[0, :6], first, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@installed
def test_a_row_does_not_depend_on_the_texts_beside_it():
    encoder = open_sentences()
    beside = encoder.embed(["oat drink", "a much longer text " * 90, "", *HAPPY])
    np.testing.assert_allclose(beside[0], encoder.embed(["oat drink"])[0], atol=1e-6)
    assert np.isfinite(beside).all() and encoder.embed([]).shape == (0, 384)


@installed
def test_texts_are_split_as_the_published_vocabulary_is_meant():
    """The numbers that the published tokeniser gives for these texts."""
    text = "Café—crème brûlée 中文 d'été №5 supercalifragilisticexpialidocious ﬁsh I\u0307"
    meant = [
        101, 7668, 1517, 13675, 21382, 7987, 9307, 2063, 1746, 1861, 1040, 1005, 3802, 2063, 1578, 2629, 3565, 9289,
        10128, 29181, 24411, 4588, 10288, 19312, 21273, 10085, 6313, 1984, 4095, 1045, 102,
    ]  # fmt: skip
    assert open_sentences().pieces.numbers(text, 256) == meant
    assert len(open_sentences().pieces.numbers("word " * 1000, 256)) == 256


def test_the_longest_known_piece_comes_first_and_unknown_words_are_one_piece():
    pieces = WordPieces(["[UNK]", "[CLS]", "[SEP]", "oat", "##s", "##meal", "oatmeal"])
    assert pieces.numbers("Oats OATMEAL oatx", 9) == [1, 3, 4, 6, 0, 2]
    assert words_of("a\x00b\tc.d\u202ee 中x") == ["ab", "c", ".", "de", "中", "x"]


def test_files_that_were_not_published_are_refused_and_what_is_missing_is_named(monkeypatch, tmp_path):
    open_sentences.cache_clear()
    monkeypatch.setattr(sentences, "PACKAGE", "no_such_package")
    with pytest.raises(FeatxError, match="not installed") as missing:
        open_sentences()
    assert missing.value.code == "extra-missing" and "sentences" in missing.value.hint
    (tmp_path / "bent_package" / "model").mkdir(parents=True)
    (tmp_path / "bent_package" / "__init__.py").write_text("raise SystemExit('never imported')\n")
    (tmp_path / "bent_package" / "model" / "vocab.txt").write_text("[UNK]\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sentences, "PACKAGE", "bent_package")
    with pytest.raises(FeatxError, match="not the file that was published") as bent:
        open_sentences()
    assert bent.value.code == "weights-broken"
