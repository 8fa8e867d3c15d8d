"""Photos to features: in order, in batches of one shape, each photo's numbers its own."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from PIL import Image

from featx.backbones import Encoder, EncoderSpec, OutOfMemory
from featx.embedding.stream import MOST_WAITING, Source, embed
from featx.errors import FeatxError
from featx.images import UnreadablePhoto
from tests.conftest import photo


class Shaped(Encoder):
    """An encoder whose numbers tell the shape of the batch they came from."""

    spec = EncoderSpec("shaped", 2)

    def __init__(self, most: int = 10**9) -> None:
        self.batches: list[int] = []
        self.most = most

    def prepare(self, source):
        return source

    def features(self, batch):
        if len(batch) > self.most:
            raise OutOfMemory("too much")
        self.batches.append(len(batch))
        return np.array([[number, len(batch)] for number in batch], dtype=np.float32)


def number(value: int) -> Source:
    return Source(str(value), lambda smallest: [value])


def all_of(photos, encoder, **options):
    with embed(photos, lambda: encoder, **options) as stream:
        return list(stream)


def test_photos_come_out_in_order_whatever_the_workers_do():
    results = all_of(range(100), Shaped(), read=number, workers=8, batch=7)
    assert [result.photo for result in results] == list(range(100))
    assert [int(result.features[0]) for result in results] == list(range(100))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 40])
def test_every_batch_has_one_shape_and_what_filled_the_last_is_thrown_away(n):
    encoder = Shaped()
    results = all_of(range(n), encoder, read=number)
    assert len(results) == n and set(encoder.batches) == {16}
    assert all(result.features.tolist() == [result.photo, 16] for result in results)


def test_a_lone_photo_is_padded_no_further_than_its_encoder_wants():
    encoder = Shaped()
    encoder.spec = EncoderSpec("shaped", 2, batch_hint=4)
    assert len(all_of(range(1), encoder, read=number)) == 1
    assert len(all_of(range(21), encoder, read=number)) == 21
    assert set(encoder.batches) == {4}


def test_no_photos_open_no_encoder():
    with embed([], lambda: pytest.fail("opened")) as stream:
        assert list(stream) == []


def test_an_unreadable_photo_comes_out_as_a_value_with_its_reason(tmp_path):
    good = photo(tmp_path / "good.png", size=(8, 8))
    (tmp_path / "bad.jpg").write_bytes(b"junk")
    paths = [good, tmp_path / "bad.jpg", tmp_path / "none.jpg", good]

    class Mean(Shaped):
        def features(self, batch):
            return np.stack([np.asarray(image).mean((0, 1)) for image in batch]).astype(np.float32)

    results = all_of(paths, Mean())
    assert [result.unreadable and result.unreadable.reason for result in results] == [
        None,
        "not-an-image",
        "missing",
        None,
    ]
    wanted = np.asarray(Image.open(good)).mean((0, 1)).astype(np.float32)
    assert [result.features is None or np.array_equal(result.features, wanted) for result in results] == [True] * 4


def test_a_known_digest_is_neither_decoded_nor_computed():
    encoder = Shaped()
    stored = {str(value): np.array([-value, 0], np.float32) for value in range(0, 50, 2)}
    results = all_of(range(50), encoder, read=number, known=stored.get)
    assert [result.reused for result in results] == [True, False] * 25
    assert [result.features[0] for result in results] == [-n if n % 2 == 0 else n for n in range(50)]
    assert len(encoder.batches) == 2
    with embed(range(0, 50, 2), lambda: pytest.fail("opened"), read=number, known=stored.get) as stream:
        assert len(list(stream)) == 25


def test_a_photo_that_is_not_to_be_computed_comes_out_in_its_place():
    results = all_of(range(50), Shaped(), read=lambda value: number(value) if value % 3 else None)
    assert [result.features is None for result in results] == [value % 3 == 0 for value in range(50)]


class Endless:
    """Photos without end, and how many of them were taken."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        for self.taken in itertools.count(1):
            yield self.taken


def test_only_a_few_batches_are_in_memory():
    photos = Endless()
    with embed(photos, Shaped, read=number, workers=2) as stream:
        for done in range(1, 400):
            next(stream)
            assert photos.taken - done < 8 * 16


def test_photos_that_need_no_computing_do_not_pile_up_behind_one_that_does():
    photos = Endless()
    with embed(photos, Shaped, read=lambda value: number(value) if value == 1 else None, workers=2) as stream:
        assert next(stream).features.tolist() == [1, 16]
        assert photos.taken < 2 * MOST_WAITING


def test_too_little_memory_halves_the_batch_and_loses_nothing():
    encoder = Shaped(most=5)
    sizes = []
    with embed(range(50), lambda: encoder, read=number, on_halved=sizes.append) as stream:
        results = list(stream)
    assert (sizes, stream.batch) == ([8, 4], 4)
    assert [result.features[0] for result in results] == list(range(50))
    with pytest.raises(FeatxError, match="even one photo with shaped") as caught:
        all_of(range(3), Shaped(most=0), read=number)
    assert caught.value.code == "out-of-memory"


def test_several_views_of_a_photo_come_out_together():
    results = all_of(range(20), Shaped(), read=lambda value: Source("", lambda _: [value, value + 100, value + 200]))
    assert [result.features[:, 0].tolist() for result in results] == [[n, n + 100, n + 200] for n in range(20)]


def test_stopping_ends_the_stream_with_what_is_under_way():
    stop = threading.Event()
    results = []
    with embed(itertools.count(), Shaped, read=number, stop=stop) as stream:
        for result in stream:
            results.append(result)
            if len(results) == 20:
                stop.set()
    assert [result.photo for result in results] == list(range(len(results)))
    assert all(result.features is not None for result in results) and len(results) < 200


def test_an_error_in_a_worker_or_in_the_network_reaches_the_caller_and_ends_every_thread():
    def broken(value):
        if value == 30:
            raise RuntimeError("broken reader")
        return number(value)

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken reader"):
        all_of(range(100), Shaped(), read=broken)
    network = Shaped()
    network.features = lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        all_of(range(100), network, read=number)
    assert threading.active_count() == before


def test_leaving_early_ends_every_thread():
    before = threading.active_count()
    with embed(itertools.count(), Shaped, read=number) as stream:
        next(stream)
    assert threading.active_count() == before


def test_the_photo_an_unreadable_error_names_is_the_one_that_could_not_be_read():
    def read(value):
        raise UnreadablePhoto(f"photo {value}", "truncated")

    assert [result.unreadable.path for result in all_of(range(3), Shaped(), read=read)] == [
        "photo 0",
        "photo 1",
        "photo 2",
    ]


class WithMaps(Shaped):
    """One photo at a time fits; its maps repeat the number of the photo, a second network has none."""

    def maps_of_networks(self, batch):
        return [np.array(batch, dtype=np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 2, 3, 3), np.float32), None]


def test_each_photo_keeps_its_own_maps_and_image_where_they_are_asked_for_even_in_halved_batches():
    results = all_of(range(5), WithMaps(most=2), read=number, batch=4, keep_maps=True)
    for result in results:
        shape, none = result.maps
        assert none is None and shape.shape == (2, 3, 3) and set(shape.ravel()) == {result.photo}
        assert result.image == result.photo
    assert all(not result.maps and result.image is None for result in all_of(range(5), WithMaps(), read=number))
