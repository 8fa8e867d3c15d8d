"""The reader of `featx[read]` reads a drawn pack, fetches nothing, and takes no other models."""

from __future__ import annotations

import socket
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from featx.errors import FeatxError
from featx.text.word_search import Words

pytestmark = pytest.mark.skipif(
    not (find_spec("rapidocr") and find_spec("openvino")), reason="featx[read] is not installed"
)


def pack(*lines: str, size: tuple[int, int] = (360, 360)) -> np.ndarray:
    """A drawn pack with words on it."""
    image = Image.new("RGB", size, (236, 228, 205))
    drawing = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        drawing.text((40, 40 + 60 * i), line, fill=(20, 40, 90), font=ImageFont.load_default(size=40))
    return np.asarray(image)


@pytest.fixture(scope="module")
def reader():
    """The reader, opened and used where nothing can be reached."""

    def refuse(*args, **more):
        raise AssertionError("something asks the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        from featx.text.reader import open_reader

        yield open_reader()


def test_words_on_a_pack_are_read_with_their_places(reader):
    (lines,) = reader.read([pack("HAVREDRYCK", "Gräddfil 12%")])
    assert Words("havredryck gräddfil").stand_in(" ".join(line.text for line in lines))
    first = lines[0]
    assert first.confidence > 0.8
    assert 20 <= first.box[0] < first.box[2] <= 360 and 30 <= first.box[1] < first.box[3] <= 110


@pytest.mark.parametrize(("quarters", "left", "top"), [(1, 40, 60), (2, 60, 280), (3, 280, 60)])
def test_a_turned_photo_is_read_from_its_first_line_to_its_last(reader, quarters, left, top):
    (lines,) = reader.read([np.ascontiguousarray(np.rot90(pack("HAVREDRYCK", "VANILJ"), quarters))])
    assert [line.text for line in lines] == ["HAVREDRYCK", "VANILJ"]
    assert lines[0].box[:2] == pytest.approx((left, top), abs=25)


def test_steep_lines_are_read_whichever_way_they_run(reader):
    """Hands hold packs aslant; the shelf behind stays level."""
    photo = Image.fromarray(pack("GRADDFIL MJOLK", size=(480, 480)))
    for word, degrees, place in (("VANILJ", 84, (60, 150)), ("JORDGUBB", -84, (300, 150))):
        label = Image.new("RGB", (230, 60), (236, 228, 205))
        ImageDraw.Draw(label).text((10, 5), word, fill=(20, 40, 90), font=ImageFont.load_default(size=40))
        photo.paste(label.rotate(degrees, expand=True, fillcolor=(236, 228, 205)), place)
    (lines,) = reader.read([np.asarray(photo)])
    assert {line.text for line in lines} == {"GRADDFIL MJOLK", "VANILJ", "JORDGUBB"}


def test_a_photo_is_not_turned_where_that_loses_its_words(reader, monkeypatch):
    monkeypatch.setattr(type(reader), "_on_other_side", lambda self, photo: ())
    (lines,) = reader.read([np.ascontiguousarray(np.rot90(pack("HAVREDRYCK", "VANILJ")))])
    assert {line.text for line in lines} == {"HAVREDRYCK", "VANILJ"}


def test_two_looks_give_each_word_of_a_pack_once(reader, monkeypatch):
    monkeypatch.setattr(reader, "looks", 2)
    (lines,) = reader.read([pack("HAVREDRYCK", "GRADDE", "VANILJ")])
    assert [line.text for line in lines] == ["HAVREDRYCK", "GRADDE", "VANILJ"]


def test_a_photo_without_text_costs_only_the_first_look(reader, monkeypatch):
    monkeypatch.setattr(type(reader), "_outlines", None)
    assert reader.read([np.full((200, 300, 3), 180, dtype=np.uint8)]) == [()]


def test_a_page_of_text_is_read_in_bounded_time(reader, monkeypatch):
    monkeypatch.setattr("featx.text.rapid_reader.MOST_LINES_READ", 2)
    (lines,) = reader.read([pack("SHORT", "LONGER LINE", "THE LONGEST OF", "MORE")])
    assert 0 < len(lines) <= 2


@pytest.mark.parametrize("size", [(1, 1), (3000, 8), (8, 900), (32, 32)])
def test_odd_shapes_are_read(reader, size):
    assert reader.read([pack("X", size=size)]) is not None


def test_other_models_are_refused(monkeypatch):
    from featx.text import rapid_reader

    monkeypatch.setattr(rapid_reader, "PINNED", dict.fromkeys(rapid_reader.PINNED, "0" * 64))
    with pytest.raises(FeatxError, match="not the model") as error:
        rapid_reader.RapidReader.opened()
    assert error.value.code == "weights-broken" and "rapidocr" in error.value.hint


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    from featx.text import rapid_reader

    monkeypatch.setattr(rapid_reader, "find_spec", lambda name: None)
    with pytest.raises(FeatxError, match="needs rapidocr") as error:
        rapid_reader.RapidReader.opened()
    assert error.value.code == "extra-missing" and "featx[read]" in error.value.hint
