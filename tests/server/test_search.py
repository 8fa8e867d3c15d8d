"""Look-alikes, categories and items, as programs ask for them."""

from __future__ import annotations

import io
from pathlib import Path

import anyio.to_thread
import msgspec
import numpy as np
import pytest
from PIL import Image

from featx import extract
from featx.classifiers.card import RecallRow
from featx.classifiers.model import load_classifier
from featx.images import digest_of
from featx.prediction.predict import predict
from featx.retrieval.query import similar
from featx.retrieval.search import SimilarityIndex
from featx.store import open_store
from featx.text.reading import read_store
from tests.backbones.tiny_clip import tiny_clip
from tests.server.conftest import Served
from tests.text.readers import ListReader

__all__ = ["tiny_clip"]


def a_photo(seed: int = 7, kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def test_a_known_item_is_answered_as_the_command_answers(served: Served):
    answer = served.client.get("/v1/similar?id=boots0-0&k=3", headers=served.as_program("read")).json()
    found = [(result["id"], result["score"]) for result in answer["answers"][0]["results"]]
    assert found == [(match.item_id, round(match.similarity, 4)) for match in similar("boots0-0", 3)]


def test_no_name_of_an_answer_is_looked_up_again(served: Served, monkeypatch):
    from featx.retrieval.string_column import StringColumn

    looked_up: list[str] = []
    rows_of = StringColumn.rows_of
    monkeypatch.setattr(StringColumn, "rows_of", lambda self, text: looked_up.append(text) or rows_of(self, text))
    answer = served.client.get("/v1/similar?id=boots0-0&k=5", headers=served.as_program("read")).json()
    found = answer["answers"][0]["results"]
    assert found and not {match["id"] for match in found} & set(looked_up)


@pytest.mark.parametrize(("path", "threads"), [("/v1/similar?id=boots0-0&k=3", 1), ("/healthz/live", 0)])
def test_what_is_soon_answered_waits_for_one_other_thread_or_none(served: Served, monkeypatch, path: str, threads: int):
    handed_over: list[object] = []
    run = anyio.to_thread.run_sync

    async def run_sync(function, *words, **settings):
        handed_over.append(function)
        return await run(function, *words, **settings)

    monkeypatch.setattr("anyio.to_thread.run_sync", run_sync)
    assert served.client.get(path, headers=served.as_program("read")).status_code == 200
    assert len(handed_over) == threads


def test_the_look_alikes_of_an_item_are_searched_for_once_until_something_changes(serve, shop: Path, monkeypatch):
    searched: list[str] = []
    matches = SimilarityIndex.matches

    def search(index: SimilarityIndex, query, *k, **settings):
        searched.append(query.name)
        return matches(index, query, *k, **settings)

    monkeypatch.setattr(SimilarityIndex, "matches", search)
    served = serve()

    def answer(query: str = "k=3") -> dict:
        return served.client.get(f"/v1/similar?id=boots0-0&{query}", headers=served.as_program("read")).json()

    first = answer()
    assert answer() == first and len(searched) == 1
    answer("k=4"), answer("k=3&label=hats"), answer("k=3&like=hats0-0")
    assert len(searched) == 4, "another question has another answer"
    read_store(open_store(), reader=ListReader(lambda image: ["VELLUM"]))
    assert {found["text"] for found in answer()["answers"][0]["results"]} == {"VELLUM"}
    (shop / "photos/hats0-0.jpg").write_bytes(a_photo(77))
    extract("photos/list.csv", backbone="colour")
    assert served.service.catalogue.look()
    assert answer()["generation"] != first["generation"] and len(searched) == 6


def test_a_new_photo_gets_the_look_alikes_and_the_category_of_the_commands(served: Served, shop: Path):
    data, headers = a_photo(), served.as_program("classify", "read")
    (shop / "new.jpg").write_bytes(data)
    alike = served.client.post("/v1/similar?k=4", content=data, headers={**headers, "Content-Type": "image/jpeg"})
    scores = [(found["id"], found["score"]) for found in alike.json()["answers"][0]["results"]]
    assert scores == [(match.item_id, round(match.similarity, 4)) for match in similar("new.jpg", 4)]
    answer = served.client.post("/v1/classify", content=data, headers={**headers, "Content-Type": "image/jpeg"}).json()
    (prediction,) = predict("new.jpg", store=open_store())
    category = answer["answers"][0]
    assert (category["category"], category["sure"]) == (prediction.label, round(prediction.sure, 4))
    assert category["review"] == prediction.review and category["flags"] == [] and answer["classifier"] == "centroid"


def test_an_answer_names_categories_that_must_not_be_missed(serve, shop: Path):
    path = shop / "artifacts/models/centroid.safetensors"
    model = load_classifier(path)
    row = RecallRow(
        category="hats", target=0.9, threshold=0.0, recall=0.95, low=0.9, high=0.98, n=60, false_alarms=0.2,
        false_alarms_low=0.1, false_alarms_high=0.3, others=60, measured_on="cross-validation",
    )  # fmt: skip
    model.card = msgspec.structs.replace(model.card, min_recall=[row])
    model.save(path)
    served = serve()
    headers = {**served.as_program("classify"), "Content-Type": "image/jpeg"}
    (answer,) = served.client.post("/v1/classify", content=a_photo(), headers=headers).json()["answers"]
    assert (answer["flags"], answer["review"], answer["doubt"]) == (["hats"], True, "may be hats")


def test_a_photo_is_computed_once_for_both_questions(served: Served):
    headers = {**served.as_program("classify"), "Content-Type": "image/jpeg"}
    for path in ("/v1/similar", "/v1/classify", "/v1/similar?k=2"):
        assert served.client.post(path, content=a_photo(1), headers=headers).status_code == 200
    assert served.service.queue_of(served.service.now).computed == 1


def test_a_photo_of_the_store_is_not_computed_and_named(served: Served, shop: Path):
    headers = {**served.as_program("classify"), "Content-Type": "image/jpeg"}
    answer = served.client.post("/v1/similar", content=(shop / "photos/hats1-0.jpg").read_bytes(), headers=headers)
    assert answer.json()["answers"][0]["id"] == "hats1-0"
    assert served.service.queue_of(served.service.now).computed == 0


def test_in_a_form_each_photo_succeeds_or_fails_for_itself(served: Served):
    broken = {"empty.jpg": b"", "cut.jpg": a_photo()[:200], "text.jpg": b"hello", "dot.png": a_photo(3, "PNG", (1, 1))}
    files = [("photo", ("good.png", a_photo(2, "PNG")))]
    files += [("photo", (name, data)) for name, data in broken.items()]
    for path in ("/v1/similar", "/v1/classify"):
        answer = served.client.post(path, files=files, headers=served.as_program("classify"))
        errors = {found["query"]: found["error"] and found["error"]["code"] for found in answer.json()["answers"]}
        unreadable = dict.fromkeys(("empty.jpg", "cut.jpg", "text.jpg"), "photo-unreadable")
        assert (answer.status_code, errors) == (200, {"good.png": None, "dot.png": None, **unreadable})


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [
        ("id=nothing", "not-in-store", 404),
        ("id=boots0-0&where=prize<3", "bad-column", 400),
        ("id=boots0-0&label=shoes", "bad-flag", 400),
        ("id=boots0-0&k=0", "bad-request", 422),
        ("", "bad-flag", 400),
        ("unlike=boots0-0", "bad-flag", 400),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_problem_with_a_code(served: Served, query, code, status):
    answer = served.client.get(f"/v1/similar?{query}", headers=served.as_program("read"))
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert answer.json()["hint"], "it says what to do next"


def test_answers_can_be_filtered_and_steered(served: Served):
    headers = served.as_program("read")

    def ids(query: str) -> list[str]:
        answers = served.client.get(f"/v1/similar?copies=true&{query}", headers=headers).json()["answers"]
        return [found["id"] for found in answers[0]["results"]]

    assert all(item.startswith("hats") for item in ids("id=boots0-0&label=hats"))
    assert set(ids("id=boots0-0&where=price < 12&k=50")) <= {"boots0-0", "boots0-1"}
    steered = ids("like=hats0-0&like=hats1-0&unlike=mugs0-0")
    assert steered and not {"hats0-0", "hats1-0", "mugs0-0"} & set(steered)


def test_items_are_listed_found_and_shown_with_their_product_and_category(served: Served):
    client, headers = served.client, served.as_program("read")
    page = client.get("/v1/items?limit=7", headers=headers).json()
    assert (page["total"], len(page["items"]), page["next"]) == (30, 7, 7)
    assert {item["product"] for item in client.get("/v1/items?q=MUGS3", headers=headers).json()["items"]} == {"mugs3"}
    item = client.get("/v1/items/mugs3-1", headers=headers).json()
    assert [other["id"] for other in item["others"]] == ["mugs3-0"]
    assert item["category"]["category"] and item["item"]["columns"]["price"] == 37
    assert client.get("/v1/items/none", headers=headers).status_code == 404
    known = client.get("/v1/catalogue", headers=headers).json()
    assert known["categories"] == ["boots", "hats", "mugs"] and "price" in known["columns"]
    assert known["choices"]["kind"] == ["used", "worn"]


def test_a_photo_is_drawn_again_without_what_its_file_says_of_its_owner(serve, shop: Path):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    exif[0x010F] = "Secret camera"
    Image.new("RGB", (900, 600), "teal").save(shop / "photos/boots0-0.jpg", exif=exif)
    extract("photos/list.csv", backbone="colour", store=shop / "new.h5")
    (shop / "new.h5").replace(open_store().path)
    served = serve()
    answer = served.client.get("/v1/photo/boots0-0?side=256", headers=served.as_program("read"))
    assert answer.status_code == 200, answer.text
    shown = Image.open(io.BytesIO(answer.content))
    assert b"Secret" not in answer.content and not shown.getexif() and shown.size == (256, 171)
    tag = {"If-None-Match": answer.headers["etag"]}
    assert served.client.get("/v1/photo/boots0-0", headers=served.as_program("read") | tag).status_code == 304


def test_a_photo_that_was_replaced_since_extraction_is_not_shown(served: Served, shop: Path):
    (shop / "photos/hats0-0.jpg").unlink()
    (shop / "secret.jpg").write_bytes(a_photo(9))
    (shop / "photos/hats0-0.jpg").symlink_to(shop / "secret.jpg")
    answer = served.client.get("/v1/photo/hats0-0", headers=served.as_program("read"))
    assert (answer.status_code, answer.json()["code"]) == (404, "photo-changed")
    assert digest_of(answer.content) != digest_of(a_photo(9))


def test_without_a_classifier_search_works_and_classifying_says_what_to_do(serve, shop: Path):
    for file in (shop / "artifacts/models").iterdir():
        file.unlink()
    served = serve()
    headers = served.as_program("read", "classify")
    assert served.client.get("/v1/similar?id=boots0-0", headers=headers).status_code == 200
    answer = served.client.post("/v1/classify", content=a_photo(), headers=headers | {"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no-model")
    assert served.client.get("/v1/items/boots0-0", headers=headers).json()["category"] is None


def test_the_health_check_goes_through_the_network(served: Served, monkeypatch):
    assert served.client.get("/healthz").json()["status"] == "ok"
    queue = served.service.queue_of(served.service.now)
    assert queue.computed == 1

    class Broken:
        spec = queue._encoder.spec

        def prepare(self, image):
            return image

        def features(self, batch):
            raise RuntimeError("the device is gone")

    queue._encoder = Broken()
    monkeypatch.setattr("featx.server.health_routes.SECONDS_BETWEEN", 0.0)
    answer = served.client.get("/healthz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not-ready")
    assert served.client.get("/healthz/live").status_code == 200


def test_metrics_count_answers_by_route(served: Served):
    headers = served.as_program("read")
    for name in ("boots0-0", "hats0-0", "none"):
        served.client.get(f"/v1/items/{name}", headers=headers)
    text = served.client.get("/metrics", headers=headers).text
    assert 'featx_answers_total{route="/v1/items/{item_id:path}",status="200"} 2' in text
    assert "featx_store_photos 30" in text


def test_a_text_finds_words_on_photos_and_narrows_what_is_like_an_item(shop: Path, serve):
    store = open_store()
    wanted = [shop / "photos/hats1-0.jpg", shop / "photos/mugs2-1.jpg"]
    shades = [np.asarray(Image.open(path)).tobytes() for path in wanted]
    read_store(store, reader=ListReader(lambda image: ["HAVREDRYCK"] if image.tobytes() in shades else ["mjolk"]))
    served = serve()

    def found(query: str) -> dict[str, float]:
        answer = served.client.get(f"/v1/similar?{query}", headers=served.as_program("read")).json()
        assert answer["compared_by"] == ""
        return {result["product"]: result["score"] for result in answer["answers"][0]["results"]}

    words = found("text=havre")
    assert set(words.values()) == {0.9} and {"hats1", "mugs2"} <= set(words)
    assert set(found("text=havre&label=mugs")) == {name for name in words if name.startswith("mugs")}
    assert set(found("id=boots0-0&text=havre&k=50")) == set(words)
    answer = served.client.get("/v1/similar?text=-", headers=served.as_program("read"))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-flag")


def test_a_text_finds_looks_where_the_backbone_knows_texts(tiny_clip: str, shop: Path, serve):
    from safetensors.torch import save_file

    from featx.backbones.open_clip_networks import KnownNetwork

    # From a file: random numbers come out otherwise where two threads open the network at once.
    tensors = {name: tensor.contiguous() for name, tensor in KnownNetwork.of(tiny_clip).build().state_dict().items()}
    save_file(tensors, "tiny.safetensors")
    store = extract("photos/list.csv", backbone=tiny_clip, weights="tiny.safetensors", store="clip.h5")
    served = serve(store=store.path)
    answer = served.client.get("/v1/similar?text=red+dress&k=3", headers=served.as_program("read")).json()
    assert answer["compared_by"] == tiny_clip
    assert answer["answers"][0]["query"] == "red dress" and len(answer["answers"][0]["results"]) == 3
    best = similar(text="red dress", store=store.path)
    assert [r["id"] for r in answer["answers"][0]["results"]] == [match.item_id for match in best][:3]
