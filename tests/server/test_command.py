"""`featx serve` on the command line: tokens, the description, and what it refuses before it listens."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from featx.server.run import listening_socket
from featx.server.settings import ServerSettings
from featx.server.tokens import TokenFile
from tests.conftest import Run, command_environment


def test_a_token_is_printed_once_kept_as_a_digest_and_taken_back(featx: Run, workplace: Path):
    made = featx("serve", "--add-token", "shop", "--scope", "read", "--scope", "classify", cwd=workplace)
    assert made.returncode == 0 and re.fullmatch(r"featx_[\w-]{43}\n", made.stdout)
    caller = TokenFile(workplace / "artifacts/serve-tokens.json").caller(made.stdout.strip())
    assert caller is not None and caller.scopes == {"read", "classify"}
    assert featx("serve", "--remove-token", "shop", cwd=workplace).returncode == 0
    gone = featx("serve", "--remove-token", "shop", cwd=workplace)
    assert gone.returncode == 2 and "no token `shop`" in gone.stderr


def test_what_makes_no_sense_is_refused_in_words(featx: Run, shop: Path):
    for words, said in (
        (("--add-token", "a", "--scope", "reed"), "did you mean `read`"),
        (("--scope", "read"), "belongs to `--add-token`"),
        (("--host", "0.0.0.0"), "there is no token yet"),
        (("--engine", "fast"), "no search engine `fast`"),
    ):
        ran = featx("serve", *words, cwd=shop)
        assert ran.returncode == 2 and said in ran.stderr and not ran.stdout, ran.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = featx("serve", "--port", str(taken.getsockname()[1]), cwd=shop)
    assert ran.returncode == 2 and "choose another `--port`" in ran.stderr


def test_the_description_is_written_to_a_file(featx: Run, workplace: Path):
    assert featx("serve", "--openapi", "api.json", cwd=workplace).returncode == 0
    assert "/v1/similar" in json.loads((workplace / "api.json").read_text())["paths"]


def test_no_part_of_an_answer_waits_until_the_one_before_is_acknowledged(workplace):
    with (
        listening_socket(ServerSettings(workplace / "none.h5", port=0)) as listener,
        socket.create_connection(listener.getsockname()[:2]),
        listener.accept()[0] as connection,
    ):
        assert connection.proto == socket.IPPROTO_TCP, "asyncio sends at once on such sockets alone"


def test_a_server_logs_a_browser_in_by_the_printed_address_and_ends_on_a_signal(shop: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "featx", "serve", "--port", str(port)]
    environment = command_environment({"PYTHONUNBUFFERED": "1"})
    with subprocess.Popen(
        words, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith(f"http://127.0.0.1:{port}/login?token=")
        with urllib.request.urlopen(address, timeout=60) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/v1/items", headers={"Cookie": cookie})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert json.load(answer)["total"] == 30
        process.send_signal(signal.SIGTERM)
        rest, said = process.communicate(timeout=60)
    assert "Traceback" not in said and f"127.0.0.1:{port}/login?token=" in rest, "the next browser gets an address too"
