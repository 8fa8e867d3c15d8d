"""How fast `featx serve` classifies photos, beside a plain FastAPI application, and LitServe where it is installed.

    python benchmarks/serving.py [--requests N] [--callers 1,8,32]

Every server answers from the same backbone and classifier, in a process of its own, one after the other; every request
has other bytes, so that none is remembered. Numbers are comparable within one run only.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PATH = "/classify"


def model():
    """A photo's bytes to its category, the way a plain application would: one photo at a time."""
    from featx.embedding.stream import read_source
    from featx.prediction.predict import open_predictor

    predictor = open_predictor(device="cpu")
    encoder = predictor.backbone

    def classify(data: bytes) -> dict:
        source = read_source(data, name="photo")
        (image,) = source.decode(encoder.spec.decode_size)
        features = encoder.features([encoder.prepare(image)])
        ((top, similarity),) = predictor.answers(features)
        return {"category": top[0][0], "sure": top[0][1], "similarity": similarity}

    return classify


def serve_plainly(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, Request

    app, classify = FastAPI(), model()

    async def answer(request: Request) -> dict:
        return classify(await request.body())

    answer.__annotations__["request"] = Request
    app.post(PATH)(answer)
    uvicorn.run(app, port=port, log_level="warning")


def serve_with_litserve(port: int) -> None:
    import litserve
    from fastapi import Request

    class Api(litserve.LitAPI):
        def setup(self, device: str) -> None:
            from featx.prediction.predict import open_predictor

            self.predictor = open_predictor(device="cpu")
            self.encoder = self.predictor.backbone

        async def decode_request(self, request: Request) -> object:
            from featx.embedding.stream import read_source

            (image,) = read_source(await request.body(), name="photo").decode(self.encoder.spec.decode_size)
            return self.encoder.prepare(image)

        def batch(self, inputs: list) -> list:
            return list(inputs)

        def predict(self, batch: list) -> list:
            return self.predictor.answers(self.encoder.features(batch))

        def unbatch(self, output: list) -> list:
            return output

        def encode_response(self, output: tuple) -> dict:
            return {"category": output[0][0][0], "sure": output[0][0][1]}

    Api.decode_request.__annotations__["request"] = Request
    api = Api(max_batch_size=16, batch_timeout=0.005, api_path=PATH)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(port=port, log_level="warning")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def classify_once(port: int, path: str, headers: dict[str, str], body: bytes, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": "image/jpeg", **headers})
    answer = connection.getresponse()
    answer.read()
    return connection, answer.status


def drive(port: int, path: str, headers: dict[str, str], photos: list[bytes], callers: int, requests: int):
    """Requests a second, and the median and 99th percentile of the milliseconds that an answer took."""
    local, taken, statuses = threading.local(), [], []

    def ask(number: int) -> None:
        # Bytes after the end of a JPEG change its digest and nothing else.
        body = photos[number % len(photos)] + os.urandom(8)
        begun = time.perf_counter()
        local.connection, status = classify_once(port, path, headers, body, getattr(local, "connection", None))
        taken.append(1000 * (time.perf_counter() - begun))
        statuses.append(status)

    begun = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(ask, range(requests)))
    seconds = time.perf_counter() - begun
    assert set(statuses) == {200}, set(statuses)
    taken.sort()
    return requests / seconds, taken[len(taken) // 2], taken[int(0.99 * len(taken))]


def wait_for(port: int, path: str, headers: dict[str, str], body: bytes, process: subprocess.Popen) -> float:
    begun = time.perf_counter()
    while process.poll() is None and time.perf_counter() - begun < 120:
        try:
            if classify_once(port, path, headers, body)[1] == 200:
                return time.perf_counter() - begun
        except (ConnectionError, OSError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{process.args} does not answer")


def measure(name: str, words: list[str], port: int, path: str, headers: dict[str, str], photos, args) -> None:
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL) as process:
        try:
            begun = wait_for(port, path, headers, photos[0], process)
            for callers in map(int, args.callers.split(",")):
                n = args.requests if callers > 1 else max(20, args.requests // 3)
                rate, median, slow = drive(port, path, headers, photos, callers, n)
                print(f"| {name} | {callers} | {rate:.1f} | {median:.0f} | {slow:.0f} | {begun:.1f} |", flush=True)
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--callers", default="1,8,32")
    parser.add_argument("--backbone", default="builtin")
    parser.add_argument("--serve", choices=["plain", "litserve"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        {"plain": serve_plainly, "litserve": serve_with_litserve}[args.serve](args.port)
        return
    photos = [path.read_bytes() for path in sorted((ROOT / "data/test").rglob("*.jpg"))]
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        featx = [sys.executable, "-m", "featx"]
        data = str(ROOT / "data/train")
        subprocess.run([*featx, "extract", data, "-b", args.backbone, "--allow-outside", "-q"], check=True)
        subprocess.run([*featx, "fit", "--clf", "svm", "-q"], check=True, stdout=subprocess.DEVNULL)
        made = [*featx, "serve", "--add-token", "bench", "--scope", "classify"]
        token = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
        print("| server | callers | answers a second | median ms | 99th percentile ms | first answer after s |")
        print("|---|---|---|---|---|---|")
        own = str(ROOT / "benchmarks/serving.py")
        bearer = {"Authorization": f"Bearer {token}"}
        port = free_port()
        measure("featx serve", ["-m", "featx", "serve", "-p", str(port)], port, "/v1/classify", bearer, photos, args)
        for kind in ("plain", "litserve"):
            if kind == "litserve" and find_spec("litserve") is None:
                continue
            port = free_port()
            measure(kind, [own, "--serve", kind, "--port", str(port)], port, PATH, {}, photos, args)


if __name__ == "__main__":
    main()
