"""Whether the memory of `featx serve` grows: requests of every kind, and its resident size meanwhile.

    python benchmarks/serving_soak.py [--requests 50000] [--callers 4]

One request in twenty brings a new photo; the others ask for known items, pages of items, thumbnails and decisions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from serving import ROOT, ask_once, free_port, wait_for

PARTS = 20


def resident(pid: int) -> float:
    """The resident size of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    raise SystemExit("this system does not say how large a process is")


class Callers:
    """Sends requests of every kind."""

    def __init__(self, port: int, headers: dict[str, str], photos: list[bytes], ids: list[str]) -> None:
        self.port, self.headers, self.photos, self.ids = port, headers, photos, ids
        self.local, self.seen = threading.local(), Counter()

    def send(self, number: int) -> None:
        path, body, method, kind = self.request(random.Random(number), number)
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        kept = getattr(self.local, "connection", None)
        try:
            self.local.connection, status = ask_once(self.port, path, headers, body, kept, method)
        except OSError:  # the server closes a connection that waited for the others
            self.local.connection, status = ask_once(self.port, path, headers, body, None, method)
        self.seen[status] += 1

    def request(self, chance: random.Random, number: int) -> tuple[str, bytes | None, str, str]:
        item = chance.choice(self.ids)
        if number % 20 == 0:
            path = chance.choice(["/v1/similar?k=5", "/v1/classify"])
            return path, chance.choice(self.photos) + os.urandom(8), "POST", "image/jpeg"
        if number % 400 == 1:
            body = json.dumps({"id": item, "decision": "keep"}).encode()
            return "/v1/decisions", body, "POST", "application/json"
        asked = [f"/v1/similar?id={item}&k=12", f"/v1/items/{item}", f"/v1/photo/{item}?side=256", "/v1/items?limit=20"]
        return chance.choice(asked), None, "GET", ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--callers", type=int, default=4)
    args = parser.parse_args()
    photos = [path.read_bytes() for path in sorted((ROOT / "data/test").rglob("*.jpg"))]
    os.environ["PYTHONPATH"] = str(ROOT)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        featx = [sys.executable, "-m", "featx"]
        subprocess.run(
            [*featx, "extract", str(ROOT / "data/train"), "-b", "builtin", "--allow-outside", "-q"], check=True
        )
        subprocess.run([*featx, "fit", "--clf", "svm", "-q"], check=True, stdout=subprocess.DEVNULL)
        made = [*featx, "serve", "--add-token", "soak", "--scope", "read", "--scope", "classify", "--scope", "review"]
        token = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
        headers, port = {"Authorization": f"Bearer {token}"}, free_port()
        with subprocess.Popen(
            [*featx, "serve", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            wait_for(port, "/healthz", headers, None, process, method="GET")
            from featx.store import open_store

            callers = Callers(port, headers, photos, list(open_store().ids))
            part, sizes = args.requests // PARTS, []
            with ThreadPoolExecutor(args.callers) as pool:
                for begin in range(0, part * PARTS, part):
                    list(pool.map(callers.send, range(begin, begin + part)))
                    sizes.append(resident(process.pid))
                    print(f"{begin + part:,} requests: {sizes[-1]:.0f} MB", flush=True)
            # The first half fills caches: decoded thumbnails, remembered photos, the heaps of the threads.
            later = sizes[PARTS // 2 :]
            slope = np.polyfit(np.arange(len(later)) * part, later, 1)[0]
            print(
                f"answers {dict(sorted(callers.seen.items()))}; second half: {1e4 * slope:+.2f} MB in 10,000 requests"
            )
            process.terminate()


if __name__ == "__main__":
    main()
