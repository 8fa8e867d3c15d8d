"""A small shop, served in this process; a browser with a session, and programs with tokens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from featx.server.settings import Limits, ServerSettings
from tests.conftest import made_once

pytest.importorskip("fastapi", reason="featx[serve] is not installed")


@dataclass
class Served:
    """A server and its callers."""

    service: Any
    client: Any
    links: list[str] = field(default_factory=list)

    def as_program(self, *scopes: str, name: str = "shop") -> dict[str, str]:
        """The headers of a program with a token of these scopes."""
        return {"Authorization": f"Bearer {self.service.access.tokens.add(name, scopes)}"}

    def log_in(self) -> dict[str, str]:
        """The headers of a page in a browser whose session is open."""
        self.client.get(f"/login?token={self.service.access.new_link()}")
        return {"Sec-Fetch-Site": "same-origin", "Origin": str(self.client.base_url).rstrip("/")}


@pytest.fixture(scope="session")
def classified_shop(tmp_path_factory: pytest.TempPathFactory, colour_shop: Any) -> Path:
    """A shop with a classifier: its photos under `photos`, as in a working directory."""

    def make(folder: Path) -> None:
        from featx import extract, fit
        from featx.workspace import Workspace

        shutil.copytree(Path(colour_shop.path).parent, folder / "photos", ignore=shutil.ignore_patterns("*.h5*"))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            lines = (folder / "photos/list.csv").read_text().splitlines()
            table = [f"{lines[0]},price", *(f"{line},{10 + i}" for i, line in enumerate(lines[1:]))]
            (folder / "photos/list.csv").write_text("\n".join(table) + "\n")
            store = extract("photos/list.csv", backbone="colour")
            fit(store, "centroid", folds=2).save(Workspace.here().models / "centroid.safetensors")

    return made_once(tmp_path_factory, "classified-shop", make)


@pytest.fixture
def shop(classified_shop: Path, workplace: Path) -> Path:
    """A copy of that shop, which is the working directory."""
    shutil.copytree(classified_shop, workplace, dirs_exist_ok=True)
    return workplace


class Here:
    """Work that a server gives to other processes, done in this one: to start one takes longer than the work."""

    def run(self, work: Callable[..., Any], *arguments: object, progress: Callable[[int, int], object]) -> Any:
        return work(*arguments, progress=progress)

    def stop(self) -> None:
        pass


@pytest.fixture
def serve(shop: Path) -> Iterator[Callable[..., Served]]:
    """Serve the shop with some settings."""
    from starlette.testclient import TestClient

    from featx.server.app import application
    from featx.server.service import Service
    from featx.server.tokens import Access, tokens_of
    from featx.workspace import Workspace

    started: list[Any] = []

    def start(
        limits: Limits | None = None,
        store: Path | None = None,
        own_processes: bool = False,
        on_warm: Callable[[], object] = lambda: None,
        **settings: Any,
    ) -> Served:
        path = store or Workspace.here().current_store()
        chosen = ServerSettings(path, limits=limits or Limits(), **settings)
        served = Served(None, None)
        access = Access(tokens_of(Workspace.here()), read_only=chosen.read_only)
        served.service = Service(chosen, access, served.links.append, on_warm)
        if not own_processes:
            served.service.processes = Here()
        client = TestClient(application(served.service), base_url=chosen.address, raise_server_exceptions=False)
        started.append(client)
        served.client = client.__enter__()
        return served

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """The shop, served as `featx serve` does by default."""
    return serve()
