"""How soon the page of `featx serve` is there, and how its map moves with very many photos.

    python benchmarks/serving_page.py [--rows 200000] [--width 64] [--lay-out]

The catalogue is drawn, and so is its map, unless it is to be laid out, which takes minutes. It is moved in Chromium
without a screen, where the processor draws what a graphics card would.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from serving import ROOT, free_port, middle
from serving_known import draw, write_store

# The time from a move of the mouse to the picture that shows it, for so many moves.
MOVES = """async ([kind, moves]) => {
    const canvas = document.querySelector("canvas"), taken = [];
    const box = canvas.getBoundingClientRect();
    const how = {bubbles: true, cancelable: true};
    const at = (x, y, more) => ({clientX: box.left + x, clientY: box.top + y, ...how, ...more});
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    const fire = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, at(x, y, {pointerId: 1, shiftKey: true})));
    canvas.setPointerCapture = () => {};
    if (kind === "pan") fire("pointerdown", 300, 200);
    for (let i = 0; i < moves; i++) {
        const begun = performance.now();
        if (kind === "pan") fire("pointermove", 300 + 5 * i, 200 + 3 * i);
        else canvas.dispatchEvent(new WheelEvent("wheel", at(400, 300, {deltaY: i < moves / 2 ? -120 : 120})));
        await frame();
        taken.push(performance.now() - begun);
    }
    if (kind === "pan") fire("pointerup", 300, 200);
    return taken;
}"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--lay-out", action="store_true", help="lay the map out as the server does")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with TemporaryDirectory() as folder, sync_playwright() as started:
        os.chdir(folder)
        write_store(draw(args.rows, args.width))
        if not args.lay_out:
            draw_map()
        port = free_port()
        words = [sys.executable, "-m", "featx", "serve", "-p", str(port), "--store", "drawn.h5"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            link = process.stdout.readline().strip()
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            page.goto(link)
            page.locator("#nav a").first.wait_for()
            show_paint(page, port)
            show_map(page, port, args.rows)
            browser.close()
            process.terminate()


def draw_map() -> None:
    """A layout in the cache of the server, of two columns of the features."""
    from featx.reporting import map_layout
    from featx.store import open_store

    map_layout._placed = lambda rows, seed: (rows[:, :2], "drawn")
    map_layout.lay_out(open_store("drawn.h5").features_map(), cache=Path("artifacts/cache"))


def show_paint(page, port: int) -> None:
    """The first paint and the bytes of the page, opened again and again."""
    paints, sizes = [], []
    for _ in range(5):
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("#nav a").first.wait_for()
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        entries = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        sizes.append(page.evaluate(f"{entries}.reduce((sum, one) => sum + one.transferSize, 0)"))
    print(f"first paint: median {middle(paints):.0f} ms; {max(sizes) / 1000:.0f} kB in all")


def show_map(page, port: int, rows: int) -> None:
    """The time to the map and between its pictures, and what is sent for it."""
    sent = []
    page.on("response", lambda answer: sent.append(answer) if answer.url.endswith("/v1/map/points") else None)
    for when in ("asked for the first time", "asked again"):
        begun = time.perf_counter()
        page.goto(f"http://127.0.0.1:{port}/?view=map")
        page.locator("canvas").wait_for(timeout=600_000)
        print(f"{rows:,} points, {when}: there after {time.perf_counter() - begun:.1f} s", flush=True)
    print(f"{int(sent[-1].headers['content-length']) / 1000:.0f} kB of points")
    for kind in ("pan", "zoom"):
        taken = page.evaluate(MOVES, [kind, 40])
        print(f"{kind}: median {middle(taken):.0f} ms a picture, longest {max(taken):.0f} ms", flush=True)


if __name__ == "__main__":
    main()
