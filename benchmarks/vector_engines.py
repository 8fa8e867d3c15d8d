"""Search engines side by side, each built and searched in processes of its own: exact, usearch, Lance, pgvector, faiss.

    python benchmarks/vector_engines.py STORE [--rows 100000] [--width 512] [--queries 100] [--engine NAME ...]
        [--names] [--lists N] [--place FOLDER [--built]]

The rows are made from the real features of STORE: a photo, moved a random part of the way to another photo of its
category, with noise, projected at random to WIDTH numbers; its category is the condition. Queries are rows. `towards`
keeps the query's own category, `away` another. featx compares the answers of its engines exactly; faiss answers alone.
With `--names` all names are in order first, as a server has them. `--lists` is the number of faiss' lists (four times
the root of the rows, unless given), of which 64 are read. `--place` keeps what is built, and `--built` asks it again
without building.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from featx.backbones import Fingerprint
from featx.retrieval import index_of
from featx.retrieval.engine_choice import build_index, open_engine
from featx.retrieval.server_index import sync
from featx.store import Row, StoreWriter, open_store

K, BLOCK = 10, 20_000
ENGINES = ("exact", "usearch", "lance", "pgvector", "faiss")
# A query, and the condition as a category or none, to the numbers of rows.
Search = Callable[[int, str | None], list[int]]


def made(store: Path, rows: int, width: int, target: Path) -> None:
    """Write a store of made-up rows, in half precision."""
    real = open_store(store)
    features = real.features
    labels = np.array([label or "none" for label in real.labels])
    random = np.random.default_rng(0)
    turned = random.normal(size=(features.shape[1], width)).astype(np.float32) / np.sqrt(width)
    order = np.argsort(labels, kind="stable")
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    begins = np.cumsum(sizes) - sizes
    # The noise is that of every number of a feature, projected: its covariance gives it at the smaller width.
    noise = np.linalg.cholesky(turned.T @ np.diag((0.2 * features.std(axis=0)) ** 2) @ turned).T.astype(np.float32)
    features = features @ turned
    with StoreWriter.open(
        target, Fingerprint.from_dict({"backbone": "made up", "width": width}), dtype="float16"
    ) as out:
        for start in range(0, rows, BLOCK):
            n = min(BLOCK, rows - start)
            first = random.integers(0, len(features), n)
            group = own[first]
            other = order[begins[group] + random.integers(0, sizes[group])]
            part = random.random((n, 1), dtype=np.float32) / 2
            vectors = features[first] + part * (features[other] - features[first])
            vectors += random.standard_normal(vectors.shape, dtype=np.float32) @ noise
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            out.append(
                [
                    Row(f"i{start + i}", f"{start + i:09d}.jpg", f"{start + i:064x}", str(labels[first[i]]), None, None,
                        {"price": float(random.integers(1, 1000))}, vectors[i])
                    for i in range(n)
                ]
            )  # fmt: skip
        out.seal()


def build_featx(store: Path, name: str) -> dict[str, Any]:
    """Build an index, and say what that took and found."""
    index = index_of(store)
    begun, used = time.perf_counter(), cpu()
    if name == "pgvector":
        url = os.environ["FEATX_BENCHMARK_POSTGRES"]
        server = postgres_cpu(url)
        source = sync(index.rows, url).source
        used -= postgres_cpu(url) - server
    else:
        _, source = build_index(index.rows, name)
    patterns = {"usearch": "*.approx", "lance": "*.lance*"}
    return {
        "build_s": time.perf_counter() - begun, "build_cpu_s": cpu() - used, "effort": source.effort,
        "engine_recall": [source.recall, source.towards, source.away],
        "disk_mb": size_of(store.parent, patterns[name]) if name in patterns else 0,
    }  # fmt: skip


def open_featx(store: Path, name: str, names: bool) -> Search:
    index = index_of(store)
    if names:
        index.rows.expect_many()
    engine = os.environ["FEATX_BENCHMARK_POSTGRES"] if name == "pgvector" else name
    index.nearby = open_engine(index.rows, engine, make=False)

    def search(row: int, label: str | None) -> list[int]:
        return [int(match.item_id[1:]) for match in index.matches(f"i{row}", K, label=label, copies=True)]

    return search


def build_faiss(store: Path, lists: int | None) -> dict[str, Any]:
    import faiss

    rows = index_of(store).rows
    faiss.omp_set_num_threads(1)
    begun, used = time.perf_counter(), cpu()
    lists = lists or int(4 * np.sqrt(len(rows)))
    index = faiss.index_factory(rows.features.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    learned_from = np.random.default_rng(0).choice(len(rows), min(len(rows), 50 * lists), replace=False)
    index.train(rows.unit_rows(np.sort(learned_from)))
    for start in range(0, len(rows), BLOCK):
        index.add(rows.unit_rows(slice(start, start + BLOCK)))
    facts = {"build_s": time.perf_counter() - begun, "build_cpu_s": cpu() - used, "lists": lists, "effort": 64}
    faiss.write_index(index, str(store.parent / "faiss"))
    return facts | {"disk_mb": size_of(store.parent, "faiss")}


def open_faiss(store: Path) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    rows = index_of(store).rows
    features, codes = rows.features, rows.label_codes
    index = faiss.read_index(str(store.parent / "faiss"))
    selectors = {
        label: faiss.IDSelectorBatch(np.flatnonzero(codes == code)) for code, label in enumerate(rows.label_names)
    }

    def search(row: int, label: str | None) -> list[int]:
        only = None if label is None else selectors[label]
        asked = faiss.SearchParametersIVF(nprobe=64, sel=only)
        found = index.search(np.asarray(features[row : row + 1], np.float32), K + 1, params=asked)[1][0].tolist()
        return [i for i in found if i not in (row, -1)][:K]

    return search


def built(store: Path, name: str, lists: int | None) -> dict[str, Any]:
    """Build the index of one engine in a process of its own."""
    if name == "exact":
        index_of(store)
        return {"engine": name, "opened": True, "build_mb": memory("VmHWM")}
    facts = build_faiss(store, lists) if name == "faiss" else build_featx(store, name)
    return {"engine": name, "built": True, "build_mb": memory("VmHWM"), **facts}


def measure(store: Path, name: str, queries: int, names: bool) -> dict[str, Any]:
    """The answers of one engine, built before; `exact` writes the true ones that the others are compared with."""
    search = open_faiss(store) if name == "faiss" else open_featx(store, name, names)
    facts: dict[str, Any] = {}
    rows = index_of(store).rows
    names = sorted(rows.label_names)
    asked = np.random.default_rng(1).choice(len(rows), queries, replace=False).tolist()
    truth = store.with_name("truth.json")
    true = {} if name == "exact" else json.loads(truth.read_text())
    for kind in ("plain", "towards", "away"):
        answers, times, cpu_times = [], [], []
        for row in asked:
            own = names.index(str(rows.label_of(row)))
            label = {"plain": None, "towards": names[own], "away": names[(own + len(names) // 2) % len(names)]}[kind]
            begun, used = time.perf_counter(), time.process_time()
            answers.append(search(row, label))
            times.append(time.perf_counter() - begun)
            cpu_times.append(time.process_time() - used)
        if name == "exact":
            true[kind] = answers
        shared = [len(set(a) & set(b)) / max(1, len(b)) for a, b in zip(answers, true[kind], strict=True)]
        facts |= {f"recall_{kind}": float(np.mean(shared)), f"p50_{kind}_ms": 1000 * float(np.median(times))}
        facts |= {f"cpu_{kind}_ms": 1000 * float(np.median(cpu_times))}
    if name == "exact":
        truth.write_text(json.dumps(true))
    return {"engine": name, "n": len(rows), "search_mb": memory("VmHWM"), "own_mb": memory("RssAnon"), **facts}


def cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def memory(kind: str) -> float:
    """The memory of this process, in MB: VmHWM is the most it had, mapped files included, RssAnon its own.

    `ru_maxrss` would count that of the process which started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{kind}:")[2].split()[0]) / 1024


def postgres_cpu(url: str) -> float:
    """The CPU seconds of all processes of a server on this machine, by the folder of its socket."""
    home, total = url.rpartition("host=")[2].partition("#")[0], 0.0
    first = int((Path(home) / "data" / "postmaster.pid").read_text().split()[0])
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                fields = (process / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if first in (int(process.name), int(fields[1])):
                total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def size_of(folder: Path, pattern: str) -> float:
    files = [file for found in folder.glob(pattern) for file in (found, *found.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--place", type=Path, help="Where the made-up store is kept, and found again.")
    parser.add_argument("--names", action="store_true")
    parser.add_argument("--lists", type=int)
    parser.add_argument("--built", action="store_true", help="Do not build: ask what PLACE has.")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        name = arguments.alone
        facts = (
            built(arguments.store, name, arguments.lists)
            if arguments.build
            else measure(arguments.store, name, arguments.queries, arguments.names)
        )
        print(json.dumps(facts), flush=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.place or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        store = place / "made.h5"
        if not store.exists():
            made(arguments.store, arguments.rows, arguments.width, store)
        # Kept beside the store for every engine, so that no process below reads all names.
        if not arguments.built:
            subprocess.run([sys.executable, __file__, str(store), "--alone", "exact", "--build"], check=True)
        for name in arguments.engine or ENGINES:
            if name == "pgvector" and "FEATX_BENCHMARK_POSTGRES" not in os.environ:
                print("pgvector: name a server, FEATX_BENCHMARK_POSTGRES=postgresql://…", flush=True)
                continue
            flags = ["--alone", name, "--queries", str(arguments.queries), *(["--names"] if arguments.names else [])]
            if arguments.lists:
                flags += ["--lists", str(arguments.lists)]
            ours = [sys.executable, __file__, str(store), *flags]
            if arguments.built or name == "exact" or subprocess.run([*ours, "--build"], check=False).returncode == 0:
                subprocess.run(ours, check=False)


if __name__ == "__main__":
    main()
