"""Each line of the list of what a local server must refuse."""

from __future__ import annotations

import hmac
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.server.guard import POLICY
from featx.server.settings import Limits, ServerSettings
from featx.server.tokens import Access, TokenFile
from tests.server.conftest import Served
from tests.server.test_search import a_photo

JPEG = {"Content-Type": "image/jpeg"}


def test_other_machines_are_let_in_only_where_there_is_a_token(shop: Path):
    from featx.server.run import require_tokens

    tokens = TokenFile(shop / "tokens.json")
    open_to_all = ServerSettings(shop / "x.h5", host="0.0.0.0")
    with pytest.raises(FeatxError, match="there is no token yet"):
        require_tokens(open_to_all, Access(tokens))
    by_default = ServerSettings(shop / "x.h5")
    assert by_default.host == "127.0.0.1" and by_default.loopback
    require_tokens(by_default, Access(tokens))
    tokens.add("shop", ["read"])
    require_tokens(open_to_all, Access(tokens))


def test_a_stranger_sees_nothing_of_the_catalogue(served: Served):
    from featx.server.app import routes_of

    for path, methods in routes_of(None).openapi()["paths"].items():
        for method in methods:
            answer = served.client.request(method, path.replace("{item_id}", "boots0-0").replace("{key}", "x"))
            if not path.startswith(("/healthz", "/v2/health")) and path != "/v2":
                assert (answer.status_code, answer.json()["code"]) == (401, "not-logged-in"), path
    assert served.client.get("/openapi.json").status_code == 401
    assert served.client.get("/").status_code == 200


def test_a_link_logs_one_browser_in_by_a_cookie_that_scripts_and_other_sites_cannot_use(served: Served):
    secret = served.service.access.new_link()
    first = served.client.get(f"/login?token={secret}")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and secret not in cookie
    assert served.client.get("/v1/items").status_code == 200
    served.client.cookies.clear()
    assert served.client.get(f"/login?token={secret}").status_code == 403
    assert served.client.get("/v1/items").status_code == 401
    assert served.links and secret not in served.links[-1], "the next browser gets a link of its own"


def test_a_link_that_nobody_opened_lapses(served: Served, monkeypatch):
    secret = served.service.access.new_link()
    later = time.monotonic() + 3601
    monkeypatch.setattr("featx.server.tokens.time.monotonic", lambda: later)
    assert served.client.get(f"/login?token={secret}").status_code == 403


def test_tokens_are_kept_as_digests_and_stop_at_once_when_taken_back(served: Served):
    tokens = served.service.access.tokens
    headers = served.as_program("read")
    kept = tokens.path.read_text()
    assert headers["Authorization"].split()[1] not in kept and json.loads(kept)["tokens"][0]["scopes"] == ["read"]
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert served.client.get("/v1/items", headers=headers).status_code == 200
    tokens.remove("shop")
    assert served.client.get("/v1/items", headers=headers).status_code == 401
    for wrong in ("Bearer", "Bearer x", "Basic x", "Bearer é"):
        assert served.client.get("/v1/items", headers={"Authorization": wrong.encode()}).status_code == 401


def test_every_token_is_compared_in_constant_time(served: Served, monkeypatch):
    last = [served.as_program("read", name=name) for name in ("a", "b", "c")][-1]
    compared: list[str] = []
    digest_of_it = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda kept, sent: compared.append(kept) or digest_of_it(kept, sent))
    for headers, status in ((last, 200), ({"Authorization": "Bearer featx_none"}, 401)):
        compared.clear()
        assert served.client.get("/v1/items", headers=headers).status_code == status
        assert len(compared) == 3


def test_a_token_does_what_its_scopes_say(served: Served):
    reads, classifies = served.as_program("read", name="a"), served.as_program("classify", name="b")
    assert served.client.get("/v1/items", headers=reads).status_code == 200
    assert served.client.get("/v1/items", headers=classifies).status_code == 403
    for headers, status in ((reads, 403), (classifies, 200)):
        assert served.client.post("/v1/similar", content=a_photo(), headers=headers | JPEG).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8470", 200),
        ("localhost:8470", 200),
        ("localhost", 200),
        ("[::1]:8470", 200),
        ("evil.example", 421),
        ("evil.example:8470", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
        ("localhost/x", 421),
    ],
)
def test_only_our_own_names_are_answered_with_and_without_a_port(served: Served, host, status):
    headers = served.as_program("read") | {"Host": host}
    assert served.client.get("/v1/items", headers=headers).status_code == status


def test_a_name_that_was_allowed_is_answered(serve):
    served = serve(names=("shop.example",))
    headers = served.as_program("read")
    assert served.client.get("/v1/items", headers=headers | {"Host": "shop.example"}).status_code == 200
    assert served.client.get("/v1/items", headers=headers | {"Host": "shop.example.evil"}).status_code == 421


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
)
def test_another_site_cannot_use_the_session_of_a_browser(served: Served, foreign):
    own = served.log_in()
    assert served.client.post("/v1/similar", content=a_photo(), headers=own | JPEG).status_code == 200
    answer = served.client.post("/v1/similar", content=a_photo(), headers=foreign | JPEG)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign-origin")


def test_a_link_from_elsewhere_opens_the_page_but_reads_no_data(served: Served):
    served.log_in()
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.client.get("/", headers=elsewhere).status_code == 200
    assert served.client.get("/v1/items", headers=elsewhere).status_code == 403


def test_no_answer_invites_other_sites(served: Served):
    headers = served.as_program("read") | {"Access-Control-Request-Method": "POST"}
    for answer in (
        served.client.get("/v1/items", headers=headers),
        served.client.options("/v1/similar", headers=headers),
        served.client.get("/none"),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_answer_has_a_strict_policy(served: Served):
    for path in ("/", "/none", "/v1/items", "/healthz/live", "/login"):
        headers = served.client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer" and "camera=(self)" in headers["permissions-policy"]
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY and "frame-ancestors 'none'" in POLICY


def test_no_name_reaches_a_file_outside_the_catalogue(served: Served, shop: Path):
    (shop / "secret.jpg").write_bytes(a_photo(5))
    headers = served.as_program("read", "classify")
    for name in (f"{shop}/secret.jpg", "secret.jpg", "../secret.jpg", "photos/../secret.jpg", "%2e%2e/secret.jpg"):
        for path in (f"/v1/photo/{name}", f"/v1/items/{name}", f"/v1/similar?id={name}", f"/page/{name}"):
            assert served.client.get(path, headers=headers).status_code == 404, path


def test_no_address_is_ever_fetched(served: Served):
    headers = served.as_program("read", "classify")
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}/a.jpg"
        served.client.get("/v1/similar", params={"id": address}, headers=headers)
        for kind in ("image/jpeg", "application/json", "text/plain"):
            served.client.post("/v1/similar", content=address, headers=headers | {"Content-Type": kind})
        served.client.post("/v1/similar", data={"photo": address, "url": address}, headers=headers)
        with pytest.raises(TimeoutError):
            trap.accept()


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "", "application/x-www-form-urlencoded", "text/html"]
)
def test_only_photos_are_taken_as_photos(served: Served, kind):
    headers = served.as_program("classify") | {"Content-Type": kind}
    answer = served.client.post("/v1/similar", content=a_photo(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-type")


def test_a_long_body_is_refused_by_its_announced_length_and_by_its_real_one(serve):
    served = serve(Limits(photo_bytes=1000, form_bytes=2000, json_bytes=500))
    headers = served.as_program("classify", "read")
    pieces = (b"x" * 400 for _ in range(1000))
    for body in (b"x" * 1001, pieces):
        answer = served.client.post("/v1/similar", content=body, headers=headers | JPEG)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    answer = served.client.post("/v1/similar", files={"photo": b"x" * 3000}, headers=headers)
    assert answer.status_code == 413
    many = [("photo", (f"{i}.jpg", b"x")) for i in range(33)]
    answer = served.client.post("/v1/similar", files=many, headers=headers)
    assert (answer.status_code, answer.json()["code"]) in ((400, "bad-request"), (413, "too-large"))


def test_a_bomb_is_refused_before_it_is_unpacked(served: Served):
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 29000, 29000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100_000))
    answer = served.client.post("/v1/classify", content=bomb, headers=served.as_program("classify") | JPEG)
    assert (answer.status_code, answer.json()["code"]) == (422, "photo-unreadable")
    assert "million pixels" in answer.json()["detail"]


def test_a_file_name_cannot_break_an_answer(served: Served):
    name = "<script>alert(1)</script>\x07\u202e" + "x" * 500
    files = [("photo", (name, b"no photo")), ("photo", ("good.jpg", a_photo()))]
    answer = served.client.post("/v1/similar", files=files, headers=served.as_program("classify"))
    assert answer.headers["content-type"] == "application/json" and len(answer.json()["answers"][0]["query"]) <= 200


def test_a_token_never_appears_in_an_error_nor_in_a_log(served: Served):
    from featx.server.run import configuration

    settings = configuration(served.service)
    assert not settings.access_log and not settings.server_header
    token = "featx_secretsecret"
    for answer in (
        served.client.get("/v1/items", headers={"Authorization": f"Bearer {token}"}),
        served.client.get(f"/login?token={token}"),
    ):
        assert token not in answer.text


@contextmanager
def listening(served: Served) -> Iterator[tuple[str, int]]:
    """The server on a real port."""
    import uvicorn

    from featx.server.run import configuration

    settings = configuration(served.service)
    settings.lifespan = "off"  # the fixture has started the service
    server = uvicorn.Server(settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_a_connection_that_sends_its_headers_or_body_too_slowly_is_closed(serve):
    served = serve(Limits(header_seconds=0.3, body_seconds=0.3))
    token = served.as_program("classify")["Authorization"]
    start = f"POST /v1/similar HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n"
    body = "Content-Type: image/jpeg\r\nContent-Length: 5000\r\n\r\nabc"
    with listening(served) as address:
        for sent in ("", "GET / HT", start, start + body):
            with socket.create_connection(address, timeout=20) as slow:
                slow.sendall(sent.encode())
                answer = b""
                try:
                    while piece := slow.recv(4096):
                        answer += piece
                except ConnectionResetError:
                    pass
                assert b"408" in answer if body in sent else not answer
        with socket.create_connection(address, timeout=20) as honest:
            honest.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in honest.recv(4096), "the others are answered all along"


def refused_upload(address: tuple[str, int], token: str, announced: int) -> socket.socket:
    """A connection as a proxy opens it: the answer to its long body is there, and it goes on sending."""
    upload = socket.create_connection(address, timeout=20)
    head = f"POST /v1/similar HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n"
    upload.sendall(f"{head}Content-Type: image/jpeg\r\nContent-Length: {announced}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"}"):
        answer += upload.recv(4096)
    assert b"413" in answer and b"too-large" in answer
    return upload


def test_a_proxy_that_sends_a_long_body_to_its_end_gets_the_refusal(serve):
    served = serve(Limits(photo_bytes=1000, form_bytes=500_000))
    token = served.as_program("classify")["Authorization"]
    with listening(served) as address, refused_upload(address, token, 400_000) as upload:
        for _ in range(40):
            upload.sendall(b"x" * 10_000)
        assert upload.recv(100) == b"", "it is closed when all has come, and not before"


def test_of_a_body_that_was_refused_no_more_is_read_than_a_form_may_have(serve):
    served = serve(Limits(photo_bytes=1000, form_bytes=50_000, header_seconds=60))
    token = served.as_program("classify")["Authorization"]
    with (
        listening(served) as address,
        refused_upload(address, token, 10**9) as upload,
        pytest.raises((BrokenPipeError, ConnectionResetError)),
    ):
        for _ in range(10_000):
            upload.sendall(b"x" * 100_000)


def test_no_more_connections_are_taken_than_allowed(serve):
    served = serve(Limits(connections=3))
    with listening(served) as address:
        first = [socket.create_connection(address, timeout=20) for _ in range(3)]
        for held in first:
            held.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b"200 OK" in held.recv(4096)
        with socket.create_connection(address, timeout=20) as extra, suppress(ConnectionResetError):
            assert extra.recv(100) == b""
        for held in first:
            held.close()


def test_what_strangers_print_on_packs_steers_neither_a_page_nor_a_program(shop: Path, serve):
    from featx.text.reading import read_store
    from featx.workspace import Workspace
    from tests.text.hostile import HOSTILE, assert_plain
    from tests.text.readers import ListReader

    read_store(Workspace.here().current_store(), reader=ListReader(lambda image: HOSTILE))
    served = serve()
    shown = ["/v1/similar?id=boots0-0&k=3", "/v1/items/boots0-0", "/v1/items?where=text ~ 'owned'"]
    for address in shown:
        answer = served.client.get(address, headers=served.as_program("read"))
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/json"), answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert_plain(answer.text)
    assert "owned" in served.client.get(shown[0], headers=served.as_program("read")).text
