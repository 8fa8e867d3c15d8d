"""The client, against a server on a port."""

from __future__ import annotations

import http.server
import runpy
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featx.labels.decisions import decided
from featx.retrieval.query import similar
from featx.server import client as client_file
from featx.server.client import Client, Refusal
from tests.server.conftest import Served
from tests.server.test_safety import listening
from tests.server.test_search import a_photo


@pytest.fixture
def address(served: Served) -> Iterator[str]:
    with listening(served) as (host, port):
        yield f"http://{host}:{port}/"


@pytest.fixture
def client(served: Served, address: str) -> Client:
    return Client(address, served.service.access.tokens.add("program", ["read", "classify", "review"]))


def test_the_client_is_a_hundred_lines_and_needs_python_only():
    path = Path(str(client_file.__file__))
    code = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(code) <= 100
    imported = {line.split()[1].partition(".")[0] for line in code if line.startswith(("import", "from"))}
    assert imported <= sys.stdlib_module_names and "Client" in runpy.run_path(str(path))


def test_the_client_answers_as_the_commands_do(client: Client, shop: Path):
    wanted = [match.item_id for match in similar("boots0-0", 3)]
    assert [match["id"] for match in client.similar("boots0-0", k=3, copies=False)] == wanted
    (shop / "new.jpg").write_bytes(a_photo())
    by_path, by_bytes = client.similar(photo=shop / "new.jpg", k=2), client.similar(photo=a_photo(), k=2)
    assert by_path == by_bytes and len(by_path) == 2
    assert client.classify(a_photo())["category"] in {"boots", "hats", "mugs"}
    assert len({item["id"] for item in client.items(limit=7)}) == 30
    assert {item["label"] for item in client.items(label="hats")} == {"hats"}


def test_a_decision_is_taken_and_taken_back(client: Client):
    taken = client.decide("boots0-0", "change", "hats")
    assert [fix.new_label for fix in decided()] == ["hats"]
    assert [decision["key"] for decision in client.decisions()] == [taken["key"]]
    assert client.undo(taken["key"])["undone"] and not decided()


def test_a_refusal_has_the_code_and_the_hint_of_the_server(client: Client, address: str):
    with pytest.raises(Refusal, match="no item or product") as refused:
        client.similar("no such")
    assert (refused.value.status, refused.value.code) == (404, "not-in-store")
    with pytest.raises(Refusal, match="needs a login") as stranger:
        list(Client(address, "featx_wrong").items())
    assert "Authorization: Bearer" in str(stranger.value)
    with pytest.raises(Refusal, match="photo-unreadable"):
        client.classify(b"no photo")


@pytest.fixture
def other_server() -> Iterator[tuple[str, list[Any]]]:
    """A server that is busy once, sends away whoever asks for `/v1/items`, and keeps what it was asked."""
    requests: list[Any] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            requests.append((self.path, self.headers["Idempotency-Key"]))
            self._send(503 if len(requests) == 1 else 200, {"Retry-After": "0"}, b"{}")

        def do_GET(self) -> None:
            requests.append((self.path, self.headers["Authorization"]))
            self._send(302 if self.path.startswith("/v1/items") else 502, {"Location": "/elsewhere"}, b"<p>oh no")

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()
        thread.join()


def test_a_busy_server_is_asked_again_as_the_same_request(other_server: tuple[str, list[Any]]):
    address, requests = other_server
    assert Client(address, "t").undo("a") == {}
    assert len(requests) == 2 and requests[0] == requests[1]


def test_a_token_is_sent_nowhere_else_and_other_answers_are_refused_in_words(other_server: tuple[str, list[Any]]):
    address, requests = other_server
    with pytest.raises(Refusal) as sent_away:
        list(Client(address, "t").items())
    assert sent_away.value.status == 302 and len(requests) == 1
    with pytest.raises(Refusal, match="Bad Gateway"):
        Client(address, "t").similar("a")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Refusal, match="is `featx serve` running there"):
        Client(f"http://127.0.0.1:{port}", "t").decisions()
