"""Under load: bounded, fair, in batches of whatever waits; a bad photo fails alone, and no answer mixes two states."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from featx import extract
from featx.backbones import open_backbone
from featx.compute.threads import cores
from featx.images import UnreadablePhoto, open_photo
from featx.retrieval.query import open_index, similar
from featx.retrieval.server_index import sync
from featx.server import uploads
from featx.server.pace import APART_SECONDS, Pace
from featx.server.photo_queue import PhotoQueue
from featx.server.problems import Problem
from featx.server.run import leaving_out_what_is_there
from featx.server.settings import Limits
from featx.store import open_store
from tests.retrieval.engines.conftest import postgres, qdrant  # noqa: F401 - fixtures
from tests.server.conftest import Served
from tests.server.test_search import a_photo

JPEG = {"Content-Type": "image/jpeg"}


@dataclass
class ToyEncoder:
    """Answers a photo with its mean; breaks on a batch with a black photo, and waits while the gate is closed."""

    spec: Any = field(default_factory=lambda: SimpleNamespace(decode_size=None, parallel_calls=1, batch_hint=0))
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    sizes: list[int] = field(default_factory=list)

    def prepare(self, image: Any) -> np.ndarray:
        return np.asarray(image, dtype=np.float32)

    def features(self, batch: Any) -> np.ndarray:
        self.entered.set()
        self.gate.wait(20)
        self.sizes.append(len(batch))
        means = np.array([photo.mean() for photo in batch], dtype=np.float32)
        if (means == 0).any():
            raise RuntimeError("this photo breaks the network")
        means[means == 255] = np.nan
        return means[:, None]


def plain(shade: int) -> Any:
    return open_photo(np.full((4, 4, 3), shade, np.uint8), f"shade {shade}")


@pytest.fixture
def toy():
    """A queue before a network whose gate is closed; its first photo is under way."""
    encoder = ToyEncoder()
    queue = PhotoQueue(lambda: encoder, Limits(waiting_photos=8, waiting_photos_of_caller=6, photos_at_once=4))
    first = queue.submit(plain(1), "a")
    assert encoder.entered.wait(20)
    yield queue, encoder, first
    encoder.gate.set()
    queue.stop()


def until(held: Any) -> None:
    for _ in range(2000):
        if held():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


def test_what_waits_is_computed_together_and_nobody_waits_for_more(toy):
    queue, encoder, first = toy
    others = [queue.submit(plain(shade), "a") for shade in range(2, 6)]
    until(lambda: len(queue._ready) == 4)
    encoder.gate.set()
    assert [future.result(20)[0] for future in [first, *others]] == [1, 2, 3, 4, 5]
    assert encoder.sizes == [1, 4]


def test_where_photos_are_computed_one_at_a_time_every_core_takes_one_and_a_bad_one_fails_alone():
    encoder = ToyEncoder(spec=SimpleNamespace(decode_size=None, parallel_calls=cores(), batch_hint=1))
    inside = threading.Semaphore(0)
    compute = encoder.features
    encoder.features = lambda batch: (inside.release(), compute(batch))[1]
    queue = PhotoQueue(lambda: encoder, Limits())
    futures = [queue.submit(plain(shade), "a") for shade in (1, *range(2, 2 + cores()), 0)]
    for _ in range(cores()):
        assert inside.acquire(timeout=20), "each core has a photo before any of them is done"
    encoder.gate.set()
    *good, broken = futures
    assert [future.result(20)[0] for future in good] == list(range(1, 2 + cores()))
    with pytest.raises(RuntimeError, match="breaks the network"):
        broken.result(20)
    assert set(encoder.sizes) == {1} and queue.computed == len(good)
    queue.stop()


@pytest.mark.parametrize("batch_hint", [0, 1])
def test_a_photo_is_let_go_as_soon_as_it_is_computed(batch_hint):
    encoder = ToyEncoder(spec=SimpleNamespace(decode_size=None, parallel_calls=1, batch_hint=batch_hint))
    encoder.gate.set()
    queue = PhotoQueue(lambda: encoder, Limits())
    gc.disable()  # a large photo in a cycle would stay for a thousand more
    try:
        photos = [plain(shade) for shade in range(1, 9)]
        known, futures = [weakref.ref(photo) for photo in photos], [queue.submit(photo, "a") for photo in photos]
        photos.clear()
        assert [future.result(20)[0] for future in futures] == list(range(1, 9))
        until(lambda: not any(photo() for photo in known))
    finally:
        gc.enable()
        queue.stop()


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_a_network_that_is_warm_answers_photo_by_photo_with_the_numbers_it_has_in_batches(shared_networks, monkeypatch):
    monkeypatch.setattr("featx.backbones.engines.conversion_cache.conversions_folder", lambda: shared_networks)
    alone, batches = (open_backbone("squeezenet1_1", weights="random", device="cpu") for _ in range(2))
    batches.use_engine("openvino", photos=1, batch_size=4)
    queue = PhotoQueue(lambda: alone, Limits())
    assert queue.submit(plain(1), "a").result(60).shape == (alone.spec.width,), "photos are answered before it is"
    queue.warm_up()
    futures = [queue.submit(plain(shade), "a") for shade in range(2, 10)]
    rows = np.stack([future.result(60) for future in futures])
    prepared = [batches.prepare(plain(shade).decode(None)) for shade in range(2, 10)]
    assert rows.tobytes() == batches.features(prepared).tobytes() and queue.batches == 9
    queue.stop()


def test_a_photo_that_breaks_a_batch_fails_alone(toy):
    queue, encoder, _ = toy
    futures = [queue.submit(plain(shade), "a") for shade in (2, 0, 3, 255)]
    until(lambda: len(queue._ready) == 4)
    encoder.gate.set()
    good, broken, also_good, not_a_number = futures
    assert (good.result(20)[0], also_good.result(20)[0]) == (2, 3)
    with pytest.raises(RuntimeError, match="breaks the network"):
        broken.result(20)
    with pytest.raises(UnreadablePhoto):
        not_a_number.result(20)
    assert queue.submit(plain(9), "a").result(20)[0] == 9, "the next photo is computed as ever"
    assert queue.waiting == 0


def test_a_photo_that_takes_too_long_to_decode_fails_and_holds_up_no_other():
    encoder, endless = ToyEncoder(), threading.Event()
    encoder.gate.set()
    prepare = encoder.prepare
    encoder.prepare = lambda image: endless.wait(60) and None if np.asarray(image).max() == 9 else prepare(image)
    opened = threading.Event()
    queue = PhotoQueue(lambda: opened.wait(60) and encoder, Limits(decode_seconds=1, waiting_photos_of_caller=64))
    held = [queue.submit(open_photo(np.full((4, 4 + i, 3), 9, np.uint8), f"endless {i}"), "a") for i in range(cores())]
    others = [queue.submit(plain(shade), "a") for shade in (1, 2)]
    time.sleep(1.5)
    assert not any(future.done() for future in held), "they wait for the network, and it is not their fault"
    opened.set()
    for future in held:
        with pytest.raises(UnreadablePhoto, match="over 1 s to decode"):
            future.result(60)
    assert [future.result(60)[0] for future in others] == [1, 2]
    endless.set()
    until(lambda: queue._decoders.given_up == 0)
    queue.stop()


def test_a_full_queue_refuses_at_once_and_one_caller_cannot_fill_it(toy):
    queue, encoder, _ = toy
    for shade in range(2, 7):
        queue.submit(plain(shade), "a")
    with pytest.raises(Problem) as greedy:
        queue.submit(plain(7), "a")
    assert (greedy.value.status, greedy.value.code, greedy.value.retry_after) == (429, "too-many", 1)
    for shade in (8, 9):
        queue.submit(plain(shade), "b")
    with pytest.raises(Problem) as full:
        queue.submit(plain(10), "c")
    assert (full.value.status, full.value.code) == (503, "overloaded")
    encoder.gate.set()
    until(lambda: queue.waiting == 0)
    assert queue.submit(plain(11), "c").result(20)[0] == 11


def test_a_photo_that_waited_too_long_is_not_computed():
    encoder = ToyEncoder()
    queue = PhotoQueue(lambda: encoder, Limits())
    first = queue.submit(plain(1), "a")
    assert encoder.entered.wait(20)
    queue._limits = Limits(answer_seconds=-1)
    late = queue.submit(plain(2), "a")
    encoder.gate.set()
    assert first.result(20)[0] == 1
    with pytest.raises(Problem) as refusal:
        late.result(20)
    assert (refusal.value.status, refusal.value.code) == (503, "too-slow")
    queue.stop()
    assert sum(encoder.sizes) == 1


def test_stopping_finishes_what_waits_and_takes_nothing_more(toy):
    queue, encoder, first = toy
    second = queue.submit(plain(2), "a")
    until(lambda: queue._ready)
    stopping = threading.Thread(target=queue.stop)
    stopping.start()
    encoder.gate.set()
    stopping.join(20)
    assert (first.result(1)[0], second.result(1)[0]) == (1, 2)
    with pytest.raises(Problem, match="stopping"):
        queue.submit(plain(3), "a")


def test_overload_is_answered_with_200_429_or_503_and_retry_after(serve):
    served = serve(Limits(waiting_photos=3, waiting_photos_of_caller=2, photos_at_once=1))
    encoder = ToyEncoder()
    real = served.service.queue_of(served.service.now)
    until(lambda: real._encoder)
    encoder.spec, features = real._encoder.spec, real._encoder.features
    encoder.prepare = real._encoder.prepare
    encoder.features = lambda batch: (time.sleep(0.05), features(batch))[1]
    real._encoder = encoder
    callers = [served.as_program("classify", name=name) | JPEG for name in "abcd"]

    def ask(number: int) -> Any:
        return served.client.post("/v1/similar", content=a_photo(1000 + number), headers=callers[number % 4])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(40)))
    statuses = {answer.status_code for answer in answers}
    assert 200 in statuses and statuses <= {200, 429, 503} and len(statuses) > 1
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code != 200)
    assert ask(99).status_code == 200


def test_where_too_many_wait_a_photo_is_refused_before_its_body_is_read(served: Served, monkeypatch):
    monkeypatch.setattr("featx.server.search_routes.uploads_of", lambda *_: pytest.fail("it was read"))
    headers = served.as_program("classify") | JPEG
    served.service.queue_of(served.service.now)._callers["somebody"] = served.service.settings.limits.waiting_photos
    for path in ("/v1/similar", "/v1/classify"):
        answer = served.client.post(path, content=a_photo(), headers=headers)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")


def test_refusals_go_out_at_once_until_they_are_many_and_then_a_second_later():
    pace = Pace()
    begin = pace._looked
    assert [pace.delay(begin) for _ in range(21)] == [0] * 20 + [1]
    assert [pace.delay(begin + 0.125) for _ in range(3)] == [0, 0, 1], "the allowance fills up again"
    assert [pace.delay(begin + 60) for _ in range(21)] == [0] * 20 + [1], "and not beyond itself"
    held = [pace.delay(begin + 60) for _ in range(100)]
    assert held == pytest.approx([1 + APART_SECONDS * (i + 1) for i in range(100)]), "one after the other, not at once"


def test_a_photo_that_the_queue_has_no_more_room_for_is_refused_at_the_same_pace(served: Served, monkeypatch):
    held, limits = [], served.service.settings.limits

    async def wait() -> None:
        held.append(1)

    monkeypatch.setattr(served.service.refusals, "wait", wait)
    queue = served.service.queue_of(served.service.now)
    monkeypatch.setattr("featx.server.search_routes.uploads_of", filled_meanwhile(queue, limits.waiting_photos))
    answer = served.client.post("/v1/classify", content=a_photo(5), headers=served.as_program("classify") | JPEG)
    assert (answer.status_code, answer.json()["code"], held) == (503, "overloaded", [1])


def filled_meanwhile(queue: PhotoQueue, photos: int) -> Any:
    """Others fill the queue while a body is read."""

    async def uploads_of(*words: Any) -> Any:
        queue._callers["somebody"] = photos
        return await uploads.uploads_of(*words)

    return uploads_of


def test_whoever_waits_for_an_explanation_holds_no_thread_and_not_for_ever(serve, monkeypatch):
    served = serve(Limits(answer_seconds=0.05))
    monkeypatch.setattr("featx.server.explain_routes._explained", lambda *_: pytest.fail("its turn had not come"))
    served.client.portal.call(served.service.explaining.acquire)
    answer = served.client.post("/v1/explain", content=a_photo(), headers=served.as_program("classify") | JPEG)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


def swap_of(shop: Path, swaps: int, served: Served) -> None:
    """Replace the store again and again while others ask; every answer is of one state, and none fails."""
    path = Path(open_store().path)
    lines = (shop / "photos/list.csv").read_text().splitlines()
    # In the other state every price is higher by 1,000.
    other = [lines[0], *(line.rpartition(",")[0] + "," + str(1000 + i) for i, line in enumerate(lines[1:]))]
    (shop / "photos/other.csv").write_text("\n".join(other) + "\n")
    states = [path.read_bytes(), extract("photos/other.csv", backbone="colour", store="b.h5").path.read_bytes()]
    headers, stop = served.as_program("read"), threading.Event()
    seen: dict[str, set[bool]] = {}
    failures: list[Any] = []

    def ask() -> None:
        while not stop.is_set():
            answer = served.client.get("/v1/similar?id=boots0-0&copies=true&k=5", headers=headers)
            if answer.status_code != 200:
                failures.append(answer.text)
                return
            prices = {found["columns"]["price"] >= 1000 for found in answer.json()["answers"][0]["results"]}
            seen.setdefault(answer.json()["generation"], set()).update(prices)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for number in range(swaps):
        (shop / "next.h5").write_bytes(states[(number + 1) % 2])
        (shop / "next.h5").replace(path)
        assert served.service.catalogue.look()
    stop.set()
    for asker in askers:
        asker.join(20)
    assert failures == [] and len(seen) > 1
    assert all(len(prices) == 1 for prices in seen.values()), "no answer mixes two states"


def test_a_store_is_replaced_under_load_without_an_error_or_a_mixed_answer(served: Served, shop: Path):
    swap_of(shop, 4, served)


@pytest.mark.long
def test_a_store_is_replaced_a_hundred_times(served: Served, shop: Path):
    swap_of(shop, 100, served)


def test_a_state_that_was_replaced_is_let_go_at_once(served: Served, shop: Path):
    headers = served.as_program("read", "classify")
    assert served.client.get("/v1/similar?id=boots0-0", headers=headers).status_code == 200
    assert served.client.post("/v1/classify", content=a_photo(), headers=headers | JPEG).status_code == 200
    before = weakref.ref(served.service.now)
    path = Path(open_store().path)
    (shop / "next.h5").write_bytes(path.read_bytes())
    gc.disable()  # a server leaves it out of its garbage collections
    try:
        (shop / "next.h5").replace(path)
        assert served.service.catalogue.look()
        until(lambda: before() is None)
    finally:
        gc.enable()


def test_a_server_that_is_open_is_left_out_of_every_later_search_for_garbage(serve, monkeypatch):
    opened = threading.Event()
    with leaving_out_what_is_there() as leave_out:
        served = serve(on_warm=lambda: (leave_out(), opened.set()))
        assert opened.wait(20)
        assert not any(known is served.service for known in gc.get_objects())
    assert any(known is served.service for known in gc.get_objects())


def test_a_broken_store_leaves_the_last_good_one_answering(served: Served, shop: Path):
    path, headers = Path(open_store().path), served.as_program("read")
    good = path.read_bytes()
    (shop / "broken.h5").write_bytes(good[: len(good) // 2])
    (shop / "broken.h5").replace(path)
    assert not served.service.catalogue.look()
    assert served.client.get("/v1/similar?id=boots0-0", headers=headers).status_code == 200
    health = served.client.get("/healthz").json()
    assert health["status"] == "degraded" and health["trouble"]
    (shop / "good.h5").write_bytes(good)
    (shop / "good.h5").replace(path)
    assert served.service.catalogue.look()
    assert served.client.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("kind", ["qdrant", pytest.param("postgres", marks=pytest.mark.long)])
def test_an_index_on_a_server_answers_and_is_opened_again_after_each_sync(kind, request, serve, shop: Path):
    url = request.getfixturevalue(kind)
    sync(open_index().rows, url)
    served = serve(engine=url)
    headers = served.as_program("read")
    found = served.client.get("/v1/similar?id=boots0-0&k=3", headers=headers).json()["answers"][0]["results"]
    assert [match["id"] for match in found] == [match.item_id for match in similar("boots0-0", 3)]
    (shop / "photos/hats0-0.jpg").write_bytes(a_photo(77))
    extract("photos/list.csv", backbone="colour")
    assert not served.service.catalogue.look()
    assert served.client.get("/v1/similar?id=boots0-0&k=3", headers=headers).status_code == 200
    assert "has the index of another state" in served.client.get("/healthz").json()["trouble"]
    sync(open_index().rows, url)
    assert served.service.catalogue.look()
    assert served.client.get("/healthz").json()["status"] == "ok"


def test_a_new_classifier_answers_as_soon_as_it_is_there(served: Served, shop: Path):
    from featx import fit

    headers = served.as_program("read", "classify") | JPEG
    assert served.client.post("/v1/classify", content=a_photo(), headers=headers).json()["classifier"] == "centroid"
    fit(open_store(), "logreg", folds=2).save(shop / "artifacts/models/logreg.safetensors")
    served.service.catalogue.look()
    assert served.client.post("/v1/classify", content=a_photo(), headers=headers).json()["classifier"] == "logreg"
