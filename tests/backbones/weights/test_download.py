"""Weights are fetched whole and right, continued where they broke off, or not at all."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from featx.backbones import weights
from featx.backbones.weights import http
from featx.errors import FeatxError
from tests.backbones.weights.serving import BODY, NAME, left_over, put
from tests.counting import wait_until


def test_a_fetched_file_is_whole_and_shared_with_torchs_cache(server, folder):
    steps: list[tuple[int, int]] = []
    path = weights.fetch_weights(server.url, progress=lambda done, total: steps.append((done, total)))
    assert path == folder / NAME
    assert path.read_bytes() == BODY
    assert steps[0][1] == len(BODY)
    assert steps[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert left_over(folder) == []


def test_a_file_that_is_here_is_not_asked_for_again(server, folder):
    put(folder, NAME, BODY)
    assert weights.fetch_weights(server.url) == folder / NAME
    assert server.requests == []


def test_a_slow_server_is_waited_for_as_long_as_it_sends(server):
    server.chunk, server.pause = 1 << 17, 0.3  # longer in all than the timeout, and never as long between two pieces
    assert weights.fetch_weights(server.url, timeout=1.5).read_bytes() == BODY


def test_a_body_cut_off_midway_is_continued_and_not_begun_anew(server):
    server.cut_after = [300_000, 300_000]
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert [span for _, span in server.requests] == [None, "bytes=300000-", "bytes=600000-"]


def test_what_an_interrupted_download_brought_is_used_by_the_next_one(server, folder):
    server.cut_after = [400_000, 0]
    with pytest.raises(FeatxError, match=r"was interrupted .* resumes it") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"
    assert weights.find_weights(server.url) is None
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert server.requests[-1][1] == "bytes=400000-"
    assert left_over(folder) == []


def test_a_download_is_begun_anew_when_the_remote_file_has_changed(server):
    server.cut_after = [400_000, 0]
    with pytest.raises(FeatxError, match="was interrupted") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"
    server.etag = '"two"'
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_server_without_ranges_still_delivers_after_a_cut(server):
    server.ranges = False
    server.cut_after = [300_000]
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_server_that_sends_another_part_than_asked_for_is_asked_for_the_whole(server):
    server.range_shift = 1000
    server.cut_after = [300_000]
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert [span for _, span in server.requests] == [None, "bytes=300000-", None]


def test_a_server_that_refuses_to_continue_is_asked_for_the_whole(server):
    server.range_status = 416
    server.cut_after = [300_000]
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_body_of_unknown_length_is_judged_by_its_checksum(server, folder):
    server.tells_length = False
    server.cut_after = [300_000]
    with pytest.raises(FeatxError, match="not the published file"):
        weights.fetch_weights(server.url)
    assert left_over(folder) == []
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_resumed_download_of_mixed_parts_gets_one_fresh_try(server, folder):
    server.cut_after = [400_000, 0]
    with pytest.raises(FeatxError, match="was interrupted") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"
    part = next(folder.glob(".*.part"))
    part.write_bytes(b"\0" * part.stat().st_size)
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_body_that_stands_still_is_given_up_within_seconds_and_kept(server, folder):
    server.stall_after = [1 << 17, 0]
    with pytest.raises(FeatxError, match=r"was interrupted \(it stood still\)"):
        weights.fetch_weights(server.url, timeout=1)
    assert not server.hung_up  # the server would have waited for minutes
    before = len(server.requests)
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert server.requests[before][1] is not None


@pytest.mark.parametrize("damage", [BODY[:-1] + b"!", BODY[:-7], b"<html>please log in</html>", b""])
def test_a_wrong_file_is_never_put_in_place(server, folder, damage):
    server.body = damage
    with pytest.raises(FeatxError, match="not the published file") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-broken"
    assert left_over(folder) == []
    assert not (folder / NAME).exists()


def test_a_broken_file_in_the_cache_is_replaced_by_a_good_one(server, folder):
    put(folder, NAME, b"half a file")
    with pytest.raises(FeatxError, match="damaged"):
        weights.find_weights(server.url)
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_broken_file_is_left_alone_when_no_good_one_can_be_had(server, folder):
    put(folder, NAME, b"half a file")
    server.status = 404
    with pytest.raises(FeatxError, match="damaged") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-broken"
    assert (folder / NAME).read_bytes() == b"half a file"


def test_a_file_the_server_does_not_have_is_missing_weights(server, folder):
    server.status = 404
    with pytest.raises(FeatxError, match=r"127\.0\.0\.1 answered 404") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"
    assert left_over(folder) == []


def test_a_refusing_port_is_told_at_once(folder):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/{NAME}"
    # A refusal ends the waiting: who waited on would be told that nobody answered.
    with pytest.raises(FeatxError, match="cannot be reached") as caught:
        weights.fetch_weights(url, timeout=300)
    assert caught.value.code == "weights-missing"
    assert left_over(folder) == []


def test_a_server_that_accepts_and_never_answers_costs_the_timeout_and_no_more():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        with pytest.raises(FeatxError, match=r"did not answer \(0\.5 s\)"):
            weights.fetch_weights(url, timeout=0.5)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # asked once, and waited for once
            silent.accept()


def test_a_name_that_is_looked_up_forever_costs_the_timeout_and_no_more(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(300) and [])
    with pytest.raises(FeatxError, match=r"example\.invalid did not answer"):
        weights.fetch_weights(f"https://example.invalid/{NAME}", timeout=0.3)
    assert not released.is_set()  # the name is still being looked up
    released.set()


SILENT = "did not answer (1 s; `FEATX_PATIENCE=10` waits longer)"


@pytest.fixture
def silent():
    """A host that is connected and says nothing, as behind a firewall that drops what it does not like."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_silent_host_costs_the_second_to_be_connected_not_the_seconds_of_an_answer(silent):
    with pytest.raises(FeatxError, match=re.escape(SILENT)):
        weights.fetch_weights(f"https://{silent}/{NAME}", timeout=300)
    assert weights.probe_url(f"https://{silent}/{NAME}", timeout=300).endswith(SILENT)
    assert weights.probe_url(f"http://{silent}/{NAME}", timeout=300).endswith(SILENT)


def test_a_silent_proxy_costs_no_more_than_a_silent_host(silent, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", f"http://{silent}")
    assert weights.probe_url(f"https://example.invalid/{NAME}", timeout=300).endswith(SILENT)


def test_a_slow_line_gets_the_patience_that_a_variable_gives_it(silent, monkeypatch):
    monkeypatch.setenv("FEATX_PATIENCE", "1.2")
    assert weights.probe_url(f"https://{silent}/{NAME}", timeout=1.1).endswith(SILENT.replace("1 s", "1.2 s"))
    monkeypatch.setenv("FEATX_PATIENCE", "soon")
    with pytest.raises(FeatxError, match="`FEATX_PATIENCE=soon` is not a number of seconds"):
        weights.probe_url(f"https://{silent}/{NAME}")


def test_a_connected_server_may_take_longer_to_answer_than_to_be_connected(monkeypatch, server):
    monkeypatch.setattr("featx.backbones.weights.http._REACH", 0.2)
    server.wait = 0.5
    assert weights.fetch_weights(server.url, timeout=20).read_bytes() == BODY


def test_an_answer_that_is_no_http_is_missing_weights():
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def babble() -> None:
            connection, _ = odd.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-hello\r\n\r\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        with pytest.raises(FeatxError, match="an invalid answer"):
            weights.fetch_weights(f"http://127.0.0.1:{odd.getsockname()[1]}/{NAME}")
        thread.join(5)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x.pth", "data:,x"])
def test_a_redirect_leads_only_to_the_web(server, target):
    server.redirect = target
    with pytest.raises(FeatxError) as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"


def test_a_redirect_on_the_web_is_followed(server):
    server.redirect = f"/elsewhere/{NAME}"
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_redirect_never_leaves_encryption():
    request = urllib.request.Request("https://host/a.pth")
    with pytest.raises(urllib.error.HTTPError):
        http.WebOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://host/a.pth")
    assert http.WebOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "https://cdn/a.pth")


@pytest.mark.parametrize("url", [f"file:///tmp/{NAME}", f"ftp://host/{NAME}", f"/tmp/{NAME}", "https://host/"])
def test_only_web_addresses_of_files_are_fetched(url):
    with pytest.raises(FeatxError) as caught:
        weights.fetch_weights(url)
    assert caught.value.code == "bad-flag"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_stands_in_for_the_publisher(server, monkeypatch, slash):
    monkeypatch.setenv("FEATX_WEIGHTS_MIRROR", server.url.rsplit("/", 1)[0] + slash)
    path = weights.fetch_weights(weights.PUBLISHER + NAME)
    assert path.read_bytes() == BODY
    assert server.requests == [(f"/models/{NAME}", None)]


def test_a_mirror_that_is_no_web_address_is_named(monkeypatch):
    monkeypatch.setenv("FEATX_WEIGHTS_MIRROR", "file:///srv/weights")
    with pytest.raises(FeatxError) as caught:
        weights.fetch_weights(weights.PUBLISHER + NAME)
    assert caught.value.code == "bad-config"
    assert "FEATX_WEIGHTS_MIRROR" in caught.value.hint


def test_offline_asks_nobody_and_says_what_to_do(server, folder, monkeypatch):
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    with pytest.raises(FeatxError) as caught:
        weights.fetch_weights(server.url, backbone="resnet50")
    error = caught.value
    assert server.requests == []
    assert error.code == "weights-missing"
    assert error.exit_code == 4
    assert error.message.startswith("the weights for `resnet50` are not on this machine, and `FEATX_OFFLINE`")
    assert f"looked in: {folder / NAME}" in error.message
    assert server.url in error.hint
    assert f"`featx weights add {NAME}`" in error.hint
    assert "--backbone colour" in error.hint or "--backbone builtin" in error.hint


def test_a_folder_that_cannot_be_written_is_named(server, folder):
    folder.parent.parent.mkdir(parents=True)
    folder.parent.write_text("a file where a folder should be")
    with pytest.raises(FeatxError) as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "no-permission"
    assert "TORCH_HOME" in caught.value.hint


def test_a_full_disk_is_told_before_the_download(server, folder, monkeypatch):
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: _Free())
    with pytest.raises(FeatxError) as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "disk-full"
    assert left_over(folder) == []


class _Free:
    free = 1000


def test_many_at_once_download_a_file_once(server, folder):
    server.chunk, server.pause = 1 << 17, 0.02
    script = (
        "import sys; from featx.backbones.weights import fetch_weights; print(fetch_weights(sys.argv[1], timeout=20))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    runs = [
        subprocess.Popen([sys.executable, "-c", script, server.url], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [run.communicate(timeout=300)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0] * 4
    assert outputs == [str(folder / NAME)] * 4
    assert (folder / NAME).read_bytes() == BODY
    assert len(server.requests) == 1
    assert left_over(folder) == []


def test_a_file_that_another_process_finished_meanwhile_is_not_fetched_again(server, folder, monkeypatch):
    monkeypatch.setattr(http, "wait_for_lock", lambda *_, **__: put(folder, NAME, BODY))
    assert weights.fetch_weights(server.url) == folder / NAME
    assert server.requests == []
    assert left_over(folder) == []


def test_a_download_that_is_killed_leaves_nothing_that_looks_finished(server, folder):
    server.chunk, server.pause = 1 << 16, 0.05
    script = "import sys; from featx.backbones.weights import fetch_weights; fetch_weights(sys.argv[1], timeout=20)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    run = subprocess.Popen([sys.executable, "-c", script, server.url], env=environment)
    wait_until(lambda: any(part.stat().st_size > 200_000 for part in folder.glob(".*.part")))
    run.kill()
    run.wait()
    assert not (folder / NAME).exists()
    server.pause = 0
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert server.requests[-1][1] is not None
    assert left_over(folder) == []


def test_whoever_watches_hears_of_a_download_that_opening_a_backbone_begins(server, folder):
    heard: list[tuple[int, int]] = []
    with weights.watched_downloads(lambda done, total: heard.append((done, total))):
        weights.fetch_weights(server.url)
    assert heard[-1] == (len(BODY), len(BODY))
    heard.clear()
    (folder / NAME).unlink()
    weights.fetch_weights(server.url)
    assert heard == []
