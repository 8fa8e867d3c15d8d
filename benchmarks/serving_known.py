"""How fast `featx serve` answers for a known item of a large catalogue.

    python benchmarks/serving_known.py [--rows 100000] [--requests 500] [--clip-retrieval PYTHON]

The catalogue is drawn. `--clip-retrieval` names the Python of an environment with clip-retrieval, whose back end then
answers from the same vectors in a faiss index; its CLIP network, which a known item does not need, is left out. Each is
asked ten seconds after its first answer: featx answers before its network is loaded, and more slowly until then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from serving import ROOT, ask_once, free_port, wait_for

WIDTH, CLUSTERS, K = 512, 3_000, 12
SETTLED_AFTER = 10


def draw(rows: int, width: int = WIDTH) -> np.ndarray:
    """Features in clusters, as those of networks are."""
    random = np.random.default_rng(0)
    middles = random.normal(size=(CLUSTERS, 48)).astype(np.float32)
    turn = random.normal(size=(48, width)).astype(np.float32)
    places = middles[random.integers(0, CLUSTERS, rows)] + 0.3 * random.normal(size=(rows, 48)).astype(np.float32)
    return np.maximum(places @ turn, 0)


def write_store(features: np.ndarray) -> None:
    from featx.backbones import Fingerprint
    from featx.store import Row, StoreWriter

    with StoreWriter.open(
        Path("drawn.h5"), Fingerprint.from_dict({"backbone": "x", "width": features.shape[1]})
    ) as writer:
        for start in range(0, len(features), 4096):
            writer.append(
                [
                    Row(f"i{i}", f"photos/i{i}.jpg", f"{i:064x}", f"c{i % 80}", f"p{i}", None, {}, features[i])
                    for i in range(start, min(start + 4096, len(features)))
                ]
            )
        writer.seal()


def write_faiss_index(features: np.ndarray, python: str) -> None:
    """What clip-retrieval reads: an index, and a table with a line for each vector."""
    np.save("vectors.npy", features / np.linalg.norm(features, axis=1, keepdims=True))
    script = """
import faiss, numpy, os, pandas
vectors = numpy.load("vectors.npy")
index = faiss.index_factory(vectors.shape[1], "IVF512,Flat", faiss.METRIC_INNER_PRODUCT)
index.train(vectors[::5])
index.add(vectors)
index.nprobe = 16
os.makedirs("clip/metadata")
faiss.write_index(index, "clip/image.index")
names = [f"photos/i{i}.jpg" for i in range(len(vectors))]
pandas.DataFrame({"image_path": names}).to_parquet("clip/metadata/0.parquet")
"""
    subprocess.run([python, "-c", script], check=True)
    Path("indices.json").write_text('{"drawn": "clip"}')


CLIP_BACK = """
import importlib, importlib.util, sys, types
def stub(name, **parts):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(parts)
# Its network is not loaded: queries come as vectors.
stub("torch", cuda=types.SimpleNamespace(is_available=lambda: False))
stub("all_clip", load_clip=lambda *_, **__: (None, None, None))
stub("clip_retrieval", __path__=importlib.util.find_spec("clip_retrieval").submodule_search_locations)
stub("clip_retrieval.clip_front", add_static_endpoints=lambda *_: None)
back = importlib.import_module("clip_retrieval.clip_back")
back.clip_back("indices.json", port=int(sys.argv[1]), enable_mclip_option=False, provide_aesthetic_embeddings=False)
"""


def time_known(name: str, port: int, requests: list[tuple[str, str, dict, bytes | None]]) -> None:
    time.sleep(SETTLED_AFTER)
    connection, taken = None, []
    for method, path, headers, body in requests:
        begun = time.perf_counter()
        connection, status = ask_once(port, path, headers, body, connection, method)
        assert status == 200
        taken.append(1000 * (time.perf_counter() - begun))
    taken = sorted(taken[len(taken) // 10 :])
    print(f"| {name} | {taken[len(taken) // 2]:.2f} | {taken[int(0.99 * len(taken))]:.2f} |", flush=True)


def serve(words: list[str], port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "featx", "serve", "-p", str(port), "--store", "drawn.h5", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--engines", default="exact,usearch")
    parser.add_argument("--clip-retrieval", metavar="PYTHON", default="")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        features = draw(args.rows)
        write_store(features)
        featx = [sys.executable, "-m", "featx"]
        made = [*featx, "serve", "--add-token", "bench"]
        token = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
        bearer = {"Authorization": f"Bearer {token}"}
        chosen = np.random.default_rng(1).integers(0, args.rows, args.requests).tolist()
        known = [("GET", f"/v1/similar?id=i{row}&k={K}", bearer, None) for row in chosen]
        print(f"{args.rows:,} photos\n\n| server | median ms | 99th percentile ms |\n|---|---|---|")
        for engine in args.engines.split(","):
            if engine != "exact":
                subprocess.run([*featx, "index", "build", "--store", "drawn.h5", "-q"], check=True)
            port = free_port()
            with serve(["--engine", engine], port) as process:
                wait_for(port, known[0][1], bearer, None, process, method="GET")
                time_known(f"featx serve, {engine}", port, known)
                process.terminate()
        if args.clip_retrieval:
            write_faiss_index(features, args.clip_retrieval)
            port = free_port()
            with subprocess.Popen(
                [args.clip_retrieval, "-c", CLIP_BACK, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                wanted = {"modality": "image", "num_images": K, "num_result_ids": K, "indice_name": "drawn"}
                bodies = [json.dumps(wanted | {"embedding_input": features[row].tolist()}).encode() for row in chosen]
                asked = [("POST", "/knn-service", {"Content-Type": "application/json"}, body) for body in bodies]
                wait_for(port, "/knn-service", asked[0][2], bodies[0], process)
                time_known("clip-retrieval back, IVF", port, asked)
                process.terminate()


if __name__ == "__main__":
    main()
