"""Explanations, the map, the update, and the Open Inference Protocol."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import numpy as np

from featx.explanation.explainer import explain
from tests.server.conftest import Served
from tests.server.test_review import worked
from tests.server.test_search import a_photo

JPEG = {"Content-Type": "image/jpeg"}


def test_an_explanation_is_that_of_the_command_with_items_instead_of_paths(served: Served, shop: Path):
    answer = served.client.get("/v1/explain/boots0-0", headers=served.as_program("read"))
    assert answer.status_code == 200, answer.text
    shown, wanted = answer.json()["explanation"], explain("photos/boots0-0.jpg").to_dict()
    assert {name: shown[name] for name in ("category", "sure", "parts")} == {
        name: wanted[name] for name in ("category", "sure", "parts")
    }
    assert "photos/" not in answer.text and "path" not in shown
    own = served.client.post("/v1/explain", content=a_photo(), headers=served.as_program("classify") | JPEG)
    assert own.status_code == 200 and own.json()["explanation"]["category"]


def test_the_map_has_a_point_for_each_photo_in_the_order_of_the_items(served: Served):
    headers = served.as_program("read")
    about = worked(served, "/v1/map", headers)
    assert about["points"] == 30 and about["categories"] == ["boots", "hats", "mugs"]
    answer = served.client.get("/v1/map/points", headers=headers)
    points = np.frombuffer(answer.content, "<u2").reshape(-1, 3)
    assert len(points) == 30 and answer.headers["x-generation"] == about["generation"]
    for row in (0, 17):
        (item,) = served.client.get(f"/v1/items?start={row}&limit=1", headers=headers).json()["items"]
        assert about["categories"][points[row, 2] - 1] == item["label"]


def test_points_of_the_map_are_looked_up_together_by_their_numbers(served: Served):
    headers = served.as_program("read")
    every = [item["id"] for item in served.client.get("/v1/items", headers=headers).json()["items"]]
    page = served.client.get("/v1/items?row=17&row=0", headers=headers).json()
    assert [item["id"] for item in page["items"]] == [every[17], every[0]] and page["total"] == 2
    labels = [
        item["label"]
        for item in served.client.get("/v1/items?row=0&row=29&label=mugs", headers=headers).json()["items"]
    ]
    assert labels == ["mugs"]
    gone = served.client.get("/v1/items?row=30", headers=headers)
    assert (gone.status_code, gone.json()["code"]) == (404, "not-in-store")


def test_the_newest_report_is_named_and_shown_to_readers_alone(served: Served, shop: Path):
    headers = served.as_program("read")
    assert served.client.get("/v1/report", headers=headers).json() == {"written": None, "page": None}
    missing = served.client.get("/report", headers=headers)
    assert (missing.status_code, missing.json()["code"]) == (404, "no-such-file")
    for name in ("2026-03-01-080000", "2026-03-02-091500"):
        (shop / f"artifacts/reports/{name}").mkdir(parents=True)
        (shop / f"artifacts/reports/{name}/report.json").write_text("{}")
        (shop / f"artifacts/reports/{name}/report.html").write_text(f"<h1>{name}</h1>")
    about = served.client.get("/v1/report", headers=headers).json()
    assert about == {"written": "2026-03-02-091500", "page": "/report"}
    page = served.client.get("/report", headers=headers)
    assert page.text == "<h1>2026-03-02-091500</h1>"
    policy = page.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy and "default-src 'none'" in policy and "connect-src" not in policy
    assert served.client.get("/report").status_code == 401


def test_an_update_trains_again_in_the_background_and_says_what_changed(served: Served, shop: Path):
    headers = served.as_program("read", "review")
    assert served.client.get("/v1/update", headers=headers).json()["state"] == "idle"
    served.client.post(
        "/v1/decisions", json={"id": "boots0-0", "decision": "change", "new_label": "hats"}, headers=headers
    )
    assert served.client.post("/v1/update", headers=headers).status_code == 202
    for _ in range(600):
        answer = served.client.get("/v1/update", headers=headers).json()
        if answer["state"] != "working":
            break
        time.sleep(0.1)
    assert answer["state"] == "ready", answer
    # Whether the new classifier replaces the old one is for the measurement to say.
    assert "trained again" in str(answer["report"]["trainings"]) or "kept the old" in str(answer["report"]["trainings"])
    assert answer["accuracy_before"] and answer["accuracy_after"]


def test_a_client_of_the_open_inference_protocol_classifies_photos(served: Served):
    client, headers = served.client, served.as_program("read", "classify")
    assert client.get("/v2/health/live").json() == {"live": True} and client.get("/v2/health/ready").json()["ready"]
    assert client.get("/v2").json()["name"] == "featx"
    about = client.get("/v2/models/centroid", headers=headers).json()
    assert [tensor["name"] for tensor in about["inputs"]] == ["photo"]
    data = [base64.b64encode(body).decode() for body in (a_photo(), b"no photo")]
    body = {"id": "7", "inputs": [{"name": "photo", "datatype": "BYTES", "shape": [2], "data": data}]}
    answer = client.post("/v2/models/featx/infer", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    own = client.post("/v1/classify", content=a_photo(), headers=headers | JPEG).json()["answers"][0]
    assert (outputs["category"][0], outputs["sure"][0]) == (own["category"], own["sure"])
    assert outputs["error"] == ["", "photo-unreadable"] and answer.json()["id"] == "7"
    for wrong in ({"inputs": []}, {"inputs": [body["inputs"][0] | {"data": ["%"]}]}):
        assert client.post("/v2/models/featx/infer", json=wrong, headers=headers).status_code in (400, 422)
    assert client.get("/v2/models/other", headers=headers).status_code == 404
