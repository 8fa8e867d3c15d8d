"""What takes long because photos are compared with each other says so before it begins, and what to do instead."""

from __future__ import annotations

import pytest

import featx.compute.pairs_pace as pairs_pace
from featx.cli import large_stores
from featx.compute.pairs_pace import seconds_of_pairs
from tests.conftest import command_environment, run_here


@pytest.fixture
def shop(colour_shop, monkeypatch):
    """The folder of a shop with some photos, held to be many, each of which takes minutes to compare."""
    monkeypatch.setattr(large_stores, "LARGE", 10)
    monkeypatch.setattr(pairs_pace, "seconds_of_pairs", lambda features: 240.0)
    return colour_shop.path


COMMANDS = {
    "duplicates": (("duplicates",), "2 min or more", "one department"),
    "issues": (("issues",), "8 min or more", "`featx issues --products 10000`"),
    "fit": (("fit", "--clf", "centroid"), "6 min or more", "`featx fit --products 20000`"),
    "compare": (("compare", "--clf", "centroid", "--fast"), "12 min or more", "`featx compare --products 20000`"),
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_says_first_what_comparing_all_photos_takes_and_what_to_do_instead(name, shop, tmp_path):
    words, takes, instead = COMMANDS[name]
    ran = run_here((*words, "--store", str(shop)), tmp_path, "", command_environment({}))
    assert ran.returncode == 0, ran.stderr
    assert takes in ran.stderr and instead in ran.stderr
    assert "30 photos are compared with each other" in ran.stderr


def test_a_report_says_what_its_checks_will_take(shop, tmp_path):
    words = ("compare", "--clf", "centroid", "--fast", "--no-colour", "--store", str(shop))
    assert run_here(words, tmp_path, "", command_environment({})).returncode == 0
    ran = run_here(("report", "--store", str(shop)), tmp_path, "", command_environment({}))
    assert ran.returncode == 0 and "10 min or more" in ran.stderr


@pytest.mark.parametrize(
    "words", [("fit", "--clf", "centroid"), ("issues",), ("compare", "--clf", "centroid", "--fast")]
)
def test_nothing_is_said_where_some_products_are_drawn(words, shop, tmp_path):
    ran = run_here((*words, "--products", "100", "--store", str(shop)), tmp_path, "", command_environment({}))
    assert ran.returncode == 0, ran.stderr
    assert "compared with each other" not in ran.stderr


def test_a_small_store_is_not_timed(colour_shop, tmp_path, monkeypatch):
    monkeypatch.setattr(pairs_pace, "seconds_of_pairs", lambda features: pytest.fail("timed"))
    ran = run_here(("duplicates", "--store", str(colour_shop.path)), tmp_path, "", command_environment({}))
    assert ran.returncode == 0 and "or more" not in ran.stderr


def test_the_time_grows_with_the_square_of_the_photos_and_is_the_shortest_of_some(colour_shop, monkeypatch):
    seconds = iter([3.0, 1.0, 2.0, 1.0, 5.0] * 2)
    monkeypatch.setattr(pairs_pace, "_seconds", lambda unit: next(seconds))
    features = colour_shop.features
    assert seconds_of_pairs(features) == pytest.approx(1.0), "so few are all compared"
    monkeypatch.setattr(pairs_pace, "ROWS", 6)
    assert seconds_of_pairs(features) == pytest.approx(len(features) / 6)
