"""Make the pictures of README.md from real runs: `python docs/pictures.py` (needs Chromium and `featx[imagenet]`).

terminal.png  `featx similar` on the sample catalogue, as a truecolor terminal shows it
report.png    the first screen of docs/example-report/report.html
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

DOCS = Path(__file__).parent
COLUMNS, ROWS = 80, 40
COMMANDS = (["extract", "data/train"], ["similar", "sku123.jpg"])


def in_a_terminal(words: list[str], folder: Path) -> str:
    """The bytes a command writes to a truecolor terminal, stdout and stderr together."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "FEATX_OFFLINE": "1"}
    environment |= {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "PYTHONPATH": str(DOCS.parent)}
    for name in ("NO_COLOR", "CI", "FEATX_STORE"):
        environment.pop(name, None)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "featx", *words], cwd=folder, env=environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        written += block
    os.close(ours)
    if process.wait():
        raise SystemExit(written.decode())
    return written.decode().replace("\r\n", "\n")


def terminal_svg() -> str:
    """What `featx similar` prints, as an SVG."""
    from rich.console import Console
    from rich.text import Text

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(DOCS.parent / "data", folder / "data")
        for words in COMMANDS:
            shown = in_a_terminal(words, folder)
    console = Console(record=True, width=COLUMNS, file=StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text("$ featx similar sku123.jpg", style="bold"))
    console.print(Text.from_ansi(shown.rstrip()))
    return console.export_svg(title="featx", font_aspect_ratio=0.61)


def photograph(page: Path, target: Path, size: str) -> None:
    """A page as Chromium shows it, as a PNG of few colours."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium found: the pictures stay as they are")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}"]
    subprocess.run(
        [chromium, *options, f"--screenshot={target}", page.resolve().as_uri()], check=True, capture_output=True
    )
    from PIL import Image

    with Image.open(target) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        drawn = Path(name) / "terminal.svg"
        drawn.write_text(terminal_svg(), encoding="utf-8")
        photograph(drawn, DOCS / "img" / "terminal.png", "994,904")
    photograph(DOCS / "example-report" / "report.html", DOCS / "img" / "report.png", "1000,1000")
