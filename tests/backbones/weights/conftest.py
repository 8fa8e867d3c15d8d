"""A folder for weights that is nobody else's, and a server to fetch them from."""

from __future__ import annotations

import http.server
import threading

import pytest

from tests.backbones.weights.serving import NAME, Behaviour, Handler


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
