"""Words are found whatever their accents and capitals, and where a letter was misread."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from featx.errors import FeatxError
from featx.retrieval.condition_tree import HAS_WORDS, has_words
from featx.retrieval.conditions import read_condition
from featx.text.reading import read_store
from featx.text.word_search import Words, find_words, likeness
from tests.text.readers import ListReader, by_shade


@pytest.mark.parametrize(
    ("wanted", "word", "least"),
    [
        ("havre", "havre", 1.0),
        ("havre", "havredryck", 0.9),
        ("mjolk", "mj0lk", 0.8),
        ("mjolk", "mjollk", 0.7),
        ("graddfil", "gradfll", 0.6),
    ],
)
def test_a_misread_word_counts_less_than_a_right_one(wanted, word, least):
    assert least <= likeness(wanted, word) <= (1.0 if wanted == word else 0.9)


@pytest.mark.parametrize(("wanted", "word"), [("oat", "oak"), ("mjolk", "fisk"), ("10", "100"), ("milk", "silo")])
def test_another_word_is_not_found(wanted, word):
    assert likeness(wanted, word) == 0.0


def test_every_word_must_stand_in_a_text_in_any_order():
    words = Words("gräddfil ARLA")
    assert words.stand_in("Arla 12% fett GRADDFIL")
    assert not words.stand_in("Arla 12% fett")


def test_a_shortened_text_shows_a_word_that_was_looked_for():
    text = "arla ko mjolk en liter bäst före 12 Havredryck naturell och mera"
    assert Words("liter").excerpt(text, 24) == "arla ko mjolk en liter …"
    assert Words("havre").excerpt(text, 24) == "…Havredryck naturell oc…"
    assert Words("vanilj").excerpt(text, 24) == "arla ko mjolk en liter …"
    assert Words("havre").excerpt("12 Havre", 24) == "12 Havre"


def test_photos_with_every_word_come_first(shades):
    read_store(shades, reader=ListReader(by_shade))
    hits = find_words(shades.path, "havre yoghurt")
    assert [hit.score for hit in hits] == [0.5, 0.5]
    assert find_words(shades.path, "vanilj yoghurt")[0].score == 1.0
    assert find_words(shades.path, "dryck havre")[0].words == ("dryck", "havre")


def test_looking_for_no_word_or_in_photos_never_read_says_so(shades):
    with pytest.raises(FeatxError, match="no word to look for"):
        find_words(shades.path, " – ")
    with pytest.raises(FeatxError, match="not read yet") as error:
        find_words(shades.path, "havre")
    assert error.value.code == "no-text" and "featx read" in error.value.hint


def test_a_condition_finds_words_in_any_column():
    texts = ["Havre Dryck", "mjölk", None, "HAURE"]
    condition = read_condition("title ~ \"havre\" or title ~ 'mjolk'", {"title"})
    assert condition.rows({"title": texts}, 4).tolist() == [True, True, False, True]
    assert read_condition("not title ~ 'havre'", {"title"}).rows({"title": texts}, 4).tolist() == [
        False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["title ~ '!'", "title ~", "title ~ 3", "~ 'x'"])
def test_a_condition_without_a_word_shows_where(text):
    with pytest.raises(FeatxError, match="cannot read the condition at character"):
        read_condition(text, {"title"})


def test_a_database_with_our_function_finds_the_same_words():
    texts = ["Havre Dryck", "mjölk", None, "HAURE", "42"]
    database = sqlite3.connect(":memory:")
    database.create_function(HAS_WORDS, 2, has_words, deterministic=True)
    database.execute("create table items (title)")
    database.executemany("insert into items values (?)", [(text,) for text in texts])
    for condition in ("title ~ 'havre'", "not title ~ 'havre'", "title ~ '42' or title ~ \"x' mjolk\""):
        read = read_condition(condition, {"title"})
        sql, parameters = read.to_sql()
        rows = {row for (row,) in database.execute(f"select rowid - 1 from items where {sql}", parameters)}
        assert rows == set(np.flatnonzero(read.rows({"title": texts}, len(texts)))), condition
    database.close()
