"""Shards by the workers of a cluster: the same bytes as here, whatever is killed, and an error rather than a wait."""

from __future__ import annotations

import os
import pickle
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from featx.errors import FeatxError
from featx.extraction import ExtractionOptions, extract, extract_in_shards
from featx.extraction.shard_task import Driver
from featx.extraction.shards import shards_of
from featx.store import Store, open_store
from tests.conftest import ROOT, Run, photo
from tests.extraction.test_shards import same

KILLS = int(os.environ.get("FEATX_TEST_KILLS", "10"))


class RayError(Exception):
    pass


class WorkerCrashedError(RayError):
    pass


class PretendedRay:
    """A cluster in this process that loses workers as it is told, and sends everything as bytes, as a real one does."""

    exceptions = SimpleNamespace(
        RayError=RayError, WorkerCrashedError=WorkerCrashedError, NodeDiedError=RayError, OutOfMemoryError=RayError
    )

    def __init__(self, cpus: int = 4, dies: Callable[[str], bool] = lambda shard: False) -> None:
        self.cpus, self.dies = cpus, dies
        self.given: list[str] = []
        self.connected = False

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: Any) -> None:
        self.connected = True

    def shutdown(self) -> None:
        self.connected = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": float(self.cpus)}}]

    def remote(self, **_: Any) -> Callable[..., Any]:
        return lambda work: SimpleNamespace(remote=lambda *args: (work, pickle.dumps(args), str(args[1].shard)))

    def wait(self, running: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return running[:num_returns], running[num_returns:]

    def get(self, ended: tuple[Callable[..., Any], bytes, str]) -> Any:
        work, sent, shard = ended
        self.given.append(shard)
        if self.dies(shard):
            raise WorkerCrashedError
        return pickle.loads(pickle.dumps(work(*pickle.loads(sent))))

    def cancel(self, _: Any, force: bool) -> None:
        pass


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PretendedRay]:
    def made(**how: Any) -> PretendedRay:
        ray = PretendedRay(**how)
        monkeypatch.setitem(sys.modules, "ray", ray)  # type: ignore[arg-type]
        return ray

    return made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine photos, one of them damaged."""
    folder = tmp_path_factory.mktemp("clustered") / "photos"
    for i in range(9):
        photo(folder / f"p{i}.jpg", seed=i)
    (folder / "p3.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def plain(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return extract(shop, backbone="colour", store=tmp_path_factory.mktemp("plain") / "all.h5")


def extracted(shop: Path, store: Path = Path("a.h5"), **more: Any) -> Store:
    return extract_in_shards(shop, store=store, shards=4, on="ray", backbone="colour", **more)


def test_a_cluster_writes_what_one_process_writes_and_a_lost_worker_costs_its_shard(
    shop: Path, plain: Store, workplace: Path, pretend: Callable[..., PretendedRay]
) -> None:
    deaths = {"2/4": 2, "4/4": 1}
    ray = pretend(
        dies=lambda shard: bool(deaths.get(shard)) and bool(deaths.update({shard: deaths[shard] - 1}) or True)
    )
    seen = []
    joined = extracted(shop, progress=lambda done, of: seen.append(done))
    assert same(joined, plain)
    assert seen == [0, 1, 2, 3, 4]
    assert sorted(ray.given) == ["1/4", "2/4", "2/4", "2/4", "3/4", "4/4", "4/4"]
    assert not ray.connected, "the connection is closed"


def test_a_shard_that_kills_each_worker_of_a_cluster_is_named(
    shop: Path, workplace: Path, pretend: Callable[..., PretendedRay]
) -> None:
    ray = pretend(dies=lambda shard: shard == "2/4")
    with pytest.raises(FeatxError, match=r"shard 2/4 was killed 3 times"):
        extracted(shop)
    assert ray.given.count("2/4") == 3 and not ray.connected


def test_a_cluster_that_is_too_small_is_refused_at_once(
    shop: Path, workplace: Path, pretend: Callable[..., PretendedRay]
) -> None:
    for few, more, says in (
        (0, {}, "takes 1 CPU, and no machine of the cluster has more than 0 CPU"),
        (4, {"workers": 8}, "takes 8 CPU, and no machine of the cluster has more than 4 CPU"),
        (4, {"device": "cuda"}, "takes 1 CPU and 1 GPU, and no machine of the cluster has more than 4 CPU and 0 GPU"),
    ):
        ray = pretend(cpus=few)
        with pytest.raises(FeatxError, match=says) as error:
            extracted(shop, **more)
        assert error.value.code == "too-few-cpus" and not ray.given


def test_a_cluster_that_does_not_start_is_an_error_in_words(
    shop: Path, workplace: Path, pretend: Callable[..., PretendedRay], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(pretend(), "init", late)
    with pytest.raises(FeatxError, match="timed out during startup") as error:
        extracted(shop)
    assert error.value.code == "no-server"


def test_workers_of_other_versions_are_refused_by_name(
    shop: Path, workplace: Path, pretend: Callable[..., PretendedRay], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend()
    here = Driver.here()
    other = {**here.versions, "numpy": "1.0", "strange": "2"}
    monkeypatch.setattr("featx.extraction.ray_cluster.Driver.here", lambda: Driver(here.folder, {}, other))
    with pytest.raises(FeatxError, match=r"numpy \S+ \(here 1\.0\), strange absent \(here 2\)") as error:
        extracted(shop)
    assert error.value.code == "workers-differ" and not Path("a.h5").exists()


def test_a_folder_that_not_all_machines_share_is_said(
    shop: Path, workplace: Path, pretend: Callable[..., PretendedRay], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend()
    here = Driver.here()
    away = Driver(str(workplace / "elsewhere"), {}, here.versions)
    monkeypatch.setattr("featx.extraction.ray_cluster.Driver.here", lambda: away)
    with pytest.raises(FeatxError, match="does not see the folder"):
        extracted(shop)
    monkeypatch.setattr("featx.extraction.ray_cluster.Driver.here", lambda: here)
    get = ray.get

    def far(ended: Any) -> Any:
        outcome = get(ended)
        for record in shards_of(Path("a.h5")).glob("*.json"):
            record.unlink()
        return outcome

    monkeypatch.setattr(ray, "get", far)
    with pytest.raises(FeatxError, match="was made on another machine"):
        extracted(shop)


def test_a_place_that_featx_does_not_know_is_refused(featx: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = featx("extract", str(shop), "--store", "a.h5", "--shards", "2", "--on", "moon")
    assert ran.returncode == 2 and "`--on moon` is not known" in ran.stderr, ran.stderr
    ran = featx("extract", str(shop), "--store", "a.h5", "--on", "ray")
    assert ran.returncode == 2 and "`--on ray` is for `--shards`" in ran.stderr, ran.stderr
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = featx("extract", str(shop), "--store", "a.h5", "--shards", "2", "--on", "ray")
    assert ran.returncode == 4 and "pip install 'featx[ray]'" in ran.stderr, ran.stderr


@pytest.fixture(scope="module")
def real_ray() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield ray
    ray.shutdown()


def workers_at_a_shard() -> dict[str, int]:
    """The processes of Ray on this machine that write a shard at the moment, by its name."""
    found = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if b"ray::extract_elsewhere" in (process / "cmdline").read_bytes():
                opened = " ".join(str(file.readlink()) for file in (process / "fd").iterdir())
                found |= {name: int(process.name) for name in re.findall(r"(\d{6}-of-\d{6})\.part/", opened)}
    return found


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_workers_of_ray_killed_at_random_cost_at_most_their_shard(
    tmp_path: Path, workplace: Path, real_ray: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    photos, shards = tmp_path / "photos", 3 * KILLS
    for i in range(10 * shards):
        photo(photos / f"p{i:05d}.jpg", seed=i)
    plain = extract(photos, backbone="colour", store=tmp_path / "plain.h5")
    over, kills = threading.Event(), []

    def kill() -> None:
        """Kill whoever is at a shard that nobody was killed at: one that is killed three times is given up."""
        while not over.is_set() and len(kills) < KILLS:
            for shard, worker in workers_at_a_shard().items():
                if shard not in kills:
                    os.kill(worker, signal.SIGKILL)
                    kills.append(shard)
                    break

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        joined = extract_in_shards(photos, store=Path("a.h5"), shards=shards, on="ray", backbone="colour")
    finally:
        over.set()
        killer.join()
    assert len(kills) == KILLS
    assert not capfd.readouterr().out, "Ray's messages would stand in the output of a command"
    assert same(joined, plain) and same(open_store(Path("a.h5")), plain)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_an_executor_of_spark_that_is_killed_costs_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark", reason="PySpark is not installed")
    from featx.catalogue.reading import read_catalogue
    from featx.extraction.shards import Parts, join_shards
    from featx.extraction.spark_cluster import run_on_spark
    from tests.extraction.test_shards import COLOUR, SHARDS, deadly

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    for i in range(20):
        photo(tmp_path / "photos" / f"p{i:02d}.jpg", seed=i)
    plain = extract("photos", backbone="colour", store="plain.h5")
    assert len(list(run_on_spark(deadly(Path("photos"), Path("a.h5")), COLOUR, 2))) == SHARDS
    assert list(tmp_path.glob("*.died")), "one was killed"
    assert same(join_shards(Parts(read_catalogue("photos"), SHARDS), COLOUR, Path("a.h5")), plain)
    with pytest.raises(FeatxError, match="gave up a shard after 3 tries") as error:
        list(run_on_spark(deadly(Path("photos"), Path("b.h5"), always=True), COLOUR, 2))
    assert error.value.code == "worker-died"


def test_a_machine_that_is_too_small_for_a_shard_of_spark_is_refused_at_once(shop: Path, workplace: Path) -> None:
    pytest.importorskip("pyspark", reason="PySpark is not installed")
    with pytest.raises(FeatxError, match=r"a shard takes 256 CPU, and Spark has \d+ here") as error:
        extract_in_shards(shop, store="c.h5", shards=2, on="spark", backbone="colour", workers=256)
    assert error.value.code == "too-few-cpus"


def test_options_of_a_shard_say_what_it_occupies() -> None:
    from featx.extraction.ray_cluster import Need

    assert Need.of(ExtractionOptions(workers=3)) == Need(3, 0)
    assert Need.of(ExtractionOptions(device="cuda:0")) == Need(1, 1)
    nodes = [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
    assert Need(3, 0).require(nodes) == 2 and Need(1, 1).require(nodes) == 1
