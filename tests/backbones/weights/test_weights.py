"""Weights files are found, fetched and read whole and right, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.backbones import weights
from featx.backbones.weights import download
from featx.errors import FeatxError
from tests.counting import wait_until

BODY = bytes(range(256)) * 4000  # a megabyte
SHA = hashlib.sha256(BODY).hexdigest()
NAME = f"net-{SHA[:8]}.pth"
SQUEEZENET = Path(__file__).resolve().parents[3] / "../shared/weights/squeezenet1_0_imagenet_dc-46c89ed6.pth"


class Behaviour:
    """What the loopback server does, and what it was asked."""

    def __init__(self) -> None:
        self.body = BODY
        self.status = 200
        self.cut_after: list[int] = []  # bytes to send before hanging up, one entry a request
        self.stall_after: list[int] = []  # bytes to send before falling silent, one entry a request
        self.chunk, self.pause = 1 << 16, 0.0
        self.ranges, self.etag = True, '"one"'
        self.redirect = ""
        self.range_status, self.range_shift, self.tells_length = 206, 0, True
        self.asked: list[tuple[str, str | None]] = []
        self.released = threading.Event()
        self.hung_up = False  # whether a stall ended before the test did


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        does: Behaviour = self.server.does  # type: ignore[attr-defined]
        wanted = self.headers.get("Range")
        does.asked.append((self.path, wanted))
        if does.redirect and self.path.startswith("/models/"):
            self.send_response(302)
            self.send_header("Location", does.redirect)
            self.end_headers()
            return
        if does.status != 200:
            self.send_error(does.status)
            return
        data, start = does.body, 0
        if wanted and does.ranges and self.headers.get("If-Range") == does.etag:
            if does.range_status != 206:
                self.send_error(does.range_status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) + does.range_shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if does.tells_length:
            self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", does.etag)
        self.end_headers()
        if not body:
            return
        stall = does.stall_after.pop(0) if does.stall_after else len(data) + 1
        end = start + does.cut_after.pop(0) if does.cut_after else len(data)
        with contextlib.suppress(OSError):
            for at in range(start, min(end, len(data)), does.chunk):
                if at - start >= stall:
                    self.wfile.flush()
                    does.hung_up = not does.released.wait(300)
                    return
                self.wfile.write(data[at : min(at + does.chunk, end)])
                time.sleep(does.pause)


@pytest.fixture
def server():
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    does = http_server.does = Behaviour()
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    does.url = f"http://127.0.0.1:{http_server.server_port}/models/{NAME}"
    yield does
    does.released.set()
    http_server.shutdown()
    http_server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FEATX_WEIGHTS_MIRROR", raising=False)
    monkeypatch.delenv("FEATX_OFFLINE", raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


def put(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)


# --- fetching -------------------------------------------------------------------------------------------------------


def test_a_fetched_file_is_whole_and_shared_with_torchs_cache(server, folder):
    told: list[tuple[int, int]] = []
    path = weights.fetch_weights(server.url, progress=lambda done, total: told.append((done, total)))
    assert path == folder / NAME
    assert path.read_bytes() == BODY
    assert told[0][1] == len(BODY)
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert left_over(folder) == []


def test_a_file_that_is_here_is_not_asked_for_again(server, folder):
    put(folder, NAME, BODY)
    assert weights.fetch_weights(server.url) == folder / NAME
    assert server.asked == []


def test_a_slow_server_is_waited_for_as_long_as_it_sends(server):
    server.chunk, server.pause = 1 << 17, 0.3  # longer in all than the timeout, and never as long between two pieces
    assert weights.fetch_weights(server.url, timeout=1.5).read_bytes() == BODY


def test_a_body_cut_off_midway_is_continued_and_not_begun_anew(server):
    server.cut_after = [300_000, 300_000]
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-", "bytes=600000-"]


def test_what_an_interrupted_download_brought_is_used_by_the_next_one(server, folder):
    server.cut_after = [400_000, 0]
    with pytest.raises(FeatxError, match=r"broke off .* will be continued") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"
    assert weights.find_weights(server.url) is None
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert server.asked[-1][1] == "bytes=400000-"
    assert left_over(folder) == []


def test_a_download_is_begun_anew_when_the_remote_file_has_changed(server):
    server.cut_after = [400_000, 0]
    with pytest.raises(FeatxError, match="broke off") as caught:
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
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-", None]


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
    with pytest.raises(FeatxError, match="broke off") as caught:
        weights.fetch_weights(server.url)
    assert caught.value.code == "weights-missing"
    part = next(folder.glob(".*.part"))
    part.write_bytes(b"\0" * part.stat().st_size)
    assert weights.fetch_weights(server.url).read_bytes() == BODY


def test_a_body_that_stands_still_is_given_up_within_seconds_and_kept(server, folder):
    server.stall_after = [1 << 17, 0]
    with pytest.raises(FeatxError, match=r"broke off \(it stood still\)"):
        weights.fetch_weights(server.url, timeout=1)
    assert not server.hung_up  # the server would have waited for minutes
    asked = len(server.asked)
    assert weights.fetch_weights(server.url).read_bytes() == BODY
    assert server.asked[asked][1] is not None


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


def test_an_answer_that_is_no_http_is_missing_weights():
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def babble() -> None:
            connection, _ = odd.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-hello\r\n\r\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        with pytest.raises(FeatxError, match="no proper answer"):
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
        download._WebOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://host/a.pth")
    assert download._WebOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "https://cdn/a.pth")


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
    assert server.asked == [(f"/models/{NAME}", None)]


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
    assert server.asked == []
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
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: _Free())
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
    said = [run.communicate(timeout=300)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0] * 4
    assert said == [str(folder / NAME)] * 4
    assert (folder / NAME).read_bytes() == BODY
    assert len(server.asked) == 1
    assert left_over(folder) == []


def test_a_file_that_another_process_finished_meanwhile_is_not_fetched_again(server, folder, monkeypatch):
    monkeypatch.setattr(download, "_wait_for_turn", lambda _: put(folder, NAME, BODY))
    assert weights.fetch_weights(server.url) == folder / NAME
    assert server.asked == []
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
    assert server.asked[-1][1] is not None
    assert left_over(folder) == []


# --- finding and checking -------------------------------------------------------------------------------------------


def test_the_folder_is_torchs_own(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.weights_folder() == tmp_path / "torch" / "hub" / "checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "ana"))
    assert weights.weights_folder() == tmp_path / "ana" / ".cache" / "torch" / "hub" / "checkpoints"


def test_all_published_weights_are_listed_in_json_also_those_without_an_accuracy(featx):
    ran = featx("weights", "list", "--all", "--json")
    assert ran.returncode == 0, ran.stderr
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert any(one["name"] == "vgg16" and one["top1"] is None for one in told)
    assert {one["name"] for one in told} >= {"resnet50", "builtin", "colour"}


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("shufflenetv2_x1-5666bf0f80.pth", "5666bf0f80"),
        ("mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
        ("mine.pth", None),
        ("mine-v2.pth", None),
        ("mine-20240131.pth", None),
        ("vgg13-19584684.pth", "19584684"),
        ("resnet50-0676ba61.zip", None),
    ],
)
def test_the_published_checksum_is_read_from_the_name(name, prefix):
    assert weights.hash_prefix(name) == prefix


def test_a_flipped_bit_is_noticed_at_every_load(folder):
    path = put(folder, f"net-{SHA[:8]}.pth", BODY)
    weights.verify_weights(path)
    data = bytearray(BODY)
    data[500_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(FeatxError, match="damaged"):
        weights.verify_weights(path)
    with pytest.raises(FeatxError, match="damaged"):
        weights.load_state_dict(path)


def test_a_forgery_that_fits_the_published_checksum_is_noticed_once_the_whole_was_seen(folder, tmp_path):
    path = put(folder, NAME, BODY)
    weights.verify_weights(path)
    note = tmp_path / "state" / "featx" / "weights" / f"{NAME}.json"
    assert json.loads(note.read_text())["sha256"] == SHA
    # Finding a real forgery of 32 bits takes hours; noting another digest with the same beginning is the same event.
    note.write_text(json.dumps({"sha256": SHA[:8] + "0" * 56}))
    with pytest.raises(FeatxError, match="has changed since") as caught:
        weights.verify_weights(path)
    assert str(note) in caught.value.hint


def test_a_state_folder_that_cannot_be_written_stops_nobody(folder, tmp_path):
    (tmp_path / "state").write_text("in the way")
    assert weights.verify_weights(put(folder, NAME, BODY)) == SHA


# --- loading --------------------------------------------------------------------------------------------------------

torch = pytest.importorskip("torch")


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


TENSORS = {"features.0.weight": torch.arange(6.0).reshape(2, 3), "features.0.bias": torch.ones(2)}


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".PTH", ".safetensors"])
def test_tensors_come_back_as_they_were_saved(tmp_path, suffix):
    from safetensors.torch import save

    path = tmp_path / f"mine{suffix}"
    path.write_bytes(save(TENSORS) if suffix == ".safetensors" else saved(TENSORS))
    assert same(weights.load_state_dict(path), TENSORS)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_training_checkpoint_gives_its_weights(tmp_path, key):
    path = put(tmp_path, "mine.pth", saved({"epoch": 3, key: {f"module.{name}": t for name, t in TENSORS.items()}}))
    assert same(weights.load_state_dict(path), TENSORS)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_bomb_is_refused_and_does_not_run(tmp_path, monkeypatch, legacy):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1), "b": Bomb()}, buffer, _use_new_zipfile_serialization=not legacy)
    path = put(tmp_path, "bomb.pth", buffer.getvalue())
    with pytest.raises(FeatxError, match=r"more than weights.*system.*nothing of it was run") as caught:
        weights.load_state_dict(path)
    assert caught.value.code == "weights-broken"
    assert "\n" not in caught.value.message
    assert not (tmp_path / "exploded").exists()
    torch.load(path, weights_only=False)  # the bomb is live: only the way it is read kept it from going off
    assert (tmp_path / "exploded").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_bomb_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path, "bomb.pt", pickle.dumps(Bomb()))
    with pytest.raises(FeatxError) as caught:
        weights.load_state_dict(path)
    assert caught.value.code == "weights-broken"
    assert not (tmp_path / "exploded").exists()


def test_a_bomb_under_a_published_name_is_not_even_parsed(folder, monkeypatch):
    path = put(folder, "resnet50-0676ba61.pth", saved(Bomb()))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("parsed before it was checked"))
    with pytest.raises(FeatxError, match="begins with"):
        weights.load_state_dict(path)


def test_the_digest_a_caller_knows_is_checked_too(tmp_path):
    data = saved(TENSORS)
    path = put(tmp_path, "mine.pth", data)
    assert weights.load_state_dict(path, sha256_prefix=hashlib.sha256(data).hexdigest())
    with pytest.raises(FeatxError, match="damaged"):
        weights.load_state_dict(path, sha256_prefix="00" * 32)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.pth", b""),
        ("text.pth", b"<html>not found</html>"),
        ("cut.pth", saved(TENSORS)[:-200]),
        ("list.pth", saved([torch.ones(2)])),
        ("words.pth", saved({"a": "word"})),
        ("none.pth", saved({})),
        ("numbers.pth", saved({1: torch.ones(2)})),
        ("empty.safetensors", b""),
        ("huge.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
        ("text.safetensors", b"<html>not found</html>"),
    ],
)
def test_what_is_no_state_dict_is_refused_in_words(tmp_path, name, data):
    with pytest.raises(FeatxError, match="cannot be read as weights") as caught:
        weights.load_state_dict(put(tmp_path, name, data))
    assert caught.value.code == "weights-broken"


@pytest.mark.parametrize(
    ("name", "code"), [("none.pth", "no-such-file"), ("a.pkl", "bad-flag"), ("dir.pth", "weights-broken")]
)
def test_what_is_no_weights_file_is_named(tmp_path, name, code):
    (tmp_path / "dir.pth").mkdir()
    with pytest.raises(FeatxError) as caught:
        weights.load_state_dict(tmp_path / name)
    assert caught.value.code == code


@pytest.mark.reality
def test_real_weights_are_read_and_checked():
    if not SQUEEZENET.is_file():
        pytest.skip("the shared squeezenet weights are not here")
    tensors = weights.load_state_dict(SQUEEZENET)
    assert sum(tensor.numel() for tensor in tensors.values()) == 1_248_424


# --- what is published, and bringing files in -----------------------------------------------------------------------


def test_the_short_list_agrees_with_torchvision():
    every = {(entry.backbone, entry.weights): entry for entry in weights.published_weights()}
    assert len(every) > 100
    for entry in weights.RECOMMENDED:
        theirs = every[entry.backbone, entry.weights]
        assert entry.url == theirs.url
        assert entry.top1 == theirs.top1
        assert abs(entry.size - theirs.size) < 2_000
    assert all(weights.hash_prefix(entry.file_name) for entry in every.values())
    assert weights.find_published("resnet50", "IMAGENET1K_V2").file_name == "resnet50-11ad3fa6.pth"
    assert weights.find_published("resnet101").weights == "IMAGENET1K_V1"
    assert weights.find_published("vit_h_14").backbone == "vit_h_14"


def test_unknown_names_are_met_with_near_ones():
    with pytest.raises(FeatxError, match="no published weights") as caught:
        weights.find_published("resnet5O")
    assert caught.value.code == "unknown-backbone"
    assert "`resnet50`" in caught.value.hint
    with pytest.raises(FeatxError, match="no weights `V3`") as caught:
        weights.find_published("resnet50", "V3")
    assert "IMAGENET1K_V2" in caught.value.hint


KNOWN = [weights.PublishedWeights("net", "IMAGENET1K_V1", f"https://host/{NAME}", len(BODY))]


@pytest.mark.parametrize("name", [NAME, f"net-{SHA[:8]} (1).pth", "download.bin"])
def test_a_file_brought_in_is_known_by_its_content(folder, tmp_path, name):
    path = weights.add_weights(put(tmp_path, name, BODY), KNOWN)
    assert path == folder / NAME
    assert path.read_bytes() == BODY
    assert left_over(folder) == []


def test_a_file_of_another_publisher_is_kept_under_its_own_checked_name(folder, tmp_path):
    assert weights.add_weights(put(tmp_path, f"other-{SHA[:8]}.pth", BODY), []) == folder / f"other-{SHA[:8]}.pth"


def test_a_file_in_place_already_may_be_added_again(folder):
    path = put(folder, NAME, BODY)
    assert weights.add_weights(path, KNOWN) == path
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("name", [NAME, "other.pth"])
def test_a_damaged_file_is_not_brought_in(folder, tmp_path, name):
    with pytest.raises(FeatxError) as caught:
        weights.add_weights(put(tmp_path, name, BODY + b"!"), KNOWN)
    assert caught.value.code == "weights-broken"
    assert weights.weights_here() == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FeatxError) as caught:
        weights.add_weights(tmp_path / "none.pth", KNOWN)
    assert caught.value.code == "no-such-file"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_no_damage_ends_in_anything_but_tensors_or_a_refusal(tmp_path, suffix):
    from safetensors.torch import save

    whole = save(TENSORS) if suffix == ".safetensors" else saved(TENSORS)
    path = tmp_path / f"mine{suffix}"

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=4), st.integers(0, 64))
    def damaged(flips, cut):
        data = bytearray(whole)
        for at, change in flips:
            data[at] ^= change
        path.write_bytes(data[: len(data) - cut])
        try:
            tensors = weights.load_state_dict(path)
        except FeatxError as error:
            assert error.code == "weights-broken"
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())

    damaged()


def test_whoever_watches_hears_of_a_download_that_opening_a_backbone_begins(server, folder):
    heard: list[tuple[int, int]] = []
    with weights.watched_downloads(lambda done, total: heard.append((done, total))):
        weights.fetch_weights(server.url)
    assert heard[-1] == (len(BODY), len(BODY))
    heard.clear()
    (folder / NAME).unlink()
    weights.fetch_weights(server.url)
    assert heard == []
