"""How fast `featx serve` classifies photos, beside a plain FastAPI application, and LitServe where it is installed.

    python benchmarks/serving.py [--requests N] [--callers 1,8,32] [--litserve PYTHON] [--side 1200] [--overload 240]

Every server answers from the same backbone and classifier, in a process of its own, and they are asked in turns; every
request has other bytes, so that none is remembered. `--litserve` names the Python of an environment with featx and
LitServe. Numbers are comparable within one run only.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PATH, BOUNDARY = "/classify", "a-photo-comes"


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask_once(port: int, path: str, headers: dict[str, str], body: bytes | None, connection=None, method: str = "POST"):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return connection, answer.status


def drive(server: Server, photos: list[bytes], callers: int, requests: int) -> tuple[float, list[float]]:
    """The seconds that so many requests took, and the milliseconds of each."""
    local, taken, statuses = threading.local(), [], []

    def ask(number: int) -> None:
        # Bytes after the end of a JPEG change its digest and nothing else.
        body = server.body(photos[number % len(photos)] + os.urandom(8))
        begun = time.perf_counter()
        kept = getattr(local, "connection", None)
        local.connection, status = ask_once(server.port, server.path, server.headers, body, kept)
        taken.append(1000 * (time.perf_counter() - begun))
        statuses.append(status)

    begun = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(ask, range(requests)))
    assert set(statuses) == {200}, (server.name, set(statuses))
    return time.perf_counter() - begun, taken


def overload(server: Server, photos: list[bytes], callers: int, seconds: float) -> None:
    """So many callers send photos without a pause; what is answered, and whether the server says meanwhile it lives."""
    seen: Counter[int] = Counter()
    # A process of its own asks: the threads of this one wait for each other.
    asked = [sys.executable, "-c", LIVE, str(server.port), str(seconds - 1)]
    live = subprocess.Popen(asked, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + seconds

    def send(number: int) -> None:
        connection = None
        while time.monotonic() < until:
            body = photos[number % len(photos)] + os.urandom(8)
            connection, status = ask_once(server.port, server.path, server.headers, body, connection)
            seen[status] += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = live.communicate()[0].strip()
    print(f"\n{callers} callers for {seconds:g} s: {dict(sorted(seen.items()))}; /healthz/live {took}")


LIVE = """
import http.client, sys, time
taken, start = [], time.monotonic()
until = start + float(sys.argv[2])
while time.monotonic() < until:
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    connection.request("GET", "/healthz/live")
    assert connection.getresponse().status == 200
    taken.append((1000 * (time.perf_counter() - begun), time.monotonic() - start))
    connection.close()
    time.sleep(0.1)
times = sorted(taken)
(longest, when), (second, _) = times[-1], times[-2]
print(f"median {times[len(times) // 2][0]:.0f} ms, longest {longest:.0f} ms after {when:.1f} s, then {second:.0f} ms")
"""


def middle(taken: list[float]) -> float:
    return sorted(taken)[len(taken) // 2]


def wait_for(port: int, path: str, headers: dict[str, str], body: bytes | None, process, method: str = "POST") -> float:
    begun = time.perf_counter()
    while process.poll() is None and time.perf_counter() - begun < 180:
        try:
            if ask_once(port, path, headers, body, method=method)[1] == 200:
                return time.perf_counter() - begun
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{process.args} does not answer")


@dataclass
class Server:
    """A server that runs, and how it is asked."""

    name: str
    words: list[str]
    path: str = PATH
    headers: dict[str, str] = field(default_factory=dict)
    # Whether it takes a photo in a form instead of as it is.
    form: bool = False
    port: int = field(default_factory=free_port)

    def body(self, photo: bytes) -> bytes:
        if not self.form:
            return photo
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n'
        return head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + photo + f"\r\n--{BOUNDARY}--\r\n".encode()

    def start(self, photo: bytes) -> subprocess.Popen:
        kind = f"multipart/form-data; boundary={BOUNDARY}" if self.form else "image/jpeg"
        self.headers = {"Content-Type": kind, **self.headers}
        words = [word.replace("PORT", str(self.port)) for word in self.words]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        seconds = wait_for(self.port, self.path, self.headers, self.body(photo), process)
        print(f"{self.name}: first answer after {seconds:.1f} s", file=sys.stderr, flush=True)
        return process


def end(process: subprocess.Popen) -> None:
    """End a server and the processes it has started: LitServe's outlive a polite signal."""
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def compare(servers: list[Server], photos: list[bytes], args: argparse.Namespace) -> None:
    """All of them run all along and are asked in turns, so that whatever else the machine does meets all alike."""
    for callers in map(int, args.callers.split(",")):
        each = max(args.requests // args.rounds, callers)
        seconds: Counter[str] = Counter()
        taken: dict[str, list[float]] = {server.name: [] for server in servers}
        for turn in range(args.rounds):
            for server in servers[turn % len(servers) :] + servers[: turn % len(servers)]:
                took, answers = drive(server, photos, callers, each)
                seconds[server.name] += took
                taken[server.name] += answers
        for server in servers:
            times = sorted(taken[server.name])
            rate = len(times) / seconds[server.name]
            slow = times[int(0.99 * len(times))]
            print(f"| {server.name} | {callers} | {rate:.1f} | {middle(times):.0f} | {slow:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", default="1,8,32")
    parser.add_argument("--backbone", default="builtin")
    parser.add_argument("--litserve", metavar="PYTHON", default="")
    parser.add_argument("--side", type=int, default=0, help="photos of so many pixels, instead of small ones")
    parser.add_argument("--overload", type=int, default=0, metavar="CALLERS", help="then so many callers at once")
    parser.add_argument("--settle", type=float, default=30, help="seconds to convert networks in before it begins")
    parser.add_argument("--serve", choices=["plain"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve_plainly(args.port)
        return
    photos = [path.read_bytes() for path in sorted((ROOT / "data/test").rglob("*.jpg"))]
    if args.side:
        photos = [enlarged(photo, args.side) for photo in photos[:20]]
    print(f"photos of {sum(map(len, photos)) / len(photos) / 1000:.0f} kB")
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ.pop("OMP_NUM_THREADS", None)  # every server may use every core
    with TemporaryDirectory() as folder, ExitStack() as stack:
        os.chdir(folder)
        featx = [sys.executable, "-m", "featx"]
        data = str(ROOT / "data/train")
        subprocess.run([*featx, "extract", data, "-b", args.backbone, "--allow-outside", "-q"], check=True)
        subprocess.run([*featx, "fit", "--clf", "svm", "-q"], check=True, stdout=subprocess.DEVNULL)
        made = [*featx, "serve", "--add-token", "bench", "--scope", "classify"]
        token = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
        own = [str(ROOT / "benchmarks/serving.py"), "--port", "PORT", "--serve"]
        bearer = {"Authorization": f"Bearer {token}"}
        servers = [
            Server("featx serve", [*featx, "serve", "-p", "PORT"], "/v1/classify", bearer),
            Server("plain", [sys.executable, *own, "plain"]),
        ]
        if args.litserve:
            lit = str(ROOT / "benchmarks/serving_litserve.py")
            servers.append(Server("litserve", [args.litserve, lit, "--port", "PORT"], form=True))
        for server in servers:
            stack.callback(end, server.start(photos[0]))
        time.sleep(args.settle)
        print("| server | callers | answers a second | median ms | 99th percentile ms |\n|---|---|---|---|---|")
        compare(servers, photos, args)
        if args.overload:
            overload(servers[0], photos, args.overload, 10)


def enlarged(photo: bytes, side: int) -> bytes:
    """The photo at another size with grain, as a camera writes it."""
    import numpy as np
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB").resize((side, side)), dtype=np.int16)
    grain = np.random.default_rng(len(photo)).integers(-12, 13, image.shape, dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(image + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


if __name__ == "__main__":
    main()
