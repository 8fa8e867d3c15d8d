"""What needs a person, and what people decide, over HTTP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from featx import extract, find_issues
from featx.labels.decisions import decided, labels_after_decisions
from featx.store import open_store
from tests.conftest import photo
from tests.server.conftest import Served


def worked(served: Served, path: str, headers: dict[str, str]) -> dict:
    """The answer once the work behind it is done."""
    for _ in range(6000):
        answer = served.client.get(path, headers=headers)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            return answer.json()
        assert answer.json()["state"] == "working" and answer.headers["retry-after"] == "1"
        time.sleep(0.05)
    raise AssertionError(f"{path} never ends")


def test_labels_that_look_wrong_are_those_of_the_command_less_what_is_decided(served: Served):
    headers = served.as_program("read", "review")
    queue = worked(served, "/v1/review", headers)
    assert [case["item"]["id"] for case in queue["cases"]] == [issue.item_id for issue in find_issues()]


def test_photos_without_a_label_come_by_doubt(serve, shop: Path):
    lines = (shop / "photos/list.csv").read_text().splitlines()
    for number in range(3):
        photo(shop / f"photos/new{number}.jpg", seed=500 + number)
        lines.append(f"new{number}.jpg,,new{number},train,,5")
    (shop / "photos/list.csv").write_text("\n".join(lines) + "\n")
    extract("photos/list.csv", backbone="colour")
    served = serve()
    headers = served.as_program("read", "review")
    queue = worked(served, "/v1/review?queue=doubts", headers)
    sure = [case["suggestions"][0]["sure"] for case in queue["cases"]]
    assert sure == sorted(sure) and {case["item"]["label"] for case in queue["cases"]} <= {None}
    assert queue["cases"], "a new colour is unlike anything learned"
    first = queue["cases"][0]["item"]
    wanted = {"id": first["id"], "decision": "change", "new_label": "mugs", "digest": first["digest"]}
    assert served.client.post("/v1/decisions", json=wanted, headers=headers).status_code == 201
    assert labels_after_decisions(open_store()).labels[open_store().position(first["id"])] == "mugs"
    after = worked(served, "/v1/review?queue=doubts", headers)
    assert after["decided"] == 1 and len(after["cases"]) == len(queue["cases"]) - 1


def test_copies_come_in_groups_until_all_but_one_are_left_out(serve, shop: Path):
    (shop / "photos/hats0-0.jpg").write_bytes((shop / "photos/boots0-0.jpg").read_bytes())
    extract("photos/list.csv", backbone="colour")
    served = serve()
    headers = served.as_program("read", "review")
    groups = worked(served, "/v1/duplicates", headers)["groups"]
    same = next(group for group in groups if group["kind"] == "same file")
    ids = [item["id"] for item in same["items"]]
    assert {"boots0-0", "hats0-0"} <= set(ids) and same["labels"] == ["boots", "hats"]
    for item in ids[1:]:
        served.client.post("/v1/decisions", json={"id": item, "decision": "exclude"}, headers=headers)
    assert ids[0] not in str(worked(served, "/v1/duplicates", headers)["groups"])


def test_a_decision_is_confirmed_once_listed_and_taken_back(served: Served):
    headers = served.as_program("read", "review", name="Ada")
    wanted = {"id": "boots0-0", "decision": "change", "new_label": "hats"}
    key = headers | {"Idempotency-Key": "one"}
    answers = [served.client.post("/v1/decisions", json=wanted, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201] and answers[0].json() == answers[1].json()
    assert answers[0].json()["who"] == "Ada" and answers[0].json()["says"] == "boots"
    other = served.client.post("/v1/decisions", json=wanted | {"decision": "keep"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")
    listed = served.client.get("/v1/decisions", headers=headers).json()
    assert (listed["total"], listed["counts"]) == (1, {"change": 1}) and len(decided()) == 1
    assert served.client.delete("/v1/decisions/one", headers=headers).json()["undone"]
    assert decided() == [] and served.client.get("/v1/decisions", headers=headers).json()["counts"] == {}
    assert served.client.delete("/v1/decisions/two", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"id": "none", "decision": "keep"}, 404, "not-in-store"),
        ({"id": "boots0-0", "decision": "change", "new_label": "boot"}, 400, "bad-flag"),
        ({"id": "boots0-0", "decision": "change"}, 400, "bad-flag"),
        ({"id": "boots0-0", "decision": "burn"}, 422, "bad-request"),
        ({"id": "boots0-0", "decision": "keep", "digest": "0" * 64}, 409, "photo-changed"),
        ([], 422, "bad-request"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused_and_nothing_is_written(served: Served, wanted, status, code):
    answer = served.client.post("/v1/decisions", json=wanted, headers=served.as_program("review"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert decided() == []


def test_a_read_only_server_takes_no_decision(serve):
    served = serve(read_only=True)
    for headers in (served.as_program("read", "review"), served.log_in()):
        answer = served.client.post("/v1/decisions", json={"id": "boots0-0", "decision": "keep"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "read-only" in answer.json()["hint"]
    assert decided() == []
