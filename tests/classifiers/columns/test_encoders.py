"""Columns as numbers: from the rows of a fold alone, zeros where a value is missing, harmless whatever they hold."""

from __future__ import annotations

from collections import Counter

import numpy as np

from featx.classifiers.columns.learning import learn_choices, learn_columns, learn_numbers, learn_texts
from featx.classifiers.columns.values import Kind
from featx.classifiers.columns.words import pieces_of, words_of

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
    counts = Counter(pieces_of(text))
    known = {piece: (1 + np.log(n)) * encoder.weights[encoder.pieces.index(piece)]
             for piece, n in counts.items() if piece in encoder.pieces}  # fmt: skip
    unseen = [(1 + np.log(n)) * encoder.unseen for piece, n in counts.items() if piece not in known]
    length = np.sqrt(sum(weight**2 for weight in [*known.values(), *unseen]))
    rows = [weight / length * encoder.directions[encoder.pieces.index(piece)] for piece, weight in known.items()]
    assert len(unseen) > 3
    np.testing.assert_allclose(encoder.encode([text])[0], np.sum(rows, axis=0), atol=1e-3)


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
