"""The container and the systemd unit that `featx serve --setup` writes."""

from __future__ import annotations

import json
import re
import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest
import typer

from featx.cli.typer_app import build
from featx.server.settings import ServerSettings
from featx.server.setup_files import SETUP
from tests.conftest import Run


def container() -> dict[str, str]:
    """The instructions of the container, the last of each name."""
    text = (SETUP / "Containerfile").read_text().replace("\\\n", " ")
    return dict(line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))


@pytest.fixture
def unit() -> RawConfigParser:
    parser = RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SETUP / "featx-serve.service")
    return parser


def parsed(words: list[str]) -> dict[str, object]:
    """What the flags of `featx serve` mean; one that does not exist fails."""
    app = typer.main.get_command(build())
    command = app.commands["serve"]  # type: ignore[attr-defined]
    assert Path(words[0]).name == "featx" and words[1] == "serve"
    return command.make_context("serve", words[2:]).params  # type: ignore[no-any-return]


def test_the_container_has_no_root_and_serves_on_the_port_that_it_exposes_and_checks():
    lines = container()
    flags = parsed(json.loads(lines["ENTRYPOINT"]))
    assert lines["USER"] == "nobody" and str(flags["port"]) == lines["EXPOSE"]
    address = re.search(r"http://(\w+):(\d+)/healthz", lines["HEALTHCHECK"])
    assert address is not None and (address[1],) == flags["names"] and int(address[2]) == flags["port"]


def test_the_check_of_the_container_is_let_in(serve):
    flags = parsed(json.loads(container()["ENTRYPOINT"]))
    served = serve(host=flags["host"], names=tuple(flags["names"]), port=flags["port"])
    assert served.client.get("/healthz", headers={"Host": "localhost:8470"}).json()["status"] == "ok"


def test_the_unit_starts_the_server_on_this_machine_and_lets_it_write_to_the_artifacts_only(unit):
    service = unit["Service"]
    flags = parsed(shlex.split(service["ExecStart"]))
    assert flags["host"] == "127.0.0.1"
    assert service["ReadWritePaths"] == service["WorkingDirectory"] + "/artifacts"
    assert (service["ProtectSystem"], service["NoNewPrivileges"], service["User"]) == ("strict", "yes", "featx")
    assert "PYTHONUNBUFFERED=1" in service["Environment"].split(), "the login link must reach the journal"


def test_setup_writes_both_files_and_replaces_none(featx: Run, workplace: Path):
    ran = featx("serve", "--setup", "out", "--json", cwd=workplace)
    written = {str(Path("out") / source.name) for source in SETUP.iterdir()}
    assert ran.returncode == 0 and set(json.loads(ran.stdout)["files"]) == written
    (workplace / "out/Containerfile").write_text("ours")
    again = featx("serve", "--setup", "out", cwd=workplace)
    assert again.returncode == 2 and "exists" in again.stderr
    assert (workplace / "out/Containerfile").read_text() == "ours"


def test_a_server_on_every_address_prints_a_link_that_a_browser_can_open():
    assert ServerSettings(Path("s"), host="0.0.0.0", names=("localhost",)).address == "http://localhost:8470"
    assert ServerSettings(Path("s"), host="127.0.0.1", names=("shop.example",)).address == "http://127.0.0.1:8470"
