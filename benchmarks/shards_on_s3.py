"""Small photos from an S3 on this machine, extracted in one run, in shards, with kills, and on Ray: the same bytes.

    python benchmarks/shards_on_s3.py [--photos 200000] [--shards 200] [--jobs 2] [--kills 10]
        [--without-ray] [--without-local] [--folder] [--backbone colour]

moto serves the bucket (`pip install "moto[s3,server]" waitress`), so most of the time is its own; with `--folder` the
photos are files instead. moto sorts all keys for each thousand that it lists, so a long list is written without asking
it. Workers are killed (SIGKILL) in the middle of a shard, the driver twice, with Ray once. A shard that was done before
a kill is never made again; all stores are compared. `--kills 0` leaves the kills out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featx.store import open_store

SIDE = 32
# So many photos moto lists in a minute.
LISTED = 20_000
FEATX = [sys.executable, "-m", "featx"]


@contextmanager
def bucket(photos: int) -> Iterator[str]:
    """A bucket with drawn photos in ten folders; clients find it by the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"AWS_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
                   "AWS_ACCESS_KEY_ID": "open", "AWS_SECRET_ACCESS_KEY": "sesame"}  # fmt: skip
    server = subprocess.Popen([sys.executable, __file__, "--photos", str(photos), "--serve", str(port)])
    try:
        while server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield "s3://shop/photos"
    finally:
        report("bucket", cpu_s=cpu_of(server.pid))
        server.kill()
        server.wait()


def serve(photos: int, port: int) -> None:
    """moto's S3 with the photos in it, by a server that keeps connections open: its own takes three times as long."""
    import waitress
    from moto.s3.models import s3_backends
    from moto.server import create_backend_app

    backend = s3_backends["123456789012"]["aws"]
    backend.create_bucket("shop", "us-east-1")
    for number in range(photos):
        backend.put_object("shop", name_of(number), drawn(number))
    waitress.serve(create_backend_app("s3"), host="127.0.0.1", port=port, threads=8)


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def folder(photos: int) -> Iterator[str]:
    """The same photos as files."""
    for number in range(10):
        Path(f"photos/c{number}").mkdir(parents=True)
    for number in range(photos):
        Path(name_of(number)).write_bytes(drawn(number))
    yield "photos"


def name_of(number: int) -> str:
    return f"photos/c{number % 10}/p{number:07d}.jpg"


def drawn(number: int) -> bytes:
    random = np.random.default_rng(number)
    pixels = np.clip(random.integers(0, 256, 3) + random.normal(0, 20, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_list(source: str, photos: int) -> None:
    """The table that `featx list` would write."""
    import pyarrow
    from pyarrow import parquet

    paths = sorted(f"{source}/{name_of(number).partition('/')[2]}" for number in range(photos))
    table = pyarrow.table({"image": paths, "label": [path.split("/")[-2] for path in paths]})
    parquet.write_table(table, "photos.parquet")


def report(name: str, **facts: Any) -> None:
    print(json.dumps({"run": name, **{key: round(value, 2) for key, value in facts.items()}}), flush=True)


def command(*words: str, beside: Callable[[subprocess.Popen[bytes]], None] | None = None) -> dict[str, float]:
    """Run a command in a session of its own; its seconds, CPU seconds with all its processes, and its most memory."""
    begun = time.perf_counter()
    running = subprocess.Popen([*FEATX, *words, "--quiet"], start_new_session=True, stdout=subprocess.DEVNULL)
    if beside is not None:
        threading.Thread(target=beside, args=(running,), daemon=True).start()
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    return {"exit": running.returncode, "seconds": time.perf_counter() - begun,
            "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}  # fmt: skip


class Watch(threading.Thread):
    """The CPU seconds of Ray's own processes and of its workers, which are no children of the command."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._used: dict[int, tuple[str, float]] = {}
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            for process in Path("/proc").iterdir():
                with suppress(OSError, ValueError):
                    words = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
                    if words.startswith(b"ray::") or b"/ray/" in words:
                        worker = words.startswith(b"ray::") or b"default_worker.py" in words
                        kind = "workers_cpu_s" if worker else "ray_cpu_s"
                        self._used[int(process.name)] = (kind, cpu_of(int(process.name)))

    def end(self) -> dict[str, float]:
        self._over.set()
        self.join()
        sums = {"workers_cpu_s": 0.0, "ray_cpu_s": 0.0}
        for kind, seconds in self._used.values():
            sums[kind] += seconds
        return sums


def records(store: str) -> dict[str, int]:
    """The shards that are done, and when their records were written."""
    return {path.name: path.stat().st_mtime_ns for path in Path(f"{store}.shards").glob("*.json")}


class Killer:
    """Kills one worker whenever another shard is done, and the driver now and then; keeps what was done before."""

    def __init__(self, store: str, kills: int, workers: bytes, drivers: int = 0) -> None:
        self.store, self.left, self.workers, self.drivers = store, kills, workers, drivers
        self.kills = 0
        # A shard that is killed three times is given up as deadly, so each is hit once.
        self.hit: set[str] = set()
        self.done: dict[str, int] = {}

    def beside(self, driver: subprocess.Popen[bytes]) -> None:
        begun = len(records(self.store))
        while driver.returncode is None and self.left:
            time.sleep(0.02)
            now = records(self.store)
            if self.drivers and len(now) >= begun + 5:
                self.drivers -= 1
                self.done |= now
                self._killed()
                os.killpg(driver.pid, signal.SIGKILL)
                return
            for shard, pid in at_a_shard(self.workers).items():
                if shard not in self.hit and len(now) > begun:
                    self.hit.add(shard)
                    self.done |= records(self.store)
                    os.kill(pid, signal.SIGKILL)
                    self._killed()
                    break

    def _killed(self) -> None:
        self.kills, self.left = self.kills + 1, self.left - 1

    def redone(self) -> int:
        """How many shards that were done before a kill were written again."""
        now = records(self.store)
        return sum(now[name] != written for name, written in self.done.items())


def at_a_shard(mark: bytes) -> dict[str, int]:
    """The workers of this machine that write a shard at the moment, by its name."""
    found = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and mark in (process / "cmdline").read_bytes():
                opened = " ".join(str(file.readlink()) for file in (process / "fd").iterdir())
                found |= {name: int(process.name) for name in re.findall(r"(\d{6}-of-\d{6})\.part/", opened)}
    return found


def with_kills(killer: Killer, *words: str) -> dict[str, float]:
    """The command, again after each kill of the driver, until it is done."""
    total = {"seconds": 0.0, "cpu_s": 0.0, "peak_mb": 0.0}
    while True:
        ran = command(*words, beside=killer.beside)
        total = {"seconds": total["seconds"] + ran["seconds"], "cpu_s": total["cpu_s"] + ran["cpu_s"],
                 "peak_mb": max(total["peak_mb"], ran["peak_mb"])}  # fmt: skip
        if ran["exit"] != -signal.SIGKILL:
            return {"exit": ran["exit"], **total, "kills": killer.kills, "redone": killer.redone()}


def same(store: str) -> float:
    """Whether a store has the rows and feature bytes of the single run.

    A process of its own looks: commands that are started later would be said to need the memory that it takes.
    """
    return float(subprocess.run([sys.executable, __file__, "--compare", store], check=False).returncode == 0)


def is_same(store: str) -> bool:
    first, second = open_store("plain.h5"), open_store(store)
    return list(first.known().values()) == list(second.known().values()) and np.array_equal(
        first.features.view(np.uint8), second.features.view(np.uint8)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--without-ray", action="store_true")
    parser.add_argument("--without-local", action="store_true")
    parser.add_argument("--folder", action="store_true")
    parser.add_argument("--backbone", default="colour")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--compare", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.compare:
        sys.exit(not is_same(asked.compare))
    if asked.serve:
        serve(asked.photos, asked.serve)
        return
    with ExitStack() as stack:
        os.chdir(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(folder(asked.photos) if asked.folder else bucket(asked.photos))
        if asked.photos <= LISTED:
            ran = command("list", source, "photos.parquet")
            report("list", **ran, photos_s=asked.photos / ran["seconds"])
        else:
            write_list(source, asked.photos)
        extract = ("extract", "photos.parquet", "--backbone", asked.backbone, "--store")
        ran = command(*extract, "plain.h5")
        report("one run", **ran, photos_s=asked.photos / ran["seconds"])
        if not asked.without_local:
            here(asked, *extract)
        if not asked.without_ray:
            on_ray(asked, *extract)


def here(asked: argparse.Namespace, *extract: str) -> None:
    """The shards by processes of this machine."""
    shards = ("--shards", str(asked.shards))
    ran = command(*extract, "shards.h5", *shards)
    report("shards, one process", **ran, photos_s=asked.photos / ran["seconds"], same=same("shards.h5"))
    report("joining alone", **command(*extract, "shards.h5", *shards))
    if not asked.kills:
        return
    killer = Killer("killed.h5", asked.kills, b"multiprocessing-fork", drivers=2)
    ran = with_kills(killer, *extract, "killed.h5", *shards, "--jobs", str(asked.jobs))
    report("shards, killed", **ran, same=same("killed.h5"))


def on_ray(asked: argparse.Namespace, *extract: str) -> None:
    """The shards by the workers of a Ray that is started for them, killed where kills are asked for.

    `cpu_s` is that of the driver.
    """
    words = (*extract, "ray.h5", "--shards", str(asked.shards), "--on", "ray")
    watch = Watch()
    watch.start()
    if asked.kills:
        ran = with_kills(Killer("ray.h5", asked.kills, b"ray::extract_elsewhere", drivers=1), *words)
    else:
        ran = command(*words)
    report("ray", **ran, **watch.end(), photos_s=asked.photos / ran["seconds"], same=same("ray.h5"))


if __name__ == "__main__":
    main()
