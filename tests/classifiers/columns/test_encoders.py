"""Columns as numbers: from the rows of a fold alone, zeros where a value is missing, harmless whatever they hold."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from featx.classifiers.columns.encoders import TextEncoder
from featx.classifiers.columns.leaks import CategoryNames
from featx.classifiers.columns.learning import learn_choices, learn_columns, learn_numbers, learn_texts
from featx.classifiers.columns.read_lines import weighed
from featx.classifiers.columns.values import Kind
from featx.classifiers.columns.words import WeighedText, pieces_of, words_of
from featx.text.records import PhotoText, TextLine

TITLES = ["Blåbär yoghurt 2,5 %", "vanilla yoghurt", "VANILJ yoghurt", "apple juice", "apple juice 1 l", "orange juice"]


def test_accents_and_capitals_make_no_difference():
    assert words_of("Crème BRÛLÉE\u202e\x00") == words_of("creme brulee")


def test_scripts_without_spaces_are_cut_into_letters():
    assert {"牛", "牛奶"} <= set(pieces_of("牛奶巧克力"))


def test_alike_texts_are_nearer_than_others():
    rows = learn_texts(TITLES).encode(["vanila yoghurt", "vanilla yoghurt", "orange juice"])
    assert rows[0] @ rows[1] > 2 * abs(rows[0] @ rows[2])


def test_a_text_of_unknown_words_says_little():
    rows = learn_texts(TITLES).encode(["apple juice", "apple zzyx qqwv kkjh"])
    assert np.linalg.norm(rows[1]) < np.linalg.norm(rows[0]) / 1.5


def test_the_same_texts_give_the_same_numbers_to_the_last_bit():
    first, again = learn_texts(TITLES), learn_texts(TITLES)
    assert first.pieces == again.pieces
    np.testing.assert_array_equal(first.encode(TITLES), again.encode(TITLES))


def test_a_row_is_the_same_whatever_stands_beside_it():
    encoder, texts = learn_texts(TITLES), [*TITLES, "", "apple apple zzyx", "ÄPPLE  juice\x1fjuice"]
    together = encoder.encode(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([text])[0], row)


def test_a_text_is_the_weighed_sum_of_its_pieces_and_unseen_ones_count_in_its_length():
    encoder, text = learn_texts(TITLES), "apple apple juice zzyx"
    once = dict.fromkeys(pieces_of(text), 1.0)
    np.testing.assert_allclose(encoder.encode([text])[0], summed(encoder, once), atol=1e-3)
    assert sum(piece not in encoder.pieces for piece in once) > 3


def summed(encoder: TextEncoder, strengths: Mapping[str, float]) -> np.ndarray:
    """A text by its pieces and how much each of them counts, without any shortcut."""
    known = {piece: strength * encoder.weights[encoder.pieces.index(piece)]
             for piece, strength in strengths.items() if piece in encoder.pieces}  # fmt: skip
    unseen = [strength * encoder.unseen for piece, strength in strengths.items() if piece not in known]
    length = np.sqrt(sum(weight**2 for weight in [*known.values(), *unseen]))
    rows = [weight / length * encoder.directions[encoder.pieces.index(piece)] for piece, weight in known.items()]
    total: np.ndarray = np.sum(rows, axis=0)
    return total


def test_a_piece_counts_once_as_much_as_where_it_counts_most():
    encoder = learn_texts(TITLES)
    shelf = WeighedText([("apple", 1.0), ("vanilla", 0.5), ("apple", 3.0), ("apple", 2.0)])
    strengths = dict.fromkeys(pieces_of("vanilla"), 0.5) | dict.fromkeys(pieces_of("apple"), 3.0)
    assert shelf == "apple vanilla apple apple"
    np.testing.assert_allclose(encoder.encode([shelf])[0], summed(encoder, strengths), atol=1e-3)
    np.testing.assert_array_equal(*encoder.encode([WeighedText([("apple juice", 7.0)]), "apple juice juice"]))


def test_an_earlier_classifier_counts_a_piece_as_often_as_before():
    encoder, text = replace(learn_texts(TITLES), repeats=True), "apple apple juice zzyx"
    strengths = {piece: 1 + np.log(n) for piece, n in Counter(pieces_of(text)).items()}
    np.testing.assert_allclose(encoder.encode([text])[0], summed(encoder, strengths), atol=1e-3)


def test_a_text_whose_parts_count_unequally_survives_a_copy():
    text = WeighedText([("apple", 1.0), ("juice", 0.5)])
    assert pickle.loads(pickle.dumps(text)).parts == text.parts


def test_lines_count_by_how_sure_how_large_and_how_central_they_are():
    middle, corner, small, doubtful = (
        TextLine("middle", 0.9, (40, 40, 60, 60)),
        TextLine("corner", 0.9, (0, 0, 20, 20)),
        TextLine("small", 0.9, (45, 47, 55, 53)),
        TextLine("doubtful", 0.6, (40, 40, 60, 60)),
    )
    lines = (middle, corner, small, doubtful)
    counts = dict(weighed(PhotoText(lines, size=(100, 100))).parts)
    assert all(counts["middle"] > 1.5 * counts[other] for other in ("corner", "small", "doubtful"))
    # The text of a photo whose size was not kept: the place does not count.
    placeless = dict(weighed(PhotoText(lines)).parts)
    assert placeless["corner"] == placeless["middle"] > placeless["small"]


def test_the_directions_are_those_in_which_texts_differ_most():
    encoder = learn_texts(TITLES * 2)
    np.testing.assert_allclose(encoder.directions.T @ encoder.directions, np.eye(encoder.width), atol=2e-3)
    rows = encoder.encode(TITLES)
    spread = (rows**2).sum(axis=0)
    assert (np.diff(spread) <= 1e-3).all()
    np.testing.assert_allclose((rows**2).sum(axis=1), 1, atol=1e-2)  # nothing of a known text is lost


def test_missing_values_are_zeros_and_strange_ones_are_finite():
    columns = {"title": TITLES, "price": [1, 2, 3, 4, 5, 6], "brand": ["a", "b"] * 3}
    encoder = learn_columns(columns, {"title": Kind.TEXT, "price": Kind.NUMBER, "brand": Kind.CHOICE})
    strange = {
        "title": [None, "", "\x1b[31m" * 9, "x " * 10_000, "=1+1", "<b>"],
        "price": [None, "", "1e999", 1e308, -1e308, float("nan")],
        "brand": [None, "", "never seen", "a", 3, True],
    }
    rows = encoder.encode(strange)
    assert rows.shape == (6, encoder.width) and np.isfinite(rows).all()
    assert not rows[:2].any() and not encoder.encode({"title": [None]}).any()


def test_a_price_far_outside_counts_like_the_dearest():
    encoder = learn_numbers([1, 2, 3, 100])
    np.testing.assert_array_equal(encoder.encode([10**9]), encoder.encode([100]))


def test_one_number_or_none_at_all_can_be_learned_from():
    assert learn_numbers([5, 5, None]).encode([5, 7, None]).tolist()[2] == [0.0]
    assert learn_numbers([None]).width == 1
    assert learn_choices([None]).width == 0
    assert learn_texts(["once"]).width == 0


def test_without_the_names_of_categories_the_other_words_count_as_before():
    columns = {"text": [WeighedText([("Apple juice", 2.0), ("1 l", 0.5)]), "apple", None]}
    bare = CategoryNames.of({"Fruit/Apple"}).without(columns, {"text": Kind.TEXT})["text"]
    assert bare == ["juice 1 l", None, None]
    assert bare[0].parts == (("juice", 2.0), ("1", 0.5), ("l", 0.5))
